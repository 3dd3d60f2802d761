/* rec.backward: the gradient function, by reverse mode over the forward function.
 *
 * A level is one region of the forward function and the region its adjoint is built in: the root, and for each RECUR
 * its step, whose adjoint is the step of a RECUR that runs the other way. That one carries the adjoints of the states.
 * What the adjoint needs of the forward step it gets as sequences (`here`): cheap elementwise values are made again,
 * the rest is kept by the forward recurrence. What a step adds to the gradient of a value from outside it puts out for
 * each place; the sum over the places stands outside, where rec.contract_find and rec.sink make one product of it. What a
 * step read of earlier steps' results (HISTORY) gives its cotangent back to them: the adjoint carries one array for all places,
 * to which later places add, and of which each place takes its own.
 *
 * GUARDS. `where(c, a, b)` must not let b's gradient see anything of a where c holds, not even as 0 * inf. So a
 * cotangent may carry a guard, a bool of which it is known that where it is false the cotangent is exactly zero and
 * what it would be multiplied with may be anything. Rules that multiply are masked by it. A cotangent with one
 * contribution without a guard has none. */
#include "ir/rec/backward.h"

/* ---- what is wanted, what is dirty: both by iteration, because states go round ---- */

static RecId result_of(const RecProg *p, const RecOp *proj)
{
    return p->region.p[rec_op(p, proj->use[0].v)->region].result.p[proj->index];
}

static bool arg_wants(const RecArg *a)
{
    return a->type.dt == DT_REAL &&
           ((a->role == ROLE_PARAM && !a->frozen) || a->role == ROLE_INPUT || a->role == ROLE_START);
}

static bool operand_counts(const RecOp *op, uint32_t i)
{
    if (op->kind == REC_MAP)
        return *fun_info(op->fun)->derivative[i];
    return i == 0 || (op->kind != REC_GATHER && op->kind != REC_SCATTER);
}

/* What a recurrence carries is taken to be numbers at every place, unless it is one inside a step. */
static bool carries_numbers(const RecOp *recur)
{
    return recur->home < REC_NFN;
}

static bool find_needs(const Back *k, RecId v)
{
    const RecProg *p = k->p;
    const RecOp *op = rec_op(p, v);
    if (op->type.dt != DT_REAL || op->kind == REC_RECUR)
        return false;
    if (op->kind == REC_ARG)
        return arg_wants(&p->arg.p[op->arg]);
    if (op->kind == REC_HISTORY)
        return k->needs[p->region.p[op->home].result.p[op->index]];
    if (op->kind == REC_PROJ) {
        const RecOp *r = rec_op(p, op->use[0].v);
        return k->needs[op->index < r->nstate ? p->region.p[r->region].arg.p[op->index] : result_of(p, op)];
    }
    if (op->kind == REC_REGARG) {
        const RecOp *r = rec_op(p, p->region.p[op->home].owner);
        return k->needs[r->use[op->index].v] ||
               (op->index < r->nstate && k->needs[p->region.p[op->home].result.p[op->index]]);
    }
    for (uint32_t i = 0; i < op->nuse; i++)
        if (k->needs[op->use[i].v] && operand_counts(op, i))
            return true;
    return false;
}

static bool has_pole(const RecOp *op)
{
    if (op->kind != REC_MAP)
        return false;
    switch (op->fun) {
    case FUN_TANH:
    case FUN_SIGMOID:
    case FUN_SIN:
    case FUN_COS:
    case FUN_ERF: return false;
    default: return pass_heavy(op);
    }
}

static bool is_new_state(const RecProg *p, RecId v)
{
    const RecRegionInfo *home = &p->region.p[p->op.p[v].home];
    const RecOp *recur = home->owner == REC_NONE ? NULL : rec_op(p, home->owner);
    for (uint32_t i = 0; recur && carries_numbers(recur) && i < recur->nstate; i++)
        if (home->result.p[i] == v)
            return true;
    return false;
}

static bool dirty_state(const Back *k, const RecOp *recur, uint32_t i)
{
    RecId next = k->p->region.p[recur->region].result.p[i];
    return !carries_numbers(recur) && (k->dirty[recur->use[i].v] || k->dirty[next]);
}

static bool find_dirty(const Back *k, RecId v)
{
    const RecProg *p = k->p;
    const RecOp *op = rec_op(p, v);
    if (op->type.dt != DT_REAL || op->kind == REC_RECUR || is_new_state(p, v))
        return false;
    if (op->kind == REC_ARG)
        return p->arg.p[op->arg].role == ROLE_INPUT;
    if (op->kind == REC_PROJ) {
        const RecOp *r = rec_op(p, op->use[0].v);
        return op->index < r->nstate ? dirty_state(k, r, op->index) : k->dirty[result_of(p, op)];
    }
    if (op->kind == REC_REGARG) {
        const RecOp *r = rec_op(p, p->region.p[op->home].owner);
        return op->index < r->nstate ? dirty_state(k, r, op->index) : k->dirty[r->use[op->index].v];
    }
    for (uint32_t i = 0; i < op->nuse; i++)
        if (k->dirty[op->use[i].v])
            return true;
    return has_pole(op);
}

static void fixpoint(Back *k, bool **facts, bool (*find)(const Back *, RecId))
{
    bool again = true;
    *facts = NEWN(k->p->arena, bool, k->n + 1);
    while (again) {
        again = false;
        for (RecId v = 0; v < k->n; v++)
            if (!(*facts)[v] && find(k, v))
                again = (*facts)[v] = true;
    }
}

/* ---- recurrences ---- */

static void back_region(Level *l);

typedef struct Turn {
    RecId recur;         /* forward */
    RecOp op;            /* as it was before anything was kept */
    Part *cot;           /* by result: its cotangent; v REC_NONE for none */
    VEC(RecId) result;   /* of the adjoint's region */
    VEC(RecId) history;   /* HISTORYs of the step whose cotangents are carried, behind the guards */
    VEC(Carried) carried; /* forward states whose adjoint is carried, in order; the guards behind the adjoints */
} Turn;

/* The value is one of the adjoint's step, so that it may be a result of it. */
static RecId local(Level *l, RecId v)
{
    if (rec_op(l->back->p, v)->home == l->b.region)
        return v;
    Type t = *rec_type(l->back->p, v);
    RecUse u = rec_use(v, t.rank);
    return rec_map(&l->b, FUN_ID, &u, t.rank, t.dim);
}

/* The cotangents of a RECUR's results, through its PROJs; false if there are none. */
static bool collect(Level *l, Turn *turn)
{
    RecProg *p = l->back->p;
    bool any = false;
    uint32_t n = turn->op.nstate + turn->op.nout;
    turn->cot = NEWN(p->arena, Part, n + 1);
    for (uint32_t i = 0; i < n; i++)
        turn->cot[i] = (Part){REC_NONE, unguarded};
    for (RecId v = 0; v < l->back->n; v++) {
        const RecOp *op = rec_op(p, v);
        if (op->kind != REC_PROJ || op->use[0].v != turn->recur || l->sum[v].part.n == 0)
            continue;
        uint32_t i = op->index;
        Part d = back_total(l, v);
        if (turn->cot[i].v != REC_NONE)
            d = (Part){rec_map2(&l->b, FUN_ADD, turn->cot[i].v, d.v), unguarded};
        turn->cot[i] = d;
        any = true;
    }
    return any;
}

/* The guard of a sequence as the guard of its elements. */
static Guard guard_element(Level *in, Guard g)
{
    RecProg *p = in->back->p;
    if (g.v == REC_NONE)
        return g;
    Type t = *rec_type(p, g.v);
    Dim dim[MAXRANK];
    uint8_t places = rec_places(rec_op(p, in->adjoint), dim), rank = places;
    bool differs = false;
    Guard e = {.v = g.v};
    RecUse u = back_guard_use(g);
    for (uint8_t j = 0; j < t.rank; j++) {
        if (g.axis[j] < places) {
            differs = true;
            continue;
        }
        e.axis[rank - places] = (uint8_t)(g.axis[j] - places);
        u.axis[j] = rank;
        dim[rank++] = t.dim[j];
    }
    if (differs)
        e.v = rec_recur_add_seq(p, in->adjoint, pass_use_value(&in->up->b, u, rank, dim));
    return e;
}

static Type state_type(const Level *in, uint32_t i)
{
    return *rec_type(in->back->p, in->back->p->region.p[in->body].arg.p[i]);
}

static void find_carried(Level *l, Turn *turn)
{
    RecProg *p = l->back->p;
    for (uint32_t i = 0; i < turn->op.nstate; i++)
        if (l->back->needs[p->region.p[turn->op.region].arg.p[i]])
            vec_push(p->arena, &turn->carried, back_carried(l, i, turn->op.home, turn->cot[i]));
}

/* Which of the values that the adjoint carries is the guard of adjoint k. */
static uint32_t guard_index(const Turn *turn, uint32_t k)
{
    uint32_t n = turn->carried.n;
    while (k-- > 0)
        n += turn->carried.p[k].guarded;
    return n;
}

/* What a place read, its adjoint gives back: place p takes from all places that read p. */
static const RecGrid *turned_grid(const RecProg *p, const Turn *turn)
{
    RecGrid *g = NEW(p->arena, RecGrid);
    *g = *turn->op.grid;
    g->by = NEWN(p->arena, RecOffset, turn->carried.n + 1);
    for (uint32_t k = 0; k < turn->carried.n; k++)
        for (uint8_t i = 0; i < g->naxes; i++)
            g->by[k].by[i] = (int16_t)-turn->op.grid->by[turn->carried.p[k].state].by[i];
    return g;
}

static void find_history(Level *l, Turn *turn)
{
    RecProg *p = l->back->p;
    const RecRegionInfo *body = &p->region.p[turn->op.region];
    for (uint32_t i = 0; i < body->op.n; i++)
        if (rec_op(p, body->op.p[i])->kind == REC_HISTORY && l->back->needs[body->op.p[i]])
            vec_push(p->arena, &turn->history, body->op.p[i]);
}

/* What later places gave to this one. */
static void take_history(Level *l, Level *in, const Turn *turn, uint32_t first)
{
    RecProg *p = l->back->p;
    if (!turn->history.n)
        return;
    RecId place = rec_recur_add_seq(p, in->adjoint, rec_iota(&l->b, turn->op.length));
    rec_recur_move_last(p, in->adjoint);
    for (uint32_t k = 0; k < turn->history.n; k++) {
        RecId all = p->region.p[in->b.region].arg.p[first + k];
        Type t = *rec_type(p, all);
        RecUse use[2] = {{.v = all}, {.v = place}};
        for (uint8_t i = 1; i < t.rank; i++)
            use[0].axis[i] = (uint8_t)(i - 1);
        RecId row = rec_gather(&in->b, use, 2, (uint8_t)(t.rank - 1), t.dim + 1);
        back_add(in, p->region.p[in->body].result.p[rec_op(p, turn->history.p[k])->index], row, unguarded);
    }
}

static void open_adjoint(Level *l, Level *in, Turn *turn)
{
    RecProg *p = l->back->p;
    RecId *init = NEWN(p->arena, RecId, 2 * turn->carried.n + turn->history.n + 1);
    uint32_t n = 0;
    for (uint32_t k = 0; k < turn->carried.n; k++) {
        uint32_t i = turn->carried.p[k].state;
        Type t = state_type(in, i);
        init[n++] = turn->cot[i].v != REC_NONE ? turn->cot[i].v : rec_zeros(&l->b, &t);
    }
    for (uint32_t k = 0; k < turn->carried.n; k++) {
        const Carried *c = &turn->carried.p[k];
        Type t = state_type(in, c->state);
        if (c->guarded)
            init[n++] = back_guard_value(l, c, turn->cot[c->state], &t);
    }
    uint32_t first_history = n;
    for (uint32_t k = 0; k < turn->history.n; k++) {
        Type t = *rec_type(p, turn->history.p[k]);
        init[n++] = rec_zeros(&l->b, &t);
    }
    RecRegion region;
    in->adjoint = turn->op.grid ? rec_grid_open(&l->b, init, n, NULL, 0, turned_grid(p, turn), &region)
                                : rec_recur_open(&l->b, init, n, NULL, 0, turn->op.length, !turn->op.reverse, &region);
    rec_op(p, in->adjoint)->chunk = turn->op.chunk;
    in->b = (RecBuild){p, region, turn->op.at, {0}};
    for (uint32_t k = 0; k < turn->carried.n; k++) {
        const Carried *c = &turn->carried.p[k];
        RecId guard = c->guarded ? p->region.p[region].arg.p[guard_index(turn, k)] : REC_NONE;
        back_add(in, p->region.p[in->body].result.p[c->state], p->region.p[region].arg.p[k],
                 back_carried_guard(c, guard));
    }
    take_history(l, in, turn, first_history);
    for (uint32_t i = turn->op.nstate; i < turn->op.nstate + turn->op.nout; i++) {
        if (turn->cot[i].v == REC_NONE)
            continue;
        RecId d = rec_recur_add_seq(p, in->adjoint, turn->cot[i].v);
        back_add(in, p->region.p[in->body].result.p[i], d, guard_element(in, turn->cot[i].guard));
    }
}

/* What a step gives to the value v around the recurrence, with the result numbers it will have. */
typedef struct Outward {
    RecId v;
    bool sum;             /* over the places: v is the same at all; else v is a sequence */
    uint32_t part, guard; /* result numbers in the adjoint; guard UINT32_MAX for none */
    RecId same;           /* the guard of all places, REC_NONE for none or when they differ */
    Guard axes;
} Outward;

typedef VEC(Outward) Outwards;

static uint32_t put_out(Level *in, Turn *turn, RecId v)
{
    vec_push(in->back->p->arena, &turn->result, local(in, v));
    return turn->result.n - 1;
}

/* What a guard of the step is at all places, as a value around the adjoint; REC_NONE when they may differ. */
static RecId same_at_all(const Level *in, const Turn *turn, RecId guard)
{
    const RecProg *p = in->back->p;
    const RecOp *op = rec_op(p, guard), *adjoint = rec_op(p, in->adjoint);
    if (op->home != in->b.region)
        return guard;
    bool carried = op->kind == REC_REGARG && op->index < adjoint->nstate && turn->result.p[op->index] == guard;
    return carried ? adjoint->use[op->index].v : REC_NONE;
}

/* Arguments have no rule that would ask for a guard. */
static void send(Level *in, Turn *turn, Outwards *out, RecId v, Part d, bool sum)
{
    Outward o = {.v = v, .sum = sum, .part = put_out(in, turn, d.v), .guard = UINT32_MAX, .axes = d.guard};
    bool guarded = d.guard.v != REC_NONE && rec_op(in->back->p, v)->kind != REC_ARG;
    o.same = guarded ? same_at_all(in, turn, d.guard.v) : REC_NONE;
    if (guarded && o.same == REC_NONE)
        o.guard = put_out(in, turn, d.guard.v);
    vec_push(in->back->p->arena, out, o);
}

static void send_all(Level *in, Turn *turn, Outwards *out)
{
    RecProg *p = in->back->p;
    for (uint32_t i = 0; i < turn->op.nseq; i++) {
        RecId seq = turn->op.use[turn->op.nstate + i].v;
        RecId arg = p->region.p[in->body].arg.p[turn->op.nstate + i];
        Part d = in->back->needs[seq] ? back_total(in, arg) : (Part){REC_NONE, unguarded};
        if (d.v != REC_NONE)
            send(in, turn, out, seq, d, false);
    }
    for (RecId v = 0; v < in->back->n; v++)
        for (uint32_t i = 0; !rec_inside(p, v, in->body) && i < in->sum[v].part.n; i++)
            send(in, turn, out, v, in->sum[v].part.p[i], true);
}

static RecId over_places(Level *l, RecReduce red, RecId seq, uint8_t places)
{
    Type t = *rec_type(l->back->p, seq);
    RecUse u = {.v = seq};
    Dim space[MAXRANK];
    for (uint8_t i = 0; i < t.rank; i++) {
        u.axis[i] = (uint8_t)(i < places ? t.rank - places + i : i - places);
        space[u.axis[i]] = t.dim[i];
    }
    return rec_reduce(&l->b, red, u, (uint8_t)(t.rank - places), t.rank, space);
}

static void receive(Level *l, RecId adjoint, const Outward *o)
{
    RecId d = rec_proj(&l->b, adjoint, o->part);
    Dim extent[REC_MAXAXES];
    uint8_t places = rec_places(rec_op(l->back->p, adjoint), extent);
    Guard g = o->axes;
    g.v = o->same;
    for (uint8_t j = 0; !o->sum && j < MAXRANK; j++)
        g.axis[j] = (uint8_t)(g.axis[j] + places);
    if (o->guard != UINT32_MAX) {
        RecId seq = rec_proj(&l->b, adjoint, o->guard);
        g = o->axes;
        g.v = o->sum ? over_places(l, RED_MAX, seq, places) : seq;
        uint8_t rank = rec_type(l->back->p, seq)->rank;
        for (uint8_t j = 0; !o->sum && j < rank; j++)
            g.axis[j] = j < places ? j : (uint8_t)(o->axes.axis[j - places] + places);
    }
    back_add(l, o->v, o->sum ? over_places(l, RED_SUM, d, places) : d, g);
}

static RecId state_arg(const Level *in, const Carried *c)
{
    return in->back->p->region.p[in->body].arg.p[c->state];
}

static bool guards_fit(Level *in, Turn *turn)
{
    bool fit = true;
    for (uint32_t k = 0; k < turn->carried.n; k++) {
        Carried *c = &turn->carried.p[k];
        fit &= back_guard_fits(in, c, back_total(in, state_arg(in, c)));
    }
    return fit;
}

/* What a round hands to the one before it. */
static void carry_on(Level *in, Turn *turn)
{
    for (uint32_t k = 0; k < turn->carried.n; k++) {
        const Carried *c = &turn->carried.p[k];
        Type t = state_type(in, c->state);
        RecId d = back_total(in, state_arg(in, c)).v;
        put_out(in, turn, d != REC_NONE ? d : rec_zeros(&in->b, &t));
    }
    for (uint32_t k = 0; k < turn->carried.n; k++) {
        const Carried *c = &turn->carried.p[k];
        Type t = state_type(in, c->state);
        if (c->guarded)
            put_out(in, turn, back_guard_value(in, c, back_total(in, state_arg(in, c)), &t));
    }
    for (uint32_t k = 0; k < turn->history.n; k++) {
        RecId all = in->back->p->region.p[in->b.region].arg.p[turn->result.n], d = back_total(in, turn->history.p[k]).v;
        put_out(in, turn, d == REC_NONE ? all : rec_map2(&in->b, FUN_ADD, all, d));
    }
}

/* To the initial value of carried state k. */
static void give_start(Level *l, const Level *in, const Turn *turn, uint32_t k)
{
    const Carried *c = &turn->carried.p[k];
    if (turn->op.grid)
        ice("rec.backward: what stands outside of a grid has no gradient");
    RecId guard = c->guarded ? rec_proj(&l->b, in->adjoint, guard_index(turn, k)) : REC_NONE;
    back_add(l, turn->op.use[c->state].v, rec_proj(&l->b, in->adjoint, k), back_carried_guard(c, guard));
}

static void back_recur(Level *l, RecId recur)
{
    RecProg *p = l->back->p;
    Turn turn = {.recur = recur, .op = *rec_op(p, recur)};
    if (!collect(l, &turn))
        return;
    find_carried(l, &turn);
    find_history(l, &turn);
    Level in;
    do {
        in = (Level){.up = l, .back = l->back, .recur = recur, .body = turn.op.region, .again = turn.op.chunk};
        in.sum = NEWN(p->arena, Sum, l->back->n + 1);
        open_adjoint(l, &in, &turn);
        back_region(&in);
    } while (!guards_fit(&in, &turn));
    carry_on(&in, &turn);
    Outwards out = {0};
    send_all(&in, &turn, &out);
    rec_recur_close(p, in.adjoint, turn.result.p, turn.result.n);
    for (uint32_t k = 0; k < turn.carried.n; k++)
        if (l->back->needs[turn.op.use[turn.carried.p[k].state].v])
            give_start(l, &in, &turn, k);
    for (uint32_t i = 0; i < out.n; i++)
        receive(l, in.adjoint, &out.p[i]);
}

/* ---- the walk ---- */

static void back_op(Level *l, RecId v)
{
    RecOp op = *rec_op(l->back->p, v);
    l->b.at = op.at;
    l->b.name = (Str){0};
    if (op.kind == REC_RECUR) {
        back_recur(l, v);
        return;
    }
    if (!l->back->needs[v] || l->sum[v].part.n == 0 || op.kind == REC_ARG || op.kind == REC_REGARG ||
        op.kind == REC_PROJ)
        return;
    Part d = back_total(l, v);
    switch (op.kind) {
    case REC_MAP: back_map(l, v, &op, d); break;
    case REC_REDUCE: back_reduce(l, v, &op, d); break;
    case REC_CONTRACT: back_contract(l, &op, d); break;
    case REC_GATHER: back_gather(l, &op, d); break;
    case REC_SCATTER: back_scatter(l, &op, d); break;
    case REC_SLICE: back_slice(l, &op, d); break;
    case REC_PAD: back_part(l, op.use[0].v, op.along, op.lo, d); break;
    case REC_CONCAT: back_concat(l, &op, d); break;
    case REC_RESHAPE: back_reshape(l, &op, d); break;
    case REC_RECUR:
    case REC_PROJ:
    case REC_ARG:
    case REC_HISTORY:
    case REC_REGARG:
    case REC_CONST:
    case REC_DIM:
    case REC_IOTA:
    case REC_RANDOM:
    case REC_GIVEN:
    case REC_KIND_COUNT: break;
    }
}

/* What is kept for the adjoint is added to the region meanwhile; it has no cotangent. */
static void back_region(Level *l)
{
    RecProg *p = l->back->p;
    uint32_t n = p->region.p[l->body].op.n;
    RecId *op = NEWN(p->arena, RecId, n + 1);
    if (n)
        memcpy(op, p->region.p[l->body].op.p, n * sizeof *op);
    while (n-- > 0)
        if (op[n] < l->back->n)
            back_op(l, op[n]);
}

/* ---- arguments and outputs ---- */

static void add_cotangents(Level *l)
{
    RecProg *p = l->back->p;
    uint32_t n = p->out.n;
    for (uint32_t i = 0; i < n; i++) {
        RecOut out = p->out.p[i];
        Type now = *rec_type(p, out.value);
        if ((out.role != OUT_VALUE && out.role != OUT_FINAL) || out.type.dt != DT_REAL)
            continue;
        RecArg arg = {.name = str_fmt(p->arena, "d_%.*s", STRF(out.name)),
                      .role = ROLE_COTANGENT,
                      .type = out.type,
                      .optional = true,
                      .of = i,
                      .at = out.at};
        RecId d = rec_arg(&l->b, arg);
        rec_op(p, d)->type = now;
        back_add(l, out.value, d, unguarded);
    }
}

static void add_gradient(Level *l, uint32_t i)
{
    RecProg *p = l->back->p;
    RecArg arg = p->arg.p[i];
    RecId d = back_total(l, arg.value).v;
    RecOut out = {.name = str_fmt(p->arena, "d_%.*s", STRF(arg.name)), .type = arg.type, .of = i, .at = arg.at};
    out.role = arg.role == ROLE_PARAM ? OUT_GRAD_PARAM : OUT_GRAD;
    out.value = d != REC_NONE ? local(l, d) : rec_zeros(&l->b, rec_type(p, arg.value));
    rec_out(p, out);
}

void rec_backward(RecProg *p)
{
    Back k = {.p = p, .n = p->op.n};
    Level root = {.back = &k, .recur = REC_NONE, .body = REC_FORWARD, .sum = NEWN(p->arena, Sum, k.n + 1)};
    uint32_t narg = p->arg.n;
    root.b = (RecBuild){.prog = p, .region = REC_BACKWARD};
    fixpoint(&k, &k.needs, find_needs);
    fixpoint(&k, &k.dirty, find_dirty);
    add_cotangents(&root);
    back_region(&root);
    for (uint32_t i = 0; i < narg; i++)
        if (arg_wants(&p->arg.p[i]))
            add_gradient(&root, i);
    rec_compact(p);
}
