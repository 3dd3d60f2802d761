/* Radii: see ball.h. One rule for each elementwise function, sums and products term by term (Higham 2002, chapter 3), and what moves
 * moves its radius; other ops make the bound fail (`boundless`). Bounded functions have
 * bounded radii, so that what saturates or overflows gives a large radius and not NaN where it can be helped; a comparison
 * that may turn out the other way makes what it chooses as uncertain as its two branches are apart, and is noted as a jump. */
#include "ir/rec/ball.h"

#include <math.h>

enum { ULPS = 4 }; /* of our own exp, tanh, ...: more than they are ever off, in roundings */

Ball ball_begin(RecBuild b, double unit)
{
    RecProg *p = b.prog;
    return (Ball){.b = b, .n = p->op.n, .radius = pass_ids(p->arena, p->op.n), .known = NEWN(p->arena, bool, p->op.n + 1), .unit = unit,
                  .jump = pass_ids(p->arena, p->op.n)};
}

void ball_seed(Ball *x, RecId v, RecId radius)
{
    x->radius[v] = radius;
    x->known[v] = true;
}

/* ---- expressions over the axes of one op ---- */

typedef struct Rule {
    Ball *x;
    uint8_t rank;
    Dim dim[MAXRANK];
    RecUse y, a[3], r[3]; /* the result, arguments, their radii */
    bool exact[3];
    RecUse jump; /* where the function itself may jump; .v is REC_NONE: nowhere */
} Rule;

static RecUse number(Rule *u, double x)
{
    return (RecUse){.v = rec_const(&u->x->b, DT_REAL, x)};
}

static RecUse f3(Rule *u, Fun f, RecUse a, RecUse b, RecUse c)
{
    RecUse use[3] = {a, b, c};
    return rec_use(rec_map(&u->x->b, f, use, u->rank, u->dim), u->rank);
}

static RecUse f2(Rule *u, Fun f, RecUse a, RecUse b)
{
    return f3(u, f, a, b, b);
}

static RecUse f1(Rule *u, Fun f, RecUse a)
{
    return f3(u, f, a, a, a);
}

static RecUse add(Rule *u, RecUse a, RecUse b)
{
    return f2(u, FUN_ADD, a, b);
}

/* 0 times anything is 0 here, infinity too. */
static RecUse times(Rule *u, RecUse a, RecUse b)
{
    RecUse zero = number(u, 0);
    return f3(u, FUN_WHERE, f2(u, FUN_EQ, a, zero), zero, f3(u, FUN_WHERE, f2(u, FUN_EQ, b, zero), zero, f2(u, FUN_MUL, a, b)));
}

static RecUse size(Rule *u, RecUse a)
{
    return f1(u, FUN_ABS, a);
}

static RecUse radius(Rule *u, int i)
{
    return u->exact[i] ? number(u, 0) : u->r[i];
}

static RecUse at_most(Rule *u, RecUse r, double steepest, double range)
{
    return f2(u, FUN_MIN, f2(u, FUN_MUL, r, number(u, steepest)), number(u, range));
}

/* a / b if b > 0, else infinity. */
static RecUse over(Rule *u, RecUse a, RecUse b)
{
    return f3(u, FUN_WHERE, f2(u, FUN_LT, number(u, 0), b), f2(u, FUN_DIV, a, b), number(u, INFINITY));
}

/* ---- rules ---- */

static RecUse of_product(Rule *u)
{
    RecUse sum = {.v = REC_NONE}, ra = u->r[0], rb = u->r[1];
    if (!u->exact[0])
        sum = times(u, size(u, u->a[1]), ra);
    if (!u->exact[1])
        sum = sum.v == REC_NONE ? times(u, size(u, u->a[0]), rb) : add(u, sum, times(u, size(u, u->a[0]), rb));
    return u->exact[0] || u->exact[1] ? sum : add(u, sum, times(u, ra, rb));
}

/* Notes it: `is` says where. */
static RecUse jumps(Rule *u, RecUse is)
{
    return u->jump = is;
}

/* A divisor that may be 0 is one of either sign, even where its radius is 0. */
static RecUse of_quotient(Rule *u)
{
    if (!u->exact[1])
        jumps(u, f1(u, FUN_NOT, f2(u, FUN_LT, u->r[1], size(u, u->a[1]))));
    RecUse top = add(u, radius(u, 0), times(u, size(u, u->y), radius(u, 1)));
    return over(u, top, f2(u, FUN_SUB, size(u, u->a[1]), radius(u, 1)));
}

/* Of two real numbers: one is the greater, whatever they are inside of their balls. */
static RecUse far_apart(Rule *u)
{
    RecUse apart = size(u, f2(u, FUN_SUB, u->a[0], u->a[1]));
    return f2(u, FUN_LT, add(u, radius(u, 0), radius(u, 1)), apart);
}

static RecUse off(Rule *u, RecUse r)
{
    return f2(u, FUN_NE, r, number(u, 0));
}

static RecUse may_turn(Rule *u)
{
    RecUse any = off(u, add(u, radius(u, 0), radius(u, 1)));
    return jumps(u, f2(u, FUN_AND, any, f1(u, FUN_NOT, far_apart(u))));
}

/* The error of the one that is taken for certain, else the larger. */
static RecUse of_extreme(Rule *u)
{
    RecUse most = f2(u, FUN_MAX, radius(u, 0), radius(u, 1));
    RecUse own = f3(u, FUN_WHERE, f2(u, FUN_EQ, u->y, u->a[0]), radius(u, 0), radius(u, 1));
    return f3(u, FUN_WHERE, far_apart(u), own, most);
}

static RecUse of_choice(Rule *u)
{
    RecUse own = f3(u, FUN_WHERE, u->a[0], radius(u, 1), radius(u, 2));
    if (u->exact[0])
        return own;
    RecUse apart = size(u, f2(u, FUN_SUB, u->a[1], u->a[2]));
    RecUse both = add(u, apart, f2(u, FUN_MAX, radius(u, 1), radius(u, 2)));
    return f3(u, FUN_WHERE, u->r[0], both, own);
}

static RecUse of_exp(Rule *u, RecUse y)
{
    return times(u, y, f1(u, FUN_EXPM1, u->r[0]));
}

static DType type_of(const Rule *u, int i)
{
    return rec_type(u->x->b.prog, u->a[i].v)->dt;
}

/* There is a whole number between. */
static RecUse crosses(Rule *u)
{
    RecUse least = f1(u, FUN_FLOOR, f2(u, FUN_SUB, u->a[0], u->r[0])), most = f1(u, FUN_FLOOR, add(u, u->a[0], u->r[0]));
    return jumps(u, f2(u, FUN_NE, least, most));
}

static RecUse of_floor(Rule *u)
{
    return f3(u, FUN_WHERE, crosses(u), add(u, u->r[0], number(u, 1)), number(u, 0));
}

static RecUse of_sign(Rule *u)
{
    RecUse safe = f2(u, FUN_LT, u->r[0], size(u, u->a[0]));
    RecUse turns = jumps(u, f2(u, FUN_AND, off(u, u->r[0]), f1(u, FUN_NOT, safe)));
    return f3(u, FUN_WHERE, turns, number(u, 2), number(u, 0));
}

/* Of a bool, 1 or 0; another int may be any. */
static RecUse of_real(Rule *u)
{
    return f3(u, FUN_WHERE, u->r[0], number(u, type_of(u, 0) == DT_BOOL ? 1 : INFINITY), number(u, 0));
}

static bool compares(Fun f)
{
    return f == FUN_LT || f == FUN_LE || f == FUN_EQ || f == FUN_NE;
}

/* Of what gives no real number: whether it may give another one, which is so where an argument may be. */
static RecUse may_differ(Rule *u, Fun f, uint32_t n)
{
    RecUse any = {.v = REC_NONE};
    if (f == FUN_INT)
        return crosses(u);
    if (compares(f) && type_of(u, 0) == DT_REAL)
        return may_turn(u);
    for (uint32_t i = 0; i < n; i++)
        if (!u->exact[i])
            any = any.v == REC_NONE ? u->r[i] : f2(u, FUN_OR, any, u->r[i]);
    return any;
}

static RecUse rule_of(Rule *u, Fun f)
{
    RecUse *r = u->r, *a = u->a;
    switch (f) {
    case FUN_ID:
    case FUN_STOP:
    case FUN_CHOSEN:
    case FUN_NEG:
    case FUN_ABS: return radius(u, 0);
    case FUN_REAL: return of_real(u);
    case FUN_ADD:
    case FUN_SUB: return u->exact[0] ? r[1] : u->exact[1] ? r[0] : add(u, r[0], r[1]);
    case FUN_MUL: return of_product(u);
    case FUN_DIV: return of_quotient(u);
    case FUN_MIN:
    case FUN_MAX: return of_extreme(u);
    case FUN_SIGN: return of_sign(u);
    case FUN_FLOOR: return of_floor(u);
    case FUN_SQRT: return over(u, r[0], f1(u, FUN_SQRT, f2(u, FUN_SUB, a[0], r[0])));
    case FUN_EXP: return of_exp(u, u->y);
    case FUN_EXPM1: return of_exp(u, add(u, u->y, number(u, 1)));
    case FUN_LOG: return over(u, r[0], f2(u, FUN_SUB, a[0], r[0]));
    case FUN_LOG1P: return over(u, r[0], f2(u, FUN_SUB, add(u, a[0], number(u, 1)), r[0]));
    case FUN_TANH: return at_most(u, r[0], 1, 2);
    case FUN_SIGMOID: return at_most(u, r[0], 0.25, 1);
    case FUN_SIN:
    case FUN_COS: return at_most(u, r[0], 1, 2);
    case FUN_ERF: return at_most(u, r[0], 1.13, 2);
    case FUN_WHERE: return of_choice(u);
    case FUN_POW:
    case FUN_LT:
    case FUN_LE:
    case FUN_EQ:
    case FUN_NE:
    case FUN_NOT:
    case FUN_AND:
    case FUN_OR:
    case FUN_IDIV:
    case FUN_IMOD:
    case FUN_INT:
    case FUN_COUNT: break; /* for the others of these, which give no real number: may_differ */
    }
    u->x->boundless = true;
    return number(u, INFINITY);
}

bool ball_has(Fun f)
{
    return f != FUN_POW;
}

bool ball_rules(const RecOp *op)
{
    switch (op->kind) {
    case REC_MAP: return ball_has(op->fun);
    case REC_REDUCE: return op->type.dt != DT_REAL || op->red == RED_SUM;
    case REC_CONTRACT:
    case REC_SLICE:
    case REC_PAD:
    case REC_CONCAT:
    case REC_RESHAPE: return op->type.dt == DT_REAL;
    default: return false;
    }
}

/* What the operation itself adds. Moving, choosing and changing signs is exact. */
static double rounding(Fun f)
{
    switch (f) {
    case FUN_ADD:
    case FUN_SUB:
    case FUN_MUL:
    case FUN_DIV:
    case FUN_SQRT: return 1;
    case FUN_EXP:
    case FUN_EXPM1:
    case FUN_LOG:
    case FUN_LOG1P:
    case FUN_TANH:
    case FUN_SIGMOID:
    case FUN_SIN:
    case FUN_COS:
    case FUN_ERF: return ULPS;
    default: return 0;
    }
}

/* Of both results, that at x and that at x'. */
static RecUse rounded(Rule *u, RecUse r, Fun f)
{
    double part = 2 * rounding(f) * u->x->unit;
    if (part == 0)
        return r;
    RecUse all = add(u, r, f2(u, FUN_MUL, size(u, u->y), number(u, part)));
    return u->x->same ? f3(u, FUN_WHERE, off(u, r), all, r) : all;
}

/* The jumps of a branch that is not chosen are none. */
static RecId all_jumps(Rule *u, const RecOp *op)
{
    RecUse all = u->jump;
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecUse is = op->use[i];
        is.v = u->exact[i] ? REC_NONE : u->x->jump[is.v];
        if (is.v == REC_NONE)
            continue;
        if (op->fun == FUN_WHERE && i > 0)
            is = f2(u, FUN_AND, is, i == 1 ? u->a[0] : f1(u, FUN_NOT, u->a[0]));
        all = all.v == REC_NONE ? is : f2(u, FUN_OR, all, is);
    }
    return all.v == REC_NONE ? REC_NONE : pass_use_value(&u->x->b, all, u->rank, u->dim);
}

static RecId of_map(Ball *x, RecId v)
{
    RecOp op = *rec_op(x->b.prog, v);
    Rule u = {.x = x, .rank = op.type.rank, .y = rec_use(v, op.type.rank), .jump = {.v = REC_NONE}};
    bool exact = true;
    memcpy(u.dim, op.type.dim, sizeof u.dim);
    for (uint32_t i = 0; i < op.nuse; i++) {
        u.a[i] = u.r[i] = op.use[i];
        u.r[i].v = ball_of(x, op.use[i].v);
        u.exact[i] = u.r[i].v == REC_NONE;
        exact = exact && u.exact[i];
    }
    if (exact)
        return REC_NONE;
    RecUse r = op.type.dt == DT_REAL ? rounded(&u, rule_of(&u, op.fun), op.fun) : may_differ(&u, op.fun, op.nuse);
    x->jump[v] = all_jumps(&u, &op);
    return pass_use_value(&x->b, r, u.rank, u.dim);
}

/* ---- sums ---- */

/* The radius of an operand over all of its axes. */
static RecId radius_of(Ball *x, RecId v)
{
    RecId r = ball_of(x, v);
    Type t = *rec_type(x->b.prog, v);
    return r != REC_NONE && rec_type(x->b.prog, r)->rank < t.rank ? rec_broadcast(&x->b, r, &t) : r;
}

/* How many terms each element of a sum has. */
static RecId terms(Ball *x, const RecOp *op)
{
    RecId all = rec_const(&x->b, DT_REAL, 1);
    for (uint8_t i = op->type.rank; i < op->nit; i++)
        all = rec_map2(&x->b, FUN_MUL, all, rec_map1(&x->b, FUN_REAL, rec_dim(&x->b, op->space[i])));
    return all;
}

/* r, and what a sum in any order of terms that come to `sizes` rounds: each term passes at most as many roundings as there are terms,
 * and one more for its product, in both results. */
static RecId summed(Ball *x, const RecOp *op, RecId r, RecId sizes)
{
    RecId each = rec_map2(&x->b, FUN_ADD, terms(x, op), rec_const(&x->b, DT_REAL, 2));
    RecId part = rec_map2(&x->b, FUN_MUL, each, rec_const(&x->b, DT_REAL, 2 * x->unit));
    RecId all = rec_map2(&x->b, FUN_ADD, r, rec_map2(&x->b, FUN_MUL, sizes, part)), zero = rec_const(&x->b, DT_REAL, 0);
    return x->same ? rec_map3(&x->b, FUN_WHERE, rec_map2(&x->b, FUN_NE, r, zero), all, r) : all;
}

static RecId plus(Ball *x, RecId a, RecId b)
{
    return a == REC_NONE ? b : rec_map2(&x->b, FUN_ADD, a, b);
}

/* Where any term may jump. */
static RecId any_jump(Ball *x, const RecOp *op)
{
    RecId any = REC_NONE;
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecId is = x->radius[op->use[i].v] == REC_NONE ? REC_NONE : x->jump[op->use[i].v];
        RecId row = is == REC_NONE ? REC_NONE : rec_reduce(&x->b, RED_MAX, pass_with(op->use[i], is), op->type.rank, op->nit, op->space);
        any = row == REC_NONE ? any : any == REC_NONE ? row : rec_map2(&x->b, FUN_OR, any, row);
    }
    return any;
}

static RecId of_contract(Ball *x, RecId v)
{
    RecOp op = *rec_op(x->b.prog, v);
    RecUse size[2], r[2];
    RecId sum = REC_NONE;
    for (uint32_t i = 0; i < 2; i++)
        r[i] = pass_with(op.use[i], radius_of(x, op.use[i].v));
    if (r[0].v == REC_NONE && r[1].v == REC_NONE)
        return REC_NONE;
    for (uint32_t i = 0; i < 2; i++)
        size[i] = pass_with(op.use[i], rec_map1(&x->b, FUN_ABS, op.use[i].v));
    for (uint32_t i = 0; i < 2; i++)
        if (r[i].v != REC_NONE)
            sum = plus(x, sum, rec_contract(&x->b, i ? size[0] : r[0], i ? r[1] : size[1], op.type.rank, op.nit, op.space));
    if (r[0].v != REC_NONE && r[1].v != REC_NONE)
        sum = plus(x, sum, rec_contract(&x->b, r[0], r[1], op.type.rank, op.nit, op.space));
    x->jump[v] = any_jump(x, &op);
    return summed(x, &op, sum, rec_contract(&x->b, size[0], size[1], op.type.rank, op.nit, op.space));
}

/* Of reals sums alone: of the greatest or least the error is bound, too, but not so the place where it is. Of other numbers: whether any
 * of them may be another one. */
static RecId of_reduce(Ball *x, RecId v)
{
    RecOp op = *rec_op(x->b.prog, v);
    RecId r = radius_of(x, op.use[0].v);
    if (r == REC_NONE)
        return REC_NONE;
    x->jump[v] = any_jump(x, &op);
    if (op.type.dt != DT_REAL)
        return rec_reduce(&x->b, RED_MAX, pass_with(op.use[0], r), op.type.rank, op.nit, op.space);
    x->boundless |= op.red != RED_SUM;
    RecUse size = pass_with(op.use[0], rec_map1(&x->b, FUN_ABS, op.use[0].v));
    return summed(x, &op, rec_reduce(&x->b, RED_SUM, pass_with(op.use[0], r), op.type.rank, op.nit, op.space),
                  rec_reduce(&x->b, RED_SUM, size, op.type.rank, op.nit, op.space));
}

/* ---- what moves ---- */

static bool touches(Ball *x, RecId v)
{
    RecOp op = *rec_op(x->b.prog, v);
    for (uint32_t i = 0; i < op.nuse; i++)
        if (ball_of(x, op.use[i].v) != REC_NONE)
            return true;
    return false;
}

static RecId moved(void *cx, RecId v)
{
    Ball *x = cx;
    Type t = *rec_type(x->b.prog, v);
    RecId r = radius_of(x, v);
    return r == REC_NONE ? rec_zeros(&x->b, &t) : r;
}

/* Where elements go does not depend on what they are. Jumps do not move with them. */
static RecId of_moved(Ball *x, RecId v)
{
    RecOp op = *rec_op(x->b.prog, v);
    if (!touches(x, v))
        return REC_NONE;
    x->boundless |= op.type.dt != DT_REAL;
    for (uint32_t i = 0; i < op.nuse; i++)
        x->boundless |= ball_of(x, op.use[i].v) != REC_NONE && x->jump[op.use[i].v] != REC_NONE;
    return x->boundless ? REC_NONE : pass_copy(&x->b, op, moved, x);
}

static RecId made(Ball *x, RecId v)
{
    switch (rec_op(x->b.prog, v)->kind) {
    case REC_MAP: return of_map(x, v);
    case REC_CONTRACT: return of_contract(x, v);
    case REC_REDUCE: return of_reduce(x, v);
    case REC_SLICE:
    case REC_PAD:
    case REC_CONCAT:
    case REC_RESHAPE: return of_moved(x, v);
    default: x->boundless |= touches(x, v); return REC_NONE;
    }
}

RecId ball_of(Ball *x, RecId v)
{
    if (v >= x->n)
        return REC_NONE;
    if (!x->known[v]) {
        RecId r = made(x, v);
        ball_seed(x, v, r);
    }
    return x->radius[v];
}
