/* rec.cascade: a recurrence over a grid is taken apart into levels, each a grid of its own in which less is read. What
 * reads no state runs everywhere at once (level 0: only work that is worth being kept); then, if the form says so, stage by
 * stage (stage.h) what reads the states of earlier stages, which are known along all places by then. A state that is read
 * along one axis only leaves recurrences along this axis, side by side for all others: so a triangular pattern of gates
 * becomes a cascade of scans over lines, whatever the gates are called.
 *
 * Stages of their own cost memory for what they hand on: all states, at all places. Where nobody asks, all states stay
 * together. */
#include "ir/rec/grid.h"
#include "ir/rec/stage.h"

typedef struct Cascade {
    Rewrite *w;
    RecBuild *b;   /* where the grids go */
    RecId old;
    const RecOp *op;
    const RecRegionInfo *body;
    uint32_t *level; /* by old op of the step */
    Stages stages;
    bool *own;       /* by state: its stage reads it, so that it is a state of the level's grid */
    RecId *stack;    /* by old op: its value over all places, once asked for */
    RecId *grid;     /* by level: the new grid */
    RecId *here;     /* by old op: its value in the step of the level in work */
    uint32_t now;    /* the level in work */
    RecBuild in;     /* its step */
} Cascade;

static bool worth_keeping(const Rewrite *w, const RecOp *op)
{
    bool grows = true;
    for (uint32_t i = 0; i < op->nuse; i++)
        grows &= rec_type(&w->old, op->use[i].v)->rank < op->type.rank;
    return pass_heavy(op) && !(op->kind == REC_CONTRACT && grows);
}

/* ---- levels ---- */

/* Forms along lines want recurrences that are as simple as can be. */
static bool wants_stages(const RecProg *p)
{
    return p->form.kind != REC_FORM_SEQUENTIAL && p->form.kind != REC_FORM_WAVEFRONT && p->form.kind != REC_FORM_BLOCK && p->form.kind != REC_FORM_AUTO;
}

static void join_stages(const RecProg *p, Stages *s)
{
    for (uint32_t k = 1; k < s->n; k++)
        for (RecId v = 0; v < p->op.n; v++)
            s->reads[0][v] |= s->reads[k][v];
    for (uint32_t k = 0; k < s->nstate; k++)
        s->of[k] = 0;
    s->n = s->n ? 1 : 0;
}

static void find_levels(Cascade *c)
{
    const RecProg *p = &c->w->old;
    c->stages = stages_of(p, p->arena, c->old);
    if (!wants_stages(c->w->p))
        join_stages(p, &c->stages);
    c->level = NEWN(p->arena, uint32_t, p->op.n + 1);
    c->own = NEWN(p->arena, bool, c->op->nstate + 1);
    for (uint32_t i = 0; i < c->body->op.n; i++)
        for (uint32_t s = 0; s < c->stages.n; s++)
            if (c->stages.reads[s][c->body->op.p[i]])
                c->level[c->body->op.p[i]] = s + 1;
    for (uint32_t k = 0; k < c->op->nstate; k++)
        c->own[k] = !wants_stages(c->w->p) || c->stages.reads[c->stages.of[k]][c->body->result.p[k]];
}

static bool in_stage(const Cascade *c, uint32_t k, uint32_t stage)
{
    return c->own[k] && c->stages.of[k] == stage;
}

/* The axes that state k is read along, a bit each. */
static uint32_t axes_of(const Cascade *c, uint32_t k)
{
    uint32_t along = 0;
    for (uint8_t i = 0; i < c->op->grid->naxes; i++)
        along |= (uint32_t)(c->op->grid->by[k].by[i] != 0) << i;
    return along;
}

static uint32_t axes_of_stage(const Cascade *c, uint32_t stage)
{
    uint32_t along = 0;
    for (uint32_t k = 0; k < c->op->nstate; k++)
        along |= in_stage(c, k, stage) ? axes_of(c, k) : 0;
    return along;
}

static bool many(uint32_t axes) { return (axes & (axes - 1)) != 0; }

/* Whether each stage runs along one axis, and not all along the same one. */
static bool is_cascade(const Cascade *c)
{
    uint32_t along = 0;
    for (uint32_t s = 0; s < c->stages.n; s++) {
        if (many(axes_of_stage(c, s)))
            return false;
        along |= axes_of_stage(c, s);
    }
    return many(along);
}

/* The first op that state k's new value needs and that reads a state of the same stage, but along another axis than k. */
static RecId read_across(const Cascade *c, uint32_t k)
{
    const RecProg *p = &c->w->old;
    bool *needed = NEWN(p->arena, bool, p->op.n + 1);
    RecId found = REC_NONE;
    needed[c->body->result.p[k]] = true;
    for (uint32_t i = c->body->op.n; i--;) {
        RecId v = c->body->op.p[i];
        for (uint32_t u = 0; needed[v] && u < rec_op(p, v)->nuse; u++) {
            const RecOp *from = rec_op(p, rec_op(p, v)->use[u].v);
            needed[rec_op(p, v)->use[u].v] = true;
            if (from->kind == REC_REGARG && from->home == c->op->region && from->index < c->op->nstate &&
                in_stage(c, from->index, c->stages.of[k]) && axes_of(c, from->index) != axes_of(c, k))
                found = v;
        }
    }
    return found;
}

static RecId against_cascade(const Cascade *c)
{
    for (uint32_t k = 0; k < c->op->nstate; k++) {
        RecId v = in_stage(c, k, c->stages.of[k]) && many(axes_of_stage(c, c->stages.of[k])) ? read_across(c, k) : REC_NONE;
        if (v != REC_NONE)
            return v;
    }
    return REC_NONE;
}

/* ---- values ---- */

static RecId here(Cascade *c, RecId v);

/* The value over all places, put out by the grid of its level. */
static RecId stacked(Cascade *c, RecId v)
{
    if (c->stack[v] != REC_NONE)
        return c->stack[v];
    const RecOp *op = rec_op(&c->w->old, v);
    if (op->kind == REC_REGARG && op->index >= c->op->nstate)
        return c->stack[v] = c->w->to[c->op->use[op->index].v];
    if (op->kind != REC_REGARG || op->home != c->op->region)
        ice("rec.cascade: %u of level %u was not put out", v, c->level[v]);
    RecId all = stacked(c, c->body->result.p[op->index]);
    for (uint8_t i = 0; i < c->op->grid->naxes; i++)
        all = grid_moved(c->b, all, i, c->op->grid->by[op->index].by[i], c->w->to[c->op->use[op->index].v]);
    return c->stack[v] = all;
}

static bool made_again(const Cascade *c, RecId v)
{
    const RecOp *op = rec_op(&c->w->old, v);
    return op->kind != REC_REGARG && (c->level[v] == c->now || (c->level[v] == 0 && !worth_keeping(c->w, op)));
}

static void surroundings(Cascade *c, RecRegion r, RecRegion whole)
{
    const RecRegionInfo *body = &c->w->old.region.p[r];
    for (uint32_t i = 0; i < body->op.n; i++) {
        const RecOp *op = rec_op(&c->w->old, body->op.p[i]);
        for (uint32_t k = 0; k < op->nuse; k++)
            if (!rec_inside(&c->w->old, op->use[k].v, whole))
                here(c, op->use[k].v);
        if (op->kind == REC_RECUR)
            surroundings(c, op->region, whole);
    }
    for (uint32_t i = 0; i < body->result.n; i++)
        if (!rec_inside(&c->w->old, body->result.p[i], whole))
            here(c, body->result.p[i]);
}

static RecId make(Cascade *c, RecId v)
{
    const RecOp *op = rec_op(&c->w->old, v);
    for (uint32_t i = 0; i < op->nuse; i++)
        here(c, op->use[i].v);
    RecBuild b = rw_build(c->w, c->in.region, v);
    if (op->kind != REC_RECUR)
        return rw_op(c->w, &b, v);
    surroundings(c, op->region, op->region);
    rw_recur(c->w, &b, v);
    return c->w->to[v];
}

/* The value in the step of the level in work. */
static RecId here(Cascade *c, RecId v)
{
    if (!rec_inside(&c->w->old, v, c->op->region))
        return c->w->to[v];
    if (c->here[v] == REC_NONE)
        c->here[v] = made_again(c, v) ? make(c, v) : rec_recur_add_seq(c->w->p, c->grid[c->now], stacked(c, v));
    return c->w->to[v] = c->here[v];
}

/* ---- levels, one after the other ---- */

/* What a later level, or the caller, needs of this one. */
static bool is_needed(const Cascade *c, RecId v)
{
    for (uint32_t i = 0; i < c->body->result.n; i++)
        if (c->body->result.p[i] == v)
            return true;
    if (c->level[v] == 0)
        return worth_keeping(c->w, rec_op(&c->w->old, v));
    for (uint32_t i = 0; i < c->body->op.n; i++) {
        RecId user = c->body->op.p[i];
        const RecOp *op = rec_op(&c->w->old, user);
        if (c->level[user] <= c->level[v])
            continue;
        if (op->kind == REC_RECUR)
            return true; /* it may be read inside */
        for (uint32_t k = 0; k < op->nuse; k++)
            if (op->use[k].v == v)
                return true;
    }
    return false;
}

/* The grid of the level, with the states of its stage as they are outside. */
static const RecGrid *open_level(Cascade *c)
{
    Arena *a = c->w->p->arena;
    RecGrid *g = NEW(a, RecGrid);
    RecId *init = NEWN(a, RecId, c->op->nstate + 1);
    uint32_t n = 0;
    *g = *c->op->grid;
    g->by = NEWN(a, RecOffset, c->op->nstate + 1);
    for (uint32_t k = 0; k < c->op->nstate; k++)
        if (in_stage(c, k, c->now - 1)) {
            g->by[n] = c->op->grid->by[k];
            init[n++] = c->w->to[c->op->use[k].v];
        }
    RecRegion step;
    c->here = pass_ids(a, c->w->old.op.n);
    c->grid[c->now] = rec_grid_open(c->b, init, n, NULL, 0, g, &step);
    c->in = (RecBuild){c->w->p, step, c->b->at, c->b->name};
    n = 0;
    for (uint32_t k = 0; k < c->op->nstate; k++)
        if (in_stage(c, k, c->now - 1)) {
            RecId arg = c->w->p->region.p[step].arg.p[n++];
            rec_op(c->w->p, arg)->name = rec_op(&c->w->old, c->body->arg.p[k])->name;
            c->here[c->body->arg.p[k]] = arg;
        }
    return g;
}

static void run_level(Cascade *c)
{
    Arena *a = c->w->p->arena;
    VEC(RecId) out = {0}, of = {0};
    open_level(c);
    for (uint32_t k = 0; k < c->op->nstate; k++)
        if (in_stage(c, k, c->now - 1))
            vec_push(a, &out, here(c, c->body->result.p[k]));
    uint32_t nstate = out.n;
    for (uint32_t i = 0; i < c->body->op.n; i++) {
        RecId v = c->body->op.p[i];
        RecKind kind = rec_op(&c->w->old, v)->kind;
        if (c->level[v] != c->now || kind == REC_REGARG || kind == REC_RECUR || !is_needed(c, v))
            continue;
        vec_push(a, &out, here(c, v));
        vec_push(a, &of, v);
    }
    rec_recur_close(c->w->p, c->grid[c->now], out.p, out.n);
    rec_recur_move_last(c->w->p, c->grid[c->now]);
    for (uint32_t i = 0; i < of.n; i++) {
        RecBuild b = rw_build(c->w, c->b->region, of.p[i]);
        c->stack[of.p[i]] = rec_proj(&b, c->grid[c->now], nstate + i);
    }
}

/* What depends on no place stands outside, and is the same at all. */
static RecId everywhere(Cascade *c, RecId v)
{
    Type t = *rec_type(c->w->p, v);
    Dim dim[MAXRANK];
    uint8_t n = rec_places(c->op, dim);
    memcpy(dim + n, t.dim, t.rank * sizeof *dim);
    RecUse u = rec_use_tail(c->w->p, v, (uint8_t)(t.rank + n));
    return rec_map(c->b, FUN_ID, &u, (uint8_t)(t.rank + n), dim);
}

static void cascade_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    if (!op->grid) {
        rw_recur(w, b, old);
        return;
    }
    Arena *a = w->p->arena;
    Cascade c = {.w = w, .b = b, .old = old, .op = op, .body = &w->old.region.p[op->region]};
    find_levels(&c);
    c.stack = pass_ids(a, w->old.op.n);
    c.grid = pass_ids(a, c.stages.n + 1);
    for (c.now = 0; c.now <= c.stages.n; c.now++)
        run_level(&c);
    RecId *result = NEWN(a, RecId, c.body->result.n + 1);
    for (uint32_t i = op->nstate; i < c.body->result.n; i++) {
        RecId v = c.body->result.p[i];
        result[i] = rec_inside(&w->old, v, op->region) ? stacked(&c, v) : everywhere(&c, w->to[v]);
    }
    w->result[old] = result;
    w->changed |= is_cascade(&c);
    RecId against = against_cascade(&c);
    if (wants_stages(w->p) && against != REC_NONE && !w->p->form_missing_at.file)
        w->p->form_missing_at = rec_op(&w->old, against)->at;
}

void rec_cascade(RecProg *p)
{
    Rewrite w = {.recur = cascade_recur};
    rw_run(&w, p);
    if (p->form.kind != REC_FORM_CASCADE || w.changed)
        p->form_missing_at = (Span){0};
    else
        p->form_missing = WHY_NO_CASCADE;
}
