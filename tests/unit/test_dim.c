/* Sizes that int64 cannot say are DIM_HUGE, and stay it; all others are exact. */
#include "lang/dim.h"

#include <criterion/criterion.h>
#include <math.h>

Test(dim, an_overflow_is_huge)
{
    Arena *a = arena_new();
    DimTab *t = dim_tab_new(a);
    Dim half = dim_const(t, (int64_t)1 << 62), h = dim_of(t, dim_sym_new(t, STR("H"), DIM_USER)), wide = dim_mul(t, half, h);
    Dim least = dim_sub(t, dim_sub(t, DIM_ZERO, half), half);
    cr_expect_eq(dim_add(t, half, half), DIM_HUGE);
    cr_expect_eq(dim_mul(t, half, half), DIM_HUGE);
    cr_expect_eq(dim_add(t, wide, wide), DIM_HUGE);
    cr_expect_eq(dim_mul(t, wide, dim_const(t, 2)), DIM_HUGE);
    cr_expect_eq(least, DIM_HUGE, "its negative is no int64");
    cr_expect_eq(dim_const(t, INT64_MAX), DIM_HUGE);
    arena_free(a);
}

Test(dim, huge_stays)
{
    Arena *a = arena_new();
    DimTab *t = dim_tab_new(a);
    DimSym s = dim_sym_new(t, STR("H"), DIM_USER);
    Dim h = dim_of(t, s), quotient;
    int64_t value, one = 1;
    cr_expect_eq(dim_sub(t, DIM_HUGE, DIM_HUGE), DIM_HUGE);
    cr_expect_eq(dim_mul(t, DIM_ZERO, DIM_HUGE), DIM_HUGE);
    cr_expect_eq(dim_add(t, h, DIM_HUGE), DIM_HUGE);
    cr_expect(dim_div(t, DIM_HUGE, DIM_HUGE, &quotient) && quotient == DIM_HUGE);
    cr_expect_eq(dim_subst(t, dim_mul(t, h, h), s, dim_const(t, (int64_t)1 << 32)), DIM_HUGE);
    cr_expect_not(dim_eval(t, DIM_HUGE, &one, &value));
    arena_free(a);
}

Test(dim, a_product_of_too_many_dimensions_is_huge)
{
    Arena *a = arena_new();
    DimTab *t = dim_tab_new(a);
    Dim h = dim_of(t, dim_sym_new(t, STR("H"), DIM_USER)), power = DIM_ONE;
    for (int i = 0; i < DIM_MAXDEG; i++)
        power = dim_mul(t, power, h);
    cr_expect_neq(power, DIM_HUGE);
    cr_expect_eq(dim_mul(t, power, h), DIM_HUGE);
    arena_free(a);
}

Test(dim, the_largest_size_is_exact)
{
    Arena *a = arena_new();
    DimTab *t = dim_tab_new(a);
    Dim most = dim_sub(t, dim_const(t, INT64_MAX - 1), DIM_ZERO);
    int64_t value;
    cr_expect(dim_is_const(t, most, &value) && value == INT64_MAX - 1);
    cr_expect(dim_is_const(t, dim_sub(t, DIM_ZERO, most), &value) && value == 1 - INT64_MAX);
    arena_free(a);
}

Test(dim, about_how_large)
{
    Arena *a = arena_new();
    DimTab *t = dim_tab_new(a);
    Dim h = dim_of(t, dim_sym_new(t, STR("H"), DIM_USER)), k = dim_of(t, dim_sym_new(t, STR("K"), DIM_USER));
    Dim size = dim_sub(t, dim_mul(t, dim_const(t, 3), dim_mul(t, h, k)), dim_add(t, h, DIM_ONE));
    cr_expect_eq(dim_about(t, size, 10), 289);
    cr_expect_eq(dim_about(t, DIM_ZERO, 10), 0);
    cr_expect_eq(dim_about(t, DIM_HUGE, 10), INFINITY);
    arena_free(a);
}
