/* Sums and products over an algebra: see algebra.h. */
#include "ir/rec/algebra.h"

#include <math.h>

const AlgebraInfo *algebra_info(Algebra a)
{
    static const AlgebraInfo info[ALGEBRA_COUNT] = {
        [ALGEBRA_PLUS] = {"(+,*)", FUN_ADD, FUN_MUL, FUN_DIV, RED_SUM, 0, 1, false},
        [ALGEBRA_MAX] = {"(max,+)", FUN_MAX, FUN_ADD, FUN_SUB, RED_MAX, -INFINITY, 0, false},
        [ALGEBRA_MIN] = {"(min,+)", FUN_MIN, FUN_ADD, FUN_SUB, RED_MIN, INFINITY, 0, false},
        [ALGEBRA_LOG] = {"(log-sum-exp,+)", FUN_MAX, FUN_ADD, FUN_SUB, RED_MAX, -INFINITY, 0, true},
    };
    return &info[a];
}

static Part number(RecBuild *b, double x)
{
    return part_number(b, DT_REAL, x);
}

/* max + log(1 + exp(-|x - y|)); of equal ones, infinite ones too, the difference is 0. */
static Part log_sum(RecBuild *b, Part x, Part y)
{
    Part equal = part_map(b, FUN_EQ, x, y);
    Part apart = part_where(b, equal, number(b, 0), part_map(b, FUN_SUB, x, y));
    Part less = part_map1(b, FUN_EXP, part_map1(b, FUN_NEG, part_map1(b, FUN_ABS, apart)));
    return part_map(b, FUN_ADD, part_map(b, FUN_MAX, x, y), part_map1(b, FUN_LOG1P, less));
}

/* The largest, where it is finite, is taken out of the exponentials. */
static Part log_reduce(RecBuild *b, Part x, uint32_t over)
{
    Part top = part_reduce(b, RED_MAX, x, over);
    Part finite = part_map(b, FUN_LT, part_map1(b, FUN_ABS, top), number(b, INFINITY));
    Part shift = part_where(b, finite, top, number(b, 0));
    Part sum = part_reduce(b, RED_SUM, part_map1(b, FUN_EXP, part_map(b, FUN_SUB, x, shift)), over);
    return part_map(b, FUN_ADD, shift, part_map1(b, FUN_LOG, sum));
}

Part algebra_sum(RecBuild *b, Algebra a, Part x, Part y)
{
    return algebra_info(a)->logarithms ? log_sum(b, x, y) : part_map(b, algebra_info(a)->sum, x, y);
}

Part algebra_reduce(RecBuild *b, Algebra a, Part x, uint32_t over)
{
    return algebra_info(a)->logarithms ? log_reduce(b, x, over) : part_reduce(b, algebra_info(a)->reduce, x, over);
}

Part algebra_contract(RecBuild *b, Algebra a, Part x, Part y, uint32_t over)
{
    if (a == ALGEBRA_PLUS && rec_type(b->prog, y.v)->dt == DT_REAL)
        return part_contract(b, x, y, over);
    return algebra_reduce(b, a, part_map(b, algebra_info(a)->product, x, y), over);
}

Part algebra_count(RecBuild *b, Algebra a, DType dt, Dim n)
{
    const AlgebraInfo *info = algebra_info(a);
    Part ones = {.v = rec_dim(b, n)};
    if (a != ALGEBRA_PLUS && !info->logarithms)
        return part_where(b, part_map(b, FUN_EQ, ones, part_number(b, DT_INT, 0)), part_number(b, dt, info->zero),
                          part_number(b, dt, info->one));
    if (dt == DT_REAL)
        ones = part_map1(b, FUN_REAL, ones);
    return info->logarithms ? part_map1(b, FUN_LOG, ones) : ones;
}
