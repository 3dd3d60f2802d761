/* Sequences cut into equal parts, and put together again: see chunk.h. All are views. */
#include "ir/rec/chunk.h"

Dim cut_count(RecProg *p, Dim length, uint32_t size)
{
    Dim den = dim_const(p->dims, size);
    DimSym same;
    for (uint32_t i = 0; i < p->derived.n; i++)
        if (p->derived.p[i].floor && p->derived.p[i].num == length && p->derived.p[i].den == den)
            return dim_of(p->dims, p->derived.p[i].sym);
    Str name = str_fmt(p->arena, "chunks.%u", size);
    for (uint32_t k = 2; dim_find_sym(p->dims, name, &same); k++)
        name = str_fmt(p->arena, "chunks.%u.%u", size, k);
    DimSym sym = dim_sym_new(p->dims, name, DIM_USER);
    vec_push(p->arena, &p->derived, (struct RecDerivedDim){sym, length, den, true});
    return dim_of(p->dims, sym);
}

RecId cut_parts(RecBuild *b, RecId seq, Dim n, Dim size)
{
    Type t = *rec_type(b->prog, seq);
    RecId whole = rec_slice(b, seq, 0, DIM_ZERO, dim_mul(b->prog->dims, n, size));
    Dim dim[MAXRANK] = {n, size};
    memcpy(dim + 2, t.dim + 1, (t.rank - 1u) * sizeof(Dim));
    return rec_reshape(b, whole, (uint8_t)(t.rank + 1), dim);
}

RecId cut_whole(RecBuild *b, RecId parts)
{
    Type t = *rec_type(b->prog, parts);
    Dim dim[MAXRANK] = {dim_mul(b->prog->dims, t.dim[0], t.dim[1])};
    memcpy(dim + 1, t.dim + 2, (t.rank - 2u) * sizeof(Dim));
    return rec_reshape(b, parts, (uint8_t)(t.rank - 1), dim);
}

RecId cut_join(RecBuild *b, RecId parts, RecId rest)
{
    return rec_concat(b, (RecId[]){cut_whole(b, parts), rest}, 2, 0);
}

RecId cut_rest(RecBuild *b, RecId seq, Dim from, Dim rest)
{
    return rec_slice(b, seq, 0, from, rest);
}
