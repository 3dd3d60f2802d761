/* Lowering, second step: which group computes each value, at which level, and where the value is stored. Regions are
 * walked from their end, so all readers of a value are known before the value itself is planned. */
#include "ir/kern/lower.h"

uint32_t plan_group(Lower *l, RecRegion r, int level, RecId op)
{
    vec_push(l->a, &l->group, (Group){.level = level, .region = r, .op = op});
    return l->group.n - 1;
}

/* A nest's loops: the axes of t but those of size 1. */
static uint8_t loops_over(const Type *t, Dim *space)
{
    uint8_t n = 0;
    for (uint32_t i = 0; i < t->rank; i++)
        if (t->dim[i] != DIM_ONE)
            space[n++] = t->dim[i];
    return n;
}

static bool is_nest_over(const Group *g, RecRegion r, int level, const Dim *space, uint8_t n)
{
    if (g->op != REC_NONE || g->region != r || g->level != level || g->rank != n)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (g->space[i] != space[i])
            return false;
    return true;
}

/* The nest of a level over the axes of t. */
static uint32_t nest_group(Lower *l, RecRegion r, int level, const Type *t)
{
    Dim space[MAXRANK];
    uint8_t n = loops_over(t, space);
    for (uint32_t i = 0; i < l->group.n; i++)
        if (is_nest_over(&l->group.p[i], r, level, space, n))
            return i;
    uint32_t g = plan_group(l, r, level, REC_NONE);
    l->group.p[g].rank = n;
    memcpy(l->group.p[g].space, space, n * sizeof(Dim));
    return g;
}

/* ---- demands ---- */

static void note(Val *x, int level, uint32_t by, bool can_join, bool cover)
{
    bool same = x->wanted && by == x->by && can_join;
    if (!x->wanted || level > x->level) {
        x->only = !x->wanted && can_join;
        x->level = level;
        x->by = by;
        x->join = can_join;
        x->cover = cover;
    } else {
        x->join = x->join && (same || level < x->level);
        x->only = x->only && same;
    }
    x->wanted = true;
}

/* A reader in an inner region, or in another function, finds the value in memory. */
static void want(Lower *l, uint32_t group, RecId v, Access how)
{
    const RecOp *op = rec_op(l->rec, v);
    Val *x = lower_val(l, v);
    if (lower_fn(l, op->home) != lower_fn(l, l->group.p[group].region)) {
        note(x, 0, K_NONE, false, false);
        return;
    }
    for (; l->group.p[group].region != op->home; how = A_ANY)
        group = l->group_of[l->group.p[group].region];
    bool can_join = how == A_SAME || (how == A_COVER && x->nuse == 1);
    note(x, l->group.p[group].level, group, can_join, how == A_COVER);
}

static void want_result(Lower *l, uint32_t group, RecId v)
{
    const RecOp *op = rec_op(l->rec, v);
    RecId recur = op->use[0].v;
    if (!l->recur[recur]) {
        l->recur[recur] = NEW(l->a, Recur);
        l->recur[recur]->result = NEWN(l->a, RecurResult, rec_op(l->rec, recur)->nstate + rec_op(l->rec, recur)->nout);
    }
    RecurResult *r = &l->recur[recur]->result[op->index];
    if (group == K_NONE)
        return;
    if (lower_fn(l, op->home) == lower_fn(l, l->group.p[group].region))
        r->read_own = true;
    else
        r->read_other = true;
    want(l, group, recur, A_ANY);
}

void plan_demand(Lower *l, uint32_t group, RecId v, Access how)
{
    const RecOp *op = rec_op(l->rec, v);
    switch (lower_val(l, v)->form) {
    case F_ARG:
    case F_LEAF:
    case F_HISTORY:
    case F_STATE: return;
    case F_VIEW: plan_demand(l, group, lower_source(l, v), A_ANY); return;
    case F_INLINE:
        for (uint32_t i = 0; i < op->nuse; i++)
            plan_demand(l, group, op->use[i].v, A_ANY);
        return;
    case F_PROJ: want_result(l, group, v); return;
    default: want(l, group, v, how); return;
    }
}

/* ---- places to write to ---- */

static void floor_at(Val *x, int level)
{
    if (level > x->floor)
        x->floor = level;
}

/* v is written to d by a nest that only copies (or computes what is made where it is used). */
static void copy_to(Lower *l, RecRegion r, RecId v, const Dest *d)
{
    uint32_t g = nest_group(l, r, d->level + 1, rec_type(l->rec, v));
    vec_push(l->a, &l->group.p[g].store, (Store){v, d->view, d->add});
    plan_demand(l, g, v, A_ANY);
}

static bool takes_dest(Lower *l, RecRegion r, RecId v, const Dest *d)
{
    const RecOp *op = rec_op(l->rec, v);
    View own;
    if (lower_val(l, v)->form == F_VIEW)
        return op->kind != REC_REGARG && storage_undo(l, v, &d->view, &own) && takes_dest(l, r, lower_source(l, v), d);
    switch (lower_val(l, v)->form) {
    case F_NEST:
    case F_REDUCE:
    case F_GEMM:
    case F_SCATTER:
    case F_PAD:
    case F_CONCAT: return op->home == r;
    case F_RESHAPE: return op->home == r && storage_is_dense(l, &d->view, &op->type);
    case F_PROJ: return op->home == r && !d->add && op->index >= rec_op(l->rec, op->use[0].v)->nstate;
    default: return false;
    }
}

void plan_dest(Lower *l, RecRegion r, RecId v, Dest d)
{
    if (!takes_dest(l, r, v, &d)) {
        copy_to(l, r, v, &d);
        return;
    }
    if (lower_val(l, v)->form == F_VIEW) {
        View to = d.view;
        storage_undo(l, v, &to, &d.view);
        d.readable = false;
        plan_dest(l, r, lower_source(l, v), d);
        return;
    }
    if (lower_val(l, v)->form == F_PROJ) {
        const RecOp *op = rec_op(l->rec, v);
        want_result(l, K_NONE, v);
        vec_push(l->a, &l->recur[op->use[0].v]->result[op->index].dest, d);
        floor_at(lower_val(l, op->use[0].v), d.level);
        return;
    }
    vec_push(l->a, &lower_val(l, v)->dest, d);
    floor_at(lower_val(l, v), d.level);
}

/* The place that also serves as v's own memory, or none. */
static uint32_t pick_dest(const Val *x, bool must_read)
{
    for (uint32_t i = 0; i < x->dest.n; i++)
        if (!must_read || x->dest.p[i].readable)
            return i;
    return K_NONE;
}

static View new_memory(Lower *l, RecId v)
{
    const Type *t = rec_type(l->rec, v);
    return storage_dense(l, storage_new(l, t, type_size(l->dims, t), v), t);
}

/* An op that writes to one place: the other places get copies. Returns the level to compute it at. */
static int settle(Lower *l, RecId v)
{
    Val *x = lower_val(l, v);
    RecRegion home = rec_op(l->rec, v)->home;
    uint32_t pick = pick_dest(x, x->wanted || x->dest.n > 1);
    for (uint32_t i = 0; i < x->dest.n; i++)
        if (i != pick)
            copy_to(l, home, v, &x->dest.p[i]);
    x->mem = pick == K_NONE ? new_memory(l, v) : x->dest.p[pick].view;
    x->add = pick != K_NONE && x->dest.p[pick].add;
    x->stored = true;
    return (x->wanted && x->level > x->floor ? x->level : x->floor) + 1;
}

/* A nest writes to all places at once. */
static void settle_nest(Lower *l, RecId v, bool loaded)
{
    Val *x = lower_val(l, v);
    Group *g = &l->group.p[x->group];
    for (uint32_t i = 0; i < x->dest.n; i++)
        vec_push(l->a, &g->store, (Store){v, x->dest.p[i].view, x->dest.p[i].add});
    if (!loaded)
        return;
    uint32_t pick = pick_dest(x, true);
    x->mem = pick == K_NONE ? new_memory(l, v) : x->dest.p[pick].view;
    x->stored = true;
    if (pick == K_NONE)
        vec_push(l->a, &g->store, (Store){v, x->mem, false});
}

/* ---- ops ---- */

static bool is_injective(const RecUse *u, uint32_t rank)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; i < rank; i++) {
        if (seen & (1u << u->axis[i]))
            return false;
        seen |= 1u << u->axis[i];
    }
    return true;
}

/* How an op that runs at the indices of its group's loops (or not: `own` false) reads an operand. */
static Access operand_access(const Lower *l, const RecUse *u, uint32_t nit, bool own)
{
    uint32_t rank = rec_type(l->rec, u->v)->rank;
    if (lower_is_identity(u, rank, nit))
        return own ? A_SAME : A_COVER;
    bool leads = own && lower_is_identity(u, rank, rank); /* only the outer loops are needed */
    return leads || (rank == nit && is_injective(u, rank)) ? A_COVER : A_ANY;
}

static void demand_operands(Lower *l, uint32_t group, RecId v, bool own)
{
    const RecOp *op = rec_op(l->rec, v);
    for (uint32_t i = 0; i < op->nuse; i++) {
        bool load = (op->kind == REC_GATHER && i == 0) || lower_val(l, v)->form == F_GEMM;
        plan_demand(l, group, op->use[i].v, load ? A_ANY : operand_access(l, &op->use[i], op->nit, own));
    }
}

static void plan_nest(Lower *l, RecId v)
{
    Val *x = lower_val(l, v);
    const RecOp *op = rec_op(l->rec, v);
    if (!x->wanted && !x->dest.n)
        return;
    bool alone = x->only && !x->dest.n;
    const Group *by = x->wanted && x->by != K_NONE ? &l->group.p[x->by] : NULL;
    bool join = by && x->join && by->level > x->floor && (by->op == REC_NONE || alone);
    int level = (x->wanted && x->level > x->floor ? x->level : x->floor) + 1;
    x->group = join ? x->by : nest_group(l, op->home, level, &op->type);
    settle_nest(l, v, x->wanted && !(join && x->only));
    demand_operands(l, x->group, v, !(join && x->cover));
}

static bool is_needed(const Val *x)
{
    return x->wanted || x->dest.n;
}

static void plan_single(Lower *l, RecId v)
{
    const RecOp *op = rec_op(l->rec, v);
    Val *x = lower_val(l, v);
    int level = settle(l, v);
    x->group = plan_group(l, op->home, level, v);
    if (x->form == F_GEMM || x->form == F_REDUCE || x->form == F_SCATTER)
        demand_operands(l, x->group, v, true);
    else
        plan_demand(l, x->group, op->use[0].v, A_SAME);
}

/* Its parts are written to where they belong in its memory; nothing is left to do for it. */
static void plan_concat(Lower *l, RecId v)
{
    const RecOp *op = rec_op(l->rec, v);
    int level = settle(l, v) - 1;
    Dim lo = DIM_ZERO;
    for (uint32_t i = 0; i < op->nuse; i++) {
        Dest d = {
            .view = storage_part(l, &lower_val(l, v)->mem, op->along, lo), .add = lower_val(l, v)->add, .level = level};
        plan_dest(l, op->home, op->use[i].v, d);
        lo = dim_add(l->dims, lo, rec_type(l->rec, op->use[i].v)->dim[op->along]);
    }
}

static void plan_recur(Lower *l, RecId v)
{
    const RecOp *op = rec_op(l->rec, v);
    Val *x = lower_val(l, v);
    if (!x->wanted && x->floor < 0)
        return;
    x->group = plan_group(l, op->home, (x->level > x->floor ? x->level : x->floor) + 1, v);
    l->group_of[op->region] = x->group;
    recur_plan(l, v);
}

static void plan_op(Lower *l, RecId v)
{
    const Val *x = lower_val(l, v);
    switch (x->form) {
    case F_NEST: plan_nest(l, v); break;
    case F_REDUCE:
    case F_GEMM:
    case F_SCATTER:
    case F_PAD:
    case F_RESHAPE:
        if (is_needed(x))
            plan_single(l, v);
        break;
    case F_CONCAT:
        if (is_needed(x))
            plan_concat(l, v);
        break;
    case F_RECUR: plan_recur(l, v); break;
    default: break;
    }
}

void plan_region(Lower *l, RecRegion r)
{
    for (uint32_t i = l->rec->region.p[r].op.n; i-- > 0;)
        plan_op(l, l->rec->region.p[r].op.p[i]);
}
