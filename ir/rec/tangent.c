/* Forward mode: see tangent.h. Elementwise functions by the derivative columns of fun.def, which are linear in d; all that
 * moves or sums moves or sums the tangent. Recurrences inside of what is looked at are not followed. */
#include "ir/rec/tangent.h"
#include "ir/rec/derivative.h"

Tangent tangent_begin(RecBuild b)
{
    RecProg *p = b.prog;
    return (Tangent){b, p->op.n, pass_ids(p->arena, p->op.n), NEWN(p->arena, bool, p->op.n + 1)};
}

void tangent_seed(Tangent *t, RecId v, RecId tangent)
{
    t->of[v] = tangent;
    t->known[v] = true;
}

static const RecOp *op_of(const Tangent *t, RecId v)
{
    return rec_op(t->b.prog, v);
}

static RecId plus(Tangent *t, RecId a, RecId b)
{
    if (a == REC_NONE || b == REC_NONE)
        return a == REC_NONE ? b : a;
    return rec_map2(&t->b, FUN_ADD, a, b);
}

/* ---- elementwise functions ---- */

static RecId of_map(Tangent *t, RecId v)
{
    RecId sum = REC_NONE;
    for (uint32_t i = 0; i < op_of(t, v)->nuse; i++) {
        RecId d = tangent_of(t, op_of(t, v)->use[i].v), part = d == REC_NONE ? d : derivative_along(&t->b, v, i, d);
        sum = part == REC_NONE ? sum : plus(t, sum, part);
    }
    return sum;
}

/* ---- sums and products ---- */

/* Of the greatest or least: that of the elements that are, their mean if there are several. */
static RecId of_extreme(Tangent *t, RecId v, RecId d)
{
    RecOp op = *op_of(t, v);
    RecUse all[3] = {op.use[0], rec_use(v, op.type.rank), {0}};
    RecId is = rec_map(&t->b, FUN_EQ, all, op.nit, op.space);
    RecUse pick[3] = {rec_use(is, op.nit), pass_with(op.use[0], d), {.v = rec_const(&t->b, DT_REAL, 0)}};
    RecUse one[3] = {pick[0], {.v = rec_const(&t->b, DT_REAL, 1)}, pick[2]};
    RecUse sum = rec_use(rec_map(&t->b, FUN_WHERE, pick, op.nit, op.space), op.nit);
    RecUse count = rec_use(rec_map(&t->b, FUN_WHERE, one, op.nit, op.space), op.nit);
    return rec_map2(&t->b, FUN_DIV, rec_reduce(&t->b, RED_SUM, sum, op.type.rank, op.nit, op.space),
                    rec_reduce(&t->b, RED_SUM, count, op.type.rank, op.nit, op.space));
}

static RecId of_reduce(Tangent *t, RecId v)
{
    RecId d = tangent_of(t, op_of(t, v)->use[0].v);
    RecOp op = *op_of(t, v);
    if (d == REC_NONE || op.red == RED_PROD)
        return REC_NONE;
    if (op.red != RED_SUM)
        return of_extreme(t, v, d);
    return rec_reduce(&t->b, RED_SUM, pass_with(op.use[0], d), op.type.rank, op.nit, op.space);
}

static RecId of_contract(Tangent *t, RecId v)
{
    RecId sum = REC_NONE;
    for (uint32_t i = 0; i < 2; i++) {
        RecId d = tangent_of(t, op_of(t, v)->use[i].v);
        RecOp op = *op_of(t, v);
        RecUse a = pass_with(op.use[i], d), b = op.use[1 - i];
        if (d != REC_NONE)
            sum = plus(t, sum, rec_contract(&t->b, i ? b : a, i ? a : b, op.type.rank, op.nit, op.space));
    }
    return sum;
}

/* ---- what moves ---- */

static RecId zeros_like(Tangent *t, RecId v)
{
    Type type = *rec_type(t->b.prog, v);
    return rec_zeros(&t->b, &type);
}

static RecId moved(void *cx, RecId v)
{
    Tangent *t = cx;
    RecId d = tangent_of(t, v);
    return d == REC_NONE && rec_type(t->b.prog, v)->dt == DT_REAL ? zeros_like(t, v) : d == REC_NONE ? v : d;
}

static RecId of_moved(Tangent *t, RecId v)
{
    RecOp op = *op_of(t, v);
    for (uint32_t i = 0; i < op.nuse; i++)
        if (tangent_of(t, op.use[i].v) != REC_NONE)
            return pass_copy(&t->b, op, moved, t);
    return REC_NONE;
}

static RecId made(Tangent *t, RecId v)
{
    if (op_of(t, v)->type.dt != DT_REAL)
        return REC_NONE;
    switch (op_of(t, v)->kind) {
    case REC_MAP: return of_map(t, v);
    case REC_REDUCE: return of_reduce(t, v);
    case REC_CONTRACT: return of_contract(t, v);
    case REC_GATHER:
    case REC_SCATTER:
    case REC_SLICE:
    case REC_PAD:
    case REC_CONCAT:
    case REC_RESHAPE: return of_moved(t, v);
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

RecId tangent_of(Tangent *t, RecId v)
{
    if (v >= t->n)
        return REC_NONE;
    if (!t->known[v]) {
        RecId d = made(t, v);
        tangent_seed(t, v, d);
    }
    return t->of[v];
}
