/* Bounds of what is linear: see lipschitz.h. What the rules of tangent.c make is sums, products with what does not change, choices by
 * what does not change, and what moves. */
#include "ir/rec/lipschitz.h"

#include <math.h>

Lipschitz lipschitz_begin(RecBuild b, Ball *ball, const RecId *change, uint32_t n)
{
    RecProg *p = b.prog;
    Lipschitz x = {.b = b, .ball = ball, .reads = NEWN(p->arena, bool, p->op.n + 1), .of = pass_ids(p->arena, p->op.n)};
    for (uint32_t i = 0; i < n; i++) {
        x.reads[change[i]] = true;
        x.of[change[i]] = change[i];
    }
    pass_made_of(p, b.region, x.reads);
    return x;
}

static RecId none(Lipschitz *x)
{
    x->none = true;
    return REC_NONE;
}

/* The largest size of a coefficient in the ball. */
static RecId most(Lipschitz *x, RecId c)
{
    RecId size = rec_map1(&x->b, FUN_ABS, c), r = ball_of(x->ball, c);
    return r == REC_NONE ? size : rec_map2(&x->b, FUN_ADD, size, r);
}

/* The least; below 0 where it may be 0. */
static RecId least(Lipschitz *x, RecId c)
{
    RecId size = rec_map1(&x->b, FUN_ABS, c), r = ball_of(x->ball, c);
    return r == REC_NONE ? size : rec_map2(&x->b, FUN_SUB, size, r);
}

/* ---- elementwise ---- */

static RecId mapped(Lipschitz *x, const RecOp *op, Fun f, const RecUse *use)
{
    return rec_map(&x->b, f, use, op->type.rank, op->type.dim);
}

/* Of an operand: its bound where it reads changes; what does not must be 0. */
static RecUse operand(Lipschitz *x, const RecOp *op, uint32_t i)
{
    RecId v = op->use[i].v;
    if (x->reads[v])
        return pass_with(op->use[i], lipschitz_of(x, v));
    if (!pass_zeros(x->b.prog, v))
        none(x);
    return op->use[i];
}

static RecId of_product(Lipschitz *x, const RecOp *op)
{
    uint32_t linear = x->reads[op->use[0].v] ? 0 : 1;
    if (x->reads[op->use[1 - linear].v])
        return none(x);
    RecUse use[2] = {operand(x, op, linear), pass_with(op->use[1 - linear], most(x, op->use[1 - linear].v))};
    return x->none ? REC_NONE : mapped(x, op, FUN_MUL, use);
}

static RecId of_quotient(Lipschitz *x, const RecOp *op)
{
    if (x->reads[op->use[1].v])
        return none(x);
    RecUse size[2] = {operand(x, op, 0), pass_with(op->use[1], least(x, op->use[1].v))};
    RecUse far[3] = {{.v = rec_const(&x->b, DT_REAL, 0)}, size[1], {.v = REC_NONE}};
    if (x->none)
        return REC_NONE;
    RecUse is = rec_use(mapped(x, op, FUN_LT, far), op->type.rank), part = rec_use(mapped(x, op, FUN_DIV, size), op->type.rank);
    RecUse use[3] = {is, part, {.v = rec_const(&x->b, DT_REAL, INFINITY)}};
    return mapped(x, op, FUN_WHERE, use);
}

/* A choice that may turn in the ball is the steeper of both. */
static RecId of_choice(Lipschitz *x, const RecOp *op)
{
    if (x->reads[op->use[0].v])
        return none(x);
    RecUse use[3] = {op->use[0], operand(x, op, 1), operand(x, op, 2)};
    RecId turns = ball_of(x->ball, op->use[0].v);
    if (x->none)
        return REC_NONE;
    RecId own = mapped(x, op, FUN_WHERE, use);
    if (turns == REC_NONE)
        return own;
    RecUse both[3] = {pass_with(op->use[0], turns), rec_use(mapped(x, op, FUN_MAX, use + 1), op->type.rank), rec_use(own, op->type.rank)};
    return mapped(x, op, FUN_WHERE, both);
}

static RecId of_sum(Lipschitz *x, const RecOp *op)
{
    RecUse use[2] = {operand(x, op, 0), operand(x, op, 1)};
    return x->none ? REC_NONE : mapped(x, op, FUN_ADD, use);
}

static RecId of_map(Lipschitz *x, const RecOp *op)
{
    RecUse one = {.v = REC_NONE};
    switch (op->fun) {
    case FUN_ID:
    case FUN_STOP:
    case FUN_CHOSEN:
    case FUN_NEG:
        one = operand(x, op, 0);
        return x->none ? REC_NONE : mapped(x, op, FUN_ID, &one);
    case FUN_ADD:
    case FUN_SUB: return of_sum(x, op);
    case FUN_MUL: return of_product(x, op);
    case FUN_DIV: return of_quotient(x, op);
    case FUN_WHERE: return of_choice(x, op);
    default: return none(x);
    }
}

/* ---- sums, and what moves ---- */

static RecId of_contract(Lipschitz *x, const RecOp *op)
{
    bool first = x->reads[op->use[0].v];
    if (first && x->reads[op->use[1].v])
        return none(x);
    RecUse use[2];
    for (uint32_t i = 0; i < 2; i++)
        use[i] = (i == 0) == first ? operand(x, op, i) : pass_with(op->use[i], most(x, op->use[i].v));
    return x->none ? REC_NONE : rec_contract(&x->b, use[0], use[1], op->type.rank, op->nit, op->space);
}

static RecId of_reduce(Lipschitz *x, const RecOp *op)
{
    if (op->red != RED_SUM)
        return none(x);
    RecUse use = operand(x, op, 0);
    return x->none ? REC_NONE : rec_reduce(&x->b, RED_SUM, use, op->type.rank, op->nit, op->space);
}

static RecId moved(void *cx, RecId v)
{
    Lipschitz *x = cx;
    if (!x->reads[v] && !pass_zeros(x->b.prog, v))
        none(x);
    RecId own = x->reads[v] ? lipschitz_of(x, v) : v;
    return own == REC_NONE ? v : own;
}

static RecId made(Lipschitz *x, RecId v)
{
    RecOp op = *rec_op(x->b.prog, v);
    switch (op.kind) {
    case REC_MAP: return of_map(x, &op);
    case REC_CONTRACT: return of_contract(x, &op);
    case REC_REDUCE: return of_reduce(x, &op);
    case REC_SLICE:
    case REC_PAD:
    case REC_CONCAT:
    case REC_RESHAPE: return pass_copy(&x->b, op, moved, x);
    default: return none(x);
    }
}

RecId lipschitz_of(Lipschitz *x, RecId v)
{
    if (!x->reads[v] || x->none)
        return REC_NONE;
    if (x->of[v] == REC_NONE)
        x->of[v] = made(x, v);
    return x->none ? REC_NONE : x->of[v];
}
