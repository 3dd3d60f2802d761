/* explain: in which order the places of a grid run, level by level, and a picture of it; and those of a graph. */
#include "frontend/explain.h"
#include "ir/rec/grid.h"

#include <stdlib.h>

typedef struct SayGrid {
    Driver *d;
    const RecProg *p;
    RecId recur;
    const RecOp *op;
    ExplainList *out;
} SayGrid;

static Str extent(const SayGrid *x, uint8_t axis)
{
    return dim_str(x->d->arena, x->p->dims, x->op->grid->extent[axis]);
}

/* "h[r-1, s], h[r, s-1]: " */
static void put_reads(const SayGrid *x, Text *out)
{
    for (uint32_t k = 0; k < x->op->nstate; k++)
        text_add(out, "%s%.*s", k ? ", " : "", STRF(rec_op(x->p, x->p->region.p[x->op->region].arg.p[k])->name));
    text_add(out, ": ");
}

static void put_axes(const SayGrid *x, Text *out, const uint8_t *order, uint8_t from, uint8_t to)
{
    for (uint8_t i = from; i < to; i++)
        text_add(out, "%s%.*s", i > from ? ", " : "", STRF(extent(x, order[i])));
}

static void put_rows(const SayGrid *x, Text *out, const uint8_t *order, uint8_t depth)
{
    text_add(out, "in order along ");
    for (uint8_t i = 0; i < depth; i++)
        text_add(out, "%s%.*s", i ? ", inside of that along " : "", STRF(extent(x, order[i])));
    if (depth < x->op->grid->naxes) {
        text_add(out, ", all at once along ");
        put_axes(x, out, order, depth, x->op->grid->naxes);
    }
}

/* The time of the last place, and one. */
static Str waves(const SayGrid *x, const int16_t *weight)
{
    DimTab *t = x->p->dims;
    Dim n = DIM_ONE;
    for (uint8_t i = 0; i < x->op->grid->naxes; i++) {
        Dim far = dim_sub(t, x->op->grid->extent[i], DIM_ONE);
        n = dim_add(t, n, dim_mul(t, far, dim_const(t, abs(weight[i]))));
    }
    return dim_str(x->d->arena, t, n);
}

/* Times of the places of a corner of the grid. */
static void picture(const SayGrid *x, const int16_t *weight)
{
    enum { ROWS = 4, COLUMNS = 8 };
    int first = (weight[0] < 0 ? weight[0] * (ROWS - 1) : 0) + (weight[1] < 0 ? weight[1] * (COLUMNS - 1) : 0);
    for (int r = 0; r < ROWS; r++) {
        Text line = {.arena = x->d->arena};
        text_add(&line, "  ");
        for (int s = 0; s < COLUMNS; s++)
            text_add(&line, " %3d", weight[0] * r + weight[1] * s - first);
        vec_push(x->d->arena, x->out, text_str(&line));
    }
}

static void explain_level(const SayGrid *x)
{
    uint8_t order[REC_MAXAXES], depth;
    int16_t weight[REC_MAXAXES];
    Text rows = {.arena = x->d->arena}, wave = {.arena = x->d->arena};
    bool has_rows = grid_row_order(x->op->grid, x->op->nstate, order);
    depth = has_rows ? grid_row_depth(x->op->grid, x->op->nstate, order) : x->op->grid->naxes;
    put_reads(x, &rows);
    if (has_rows)
        put_rows(x, &rows, order, depth);
    else
        text_add(&rows, "rows have no order, waves have");
    vec_push(x->d->arena, x->out, text_str(&rows));
    if (depth == 1 || !rec_grid_order(x->op->grid->by, x->op->nstate, x->op->grid->naxes, weight))
        return;
    text_add(&wave, "or %.*s waves, one after the other", STRF(waves(x, weight)));
    if (x->op->grid->naxes == 2)
        text_add(&wave, "; the first places belong to waves");
    vec_push(x->d->arena, x->out, text_str(&wave));
    if (x->op->grid->naxes == 2)
        picture(x, weight);
}

/* Which states are read at other nodes. */
static void explain_graph(Driver *d, const RecProg *p, RecId recur, ExplainList *out)
{
    const RecRegionInfo *step = &p->region.p[rec_op(p, recur)->region];
    Text line = {.arena = d->arena};
    uint32_t n = 0;
    Str last = STR("");
    for (uint32_t i = 0; i < step->op.n; i++) {
        const RecOp *op = rec_op(p, step->op.p[i]);
        if (op->kind != REC_HISTORY || str_eq(last, rec_op(p, step->result.p[op->index])->name))
            continue;
        last = rec_op(p, step->result.p[op->index])->name;
        text_add(&line, "%s%.*s", n++ ? ", " : "", STRF(last));
    }
    if (line.n)
        vec_push(d->arena, out, str_fmt(d->arena, "%.*s %s read at earlier nodes: level by level, in blocks of `width` nodes with `slots` edges, as the plan says",
                                        STRF(text_str(&line)), n == 1 ? "is" : "are"));
}

void explain_grids(Driver *d, const RecProg *p, ExplainList *grids)
{
    for (uint32_t i = 0; i < p->region.p[REC_FORWARD].op.n; i++) {
        RecId v = p->region.p[REC_FORWARD].op.p[i];
        const RecOp *op = rec_op(p, v);
        if (op->kind == REC_RECUR && !op->grid)
            explain_graph(d, p, v, grids);
        if (op->kind != REC_RECUR || !op->grid || !op->nstate)
            continue;
        SayGrid x = {d, p, v, op, grids};
        explain_level(&x);
    }
}

void explain_grid_form(Driver *d, const RecProg *p, ExplainList *forms)
{
    for (uint32_t i = 0; rec_form_name(i); i++)
        if (rec_form_name(i)->form.kind == p->form.kind)
            vec_push(d->arena, forms, p->form_missing == WHY_NONE
                                          ? str_fmt(d->arena, "%s: yes", rec_form_name(i)->text)
                                          : str_fmt(d->arena, "%s: no, %.*s", rec_form_name(i)->text, STRF(driver_form_missing(d, p))));
}
