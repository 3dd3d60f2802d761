/* Forward mode for one element by itself: see own.h. Along with each value goes which of its axes are those of the tensor, so that
 * "its own place" has a meaning; a sum over such an axis takes it on to an axis of the result of the same size. So of `U @ h` it is the
 * diagonal of U, for each gate and head. What leaves its place in another way (through axes of other sizes, cuts along the axis,
 * indices) is left out: this is part of a derivative, for what needs no more than that. */
#include "ir/rec/own.h"
#include "ir/rec/derivative.h"

enum { NOWHERE = MAXIT };

Own own_begin(RecBuild b, RecId seed)
{
    RecProg *p = b.prog;
    Own x = {b, p->op.n, seed, pass_ids(p->arena, p->op.n), NEWN(p->arena, bool, p->op.n + 1), NULL};
    x.axis = arena_alloc(p->arena, (p->op.n + 1) * sizeof *x.axis);
    Type t = *rec_type(p, seed);
    x.of[seed] = rec_broadcast(&x.b, rec_const(&x.b, DT_REAL, 1), &t);
    x.known[seed] = true;
    for (uint8_t k = 0; k < MAXRANK; k++)
        x.axis[seed][k] = k;
    return x;
}

static const RecOp *op_of(const Own *x, RecId v)
{
    return rec_op(x->b.prog, v);
}

static uint8_t rank_of(const Own *x)
{
    return rec_type(x->b.prog, x->seed)->rank;
}

static RecId part_of(Own *x, RecId v);

/* ---- where the tensor's axes run in an op's iteration space ---- */

typedef struct Place {
    uint8_t axis[MAXRANK];
} Place;

static Place place_in(const Own *x, const RecUse *u)
{
    Place at = {{0}};
    for (uint8_t k = 0; k < rank_of(x); k++)
        at.axis[k] = u->axis[x->axis[u->v][k]];
    return at;
}

static bool runs_along(const Own *x, const Place *at, uint8_t axis, uint8_t but)
{
    for (uint8_t k = 0; k < rank_of(x); k++)
        if (k != but && at->axis[k] == axis)
            return true;
    return false;
}

static bool is_place(const Own *x, const Place *at)
{
    for (uint8_t k = 0; k < rank_of(x); k++)
        if (at->axis[k] == NOWHERE || runs_along(x, at, at->axis[k], k))
            return false;
    return true;
}

/* The first part of a value says where its axes are; false for one that has them elsewhere. */
static bool agrees(Own *x, RecId v, RecId sum, const Place *at)
{
    if (!is_place(x, at))
        return false;
    if (sum == REC_NONE)
        memcpy(x->axis[v], at->axis, sizeof at->axis);
    return memcmp(x->axis[v], at->axis, rank_of(x)) == 0;
}

static RecId plus(Own *x, RecId a, RecId b)
{
    return a == REC_NONE || b == REC_NONE ? (a == REC_NONE ? b : a) : rec_map2(&x->b, FUN_ADD, a, b);
}

/* ---- elementwise functions ---- */

static RecId of_map(Own *x, RecId v)
{
    RecId sum = REC_NONE;
    for (uint32_t i = 0; i < op_of(x, v)->nuse; i++) {
        RecId d = part_of(x, op_of(x, v)->use[i].v);
        if (d == REC_NONE)
            continue;
        Place at = place_in(x, &op_of(x, v)->use[i]);
        if (agrees(x, v, sum, &at))
            sum = plus(x, sum, derivative_along(&x->b, v, i, d));
    }
    return sum;
}

/* ---- sums ---- */

/* The last axis of the result that is as long as `axis` and not one of the tensor's yet. */
static uint8_t another(const Own *x, const RecOp *op, const Place *at, uint8_t axis)
{
    for (uint8_t o = op->type.rank; o-- > 0;)
        if (op->space[o] == op->space[axis] && !runs_along(x, at, o, NOWHERE))
            return o;
    return NOWHERE;
}

/* A use in the space without the axes that were taken to others. */
static RecUse taken(RecUse u, uint8_t rank, const uint8_t *to, const uint8_t *number)
{
    for (uint8_t i = 0; i < rank; i++)
        u.axis[i] = number[to[u.axis[i]]];
    return u;
}

/* The same value with each axis once. */
static RecUse once(Own *x, RecUse u, const Dim *space)
{
    RecUse from = u, to = u;
    Dim dim[MAXRANK];
    uint8_t n = 0, rank = rec_type(x->b.prog, u.v)->rank;
    for (uint8_t i = 0; i < rank; i++) {
        uint8_t k = 0;
        while (k < n && to.axis[k] != u.axis[i])
            k++;
        to.axis[k] = u.axis[i];
        from.axis[i] = k;
        n = k == n ? (uint8_t)(n + 1) : n;
    }
    for (uint8_t k = 0; k < n; k++)
        dim[k] = space[to.axis[k]];
    return n == rank ? u : pass_with(to, rec_map(&x->b, FUN_ID, &from, n, dim));
}

/* Of a sum, or a sum of products with `other`: axes of the tensor that are summed over are taken to others of the result. */
static RecId of_sum(Own *x, RecId v, RecUse u, RecId d, const RecUse *other, Place *at)
{
    RecOp op = *op_of(x, v);
    uint8_t to[MAXIT + 1], number[MAXIT + 1] = {0}, nit = 0, rank = op.type.rank;
    Dim space[MAXIT];
    for (uint8_t i = 0; i < op.nit; i++)
        to[i] = i;
    for (uint8_t k = 0; k < rank_of(x); k++)
        if (at->axis[k] >= rank) {
            uint8_t from = at->axis[k];
            at->axis[k] = to[from] = another(x, &op, at, from);
        }
    if (!is_place(x, at))
        return REC_NONE;
    for (uint8_t i = 0; i < op.nit; i++)
        if (to[i] == i) {
            space[nit] = op.space[i];
            number[i] = nit++;
        }
    RecUse use[2] = {once(x, taken(pass_with(u, d), rec_type(x->b.prog, u.v)->rank, to, number), space)};
    if (other)
        use[1] = once(x, taken(*other, rec_type(x->b.prog, other->v)->rank, to, number), space);
    if (nit == rank)
        return rec_map(&x->b, other ? FUN_MUL : FUN_ID, use, rank, space);
    return other ? rec_contract(&x->b, use[0], use[1], rank, nit, space) : rec_reduce(&x->b, RED_SUM, use[0], rank, nit, space);
}

static RecId of_sums(Own *x, RecId v)
{
    RecId sum = REC_NONE;
    uint32_t n = op_of(x, v)->nuse;
    for (uint32_t i = 0; i < n; i++) {
        RecUse u = op_of(x, v)->use[i], other = op_of(x, v)->use[n - 1 - i];
        RecId d = part_of(x, u.v);
        if (d == REC_NONE)
            continue;
        Place at = place_in(x, &u);
        RecId part = of_sum(x, v, u, d, n > 1 ? &other : NULL, &at);
        if (part != REC_NONE && agrees(x, v, sum, &at))
            sum = plus(x, sum, part);
    }
    return sum;
}

/* ---- what moves ---- */

static RecId moved(void *cx, RecId v)
{
    Own *x = cx;
    RecId d = part_of(x, v);
    Type t = *rec_type(x->b.prog, v);
    return d != REC_NONE ? d : t.dt == DT_REAL ? rec_zeros(&x->b, &t) : v;
}

/* Not along an axis of the tensor, and all operands that have a part have it in the same place. */
static RecId of_cut(Own *x, RecId v)
{
    RecOp op = *op_of(x, v);
    RecId any = REC_NONE;
    for (uint32_t i = 0; i < op.nuse; i++) {
        RecId d = part_of(x, op.use[i].v);
        RecUse whole = rec_use(op.use[i].v, op.type.rank);
        Place at = d == REC_NONE ? (Place){{0}} : place_in(x, &whole);
        if (d != REC_NONE && (runs_along(x, &at, op.along, NOWHERE) || !agrees(x, v, any, &at)))
            return REC_NONE;
        any = d == REC_NONE ? any : d;
    }
    return any == REC_NONE ? REC_NONE : pass_copy(&x->b, op, moved, x);
}

static Dim before(const Own *x, const Type *t, uint8_t axis)
{
    Dim n = DIM_ONE;
    for (uint8_t i = 0; i < axis; i++)
        n = dim_mul(x->b.prog->dims, n, t->dim[i]);
    return n;
}

/* The axis of a reshaped value that is this one of what it is made of. */
static uint8_t same_axis(const Own *x, const Type *from, uint8_t axis, const Type *to)
{
    for (uint8_t i = 0; i < to->rank; i++)
        if (to->dim[i] == from->dim[axis] && before(x, to, i) == before(x, from, axis))
            return i;
    return NOWHERE;
}

static RecId of_reshape(Own *x, RecId v)
{
    RecOp op = *op_of(x, v);
    RecId from = op.use[0].v, d = part_of(x, from);
    Place at = {{0}};
    if (d == REC_NONE)
        return REC_NONE;
    Type was = *rec_type(x->b.prog, from);
    for (uint8_t k = 0; k < rank_of(x); k++)
        at.axis[k] = same_axis(x, &was, x->axis[from][k], &op.type);
    return agrees(x, v, REC_NONE, &at) ? pass_copy(&x->b, op, moved, x) : REC_NONE;
}

static RecId made(Own *x, RecId v)
{
    const RecOp *op = op_of(x, v);
    if (op->type.dt != DT_REAL)
        return REC_NONE;
    switch (op->kind) {
    case REC_MAP: return of_map(x, v);
    case REC_REDUCE: return op->red == RED_SUM ? of_sums(x, v) : REC_NONE;
    case REC_CONTRACT: return of_sums(x, v);
    case REC_SLICE:
    case REC_PAD:
    case REC_CONCAT: return of_cut(x, v);
    case REC_RESHAPE: return of_reshape(x, v);
    case REC_GATHER:
    case REC_SCATTER:
    case REC_ARG:
    case REC_CONST:
    case REC_DIM:
    case REC_IOTA:
    case REC_RANDOM:
    case REC_GIVEN:
    case REC_RECUR:
    case REC_PROJ:
    case REC_HISTORY:
    case REC_REGARG:
    case REC_KIND_COUNT: break;
    }
    return REC_NONE;
}

static RecId part_of(Own *x, RecId v)
{
    if (v >= x->n)
        return REC_NONE;
    if (!x->known[v]) {
        x->of[v] = made(x, v);
        x->known[v] = true;
    }
    return x->of[v];
}

RecId own_of(Own *x, RecId v)
{
    RecId d = part_of(x, v);
    if (d == REC_NONE || !type_eq(rec_type(x->b.prog, v), rec_type(x->b.prog, x->seed)))
        return REC_NONE;
    for (uint8_t k = 0; k < rank_of(x); k++)
        if (x->axis[v][k] != k)
            return REC_NONE;
    return d;
}
