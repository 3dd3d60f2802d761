/* rec.hoist: work that depends on no carried state leaves the recurrence: T small products become one large one.
 * What depends on no sequence either is done once. Cheap elementwise work stays inside, where it costs no memory,
 * unless something that leaves needs it. Recurrences inside steps stay where they are; what leaves an inner one may
 * leave the outer one too. Out of chunks only small arrays of constants go, such as which of two places is the earlier one. */
#include "ir/rec/pass.h"

typedef enum Depends { DEP_CONST, DEP_OUTSIDE, DEP_PLACE, DEP_STATE } Depends; /* joined by the larger */

typedef struct Hoist {
    Depends *dep;  /* by old op, of the region in work */
    uint8_t *base; /* the most axes of what it is made of by elementwise work */
    bool *fits;    /* it and all it is made of could have one more axis, at no more memory than that of `base` */
    bool *leaves;  /* made outside */
    bool *meets;   /* what depends on a state is made of it */
} Hoist;

static Depends operand_depends(const Rewrite *w, const Hoist *h, RecId v, RecRegion body)
{
    if (!rec_inside(&w->old, v, body)) {
        RecKind k = rec_op(&w->old, v)->kind;
        return k == REC_CONST || k == REC_DIM ? DEP_CONST : DEP_OUTSIDE;
    }
    return h->dep[v];
}

static Depends depends(const Rewrite *w, const Hoist *h, RecId v, RecRegion body, uint32_t nstate)
{
    const RecOp *op = rec_op(&w->old, v);
    if (op->kind == REC_REGARG)
        return op->index < nstate ? DEP_STATE : DEP_PLACE;
    if (op->kind == REC_RECUR || op->kind == REC_PROJ || op->kind == REC_RANDOM || op->kind == REC_HISTORY)
        return DEP_STATE;
    Depends d = DEP_CONST;
    for (uint32_t i = 0; i < op->nuse; i++) {
        Depends o = operand_depends(w, h, op->use[i].v, body);
        d = o > d ? o : d;
    }
    return d;
}

/* A broadcast costs memory outside and nothing inside. */
static bool worth_it(const Rewrite *w, const RecOp *op, Depends d)
{
    if (op->type.rank >= MAXRANK || op->nit >= MAXIT || op->nuse == 0)
        return false;
    if (op->kind == REC_MAP && op->fun == FUN_ID && op->type.rank >= rec_type(&w->old, op->use[0].v)->rank)
        return false;
    return d == DEP_OUTSIDE || (d == DEP_PLACE && pass_heavy(op));
}

static uint8_t base_rank(const Rewrite *w, const Hoist *h, RecId v)
{
    const RecOp *op = rec_op(&w->old, v);
    uint8_t base = 0;
    if (op->kind != REC_MAP)
        return op->type.rank;
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecId o = op->use[i].v;
        if (rec_op(&w->old, o)->home == op->home && h->dep[o] == DEP_PLACE && h->base[o] > base)
            base = h->base[o];
    }
    return base;
}

/* A sum of outer products of what both depends on the place, on its way into a state. */
static bool is_outer(const Rewrite *w, const Hoist *h, RecId v, const RecOp *op)
{
    uint32_t all = (1u << op->type.rank) - 1, own[2] = {0};
    if (op->kind != REC_CONTRACT || !h->meets[v])
        return false;
    for (uint32_t i = 0; i < 2; i++) {
        if (rec_op(&w->old, op->use[i].v)->home != op->home || h->dep[op->use[i].v] != DEP_PLACE)
            return false;
        own[i] = pass_names(&w->old, op->use[i]) & all;
    }
    return own[0] != all && own[1] != all;
}

/* Outer products and the like have more axes than what they are made of: they cost memory outside and nothing inside.
 * One axis, of sequences, is always allowed. */
static bool swollen(const Rewrite *w, const Hoist *h, RecId v, const RecOp *op)
{
    return h->dep[v] == DEP_PLACE && ((op->type.rank > 1 && op->type.rank > h->base[v]) || is_outer(w, h, v, op));
}

static bool fits_outside(const Rewrite *w, const Hoist *h, RecId v, RecRegion body)
{
    const RecOp *op = rec_op(&w->old, v);
    if (op->kind == REC_REGARG)
        return true;
    if (op->type.rank >= MAXRANK || op->nit >= MAXIT || swollen(w, h, v, op))
        return false;
    for (uint32_t i = 0; i < op->nuse; i++)
        if (rec_inside(&w->old, op->use[i].v, body) && !h->fits[op->use[i].v])
            return false;
    return true;
}

static void find_dependences(const Rewrite *w, Hoist *h, const RecOp *recur)
{
    const RecRegionInfo *body = &w->old.region.p[recur->region];
    for (uint32_t i = 0; i < body->op.n; i++)
        h->dep[body->op.p[i]] = depends(w, h, body->op.p[i], recur->region, recur->nstate);
    for (uint32_t i = body->op.n; i-- > 0;) {
        RecId v = body->op.p[i];
        const RecOp *op = rec_op(&w->old, v);
        for (uint32_t k = 0; k < op->nuse; k++)
            h->meets[op->use[k].v] |= h->dep[v] == DEP_STATE || h->meets[v];
    }
}

static void choose(Rewrite *w, Hoist *h, const RecOp *recur)
{
    const RecRegionInfo *body = &w->old.region.p[recur->region];
    find_dependences(w, h, recur);
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId v = body->op.p[i];
        h->base[v] = base_rank(w, h, v);
        h->fits[v] = fits_outside(w, h, v, recur->region);
        h->leaves[v] = h->fits[v] && worth_it(w, rec_op(&w->old, v), h->dep[v]);
    }
}

static bool is_small_constant(const Rewrite *w, const Hoist *h, RecId v)
{
    const RecOp *op = rec_op(&w->old, v);
    int64_t n;
    bool is = h->dep[v] == DEP_CONST && op->kind == REC_MAP && op->fun != FUN_ID && op->type.rank > 0;
    for (uint8_t i = 0; is && i < op->type.rank; i++)
        is = dim_is_const(w->p->dims, op->type.dim[i], &n);
    return is;
}

static void choose_of_chunk(Rewrite *w, Hoist *h, const RecOp *recur)
{
    const RecRegionInfo *body = &w->old.region.p[recur->region];
    find_dependences(w, h, recur);
    for (uint32_t i = 0; i < body->op.n; i++)
        h->leaves[body->op.p[i]] = is_small_constant(w, h, body->op.p[i]);
}

/* Makes what leaves, in front; the new recurrence then gets it as sequences, or sees it as it is. */
static RecId *make_outside(Rewrite *w, const Hoist *h, RecBuild *b, RecId old)
{
    const RecOp *recur = rec_op(&w->old, old);
    const RecRegionInfo *body = &w->old.region.p[recur->region];
    Lift l = {.w = w, .b = b, .recur = old, .length = recur->length, .made = NEWN(w->p->arena, Lifted, w->old.op.n)};
    RecId *placed = pass_ids(w->p->arena, w->old.op.n);
    for (uint32_t i = 0; i < w->old.op.n; i++)
        l.made[i].v = REC_NONE;
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId v = body->op.p[i];
        if (!h->leaves[v])
            continue;
        Lifted x = lift_value(&l, v);
        if (x.placed)
            placed[v] = x.v;
        else
            w->to[v] = x.v;
        w->changed = true;
    }
    return placed;
}

static void fill_body(Rewrite *w, RecId old, RecRegion into, const RecId *placed)
{
    const RecRegionInfo *body = &w->old.region.p[w->old.op.p[old].region];
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId v = body->op.p[i];
        RecBuild b = rw_build(w, into, v);
        if (placed[v] != REC_NONE)
            w->to[v] = rec_recur_add_seq(w->p, w->p->region.p[into].owner, placed[v]);
        else if (w->old.op.p[v].kind == REC_RECUR)
            w->recur(w, &b, v);
        else if (w->to[v] == REC_NONE)
            rw_op(w, &b, v);
    }
}

static void hoist_recur(Rewrite *w, RecBuild *b, RecId old)
{
    RecRegion into;
    const RecOp *recur = rec_op(&w->old, old);
    (recur->chunk ? choose_of_chunk : choose)(w, w->cx, recur);
    RecId *placed = make_outside(w, w->cx, b, old);
    *b = rw_build(w, b->region, old);
    rw_open(w, b, old, rw_operands(w, old), &into);
    fill_body(w, old, into, placed);
    rw_close(w, old);
}

void rec_hoist(RecProg *p)
{
    Rewrite w;
    do {
        uint32_t n = p->op.n + 1;
        Hoist h = {NEWN(p->arena, Depends, n), NEWN(p->arena, uint8_t, n), NEWN(p->arena, bool, n),
                   NEWN(p->arena, bool, n), NEWN(p->arena, bool, n)};
        w = (Rewrite){.cx = &h, .recur = hoist_recur};
        rw_run(&w, p);
    } while (w.changed);
}
