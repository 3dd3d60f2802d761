/* Values of a recurrence's step, made outside of it for all places at once: for rec.hoist and rec.sink.
 * A value that depends on the place gets a leading axis over the places; adding it to an op is adding one iteration
 * axis. What depends on no sequence is made once. See pass.h. */
#include "ir/rec/operator.h"

static Type with_places(const Lift *l, const Type *step)
{
    Type t = {.dt = step->dt, .rank = (uint8_t)(step->rank + 1), .dim = {l->length}};
    memcpy(t.dim + 1, step->dim, step->rank * sizeof *step->dim);
    return t;
}

RecId lift_placed(Lift *l, RecId old)
{
    Lifted x = lift_value(l, old);
    if (x.placed)
        return x.v;
    Type step = *rec_type(l->w->p, x.v), t = with_places(l, &step);
    RecUse u = rec_use_tail(l->w->p, x.v, t.rank);
    return rec_map(l->b, FUN_ID, &u, t.rank, t.dim);
}

/* The use of a lifted operand in a space with a new axis 0. */
static RecUse shifted(const Lift *l, RecUse u, Lifted x)
{
    RecUse s = {.v = x.v};
    uint8_t own = rec_type(l->w->p, x.v)->rank, n = 0;
    if (x.placed)
        s.axis[n++] = 0;
    for (uint8_t i = 0; n < own; i++)
        s.axis[n++] = (uint8_t)(u.axis[i] + 1);
    return s;
}

/* The places' axis of a table moves behind the indexed axes. */
static void place_table(Lift *l, RecOp *op, RecUse was)
{
    uint8_t order[MAXRANK], rank = rec_type(l->w->p, op->use[0].v)->rank, k = op->nindex;
    for (uint8_t i = 0; i < rank; i++)
        order[i] = i < k ? (uint8_t)(i + 1) : i == k ? 0 : i;
    op->use[0] = (RecUse){.v = rec_transpose(l->b, op->use[0].v, order)};
    op->use[0].axis[k] = 0;
    for (uint8_t i = k; i + 1 < rank; i++)
        op->use[0].axis[i + 1] = (uint8_t)(was.axis[i] + 1);
}

/* A sum for each place: the places' axis stands behind the indexed axes of the scatter, and then moves in front. */
static RecId place_scatter(Lift *l, RecOp op, const RecOp *was)
{
    uint8_t k = op.nindex, rank = op.type.rank, order[MAXRANK] = {k};
    for (uint8_t i = 0; i < rank; i++)
        op.type.dim[i] = i < k ? was->type.dim[i] : i == k ? l->length : was->type.dim[i - 1];
    op.out_axis[k] = 0;
    for (uint8_t i = (uint8_t)(k + 1); i < rank; i++)
        op.out_axis[i] = (uint8_t)(was->out_axis[i - 1] + 1);
    for (uint8_t i = 1; i < rank; i++)
        order[i] = i <= k ? (uint8_t)(i - 1) : i;
    RecId v = pass_push(l->b, op);
    return k ? rec_transpose(l->b, v, order) : v;
}

static RecId place_iterating(Lift *l, RecOp op, const RecOp *was, const Lifted *operand)
{
    op.nit++;
    op.space[0] = l->length;
    memcpy(op.space + 1, was->space, was->nit * sizeof *was->space);
    for (uint32_t i = 0; i < op.nuse; i++)
        op.use[i] = shifted(l, was->use[i], operand[i]);
    if (op.kind == REC_GATHER && operand[0].placed)
        place_table(l, &op, was->use[0]);
    return op.kind == REC_SCATTER ? place_scatter(l, op, was) : pass_push(l->b, op);
}

static RecId make_placed(Lift *l, RecOp op, const RecOp *was, const Lifted *operand)
{
    op.type = with_places(l, &was->type);
    if (pass_iterates(op.kind))
        return place_iterating(l, op, was, operand);
    for (uint32_t i = 0; i < op.nuse; i++)
        op.use[i] = (RecUse){.v = lift_placed(l, was->use[i].v)};
    if (op.kind != REC_RESHAPE)
        op.along++;
    return pass_push(l->b, op);
}

static Lifted make(Lift *l, RecId old)
{
    const RecOp *was = rec_op(&l->w->old, old);
    if (was->kind == REC_RECUR || was->kind == REC_PROJ || was->kind == REC_REGARG)
        ice("rec.lift: %u does not leave its recurrence", old);
    RecOp op = *was;
    Lifted *operand = NEWN(l->w->p->arena, Lifted, op.nuse + 1);
    Lifted made = {0};
    op.use = NEWN(l->w->p->arena, RecUse, op.nuse + 1);
    for (uint32_t i = 0; i < op.nuse; i++) {
        operand[i] = lift_value(l, was->use[i].v);
        made.placed |= operand[i].placed;
        op.use[i] = was->use[i];
        op.use[i].v = operand[i].v;
    }
    l->b->at = was->at;
    l->b->name = was->name;
    op.name = was->name;
    made.v = made.placed ? make_placed(l, op, was, operand) : pass_push(l->b, op);
    return made;
}

/* A call of an operator: its operations, at every place. */
static RecId lift_operator(Lift *l, const RecOp *proj)
{
    const RecProg *p = &l->w->old;
    const RecOp *call = rec_op(p, proj->use[0].v);
    const RecRegionInfo *body = &p->region.p[call->region];
    for (uint32_t i = 0; i < call->nuse && l->made[body->arg.p[call->nuse - 1]].v == REC_NONE; i++) {
        RecId v = lift_placed(l, call->use[i].v);
        l->made[body->arg.p[i]] = (Lifted){i < call->nstate ? v : operator_element(l->b, v, 1), true};
    }
    return lift_placed(l, body->result.p[proj->index]);
}

Lifted lift_value(Lift *l, RecId old)
{
    const RecProg *p = &l->w->old;
    const RecOp *recur = rec_op(p, l->recur), *op = rec_op(p, old);
    if (l->made[old].v != REC_NONE)
        return l->made[old];
    if (!rec_inside(p, old, recur->region))
        return l->made[old] = (Lifted){l->w->to[old], false};
    if (op->kind == REC_REGARG && op->home == recur->region && op->index >= recur->nstate)
        return l->made[old] = (Lifted){l->w->to[recur->use[op->index].v], true};
    bool call = op->kind == REC_PROJ && rec_op(p, op->use[0].v)->is_operator;
    Lifted made = call ? (Lifted){lift_operator(l, op), true} : make(l, old);
    return l->made[old] = made;
}
