/* Sequences cut into equal parts, and put together again: views. And recurrences in parts: see chunk.h. */
#include "ir/rec/chunk.h"

Dim cut_count(RecProg *p, Dim length, uint32_t size)
{
    RecQuotient q = {str_fmt(p->arena, "chunks.%u", size), DIM_USER, length, dim_const(p->dims, size)};
    struct RecDerivedDim made;
    Dim count = rec_quotient(p->arena, p->dims, &q, p->derived.p, p->derived.n, &made);
    if (made.floor)
        vec_push(p->arena, &p->derived, made);
    return count;
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

/* ---- recurrences in parts ---- */

static void run_parts(Cut *k)
{
    RecProg *p = k->w->p;
    const RecOp *old = k->old;
    RecId *seq = NEWN(p->arena, RecId, old->nseq + 1), *arg = NEWN(p->arena, RecId, old->nuse + 1);
    RecRegion step;
    for (uint32_t i = 0; i < old->nseq; i++)
        seq[i] = cut_parts(k->b, k->seq[i], k->n, k->size);
    RecId recur = rec_recur_open(k->b, k->state, old->nstate, seq, old->nseq, k->n, old->reverse, &step);
    rec_op(p, recur)->chunk = true;
    RecBuild in = {p, step, k->b->at, {0}};
    memcpy(arg, p->region.p[step].arg.p, old->nuse * sizeof *arg);
    k->part(k, &in, arg, arg + old->nstate, k->whole);
    rec_recur_close(p, recur, k->whole, old->nstate + old->nout);
    for (uint32_t i = 0; i < old->nstate + old->nout; i++)
        k->whole[i] = rec_proj(k->b, recur, i);
    memcpy(k->state, k->whole, old->nstate * sizeof *k->state);
}

/* What is left, step by step as it was. */
static void run_rest(Cut *k)
{
    RecProg *p = k->w->p;
    RecId *seq = NEWN(p->arena, RecId, k->old->nseq + 1);
    Dim from = dim_mul(p->dims, k->n, k->size);
    for (uint32_t i = 0; i < k->old->nseq; i++)
        seq[i] = cut_rest(k->b, k->seq[i], from, k->rest);
    RecId recur = rw_recur_over(k->w, k->b, k->recur, k->state, seq, k->rest);
    for (uint32_t i = 0; i < k->old->nstate + k->old->nout; i++)
        k->remainder[i] = rec_proj(k->b, recur, i);
    memcpy(k->state, k->remainder, k->old->nstate * sizeof *k->state);
}

void cut_recur(Rewrite *w, RecBuild *b, RecId old, Dim places, uint32_t size, CutPart *part, const void *cx)
{
    DimTab *t = w->p->dims;
    const RecOp *op = rec_op(&w->old, old);
    uint32_t nresult = op->nstate + op->nout;
    RecId *operand = rw_operands(w, old);
    Cut k = {.w = w,
             .b = b,
             .recur = old,
             .old = op,
             .size = dim_const(t, size),
             .seq = operand + op->nstate,
             .state = operand,
             .part = part,
             .cx = cx};
    k.n = cut_count(w->p, places, size);
    k.rest = dim_sub(t, op->length, dim_mul(t, k.n, k.size));
    k.whole = NEWN(w->p->arena, RecId, nresult + 1);
    k.remainder = NEWN(w->p->arena, RecId, nresult + 1);
    if (op->reverse)
        run_rest(&k);
    run_parts(&k);
    if (!op->reverse)
        run_rest(&k);
    RecId *result = w->result[old] = NEWN(w->p->arena, RecId, nresult + 1);
    memcpy(result, k.state, op->nstate * sizeof *result);
    for (uint32_t i = op->nstate; i < nresult; i++)
        result[i] = cut_join(b, k.whole[i], k.remainder[i]);
    w->to[old] = result[0];
}
