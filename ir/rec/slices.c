/* rec.slices: a slice of an elementwise map becomes that map of slices, when nothing but slices reads it. So
 * `let i, f, g, o = W @ x + U @ h + b` leaves slices of the products only, and all work on the gates is elementwise
 * over one gate. A reshape that only drops axes of size 1 is taken along. */
#include "ir/rec/pass.h"

typedef struct Slices {
    bool *only; /* by old op: read by nothing but slices, or by nothing but one such reshape */
} Slices;

/* The axes of size 1 that a reshape drops, as bits; 0 if it does anything else. */
static uint32_t dropped_axes(const Type *from, const Type *to)
{
    uint32_t gone = 0;
    uint8_t k = 0;
    for (uint8_t i = 0; i < from->rank; i++) {
        bool spare = from->rank - i > to->rank - k;
        if (k < to->rank && from->dim[i] == to->dim[k] && !(spare && from->dim[i] == DIM_ONE))
            k++;
        else if (from->dim[i] == DIM_ONE)
            gone |= 1u << i;
        else
            return 0;
    }
    return k == to->rank ? gone : 0;
}

static bool taken_along(const RecProg *p, const RecOp *op)
{
    return op->kind == REC_SLICE ||
           (op->kind == REC_RESHAPE && dropped_axes(rec_type(p, op->use[0].v), &op->type) != 0);
}

static void find_readers(const Rewrite *w, Slices *s)
{
    const RecProg *p = &w->old;
    uint32_t *n = NEWN(p->arena, uint32_t, p->op.n + 1);
    for (RecId v = 0; v < p->op.n; v++)
        if (taken_along(p, rec_op(p, v)) && rec_op(p, rec_op(p, v)->use[0].v)->home == rec_op(p, v)->home)
            n[rec_op(p, v)->use[0].v]++;
    for (RecId v = 0; v < p->op.n; v++)
        s->only[v] = n[v] > 0 && n[v] == w->nuse[v] && rec_op(p, v)->kind == REC_MAP;
}

/* The operand, sliced where it has the axis. */
static RecUse slice_operand(RecBuild *b, RecUse u, const RecOp *op)
{
    uint8_t rank = rec_type(b->prog, u.v)->rank;
    for (uint8_t k = 0; k < rank; k++)
        if (u.axis[k] == op->along)
            u.v = rec_slice(b, u.v, k, op->lo, op->type.dim[op->along]);
    return u;
}

/* The operand without the dropped axes. */
static RecUse drop_operand(RecBuild *b, RecUse u, uint32_t gone)
{
    Type t = *rec_type(b->prog, u.v), now = {.dt = t.dt};
    RecUse r = {.v = u.v};
    for (uint8_t k = 0; k < t.rank; k++) {
        if (gone >> u.axis[k] & 1)
            continue;
        uint8_t before = 0;
        for (uint8_t i = 0; i < u.axis[k]; i++)
            before = (uint8_t)(before + (gone >> i & 1));
        r.axis[now.rank] = (uint8_t)(u.axis[k] - before);
        now.dim[now.rank++] = t.dim[k];
    }
    if (now.rank < t.rank)
        r.v = rec_reshape(b, u.v, now.rank, now.dim);
    return r;
}

static RecId slices_op(Rewrite *w, RecBuild *b, RecId old, RecOp op)
{
    const Slices *s = w->cx;
    const RecOp *was = rec_op(&w->old, old);
    if (!taken_along(&w->old, was) || !s->only[was->use[0].v] || rec_op(w->p, op.use[0].v)->kind != REC_MAP)
        return pass_push(b, op);
    RecOp map = *rec_op(w->p, op.use[0].v);
    uint32_t gone = op.kind == REC_RESHAPE ? dropped_axes(&map.type, &op.type) : 0;
    RecUse use[3];
    for (uint32_t i = 0; i < map.nuse; i++)
        use[i] = gone ? drop_operand(b, map.use[i], gone) : slice_operand(b, map.use[i], &op);
    w->changed = true;
    b->name = map.name;
    return rec_map(b, map.fun, use, op.type.rank, op.type.dim);
}

void rec_slices(RecProg *p)
{
    Rewrite w;
    do {
        Slices s = {NEWN(p->arena, bool, p->op.n + 1)};
        w = (Rewrite){.op = slices_op, .cx = &s};
        rw_begin(&w, p);
        find_readers(&w, &s);
        for (RecRegion r = 0; r < REC_NFN; r++)
            rw_region(&w, r, r);
        rw_end(&w);
        rec_simplify(p);
    } while (w.changed);
}
