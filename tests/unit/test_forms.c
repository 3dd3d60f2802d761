/* Parallel forms compute what the sequential one does: for every length of chunk and number of pieces, any number of places
 * and sizes that divide nothing, ragged and packed batches with empty sequences, and cuts; outputs, final states and all
 * gradients. */
#include "tests/unit/forms.h"

#include <math.h>

/* Lengths: a full, an empty, and shorter sequences. `cuts`: resets at about every fifth place. */
typedef struct Call {
    int64_t T, B;
    bool lengths, cuts, starts;
    const int32_t *offset; /* of a packed batch, or NULL */
} Call;

static double ragged(int64_t T, int64_t b)
{
    return (double)(b == 0 ? T : b == 1 ? 0 : (2 * T + 1) / (b + 1));
}

static void draw(Forms *t, const Frame *f, uint32_t arg, const Call *how)
{
    int64_t n;
    RecRole role = f->prog->arg.p[arg].role;
    if ((role == ROLE_LENGTH && !how->lengths) || (role == ROLE_RESET && !how->cuts) || (role == ROLE_START && !how->starts))
        return;
    double *x = forms_argument(f, arg, &n);
    for (int64_t i = 0; i < n; i++)
        x[i] = role == ROLE_LENGTH ? ragged(how->T, i) : role == ROLE_RESET ? forms_uniform(t) > 0.6 : forms_value(t, f->prog->arg.p[arg].type.dt);
}

static Frame *drawn(Forms *t, Arena *a, const Call *how)
{
    Frame *f = forms_frame(t, a, how->T, how->B);
    f->offset = how->offset;
    for (uint32_t i = 0; i < f->prog->arg.n; i++)
        draw(t, f, i, how);
    return f;
}

/* Empty sequences in front, between and behind; lengths of 1, of whole chunks and of one more. */
static const int32_t few[] = {0, 0, 1, 1, 17, 81, 101, 101}, many[] = {0, 1, 1, 65, 5003, 5003, 10006, 10007, 10007}, none[] = {0, 0, 0};

static const Call calls[] = {
    {0, 3, true, true, true, NULL},  {1, 3, true, false, true, NULL},   {2, 3, false, true, true, NULL}, {7, 4, true, true, true, NULL},
    {29, 1, false, false, false, NULL}, {29, 4, true, true, true, NULL}, {101, 3, true, true, true, NULL}, {101, 2, false, false, true, NULL},
    {10007, 1, false, true, true, NULL}, {0, 2, false, false, true, none}, {101, 7, false, true, true, few}, {10007, 8, false, false, true, many},
};
enum { NCALL = sizeof calls / sizeof *calls };

static const RecForm forms[] = {{.kind = REC_FORM_CHUNK, .size = 1}, {.kind = REC_FORM_CHUNK, .size = 5},  {.kind = REC_FORM_CHUNK, .size = 16}, {.kind = REC_FORM_CHUNK, .size = 40},
                                {.kind = REC_FORM_CHUNK, .size = 64}, {.kind = REC_FORM_SCAN, .size = 3}, {.kind = REC_FORM_SCAN, .size = 16}, {.kind = REC_FORM_CONVOLUTION, .size = 1},
                                {.kind = REC_FORM_CONVOLUTION, .size = 7}, {.kind = REC_FORM_CONVOLUTION, .size = 64}};
enum { NFORM = sizeof forms / sizeof *forms };

static bool has(const RecForm *form, bool chunk, bool scan, bool convolution)
{
    return form->kind == REC_FORM_CHUNK ? chunk : form->kind == REC_FORM_SCAN ? scan : convolution;
}

/* Of the longest sequences one scan is enough. */
static bool compares(const RecForm *form, const Call *how)
{
    return how->T <= 101 || form->kind != REC_FORM_SCAN || form->size == 3;
}

/* One call: step by step, and then in each form of which there is code. */
static void compare(Forms *t, const Code *sequential, const Code *code, const bool *there, const Call *how)
{
    Arena *a = arena_new();
    Frame *f = drawn(t, a, how);
    Str why = STR("");
    cr_assert(frame_compiled(f, sequential, true, &why), "T = %lld: %s", (long long)how->T, str_c(a, why));
    for (uint32_t i = 0; i < NFORM; i++) {
        Arena *own = arena_new();
        Frame in_own = *f;
        in_own.arena = own;
        Frame *g = frame_copy(&in_own);
        bool ok = !there[i] || !compares(&forms[i], how) ||
                  (frame_compiled(g, &code[i], true, &why) && results_agree(f, g, (Tolerance){1e-12, 1e-12, 0, 0}, &why));
        cr_expect(ok, "%s, T = %lld%s: %s", form_name(t, forms[i]), (long long)how->T, how->offset ? ", packed" : "", str_c(own, why));
        arena_free(own);
    }
    arena_free(a);
}

/* In every form of the kinds that the entry has. */
static void agree_in(const char *file, const char *name, bool chunk, bool scan, bool convolution)
{
    Forms t;
    Code code[NFORM];
    bool there[NFORM];
    forms_open(&t, file, name);
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL, .size = 0}, PREC_F64);
    for (uint32_t i = 0; i < NFORM; i++)
        if ((there[i] = has(&forms[i], chunk, scan, convolution)))
            code[i] = forms_compile(&t, forms[i], PREC_F64);
    for (uint32_t k = 0; k < NCALL; k++)
        compare(&t, &sequential, code, there, &calls[k]);
    for (uint32_t i = 0; i < NFORM; i++)
        if (there[i])
            code_free(&code[i]);
    code_free(&sequential);
    forms_close(&t);
}

/* An entry of the standard library named as its file. */
static void agree(const char *name, bool chunk, bool scan, bool convolution)
{
    char file[64];
    snprintf(file, sizeof file, "stdlib/%s.rnn", name);
    agree_in(file, name, chunk, scan, convolution);
}

#define AGREE(NAME, CHUNK, SCAN, CONVOLUTION)                                                                                       \
    Test(forms, NAME, .timeout = 300)                                                                                  \
    {                                                                                                                  \
        agree(#NAME, CHUNK, SCAN, CONVOLUTION);                                                                                     \
    }

AGREE(linear_attention, true, true, false)
AGREE(retnet, true, true, false)
AGREE(mamba2, true, true, false)
AGREE(gla, true, true, false)
AGREE(mlstm, true, true, false)
AGREE(deltanet, true, true, false)
AGREE(gated_deltanet, true, true, false)
AGREE(kda, true, true, false)
AGREE(rwkv7, true, true, false)
AGREE(titans, true, true, false)
AGREE(mamba, false, true, false)
AGREE(rglru, false, true, false)
AGREE(mingru, false, true, false)
AGREE(rwkv4, false, true, false)
AGREE(aaren, false, true, false)
AGREE(s4d, false, true, true)

#define AGREE_IN(FILE, NAME)                                                                                           \
    Test(forms, NAME, .timeout = 300)                                                                                  \
    {                                                                                                                  \
        agree_in(FILE, #NAME, false, true, false);                                                                     \
    }

AGREE_IN("stdlib/hmm.rnn", hmm_forward)
AGREE_IN("tests/cells/running_log_sum.rnn", running_log_sum)
AGREE_IN("tests/cells/semiring_log_matrix.rnn", log_chain)
AGREE_IN("tests/cells/semiring_log_matrix.rnn", log_pair)
AGREE_IN("tests/cells/semiring_matrices.rnn", best_way)
AGREE_IN("tests/cells/semiring_matrices.rnn", from_the_diagonal)
AGREE_IN("tests/cells/semiring_matrices.rnn", list_and_mean)
AGREE_IN("tests/cells/semiring_matrices.rnn", turning)
AGREE_IN("tests/cells/semiring_shortest_path.rnn", shortest_path)
AGREE_IN("tests/cells/operators.rnn", attention)
AGREE_IN("tests/cells/operators.rnn", velocities)
AGREE_IN("tests/cells/operators.rnn", record)
AGREE_IN("tests/cells/operators.rnn", backwards)
AGREE_IN("tests/cells/operators.rnn", in_turn)
AGREE_IN("tests/cells/operators.rnn", conductors)
AGREE_IN("tests/cells/operators.rnn", permutations)
AGREE_IN("tests/cells/operators.rnn", mapped)
AGREE_IN("tests/cells/tables.rnn", automaton)
AGREE_IN("tests/cells/tables.rnn", pointers)
AGREE_IN("tests/cells/tables.rnn", resting)
AGREE_IN("tests/cells/tables.rnn", next_but_one)

/* Where nobody asks for a form, the sizes of the call decide: small matrices run step by step, with the same bits; large ones do not.
 * At the baseline: which products are rounded with a sum, at the other levels, differs from program to program. */
static void chosen(const char *name)
{
    static const Call call = {29, 2, true, true, true, NULL};
    Forms t;
    char file[64];
    snprintf(file, sizeof file, "stdlib/%s.rnn", name);
    forms_open(&t, file, name);
    t.level = CPU_BASELINE;
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    Code itself = forms_compile(&t, (RecForm){.kind = REC_FORM_AUTO}, PREC_F64);
    for (t.scale = 1; t.scale <= 14; t.scale += 13) {
        Arena *a = arena_new();
        Frame *f = drawn(&t, a, &call), *g = frame_copy(f);
        Str why = STR("");
        cr_assert(frame_compiled(f, &sequential, true, &why) && frame_compiled(g, &itself, true, &why), "%s", str_c(a, why));
        cr_expect(results_agree(f, g, (Tolerance){1e-12, 1e-12, 0, 0}, &why), "%s, scale %d: %s", name, (int)t.scale, str_c(a, why));
        cr_expect_eq(results_same(f, g, &why), t.scale == 1, "%s, scale %d: the other form ran", name, (int)t.scale);
        arena_free(a);
    }
    code_free(&itself);
    code_free(&sequential);
    forms_close(&t);
}

Test(forms, sizes_decide, .timeout = 300)
{
    chosen("mlstm");
    chosen("gla");
    chosen("gated_deltanet");
    chosen("rwkv7");
}

/* ---- tables ---- */

static const double *result_of(const Frame *f, const char *name, int64_t *n)
{
    for (uint32_t i = 0; i < f->prog->out.n; i++)
        if (str_eq(f->prog->out.p[i].name, str_of(name))) {
            *n = frame_count(f, &f->prog->out.p[i].type, f->prog->out.p[i].batched);
            return f->out[i];
        }
    cr_assert_fail("no result %s", name);
    return NULL;
}

/* An automaton whose first node leads to itself, all others nowhere. */
static Frame *dead_end(Forms *t, int64_t T, double start)
{
    const Call call = {.T = T, .B = 1};
    Frame *f = drawn(t, t->d.arena, &call);
    int64_t n;
    double *next = forms_argument(f, rec_arg_named(f->prog, "next"), &n);
    for (int64_t i = 0; i < n; i++)
        next[i] = i < 2 ? 0 : 99;
    forms_argument(f, rec_arg_named(f->prog, "node0"), &n)[0] = start;
    return f;
}

/* A scan composes what no sequence meets, too: an index outside of its table is one only where a sequence meets it. */
Test(forms, an_index_outside_counts_where_it_is_met)
{
    Forms t;
    forms_open(&t, "tests/cells/tables.rnn", "automaton");
    Code scan = forms_compile(&t, (RecForm){.kind = REC_FORM_SCAN, .size = 3}, PREC_F64);
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    const Code *code[] = {&sequential, &scan};
    for (uint32_t i = 0; i < 2; i++) {
        Str why = STR("");
        int64_t n;
        Frame *met = dead_end(&t, 29, 1), *not_met = dead_end(&t, 29, 0), *empty = dead_end(&t, 0, 7);
        cr_expect(!frame_compiled(met, code[i], false, &why), "%s: an index was met", i ? "scan" : "sequential");
        cr_expect(frame_compiled(not_met, code[i], false, &why), "%s: %s", i ? "scan" : "sequential", str_c(t.d.arena, why));
        cr_expect(frame_compiled(empty, code[i], false, &why), "%s: %s", i ? "scan" : "sequential", str_c(t.d.arena, why));
        cr_expect_eq(result_of(empty, "nodeT", &n)[0], 7, "%s: the end of an empty sequence is its start", i ? "scan" : "sequential");
    }
    code_free(&sequential);
    code_free(&scan);
    forms_close(&t);
}

/* A start that is no element of the table ends as it is where nothing is looked up. */
Test(forms, what_is_no_element_is_carried_on)
{
    Forms t;
    forms_open(&t, "tests/cells/tables.rnn", "resting");
    Code scan = forms_compile(&t, (RecForm){.kind = REC_FORM_SCAN, .size = 3}, PREC_F64);
    static const double start[] = {-6, 1000};
    for (uint32_t i = 0; i < 2; i++) {
        Frame *f = dead_end(&t, 29, start[i]);
        Str why = STR("");
        int64_t n;
        double *rests = forms_argument(f, rec_arg_named(f->prog, "rests"), &n);
        for (int64_t k = 0; k < n; k++)
            rests[k] = 1;
        cr_assert(frame_compiled(f, &scan, false, &why), "%s", str_c(t.d.arena, why));
        cr_expect_eq(result_of(f, "nodeT", &n)[0], start[i], "%g became %g", start[i], result_of(f, "nodeT", &n)[0]);
    }
    code_free(&scan);
    forms_close(&t);
}

/* ---- what makes no sense at one place ---- */

static void same_and_finite(const Frame *f, const Frame *g, const char *name)
{
    int64_t n;
    const double *x = result_of(f, name, &n), *y = result_of(g, name, &n);
    for (int64_t i = 0; i < n; i++)
        cr_assert(isfinite(x[i]) && fabs(x[i] - y[i]) <= 1e-11 * (1 + fabs(x[i])), "%s, element %d: %g and %g", name, (int)i, x[i], y[i]);
}

/* It is only in what is read out there: neither earlier nor later places see it. */
Test(forms, garbage_under_a_condition_stays_there)
{
    static const Call call = {.T = 43, .B = 2, .lengths = true, .cuts = true, .starts = true};
    Forms t;
    forms_open(&t, "tests/forms/garbage.rnn", "garbage");
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    Code chunk = forms_compile(&t, (RecForm){.kind = REC_FORM_CHUNK, .size = 8}, PREC_F64);
    Frame *f = drawn(&t, t.d.arena, &call), *g = frame_copy(f);
    Str why = STR("");
    cr_assert(frame_compiled(f, &sequential, false, &why) && frame_compiled(g, &chunk, false, &why), "%s", str_c(t.d.arena, why));
    same_and_finite(f, g, "y");
    same_and_finite(f, g, "ST");
    int64_t n, wild = 0;
    const double *guess = result_of(g, "guess", &n);
    for (int64_t i = 0; i < n; i++)
        wild += !isfinite(guess[i]);
    cr_expect(wild > 0 && wild < n, "%d of %d guesses make no sense", (int)wild, (int)n);
    code_free(&sequential);
    code_free(&chunk);
    forms_close(&t);
}

/* ---- compositions that are not finite ---- */

/* What the state meets: `first` at the first `places`, `later` behind them; at the last two places, which are in no
 * piece, 1 comes in. */
static Frame *overflowing(Forms *t, int64_t places, double first, double later, double x)
{
    static const Call call = {.T = 29, .B = 1};
    Frame *f = drawn(t, t->d.arena, &call);
    int64_t n, count;
    double *a = forms_argument(f, rec_arg_named(f->prog, "a"), &count), *in = forms_argument(f, rec_arg_named(f->prog, "x"), &n);
    for (int64_t i = 0; i < count; i++)
        a[i] = i * call.T < places * count ? first : later;
    for (int64_t i = 0; i < n; i++)
        in[i] = i * call.T < 27 * n ? x : 1;
    return f;
}

static void nothing_stays_nothing(const char *entry, int64_t places, double first, double later, double x)
{
    Forms t;
    forms_open(&t, "tests/forms/infinite.rnn", entry);
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    Code scan = forms_compile(&t, (RecForm){.kind = REC_FORM_SCAN, .size = 3}, PREC_F64);
    Frame *f = overflowing(&t, places, first, later, x), *g = frame_copy(f);
    Str why = STR("");
    cr_assert(frame_compiled(f, &sequential, false, &why) && frame_compiled(g, &scan, false, &why), "%s", str_c(t.d.arena, why));
    same_and_finite(f, g, "h");
    same_and_finite(f, g, "hT");
    code_free(&sequential);
    code_free(&scan);
    forms_close(&t);
}

Test(forms, what_begins_with_nothing_is_finite, .timeout = 300)
{
    static const char *const sums[] = {"scaled", "mixed"},
                             *const others[] = {"largest", "largest_mixed", "log_sum", "log_sum_mixed"};
    for (uint32_t i = 0; i < 2; i++)
        nothing_stays_nothing(sums[i], 2, 1e60, 1e60, 0);
    for (uint32_t i = 0; i < 4; i++)
        nothing_stays_nothing(others[i], 2, 1.2e308, -1, -1.7e308);
    nothing_stays_nothing("largest_guarded", 1, 1e3, 1, 0);
}
