/* rec.sink: products and sums that feed no state leave the recurrence at its end: what they need is kept for all
 * places, and they are done for all places at once. Above all this makes the gradient of a parameter one product.
 *
 * An op leaves only when what it needs is in memory for all places anyway (sequences, results), or has no more axes
 * than what leaves. What only the backward function reads is there in training, not in inference: it does not count.
 * A readout of a matrix stays in any case: outside, too, each matrix would be used once, and be read once more for it. A
 * part of a concatenation is in memory when that is: outside it is a slice. Elementwise work follows what it depends
 * on. What leaves a recurrence inside of a step is the step's own then, and may leave that one too. */
#include "ir/rec/pass.h"

typedef struct Sink {
    bool *core; /* by old op: some state needs it */
    bool *same; /* the same at every place: made again outside */
    bool *leaves;
    Lift **lift; /* by old RECUR */
} Sink;

static void mark_core(const RecProg *p, Sink *s, RecId v, RecRegion body)
{
    const RecOp *op = rec_op(p, v);
    if (!rec_inside(p, v, body) || s->core[v])
        return;
    s->core[v] = true;
    for (uint32_t i = 0; i < op->nuse; i++)
        mark_core(p, s, op->use[i].v, body);
}

/* Everything that a recurrence inside the step uses stays. */
static void mark_inner(const RecProg *p, Sink *s, RecRegion inner, RecRegion body)
{
    const RecRegionInfo *r = &p->region.p[inner];
    for (uint32_t i = 0; i < r->result.n; i++)
        mark_core(p, s, r->result.p[i], body);
    for (uint32_t i = 0; i < r->op.n; i++) {
        mark_core(p, s, r->op.p[i], body);
        if (p->op.p[r->op.p[i]].kind == REC_RECUR)
            mark_inner(p, s, p->op.p[r->op.p[i]].region, body);
    }
}

static bool resulting(const RecProg *p, const RecOp *recur, RecId v)
{
    const RecRegionInfo *body = &p->region.p[recur->region];
    for (uint32_t i = recur->nstate; i < body->result.n; i++)
        if (body->result.p[i] == v)
            return true;
    return false;
}

static bool uses_leaving(const RecProg *p, const Sink *s, const RecOp *op)
{
    for (uint32_t i = 0; i < op->nuse; i++)
        if (s->leaves[op->use[i].v] && rec_op(p, op->use[i].v)->home == op->home)
            return true;
    return false;
}

/* What v is a part of, from `lo` on along the concatenation's axis. */
typedef struct Part {
    RecId whole, piece; /* piece: v, or v reshaped */
    Dim lo;
} Part;

static bool leaving_needs(const RecProg *p, const Sink *s, RecId v)
{
    const RecRegionInfo *body = &p->region.p[rec_op(p, v)->home];
    for (uint32_t i = 0; i < body->op.n; i++) {
        const RecOp *op = rec_op(p, body->op.p[i]);
        for (uint32_t k = 0; k < op->nuse && s->leaves[body->op.p[i]]; k++)
            if (op->use[k].v == v)
                return true;
    }
    return false;
}

static bool is_piece(const RecProg *p, const RecOp *whole, RecId v, Part *part)
{
    *part = (Part){.lo = DIM_ZERO};
    for (uint32_t i = 0; i < whole->nuse; i++) {
        const RecOp *o = rec_op(p, whole->use[i].v);
        part->piece = whole->use[i].v;
        if (part->piece == v || (o->kind == REC_RESHAPE && o->use[0].v == v))
            return true;
        part->lo = dim_add(p->dims, part->lo, o->type.dim[whole->along]);
    }
    return false;
}

/* A part of a concatenation that is in memory for all places, because it is a result or because something needs it. */
static bool find_part(const RecProg *p, const Sink *s, const RecOp *recur, RecId v, Part *part)
{
    const RecRegionInfo *body = &p->region.p[recur->region];
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId whole = body->op.p[i];
        const RecOp *op = rec_op(p, whole);
        if (op->kind != REC_CONCAT || s->leaves[whole] || op->type.rank >= MAXRANK || !is_piece(p, op, v, part))
            continue;
        part->whole = whole;
        if (resulting(p, recur, whole) || leaving_needs(p, s, whole))
            return true;
    }
    return false;
}

static bool same_everywhere(const RecProg *p, const Sink *s, const RecOp *op)
{
    if (op->kind == REC_REGARG || op->kind == REC_RECUR || op->kind == REC_PROJ || op->kind == REC_HISTORY)
        return false;
    for (uint32_t i = 0; i < op->nuse; i++)
        if (rec_op(p, op->use[i].v)->home == op->home && !s->same[op->use[i].v])
            return false;
    return true;
}

static bool is_proj_of(const RecProg *p, RecId v, const RecOp *recur, RecId result)
{
    const RecOp *op = rec_op(p, v);
    return op->kind == REC_PROJ && rec_op(p, op->use[0].v) == recur &&
           p->region.p[recur->region].result.p[op->index] == result;
}

/* Whether the function that runs a recurrence reads the sequence of a per-step result. */
static bool read_here(const RecProg *p, const RecOp *recur, RecId result)
{
    RecRegion here = pass_root(p, recur->home);
    for (RecId v = 0; v < p->op.n; v++)
        for (uint32_t i = 0; i < p->op.p[v].nuse; i++)
            if (is_proj_of(p, p->op.p[v].use[i].v, recur, result) && pass_root(p, p->op.p[v].home) == here)
                return true;
    for (uint32_t i = 0; i < p->out.n; i++)
        if (p->out.p[i].value != REC_NONE && is_proj_of(p, p->out.p[i].value, recur, result))
            return true;
    return false;
}

static uint32_t names(const RecProg *p, const RecUse *u)
{
    uint32_t bits = 0;
    for (uint32_t i = 0; i < rec_type(p, u->v)->rank; i++)
        bits |= 1u << u->axis[i];
    return bits;
}

/* A matrix of each sequence times a vector. */
static bool reads_out(const RecProg *p, const RecOp *op)
{
    if (op->kind != REC_CONTRACT)
        return false;
    for (uint32_t i = op->type.rank; i < op->nit; i++)
        if (op->space[i] == dim_of(p->dims, p->batch))
            return false;
    uint32_t a = names(p, &op->use[0]), b = names(p, &op->use[1]), all = (1u << op->nit) - 1;
    return (a == all) != (b == all);
}

/* An operand that would have to be kept only for this: none, or one with more axes than the result? */
static bool affordable(const RecProg *p, const Sink *s, const RecOp *recur, const RecOp *op)
{
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecId v = op->use[i].v;
        const RecOp *o = rec_op(p, v);
        bool outside = !rec_inside(p, v, recur->region) || s->same[v], larger = o->type.rank > op->type.rank;
        bool there = s->leaves[v] || (o->kind == REC_REGARG && o->index >= recur->nstate) ||
                     (resulting(p, recur, v) && (!larger || read_here(p, recur, v)));
        Part part;
        bool costs = larger && !outside && (reads_out(p, op) || (!there && !find_part(p, s, recur, v, &part)));
        if (o->type.rank >= MAXRANK || costs)
            return false;
    }
    return true;
}

/* v stays, and so does all that it is made of. */
static void keep(const RecProg *p, Sink *s, RecId v, RecRegion body)
{
    const RecOp *op = rec_op(p, v);
    if (op->home != body)
        return;
    s->leaves[v] = false;
    for (uint32_t i = 0; i < op->nuse; i++)
        if (s->leaves[op->use[i].v])
            keep(p, s, op->use[i].v, body);
}

static void first_choice(const RecProg *p, Sink *s, const RecOp *recur)
{
    const RecRegionInfo *body = &p->region.p[recur->region];
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId v = body->op.p[i];
        const RecOp *op = rec_op(p, v);
        s->same[v] = same_everywhere(p, s, op);
        bool heavy = pass_heavy(op) && op->kind != REC_MAP;
        s->leaves[v] = !s->core[v] && op->type.rank < MAXRANK && op->nit < MAXIT && op->kind != REC_RECUR &&
                       op->kind != REC_PROJ && op->kind != REC_REGARG && (heavy || uses_leaving(p, s, op));
    }
}

/* What was marked for a recurrence around this one says nothing of it. */
static void unmark(const RecProg *p, Sink *s, RecRegion r)
{
    for (uint32_t i = 0; i < p->region.p[r].op.n; i++) {
        RecId v = p->region.p[r].op.p[i];
        s->core[v] = false;
        if (rec_op(p, v)->kind == REC_RECUR)
            unmark(p, s, rec_op(p, v)->region);
    }
}

static void choose(const RecProg *p, Sink *s, const RecOp *recur)
{
    const RecRegionInfo *body = &p->region.p[recur->region];
    unmark(p, s, recur->region);
    for (uint32_t i = 0; i < recur->nstate; i++)
        mark_core(p, s, body->result.p[i], recur->region);
    for (uint32_t i = 0; i < body->op.n; i++) /* what later steps read must be there */
        if (rec_op(p, body->op.p[i])->kind == REC_HISTORY)
            mark_core(p, s, body->result.p[rec_op(p, body->op.p[i])->index], recur->region);
    for (uint32_t i = 0; i < body->op.n; i++)
        if (p->op.p[body->op.p[i]].kind == REC_RECUR) {
            mark_core(p, s, body->op.p[i], recur->region);
            mark_inner(p, s, p->op.p[body->op.p[i]].region, recur->region);
        }
    first_choice(p, s, recur);
    bool again = true;
    while (again) {
        again = false;
        for (uint32_t i = 0; i < body->op.n; i++) {
            RecId v = body->op.p[i];
            const RecOp *op = rec_op(p, v);
            bool stays = s->leaves[v] ? !affordable(p, s, recur, op) : uses_leaving(p, s, op);
            if (stays) {
                keep(p, s, v, recur->region);
                again = true;
            }
        }
    }
}

/* v at all places, from the concatenation that it is a part of. */
static RecId slice_of(Rewrite *w, RecBuild *b, Lift *l, const Part *part, RecId v)
{
    const RecProg *p = &w->old;
    const RecOp *op = rec_op(p, v);
    uint8_t along = rec_op(p, part->whole)->along;
    Dim dim[MAXRANK] = {rec_op(p, l->recur)->length};
    RecId whole = rec_recur_export(w->p, w->to[l->recur], w->to[part->whole]);
    l->made[part->whole] = (Lifted){whole, true};
    RecId slice = rec_slice(b, whole, (uint8_t)(along + 1), part->lo, rec_op(p, part->piece)->type.dim[along]);
    memcpy(dim + 1, op->type.dim, op->type.rank * sizeof *dim);
    return part->piece == v ? slice : rec_reshape(b, slice, (uint8_t)(op->type.rank + 1), dim);
}

/* What leaving ops need of the step: its sequences of all places. */
static void keep_operands(Rewrite *w, RecBuild *b, Lift *l, const Sink *s, RecId v)
{
    const RecProg *p = &w->old;
    const RecOp *op = rec_op(p, v), *recur = rec_op(p, l->recur);
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecId o = op->use[i].v;
        const RecOp *from = rec_op(p, o);
        if (l->made[o].v != REC_NONE || s->leaves[o] || from->home != recur->region || s->same[o])
            continue;
        if (from->kind == REC_REGARG && from->index >= recur->nstate)
            continue;
        Part part;
        bool slice = from->type.rank > op->type.rank && !resulting(p, recur, o) && find_part(p, s, recur, o, &part);
        RecId all = slice ? slice_of(w, b, l, &part, o) : rec_recur_export(w->p, w->to[l->recur], w->to[o]);
        l->made[o] = (Lifted){all, true};
    }
}

static void sink_recur(Rewrite *w, RecBuild *b, RecId old)
{
    Sink *s = w->cx;
    const RecOp *recur = rec_op(&w->old, old);
    const RecRegionInfo *body = &w->old.region.p[recur->region];
    if (recur->chunk || recur->until) {
        rw_recur(w, b, old);
        return;
    }
    choose(&w->old, s, recur);
    rw_recur(w, b, old);
    Lift *l = s->lift[old] = NEW(w->p->arena, Lift);
    *l = (Lift){.w = w, .recur = old, .length = recur->length, .made = NEWN(w->p->arena, Lifted, w->old.op.n)};
    for (uint32_t i = 0; i < w->old.op.n; i++)
        l->made[i].v = REC_NONE;
    for (uint32_t i = 0; i < body->op.n; i++)
        if (s->leaves[body->op.p[i]])
            keep_operands(w, b, l, s, body->op.p[i]);
}

/* The result of a recurrence: where it left, made here. */
static RecId sink_op(Rewrite *w, RecBuild *b, RecId old, RecOp op)
{
    Sink *s = w->cx;
    if (op.kind != REC_PROJ)
        return pass_push(b, op);
    RecId recur = w->old.op.p[old].use[0].v;
    const RecOp *r = rec_op(&w->old, recur);
    RecId result = w->old.region.p[r->region].result.p[op.index];
    if (r->chunk || op.index < r->nstate || !rec_inside(&w->old, result, r->region) || !s->leaves[result])
        return pass_push(b, op);
    s->lift[recur]->b = b;
    return lift_placed(s->lift[recur], result);
}

/* How many recurrences stand one inside of the other. */
static uint32_t depth_of(const RecProg *p, RecRegion r)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < p->region.p[r].op.n; i++) {
        const RecOp *op = rec_op(p, p->region.p[r].op.p[i]);
        uint32_t depth = op->kind == REC_RECUR ? 1 + depth_of(p, op->region) : 0;
        most = depth > most ? depth : most;
    }
    return most;
}

void rec_sink(RecProg *p)
{
    uint32_t forward = depth_of(p, REC_FORWARD), backward = depth_of(p, REC_BACKWARD), n = forward > backward ? forward : backward;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t nop = p->op.n + 1;
        Sink s = {NEWN(p->arena, bool, nop), NEWN(p->arena, bool, nop), NEWN(p->arena, bool, nop), NEWN(p->arena, Lift *, nop)};
        Rewrite w = {.cx = &s, .recur = sink_recur, .op = sink_op};
        rw_run(&w, p);
    }
}
