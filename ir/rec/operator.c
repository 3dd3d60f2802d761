/* Calls of associative operators, and which states they update: see operator.h. */
#include "ir/rec/operator.h"

bool operator_any(const RecProg *p)
{
    for (RecId v = 0; v < p->op.n; v++)
        if (rec_op(p, v)->kind == REC_RECUR && rec_op(p, v)->is_operator)
            return true;
    return false;
}

bool operator_inside(const RecProg *p, RecRegion r)
{
    for (uint32_t i = 0; i < p->region.p[r].op.n; i++) {
        const RecOp *op = rec_op(p, p->region.p[r].op.p[i]);
        if (op->kind == REC_RECUR && op->is_operator)
            return true;
    }
    return false;
}

/* ---- calls written out ---- */

RecId operator_element(RecBuild *b, RecId seq, uint8_t along)
{
    Type t = *rec_type(b->prog, seq);
    memmove(t.dim + along, t.dim + along + 1, (size_t)(t.rank - along - 1) * sizeof *t.dim);
    return rec_reshape(b, seq, (uint8_t)(t.rank - 1), t.dim);
}

RecId *operator_arguments(RecBuild *b, const RecProg *old, RecId call, PassValue *value, void *cx)
{
    const RecOp *op = rec_op(old, call);
    RecId *arg = NEWN(b->prog->arena, RecId, op->nuse);
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecId v = value(cx, op->use[i].v);
        arg[i] = i < op->nstate ? v : operator_element(b, v, 0);
    }
    return arg;
}

typedef struct Copy {
    const RecProg *old;
    RecRegion region;
    PassValue *outside;
    void *cx;
    RecId *to; /* by old op */
} Copy;

static RecId copied(void *cx, RecId old)
{
    const Copy *c = cx;
    return rec_op(c->old, old)->home == c->region ? c->to[old] : c->outside(c->cx, old);
}

void operator_copy(RecBuild *b, const RecProg *old, RecId call, const RecId *arg, PassValue *outside, void *cx, RecId *result)
{
    const RecRegionInfo *body = &old->region.p[rec_op(old, call)->region];
    Copy c = {old, rec_op(old, call)->region, outside, cx, pass_ids(b->prog->arena, old->op.n)};
    for (uint32_t i = 0; i < body->arg.n; i++)
        c.to[body->arg.p[i]] = arg[i];
    for (uint32_t i = body->arg.n; i < body->op.n; i++)
        c.to[body->op.p[i]] = pass_copy(b, *rec_op(old, body->op.p[i]), copied, &c);
    for (uint32_t i = 0; i < body->result.n; i++)
        result[i] = copied(&c, body->result.p[i]);
}

static RecId rewritten(void *cx, RecId old)
{
    return ((Rewrite *)cx)->to[old];
}

bool operator_written_out(Rewrite *w, RecBuild *b, RecId old)
{
    if (!rec_op(&w->old, old)->is_operator)
        return false;
    RecId *arg = operator_arguments(b, &w->old, old, rewritten, w);
    w->result[old] = NEWN(w->p->arena, RecId, rec_op(&w->old, old)->nstate);
    operator_copy(b, &w->old, old, arg, rewritten, w, w->result[old]);
    w->to[old] = w->result[old][0];
    return true;
}

void operator_recur(Rewrite *w, RecBuild *b, RecId old)
{
    if (!operator_written_out(w, b, old))
        rw_recur(w, b, old);
}

/* ---- states that they update ---- */

typedef struct Find {
    const RecProg *p;
    RecId recur;
    const bool *reads;
    Update *u;
    uint32_t n;
} Find;

static const RecRegionInfo *step_of(const Find *f)
{
    return &f->p->region.p[rec_op(f->p, f->recur)->region];
}

static bool all_old(const Find *f, const RecUse *value, uint32_t i)
{
    return value[i].v == step_of(f)->arg.p[f->u->state[i]] &&
           pass_is_identity(f->p, value[i], rec_type(f->p, value[i].v)->rank);
}

static bool all_new(const Find *f, const RecUse *value, uint32_t i)
{
    const RecOp *op = rec_op(f->p, value[i].v);
    return op->kind == REC_PROJ && op->use[0].v == f->u->call && op->index == i &&
           pass_is_identity(f->p, value[i], op->type.rank);
}

static bool all_free(const Find *f, const RecUse *value, uint32_t i)
{
    return !f->reads[value[i].v];
}

static bool all(const Find *f, const RecUse *value, bool (*is)(const Find *f, const RecUse *value, uint32_t i))
{
    for (uint32_t i = 0; i < f->n; i++)
        if (!is(f, value, i))
            return false;
    return true;
}

UpdateLeaf operator_leaf(const RecProg *p, RecId recur, const bool *reads, const Update *u, const RecUse *value)
{
    Find f = {.p = p, .recur = recur, .reads = reads, .u = (Update *)u, .n = rec_op(p, u->call)->nstate};
    return all(&f, value, all_old)    ? LEAF_OLD
           : all(&f, value, all_new)  ? LEAF_NEW
           : all(&f, value, all_free) ? LEAF_FREE
                                      : LEAF_NONE;
}

/* All are WHERE, each with its branches in place, and ask the same of the whole sequence. */
static bool same_condition(const Find *f, const RecUse *value)
{
    const RecOp *first = rec_op(f->p, value[0].v);
    for (uint32_t i = 0; i < f->n; i++) {
        const RecOp *op = rec_op(f->p, value[i].v);
        if (op->kind != REC_MAP || op->fun != FUN_WHERE || !pass_is_identity(f->p, value[i], op->type.rank) ||
            op->use[0].v != first->use[0].v || f->reads[op->use[0].v])
            return false;
        const Type *t = rec_type(f->p, op->use[0].v);
        if (t->rank > 1 || (t->rank == 1 && (!f->u->batched || op->use[0].axis[0] != 0)))
            return false;
    }
    return true;
}

static bool follow(const Find *f, const RecUse *value)
{
    if (operator_leaf(f->p, f->recur, f->reads, f->u, value) != LEAF_NONE)
        return true;
    if (!same_condition(f, value))
        return false;
    for (uint32_t branch = 1; branch <= 2; branch++) {
        RecUse *one = NEWN(f->p->arena, RecUse, f->n);
        for (uint32_t i = 0; i < f->n; i++)
            one[i] = rec_op(f->p, value[i].v)->use[branch];
        if (!follow(f, one))
            return false;
    }
    return true;
}

/* The states on the left of the call are those of the stage, each once, and its right side reads none of them. */
static bool takes_states(Find *f, const uint32_t *state)
{
    const RecOp *call = rec_op(f->p, f->u->call), *recur = rec_op(f->p, f->recur);
    bool *taken = NEWN(f->p->arena, bool, recur->nstate + 1);
    for (uint32_t i = 0; i < f->n; i++)
        taken[state[i]] = true;
    for (uint32_t i = 0; i < f->n; i++) {
        const RecOp *left = rec_op(f->p, call->use[i].v);
        bool is = left->kind == REC_REGARG && left->home == recur->region && left->index < recur->nstate && taken[left->index];
        if (!is || f->reads[call->use[f->n + i].v])
            return false;
        f->u->state[i] = left->index;
        taken[left->index] = false;
    }
    return true;
}

/* What the operator sees stands outside of the recurrence, so that it can be run elsewhere. */
static bool is_closed(const Find *f)
{
    RecRegion own = rec_op(f->p, f->u->call)->region, step = rec_op(f->p, f->recur)->region;
    const RecRegionInfo *body = &f->p->region.p[own];
    for (uint32_t i = 0; i < body->op.n; i++) {
        const RecOp *op = rec_op(f->p, body->op.p[i]);
        for (uint32_t k = 0; k < op->nuse; k++)
            if (rec_op(f->p, op->use[k].v)->home != own && rec_inside(f->p, op->use[k].v, step))
                return false;
        if (op->kind == REC_RECUR)
            return false;
    }
    return true;
}

static bool all_batched(const Find *f)
{
    for (uint32_t i = 0; i < f->n; i++) {
        const Type *t = rec_type(f->p, step_of(f)->arg.p[f->u->state[i]]);
        if (t->rank == 0 || t->dim[0] != dim_of(f->p->dims, f->p->batch))
            return false;
    }
    return true;
}

/* Whether this call makes the stage's new states. */
static bool is_made_by(Find *f, RecId call, const uint32_t *state)
{
    RecUse *next = NEWN(f->p->arena, RecUse, f->n);
    f->u->call = call;
    if (rec_op(f->p, call)->nstate != f->n || !takes_states(f, state) || !is_closed(f))
        return false;
    f->u->batched = all_batched(f);
    for (uint32_t i = 0; i < f->n; i++) {
        RecId now = step_of(f)->result.p[f->u->state[i]];
        next[i] = rec_use(now, rec_type(f->p, now)->rank);
    }
    return follow(f, next);
}

bool operator_update(const RecProg *p, Arena *a, RecId recur, const bool *reads, const uint32_t *state, uint32_t n, Update *out)
{
    Find f = {.p = p, .recur = recur, .reads = reads, .u = out, .n = n};
    *out = (Update){.call = REC_NONE, .state = NEWN(a, uint32_t, n + 1)};
    if (rec_op(p, recur)->grid || rec_op(p, recur)->is_operator)
        return false;
    for (uint32_t i = 0; i < step_of(&f)->op.n; i++) {
        RecId v = step_of(&f)->op.p[i];
        if (rec_op(p, v)->kind == REC_RECUR && rec_op(p, v)->is_operator && is_made_by(&f, v, state))
            return true;
    }
    return false;
}
