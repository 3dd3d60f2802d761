/* kern: what the lowering makes of rec programs, run by the interpreter, has the values of rec's evaluator; passes keep
 * them; the text form reads back; the verifier finds broken rules. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "tests/unit/kern_data.h"
#include "tests/unit/reads.h"

/* ---- one program on one set of sizes ---- */

static RecFn fn_of(RecOutRole role)
{
    return role == OUT_PARAM ? REC_INIT : role == OUT_GRAD || role == OUT_GRAD_PARAM ? REC_BACKWARD : REC_FORWARD;
}

static void compare(const Data *d, const RecProg *p, const RecEval *e, RecFn fn, const Case *c)
{
    for (KBufId b = 0; b < d->k->buf.n; b++) {
        const KBuf *x = &d->k->buf.p[b];
        if (x->kind != K_OUT || fn_of(p->out.p[x->slot].role) != fn || !d->buf[b])
            continue;
        const RecOut *o = &p->out.p[x->slot];
        const double *want = rec_eval_value(e, o->value);
        for (int64_t i = 0; i < size_of_buf(d, b); i++) {
            double expect = want[i] + (o->role == OUT_GRAD_PARAM ? d->before[b][i] : 0);
            bool near = fabs(d->buf[b][i] - expect) <= 1e-10 * (1 + fabs(expect)) || (isnan(expect) && isnan(d->buf[b][i]));
            cr_assert(near || d->buf[b][i] == expect, "%s: T %d B %d keep %d: %.*s[%d] is %.17g, not %.17g\n%s", d->what, (int)c->T,
                      (int)c->B, c->keep, STRF(o->name), (int)i, d->buf[b][i], expect, kern_text_of(d->a, d->k).p);
        }
    }
}

static void run_both(const Data *d, const RecProg *p, RecEval *e, RecFn fn, const Case *c)
{
    Str error = {0};
    bool evaluated = rec_eval_run(e, fn, &error);
    bool ran = kern_run(d->k, fn, d->dim, d->buf, c->seed);
    cr_assert_eq(evaluated, ran, "%s: %.*s", d->what, STRF(error));
    if (ran)
        compare(d, p, e, fn, c);
}

static void check_case(const RecProg *p, const KernProg *k, const Case *c, const char *what)
{
    Arena *a = arena_new();
    Data d = data_new(a, k, c, what);
    RecEval *e = rec_eval_new(a, p, d.dim, d.arg, c->seed);
    run_both(&d, p, e, REC_FORWARD, c);
    if (k->has_fn[REC_BACKWARD] && c->keep)
        run_both(&d, p, e, REC_BACKWARD, c);
    if (k->has_fn[REC_INIT])
        run_both(&d, p, e, REC_INIT, c);
    rec_eval_free(e);
    arena_free(a);
}

/* ---- one program on many, as it is lowered and behind each pass ---- */

/* The text reads back as the same program: it prints the same and is one the verifier accepts. */
static void check_text(const KernProg *k, const char *what)
{
    Arena *a = arena_new();
    Str text = kern_text_of(a, k), error;
    KernProg *again = kern_read(a, text, &error);
    cr_assert(again, "%s: %.*s\n%s", what, STRF(error), text.p);
    cr_assert_str_eq(kern_text_of(a, again).p, text.p);
    kern_verified(again);
    arena_free(a);
}

static void check_sizes(const RecProg *p, const KernProg *k, const char *what)
{
    static const int64_t T[] = {0, 1, 2, 5}, B[] = {1, 3, 0};
    kern_verified(k);
    check_text(k, what);
    for (uint32_t i = 0; i < 4 * 3 * 4; i++)
        check_case(p, k, &(Case){.T = T[i % 4], .B = B[i / 4 % 3], .keep = i / 12 & 1, .chance = i / 24 & 1, .seed = i}, what);
}

static void check_kern(const RecProg *p, const char *what)
{
    KernProg *k = rec_to_kern(p->arena, p);
    check_sizes(p, k, what);
#define PASS(IR, NAME, ...)                                                                                            \
    IR##_##NAME(k);                                                                                                    \
    check_sizes(p, k, str_fmt(p->arena, "%s behind %s.%s", what, #IR, #NAME).p);
#include "ir/kern/passes.def"
#undef PASS
}

/* The program of one sequence `make`s gives, with as little done to it as can be, and behind all passes of rec. */
typedef RecProg *(*Make)(Arena *a, const void *from);

static void check_roads(Make make, const void *from, const char *what)
{
    Arena *a = arena_new();
    RecProg *plain = make(a, from);
    rec_batch(plain);
    check_kern(plain, what);
    RecProg *gradient = make(a, from);
    rec_batch(gradient);
    rec_backward(gradient);
    check_kern(gradient, str_fmt(a, "%s, backward", what).p);
    RecProg *whole = make(a, from);
#define PASS(IR, NAME, ...) IR##_##NAME(whole);
#include "ir/rec/passes.def"
#undef PASS
    check_kern(whole, str_fmt(a, "%s, all passes", what).p);
    arena_free(a);
}

/* ---- the cells of the standard library ---- */

static void check_file(const char *file)
{
    Arena *a = arena_new();
    Sources *s = sources_new(a);
    Unit *u = unit_load(a, s, diags_new(a, s), str_of(file));
    cr_assert(u, "%s", file);
    for (uint32_t i = 0; i < unit_entries(u); i++) {
        Entry e = {file, str_c(a, unit_entry_name(u, i))};
        check_roads(make_entry, &e, str_fmt(a, "%s %s", file, e.name).p);
    }
    arena_free(a);
}

/* ---- programs for what no cell of the library needs ---- */

#define HEAD "rec t\ndim B batch\ndim keep keep\ndim T time\ndim H size\ndim K size\ntime T\nopen T, B, H, K\n"

static RecProg *make_text(Arena *a, const void *from)
{
    Str error = {0};
    RecProg *p = rec_read(a, str_of(from), &error);
    cr_assert(p, "%.*s\n%s", STRF(error), (const char *)from);
    Text why = {.arena = a};
    cr_assert(rec_verify(p, &why), "%s\n%s", text_str(&why).p, (const char *)from);
    return p;
}

static void check_program(const char *text, const char *what)
{
    check_roads(make_text, text, what);
}

/* A matrix state with a rank-one update; the output reads the new state, another one the old. */
Test(kern, matrix_state)
{
    check_program(HEAD
        "arg 0 q : real[T, K] input batched\narg 1 k : real[T, K] input batched\narg 2 v : real[T, H] input batched\n"
        "arg 3 a : real[T] input batched\narg 4 S0 : real[H, K] start of 2 optional batched\n"
        "forward {\n"
        "  %0 : real[T, K] = arg 0\n  %1 : real[T, K] = arg 1\n  %2 : real[T, H] = arg 2\n  %3 : real[T] = arg 3\n"
        "  %4 : real[H, K] = arg 4\n"
        "  %5 = recur(%4; %0, %1, %2, %3) over T {\n"
        "    %6 : real[H, K] = regarg 0\n    %7 : real[K] = regarg 1\n    %8 : real[K] = regarg 2\n"
        "    %9 : real[H] = regarg 3\n    %10 : real = regarg 4\n"
        "    %11 : real[H, K] = mul(%10, %6[0,1])\n"
        "    %12 : real[H] = contract(%11[0,1], %8[1]) over (H | K)\n"
        "    %13 : real[H] = sub(%9[0], %12[0])\n"
        "    %14 : real[H, K] = contract(%13[0], %8[1]) over (H, K)\n"
        "    %15 : real[H, K] = add(%11[0,1], %14[0,1])\n"
        "    %16 : real[H] = contract(%15[0,1], %7[1]) over (H | K)\n"
        "    %17 : real = contract(%7[0], %8[0]) over (| K)\n"
        "    yield %15; %16, %6, %17\n  }\n"
        "  %18 : real[T, H] = proj(%5) 1\n  %19 : real[T, H, K] = proj(%5) 2\n  %20 : real[H, K] = proj(%5) 0\n"
        "  %21 : real[T] = proj(%5) 3\n"
        "}\n"
        "out y : real[T, H] value batched streams = %18\nout old : real[T, H, K] value batched streams = %19\n"
        "out ST : real[H, K] final of 4 batched = %20\nout dot : real[T] value batched streams = %21\n", "matrix state");
}

/* States that swap, stay, come from outside or are constant; steps that put out what they found; reversed and not. */
static void odd_states(const char *reverse)
{
    Arena *a = arena_new();
    Str text = str_fmt(a, HEAD
        "arg 0 x : real[T, H] input batched\narg 1 w : real[H] param\n"
        "arg 2 a0 : real[H] start of 4 optional batched\narg 3 b0 : real[H] start of 5 optional batched\n"
        "forward {\n"
        "  %%0 : real[T, H] = arg 0\n  %%1 : real[H] = arg 1\n  %%2 : real[H] = arg 2\n  %%3 : real[H] = arg 3\n"
        "  %%4 : real = const 0.5\n  %%5 : real[H] = id(%%4)\n  %%6 : int[T] = iota\n  %%7 : int = const 7\n"
        "  %%8 = recur(%%2, %%3, %%5, %%1, %%7; %%0, %%6) over T %s {\n"
        "    %%9 : real[H] = regarg 0\n    %%10 : real[H] = regarg 1\n    %%11 : real[H] = regarg 2\n"
        "    %%12 : real[H] = regarg 3\n    %%13 : int = regarg 4\n    %%14 : real[H] = regarg 5\n    %%15 : int = regarg 6\n"
        "    %%16 : real[H] = tanh(%%14[0])\n    %%17 : real[H] = add(%%16[0], %%10[0])\n"
        "    %%18 : int = add(%%13, %%15)\n    %%19 : real = real(%%13)\n    %%20 : real[H] = mul(%%12[0], %%19)\n"
        "    yield %%10, %%17, %%1, %%12, %%18; %%9, %%17, %%20, %%1, %%11\n  }\n"
        "  %%21 : real[H] = proj(%%8) 0\n  %%22 : real[H] = proj(%%8) 1\n  %%23 : real[H] = proj(%%8) 2\n"
        "  %%24 : real[T, H] = proj(%%8) 5\n  %%25 : real[T, H] = proj(%%8) 6\n  %%26 : real[T, H] = proj(%%8) 7\n"
        "  %%27 : real[T, H] = proj(%%8) 8\n  %%28 : real[T, H] = proj(%%8) 9\n  %%29 : int = proj(%%8) 4\n"
        "  %%30 : real = real(%%29)\n  %%31 : real[H] = mul(%%23[0], %%30)\n"
        "  %%32 : real[T, H] = add(%%27[0,1], %%28[0,1])\n  %%33 : real[H] = reduce sum(%%25[1,0]) over (H | T)\n"
        "}\n"
        "out found : real[T, H] value batched = %%24\nout left : real[T, H] value batched = %%25\n"
        "out scaled : real[T, H] value batched = %%26\nout more : real[T, H] value batched = %%32\n"
        "out aT : real[H] final of 2 batched = %%21\nout bT : real[H] final of 3 batched = %%22\n"
        "out last : real[H] value batched = %%31\nout sums : real[H] value batched = %%33\n", reverse);
    check_program(text.p, "odd states");
    arena_free(a);
}

Test(kern, odd_states) { odd_states(""); }
Test(kern, odd_states_reversed) { odd_states("reverse"); }

/* A recurrence inside the step of another one; its last state and all of its states are used outside. */
Test(kern, nested_recurrence)
{
    check_program(HEAD
        "arg 0 x : real[T, H] input batched\narg 1 w : real[K, H, H] param\narg 2 s0 : real[H] start of 1 optional batched\n"
        "forward {\n"
        "  %0 : real[T, H] = arg 0\n  %1 : real[K, H, H] = arg 1\n  %2 : real[H] = arg 2\n"
        "  %3 = recur(%2; %0) over T {\n"
        "    %4 : real[H] = regarg 0\n    %5 : real[H] = regarg 1\n"
        "    %6 = recur(%4; %1) over K reverse {\n"
        "      %7 : real[H] = regarg 0\n      %8 : real[H, H] = regarg 1\n"
        "      %9 : real[H] = contract(%8[0,1], %7[1]) over (H | H)\n"
        "      %10 : real[H] = add(%9[0], %5[0])\n      %11 : real[H] = tanh(%10[0])\n"
        "      yield %11; %11\n    }\n"
        "    %12 : real[H] = proj(%6) 0\n    %13 : real[K, H] = proj(%6) 1\n"
        "    %14 : real[H] = reduce max(%13[1,0]) over (H | K)\n    %15 : real[H] = add(%12[0], %14[0])\n"
        "    yield %15; %13, %15\n  }\n"
        "  %16 : real[T, K, H] = proj(%3) 1\n  %17 : real[H] = proj(%3) 0\n  %18 : real[T, H] = proj(%3) 2\n"
        "}\n"
        "out rounds : real[T, K, H] value batched streams = %16\nout sT : real[H] final of 2 batched = %17\n"
        "out s : real[T, H] value batched streams = %18\n", "nested recurrence");
}

/* Heron's square root: rounds until nothing changes by much, at most that many; one that is over before it begins. Its states
 * are not read at other places, and there is no adjoint. */
#define HERON(MOST) \
    "rec t batched\ndim B batch\ndim keep keep\ndim T time\ndim H size\ntime T\nopen T, B, H\n" \
    "arg 0 x : real[H] input batched\n" \
    "forward {\n" \
    "  %0 : real[B, H] = arg 0\n  %1 : bool = const 0\n  %2 : real[B, H] = abs(%0[0,1])\n  %3 : bool = const 1\n" \
    "  %4 = recur(%2, %1) over " MOST " until {\n" \
    "    %5 : real[B, H] = regarg 0\n    %6 : bool = regarg 1\n" \
    "    %7 : real[B, H] = div(%2[0,1], %5[0,1])\n    %8 : real[B, H] = add(%7[0,1], %5[0,1])\n" \
    "    %9 : real = const 0.5\n    %10 : real[B, H] = mul(%8[0,1], %9)\n    %11 : real[B, H] = sub(%10[0,1], %5[0,1])\n" \
    "    %12 : real[B, H] = abs(%11[0,1])\n    %13 : real = reduce max(%12[0,1]) over (| B, H)\n" \
    "    %14 : real = const 1e-12\n    %15 : bool = lt(%13, %14)\n" \
    "    yield %10, %15\n  }\n" \
    "  %16 : real[B, H] = proj(%4) 0\n" \
    "  %17 = recur(%2, %3) over T until {\n" \
    "    %18 : real[B, H] = regarg 0\n    %19 : bool = regarg 1\n    %20 : real[B, H] = neg(%18[0,1])\n" \
    "    yield %20, %19\n  }\n" \
    "  %21 : real[B, H] = proj(%17) 0\n  %22 : real[B, H] = sub(%16[0,1], %21[0,1])\n" \
    "}\n" \
    "out y : real[H] value batched = %22\n"

Test(kern, a_loop_that_ends_by_what_it_computes)
{
    static const char *const text[] = {HERON("0"), HERON("1"), HERON("3"), HERON("50")};
    for (uint32_t i = 0; i < sizeof text / sizeof *text; i++) {
        Arena *a = arena_new();
        check_kern(make_text(a, text[i]), "until");
        arena_free(a);
    }
}

/* Reshapes that split, merge or need a copy; slices, padding, joining; products over axes that do not merge. */
Test(kern, layouts)
{
    check_program(HEAD
        "arg 0 x : real[H, K] input batched\narg 1 w : real[K, 4, H] param\n"
        "forward {\n"
        "  %0 : real[H, K] = arg 0\n  %1 : real[K, 4, H] = arg 1\n"
        "  %2 : real[K, H] = id(%0[1,0])\n  %3 : real[H*K] = reshape(%2)\n  %4 : real[H*K] = tanh(%3[0])\n"
        "  %5 : real[K, H] = reshape(%4)\n  %6 : real[K, 1, H] = reshape(%5)\n"
        "  %7 : real[K, 1, H] = slice(%1) along 1 from 2\n  %8 : real[K, H] = reshape(%7)\n"
        "  %9 : real[K, 1, H] = mul(%6[0,1,2], %7[0,1,2])\n"
        "  %10 : real[K, 3, H] = concat(%6, %9, %6) along 1\n"
        "  %11 : real[K, 3, 2*H] = pad(%10) along 2 from H\n"
        "  %12 : real[3*K, 2*H] = reshape(%11)\n  %13 : real[2*H, 3*K] = id(%12[1,0])\n"
        "  %14 : real[2*H, 2*H] = contract(%13[0,2], %12[2,1]) over (2*H, 2*H | 3*K)\n"
        "  %15 : real[4] = contract(%1[1,0,2], %8[1,2]) over (4 | K, H)\n"
        "  %16 : real[4, 4] = contract(%1[2,0,3], %1[2,1,3]) over (4, 4 | K, H)\n"
        "  %17 : real[H, 4] = contract(%0[0,2], %1[2,1,0]) over (H, 4 | K)\n"
        "  %18 : real[4, 4] = contract(%1[3,0,2], %1[3,1,2]) over (4, 4 | H, K)\n"
        "  %19 : real[2*H, 4] = concat(%17, %17) along 0\n"
        "  %20 : real = reduce prod(%16[0,1]) over (| 4, 4)\n  %21 : real[H] = reduce min(%0[0,1]) over (H | K)\n"
        "  %22 : real[4*H] = reshape(%17)\n  %23 : real[4*H] = neg(%22[0])\n"
        "}\n"
        "out a : real[2*H, 2*H] value batched = %14\nout b : real[3*K, 2*H] value batched = %12\n"
        "out c : real[4] value batched = %15\nout d : real[4, 4] value batched = %16\n"
        "out e : real[2*H, 4] value batched = %19\nout f : real[4, 4] value batched = %18\nout g : real value batched = %20\n"
        "out h : real[H] value batched = %21\nout i : real[4*H] value batched = %23\nout j : real[H, 4] value batched = %17\n"
        "out k : real[K, 3, H] value batched = %10\nout l : real[K, H] value batched = %2\n", "layouts");
}

Test(kern, matrix_states) { check_file("tests/cells/matrix_states.rnn"); }
Test(kern, gru) { check_file("stdlib/gru.rnn"); }
Test(kern, gru_reset_before) { check_file("stdlib/gru_reset_before.rnn"); }
Test(kern, lstm) { check_file("stdlib/lstm.rnn"); }
Test(kern, lstm_peephole) { check_file("stdlib/lstm_peephole.rnn"); }
Test(kern, lstm_projection) { check_file("stdlib/lstm_projection.rnn"); }
Test(kern, lstm_heads) { check_file("stdlib/lstm_heads.rnn"); }
Test(kern, slstm) { check_file("stdlib/slstm.rnn"); }
Test(kern, linear_attention) { check_file("stdlib/linear_attention.rnn"); }
Test(kern, gla) { check_file("stdlib/gla.rnn"); }
Test(kern, mamba) { check_file("stdlib/mamba.rnn"); }
Test(kern, mamba2) { check_file("stdlib/mamba2.rnn"); }
Test(kern, deltanet) { check_file("stdlib/deltanet.rnn"); }
Test(kern, gated_deltanet) { check_file("stdlib/gated_deltanet.rnn"); }
Test(kern, rwkv7) { check_file("stdlib/rwkv7.rnn"); }
Test(kern, mlstm) { check_file("stdlib/mlstm.rnn"); }
Test(kern, aaren) { check_file("stdlib/aaren.rnn"); }
Test(kern, mingru) { check_file("stdlib/mingru.rnn"); }
Test(kern, hmm) { check_file("stdlib/hmm.rnn"); }
Test(kern, elman) { check_file("stdlib/elman.rnn"); }
Test(kern, leaky) { check_file("stdlib/leaky.rnn"); }
Test(kern, jordan) { check_file("stdlib/jordan.rnn"); }
Test(kern, bidirectional) { check_file("stdlib/bidirectional.rnn"); }
Test(kern, stacked) { check_file("stdlib/stacked.rnn"); }
Test(kern, embedding) { check_file("stdlib/embedding.rnn"); }
Test(kern, classifier) { check_file("stdlib/classifier.rnn"); }
Test(kern, language_model) { check_file("stdlib/language_model.rnn"); }
Test(kern, retnet) { check_file("stdlib/retnet.rnn"); }
Test(kern, hgrn) { check_file("stdlib/hgrn.rnn"); }
Test(kern, hgrn2) { check_file("stdlib/hgrn2.rnn"); }
Test(kern, rwkv4) { check_file("stdlib/rwkv4.rnn"); }
Test(kern, rwkv5) { check_file("stdlib/rwkv5.rnn"); }
Test(kern, rwkv6) { check_file("stdlib/rwkv6.rnn"); }
Test(kern, kda) { check_file("stdlib/kda.rnn"); }
Test(kern, pla) { check_file("stdlib/pla.rnn"); }
Test(kern, minlstm) { check_file("stdlib/minlstm.rnn"); }
Test(kern, rglru) { check_file("stdlib/rglru.rnn"); }
Test(kern, qrnn) { check_file("stdlib/qrnn.rnn"); }
Test(kern, sru) { check_file("stdlib/sru.rnn"); }
Test(kern, longhorn) { check_file("stdlib/longhorn.rnn"); }
Test(kern, titans) { check_file("stdlib/titans.rnn"); }
Test(kern, gilr) { check_file("stdlib/gilr.rnn"); }
Test(kern, fsmn) { check_file("stdlib/fsmn.rnn"); }
Test(kern, h3) { check_file("stdlib/h3.rnn"); }
Test(kern, delta_product) { check_file("stdlib/delta_product.rnn"); }
Test(kern, loops) { check_file("tests/cells/loops.rnn"); }

/* ---- what the lowering promises about its shape ---- */

static uint32_t count_in(const KBlock *b, KKind kind)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        n += b->p[i]->kind == kind;
        if (kern_body(b->p[i]))
            n += count_in(kern_body(b->p[i]), kind);
    }
    return n;
}

/* The last serial loop that has a product in it: the recurrence. */
static const KBlock *step_of(const KernProg *k, RecFn fn)
{
    for (uint32_t i = k->fn[fn].n; i-- > 0;) {
        const KStmt *s = k->fn[fn].p[i];
        if (s->kind == K_LOOP && s->loop.kind == K_SERIAL && count_in(&s->loop.body, K_GEMM))
            return &s->loop.body;
    }
    ice("test: there is no recurrence");
}

static KernProg *make_kern(Arena *a, const Entry *e)
{
    RecProg *p = make_entry(a, e);
#define PASS(IR, NAME, ...) IR##_##NAME(p);
#include "ir/rec/passes.def"
#undef PASS
    return rec_to_kern(a, p);
}

Test(kern, an_lstm_step_is_one_product_and_one_nest)
{
    Arena *a = arena_new();
    KernProg *k = make_kern(a, &(Entry){"stdlib/lstm.rnn", "lstm"});
    const KBlock *step = step_of(k, REC_FORWARD);
    cr_assert_eq(count_in(step, K_GEMM), 1);
    cr_assert_eq(count_in(step, K_LOOP), 2, "B and H\n%s", kern_text_of(a, k).p);
    cr_assert_eq(count_in(step, K_COPY) + count_in(step, K_FILL), 0);
    arena_free(a);
}

/* ---- matrix states ---- */

static const KBlock *matrix_step(const KernProg *k, RecFn fn)
{
    for (uint32_t i = 0; i < k->fn[fn].n; i++) {
        const KStmt *s = k->fn[fn].p[i];
        if (s->kind == K_LOOP && s->loop.kind == K_SERIAL && count_in(&s->loop.body, K_LOOP) > 1)
            return &s->loop.body;
    }
    ice("test: there is no recurrence");
}

static KernProg *make_matrix(Arena *a, const char *cell)
{
    KernProg *k = make_kern(a, &(Entry){"tests/cells/matrix_states.rnn", cell});
    kern_fuse(k);
    kern_columns(k);
    kern_forward(k);
    return k;
}

static void has_loops(const char *cell, RecFn fn, uint32_t loops, uint32_t sums)
{
    Arena *a = arena_new();
    KernProg *k = make_matrix(a, cell);
    const KBlock *step = matrix_step(k, fn);
    cr_assert_eq(count_in(step, K_LOOP), loops, "%s", kern_text_of(a, k).p);
    cr_assert_eq(count_in(step, K_START), sums, "%s", kern_text_of(a, k).p);
    cr_assert_eq(count_in(step, K_GEMM), 0, "%s", kern_text_of(a, k).p);
    arena_free(a);
}

Test(kern, a_decaying_matrix_is_updated_and_read_out_in_one_pass) { has_loops("decay", REC_FORWARD, 4, 1); }
Test(kern, its_adjoint_step_is_one_pass) { has_loops("decay", REC_BACKWARD, 4, 3); }
Test(kern, the_delta_rule_passes_twice_over_a_row) { has_loops("delta", REC_FORWARD, 4, 2); }
Test(kern, or_three_times_over_a_column) { has_loops("two_deltas", REC_FORWARD, 5, 3); }
Test(kern, a_short_row_is_summed_where_it_is_made) { has_loops("selective", REC_FORWARD, 3, 1); }

/* Slots that take turns are told apart by the place modulo 2. */
static bool takes_turns(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LET && b->p[i]->let.fun == FUN_IMOD)
            return true;
    return false;
}

static void in_place(const char *cell, bool wanted)
{
    Arena *a = arena_new();
    KernProg *k = make_matrix(a, cell);
    cr_assert_eq(!takes_turns(matrix_step(k, REC_FORWARD)), wanted, "%s", kern_text_of(a, k).p);
    arena_free(a);
}

Test(kern, a_matrix_that_is_read_before_it_is_written_stays_in_place)
{
    in_place("decay", true);
    in_place("delta", true);
    in_place("two_deltas", true);
    in_place("memory", true);
    in_place("swap", true);
}

Test(kern, a_matrix_that_is_read_elsewhere_than_it_is_written_does_not) { in_place("crossed", false); }

Test(kern, parameter_gradients_are_products_over_all_places)
{
    Arena *a = arena_new();
    KernProg *k = make_kern(a, &(Entry){"stdlib/lstm.rnn", "lstm"});
    uint32_t adding = 0;
    for (uint32_t i = 0; i < k->fn[REC_BACKWARD].n; i++) {
        const KStmt *s = k->fn[REC_BACKWARD].p[i];
        adding += s->kind == K_GEMM && s->gemm.add && k->buf.p[s->gemm.c.buf].kind == K_OUT;
    }
    cr_assert_eq(adding, 2, "d_W and d_U\n%s", kern_text_of(a, k).p);
    arena_free(a);
}

Test(kern, dead_workspace_is_used_again)
{
    Arena *a = arena_new();
    KernProg *k = make_kern(a, &(Entry){"stdlib/language_model.rnn", "language_model"});
    kern_reuse(k);
    uint32_t shared = 0;
    for (KBufId b = 0; b < k->buf.n; b++)
        shared += k->buf.p[b].shares != K_NONE;
    cr_assert_gt(shared, 0);
    Str once = kern_text_of(a, k), error;
    KernProg *again = kern_read(a, once, &error);
    kern_reuse(again);
    cr_assert_str_eq(kern_text_of(a, again).p, once.p, "twice is once");
    arena_free(a);
}

/* ---- text and verifier ---- */

#define KERN                                                                                                           \
    "kern \"t\"\ndim B batch\ndim keep keep\ndim H size\ndim P part\nopen B\nderived H = 2*B / B\n"                                \
    "arg \"x\" real[H] input of 0 optional batched\nout \"y\" real[H] value of 0 batched streams\n"                    \
    "buf b0 arg 0 real B*H used 1 \"x\"\nbuf b1 out 0 real B*H used 1 \"y\"\nbuf b2 work int H used 1 \"\"\n"          \
    "buf b3 work real -H + 2*B*H used 1 \"\"\n" MORE_BUFFERS "forward {\n"
#define MORE_BUFFERS "buf b4 work real B*H*H used 1 \"\"\nbuf b5 work real B*H*H used 1 \"\"\n"

static const char every_stmt[] = KERN
    "  fill b3[0] count B*H = 0\n"
    "  copy b3[0] = b0[0] count H\n"
    "  gemm m H n H k B b3[0] rows H cols 1 += b0[0] rows 1 cols H @ b0[0] rows 0 cols -1*H least 7 packed b3[0] when H\n"
    "  pack b3[1] = k B n H b0[0] rows 1 cols H when H\n"
    "  serial %0 < H reverse {\n"
    "    %1 : real = start max\n"
    "    vector %2 < B {\n"
    "      %3 : real = load b0[1, %0 by 2*B, %2 by 1]\n"
    "      update %1 max %3\n"
    "    }\n"
    "    %4 : real = const -0.1\n"
    "    %5 : bool = given 0\n"
    "    %6 : real = where(%5, %1, %4)\n"
    "    %7 : int = size H + 1\n"
    "    %8 : int = check %7 < H\n"
    "    store b1[0, %8 by 1] += %6\n"
    "  }\n"
    "  serial %14 < H {\n"
    "    %15 : bool = given 0\n"
    "    leave %15\n"
    "    fill b3[0, %14 by 1] count 1 = 2\n"
    "  }\n"
    "  tasks %11 P < H grain 4 work 2*B*H least 100 {\n"
    "    parallel %12 < B*P reverse from %11 by B {\n"
    "      %13 : real = const 1\n"
    "      store b1[0, %12 by 1] = %13\n"
    "    }\n"
    "  }\n"
    "  strips %16 P < H length 2*B reverse {\n"
    "    serial %17 < P reverse from %16 by 1 {\n"
    "      fill b3[0, %17 by 1] count 1 = 2\n"
    "    }\n"
    "  }\n"
    "}\n"
    "init {\n"
    "  parallel %9 < H {\n"
    "    %10 : real = random 3 %9\n"
    "    store b3[0, %9 by 1] = %10\n"
    "  }\n"
    "}\n";

static KernProg *read_kern(Arena *a, const char *text)
{
    Str error;
    KernProg *k = kern_read(a, str_of(text), &error);
    cr_assert(k, "%.*s\n%s", STRF(error), text);
    return k;
}

Test(kern, text_reads_back)
{
    Arena *a = arena_new();
    KernProg *k = read_kern(a, every_stmt);
    kern_verified(k);
    Str once = kern_text_of(a, k);
    cr_assert_str_eq(kern_text_of(a, read_kern(a, once.p)).p, once.p);
    for (uint32_t kind = 0; kind < K_KIND_COUNT; kind++)
        cr_assert_gt(count_in(&k->fn[REC_FORWARD], (KKind)kind) + count_in(&k->fn[REC_INIT], (KKind)kind), 0, "kind %u", kind);
    arena_free(a);
}

/* ---- which statements become tasks ---- */

#define STEPS(from, to)                                                                                                \
    "  serial %0 < H {\n    parallel %1 < B {\n      vector %2 < H {\n        %3 : real = load " from                \
    "\n        store " to " = %3\n      }\n    }\n  }\n"
#define TWICE(index)                                                                                                   \
    "  parallel %0 < B {\n    %3 : real = const 1\n    vector %1 < H {\n      store b3[0" index                       \
    ", %1 by 1] = %3\n    }\n    vector %2 < H {\n      %4 : real = load b3[0" index                                  \
    ", %2 by 1]\n      store b1[0, %0 by H, %2 by 1] = %4\n    }\n  }\n"

static const struct Tasks { const char *what; uint32_t count; const char *text; } tasks_text[] = {
    {"a state along the batch, and along itself", 2, STEPS("b3[0, %1 by H, %2 by 1]", "b3[0, %1 by H, %2 by 1]")},
    {"two slots that take turns", 2, STEPS("b3[0, %0 by B*H, %1 by H, %2 by 1]", "b3[B*H, %0 by B*H, %1 by H, %2 by 1]")},
    {"sequences apart, elements not", 1, STEPS("b3[0, %1 by H]", "b3[0, %1 by H, %2 by 1]")},
    {"elements apart, sequences not", 1, STEPS("b3[0, %2 by 1]", "b3[0, %2 by 1]")},
    {"the next element", 0, STEPS("b3[1, %1 by H, %2 by 1]", "b3[0, %1 by H, %2 by 1]")},
    {"the next sequence", 1, STEPS("b3[H, %1 by H, %2 by 1]", "b3[0, %1 by H, %2 by 1]")},
    {"another layout", 0, STEPS("b3[0, %1 by 1, %2 by B]", "b3[0, %1 by H, %2 by 1]")},
    {"the transposed layout", 1, STEPS("b3[0, %1 by 1, %2 by B]", "b3[0, %1 by 1, %2 by B]")},
    {"one element of all", 0, STEPS("b3[0]", "b3[0, %1 by H, %2 by 1]")},
    {"only arguments are read", 2, STEPS("b0[0]", "b3[0, %1 by H, %2 by 1]")},
    {"an unknown place", 0, "  %9 : int = load b2[0]\n" STEPS("b3[0, %9 by 1, %1 by H, %2 by 1]", "b3[0, %1 by H, %2 by 1]")},
    {"an iteration's own memory", 1, TWICE(", %0 by H")},
    {"memory of all iterations", 0, TWICE("")},
    {"a sum from outside", 0, "  %0 : real = start sum\n  vector %1 < B*H {\n    %2 : real = load b0[0, %1 by 1]\n    update %0 sum %2\n  }\n"},
};

Test(kern, tasks_are_what_does_not_meet)
{
    Arena *a = arena_new();
    for (size_t i = 0; i < sizeof tasks_text / sizeof *tasks_text; i++) {
        KernProg *k = read_kern(a, str_fmt(a, "%s%s}\n", KERN, tasks_text[i].text).p);
        kern_verified(k);
        kern_tasks(k);
        kern_verified(k);
        uint32_t got = count_in(&k->fn[REC_FORWARD], K_TASKS);
        cr_expect_eq(got, tasks_text[i].count, "%s: %u\n%s", tasks_text[i].what, got, kern_text_of(a, k).p);
        Str once = kern_text_of(a, k);
        kern_tasks(k);
        cr_expect_str_eq(kern_text_of(a, k).p, once.p, "%s: twice is once", tasks_text[i].what);
    }
    arena_free(a);
}

Test(kern, products_are_shared_by_what_they_cost)
{
    Arena *a = arena_new();
    const char *product = "gemm m B n H k %s b1[0] rows H cols 1 = b0[0] rows H cols 1 @ b0[0] rows 0 cols 0\n";
    KernProg *k = read_kern(a, str_fmt(a, "%s  %s  serial %%0 < H {\n    %s  }\n}\n", KERN,
                                       str_fmt(a, product, "H").p, str_fmt(a, product, "H").p).p);
    kern_tasks(k);
    const KBlock *b = &k->fn[REC_FORWARD];
    KStmt *step = b->p[1];
    while (kern_body(step))
        step = kern_body(step)->p[0];
    cr_assert_gt(b->p[0]->gemm.least, 0);
    cr_assert_gt(step->gemm.least, b->p[0]->gemm.least, "threads are asked at each step");
    arena_free(a);
}

static bool reads(Arena *a, Str text, Str *error)
{
    const KernProg *k = kern_read(a, text, error);
    Text why = {.arena = a};
    if (k)
        kern_verify(k, &why), kern_text_of(a, k);
    return k;
}

/* ---- rows and columns: what may change places, fuse, or be forgotten ---- */

static bool becomes(void (*pass)(KernProg *), const char *body, const char *wanted)
{
    Arena *a = arena_new();
    KernProg *k = read_kern(a, str_fmt(a, "%s%s}\n", KERN, body).p);
    pass(k);
    kern_verified(k);
    bool is = strstr(kern_text_of(a, k).p, wanted) != NULL;
    arena_free(a);
    return is;
}

#define ROWS(ADDRESS)                                                                                                  \
    "  serial %0 < B {\n    serial %1 < H {\n      %2 : int = load b2[0, %1 by 1]\n      parallel %3 < H {\n"          \
    "        %4 : real = load b0[0, %3 by 1]\n        store b3[" ADDRESS ", %3 by 1] += %4\n      }\n    }\n  }\n"

Test(kern, sums_of_columns_become_accumulators) { cr_assert(becomes(kern_columns, ROWS("0"), "start sum")); }
Test(kern, but_not_of_columns_that_data_choose) { cr_assert(!becomes(kern_columns, ROWS("0, %2 by H"), "start sum")); }
Test(kern, nor_of_columns_that_move_with_the_row) { cr_assert(!becomes(kern_columns, ROWS("0, %1 by H"), "start sum")); }

/* Row %0 of a matrix, as a sum of all rows that are 0 but for it. */
#define ROW_OF_ALL(ROWS, IS, STORE) ROW_AND_OTHERS("0", ROWS, IS, STORE)
#define ROW_AND_OTHERS(OTHERS, ROWS, IS, STORE)                                                                                    \
    "  serial %0 < H {\n    %8 : int = load b2[0, %0 by 1]\n    serial %1 < " ROWS " {\n      %2 : bool = eq(%1, " IS ")\n      %3 : real = const " OTHERS "\n" \
    "      parallel %4 < H {\n        %5 : real = load b0[0, %1 by H, %4 by 1]\n        %6 : real = where(%2, %5, %3)\n        store b3[0, %4 by 1] " STORE \
    "\n      }\n    }\n  }\n"
#define THE_ROW "load b0[0, %4 by 1, %0 by H]"
Test(kern, one_row_is_no_sum_of_rows) { cr_assert(becomes(kern_once, ROW_OF_ALL("H", "%0", "+= %6"), THE_ROW)); }
Test(kern, which_is_added_as_it_is) { cr_assert(becomes(kern_once, ROW_OF_ALL("H", "%0", "+= %6"), "store b3[0, %4 by 1] += %5")); }
Test(kern, but_not_one_that_may_not_be_there) { cr_assert(becomes(kern_once, ROW_OF_ALL("B", "%0", "+= %6"), "serial %1 < B")); }
Test(kern, nor_one_that_data_choose) { cr_assert(becomes(kern_once, ROW_OF_ALL("H", "%8", "+= %6"), "serial %1 < H")); }
Test(kern, nor_the_last_of_several) { cr_assert(becomes(kern_once, ROW_OF_ALL("H", "%0", "= %6"), "serial %1 < H")); }
Test(kern, nor_one_beside_others) { cr_assert(becomes(kern_once, ROW_AND_OTHERS("1", "H", "%0", "+= %6"), "serial %1 < H")); }
Test(kern, nor_one_that_is_counted_from_elsewhere) { cr_assert(becomes(kern_once, ROW_OF_ALL("H from %8 by 1", "%0", "+= %6"), "serial %1 < H")); }
Test(kern, nor_all_of_them) { cr_assert(becomes(kern_once, ROW_OF_ALL("H", "%0", "+= %5"), "serial %1 < H")); }

/* What is the same in all rows stands in front of the loop over them, if there surely are any. */
#define SAME_IN_ROWS(HOW_MANY)                                                                                         \
    "  serial %0 < B {\n    serial %1 < " HOW_MANY " {\n      parallel %3 < H {\n        %4 : real = load b0[0, %3 by 1]\n" \
    "        %5 : real = load b0[0, %1 by H, %3 by 1]\n        %6 : real = mul(%4, %4)\n        %7 : real = mul(%6, %5)\n" \
    "        store b3[0, %3 by 1] += %7\n      }\n    }\n  }\n"
#define SQUARE "      %6 : real = mul(%4, %4)\n"
Test(kern, what_is_the_same_in_all_rows_is_computed_once) { cr_assert(becomes(kern_columns, SAME_IN_ROWS("4"), SQUARE)); }
Test(kern, but_not_where_there_may_be_no_rows) { cr_assert(!becomes(kern_columns, SAME_IN_ROWS("H"), "\n" SQUARE)); }

/* Two loops over a matrix of H rows, written by the first one; the second one reads row + `ROW`. */
#define TWO_LOOPS(ROW)                                                                                                 \
    "  serial %0 < B {\n    parallel %1 < H {\n      parallel %2 < H {\n        %3 : real = const 1\n"                 \
    "        store b3[0, %1 by H, %2 by 1] = %3\n      }\n    }\n    parallel %4 < H {\n      parallel %5 < H {\n"      \
    "        %6 : real = load b3[" ROW ", %4 by H, %5 by 1]\n        store b1[0, %4 by H, %5 by 1] = %6\n"             \
    "      }\n    }\n  }\n"

Test(kern, loops_over_the_same_rows_fuse) { cr_assert(!becomes(kern_fuse, TWO_LOOPS("0"), "%4")); }
Test(kern, loops_over_other_rows_do_not) { cr_assert(becomes(kern_fuse, TWO_LOOPS("H"), "%4")); }

/* Between two loops that become one stands what the second one reads, with two loops of its own: it moves to the front, and they fuse. */
#define MOVED                                                                                                          \
    "  serial %0 < B {\n    parallel %1 < H {\n      parallel %2 < H {\n        %3 : real = const 1\n"                 \
    "        store b3[0, %1 by H, %2 by 1] = %3\n      }\n    }\n"                                                     \
    "    serial %10 < 2 {\n      parallel %11 < H {\n        parallel %12 < H {\n          %13 : real = const 2\n"       \
    "          store b4[0, %11 by H, %12 by 1] = %13\n        }\n      }\n"                                            \
    "      parallel %14 < H {\n        parallel %15 < H {\n          %16 : real = load b4[0, %14 by H, %15 by 1]\n"    \
    "          store b5[0, %14 by H, %15 by 1] = %16\n        }\n      }\n    }\n"                                    \
    "    parallel %4 < H {\n      parallel %5 < H {\n        %6 : real = load b3[0, %4 by H, %5 by 1]\n"                \
    "        %7 : real = load b5[0, %4 by H, %5 by 1]\n        %8 : real = add(%6, %7)\n"                              \
    "        store b1[0, %4 by H, %5 by 1] = %8\n      }\n    }\n  }\n"
Test(kern, what_moved_to_the_front_is_looked_at_too) { cr_assert(!becomes(kern_fuse, MOVED, "%4 <")); cr_assert(!becomes(kern_fuse, MOVED, "%14 <")); }

#define STORED_THEN(STMT)                                                                                              \
    "  %0 : real = const 1\n  store b3[0] = %0\n" STMT "  %1 : real = load b3[0]\n  store b1[0] = %1\n"

Test(kern, what_was_stored_is_not_loaded) { cr_assert(!becomes(kern_forward, STORED_THEN(""), "load")); }
Test(kern, but_what_was_overwritten_is) { cr_assert(becomes(kern_forward, STORED_THEN("  fill b3[0] count H = 2\n"), "load")); }
Test(kern, a_store_to_another_element_changes_nothing) { cr_assert(!becomes(kern_forward, STORED_THEN("  store b3[H] = %0\n"), "load")); }
Test(kern, but_one_that_may_be_the_same_does) { cr_assert(becomes(kern_forward, STORED_THEN("  store b3[H - 1] = %0\n"), "load")); }

/* Two slots that take turns: what was loaded of one is there while the other one is written. */
#define SLOTS(WRITTEN)                                                                                                 \
    "  %0 : int = const 2\n  %1 : int = const 1\n  serial %2 < B {\n    %3 : int = imod(%2, %0)\n    %4 : int = sub(%1, %3)\n" \
    "    parallel %5 < H {\n      %6 : real = load b3[0, %3 by H, %5 by 1]\n      store b3[0, " WRITTEN " by H, %5 by 1] = %6\n" \
    "      %7 : real = load b3[0, %3 by H, %5 by 1]\n      store b1[0, %5 by 1] = %7\n    }\n  }\n"
Test(kern, the_other_slot_changes_nothing) { cr_assert(becomes(kern_forward, SLOTS("%4"), "store b1[0, %5 by 1] = %6")); }
Test(kern, an_unknown_slot_does) { cr_assert(!becomes(kern_forward, SLOTS("%1"), "store b1[0, %5 by 1] = %6")); }

Test(kern, what_nobody_reads_is_not_stored) { cr_assert(!becomes(kern_forward, STORED_THEN(""), "store b3")); }

Test(kern, damaged_text_is_survived)
{
    reads_survives(reads, every_stmt, "%0,;[]{}b9-+=\" \n@H");
}

static const struct Broken { const char *rule, *text; } broken_text[] = {
    {"used where it is not defined", "  store b1[0] = %0\n"},
    {"used where it is not defined", "  serial %0 < H {\n    %1 : real = const 1\n  }\n  store b1[0] = %1\n"},
    {"defined twice", "  %0 : real = const 1\n  %0 : real = const 1\n"},
    {"defined twice", "  serial %0 < H {\n  }\n  %1 : int = size H\n  %0 : int = size H\n"},
    {"no int", "  %0 : real = const 1\n  store b1[0, %0 by 1] = %0\n"},
    {"the buffer does not exist", "  fill b9[0] count H = 0\n"},
    {"an output is read", "  %0 : real = load b1[0]\n"},
    {"an output is read", "  copy b3[0] = b1[0] count H\n"},
    {"an argument is written", "  fill b0[0] count H = 0\n"},
    {"differ in their element type", "  %0 : real = load b2[0]\n"},
    {"differ in their element type", "  copy b2[0] = b0[0] count H\n"},
    {"not serial inside a vector loop", "  vector %0 < H {\n    parallel %1 < H {\n    }\n  }\n"},
    {"inside a vector loop", "  vector %0 < H {\n    fill b3[0] count H = 0\n  }\n"},
    {"inside a vector loop", "  vector %0 < H {\n    gemm m H n H k H b1[0] rows 1 cols 1 = b0[0] rows 1 cols 1 @ b0[0] rows 1 cols 1\n  }\n"},
    {"what is not real", "  gemm m H n H k H b1[0] rows 1 cols 1 = b2[0] rows 1 cols 1 @ b0[0] rows 1 cols 1\n"},
    {"not the function's", "  %0 : real = const 1\n  %1 : int = neg(%0)\n"},
    {"differ in their element type", "  %0 : real = const 1\n  %1 : int = size H\n  %2 : int = add(%0, %1)\n"},
    {"no accumulator", "  %0 : real = const 1\n  update %0 sum %0\n"},
    {"by init only", "  %0 : int = size H\n  %1 : real = random 0 %0\n"},
    {"no such argument", "  %0 : bool = given 1\n"},
    {"tasks or strips that are not around", "  serial %0 < P {\n  }\n"},
    {"tasks or strips that are not around", "  fill b3[0] count B*P = 0\n"},
    {"tasks or strips that are not around", "  gemm m P n H k H b1[0] rows 1 cols 1 = b0[0] rows 1 cols 1 @ b0[0] rows 1 cols 1\n"},
    {"tasks inside a vector loop", "  vector %0 < H {\n    tasks %1 P < H grain 1 work H least 0 {\n    }\n  }\n"},
    {"a dimension of their own", "  tasks %0 H < H grain 1 work H least 0 {\n  }\n"},
    {"a dimension of their own", "  tasks %0 P < H grain 1 work H least 0 {\n    tasks %1 P < H grain 1 work H least 0 {\n    }\n  }\n"},
    {"without a grain", "  tasks %0 P < H grain 0 work H least 0 {\n  }\n"},
    {"starts outside of the tasks", "  %0 : real = start sum\n  tasks %1 P < H grain 1 work H least 0 {\n    update %0 sum %0\n  }\n"},
    {"inside of another statement", "  serial %0 < H {\n    strips %1 P < H length B {\n    }\n  }\n"},
    {"strips without a dimension of their own", "  strips %0 B < H length B {\n  }\n"},
    {"tasks or strips that are not around", "  strips %0 P < P length B {\n  }\n"},
    {"used where it is not defined", "  strips %0 P < H length B {\n  }\n  store b2[0] = %0\n"},
    {"left by what is no bool", "  serial %0 < H {\n    leave %0\n  }\n"},
    {"a loop is left", "  %0 : bool = given 0\n  leave %0\n"},
    {"a loop is left", "  parallel %1 < H {\n    %0 : bool = given 0\n    leave %0\n  }\n"},
    {"a loop is left", "  vector %1 < H {\n    serial %2 < H {\n      %0 : bool = given 0\n      leave %0\n    }\n  }\n"},
    {"a loop is left", "  serial %1 < H {\n    %0 : bool = given 0\n    fill b3[0] count 1 = 1\n    leave %0\n  }\n"},
    {"used where it is not defined", "  serial %0 < H from %1 by B {\n  }\n"},
    {"used where it is not defined", "  tasks %0 P < H grain 1 work H least 0 {\n  }\n  store b2[0] = %0\n"},
};

Test(kern, verifier_finds_each_broken_rule)
{
    Arena *a = arena_new();
    kern_verified(read_kern(a, KERN "}\n"));
    for (size_t i = 0; i < sizeof broken_text / sizeof *broken_text; i++) {
        KernProg *k = read_kern(a, str_fmt(a, "%s%s}\n", KERN, broken_text[i].text).p);
        Text why = {.arena = a};
        cr_assert_not(kern_verify(k, &why), "not refused: %s", broken_text[i].text);
        cr_assert(strstr(text_str(&why).p, broken_text[i].rule), "wanted: %s\ngot: %s", broken_text[i].rule, text_str(&why).p);
    }
    arena_free(a);
}

Test(kern, bad_text_is_refused_with_its_line)
{
    static const BadText bad[] = {
        {"", "line 1: expected `kern`"},
        {"kern \"t\"\ndim H sise\n", "line 2: `sise` is none"},
        {"kern \"t\"\nforward {\n", "line 3: expected a statement"},
        {"kern \"t\"\ndim B batch\n", "there is no dimension of kind"},
        {"kern \"t\"\nforward {\n  %0 : real = tan(%1)\n}", "line 3: `tan` is no function"},
        {"kern \"t\"\nforward {\n  serial %0 < N {\n}", "line 3: `N` is no dimension"},
        {"kern \"t\"\nbuf b1 work real 1 used 0 \"\"\n", "line 2: buffers are numbered in order"},
        {"kern \"t\"\nforward {\n  %99999999 : real = const 1\n}", "line 3: the number is too large"},
    };
    reads_refuses(reads, bad, sizeof bad / sizeof *bad);
}

/* ---- rounds of a loop, and cutting one: for targets that share statements out ---- */

static KernProg *step_program(Arena *a, const char *body)
{
    Str error = {0};
    Str text = str_fmt(a,
                       "kern \"n\"\ndim B batch\ndim keep keep\ndim T time\ndim H size\ndim P part\nopen T\nopen B\nopen H\n"
                       "buf b0 work real 9*B*T*H used 1 \"w\"\nbuf b1 work real 9*B*T*H used 1 \"v\"\nforward {\n"
                       "  serial %%0 < T {\n    %s\n  }\n}\n", body);
    KernProg *k = kern_read(a, text, &error);
    cr_assert(k, "%.*s\n%s", STRF(error), text.p);
    return k;
}

/* The first two statements of the step; memory is b0. */
static void check_rounds(const char *body, bool apart)
{
    Arena *a = arena_new();
    KernProg *k = step_program(a, body);
    const KStmt *loop = k->fn[REC_FORWARD].p[0], *x = loop->loop.body.p[0], *y = loop->loop.body.p[loop->loop.body.n > 1];
    KernApart *in = kern_apart_new(a, k, &k->fn[REC_FORWARD], NULL, K_NONE);
    cr_assert_eq(kern_apart(in, x, y, 0, loop, NULL), apart, "%s", body);
    arena_free(a);
}

#define WRITES(AT) "vector %1 < H { %2 : real = const 1 store b0[" AT "] = %2 } "
#define READS(AT) "vector %3 < H { %4 : real = load b0[" AT "] store b1[0, %3 by 1] = %4 }"

Test(kern, rounds_apart)
{
    check_rounds(WRITES("0, %0 by H, %1 by 1") READS("0, %0 by H, %3 by 1"), true);
    check_rounds(WRITES("0, %0 by 2*H, %1 by 1") READS("H, %0 by 2*H, %3 by 1"), true);
    check_rounds(WRITES("H, %0 by H, %1 by 1") READS("0, %0 by H, %3 by 1"), false);
    check_rounds(WRITES("0, %0 by 2*H, %1 by 1") READS("H + 1, %0 by 2*H, %3 by 1"), false);
    check_rounds(WRITES("0, %0 by H, %1 by 1") READS("0, %0 by 2*H, %3 by 1"), false);
    check_rounds(WRITES("0, %0 by keep*H, %1 by 1") READS("0, %0 by keep*H, %3 by 1"), false);
    check_rounds(WRITES("0, %1 by 1") READS("0, %3 by 1"), false);
    check_rounds(WRITES("0, %0 by 1, %1 by T") READS("0, %0 by 1, %3 by T"), true);
    check_rounds(WRITES("0, %0 by 1, %1 by T + 1") READS("0, %0 by 1, %3 by T + 1"), true);
    check_rounds(WRITES("1, %0 by 1, %1 by T") READS("0, %0 by 1, %3 by T"), false);
    check_rounds(WRITES("0, %0 by H, %1 by 1") READS("0, %3 by 1"), false);
    check_rounds("fill b0[0, %0 by H] count H = 0", false);
}

/* In one round; or in two, the second behind the first. */
static void check_apart(const char *body, bool in_one, bool in_order)
{
    static const KernExcept order = {.in_order = true};
    Arena *a = arena_new();
    KernProg *k = step_program(a, body);
    const KStmt *loop = k->fn[REC_FORWARD].p[0], *x = loop->loop.body.p[0], *y = loop->loop.body.p[1];
    KernApart *in = kern_apart_new(a, k, &k->fn[REC_FORWARD], NULL, K_NONE);
    cr_assert_eq(kern_apart(in, x, y, 0, NULL, NULL), in_one, "one round: %s", body);
    cr_assert_eq(kern_apart(in, x, y, 0, loop, &order), in_order, "two rounds: %s", body);
    arena_free(a);
}

#define COLUMNS(VAR, SIZE, AT) "parallel %" VAR " < B { parallel %1" VAR " < " SIZE " { %2" VAR " : real = const 1 store b0[" AT ", %" VAR " by 3*H, %1" VAR " by 1] = %2" VAR " } } "

Test(kern, apart)
{
    check_apart(COLUMNS("1", "H", "0") COLUMNS("2", "2*H", "H"), true, true); /* rows of three parts: the first, and the others */
    check_apart(COLUMNS("1", "H", "0") COLUMNS("2", "2*H", "H - 1"), false, false);
    check_apart(COLUMNS("1", "2*H", "0") COLUMNS("2", "2*H", "H"), false, false);
    check_apart(WRITES("H, %0 by H, %1 by 1") READS("0, %0 by H, %3 by 1"), true, false); /* what comes next reads it */
    check_apart(WRITES("0, %0 by H, %1 by 1") READS("H, %0 by H, %3 by 1"), true, true); /* that was another one */
    check_apart(WRITES("0, %0 by H, %1 by 1") READS("H, %0 by 2*H, %3 by 1"), false, true);
    check_apart(WRITES("0, %0 by keep*H, %1 by 1") READS("H, %0 by keep*H, %3 by 1"), true, true);
    check_apart(WRITES("0, %0 by keep*H, %1 by 1") READS("0, %0 by keep*H, %3 by 1"), false, false);
}

/* What is known of one of them: in which round of its own loop it is. Without that they may meet. */
static void check_known(const char *body, bool of_second, Dim round, bool or_more)
{
    Arena *a = arena_new();
    KernProg *k = step_program(a, body);
    const KStmt *loop = k->fn[REC_FORWARD].p[0], *x = loop->loop.body.p[0], *y = loop->loop.body.p[1], *in = of_second ? y : x;
    KernApart *apart = kern_apart_new(a, k, &k->fn[REC_FORWARD], NULL, K_NONE);
    KernKnown known = {in, round == DIM_HUGE ? dim_sub(k->dims, in->loop.extent, DIM_ONE) : round, or_more};
    KernExcept except = {0};
    *(of_second ? &except.of_b : &except.of_a) = (KernKnowns){&known, 1, 1};
    cr_assert_not(kern_apart(apart, x, y, 0, NULL, NULL), "%s", body);
    cr_assert(kern_apart(apart, x, y, 0, NULL, &except), "%s", body);
    arena_free(a);
}

Test(kern, apart_in_a_known_round)
{
    check_known(WRITES("H, %1 by 1") "serial %9 < T { " READS("0, %9 by H, %3 by 1") " }", true, DIM_ZERO, false);
    check_known("serial %9 < T { " WRITES("H, %9 by H, %1 by 1") "} serial %8 < T { " READS("0, %8 by H, %3 by 1") " }", false, DIM_HUGE, false);
    check_known("serial %9 < T { " WRITES("0, %9 by H, %1 by 1") "} " READS("0, %3 by 1"), false, DIM_ONE, true);
}

/* In a piece of T places, of which only the first is known by where it begins. */
Test(kern, apart_in_a_known_round_of_a_piece)
{
    Arena *a = arena_new();
    KernProg *k = step_program(a, "strips %16 P < T length 2 { parallel %5 < P from %16 by 1 { " WRITES("0, %5 by H, %1 by 1") "} parallel %6 < P from %16 by 1 { " READS("0, %6 by H, %3 by 1") "} }");
    KStmt *strips = k->fn[REC_FORWARD].p[0]->loop.body.p[0];
    const KBlock *piece = kern_body(strips);
    KernApart *in = kern_apart_new(a, k, piece, &(KernPieces){&(KernPiece){strips->strips.part, strips->strips.extent}, 1, 1}, K_NONE);
    KernKnown later = {piece->p[0], DIM_ONE, true}, first = {piece->p[1], DIM_ZERO, false};
    cr_assert_not(kern_apart(in, piece->p[0], piece->p[1], 0, NULL, NULL));
    cr_assert_not(kern_apart(in, piece->p[0], piece->p[1], 0, NULL, &(KernExcept){.of_b = {&first, 1, 1}}));
    cr_assert(kern_apart(in, piece->p[0], piece->p[1], 0, NULL, &(KernExcept){.of_a = {&later, 1, 1}, .of_b = {&first, 1, 1}}));
    arena_free(a);
}

#define OTHERS(VAR, AT) "vector %" VAR " < H { %1" VAR " : real = load b0[" AT "] store b1[0, %" VAR " by 1] = %1" VAR " } "

/* A variable that stands in two loops is not the same in both: what is inside of one may be in any round of the other. */
Test(kern, apart_in_loops_with_one_variable)
{
    Arena *a = arena_new();
    KernProg *k = step_program(a, "serial %9 < B { " WRITES("0, %9 by 2*H, %1 by 1") READS("2*H, %9 by 2*H, %3 by 1") "} serial %9 < B { " OTHERS("5", "2*H, %9 by 2*H, %5 by 1") OTHERS("6", "H, %9 by 2*H, %6 by 1") "}");
    const KBlock *body = &k->fn[REC_FORWARD].p[0]->loop.body, *first = &body->p[0]->loop.body, *second = &body->p[1]->loop.body;
    KernApart *in = kern_apart_new(a, k, &k->fn[REC_FORWARD], NULL, K_NONE);
    cr_assert_not(kern_apart(in, first->p[0], second->p[0], 0, NULL, NULL));
    cr_assert(kern_apart(in, first->p[0], second->p[1], 0, NULL, NULL));
    arena_free(a);
}

/* Two iterations of loops of their own, in which they are in different rounds. */
Test(kern, apart_in_other_rounds)
{
    Arena *a = arena_new();
    KernProg *k = step_program(a, "parallel %5 < B { " WRITES("0, %5 by H, %1 by 1") "} parallel %6 < B { " READS("0, %6 by H, %3 by 1") "}");
    const KBlock *body = &k->fn[REC_FORWARD].p[0]->loop.body;
    KernApart *in = kern_apart_new(a, k, &k->fn[REC_FORWARD], NULL, K_NONE);
    const KStmt *rows = body->p[0], *columns = rows->loop.body.p[0];
    cr_assert_not(kern_apart(in, body->p[0], body->p[1], 0, NULL, NULL));
    cr_assert(kern_apart(in, body->p[0], body->p[1], 0, NULL, &(KernExcept){.loop_a = rows, .loop_b = body->p[1]}));
    cr_assert_not(kern_apart(in, body->p[0], body->p[1], 0, NULL, &(KernExcept){.loop_a = columns, .loop_b = body->p[1]}));
    arena_free(a);
}

/* b0 has so many elements. Statements i and j */
static void check_places(const char *size, const char *body, uint32_t i, uint32_t j, bool apart)
{
    Str error = {0};
    Arena *a = arena_new();
    KernProg *k = kern_read(a, str_fmt(a, "kern \"n\"\ndim B batch\ndim keep keep\ndim T time\ndim P size\nopen T\nopen B\nderived P = T / 3 floor\n"
                                          "buf b0 work real %s used 1 \"w\"\nforward {\n  %%9 : real = const 1\n  %s\n}\n", size, body), &error);
    cr_assert(k, "%.*s", STRF(error));
    const KBlock *all = &k->fn[REC_FORWARD];
    KernApart *in = kern_apart_new(a, k, all, NULL, K_NONE);
    cr_assert_eq(kern_apart(in, all->p[1 + i], all->p[1 + j], 0, NULL, NULL), apart, "%s: %u and %u", body, i, j);
    arena_free(a);
}

/* A size may be 0 unless something says that it is not: there is such an element, or something is done in a loop, which has a round. */
Test(kern, apart_whatever_sizes_are)
{
    check_places("B*T", "store b0[0] = %9 store b0[B*T] = %9", 0, 1, true);
    check_places("B*T + B", "store b0[0] = %9 store b0[B*T] = %9", 0, 1, false);
    check_places("B*T + B", "serial %0 < T { store b0[0] = %9 } store b0[B*T] = %9", 0, 1, false); /* it need not be that loop's */
    check_places("B*T + B", "serial %0 < T { store b0[0, %0 by B] = %9 } store b0[B*T] = %9", 0, 1, true);
    check_places("B*T + B", "serial %0 < T { serial %1 < B { store b0[0, %1 by 1] = %9 } } store b0[B*T] = %9", 0, 1, true);
}

/* A quotient times what it is divided by is at most what is divided. */
Test(kern, apart_by_quotients)
{
    static const char body[] = "parallel %0 < 3 { parallel %1 < P { %2 : real = load b0[0, %0 by P, %1 by 1] } } parallel %3 < T { store b0[T, %3 by 1] = %9 } "
                               "parallel %5 < T { store b0[3*P, %5 by 1] = %9 } parallel %7 < P { store b0[T - 3*P, %7 by 1] = %9 }";
    check_places("9*B*T", body, 0, 1, true);
    check_places("9*B*T", body, 0, 2, true);
    check_places("9*B*T", body, 0, 3, false);
    check_places("9*B*T", body, 1, 2, false);
    check_places("9*B*T", body, 1, 3, true); /* T - 3P + P - 1 */
}

static bool is_excused(void *cx, const KIndex *x, const KIndex *y)
{
    uint32_t *n = cx;
    (void)x, (void)y;
    return ++*n;
}

Test(kern, apart_but_for_excuses)
{
    Arena *a = arena_new();
    uint32_t asked = 0;
    KernProg *k = step_program(a, WRITES("0, %1 by 1") READS("0, %3 by 1"));
    const KBlock *body = &k->fn[REC_FORWARD].p[0]->loop.body;
    KernApart *in = kern_apart_new(a, k, &k->fn[REC_FORWARD], NULL, K_NONE);
    cr_assert_not(kern_apart(in, body->p[0], body->p[1], 0, NULL, NULL));
    cr_assert(kern_apart(in, body->p[0], body->p[1], 0, NULL, &(KernExcept){.excuse = is_excused, .cx = &asked}));
    cr_assert_eq(asked, 1);
    arena_free(a);
}

static Str axis_of(Arena *a, const char *body)
{
    KernProg *k = step_program(a, body);
    KStmt *tasks = kern_cut(k, k->fn[REC_FORWARD].p[0], 0);
    if (!tasks)
        return STR("none");
    vec_push(a, &k->fn[REC_INIT], tasks);
    k->fn[REC_FORWARD].n = 0;
    kern_verified(k);
    return dim_str(a, k->dims, tasks->tasks.extent);
}

Test(kern, cut)
{
    Arena *a = arena_new();
    cr_assert(str_is(axis_of(a, "parallel %1 < B { vector %2 < H { %3 : real = load b0[0, %1 by H] store b0[0, %1 by H, %2 by 1] = %3 } }"), "B"));
    cr_assert(str_is(axis_of(a, "parallel %1 < B { vector %2 < H { %3 : real = load b0[0, %2 by 1] store b0[0, %1 by H, %2 by 1] = %3 } }"), "H"));
    cr_assert(str_is(axis_of(a, "%3 : real = load b0[0] store b0[1] = %3"), "none"));
    arena_free(a);
}
