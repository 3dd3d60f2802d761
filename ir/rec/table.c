/* Stages that are tables: see table.h. */
#include "ir/rec/table.h"

typedef enum Known { UNKNOWN, NO, YES } Known;

typedef struct Find {
    const RecProg *p;
    RecId state;
    const bool *reads;
    Dim size;       /* DIM_ZERO: not known yet */
    bool *followed; /* by op */
    Known *carried; /* by op: it may be the state */
} Find;

/* Passed on as it is: v may be the state itself. */
static bool may_be_state(Find *f, RecId v)
{
    const RecOp *op = rec_op(f->p, v);
    if (v == f->state || op->kind != REC_MAP || (op->fun != FUN_ID && op->fun != FUN_WHERE))
        return v == f->state;
    if (f->carried[v] == UNKNOWN) {
        bool may = false;
        for (uint32_t i = op->fun == FUN_WHERE; i < op->nuse && !may; i++)
            may = may_be_state(f, op->use[i].v);
        f->carried[v] = may ? YES : NO;
    }
    return f->carried[v] == YES;
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

/* An index that may be the state is in the one axis of which the state says an element. */
static bool follow_gather(Find *f, const RecOp *op)
{
    bool all = !f->reads[op->use[0].v];
    for (uint32_t i = 1; i < op->nuse && all; i++)
        if (may_be_state(f, op->use[i].v))
            all = same_size(f, rec_type(f->p, op->use[0].v)->dim[i - 1]);
    return all && follow_all(f, op);
}

/* Where a state that is no element is looked at in another way than as an index, the step makes something of it that no
 * table says. What has been looked up is free: had the index been outside, there would be no result. */
static bool follow_map(Find *f, const RecOp *op)
{
    bool all = op->nuse < 3 || op->fun == FUN_WHERE;
    for (uint32_t i = 0; i < op->nuse && all; i++)
        all = op->fun == FUN_ID || (op->fun == FUN_WHERE && i > 0) || !may_be_state(f, op->use[i].v);
    return all && follow_all(f, op);
}

static bool follow(Find *f, RecId v)
{
    const RecOp *op = rec_op(f->p, v);
    if (!f->reads[v] || v == f->state || f->followed[v])
        return true;
    f->followed[v] = true;
    if (op->kind == REC_GATHER)
        return follow_gather(f, op);
    return op->kind == REC_MAP && follow_map(f, op);
}

bool table_stage(const RecProg *p, Arena *a, RecId state, RecId next, const bool *reads, Dim *size)
{
    Find f = {.p = p, .state = state, .reads = reads, .size = DIM_ZERO};
    f.followed = NEWN(a, bool, p->op.n);
    f.carried = NEWN(a, Known, p->op.n);
    bool found = rec_type(p, state)->dt == DT_INT && follow(&f, next) && f.size != DIM_ZERO;
    *size = f.size;
    return found;
}
