/* rec.simplify: constants, neutral operands, axis maps folded into the ops that read them, views of views, slices of
 * concatenations, padded parts added up, and common subexpressions within a region.
 * x * 0 stays: x may be infinite or no number. */
#include "ir/rec/pass.h"

#include <math.h>

typedef struct Simplify {
    VEC(RecId) * bucket; /* new ops by hash, NBUCKET of them */
} Simplify;

enum { NBUCKET = 1024, MAXPARTS = 64 };

/* ---- common subexpressions ---- */

static uint32_t hash_add(uint32_t h, uint32_t x)
{
    return (h ^ x) * 16777619u;
}

static uint32_t op_hash(const RecProg *p, const RecOp *op)
{
    uint32_t h = hash_add(hash_add(2166136261u, op->kind), op->home);
    h = hash_add(hash_add(h, op->type.rank), op->type.dt);
    if (op->kind == REC_MAP)
        h = hash_add(h, op->fun);
    for (uint32_t i = 0; i < op->nuse; i++) {
        h = hash_add(h, op->use[i].v);
        for (uint8_t k = 0; pass_iterates(op->kind) && k < rec_type(p, op->use[i].v)->rank; k++)
            h = hash_add(h, op->use[i].axis[k]);
    }
    return h;
}

static bool same_number(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static bool same_attributes(const RecOp *a, const RecOp *b)
{
    switch (a->kind) {
    case REC_ARG:
    case REC_RECUR:
    case REC_REGARG:
    case REC_KIND_COUNT: return false;
    case REC_GIVEN: return a->arg == b->arg;
    case REC_CONST: return same_number(a->number, b->number);
    case REC_DIM: return a->dim == b->dim;
    case REC_RANDOM: return a->stream == b->stream;
    case REC_MAP: return a->fun == b->fun;
    case REC_REDUCE: return a->red == b->red;
    case REC_GATHER: return a->nindex == b->nindex;
    case REC_SCATTER: return a->nindex == b->nindex && memcmp(a->out_axis, b->out_axis, sizeof a->out_axis) == 0;
    case REC_SLICE:
    case REC_PAD: return a->along == b->along && a->lo == b->lo;
    case REC_CONCAT: return a->along == b->along;
    case REC_PROJ: return a->index == b->index;
    case REC_HISTORY: return a->index == b->index && a->home == b->home;
    case REC_CONTRACT:
    case REC_IOTA:
    case REC_RESHAPE: return true;
    }
    return false;
}

static bool same_use(const RecProg *p, const RecOp *op, RecUse a, RecUse b, uint32_t i)
{
    if (a.v != b.v)
        return false;
    uint32_t from = op->kind == REC_GATHER && i == 0 ? op->nindex : 0;
    for (uint32_t k = from; pass_iterates(op->kind) && k < rec_type(p, a.v)->rank; k++)
        if (a.axis[k] != b.axis[k])
            return false;
    return true;
}

static bool same_op(const RecProg *p, const RecOp *a, const RecOp *b)
{
    if (a->kind != b->kind || a->home != b->home || a->nuse != b->nuse || a->nit != b->nit ||
        !type_eq(&a->type, &b->type) || !same_attributes(a, b))
        return false;
    for (uint8_t i = 0; i < a->nit; i++)
        if (a->space[i] != b->space[i])
            return false;
    for (uint32_t i = 0; i < a->nuse; i++)
        if (!same_use(p, a, a->use[i], b->use[i], i))
            return false;
    return true;
}

/* The op, or one before it that is the same. */
static RecId emit(Rewrite *w, RecBuild *b, RecOp op)
{
    Simplify *s = w->cx;
    op.home = b->region;
    uint32_t h = op_hash(w->p, &op) % NBUCKET;
    for (uint32_t i = 0; i < s->bucket[h].n; i++)
        if (same_op(w->p, rec_op(w->p, s->bucket[h].p[i]), &op))
            return s->bucket[h].p[i];
    RecId v = pass_push(b, op);
    vec_push(w->p->arena, &s->bucket[h], v);
    return v;
}

/* ---- making ops on the way ---- */

static RecId simple(Rewrite *w, RecBuild *b, RecOp op);

static RecId make_map(Rewrite *w, RecBuild *b, Fun f, const RecUse *use, Type t)
{
    RecOp op = {
        .kind = REC_MAP, .type = t, .nit = t.rank, .fun = f, .nuse = fun_info(f)->arity, .name = b->name, .at = b->at};
    memcpy(op.space, t.dim, t.rank * sizeof *t.dim);
    op.use = NEWN(w->p->arena, RecUse, op.nuse);
    memcpy(op.use, use, op.nuse * sizeof *use);
    return simple(w, b, op);
}

static RecId make_const(Rewrite *w, RecBuild *b, Type t, double number)
{
    RecOp op = {.kind = REC_CONST, .type = {.dt = t.dt}, .number = number, .name = b->name, .at = b->at};
    RecId v = emit(w, b, op);
    return t.rank ? make_map(w, b, FUN_ID, &(RecUse){.v = v}, t) : v;
}

/* One operand, a view of another kind. */
static RecId make_view(Rewrite *w, RecBuild *b, RecKind kind, RecId a, Type t, uint8_t along, Dim lo)
{
    RecOp op = {.kind = kind, .type = t, .nuse = 1, .use = NEWN(w->p->arena, RecUse, 1), .name = b->name, .at = b->at};
    op.use[0].v = a;
    if (kind != REC_RESHAPE) {
        op.along = along;
        op.lo = lo;
    }
    return simple(w, b, op);
}

static RecId make_concat(Rewrite *w, RecBuild *b, const RecId *v, uint32_t n, Type t, uint8_t along)
{
    RecOp op = {
        .kind = REC_CONCAT, .type = t, .nuse = n, .use = NEWN(w->p->arena, RecUse, n), .name = b->name, .at = b->at};
    op.along = along;
    for (uint32_t i = 0; i < n; i++)
        op.use[i].v = v[i];
    return simple(w, b, op);
}

/* ---- axis maps ---- */

static bool repeats_axis(const RecProg *p, RecUse u)
{
    uint32_t seen = 0;
    for (uint8_t i = 0; i < rec_type(p, u.v)->rank; seen |= 1u << u.axis[i++])
        if (seen >> u.axis[i] & 1)
            return true;
    return false;
}

/* Operands that are ID maps are read through, as long as the op's rule about named axes still holds. A diagonal stays a
 * value of its own, so that its gradient is spread over the matrix once and not for each reader and place. */
static void read_through(const RecProg *p, RecOp *op, uint32_t i)
{
    RecUse *u = &op->use[i];
    for (;;) {
        const RecOp *from = rec_op(p, u->v);
        if (from->kind != REC_MAP || from->fun != FUN_ID || (op->kind == REC_GATHER && i == 0))
            return;
        RecUse was = *u;
        *u = pass_compose(p, from->use[0], was);
        uint32_t names = pass_names(p, *u), all = (1u << op->nit) - 1, reduced = all & ~((1u << op->type.rank) - 1);
        bool ok = !repeats_axis(p, *u);
        if (op->kind == REC_REDUCE)
            ok &= names == all;
        if (op->kind == REC_CONTRACT)
            ok &= (names & reduced) == reduced && (names | pass_names(p, op->use[1 - i])) == all;
        if (!ok) {
            *u = was;
            return;
        }
    }
}

/* ---- maps ---- */

static bool const_use(const RecProg *p, RecUse u, double *number)
{
    return pass_const(p, u.v, number);
}

static bool is_number(const RecProg *p, RecUse u, double number)
{
    double x;
    return const_use(p, u, &x) && x == number;
}

/* All operands constant: the result is one. */
static bool fold(const RecProg *p, const RecOp *op, double *number)
{
    double x[3] = {0};
    if (op->fun == FUN_STOP || op->fun == FUN_CHOSEN || op->nuse == 0)
        return false;
    for (uint32_t i = 0; i < op->nuse; i++)
        if (!const_use(p, op->use[i], &x[i]))
            return false;
    if ((op->fun == FUN_IDIV || op->fun == FUN_IMOD) && x[1] == 0)
        return false;
    *number = fun_eval(op->fun, x[0], x[1], x[2]);
    return op->type.dt != DT_INT || fabs(*number) <= 0x7fffffff;
}

/* Which operand the map just passes on; -1 if it does work. */
static int passed_on(const RecProg *p, const RecOp *op)
{
    const RecUse *u = op->use;
    double x;
    switch (op->fun) {
    case FUN_ID: return 0;
    case FUN_ADD: return is_number(p, u[0], 0) ? 1 : is_number(p, u[1], 0) ? 0 : -1;
    case FUN_SUB: return is_number(p, u[1], 0) ? 0 : -1;
    case FUN_MUL: return is_number(p, u[0], 1) ? 1 : is_number(p, u[1], 1) ? 0 : -1;
    case FUN_DIV:
    case FUN_POW: return is_number(p, u[1], 1) && rec_type(p, u[0].v)->dt == DT_REAL ? 0 : -1;
    case FUN_AND:
        return is_number(p, u[0], 1) ? 1 : is_number(p, u[1], 1) ? 0 : same_use(p, op, u[0], u[1], 0) ? 0 : -1;
    case FUN_OR: return is_number(p, u[0], 0) ? 1 : is_number(p, u[1], 0) ? 0 : same_use(p, op, u[0], u[1], 0) ? 0 : -1;
    case FUN_REAL: return rec_type(p, u[0].v)->dt == DT_REAL ? 0 : -1;
    case FUN_WHERE:
        if (const_use(p, u[0], &x))
            return x != 0 ? 1 : 2;
        return same_use(p, op, u[1], u[2], 1) ? 1 : -1;
    default: return -1;
    }
}

/* neg(neg(x)), not(not(x)): the inner x. */
static bool undone(const RecProg *p, const RecOp *op, RecUse *inner)
{
    if (op->fun != FUN_NEG && op->fun != FUN_NOT)
        return false;
    const RecOp *a = rec_op(p, op->use[0].v);
    if (a->kind != REC_MAP || a->fun != op->fun)
        return false;
    *inner = pass_compose(p, a->use[0], op->use[0]);
    return true;
}

static bool same_operand(const RecProg *p, RecUse a, RecUse b)
{
    return a.v == b.v && memcmp(a.axis, b.axis, rec_type(p, a.v)->rank) == 0;
}

/* a or (a and b), a and (a or b): a. a or (a or b), a and (a and b): the inner one. Which operand is left; -1: both. */
static int absorbs(const RecProg *p, const RecOp *op)
{
    if (op->fun != FUN_AND && op->fun != FUN_OR)
        return -1;
    for (int i = 0; i < 2; i++) {
        const RecOp *in = rec_op(p, op->use[i].v);
        if (in->kind != REC_MAP || (in->fun != FUN_AND && in->fun != FUN_OR))
            continue;
        for (int k = 0; k < 2; k++)
            if (same_operand(p, pass_compose(p, in->use[k], op->use[i]), op->use[1 - i]))
                return in->fun == op->fun ? i : 1 - i;
    }
    return -1;
}

/* ---- padded parts that are added up, or of which one is true ---- */

typedef struct Parts {
    RecId v[MAXPARTS];
    uint32_t n;
} Parts;

/* The terms of a sum (or of what `fun` is), through sums of the whole; false when there are too many. */
static bool terms_of(const RecProg *p, Fun fun, RecId v, Parts *out)
{
    const RecOp *op = rec_op(p, v);
    uint8_t rank = op->type.rank;
    if (op->kind == REC_MAP && op->fun == fun && pass_is_identity(p, op->use[0], rank) && pass_is_identity(p, op->use[1], rank))
        return terms_of(p, fun, op->use[0].v, out) && terms_of(p, fun, op->use[1].v, out);
    if (out->n == MAXPARTS)
        return false;
    out->v[out->n++] = v;
    return true;
}

static int64_t find_pad(const RecProg *p, const Parts *t, uint8_t along, Dim lo)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const RecOp *op = rec_op(p, t->v[i]);
        if (op->kind == REC_PAD && op->along == along && op->lo == lo)
            return i;
    }
    return -1;
}

/* When the terms are parts that tile an axis, each place once: their concatenation. */
static RecId tiled(Rewrite *w, RecBuild *b, const Parts *t, Type type)
{
    const RecOp *first = rec_op(w->p, t->v[0]);
    if (first->kind != REC_PAD)
        return REC_NONE;
    uint8_t along = first->along;
    RecId part[MAXPARTS];
    Dim lo = DIM_ZERO;
    for (uint32_t i = 0; i < t->n; i++) {
        int64_t at = find_pad(w->p, t, along, lo);
        if (at < 0)
            return REC_NONE;
        part[i] = rec_op(w->p, t->v[at])->use[0].v;
        lo = dim_add(w->p->dims, lo, rec_type(w->p, part[i])->dim[along]);
    }
    return lo == type.dim[along] ? make_concat(w, b, part, t->n, type, along) : REC_NONE;
}

static RecId sum_of_pads(Rewrite *w, RecBuild *b, const RecOp *op)
{
    Parts t = {.n = 0};
    for (int i = 0; i < 2; i++)
        if (!pass_is_identity(w->p, op->use[i], op->type.rank) || !terms_of(w->p, op->fun, op->use[i].v, &t))
            return REC_NONE;
    return t.n ? tiled(w, b, &t, op->type) : REC_NONE;
}

/* Of conditions: over the axes that some operand has, and broadcast along the others. What is compared stays as wide as what the condition chooses,
 * since rec/linear.c looks for the two together. */
static RecId map_of_fewer(Rewrite *w, RecBuild *b, const RecOp *op)
{
    uint32_t names = 0;
    uint8_t place[MAXRANK] = {0};
    Type t = {.dt = op->type.dt};
    RecUse use[3], wide = {0};
    for (uint32_t i = 0; i < op->nuse; i++)
        names |= pass_names(w->p, op->use[i]);
    for (uint8_t i = 0; i < op->type.rank; i++)
        if (names >> i & 1) {
            wide.axis[t.rank] = i;
            place[i] = t.rank;
            t.dim[t.rank++] = op->type.dim[i];
        }
    if (t.rank == op->type.rank)
        return REC_NONE;
    for (uint32_t i = 0; i < op->nuse; i++) {
        use[i] = op->use[i];
        for (uint8_t k = 0; k < rec_type(w->p, use[i].v)->rank; k++)
            use[i].axis[k] = place[use[i].axis[k]];
    }
    wide.v = make_map(w, b, op->fun, use, t);
    return make_map(w, b, FUN_ID, &wide, op->type);
}

static RecId simple_map(Rewrite *w, RecBuild *b, RecOp op)
{
    double number;
    RecUse inner;
    for (uint32_t i = 0; i < op.nuse; i++)
        read_through(w->p, &op, i);
    if (fold(w->p, &op, &number) && (op.fun != FUN_ID || op.type.rank == 0))
        return make_const(w, b, op.type, number);
    int k = passed_on(w->p, &op);
    if (k < 0)
        k = absorbs(w->p, &op);
    if (k >= 0 && pass_is_identity(w->p, op.use[k], op.type.rank))
        return op.use[k].v;
    if (k >= 0 && op.fun != FUN_ID)
        return make_map(w, b, FUN_ID, &op.use[k], op.type);
    if (undone(w->p, &op, &inner))
        return make_map(w, b, FUN_ID, &inner, op.type);
    if (op.fun == FUN_POW && is_number(w->p, op.use[1], 2) && rec_type(w->p, op.use[0].v)->dt == DT_REAL)
        return make_map(w, b, FUN_MUL, (RecUse[]){op.use[0], op.use[0]}, op.type);
    if (op.fun == FUN_SUB && is_number(w->p, op.use[0], 0))
        return make_map(w, b, FUN_NEG, &op.use[1], op.type);
    RecId v = op.fun == FUN_ADD || op.fun == FUN_OR ? sum_of_pads(w, b, &op) : REC_NONE;
    if (op.fun == FUN_AND || op.fun == FUN_NOT || (op.fun == FUN_OR && v == REC_NONE))
        v = map_of_fewer(w, b, &op);
    return v != REC_NONE ? v : emit(w, b, op);
}

/* ---- views ---- */

static bool surely_within(DimTab *t, Dim lo, Dim size, Dim whole)
{
    int64_t first, rest;
    return dim_is_const(t, lo, &first) && first >= 0 &&
           dim_is_const(t, dim_sub(t, dim_sub(t, whole, size), lo), &rest) && rest >= 0;
}

/* A slice that lies in one part of a concatenation. */
static RecId slice_of_concat(Rewrite *w, RecBuild *b, const RecOp *op, const RecOp *cat)
{
    DimTab *t = w->p->dims;
    Dim at = DIM_ZERO, size = op->type.dim[op->along];
    for (uint32_t i = 0; i < cat->nuse; i++) {
        Dim part = rec_type(w->p, cat->use[i].v)->dim[op->along], lo = dim_sub(t, op->lo, at);
        if (lo == DIM_ZERO && part == size)
            return cat->use[i].v;
        if (surely_within(t, lo, size, part))
            return make_view(w, b, REC_SLICE, cat->use[i].v, op->type, op->along, lo);
        at = dim_add(t, at, part);
    }
    return REC_NONE;
}

/* A broadcast stays one in another shape. */
static bool is_broadcast(const RecProg *p, RecId v)
{
    const RecOp *op = rec_op(p, v);
    return op->kind == REC_MAP && op->fun == FUN_ID && rec_type(p, op->use[0].v)->rank == 0;
}

/* A view along one axis, of what is broadcast along others, is one of what has that axis. */
static RecId view_of_broadcast(Rewrite *w, RecBuild *b, const RecOp *op, const RecOp *a)
{
    if (a->kind != REC_MAP || a->fun != FUN_ID || repeats_axis(w->p, a->use[0]))
        return REC_NONE;
    RecUse u = a->use[0];
    Type t = *rec_type(w->p, u.v);
    for (uint8_t k = 0; k < t.rank && t.rank < op->type.rank; k++)
        if (u.axis[k] == op->along) {
            t.dim[k] = op->type.dim[op->along];
            u.v = make_view(w, b, op->kind, u.v, t, k, op->lo);
            return make_map(w, b, FUN_ID, &u, op->type);
        }
    return REC_NONE;
}

static RecId simple_slice(Rewrite *w, RecBuild *b, RecOp op)
{
    const RecOp a = *rec_op(w->p, op.use[0].v);
    RecId v = REC_NONE;
    if (type_eq(&op.type, &a.type))
        return op.use[0].v;
    if (is_broadcast(w->p, op.use[0].v))
        return make_map(w, b, FUN_ID, a.use, op.type);
    if (a.kind == REC_SLICE && a.along == op.along)
        return make_view(w, b, REC_SLICE, a.use[0].v, op.type, op.along, dim_add(w->p->dims, a.lo, op.lo));
    if (a.kind == REC_CONCAT && a.along == op.along)
        v = slice_of_concat(w, b, &op, &a);
    if (a.kind == REC_PAD && a.along == op.along && a.lo == op.lo && type_eq(rec_type(w->p, a.use[0].v), &op.type))
        v = a.use[0].v;
    if (v == REC_NONE)
        v = view_of_broadcast(w, b, &op, &a);
    return v != REC_NONE ? v : emit(w, b, op);
}

static RecId simple_pad(Rewrite *w, RecBuild *b, RecOp op)
{
    const RecOp a = *rec_op(w->p, op.use[0].v);
    if (type_eq(&op.type, &a.type))
        return op.use[0].v;
    if (pass_zeros(w->p, op.use[0].v))
        return make_const(w, b, op.type, 0);
    if (a.kind == REC_PAD && a.along == op.along)
        return make_view(w, b, REC_PAD, a.use[0].v, op.type, op.along, dim_add(w->p->dims, a.lo, op.lo));
    RecId v = view_of_broadcast(w, b, &op, &a);
    return v != REC_NONE ? v : emit(w, b, op);
}

/* In another shape, what is broadcast along the last axes alone, if those stay as they are: it gets the other ones' shape. */
static RecId reshape_of_broadcast(Rewrite *w, RecBuild *b, const RecOp *op, const RecOp *a)
{
    if (a->kind != REC_MAP || a->fun != FUN_ID)
        return REC_NONE;
    Type t = *rec_type(w->p, a->use[0].v);
    uint8_t last = (uint8_t)(a->type.rank - t.rank);
    bool same = pass_is_identity(w->p, a->use[0], t.rank) && last > 0 && last < op->type.rank;
    for (uint8_t i = 1; same && i <= last; i++)
        same = a->type.dim[a->type.rank - i] == op->type.dim[op->type.rank - i];
    if (!same)
        return REC_NONE;
    t.rank = (uint8_t)(op->type.rank - last);
    memcpy(t.dim, op->type.dim, t.rank * sizeof *t.dim);
    RecUse u = rec_use(make_view(w, b, REC_RESHAPE, a->use[0].v, t, 0, DIM_ZERO), t.rank);
    return make_map(w, b, FUN_ID, &u, op->type);
}

static RecId simple_reshape(Rewrite *w, RecBuild *b, RecOp op)
{
    const RecOp a = *rec_op(w->p, op.use[0].v);
    if (type_eq(&op.type, &a.type))
        return op.use[0].v;
    if (is_broadcast(w->p, op.use[0].v))
        return make_map(w, b, FUN_ID, a.use, op.type);
    if (a.kind == REC_RESHAPE)
        return make_view(w, b, REC_RESHAPE, a.use[0].v, op.type, 0, DIM_ZERO);
    RecId v = reshape_of_broadcast(w, b, &op, &a);
    return v != REC_NONE ? v : emit(w, b, op);
}

/* Neighbouring slices of one value, in order, that make it whole again. */
static RecId whole_again(const RecProg *p, DimTab *t, const RecOp *op)
{
    Dim lo = DIM_ZERO;
    RecId from = REC_NONE;
    for (uint32_t i = 0; i < op->nuse; i++) {
        const RecOp *a = rec_op(p, op->use[i].v);
        if (a->kind != REC_SLICE || a->along != op->along || a->lo != lo || (i && a->use[0].v != from))
            return REC_NONE;
        from = a->use[0].v;
        lo = dim_add(t, lo, a->type.dim[a->along]);
    }
    return from != REC_NONE && type_eq(rec_type(p, from), &op->type) ? from : REC_NONE;
}

static RecId simple_concat(Rewrite *w, RecBuild *b, RecOp op)
{
    if (op.nuse == 1)
        return op.use[0].v;
    RecId v = whole_again(w->p, w->p->dims, &op);
    return v != REC_NONE ? v : emit(w, b, op);
}

/* ---- the rest ---- */

/* A sequence that the step only hands on, the same value at every place, or a state that no step changes, needs no
 * recurrence. */
static RecId handed_on(Rewrite *w, RecBuild *b, const RecOp *op)
{
    const RecOp *recur = rec_op(w->p, op->use[0].v);
    RecId step = w->p->region.p[recur->region].result.p[op->index];
    const RecOp *from = rec_op(w->p, step);
    if (op->index < recur->nstate)
        return step == recur->use[op->index].v ? step : REC_NONE;
    if (from->kind == REC_REGARG && from->home == recur->region && from->index >= recur->nstate)
        return recur->use[from->index].v;
    if (rec_inside(w->p, step, recur->region))
        return REC_NONE;
    RecUse u = rec_use_tail(w->p, step, op->type.rank);
    return make_map(w, b, FUN_ID, &u, op->type);
}

static RecId simple_proj(Rewrite *w, RecBuild *b, RecOp op)
{
    const RecOp *recur = rec_op(w->p, op.use[0].v);
    const RecRegionInfo *body = &w->p->region.p[recur->region];
    RecId step = body->result.p[op.index], other = handed_on(w, b, &op);
    if (other != REC_NONE)
        return other;
    for (uint32_t i = recur->nstate; i < op.index; i++)
        if (body->result.p[i] == step) {
            op.index = i;
            break;
        }
    return emit(w, b, op);
}

/* Of zeros; a contraction with zeros stays, as x * 0 does. */
static RecId simple_reduce(Rewrite *w, RecBuild *b, RecOp op)
{
    read_through(w->p, &op, 0);
    if (op.red == RED_SUM && pass_zeros(w->p, op.use[0].v))
        return make_const(w, b, op.type, 0);
    if (op.nit == op.type.rank)
        return make_map(w, b, FUN_ID, op.use, op.type);
    return emit(w, b, op);
}

/* Sums are products of matrices there, whose operands stand in memory: elsewhere a condition on an operand costs next to nothing. */
static bool is_in_chunk(const RecProg *p, RecRegion r)
{
    return p->region.p[r].owner != REC_NONE && rec_op(p, p->region.p[r].owner)->chunk;
}

/* An operand with all axes that is 0 where a condition does not hold, and that condition has none of the axes that are summed over: it holds of
 * whole sums, of which there are fewer. */
static RecId sums_where(Rewrite *w, RecBuild *b, RecOp op, uint32_t i)
{
    const RecProg *p = w->p;
    const RecOp *where = rec_op(p, op.use[i].v);
    uint32_t all = (1u << op.nit) - 1, result = (1u << op.type.rank) - 1;
    if (op.nit == op.type.rank || where->kind != REC_MAP || where->fun != FUN_WHERE || !pass_zeros(p, where->use[2].v) || pass_names(p, op.use[i]) != all)
        return REC_NONE;
    RecUse use[3] = {pass_compose(p, where->use[0], op.use[i]), {0}, {0}}, x = pass_compose(p, where->use[1], op.use[i]);
    if ((pass_names(p, use[0]) & ~result) || pass_names(p, x) != all)
        return REC_NONE;
    RecUse *operand = NEWN(p->arena, RecUse, 2);
    operand[i] = x;
    operand[1 - i] = op.use[1 - i];
    op.use = operand;
    use[1] = rec_use(simple(w, b, op), op.type.rank);
    use[2].v = make_const(w, b, (Type){.dt = op.type.dt}, 0);
    return make_map(w, b, FUN_WHERE, use, op.type);
}

/* Nothing summed: a product of elements. */
static RecId simple_contract(Rewrite *w, RecBuild *b, RecOp op)
{
    read_through(w->p, &op, 0);
    read_through(w->p, &op, 1);
    for (uint32_t i = 0; i < 2 && is_in_chunk(w->p, b->region); i++) {
        RecId v = sums_where(w, b, op, i);
        if (v != REC_NONE)
            return v;
    }
    return op.nit == op.type.rank ? make_map(w, b, FUN_MUL, op.use, op.type) : emit(w, b, op);
}

static RecId simple(Rewrite *w, RecBuild *b, RecOp op)
{
    int64_t n;
    switch (op.kind) {
    case REC_DIM: return dim_is_const(w->p->dims, op.dim, &n) ? make_const(w, b, op.type, (double)n) : emit(w, b, op);
    case REC_MAP: return simple_map(w, b, op);
    case REC_REDUCE: return simple_reduce(w, b, op);
    case REC_SLICE: return simple_slice(w, b, op);
    case REC_PAD: return simple_pad(w, b, op);
    case REC_CONCAT: return simple_concat(w, b, op);
    case REC_RESHAPE: return simple_reshape(w, b, op);
    case REC_PROJ: return simple_proj(w, b, op);
    case REC_CONTRACT: return simple_contract(w, b, op);
    case REC_GATHER:
    case REC_SCATTER:
        for (uint32_t i = 0; i < op.nuse; i++)
            read_through(w->p, &op, i);
        return emit(w, b, op);
    case REC_ARG:
    case REC_CONST:
    case REC_IOTA:
    case REC_RANDOM:
    case REC_GIVEN: return emit(w, b, op);
    case REC_HISTORY: return emit(w, b, op);
    case REC_RECUR:
    case REC_REGARG:
    case REC_KIND_COUNT: break;
    }
    ice("rec.simplify: %d is not simple", (int)op.kind);
}

static RecId simplify_op(Rewrite *w, RecBuild *b, RecId old, RecOp op)
{
    (void)old;
    return simple(w, b, op);
}

/* ---- recurrences ---- */

/* A state that starts as a constant and stays it. */
static bool constant_state(const Rewrite *w, const RecOp *recur, uint32_t i, double *number)
{
    RecId init = recur->use[i].v, next = w->old.region.p[recur->region].result.p[i];
    double n;
    return pass_const(&w->old, init, number) && pass_const(&w->old, next, &n) && same_number(n, *number);
}

/* A sequence that is a value broadcast over the places: in the step, that value. */
static bool same_everywhere(const RecProg *p, RecId seq, uint8_t places, RecUse *u)
{
    const RecOp *op = rec_op(p, seq);
    if (op->kind != REC_MAP || op->fun != FUN_ID)
        return false;
    *u = op->use[0];
    for (uint8_t i = 0; i < rec_type(p, u->v)->rank; i++) {
        if (u->axis[i] < places)
            return false;
        u->axis[i] = (uint8_t)(u->axis[i] - places);
    }
    return true;
}

/* What a region argument is in the new step, when it need not be one; REC_NONE otherwise. */
static RecId instead_of_argument(Rewrite *w, RecBuild *in, const RecOp *recur, uint32_t i, const RecId *operand)
{
    const RecRegionInfo *from = &w->old.region.p[recur->region];
    Type t = *rec_type(&w->old, from->arg.p[i]);
    double number;
    RecUse u;
    if (recur->is_operator)
        return REC_NONE; /* it is to take other values too */
    if (i < recur->nstate && from->result.p[i] == from->arg.p[i])
        return operand[i];
    if (i < recur->nstate)
        return constant_state(w, recur, i, &number) ? make_const(w, in, t, number) : REC_NONE;
    if (same_everywhere(w->p, operand[i], recur->grid ? recur->grid->naxes : 1, &u))
        return make_map(w, in, FUN_ID, &u, t);
    for (uint32_t k = recur->nstate; k < i; k++)
        if (operand[k] == operand[i])
            return w->to[from->arg.p[k]];
    return REC_NONE;
}

static void simplify_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    const RecRegionInfo *from = &w->old.region.p[op->region];
    RecId *operand = rw_operands(w, old);
    RecRegion into;
    rw_open(w, b, old, operand, &into);
    RecBuild in = rw_build(w, into, old);
    for (uint32_t i = 0; i < from->arg.n; i++) {
        RecId x = instead_of_argument(w, &in, op, i, operand);
        if (x != REC_NONE)
            w->to[from->arg.p[i]] = x;
    }
    rw_region(w, op->region, into);
    rw_close(w, old);
}

void rec_simplify(RecProg *p)
{
    Rewrite w = {.op = simplify_op, .recur = simplify_recur};
    Simplify s = {0};
    s.bucket = (void *)arena_alloc(p->arena, NBUCKET * sizeof *s.bucket);
    w.cx = &s;
    rw_run(&w, p);
}
