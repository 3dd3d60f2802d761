/* rec.accumulate: what each chunk gives to a sum over all chunks, and to nothing else, becomes a state that is added to. Gradients
 * of parameters that the chunks' steps use then take no memory for each chunk. */
#include "ir/rec/pass.h"

/* The result of a `chunk` RECUR that this op sums over all places; REC_NONE: it is no such sum, or there are other uses. */
static RecId summed_result(const Rewrite *w, RecId v)
{
    const RecOp *sum = rec_op(&w->old, v);
    if (sum->kind != REC_REDUCE || sum->red != RED_SUM || sum->nit != sum->type.rank + 1)
        return REC_NONE;
    const RecUse *u = &sum->use[0];
    const RecOp *proj = rec_op(&w->old, u->v);
    if (proj->kind != REC_PROJ || w->nuse[u->v] != 1)
        return REC_NONE;
    const RecOp *recur = rec_op(&w->old, proj->use[0].v);
    bool places = recur->chunk && proj->index >= recur->nstate && u->axis[0] == sum->type.rank;
    for (uint8_t i = 1; i < proj->type.rank; i++)
        places &= u->axis[i] == i - 1;
    return places ? u->v : REC_NONE;
}

/* By result number of a RECUR: whether all that is made of it is one sum. */
static bool *find_sums(const Rewrite *w, RecId recur, uint32_t *n)
{
    const RecOp *op = rec_op(&w->old, recur);
    bool *sums = NEWN(w->p->arena, bool, op->nstate + op->nout + 1);
    uint32_t *projections = NEWN(w->p->arena, uint32_t, op->nstate + op->nout + 1);
    for (RecId v = 0; v < w->old.op.n; v++) {
        const RecOp *user = rec_op(&w->old, v);
        RecId of = summed_result(w, v);
        if (of != REC_NONE && rec_op(&w->old, of)->use[0].v == recur)
            sums[rec_op(&w->old, of)->index] = true;
        if (user->kind == REC_PROJ && user->use[0].v == recur)
            projections[user->index]++;
    }
    for (uint32_t i = op->nstate; i < op->nstate + op->nout; i++)
        *n += sums[i] = sums[i] && projections[i] == 1;
    return sums;
}

/* From old states and sequences to new ones, between which the sums stand. */
static void name_arguments(Rewrite *w, RecId old, RecRegion step, uint32_t nsum)
{
    const RecOp *op = rec_op(&w->old, old);
    const RecRegionInfo *from = &w->old.region.p[op->region];
    for (uint32_t i = 0; i < op->nuse; i++)
        w->to[from->arg.p[i]] = w->p->region.p[step].arg.p[i < op->nstate ? i : i + nsum];
}

/* The sums so far, each with what this chunk gives; behind them what is still a result of every chunk. */
static void results(Rewrite *w, RecBuild *in, RecId old, const bool *sums, RecId *result)
{
    const RecOp *op = rec_op(&w->old, old);
    const RecRegionInfo *from = &w->old.region.p[op->region];
    uint32_t n = 0;
    for (uint32_t i = 0; i < op->nstate; i++)
        result[n++] = w->to[from->result.p[i]];
    for (uint32_t i = op->nstate; i < from->result.n; i++)
        if (sums[i])
            result[n] = rec_map2(in, FUN_ADD, w->p->region.p[in->region].arg.p[n], w->to[from->result.p[i]]), n++;
    for (uint32_t i = op->nstate; i < from->result.n; i++)
        if (!sums[i])
            result[n++] = w->to[from->result.p[i]];
}

static RecId *states_and_zeros(Rewrite *w, RecBuild *b, RecId old, const bool *sums, const RecId *operand)
{
    const RecOp *op = rec_op(&w->old, old);
    const RecRegionInfo *from = &w->old.region.p[op->region];
    RecId *state = NEWN(w->p->arena, RecId, op->nstate + op->nout + 1);
    uint32_t n = op->nstate;
    memcpy(state, operand, n * sizeof *state);
    for (uint32_t i = op->nstate; i < from->result.n; i++)
        if (sums[i])
            state[n++] = rec_zeros(b, rec_type(&w->old, from->result.p[i]));
    return state;
}

/* By old result number: the new one. */
static void project(Rewrite *w, RecBuild *b, RecId old, const bool *sums, RecId recur)
{
    const RecOp *op = rec_op(&w->old, old);
    uint32_t all = op->nstate + op->nout, n = 0;
    RecId *now = w->result[old] = pass_ids(w->p->arena, all);
    for (uint32_t i = 0; i < op->nstate; i++)
        now[i] = rec_proj(b, recur, n++);
    for (uint32_t i = op->nstate; i < all; i++)
        if (sums[i])
            now[i] = rec_proj(b, recur, n++);
    for (uint32_t i = op->nstate; i < all; i++)
        if (!sums[i])
            now[i] = rec_proj(b, recur, n++);
}

static void accumulate_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    uint32_t nsum = 0;
    bool *sums = op->chunk ? find_sums(w, old, &nsum) : NULL;
    if (!nsum) {
        rw_recur(w, b, old);
        return;
    }
    RecRegion step;
    RecId *operand = rw_operands(w, old), *state = states_and_zeros(w, b, old, sums, operand);
    RecId recur = rec_recur_open(b, state, op->nstate + nsum, operand + op->nstate, op->nseq, op->length, op->reverse, &step);
    rec_op(w->p, recur)->chunk = true;
    name_arguments(w, old, step, nsum);
    rw_region(w, op->region, step);
    RecBuild in = {w->p, step, b->at, {0}};
    RecId *result = NEWN(w->p->arena, RecId, op->nstate + op->nout + 1);
    results(w, &in, old, sums, result);
    rec_recur_close(w->p, recur, result, op->nstate + op->nout);
    project(w, b, old, sums, recur);
    w->to[old] = recur;
}

/* A sum is the final state already. */
static RecId accumulate_op(Rewrite *w, RecBuild *b, RecId old, RecOp op)
{
    RecId of = summed_result(w, old);
    const RecOp *proj = of == REC_NONE ? NULL : rec_op(&w->old, of);
    bool made = proj && w->result[proj->use[0].v] != NULL;
    return made && rec_type(w->p, op.use[0].v)->rank == op.type.rank ? op.use[0].v : pass_push(b, op);
}

void rec_accumulate(RecProg *p)
{
    Rewrite w = {.recur = accumulate_recur, .op = accumulate_op};
    bool chunks = false;
    for (RecId v = 0; v < p->op.n; v++)
        chunks |= p->op.p[v].kind == REC_RECUR && p->op.p[v].chunk;
    if (chunks)
        rw_run(&w, p);
}
