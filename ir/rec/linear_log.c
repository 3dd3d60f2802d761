/* Steps that are linear in the exponentials of their states: terms over (log-sum-exp,+). A value is looked at either as
 * the logarithm of a sum of products, or, inside of a logarithm, as that sum itself. What is neither, such as the
 * maximum that is taken out of the exponentials, is a factor first, even where it reads states; most of these cancel,
 * and a step is linear if at last no term has one but its state. */
#include "ir/rec/linear.h"

/* The value as one factor, or its logarithm. */
static void push(const LinearCx *cx, Terms *out, RecId v, bool logarithm)
{
    Term t = linear_one(rec_op(cx->p, v));
    vec_push(cx->arena, &t.factor, (Factor){FACTOR_TIMES, rec_use(v, t.rank), logarithm});
    vec_push(cx->arena, out, t);
}

/* ---- products ---- */

static bool same_use(const RecProg *p, RecUse a, RecUse b)
{
    return a.v == b.v && memcmp(a.axis, b.axis, rec_type(p, a.v)->rank) == 0;
}

/* One more factor, or one less where it is divided by already. */
static void multiply(const LinearCx *cx, Term *t, Factor f)
{
    for (uint32_t i = 0; i < t->factor.n; i++) {
        Factor *g = &t->factor.p[i];
        if (f.kind + g->kind == FACTOR_TIMES + FACTOR_OVER && f.kind != g->kind && f.logarithm == g->logarithm &&
            linear_in_question(cx, f.use.v) && same_use(cx->p, f.use, g->use)) {
            *g = t->factor.p[--t->factor.n];
            return;
        }
    }
    vec_push(cx->arena, &t->factor, f);
}

/* Each of many terms times one that sums over nothing of its own. */
static bool times_one(const LinearCx *cx, const RecOp *op, const Terms *many, const Term *one, Terms *out)
{
    if (one->nit != op->nit || out->n + many->n > LINEAR_MAXTERMS)
        return false;
    for (uint32_t i = 0; i < many->n; i++) {
        Term t = many->p[i];
        memset(&t.factor, 0, sizeof t.factor);
        for (uint32_t k = 0; k < many->p[i].factor.n; k++)
            multiply(cx, &t, many->p[i].factor.p[k]);
        for (uint32_t k = 0; k < one->factor.n; k++)
            multiply(cx, &t, one->factor.p[k]);
        vec_push(cx->arena, out, t);
    }
    return true;
}

static bool product(const LinearCx *cx, const RecOp *op, const Terms *a, const Terms *b, Terms *out)
{
    if (a->n == 0 || b->n == 0)
        return true;
    return a->n == 1 && a->p[0].nit == op->nit ? times_one(cx, op, b, &a->p[0], out)
                                               : b->n == 1 && times_one(cx, op, a, &b->p[0], out);
}

static bool invert(Terms *t)
{
    if (t->n != 1)
        return false;
    for (uint32_t i = 0; i < t->p[0].factor.n; i++) {
        FactorKind *k = &t->p[0].factor.p[i].kind;
        if (*k > FACTOR_OVER)
            return false;
        *k = *k == FACTOR_OVER ? FACTOR_TIMES : FACTOR_OVER;
    }
    return true;
}

static bool product_of(const LinearCx *cx, const RecOp *op, bool inverse, Terms *out, RecId *why)
{
    Terms a = {0}, b = {0};
    return linear_through(cx, op, 0, &a, why) && linear_through(cx, op, 1, &b, why) && (!inverse || invert(&b)) &&
           product(cx, op, &a, &b, out);
}

/* ---- the larger of two and what is left of the other: m + log(1 + exp(-|a - b|)), m = max(a, b) ---- */

static bool is_number(const RecProg *p, RecId v, double number)
{
    double x;
    return pass_const(p, v, &x) && x == number;
}

static bool is_map(const RecOp *op, Fun f)
{
    return op->kind == REC_MAP && op->fun == f;
}

/* d is |a - b| of the operands of max(a, b), at the same places. */
static bool is_distance(const RecProg *p, const RecOp *max, RecId d)
{
    const RecOp *abs = rec_op(p, d), *of = is_map(abs, FUN_ABS) ? rec_op(p, abs->use[0].v) : abs;
    if (of == abs || abs->nit != max->nit || !pass_is_identity(p, abs->use[0], abs->nit))
        return false;
    for (uint32_t i = 0; i < 2; i++) {
        const RecUse *a = &max->use[i], *b = &max->use[1 - i];
        if (is_map(of, FUN_SUB) && of->nit == max->nit && same_use(p, of->use[0], *a) && same_use(p, of->use[1], *b))
            return true;
        if (is_number(p, a->v, 0) && same_use(p, abs->use[0], *b))
            return true;
    }
    return false;
}

/* The factor that is a maximum, at the term's own places; the number of factors if there is none. */
static uint32_t find_largest(const LinearCx *cx, const Term *t)
{
    uint32_t i = 0;
    for (; i < t->factor.n; i++) {
        const Factor *f = &t->factor.p[i];
        bool own =
            t->nit == t->rank && rec_type(cx->p, f->use.v)->rank == t->rank && pass_is_identity(cx->p, f->use, t->rank);
        if (own && f->kind == FACTOR_TIMES && !f->logarithm && linear_in_question(cx, f->use.v) &&
            is_map(rec_op(cx->p, f->use.v), FUN_MAX))
            break;
    }
    return i;
}

/* t times the inverse of one more factor, which is the distance of what `largest` is the maximum of. */
static bool is_smaller(const LinearCx *cx, const Term *t, const Term *smaller, const RecOp *largest)
{
    Term rest = *smaller;
    memset(&rest.factor, 0, sizeof rest.factor);
    if (smaller->nit != t->nit || smaller->factor.n != t->factor.n + 1)
        return false;
    for (uint32_t i = 0; i < smaller->factor.n; i++)
        vec_push(cx->arena, &rest.factor, smaller->factor.p[i]);
    for (uint32_t i = 0; i < t->factor.n; i++) {
        const Factor *f = &t->factor.p[i];
        uint32_t k = 0;
        while (k < rest.factor.n && !(rest.factor.p[k].kind == f->kind && rest.factor.p[k].logarithm == f->logarithm &&
                                      same_use(cx->p, rest.factor.p[k].use, f->use)))
            k++;
        if (k == rest.factor.n)
            return false;
        rest.factor.p[k] = rest.factor.p[--rest.factor.n];
    }
    const Factor *last = &rest.factor.p[0];
    return last->kind == FACTOR_OVER && !last->logarithm && rec_type(cx->p, last->use.v)->rank == t->rank &&
           pass_is_identity(cx->p, last->use, t->rank) && is_distance(cx->p, largest, last->use.v);
}

/* Both terms, the first of which has the maximum, become those of its operands. */
static bool take_pair(const LinearCx *cx, Terms *t, uint32_t first, uint32_t second, uint32_t at)
{
    const RecOp *max = rec_op(cx->p, t->p[first].factor.p[at].use.v);
    LinearCx inner = {.p = cx->p,
                      .arena = cx->arena,
                      .body = cx->body,
                      .depends = cx->depends,
                      .known = cx->known,
                      .algebra = cx->algebra,
                      .guarded = cx->guarded,
                      .left = cx->left};
    Terms both = {0}, made = {0};
    Term rest = t->p[first];
    RecId why;
    memset(&rest.factor, 0, sizeof rest.factor);
    for (uint32_t i = 0; i < t->p[first].factor.n; i++)
        if (i != at)
            vec_push(cx->arena, &rest.factor, t->p[first].factor.p[i]);
    if (!linear_through(&inner, max, 0, &both, &why) || !linear_through(&inner, max, 1, &both, &why) ||
        t->n + both.n > LINEAR_MAXTERMS || !times_one(cx, max, &both, &rest, &made))
        return false;
    t->p[first > second ? first : second] = t->p[--t->n];
    t->p[first > second ? second : first] = t->p[--t->n];
    for (uint32_t i = 0; i < made.n; i++)
        vec_push(cx->arena, t, made.p[i]);
    return true;
}

/* Where there is such a pair it is one of two ordinary terms. */
static bool take_pairs(const LinearCx *cx, Terms *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t at = find_largest(cx, &t->p[i]);
        for (uint32_t k = 0; k < t->n && at < t->p[i].factor.n; k++)
            if (k != i && is_smaller(cx, &t->p[i], &t->p[k], rec_op(cx->p, t->p[i].factor.p[at].use.v)))
                return take_pair(cx, t, i, k, at);
    }
    return false;
}

/* ---- values ---- */

static bool of_exponentials(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    LinearCx inner = *cx;
    inner.exponentials = true;
    return linear_through(&inner, op, 0, out, why);
}

static bool log_of_one_more(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    vec_push(cx->arena, out, linear_one(op));
    return of_exponentials(cx, op, out, why);
}

static bool log_map(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    static const Terms empty = {0};
    Terms a = empty;
    switch (op->fun) {
    case FUN_ID:
    case FUN_STOP:
    case FUN_CHOSEN: return linear_through(cx, op, 0, out, why);
    case FUN_WHERE: return linear_where(cx, op, out, why);
    case FUN_ADD: return product_of(cx, op, false, out, why);
    case FUN_SUB: return product_of(cx, op, true, out, why);
    case FUN_NEG:
        if (!linear_through(cx, op, 0, &a, why) || !invert(&a))
            return false;
        vec_push(cx->arena, out, a.p[0]);
        return true;
    case FUN_LOG: return of_exponentials(cx, op, out, why);
    case FUN_LOG1P: return log_of_one_more(cx, op, out, why);
    default: return false;
    }
}

static bool log_op(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    switch (op->kind) {
    case REC_MAP: return log_map(cx, op, out, why);
    case REC_CONCAT:
    case REC_RESHAPE: return linear_part(cx, op, out, why);
    default: return false;
    }
}

/* What is no logarithm of a sum is a factor, and may cancel. */
static bool logarithm(const LinearCx *cx, RecId v, Terms *out)
{
    uint32_t from = out->n;
    RecId why;
    bool atom = !linear_in_question(cx, v) || linear_is_carried(cx->p, v);
    if (is_number(cx->p, v, algebra_info(ALGEBRA_LOG)->zero))
        return true;
    if ((!atom || cx->at.one) && log_op(cx, rec_op(cx->p, v), out, &why) && linear_few_factors(out))
        return true;
    out->n = from;
    if (cx->at.one)
        return false;
    push(cx, out, v, false);
    return true;
}

static bool sum_map(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    LinearCx inner = *cx;
    inner.exponentials = false;
    switch (op->fun) {
    case FUN_ID:
    case FUN_STOP:
    case FUN_CHOSEN: return linear_through(cx, op, 0, out, why);
    case FUN_WHERE: return linear_where(cx, op, out, why);
    case FUN_EXP: return linear_through(&inner, op, 0, out, why);
    case FUN_ADD: return linear_through(cx, op, 0, out, why) && linear_through(cx, op, 1, out, why);
    case FUN_MUL: return product_of(cx, op, false, out, why);
    case FUN_DIV: return product_of(cx, op, true, out, why);
    default: return false;
    }
}

static bool sum_op(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why)
{
    switch (op->kind) {
    case REC_MAP: return sum_map(cx, op, out, why);
    case REC_REDUCE: return op->red == RED_SUM && linear_reduce(cx, op, out, why);
    case REC_CONTRACT: return product_of(cx, op, false, out, why);
    case REC_CONCAT:
    case REC_RESHAPE: return linear_part(cx, op, out, why);
    default: return false;
    }
}

/* The value that a place of a sequence is an element of, from outside of the recurrence. */
static RecId whole_of(const RecProg *p, RecId v)
{
    const RecOp *op = rec_op(p, v);
    while (op->kind == REC_REGARG && p->region.p[op->home].owner != REC_NONE) {
        const RecOp *recur = rec_op(p, p->region.p[op->home].owner);
        if (op->index < recur->nstate)
            return v;
        op = rec_op(p, v = recur->use[op->index].v);
    }
    return v;
}

/* It is 0 or more whatever it is made of. */
static bool has_logarithm(const RecProg *p, RecId v)
{
    double x;
    const RecOp *op = rec_op(p, v = whole_of(p, v));
    bool all = op->nuse > 0;
    if (pass_const(p, v, &x))
        return x >= 0;
    if (op->kind == REC_MAP &&
        (op->fun == FUN_EXP || op->fun == FUN_SIGMOID || op->fun == FUN_ABS || op->fun == FUN_SQRT))
        return true;
    bool keeps = op->kind == REC_CONTRACT || (op->kind == REC_REDUCE && op->red != RED_MIN) || op->kind == REC_SLICE ||
                 op->kind == REC_RESHAPE ||
                 (op->kind == REC_MAP && (op->fun == FUN_ID || op->fun == FUN_STOP || op->fun == FUN_ADD ||
                                          op->fun == FUN_MUL || op->fun == FUN_DIV));
    for (uint32_t i = 0; i < op->nuse && all && keeps; i++)
        all = has_logarithm(p, op->use[i].v);
    return keeps && all;
}

static bool sum(const LinearCx *cx, RecId v, Terms *out, RecId *why)
{
    if (is_number(cx->p, v, 0) || (cx->guard.here && cx->guard.empty))
        return true;
    if (is_number(cx->p, v, 1)) {
        vec_push(cx->arena, out, linear_one(rec_op(cx->p, v)));
        return true;
    }
    uint32_t from = out->n;
    if (sum_op(cx, rec_op(cx->p, v), out, why) && linear_few_factors(out))
        return true;
    out->n = from;
    if (cx->at.one || linear_in_question(cx, v) || !has_logarithm(cx->p, v))
        return false;
    push(cx, out, v, true);
    return true;
}

bool linear_log_value(const LinearCx *cx, RecId v, Terms *out, RecId *why)
{
    *why = v;
    return cx->exponentials ? sum(cx, v, out, why) : logarithm(cx, v, out);
}

/* ---- terms ---- */

/* Its state leaves the factors; false where another factor reads one. */
static bool take_state(const LinearCx *cx, Term *t, RecId *why)
{
    for (uint32_t i = 0; i < t->factor.n; i++) {
        Factor f = t->factor.p[i];
        if (!linear_in_question(cx, f.use.v))
            continue;
        *why = f.use.v;
        if (t->state != REC_NONE || f.kind != FACTOR_TIMES || !linear_is_carried(cx->p, f.use.v))
            return false;
        t->state = f.use.v;
        memcpy(t->axis, f.use.axis, sizeof t->axis);
        t->factor.p[i--] = t->factor.p[--t->factor.n];
    }
    return true;
}

bool linear_log_terms(const LinearCx *cx, RecId v, Terms *out, RecId *why)
{
    uint32_t left = LINEAR_MAXVALUES, from = out->n;
    LinearCx inner = *cx;
    inner.left = &left;
    if (!linear_terms(&inner, v, out, why) || !left)
        return false;
    while (take_pairs(&inner, out))
        continue;
    for (uint32_t i = from; i < out->n; i++)
        if (!take_state(cx, &out->p[i], why))
            return false;
    return true;
}
