/* Sizes that are 0 or 1: whether something pays at the sizes of a call. */
#include "ir/rec/rec.h"

static DimSym new_flag(Arena *a, DimTab *t)
{
    DimSym same;
    Str name = STR("many");
    for (uint32_t k = 2; dim_find_sym(t, name, &same); k++)
        name = str_fmt(a, "many.%u", k);
    return dim_sym_new(t, name, DIM_FLAG);
}

Dim rec_flag(Arena *a, DimTab *t, Dim d, int64_t least, const struct RecDerivedDim *known, uint32_t n,
             struct RecDerivedDim *made)
{
    int64_t value;
    *made = (struct RecDerivedDim){0};
    if (dim_is_const(t, d, &value))
        return value >= least ? DIM_ONE : DIM_ZERO;
    Dim num = dim_mul(t, dim_const(t, 2), d), den = dim_add(t, d, dim_const(t, least));
    for (uint32_t i = 0; i < n; i++)
        if (known[i].floor && known[i].num == num && known[i].den == den)
            return dim_of(t, known[i].sym);
    *made = (struct RecDerivedDim){new_flag(a, t), num, den, true};
    return dim_of(t, made->sym);
}

Dim rec_at_least(RecProg *p, Dim d, int64_t least)
{
    struct RecDerivedDim made;
    Dim flag = rec_flag(p->arena, p->dims, d, least, p->derived.p, p->derived.n, &made);
    if (made.floor)
        vec_push(p->arena, &p->derived, made);
    return flag;
}
