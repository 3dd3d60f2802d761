/* rec.rows: a recurrence over a grid becomes recurrences over lines, one inside of the other: over the rows of its first
 * axis, whose step is a row; in it over the rows of the next axis; and so on to the single place. What is read in an
 * earlier row is then known along the whole row, and is a sequence of the inner recurrence. An axis along which nothing
 * is read becomes a recurrence without states, which rec.parallel takes away.
 *
 * Axes run in the order of grid_row_order, which keeps as many of them parallel as can be. */
#include "ir/rec/grid.h"

#include <stdlib.h>

RecId grid_moved(RecBuild *b, RecId v, uint8_t axis, int32_t by, RecId outside)
{
    RecProg *p = b->prog;
    Type t = *rec_type(p, v), edge = t;
    if (by == 0 || pass_zeros(p, outside))
        return rec_moved(b, v, axis, by);
    Dim far = dim_const(p->dims, abs(by));
    edge.dim[axis] = far;
    RecUse u = rec_use_tail(p, outside, edge.rank);
    RecId beyond = rec_map(b, FUN_ID, &u, edge.rank, edge.dim);
    RecId wide = rec_concat(b, by > 0 ? (RecId[]){v, beyond} : (RecId[]){beyond, v}, 2, axis);
    return rec_slice(b, wide, axis, by > 0 ? far : DIM_ZERO, t.dim[axis]);
}

/* ---- the order of the axes ---- */

static bool still_open(const RecGrid *g, uint32_t k, const uint8_t *order, uint8_t depth)
{
    for (uint8_t i = 0; i < depth; i++)
        if (g->by[k].by[order[i]])
            return false;
    return true;
}

/* What is still open at this axis is read in one direction only. */
static bool one_way(const RecGrid *g, uint32_t nstate, const uint8_t *order, uint8_t depth)
{
    bool back = false, ahead = false;
    for (uint32_t k = 0; k < nstate; k++) {
        if (!still_open(g, k, order, depth))
            continue;
        back |= g->by[k].by[order[depth]] < 0;
        ahead |= g->by[k].by[order[depth]] > 0;
    }
    return !(back && ahead);
}

uint8_t grid_row_depth(const RecGrid *g, uint32_t nstate, const uint8_t *order)
{
    for (uint8_t depth = 0; depth < g->naxes; depth++) {
        bool open = false;
        for (uint32_t k = 0; k < nstate; k++)
            open |= still_open(g, k, order, depth);
        if (!open)
            return depth;
    }
    return g->naxes;
}

static bool fits(const RecGrid *g, uint32_t nstate, const uint8_t *order)
{
    for (uint8_t depth = 0; depth < g->naxes; depth++)
        if (!one_way(g, nstate, order, depth))
            return false;
    for (uint32_t k = 0; k < nstate; k++)
        if (still_open(g, k, order, g->naxes))
            return false;
    return true;
}

/* All orders, first the one of the text. */
static void try_orders(const RecGrid *g, uint32_t nstate, uint8_t *now, uint8_t n, uint8_t *best, uint8_t *depth)
{
    if (n == g->naxes) {
        if (fits(g, nstate, now) && grid_row_depth(g, nstate, now) < *depth) {
            *depth = grid_row_depth(g, nstate, now);
            memcpy(best, now, n);
        }
        return;
    }
    for (uint8_t axis = 0; axis < g->naxes; axis++) {
        if (memchr(now, axis, n))
            continue;
        now[n] = axis;
        try_orders(g, nstate, now, (uint8_t)(n + 1), best, depth);
    }
}

bool grid_row_order(const RecGrid *g, uint32_t nstate, uint8_t *order)
{
    uint8_t now[REC_MAXAXES], depth = UINT8_MAX;
    try_orders(g, nstate, now, 0, order, &depth);
    return depth != UINT8_MAX;
}

/* ---- rows ---- */

typedef struct Rows {
    Rewrite *w;
    RecId old;
    const RecOp *op;
    uint8_t order[REC_MAXAXES];
    uint32_t nresult;
} Rows;

/* States that are the same values, and begin the same outside, are carried once. */
static uint32_t first_like(const Rows *r, uint32_t k)
{
    const RecId *result = r->w->old.region.p[r->op->region].result.p;
    for (uint32_t i = 0; i < k; i++)
        if (result[i] == result[k] && r->op->use[i].v == r->op->use[k].v)
            return i;
    return k;
}

static uint32_t lag_of(const Rows *r, uint32_t k, uint8_t depth)
{
    return still_open(r->op->grid, k, r->order, depth) ? (uint32_t)abs(r->op->grid->by[k].by[r->order[depth]]) : 0;
}

/* A value of each place over the axes from `depth` on. */
static RecId over_row(const Rows *r, RecBuild *b, RecId v, uint8_t depth)
{
    Type t = *rec_type(b->prog, v);
    uint8_t n = (uint8_t)(r->op->grid->naxes - depth);
    Dim dim[MAXRANK];
    for (uint8_t i = 0; i < n; i++)
        dim[i] = r->op->grid->extent[r->order[depth + i]];
    memcpy(dim + n, t.dim, t.rank * sizeof *dim);
    RecUse u = rec_use_tail(b->prog, v, (uint8_t)(t.rank + n));
    return n ? rec_map(b, FUN_ID, &u, (uint8_t)(t.rank + n), dim) : v;
}

static void place(Rows *r, RecBuild *b, const RecId *operand, RecId *result)
{
    const RecRegionInfo *body = &r->w->old.region.p[r->op->region];
    for (uint32_t i = 0; i < body->arg.n; i++)
        r->w->to[body->arg.p[i]] = operand[i];
    rw_region(r->w, r->op->region, b->region);
    for (uint32_t i = 0; i < r->nresult; i++)
        result[i] = r->w->to[body->result.p[i]];
}

/* One axis in the making: carried[k]: where the lags of state k begin among the carried values. */
typedef struct Axis {
    VEC(RecId) init;
    uint32_t *carried, *lags; /* by the first of states that are alike */
    RecId *seq;               /* by operand: its number among the sequences, REC_NONE while it is open */
    VEC(RecId) seqs;
} Axis;

static void find_carried(Rows *r, RecBuild *b, uint8_t depth, Axis *x)
{
    Arena *a = r->w->p->arena;
    x->carried = NEWN(a, uint32_t, r->op->nstate + 1);
    x->lags = NEWN(a, uint32_t, r->op->nstate + 1);
    for (uint32_t k = 0; k < r->op->nstate; k++) {
        uint32_t lag = lag_of(r, k, depth), *most = &x->lags[first_like(r, k)];
        *most = lag > *most ? lag : *most;
    }
    for (uint32_t k = 0; k < r->op->nstate; k++) {
        x->carried[k] = x->init.n;
        for (uint32_t lag = 0; lag < x->lags[k]; lag++)
            vec_push(a, &x->init, over_row(r, b, r->w->to[r->op->use[k].v], (uint8_t)(depth + 1)));
    }
}

static void find_sequences(Rows *r, const RecId *operand, Axis *x)
{
    Arena *a = r->w->p->arena;
    x->seq = pass_ids(a, r->op->nuse);
    for (uint32_t i = 0; i < r->op->nuse; i++) {
        if (operand[i] == REC_NONE)
            continue;
        x->seq[i] = x->seqs.n;
        vec_push(a, &x->seqs, operand[i]);
    }
}

/* What the row further in sees: what was known, and what is read in an earlier row of this axis. */
static RecId *in_row(Rows *r, RecBuild *in, uint8_t depth, const Axis *x)
{
    const RecRegionInfo *step = &r->w->p->region.p[in->region];
    RecId *operand = pass_ids(r->w->p->arena, r->op->nuse);
    for (uint32_t i = 0; i < r->op->nuse; i++) {
        uint32_t lag = i < r->op->nstate ? lag_of(r, i, depth) : 0;
        if (x->seq[i] != REC_NONE)
            operand[i] = step->arg.p[x->init.n + x->seq[i]];
        if (!lag)
            continue;
        RecId v = r->w->p->region.p[in->region].arg.p[x->carried[first_like(r, i)] + lag - 1];
        for (uint8_t d = (uint8_t)(depth + 1); d < r->op->grid->naxes; d++)
            v = grid_moved(in, v, (uint8_t)(d - depth - 1), r->op->grid->by[i].by[r->order[d]], r->w->to[r->op->use[i].v]);
        operand[i] = v;
        step = &r->w->p->region.p[in->region];
    }
    return operand;
}

/* What is carried is called as the state is, and stands where it is read. */
static void name_carried(Rows *r, RecRegion step, const Axis *x)
{
    const RecRegionInfo *body = &r->w->old.region.p[r->op->region];
    for (uint32_t k = 0; k < r->op->nstate; k++)
        for (uint32_t lag = 0; lag < x->lags[k]; lag++) {
            RecOp *arg = rec_op(r->w->p, r->w->p->region.p[step].arg.p[x->carried[k] + lag]);
            arg->name = rec_op(&r->w->old, body->result.p[k])->name;
            arg->at = rec_op(&r->w->old, body->arg.p[k])->at;
        }
}

static bool runs_ahead(const Rows *r, uint8_t depth)
{
    for (uint32_t k = 0; k < r->op->nstate; k++)
        if (lag_of(r, k, depth))
            return r->op->grid->by[k].by[r->order[depth]] > 0;
    return false;
}

static void axis(Rows *r, RecBuild *b, uint8_t depth, const RecId *operand, RecId *result)
{
    if (depth == r->op->grid->naxes) {
        place(r, b, operand, result);
        return;
    }
    Arena *a = r->w->p->arena;
    Axis x = {0};
    find_carried(r, b, depth, &x);
    find_sequences(r, operand, &x);
    RecRegion step;
    RecId recur = rec_recur_open(b, x.init.p, x.init.n, x.seqs.p, x.seqs.n, r->op->grid->extent[r->order[depth]], runs_ahead(r, depth), &step);
    RecBuild in = {r->w->p, step, b->at, b->name};
    name_carried(r, step, &x);
    RecId *row = NEWN(a, RecId, r->nresult + 1), *out = NEWN(a, RecId, x.init.n + r->nresult + 1);
    axis(r, &in, (uint8_t)(depth + 1), in_row(r, &in, depth, &x), row);
    uint32_t n = 0;
    for (uint32_t k = 0; k < r->op->nstate; k++)
        for (uint32_t lag = 0; lag < x.lags[k]; lag++, n++)
            out[n] = lag ? r->w->p->region.p[step].arg.p[n - 1] : row[k];
    memcpy(out + n, row, r->nresult * sizeof *row);
    rec_recur_close(r->w->p, recur, out, n + r->nresult);
    for (uint32_t i = 0; i < r->nresult; i++)
        result[i] = rec_proj(b, recur, n + i);
}

/* The axes of places in another order. */
static RecId with_axes(RecBuild *b, RecId v, const uint8_t *order, uint8_t naxes, bool back)
{
    uint8_t rank = rec_type(b->prog, v)->rank, to[MAXRANK];
    bool same = true;
    for (uint8_t i = 0; i < rank; i++)
        to[i] = i;
    for (uint8_t i = 0; i < naxes; i++) {
        to[back ? order[i] : i] = back ? i : order[i];
        same &= order[i] == i;
    }
    return same ? v : rec_transpose(b, v, to);
}

static void rows_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    if (!op->grid) {
        rw_recur(w, b, old);
        return;
    }
    Rows r = {.w = w, .old = old, .op = op, .nresult = op->nstate + op->nout};
    if (!grid_row_order(op->grid, op->nstate, r.order))
        ice("rec.rows: rows of the grid have no order");
    RecId *operand = pass_ids(w->p->arena, op->nuse), *result = NEWN(w->p->arena, RecId, r.nresult + 1);
    for (uint32_t i = op->nstate; i < op->nuse; i++)
        operand[i] = with_axes(b, w->to[op->use[i].v], r.order, op->grid->naxes, false);
    axis(&r, b, 0, operand, result);
    for (uint32_t i = op->nstate; i < r.nresult; i++)
        result[i] = with_axes(b, result[i], r.order, op->grid->naxes, true);
    w->result[old] = result;
}

void rec_rows(RecProg *p)
{
    Rewrite w = {.recur = rows_recur};
    rw_run(&w, p);
}
