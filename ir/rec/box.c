/* Boxes: see box.h. Magnitudes of a step's values, bottom up, when nothing is known of inputs and parameters: a value is a
 * number, or at most max(a * |old state|, b). What gates mix, (1 - z) * h + z * n, has no good bound term by term; but it is
 * affine in z, and z lies in [0, 1], so it is greatest where z is 0 or 1. */
#include "ir/rec/box.h"

#include <math.h>

enum { MAXGATE = 3 };

typedef struct Size {
    bool known;    /* the number `b`, with its sign */
    double a, b;
} Size;

typedef struct Gates {
    uint32_t n;
    RecId v[MAXGATE];
    double number[MAXGATE];
} Gates;

typedef struct Cx {
    const RecProg *p;
    RecRegion step;
    RecId old; /* the carried state */
    Gates gates;
    uint8_t *degree; /* by op */
    Size *size;
} Cx;

static const Size anything = {false, INFINITY, INFINITY};

static Size at_most(double a, double b)
{
    return (Size){false, a, b};
}

static Size magnitude(Size x)
{
    return x.known ? at_most(0, fabs(x.b)) : x;
}

static double larger(double x, double y)
{
    return x > y ? x : y;
}

/* Either of two. */
static Size hull(Size x, Size y)
{
    if (x.known && y.known && x.b == y.b)
        return x;
    x = magnitude(x);
    y = magnitude(y);
    return at_most(larger(x.a, y.a), larger(x.b, y.b));
}

static Size sum(Size x, Size y, double sign)
{
    if (x.known && y.known)
        return (Size){true, 0, x.b + sign * y.b};
    if ((x.known && x.b == 0) || (y.known && y.b == 0))
        return magnitude(x.known && x.b == 0 ? y : x);
    x = magnitude(x);
    y = magnitude(y);
    if (x.a == 0 && y.a == 0)
        return at_most(0, x.b + y.b);
    return x.b == 0 && y.b == 0 ? at_most(x.a + y.a, 0) : anything;
}

static Size product(Size x, Size y)
{
    if (x.known && y.known)
        return (Size){true, 0, x.b * y.b};
    if ((x.known && x.b == 0) || (y.known && y.b == 0))
        return (Size){true, 0, 0};
    x = magnitude(x);
    y = magnitude(y);
    if (x.a > 0 && y.a > 0)
        return anything;
    double by = x.a == 0 ? x.b : y.b;
    Size of = x.a == 0 ? y : x;
    return isinf(by) ? anything : at_most(by * of.a, by * of.b);
}

/* ---- how often a value goes into another as a factor ---- */

static uint8_t degree_of_map(const RecOp *op, const uint8_t *degree)
{
    uint32_t most = 0, all = 0;
    for (uint32_t i = 0; i < op->nuse; i++) {
        uint32_t d = degree[op->use[i].v];
        most = d > most ? d : most;
        all += d;
    }
    switch (op->fun) {
    case FUN_ID:
    case FUN_NEG:
    case FUN_ADD:
    case FUN_SUB: return (uint8_t)most;
    case FUN_MUL: return all > 2 ? 2 : (uint8_t)all;
    case FUN_WHERE: return degree[op->use[0].v] ? 2 : (uint8_t)most;
    default: return most ? 2 : 0;
    }
}

/* 0, 1, or 2 for more or otherwise. */
static uint8_t degree(const Cx *c, RecId v, RecId in)
{
    const RecRegionInfo *body = &c->p->region.p[c->step];
    uint8_t *d = c->degree;
    memset(d, 0, c->p->op.n);
    d[in] = 1;
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId at = body->op.p[i];
        const RecOp *op = rec_op(c->p, at);
        if (at == in || op->kind == REC_REGARG)
            continue;
        if (op->kind == REC_MAP)
            d[at] = degree_of_map(op, d);
        else
            for (uint32_t k = 0; k < op->nuse; k++)
                d[at] = d[op->use[k].v] || d[at] ? 2 : 0;
    }
    return d[v];
}

/* A value in [0, 1] that v is affine in, and of which no end has been chosen yet. */
static RecId find_gate(const Cx *c, RecId v)
{
    const RecRegionInfo *body = &c->p->region.p[c->step];
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId g = body->op.p[i];
        bool chosen = false;
        for (uint32_t k = 0; k < c->gates.n; k++)
            chosen |= c->gates.v[k] == g;
        if (!chosen && rec_op(c->p, g)->kind == REC_MAP && rec_op(c->p, g)->fun == FUN_SIGMOID && degree(c, v, g) == 1)
            return g;
    }
    return REC_NONE;
}

/* ---- the walk ---- */

static Size size_of_map(const RecOp *op, const Size *size)
{
    Size a = size[op->use[0].v], b = op->nuse > 1 ? size[op->use[1].v] : anything;
    switch (op->fun) {
    case FUN_ID:
    case FUN_STOP: return a;
    case FUN_NEG: return a.known ? (Size){true, 0, -a.b} : a;
    case FUN_ABS: return magnitude(a);
    case FUN_ADD: return sum(a, b, 1);
    case FUN_SUB: return sum(a, b, -1);
    case FUN_MUL: return product(a, b);
    case FUN_MIN:
    case FUN_MAX: return hull(a, b);
    case FUN_WHERE: return hull(b, size[op->use[2].v]);
    case FUN_TANH:
    case FUN_SIGMOID:
    case FUN_SIN:
    case FUN_COS:
    case FUN_ERF:
    case FUN_SIGN: return at_most(0, 1);
    default: return anything;
    }
}

static Size size_of_op(const Cx *c, RecId v)
{
    const RecOp *op = rec_op(c->p, v);
    for (uint32_t k = 0; k < c->gates.n; k++)
        if (c->gates.v[k] == v)
            return (Size){true, 0, c->gates.number[k]};
    if (v == c->old)
        return at_most(1, 0);
    if (op->type.dt != DT_REAL)
        return anything;
    if (op->kind == REC_CONST)
        return (Size){true, 0, op->number};
    return op->kind == REC_MAP ? size_of_map(op, c->size) : anything;
}

/* All that is outside of the step may be anything, but for numbers. */
static Size size_of(const Cx *c, RecId v)
{
    const RecRegionInfo *body = &c->p->region.p[c->step];
    for (RecId at = 0; at < c->p->op.n; at++)
        c->size[at] = rec_op(c->p, at)->kind == REC_CONST ? size_of_op(c, at) : anything;
    for (uint32_t i = 0; i < body->op.n; i++)
        c->size[body->op.p[i]] = size_of_op(c, body->op.p[i]);
    return c->size[v];
}

/* The greatest over the ends of the gates that v is affine in. */
static Size greatest(Cx *c, RecId v)
{
    RecId g = c->gates.n < MAXGATE ? find_gate(c, v) : REC_NONE;
    if (g == REC_NONE)
        return size_of(c, v);
    uint32_t k = c->gates.n++;
    c->gates.v[k] = g;
    c->gates.number[k] = 0;
    Size zero = greatest(c, v);
    c->gates.number[k] = 1;
    Size one = greatest(c, v);
    c->gates.n = k;
    return hull(zero, one);
}

bool box_of(const RecProg *p, Arena *a, const RecOp *recur, uint32_t state, Box *out)
{
    const RecRegionInfo *body = &p->region.p[recur->region];
    Cx c = {.p = p, .step = recur->region, .old = body->arg.p[state]};
    c.degree = NEWN(a, uint8_t, p->op.n + 1);
    c.size = NEWN(a, Size, p->op.n + 1);
    Size s = magnitude(greatest(&c, body->result.p[state]));
    if (!(s.a <= 1) || isinf(s.b))
        return false;
    *out = (Box){s.a > 0, s.b};
    return true;
}
