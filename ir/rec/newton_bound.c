/* How far the states of a window can be from those of the plain recurrence in the same precision. With the residual r of the
 * step, its derivative A at the states, and u what rounding the step can do,
 *
 *     e_t = (|A_t| + c_t) e_{t-1} + |r_t| + u_t
 *
 * bounds the error as long as it stays below a radius, for which c bounds how much A can differ from itself (mean value theorem;
 * c and u by ball.c). Where nothing that a state is made of was inexact nothing is added: then the bits are the same. The radius is the
 * tolerance times the largest state of the sequence in the window.
 *
 * A jump has no derivative. So no comparison, sign or rounding to a whole number may come out otherwise, and no divisor be 0, in what
 * is chosen, for any states that are as far off as e says: place by place, as e holds up to there. -0 counts as 0 in all of this: only division
 * tells them apart.
 *
 * Where elements mix, |A| and c are matrices, by lipschitz.c; that bound grows by sums of absolute values that may cancel in truth. In
 * pieces, whose steps are composed, it is as deep as the solve itself. Place by place it would cost as much as the plain steps do, and
 * shows less than these: there only exact bits count. */
#include "ir/rec/lipschitz.h"
#include "ir/rec/newton.h"

#include <math.h>

typedef struct Bound {
    const Window *x;
    RecBuild *b;
    RecId *shifted, *value, *radius; /* by state; radius: of all places, and of what they find */
    RecId *near;                     /* by state: the radius, by sequence */
    RecId *slope;                    /* [n, n]: |A| + c */
    RecId *residual, *rounding;      /* by state */
    bool *reads;                     /* [n, n]: what the one state becomes is made of the other */
    RecId *found;                    /* by state, from walk, in pieces: the bound that each place began with */
} Bound;

static RecId size(RecBuild *b, RecId v)
{
    return rec_map1(b, FUN_ABS, v);
}

/* What is left of the equations is 0 where the states are those of plain steps. */
static void take_values(Bound *k, Window *own)
{
    const Window *x = k->x;
    Chunk c = window_values(x, k->b, k->shifted);
    for (uint32_t i = 0; i < x->n; i++) {
        k->value[i] = lift_placed(&c.lift, x->body->result.p[i]);
        k->residual[i] = x->stepped ? rec_const(k->b, DT_REAL, 0) : size(k->b, rec_map2(k->b, FUN_SUB, k->value[i], x->state[i]));
        RecId row = x->stepped ? REC_NONE : newton_by_sequence(k->b, RED_MAX, k->residual[i]);
        own->left = i && row != REC_NONE ? rec_map2(k->b, FUN_MAX, own->left, row) : row;
    }
}

/* 0 where that has no bound: then only what is exact is near enough. */
static void take_radius(Bound *k)
{
    const Window *x = k->x;
    RecId part = rec_const(k->b, DT_REAL, x->tolerance), far = rec_const(k->b, DT_REAL, INFINITY), zero = rec_const(k->b, DT_REAL, 0);
    for (uint32_t i = 0; i < x->n; i++) {
        Type t = *rec_type(k->b->prog, x->state[i]);
        RecId most = newton_by_sequence(k->b, RED_MAX, size(k->b, x->state[i]));
        k->near[i] = rec_map3(k->b, FUN_WHERE, rec_map2(k->b, FUN_LT, most, far), rec_map2(k->b, FUN_MUL, most, part), zero);
        k->radius[i] = newton_at_all(k->b, k->near[i], &t);
    }
}

/* In pieces: that nothing is rounded apart where nothing is off cannot be said by what is affine. */
static void round_always(Bound *k, uint32_t i)
{
    if (k->rounding[i] != REC_NONE)
        k->residual[i] = rec_map2(k->b, FUN_ADD, k->residual[i], k->rounding[i]);
    k->rounding[i] = REC_NONE;
}

/* False if there is no bound. */
static bool take_rounding(Bound *k)
{
    const Window *x = k->x;
    Ball ball = ball_begin(*k->b, x->unit);
    for (uint32_t i = 0; i < x->n; i++)
        ball_seed(&ball, k->shifted[i], rec_const(k->b, DT_REAL, 0));
    for (uint32_t i = 0; i < x->n; i++)
        k->rounding[i] = ball_of(&ball, k->value[i]);
    for (uint32_t i = 0; x->pieces && i < x->n; i++)
        round_always(k, i);
    return !ball.boundless;
}

static void take_reads(Bound *k)
{
    const RecProg *p = k->b->prog;
    uint32_t n = k->x->n;
    for (uint32_t j = 0; j < n; j++) {
        bool *is = NEWN(p->arena, bool, p->op.n + 1);
        is[k->shifted[j]] = true;
        pass_made_of(p, k->b->region, is);
        for (uint32_t i = 0; i < n; i++)
            k->reads[i * n + j] = is[k->value[i]];
    }
}

/* REC_NONE: never. */
static RecId either(RecBuild *b, RecId is, RecId or)
{
    return is == REC_NONE ? or : or == REC_NONE ? is : rec_map2(b, FUN_OR, is, or);
}

static RecId summed(RecBuild *b, RecId sum, RecId v)
{
    return sum == REC_NONE ? v : rec_map2(b, FUN_ADD, sum, v);
}

/* Of the derivatives `a`, each |a|: over all places and elements of a sequence, the largest sum of those of one new element. */
static RecId steepest(const Bound *k, const RecId *a)
{
    uint32_t n = k->x->n;
    RecId most = REC_NONE;
    for (uint32_t i = 0; i < n; i++) {
        RecId sum = REC_NONE;
        for (uint32_t j = 0; j < n; j++)
            if (a[i * n + j] != REC_NONE)
                sum = summed(k->b, sum, size(k->b, newton_everywhere(k->b, a[i * n + j], k->value[i])));
        if (sum == REC_NONE)
            sum = newton_everywhere(k->b, rec_const(k->b, DT_REAL, 0), k->value[i]);
        RecId row = newton_by_sequence(k->b, RED_MAX, sum);
        most = most == REC_NONE ? row : rec_map2(k->b, FUN_MAX, most, row);
    }
    return most;
}

static bool take_slope(Bound *k, Window *steep)
{
    const Window *x = k->x;
    RecId *a = newton_derivative(x, k->b, k->shifted, k->value);
    steep->steep = steepest(k, a);
    Ball ball = ball_begin(*k->b, x->unit);
    for (uint32_t i = 0; i < x->n; i++)
        ball_seed(&ball, k->shifted[i], k->radius[i]);
    for (uint32_t i = 0; i < x->n * x->n; i++) {
        RecId off = a[i] == REC_NONE ? REC_NONE : ball_of(&ball, a[i]);
        k->slope[i] = a[i] == REC_NONE ? REC_NONE : size(k->b, a[i]);
        if (off != REC_NONE)
            k->slope[i] = rec_map2(k->b, FUN_ADD, k->slope[i], off);
    }
    return !ball.boundless;
}

/* ---- the recurrence of the bound ---- */

typedef struct Walk {
    RecId *seq;
    uint32_t n;
} Walk;

/* A sequence operand for state i; gives its number. What is the same everywhere is so at every place. */
static uint32_t take(const Bound *k, Walk *w, RecId v, uint32_t i)
{
    w->seq[w->n] = newton_everywhere(k->b, v, k->value[i]);
    return w->n++;
}

/* 0 where nothing is off; 0 times anything is 0, but in pieces, where it must be affine: there an infinite slope has no bound. */
static RecId grown(const Bound *k, RecBuild *b, RecId slope, RecId error)
{
    if (k->x->pieces)
        return rec_map2(b, FUN_MUL, slope, error);
    RecId zero = rec_const(b, DT_REAL, 0), none = rec_map2(b, FUN_EQ, error, zero);
    return rec_map3(b, FUN_WHERE, none, zero, rec_map2(b, FUN_MUL, slope, error));
}

static RecId one_error(const Bound *k, RecBuild *b, const RecId *arg, uint32_t i, const uint32_t *slope, const uint32_t *more)
{
    uint32_t n = k->x->n;
    RecId sum = arg[n + more[2 * i]], zero = rec_const(b, DT_REAL, 0), off = rec_const(b, DT_BOOL, 0);
    for (uint32_t j = 0; j < n; j++)
        if (k->slope[i * n + j] != REC_NONE)
            sum = rec_map2(b, FUN_ADD, sum, grown(k, b, arg[n + slope[i * n + j]], arg[j]));
    if (k->rounding[i] == REC_NONE)
        return sum;
    for (uint32_t j = 0; j < n; j++)
        if (k->reads[i * n + j])
            off = rec_map2(b, FUN_OR, off, rec_map2(b, FUN_NE, arg[j], zero));
    return rec_map3(b, FUN_WHERE, off, rec_map2(b, FUN_ADD, sum, arg[n + more[2 * i + 1]]), sum);
}

/* The bound at all places, by state; `error` goes on to where the window ends. */
static RecId *walk(Bound *k, RecId *error)
{
    const Window *x = k->x;
    RecProg *p = k->b->prog;
    uint32_t n = x->n, *slope = NEWN(p->arena, uint32_t, n * n + 1), *more = NEWN(p->arena, uint32_t, 2 * n + 1);
    Walk w = {.seq = NEWN(p->arena, RecId, n * n + 2 * n + 1)};
    RecId *all = NEWN(p->arena, RecId, n + 1), *next = NEWN(p->arena, RecId, n + 1);
    RecRegion step;
    for (uint32_t i = 0; i < n * n; i++)
        slope[i] = k->slope[i] == REC_NONE ? 0 : take(k, &w, k->slope[i], i / n);
    for (uint32_t i = 0; i < n; i++) {
        more[2 * i] = take(k, &w, k->residual[i], i);
        more[2 * i + 1] = k->rounding[i] == REC_NONE ? 0 : take(k, &w, k->rounding[i], i);
    }
    RecId recur = rec_recur_open(k->b, error, n, w.seq, w.n, x->size, x->old->reverse, &step);
    rec_op(p, recur)->pieces = x->pieces;
    RecBuild b = {p, step, k->b->at, {0}};
    RecId *arg = NEWN(p->arena, RecId, n + w.n + 1);
    memcpy(arg, p->region.p[step].arg.p, (n + w.n) * sizeof *arg);
    for (uint32_t i = 0; i < n; i++)
        next[i] = one_error(k, &b, arg, i, slope, more);
    rec_recur_close(p, recur, next, n);
    for (uint32_t i = 0; i < n; i++) {
        error[i] = rec_proj(k->b, recur, i);
        all[i] = rec_recur_export(p, recur, next[i]);
        k->found[i] = x->pieces ? rec_recur_export(p, recur, arg[i]) : REC_NONE;
    }
    return all;
}

/* ---- the same where elements mix ---- */

/* What the step adds to the bound, and what it does with the one before, are made at each place. */
static bool steps_mixed(const Bound *k, RecBuild *b, const RecId *arg, RecId *next)
{
    const Window *x = k->x;
    uint32_t n = x->n;
    const RecId *found = arg + 2 * n;
    window_step(x, b, found, found + n);
    RecId *d = window_tangent(x, b, found, arg);
    Ball ball = ball_begin(*b, x->unit);
    for (uint32_t i = 0; i < n; i++)
        ball_seed(&ball, found[i], newton_at_all(b, k->near[i], rec_type(b->prog, found[i])));
    Lipschitz steep = lipschitz_begin(*b, &ball, arg, n);
    for (uint32_t i = 0; i < n; i++) {
        RecId grown = d[i] == REC_NONE ? REC_NONE : lipschitz_of(&steep, d[i]);
        next[i] = summed(b, grown, arg[n + i]);
    }
    return !ball.boundless && !steep.none;
}

/* As walk; NULL if there is no bound. */
static RecId *walk_mixed(Bound *k, RecId *error)
{
    const Window *x = k->x;
    RecProg *p = k->b->prog;
    uint32_t n = x->n, nseq = 2 * n + x->old->nseq;
    RecId *seq = NEWN(p->arena, RecId, nseq), *next = NEWN(p->arena, RecId, n), *arg = NEWN(p->arena, RecId, n + nseq);
    RecRegion step;
    for (uint32_t i = 0; i < n; i++)
        seq[i] = newton_everywhere(k->b, k->residual[i], k->value[i]);
    memcpy(seq + n, k->shifted, n * sizeof *seq);
    memcpy(seq + 2 * n, x->seq, x->old->nseq * sizeof *seq);
    RecId recur = rec_recur_open(k->b, error, n, seq, nseq, x->size, x->old->reverse, &step);
    rec_op(p, recur)->pieces = x->pieces;
    RecBuild b = {p, step, k->b->at, {0}};
    memcpy(arg, p->region.p[step].arg.p, (n + nseq) * sizeof *arg);
    bool bound = steps_mixed(k, &b, arg, next);
    rec_recur_close(p, recur, bound ? next : arg, n);
    for (uint32_t i = 0; i < n && bound; i++) {
        error[i] = rec_proj(k->b, recur, i);
        k->found[i] = rec_recur_export(p, recur, arg[i]);
        next[i] = rec_recur_export(p, recur, next[i]);
    }
    return bound ? next : NULL;
}

/* ---- pieces ---- */

/* A scan may lose what goes through a piece: slopes whose product is 0 in this precision, though what comes behind brings it back. So a
 * piece must begin with what the one before it ended with, but for rounding: a part of 2^-14 less, at most. All bounds are larger by
 * what that comes to in all pieces. [B]: where it does not. */
static RecId pieces_part(Bound *k, RecId *begin, RecId *all, RecId *end)
{
    static const double part = 0x1p-14;
    RecBuild *b = k->b;
    Window found = *k->x;
    RecId met = REC_NONE, more = rec_const(b, DT_REAL, 1 + part), most = rec_const(b, DT_REAL, pow(1 + part, k->x->pieces));
    found.enter = begin;
    RecId *before = window_shifted(&found, b, all);
    for (uint32_t i = 0; i < k->x->n; i++) {
        RecId row = newton_by_sequence(b, RED_MIN, rec_map2(b, FUN_LE, before[i], rec_map2(b, FUN_MUL, k->found[i], more)));
        met = i ? rec_map2(b, FUN_AND, met, row) : row;
        all[i] = rec_map2(b, FUN_MUL, all[i], most);
        end[i] = window_leaving(k->x, b, all[i]);
    }
    return rec_map1(b, FUN_NOT, met);
}

/* ---- jumps ---- */

/* Sequences where the step may jump somewhere inside of the error, which is `begin` where the window begins and `all` behind each
 * place; REC_NONE: it has no jumps. A little more than the error, for the rounding of the bound itself. */
static RecId jumps(Bound *k, RecId *begin, const RecId *all)
{
    Window found = *k->x;
    RecId any = REC_NONE, more = rec_const(k->b, DT_REAL, 1.125);
    found.enter = begin;
    RecId *error = window_shifted(&found, k->b, all);
    for (uint32_t i = 0; i < k->x->n; i++)
        error[i] = rec_map2(k->b, FUN_MUL, error[i], more);
    Ball ball = ball_begin(*k->b, k->x->unit);
    ball.same = true;
    for (uint32_t i = 0; i < k->x->n; i++)
        ball_seed(&ball, k->shifted[i], error[i]);
    for (uint32_t i = 0; i < k->x->n; i++) {
        RecId jump = ball_of(&ball, k->value[i]) == REC_NONE ? REC_NONE : ball.jump[k->value[i]];
        RecId row = jump == REC_NONE ? REC_NONE : newton_by_sequence(k->b, RED_MAX, jump);
        any = either(k->b, any, row);
    }
    return any;
}

/* ---- both ways ---- */

static RecId not_all(RecBuild *b, RecId ok, RecId bad)
{
    return rec_map2(b, FUN_OR, bad, rec_map1(b, FUN_NOT, newton_by_sequence(b, RED_MIN, ok)));
}

/* The greatest of error / radius, as a part of the largest state. */
static RecId relative(Bound *k, RecId error, uint32_t i)
{
    RecId zero = rec_const(k->b, DT_REAL, 0), none = rec_map2(k->b, FUN_EQ, error, zero);
    RecId part = rec_map3(k->b, FUN_WHERE, none, zero, rec_map2(k->b, FUN_DIV, error, k->radius[i]));
    RecId most = newton_by_sequence(k->b, RED_MAX, part);
    return rec_map2(k->b, FUN_MUL, most, rec_const(k->b, DT_REAL, k->x->tolerance));
}

/* Not at or above the radius: a little below, for the rounding of the bound itself. */
static RecId is_near(Bound *k, RecId error, RecId radius)
{
    return rec_map2(k->b, FUN_LE, error, rec_map2(k->b, FUN_MUL, radius, rec_const(k->b, DT_REAL, 0.9)));
}

/* What the window finds, too: its first place looks as far around that for the slope as all others do. False if there is no bound. */
static bool within_radius(Bound *k, Window *x)
{
    RecId *begin = NEWN(x->w->p->arena, RecId, x->n + 1);
    memcpy(begin, x->error, x->n * sizeof *begin);
    if (x->channels && !take_slope(k, x))
        return false;
    RecId *all = (x->channels ? walk : walk_mixed)(k, x->error);
    if (!all)
        return false;
    RecId lost = x->pieces ? pieces_part(k, begin, all, x->error) : REC_NONE;
    lost = either(k->b, lost, jumps(k, begin, all));
    for (uint32_t i = 0; i < x->n; i++) {
        RecId off = relative(k, all[i], i);
        x->bad = not_all(k->b, is_near(k, begin[i], newton_at_all(k->b, k->near[i], rec_type(k->b->prog, begin[i]))), x->bad);
        x->bad = not_all(k->b, is_near(k, all[i], k->radius[i]), x->bad);
        x->off = i ? rec_map2(k->b, FUN_MAX, x->off, off) : off;
    }
    if (lost == REC_NONE)
        return true;
    x->bad = rec_map2(k->b, FUN_OR, x->bad, lost);
    x->off = rec_map3(k->b, FUN_WHERE, lost, rec_const(k->b, DT_REAL, INFINITY), x->off);
    return true;
}

/* Equal, and of the same sign where they are 0, which shows in their reciprocals. */
static RecId same_bits(RecBuild *b, RecId v, RecId w)
{
    RecId one = rec_const(b, DT_REAL, 1), sign = rec_map2(b, FUN_EQ, rec_map2(b, FUN_DIV, one, v), rec_map2(b, FUN_DIV, one, w));
    return rec_map2(b, FUN_AND, rec_map2(b, FUN_EQ, v, w), sign);
}

static void to_the_bit(Bound *k, Window *x)
{
    for (uint32_t i = 0; i < x->n; i++)
        x->bad = not_all(k->b, same_bits(k->b, k->value[i], x->state[i]), x->bad);
    RecId no = rec_const(k->b, DT_REAL, 0), any = rec_const(k->b, DT_REAL, INFINITY);
    x->off = rec_map3(k->b, FUN_WHERE, x->bad, any, no);
}

void window_check(Window *x)
{
    Arena *a = x->w->p->arena;
    uint32_t n = x->n + 1;
    Bound k = {.x = x, .b = x->b, .value = NEWN(a, RecId, n), .radius = NEWN(a, RecId, n)};
    k.near = NEWN(a, RecId, n);
    k.found = NEWN(a, RecId, n);
    k.slope = NEWN(a, RecId, n * n);
    k.reads = NEWN(a, bool, n * n);
    k.residual = NEWN(a, RecId, n);
    k.rounding = NEWN(a, RecId, n);
    k.shifted = window_shifted(x, x->b, x->state);
    x->steep = REC_NONE;
    take_values(&k, x);
    if (x->error) {
        take_radius(&k);
        take_reads(&k);
    }
    bool bound = x->error && take_rounding(&k) && within_radius(&k, x);
    if (!bound && !x->stepped)
        to_the_bit(&k, x);
}
