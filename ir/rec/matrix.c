/* Finding matrix stages: see matrix.h.
 *
 * The axis k is tried axis by axis. Which of the others are columns follows by exclusion: an axis that the operator
 * names, or that stands in one factor together with k, belongs to the batch; each time one is found so, the terms are
 * split again. */
#include "ir/rec/matrix.h"

typedef enum Status { FREE, RAW, DONE, BAD } Status; /* reads no state; the state itself is in it; only contracted; neither */

typedef struct Find {
    const RecProg *p;
    Arena *a;
    const RecOp *recur;
    const bool *reads;
    Status *status; /* by op */
    bool *known;    /* status is DONE */
    bool *core;     /* by op: the new state is made of it */
    Matrix *m;
    bool again; /* the batch has grown */
    MatrixWhy why;
} Find;

static bool fail(Find *f, RecWhy why, RecId at)
{
    f->why = (MatrixWhy){why, at};
    return false;
}

static LinearCx linear(const Find *f, bool known)
{
    return (LinearCx){.p = f->p,
                      .arena = f->a,
                      .body = f->recur->region,
                      .depends = f->reads,
                      .known = known ? f->known : NULL,
                      .algebra = ALGEBRA_PLUS};
}

/* ---- splitting a term in two ---- */

typedef struct Sides {
    uint32_t a, b; /* the term's axes of each side */
    bool shares;   /* both may name a summed axis: a sum of products of two vectors */
} Sides;

/* What a factor names, with all that factors joined to it by a summed axis name; `sum`: the summed axes that do not belong to a side. */
static uint32_t joined_names(const LinearCx *cx, const Term *t, uint32_t factor, uint32_t sum)
{
    uint32_t names = linear_names(cx, t, factor), before = 0;
    while (names != before) {
        before = names;
        for (uint32_t i = 0; i < t->factor.n; i++)
            if (linear_names(cx, t, i) & names & sum)
                names |= linear_names(cx, t, i);
    }
    return names;
}

/* The first factor that names axes of both sides, or the number of factors. */
static uint32_t find_mixed(const LinearCx *cx, const Term *t, Sides s)
{
    for (uint32_t i = 0; i < t->factor.n; i++)
        if ((linear_names(cx, t, i) & s.a) && (linear_names(cx, t, i) & s.b))
            return i;
    return t->factor.n;
}

bool matrix_is_condition(const Factor *f)
{
    return f->kind == FACTOR_IF || f->kind == FACTOR_UNLESS;
}

/* Conditions of no side go to both. False if a sum joins the sides that is not in `shared`. */
static bool assign(const LinearCx *cx, const Term *t, Sides s, uint32_t shared, Split *out)
{
    uint32_t sum = (1u << t->nit) - (1u << t->rank);
    *out = (Split){.term = *t, .sum = shared};
    for (uint32_t i = 0; i < t->factor.n; i++) {
        uint32_t names = joined_names(cx, t, i, sum & ~s.a & ~s.b & ~shared);
        bool a = names & s.a, b = names & s.b;
        if (a && b)
            return false;
        bool both = !a && !b && matrix_is_condition(&t->factor.p[i]);
        out->first |= (uint32_t)(a || both) << i;
        out->second |= (uint32_t)(b || both) << i;
        out->scale |= (uint32_t)(!a && !b && !both) << i;
    }
    return true;
}

/* Splits a term, taking factors apart that name axes of both sides. What still does makes `grow` axes part of the batch. */
static bool split(Find *f, const LinearCx *cx, const Term *t, Sides s, Splits *out, uint32_t *mixed)
{
    uint32_t i = find_mixed(cx, t, s);
    Terms parts = {0};
    Split done;
    if (i == t->factor.n) {
        uint32_t sum = s.shares ? (1u << t->nit) - (1u << t->rank) : 0;
        if (!assign(cx, t, s, 0, &done) && !(sum && assign(cx, t, s, sum, &done)))
            return false;
        vec_push(f->a, out, done);
        return true;
    }
    if (!linear_expand(cx, t, i, &parts)) {
        *mixed |= linear_names(cx, t, i);
        return false;
    }
    for (uint32_t k = 0; k < parts.n; k++)
        if (!split(f, cx, &parts.p[k], s, out, mixed))
            return false;
    return true;
}

/* The state's axes that these axes of a term are. */
static uint32_t as_state_axes(const Find *f, const Term *t, uint32_t axes)
{
    uint32_t bits = 0;
    for (uint8_t i = 0; i < f->m->type.rank; i++)
        if (axes >> t->axis[i] & 1)
            bits |= 1u << i;
    return bits;
}

/* These axes are no columns; true if that is new. */
static bool grow_batch(Find *f, uint32_t axes)
{
    axes &= ~(1u << f->m->k) & ~f->m->batch;
    f->m->batch |= axes;
    f->m->cols &= ~axes;
    f->again |= axes != 0;
    return axes != 0;
}

/* ---- the step ---- */

/* Every axis of the state at its own place, but k, which may be summed over. */
static bool in_place(const Matrix *m, const Term *t)
{
    for (uint8_t i = 0; i < m->type.rank; i++)
        if (t->axis[i] != i && (i != m->k || t->axis[i] < t->rank))
            return false;
    return true;
}

static uint32_t number_of(const Matrix *m, RecId carried)
{
    uint32_t i = 0;
    while (m->carried[i] != carried)
        i++;
    return i;
}

/* What was split off since `first` reads one state and writes another. */
static void note_states(Splits *x, uint32_t first, uint32_t from, uint32_t to)
{
    for (uint32_t i = first; i < x->n; i++) {
        x->p[i].from = from;
        x->p[i].to = to;
    }
}

static bool operator_term(Find *f, const LinearCx *cx, uint32_t to, Term *t)
{
    Matrix *m = f->m;
    uint32_t names = 0, mixed = 0, from = number_of(m, t->state), first = m->low.n;
    if (!in_place(m, t))
        return fail(f, WHY_MOVES, REC_NONE);
    for (uint32_t i = 0; i < t->factor.n; i++)
        names |= linear_names(cx, t, i);
    if (grow_batch(f, names & ((1u << t->rank) - 1)))
        return true;
    if (t->axis[m->k] == m->k) {
        m->diagonal |= (names >> m->k & 1) != 0;
        vec_push(f->a, &m->decay[to * m->n + from], *t);
        return t->nit == t->rank ? true : fail(f, WHY_DECAY_SUM, REC_NONE);
    }
    Sides s = {1u << t->axis[m->k], 1u << m->k, false};
    if (!split(f, cx, t, s, &m->low, &mixed))
        return fail(f, WHY_DENSE_OPERATOR, REC_NONE);
    note_states(&m->low, first, from, to);
    return true;
}

static bool source_term(Find *f, const LinearCx *cx, uint32_t to, const Term *t)
{
    Matrix *m = f->m;
    uint32_t mixed = 0, first = m->source.n;
    Sides s = {1u << m->k, m->cols, true};
    if (split(f, cx, t, s, &m->source, &mixed)) {
        note_states(&m->source, first, 0, to);
        return true;
    }
    if (mixed && grow_batch(f, mixed & m->cols))
        return true;
    return fail(f, WHY_DENSE_SOURCE, REC_NONE);
}

static bool step_terms(Find *f, uint32_t to, RecId next)
{
    LinearCx cx = linear(f, false);
    Terms terms = {0};
    RecId at = REC_NONE;
    if (!linear_terms(&cx, next, &terms, &at))
        return fail(f, WHY_NOT_AFFINE, at);
    for (uint32_t i = 0; i < terms.n && !f->again; i++)
        if (!(terms.p[i].state == REC_NONE ? source_term(f, &cx, to, &terms.p[i]) : operator_term(f, &cx, to, &terms.p[i])))
            return false;
    return true;
}

/* ---- what is read out ---- */

static bool contracted(const Find *f, const Terms *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->p[i].state != REC_NONE && t->p[i].axis[f->m->k] < t->p[i].rank)
            return false;
    return true;
}

/* An op with the state itself among its operands. */
static Status status_on_raw(const Find *f, RecId v)
{
    LinearCx cx = linear(f, true);
    Terms terms = {0};
    RecId at;
    if (!linear_terms(&cx, v, &terms, &at))
        return BAD;
    return contracted(f, &terms) ? DONE : RAW;
}

static bool is_carried(const Matrix *m, RecId v)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (m->carried[i] == v)
            return true;
    return false;
}

static void find_status(Find *f)
{
    const RecRegionInfo *body = &f->p->region.p[f->recur->region];
    for (uint32_t i = 0; i < body->op.n; i++) {
        RecId v = body->op.p[i];
        const RecOp *op = rec_op(f->p, v);
        bool raw = is_carried(f->m, v), bad = false;
        for (uint32_t k = 0; k < op->nuse; k++) {
            raw |= f->status[op->use[k].v] == RAW;
            bad |= f->status[op->use[k].v] == BAD;
        }
        f->status[v] = !f->reads[v] ? FREE : bad ? BAD : is_carried(f->m, v) ? RAW : raw ? status_on_raw(f, v) : DONE;
        f->known[v] = f->status[v] == DONE;
    }
}

static bool is_injective_but_k(const Find *f, const Term *t)
{
    uint32_t seen = 0;
    for (uint8_t i = 0; i < f->m->type.rank; i++) {
        if (i == f->m->k)
            continue;
        if (t->axis[i] >= t->rank || (seen >> t->axis[i] & 1))
            return false;
        seen |= 1u << t->axis[i];
    }
    return true;
}

static uint32_t term_axes(const Find *f, const Term *t, uint32_t state_axes)
{
    uint32_t bits = 0;
    for (uint8_t i = 0; i < f->m->type.rank; i++)
        if (state_axes >> i & 1)
            bits |= 1u << t->axis[i];
    return bits;
}

/* What meets the state must not come from it. */
static bool vectors_are_known(Find *f, const Readout *r)
{
    for (uint32_t i = 0; i < r->of_state.n; i++) {
        const Split *x = &r->of_state.p[i];
        for (uint32_t k = 0; k < x->term.factor.n; k++)
            if ((x->first >> k & 1) && f->reads[x->term.factor.p[k].use.v])
                return fail(f, WHY_READOUT_DEPENDS, r->v);
    }
    return true;
}

static bool readout_term(Find *f, const LinearCx *cx, Readout *r, const Term *t)
{
    Matrix *m = f->m;
    uint32_t mixed = 0, k = 1u << t->axis[m->k], first = r->of_state.n;
    if (!is_injective_but_k(f, t))
        return fail(f, WHY_READOUT_AXES, r->v);
    uint32_t batch = term_axes(f, t, m->batch), all = (1u << t->rank) - 1;
    /* what is neither batch nor k belongs to the second side: columns, and axes that the state does not have */
    Sides s = {k, all & ~batch, false};
    if (split(f, cx, t, s, &r->of_state, &mixed)) {
        note_states(&r->of_state, first, number_of(m, t->state), 0);
        return vectors_are_known(f, r);
    }
    if (mixed && grow_batch(f, as_state_axes(f, t, mixed) & m->cols))
        return true;
    return fail(f, WHY_READOUT_DENSE, r->v);
}

static bool want(Find *f, bool *seen, RecId v);

/* What the read-out needs of other read-outs comes first. */
static bool want_factors(Find *f, bool *seen, const Term *t)
{
    for (uint32_t i = 0; i < t->factor.n; i++)
        if (!want(f, seen, t->factor.p[i].use.v))
            return false;
    return true;
}

/* Whether a value is made of what is known at every place, be that read out of the state. */
static bool reads_no_raw(const Find *f, RecId v)
{
    const RecOp *op = rec_op(f->p, v);
    bool raw = f->status[v] == RAW;
    for (uint32_t i = 0; i < op->nuse; i++)
        raw |= f->status[op->use[i].v] == RAW;
    return !raw;
}

/* Takes apart all that names a summed axis and others too: what is summed is multiplied as late as it can be. */
static void take_apart(Find *f, const LinearCx *cx, const Term *t, Terms *out)
{
    uint32_t sum = (1u << t->nit) - (1u << t->rank);
    for (uint32_t i = 0; i < t->factor.n; i++) {
        uint32_t names = linear_names(cx, t, i);
        Terms parts = {0};
        bool apart = (names & sum) && (names & ~sum) && reads_no_raw(f, t->factor.p[i].use.v);
        if (!apart || !linear_expand(cx, t, i, &parts))
            continue;
        for (uint32_t k = 0; k < parts.n; k++)
            take_apart(f, cx, &parts.p[k], out);
        return;
    }
    vec_push(f->a, out, *t);
}

static bool add_readout(Find *f, bool *seen, RecId v)
{
    LinearCx cx = linear(f, true);
    Terms terms = {0};
    Readout r = {.v = v};
    RecId at;
    bool *known = f->known;
    known[v] = false;
    bool ok = linear_terms(&cx, v, &terms, &at);
    known[v] = true;
    Terms parts = {0};
    for (uint32_t i = 0; ok && i < terms.n; i++)
        if (terms.p[i].state == REC_NONE)
            take_apart(f, &cx, &terms.p[i], &parts);
        else
            vec_push(f->a, &parts, terms.p[i]);
    for (uint32_t i = 0; ok && i < parts.n && !f->again; i++) {
        ok = want_factors(f, seen, &parts.p[i]);
        if (ok && parts.p[i].state == REC_NONE)
            vec_push(f->a, &r.local, parts.p[i]);
        else if (ok)
            ok = readout_term(f, &cx, &r, &parts.p[i]);
    }
    vec_push(f->a, &f->m->readout, r);
    return ok;
}

/* v is wanted at every place. */
static bool want(Find *f, bool *seen, RecId v)
{
    const RecOp *op = rec_op(f->p, v);
    if (!rec_inside(f->p, v, f->recur->region) || f->status[v] == FREE || seen[v])
        return true;
    seen[v] = true;
    if (f->status[v] != DONE)
        return fail(f, f->status[v] == RAW ? WHY_STATE_WANTED : WHY_READOUT_NONLINEAR, v);
    bool first = false;
    for (uint32_t i = 0; i < op->nuse; i++)
        first |= f->status[op->use[i].v] == RAW;
    if (op->kind == REC_RECUR || op->kind == REC_PROJ)
        return fail(f, WHY_LOOP, v);
    if (first && !add_readout(f, seen, v))
        return false;
    for (uint32_t i = 0; i < op->nuse; i++)
        if ((!first || f->status[op->use[i].v] == DONE) && !want(f, seen, op->use[i].v))
            return false;
    return true;
}

static bool readouts(Find *f)
{
    const RecRegionInfo *body = &f->p->region.p[f->recur->region];
    bool *seen = NEWN(f->a, bool, f->p->op.n + 1);
    find_status(f);
    for (uint32_t i = 0; i < body->result.n && !f->again; i++) {
        bool own = false;
        for (uint32_t k = 0; k < f->m->n; k++)
            own |= f->m->state[k] == i;
        if (!own && !want(f, seen, body->result.p[i]))
            return false;
    }
    return true;
}

/* ---- the whole ---- */

/* Everything that is found anew when the batch has grown. */
static void begin(Find *f, uint8_t k, uint32_t batch)
{
    Matrix *m = f->m;
    *m = (Matrix){.n = m->n, .state = m->state, .carried = m->carried, .type = m->type, .k = k, .batch = batch};
    m->decay = NEWN(f->a, Terms, m->n * m->n);
    m->cols = ((1u << m->type.rank) - 1) & ~batch & ~(1u << k);
    f->again = false;
}

static bool try_axis(Find *f, uint8_t k)
{
    const RecRegionInfo *body = &f->p->region.p[f->recur->region];
    uint32_t batch = 0;
    do {
        begin(f, k, batch);
        if (!f->m->cols)
            return fail(f, WHY_NO_COLUMNS, REC_NONE);
        for (uint32_t i = 0; i < f->m->n && !f->again; i++)
            if (!step_terms(f, i, body->result.p[f->m->state[i]]))
                return false;
        if (!f->again && !readouts(f))
            return false;
        batch = f->m->batch;
    } while (f->again);
    return true;
}

/* The states of a stage; false unless all have one type. */
static bool states_of(Find *f, const Stages *s, uint32_t stage)
{
    const RecRegionInfo *body = &f->p->region.p[f->recur->region];
    Matrix *m = f->m;
    m->state = NEWN(f->a, uint32_t, s->nstate + 1);
    m->carried = NEWN(f->a, RecId, s->nstate + 1);
    for (uint32_t i = 0; i < s->nstate; i++) {
        if (s->of[i] != stage)
            continue;
        m->state[m->n] = i;
        m->carried[m->n++] = body->arg.p[i];
    }
    m->type = *rec_type(f->p, m->carried[0]);
    for (uint32_t i = 1; i < m->n; i++)
        if (!type_eq(&m->type, rec_type(f->p, m->carried[i])))
            return false;
    return true;
}

Matrix *matrix_stage(const RecProg *p, Arena *a, RecId recur, const Stages *s, uint32_t stage, MatrixWhy *why)
{
    Find f = {.p = p, .a = a, .recur = rec_op(p, recur), .reads = s->reads[stage], .m = NEW(a, Matrix)};
    f.status = NEWN(a, Status, p->op.n + 1);
    f.known = NEWN(a, bool, p->op.n + 1);
    *why = (MatrixWhy){WHY_COUPLED, REC_NONE};
    if (!states_of(&f, s, stage))
        return NULL;
    *why = (MatrixWhy){WHY_NO_MATRIX, REC_NONE};
    for (uint8_t k = 0; k < f.m->type.rank && f.m->type.dt == DT_REAL; k++) {
        memset(f.known, 0, (p->op.n + 1) * sizeof *f.known);
        if (try_axis(&f, k)) {
            matrix_join(p, a, f.m);
            return f.m;
        }
        if (f.why.why > why->why) /* of the axis that got furthest: reasons stand in the order in which they are met */
            *why = f.why;
    }
    return NULL;
}
