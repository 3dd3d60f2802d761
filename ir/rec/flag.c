/* Rounded quotients of sizes, each made once; and those that are 0 or 1: whether something pays at the sizes of a call. */
#include "ir/rec/rec.h"

static DimSym new_size(Arena *a, DimTab *t, Str like, DimKind kind)
{
    DimSym same;
    Str name = like;
    for (uint32_t k = 2; dim_find_sym(t, name, &same); k++)
        name = str_fmt(a, "%.*s.%u", STRF(like), k);
    return dim_sym_new(t, name, kind);
}

Dim rec_quotient(Arena *a, DimTab *t, const RecQuotient *q, const struct RecDerivedDim *known, uint32_t n, struct RecDerivedDim *made)
{
    *made = (struct RecDerivedDim){0};
    for (uint32_t i = 0; i < n; i++)
        if (known[i].floor && known[i].num == q->num && known[i].den == q->den)
            return dim_of(t, known[i].sym);
    *made = (struct RecDerivedDim){new_size(a, t, q->name, q->kind), q->num, q->den, true};
    return dim_of(t, made->sym);
}

Dim rec_flag(Arena *a, DimTab *t, Dim d, int64_t least, const struct RecDerivedDim *known, uint32_t n,
             struct RecDerivedDim *made)
{
    int64_t value;
    *made = (struct RecDerivedDim){0};
    if (dim_is_const(t, d, &value))
        return value >= least ? DIM_ONE : DIM_ZERO;
    RecQuotient q = {STR("many"), DIM_FLAG, dim_mul(t, dim_const(t, 2), d), dim_add(t, d, dim_const(t, least))};
    return rec_quotient(a, t, &q, known, n, made);
}

Dim rec_at_least(RecProg *p, Dim d, int64_t least)
{
    struct RecDerivedDim made;
    Dim flag = rec_flag(p->arena, p->dims, d, least, p->derived.p, p->derived.n, &made);
    if (made.floor)
        vec_push(p->arena, &p->derived, made);
    return flag;
}
