/* The part of a step's derivative that stays in place is what differences say of each new element and the old one at its own place. */
#include "tests/unit/forms.h"

#include <math.h>

#include "ir/rec/own.h"

typedef struct Step {
    Forms t;
    RecProg *p;
    RecId recur;
    uint32_t n;      /* states */
    RecId *own;      /* [n, n]: per-step values; REC_NONE: nothing is known */
    RecArray *arg;
    uint32_t *start; /* by state: its argument */
    int64_t *dim;
} Step;

static const RecRegionInfo *body(const Step *s)
{
    return &s->p->region.p[rec_op(s->p, s->recur)->region];
}

/* A place of one sequence, with everything drawn within `scale`. */
static void draw(Step *s, Arena *a, double scale)
{
    Frame *f = forms_frame(&s->t, a, 1, 1);
    s->dim = f->dim;
    s->arg = NEWN(a, RecArray, s->p->arg.n + 1);
    for (uint32_t i = 0, k = 0; i < s->p->arg.n; i++) {
        if (s->p->arg.p[i].role == ROLE_COTANGENT || s->p->arg.p[i].role == ROLE_RESET || s->p->arg.p[i].role == ROLE_SEED)
            continue;
        int64_t n = frame_count(f, &s->p->arg.p[i].type, false);
        s->arg[i].data = NEWN(a, double, n + 1);
        for (int64_t e = 0; e < n; e++)
            s->arg[i].data[e] = s->p->arg.p[i].role == ROLE_LENGTH ? 1 : scale * forms_uniform(&s->t);
        if (s->p->arg.p[i].role == ROLE_START)
            s->start[k++] = i;
    }
}

static void open_step(Step *s, Arena *a, const char *file, const char *entry)
{
    forms_open(&s->t, file, entry);
    s->p = driver_elab(&s->t.d, s->t.unit, s->t.entry);
    while (rec_op(s->p, s->recur)->kind != REC_RECUR)
        s->recur++;
    s->n = rec_op(s->p, s->recur)->nstate;
    s->own = NEWN(a, RecId, s->n * s->n + 1);
    s->start = NEWN(a, uint32_t, s->p->arg.n + 1);
    for (uint32_t j = 0; j < s->n; j++) {
        Own own = own_begin((RecBuild){.prog = s->p, .region = rec_op(s->p, s->recur)->region}, body(s)->arg.p[j]);
        for (uint32_t i = 0; i < s->n; i++)
            s->own[i * s->n + j] = own_of(&own, body(s)->result.p[i]);
    }
    for (uint32_t i = 0; i < s->n * s->n; i++)
        if (s->own[i] != REC_NONE)
            s->own[i] = rec_recur_export(s->p, s->recur, s->own[i]);
}

static RecEval *run(const Step *s, Arena *a)
{
    Str error = STR("");
    RecEval *e = rec_eval_new(a, s->p, s->dim, s->arg, 0);
    cr_assert(rec_eval_run(e, REC_FORWARD, &error), "%s", str_c(a, error));
    return e;
}

static RecId final_state(const Step *s, uint32_t i)
{
    RecId v = 0;
    while (!(rec_op(s->p, v)->kind == REC_PROJ && rec_op(s->p, v)->use[0].v == s->recur && rec_op(s->p, v)->index == i))
        v++;
    return v;
}

/* How the new element of state i changes with the old one of state j at the same place. */
static double by_differences(const Step *s, Arena *a, uint32_t i, uint32_t j, int64_t at)
{
    double *x = &s->arg[s->start[j]].data[at], was = *x, h = 1e-6, out[2];
    for (int k = 0; k < 2; k++) {
        *x = k ? was - h : was + h;
        RecEval *e = run(s, a);
        out[k] = rec_eval_value(e, final_state(s, i))[at];
        rec_eval_free(e);
    }
    *x = was;
    return (out[0] - out[1]) / (2 * h);
}

/* `known`: pairs of states of which something must be known; nothing of it, 0, if it leaves its place. */
static void check_own(const char *file, const char *entry, uint32_t known, bool leaves)
{
    Step s = {.recur = 0};
    Arena *a = arena_new();
    open_step(&s, a, file, entry);
    draw(&s, a, 0.8);
    RecEval *e = run(&s, a);
    uint32_t got = 0;
    for (uint32_t k = 0; k < s.n * s.n; k++) {
        if (s.own[k] == REC_NONE)
            continue;
        Frame f = {.prog = s.p, .dim = s.dim};
        int64_t n = frame_count(&f, rec_type(s.p, rec_op(s.p, s.recur)->use[k % s.n].v), false);
        for (int64_t at = 0; at < n; at++) {
            double own = rec_eval_value(e, s.own[k])[at], want = leaves ? 0 : by_differences(&s, a, k / s.n, k % s.n, at);
            cr_expect_lt(fabs(own - want), 1e-8, "%s: state %u by state %u, element %d: %g, not %g", entry, k / s.n, k % s.n, (int)at, own, want);
        }
        got++;
    }
    cr_expect_eq(got, known, "%s: %u parts", entry, got);
    rec_eval_free(e);
    arena_free(a);
    forms_close(&s.t);
}

static void agree(const char *file, const char *entry, uint32_t known)
{
    check_own(file, entry, known, false);
}

Test(own, products_and_gates)
{
    agree("stdlib/elman.rnn", "elman", 1);
    agree("stdlib/gru.rnn", "gru", 1);
    agree("stdlib/lstm.rnn", "lstm", 4);
    agree("tests/cells/contracting.rnn", "mixing_both_ways", 1);
}

Test(own, elements_alone)
{
    agree("stdlib/pararnn.rnn", "para_gru", 1);
    agree("stdlib/pararnn.rnn", "para_lstm", 4);
}

Test(own, heads_and_planes)
{
    agree("stdlib/lstm_heads.rnn", "lstm_heads", 4);
    agree("tests/cells/contracting.rnn", "planes", 1);
}

/* Through a layer of another size, or one sum for all: nothing that stays in place is seen. */
Test(own, what_leaves_its_place_is_left_out)
{
    check_own("tests/cells/contracting.rnn", "two_products", 1, true);
    check_own("tests/cells/contracting.rnn", "one_sum", 1, true);
}
