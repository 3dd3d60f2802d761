/* The core of rec: builder, text form, verifier and evaluator. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "ir/rec/rec.h"
#include "tests/unit/reads.h"

/* ---- a plain recurrent cell, made by the builder ---- */

typedef struct Rnn {
    Arena *arena;
    RecProg *p;
    RecId recur, pre;
    Dim H, D, T;
    uint32_t out_h, out_last;
} Rnn;

static RecId matvec(RecBuild *b, RecId m, RecId x)
{
    const Type *t = rec_type(b->prog, m);
    RecUse um = rec_use(m, 2), ux = {.v = x, .axis = {1}};
    return rec_contract(b, um, ux, 1, 2, t->dim);
}

static RecId argument(RecBuild *b, const char *name, RecRole role, Type type, bool optional)
{
    return rec_arg(b, (RecArg){.name = str_of(name), .role = role, .type = type, .optional = optional, .of = 1});
}

/* h = tanh(W @ x + U @ h[t-1]), h0 from the caller. */
static Rnn rnn_new(bool reverse)
{
    Arena *a = arena_new();
    DimTab *dims = dim_tab_new(a);
    Rnn r = {.arena = a, .p = rec_prog_new(a, dims, STR("elman"))};
    DimSym T = dim_sym_new(dims, STR("T"), DIM_TIME), H = dim_sym_new(dims, STR("H"), DIM_USER);
    DimSym D = dim_sym_new(dims, STR("D"), DIM_USER);
    r.T = dim_of(dims, T), r.H = dim_of(dims, H), r.D = dim_of(dims, D);
    r.p->has_time = true;
    r.p->time = T;
    DimSym open[] = {T, r.p->batch, D, H};
    for (int i = 0; i < 4; i++)
        vec_push(a, &r.p->open, open[i]);

    RecBuild b = {.prog = r.p, .region = REC_FORWARD};
    RecId x = argument(&b, "x", ROLE_INPUT, (Type){DT_REAL, 2, {r.T, r.D}}, false);
    RecId W = argument(&b, "W", ROLE_PARAM, (Type){DT_REAL, 2, {r.H, r.D}}, false);
    RecId U = argument(&b, "U", ROLE_PARAM, (Type){DT_REAL, 2, {r.H, r.H}}, false);
    RecId h0 = argument(&b, "h0", ROLE_START, (Type){DT_REAL, 1, {r.H}}, true);
    RecRegion step;
    r.recur = rec_recur_open(&b, &h0, 1, &x, 1, r.T, reverse, &step);
    RecBuild in = {.prog = r.p, .region = step, .name = STR("pre")};
    RecId h = r.p->region.p[step].arg.p[0], xt = r.p->region.p[step].arg.p[1];
    r.pre = rec_map2(&in, FUN_ADD, matvec(&in, W, xt), matvec(&in, U, h));
    in.name = STR("h");
    RecId next = rec_map1(&in, FUN_TANH, r.pre);
    rec_recur_close(r.p, r.recur, (RecId[]){next, next}, 2);
    RecId last = rec_proj(&b, r.recur, 0), all = rec_proj(&b, r.recur, 1);
    r.out_h = rec_out(r.p, (RecOut){.name = STR("h"), .type = {DT_REAL, 2, {r.T, r.H}}, .value = all, .streams = true});
    r.out_last = rec_out(
        r.p, (RecOut){.name = STR("hT"), .role = OUT_FINAL, .type = {DT_REAL, 1, {r.H}}, .value = last, .of = 3});
    return r;
}

static Str printed(Arena *a, const RecProg *p)
{
    Text t = {.arena = a};
    rec_print(&t, p);
    return text_str(&t);
}

static void verified(const RecProg *p)
{
    Text why = {.arena = p->arena};
    cr_assert(rec_verify(p, &why), "%s\n%s", text_str(&why).p, printed(p->arena, p).p);
}

enum { H = 3, D = 2, MOST = 4 };

/* The same cell in plain C. */
static void plain_rnn(int T, bool reverse, const double *x, const double *W, const double *U, const double *h0,
                      double *out, double *last)
{
    for (int i = 0; i < H; i++)
        last[i] = h0 ? h0[i] : 0;
    for (int k = 0; k < T; k++) {
        int t = reverse ? T - 1 - k : k;
        double next[H];
        for (int i = 0; i < H; i++) {
            double wx = 0, uh = 0;
            for (int j = 0; j < D; j++)
                wx += W[i * D + j] * x[t * D + j];
            for (int j = 0; j < H; j++)
                uh += U[i * H + j] * last[j];
            next[i] = tanh(wx + uh);
        }
        for (int i = 0; i < H; i++)
            last[i] = out[t * H + i] = next[i];
    }
}

static void check_rnn(int T, bool reverse, bool with_start)
{
    Rnn r = rnn_new(reverse);
    verified(r.p);
    double x[MOST * D], W[H * D], U[H * H], h0[H], out[MOST * H], last[H];
    double *array[] = {x, W, U, h0};
    int count[] = {MOST * D, H * D, H * H, H};
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < count[k]; i++)
            array[k][i] = rec_random_value(7, (uint32_t)k, (uint64_t)i) - 0.5;
    RecArray arg[] = {{x}, {W}, {U}, {with_start ? h0 : NULL}};
    int64_t dim[] = {1, 0, T, H, D}; /* B, keep, T, H, D */
    RecEval *e = rec_eval_new(r.arena, r.p, dim, arg, 0);
    Str error = {0};
    cr_assert(rec_eval_run(e, REC_FORWARD, &error), "%.*s", STRF(error));
    plain_rnn(T, reverse, x, W, U, with_start ? h0 : NULL, out, last);
    const double *h = rec_eval_value(e, r.p->out.p[r.out_h].value),
                 *hT = rec_eval_value(e, r.p->out.p[r.out_last].value);
    for (int i = 0; i < T * H; i++)
        cr_assert_float_eq(h[i], out[i], 1e-15);
    for (int i = 0; i < H; i++)
        cr_assert_float_eq(hT[i], last[i], 1e-15);
    rec_eval_free(e);
    arena_free(r.arena);
}

Test(rec, recurrence_has_the_values_of_plain_c)
{
    for (int T = 0; T <= MOST; T++)
        for (int k = 0; k < 4; k++)
            check_rnn(T, k & 1, k & 2);
}

/* An exported value's PROJ stands right behind the recurrence, once, whatever uses it. */
Test(rec, export_gives_one_proj_behind_the_recurrence)
{
    Rnn r = rnn_new(false);
    RecId v = rec_recur_export(r.p, r.recur, r.pre);
    cr_assert_eq(rec_recur_export(r.p, r.recur, r.pre), v);
    cr_assert_eq(rec_op(r.p, r.recur)->nout, 2);
    const RecRegionInfo *root = &r.p->region.p[REC_FORWARD];
    cr_assert_eq(root->op.p[root->op.n - 1], v);
    RecBuild b = {.prog = r.p, .region = REC_FORWARD};
    rec_map1(&b, FUN_NEG, v);
    RecId next = r.p->region.p[rec_op(r.p, r.recur)->region].result.p[0];
    cr_assert_eq(rec_recur_export(r.p, r.recur, next), r.p->out.p[r.out_h].value);
    RecId xt = r.p->region.p[rec_op(r.p, r.recur)->region].arg.p[1], xs = rec_recur_export(r.p, r.recur, xt);
    root = &r.p->region.p[REC_FORWARD];
    cr_assert_eq(root->op.p[root->op.n - 2], xs);
    cr_assert_eq(rec_type(r.p, xs)->rank, 2);
    verified(r.p);
    arena_free(r.arena);
}

Test(rec, a_sequence_can_be_added)
{
    Rnn r = rnn_new(false);
    RecId x = r.p->arg.p[0].value, seen = rec_recur_add_seq(r.p, r.recur, x);
    cr_assert_eq(rec_type(r.p, seen)->rank, 1);
    cr_assert_eq(rec_op(r.p, seen)->index, 2);
    cr_assert(rec_inside(r.p, seen, REC_FORWARD) && !rec_inside(r.p, x, rec_op(r.p, r.recur)->region));
    verified(r.p);
    arena_free(r.arena);
}

/* ---- programs as text ---- */

#define HEAD                                                                                                           \
    "rec t doc \"a \\\"doc\\\"\\nof two lines\"\n"                                                                     \
    "dim B batch\ndim keep keep\ndim T time\ndim H size\ndim D size\n"                                                 \
    "time T\nopen T, B, H, D\nderived D = 2*H + 1 / H\n"                                                               \
    "arg 0 x : real[T, D] input batched\n"                                                                             \
    "arg 1 W : real[H, D] param frozen doc \"weights\"\n"                                                              \
    "arg 2 h0 : real[H] start of 1 optional batched\n"                                                                 \
    "arg 3 i : int[T] input batched\n"                                                                                 \
    "arg 4 p : bool input optional batched\n"
#define ARGS                                                                                                           \
    "  %0 : real[T, D] = arg 0  # x\n  %1 : real[H, D] = arg 1\n  %2 : real[H] = arg 2\n  %3 : int[T] = arg 3\n"       \
    "  %4 : bool = given 4\n"
#define FORWARD HEAD "forward {\n" ARGS
#define OUTS "out y : real[T, D] value batched streams = %0\nout hT : real[H] final of 2 batched = %2\n"
#define END "}\n" OUTS

/* Every kind of op, two levels of recurrence, all functions. */
static const char whole[] = FORWARD "  %5 : real = const -0.1  # \"odd name\"\n"
                                    "  %6 : real = const -inf\n"
                                    "  %7 : int = dim -T + 2*H*D + 1\n"
                                    "  %8 : int[H] = iota\n"
                                    "  %9 : real[T, D] = mul(%0[0,1], %5)\n"
                                    "  %10 : real[D] = reduce max(%9[1,0]) over (D | T)\n"
                                    "  %11 : real[T, H] = contract(%0[0,2], %1[1,2]) over (T, H | D)  # pre\n"
                                    "  %12 : real[T, D] = gather(%1[_,1], %3[0])\n"
                                    "  %13 : real[H, D] = scatter(%12[0,1], %3[0]) into [_,1] over (T, D)\n"
                                    "  %14 : real[T, 2*H] = concat(%11, %11) along 1\n"
                                    "  %15 : real[T, H] = slice(%14) along 1 from H\n"
                                    "  %16 : real[T, 2*H] = pad(%15) along 1 from H\n"
                                    "  %17 : real[2*T*H] = reshape(%16)\n"
                                    "  %18 : real[H] = where(%4, %2[0], %6)\n"
                                    "  %19 = recur(%18; %11) over T reverse {  # outer\n"
                                    "    %20 : real[H] = regarg 0\n"
                                    "    %21 : real[H] = regarg 1\n"
                                    "    %22 = recur(%20) over D {\n"
                                    "      %23 : real[H] = regarg 0\n"
                                    "      %24 : real[H] = add(%23[0], %21[0])\n"
                                    "      yield %24\n"
                                    "    }\n"
                                    "    %25 : real[H] = proj(%22) 0\n"
                                    "    yield %25; %25, %21\n"
                                    "  }\n"
                                    "  %26 : real[H] = proj(%19) 0\n"
                                    "  %27 : real[T, H] = proj(%19) 1\n"
                                    "  %28 = recur(; %27) over T {\n"
                                    "    %29 : real[H] = regarg 0\n"
                                    "    yield; %29\n"
                                    "  }\n"
                                    "}\n"
                                    "backward {\n"
                                    "  %30 : real[T, D] = neg(%9[0,1])\n"
                                    "}\n"
                                    "init {\n"
                                    "  %31 : real[H, D] = random 3\n"
                                    "}\n"
                                    "out y : real[T, H] value batched why \"it looks ahead\" = %27\n"
                                    "out hT : real[H] final of 2 batched streams = %26\n"
                                    "out d_x : real[T, D] grad of 0 batched = %30\n"
                                    "out W : real[H, D] param of 1 = %31\n";

static RecProg *read_text(Arena *a, const char *text)
{
    Str error = {0};
    RecProg *p = rec_read(a, str_of(text), &error);
    cr_assert(p, "%.*s\n%s", STRF(error), text);
    return p;
}

Test(rec, text_reads_back)
{
    Arena *a = arena_new();
    RecProg *p = read_text(a, whole);
    verified(p);
    cr_assert_str_eq(printed(a, p).p, whole);
    Rnn r = rnn_new(true);
    Str once = printed(r.arena, r.p);
    cr_assert_str_eq(printed(a, read_text(a, once.p)).p, once.p);
    arena_free(r.arena);
    arena_free(a);
}

static bool reads(Arena *a, Str text, Str *error)
{
    const RecProg *p = rec_read(a, text, error);
    Text why = {.arena = a};
    if (p)
        rec_verify(p, &why), printed(a, p);
    return p;
}

Test(rec, bad_text_is_refused_with_its_line)
{
    static const BadText bad[] = {
        {"", "line 1: expected `rec`"},
        {"rec", "line 1: expected a name"},
        {"rec t\ndim H sise\n", "line 2: `sise` is none"},
        {"rec t\ndim H size\ndim H size\n", "line 3: expected the name of a new dimension"},
        {"rec t\n\n# a comment\nforward {\n", "line 5: expected `}`"},
        {"rec t\nforward {\n  %0 : real = tan(%0)\n}", "line 3: `tan` is no operation"},
        {"rec t\nforward {\n  %0 : real = neg(%1)\n}", "line 3: %1 is not defined before"},
        {"rec t\nforward {\n  %0 : real = const 1\n  %0 : real = const 1\n}", "line 4: %0 is defined twice"},
        {"rec t\nforward {\n  %0 : real = const 1x\n}", "line 3: expected a number"},
        {"rec t\nforward {\n  %0 : real[H] = const 1\n}", "line 3: `H` is no dimension"},
        {"rec t\nforward {\n  %0 : real[1, 1, 1, 1, 1, 1, 1, 1, 1] = const 1\n}", "line 3: too many axes"},
        {"rec t\nforward {\n  %0 : int[99999999999] = iota\n}", "line 3: the number is too large"},
        {"rec t\nforward {\n  %0 : int[3] = iota\n  %1 : int[3] = neg(%0)\n}", "line 4: expected `[`"},
        {"rec t\nforward {\n  %0 : int[3] = iota\n  %1 : int[3] = neg(%0[12])\n}", "line 4: the number is too large"},
        {"rec t\nforward {\n  %0 : int[3] = iota\n  %1 : int = reduce sum(%0[0]) over (3)\n}", "line 4: `|` does not"},
        {"rec t\nforward {\n  %0 : real = regarg 0\n}", "line 3: the region's arguments"},
        {"rec t\nforward {\n  %0 = recur() over 3 {\n  }\n}", "line 4: expected `yield`"},
        {"rec t\nout y : real value = %0\n", "line 2: %0 is not defined"},
        {"rec t\nbatched\n", "line 2: expected `dim`"},
    };
    reads_refuses(reads, bad, sizeof bad / sizeof *bad);
}

Test(rec, damaged_text_is_survived)
{
    reads_survives(reads, whole, "%0,;[]{}(|9-_HT\" #\n");
}

/* ---- the verifier: a program for each rule ---- */

static const struct Broken {
    const char *rule, *text;
} broken_text[] = {
    {"PROJ, and nothing else",
     "  %5 = recur(%2) over T {\n    %6 : real[H] = regarg 0\n    yield %6\n  }\n  %7 : real[H] = id(%5)\n"},
    {"PROJ, and nothing else", "  %5 : real[H] = proj(%2) 0\n"},
    {"number of operands", "  %5 : real[H] = add(%2[0])\n"},
    {"not the first iteration axes", "  %5 : real[D] = reduce sum(%1[1,0]) over (H | D)\n"},
    {"does not exist", "  %5 : real[H] = neg(%2[1])\n"},
    {"another size", "  %5 : real[T, H] = id(%0[0,1])\n"},
    {"differ in their element type", "  %5 : real[T] = add(%3[0], %3[0])\n  %6 : real[T] = add(%3[0], %5[0])\n"},
    {"condition is not a bool", "  %5 : real[H] = where(%2[0], %2[0], %2[0])\n"},
    {"not the function's", "  %5 : real[H] = lt(%2[0], %2[0])\n"},
    {"element type is not the operand's", "  %5 : int = reduce sum(%2[0]) over (| H)\n"},
    {"bools have no sum", "  %5 : bool = reduce sum(%4) over (| H)\n"},
    {"name every axis", "  %5 : real[D] = reduce sum(%2[1]) over (D | H)\n"},
    {"differ in their element type", "  %5 : real[T] = contract(%3[0], %3[0]) over (T)\n"},
    {"named by no operand", "  %5 : real[T] = contract(%2[1], %2[1]) over (T | H)\n"},
    {"not named by both", "  %5 : real[T] = contract(%0[0,1], %3[0]) over (T | D)\n"},
    {"not named by both", "  %5 : real[H] = contract(%1[0,1], %2[0]) over (H | D)\n"},
    {"an index is not an int", "  %5 : real[H, D] = gather(%1[_,1], %2[0])\n"},
    {"not the table's", "  %5 : int[T, D] = gather(%1[_,1], %3[0])\n"},
    {"more indices than the table", "  %5 : real[T] = gather(%2[_], %3[0], %3[0])\n"},
    {"an index is not an int", "  %5 : real[H, D] = scatter(%1[0,1], %2[0]) into [_,1] over (H, D)\n"},
    {"follows no iteration axis", "  %5 : real[H, D] = scatter(%0[0,1], %3[0]) into [_,0] over (T, D)\n"},
    {"more indices than the result", "  %5 : int = scatter(%3[0], %3[0]) into over (T)\n"},
    {"does not have that axis", "  %5 : real[H] = slice(%2) along 1 from 0\n"},
    {"more than that axis", "  %5 : int[H] = slice(%2) along 0 from 0\n"},
    {"does not lie inside", "  %5 : real[2*H] = slice(%2) along 0 from -1\n"},
    {"does not lie inside", "  %5 : real[H] = pad(%2) along 0 from 1\n"},
    {"does not have that axis", "  %5 : real[H] = concat(%2) along 1\n"},
    {"more than that axis", "  %5 : real[T, H + D] = concat(%0, %1) along 1\n"},
    {"do not add up", "  %5 : real[H] = concat(%2, %2) along 0\n"},
    {"number of elements changes", "  %5 : real[H, H] = reshape(%2)\n"},
    {"too many dimensions", "  %5 : real[H*H, H*H, H*H, H*H, H*H, H] = reshape(%2)\n"},
    {"element type is not the operand's", "  %5 : int[H] = reshape(%2)\n"},
    {"no such argument", "  %5 : real[H] = arg 9\n"},
    {"type is not the argument's", "  %5 : real[D] = arg 2\n"},
    {"no such optional argument", "  %5 : bool = given 0\n"},
    {"not a bool scalar", "  %5 : int = given 4\n"},
    {"constant is not a scalar", "  %5 : real[H] = const 1\n"},
    {"not an int scalar", "  %5 : real = dim H\n"},
    {"not int[n]", "  %5 : int = iota\n"},
    {"init function only", "  %5 : real[H] = random 0\n"},
    {"random numbers are not real", "}\ninit {\n  %5 : int[H] = random 0\n"},
    {"one argument for each operand", "  %5 = recur(%2) over T {\n    yield %2\n  }\n"},
    {"state or of the sequence's element",
     "  %5 = recur(%2) over T {\n    %6 : real[D] = regarg 0\n    yield %2\n  }\n"},
    {"has not the recurrence's length", "  %5 = recur(; %2) over T {\n    %6 : real = regarg 0\n    yield\n  }\n"},
    {"a state changes its type", "  %5 = recur(%2) over T {\n    %6 : real[H] = regarg 0\n    yield %1\n  }\n"},
    {"instead of its PROJ",
     "  %5 = recur() over T {\n    %6 = recur() over T {\n      yield\n    }\n    yield; %6\n  }\n"},
    {"a result is no value of the step",
     "  %5 = recur() over T {\n    %6 : real = const 1\n    yield\n  }\n  %7 = recur() over T {\n    yield; %6\n  }\n"},
    {"do not stand first",
     "  %5 = recur(%2) over T {\n    %6 : real = const 1\n    %7 : real[H] = regarg 0\n    yield %7\n  }\n"},
    {"an until loop has per-step values", "  %5 = recur(%2) over T until {\n    %6 : real[H] = regarg 0\n    yield %6\n  }\n"},
    {"an until loop has per-step values", "  %5 = recur() over T until {\n    yield\n  }\n"},
    {"its places are no equal pieces", "  %5 = recur(%2) over T pieces 4 {\n    %6 : real[H] = regarg 0\n    yield %6\n  }\n"},
    {"its places are no equal pieces", "  %5 = recur(%2) over 6 pieces 4 {\n    %6 : real[H] = regarg 0\n    yield %6\n  }\n"},
    {"its places are no equal pieces", "  %5 = recur(%2) over 8 chunk pieces 4 {\n    %6 : real[H] = regarg 0\n    yield %6\n  }\n"},
    {"has no such result", "  %5 = recur() over T {\n    yield\n  }\n  %6 : real = proj(%5) 0\n"},
    {"does not stand in its recurrence's region", "  %5 = recur() over T {\n    yield; %2\n  }\n  %6 = recur() over T "
                                                  "{\n    %7 : real[T, H] = proj(%5) 0\n    yield\n  }\n"},
    {"type is not that of the recurrence's result",
     "  %5 = recur() over T {\n    yield; %2\n  }\n  %6 : real[H] = proj(%5) 0\n"},
    {"does not stand before it",
     "  %5 = recur() over T {\n    %6 : real = const 1\n    yield\n  }\n  %7 : real = neg(%6)\n"},
    {"does not stand before it", "}\ninit {\n  %5 : real[H] = neg(%2[0])\n"},
};

static void refused(const RecProg *p, const char *rule)
{
    Text why = {.arena = p->arena};
    cr_assert_not(rec_verify(p, &why), "not refused: %s\n%s", rule, printed(p->arena, p).p);
    cr_assert(strstr(text_str(&why).p, rule), "wanted: %s\ngot: %s", rule, text_str(&why).p);
    printed(p->arena, p);
}

Test(rec, verifier_finds_each_broken_rule)
{
    Arena *a = arena_new();
    verified(read_text(a, FORWARD END));
    for (size_t i = 0; i < sizeof broken_text / sizeof *broken_text; i++)
        refused(read_text(a, str_fmt(a, "%s%s%s", FORWARD, broken_text[i].text, END).p), broken_text[i].rule);
    arena_free(a);
}

Test(rec, verifier_checks_arguments_and_outputs)
{
    static const struct Broken bad[] = {
        {"its value has another type", FORWARD "}\n" OUTS "out y : real[H] value batched = %0\n"},
        {"does not stand in the function",
         FORWARD "}\nbackward {\n  %5 : real = const 1\n}\n" OUTS "out y : real value batched = %5\n"},
        {"no argument that fits", FORWARD "}\n" OUTS "out d_W : real[H, D] grad_param of 0 = %1\n"},
        {"start of no final state", FORWARD "}\nout y : real[T, D] value batched = %0\n"},
        {"cotangent of no output", HEAD "arg 5 d_y : real[T, D] cotangent of 7 optional batched\nforward {\n" ARGS END},
        {"parameters and the seed have no batch", HEAD "arg 5 V : real[H] param batched\nforward {\n" ARGS END},
    };
    Arena *a = arena_new();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(read_text(a, bad[i].text), bad[i].rule);
    arena_free(a);
}

/* What no text can say. */
Test(rec, verifier_finds_damaged_structure)
{
    static const char *const rule[] = {"no op",
                                       "does not stand before it",
                                       "more than one place",
                                       "its home is not",
                                       "belongs to another op",
                                       "no region of its own",
                                       "no such op",
                                       "too many axes",
                                       "no argument of its region",
                                       "is not its ARG",
                                       "stands in no region",
                                       "another one has this name",
                                       "not of kind time",
                                       "lists an op that does not exist",
                                       "one result for each state",
                                       "too many iteration axes",
                                       "no such function",
                                       "no such reduction",
                                       "a function's region belongs to an op",
                                       "three functions"};
    for (uint32_t i = 0; i < sizeof rule / sizeof *rule; i++) {
        Rnn r = rnn_new(false);
        RecRegion step = rec_op(r.p, r.recur)->region;
        RecBuild b = {.prog = r.p, .region = REC_FORWARD};
        RecRegionInfo *root = &r.p->region.p[REC_FORWARD], *in = &r.p->region.p[step];
        RecOp *pre = rec_op(r.p, r.pre);
        switch (i) {
        case 0: pre->use[0].v = r.p->op.n; break;
        case 1: pre->use[0].v = r.pre; break;
        case 2: vec_push(r.arena, &root->op, root->op.p[0]); break;
        case 3: pre->home = REC_INIT; break;
        case 4: in->owner = r.pre; break;
        case 5: rec_op(r.p, r.recur)->region = REC_FORWARD; break;
        case 6: pre->kind = REC_KIND_COUNT; break;
        case 7: pre->type.rank = MAXRANK + 1; break;
        case 8: pre->kind = REC_REGARG, pre->nuse = 0, pre->index = 0; break;
        case 9: r.p->arg.p[0].value = r.pre; break;
        case 10: root->op.n--; break;
        case 11: r.p->time = dim_sym_new(r.p->dims, STR("H"), DIM_TIME); break;
        case 12: r.p->time = r.p->batch; break;
        case 13: vec_push(r.arena, &root->op, 1000); break;
        case 14: rec_op(r.p, r.recur)->nout = 0; break;
        case 15: pre->nit = MAXIT + 1; break;
        case 16: pre->fun = FUN_COUNT; break;
        case 17: {
            RecId v = rec_reduce(&b, RED_SUM, rec_use(r.p->arg.p[0].value, 2), 0, 2, (Dim[]){r.T, r.D});
            rec_op(r.p, v)->red = RED_COUNT;
            break;
        }
        case 18: root->owner = r.pre; break;
        case 19: r.p->region.n = 2; break;
        default: cr_assert(false, "a rule without a program");
        }
        refused(r.p, rule[i]);
        arena_free(r.arena);
    }
}

/* ---- the evaluator ---- */

typedef struct Run {
    Arena *arena;
    RecProg *p;
    RecEval *e;
    Str error;
    bool ok;
} Run;

/* H = 2, D = 3; x counts from 0, W from 10, i is given. */
static Run run_text(const char *text, int64_t T, double *i)
{
    static double x[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, W[6] = {10, 11, 12, 13, 14, 15};
    Run r = {.arena = arena_new()};
    r.p = read_text(r.arena, text);
    verified(r.p);
    RecArray arg[5] = {{x}, {W}, {NULL}, {i}, {NULL}};
    int64_t dim[] = {1, 0, T, 2, 3};
    r.e = rec_eval_new(r.arena, r.p, dim, arg, 5);
    r.ok = rec_eval_run(r.e, REC_FORWARD, &r.error);
    return r;
}

static void end(Run *r)
{
    rec_eval_free(r->e);
    arena_free(r->arena);
}

/* The last op of the forward function has these values. */
static void gives(const char *body, int64_t T, uint32_t n, const double *expected)
{
    double i[4] = {1, 0, 1, 1};
    Arena *a = arena_new();
    Run r = run_text(str_fmt(a, "%s%s%s", FORWARD, body, END).p, T, i);
    cr_assert(r.ok, "%.*s", STRF(r.error));
    const RecRegionInfo *root = &r.p->region.p[REC_FORWARD];
    const double *got = rec_eval_value(r.e, root->op.p[root->op.n - 1]);
    for (uint32_t k = 0; k < n; k++)
        cr_assert(got[k] == expected[k], "%sat %u: %g instead of %g", body, k, got[k], expected[k]);
    end(&r);
    arena_free(a);
}

#define GIVES(body, T, ...) gives(body, T, sizeof((double[]){__VA_ARGS__}) / sizeof(double), (double[]){__VA_ARGS__})

Test(rec, evaluator_maps_axes)
{
    GIVES("  %5 : real[D, H] = neg(%1[1,0])\n", 1, -10, -13, -11, -14, -12, -15);
    GIVES("  %5 : real[T, H, D] = add(%0[0,2], %1[1,2])\n", 1, 10, 12, 14, 13, 15, 17);
    GIVES("  %5 : real[T, T] = contract(%0[0,2], %0[1,2]) over (T, T | D)\n  %6 : real[T] = id(%5[0,0])\n", 2, 5, 50);
    GIVES("  %5 : real = reduce sum(%1[0,1]) over (| H, D)\n", 0, 75);
    GIVES("  %5 : real[D] = reduce max(%1[1,0]) over (D | H)\n", 0, 13, 14, 15);
    GIVES("  %5 : real[H] = reduce prod(%1[0,1]) over (H | D)\n", 0, 1320, 2730);
    GIVES("  %5 : real[H] = contract(%1[0,1], %1[0,1]) over (H | D)\n", 0, 365, 590);
    GIVES("  %5 : int[D] = iota\n", 0, 0, 1, 2);
    GIVES("  %5 : int = dim 2*D + H\n", 0, 8);
}

Test(rec, evaluator_reduces_nothing)
{
    GIVES("  %5 : real[D] = reduce sum(%0[1,0]) over (D | T)\n", 0, 0, 0, 0);
    GIVES("  %5 : real[D] = reduce prod(%0[1,0]) over (D | T)\n", 0, 1, 1, 1);
    GIVES("  %5 : real[D] = reduce max(%0[1,0]) over (D | T)\n", 0, -INFINITY, -INFINITY, -INFINITY);
    GIVES("  %5 : real[D] = reduce min(%0[1,0]) over (D | T)\n", 0, INFINITY, INFINITY, INFINITY);
    GIVES("  %5 : real[D] = contract(%0[1,0], %0[1,0]) over (D | T)\n", 0, 0, 0, 0);
#define BOOLS "  %5 : bool[T, D] = lt(%0[0,1], %0[0,1])\n"
    GIVES(BOOLS "  %6 : bool[D] = reduce max(%5[1,0]) over (D | T)\n", 0, 0, 0, 0);
    GIVES(BOOLS "  %6 : bool[D] = reduce min(%5[1,0]) over (D | T)\n", 0, 1, 1, 1);
}

Test(rec, evaluator_moves_axes)
{
    GIVES("  %5 : real[H, 2] = slice(%1) along 1 from 1\n", 0, 11, 12, 14, 15);
    GIVES("  %5 : real[1, D] = slice(%1) along 0 from 1\n", 0, 13, 14, 15);
    GIVES("  %5 : real[H, D + 2] = pad(%1) along 1 from 1\n", 0, 0, 10, 11, 12, 0, 0, 13, 14, 15, 0);
    GIVES("  %5 : real[H, 2*D] = concat(%1, %1) along 1\n", 0, 10, 11, 12, 10, 11, 12, 13, 14, 15, 13, 14, 15);
    GIVES("  %5 : real[H + T, D] = concat(%1, %0) along 0\n", 1, 10, 11, 12, 13, 14, 15, 0, 1, 2);
    GIVES("  %5 : real[D*H] = reshape(%1)\n  %6 : real[D, H] = reshape(%5)\n", 0, 10, 11, 12, 13, 14, 15);
}

Test(rec, evaluator_gathers_and_scatters)
{
    GIVES("  %5 : real[T, D] = gather(%1[_,1], %3[0])\n", 2, 13, 14, 15, 10, 11, 12);
    GIVES("  %5 : real[T] = gather(%1[_,_], %3[0], %3[0])\n", 2, 14, 10);
    GIVES("  %5 : real[D, T] = gather(%1[_,0], %3[1])\n", 2, 13, 10, 14, 11, 15, 12);
    GIVES("  %5 : real[H, D] = scatter(%0[0,1], %3[0]) into [_,1] over (T, D)\n", 3, 3, 4, 5, 6, 8, 10);
    GIVES("  %5 : real[H, D] = scatter(%0[0,1], %3[0]) into [_,1] over (T, D)\n", 0, 0, 0, 0, 0, 0, 0);
}

Test(rec, evaluator_nests_recurrences)
{
    static const char nested[] = "  %5 = recur(%2; %3) over T reverse {\n"
                                 "    %6 : real[H] = regarg 0\n"
                                 "    %7 : int = regarg 1\n"
                                 "    %8 : real = real(%7)\n"
                                 "    %9 = recur(%6; %1) over H {\n"
                                 "      %10 : real[H] = regarg 0\n"
                                 "      %11 : real[D] = regarg 1\n"
                                 "      %12 : real = reduce sum(%11[0]) over (| D)\n"
                                 "      %13 : real = mul(%12, %8)\n"
                                 "      %14 : real[H] = add(%10[0], %13)\n"
                                 "      yield %14; %13\n"
                                 "    }\n"
                                 "    %15 : real[H] = proj(%9) 0\n"
                                 "    %16 : real[H] = proj(%9) 1\n"
                                 "    yield %15; %16, %6\n"
                                 "  }\n";
    Arena *a = arena_new();
    GIVES(str_fmt(a, "%s  %%17 : real[H] = proj(%%5) 0\n", nested).p, 3, 150, 150);
    GIVES(str_fmt(a, "%s  %%17 : real[H] = proj(%%5) 0\n", nested).p, 0, 0, 0);
    GIVES(str_fmt(a, "%s  %%17 : real[T, H] = proj(%%5) 1\n", nested).p, 3, 33, 42, 0, 0, 33, 42);
    GIVES(str_fmt(a, "%s  %%17 : real[T, H] = proj(%%5) 2\n", nested).p, 3, 75, 75, 75, 75, 0, 0);
    arena_free(a);
}

/* New states are all taken from before the step. */
Test(rec, evaluator_swaps_states)
{
    GIVES("  %5 : real = const 1\n  %6 : real = const 2\n  %7 = recur(%5, %6) over T {\n    %8 : real = regarg 0\n"
          "    %9 : real = regarg 1\n    yield %9, %8; %8\n  }\n  %10 : real[T] = proj(%7) 2\n",
          3, 1, 2, 1);
}

static void fails(const char *body, double *i, const char *message)
{
    Arena *a = arena_new();
    Run r = run_text(str_fmt(a, "%s%s%s", FORWARD, body, END).p, 2, i);
    cr_assert_not(r.ok);
    cr_assert(strstr(r.error.p, message), "wanted: %s\ngot: %.*s", message, STRF(r.error));
    end(&r);
    arena_free(a);
}

Test(rec, evaluator_reports_bad_data)
{
    double high[] = {1, 2}, low[] = {-1, 0}, nan[] = {NAN, 0}, fine[] = {0, 0};
    fails("  %5 : real[T, D] = gather(%1[_,1], %3[0])  # row\n", high, "`row`: index 2 is outside 0..1");
    fails("  %5 : real[T, D] = gather(%1[_,1], %3[0])\n", low, "index -1 is outside 0..1");
    fails("  %5 : real[T, D] = gather(%1[_,1], %3[0])\n", nan, "index nan is outside");
    fails("  %5 : real[H, D] = scatter(%0[0,1], %3[0]) into [_,1] over (T, D)\n", high, "index 2 is outside 0..1");
    fails("", NULL, "the array `i` is missing");
    fails("  %5 : int[H - D] = iota\n", fine, "the size H - D is negative");
    fails("  %5 : real[1] = slice(%2) along 0 from D\n", fine, "do not lie in an axis of size 2");
}

Test(rec, evaluator_runs_all_functions)
{
    double i[2] = {0, 1};
    Run r = run_text(whole, 2, i);
    cr_assert(r.ok, "%.*s", STRF(r.error));
    cr_assert(rec_eval_run(r.e, REC_BACKWARD, &r.error));
    cr_assert(rec_eval_run(r.e, REC_INIT, &r.error));
    const double *d_x = rec_eval_value(r.e, r.p->out.p[2].value), *W = rec_eval_value(r.e, r.p->out.p[3].value);
    for (int k = 0; k < 6; k++) {
        cr_assert_float_eq(d_x[k], 0.1 * k, 1e-15);
        cr_assert_eq(W[k], rec_random_value(5, 3, (uint64_t)k));
    }
    end(&r);
}

Test(rec, backward_needs_forward)
{
    Run r = {.arena = arena_new()};
    r.p = read_text(r.arena, whole);
    RecArray arg[5] = {{NULL}};
    int64_t dim[] = {1, 0, 2, 2, 3};
    r.e = rec_eval_new(r.arena, r.p, dim, arg, 0);
    cr_assert_not(rec_eval_run(r.e, REC_BACKWARD, &r.error));
    cr_assert_gt(r.error.n, 0);
    end(&r);
}

/* 1e5 draws lie inside (0, 1), with the mean and variance of the uniform distribution, and streams differ. */
Test(rec, random_values_are_uniform)
{
    double sum = 0, squares = 0;
    const int N = 100000;
    for (int i = 0; i < N; i++) {
        double u = rec_random_value(1, 2, (uint64_t)i);
        cr_assert(u > 0 && u < 1);
        sum += u;
        squares += (u - 0.5) * (u - 0.5);
    }
    cr_assert_float_eq(sum / N, 0.5, 0.005);
    cr_assert_float_eq(squares / N, 1.0 / 12, 0.001);
    cr_assert_neq(rec_random_value(1, 2, 0), rec_random_value(1, 3, 0));
    cr_assert_neq(rec_random_value(1, 2, 0), rec_random_value(2, 2, 0));
}

/* ---- forms by name ---- */

Test(form, every_name_reads_back)
{
    Arena *a = arena_new();
    for (uint32_t i = 0; rec_form_name(i); i++) {
        RecForm form = rec_form_name(i)->form, again;
        if (rec_form_name(i)->sized && !form.size)
            form.size = REC_FORM_MAXSIZE;
        Str text = rec_form_str(a, form);
        cr_assert(rec_form_read(text, &again), "%.*s", STRF(text));
        cr_assert(again.kind == form.kind && again.size == form.size, "%.*s", STRF(text));
        cr_assert_eq(rec_form_find(str_of(rec_form_name(i)->text)), rec_form_name(i));
    }
    arena_free(a);
}

Test(form, a_size_is_a_whole_number_where_there_is_one)
{
    static const char *const none[] = {"",         "chunk",      "chunk:",      "chunk:0", "chunk:4097", "chunk:99999999999999999999",
                                       "chunk:8x", "chunk: 8",   "chunk:-8",    "scan:",   "scan:1.5",   "scan:8:8",
                                       "chunks:8", "sequential:", "sequential:1", ":8",      "Chunk:8",    "scan "};
    RecForm form;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        cr_assert_not(rec_form_read(str_of(none[i]), &form), "`%s`", none[i]);
    cr_assert(rec_form_read(STR("scan"), &form) && form.kind == REC_FORM_SCAN && form.size == 16);
    cr_assert(rec_form_read(STR("chunk:8"), &form) && form.kind == REC_FORM_CHUNK && form.size == 8);
    cr_assert(rec_form_read(STR("sequential"), &form) && form.kind == REC_FORM_SEQUENTIAL && form.size == 0);
}
