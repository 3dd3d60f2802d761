/* What writes only parts of its result: scatter, padding; and the reshapes that need a copy. */
#include "ir/kern/lower.h"

/* Loops over axes that a result axis follows stand inside: their iterations write to different elements. */
static uint32_t scatter_order(const RecOp *op, uint8_t *order)
{
    uint32_t follows = 0, n = 0;
    for (uint32_t k = op->nindex; k < op->type.rank; k++)
        follows |= 1u << op->out_axis[k];
    for (uint8_t i = 0; i < op->nit; i++)
        if (!(follows & (1u << i)))
            order[n++] = i;
    uint32_t nserial = n;
    for (uint8_t i = 0; i < op->nit; i++)
        if (follows & (1u << i))
            order[n++] = i;
    return nserial;
}

void lower_scatter(Lower *l, uint32_t group)
{
    RecId v = l->group.p[group].op;
    const RecOp *op = rec_op(l->rec, v);
    const Val *x = lower_val(l, v);
    uint8_t order[MAXIT] = {0};
    uint32_t nserial = scatter_order(op, order);
    if (!x->add)
        lower_fill(l, &x->mem, &op->type, 0, op->at);
    Nest n;
    nest_begin(&n, l, group, op->nit, op->space, order, op->at);
    for (uint32_t i = 0; i < nserial; i++)
        n.kind[i] = K_SERIAL;
    KIndex to[MAXRANK] = {0}, from[MAXRANK] = {0};
    for (uint32_t k = 0; k < op->type.rank; k++) {
        if (k >= op->nindex) {
            to[k] = n.ix[op->out_axis[k]];
            continue;
        }
        const RecUse *u = &op->use[k + 1];
        nest_use(&n, u, rec_type(l->rec, u->v)->rank, from);
        kern_index_add(l->k, &to[k], nest_checked(&n, nest_value(&n, u->v, from), op->type.dim[k]), DIM_ONE);
    }
    nest_use(&n, &op->use[0], rec_type(l->rec, op->use[0].v)->rank, from);
    nest_store(&n, nest_value(&n, op->use[0].v, from), &x->mem, to, op->type.rank, true);
    nest_end(&n);
}

/* Computes v element by element into `to`. */
static void copy(Lower *l, uint32_t group, RecId v, const View *to, bool add, Span at)
{
    const Type *t = rec_type(l->rec, v);
    Nest n;
    nest_begin(&n, l, group, t->rank, t->dim, NULL, at);
    nest_store(&n, nest_value(&n, v, n.ix), to, n.ix, t->rank, add);
    nest_end(&n);
}

static void fill_margin(Lower *l, const View *whole, const RecOp *op, Dim lo, Dim size)
{
    Type t = op->type;
    View part = storage_part(l, whole, op->along, lo);
    t.dim[op->along] = size;
    if (size != DIM_ZERO)
        lower_fill(l, &part, &t, 0, op->at);
}

void lower_pad(Lower *l, uint32_t group)
{
    RecId v = l->group.p[group].op;
    const RecOp *op = rec_op(l->rec, v);
    const Val *x = lower_val(l, v);
    View part = storage_part(l, &x->mem, op->along, op->lo);
    Dim behind = dim_add(l->dims, op->lo, rec_type(l->rec, op->use[0].v)->dim[op->along]);
    if (!x->add) {
        fill_margin(l, &x->mem, op, DIM_ZERO, op->lo);
        fill_margin(l, &x->mem, op, behind, dim_sub(l->dims, op->type.dim[op->along], behind));
    }
    copy(l, group, op->use[0].v, &part, x->add, op->at);
}

/* Runs over the operand's axes; its memory may have gaps along the result's, which are split or merged otherwise. */
void lower_reshape(Lower *l, uint32_t group)
{
    RecId v = l->group.p[group].op;
    const RecOp *op = rec_op(l->rec, v);
    const Val *x = lower_val(l, v);
    const Type *from = rec_type(l->rec, op->use[0].v);
    View dense = storage_dense(l, x->mem.buf, from);
    if (!storage_is_dense(l, &x->mem, &op->type))
        ice("rec_to_kern: a reshape is copied to a place with gaps");
    dense.at = x->mem.at;
    copy(l, group, op->use[0].v, &dense, x->add, op->at);
}
