/* rec.compact: keeps what the outputs need, in an order that follows from the structure alone.
 *
 * First everything live is marked; a recurrence's states, per-step results and sequences each by itself, so that a
 * state is live when its final value is used or when a live value reads it. Then live ops are placed depth first from
 * the outputs and from the results of each region, and numbered as they stand. The order in which they were made is
 * lost. */
#include "ir/rec/pass.h"

typedef struct Compact {
    const RecProg *old;
    Arena *arena;
    bool *live;
    bool **result_live; /* by region: which results */
    VEC(RecId) work;
    bool *placed;
    RecRegionInfo *order; /* by old region: live ops as they will stand, REGARGs left out */
} Compact;

static void need(Compact *c, RecId v)
{
    if (c->live[v])
        return;
    c->live[v] = true;
    vec_push(c->arena, &c->work, v);
}

static void need_result(Compact *c, RecId recur, uint32_t index)
{
    const RecOp *op = rec_op(c->old, recur);
    if (c->result_live[op->region][index])
        return;
    c->result_live[op->region][index] = true;
    need(c, recur);
    need(c, c->old->region.p[op->region].result.p[index]);
    if (index < op->nstate) {
        need(c, op->use[index].v);
        need(c, c->old->region.p[op->region].arg.p[index]);
    }
}

static void need_regarg(Compact *c, const RecOp *arg)
{
    RecId recur = c->old->region.p[arg->home].owner;
    const RecOp *op = rec_op(c->old, recur);
    need(c, recur);
    if (arg->index < op->nstate)
        need_result(c, recur, arg->index);
    else
        need(c, op->use[arg->index].v);
}

/* An operator is whole: what stands on its right belongs to what stands on its left. */
static void need_all(Compact *c, RecId v, const RecOp *op)
{
    for (uint32_t i = 0; i < op->nstate; i++) {
        need_result(c, v, i);
        need(c, c->old->region.p[op->region].arg.p[op->nstate + i]);
    }
}

static void need_operands(Compact *c, RecId v)
{
    const RecOp *op = rec_op(c->old, v);
    if (op->kind == REC_PROJ)
        need_result(c, op->use[0].v, op->index);
    else if (op->kind == REC_HISTORY)
        need_result(c, c->old->region.p[op->home].owner, op->index);
    else if (op->kind == REC_REGARG)
        need_regarg(c, op);
    else if (op->kind != REC_RECUR)
        for (uint32_t i = 0; i < op->nuse; i++)
            need(c, op->use[i].v);
    else if (op->until)
        need_result(c, v, op->nstate - 1);
    else if (op->is_operator)
        need_all(c, v, op);
}

static void mark(Compact *c)
{
    const RecProg *p = c->old;
    for (uint32_t r = 0; r < p->region.n; r++)
        c->result_live[r] = NEWN(c->arena, bool, p->region.p[r].result.n + 1);
    for (uint32_t i = 0; i < p->arg.n; i++)
        need(c, p->arg.p[i].value);
    for (uint32_t i = 0; i < p->out.n; i++)
        need(c, p->out.p[i].value);
    while (c->work.n)
        need_operands(c, c->work.p[--c->work.n]);
}

static void place(Compact *c, RecId v)
{
    const RecOp *op = rec_op(c->old, v);
    if (c->placed[v] || !c->live[v] || op->kind == REC_REGARG)
        return;
    c->placed[v] = true;
    for (uint32_t i = 0; i < op->nuse; i++)
        place(c, op->use[i].v);
    if (op->kind == REC_RECUR) {
        const RecRegionInfo *body = &c->old->region.p[op->region];
        for (uint32_t i = 0; i < body->result.n; i++)
            if (c->result_live[op->region][i])
                place(c, body->result.p[i]);
    }
    vec_push(c->arena, &c->order[op->home].op, v);
}

static void place_all(Compact *c)
{
    const RecProg *p = c->old;
    for (uint32_t i = 0; i < p->arg.n; i++)
        place(c, p->arg.p[i].value);
    for (uint32_t i = 0; i < p->out.n; i++)
        place(c, p->out.p[i].value);
}

static void copy_region(Compact *c, Rewrite *w, RecRegion from, RecRegion into);

/* New numbers of the live results; *n counts them. */
static RecId *live_results(Compact *c, Rewrite *w, const RecOp *op, uint32_t *n)
{
    const RecRegionInfo *body = &c->old->region.p[op->region];
    RecId *result = NEWN(c->arena, RecId, body->result.n + 1);
    *n = 0;
    for (uint32_t i = 0; i < body->result.n; i++)
        if (c->result_live[op->region][i])
            result[(*n)++] = w->to[body->result.p[i]];
    return result;
}

/* With the offsets of the live states. */
static const RecGrid *live_grid(Compact *c, const RecOp *op)
{
    RecGrid *g = NEW(c->old->arena, RecGrid);
    *g = *op->grid;
    g->by = NEWN(c->old->arena, RecOffset, op->nstate + 1);
    for (uint32_t i = 0, n = 0; i < op->nstate; i++)
        if (c->result_live[op->region][i])
            g->by[n++] = op->grid->by[i];
    return g;
}

static void copy_recur(Compact *c, Rewrite *w, RecBuild *b, RecId v)
{
    const RecOp *op = rec_op(c->old, v);
    const RecRegionInfo *body = &c->old->region.p[op->region];
    RecId *operand = NEWN(c->arena, RecId, op->nuse + 1), *arg = NEWN(c->arena, RecId, op->nuse + 1);
    uint32_t nstate = 0, n = 0, nresult;
    for (uint32_t i = 0; i < op->nuse; i++) {
        bool live = i < op->nstate ? c->result_live[op->region][i] : c->live[body->arg.p[i]];
        if (!live)
            continue;
        nstate += i < op->nstate;
        arg[n] = body->arg.p[i];
        operand[n++] = w->to[op->use[i].v];
    }
    RecRegion into;
    RecId recur = op->grid ? rec_grid_open(b, operand, nstate, operand + nstate, n - nstate, live_grid(c, op), &into)
                           : rec_recur_open(b, operand, nstate, operand + nstate, n - nstate, op->length, op->reverse, &into);
    pass_mark(rec_op(b->prog, recur), op);
    w->to[v] = recur;
    for (uint32_t i = 0; i < n; i++) {
        RecId now = w->p->region.p[into].arg.p[i];
        w->to[arg[i]] = now;
        rec_op(w->p, now)->name = rec_op(c->old, arg[i])->name;
        rec_op(w->p, now)->at = rec_op(c->old, arg[i])->at;
    }
    copy_region(c, w, op->region, into);
    RecId *result = live_results(c, w, op, &nresult);
    rec_recur_close(w->p, recur, result, nresult);
}

static uint32_t new_index(const Compact *c, RecRegion region, uint32_t index)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < index; i++)
        n += c->result_live[region][i];
    return n;
}

static void copy_region(Compact *c, Rewrite *w, RecRegion from, RecRegion into)
{
    for (uint32_t i = 0; i < c->order[from].op.n; i++) {
        RecId v = c->order[from].op.p[i];
        const RecOp *op = rec_op(c->old, v);
        RecBuild b = rw_build(w, into, v);
        if (op->kind == REC_RECUR) {
            copy_recur(c, w, &b, v);
            continue;
        }
        RecId now = rw_op(w, &b, v);
        if (op->kind == REC_PROJ)
            rec_op(w->p, now)->index = new_index(c, rec_op(c->old, op->use[0].v)->region, op->index);
        if (op->kind == REC_HISTORY)
            rec_op(w->p, now)->index = new_index(c, op->home, op->index);
    }
}

void rec_compact(RecProg *p)
{
    Rewrite w = {0};
    rw_begin(&w, p);
    Compact c = {.old = &w.old, .arena = p->arena};
    c.live = NEWN(c.arena, bool, w.old.op.n + 1);
    c.placed = NEWN(c.arena, bool, w.old.op.n + 1);
    c.result_live = NEWN(c.arena, bool *, w.old.region.n);
    c.order = NEWN(c.arena, RecRegionInfo, w.old.region.n);
    mark(&c);
    place_all(&c);
    for (RecRegion r = 0; r < REC_NFN; r++)
        copy_region(&c, &w, r, r);
    rw_end(&w);
}
