/* Recurrences: a serial loop over the places, with each carried state in a trajectory of slots.
 *
 * Forward, the step at place t reads slot t and writes slot t + 1; the initial state is slot 0, the final one slot T.
 * Reversed, it reads slot t + 1 and writes slot t; the initial state is slot T, the final one slot 0. So the states of
 * all places are the trajectory itself, shifted by a slot or not, and exporting them costs nothing.
 *
 * When nobody asks for the states of all places two slots take turns: slot s is at (s mod 2) * turn. When only the
 * backward function does, `keep` decides at run time: slot s is at s * keep*S + (s mod 2) * (1-keep)*S.
 *
 * Where two are more than it takes, in_place.c makes them one.
 *
 * A state to which a step only scatters something has one slot: it is added to where it stands.
 *
 * A recurrence that ends by a state (`until`) may end at any place: its step reads slot 0 and writes slot 1, which is then
 * copied to slot 0. */
#include "ir/kern/lower.h"
#include "ir/rec/pass.h"

typedef struct Reader {
    bool own, other;
} Reader;

static const RecRegionInfo *step_of(const Lower *l, const RecOp *recur)
{
    return &l->rec->region.p[recur->region];
}

static bool is_carried(const Lower *l, const RecOp *recur, RecId v, uint32_t state)
{
    const RecOp *op = rec_op(l->rec, v);
    return op->kind == REC_REGARG && op->home == recur->region && op->index == state;
}

/* Whether a per-step result is state i, as the step finds or as it leaves it. */
static bool is_state(const Lower *l, const RecOp *recur, RecId v, uint32_t i)
{
    return step_of(l, recur)->result.p[i] == v || is_carried(l, recur, v, i);
}

static Reader readers_of_state(const Lower *l, const RecOp *recur, const Recur *rc, uint32_t i)
{
    Reader r = {false, rc->result[i].read_other};
    for (uint32_t j = recur->nstate; j < recur->nstate + recur->nout; j++)
        if (is_state(l, recur, step_of(l, recur)->result.p[j], i)) {
            r.own = r.own || rc->result[j].read_own;
            r.other = r.other || rc->result[j].read_other;
        }
    return r;
}

/* ---- trajectories ---- */

static Trajectory trajectory(Lower *l, const RecOp *recur, const Type *t, Reader r, RecId v)
{
    DimTab *d = l->dims;
    Dim size = type_size(d, t), keep = dim_of(d, l->k->keep), two = dim_mul(d, dim_const(d, 2), size);
    Trajectory x = {.step = DIM_ZERO, .turn = size};
    Dim total = two;
    if (recur->until) {
        x.buf = storage_new(l, t, two, v);
        return x;
    }
    if (r.own) {
        x = (Trajectory){.step = size, .turn = DIM_ZERO};
        total = dim_mul(d, dim_add(d, recur->length, DIM_ONE), size);
    } else if (r.other) {
        x.step = dim_mul(d, keep, size);
        x.turn = dim_sub(d, size, x.step);
        total = dim_add(d, two, dim_mul(d, dim_sub(d, recur->length, DIM_ONE), x.step));
    }
    x.buf = storage_new(l, t, total, v);
    return x;
}

/* Slot var + offset; `parity` is that slot's, K_NONE for an even one. */
static View slot(Lower *l, const Trajectory *x, const Type *t, KVar var, Dim offset, KVar parity)
{
    View v = storage_dense(l, x->buf, t);
    v.at.base = dim_mul(l->dims, offset, x->step);
    if (var != K_NONE)
        kern_index_add(l->k, &v.at, var, x->step);
    if (parity != K_NONE)
        kern_index_add(l->k, &v.at, parity, x->turn);
    return v;
}

static const Type *state_type(const Lower *l, const RecOp *recur, uint32_t i)
{
    return rec_type(l->rec, recur->use[i].v);
}

static View until_slot(Lower *l, const Trajectory *x, const Type *t, bool left)
{
    View v = storage_dense(l, x->buf, t);
    v.at.base = left ? x->turn : DIM_ZERO;
    return v;
}

static View found(Lower *l, const RecOp *recur, const Recur *rc, uint32_t i)
{
    const Type *t = state_type(l, recur, i);
    if (recur->until)
        return until_slot(l, &rc->state[i], t, false);
    return recur->reverse ? slot(l, &rc->state[i], t, rc->place, DIM_ONE, rc->other_parity)
                          : slot(l, &rc->state[i], t, rc->place, DIM_ZERO, rc->parity);
}

static View left(Lower *l, const RecOp *recur, const Recur *rc, uint32_t i)
{
    const Type *t = state_type(l, recur, i);
    if (recur->until)
        return until_slot(l, &rc->state[i], t, true);
    return recur->reverse ? slot(l, &rc->state[i], t, rc->place, DIM_ZERO, rc->parity)
                          : slot(l, &rc->state[i], t, rc->place, DIM_ONE, rc->other_parity);
}

/* The first slot, or that after the last place. */
static View end_slot(Lower *l, const RecOp *recur, const Recur *rc, uint32_t i, bool behind)
{
    const Type *t = state_type(l, recur, i);
    if (recur->until)
        return until_slot(l, &rc->state[i], t, false);
    return behind ? slot(l, &rc->state[i], t, K_NONE, recur->length, rc->length_parity)
                  : slot(l, &rc->state[i], t, K_NONE, DIM_ZERO, K_NONE);
}

View recur_state(Lower *l, RecId regarg)
{
    const RecOp *op = rec_op(l->rec, regarg);
    RecId recur = l->rec->region.p[op->home].owner;
    return found(l, rec_op(l->rec, recur), l->recur[recur], op->index);
}

/* The states of all places. */
static View all_slots(Lower *l, const RecOp *recur, const Recur *rc, uint32_t i, bool carried)
{
    const Type *t = state_type(l, recur, i);
    bool shifted = carried == recur->reverse;
    View first = slot(l, &rc->state[i], t, K_NONE, shifted ? DIM_ONE : DIM_ZERO, K_NONE), all = first;
    all.stride[0] = rc->state[i].step;
    for (uint32_t k = 0; k < t->rank; k++)
        all.stride[k + 1] = first.stride[k];
    return all;
}

/* ---- states that are scattered to ---- */

/* The step reads the state as a table only: elements, before or behind what is added to others. */
static bool is_table(const Lower *l, const RecOp *recur, uint32_t i, RecId but)
{
    const RecRegionInfo *step = step_of(l, recur);
    for (uint32_t k = 0; k < step->op.n; k++) {
        const RecOp *op = rec_op(l->rec, step->op.p[k]);
        for (uint32_t u = 0; u < op->nuse; u++)
            if (op->use[u].v == step->arg.p[i] && step->op.p[k] != but && (op->kind != REC_GATHER || u))
                return false;
    }
    return true;
}

/* The SCATTER that is all that a step adds to state i, or REC_NONE. Only the adjoint of a history is like that: what a place
 * takes of it is its own row, and what it adds goes to rows of places that come later. */
static RecId scattered(const Lower *l, const RecOp *recur, uint32_t i)
{
    RecId next = step_of(l, recur)->result.p[i];
    const RecOp *op = rec_op(l->rec, next);
    if (op->kind != REC_MAP || op->fun != FUN_ADD || op->home != recur->region || lower_fn(l, recur->home) != REC_BACKWARD)
        return REC_NONE;
    for (uint32_t k = 0; k < 2; k++) {
        const RecOp *what = rec_op(l->rec, op->use[1 - k].v);
        bool whole = op->use[k].v == step_of(l, recur)->arg.p[i] && pass_is_identity(l->rec, op->use[0], op->type.rank) &&
                     pass_is_identity(l->rec, op->use[1], op->type.rank);
        if (whole && what->kind == REC_SCATTER && what->home == recur->region && l->val[op->use[1 - k].v].nuse == 1 && is_table(l, recur, i, next))
            return op->use[1 - k].v;
    }
    return REC_NONE;
}

/* ---- planning ---- */

static void plan_states(Lower *l, const RecOp *recur, Recur *rc)
{
    rc->state = NEWN(l->a, Trajectory, recur->nstate);
    bool turns = false;
    for (uint32_t i = 0; i < recur->nstate; i++) {
        Reader r = readers_of_state(l, recur, rc, i);
        RecId v = step_of(l, recur)->result.p[i];
        const Type *t = state_type(l, recur, i);
        if (!r.own && !r.other && scattered(l, recur, i) != REC_NONE) {
            rc->state[i] = (Trajectory){.step = DIM_ZERO, .turn = DIM_ZERO};
            rc->state[i].buf = storage_new(l, t, type_size(l->dims, t), v);
            continue;
        }
        rc->state[i] = trajectory(l, recur, t, r, v);
        turns = turns || !r.own;
    }
    rc->parity = rc->other_parity = rc->length_parity = K_NONE;
    if (!turns || recur->until)
        return;
    rc->parity = kern_var(l->k, DT_INT, false, STR("parity"));
    rc->other_parity = kern_var(l->k, DT_INT, false, STR("other"));
    rc->length_parity = kern_var(l->k, DT_INT, false, STR("parity"));
}

static Type stacked(const Type *step, Dim length)
{
    Type t = {.dt = step->dt, .rank = (uint8_t)(step->rank + 1), .dim = {length}};
    memcpy(t.dim + 1, step->dim, step->rank * sizeof(Dim));
    return t;
}

/* Memory for a per-step value that is no state: of all places, or of one when only a backward function would read it.
 */
static View sequence(Lower *l, const RecOp *recur, RecId v, bool read_own)
{
    DimTab *d = l->dims;
    Type t = stacked(rec_type(l->rec, v), recur->length);
    Dim size = type_size(d, rec_type(l->rec, v)), step = dim_mul(d, dim_of(d, l->k->keep), size);
    Dim kept = dim_add(d, size, dim_mul(d, dim_sub(d, recur->length, DIM_ONE), step));
    View x = storage_dense(l, storage_new(l, &t, read_own ? type_size(d, &t) : kept, v), &t);
    if (!read_own)
        x.stride[0] = step;
    return x;
}

static void plan_result(Lower *l, const RecOp *recur, Recur *rc, uint32_t j)
{
    RecurResult *r = &rc->result[j];
    RecId v = step_of(l, recur)->result.p[j];
    uint32_t rank = rec_type(l->rec, v)->rank + 1u;
    for (uint32_t i = 0; i < r->dest.n; i++)
        plan_dest(l, recur->region, v, (Dest){.view = storage_element(l, &r->dest.p[i].view, rank, rc->place)});
    r->stored = r->read_own || r->read_other;
    if (!r->stored)
        return;
    for (uint32_t i = 0; i < recur->nstate; i++)
        if (is_state(l, recur, v, i)) {
            r->mem = all_slots(l, recur, rc, i, is_carried(l, recur, v, i));
            return;
        }
    r->mem = sequence(l, recur, v, r->read_own);
    plan_dest(l, recur->region, v, (Dest){.view = storage_element(l, &r->mem, rank, rc->place), .readable = true});
}

void recur_plan(Lower *l, RecId v)
{
    const RecOp *recur = rec_op(l->rec, v);
    Recur *rc = l->recur[v];
    rc->place = kern_var(l->k, DT_INT, true, STR("place"));
    for (uint32_t i = 0; i < step_of(l, recur)->op.n; i++)
        if (rec_op(l->rec, step_of(l, recur)->op.p[i])->kind == REC_HISTORY)
            rc->result[rec_op(l->rec, step_of(l, recur)->op.p[i])->index].read_own = true;
    plan_states(l, recur, rc);
    for (uint32_t i = 0; i < recur->nstate; i++) {
        rc->result[i].mem = end_slot(l, recur, rc, i, !recur->reverse);
        rc->result[i].stored = true;
        Dest d = {.view = left(l, recur, rc, i), .readable = true};
        RecId next = step_of(l, recur)->result.p[i], more = scattered(l, recur, i);
        bool adds = more != REC_NONE && rc->state[i].turn == DIM_ZERO && rc->state[i].step == DIM_ZERO;
        plan_dest(l, recur->region, adds ? more : next, adds ? (Dest){.view = d.view, .add = true} : d);
    }
    for (uint32_t j = recur->nstate; j < recur->nstate + recur->nout; j++)
        plan_result(l, recur, rc, j);
    int level = l->group.p[lower_val(l, v)->group].level;
    for (uint32_t i = 0; i < recur->nstate; i++)
        plan_dest(l, recur->home, recur->use[i].v,
                  (Dest){.view = end_slot(l, recur, rc, i, recur->reverse), .level = level});
    plan_region(l, recur->region);
}

/* ---- emitting ---- */

static KVar int_const(Lower *l, KBlock *to, double number, Span at)
{
    KVar v = kern_var(l->k, DT_INT, false, STR(""));
    kern_add(l->k, to, (KStmt){.kind = K_CONST, .at = at, .constant = {v, number}});
    return v;
}

static void let(Lower *l, KBlock *to, KVar var, Fun f, KVar a, KVar b, Span at)
{
    kern_add(l->k, to, (KStmt){.kind = K_LET, .at = at, .let = {var, f, {a, b, K_NONE}}});
}

void recur_parities(Lower *l, RecRegion r)
{
    for (uint32_t i = 0; i < l->rec->region.p[r].op.n; i++) {
        RecId v = l->rec->region.p[r].op.p[i];
        const RecOp *op = rec_op(l->rec, v);
        if (op->kind != REC_RECUR || lower_val(l, v)->group == K_NONE || l->recur[v]->parity == K_NONE)
            continue;
        KVar length = kern_var(l->k, DT_INT, false, STR("length"));
        kern_add(l->k, l->block, (KStmt){.kind = K_SIZE, .at = op->at, .size = {length, op->length}});
        let(l, l->block, l->recur[v]->length_parity, FUN_IMOD, length, int_const(l, l->block, 2, op->at), op->at);
    }
}

static void leave_when_done(Lower *l, const RecOp *recur, const Recur *rc, KBlock *body)
{
    KVar done = kern_var(l->k, DT_BOOL, false, STR("done"));
    View flag = found(l, recur, rc, recur->nstate - 1);
    kern_add(l->k, body, (KStmt){.kind = K_LOAD, .at = recur->at, .mem = {.var = done, .buf = flag.buf, .at = flag.at}});
    kern_add(l->k, body, (KStmt){.kind = K_LEAVE, .at = recur->at, .leave = {done}});
}

static void copy_states(Lower *l, const RecOp *recur, const Recur *rc, KBlock *body)
{
    for (uint32_t i = 0; i < recur->nstate; i++) {
        View to = found(l, recur, rc, i), from = left(l, recur, rc, i);
        Dim count = type_size(l->dims, state_type(l, recur, i));
        kern_add(l->k, body, (KStmt){.kind = K_COPY, .at = recur->at, .copy = {to.buf, to.at, from.buf, from.at, count}});
    }
}

void lower_recur(Lower *l, uint32_t group)
{
    RecId v = l->group.p[group].op;
    const RecOp *op = rec_op(l->rec, v);
    const Recur *rc = l->recur[v];
    KBlock *outer = l->block, body = {0};
    if (rc->parity != K_NONE) {
        let(l, &body, rc->parity, FUN_IMOD, rc->place, int_const(l, &body, 2, op->at), op->at);
        let(l, &body, rc->other_parity, FUN_SUB, int_const(l, &body, 1, op->at), rc->parity, op->at);
    }
    if (op->until)
        leave_when_done(l, op, rc, &body);
    l->block = &body;
    lower_region(l, op->region);
    l->block = outer;
    if (op->until)
        copy_states(l, op, rc, &body);
    if (rc->parity != K_NONE)
        in_place_find(op, rc, &body);
    KStmt s = {.kind = K_LOOP,
               .at = op->at,
               .loop = {.kind = K_SERIAL,
                        .var = rc->place,
                        .extent = op->length,
                        .reverse = op->reverse,
                        .body = body}};
    kern_add(l->k, outer, s);
}
