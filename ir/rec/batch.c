/* rec.batch: adds the axis B to all that depends on an argument of which each sequence has its own: behind a leading
 * time axes, else in front. Parameters, and what is made of them alone, stay without.
 *
 * First it is found which values get the axis (a carried state does when its start or its new value does); then the
 * body is made anew. Where the layout rule and an op disagree about the place of B (a table's indexed axes come first,
 * a slice of T is no longer a time axis), an ID map moves it; rec.simplify lets most of them vanish into their users.
 */
#include "ir/rec/pass.h"

typedef struct Batch {
    bool *has; /* by old op */
} Batch;

static uint8_t place_of(const RecProg *p, const Type *one)
{
    return type_places(p->dims, one);
}

static Type batched_type(const RecProg *p, Type one, uint8_t at)
{
    if (one.rank >= MAXRANK)
        ice("rec.batch: a value has too many axes");
    for (uint8_t i = one.rank++; i > at; i--)
        one.dim[i] = one.dim[i - 1];
    one.dim[at] = dim_of(p->dims, p->batch);
    return one;
}

/* ---- which values get the axis ---- */

static bool operand_has(const Batch *c, const RecOp *op)
{
    for (uint32_t i = 0; i < op->nuse; i++)
        if (c->has[op->use[i].v])
            return true;
    return false;
}

/* What stands on both sides of an operator is alike. */
static RecId other_side(const RecProg *p, const RecOp *arg, const RecOp *recur)
{
    uint32_t n = recur->nstate;
    return p->region.p[arg->home].arg.p[arg->index < n ? arg->index + n : arg->index - n];
}

static bool op_has(const Rewrite *w, const Batch *c, RecId v)
{
    const RecProg *p = &w->old;
    const RecOp *op = rec_op(p, v);
    if (op->kind == REC_ARG)
        return p->arg.p[op->arg].batched;
    if (op->kind == REC_HISTORY)
        return c->has[p->region.p[op->home].result.p[op->index]];
    if (op->kind == REC_PROJ) {
        const RecOp *recur = rec_op(p, op->use[0].v);
        const RecRegionInfo *body = &p->region.p[recur->region];
        return c->has[op->index < recur->nstate ? body->arg.p[op->index] : body->result.p[op->index]];
    }
    if (op->kind == REC_REGARG) {
        const RecOp *recur = rec_op(p, p->region.p[op->home].owner);
        bool new_has = op->index < recur->nstate && c->has[p->region.p[op->home].result.p[op->index]];
        return new_has || c->has[recur->use[op->index].v] || (recur->is_operator && c->has[other_side(p, op, recur)]);
    }
    return op->kind != REC_RECUR && operand_has(c, op);
}

static void find_batched(const Rewrite *w, Batch *c)
{
    bool again = true;
    while (again) {
        again = false;
        for (RecId v = 0; v < w->old.op.n; v++)
            if (!c->has[v] && op_has(w, c, v))
                again = c->has[v] = true;
    }
}

/* ---- the body anew ---- */

/* Moves an axis to another place. */
static RecId move_axis(RecBuild *b, RecId v, uint8_t from, uint8_t to)
{
    uint8_t order[MAXRANK], rank = rec_type(b->prog, v)->rank, n = 0;
    if (from == to)
        return v;
    for (uint8_t i = 0; i < rank; i++) {
        if (n == from)
            n++;
        order[i] = i == to ? from : n++;
    }
    return rec_transpose(b, v, order);
}

/* The new value of v with B at `at`, added by broadcasting if v has none. */
static RecId with_batch(Rewrite *w, RecBuild *b, RecId old, uint8_t at)
{
    const Batch *c = w->cx;
    RecId v = w->to[old];
    const Type *one = rec_type(&w->old, old);
    if (c->has[old])
        return move_axis(b, v, place_of(w->p, one), at);
    Type t = batched_type(w->p, *one, at);
    RecUse u = {.v = v};
    for (uint8_t i = 0; i < one->rank; i++)
        u.axis[i] = (uint8_t)(i + (i >= at));
    return rec_map(b, FUN_ID, &u, t.rank, t.dim);
}

/* A use in a space to which B was added as axis `at`. */
static RecUse batched_use(const Rewrite *w, RecUse was, RecId now, uint8_t at)
{
    const Batch *c = w->cx;
    const Type *one = rec_type(&w->old, was.v);
    uint8_t place = c->has[was.v] ? place_of(w->p, one) : UINT8_MAX, n = 0;
    RecUse u = {.v = now};
    for (uint8_t k = 0; k < one->rank; k++) {
        if (k == place)
            u.axis[n++] = at;
        u.axis[n++] = (uint8_t)(was.axis[k] + (was.axis[k] >= at));
    }
    if (place == one->rank)
        u.axis[n] = at;
    return u;
}

static void widen_space(const RecProg *p, RecOp *op, uint8_t at)
{
    if (op->nit >= MAXIT)
        ice("rec.batch: an op has too many axes");
    for (uint8_t i = op->nit++; i > at; i--)
        op->space[i] = op->space[i - 1];
    op->space[at] = dim_of(p->dims, p->batch);
}

/* B of a table stands right behind the indexed axes. */
static void batch_table(Rewrite *w, RecBuild *b, const RecOp *was, RecOp *op, uint8_t at)
{
    uint8_t k = was->nindex, rank = rec_type(&w->old, was->use[0].v)->rank;
    op->use[0].v = with_batch(w, b, was->use[0].v, k);
    op->use[0].axis[k] = at;
    for (uint8_t i = k; i < rank; i++)
        op->use[0].axis[i + 1] = (uint8_t)(was->use[0].axis[i] + (was->use[0].axis[i] >= at));
}

static RecId batch_scatter(Rewrite *w, RecBuild *b, const RecOp *was, RecOp op)
{
    uint8_t k = was->nindex;
    op.type = batched_type(w->p, was->type, k);
    widen_space(w->p, &op, 0);
    for (uint32_t i = 0; i < op.nuse; i++)
        op.use[i] = batched_use(w, was->use[i], op.use[i].v, 0);
    op.out_axis[k] = 0;
    for (uint8_t i = k; i < was->type.rank; i++)
        op.out_axis[i + 1] = (uint8_t)(was->out_axis[i] + 1);
    return move_axis(b, pass_push(b, op), k, place_of(w->p, &was->type));
}

static RecId batch_iterating(Rewrite *w, RecBuild *b, const RecOp *was, RecOp op)
{
    const Batch *c = w->cx;
    if (op.kind == REC_SCATTER)
        return batch_scatter(w, b, was, op);
    uint8_t at = place_of(w->p, &was->type);
    op.type = batched_type(w->p, was->type, at);
    widen_space(w->p, &op, at);
    for (uint32_t i = 0; i < op.nuse; i++)
        if (i > 0 || op.kind != REC_GATHER)
            op.use[i] = batched_use(w, was->use[i], op.use[i].v, at);
    if (op.kind == REC_GATHER) {
        if (c->has[was->use[0].v])
            batch_table(w, b, was, &op, at);
        else
            for (uint8_t k = was->nindex; k < rec_type(w->p, op.use[0].v)->rank; k++)
                op.use[0].axis[k] = (uint8_t)(was->use[0].axis[k] + (was->use[0].axis[k] >= at));
    }
    return pass_push(b, op);
}

/* The axes behind those of the places stay as they are. */
static bool same_behind(const RecProg *p, const Type *a, const Type *c)
{
    uint8_t m = place_of(p, a), n = place_of(p, c);
    return a->rank - m == c->rank - n && memcmp(a->dim + m, c->dim + n, (size_t)(a->rank - m) * sizeof *a->dim) == 0;
}

/* B stands in front, where it is in nobody's way, if it cannot stay where it is. */
static RecId batch_reshape(Rewrite *w, RecBuild *b, const RecOp *was)
{
    const Type *from = rec_type(&w->old, was->use[0].v);
    if (same_behind(w->p, from, &was->type)) {
        Type there = batched_type(w->p, was->type, place_of(w->p, &was->type));
        return rec_reshape(b, with_batch(w, b, was->use[0].v, place_of(w->p, from)), there.rank, there.dim);
    }
    Type t = batched_type(w->p, was->type, 0);
    RecId front = with_batch(w, b, was->use[0].v, 0);
    return move_axis(b, rec_reshape(b, front, t.rank, t.dim), 0, place_of(w->p, &was->type));
}

/* SLICE, PAD and CONCAT work where the result has its B. */
static RecId batch_along(Rewrite *w, RecBuild *b, const RecOp *was, RecOp op)
{
    uint8_t at = place_of(w->p, &was->type);
    op.type = batched_type(w->p, was->type, at);
    op.along = (uint8_t)(was->along + (was->along >= at));
    for (uint32_t i = 0; i < op.nuse; i++)
        op.use[i] = (RecUse){.v = with_batch(w, b, was->use[i].v, at)};
    return pass_push(b, op);
}

static RecId batch_arg(Rewrite *w, RecBuild *b, RecOp op)
{
    op.type = batched_type(w->p, op.type, place_of(w->p, &op.type));
    return pass_push(b, op);
}

/* A sequence has its elements' B, behind its axis of places. */
static RecId batch_proj(Rewrite *w, RecBuild *b, const RecOp *was, const RecOp *op)
{
    const RecOp *recur = rec_op(&w->old, was->use[0].v);
    RecId v = rec_proj(b, op->use[0].v, op->index);
    if (op->index < recur->nstate)
        return v;
    RecId step = w->old.region.p[recur->region].result.p[op->index];
    uint8_t from = (uint8_t)(1 + place_of(w->p, rec_type(&w->old, step)));
    return move_axis(b, v, from, place_of(w->p, &was->type));
}

static RecId batch_op(Rewrite *w, RecBuild *b, RecId old, RecOp op)
{
    const Batch *c = w->cx;
    const RecOp *was = rec_op(&w->old, old);
    if (!c->has[old])
        return pass_push(b, op);
    if (op.kind == REC_PROJ)
        return batch_proj(w, b, was, &op);
    if (op.kind == REC_ARG || op.kind == REC_HISTORY)
        return batch_arg(w, b, op);
    if (pass_iterates(op.kind))
        return batch_iterating(w, b, was, op);
    if (op.kind == REC_RESHAPE)
        return batch_reshape(w, b, was);
    return batch_along(w, b, was, op);
}

/* A state that has B has it in its start and in its new value. */
static void batch_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const Batch *c = w->cx;
    const RecOp *op = rec_op(&w->old, old);
    const RecRegionInfo *from = &w->old.region.p[op->region];
    RecId *operand = rw_operands(w, old);
    for (uint32_t i = 0; i < op->nuse; i++) {
        const Type *one = rec_type(&w->old, from->arg.p[i]);
        uint8_t at = (uint8_t)(place_of(w->p, one) + (i >= op->nstate));
        if (c->has[from->arg.p[i]])
            operand[i] = with_batch(w, b, op->use[i].v, at);
    }
    RecRegion into;
    RecId v = rw_open(w, b, old, operand, &into);
    rw_region(w, op->region, into);
    RecBuild in = rw_build(w, into, old);
    RecId *result = NEWN(w->p->arena, RecId, from->result.n + 1);
    for (uint32_t i = 0; i < from->result.n; i++) {
        RecId r = from->result.p[i];
        bool state = i < op->nstate && c->has[from->arg.p[i]];
        result[i] = state ? with_batch(w, &in, r, place_of(w->p, rec_type(&w->old, r))) : w->to[r];
    }
    rec_recur_close(w->p, v, result, from->result.n);
}

/* Outputs of sequences have B even when all sequences give the same. */
static void batch_outputs(Rewrite *w)
{
    for (uint32_t i = 0; i < w->p->out.n; i++) {
        RecOut *out = &w->p->out.p[i];
        if (!out->batched)
            continue;
        RecBuild b = {w->p, w->old.op.p[out->value].home, out->at, out->name};
        RecId v = with_batch(w, &b, out->value, place_of(w->p, rec_type(&w->old, out->value)));
        w->to[out->value] = v;
        ((Batch *)w->cx)->has[out->value] = true;
    }
}

void rec_batch(RecProg *p)
{
    if (p->batched)
        return;
    Rewrite w = {.op = batch_op, .recur = batch_recur};
    rw_begin(&w, p);
    Batch c = {NEWN(p->arena, bool, w.old.op.n + 1)};
    w.cx = &c;
    find_batched(&w, &c);
    for (RecRegion r = 0; r < REC_NFN; r++)
        rw_region(&w, r, r);
    batch_outputs(&w);
    rw_end(&w);
    p->batched = true;
    rec_compact(p);
}
