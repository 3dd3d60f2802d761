/* Contraction: what the analysis says of a cell bounds what its derivative is in calls, and what the run-time report says is what
 * the derivative is. The report is compared with the derivative written by hand, and with differences of the step; so is the bound where
 * elements mix, with the call's own sizes in it. */
#include "tests/unit/forms.h"

#include <math.h>

#include "ir/rec/contraction.h"

static const RecForm window = {.kind = REC_FORM_NEWTON, .size = 8};

static RecId recurrence(const RecProg *p)
{
    RecId v = 0;
    while (rec_op(p, v)->kind != REC_RECUR)
        v++;
    return v;
}

static Contraction bound_of(Forms *t, RecProg **out)
{
    Compile c = {.arena = t->d.arena, .emit = EMIT_REC, .rec = driver_elab(&t->d, t->unit, t->entry), .stop_after = STR("rec.flatten")};
    c.rec->form = (RecForm){.kind = REC_FORM_CHUNK, .size = 16}; /* loops are steps, as `rnnc explain` has them */
    compile(&c);
    rec_chosen(c.rec);
    *out = c.rec;
    return contraction_of(c.rec, t->d.arena, recurrence(c.rec));
}

static Str said(Forms *t)
{
    RecProg *p;
    Contraction c = bound_of(t, &p);
    Text out = {.arena = t->d.arena};
    if (!c.norm.bounded)
        return STR("no bound");
    contraction_print(&out, p, &c);
    return text_str(&out);
}

/* All inputs, parameters and starts within `scale`, without lengths and cuts. */
static Frame *drawn(Forms *t, Arena *a, int64_t T, int64_t B, double scale)
{
    return forms_fill(t, forms_frame(t, a, T, B), scale, 1);
}

/* Its report [B, windows], and outputs. */
static const double *reported(Frame *f, const Code *code)
{
    Str why = STR("");
    cr_assert(frame_compiled(f, code, false, &why), "%s", str_c(f->arena, why));
    uint32_t i = 0;
    while (i < f->report.n && !str_is(f->report.p[i].name, "newton_contraction"))
        i++;
    cr_assert_lt(i, f->report.n, "there is no newton_contraction");
    return f->report.p[i].value;
}

/* The cell's output. */
static const double *output(const Frame *f)
{
    uint32_t i = 0;
    while (f->prog->out.p[i].role != OUT_VALUE)
        i++;
    return f->out[i];
}

static double largest(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(x[i]));
    return most;
}

/* The largest sum of sizes over these axes of a parameter; of none: the largest. */
static double size_in(const Frame *f, uint32_t arg, uint32_t axes)
{
    Array shape;
    int64_t n;
    double most = 0;
    cr_assert(frame_shape(f, &f->prog->arg.p[arg].type, f->prog->arg.p[arg].batched, &shape) && array_count(&shape, &n));
    double *sum = NEWN(f->arena, double, n);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0, rest = i, step = 1; /* of what is summed into one */
        for (uint32_t k = shape.rank; k-- > 0; rest /= shape.dim[k])
            if (!(axes >> k & 1))
                at += rest % shape.dim[k] * step, step *= shape.dim[k];
        sum[at] += fabs(f->in[arg][i]);
        most = fmax(most, sum[at]);
    }
    return most;
}

/* The bound with the sizes of this call; all of them are of parameters. */
static double with_sizes(Forms *t, const Frame *f, const Contraction *c)
{
    double sum = 0;
    for (uint32_t i = 0; i < c->norm.n; i++) {
        double one = c->norm.term[i].coef;
        for (uint32_t k = 0; k < c->norm.term[i].n; k++) {
            const NormSize *s = &c->size.p[c->norm.term[i].of[k]];
            one *= size_in(f, rec_arg_named(t->reference, str_c(t->d.arena, s->name)), s->axes);
        }
        sum += one;
    }
    return sum;
}

static void check_bound(const char *file, const char *entry)
{
    enum { T = 45, B = 3 };
    static const double scale[] = {0.2, 1, 4};
    Forms t;
    RecProg *p;
    forms_open(&t, file, entry);
    Contraction c = bound_of(&t, &p);
    Code code = forms_compile(&t, window, PREC_F64);
    cr_assert(c.norm.bounded, "%s", entry);
    for (int k = 0; k < 3; k++) {
        Arena *a = arena_new();
        Frame *f = drawn(&t, a, T, B, scale[k]);
        double most = largest(reported(f, &code), B * (T / window.size)), bound = with_sizes(&t, f, &c);
        cr_expect(most > 0 && most <= bound * (1 + 1e-12), "%s, scale %g: %g, at most %g", entry, scale[k], most, bound);
        arena_free(a);
    }
    code_free(&code);
    forms_close(&t);
}

Test(contraction, the_bound_holds_in_calls, .timeout = 120)
{
    check_bound("tests/cells/diagonal_gru.rnn", "diagonal_gru");
    check_bound("tests/cells/diagonal_gru.rnn", "diagonal_pair");
    check_bound("tests/cells/diagonal_gru.rnn", "diagonal_reversed");
    check_bound("tests/cells/contracting.rnn", "damped");
    check_bound("tests/cells/contracting.rnn", "bent");
    check_bound("tests/cells/contracting.rnn", "delayed");
    check_bound("tests/cells/contracting.rnn", "added_up");
    check_bound("tests/cells/contracting.rnn", "handed_on");
    check_bound("tests/cells/contracting.rnn", "hidden");
}

/* h = tanh(w * h[t+1] + x): the derivative at place t is w * (1 - h[t] ^ 2). */
Test(contraction, the_report_is_the_derivative)
{
    enum { T = 19, B = 2 };
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "tests/cells/diagonal_gru.rnn", "diagonal_reversed");
    Code code = forms_compile(&t, window, PREC_F64);
    Frame *f = drawn(&t, a, T, B, 1);
    const double *got = reported(f, &code);
    const double *w = f->in[rec_arg_named(t.reference, "w")], *h = output(f);
    int64_t H, count = T / window.size;
    forms_argument(f, rec_arg_named(t.reference, "w"), &H);
    for (int64_t b = 0; b < B; b++)
        for (int64_t k = 0; k < count; k++) {
            double most = 0; /* the places of a reversed cell that fill no window are the last */
            for (int64_t i = k * window.size; i < (k + 1) * (int64_t)window.size; i++)
                for (int64_t e = 0; e < H; e++) {
                    double at = h[(i * B + b) * H + e];
                    most = fmax(most, fabs(w[e] * (1 - at * at)));
                }
            cr_expect_lt(fabs(got[b * count + k] - most), 1e-10, "sequence %d, window %d: %g, not %g", (int)b, (int)k, got[b * count + k], most);
        }
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

/* Two calls whose starts differ by little: one step later their distance over that is the sum of derivatives along the difference. */
Test(contraction, the_report_is_what_differences_say)
{
    enum { T = 1, B = 1 };
    const double small = 1e-6;
    const RecForm one = {.kind = REC_FORM_NEWTON, .size = 1};
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "tests/cells/contracting.rnn", "bent");
    Code code = forms_compile(&t, one, PREC_F64);
    Frame *f = drawn(&t, a, T, B, 1), *up = frame_copy(f), *down = frame_copy(f);
    double got = reported(f, &code)[0], most = 0;
    uint32_t start = rec_arg_named(t.reference, "h0");
    int64_t n;
    forms_argument(f, start, &n);
    for (int64_t i = 0; i < n; i++)
        up->in[start][i] += small, down->in[start][i] -= small;
    reported(up, &code), reported(down, &code);
    for (int64_t i = 0; i < n; i++)
        most = fmax(most, fabs(output(up)[i] - output(down)[i]) / (2 * small));
    cr_expect_lt(fabs(got - most), 1e-7, "%g, not %g", got, most);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

/* The largest sum of |derivative| of an element after one step by all starts, by differences in the evaluator. */
static double by_differences(Forms *t, const Frame *f)
{
    const double small = 1e-6;
    uint32_t start = rec_arg_named(t->reference, "h0");
    int64_t n;
    forms_argument(f, start, &n);
    double *sum = NEWN(f->arena, double, n);
    for (int64_t i = 0; i < n; i++) {
        Frame *up = frame_copy(f), *down = frame_copy(f);
        Str why = STR("");
        up->in[start][i] += small, down->in[start][i] -= small;
        cr_assert(frame_reference(up, false, &why) && frame_reference(down, false, &why), "%s", str_c(f->arena, why));
        for (int64_t k = 0; k < n; k++)
            sum[k] += fabs(output(up)[k] - output(down)[k]) / (2 * small);
    }
    return largest(sum, n);
}

/* Parameters, and starts of 0. */
static void give_weights(Forms *t, Frame *f)
{
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        RecRole role = f->prog->arg.p[i].role;
        int64_t n;
        double *x = role == ROLE_PARAM || role == ROLE_START ? forms_argument(f, i, &n) : NULL;
        for (int64_t e = 0; x && e < n; e++)
            x[e] = role == ROLE_PARAM ? forms_uniform(t) : 0;
    }
}

/* Where a step is its products (all that goes in is 0, and tanh'(0) is 1) the bound is what it is called. */
static void check_mixing(const char *entry, double at_zero)
{
    static const double scale[] = {0, 0.2, 1, 4};
    Forms t;
    RecProg *p;
    forms_open(&t, "tests/cells/contracting.rnn", entry);
    Contraction c = bound_of(&t, &p);
    cr_assert(c.norm.bounded, "%s", entry);
    for (int k = 0; k < 4; k++) {
        Arena *a = arena_new();
        Frame *f = drawn(&t, a, 1, 1, scale[k]);
        if (scale[k] == 0)
            give_weights(&t, f);
        double got = by_differences(&t, f), bound = with_sizes(&t, f, &c);
        cr_expect(got > 0 && got <= bound * (1 + 1e-9), "%s, scale %g: %g, at most %g", entry, scale[k], got, bound);
        if (scale[k] == 0)
            cr_expect(got >= at_zero * bound * (1 - 1e-9), "%s: %g, at most %g", entry, got, bound);
        arena_free(a);
    }
    forms_close(&t);
}

Test(contraction, sums_are_over_the_axes_that_are_said)
{
    check_mixing("mixing", 1);
    check_mixing("mixing_both_ways", 0.3);
    check_mixing("turned", 0.2);
    check_mixing("two_products", 0.2);
    check_mixing("one_sum", 1);
    check_mixing("planes", 1);
    check_mixing("spread", 1);
}

/* `rnnc explain` expects about 6 of this cell. */
Test(contraction, iterations_of_a_step_that_halves)
{
    Forms t;
    Arena *a = arena_new();
    forms_open(&t, "tests/cells/contracting.rnn", "damped");
    Code code = forms_compile(&t, (RecForm){.kind = REC_FORM_NEWTON, .size = 64}, PREC_F32);
    Frame *f = drawn(&t, a, 640, 3, 1);
    reported(f, &code);
    for (uint32_t i = 0; i < f->report.n; i++)
        for (int64_t k = 0; str_is(f->report.p[i].name, "newton_iterations") && k < f->report.p[i].n; k++)
            cr_expect(f->report.p[i].value[k] >= 2 && f->report.p[i].value[k] <= 6, "%g iterations", f->report.p[i].value[k]);
    code_free(&code);
    arena_free(a);
    forms_close(&t);
}

static void says(const char *entry, const char *text)
{
    Forms t;
    forms_open(&t, "tests/cells/contracting.rnn", entry);
    Str got = said(&t);
    cr_expect(str_is(got, text), "%s: %s, not %s", entry, str_c(t.d.arena, got), text);
    forms_close(&t);
}

Test(contraction, what_is_said)
{
    says("damped", "0.5");
    says("bent", "0.1 + 0.25 * max |a|");
    says("mixing", "max row sum |U|");
    says("mixing_both_ways", "max row sum |U| + 0.5 * max column sum |U|");
    says("turned", "0.125 * max column sum |U| * max row sum |U|");
    says("one_sum", "sum |a|");
    says("planes", "max sum over axes 1, 2 of |U|");
    says("spread", "5 * max |a|");
    says("spread_openly", "no bound");
    says("two_products", "0.25 * max row sum |V| * max row sum |U|");
    says("open_gate", "1 + 0.25 * max |c|");
    says("jumping", "no bound");
    says("a_root", "no bound");
    says("a_product", "no bound");
    says("mirrored", "0.5");
    says("delayed", "1");
    says("added_up", "1");
    says("handed_on", "1");
    says("hidden", "max |a|");
    says("in_rounds", "2");
    says("of_a_length", "1");
}
