/* rec.wavefront: the places of a grid one wave after the other. A place's time is a weighted sum of its indices
 * (grid_order.c), behind that of all places that it reads. The axis of the least weight gives way to the time: the grid is
 * skewed, and in the new one everything is read at earlier times, so all places of one time run at once.
 *
 * Skewing an array is a matter of shapes: rows of L + w elements, read as rows of L, move by w from row to row. Where the
 * axis that gives way has a weight above 1, it is stretched before. The new
 * grid has places that the old one has not. Their states are the initial ones, so that what reads them reads what is
 * outside; their other values are zero, so that nothing of them gets into a gradient. */
#include "ir/rec/grid.h"

#include <stdlib.h>

typedef struct Skew {
    RecBuild *b;
    uint8_t naxes, last;           /* the axis that gives way */
    int16_t step;                  /* its weight */
    uint8_t kept[REC_MAXAXES];     /* the others, in order; naxes - 1 of them */
    int16_t weight[REC_MAXAXES];   /* by kept */
    Dim extent[REC_MAXAXES];       /* by kept */
    Dim length[REC_MAXAXES + 1];   /* of the time, after so many kept axes were skewed against it */
} Skew;

static Dim times(DimTab *t, Dim n, int32_t by)
{
    return dim_mul(t, n, dim_const(t, by));
}

static Skew skew_of(RecBuild *b, const RecGrid *g, const int16_t *weight)
{
    DimTab *t = b->prog->dims;
    Skew s = {.b = b, .naxes = g->naxes};
    s.step = INT16_MAX;
    for (uint8_t i = 0; i < g->naxes; i++)
        if (weight[i] && abs(weight[i]) <= s.step) {
            s.last = i;
            s.step = (int16_t)abs(weight[i]);
        }
    for (uint8_t i = 0, n = 0; i < g->naxes; i++)
        if (i != s.last) {
            s.kept[n] = i;
            s.extent[n] = g->extent[i];
            s.weight[n++] = weight[s.last] < 0 ? (int16_t)-weight[i] : weight[i];
        }
    s.length[0] = times(t, g->extent[s.last], s.step);
    for (uint8_t n = 0; n + 1 < g->naxes; n++) {
        int32_t w = s.weight[n];
        Dim rows = w < 0 ? dim_add(t, s.extent[n], DIM_ONE) : s.extent[n];
        s.length[n + 1] = dim_add(t, s.length[n], times(t, rows, abs(w)));
    }
    return s;
}

/* Axis `from` to place `to`, the others in order. */
static RecId axis_to(RecBuild *b, RecId v, uint8_t from, uint8_t to)
{
    uint8_t order[MAXRANK], rank = rec_type(b->prog, v)->rank, n = 0;
    for (uint8_t i = 0; i < rank; i++)
        if (i != from)
            order[n++] = i;
    memmove(order + to + 1, order + to, (size_t)(rank - 1 - to));
    order[to] = from;
    return from == to ? v : rec_transpose(b, v, order);
}

/* Axes at and at + 1 of v as one, or the one at `at` as two. */
static RecId reshaped(RecBuild *b, RecId v, uint8_t at, uint8_t was, uint8_t n, const Dim *dim)
{
    Type t = *rec_type(b->prog, v), to = t;
    memcpy(to.dim + at, dim, n * sizeof *dim);
    memcpy(to.dim + at + n, t.dim + at + was, (size_t)(t.rank - at - was) * sizeof *dim);
    return rec_reshape(b, v, (uint8_t)(t.rank - was + n), to.dim);
}

/* The rows along axis `at`, of length[n], as rows of length[n + 1], each moved by weight more than the one before. */
static RecId skew_rows(const Skew *s, RecId v, uint8_t n, uint8_t at)
{
    DimTab *t = s->b->prog->dims;
    int32_t w = s->weight[n];
    Dim rows = s->extent[n], wide = dim_add(t, s->length[n + 1], dim_const(t, w));
    Dim flat = dim_mul(t, rows, s->length[n + 1]), whole = dim_mul(t, rows, wide);
    v = rec_pad(s->b, v, (uint8_t)(at + 1), DIM_ZERO, wide);
    v = reshaped(s->b, v, at, 2, 1, &whole);
    v = w > 0 ? rec_slice(s->b, v, at, DIM_ZERO, flat) : rec_pad(s->b, v, at, times(t, rows, -w), flat);
    return reshaped(s->b, v, at, 1, 2, (Dim[]){rows, s->length[n + 1]});
}

static RecId straight_rows(const Skew *s, RecId v, uint8_t n, uint8_t at)
{
    DimTab *t = s->b->prog->dims;
    int32_t w = s->weight[n];
    Dim rows = s->extent[n], wide = dim_add(t, s->length[n + 1], dim_const(t, w));
    Dim flat = dim_mul(t, rows, s->length[n + 1]), whole = dim_mul(t, rows, wide);
    v = reshaped(s->b, v, at, 2, 1, &flat);
    v = w > 0 ? rec_pad(s->b, v, at, DIM_ZERO, whole) : rec_slice(s->b, v, at, times(t, rows, -w), whole);
    v = reshaped(s->b, v, at, 1, 2, (Dim[]){rows, wide});
    return rec_slice(s->b, v, (uint8_t)(at + 1), DIM_ZERO, s->length[n]);
}

/* Each element of axis `at`, and step - 1 zeros behind it. */
static RecId stretched(const Skew *s, RecId v, uint8_t at)
{
    Dim n = rec_type(s->b->prog, v)->dim[at], step = dim_const(s->b->prog->dims, s->step);
    if (s->step == 1)
        return v;
    v = reshaped(s->b, v, at, 1, 2, (Dim[]){n, DIM_ONE});
    return reshaped(s->b, rec_pad(s->b, v, (uint8_t)(at + 1), DIM_ZERO, step), at, 2, 1, &s->length[0]);
}

static RecId unstretched(const Skew *s, RecId v, uint8_t at, Dim n)
{
    Dim step = dim_const(s->b->prog->dims, s->step);
    if (s->step == 1)
        return v;
    v = rec_slice(s->b, reshaped(s->b, v, at, 1, 2, (Dim[]){n, step}), (uint8_t)(at + 1), DIM_ZERO, DIM_ONE);
    return reshaped(s->b, v, at, 2, 1, &n);
}

/* An array over the places of the old grid as one over those of the new one, the time first. */
static RecId skewed(const Skew *s, RecId v)
{
    uint8_t time = (uint8_t)(s->naxes - 1);
    v = stretched(s, axis_to(s->b, v, s->last, time), time);
    for (uint8_t n = 0; n < time; n++) {
        if (!s->weight[n])
            continue;
        v = axis_to(s->b, v, n, (uint8_t)(time - 1));
        v = skew_rows(s, v, n, (uint8_t)(time - 1));
        v = axis_to(s->b, v, (uint8_t)(time - 1), n);
    }
    return axis_to(s->b, v, time, 0);
}

static RecId straightened(const Skew *s, RecId v, Dim places)
{
    uint8_t time = (uint8_t)(s->naxes - 1);
    v = axis_to(s->b, v, 0, time);
    for (uint8_t n = time; n-- > 0;) {
        if (!s->weight[n])
            continue;
        v = axis_to(s->b, v, n, (uint8_t)(time - 1));
        v = straight_rows(s, v, n, (uint8_t)(time - 1));
        v = axis_to(s->b, v, (uint8_t)(time - 1), n);
    }
    return axis_to(s->b, unstretched(s, v, time, places), time, s->last);
}

static RecGrid *skewed_grid(const Skew *s, const RecOp *op)
{
    Arena *a = s->b->prog->arena;
    RecGrid *g = NEW(a, RecGrid);
    *g = (RecGrid){.naxes = s->naxes, .by = NEWN(a, RecOffset, op->nstate + 1)};
    g->extent[0] = s->length[s->naxes - 1];
    memcpy(g->extent + 1, s->extent, (size_t)(s->naxes - 1) * sizeof *g->extent);
    for (uint32_t k = 0; k < op->nstate; k++) {
        const int16_t *by = op->grid->by[k].by;
        int32_t time = by[s->last] * s->step;
        for (uint8_t n = 0; n + 1 < s->naxes; n++) {
            time += s->weight[n] * by[s->kept[n]];
            g->by[k].by[n + 1] = by[s->kept[n]];
        }
        g->by[k].by[0] = (int16_t)time;
    }
    return g;
}

/* Which places of the new grid are places of the old one. */
static RecId places(const Skew *s, const RecOp *op)
{
    Type all = {.dt = DT_BOOL};
    all.rank = rec_places(op, all.dim);
    RecId there = rec_broadcast(s->b, rec_const(s->b, DT_BOOL, 1), &all);
    return skewed(s, there);
}

/* where(there, v, otherwise), a scalar or of v's shape */
static RecId only_there(RecBuild *b, RecId there, RecId v, RecId otherwise)
{
    Type t = *rec_type(b->prog, v);
    RecUse use[3] = {{.v = there}, rec_use(v, t.rank), rec_use_tail(b->prog, otherwise, t.rank)};
    return rec_map(b, FUN_WHERE, use, t.rank, t.dim);
}

static void run_waves(Rewrite *w, RecBuild *b, RecId old, const Skew *s)
{
    const RecOp *op = rec_op(&w->old, old);
    const RecRegionInfo *body = &w->old.region.p[op->region];
    RecId *operand = rw_operands(w, old), there = places(s, op);
    for (uint32_t i = op->nstate; i < op->nuse; i++)
        operand[i] = skewed(s, operand[i]);
    RecRegion step;
    RecId waves = rec_grid_open(b, operand, op->nstate, operand + op->nstate, op->nseq, skewed_grid(s, op), &step);
    for (uint32_t i = 0; i < body->arg.n; i++) {
        w->to[body->arg.p[i]] = w->p->region.p[step].arg.p[i];
        rec_op(w->p, w->to[body->arg.p[i]])->name = rec_op(&w->old, body->arg.p[i])->name;
    }
    there = rec_recur_add_seq(w->p, waves, there);
    rw_region(w, op->region, step);
    RecId *result = NEWN(w->p->arena, RecId, body->result.n + 1);
    for (uint32_t i = 0; i < body->result.n; i++) {
        RecBuild in = rw_build(w, step, body->result.p[i]);
        RecId v = w->to[body->result.p[i]];
        RecId otherwise = i < op->nstate ? operand[i] : rec_const(&in, rec_type(w->p, v)->dt, 0);
        result[i] = only_there(&in, there, v, otherwise);
    }
    rec_recur_close(w->p, waves, result, body->result.n);
    for (uint32_t i = op->nstate; i < body->result.n; i++)
        result[i] = straightened(s, rec_proj(b, waves, i), op->grid->extent[s->last]);
    w->result[old] = result;
}

/* Where only one axis has to run in order, rows are waves already. Else waves are for those who ask, for Newton's method,
 * which needs one recurrence, and for where rows cannot run one after the other. */
static bool wants_waves(const RecProg *p, const RecOp *op)
{
    uint8_t order[REC_MAXAXES];
    if (!grid_row_order(op->grid, op->nstate, order))
        return true;
    bool asked = p->form.kind == REC_FORM_WAVEFRONT || p->form.kind == REC_FORM_BLOCK || p->form.kind == REC_FORM_NEWTON;
    return asked && grid_row_depth(op->grid, op->nstate, order) > 1;
}

static void wavefront_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    int16_t weight[REC_MAXAXES];
    if (!op->grid || !wants_waves(w->p, op)) {
        rw_recur(w, b, old);
        return;
    }
    if (!rec_grid_order(op->grid->by, op->nstate, op->grid->naxes, weight))
        ice("rec.wavefront: a grid without an order");
    Skew s = skew_of(b, op->grid, weight);
    run_waves(w, b, old, &s);
    w->changed = true;
}

void rec_wavefront(RecProg *p)
{
    Rewrite w = {.recur = wavefront_recur};
    rw_run(&w, p);
    if (p->form.kind == REC_FORM_WAVEFRONT && !w.changed)
        p->form_missing = WHY_NO_GRID;
}
