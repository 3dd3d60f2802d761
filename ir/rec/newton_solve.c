/* The iterations of rec.newton in one window: an `until` loop whose states are those of all places. With the step's values F and
 * its derivative A at the guess S, the next guess is
 *
 *     S'_t = F_t + A_t (S'_{t-1} - S_{t-1}),
 *
 * a recurrence over the places of the window. A is made for all places at once where elements see themselves alone, and where the
 * part of it that stays in place stands for it; else its product with the change is made place by place, in forward mode. No change
 * behind a place leaves F there as it is, in every bit; where S' is no number F stands in for it.
 *
 * In pieces, the changes c of all places come first, c_t = F_t - S_t + A_t c_{t-1}, by a scan, which composes matrices where elements
 * mix; S' is made of them, and clamped, at all places at once.
 *
 * Damping, a trust region in the simplest of its forms: after an iteration whose changes are not smaller than those of the one before,
 * A is scaled down, after others up again to what it is. Whatever A is, each iteration makes one more place exact; pulling S' towards
 * S (Levenberg and Marquardt, as a Kalman smoother: Gonzalez et al. 2024, ELK) would lose that. */
#include "ir/rec/box.h"
#include "ir/rec/newton.h"
#include "ir/rec/own.h"
#include "ir/rec/tangent.h"

#include <math.h>

typedef struct Solve {
    Window *x;
    RecBuild b;        /* the step of the iteration */
    const RecId *state; /* the guess at all places */
    RecId *shifted;
    RecId *value;      /* F */
    RecId *limit;      /* by state */
    RecId before;      /* who had settled already: each element of the states, or, where elements mix, each sequence */
    RecId scale, last; /* of A, and the largest change of the iteration before: as `before`; REC_NONE if nothing is damped */
    RecId *next, *change; /* by state: S', and S' - S at all places */
} Solve;

/* ---- one place ---- */

typedef struct Place {
    RecBuild b;
    RecId *change; /* of the states that it finds */
    RecId *value, *guess;
} Place;

static RecId zero(RecBuild *b)
{
    return rec_const(b, DT_REAL, 0);
}

/* F + d, or F where that is no number; nothing is added where d is 0, or -0 would turn into 0. */
static RecId moved(RecBuild *b, RecId value, RecId d)
{
    if (d == REC_NONE)
        return value;
    RecId sum = rec_map2(b, FUN_ADD, value, d), far = rec_const(b, DT_REAL, INFINITY);
    RecId finite = rec_map2(b, FUN_LT, rec_map1(b, FUN_ABS, sum), far), moves = rec_map2(b, FUN_NE, d, zero(b));
    return rec_map3(b, FUN_WHERE, rec_map2(b, FUN_AND, finite, moves), sum, value);
}

/* The greatest size that the step leaves to state i from where the window begins, with room for rounding; REC_NONE: any. */
static RecId limit(const Window *x, uint32_t i)
{
    Box box;
    if (x->w->old.form.no_clamp || !box_of(&x->w->old, x->w->p->arena, x->old, i, &box))
        return REC_NONE;
    RecId least = rec_const(x->b, DT_REAL, box.least), most = rec_map1(x->b, FUN_ABS, x->enter[i]);
    RecId size = box.keeps ? rec_map2(x->b, FUN_MAX, most, least) : least;
    return rec_map2(x->b, FUN_MUL, size, rec_const(x->b, DT_REAL, 1.0625));
}

static RecId clamped(RecBuild *b, RecId v, RecId limit)
{
    if (limit == REC_NONE)
        return v;
    RecId above = rec_map2(b, FUN_LT, limit, v), below = rec_map2(b, FUN_LT, v, rec_map1(b, FUN_NEG, limit));
    return rec_map3(b, FUN_WHERE, above, limit, rec_map3(b, FUN_WHERE, below, rec_map1(b, FUN_NEG, limit), v));
}

static RecId plus(RecBuild *b, RecId a, RecId c)
{
    return a == REC_NONE ? c : rec_map2(b, FUN_ADD, a, c);
}

/* Opens the recurrence over the places: the changes are its states. */
static RecId open_places(Solve *s, const RecId *seq, uint32_t nseq, Place *at, const RecId **arg)
{
    Window *x = s->x;
    RecProg *p = x->w->p;
    RecId *init = NEWN(p->arena, RecId, x->n + 1);
    RecRegion region;
    for (uint32_t i = 0; i < x->n; i++) {
        Type t = *rec_type(p, x->enter[i]);
        init[i] = rec_zeros(&s->b, &t);
    }
    RecId recur = rec_recur_open(&s->b, init, x->n, seq, nseq, x->size, x->old->reverse, &region);
    RecId *all = NEWN(p->arena, RecId, x->n + nseq);
    memcpy(all, p->region.p[region].arg.p, (x->n + nseq) * sizeof *all);
    *at = (Place){.b = {p, region, s->b.at, {0}}, .change = all, .value = all + x->n, .guess = all + 2 * x->n};
    *arg = all + 3 * x->n;
    return recur;
}

static RecId scaled(const Solve *s, RecBuild *b, RecId d)
{
    if (s->scale == REC_NONE || d == REC_NONE)
        return d;
    Type t = *rec_type(b->prog, d);
    return rec_map2(b, FUN_MUL, d, s->x->channels ? s->scale : newton_at_all(b, s->scale, &t));
}

static void close_places(Solve *s, RecId recur, Place *at, const RecId *d)
{
    Window *x = s->x;
    RecProg *p = x->w->p;
    RecId *next = NEWN(p->arena, RecId, x->n + 1), *change = NEWN(p->arena, RecId, x->n + 1);
    for (uint32_t i = 0; i < x->n; i++) {
        next[i] = clamped(&at->b, moved(&at->b, at->value[i], scaled(s, &at->b, d[i])), s->limit[i]);
        if (x->channels)
            next[i] = rec_map3(&at->b, FUN_WHERE, s->before, at->guess[i], next[i]);
        change[i] = rec_map2(&at->b, FUN_SUB, next[i], at->guess[i]);
    }
    rec_recur_close(p, recur, change, x->n);
    for (uint32_t i = 0; i < x->n; i++) {
        s->next[i] = rec_recur_export(p, recur, next[i]);
        s->change[i] = rec_recur_export(p, recur, change[i]);
    }
}

static bool exactly(const Window *x)
{
    return x->derivative == REC_DERIVATIVE_EXACT;
}

static RecId *three(Solve *s, uint32_t more)
{
    uint32_t n = s->x->n;
    RecId *seq = NEWN(s->b.prog->arena, RecId, 3 * n + more);
    memcpy(seq, s->value, n * sizeof *seq);
    memcpy(seq + n, s->state, n * sizeof *seq);
    return seq;
}

/* ---- with a derivative by element ---- */

RecId *newton_derivative(const Window *x, RecBuild *b, const RecId *found, const RecId *value)
{
    RecProg *p = b->prog;
    RecId *a = pass_ids(p->arena, x->n * x->n);
    for (uint32_t j = 0; j < x->n; j++) {
        Tangent t = tangent_begin(*b);
        Type type = *rec_type(p, found[j]);
        tangent_seed(&t, found[j], rec_broadcast(b, rec_const(b, DT_REAL, 1), &type));
        for (uint32_t i = 0; i < x->n; i++)
            a[i * x->n + j] = tangent_of(&t, value[i]);
    }
    return a;
}

/* [n, n]: the part of it that stays in place, of each state by all of them or by itself. */
static RecId *in_place(Solve *s)
{
    uint32_t n = s->x->n;
    RecId *a = pass_ids(s->b.prog->arena, n * n);
    for (uint32_t j = 0; j < n; j++) {
        Own own = own_begin(s->b, s->shifted[j]);
        for (uint32_t i = 0; i < n; i++)
            if (i == j || s->x->derivative == REC_DERIVATIVE_BLOCK)
                a[i * n + j] = own_of(&own, s->value[i]);
    }
    return a;
}

/* [n, n]: A where elements see themselves alone, or what stands for it. */
static RecId *by_element(Solve *s)
{
    return exactly(s->x) ? newton_derivative(s->x, &s->b, s->shifted, s->value) : in_place(s);
}

/* 0 where the change is. */
static RecId product(RecBuild *b, RecId a, RecId change)
{
    RecId none = zero(b), unchanged = rec_map2(b, FUN_EQ, change, none);
    return rec_map3(b, FUN_WHERE, unchanged, none, rec_map2(b, FUN_MUL, a, change));
}

static void step_by_element(Solve *s)
{
    uint32_t n = s->x->n, count = 0;
    RecId *a = by_element(s), *seq = three(s, n * n);
    for (uint32_t i = 0; i < n * n; i++)
        if (a[i] != REC_NONE)
            seq[2 * n + count++] = a[i];
    Place at;
    const RecId *arg;
    RecId recur = open_places(s, seq, 2 * n + count, &at, &arg), *d = pass_ids(s->b.prog->arena, n);
    for (uint32_t i = 0; i < n * n; i++) {
        if (a[i] != REC_NONE)
            d[i / n] = plus(&at.b, d[i / n], product(&at.b, *arg++, at.change[i % n]));
    }
    close_places(s, recur, &at, d);
}

/* ---- the same in pieces, side by side ---- */

/* At all places of state i, what there is for each element of the states; or, where they mix, for each sequence. */
static RecId at_places(Solve *s, RecId v, uint32_t i)
{
    return s->x->channels ? newton_everywhere(&s->b, v, s->state[i]) : newton_at_all(&s->b, v, rec_type(s->b.prog, s->state[i]));
}

/* Nothing changes where all has settled; else v, where that is a number. */
static RecId moving(Solve *s, RecId v, uint32_t i)
{
    RecBuild *b = &s->b;
    RecId far = rec_const(b, DT_REAL, INFINITY), finite = rec_map2(b, FUN_LT, rec_map1(b, FUN_ABS, v), far);
    RecId still = s->x->channels ? rec_map2(b, FUN_AND, finite, rec_map1(b, FUN_NOT, at_places(s, s->before, i))) : finite;
    return rec_map3(b, FUN_WHERE, still, v, zero(b));
}

/* The recurrence of the changes, c[t] = A c[t-1] + F - S, which is affine: no clamps. */
typedef struct Changes {
    RecId recur, *init;
    RecBuild in;     /* its step */
    const RecId *at; /* of the step: changes, F - S, `more` */
} Changes;

static Changes open_changes(Solve *s, const RecId *more, uint32_t nmore)
{
    Window *x = s->x;
    RecProg *p = s->b.prog;
    uint32_t n = x->n;
    Changes c = {.init = NEWN(p->arena, RecId, n + 1)};
    RecId *seq = NEWN(p->arena, RecId, n + nmore + 1), *at = NEWN(p->arena, RecId, 2 * n + nmore + 1);
    RecRegion region;
    for (uint32_t i = 0; i < n; i++) {
        Type t = *rec_type(p, x->enter[i]);
        c.init[i] = rec_zeros(&s->b, &t);
        seq[i] = moving(s, rec_map2(&s->b, FUN_SUB, s->value[i], s->state[i]), i);
    }
    memcpy(seq + n, more, nmore * sizeof *seq);
    c.recur = rec_recur_open(&s->b, c.init, n, seq, n + nmore, x->size, x->old->reverse, &region);
    rec_op(p, c.recur)->pieces = x->pieces;
    c.in = (RecBuild){p, region, s->b.at, {0}};
    c.at = memcpy(at, p->region.p[region].arg.p, (2 * n + nmore) * sizeof *at);
    return c;
}

/* d: A c[t-1], by state. What all places find. */
static RecId *close_changes(Solve *s, Changes *c, const RecId *d)
{
    RecProg *p = s->b.prog;
    Window from = *s->x;
    uint32_t n = s->x->n;
    RecId *next = NEWN(p->arena, RecId, n + 1);
    for (uint32_t i = 0; i < n; i++)
        next[i] = d[i] == REC_NONE ? c->at[n + i] : rec_map2(&c->in, FUN_ADD, c->at[n + i], d[i]);
    rec_recur_close(p, c->recur, next, n);
    for (uint32_t i = 0; i < n; i++)
        next[i] = rec_recur_export(p, c->recur, next[i]);
    from.enter = c->init;
    return window_shifted(&from, &s->b, next);
}

/* a: [n, n], A by element. */
static RecId *changes_by_element(Solve *s, const RecId *a)
{
    RecProg *p = s->b.prog;
    uint32_t n = s->x->n, count = 0;
    RecId *seq = NEWN(p->arena, RecId, n * n + 1), *d = pass_ids(p->arena, n);
    for (uint32_t i = 0; i < n * n; i++)
        if (a[i] != REC_NONE)
            seq[count++] = a[i];
    Changes c = open_changes(s, seq, count);
    const RecId *more = c.at + 2 * n;
    for (uint32_t i = 0; i < n * n; i++)
        if (a[i] != REC_NONE)
            d[i / n] = plus(&c.in, d[i / n], rec_map2(&c.in, FUN_MUL, *more++, c.at[i % n]));
    return close_changes(s, &c, d);
}

/* S', where the places find changes that A turns into d, by state. */
static void change_all(Solve *s, const RecId *d)
{
    RecBuild *b = &s->b;
    for (uint32_t i = 0; i < s->x->n; i++) {
        RecId most = s->limit[i] == REC_NONE ? REC_NONE : newton_everywhere(b, s->limit[i], s->state[i]);
        s->next[i] = clamped(b, moved(b, s->value[i], d[i]), most);
        if (s->x->channels)
            s->next[i] = rec_map3(b, FUN_WHERE, at_places(s, s->before, i), s->state[i], s->next[i]);
        s->change[i] = rec_map2(b, FUN_SUB, s->next[i], s->state[i]);
    }
}

static void step_in_pieces(Solve *s)
{
    RecBuild *b = &s->b;
    uint32_t n = s->x->n;
    RecId *a = by_element(s), *d = pass_ids(b->prog->arena, n);
    for (uint32_t i = 0; i < n * n; i++)
        if (a[i] != REC_NONE)
            a[i] = moving(s, s->scale == REC_NONE ? a[i] : rec_map2(b, FUN_MUL, a[i], at_places(s, s->scale, i / n)), i / n);
    RecId *found = changes_by_element(s, a);
    for (uint32_t i = 0; i < n * n; i++)
        if (a[i] != REC_NONE)
            d[i / n] = plus(b, d[i / n], product(b, a[i], found[i % n]));
    change_all(s, d);
}

/* ---- with all of it ---- */

void window_step(const Window *x, const RecBuild *b, const RecId *found, const RecId *seq)
{
    for (uint32_t i = 0; i < x->old->nuse; i++)
        x->w->to[x->body->arg.p[i]] = i < x->n ? found[i] : seq[i - x->n];
    rw_region(x->w, x->old->region, b->region);
}

RecId *window_tangent(const Window *x, const RecBuild *b, const RecId *found, const RecId *change)
{
    RecId *d = NEWN(b->prog->arena, RecId, x->n + 1);
    Tangent t = tangent_begin(*b);
    for (uint32_t i = 0; i < x->n; i++)
        tangent_seed(&t, found[i], change[i]);
    for (uint32_t i = 0; i < x->n; i++)
        d[i] = tangent_of(&t, x->w->to[x->body->result.p[i]]);
    return d;
}

/* The states as all places find them, then the sequences of the old step. */
static RecId *found_and_read(Solve *s, RecId *seq)
{
    memcpy(seq, s->shifted, s->x->n * sizeof *seq);
    memcpy(seq + s->x->n, s->x->seq, s->x->old->nseq * sizeof *seq);
    return seq;
}

static void step_by_place(Solve *s)
{
    Window *x = s->x;
    uint32_t n = x->n, nseq = x->old->nseq;
    RecId *seq = three(s, nseq);
    found_and_read(s, seq + 2 * n);
    Place at;
    const RecId *arg;
    RecId recur = open_places(s, seq, 3 * n + nseq, &at, &arg);
    window_step(x, &at.b, arg, arg + n);
    close_places(s, recur, &at, window_tangent(x, &at.b, arg, at.change));
}

/* The steps of a piece are composed as matrices. */
static void step_in_pieces_of_all(Solve *s)
{
    Window *x = s->x;
    RecProg *p = s->b.prog;
    uint32_t n = x->n, nseq = x->old->nseq;
    RecId *seq = found_and_read(s, NEWN(p->arena, RecId, n + nseq + 1)), *d;
    Changes c = open_changes(s, seq, n + nseq);
    window_step(x, &c.in, c.at + 2 * n, c.at + 3 * n);
    d = window_tangent(x, &c.in, c.at + 2 * n, c.at);
    for (uint32_t i = 0; i < n; i++)
        d[i] = scaled(s, &c.in, d[i]);
    RecId *found = close_changes(s, &c, d);
    Tangent t = tangent_begin(s->b);
    for (uint32_t i = 0; i < n; i++)
        tangent_seed(&t, s->shifted[i], found[i]);
    for (uint32_t i = 0; i < n; i++)
        d[i] = scaled(s, &s->b, tangent_of(&t, s->value[i]));
    change_all(s, d);
}

/* ---- the iteration ---- */

/* Over all places of each element of the states; where elements mix, over all of each sequence. */
static RecId in_each(Solve *s, RecReduce red, RecId v)
{
    Type t = *rec_type(s->b.prog, v);
    RecUse u = {.v = v, .axis = {(uint8_t)(t.rank - 1)}};
    Dim space[MAXIT];
    if (!s->x->channels)
        return newton_by_sequence(&s->b, red, v);
    for (uint8_t i = 1; i < t.rank; i++)
        u.axis[i] = (uint8_t)(i - 1);
    memcpy(space, t.dim + 1, (size_t)(t.rank - 1) * sizeof *space);
    space[t.rank - 1] = t.dim[0];
    return rec_reduce(&s->b, red, u, (uint8_t)(t.rank - 1), t.rank, space);
}

/* A change, relative to the states, that is small enough: where errors are squared the next iteration would make it exact; else it is
 * well below the tolerance, or, where only bits count, none. */
static double enough(const Window *x)
{
    if (!x->error)
        return 0;
    return exactly(x) && x->damping == 0 ? sqrt(x->unit) / 16 : x->tolerance / 64;
}

/* Who has settled: is given up, or has once changed by little enough. That is so whatever others do, and what has settled stays as
 * it is. */
static RecId settled(Solve *s)
{
    Window *x = s->x;
    RecBuild *b = &s->b;
    double part = enough(x);
    RecId small = REC_NONE;
    for (uint32_t i = 0; i < x->n; i++) {
        RecId most = in_each(s, RED_MAX, rec_map1(b, FUN_ABS, s->change[i]));
        RecId size = in_each(s, RED_MAX, rec_map1(b, FUN_ABS, s->next[i]));
        RecId is = rec_map2(b, FUN_LE, most, rec_map2(b, FUN_MUL, size, rec_const(b, DT_REAL, part)));
        is = rec_map2(b, FUN_AND, is, rec_map2(b, FUN_LT, most, rec_const(b, DT_REAL, INFINITY)));
        small = small == REC_NONE ? is : rec_map2(b, FUN_AND, small, is);
    }
    return rec_map2(b, FUN_OR, s->before, small);
}

static RecId all_of(RecBuild *b, RecId row)
{
    Dim all = dim_of(b->prog->dims, b->prog->batch);
    return rec_reduce(b, RED_MIN, (RecUse){.v = row, .axis = {0}}, 0, 1, &all);
}

static RecId by_sequence(Solve *s, RecId settled)
{
    return s->x->channels ? newton_by_sequence(&s->b, RED_MIN, settled) : settled;
}

static RecId counted(RecBuild *b, RecId settled, RecId count, RecId more)
{
    return rec_map3(b, FUN_WHERE, settled, count, rec_map2(b, FUN_ADD, count, more));
}

/* ---- what is told of guesses that leave the box ---- */

static bool has_box(const Solve *s)
{
    for (uint32_t i = 0; i < s->x->n; i++)
        if (s->limit[i] != REC_NONE)
            return true;
    return false;
}

/* How many elements of the states, over all places of each sequence, are at the border of their box, if it has one. */
static RecId at_border(Solve *s)
{
    RecBuild *b = &s->b;
    RecId sum = REC_NONE, one = rec_const(b, DT_INT, 1), none = rec_const(b, DT_INT, 0);
    for (uint32_t i = 0; i < s->x->n; i++) {
        if (s->limit[i] == REC_NONE)
            continue;
        RecId limit = newton_everywhere(b, s->limit[i], s->state[i]), is = rec_map2(b, FUN_LE, limit, rec_map1(b, FUN_ABS, s->next[i]));
        is = rec_map2(b, FUN_AND, is, rec_map2(b, FUN_LT, zero(b), limit));
        is = rec_map2(b, FUN_AND, is, rec_map2(b, FUN_LT, limit, rec_const(b, DT_REAL, INFINITY)));
        sum = plus(b, sum, newton_by_sequence(b, RED_SUM, rec_map3(b, FUN_WHERE, is, one, none)));
    }
    return sum;
}

/* ---- damping ---- */

/* The largest change, and the scale of A in the next iteration. */
static void damp(Solve *s, RecId *scale, RecId *last)
{
    RecBuild *b = &s->b;
    RecId most = REC_NONE, one = rec_const(b, DT_REAL, 1), less = rec_const(b, DT_REAL, 1 - s->x->damping);
    for (uint32_t i = 0; i < s->x->n; i++) {
        RecId own = in_each(s, RED_MAX, rec_map1(b, FUN_ABS, s->change[i]));
        most = most == REC_NONE ? own : rec_map2(b, FUN_MAX, most, own);
    }
    RecId down = rec_map2(b, FUN_MUL, s->scale, less), up = rec_map2(b, FUN_MIN, one, rec_map2(b, FUN_DIV, s->scale, less));
    *scale = rec_map3(b, FUN_WHERE, rec_map2(b, FUN_LT, most, s->last), up, down);
    *last = most;
}

static void open_damping(Window *x, RecId done, RecId *init)
{
    Type t = *rec_type(x->b->prog, done);
    t.dt = DT_REAL;
    init[0] = rec_broadcast(x->b, rec_const(x->b, DT_REAL, 1), &t);
    init[1] = rec_broadcast(x->b, rec_const(x->b, DT_REAL, INFINITY), &t);
}

/* ---- the loop ---- */

/* Behind the states: who has settled, after how many rounds, how many guesses were held in the box; then what damping needs; then
 * whether all have settled. */
enum { SETTLED, ROUNDS, CLAMPS, SCALE, LAST };

static uint32_t carried(const Window *x)
{
    return x->n + (x->damping > 0 ? LAST + 1 : SCALE);
}

/* Opens the loop: its states are those of all places, and the above. */
static RecId open_rounds(Window *x, Solve *s)
{
    RecProg *p = x->w->p;
    uint32_t n = x->n;
    RecId *init = NEWN(p->arena, RecId, carried(x) + 1), *state = NEWN(p->arena, RecId, n + 1);
    Type count = {.dt = DT_INT, .rank = 1, .dim = {dim_of(p->dims, p->batch)}};
    RecRegion region;
    memcpy(init, x->state, n * sizeof *init);
    Type one = *rec_type(p, x->enter[0]);
    init[n + SETTLED] = x->channels ? newton_at_all(x->b, x->bad, &one) : x->bad;
    init[n + ROUNDS] = init[n + CLAMPS] = rec_broadcast(x->b, rec_const(x->b, DT_INT, 0), &count);
    init[carried(x)] = all_of(x->b, x->bad);
    if (x->damping > 0)
        open_damping(x, init[n + SETTLED], init + n + SCALE);
    RecId recur = rec_recur_open(x->b, init, carried(x) + 1, NULL, 0, dim_const(p->dims, x->rounds_max), false, &region);
    rec_op(p, recur)->until = true;
    *s = (Solve){.x = x, .b = {p, region, x->b->at, {0}}, .state = state};
    memcpy(state, p->region.p[region].arg.p, n * sizeof *state);
    s->next = NEWN(p->arena, RecId, carried(x) + 1);
    s->change = NEWN(p->arena, RecId, n + 1);
    s->value = NEWN(p->arena, RecId, n + 1);
    s->limit = NEWN(p->arena, RecId, n + 1);
    for (uint32_t i = 0; i < n; i++)
        s->limit[i] = limit(x, i);
    return recur;
}

void window_solve(Window *x)
{
    Solve s;
    RecProg *p = x->w->p;
    uint32_t n = x->n;
    RecId recur = open_rounds(x, &s);
    const RecId *arg = p->region.p[s.b.region].arg.p;
    RecId rounds = arg[n + ROUNDS], clamps = arg[n + CLAMPS];
    s.before = arg[n + SETTLED];
    s.scale = x->damping > 0 ? arg[n + SCALE] : REC_NONE;
    s.last = x->damping > 0 ? arg[n + LAST] : REC_NONE;
    s.shifted = window_shifted(x, &s.b, s.state);
    Chunk c = window_values(x, &s.b, s.shifted);
    for (uint32_t i = 0; i < n; i++)
        s.value[i] = lift_placed(&c.lift, x->body->result.p[i]);
    bool by_elements = x->channels || !exactly(x);
    if (x->pieces)
        (by_elements ? step_in_pieces : step_in_pieces_of_all)(&s);
    else
        (by_elements ? step_by_element : step_by_place)(&s);
    RecId before = by_sequence(&s, s.before);
    s.next[n + SETTLED] = settled(&s);
    s.next[n + ROUNDS] = counted(&s.b, before, rounds, rec_const(&s.b, DT_INT, 1));
    s.next[n + CLAMPS] = has_box(&s) ? counted(&s.b, before, clamps, at_border(&s)) : clamps;
    if (x->damping > 0)
        damp(&s, &s.next[n + SCALE], &s.next[n + LAST]);
    s.next[carried(x)] = all_of(&s.b, by_sequence(&s, s.next[n + SETTLED]));
    rec_recur_close(p, recur, s.next, carried(x) + 1);
    for (uint32_t i = 0; i < n; i++)
        x->state[i] = rec_proj(x->b, recur, i);
    x->rounds = rec_proj(x->b, recur, n + ROUNDS);
    x->clamps = has_box(&s) ? rec_proj(x->b, recur, n + CLAMPS) : REC_NONE;
}
