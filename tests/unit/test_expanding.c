/* Where a step itself expands, rounding grows in every form: there no form is further from a long double run, written here as
 * a plain loop, than ten times what the sequential one is; in both precisions, at every place. */
#include "tests/unit/forms.h"

#include <math.h>

enum { T = 61, MOST = 8 };

typedef struct Sizes {
    int64_t k, v; /* elements of a step of the first input and of the output */
} Sizes;

/* One step: the first input (q or x), k and v if there are such, the states, and what comes out. */
typedef void Step(Sizes n, const double *x, const double *k, const double *v, long double *state, long double *y);

static void growing(Sizes n, const double *x, const double *k, const double *v, long double *state, long double *y)
{
    (void)k, (void)v;
    for (int64_t i = 0; i < n.k; i++)
        y[i] = state[i] = 1.0625L * state[i] + x[i];
}

static void growing_pair(Sizes n, const double *x, const double *k, const double *v, long double *state, long double *y)
{
    (void)k, (void)v;
    for (int64_t i = 0; i < n.k; i++) {
        long double a = state[i], b = state[n.k + i];
        y[i] = state[i] = a - 0.5L * b + x[i];
        state[n.k + i] = b + 0.5L * a;
    }
}

static void growing_matrix(Sizes n, const double *q, const double *k, const double *v, long double *state, long double *y)
{
    for (int64_t i = 0; i < n.v; i++) {
        y[i] = 0;
        for (int64_t j = 0; j < n.k; j++) {
            long double *s = &state[i * n.k + j];
            *s = 1.0625L * *s + (long double)v[i] * k[j];
            y[i] += *s * q[j];
        }
    }
}

static void growing_delta(Sizes n, const double *q, const double *k, const double *v, long double *state, long double *y)
{
    for (int64_t i = 0; i < n.v; i++) {
        long double *s = &state[i * n.k], held = v[i];
        for (int64_t j = 0; j < n.k; j++)
            held += s[j] * k[j];
        y[i] = 0;
        for (int64_t j = 0; j < n.k; j++) {
            s[j] += 0.125L * held * k[j];
            y[i] += s[j] * q[j];
        }
    }
}

static void chaos(Sizes n, const double *x, const double *k, const double *v, long double *state, long double *y)
{
    (void)k, (void)v;
    for (int64_t i = 0; i < n.k; i++)
        y[i] = state[i] = 3.875L * state[i] * (1 - state[i]) + 0.0009765625L * x[i];
}

typedef struct Run {
    Forms t;
    Arena *arena;
    Frame *frame;
    const double *in[3];
    Sizes n;
    long double y[T * MOST];
} Run;

static void draw(Run *r)
{
    r->frame = forms_frame(&r->t, r->arena, T, 1);
    for (uint32_t i = 0, given = 0; i < r->frame->prog->arg.n; i++) {
        int64_t n;
        if (r->frame->prog->arg.p[i].role != ROLE_INPUT)
            continue;
        double *x = forms_argument(r->frame, i, &n);
        for (int64_t j = 0; j < n; j++)
            x[j] = forms_uniform(&r->t);
        r->n.k = given ? r->n.k : n / T;
        r->in[given++] = x;
    }
    r->n.v = frame_count(r->frame, &r->frame->prog->out.p[0].type, true) / T;
    cr_assert(r->n.k <= MOST && r->n.v <= MOST);
}

static const double *at(const double *x, int64_t t, int64_t n)
{
    return x ? x + t * n : NULL;
}

static void exact(Run *r, Step *step, long double start)
{
    long double state[MOST * MOST];
    for (int i = 0; i < MOST * MOST; i++)
        state[i] = start;
    for (int64_t t = 0; t < T; t++)
        step(r->n, at(r->in[0], t, r->n.k), at(r->in[1], t, r->n.k), at(r->in[2], t, r->n.v), state, &r->y[t * r->n.v]);
}

/* The largest error up to each place, relative to the largest element up to there. */
static void errors(const Run *r, const double *y, long double *error)
{
    long double worst = 0, largest = 0;
    for (int64_t t = 0; t < T; t++) {
        for (int64_t i = t * r->n.v; i < (t + 1) * r->n.v; i++) {
            worst = fmaxl(worst, fabsl(y[i] - r->y[i]));
            largest = fmaxl(largest, fabsl(r->y[i]));
        }
        error[t] = worst / largest;
    }
}

static void run(Run *r, RecForm form, Precision precision, long double *error)
{
    Frame *f = frame_copy(r->frame);
    Str why = STR("");
    Code code = forms_compile(&r->t, form, precision);
    cr_assert(frame_compiled(f, &code, false, &why), "%s: %s", form_name(&r->t, form), str_c(r->arena, why));
    errors(r, f->out[0], error);
    code_free(&code);
}

/* Rounding of the result itself is no error of a form. */
static void within_ten(Run *r, RecForm form, Precision precision, const long double *sequential)
{
    long double error[T], unit = precision == PREC_F32 ? 0x1p-24L : 0x1p-53L;
    run(r, form, precision, error);
    for (int t = 0; t < T; t++)
        cr_expect(error[t] <= 10 * fmaxl(sequential[t], unit), "form %d:%u, %s, place %d: error %Lg, sequential %Lg", (int)form.kind,
                  form.size, precision == PREC_F32 ? "f32" : "f64", t, error[t], sequential[t]);
}

static void expands(const char *entry, Step *step, long double start, const RecForm *form, uint32_t n, bool loses)
{
    static const Precision precision[] = {PREC_F32, PREC_F64};
    Run r = {.arena = arena_new()};
    forms_open(&r.t, "tests/forms/expanding.rnn", entry);
    draw(&r);
    exact(&r, step, start);
    for (uint32_t p = 0; p < 2; p++) {
        long double sequential[T];
        run(&r, (RecForm){.kind = REC_FORM_SEQUENTIAL}, precision[p], sequential);
        cr_expect(!loses || sequential[T - 1] > 64 * sequential[0], "%s: rounding does not grow", entry);
        for (uint32_t i = 0; i < n; i++)
            within_ten(&r, form[i], precision[p], sequential);
    }
    forms_close(&r.t);
    arena_free(r.arena);
}

#define SCANS {.kind = REC_FORM_SCAN, .size = 3}, {.kind = REC_FORM_SCAN, .size = 16}
#define CHUNKS {.kind = REC_FORM_CHUNK, .size = 1}, {.kind = REC_FORM_CHUNK, .size = 5}, {.kind = REC_FORM_CHUNK, .size = 16}, {.kind = REC_FORM_CHUNK, .size = 64}
#define EXPANDS(NAME, START, LOSES, ...)                                                                               \
    Test(expanding, NAME)                                                                                              \
    {                                                                                                                  \
        static const RecForm form[] = {__VA_ARGS__};                                                                   \
        expands(#NAME, NAME, START, form, sizeof form / sizeof *form, LOSES);                                          \
    }

EXPANDS(growing, 0, false, SCANS, {.kind = REC_FORM_NEWTON, .size = 16})
EXPANDS(growing_pair, 0, false, SCANS)
EXPANDS(growing_matrix, 0, false, SCANS, CHUNKS)
EXPANDS(growing_delta, 0, false, CHUNKS)
EXPANDS(chaos, 0.5L, true, {.kind = REC_FORM_NEWTON, .size = 16})
