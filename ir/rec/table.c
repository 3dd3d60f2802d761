/* Stages that are tables: see table.h. */
#include "ir/rec/table.h"

typedef struct Find {
    const RecProg *p;
    RecId state;
    const bool *reads;
    Dim size; /* DIM_ZERO: not known yet */
} Find;

/* The state itself, or what stands for it where it is not looked at. */
static bool stands_for_state(const Find *f, RecId v)
{
    const RecOp *op = rec_op(f->p, v);
    if (v == f->state)
        return true;
    if (op->kind == REC_MAP && op->fun == FUN_ID)
        return stands_for_state(f, op->use[0].v);
    return op->kind == REC_MAP && op->fun == FUN_WHERE && !f->reads[op->use[0].v] &&
           ((stands_for_state(f, op->use[1].v) && !f->reads[op->use[2].v]) ||
            (stands_for_state(f, op->use[2].v) && !f->reads[op->use[1].v]));
}

/* What reads the state does so at its own place. */
static bool in_place(const Find *f, const RecOp *op)
{
    bool all = op->nit == op->type.rank && op->type.rank == rec_type(f->p, f->state)->rank;
    for (uint32_t i = 0; i < op->nuse && all; i++)
        if (f->reads[op->use[i].v])
            all = rec_type(f->p, op->use[i].v)->rank == op->nit && pass_is_identity(f->p, op->use[i], op->nit);
    return all;
}

static bool same_size(Find *f, Dim size)
{
    if (f->size == DIM_ZERO)
        f->size = size;
    return f->size == size;
}

static bool follow(Find *f, RecId v);

static bool follow_all(Find *f, const RecOp *op)
{
    bool all = in_place(f, op);
    for (uint32_t i = 0; i < op->nuse && all; i++)
        all = follow(f, op->use[i].v);
    return all;
}

static bool follow_gather(Find *f, const RecOp *op)
{
    bool all = !f->reads[op->use[0].v];
    for (uint32_t i = 1; i < op->nuse && all; i++)
        if (stands_for_state(f, op->use[i].v))
            all = same_size(f, rec_type(f->p, op->use[0].v)->dim[i - 1]);
    return all && follow_all(f, op);
}

static bool follow(Find *f, RecId v)
{
    const RecOp *op = rec_op(f->p, v);
    if (!f->reads[v] || v == f->state)
        return true;
    if (op->kind == REC_GATHER)
        return follow_gather(f, op);
    return op->kind == REC_MAP && (op->nuse < 3 || op->fun == FUN_WHERE) && follow_all(f, op);
}

bool table_stage(const RecProg *p, RecId state, RecId next, const bool *reads, Dim *size)
{
    Find f = {p, state, reads, DIM_ZERO};
    bool found = rec_type(p, state)->dt == DT_INT && follow(&f, next) && f.size != DIM_ZERO;
    *size = f.size;
    return found;
}
