/* The symbolic derivative of a step by its carried states, in product form: see linear.h. */
#include "ir/rec/linear.h"

static bool is_zero(const LinearCx *cx, RecId v)
{
    double number;
    return pass_const(cx->p, v, &number) && number == (cx->exponentials ? 0 : algebra_info(cx->algebra)->zero);
}

bool linear_in_question(const LinearCx *cx, RecId v)
{
    return cx->depends[v] && !(cx->known && cx->known[v]);
}

static void copy_factors(const LinearCx *cx, Term *to, const Term *from)
{
    memset(&to->factor, 0, sizeof to->factor);
    for (uint32_t i = 0; i < from->factor.n; i++)
        vec_push(cx->arena, &to->factor, from->factor.p[i]);
}

Term linear_one(const RecOp *op)
{
    Term t = {.sign = 1, .state = REC_NONE, .rank = op->type.rank, .nit = op->type.rank};
    memcpy(t.space, op->type.dim, op->type.rank * sizeof(Dim));
    return t;
}

/* v itself, as a state or as one factor. */
static Term atom(const LinearCx *cx, RecId v)
{
    Term t = linear_one(rec_op(cx->p, v));
    RecUse u = rec_use(v, t.rank);
    if (linear_in_question(cx, v)) {
        t.state = v;
        memcpy(t.axis, u.axis, sizeof t.axis);
    } else {
        vec_push(cx->arena, &t.factor, (Factor){.kind = FACTOR_TIMES, .use = u});
    }
    return t;
}

/* ---- a term of an operand as a term of the op ---- */

/* The iteration axis that axis i of the operand's term becomes: its own axes follow the map, summed ones come last. */
static bool move_axes(const RecOp *op, const Term *from, const uint8_t *map, Term *to, uint8_t *now)
{
    to->nit = op->nit;
    memcpy(to->space, op->space, op->nit * sizeof(Dim));
    for (uint8_t i = 0; i < from->nit; i++) {
        if (i < from->rank) {
            now[i] = map[i];
            continue;
        }
        if (to->nit == MAXIT)
            return false;
        now[i] = to->nit;
        to->space[to->nit++] = from->space[i];
    }
    return true;
}

static bool through(const LinearCx *cx, const RecOp *op, const RecUse *use, const Term *from, Term *to)
{
    uint8_t now[MAXIT];
    *to = *from;
    to->rank = op->type.rank;
    if (!move_axes(op, from, use->axis, to, now))
        return false;
    copy_factors(cx, to, from);
    for (uint32_t i = 0; i < to->factor.n; i++) {
        RecUse *u = &to->factor.p[i].use;
        for (uint8_t k = 0; k < rec_type(cx->p, u->v)->rank; k++)
            u->axis[k] = now[u->axis[k]];
    }
    for (uint8_t k = 0; to->state != REC_NONE && k < rec_type(cx->p, to->state)->rank; k++)
        to->axis[k] = now[to->axis[k]];
    return true;
}

/* What is known of the op's axes, of those of its operand. */
static bool inside_of(const LinearCx *cx, const RecOp *op, const RecUse *use, LinearCx *inner)
{
    uint8_t rank = rec_type(cx->p, use->v)->rank, found = 0;
    *inner = *cx;
    inner->guard.here =
        cx->guard.aligned && use->v == cx->guard.sum.v && memcmp(use->axis, cx->guard.sum.axis, rank) == 0;
    inner->guard.aligned &= op->nit == rank && op->type.rank == rank && pass_is_identity(cx->p, *use, rank);
    for (uint8_t k = 0; cx->at.one && k < rank; k++)
        if (use->axis[k] == cx->at.axis) {
            inner->at.axis = k;
            found++;
        }
    inner->at.one = found > 0;
    return found <= 1;
}

bool linear_through(const LinearCx *cx, const RecOp *op, uint32_t operand, Terms *out, RecId *why)
{
    Terms in = {0};
    Term t;
    LinearCx inner;
    if (!inside_of(cx, op, &op->use[operand], &inner) || !linear_terms(&inner, op->use[operand].v, &in, why))
        return false;
    for (uint32_t i = 0; i < in.n; i++) {
        if (out->n == LINEAR_MAXTERMS || !through(cx, op, &op->use[operand], &in.p[i], &t))
            return false;
        vec_push(cx->arena, out, t);
    }
    return true;
}

/* It can be a factor: it has no axis of which one element is looked at. */
static bool whole(const LinearCx *cx, RecUse u)
{
    return !cx->at.one || !(pass_names(cx->p, u) >> cx->at.axis & 1);
}

static void times(const LinearCx *cx, Terms *t, uint32_t from, Factor f)
{
    for (uint32_t i = from; i < t->n; i++)
        vec_push(cx->arena, &t->p[i].factor, f);
}

/* ---- ops ---- */

bool linear_same_factor(const RecProg *p, const Factor *a, const Factor *b)
{
    return a->kind == b->kind && a->logarithm == b->logarithm && a->use.v == b->use.v &&
           memcmp(a->use.axis, b->use.axis, rec_type(p, a->use.v)->rank) == 0;
}

static bool same_term(const LinearCx *cx, const Term *a, const Term *b)
{
    if (a->sign != b->sign || a->state != b->state || a->nit != b->nit || a->factor.n != b->factor.n)
        return false;
    if (memcmp(a->space, b->space, a->nit * sizeof(Dim)) != 0)
        return false;
    for (uint8_t k = 0; a->state != REC_NONE && k < rec_type(cx->p, a->state)->rank; k++)
        if (a->axis[k] != b->axis[k])
            return false;
    for (uint32_t i = 0; i < a->factor.n; i++)
        if (!linear_same_factor(cx->p, &a->factor.p[i], &b->factor.p[i]))
            return false;
    return true;
}

/* where(c, a, b): a's terms if c, b's unless c; what both have needs no condition. */
static bool choice(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    Terms branch[2] = {{0}, {0}};
    if (!whole(cx, op->use[0]))
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (!is_zero(cx, op->use[i + 1].v) && !linear_through(cx, op, i + 1, &branch[i], why))
            return false;
    for (uint32_t i = 0; i < branch[0].n; i++) {
        uint32_t j = 0;
        while (j < branch[1].n && !same_term(cx, &branch[0].p[i], &branch[1].p[j]))
            j++;
        if (j < branch[1].n)
            branch[1].p[j] = branch[1].p[--branch[1].n];
        else
            vec_push(cx->arena, &branch[0].p[i].factor, (Factor){.kind = FACTOR_IF, .use = op->use[0]});
    }
    times(cx, &branch[1], 0, (Factor){.kind = FACTOR_UNLESS, .use = op->use[0]});
    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t k = 0; k < branch[i].n; k++)
            vec_push(cx->arena, out, branch[i].p[k]);
    return true;
}

/* ---- guards ---- */

static bool names_all_axes(const RecProg *p, RecUse u, uint8_t rank)
{
    return rec_type(p, u.v)->rank == rank && pass_is_identity(p, u, rank);
}

/* Of logarithms, the sum under one is compared. */
static bool is_zero_of_sum(const LinearCx *cx, RecId v)
{
    LinearCx inner = *cx;
    inner.exponentials = cx->algebra == ALGEBRA_LOG;
    return is_zero(&inner, v);
}

/* Finds the sum that the condition compares with zero. */
static bool compared(const LinearCx *cx, const RecOp *op, RecUse *sum)
{
    const RecOp *c = rec_op(cx->p, op->use[0].v);
    if (!names_all_axes(cx->p, op->use[0], op->type.rank) || c->kind != REC_MAP || c->fun != FUN_EQ)
        return false;
    uint32_t zero = is_zero_of_sum(cx, c->use[0].v) ? 0 : 1;
    *sum = c->use[1 - zero];
    return is_zero_of_sum(cx, c->use[zero].v);
}

/* where(u == 0, 0, b), as before a logarithm of u or a product with an infinite number: b, if b has no terms where u
 * has none. In b the same condition does not hold. */
static bool guarded(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    if (cx->guard.aligned && cx->guard.condition == op->use[0].v && names_all_axes(cx->p, op->use[0], op->type.rank))
        return linear_through(cx, op, 2, out, why);
    Terms none = {0};
    LinearCx inner = *cx;
    inner.guard = (Guard){.condition = op->use[0].v, .aligned = true, .empty = true};
    if (!cx->guarded || !compared(cx, op, &inner.guard.sum) || !is_zero(cx, op->use[1].v) ||
        !linear_through(&inner, op, 2, &none, why) || none.n)
        return false;
    *cx->guarded = true;
    inner.guard.empty = false;
    return linear_through(&inner, op, 2, out, why);
}

bool linear_where(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    return (linear_in_question(cx, op->use[0].v) ? guarded : choice)(cx, op, out, why);
}

/* ---- sums and products ---- */

static void negate(Terms *t, uint32_t from)
{
    for (uint32_t i = from; i < t->n; i++)
        t->p[i].sign = -t->p[i].sign;
}

static bool scaled(const LinearCx *cx, const RecOp *op, uint32_t operand, FactorKind kind, Terms *out, RecId *why)
{
    uint32_t from = out->n;
    if (!whole(cx, op->use[1 - operand]) || !linear_through(cx, op, operand, out, why))
        return false;
    times(cx, out, from, (Factor){.kind = kind, .use = op->use[1 - operand]});
    return true;
}

static bool product_terms(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    bool first = linear_in_question(cx, op->use[0].v);
    if (first && linear_in_question(cx, op->use[1].v))
        return false;
    return scaled(cx, op, first ? 0 : 1, FACTOR_TIMES, out, why);
}

static bool sum_terms(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    return linear_through(cx, op, 0, out, why) && linear_through(cx, op, 1, out, why);
}

static bool difference_terms(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    if (!linear_through(cx, op, 0, out, why))
        return false;
    uint32_t from = out->n;
    bool ok = linear_through(cx, op, 1, out, why);
    negate(out, from);
    return ok;
}

static bool negative_terms(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    uint32_t from = out->n;
    bool ok = linear_through(cx, op, 0, out, why);
    negate(out, from);
    return ok;
}

static bool map_terms(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    const AlgebraInfo *algebra = algebra_info(cx->algebra);
    if (op->fun == FUN_ID)
        return linear_through(cx, op, 0, out, why);
    if (op->fun == FUN_WHERE)
        return linear_where(cx, op, out, why);
    if (op->fun == algebra->sum)
        return sum_terms(cx, op, out, why);
    if (op->fun == algebra->product)
        return product_terms(cx, op, out, why);
    if (op->fun == algebra->quotient)
        return !linear_in_question(cx, op->use[1].v) && scaled(cx, op, 0, FACTOR_OVER, out, why);
    if (cx->algebra == ALGEBRA_PLUS && op->fun == FUN_SUB)
        return difference_terms(cx, op, out, why);
    if (cx->algebra == ALGEBRA_PLUS && op->fun == FUN_NEG)
        return negative_terms(cx, op, out, why);
    return false;
}

/* ---- lists of parts ---- */

enum { LIST_DEPTH = 8 };

/* How many parts the value is a list of along an axis, through a few elementwise functions; 0 where it is none. */
static uint32_t parts_along(const RecProg *p, RecId v, uint8_t axis, uint32_t depth)
{
    const RecOp *op = rec_op(p, v);
    uint32_t n = 0;
    if (op->kind == REC_CONCAT) {
        for (uint32_t i = 0; op->along == axis && i < op->nuse; i++)
            n += rec_type(p, op->use[i].v)->dim[axis] == DIM_ONE;
        return n == op->nuse ? n : 0;
    }
    for (uint32_t i = 0; op->kind == REC_MAP && depth && i < op->nuse && !n; i++)
        for (uint8_t k = 0; k < rec_type(p, op->use[i].v)->rank && !n; k++)
            n = op->use[i].axis[k] == axis ? parts_along(p, op->use[i].v, k, depth - 1) : 0;
    return n;
}

/* The summed axis that a list lies along; the op's nit for none. */
static uint8_t list_axis(const LinearCx *cx, const RecOp *op, uint32_t *n)
{
    for (uint8_t axis = op->type.rank; axis < op->nit; axis++)
        for (uint8_t k = 0; k < rec_type(cx->p, op->use[0].v)->rank; k++)
            if (op->use[0].axis[k] == axis && (*n = parts_along(cx->p, op->use[0].v, k, LIST_DEPTH)) > 0)
                return axis;
    return op->nit;
}

/* Takes an axis that nothing names out of a term, or puts one in. */
static void renumber(const LinearCx *cx, Term *t, uint8_t axis, int by)
{
    for (uint32_t i = 0; i < t->factor.n; i++)
        for (uint8_t k = 0; k < rec_type(cx->p, t->factor.p[i].use.v)->rank; k++)
            if (t->factor.p[i].use.axis[k] >= axis)
                t->factor.p[i].use.axis[k] = (uint8_t)(t->factor.p[i].use.axis[k] + by);
    for (uint8_t k = 0; t->state != REC_NONE && k < rec_type(cx->p, t->state)->rank; k++)
        if (t->axis[k] >= axis)
            t->axis[k] = (uint8_t)(t->axis[k] + by);
}

static void drop_axis(const LinearCx *cx, Term *t, uint8_t axis)
{
    renumber(cx, t, axis, -1);
    t->nit--;
    memmove(t->space + axis, t->space + axis + 1, (t->nit - axis) * sizeof(Dim));
}

static bool add_axis(const LinearCx *cx, Term *t, uint8_t axis)
{
    if (t->nit == MAXIT)
        return false;
    renumber(cx, t, axis, 1);
    memmove(t->space + axis + 1, t->space + axis, (t->nit - axis) * sizeof(Dim));
    t->space[axis] = DIM_ONE;
    t->nit++;
    t->rank++;
    return true;
}

bool linear_reduce(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    uint32_t n = 0;
    uint8_t axis = list_axis(cx, op, &n);
    if (axis == op->nit)
        return linear_through(cx, op, 0, out, why);
    LinearCx inner = *cx;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t from = out->n;
        inner.at = (PartAt){true, axis, i};
        if (cx->at.one || !linear_through(&inner, op, 0, out, why))
            return false;
        for (uint32_t k = from; k < out->n; k++)
            drop_axis(cx, &out->p[k], axis);
    }
    return true;
}

static bool is_without(const Type *t, const Type *of, uint8_t axis)
{
    bool same = t->rank + 1 == of->rank && of->dim[axis] == DIM_ONE;
    for (uint8_t i = 0; i < t->rank && same; i++)
        same = t->dim[i] == of->dim[i + (i >= axis)];
    return same;
}

bool linear_part(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    LinearCx inner = *cx;
    uint32_t from = out->n;
    inner.guard = (Guard){.aligned = false};
    if (cx->at.one && op->kind == REC_CONCAT && op->along == cx->at.axis) {
        inner.at.part = 0;
        return linear_terms(&inner, op->use[cx->at.part].v, out, why);
    }
    inner.at.one = false;
    if (!cx->at.one || op->kind != REC_RESHAPE || !is_without(rec_type(cx->p, op->use[0].v), &op->type, cx->at.axis) ||
        !linear_terms(&inner, op->use[0].v, out, why))
        return false;
    for (uint32_t i = from; i < out->n; i++)
        if (!add_axis(cx, &out->p[i], cx->at.axis))
            return false;
    return true;
}

static bool op_terms(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    switch (op->kind) {
    case REC_MAP: return map_terms(cx, op, out, why);
    case REC_CONTRACT: return cx->algebra == ALGEBRA_PLUS && product_terms(cx, op, out, why);
    case REC_REDUCE: return op->red == algebra_info(cx->algebra)->reduce && linear_reduce(cx, op, out, why);
    case REC_CONCAT:
    case REC_RESHAPE: return linear_part(cx, op, out, why);
    default: return false;
    }
}

bool linear_is_carried(const RecProg *p, RecId v)
{
    const RecOp *op = rec_op(p, v);
    return op->kind == REC_REGARG && op->index < rec_op(p, p->region.p[op->home].owner)->nstate;
}

bool linear_few_factors(const Terms *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->p[i].factor.n > LINEAR_MAXFACTORS)
            return false;
    return true;
}

/* What linear_terms says, within the number of values that are left. */
static bool within_budget(const LinearCx *cx, RecId v, Terms *out, RecId *why)
{
    const RecOp *op = rec_op(cx->p, v);
    if (*cx->left == 0) {
        *why = v;
        return false;
    }
    --*cx->left;
    if (cx->algebra == ALGEBRA_LOG)
        return linear_log_value(cx, v, out, why);
    if (cx->guard.here && cx->guard.empty)
        return true;
    if (!cx->at.one && (!linear_in_question(cx, v) || linear_is_carried(cx->p, v))) {
        vec_push(cx->arena, out, atom(cx, v));
        return true;
    }
    RecId inner = REC_NONE;
    if (op->type.dt != DT_BOOL && out->n <= LINEAR_MAXTERMS && op_terms(cx, op, out, &inner) && linear_few_factors(out))
        return true;
    *why = inner != REC_NONE ? inner : v;
    return false;
}

bool linear_terms(const LinearCx *cx, RecId v, Terms *out, RecId *why)
{
    uint32_t left = LINEAR_MAXVALUES;
    LinearCx inner = *cx;
    inner.left = cx->left ? cx->left : &left;
    return within_budget(&inner, v, out, why);
}

/* ---- factors ---- */

uint32_t linear_names(const LinearCx *cx, const Term *t, uint32_t factor)
{
    return pass_names(cx->p, t->factor.p[factor].use);
}

bool linear_in_place(const RecProg *p, const Term *t)
{
    if (t->nit != t->rank || rec_type(p, t->state)->rank != t->rank)
        return false;
    for (uint8_t i = 0; i < t->rank; i++)
        if (t->axis[i] != i)
            return false;
    return true;
}

static bool expands(const RecOp *op)
{
    if (op->type.dt != DT_REAL)
        return false;
    if (op->kind == REC_CONTRACT || op->kind == REC_REDUCE)
        return op->kind == REC_CONTRACT || op->red == RED_SUM;
    if (op->kind != REC_MAP)
        return false;
    switch (op->fun) {
    case FUN_ID:
    case FUN_NEG:
    case FUN_ADD:
    case FUN_SUB:
    case FUN_MUL:
    case FUN_DIV:
    case FUN_WHERE: return true;
    default: return false;
    }
}

static bool is_map_of(const RecOp *op, Fun f)
{
    return op->kind == REC_MAP && op->fun == f;
}

/* Operand i of a sum, or the whole of a product, as a state-free term over the op's own axes. */
static Term part_of_op(const LinearCx *cx, const RecOp *op, uint32_t i)
{
    Term t = linear_one(op);
    bool chosen = is_map_of(op, FUN_WHERE);
    t.nit = pass_iterates(op->kind) ? op->nit : t.nit;
    memcpy(t.space, op->space, t.nit * sizeof(Dim));
    vec_push(cx->arena, &t.factor, (Factor){.kind = FACTOR_TIMES, .use = op->use[chosen ? i + 1 : i]});
    if (chosen)
        vec_push(cx->arena, &t.factor, (Factor){.kind = i ? FACTOR_UNLESS : FACTOR_IF, .use = op->use[0]});
    if (op->kind == REC_CONTRACT || is_map_of(op, FUN_MUL))
        vec_push(cx->arena, &t.factor, (Factor){.kind = FACTOR_TIMES, .use = op->use[1]});
    if (is_map_of(op, FUN_DIV))
        vec_push(cx->arena, &t.factor, (Factor){.kind = FACTOR_OVER, .use = op->use[1]});
    if (is_map_of(op, FUN_NEG) || (is_map_of(op, FUN_SUB) && i))
        t.sign = -1;
    return t;
}

/* A product's parts, as one term; sums give several. */
static void parts_of(const LinearCx *cx, RecId v, Terms *out)
{
    const RecOp *op = rec_op(cx->p, v);
    bool two = is_map_of(op, FUN_ADD) || is_map_of(op, FUN_SUB) || is_map_of(op, FUN_WHERE);
    for (uint32_t i = 0; i < (two ? 2u : 1u); i++)
        if (!pass_zeros(cx->p, op->use[is_map_of(op, FUN_WHERE) ? i + 1 : i].v))
            vec_push(cx->arena, out, part_of_op(cx, op, i));
}

/* Of a divisor only what is a product can be taken apart. */
static bool invert(Terms *parts)
{
    if (parts->n != 1 || parts->p[0].nit > parts->p[0].rank)
        return false;
    for (uint32_t i = 0; i < parts->p[0].factor.n; i++) {
        FactorKind *k = &parts->p[0].factor.p[i].kind;
        if (*k > FACTOR_OVER)
            return false;
        *k = *k == FACTOR_OVER ? FACTOR_TIMES : FACTOR_OVER;
    }
    return true;
}

/* The term with a factor replaced by a part of it; what the part sums over becomes axes of the term. */
static bool with_part(const LinearCx *cx, const Term *t, uint32_t factor, const Term *part, Term *now)
{
    RecUse outer = t->factor.p[factor].use;
    *now = *t;
    copy_factors(cx, now, t);
    now->factor.p[factor] = now->factor.p[--now->factor.n];
    now->sign *= part->sign;
    uint8_t axis[MAXIT];
    for (uint8_t i = 0; i < part->nit; i++) {
        if (i >= part->rank && now->nit == MAXIT)
            return false;
        axis[i] = i < part->rank ? outer.axis[i] : now->nit;
        if (i >= part->rank)
            now->space[now->nit++] = part->space[i];
    }
    for (uint32_t k = 0; k < part->factor.n; k++) {
        Factor g = part->factor.p[k];
        for (uint8_t i = 0; i < rec_type(cx->p, g.use.v)->rank; i++)
            g.use.axis[i] = axis[g.use.axis[i]];
        vec_push(cx->arena, &now->factor, g);
    }
    return true;
}

bool linear_expand(const LinearCx *cx, const Term *t, uint32_t factor, Terms *out)
{
    const Factor *f = &t->factor.p[factor];
    Terms parts = {0};
    Term now;
    if (f->kind > FACTOR_OVER || !rec_inside(cx->p, f->use.v, cx->body) || !expands(rec_op(cx->p, f->use.v)))
        return false;
    parts_of(cx, f->use.v, &parts);
    if (f->kind == FACTOR_OVER && !invert(&parts))
        return false;
    for (uint32_t i = 0; i < parts.n; i++) {
        if (!with_part(cx, t, factor, &parts.p[i], &now) || now.factor.n > LINEAR_MAXFACTORS)
            return false;
        vec_push(cx->arena, out, now);
    }
    return true;
}
