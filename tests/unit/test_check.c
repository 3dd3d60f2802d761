/* The free tests of `rnnc test` must fail when something is wrong: a derivative, a pass, a kernel, a tolerance. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "frontend/check.h"

static const char text[] = "cell probe[D, H] over t (x: real[D]) -> h {\n"
                           "  param W: real[H, D], U: real[H, H], b: real[H]\n"
                           "  state h: real[H]\n"
                           "  h = tanh(W @ x + U @ h[t-1] + b) * sigmoid(W @ x)\n"
                           "}\n";

typedef struct Bench {
    Options opt;
    Driver d;
    Checker c;
    Tally tally;
    Progress progress;
} Bench;

static void open_bench(Bench *t)
{
    Arena *a = arena_new();
    char path[] = "/tmp/rnnc-check-XXXXXX.rnn";
    int fd = mkstemps(path, 4);
    cr_assert(fd >= 0 && write(fd, text, sizeof text - 1) == (ssize_t)(sizeof text - 1));
    close(fd);
    *t = (Bench){.opt = {.verb = VERB_TEST}};
    Sources *sources = sources_new(a);
    t->d = (Driver){.arena = a, .opt = &t->opt, .sources = sources, .diags = diags_new(a, sources)};
    Unit *u = driver_load(&t->d, str_copy(a, str_of(path)));
    unlink(path);
    cr_assert(u != NULL);
    t->c = (Checker){.d = &t->d, .arena = a, .unit = u, .name = STR("probe"), .random = 1, .tally = &t->tally, .progress = &t->progress};
}

static void close_bench(Bench *t)
{
    checker_free(&t->c);
    arena_free(t->d.arena);
}

static void all_free_tests(Bench *t)
{
    check_compiled(&t->c);
    check_gradients(&t->c);
    check_streaming(&t->c);
    check_beyond(&t->c);
    check_alone(&t->c);
}

/* Replaces the n-th elementwise function `from` of a function (steps of recurrences included) by another one. */
static bool spoil(RecProg *p, RecFn fn, Fun from, Fun to)
{
    for (RecId v = 0; v < p->op.n; v++)
        if (p->op.p[v].kind == REC_MAP && p->op.p[v].fun == from && rec_inside(p, v, (RecRegion)fn)) {
            p->op.p[v].fun = to;
            return true;
        }
    return false;
}

Test(check, right_passes)
{
    Bench t;
    BindList none = {0};
    open_bench(&t);
    cr_assert(checker_compile(&t.c, 0, &none));
    all_free_tests(&t);
    cr_expect(t.tally.failed == 0 && t.tally.passed >= 5);
    close_bench(&t);
}

/* The gradient function of the evaluator with one function exchanged. */
Test(check, wrong_derivative_fails)
{
    Bench t;
    BindList none = {0};
    open_bench(&t);
    cr_assert(checker_compile(&t.c, 0, &none));
    cr_assert(spoil(t.c.reference, REC_BACKWARD, FUN_SUB, FUN_ADD));
    check_gradients(&t.c);
    cr_expect(t.tally.failed > 0 && t.tally.passed == 0);
    close_bench(&t);
}

/* A pass that changes the meaning: what is compiled is no longer what the evaluator runs. */
static void wrong_program(RecFn fn, Fun from, Fun to)
{
    Bench t;
    BindList none = {0};
    Str error;
    CpuOptions cpu;
    open_bench(&t);
    cr_assert(checker_compile(&t.c, 0, &none));
    Code *code = &t.c.code[PREC_F64][CPU_BASELINE];
    cpu = code->cpu;
    code_free(code);
    RecProg *raw = elab_entry(t.c.arena, t.c.unit, 0, NULL, 0, t.d.diags);
    Compile half = {.arena = t.c.arena, .cpu = cpu, .rec = raw, .stop_after = STR("rec.backward")};
    cr_assert(!run_rec_passes(&half));
    cr_assert(spoil(raw, fn, from, to));
    cr_assert(code_make(t.c.arena, raw, &cpu, code, &error));
    check_compiled(&t.c);
    cr_expect(t.tally.failed == 1);
    close_bench(&t);
}

Test(check, wrong_forward_fails)
{
    wrong_program(REC_FORWARD, FUN_TANH, FUN_SIGMOID);
}

Test(check, wrong_backward_fails)
{
    wrong_program(REC_BACKWARD, FUN_SUB, FUN_ADD);
}

Test(check, differences_are_relative_to_the_largest_element)
{
    const double a[] = {100, 1, -INFINITY}, b[] = {100, 1.001, -INFINITY}, c[] = {100, NAN, -INFINITY};
    cr_expect(difference(a, b, 3, 0) < 1.1e-5 && difference(a, b, 3, 0) > 0.9e-5);
    cr_expect(difference(a, c, 3, 0) > 1);
    cr_expect(difference(a, a, 3, 0) == 0);
}
