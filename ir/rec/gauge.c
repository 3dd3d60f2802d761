/* rec.gauge: no derivative goes through a running maximum that only keeps numbers in range.
 *
 * Such a reference (gauge_find.c) cancels in all results of the step, so its derivative is exactly zero; by reverse
 * mode that zero would be a sum of terms that cancel to rounding only, which is all there is of a gradient where gates
 * are shut. So the step reads the reference, and the one of the place before, through `stop`.
 *
 * What does depend on it: the reference's own final state m, which keeps its derivative, along the way from one
 * reference to the next; the final states that it scales, exp(w m) by their meaning, so of a final state S, w * S is
 * the derivative by m; and the initial states: multiplied by exp(w d) with d added to m0 they mean the same, so -w * S0
 * is the derivative by m0. These are said with `chosen`. */
#include "ir/rec/gauge.h"
#include "ir/rec/operator.h"
#include "ir/rec/pass.h"

/* One recurrence that has references. */
typedef struct Held {
    Gauges gauges;
    RecId *stopped; /* by old op of its body: its value as the step reads it, REC_NONE for the plain one */
} Held;

/* The pass's own is a Held for each old RECUR that has some. */
static Held *held(const Rewrite *w, RecId recur)
{
    Held *const *of = w->cx;
    return recur == REC_NONE ? NULL : of[recur];
}

/* ---- in the step ---- */

static bool is_reference_before(const Held *h, const RecRegionInfo *body, RecId v)
{
    for (uint32_t k = 0; k < h->gauges.found.n; k++) {
        uint32_t state = h->gauges.found.p[k].state;
        if (state != GAUGE_NO_STATE && v == body->arg.p[state])
            return true;
    }
    return false;
}

/* The new uses, of what the step reads. */
static bool reads_stopped(Rewrite *w, RecBuild *b, Held *h, RecId old, RecUse *use)
{
    const RecOp *op = rec_op(&w->old, old);
    const RecRegionInfo *body = &w->old.region.p[op->home];
    bool any = false;
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecId v = op->use[i].v;
        if (h->stopped[v] == REC_NONE && is_reference_before(h, body, v))
            h->stopped[v] = rec_map1(b, FUN_STOP, w->to[v]);
        if (h->stopped[v] != REC_NONE)
            use[i].v = h->stopped[v], any = true;
    }
    return any;
}

/* Whether `old` is one of the choices that lead from the reference to its new state v. */
static bool chooses(const RecProg *p, RecId v, const Gauge *g, RecId old)
{
    const RecOp *op = rec_op(p, v);
    if (v == g->value || op->home != rec_op(p, g->value)->home || op->kind != REC_MAP || op->fun != FUN_WHERE)
        return false;
    return v == old || chooses(p, op->use[1].v, g, old) || chooses(p, op->use[2].v, g, old);
}

/* The reference's own state is chosen from it as it is. */
static bool is_own_state(const Rewrite *w, const Held *h, RecId old)
{
    const RecRegionInfo *body = &w->old.region.p[rec_op(&w->old, old)->home];
    for (uint32_t k = 0; k < h->gauges.found.n; k++) {
        const Gauge *g = &h->gauges.found.p[k];
        if (g->state != GAUGE_NO_STATE && chooses(&w->old, body->result.p[g->state], g, old))
            return true;
    }
    return false;
}

static const Gauge *of_chain(const Held *h, RecId old)
{
    for (uint32_t k = 0; k < h->gauges.found.n; k++)
        if (h->gauges.found.p[k].chain[old] || h->gauges.found.p[k].value == old)
            return &h->gauges.found.p[k];
    return NULL;
}

static RecId in_step(Rewrite *w, RecBuild *b, Held *h, RecId old, RecOp op)
{
    const Gauge *g = of_chain(h, old);
    if (is_own_state(w, h, old))
        return pass_push(b, op);
    RecOp read = op;
    read.use = NEWN(w->p->arena, RecUse, op.nuse + 1);
    memcpy(read.use, op.use, op.nuse * sizeof *op.use);
    bool stopped = reads_stopped(w, b, h, old, read.use);
    if (!g || g->state == GAUGE_NO_STATE) {
        RecId v = pass_push(b, read);
        if (g)
            h->stopped[old] = rec_map1(b, FUN_STOP, v);
        return v;
    }
    RecId v = pass_push(b, op);
    if (g->value == old)
        h->stopped[old] = rec_map1(b, FUN_STOP, v);
    else if (stopped)
        h->stopped[old] = pass_push(b, read);
    return v;
}

/* ---- around it ---- */

/* State v, whose derivative by the reference m is by * v. */
static RecId linked(RecBuild *b, RecId v, RecId m, const GaugeState *s, double by)
{
    const Type t = *rec_type(b->prog, v);
    RecUse use[3] = {rec_use(v, t.rank), {.v = m}, {0}};
    RecId scale = rec_const(b, DT_REAL, by), slope = rec_map2(b, FUN_MUL, scale, v);
    memcpy(use[1].axis, s->axis, sizeof use[1].axis);
    use[2] = rec_use(slope, t.rank);
    return rec_map(b, FUN_CHOSEN, use, t.rank, t.dim);
}

static RecId final(Rewrite *w, RecBuild *b, const Held *h, RecOp op)
{
    RecId recur = op.use[0].v;
    uint32_t state = op.index;
    bool is_state = state < rec_op(w->p, recur)->nstate;
    RecId v = pass_push(b, op);
    for (uint32_t k = 0; k < h->gauges.found.n && is_state; k++) {
        const Gauge *g = &h->gauges.found.p[k];
        if (g->state != GAUGE_NO_STATE && g->other[state].weight)
            v = linked(b, v, rec_proj(b, recur, g->state), &g->other[state], g->other[state].weight);
    }
    return v;
}

static RecId remake(Rewrite *w, RecBuild *b, RecId old, RecOp op)
{
    RecId owner = w->old.region.p[rec_op(&w->old, old)->home].owner;
    Held *around = held(w, owner), *made = op.kind == REC_PROJ ? held(w, rec_op(&w->old, old)->use[0].v) : NULL;
    if (made)
        return final(w, b, made, op);
    return around ? in_step(w, b, around, old, op) : pass_push(b, op);
}

static void remake_recur(Rewrite *w, RecBuild *b, RecId old)
{
    Held *h = held(w, old);
    RecRegion into;
    if (!h) {
        rw_recur(w, b, old);
        return;
    }
    RecId *operand = rw_operands(w, old), *start = NEWN(w->p->arena, RecId, rec_op(&w->old, old)->nuse + 1);
    memcpy(start, operand, rec_op(&w->old, old)->nuse * sizeof *start);
    for (uint32_t k = 0; k < h->gauges.found.n; k++) {
        const Gauge *g = &h->gauges.found.p[k];
        for (uint32_t s = 0; s < rec_op(&w->old, old)->nstate && g->state != GAUGE_NO_STATE; s++)
            if (g->other[s].weight)
                start[s] = linked(b, start[s], operand[g->state], &g->other[s], -g->other[s].weight);
    }
    rw_open(w, b, old, start, &into);
    rw_region(w, rec_op(&w->old, old)->region, into);
    rw_close(w, old);
}

/* ---- the pass ---- */

/* An operator composes steps, whose references are no states: all derivatives go through it. */
static bool is_plain(const RecProg *p, const RecOp *op)
{
    return !op->is_operator && !operator_inside(p, op->region) && !op->grid && !op->chunk && !op->until && !pass_looks_back(p, op->region);
}

void rec_gauge(RecProg *p)
{
    Arena *own = arena_new();
    Held **of = NEWN(own, Held *, p->op.n + 1);
    Rewrite w = {.op = remake, .recur = remake_recur, .cx = of};
    bool any = false;
    for (RecId v = 0; v < p->op.n; v++) {
        Gauges found = {0};
        if (rec_op(p, v)->kind == REC_RECUR && is_plain(p, rec_op(p, v)))
            gauge_find(own, p, v, &found);
        if (!found.found.n)
            continue;
        of[v] = NEW(own, Held);
        *of[v] = (Held){found, pass_ids(own, p->op.n)};
        any = true;
    }
    if (any)
        rw_run(&w, p);
    arena_free(own);
}
