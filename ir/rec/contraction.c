/* Contraction: see contraction.h. The tangent of the step (tangent.c) in a direction of which nothing is known but that it is at most 1
 * everywhere, by interval arithmetic: a value is in [lo, hi], or, where that is not finite, at most a sum of products of sizes. A bound
 * of the tangent is a bound of the sums of |derivative|, whether elements mix or not.
 *
 * Where a sequence has ended its state stays, which is no step; and y * (1 - y), of a sigmoid's derivative, is at most 1/4. */
#include "ir/rec/contraction.h"
#include "ir/rec/box.h"
#include "ir/rec/tangent.h"

#include <math.h>

typedef struct Range {
    double lo, hi;
    Norm size; /* of |value| */
} Range;

typedef struct Cx {
    RecProg *p;
    Arena *arena;
    RecId recur;
    Contraction *out;
    RecId n;        /* ops from here on were added */
    RecId *seed;    /* by state */
    VEC(RecId) along; /* tangents of what new states can be */
    bool *depends;  /* by op: on a state, or a seed */
    Range **range;  /* by op: NULL: not yet */
} Cx;

/* ---- sums of products of sizes ---- */

static const Norm boundless = {.bounded = false};

static Norm constant(double x)
{
    Norm n = {.bounded = isfinite(x), .n = x > 0};
    n.term[0].coef = x;
    return n;
}

static bool same_factors(const NormTerm *a, const NormTerm *b)
{
    return a->n == b->n && memcmp(a->of, b->of, a->n * sizeof *a->of) == 0;
}

/* Adds a term, or takes the larger of two with the same factors. */
static void put_term(Norm *n, const NormTerm *t, bool larger)
{
    uint32_t i = 0;
    while (i < n->n && !same_factors(&n->term[i], t))
        i++;
    if (i == NORM_TERMS)
        n->bounded = false;
    else if (i == n->n)
        n->term[n->n++] = *t;
    else
        n->term[i].coef = larger ? fmax(n->term[i].coef, t->coef) : n->term[i].coef + t->coef;
}

static Norm joined(Norm a, const Norm *b, bool larger)
{
    a.bounded = a.bounded && b->bounded;
    for (uint32_t i = 0; i < b->n && a.bounded; i++)
        put_term(&a, &b->term[i], larger);
    return a.bounded ? a : boundless;
}

static bool times_term(const NormTerm *a, const NormTerm *b, NormTerm *out)
{
    uint32_t i = 0, k = 0;
    *out = (NormTerm){.coef = a->coef * b->coef};
    if (a->n + b->n > NORM_FACTORS)
        return false;
    while (i < a->n || k < b->n)
        out->of[out->n++] = k == b->n || (i < a->n && a->of[i] < b->of[k]) ? a->of[i++] : b->of[k++];
    return true;
}

static Norm product(const Norm *a, const Norm *b)
{
    Norm all = {.bounded = a->bounded && b->bounded};
    if ((a->bounded && !a->n) || (b->bounded && !b->n))
        return constant(0);
    for (uint32_t i = 0; i < a->n; i++)
        for (uint32_t k = 0; k < b->n && all.bounded; k++) {
            NormTerm t;
            all.bounded = times_term(&a->term[i], &b->term[k], &t);
            put_term(&all, &t, false);
        }
    return all.bounded ? all : boundless;
}

/* ---- ranges ---- */

static bool finite(const Range *r)
{
    return isfinite(r->lo) && isfinite(r->hi);
}

static Range between(double lo, double hi)
{
    Range r = {isnan(lo) ? -INFINITY : lo, isnan(hi) ? INFINITY : hi, boundless};
    if (finite(&r))
        r.size = constant(fmax(fabs(lo), fabs(hi)));
    return r;
}

/* In [lo, hi], where that says nothing of the size at most `size`. */
static Range within(double lo, double hi, Norm size)
{
    Range r = between(lo, hi);
    if (!finite(&r))
        r.size = size;
    return r;
}

static Range anything(void)
{
    return between(-INFINITY, INFINITY);
}

static Range hull(const Range *a, const Range *b)
{
    return within(fmin(a->lo, b->lo), fmax(a->hi, b->hi), joined(a->size, &b->size, true));
}

static Range sum(const Range *a, const Range *b, double sign)
{
    double lo = sign > 0 ? b->lo : -b->hi, hi = sign > 0 ? b->hi : -b->lo;
    return within(a->lo + lo, a->hi + hi, joined(a->size, &b->size, false));
}

static double times(double a, double b)
{
    return a == 0 || b == 0 ? 0 : a * b;
}

static Range multiplied(const Range *a, const Range *b)
{
    double x[4] = {times(a->lo, b->lo), times(a->lo, b->hi), times(a->hi, b->lo), times(a->hi, b->hi)};
    return within(fmin(fmin(x[0], x[1]), fmin(x[2], x[3])), fmax(fmax(x[0], x[1]), fmax(x[2], x[3])), product(&a->size, &b->size));
}

/* ---- sizes that only a call knows ---- */

static Str name_of(const Cx *x, RecId v);

static Str part_name(const Cx *x, const RecOp *op)
{
    int64_t lo, n;
    Str whole = name_of(x, op->use[0].v);
    if (!whole.n || op->along || !dim_is_const(x->p->dims, op->lo, &lo) || !dim_is_const(x->p->dims, op->type.dim[0], &n))
        return op->name;
    return n == 1 ? str_fmt(x->arena, "%.*s[%lld]", STRF(whole), (long long)lo)
                  : str_fmt(x->arena, "%.*s[%lld:%lld]", STRF(whole), (long long)lo, (long long)(lo + n));
}

static Str name_of(const Cx *x, RecId v)
{
    const RecOp *op = rec_op(x->p, v);
    if (op->kind == REC_ARG)
        return x->p->arg.p[op->arg].name;
    if (op->kind == REC_SLICE)
        return part_name(x, op);
    if (op->kind == REC_RESHAPE || (op->kind == REC_MAP && op->fun == FUN_ID))
        return name_of(x, op->use[0].v);
    return op->name;
}

static RecId without_views(const Cx *x, RecId v)
{
    const RecOp *op = rec_op(x->p, v);
    return op->kind == REC_RESHAPE || (op->kind == REC_MAP && op->fun == FUN_ID) ? without_views(x, op->use[0].v) : v;
}

/* The largest sum of |v| over these of its axes. Boundless where v has no name. */
static Norm sum_of_sizes(Cx *x, RecId v, uint32_t axes)
{
    NormSize s = {v, axes, name_of(x, v)};
    Contraction *c = x->out;
    uint32_t i = 0;
    if (!s.name.n)
        return boundless;
    while (i < c->size.n && (c->size.p[i].v != v || c->size.p[i].axes != axes))
        i++;
    if (i == c->size.n)
        vec_push(x->arena, &c->size, s);
    Norm n = {.bounded = true, .n = 1};
    n.term[0] = (NormTerm){.coef = 1, .n = 1, .of = {i}};
    return n;
}

static Norm size_of(Cx *x, RecId v)
{
    return sum_of_sizes(x, without_views(x, v), 0);
}

static Range named(Cx *x, RecId v)
{
    return within(-INFINITY, INFINITY, size_of(x, v));
}

/* ---- the walk ---- */

static const Range *range_of(Cx *x, RecId v);

static bool same_use(const RecProg *p, const RecUse *a, const RecUse *b)
{
    return a->v == b->v && memcmp(a->axis, b->axis, rec_type(p, a->v)->rank) == 0;
}

/* `rest` is 1 - y, over the same axes. */
static bool is_rest_of(const Cx *x, const RecUse *y, const RecUse *rest)
{
    const RecOp *op = rec_op(x->p, rest->v);
    double one;
    if (op->kind != REC_MAP || op->fun != FUN_SUB || !pass_const(x->p, op->use[0].v, &one) || one != 1)
        return false;
    RecUse inner = pass_compose(x->p, op->use[1], *rest);
    return same_use(x->p, y, &inner);
}

static Range of_product(Cx *x, const RecOp *op)
{
    const Range *a = range_of(x, op->use[0].v), *b = range_of(x, op->use[1].v);
    Range r = multiplied(a, b);
    bool square = same_use(x->p, &op->use[0], &op->use[1]);
    bool rest = is_rest_of(x, &op->use[0], &op->use[1]) || is_rest_of(x, &op->use[1], &op->use[0]);
    if (square)
        return within(0, r.hi, r.size);
    if (rest && a->lo >= 0 && a->hi <= 1)
        return between(0, 0.25);
    return r;
}

static Range of_quotient(const Range *a, const Range *b)
{
    if (!(b->lo > 0 || b->hi < 0))
        return anything();
    Range inverse = between(1 / b->hi, 1 / b->lo);
    return multiplied(a, &inverse);
}

static Range of_power(const Range *a, const Range *b)
{
    double most = pow(fmax(fabs(a->lo), fabs(a->hi)), b->hi);
    return b->lo == b->hi && b->lo >= 0 ? between(a->lo < 0 ? -most : 0, most) : anything();
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* Functions of one argument that only grow. */
static bool grows(Fun f, double *lo, double *hi)
{
    switch (f) {
    case FUN_EXP: *lo = exp(*lo), *hi = exp(*hi); return true;
    case FUN_EXPM1: *lo = expm1(*lo), *hi = expm1(*hi); return true;
    case FUN_TANH: *lo = tanh(*lo), *hi = tanh(*hi); return true;
    case FUN_SIGMOID: *lo = sigmoid(*lo), *hi = sigmoid(*hi); return true;
    case FUN_ERF: *lo = erf(*lo), *hi = erf(*hi); return true;
    case FUN_SQRT: *lo = sqrt(fmax(*lo, 0)), *hi = sqrt(fmax(*hi, 0)); return true;
    case FUN_LOG: *lo = *lo > 0 ? log(*lo) : -INFINITY, *hi = *hi > 0 ? log(*hi) : -INFINITY; return true;
    case FUN_LOG1P: *lo = *lo > -1 ? log1p(*lo) : -INFINITY, *hi = *hi > -1 ? log1p(*hi) : -INFINITY; return true;
    case FUN_FLOOR: *lo = floor(*lo), *hi = floor(*hi); return true;
    default: return false;
    }
}

static Range of_map(Cx *x, const RecOp *op)
{
    const Range *a = range_of(x, op->use[0].v), *b = op->nuse > 1 ? range_of(x, op->use[1].v) : a;
    double lo = a->lo, hi = a->hi;
    if (grows(op->fun, &lo, &hi))
        return between(lo, hi);
    switch (op->fun) {
    case FUN_ID: return *a;
    case FUN_NEG: return within(-hi, -lo, a->size);
    case FUN_ABS: return within(fmax(0, fmax(lo, -hi)), fmax(-lo, hi), a->size);
    case FUN_ADD: return sum(a, b, 1);
    case FUN_SUB: return sum(a, b, -1);
    case FUN_MUL: return of_product(x, op);
    case FUN_DIV: return of_quotient(a, b);
    case FUN_POW: return of_power(a, b);
    case FUN_MIN: return within(fmin(lo, b->lo), fmin(hi, b->hi), joined(a->size, &b->size, true));
    case FUN_MAX: return within(fmax(lo, b->lo), fmax(hi, b->hi), joined(a->size, &b->size, true));
    case FUN_WHERE: return hull(b, range_of(x, op->use[2].v));
    case FUN_SIN:
    case FUN_COS:
    case FUN_SIGN: return between(-1, 1);
    case FUN_REAL: return rec_type(x->p, op->use[0].v)->dt == DT_BOOL ? between(0, 1) : anything();
    default: return anything();
    }
}

/* How many elements are summed along the axes that are not in `known`, if that can be told. */
static bool summed(const Cx *x, const RecOp *op, uint32_t known, double *n)
{
    *n = 1;
    for (uint8_t i = op->type.rank; i < op->nit; i++) {
        int64_t one = 1;
        if (!(known >> i & 1) && !dim_is_const(x->p->dims, op->space[i], &one))
            return false;
        *n *= (double)one;
    }
    return true;
}

static Range added_up(const Cx *x, const RecOp *op, const Range *r)
{
    double n;
    Range count = summed(x, op, 0, &n) ? between(n, n) : anything();
    return multiplied(r, &count);
}

/* The largest sum of sizes of an operand that depends on no state: over its own axes that are summed, times the number of elements along
 * others. A reshape has other axes than what has the name. */
static Norm sums_of(Cx *x, const RecOp *op, RecUse u)
{
    uint32_t axes = 0;
    double n;
    while (rec_op(x->p, u.v)->kind == REC_MAP && rec_op(x->p, u.v)->fun == FUN_ID)
        u = pass_compose(x->p, rec_op(x->p, u.v)->use[0], u);
    if (x->depends[u.v] || rec_op(x->p, u.v)->kind == REC_RESHAPE || !summed(x, op, pass_names(x->p, u), &n))
        return boundless;
    for (uint8_t i = 0; i < rec_type(x->p, u.v)->rank; i++)
        axes |= (uint32_t)(u.axis[i] >= op->type.rank) << i;
    Norm sums = sum_of_sizes(x, u.v, axes), count = constant(n);
    return product(&sums, &count);
}

/* A matrix that depends on no state, by the sums of its sizes; the other operand by its largest. */
static Range of_contract(Cx *x, const RecOp *op)
{
    for (uint32_t i = 0; i < 2; i++) {
        Norm sums = sums_of(x, op, op->use[i]);
        if (sums.bounded)
            return within(-INFINITY, INFINITY, product(&sums, &range_of(x, op->use[1 - i].v)->size));
    }
    Range each = multiplied(range_of(x, op->use[0].v), range_of(x, op->use[1].v));
    return added_up(x, op, &each);
}

static Range of_reduce(Cx *x, const RecOp *op)
{
    const Range *a = range_of(x, op->use[0].v);
    switch (op->red) {
    case RED_SUM: return added_up(x, op, a);
    case RED_MAX:
    case RED_MIN: return *a;
    default: return anything();
    }
}

static Range of_parts(Cx *x, const RecOp *op)
{
    Range r = op->kind == REC_PAD ? between(0, 0) : *range_of(x, op->use[0].v);
    for (uint32_t i = 0; i < op->nuse; i++)
        r = hull(&r, range_of(x, op->use[i].v));
    return r;
}

static Range of_argument(Cx *x, RecId v, const RecOp *op)
{
    const RecOp *recur = rec_op(x->p, x->recur);
    Box box;
    if (op->home != recur->region)
        return named(x, v);
    if (op->index >= recur->nstate)
        return *range_of(x, recur->use[op->index].v);
    bool boxed = box_of(x->p, x->arena, recur, op->index, &box) && (box.least > 0 || !box.keeps);
    return boxed ? between(-box.least, box.least) : named(x, v);
}

static Range made(Cx *x, RecId v)
{
    const RecOp *op = rec_op(x->p, v);
    if (op->type.dt != DT_REAL)
        return anything();
    switch (op->kind) {
    case REC_CONST: return between(op->number, op->number);
    case REC_MAP: return of_map(x, op);
    case REC_REDUCE: return of_reduce(x, op);
    case REC_CONTRACT: return of_contract(x, op);
    case REC_GATHER:
    case REC_RESHAPE: return *range_of(x, op->use[0].v);
    case REC_SLICE: return x->depends[v] || finite(range_of(x, op->use[0].v)) ? *range_of(x, op->use[0].v) : named(x, v);
    case REC_PAD:
    case REC_CONCAT: return of_parts(x, op);
    case REC_REGARG: return of_argument(x, v, op);
    case REC_ARG: return named(x, v);
    default: return anything();
    }
}

static const Range *range_of(Cx *x, RecId v)
{
    if (!x->range[v]) {
        Range r = made(x, v);
        if (!x->depends[v] && !finite(&r) && !r.size.bounded)
            r = within(r.lo, r.hi, size_of(x, v));
        x->range[v] = NEW(x->arena, Range);
        *x->range[v] = r;
    }
    return x->range[v];
}

/* ---- one recurrence ---- */

/* What has no derivative here, or one that says nothing of how far values move. */
static bool leaps(const Cx *x, const RecOp *op)
{
    switch (op->kind) {
    case REC_RECUR:
    case REC_HISTORY:
    case REC_SCATTER: return true;
    case REC_REDUCE: return op->red == RED_PROD && x->depends[op->use[0].v];
    case REC_MAP: break;
    default: return false;
    }
    bool jumps = op->fun == FUN_WHERE || op->fun == FUN_FLOOR || op->fun == FUN_SIGN || op->fun == FUN_INT || op->fun == FUN_REAL;
    return jumps && x->depends[op->use[0].v];
}

static bool step_leaps(const Cx *x)
{
    const RecRegionInfo *step = &x->p->region.p[rec_op(x->p, x->recur)->region];
    for (uint32_t i = 0; i < step->op.n; i++)
        if (step->op.p[i] < x->n && leaps(x, rec_op(x->p, step->op.p[i])))
            return true;
    return false;
}

/* `place < length` of a sequence: true where it has not ended. Nothing else is known to be, not even what is made of lengths: where loops
 * were flattened, a state also waits for its round. */
static bool until_end(const Cx *x, RecId v)
{
    const RecOp *recur = rec_op(x->p, x->recur), *op = rec_op(x->p, v);
    if (op->kind == REC_REGARG && op->home == recur->region && op->index >= recur->nstate)
        op = rec_op(x->p, recur->use[op->index].v);
    if (op->kind != REC_MAP || op->fun != FUN_LT || rec_op(x->p, op->use[0].v)->kind != REC_IOTA)
        return false;
    const RecOp *length = rec_op(x->p, op->use[1].v);
    return length->kind == REC_ARG && x->p->arg.p[length->arg].role == ROLE_LENGTH;
}

static void add_tangent(Cx *x, Tangent *t, RecId v)
{
    RecId d = tangent_of(t, v);
    if (d != REC_NONE)
        vec_push(x->arena, &x->along, d);
}

/* A new state is one of several by conditions: each has its tangent. Not the old one of the same state, where the sequence has ended. */
static void follow(Cx *x, Tangent *t, uint32_t state, RecId v)
{
    RecId old = x->p->region.p[rec_op(x->p, x->recur)->region].arg.p[state];
    while (rec_op(x->p, v)->kind == REC_MAP && rec_op(x->p, v)->fun == FUN_WHERE) {
        RecOp op = *rec_op(x->p, v);
        add_tangent(x, t, op.use[1].v);
        if (op.use[2].v == old && until_end(x, op.use[0].v))
            return;
        v = op.use[2].v;
    }
    add_tangent(x, t, v);
}

/* Directions of which only the size is known, and the tangents of the new states along them. */
static void directions(Cx *x)
{
    RecProg *p = x->p;
    const RecOp *recur = rec_op(p, x->recur);
    RecRegion step = recur->region;
    uint32_t n = recur->nstate;
    RecBuild b = {p, step, {0}, {0}};
    Tangent t = tangent_begin(b);
    x->seed = NEWN(x->arena, RecId, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        Type type = *rec_type(p, p->region.p[step].arg.p[i]);
        x->seed[i] = rec_broadcast(&t.b, rec_const(&t.b, DT_REAL, 1), &type);
        if (type.dt == DT_REAL)
            tangent_seed(&t, p->region.p[step].arg.p[i], x->seed[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        if (rec_type(p, p->region.p[step].arg.p[i])->dt == DT_REAL)
            follow(x, &t, i, p->region.p[step].result.p[i]);
}

static void mark(Cx *x)
{
    const RecOp *recur = rec_op(x->p, x->recur);
    const RecRegionInfo *step = &x->p->region.p[recur->region];
    x->depends = NEWN(x->arena, bool, x->p->op.n + 1);
    for (uint32_t i = 0; i < step->op.n; i++) {
        RecId v = step->op.p[i];
        const RecOp *op = rec_op(x->p, v);
        x->depends[v] = (op->kind == REC_REGARG && op->index < recur->nstate) || op->kind == REC_PROJ;
        for (uint32_t k = 0; k < op->nuse; k++)
            x->depends[v] = x->depends[v] || x->depends[op->use[k].v];
        for (uint32_t k = 0; k < recur->nstate; k++)
            x->depends[v] = x->depends[v] || v == x->seed[k];
    }
}

Contraction contraction_of(RecProg *p, Arena *a, RecId recur)
{
    Contraction c = {.norm = constant(0)};
    Cx x = {.p = p, .arena = a, .recur = recur, .out = &c, .n = p->op.n};
    directions(&x);
    mark(&x);
    if (step_leaps(&x))
        c.norm = boundless;
    x.range = NEWN(a, Range *, p->op.n + 1);
    for (uint32_t i = 0; i < rec_op(p, recur)->nstate; i++) {
        x.range[x.seed[i]] = NEW(a, Range);
        *x.range[x.seed[i]] = between(-1, 1);
    }
    for (uint32_t i = 0; i < x.along.n; i++)
        c.norm = joined(c.norm, &range_of(&x, x.along.p[i])->size, true);
    return c;
}

double contraction_number(const Contraction *c)
{
    for (uint32_t i = 0; i < c->norm.n; i++)
        if (!c->norm.term[i].n)
            return c->norm.term[i].coef;
    return 0;
}

/* What is summed of |v|. Of matrices by what is added up: U @ h takes the rows of U, h @ U its columns. */
static void print_axes(Text *out, uint8_t rank, uint32_t axes)
{
    bool all = axes == (1u << rank) - 1, row = rank > 1 && axes == 1u << (rank - 1), column = rank > 1 && axes == 1u << (rank - 2);
    if (all || row || column) {
        text_add(out, all ? "sum " : row ? "max row sum " : "max column sum ");
        return;
    }
    text_add(out, "max sum over axes ");
    for (uint32_t i = 0, n = 0; i < rank; i++)
        if (axes >> i & 1)
            text_add(out, "%s%u", n++ ? ", " : "", i);
    text_add(out, " of ");
}

static void print_size(Text *out, const RecProg *p, const NormSize *s)
{
    if (s->axes)
        print_axes(out, rec_type(p, s->v)->rank, s->axes);
    text_add(out, "%s|%.*s|", s->axes ? "" : "max ", STRF(s->name));
}

static void print_term(Text *out, const RecProg *p, const Contraction *c, const NormTerm *t)
{
    if (t->coef != 1)
        text_add(out, "%.3g * ", t->coef);
    for (uint32_t i = 0; i < t->n; i++) {
        text_add(out, i ? " * " : "");
        print_size(out, p, &c->size.p[t->of[i]]);
    }
}

void contraction_print(Text *out, const RecProg *p, const Contraction *c)
{
    double q = contraction_number(c);
    if (q > 0 || !c->norm.n)
        text_add(out, "%.3g", q);
    for (uint32_t i = 0, n = q > 0; i < c->norm.n; i++)
        if (c->norm.term[i].n) {
            text_add(out, n++ ? " + " : "");
            print_term(out, p, c, &c->norm.term[i]);
        }
}
