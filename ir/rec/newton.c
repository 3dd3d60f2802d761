/* rec.newton: a recurrence s_t = f(s_{t-1}, u_t) as one system of equations for all places of a window, solved by Newton's method
 * (Lim et al. 2024, DEER; Danieli et al. 2025, ParaRNN): linearise every step around the guess, solve the affine recurrence
 * that comes out, and again. Each iteration makes at least one more place exact, in every bit, whatever the derivative was.
 *
 * Windows follow each other in a recurrence over windows; the places that do not fill one come first and run step by step.
 * What is returned is certain: the states are those of the plain recurrence up to a bound that is computed (newton_bound.c), or
 * in each bit. What cannot be shown to be so is made by the plain step (newton_finish.c).
 *
 * The pass stands behind rec.backward. So the gradient is the adjoint recurrence at the solution, with the true derivative. */
#include "ir/rec/newton.h"
#include "ir/rec/ball.h"

#include <math.h>

/* Where nobody says. */
static double tolerance(const RecProg *p)
{
    return p->form.tolerance > 0 ? p->form.tolerance : p->unit < 1e-12 ? 1e-11 : 1e-4;
}

/* ---- whether ---- */

/* For each value of the step that is made of states: which axis of them each of its own runs along. */
typedef struct Along {
    const RecProg *p;
    const Type *state;
    bool *reads;  /* by op: it needs a carried state */
    uint8_t (*axis)[MAXRANK];
} Along;

/* Elementwise, by a function that has a bound, over all axes of the states and no others, each operand along the same ones; false if
 * not so. */
static bool follow(Along *x, RecId v)
{
    const RecOp *op = rec_op(x->p, v);
    uint32_t known = 0;
    if (op->kind != REC_MAP || op->type.rank != x->state->rank || !ball_has(op->fun))
        return false;
    for (uint32_t i = 0; i < op->nuse; i++)
        for (uint8_t k = 0; x->reads[op->use[i].v] && k < x->state->rank; k++) {
            uint8_t own = op->use[i].axis[k], axis = x->axis[op->use[i].v][k];
            if (known >> own & 1 && x->axis[v][own] != axis)
                return false;
            x->axis[v][own] = axis;
            known |= 1u << own;
        }
    return known == (1u << x->state->rank) - 1;
}

bool *newton_feeding(const RecProg *p, Arena *a, const RecOp *recur)
{
    const RecRegionInfo *body = &p->region.p[recur->region];
    bool *feeds = NEWN(a, bool, p->op.n + 1);
    for (uint32_t i = 0; i < recur->nstate; i++)
        feeds[body->result.p[i]] = true;
    for (uint32_t i = body->op.n; i-- > 0;)
        for (uint32_t k = 0; feeds[body->op.p[i]] && k < rec_op(p, body->op.p[i])->nuse; k++)
            feeds[rec_op(p, body->op.p[i])->use[k].v] = true;
    return feeds;
}

bool *newton_reading(const RecProg *p, Arena *a, const RecOp *recur)
{
    bool *reads = NEWN(a, bool, p->op.n + 1);
    for (uint32_t i = 0; i < recur->nstate; i++)
        reads[p->region.p[recur->region].arg.p[i]] = true;
    pass_made_of(p, recur->region, reads);
    return reads;
}

bool newton_by_element(const RecProg *p, Arena *a, const RecOp *recur)
{
    const RecRegionInfo *body = &p->region.p[recur->region];
    Along x = {p, rec_type(p, recur->use[0].v), newton_reading(p, a, recur), NULL};
    x.axis = arena_alloc(a, (p->op.n + 1) * sizeof *x.axis);
    bool *feeds = newton_feeding(p, a, recur);
    for (uint32_t i = 0; i < recur->nstate; i++)
        if (!type_eq(rec_type(p, recur->use[i].v), x.state))
            return false;
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId v = body->op.p[i];
        for (uint8_t k = 0; k < MAXRANK; k++)
            x.axis[v][k] = k;
        if (feeds[v] && x.reads[v] && rec_op(p, v)->kind != REC_REGARG && !follow(&x, v))
            return false;
    }
    for (uint32_t i = 0; i < recur->nstate; i++)
        for (uint8_t k = 0; x.reads[body->result.p[i]] && k < x.state->rank; k++)
            if (x.axis[body->result.p[i]][k] != k)
                return false;
    return true;
}

bool newton_has_rules(const RecProg *p, Arena *a, const RecOp *recur)
{
    const RecRegionInfo *body = &p->region.p[recur->region];
    bool *feeds = newton_feeding(p, a, recur), *reads = newton_reading(p, a, recur), all = true;
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId v = body->op.p[i];
        all = all && (!feeds[v] || !reads[v] || rec_op(p, v)->kind == REC_REGARG || ball_rules(rec_op(p, v)));
    }
    return all;
}

uint8_t newton_batch_axis(const RecProg *p, const Type *t)
{
    uint8_t i = 0;
    while (i < t->rank && t->dim[i] != dim_of(p->dims, p->batch))
        i++;
    return i < t->rank ? i : (uint8_t)NO_AXIS;
}

/* It has the form, and all of its states are those of all sequences. */
static bool fits(const RecProg *p, const Structure *s)
{
    const RecOp *op = rec_op(p, s->recur);
    RecId at;
    if (op->chunk || op->until || structure_lacks(p, s, &p->form, &at) != WHY_NONE)
        return false;
    for (uint32_t i = 0; i < op->nstate; i++)
        if (newton_batch_axis(p, rec_type(p, op->use[i].v)) == NO_AXIS)
            return false;
    return true;
}

/* ---- windows ---- */

static RecId placed(RecBuild *b, RecId v)
{
    Type t = *rec_type(b->prog, v);
    Dim dim[MAXRANK] = {DIM_ONE};
    memcpy(dim + 1, t.dim, t.rank * sizeof(Dim));
    return rec_reshape(b, v, (uint8_t)(t.rank + 1), dim);
}

static RecId place_of(RecBuild *b, RecId v, Dim at)
{
    RecId one = rec_slice(b, v, 0, at, DIM_ONE);
    Type t = *rec_type(b->prog, one);
    return rec_reshape(b, one, (uint8_t)(t.rank - 1), t.dim + 1);
}

RecId *window_shifted(const Window *x, RecBuild *b, const RecId *state)
{
    DimTab *d = b->prog->dims;
    Dim less = dim_sub(d, x->size, DIM_ONE);
    RecId *shifted = NEWN(b->prog->arena, RecId, x->n + 1);
    for (uint32_t i = 0; i < x->n; i++) {
        RecId enter = placed(b, x->enter[i]);
        RecId rest = rec_slice(b, state[i], 0, x->old->reverse ? DIM_ONE : DIM_ZERO, less);
        RecId part[2] = {x->old->reverse ? rest : enter, x->old->reverse ? enter : rest};
        shifted[i] = rec_concat(b, part, 2, 0);
    }
    return shifted;
}

RecId window_leaving(const Window *x, RecBuild *b, RecId state)
{
    return place_of(b, state, x->old->reverse ? DIM_ZERO : dim_sub(b->prog->dims, x->size, DIM_ONE));
}

Chunk window_values(const Window *x, RecBuild *b, const RecId *found)
{
    RecId *known = pass_ids(x->w->p->arena, x->w->old.op.n);
    for (uint32_t i = 0; i < x->n; i++)
        known[x->body->arg.p[i]] = found[i];
    for (uint32_t i = 0; i < x->old->nseq; i++)
        known[x->body->arg.p[x->n + i]] = x->seq[i];
    return chunk_begin(x->w, b, x->s, x->size, NULL, known);
}

RecId newton_by_sequence(RecBuild *b, RecReduce red, RecId v)
{
    Type t = *rec_type(b->prog, v);
    RecUse u = {.v = v};
    Dim space[MAXIT];
    uint8_t batch = newton_batch_axis(b->prog, &t);
    for (uint8_t i = 0; i < t.rank; i++) {
        u.axis[i] = i == batch ? 0 : i < batch ? (uint8_t)(i + 1) : i;
        space[u.axis[i]] = t.dim[i];
    }
    return rec_reduce(b, red, u, 1, t.rank, space);
}

RecId newton_at_all(RecBuild *b, RecId row, const Type *like)
{
    RecUse u = {.v = row, .axis = {newton_batch_axis(b->prog, like)}};
    return rec_map(b, FUN_ID, &u, like->rank, like->dim);
}

RecId newton_everywhere(RecBuild *b, RecId v, RecId like)
{
    Type t = *rec_type(b->prog, like);
    return pass_use_value(b, rec_use_tail(b->prog, v, t.rank), t.rank, t.dim);
}

/* The caller's where it is a number. */
static RecId guessed(const Window *x, uint32_t i, RecId own)
{
    RecBuild *b = x->b;
    RecId far = rec_const(b, DT_REAL, INFINITY), given = x->guess[i];
    RecId number = rec_map2(b, FUN_LT, rec_map1(b, FUN_ABS, given), far);
    return rec_map3(b, FUN_WHERE, rec_map2(b, FUN_AND, number, x->given[i]), given, own);
}

/* The first guess: a step from zero, or what the caller has. */
static void guess(Window *x)
{
    RecId *zero = NEWN(x->w->p->arena, RecId, x->n + 1);
    for (uint32_t i = 0; i < x->n; i++) {
        Type t = *rec_type(x->w->p, x->enter[i]), all = {.dt = t.dt, .rank = (uint8_t)(t.rank + 1), .dim = {x->size}};
        memcpy(all.dim + 1, t.dim, t.rank * sizeof(Dim));
        zero[i] = rec_zeros(x->b, &all);
    }
    Chunk c = window_values(x, x->b, zero);
    for (uint32_t i = 0; i < x->n; i++)
        x->state[i] = lift_placed(&c.lift, x->body->result.p[i]);
    for (uint32_t i = 0; x->guess && i < x->n; i++)
        x->state[i] = guessed(x, i, x->state[i]);
}

/* What a solved window gives. */
static void put_out(const Newton *k, const Window *x, RecId *result)
{
    Chunk c = window_values(x, x->b, window_shifted(x, x->b, x->state));
    for (uint32_t i = 0; i < x->n; i++) {
        c.lift.made[x->body->result.p[i]] = (Lifted){x->state[i], true};
        result[i] = window_leaving(x, x->b, x->state[i]);
        result[x->n + i] = x->state[i];
    }
    for (uint32_t i = 0; i < k->nmore; i++)
        result[2 * x->n + i] = lift_placed(&c.lift, x->body->result.p[x->n + k->more[i]]);
}

/* By sequence: given up; for how many windows it is not tried, and how often that failed, if what fails is made step by step. */
static uint32_t rows(const Newton *k)
{
    return k->w->old.form.no_fallback ? 1 : 3;
}

/* What the recurrence over windows carries: states, bounds of their errors, rows. */
static RecId *carried(Newton *k, uint32_t errors)
{
    RecProg *p = k->w->p;
    uint32_t n = k->old->nstate;
    RecId *init = NEWN(p->arena, RecId, n + errors + rows(k));
    Type row = {.rank = 1, .dim = {dim_of(p->dims, p->batch)}};
    memcpy(init, k->state, n * sizeof *init);
    for (uint32_t i = 0; i < errors; i++) {
        Type t = *rec_type(p, init[i]);
        init[n + i] = rec_zeros(k->b, &t);
    }
    for (uint32_t i = 0; i < rows(k); i++) {
        row.dt = i ? DT_INT : DT_BOOL;
        init[n + errors + i] = rec_broadcast(k->b, rec_const(k->b, row.dt, 0), &row);
    }
    return init;
}

static uint32_t nguess(const Newton *k)
{
    return k->guess ? k->old->nstate : 0;
}

/* The sequences of the old recurrence, then the guesses. */
static RecId *in_windows(Newton *k)
{
    RecProg *p = k->w->p;
    uint32_t n = k->old->nseq;
    RecId *seq = NEWN(p->arena, RecId, n + nguess(k) + 1);
    Dim from = k->old->reverse ? DIM_ZERO : k->head;
    for (uint32_t i = 0; i < n + nguess(k); i++) {
        RecId part = rec_slice(k->b, i < n ? k->seq[i] : k->guess[i - n], 0, from, dim_mul(p->dims, k->n, k->size));
        seq[i] = cut_parts(k->b, part, k->n, k->size);
    }
    return seq;
}

static Window window_of(Newton *k, RecBuild *in, const RecId *arg, uint32_t errors)
{
    const RecProg *old = &k->w->old;
    uint32_t n = k->old->nstate;
    uint32_t all = n + errors + rows(k) + k->old->nseq + nguess(k);
    RecId *own = NEWN(k->w->p->arena, RecId, all);
    memcpy(own, arg, all * sizeof *own);
    Window x = {.w = k->w, .s = k->s, .old = k->old, .body = &old->region.p[k->old->region], .b = in, .size = k->size, .n = n};
    x.enter = own;
    x.error = errors ? own + n : NULL;
    x.bad = own[n + errors];
    x.patience = rows(k) > 1 ? own + n + errors + 1 : NULL;
    x.seq = own + n + errors + rows(k);
    x.guess = k->guess ? x.seq + k->old->nseq : NULL;
    x.given = k->given;
    x.channels = k->way.channels;
    x.derivative = k->way.derivative;
    x.damping = old->form.damping;
    x.pieces = k->way.pieces;
    x.unit = old->unit;
    x.tolerance = tolerance(old);
    x.rounds_max = old->form.rounds ? old->form.rounds : (uint32_t)NEWTON_ITERATIONS;
    x.state = NEWN(k->w->p->arena, RecId, n + 1);
    return x;
}

static void run_windows(Newton *k)
{
    RecProg *p = k->w->p;
    uint32_t n = k->old->nstate, errors = k->way.bound ? n : 0, ncarried = n + errors + rows(k);
    RecId *result = NEWN(p->arena, RecId, ncarried + newton_results(k)), *made = NEWN(p->arena, RecId, newton_results(k) + 1);
    RecRegion step;
    RecId recur = rec_recur_open(k->b, carried(k, errors), ncarried, in_windows(k), k->old->nseq + nguess(k), k->n, k->old->reverse, &step);
    rec_op(p, recur)->chunk = true;
    RecBuild in = {p, step, k->b->at, {0}};
    Window x = window_of(k, &in, p->region.p[step].arg.p, errors);
    Window begin = x;
    if (errors)
        begin.error = memcpy(NEWN(p->arena, RecId, errors), x.error, errors * sizeof *x.error);
    guess(&x);
    window_skip(&x);
    window_solve(&x);
    window_check(&x);
    put_out(k, &x, made);
    RecId finished = x.patience ? window_finish(k, &x, &begin, made) : REC_NONE;
    if (x.patience)
        window_patience(&x, finished, result + n + errors + 1);
    memcpy(result, made, n * sizeof *result);
    if (errors)
        memcpy(result + n, x.error, errors * sizeof *result);
    result[n + errors] = x.bad;
    memcpy(result + ncarried, made + n, (newton_results(k) - n) * sizeof *result);
    rec_recur_close(p, recur, result, ncarried + newton_results(k) - n);
    for (uint32_t i = 0; i < newton_results(k); i++)
        k->main[i] = rec_proj(k->b, recur, i < n ? i : ncarried + i - n);
    memcpy(k->state, k->main, n * sizeof *k->state);
    k->bad = rec_proj(k->b, recur, n + errors);
    k->finished = finished == REC_NONE ? REC_NONE : rec_recur_export(p, recur, finished);
    k->rounds = rec_recur_export(p, recur, x.rounds);
    k->left = rec_recur_export(p, recur, x.left);
    k->off = rec_recur_export(p, recur, x.off);
    k->steep = x.steep == REC_NONE ? REC_NONE : rec_recur_export(p, recur, x.steep);
    k->clamps = x.clamps == REC_NONE ? REC_NONE : rec_recur_export(p, recur, x.clamps);
}

/* ---- the places before them ---- */

static void run_head(Newton *k)
{
    RecProg *p = k->w->p;
    RecId *seq = NEWN(p->arena, RecId, k->old->nseq + 1);
    Dim from = k->old->reverse ? dim_mul(p->dims, k->n, k->size) : DIM_ZERO;
    for (uint32_t i = 0; i < k->old->nseq; i++)
        seq[i] = cut_rest(k->b, k->seq[i], from, k->head);
    newton_plain(k, k->b, k->state, seq, k->head, k->first);
    memcpy(k->state, k->first, k->old->nstate * sizeof *k->state);
}

/* ---- which results are wanted where ---- */

static void mark_read(const RecProg *p, RecId recur, RecId v, bool *read)
{
    if (rec_op(p, v)->kind == REC_PROJ && rec_op(p, v)->use[0].v == recur)
        read[rec_op(p, v)->index] = true;
}

/* By result: whether something outside of the backward function reads it. */
static bool *read_in_forward(const RecProg *p, RecId recur)
{
    bool *read = NEWN(p->arena, bool, rec_op(p, recur)->nstate + rec_op(p, recur)->nout + 1);
    for (RecId v = 0; v < p->op.n; v++)
        for (uint32_t i = 0; i < p->op.p[v].nuse && !rec_inside(p, v, REC_BACKWARD); i++)
            mark_read(p, recur, p->op.p[v].use[i].v, read);
    for (uint32_t r = 0; r < p->region.n; r++)
        for (uint32_t i = 0; i < p->region.p[r].result.n && !rec_inside(p, p->region.p[r].owner, REC_BACKWARD); i++)
            mark_read(p, recur, p->region.p[r].result.p[i], read);
    for (uint32_t i = 0; i < p->out.n; i++)
        mark_read(p, recur, p->out.p[i].value, read);
    return read;
}

/* Which new state a per-step result is; nstate when none. */
static uint32_t which_state(const Newton *k, uint32_t index, bool found)
{
    const RecRegionInfo *body = &k->w->old.region.p[k->old->region];
    uint32_t i = 0, n = k->old->nstate;
    while (i < n && body->result.p[n + index] != (found ? body->arg.p[i] : body->result.p[i]))
        i++;
    return i;
}

static void find_more(Newton *k)
{
    bool *read = read_in_forward(&k->w->old, k->s->recur);
    k->more = NEWN(k->w->p->arena, uint32_t, k->old->nout + 1);
    for (uint32_t i = 0; i < k->old->nout; i++) {
        bool state = which_state(k, i, false) < k->old->nstate || which_state(k, i, true) < k->old->nstate;
        if (!state && read[k->old->nstate + i])
            k->more[k->nmore++] = i;
    }
}

/* The states as all places find them, from those that they leave. */
static RecId all_found(const Newton *k, RecBuild *b, uint32_t state, RecId left)
{
    RecId enter = placed(b, k->operand[state]);
    RecId part[2] = {k->old->reverse ? left : enter, k->old->reverse ? enter : left};
    return rec_slice(b, rec_concat(b, part, 2, 0), 0, k->old->reverse ? DIM_ONE : DIM_ZERO, k->old->length);
}

/* What only the backward function reads it makes itself, from the states. */
static Chunk made_again(const Newton *k, RecBuild *b, const RecId *value)
{
    const RecRegionInfo *body = &k->w->old.region.p[k->old->region];
    uint32_t n = k->old->nstate;
    RecId *known = pass_ids(k->w->p->arena, k->w->old.op.n);
    for (uint32_t i = 0; i < n; i++) {
        known[body->arg.p[i]] = all_found(k, b, i, value[n + i]);
        known[body->result.p[i]] = value[n + i];
    }
    for (uint32_t i = 0; i < k->old->nseq; i++)
        known[body->arg.p[n + i]] = k->seq[i];
    return chunk_begin(k->w, b, k->s, k->old->length, NULL, known);
}

/* The old results: final states, then per-step ones. */
static void give(Newton *k, const RecId *value, RecId *result)
{
    const RecRegionInfo *body = &k->w->old.region.p[k->old->region];
    uint32_t n = k->old->nstate, more = 0;
    RecBuild back = {k->w->p, REC_BACKWARD, k->b->at, {0}};
    Chunk c = made_again(k, &back, value);
    memcpy(result, value, n * sizeof *result);
    for (uint32_t i = 0; i < k->old->nout; i++) {
        uint32_t left = which_state(k, i, false), found = which_state(k, i, true);
        if (left < n)
            result[n + i] = value[n + left];
        else if (more < k->nmore && k->more[more] == i)
            result[n + i] = value[2 * n + more++];
        else if (found < n)
            result[n + i] = all_found(k, k->b, found, value[n + found]);
        else
            result[n + i] = lift_placed(&c.lift, body->result.p[n + i]);
    }
}

/* ---- what is told ---- */

typedef struct Reports {
    VEC(RecOut) out;
    VEC(RecArg) guess;
    uint32_t n; /* recurrences */
} Reports;

static void add_report(const Newton *k, const char *what, Type type, RecId v, const char *doc)
{
    Reports *r = k->w->cx;
    Arena *a = k->w->p->arena;
    Str name = r->n > 1 ? str_fmt(a, "newton_%s_%u", what, r->n) : str_fmt(a, "newton_%s", what);
    RecOut out = {.name = name, .role = OUT_REPORT, .type = type, .value = v, .streams = true, .doc = str_of(doc)};
    vec_push(a, &r->out, out);
}

/* [windows, B] as [B, windows]. */
static RecId by_sequence(const Newton *k, RecId v)
{
    uint8_t order[2] = {1, 0};
    return rec_transpose(k->b, v, order);
}

/* By sequence: whether any of it had to be made by the plain step, or ought to be. */
static RecId not_converged(const Newton *k)
{
    return k->finished == REC_NONE ? k->bad : rec_map2(k->b, FUN_OR, k->bad, newton_by_sequence(k->b, RED_MAX, k->finished));
}

static void report(const Newton *k)
{
    Type windows = {.rank = 1, .dim = {k->n}};
    RecId is = rec_const(k->b, DT_INT, k->w->old.form.no_fallback ? 2 : 1), none = rec_const(k->b, DT_INT, 0);
    ((Reports *)k->w->cx)->n++;
    windows.dt = DT_INT;
    add_report(k, "status", (Type){.dt = DT_INT}, rec_map3(k->b, FUN_WHERE, not_converged(k), is, none),
               "0: converged, within the bound; 1: that could not be shown, finished step by step; 2: nor was that allowed");
    add_report(k, "iterations", windows, by_sequence(k, k->rounds), str_c(k->w->p->arena, str_fmt(k->w->p->arena, "iterations until the sequence had settled, in each of chunks.%u = T / %u windows, rounded down", k->w->old.form.size, k->w->old.form.size)));
    if (k->clamps != REC_NONE)
        add_report(k, "clamps", windows, by_sequence(k, k->clamps),
                   "how often an element of a guess was held at the border of the states' box, over all iterations and places of each window");
    windows.dt = DT_REAL;
    add_report(k, "residual", windows, by_sequence(k, k->left),
               "largest difference of a state from the step of the one before it in each window, before anything was run again");
    add_report(k, "error", windows, by_sequence(k, k->off),
               "bound of the states' error in each window, relative to its largest state, before anything was run again");
    if (k->steep != REC_NONE)
        add_report(k, "contraction", windows, by_sequence(k, k->steep),
                   "largest sum of |derivative| of one new element by all old ones at the places of each window: below 1 steps bring states together");
}

/* ---- the caller's guess ---- */

static bool is_guess(const Reports *r, Str name)
{
    for (uint32_t i = 0; i < r->guess.n; i++)
        if (str_eq(r->guess.p[i].name, name))
            return true;
    return false;
}

/* `h[t-2]` is `h` in a name, `z[t-2].re` is `z.re`. */
static Str without_lag(Arena *a, Str s)
{
    uint32_t from = 0, to = s.n;
    while (from < s.n && s.p[from] != '[')
        from++;
    while (from < s.n && s.p[to - 1] != ']')
        to--;
    return from < s.n ? str_fmt(a, "%.*s%.*s", (int)from, s.p, (int)(s.n - to), s.p + to) : s;
}

/* "newton_guess_h", and "newton_guess_h_2" where that is another recurrence's, or another state's, such as `h[t-2]`. */
static Str guess_name(const Newton *k, uint32_t state)
{
    Arena *a = k->w->p->arena;
    Str own = rec_op(&k->w->old, k->w->old.region.p[k->old->region].arg.p[state])->name;
    Str first = str_fmt(a, "newton_guess_%.*s", STRF(own.n ? without_lag(a, own) : STR("state"))), name = first;
    for (uint32_t nth = 2; is_guess(k->w->cx, name); nth++)
        name = str_fmt(a, "%.*s_%u", STRF(first), nth);
    return name;
}

/* The type without its axis of sequences, which is the first. */
static Type of_all_places(const Newton *k, const Type *state, bool batched)
{
    uint8_t skip = !batched;
    Type t = {.dt = DT_REAL, .rank = (uint8_t)(state->rank + 1 - skip), .dim = {k->old->length}};
    memcpy(t.dim + 1, state->dim + skip, (size_t)(state->rank - skip) * sizeof(Dim));
    return t;
}

static void add_guess(Newton *k, uint32_t state)
{
    Reports *r = k->w->cx;
    RecProg *p = k->w->p;
    Type t = *rec_type(p, k->state[state]);
    uint32_t arg = p->arg.n + r->guess.n;
    k->guess[state] = pass_push(k->b, (RecOp){.kind = REC_ARG, .type = of_all_places(k, &t, true), .arg = arg});
    k->given[state] = pass_push(k->b, (RecOp){.kind = REC_GIVEN, .type = {.dt = DT_BOOL}, .arg = arg});
    RecArg a = {.name = guess_name(k, state), .role = ROLE_GUESS, .type = of_all_places(k, &t, false), .optional = true, .frozen = true,
                .batched = true, .value = k->guess[state]};
    vec_push(p->arena, &r->guess, a);
}

/* Where places are those of the caller's sequence, and the axis of sequences comes first. */
static void add_guesses(Newton *k)
{
    const RecProg *old = &k->w->old;
    bool can = old->has_time && k->old->length == dim_of(old->dims, old->time);
    for (uint32_t i = 0; i < k->old->nstate; i++)
        can = can && newton_batch_axis(old, rec_type(old, k->old->use[i].v)) == 0;
    if (!can)
        return;
    k->guess = NEWN(k->w->p->arena, RecId, k->old->nstate + 1);
    k->given = NEWN(k->w->p->arena, RecId, k->old->nstate + 1);
    for (uint32_t i = 0; i < k->old->nstate; i++)
        add_guess(k, i);
}

/* ---- the pass ---- */

static RecId join(const Newton *k, RecId head, RecId main)
{
    RecId flat = cut_whole(k->b, main);
    RecId part[2] = {k->old->reverse ? flat : head, k->old->reverse ? head : flat};
    return rec_concat(k->b, part, 2, 0);
}

static void newton_recur(Rewrite *w, RecBuild *b, RecId old)
{
    const RecOp *op = rec_op(&w->old, old);
    Structure s = structure_of(&w->old, w->p->arena, old);
    RecProg *p = w->p;
    if (!fits(&w->old, &s)) {
        rw_recur(w, b, old);
        return;
    }
    Newton k = {.w = w, .b = b, .s = &s, .old = op, .operand = rw_operands(w, old), .size = dim_const(p->dims, w->old.form.size)};
    find_more(&k);
    k.seq = k.operand + op->nstate;
    k.state = NEWN(p->arena, RecId, op->nstate + 1);
    memcpy(k.state, k.operand, op->nstate * sizeof *k.state);
    k.first = NEWN(p->arena, RecId, newton_results(&k) + 1);
    k.main = NEWN(p->arena, RecId, newton_results(&k) + 1);
    k.n = cut_count(p, op->length, w->old.form.size);
    k.head = dim_sub(p->dims, op->length, dim_mul(p->dims, k.n, k.size));
    k.way = newton_way(&w->old, p->arena, &s, w->old.form);
    add_guesses(&k);
    run_head(&k);
    run_windows(&k);
    RecId *value = NEWN(p->arena, RecId, newton_results(&k) + 1), *result = w->result[old] = NEWN(p->arena, RecId, op->nuse + op->nout + 1);
    memcpy(value, k.state, op->nstate * sizeof *value);
    for (uint32_t i = op->nstate; i < newton_results(&k); i++)
        value[i] = join(&k, k.first[i], k.main[i]);
    if (!w->old.form.no_fallback && k.way.bound) /* else all states are exact where a window begins */
        newton_again(&k, value);
    give(&k, value, result);
    report(&k);
    w->to[old] = result[0];
}

/* The adjoint recurrences are affine: they need one linear solve, not iterations. */
static void forward_recur(Rewrite *w, RecBuild *b, RecId old)
{
    (b->region == REC_FORWARD ? newton_recur : rw_recur)(w, b, old);
}

void rec_newton(RecProg *p)
{
    if (p->form.kind != REC_FORM_NEWTON || p->form_missing != WHY_NONE)
        return;
    Reports r = {.n = 0};
    Rewrite w = {.recur = forward_recur, .cx = &r};
    rw_begin(&w, p);
    for (RecRegion f = 0; f < REC_NFN; f++)
        rw_region(&w, f, f);
    rw_end(&w);
    for (uint32_t i = 0; i < r.guess.n; i++)
        vec_push(p->arena, &p->arg, r.guess.p[i]);
    for (uint32_t i = 0; i < r.out.n; i++)
        rec_out(p, r.out.p[i]);
    rec_compact(p);
}
