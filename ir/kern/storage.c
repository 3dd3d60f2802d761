/* Where values are: buffers, views of them, and views of views. */
#include "ir/kern/lower.h"

KBufId storage_new(Lower *l, const Type *t, Dim size, RecId v)
{
    Str name = v == REC_NONE ? STR("") : rec_op(l->rec, v)->name;
    return kern_buf(l->k, (KBuf){.kind = K_WORK, .dt = t->dt, .size = size, .name = name});
}

View storage_dense(Lower *l, KBufId buf, const Type *t)
{
    View v = {.buf = buf};
    Dim stride = DIM_ONE;
    for (uint32_t i = t->rank; i-- > 0;) {
        v.stride[i] = stride;
        stride = dim_mul(l->dims, stride, t->dim[i]);
    }
    return v;
}

bool storage_is_dense(Lower *l, const View *v, const Type *t)
{
    Dim stride = DIM_ONE;
    for (uint32_t i = t->rank; i-- > 0;) {
        if (t->dim[i] != DIM_ONE && v->stride[i] != stride)
            return false;
        stride = dim_mul(l->dims, stride, t->dim[i]);
    }
    return true;
}

/* to += from * factor */
void storage_add(Lower *l, KIndex *to, const KIndex *from, Dim factor)
{
    to->base = dim_add(l->dims, to->base, dim_mul(l->dims, from->base, factor));
    for (uint32_t i = 0; i < from->n; i++)
        kern_index_add(l->k, to, from->term[i].var, dim_mul(l->dims, from->term[i].stride, factor));
}

KIndex storage_at(Lower *l, const View *v, const KIndex *ix, uint32_t rank)
{
    KIndex at = v->at;
    for (uint32_t i = 0; i < rank; i++)
        storage_add(l, &at, &ix[i], v->stride[i]);
    return at;
}

View storage_element(Lower *l, const View *v, uint32_t rank, KVar at)
{
    View e = *v;
    kern_index_add(l->k, &e.at, at, v->stride[0]);
    for (uint32_t i = 0; i + 1 < rank; i++)
        e.stride[i] = v->stride[i + 1];
    return e;
}

View storage_part(Lower *l, const View *v, uint32_t along, Dim lo)
{
    View part = *v;
    part.at.base = dim_add(l->dims, part.at.base, dim_mul(l->dims, lo, v->stride[along]));
    return part;
}

/* ---- reshapes: axes f..f+nf of one type hold the same elements as axes t..t+nt of the other ---- */

typedef struct Piece {
    uint32_t f, nf, t, nt;
} Piece;

static bool piece_next(Lower *l, const Type *from, const Type *to, Piece *p)
{
    uint32_t i = p->f + p->nf, j = p->t + p->nt;
    *p = (Piece){.f = i, .t = j};
    bool fi = i < from->rank, tj = j < to->rank;
    if (!fi && !tj)
        return false;
    if (fi && from->dim[i] == DIM_ONE && !(tj && to->dim[j] == DIM_ONE))
        return p->nf = 1, true;
    if (tj && to->dim[j] == DIM_ONE && !(fi && from->dim[i] == DIM_ONE))
        return p->nt = 1, true;
    if (!fi || !tj)
        ice("rec_to_kern: a reshape changes the number of elements");
    Dim a = from->dim[i++], b = to->dim[j++], rest;
    while (a != b) {
        bool grow_to = j < to->rank && (i == from->rank || !dim_div(l->dims, b, a, &rest));
        if (!grow_to && i == from->rank)
            ice("rec_to_kern: a reshape changes the number of elements");
        if (grow_to)
            b = dim_mul(l->dims, b, to->dim[j++]);
        else
            a = dim_mul(l->dims, a, from->dim[i++]);
    }
    p->nf = i - p->f;
    p->nt = j - p->t;
    return true;
}

bool reshape_splits(Lower *l, const Type *from, const Type *to)
{
    for (Piece p = {0}; piece_next(l, from, to, &p);)
        if (p.nf > 1)
            return false;
    return true;
}

/* The operand's indices for the result's; only when every piece has at most one axis of the operand. */
void reshape_index(Lower *l, const Type *from, const Type *to, const KIndex *to_ix, KIndex *from_ix)
{
    for (Piece p = {0}; piece_next(l, from, to, &p);) {
        if (!p.nf)
            continue;
        Dim scale = DIM_ONE;
        from_ix[p.f] = (KIndex){0};
        for (uint32_t j = p.t + p.nt; j-- > p.t;) {
            storage_add(l, &from_ix[p.f], &to_ix[j], scale);
            scale = dim_mul(l->dims, scale, to->dim[j]);
        }
    }
}

/* The stride along all of a piece's operand axes as one; false if there are gaps between them. */
static bool piece_stride(Lower *l, const View *v, const Type *from, const Piece *p, Dim *stride)
{
    Dim next = DIM_ZERO;
    *stride = DIM_ZERO;
    bool first = true;
    for (uint32_t i = p->f + p->nf; i-- > p->f;) {
        if (from->dim[i] == DIM_ONE)
            continue;
        if (first)
            *stride = v->stride[i];
        else if (v->stride[i] != next)
            return false;
        next = dim_mul(l->dims, v->stride[i], from->dim[i]);
        first = false;
    }
    return true;
}

static bool reshape_view(Lower *l, const View *v, const Type *from, const Type *to, View *out)
{
    *out = *v;
    for (Piece p = {0}; piece_next(l, from, to, &p);) {
        Dim stride;
        if (!piece_stride(l, v, from, &p, &stride))
            return false;
        for (uint32_t j = p.t + p.nt; j-- > p.t;) {
            out->stride[j] = stride;
            stride = dim_mul(l->dims, stride, to->dim[j]);
        }
    }
    return true;
}

/* ---- views of values ---- */

static View map_view(Lower *l, const View *v, const RecOp *op)
{
    View r = {.buf = v->buf, .at = v->at};
    for (uint32_t k = 0; k < rec_type(l->rec, op->use[0].v)->rank; k++)
        r.stride[op->use[0].axis[k]] = dim_add(l->dims, r.stride[op->use[0].axis[k]], v->stride[k]);
    return r;
}

static View view_of_view(Lower *l, RecId v, const View *source)
{
    const RecOp *op = rec_op(l->rec, v);
    const Type *from = rec_type(l->rec, lower_source(l, v));
    switch (op->kind) {
    case REC_MAP: return map_view(l, source, op);
    case REC_SLICE: return storage_part(l, source, op->along, op->lo);
    case REC_RESHAPE: {
        View r;
        if (!reshape_view(l, source, from, &op->type, &r))
            ice("rec_to_kern: a reshape of a value with gaps");
        return r;
    }
    default: return storage_element(l, source, from->rank, l->recur[l->rec->region.p[op->home].owner]->place);
    }
}

/* Where the operand of a view must be written for the view's value to be at `to`: for reshapes and transpositions. */
bool storage_undo(Lower *l, RecId v, const View *to, View *out)
{
    const RecOp *op = rec_op(l->rec, v);
    const Type *from = rec_type(l->rec, lower_source(l, v));
    if (op->kind == REC_RESHAPE)
        return reshape_view(l, to, &op->type, from, out);
    if (op->kind != REC_MAP || from->rank != op->type.rank)
        return false;
    uint32_t seen = 0;
    *out = *to;
    for (uint32_t k = 0; k < from->rank; k++) {
        out->stride[k] = to->stride[op->use[0].axis[k]];
        seen |= 1u << op->use[0].axis[k];
    }
    return seen == (1u << from->rank) - 1;
}

static bool base_view(Lower *l, RecId v, View *out)
{
    const RecOp *op = rec_op(l->rec, v);
    const Val *x = lower_val(l, v);
    switch (x->form) {
    case F_ARG: return *out = storage_dense(l, l->arg[op->arg], &op->type), true;
    case F_STATE: return *out = recur_state(l, v), true;
    case F_HISTORY: return *out = l->recur[l->rec->region.p[op->home].owner]->result[op->index].mem, true;
    case F_PROJ: {
        const RecurResult *r = &l->recur[op->use[0].v]->result[op->index];
        if (!r->stored)
            ice("rec_to_kern: a result of a recurrence is read but was not stored");
        return *out = r->mem, true;
    }
    default: return *out = x->mem, x->stored;
    }
}

/* The backward function runs with keep = 1 only. */
static void without_keep(Lower *l, View *v, uint32_t rank)
{
    KIndex at = v->at;
    v->at = (KIndex){.base = dim_subst(l->dims, at.base, l->k->keep, DIM_ONE)};
    for (uint32_t i = 0; i < at.n; i++)
        kern_index_add(l->k, &v->at, at.term[i].var, dim_subst(l->dims, at.term[i].stride, l->k->keep, DIM_ONE));
    for (uint32_t i = 0; i < rank; i++)
        v->stride[i] = dim_subst(l->dims, v->stride[i], l->k->keep, DIM_ONE);
}

bool storage_view(Lower *l, RecId v, View *out)
{
    if (lower_val(l, v)->form == F_VIEW) {
        View source;
        if (!storage_view(l, lower_source(l, v), &source))
            return false;
        *out = view_of_view(l, v, &source);
        return true;
    }
    if (!base_view(l, v, out))
        return false;
    if (l->fn == REC_BACKWARD)
        without_keep(l, out, rec_type(l->rec, v)->rank);
    return true;
}
