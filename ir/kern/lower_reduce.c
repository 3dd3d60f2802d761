/* Reductions. The operand is computed inside the nest where nothing else needs it.
 *
 * Reduced axes are the inner loops, with an accumulator. When instead the operand's last axis is one of the result's, a
 * sum runs the reduced axes outside and adds whole rows to the result, so that memory is read in order. A matrix of a
 * step is read in its own order, so that kern.fuse finds the loops that make it. */
#include "ir/kern/lower.h"

static KVar reduced_value(Nest *n, const RecOp *op)
{
    KVar v[2];
    for (uint32_t i = 0; i < op->nuse; i++) {
        KIndex ix[MAXRANK];
        nest_use(n, &op->use[i], rec_type(n->l->rec, op->use[i].v)->rank, ix);
        v[i] = nest_value(n, op->use[i].v, ix);
    }
    return op->nuse == 1 ? v[0] : nest_let(n, FUN_MUL, op->type.dt, v[0], v[1], K_NONE);
}

static RecReduce reduction(const RecOp *op)
{
    return op->kind == REC_REDUCE ? op->red : RED_SUM;
}

static bool ends_in_result(const Lower *l, const RecOp *op, const RecUse *u)
{
    uint32_t rank = rec_type(l->rec, u->v)->rank;
    return rank > 0 && u->axis[rank - 1] < op->type.rank;
}

static bool sums_rows(const Lower *l, const RecOp *op)
{
    if (reduction(op) != RED_SUM)
        return false;
    uint32_t matrix = lower_step_matrix(l->rec, op);
    if (matrix != K_NONE)
        return ends_in_result(l, op, &op->use[matrix]) && op->space[op->use[matrix].axis[op->nit - 1]] != DIM_ONE;
    for (uint32_t i = 0; i < op->nuse; i++)
        if (!ends_in_result(l, op, &op->use[i]))
            return false;
    return op->type.rank > 0 && op->type.dim[op->type.rank - 1] != DIM_ONE;
}

static void order_of_rows(const Lower *l, const RecOp *op, uint8_t *order)
{
    uint32_t matrix = lower_step_matrix(l->rec, op), nred = op->nit - op->type.rank;
    for (uint32_t i = 0; i < op->nit; i++)
        order[i] = matrix != K_NONE ? op->use[matrix].axis[i] : (uint8_t)(i < nred ? op->type.rank + i : i - nred);
}

/* Result axes first, then the reduced ones; of a step's matrix both in its own order. */
static void order_of_sums(const Lower *l, const RecOp *op, uint8_t *order)
{
    uint32_t matrix = lower_step_matrix(l->rec, op), n = 0;
    for (uint32_t reduced = 0; reduced < 2; reduced++)
        for (uint32_t i = 0; i < op->nit; i++) {
            uint8_t axis = matrix != K_NONE ? op->use[matrix].axis[i] : (uint8_t)i;
            if ((axis >= op->type.rank) == reduced)
                order[n++] = axis;
        }
}

static void by_rows(Lower *l, uint32_t group, const RecOp *op, const Val *x)
{
    uint8_t order[MAXIT] = {0};
    order_of_rows(l, op, order);
    if (!x->add)
        lower_fill(l, &x->mem, &op->type, 0, op->at);
    Nest n;
    nest_begin(&n, l, group, op->nit, op->space, order, op->at);
    for (uint32_t i = 0; i < op->nit; i++)
        if (order[i] >= op->type.rank)
            n.kind[i] = K_SERIAL;
    nest_store(&n, reduced_value(&n, op), &x->mem, n.ix, op->type.rank, true);
    nest_end(&n);
}

static void by_accumulator(Lower *l, uint32_t group, const RecOp *op, const Val *x)
{
    Nest n;
    uint32_t rank = op->type.rank;
    uint8_t order[MAXIT] = {0};
    order_of_sums(l, op, order);
    nest_begin(&n, l, group, op->nit, op->space, order, op->at);
    for (uint32_t i = rank; i < op->nit; i++)
        n.kind[i] = K_SERIAL;
    KVar acc = kern_var(l->k, op->type.dt, false, op->name);
    kern_add(l->k, &n.pre[rank], (KStmt){.kind = K_START, .at = op->at, .acc = {acc, reduction(op), K_NONE}});
    KVar v = reduced_value(&n, op);
    kern_add(l->k, &n.pre[op->nit], (KStmt){.kind = K_UPDATE, .at = op->at, .acc = {acc, reduction(op), v}});
    KStmt s = {.kind = K_STORE, .at = op->at, .mem = {acc, x->mem.buf, storage_at(l, &x->mem, n.ix, rank), x->add}};
    kern_add(l->k, &n.post[rank], s);
    nest_end(&n);
}

void lower_reduce(Lower *l, uint32_t group)
{
    RecId v = l->group.p[group].op;
    const RecOp *op = rec_op(l->rec, v);
    if (sums_rows(l, op))
        by_rows(l, group, op, lower_val(l, v));
    else
        by_accumulator(l, group, op, lower_val(l, v));
}
