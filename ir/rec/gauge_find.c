/* Which maxima in a step are references only.
 *
 * Let the reference g of each place move by any d, and each state that it scales follow: how does every value of the
 * step answer? It stays; or it moves by now * d + before * d', with d' of the place before; or it is multiplied by the
 * exponential of that. Sums want terms that answer alike, products add up what they answer, exp and log lead from one
 * kind to the other. If all results stay, they do not depend on g at all, whatever it is: it was chosen to keep numbers
 * in range. The states answer by a weight each, which is found from what is added to them: the unknown answers of the
 * first round are put in for the second.
 *
 * Beyond a sequence's length a state keeps its value, and behind a cut it is a constant, so a reference's new state may
 * be chosen by WHERE among g, the old state and constants, and the states that it scales must then be chosen by the
 * same conditions. */
#include "ir/rec/gauge.h"

typedef enum Kind { UNKNOWN, ZERO, STAYS, MOVES, SCALES, OTHER } Kind;

typedef struct Answer {
    Kind kind;
    int8_t now, before;
    uint8_t axis[MAXRANK]; /* of MOVES and SCALES: which of the value's axes the reference's are */
} Answer;

typedef struct Find {
    const RecProg *p;
    const RecOp *recur;
    const RecRegionInfo *body;
    Arena *arena;
    Answer *of;    /* by op of the body */
    bool *settled; /* by op: references already found, and their states: whatever they are, nothing depends on them */
    uint8_t rank;  /* of the reference */
    Gauge g;
    Answer *carried; /* by state */
} Find;

static const Answer stays = {.kind = STAYS}, other = {.kind = OTHER};

/* ---- one operation ---- */

static Answer answer(const Find *f, RecId v)
{
    return rec_op(f->p, v)->home == f->recur->region ? f->of[v] : stays;
}

/* The answer of an operand, along iteration axes. */
static Answer operand(const Find *f, const RecOp *op, uint32_t i)
{
    Answer a = answer(f, op->use[i].v);
    for (uint32_t k = 0; k < f->rank && (a.kind == MOVES || a.kind == SCALES); k++)
        a.axis[k] = op->use[i].axis[a.axis[k]];
    return a;
}

static bool is_fixed(Answer a)
{
    return a.kind == ZERO || a.kind == STAYS;
}

static bool same_axes(const Find *f, Answer a, Answer b)
{
    return memcmp(a.axis, b.axis, f->rank) == 0;
}

static Answer normal(Answer a)
{
    return (a.kind == MOVES || a.kind == SCALES) && !a.now && !a.before ? stays : a;
}

/* Of what must answer alike: terms of a sum, branches. A zero is multiplied by anything. */
static Answer alike(const Find *f, Answer a, Answer b)
{
    if (a.kind == UNKNOWN || b.kind == OTHER)
        return b;
    if (b.kind == UNKNOWN || a.kind == OTHER)
        return a;
    if (a.kind == ZERO && (b.kind == SCALES || is_fixed(b)))
        return b;
    if (b.kind == ZERO && (a.kind == SCALES || is_fixed(a)))
        return a;
    bool equal = a.kind == b.kind && a.now == b.now && a.before == b.before;
    return equal && (is_fixed(a) || same_axes(f, a, b)) ? a : other;
}

static Answer weighted(Answer a, int now, int before)
{
    enum { MOST = 100 };
    if (now > MOST || now < -MOST || before > MOST || before < -MOST)
        return other;
    a.now = (int8_t)now, a.before = (int8_t)before;
    return normal(a);
}

/* a + sign * b, of exponents or of what is moved. */
static Answer together(const Find *f, Kind kind, Answer a, Answer b, int sign)
{
    if (a.kind == UNKNOWN || b.kind == UNKNOWN)
        return (Answer){.kind = UNKNOWN};
    if ((a.kind != kind && !is_fixed(a)) || (b.kind != kind && !is_fixed(b)))
        return other;
    if (a.kind == kind && b.kind == kind && !same_axes(f, a, b))
        return other;
    Answer r = a.kind == kind ? a : b;
    r.kind = kind;
    return weighted(r, (a.kind == kind ? a.now : 0) + (b.kind == kind ? sign * b.now : 0),
                    (a.kind == kind ? a.before : 0) + (b.kind == kind ? sign * b.before : 0));
}

static Answer sum_of(const Find *f, Answer a, Answer b, int sign)
{
    if (a.kind == MOVES || b.kind == MOVES)
        return together(f, MOVES, a, b, sign);
    return alike(f, a, b);
}

static Answer product_of(const Find *f, Answer a, Answer b, int sign)
{
    if ((a.kind == ZERO || (b.kind == ZERO && sign > 0)) && a.kind != OTHER && b.kind != OTHER)
        return (Answer){.kind = ZERO};
    return together(f, SCALES, a, b, sign);
}

static Answer turned(Answer a, Kind from, Kind to)
{
    if (a.kind == UNKNOWN || is_fixed(a))
        return a.kind == UNKNOWN ? a : stays;
    a.kind = a.kind == from ? to : OTHER;
    return a;
}

/* What is known of any function: of operands that stay, the result stays. */
static Answer opaque(const Find *f, const RecOp *op)
{
    Answer r = stays;
    for (uint32_t i = 0; i < op->nuse; i++) {
        Answer a = answer(f, op->use[i].v);
        if (a.kind == UNKNOWN)
            r = r.kind == OTHER ? r : a;
        else if (!is_fixed(a))
            r = other;
    }
    return r;
}

static Answer comparison(const Find *f, const RecOp *op)
{
    Answer a = alike(f, operand(f, op, 0), operand(f, op, 1));
    return a.kind == OTHER || a.kind == UNKNOWN ? a : stays;
}

/* What moves, times a small whole number. */
static bool is_multiple(const Find *f, const RecOp *op, uint32_t moving, Answer *r)
{
    const RecOp *by = rec_op(f->p, op->use[!moving].v);
    *r = operand(f, op, moving);
    if (r->kind != MOVES || by->kind != REC_CONST || by->number * by->number > 16 || by->number != (int)by->number)
        return false;
    *r = weighted(*r, r->now * (int)by->number, r->before * (int)by->number);
    return true;
}

static Answer times(const Find *f, const RecOp *op, Answer a, Answer b)
{
    Answer r;
    return is_multiple(f, op, 0, &r) || is_multiple(f, op, 1, &r) ? r : product_of(f, a, b, 1);
}

static Answer map_answer(const Find *f, const RecOp *op)
{
    Answer a = op->nuse ? operand(f, op, 0) : stays, b = op->nuse > 1 ? operand(f, op, 1) : stays;
    switch (op->fun) {
    case FUN_ID:
    case FUN_STOP: return a;
    case FUN_CHOSEN: return is_fixed(b) && is_fixed(operand(f, op, 2)) ? a : opaque(f, op);
    case FUN_NEG:
        a.now = (int8_t)(a.kind == MOVES ? -a.now : a.now);
        a.before = (int8_t)(a.kind == MOVES ? -a.before : a.before);
        return a;
    case FUN_ABS: return a.kind == MOVES ? other : a;
    case FUN_ADD: return sum_of(f, a, b, 1);
    case FUN_SUB: return sum_of(f, a, b, -1);
    case FUN_MUL: return times(f, op, a, b);
    case FUN_DIV: return product_of(f, a, b, -1);
    case FUN_EXP: return turned(a, MOVES, SCALES);
    case FUN_LOG: return turned(a, SCALES, MOVES);
    case FUN_MIN:
    case FUN_MAX: return alike(f, a, b);
    case FUN_LT:
    case FUN_LE:
    case FUN_EQ:
    case FUN_NE: return comparison(f, op);
    case FUN_WHERE: return is_fixed(a) ? alike(f, b, operand(f, op, 2)) : a.kind == UNKNOWN ? a : other;
    default: return opaque(f, op);
    }
}

/* The reference must not move along an axis that is reduced. */
static bool reduces(const Find *f, const RecOp *op, Answer a)
{
    for (uint32_t k = 0; k < f->rank && (a.kind == MOVES || a.kind == SCALES); k++)
        if (a.axis[k] >= op->type.rank)
            return true;
    return false;
}

static Answer reduce_answer(const Find *f, const RecOp *op)
{
    Answer a = operand(f, op, 0);
    bool extreme = op->red == RED_MAX || op->red == RED_MIN, sum = op->red == RED_SUM && a.kind != MOVES;
    return is_fixed(a) || a.kind == UNKNOWN ? a : (extreme || sum) && !reduces(f, op, a) ? a : other;
}

static Answer contract_answer(const Find *f, const RecOp *op)
{
    Answer a = product_of(f, operand(f, op, 0), operand(f, op, 1), 1);
    return reduces(f, op, a) ? other : a;
}

/* What a recurrence inside of the step reads of it must stay. */
static bool inner_stays(const Find *f, RecRegion inner)
{
    const RecRegionInfo *r = &f->p->region.p[inner];
    for (uint32_t i = 0; i < r->op.n; i++) {
        const RecOp *op = rec_op(f->p, r->op.p[i]);
        for (uint32_t k = 0; k < op->nuse; k++)
            if (!is_fixed(answer(f, op->use[k].v)))
                return false;
        if (op->kind == REC_RECUR && !inner_stays(f, op->region))
            return false;
    }
    return true;
}

static Answer op_answer(const Find *f, RecId v)
{
    const RecOp *op = rec_op(f->p, v);
    switch (op->kind) {
    case REC_CONST: return op->number == 0 ? (Answer){.kind = ZERO} : stays;
    case REC_MAP: return map_answer(f, op);
    case REC_REDUCE: return reduce_answer(f, op);
    case REC_CONTRACT: return contract_answer(f, op);
    case REC_RECUR: return inner_stays(f, op->region) ? opaque(f, op) : other;
    default: return opaque(f, op);
    }
}

/* ---- the whole step ---- */

static Answer itself(const Find *f, bool now)
{
    Answer a = {.kind = MOVES, .now = now, .before = !now};
    for (uint8_t k = 0; k < f->rank; k++)
        a.axis[k] = k;
    return a;
}

static void answer_all(Find *f)
{
    for (uint32_t i = 0; i < f->body->arg.n; i++) {
        RecId v = f->body->arg.p[i];
        f->of[v] = i == f->g.state ? itself(f, false) : i < f->recur->nstate && !f->settled[v] ? f->carried[i] : stays;
    }
    for (uint32_t i = 0; i < f->body->op.n; i++) {
        RecId v = f->body->op.p[i];
        if (rec_op(f->p, v)->kind != REC_REGARG)
            f->of[v] = v == f->g.value ? itself(f, true) : f->settled[v] ? stays : op_answer(f, v);
    }
}

static bool is_choice(const Find *f, RecId v)
{
    const RecOp *op = rec_op(f->p, v);
    return op->kind == REC_MAP && op->fun == FUN_WHERE && op->home == f->recur->region &&
           rec_type(f->p, op->use[0].v)->rank == 0 && is_fixed(answer(f, op->use[0].v));
}

/* A branch of a choice goes through it as it is, or it is one number. */
static bool is_whole(const Find *f, const RecOp *op, uint32_t i)
{
    uint8_t rank = rec_type(f->p, op->use[i].v)->rank;
    for (uint8_t k = 0; k < rank; k++)
        if (op->use[i].axis[k] != k)
            return false;
    return rank == op->type.rank || rank == 0;
}

static bool agree(const Find *f, Answer *weight, Answer a)
{
    *weight = alike(f, *weight, a);
    return weight->kind != OTHER;
}

/* By what a state answers of which v is the new value, where r is the new value of the reference's. False: it does not
 * follow. */
static bool follows(const Find *f, RecId r, RecId v, Answer *weight)
{
    const RecOp *choice = rec_op(f->p, r), *own = rec_op(f->p, v);
    Answer a = answer(f, v);
    if (r != f->g.value && is_choice(f, r)) {
        if (is_choice(f, v) && own->use[0].v == choice->use[0].v && is_whole(f, own, 1) && is_whole(f, own, 2))
            return follows(f, choice->use[1].v, own->use[1].v, weight) &&
                   follows(f, choice->use[2].v, own->use[2].v, weight);
        return a.kind == UNKNOWN || (is_fixed(a) && agree(f, weight, stays));
    }
    if (a.kind == UNKNOWN)
        return true;
    if (r == f->g.value ? a.before : a.now)
        return false;
    if (r != f->g.value && r != f->body->arg.p[f->g.state]) /* a constant: behind a cut */
        return is_fixed(a);
    a.now = (int8_t)(a.now + a.before), a.before = 0;
    return agree(f, weight, a);
}

static bool new_answer(const Find *f, uint32_t k, Answer *w)
{
    RecId v = f->body->result.p[k];
    *w = (Answer){.kind = UNKNOWN};
    if (f->g.state != GAUGE_NO_STATE)
        return follows(f, f->body->result.p[f->g.state], v, w) && w->kind != OTHER && w->kind != MOVES;
    *w = answer(f, v);
    return w->kind == UNKNOWN || is_fixed(*w);
}

static bool is_open(const Find *f, uint32_t k)
{
    return k != f->g.state && !f->settled[f->body->arg.p[k]];
}

/* One round: what the carried states answer by, from the new ones. False: something does not follow. */
static bool next_round(Find *f, bool *changed)
{
    answer_all(f);
    for (uint32_t k = 0; k < f->recur->nstate; k++) {
        Answer w;
        if (!is_open(f, k))
            continue;
        if (!new_answer(f, k, &w))
            return false;
        if (w.kind == UNKNOWN)
            continue;
        Answer carried = is_fixed(w) ? stays : w;
        carried.before = w.now, carried.now = 0;
        *changed |= memcmp(&carried, &f->carried[k], sizeof carried) != 0;
        f->carried[k] = carried;
    }
    return true;
}

/* Until nothing changes. What depends on itself only is still unknown then: it may stay. */
static bool solve(Find *f, uint32_t guesses)
{
    bool changed = true;
    for (uint32_t round = 0; changed; round++) {
        changed = false;
        if (round > 2 * f->recur->nstate + 2 || !next_round(f, &changed))
            return false;
    }
    bool unknown = false;
    Answer *before = NEWN(f->arena, Answer, f->recur->nstate + 1);
    memcpy(before, f->carried, f->recur->nstate * sizeof *before);
    for (uint32_t k = 0; k < f->recur->nstate; k++) {
        if (!is_open(f, k) || before[k].kind != UNKNOWN)
            continue;
        unknown = true;
        f->carried[k] = stays;
        if (guesses && solve(f, guesses - 1))
            return true;
        memcpy(f->carried, before, f->recur->nstate * sizeof *before);
    }
    return !unknown;
}

static bool results_stay(const Find *f)
{
    for (uint32_t i = f->recur->nstate; i < f->body->result.n; i++)
        if (!is_fixed(answer(f, f->body->result.p[i])))
            return false;
    return true;
}

/* ---- candidates ---- */

/* The reference's state is chosen among the reference, the state before and constants. */
static bool chosen_from(const Find *f, RecId r, uint32_t state, RecId g, bool *there)
{
    const RecOp *op = rec_op(f->p, r);
    if (r == g)
        return *there = true;
    if (r == f->body->arg.p[state] || op->kind == REC_CONST)
        return true;
    return is_choice(f, r) && is_whole(f, op, 1) && is_whole(f, op, 2) &&
           chosen_from(f, op->use[1].v, state, g, there) && chosen_from(f, op->use[2].v, state, g, there);
}

static uint32_t state_of(const Find *f, RecId g)
{
    for (uint32_t k = 0; k < f->recur->nstate; k++) {
        bool there = false;
        if (chosen_from(f, f->body->result.p[k], k, g, &there) && there)
            return k;
    }
    return GAUGE_NO_STATE;
}

static bool is_maximum(const RecProg *p, RecId v)
{
    const RecOp *op = rec_op(p, v);
    return op->type.dt == DT_REAL &&
           ((op->kind == REC_MAP && op->fun == FUN_MAX) || (op->kind == REC_REDUCE && op->red == RED_MAX));
}

/* What lies between the state before and the reference: what depends on the one and is needed for the other. */
static void mark_chain(const Find *f)
{
    bool *needed = NEWN(f->arena, bool, f->p->op.n), *depends = f->g.chain;
    depends[f->body->arg.p[f->g.state]] = true;
    for (uint32_t i = 0; i < f->body->op.n; i++)
        for (uint32_t k = 0; k < rec_op(f->p, f->body->op.p[i])->nuse; k++)
            depends[f->body->op.p[i]] |= depends[rec_op(f->p, f->body->op.p[i])->use[k].v];
    needed[f->g.value] = true;
    for (uint32_t i = f->body->op.n; i-- > 0;) {
        RecId v = f->body->op.p[i];
        for (uint32_t k = 0; k < rec_op(f->p, v)->nuse && needed[v]; k++)
            needed[rec_op(f->p, v)->use[k].v] = true;
    }
    for (uint32_t i = 0; i < f->body->op.n; i++) {
        RecId v = f->body->op.p[i];
        f->g.chain[v] = depends[v] && needed[v] && v != f->g.value && rec_op(f->p, v)->kind != REC_REGARG;
    }
}

/* Whether what g is computed from, g itself included, reads what another reference would give it without derivative. */
static bool chain_reads(const Find *f, const Gauge *g, const bool *reads)
{
    for (uint32_t i = 0; i < f->body->op.n; i++) {
        const RecOp *op = rec_op(f->p, f->body->op.p[i]);
        bool inner = op->kind == REC_RECUR || op->kind == REC_PROJ;
        for (uint32_t k = 0; k < op->nuse && (g->chain[f->body->op.p[i]] || f->body->op.p[i] == g->value); k++)
            if (inner || reads[op->use[k].v])
                return true;
    }
    return false;
}

static bool chain_is_free(const Find *f, const Gauges *found)
{
    bool *own = NEWN(f->arena, bool, f->p->op.n);
    own[f->g.value] = true;
    if (f->g.state != GAUGE_NO_STATE)
        own[f->body->arg.p[f->g.state]] = true;
    for (uint32_t i = 0; i < found->found.n; i++)
        if (found->found.p[i].state != GAUGE_NO_STATE && chain_reads(f, &found->found.p[i], own))
            return false;
    return f->g.state == GAUGE_NO_STATE || !chain_reads(f, &f->g, f->settled);
}

static void settle(Find *f, Gauges *to)
{
    f->g.chain = NEWN(f->arena, bool, f->p->op.n);
    f->g.other = NEWN(f->arena, GaugeState, f->recur->nstate + 1);
    if (f->g.state != GAUGE_NO_STATE)
        mark_chain(f);
    bool is_free = chain_is_free(f, to);
    f->settled[f->g.value] = true;
    if (!is_free)
        return;
    for (uint32_t k = 0; k < f->recur->nstate && f->g.state != GAUGE_NO_STATE; k++)
        if (f->carried[k].kind == SCALES) {
            f->g.other[k].weight = f->carried[k].before;
            memcpy(f->g.other[k].axis, f->carried[k].axis, sizeof f->g.other[k].axis);
        }
    if (f->g.state != GAUGE_NO_STATE)
        f->settled[f->body->arg.p[f->g.state]] = true;
    vec_push(f->arena, &to->found, f->g);
}

static bool is_gauge(Find *f, RecId v)
{
    enum { GUESSES = 3 };
    f->rank = rec_type(f->p, v)->rank;
    f->g = (Gauge){.value = v, .state = GAUGE_NO_STATE};
    for (uint32_t k = 0; k < f->recur->nstate; k++)
        f->carried[k] = (Answer){.kind = UNKNOWN};
    answer_all(f); /* whether conditions stay */
    f->g.state = state_of(f, v);
    return solve(f, GUESSES) && results_stay(f);
}

/* One may be a reference only beside another one, so all are tried again behind each that is found. */
void gauge_find(Arena *a, const RecProg *p, RecId recur, Gauges *to)
{
    const RecOp *op = rec_op(p, recur);
    Find f = {.p = p, .recur = op, .body = &p->region.p[op->region], .arena = a};
    f.of = NEWN(a, Answer, p->op.n);
    f.settled = NEWN(a, bool, p->op.n);
    f.carried = NEWN(a, Answer, op->nstate + 1);
    for (uint32_t i = 0; i < f.body->op.n; i++) {
        RecId v = f.body->op.p[i];
        if (f.settled[v] || !is_maximum(p, v) || !is_gauge(&f, v))
            continue;
        settle(&f, to);
        i = UINT32_MAX; /* from the first again */
    }
}
