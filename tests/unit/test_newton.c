/* rec.newton: the step's derivative and the errors of the iterations are those of the reference values; its result is that of
 * the sequential form in the same precision, whatever the cell, the weights and the input; what it says of itself is true. */
#include "tests/unit/forms.h"

#include <math.h>

#include "backends/backend.h"
#include "backends/cpu/abi.h"
#include "ir/rec/tangent.h"

static RecForm newton(uint32_t size)
{
    return (RecForm){.kind = REC_FORM_NEWTON, .size = size};
}

/* ---- calls, with what is told of them ---- */

typedef struct Told {
    int32_t *status, *iterations; /* [B], [B, windows] */
    double *residual, *error;     /* [B, windows]; error: its bound */
    int64_t windows;
} Told;

static void *report_of(const Code *code, const char *name, void **out, Arena *a, int64_t n)
{
    uint32_t i = 0;
    while (i < code->kern->out.n && !str_is(code->kern->out.p[i].name, name))
        i++;
    cr_assert_lt(i, code->kern->out.n, "there is no %s", name);
    return out[i] = arena_alloc(a, (size_t)n * 8 + 8);
}

/* NaN in the outputs before the call: nothing of it may be seen behind it. */
static void spoil(const Frame *f, void **out)
{
    for (uint32_t i = 0; i < f->prog->out.n; i++)
        if (f->prog->out.p[i].role == OUT_VALUE && f->prog->out.p[i].type.dt == DT_REAL)
            memset(out[i], 0xff, (size_t)frame_count(f, &f->prog->out.p[i].type, f->prog->out.p[i].batched) * sizeof(float));
}

static double *reals(Arena *a, const Code *code, const char *x, int64_t n)
{
    double *all = NEWN(a, double, n + 1);
    for (int64_t i = 0; i < n; i++)
        all[i] = code->cpu.precision == PREC_F64 ? ((const double *)x)[i] : (double)((const float *)x)[i];
    return all;
}

/* Outputs and final states of f, by Newton's form. */
static Told solved(Frame *f, const Code *code, int64_t T, int64_t B, uint32_t size)
{
    Native n = native_of(f, code);
    Told t = {.windows = T / size};
    t.status = report_of(code, "newton_status", n.out, f->arena, B);
    t.iterations = report_of(code, "newton_iterations", n.out, f->arena, B * t.windows);
    char *error = report_of(code, "newton_error", n.out, f->arena, B * t.windows);
    char *residual = report_of(code, "newton_residual", n.out, f->arena, B * t.windows);
    spoil(f, n.out);
    cr_assert_eq(cpu_call(code->code, REC_FORWARD, n.dim, (const void *const *)n.in, n.out, false, 0), RNN_OK);
    native_results(f, code, &n, false);
    t.error = reals(f->arena, code, error, B * t.windows);
    t.residual = reals(f->arena, code, residual, B * t.windows);
    return t;
}

static Frame *plainly(const Frame *f, const Code *sequential)
{
    Frame *g = frame_copy(f);
    Str why;
    cr_assert(frame_compiled(g, sequential, false, &why), "%s", str_c(f->arena, why));
    return g;
}

/* The greatest difference over the greatest element; infinite where only one is finite. */
static double apart(const Frame *f, const Frame *g, uint32_t out)
{
    const RecOut *o = &f->prog->out.p[out];
    double most = 0, size = 0;
    for (int64_t i = 0, n = frame_count(f, &o->type, o->batched); i < n; i++) {
        double x = f->out[out][i], y = g->out[out][i];
        if (isfinite(y))
            size = fmax(size, fabs(y));
        if (isfinite(x) != isfinite(y) || (!isfinite(y) && !isnan(x) != !isnan(y)))
            return INFINITY;
        if (isfinite(y))
            most = fmax(most, fabs(x - y));
    }
    return most > 0 ? most / size : 0;
}

static double all_apart(const Frame *f, const Frame *g)
{
    double most = 0;
    for (uint32_t i = 0; i < f->prog->out.n; i++)
        if (f->prog->out.p[i].role == OUT_VALUE || f->prog->out.p[i].role == OUT_FINAL)
            most = fmax(most, apart(f, g, i));
    return most;
}

static uint32_t argument(const Forms *t, const char *name)
{
    uint32_t i = rec_arg_named(t->reference, name);
    cr_assert_lt(i, t->reference->arg.n, "there is no %s", name);
    return i;
}

static uint32_t output_of(const RecProg *p, const char *name)
{
    uint32_t i = 0;
    while (!(str_is(p->out.p[i].name, name) && p->out.p[i].role == OUT_VALUE))
        i++;
    return i;
}

static Frame *drawn(Forms *t, Arena *a, int64_t T, int64_t B, double scale)
{
    return forms_fill(t, forms_frame(t, a, T, B), scale, scale);
}

/* The cell's only dimension of its own is H. */
static Frame *drawn_units(Forms *t, Arena *a, int64_t T, int64_t B, int64_t H, double scale)
{
    Frame *f = forms_frame(t, a, T, B);
    for (uint32_t i = 0; i < f->prog->open.n; i++)
        if (f->prog->open.p[i] != f->prog->time && f->prog->open.p[i] != f->prog->batch)
            f->dim[f->prog->open.p[i]] = H;
    return forms_fill(t, f, scale, scale);
}

/* ---- reference values ---- */

static Arrays reference(Arena *a, const char *file)
{
    Arrays all = {0};
    Str error;
    bool read = arrays_read(a, str_fmt(a, "%s/%s", RNNC_SOURCE_DIR, file), &all, &error);
    cr_assert(read, "%s", str_c(a, error));
    return all;
}

static Frame *loaded(Forms *t, Arena *a, const char *file)
{
    Arrays all = reference(a, file);
    Frame *f = frame_new(a, t->reference);
    Load l = {.frame = f, .from = &all, .grad = true, .used = NEWN(a, bool, all.list.n), .errors = {.arena = a}};
    cr_assert(load_arguments(&l, NULL, 0), "%s", text_str(&l.errors).p);
    return f;
}

/* The derivative of the step's only state by itself, as one more per-step value. */
static RecId with_derivative(RecProg *p)
{
    RecId recur = 0;
    while (rec_op(p, recur)->kind != REC_RECUR)
        recur++;
    const RecRegionInfo *step = &p->region.p[rec_op(p, recur)->region];
    Tangent t = tangent_begin((RecBuild){.prog = p, .region = rec_op(p, recur)->region});
    Type type = *rec_type(p, step->arg.p[0]);
    RecId result = step->result.p[0];
    tangent_seed(&t, step->arg.p[0], rec_broadcast(&t.b, rec_const(&t.b, DT_REAL, 1), &type));
    return rec_recur_export(p, recur, tangent_of(&t, result));
}

static void check_derivative(const char *file, const char *name)
{
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "stdlib/pararnn.rnn", "para_gru");
    Frame *f = loaded(&t, a, file);
    Arrays want = reference(a, "tests/data/para_gru_newton.npz");
    const Array *jac = arrays_find(&want, str_of(name));
    int64_t T = f->dim[t.reference->time], B = f->dim[t.reference->batch], H = jac->dim[2], n;
    RecProg *p = driver_elab(&t.d, t.unit, t.entry);
    RecId d = with_derivative(p);
    for (int64_t b = 0; b < B; b++) {
        RecArray *arg = NEWN(a, RecArray, p->arg.n + 1);
        for (uint32_t i = 0; i < p->arg.n; i++) {
            if (p->arg.p[i].role == ROLE_PARAM)
                arg[i].data = f->in[i];
            if (p->arg.p[i].role == ROLE_START)
                arg[i].data = f->in[i] + b * H;
            if (p->arg.p[i].role == ROLE_LENGTH)
                arg[i].data = NEWN(a, double, 1), arg[i].data[0] = (double)T;
            if (p->arg.p[i].role == ROLE_INPUT) {
                n = frame_count(f, &p->arg.p[i].type, true) / (T * B);
                arg[i].data = NEWN(a, double, T * n);
                for (int64_t k = 0; k < T * n; k++)
                    arg[i].data[k] = f->in[i][(k / n * B + b) * n + k % n];
            }
        }
        Str error;
        RecEval *e = rec_eval_new(a, p, f->dim, arg, 0);
        cr_assert(rec_eval_run(e, REC_FORWARD, &error));
        const double *got = rec_eval_value(e, d);
        for (int64_t k = 0; k < T * H; k++)
            cr_assert_lt(fabs(got[k] - array_get(jac, (k / H * B + b) * H + k % H)), 1e-11, "%s: place %d", name, (int)k);
        rec_eval_free(e);
    }
    arena_free(a);
    forms_close(&t);
}

Test(newton, the_derivative_of_para_gru)
{
    check_derivative("stdlib/para_gru.npz", "jac");
    check_derivative("stdlib/para_gru_zero.npz", "zero_jac");
}

/* Every sequence of f, once with each length: their final states are the states of all places. */
static Frame *all_prefixes(Forms *t, const Frame *f, int64_t T, int64_t B)
{
    Frame *g = frame_new(f->arena, t->reference);
    memcpy(g->dim, f->dim, dim_nsyms(t->reference->dims) * sizeof *g->dim);
    g->dim[t->reference->batch] = T * B;
    for (uint32_t i = 0; i < t->reference->arg.n; i++) {
        const RecArg *x = &t->reference->arg.p[i];
        int64_t n, rows = x->role == ROLE_INPUT ? T : 1;
        if (x->role == ROLE_PARAM)
            g->in[i] = f->in[i];
        if (x->role != ROLE_INPUT && x->role != ROLE_START && x->role != ROLE_LENGTH)
            continue;
        double *to = forms_argument(g, i, &n);
        int64_t each = n / (rows * T * B);
        for (int64_t k = 0; k < n; k++) {
            int64_t row = k / (T * B * each), b = k / each % (T * B);
            to[k] = x->role == ROLE_LENGTH ? (double)(b / B + 1) : f->in[i][(row * B + b % B) * each + k % each];
        }
    }
    return g;
}

/* f(0, x_t) of all places, which the iterations begin at: as many sequences of one place, from zero. */
static Frame *first_guess(Forms *t, const Frame *f, int64_t T, int64_t B)
{
    Frame *g = frame_new(f->arena, t->reference);
    memcpy(g->dim, f->dim, dim_nsyms(t->reference->dims) * sizeof *g->dim);
    g->dim[t->reference->time] = 1;
    g->dim[t->reference->batch] = T * B;
    for (uint32_t i = 0; i < t->reference->arg.n; i++) {
        RecRole role = t->reference->arg.p[i].role;
        if (role == ROLE_PARAM || role == ROLE_INPUT)
            g->in[i] = f->in[i];
    }
    return g;
}

/* The greatest difference between two frames' values of an output. */
static double distance(const Frame *f, const Frame *g, uint32_t out)
{
    double most = 0;
    for (int64_t i = 0, n = frame_count(f, &f->prog->out.p[out].type, true); i < n; i++)
        most = fmax(most, fabs(f->out[out][i] - g->out[out][i]));
    return most;
}

/* One window, all of it, and guesses that may go anywhere: the error that is left after each iteration, until rounding is all
 * that is left. */
static void check_iterations(const char *file, const char *name)
{
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "stdlib/pararnn.rnn", "para_gru");
    Frame *f = loaded(&t, a, file);
    Arrays want = reference(a, "tests/data/para_gru_newton.npz");
    const Array *error = arrays_find(&want, str_of(name));
    int64_t T = f->dim[t.reference->time], B = f->dim[t.reference->batch];
    uint32_t h = 0;
    while (!str_is(t.reference->out.p[h].name, "hT"))
        h++;
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    Frame *guess = plainly(first_guess(&t, f, T, B), &sequential);
    f = all_prefixes(&t, f, T, B);
    Frame *exact = plainly(f, &sequential);
    cr_expect_lt(fabs(distance(guess, exact, h) - array_get(error, 0)), 1e-3 * array_get(error, 0), "%s of the guess", name);
    for (uint32_t k = 1; array_get(error, k) > 1e-12; k++) {
        RecForm form = {.kind = REC_FORM_NEWTON, .size = (uint32_t)T, .rounds = k, .no_fallback = true, .no_clamp = true};
        Code code = forms_compile(&t, form, PREC_F64);
        Told told = solved(f, &code, T, T * B, form.size);
        double most = distance(f, exact, h), wanted = array_get(error, k);
        int32_t status = 0;
        for (int64_t b = 0; b < T * B; b++)
            status = told.status[b] > status ? told.status[b] : status;
        cr_expect_lt(fabs(most - wanted), 1e-3 * wanted, "%s after %u: %g, not %g", name, k, most, wanted);
        cr_expect_eq(status, most > 1e-11 ? 2 : 0, "after %u: status %d", k, (int)status);
        code_free(&code);
    }
    code_free(&sequential);
    arena_free(a);
    forms_close(&t);
}

Test(newton, errors_after_each_iteration, .timeout = 120)
{
    check_iterations("stdlib/para_gru.npz", "error");
    check_iterations("stdlib/para_gru_zero.npz", "zero_error");
}

/* ---- against the sequential form ---- */

typedef struct Hard {
    const char *file, *entry;
    double scale;                /* of what is drawn */
    void (*change)(Forms *t, Frame *f); /* NULL: nothing */
    int good;                    /* 1: Newton must do it, 0: it cannot, -1: either */
    int64_t units;               /* 0: a few */
} Hard;

static void set_from(Forms *t, Frame *f, const char *name, int64_t from, double x)
{
    int64_t n;
    double *v = forms_argument(f, argument(t, name), &n);
    for (int64_t i = from < 0 ? n / 2 : from; i < (from < 0 ? n / 2 + 1 : n); i++)
        v[i] = x;
}

static void start_inside(Forms *t, Frame *f)
{
    set_from(t, f, "s0", 0, 0.37);
}
static void on_the_attractor(Forms *t, Frame *f)
{
    set_from(t, f, "a0", 0, 1);
    set_from(t, f, "b0", 0, 2);
    set_from(t, f, "c0", 0, 20);
}
static void loud_weights(Forms *t, Frame *f)
{
    int64_t n;
    double *u = forms_argument(f, argument(t, "U"), &n);
    for (int64_t i = 0; i < n; i++)
        u[i] *= 4;
}
/* Small states, of either sign; then the step expands, and what is below 0 goes to -infinity. */
static void calm_then_wild(Forms *t, Frame *f)
{
    int64_t n;
    double *r = forms_argument(f, argument(t, "r"), &n);
    for (int64_t i = 0; i < n; i++)
        r[i] = i < n / 2 ? 0.5 : 3.9;
}
static void large(Forms *t, Frame *f)
{
    int64_t n;
    double *a = forms_argument(f, argument(t, "a"), &n), *c = forms_argument(f, argument(t, "c"), &n);
    for (int64_t i = 0; i < n; i++)
        a[i] *= 1e30, c[i] *= 1e30;
}
static void a_nan(Forms *t, Frame *f)
{
    set_from(t, f, "x", -1, (double)NAN);
}
static void an_infinity(Forms *t, Frame *f)
{
    set_from(t, f, "x", -1, INFINITY);
}

static void a_negative_zero(Forms *t, Frame *f)
{
    set_from(t, f, "x", -1, -0.0);
}

static const Hard hard[] = {
    {"tests/forms/hard.rnn", "logistic", 0.3, start_inside, 0, 0},
    {"tests/forms/hard.rnn", "lorenz", 0.3, on_the_attractor, 0, 0},
    {"tests/forms/hard.rnn", "loud", 1, loud_weights, -1, 0},
    {"tests/forms/hard.rnn", "loud", 0.3, loud_weights, -1, 32},
    {"tests/forms/hard.rnn", "modulated", 0.3, calm_then_wild, 0, 0},
    {"tests/forms/hard.rnn", "spiking", 0.4, NULL, -1, 0},
    {"tests/forms/hard.rnn", "gated", 0.5, NULL, 1, 0},
    {"tests/forms/hard.rnn", "gated", 1, large, -1, 0},
    {"tests/forms/hard.rnn", "gated", 1, a_nan, 0, 0},
    {"tests/forms/hard.rnn", "gated", 1, an_infinity, -1, 0},
    {"tests/forms/hard.rnn", "overshooting", 0.5, NULL, -1, 0},
    {"tests/forms/hard.rnn", "exploding", 0.4, NULL, -1, 0},
    {"tests/forms/hard.rnn", "exploding", 1.5, NULL, -1, 0},
    {"tests/forms/hard.rnn", "cancelling", 0.5, NULL, 0, 0},
    {"tests/forms/hard.rnn", "counting", 0.5, NULL, 1, 0},
    {"tests/forms/hard.rnn", "beside_a_jump", 0.5, NULL, 1, 0},
    {"tests/forms/hard.rnn", "powers", 0.5, NULL, 1, 0},
    {"tests/forms/hard.rnn", "zeros", 0.5, a_negative_zero, -1, 0},
    {"tests/forms/hard.rnn", "mixed_zeros", 0.5, a_negative_zero, -1, 0},
    {"stdlib/lstm.rnn", "lstm", 1, NULL, -1, 0},
    {"stdlib/elman.rnn", "elman", 0.5, a_nan, 0, 0},
};

/* Else only equal bits count, which in pieces come about one place after the other. */
static bool has_bound(const Code *code)
{
    for (uint32_t i = 0; i < code->kern->out.n; i++)
        if (str_is(code->kern->out.p[i].name, "newton_contraction"))
            return true;
    return false;
}

enum { HARD_WINDOW = 32 };

static void check_call(Forms *t, const Hard *h, const Code *sequential, const Code *code, int64_t T, uint32_t pieces)
{
    enum { B = 3 };
    Arena *a = arena_new();
    Frame *f = h->units ? drawn_units(t, a, T, B, h->units, h->scale) : drawn(t, a, T, B, h->scale);
    if (h->change)
        h->change(t, f);
    Frame *want = plainly(f, sequential);
    Told told = solved(f, code, T, B, HARD_WINDOW);
    bool f64 = code->cpu.precision == PREC_F64;
    double off = all_apart(f, want), tolerance = f64 ? 1e-10 : 1e-4;
    int bad = 0;
    for (int b = 0; b < B; b++)
        bad += told.status[b] != 0;
    cr_expect_leq(off, tolerance, "%s, scale %g, T %d, %s, %u pieces: off by %g, %d of 3 sequences run again", h->entry, h->scale, (int)T,
                  f64 ? "f64" : "f32", pieces, off, bad);
    bool any = h->good < 0 || (h->good && pieces && !has_bound(code));
    cr_expect(any || (h->good ? bad == 0 : bad > 0), "%s, scale %g, %u pieces: %d sequences run again", h->entry, h->scale, pieces, bad);
    arena_free(a);
}

static void check_hard_by(const Hard *h, Precision precision, uint32_t pieces, RecDerivative derivative)
{
    Forms t;
    RecForm form = newton(HARD_WINDOW);
    form.pieces = pieces;
    form.derivative = derivative;
    forms_open(&t, h->file, h->entry);
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, precision), code = forms_compile(&t, form, precision);
    check_call(&t, h, &sequential, &code, 517, pieces);
    if (!pieces)
        check_call(&t, h, &sequential, &code, 100, pieces);
    code_free(&sequential);
    code_free(&code);
    forms_close(&t);
}

static void check_hard(const Hard *h, Precision precision, uint32_t pieces)
{
    check_hard_by(h, precision, pieces, REC_DERIVATIVE_AUTO);
}

Test(newton, never_a_wrong_answer, .timeout = 300)
{
    for (uint32_t i = 0; i < sizeof hard / sizeof *hard; i++)
        for (int k = 0; k < 2; k++)
            check_hard(&hard[i], k ? PREC_F32 : PREC_F64, 0);
}

Test(newton, nor_one_in_pieces, .timeout = 300)
{
    for (uint32_t i = 0; i < sizeof hard / sizeof *hard; i++)
        for (int k = 0; k < 2; k++)
            check_hard(&hard[i], k ? PREC_F32 : PREC_F64, 8);
}

/* Where elements mix, and steps are composed as matrices. */
Test(newton, nor_one_where_matrices_are_composed, .timeout = 300)
{
    static const Hard mixing[] = {
        {"tests/forms/hard.rnn", "loud", 1, loud_weights, 0, 3},       {"tests/forms/hard.rnn", "mixed_zeros", 0.5, a_negative_zero, -1, 3},
        {"tests/forms/hard.rnn", "woven", 0.5, NULL, 1, 0},            {"tests/forms/hard.rnn", "woven", 3, NULL, -1, 0}, 
        {"tests/forms/hard.rnn", "woven", 0.5, a_nan, 0, 0},           {"tests/forms/hard.rnn", "woven", 0.5, an_infinity, -1, 0},
        {"tests/forms/hard.rnn", "summed_jump", 0.5, NULL, -1, 0},     {"stdlib/elman.rnn", "elman", 0.3, NULL, -1, 3},
        {"tests/forms/hard.rnn", "counted", 0.5, NULL, -1, 0},
    };
    for (uint32_t i = 0; i < sizeof mixing / sizeof *mixing; i++)
        for (int k = 0; k < 2; k++)
            check_hard_by(&mixing[i], k ? PREC_F32 : PREC_F64, 8, REC_DERIVATIVE_EXACT);
}

/* ---- what is said of the error is no less than the error ---- */

/* In window w of sequence b, the greatest difference of an output of n elements, over its greatest element. */
static double off_in(const Frame *f, const Frame *want, const char *name, int64_t n, int64_t B, int64_t size, int64_t b, int64_t w)
{
    uint32_t out = output_of(f->prog, name);
    double off = 0, most = 0;
    for (int64_t t = w * size; t < (w + 1) * size; t++)
        for (int64_t i = (t * B + b) * n; i < (t * B + b + 1) * n; i++) {
            off = fmax(off, fabs(f->out[out][i] - want->out[out][i]));
            most = fmax(most, fabs(f->out[out][i]));
        }
    return off / most;
}

/* Iterations that end early leave errors; how many of them, of those that have a bound, are more than rounding. */
static int check_bounds(const Code *code, const Code *sequential, Forms *t, double scale)
{
    enum { SIZE = 32, W = 3, B = 16 };
    Arena *a = arena_new();
    Frame *f = drawn(t, a, W * SIZE, B, scale), *want = plainly(f, sequential);
    Told told = solved(f, code, W * SIZE, B, SIZE);
    int any = 0;
    for (int64_t i = 0; i < B * W; i++) {
        int64_t b = i / W, w = i % W;
        if (told.status[b] != 0)
            continue;
        double off = fmax(off_in(f, want, "h", 3, B, SIZE, b, w), off_in(f, want, "c", 2, B, SIZE, b, w));
        cr_expect_leq(off, told.error[i], "scale %g, sequence %d, window %d: off by %g, said to be by %g at most", scale, (int)b, (int)w, off, told.error[i]);
        any += off > 1e-7;
    }
    arena_free(a);
    return any;
}

Test(newton, bounds_of_woven_states_hold, .timeout = 120)
{
    Forms t;
    forms_open(&t, "tests/forms/hard.rnn", "woven");
    for (uint32_t rounds = 1; rounds <= 3; rounds++)
        for (int k = 0; k < 2; k++) {
            RecForm form = {.kind = REC_FORM_NEWTON, .size = 32, .pieces = 8, .rounds = rounds, .tolerance = 0.2, .no_fallback = true};
            Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, k ? PREC_F32 : PREC_F64), code = forms_compile(&t, form, k ? PREC_F32 : PREC_F64);
            int any = check_bounds(&code, &sequential, &t, 0.5) + check_bounds(&code, &sequential, &t, 0.2);
            cr_expect(any > 0 || rounds == 3, "%u iterations: no error has a bound", rounds);
            code_free(&code);
            code_free(&sequential);
        }
    forms_close(&t);
}

/* What the first window leaves is off. In the second one v is made of what is left of u, `at` being u's product as Newton has it, or
 * a little more: nothing at u's own place tells how far off v is. Sequences whose bound was accepted; with v silent, there must be some. */
static int accepted(Forms *t, const Code *code, const Code *sequential, double loud)
{
    enum { SIZE = 32, T = 2 * SIZE, B = 16 };
    static const double matrix[9] = {0.4, -0.3, 0.2, 0.1, 0.5, -0.2, -0.3, 0.2, 0.4};
    Arena *a = arena_new();
    Frame *f = drawn(t, a, T, B, 0.5);
    int64_t n;
    double *y = forms_argument(f, argument(t, "y"), &n), *k = forms_argument(f, argument(t, "k"), &n), *at = forms_argument(f, argument(t, "at"), &n);
    double *m = forms_argument(f, argument(t, "M"), &n);
    int any = 0;
    memcpy(m, matrix, sizeof matrix);
    for (int64_t i = 0; i < T * B; i++) {
        y[i] = i < SIZE * B;
        k[i] = i < (SIZE + 1) * B ? 0 : loud; /* what is put out of u at its first place is the step of what the window finds, which nobody tells */
        at[3 * i] = at[3 * i + 1] = at[3 * i + 2] = 100;
    }
    solved(f, code, T, B, SIZE);
    const double *u = f->out[output_of(t->reference, "u")];
    for (int64_t i = (SIZE + 1) * B * 3; loud > 0 && i < T * B * 3; i++) {
        const double *row = m + i % 3 * 3, *before = u + (i / 3 - B) * 3;
        at[i] = 1e-9 + row[0] * before[0] + row[1] * before[1] + row[2] * before[2];
    }
    Frame *want = plainly(f, sequential);
    Told told = solved(f, code, T, B, SIZE);
    int64_t nv = frame_count(f, &f->prog->out.p[output_of(f->prog, "v")].type, true) / (T * B);
    for (int64_t b = 0; b < B; b++) {
        double off = fmax(off_in(f, want, "u", 3, B, SIZE, b, 1), off_in(f, want, "v", nv, B, SIZE, b, 1));
        cr_expect(told.status[b] != 0 || off <= told.error[2 * b + 1], "sequence %d: off by %g, said to be by %g at most", (int)b, off, told.error[2 * b + 1]);
        any += told.status[b] == 0 && off > 1e-7;
    }
    arena_free(a);
    return any;
}

Test(newton, what_the_states_do_not_show, .timeout = 120)
{
    static const char *const entry[] = {"flat", "bent", "stepped", "cut"};
    for (size_t i = 0; i < sizeof entry / sizeof *entry; i++) {
        Forms t;
        RecForm form = {.kind = REC_FORM_NEWTON, .size = 32, .pieces = 8, .rounds = 2, .tolerance = 0.2, .no_fallback = true, .derivative = REC_DERIVATIVE_EXACT};
        forms_open(&t, "tests/forms/hard.rnn", entry[i]);
        Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64), code = forms_compile(&t, form, PREC_F64);
        cr_expect(accepted(&t, &code, &sequential, 0) > 0, "%s: no bound", entry[i]);
        accepted(&t, &code, &sequential, 1e7);
        code_free(&code);
        code_free(&sequential);
        forms_close(&t);
    }
}

/* ---- jumps ---- */

/* The step jumps at `at`, which far from the states changes nothing; then at one place where Newton's v is off, between both. */
static void check_jumps(const char *entry, Precision precision)
{
    enum { T = 48, SIZE = 16 };
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "tests/forms/hard.rnn", entry);
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, precision), code = forms_compile(&t, newton(SIZE), precision);
    Frame *f = drawn_units(&t, a, T, 1, 8, 1), *far = frame_copy(f), *want = plainly(f, &sequential);
    uint32_t at = argument(&t, "at"), v = output_of(t.reference, "v"), tried = 0;
    Told told = solved(far, &code, T, 1, SIZE);
    cr_expect_eq(told.status[0], 0, "%s does not converge", entry);
    int64_t n = frame_count(f, &t.reference->out.p[v].type, true), row = n / T;
    for (int64_t i = 0; i < n - row; i++) {
        if (far->out[v][i] == want->out[v][i])
            continue;
        Frame *near = frame_copy(f);
        near->in[at] = memcpy(NEWN(a, double, n), f->in[at], (size_t)n * sizeof(double));
        near->in[at][i + row] = fmax(far->out[v][i], want->out[v][i]);
        Frame *exact = plainly(near, &sequential);
        solved(near, &code, T, 1, SIZE);
        double off = all_apart(near, exact);
        cr_expect_leq(off, precision == PREC_F64 ? 1e-10 : 1e-4, "%s, place %d: off by %g", entry, (int)(i / row), off);
        tried++;
    }
    cr_expect_gt(tried, 10);
    code_free(&sequential);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

Test(newton, jumps_at_the_edge_of_the_error, .timeout = 120)
{
    static const char *const entry[] = {"jumping", "floored", "signed", "whole", "poles"};
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < (i < 4 ? 2 : 1); k++) /* in single precision a pole is too steep */
            check_jumps(entry[i], k ? PREC_F32 : PREC_F64);
}

/* ---- what is not shown to be right is made by the plain step, from where that is exact ---- */

/* Windows that are chaotic, or are not: r is 3.9 or 0.5 in turns of `turn` places, chaotic first or last. */
static void modulate(Forms *t, Frame *f, int64_t turn, bool first)
{
    int64_t n;
    double *r = forms_argument(f, argument(t, "r"), &n);
    int64_t each = n / f->dim[t->reference->time];
    for (int64_t i = 0; i < n; i++)
        r[i] = (i / each / turn % 2 == 0) == first ? 3.9 : 0.5;
    double *x = forms_argument(f, argument(t, "x"), &n);
    for (int64_t i = 0; i < n; i++)
        x[i] = fabs(x[i]);
    set_from(t, f, "s0", 0, 0.37);
}

static void check_turns(Precision precision, int64_t turn, bool first)
{
    enum { T = 256, B = 2, SIZE = 32 };
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "tests/forms/hard.rnn", "modulated");
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, precision), code = forms_compile(&t, newton(SIZE), precision);
    Frame *f = drawn(&t, a, T, B, 0.3);
    modulate(&t, f, turn, first);
    Frame *want = plainly(f, &sequential);
    Told told = solved(f, &code, T, B, SIZE);
    double off = all_apart(f, want);
    bool calm_again = first && turn == T / 2;
    cr_expect(calm_again ? off <= (precision == PREC_F64 ? 1e-11 : 1e-4) : off == 0, "turns of %d: off by %g", (int)turn, off);
    for (int64_t i = 0; i < B * told.windows; i++) {
        static const int tried[] = {16, 0, 16, 0, 0, 0, 3, 3}; /* not for one window, then not for three; calm from the fifth on */
        cr_expect_eq(told.status[i / told.windows], 1);
        cr_expect(!calm_again || abs(told.iterations[i] - tried[i % told.windows]) < 3, "window %d: %d iterations", (int)i,
                  (int)told.iterations[i]);
    }
    code_free(&sequential);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

/* Behind windows that are finished step by step others are solved; chaos behind what is only nearly right makes all be run again. */
Test(newton, chaos_comes_and_goes, .timeout = 120)
{
    for (int k = 0; k < 2; k++) {
        check_turns(k ? PREC_F32 : PREC_F64, 128, true);
        check_turns(k ? PREC_F32 : PREC_F64, 128, false);
        check_turns(k ? PREC_F32 : PREC_F64, 256, true);
    }
}

/* What is made at all places at once has the bits of the plain step, or a network beyond the edge of chaos would show it. */
static void check_bits(Precision precision, RecDerivative derivative)
{
    enum { T = 517, B = 3, SIZE = 16, UNITS = 32 };
    Forms t;
    Arena *a = arena_new();
    RecForm form = newton(SIZE);
    form.derivative = derivative;
    forms_open(&t, "tests/forms/hard.rnn", "loud");
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, precision), code = forms_compile(&t, form, precision);
    Frame *f = drawn_units(&t, a, T, B, UNITS, 0.3);
    loud_weights(&t, f);
    Frame *want = plainly(f, &sequential);
    Told told = solved(f, &code, T, B, SIZE);
    double off = all_apart(f, want);
    cr_expect_eq(off, 0, "off by %g", off);
    for (int b = 0; b < B; b++)
        cr_expect_eq(told.status[b], 0);
    code_free(&sequential);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

Test(newton, equal_bits_of_a_chaotic_network)
{
    check_bits(PREC_F64, REC_DERIVATIVE_BLOCK);
    check_bits(PREC_F32, REC_DERIVATIVE_BLOCK);
    check_bits(PREC_F32, REC_DERIVATIVE_EXACT);
}

/* ---- what has settled stays as it is ---- */

/* The first channel's states, and how many iterations there were, with weights of the second channel that are `loud`. */
static const double *beside(Forms *t, Arena *a, const Code *code, double loud, int64_t *iterations)
{
    enum { T = 96, SIZE = 32 };
    t->random = 1;
    Frame *f = drawn_units(t, a, T, 1, 2, 0.5);
    static const char *const weight[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        set_from(t, f, weight[i], 1, loud);
    Told told = solved(f, code, T, 1, SIZE);
    const double *h = f->out[output_of(t->reference, "h")];
    double *own = NEWN(a, double, T);
    for (int64_t i = 0; i < T; i++)
        own[i] = h[2 * i];
    *iterations = 0;
    for (int64_t i = 0; i < told.windows; i++)
        *iterations += told.iterations[i];
    cr_expect_eq(told.status[0], 0, "weights %g", loud);
    return own;
}

Test(newton, a_channel_does_not_wait_for_others)
{
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "tests/forms/hard.rnn", "gated");
    for (int k = 0; k < 2; k++) {
        Code code = forms_compile(&t, newton(32), k ? PREC_F32 : PREC_F64);
        int64_t few, many;
        const double *quiet = beside(&t, a, &code, 0.1, &few), *loud = beside(&t, a, &code, 1.5, &many);
        cr_expect_lt(few, many);
        cr_expect_eq(memcmp(quiet, loud, 96 * sizeof *quiet), 0, "it differs beside a slow channel");
        code_free(&code);
    }
    arena_free(a);
    forms_close(&t);
}

/* ---- the residual ---- */

/* The largest |h[t] - f(h[t-1], x[t])| of one sequence's states at all places, by as many plain steps. */
static double residual_of(Forms *t, const Frame *f, const double *state, const Code *sequential, int64_t T)
{
    Frame *g = first_guess(t, f, T, 1);
    uint32_t start = argument(t, "h0"), h = output_of(t->reference, "h");
    int64_t n;
    double *from = forms_argument(g, start, &n), most = 0;
    memcpy(from, f->in[start], (size_t)(n / T) * sizeof *from);
    memcpy(from + n / T, state, (size_t)(n - n / T) * sizeof *from);
    g = plainly(g, sequential);
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(g->out[h][i] - state[i]));
    return most;
}

Test(newton, the_residual_is_what_is_left_of_the_equations)
{
    enum { T = 24 };
    Forms t;
    Arena *a = arena_new();
    uint32_t last = 0;
    forms_open(&t, "stdlib/gru.rnn", "gru");
    while (!str_is(t.reference->out.p[last].name, "hT"))
        last++;
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    for (uint32_t rounds = 1; rounds < 4; rounds++) {
        RecForm form = newton(T);
        form.rounds = rounds;
        form.no_fallback = true;
        Code code = forms_compile(&t, form, PREC_F64);
        Frame *f = drawn(&t, a, T, 1, 1), *all = all_prefixes(&t, f, T, 1);
        Told told = solved(all, &code, T, T, T);
        double want = residual_of(&t, f, all->out[last], &sequential, T), got = told.residual[T - 1];
        cr_expect(want > 1e-6 && fabs(got - want) <= 1e-12, "%g, not %g", got, want);
        cr_expect_eq(told.status[T - 1], 2);
        code_free(&code);
    }
    code_free(&sequential);
    arena_free(a);
    forms_close(&t);
}

/* ---- guesses that are held in the box ---- */

/* One iteration for one element by hand; how many of its guesses are at the border. */
static int held(double weight, const double *x, int64_t stride, int64_t T)
{
    double guess = 0, next = 0;
    int n = 0;
    for (int64_t i = 0; i < T; i++) {
        double value = tanh(weight * guess + x[i * stride]), slope = weight * (1 - value * value);
        double moved = value + slope * (next - guess);
        n += fabs(moved) >= 1.0625;
        next = fmax(-1.0625, fmin(1.0625, moved));
        guess = tanh(x[i * stride]);
    }
    return n;
}

Test(newton, guesses_held_in_the_box_are_counted)
{
    enum { T = 12, H = 7 };
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "tests/forms/hard.rnn", "bounded");
    RecForm form = newton(T);
    form.rounds = 1;
    Code code = forms_compile(&t, form, PREC_F64);
    Frame *f = drawn_units(&t, a, T, 1, H, 3);
    set_from(&t, f, "h0", 0, 0);
    Native n = native_of(f, &code);
    int32_t *clamps = report_of(&code, "newton_clamps", n.out, a, 1);
    cr_assert_eq(cpu_call(code.code, REC_FORWARD, n.dim, (const void *const *)n.in, n.out, false, 0), RNN_OK);
    int want = 0;
    for (int i = 0; i < H; i++)
        want += held(f->in[argument(&t, "a")][i], f->in[argument(&t, "x")] + i, H, T);
    cr_expect(want > 5 && *clamps == want, "%d, not %d", *clamps, want);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

/* ---- a window whose states are small beside the error that it begins with ---- */

Test(newton, an_error_from_before_counts_against_small_states)
{
    enum { SIZE = 32, T = 2 * SIZE, H = 64 };
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "tests/forms/hard.rnn", "narrowing");
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F32), code = forms_compile(&t, newton(SIZE), PREC_F32);
    Frame *f = drawn_units(&t, a, T, 1, H, 0.5);
    int64_t n;
    uint32_t h = output_of(t.reference, "h");
    double *x = forms_argument(f, argument(&t, "x"), &n), *b = forms_argument(f, argument(&t, "b"), &n);
    double *at = forms_argument(f, argument(&t, "at"), &n), *c = forms_argument(f, argument(&t, "c"), &n);
    for (int i = 0; i < T * H; i++) {
        bool second = i >= SIZE * H, at_once = second && i < (SIZE + 1) * H;
        x[i] = at_once ? 0 : second ? 2e-19 : 0.05 + 0.005 * x[i];
        b[i] = second ? 0 : (double)0.95f;
        at[i] = c[i] = 0;
    }
    solved(f, &code, T, 1, SIZE);
    for (int i = SIZE * H; i < (SIZE + 1) * H; i++)
        c[i] = f->out[h][i - H], at[i] = 1;
    Frame *want = plainly(f, &sequential);
    Told told = solved(f, &code, T, 1, SIZE);
    double off = 0, before = 0;
    for (int i = 0; i < T * H; i++)
        *(i < SIZE * H ? &before : &off) = fmax(i < SIZE * H ? before : off, fabs(f->out[h][i] - want->out[h][i]));
    cr_expect_leq(off, 2e-23, "off by %g where states are 2e-19 at most; before by %g, status %d", off, before, told.status[0]);
    code_free(&sequential);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

/* ---- a bound that a scan loses ---- */

/* An error comes in, is made small beyond what numbers can tell where factors are multiplied, and large again. */
static void check_lost(Precision precision, double small, uint32_t pieces)
{
    enum { SIZE = 16, T = 2 * SIZE, H = 64 };
    Forms t;
    Arena *a = arena_new();
    RecForm form = newton(SIZE);
    form.pieces = pieces;
    forms_open(&t, "tests/forms/hard.rnn", "scaled");
    Code code = forms_compile(&t, form, precision);
    Frame *f = drawn_units(&t, a, T, 1, H, 1);
    int64_t n;
    double *x = forms_argument(f, argument(&t, "x"), &n), *by = forms_argument(f, argument(&t, "a"), &n), large = 1e-9 / (small * small);
    for (int i = 0; i < T * H; i++) {
        int place = i / H;
        by[i] = place < SIZE ? 1 + 0.07 * by[i] : place < SIZE + 3 ? small : place < SIZE + 6 ? 1 / small : 1;
        x[i] = place < SIZE ? large * (1 + 0.05 * x[i]) : 0;
    }
    Told told = solved(f, &code, T, 1, SIZE);
    cr_expect_lt(told.error[0], 1e-3);
    bool lost = pieces > 1;
    cr_expect(told.status[0] == lost && !isfinite(told.error[1]) == lost, "%u pieces: status %d, bound %g", pieces, told.status[0], told.error[1]);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

Test(newton, a_bound_that_pieces_lose_is_none)
{
    check_lost(PREC_F32, 1e-16, 2);
    check_lost(PREC_F32, 1e-16, 1);
    check_lost(PREC_F64, 1e-110, 2);
}

/* ---- any length of window, number of places, batch; lengths, cuts, starts; gradients ---- */

typedef struct Call {
    int64_t T, B;
    bool lengths, cuts;
} Call;

static void add_ends(Forms *t, Frame *f, const Call *how)
{
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        RecRole role = f->prog->arg.p[i].role;
        int64_t n;
        if (!((role == ROLE_LENGTH && how->lengths) || (role == ROLE_RESET && how->cuts) || role == ROLE_COTANGENT))
            continue;
        double *x = forms_argument(f, i, &n);
        for (int64_t k = 0; k < n; k++)
            x[k] = role == ROLE_LENGTH ? (double)(k == 1 ? 0 : how->T - k * how->T / 3) : role == ROLE_RESET ? forms_uniform(t) > 0.6 : forms_uniform(t);
    }
}

static void agree_in(Forms *t, const Code *sequential, RecForm form)
{
    static const Call calls[] = {{0, 3, true, true}, {1, 3, true, false}, {7, 1, false, false}, {29, 3, true, true}, {101, 2, false, true},
                                 {1009, 2, true, true}};
    Code code = forms_compile(t, form, PREC_F64);
    for (uint32_t k = 0; k < sizeof calls / sizeof *calls; k++) {
        Arena *a = arena_new();
        Frame *f = drawn(t, a, calls[k].T, calls[k].B, 1);
        add_ends(t, f, &calls[k]);
        Frame *g = frame_copy(f);
        Str why = STR("");
        bool ok = frame_compiled(f, sequential, true, &why) && frame_compiled(g, &code, true, &why) &&
                  results_agree(f, g, (Tolerance){1e-11, 1e-11, 0, 0}, &why);
        cr_expect(ok, "%s, newton:%u, derivative %d, T = %d: %s", str_c(a, t->reference->name), form.size, (int)form.derivative, (int)calls[k].T,
                  str_c(a, why));
        arena_free(a);
    }
    code_free(&code);
}

static void agree_in_all(const char *file, const char *entry, const RecForm *form, size_t n)
{
    Forms t;
    forms_open(&t, file, entry);
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    for (size_t i = 0; i < n; i++)
        agree_in(&t, &sequential, form[i]);
    code_free(&sequential);
    forms_close(&t);
}

static void agree(const char *file, const char *entry)
{
    const RecForm form[] = {newton(1), newton(5), newton(64)};
    agree_in_all(file, entry, form, sizeof form / sizeof *form);
}

static RecForm taking(uint32_t size, RecDerivative derivative, double damping)
{
    RecForm form = newton(size);
    form.derivative = derivative;
    form.damping = damping;
    return form;
}

/* Whatever stands for the derivative in the iterations, the results and their gradients are the same. */
static void agree_taking(const char *file, const char *entry)
{
    const RecForm form[] = {taking(5, REC_DERIVATIVE_EXACT, 0), taking(16, REC_DERIVATIVE_EXACT, 0.5), taking(5, REC_DERIVATIVE_BLOCK, 0.5),
                            taking(16, REC_DERIVATIVE_DIAGONAL, 0), taking(7, REC_DERIVATIVE_DIAGONAL, 0.9)};
    agree_in_all(file, entry, form, sizeof form / sizeof *form);
}

static RecForm in_pieces(uint32_t size, uint32_t pieces, RecDerivative derivative, double damping)
{
    RecForm form = taking(size, derivative, damping);
    form.pieces = pieces;
    return form;
}

/* The affine recurrence of each iteration in pieces, side by side: one place in each, all places in one, and between. */
static void agree_in_pieces(const char *file, const char *entry)
{
    const RecForm form[] = {in_pieces(5, 5, REC_DERIVATIVE_AUTO, 0), in_pieces(12, 2, REC_DERIVATIVE_DIAGONAL, 0),
                            in_pieces(64, 8, REC_DERIVATIVE_AUTO, 0), in_pieces(64, 16, REC_DERIVATIVE_BLOCK, 0.5)};
    agree_in_all(file, entry, form, sizeof form / sizeof *form);
}

Test(newton, para_gru_in_pieces, .timeout = 120) { agree_in_pieces("stdlib/pararnn.rnn", "para_gru"); }
Test(newton, para_lstm_in_pieces, .timeout = 120) { agree_in_pieces("stdlib/pararnn.rnn", "para_lstm"); }
Test(newton, pieces_that_run_backwards, .timeout = 120) { agree_in_pieces("tests/cells/diagonal_gru.rnn", "diagonal_reversed"); }
Test(newton, woven_states_in_pieces, .timeout = 120) { agree_in_pieces("tests/forms/hard.rnn", "woven"); }
Test(newton, a_gru_in_pieces, .timeout = 120) { agree_in_pieces("stdlib/gru.rnn", "gru"); }

Test(newton, para_gru, .timeout = 120) { agree("stdlib/pararnn.rnn", "para_gru"); }
Test(newton, para_lstm, .timeout = 120) { agree("stdlib/pararnn.rnn", "para_lstm"); }
Test(newton, elements_that_run_backwards, .timeout = 120) { agree("tests/cells/diagonal_gru.rnn", "diagonal_reversed"); }
Test(newton, gru, .timeout = 120) { agree("stdlib/gru.rnn", "gru"); }
Test(newton, mtrnn, .timeout = 120) { agree("stdlib/mtrnn.rnn", "mtrnn"); }

Test(newton, derivatives_of_a_gru, .timeout = 120) { agree_taking("stdlib/gru.rnn", "gru"); }
Test(newton, derivatives_of_an_lstm, .timeout = 120) { agree_taking("stdlib/lstm.rnn", "lstm"); }
Test(newton, derivatives_of_para_lstm, .timeout = 120) { agree_taking("stdlib/pararnn.rnn", "para_lstm"); }
Test(newton, derivatives_of_states_of_two_sizes, .timeout = 120) { agree_taking("stdlib/lstm_projection.rnn", "lstm_projection"); }

/* How many windows converge. */
static int64_t converged(Forms *t, const Frame *from, RecForm form, int64_t T, int64_t B)
{
    Code code = forms_compile(t, form, PREC_F64);
    Frame *f = frame_copy(from);
    Told told = solved(f, &code, T, B, form.size);
    int64_t n = 0;
    for (int64_t i = 0; i < B * told.windows; i++)
        n += told.error[i] < 1e-11;
    code_free(&code);
    return n;
}

Test(newton, damping_helps_where_guesses_overshoot)
{
    enum { T = 512, B = 16, SIZE = 64 };
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "tests/forms/hard.rnn", "overshooting");
    Frame *f = drawn_units(&t, a, T, B, 1, 0.5);
    int64_t plain = converged(&t, f, newton(SIZE), T, B), damped = converged(&t, f, taking(SIZE, REC_DERIVATIVE_EXACT, 0.3), T, B);
    printf("of %d windows %d converge, %d if damped\n", B * T / SIZE, (int)plain, (int)damped);
    cr_expect_gt(damped, plain + 10);
    arena_free(a);
    forms_close(&t);
}

/* ---- gradients ---- */

/* The sum of all values times their cotangents, by Newton's form. */
static double loss(Frame *f, const Code *code)
{
    Str why = STR("");
    double sum = 0;
    cr_assert(frame_compiled(f, code, false, &why), "%s", str_c(f->arena, why));
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        const RecArg *x = &f->prog->arg.p[i];
        if (x->role != ROLE_COTANGENT)
            continue;
        for (int64_t k = 0, n = frame_count(f, &x->type, x->batched); k < n; k++)
            sum += f->in[i][k] * f->out[x->of][k];
    }
    return sum;
}

/* Each gradient against central differences of the form itself, in double: to 1e-6 of its largest element. */
static void gradients_are_differences(const char *file, const char *entry, RecForm form)
{
    Forms t;
    Arena *a = arena_new();
    const Call call = {.T = 13, .B = 2};
    forms_open(&t, file, entry);
    Code code = forms_compile(&t, form, PREC_F64);
    Frame *f = drawn(&t, a, call.T, call.B, 0.7), *g;
    add_ends(&t, f, &call);
    g = frame_copy(f);
    Str why = STR("");
    cr_assert(frame_compiled(g, &code, true, &why), "%s", str_c(a, why));
    for (uint32_t o = 0; o < t.reference->out.n; o++) {
        const RecOut *out = &t.reference->out.p[o];
        if (out->role != OUT_GRAD && out->role != OUT_GRAD_PARAM)
            continue;
        double *x = f->in[out->of], most = 0, off = 0;
        int64_t n = frame_count(f, &out->type, out->batched);
        for (int64_t k = 0; k < n; k++) {
            double was = x[k], h = 1e-5;
            x[k] = was + h;
            double up = loss(f, &code);
            x[k] = was - h;
            double down = loss(f, &code);
            x[k] = was;
            off = fmax(off, fabs((up - down) / (2 * h) - g->out[o][k]));
            most = fmax(most, fabs(g->out[o][k]));
        }
        cr_expect(most > 0 && off <= 1e-6 * most, "%s: gradient %d of %s is off by %g of %g", entry, (int)out->of,
                  str_c(a, t.reference->arg.p[out->of].name), off, most);
    }
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

Test(newton, no_approximation_leaks_into_gradients, .timeout = 120)
{
    gradients_are_differences("stdlib/gru.rnn", "gru", taking(4, REC_DERIVATIVE_DIAGONAL, 0));
    gradients_are_differences("stdlib/lstm.rnn", "lstm", taking(4, REC_DERIVATIVE_BLOCK, 0.5));
    gradients_are_differences("stdlib/lstm.rnn", "lstm", taking(4, REC_DERIVATIVE_DIAGONAL, 0.5));
    gradients_are_differences("stdlib/elman.rnn", "elman", taking(4, REC_DERIVATIVE_DIAGONAL, 0));
    gradients_are_differences("stdlib/pararnn.rnn", "para_lstm", taking(4, REC_DERIVATIVE_DIAGONAL, 0));
}

/* ---- the caller's guess ---- */

static void give_guess(Frame *f, const char *name, const double *x, int64_t n)
{
    Report r = {.name = str_of(name), .n = n, .value = NEWN(f->arena, double, n + 1)};
    memcpy(r.value, x, (size_t)n * sizeof *x);
    vec_push(f->arena, &f->guess, r);
}

typedef struct Guess {
    double scale, shift; /* of the states as they are; of each element */
} Guess;

/* All iterations of a call that begins with the states as they are, times scale, plus shift; the result must be right. */
static int64_t guessing(Forms *t, const Frame *f, const Code *code, const Frame *want, int64_t T, int64_t B, uint32_t size, Guess how)
{
    Frame *g = frame_copy(f);
    uint32_t h = output_of(t->reference, "h");
    int64_t n = frame_count(f, &t->reference->out.p[h].type, true), sum = 0;
    double *x = NEWN(f->arena, double, n + 1);
    for (int64_t i = 0; i < n; i++)
        x[i] = want->out[h][i] * how.scale + how.shift;
    g->guess.n = 0;
    give_guess(g, "newton_guess_h", x, n);
    Told told = solved(g, code, T, B, size);
    double off = all_apart(g, want);
    cr_expect_leq(off, 1e-10, "guess of scale %g, shift %g: off by %g", how.scale, how.shift, off);
    for (int64_t i = 0; i < B * told.windows; i++)
        sum += told.iterations[i];
    return sum;
}

static void check_guess(const char *file, const char *entry)
{
    enum { T = 149, B = 3, SIZE = 16 };
    static const Guess bad[] = {{0, NAN}, {0, INFINITY}, {0, 1e300}, {-1, 0}, {1e10, 3}, {0, 0}};
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, file, entry);
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64), code = forms_compile(&t, newton(SIZE), PREC_F64);
    Frame *f = drawn(&t, a, T, B, 1), *want = plainly(f, &sequential), *none = frame_copy(f);
    Told told = solved(none, &code, T, B, SIZE);
    int64_t alone = 0, windows = B * told.windows;
    for (int64_t i = 0; i < windows; i++)
        alone += told.iterations[i];
    int64_t exact = guessing(&t, f, &code, want, T, B, SIZE, (Guess){1, 0}), near = guessing(&t, f, &code, want, T, B, SIZE, (Guess){1, 1e-6});
    cr_expect_eq(exact, windows, "%s: %d iterations of the solution itself in %d windows", entry, (int)exact, (int)windows);
    cr_expect(exact <= near && near < alone, "%s: %d, near it %d, without a guess %d", entry, (int)exact, (int)near, (int)alone);
    for (uint32_t i = 0; i < sizeof bad / sizeof *bad; i++)
        guessing(&t, f, &code, want, T, B, SIZE, bad[i]);
    code_free(&sequential);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

Test(newton, a_guess_saves_iterations_and_changes_nothing, .timeout = 120)
{
    check_guess("stdlib/pararnn.rnn", "para_gru");
    check_guess("tests/cells/diagonal_gru.rnn", "diagonal_reversed");
    check_guess("stdlib/gru.rnn", "gru");
}

/* Lengths, cuts, starts and gradients with a guess that is wrong in all places. */
Test(newton, gradients_with_a_bad_guess, .timeout = 120)
{
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "stdlib/pararnn.rnn", "para_gru");
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64), code = forms_compile(&t, newton(5), PREC_F64);
    const Call call = {.T = 29, .B = 3, .lengths = true, .cuts = true};
    Frame *f = drawn(&t, a, call.T, call.B, 1);
    add_ends(&t, f, &call);
    Frame *g = frame_copy(f);
    uint32_t h = output_of(t.reference, "h");
    int64_t n = frame_count(f, &t.reference->out.p[h].type, true);
    double *x = NEWN(a, double, n);
    for (int64_t i = 0; i < n; i++)
        x[i] = i % 7 ? 5 * forms_uniform(&t) : (double)NAN;
    give_guess(g, "newton_guess_h", x, n);
    Str why = STR("");
    bool ok = frame_compiled(f, &sequential, true, &why) && frame_compiled(g, &code, true, &why) &&
              results_agree(f, g, (Tolerance){1e-11, 1e-11, 0, 0}, &why);
    cr_expect(ok, "%s", str_c(a, why));
    code_free(&sequential);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

static uint32_t guesses(const char *file, const char *entry, const char *name)
{
    Forms t;
    uint32_t n = 0;
    forms_open(&t, file, entry);
    Code code = forms_compile(&t, newton(4), PREC_F64);
    for (uint32_t i = 0; i < code.kern->arg.n; i++)
        n += code.kern->arg.p[i].role == ROLE_GUESS && str_is(code.kern->arg.p[i].name, name);
    code_free(&code);
    forms_close(&t);
    return n;
}

Test(newton, guesses_have_names_of_their_own)
{
    cr_expect_eq(guesses("stdlib/pararnn.rnn", "para_lstm", "newton_guess_c"), 1);
    cr_expect_eq(guesses("stdlib/pararnn.rnn", "para_lstm", "newton_guess_h"), 1);
    cr_expect_eq(guesses("stdlib/bidirectional.rnn", "bigru", "newton_guess_fwd.h"), 1);
    cr_expect_eq(guesses("stdlib/bidirectional.rnn", "bigru", "newton_guess_bwd.h"), 1);
    cr_expect_eq(guesses("tests/cells/contracting.rnn", "delayed", "newton_guess_h"), 1);
    cr_expect_eq(guesses("tests/cells/contracting.rnn", "delayed", "newton_guess_h_2"), 1); /* h[t-2] */
}

/* A guess and a report are of nothing else, and are printed so. */
Test(newton, guesses_in_text)
{
    Forms t;
    forms_open(&t, "stdlib/pararnn.rnn", "para_lstm");
    Code code = forms_compile(&t, newton(4), PREC_F64);
    Text out = {.arena = t.d.arena};
    kern_print(&out, code.kern);
    const char *text = str_c(t.d.arena, text_str(&out));
    cr_expect_not_null(strstr(text, "arg \"newton_guess_h\" real[T, G, P] guess of 0 optional frozen batched\n"));
    cr_expect_not_null(strstr(text, "out \"newton_status\" int report of 0 "));
    code_free(&code);
    forms_close(&t);
}

/* Whether an array of the call stands in for guesses that are missing; the result is right in any case. */
static void check_missing(const char *file, const char *entry, bool stands)
{
    enum { T = 37, B = 3, SIZE = 8 };
    Forms t;
    Arena *a = arena_new();
    uint32_t n = 0;
    forms_open(&t, file, entry);
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64), code = forms_compile(&t, newton(SIZE), PREC_F64);
    for (uint32_t i = 0; i < code.kern->arg.n; i++)
        if (code.kern->arg.p[i].role == ROLE_GUESS) {
            cr_expect_eq(cpu_takes_zeros(code.kern, i, REC_FORWARD), !stands, "%s", entry);
            n++;
        }
    cr_expect_gt(n, 0);
    Frame *f = drawn(&t, a, T, B, 1), *want = plainly(f, &sequential);
    solved(f, &code, T, B, SIZE);
    double off = all_apart(f, want);
    cr_expect_leq(off, 1e-10, "%s: off by %g", entry, off);
    code_free(&sequential);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

Test(newton, guesses_that_are_missing)
{
    check_missing("tests/cells/contracting.rnn", "damped", true);  /* x */
    check_missing("stdlib/pararnn.rnn", "para_lstm", true);        /* h, before it is written */
    check_missing("tests/cells/contracting.rnn", "hidden", false); /* zeros */
}

/* ---- recurrent weights of any size ---- */

enum { CHANNELS = 256, WINDOW = 64 };

static double normal(Forms *t)
{
    double u = forms_uniform(t) / 2 + 0.5, v = forms_uniform(t);
    return sqrt(-2 * log(fmin(u + 1e-12, 1))) * cos(3.14159265358979323846 * v);
}

typedef struct Sums {
    int64_t windows, iterations, most, finished, channels; /* of the windows that converged; the others; channels with some of these */
    double off, bound;
} Sums;

/* A window's bound is below the tolerance only if it has converged. */
static void add_window(Sums *sum, int64_t iterations, double error, double tolerance)
{
    if (!(error < tolerance)) {
        sum->finished++;
        return;
    }
    sum->windows++;
    sum->iterations += iterations;
    sum->most = iterations > sum->most ? iterations : sum->most;
    sum->bound = fmax(sum->bound, error);
}

/* One channel: its weights are drawn, and what it gets before its activations is about N(0, 1). */
static void one_channel(Forms *t, const Code *sequential, const Code *code, int64_t T, double deviation, Sums *sum)
{
    Arena *a = arena_new();
    Frame *f = drawn(t, a, T, 1, 0);
    int64_t n;
    double *x = forms_argument(f, argument(t, "x"), &n), *w;
    for (int64_t i = 0; i < n; i++)
        x[i] = normal(t);
    w = forms_argument(f, argument(t, "W"), &n);
    for (int64_t i = 0; i < n; i++)
        w[i] = i % 2 ? 0.8 : -0.6;
    static const char *const recurrent[] = {"a", "p"};
    for (int k = 0; k < (t->reference->name.n > 8 ? 2 : 1); k++) {
        w = forms_argument(f, argument(t, recurrent[k]), &n);
        for (int64_t i = 0; i < n; i++)
            w[i] = deviation * normal(t);
    }
    Frame *want = plainly(f, sequential);
    Told told = solved(f, code, T, 1, WINDOW);
    double off = all_apart(f, want);
    sum->off = fmax(sum->off, off);
    sum->channels += told.status[0] != 0;
    for (int64_t i = 0; i < told.windows; i++)
        add_window(sum, told.iterations[i], told.error[i], code->cpu.precision == PREC_F64 ? 1e-11 : 1e-4);
    arena_free(a);
}

static void weights(const char *entry, Precision precision, int64_t T, int channels)
{
    static const double deviation[] = {0.1, 0.5, 1, 2, 4};
    Forms t;
    forms_open(&t, "stdlib/pararnn.rnn", entry);
    Code sequential = forms_compile(&t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, precision), code = forms_compile(&t, newton(WINDOW), precision);
    const char *word = precision == PREC_F64 ? "f64" : "f32";
    for (int d = 0; d < 5; d++) {
        Sums sum = {0};
        for (int i = 0; i < channels; i++)
            one_channel(&t, &sequential, &code, T, deviation[d], &sum);
        printf("| %s | %s | %d | %g | %d | %.2f | %d | %d | %d of %d | %.1e | %.1e |\n", entry, word, (int)T, deviation[d], (int)sum.windows,
               sum.windows ? (double)sum.iterations / (double)sum.windows : 0, (int)sum.most, (int)sum.finished, (int)sum.channels, channels,
               sum.bound, sum.off);
        cr_expect_leq(sum.off, precision == PREC_F64 ? 1e-10 : 1e-4, "%s, weights %g, T %d: off by %g", entry, deviation[d], (int)T, sum.off);
        cr_expect(deviation[d] > 0.5 || sum.channels == 0, "%s, weights %g: %d channels not converged", entry, deviation[d], (int)sum.channels);
    }
    code_free(&sequential);
    code_free(&code);
    forms_close(&t);
}

/* RNNC_DENSE: with all channels, for the table in tests/bench/results/newton_convergence.md. */
Test(newton, weights_of_any_size, .timeout = 600)
{
    bool all = getenv("RNNC_DENSE") != NULL;
    int some = all ? CHANNELS : CHANNELS / 4, few = all ? CHANNELS : CHANNELS / 16;
    printf("| cell | precision | T | deviation | windows | iterations, mean | most | other windows | in channels | largest bound | off by |\n");
    printf("|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (int p = 0; p < 2; p++)
        for (int k = 0; k < 4; k++)
            weights(k % 2 ? "para_lstm" : "para_gru", p ? PREC_F32 : PREC_F64, k < 2 ? 512 : 4096, k < 2 ? some : few);
}
