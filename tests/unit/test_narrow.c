/* Reals of 16 bits: rounding against its definition, generated code and the interpreter against that, and what states in single
 * precision are worth. */
#include <criterion/criterion.h>

#include <dlfcn.h>
#include <float.h>
#include <math.h>

#include "backends/nvptx/device.h"
#include "tests/unit/forms.h"

static const Narrow formats[] = {NARROW_BF16, NARROW_F16};
static const Precision precisions[] = {PREC_BF16, PREC_F16};

/* ---- from the definitions of the formats ---- */

typedef struct Shape {
    int fraction, bias, top; /* bits of fraction; of exponents: what is 0, and the one of infinities */
} Shape;

static Shape shape_of(Narrow n)
{
    return n == NARROW_F16 ? (Shape){10, 15, 31} : (Shape){7, 127, 255};
}

static bool is_nan16(Narrow n, uint32_t bits)
{
    Shape s = shape_of(n);
    return (bits & 0x7fff) > (uint32_t)s.top << s.fraction;
}

static double meaning(Narrow n, uint32_t bits)
{
    Shape s = shape_of(n);
    int exponent = (int)(bits & 0x7fff) >> s.fraction, fraction = (int)(bits & ((1u << s.fraction) - 1));
    double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == s.top)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    double x = exponent ? fraction + ldexp(1, s.fraction) : fraction;
    return sign * ldexp(x, (exponent ? exponent : 1) - s.bias - s.fraction);
}

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && signbit(a) == signbit(b));
}

Test(narrow, every_pattern_is_what_the_format_says)
{
    for (int k = 0; k < 2; k++)
        for (uint32_t bits = 0; bits < 0x10000; bits++) {
            float x = narrow_value(formats[k], (uint16_t)bits);
            uint32_t back = narrow_of(formats[k], x);
            cr_assert(same((double)x, meaning(formats[k], bits)), "%s %04x is %g", narrow_text(formats[k]), bits, (double)x);
            cr_assert(back == bits || (is_nan16(formats[k], bits) && is_nan16(formats[k], back)), "%s %04x became %04x",
                      narrow_text(formats[k]), bits, back);
        }
}

/* The number behind the largest one, were there no infinity, is a power of two: what is as near to it is infinite. */
static double next(Narrow n, uint32_t bits)
{
    double x = meaning(n, bits + 1);
    return isinf(x) ? ldexp(1, shape_of(n).top - shape_of(n).bias) : x;
}

static void rounds_to(Narrow n, float x, uint32_t bits)
{
    cr_assert_eq(narrow_of(n, x), bits, "%s of %a is %04x, not %04x", narrow_text(n), (double)x, narrow_of(n, x), bits);
    cr_assert_eq(narrow_of(n, -x), bits | 0x8000, "%s of %a", narrow_text(n), (double)-x);
}

/* Between neighbours, denormal ones and the last too: the tie goes to the even one, what is beside it to the nearer. */
Test(narrow, what_lies_between_goes_to_the_nearer_and_ties_to_the_even_one)
{
    for (int k = 0; k < 2; k++) {
        Shape s = shape_of(formats[k]);
        for (uint32_t bits = 0; bits < (uint32_t)s.top << s.fraction; bits++) {
            float tie = (float)((meaning(formats[k], bits) + next(formats[k], bits)) / 2);
            rounds_to(formats[k], tie, bits % 2 ? bits + 1 : bits);
            rounds_to(formats[k], nextafterf(tie, INFINITY), bits + 1);
            rounds_to(formats[k], nextafterf(tie, 0), bits);
        }
        rounds_to(formats[k], INFINITY, (uint32_t)s.top << s.fraction);
        rounds_to(formats[k], FLT_MAX, (uint32_t)s.top << s.fraction);
        rounds_to(formats[k], FLT_TRUE_MIN, 0);
        cr_assert(is_nan16(formats[k], narrow_of(formats[k], NAN)));
    }
}

/* A float's NaN of any bits: those that would be lost must not leave an infinity. */
Test(narrow, no_nan_becomes_a_number)
{
    for (uint32_t bit = 0; bit < 23; bit++)
        for (int k = 0; k < 4; k++) {
            uint32_t bits = (k % 2 ? 0xff800000u : 0x7f800000u) | 1u << bit;
            float x;
            memcpy(&x, &bits, sizeof x);
            cr_assert(is_nan16(formats[k / 2], narrow_of(formats[k / 2], x)), "%08x", bits);
        }
}

/* ---- generated code ---- */

static Code compile_level(Forms *t, Precision precision, CpuLevel level)
{
    CpuOptions cpu;
    Code code = {0};
    Str error = STR("");
    driver_targets(&t->d, &cpu);
    for (CpuLevel l = 0; l < CPU_NLEVEL; l++)
        cpu.level[l] = l == level;
    cpu.precision = precision;
    RecProg *raw = driver_elab(&t->d, t->unit, t->entry);
    cr_assert(raw && code_make(t->d.arena, raw, &cpu, &code, &error), "%s", str_c(t->d.arena, error));
    return code;
}

/* Every pattern, the ties between neighbours, what lies beside them, and by chance any float. */
static float any_float(Forms *t, Narrow n, int64_t i, int round)
{
    double x = meaning(n, (uint32_t)i & 0xffff);
    uint32_t bits = (uint32_t)(int32_t)(forms_uniform(t) * 0x1p31);
    float tie = (float)((x + meaning(n, ((uint32_t)i + 1) & 0xffff)) / 2), by_chance;
    memcpy(&by_chance, &bits, sizeof by_chance);
    return round == 0 ? (float)x : round == 1 ? tie : round == 2 ? nextafterf(tie, INFINITY) : round == 3 ? nextafterf(tie, -INFINITY) : by_chance;
}

static void check_call(Forms *t, const Code *code, Frame *f, int round)
{
    Narrow n = code->kern->narrow;
    int64_t size, again;
    double *x = forms_argument(f, rec_arg_named(f->prog, "x"), &size), *s0 = forms_argument(f, rec_arg_named(f->prog, "s0"), &again);
    Str why = STR("");
    for (int64_t i = 0; i < size; i++) {
        x[i] = meaning(n, (uint32_t)i & 0xffff);
        s0[i] = (double)any_float(t, n, i, round);
    }
    cr_assert(frame_compiled(f, code, false, &why), "%s", str_c(f->arena, why));
    for (uint32_t o = 0; o < f->prog->out.n; o++)
        for (int64_t i = 0; f->out[o] && i < size; i++) {
            bool state = f->prog->out.p[o].role == OUT_FINAL;
            double want = state ? x[i] : narrow_round(n, s0[i]);
            cr_assert(same(f->out[o][i], want), "%s %s: element %d of %s is %a, not %a (from %a)", narrow_text(n),
                      cpu_level_info(code->cpu.level[CPU_BASELINE] ? CPU_BASELINE : CPU_AVX2)->text, (int)i,
                      state ? "the state" : "the output", f->out[o][i], want, state ? x[i] : s0[i]);
        }
}

/* Whole vectors and a last round that is none; with one element, no vectors at all. */
Test(narrow, generated_code_widens_and_rounds_alike_at_every_level)
{
    Forms t;
    forms_open(&t, "tests/cells/handed_on.rnn", "handed_on");
    for (int k = 0; k < 2; k++)
        for (CpuLevel l = 0; l < CPU_NLEVEL; l++) {
            if (!cpu_level_here(l))
                continue;
            Code code = compile_level(&t, precisions[k], l);
            t.scale = (0x10000 + 13) / 2 + 1;
            for (int round = 0; round < 5; round++)
                check_call(&t, &code, forms_frame(&t, t.d.arena, 1, 1), round);
            code_free(&code);
        }
    forms_close(&t);
}

/* ---- the interpreter, and the text of kern ---- */

static const char kern_of_one_product[] = "kern \"product\" narrow %s\n"
                                          "dim B batch\ndim keep keep\ndim N size\nopen N\n"
                                          "arg \"x\" real[N, N] input of 0\narg \"w\" real[N] param of 0\nout \"y\" real[N, N] value of 0\n"
                                          "buf b0 arg 0 real N*N used 1 \"x\"\nbuf b1 arg 1 real N used 1 \"w\"\n"
                                          "buf b2 out 0 real N*N used 1 \"y\"\n"
                                          "forward {\n"
                                          "  gemm m N n N k N b2[0] rows N cols 1 = b0[0] rows N cols 1 @ b0[0] rows N cols 1\n"
                                          "  parallel %%0 < N {\n"
                                          "    %%1 : real = load b1[0, %%0 by 1]\n"
                                          "    store b2[0, %%0 by N + 1] += %%1\n"
                                          "  }\n"
                                          "}\n";

static KernProg *read_product(Arena *a, Narrow n)
{
    Str error = STR(""), text = str_fmt(a, kern_of_one_product, narrow_text(n));
    KernProg *k = kern_read(a, text, &error);
    cr_assert(k, "%s", str_c(a, error));
    Text again = {.arena = a};
    kern_print(&again, k);
    cr_assert(str_eq(text_str(&again), text), "%s", str_c(a, text_str(&again)));
    return k;
}

/* y = x x, and w added to its diagonal; rounded once, at the end. */
static void expect_product(const KernProg *k, const double *x, const double *w, const double *y, int64_t size)
{
    for (int64_t i = 0; i < size * size; i++) {
        double sum = i / size == i % size ? narrow_round(k->narrow, w[i % size]) : 0;
        for (int64_t j = 0; j < size; j++)
            sum += narrow_round(k->narrow, x[i / size * size + j]) * narrow_round(k->narrow, x[j * size + i % size]);
        cr_expect_eq(y[i], narrow_round(k->narrow, sum), "%s, element %d", narrow_text(k->narrow), (int)i);
    }
}

Test(narrow, products_and_sums_are_made_in_wide_copies)
{
    enum { SIZE = 5 };
    for (int m = 0; m < 2; m++) {
        Arena *a = arena_new();
        KernProg *k = read_product(a, formats[m]);
        Text why = {.arena = a};
        cr_expect(!kern_verify(k, &why), "a product of 16 bits");
        cr_expect_eq(k->buf.n, 3);
        kern_narrow(k);
        why = (Text){.arena = a};
        cr_assert(kern_verify(k, &why), "%s", str_c(a, text_str(&why)));
        uint32_t once = k->buf.n;
        kern_narrow(k);
        cr_expect_eq(k->buf.n, once, "narrow twice is narrow once");
        double x[SIZE * SIZE], w[SIZE], y[SIZE * SIZE], work[2][SIZE * SIZE], *buf[5] = {x, w, y, work[0], work[1]};
        cr_assert_eq(k->buf.n, 5, "x and y have copies, w has none");
        for (int i = 0; i < SIZE * SIZE; i++)
            x[i] = sin(i), w[i % SIZE] = cos(i), y[i] = (double)NAN;
        int64_t dim[8] = {0};
        for (DimSym s = 0; s < dim_nsyms(k->dims); s++)
            dim[s] = str_is(dim_sym_info(k->dims, s)->name, "N") ? SIZE : 1;
        cr_assert(kern_run(k, REC_FORWARD, dim, buf, 0));
        expect_product(k, x, w, y, SIZE);
        arena_free(a);
    }
}

/* ---- what states in single precision are worth ---- */

enum { HEADS = 2, UNITS = 64, PLACES = 1024, FEW = 7, BATCH = 4, STATE = BATCH * HEADS * UNITS };

/* Weights as FlashRNN's tests draw them: R within 1/sqrt(K); x as a projection of unit numbers. Rounded to what is stored. */
static Frame *lstm_call(Forms *t, Narrow n, double forget, int64_t places)
{
    Frame *f = frame_new(t->d.arena, t->reference);
    const RecProg *p = f->prog;
    Str error;
    for (uint32_t i = 0; i < p->open.n; i++)
        f->dim[p->open.p[i]] = p->open.p[i] == p->time ? places : str_is(dim_sym_info(p->dims, p->open.p[i])->name, "N") ? HEADS : UNITS;
    f->dim[p->batch] = BATCH;
    cr_assert(dims_complete(f, &error), "%s", str_c(t->d.arena, error));
    int64_t nx, nR, nb;
    double *x = forms_argument(f, rec_arg_named(p, "x"), &nx), *R = forms_argument(f, rec_arg_named(p, "R"), &nR);
    double *b = forms_argument(f, rec_arg_named(p, "b"), &nb);
    for (int64_t i = 0; i < nx; i++) /* a sum of three: about normal, of variance 1 */
        x[i] = forms_uniform(t) + forms_uniform(t) + forms_uniform(t);
    for (int64_t i = 0; i < nR; i++)
        R[i] = forms_uniform(t) / sqrt(UNITS);
    for (int64_t i = 0; i < nb; i++)
        b[i] = i / (HEADS * UNITS) == 1 ? forget : 0;
    frame_round(f, n);
    return f;
}

static double relative(double difference, double all)
{
    return sqrt(difference / all);
}

typedef struct Error {
    double carried, stored; /* relative l2 errors of h: as step hands it on, and as it stands in the output */
} Error;

static uint32_t out_named(const RecProg *p, const char *name)
{
    uint32_t i = 0;
    while (i < p->out.n && !str_is(p->out.p[i].name, name))
        i++;
    cr_assert(i < p->out.n, "no %s", name);
    return i;
}

/* One step after another, so that each h is seen before it is rounded; it stands in the output rounded, which forward gives too. */
static Error lstm_error(Forms *t, const Code *code, Frame *f)
{
    const KernProg *k = code->kern;
    Frame *whole = frame_copy(f);
    Str why = STR("");
    cr_assert(frame_reference(f, false, &why) && frame_compiled(whole, code, false, &why), "%s", str_c(t->d.arena, why));
    const double *h = f->out[out_named(f->prog, "h")], *stored = whole->out[out_named(f->prog, "h")];
    Native n = native_of(f, code);
    uint32_t x = rec_arg_named(f->prog, "x"), h0 = rec_arg_named(f->prog, "h0"), c0 = rec_arg_named(f->prog, "c0");
    float *hidden = n.in[h0] = NEWN(t->d.arena, float, STATE);
    n.in[c0] = NEWN(t->d.arena, float, STATE);
    uint16_t *first = n.in[x], *out = n.out[out_named(f->prog, "h")];
    double all = 0, carried = 0, rounded = 0;
    for (int64_t i = 0; i < f->dim[f->prog->time]; i++) {
        n.in[x] = first + i * 4 * STATE;
        cr_assert_eq(code_call_chunk(code, true, n.dim, n.in, n.out), 0);
        for (int64_t j = 0; j < STATE; j++) {
            double want = h[i * STATE + j], found = (double)hidden[j], kept = stored[i * STATE + j];
            cr_assert_eq(out[j], narrow_of(k->narrow, hidden[j]), "what is stored is not what is carried, rounded");
            if (!code->products) /* a warp adds up in an order of its own */
                cr_assert_eq(kept, (double)narrow_value(k->narrow, out[j]), "step differs from forward");
            all += want * want, carried += (found - want) * (found - want), rounded += (kept - want) * (kept - want);
        }
    }
    return (Error){relative(carried, all), relative(rounded, all)};
}

/* The bounds are issue 6's: 6e-4 with forget bias 0, and 2e-3 with 3. They are for h as it is carried, before it is rounded: rounding
 * alone moves it by up to 2^-8 (of bf16) of each number whatever was computed before. What is stored has that bound, and is the
 * carried h rounded, bit by bit. */
static void check_error(Forms *t, const Code *code, double forget, int64_t places)
{
    Narrow n = precision_narrow(code->cpu.precision);
    Error e = lstm_error(t, code, lstm_call(t, n, forget, places));
    double bound = forget > 0 ? 2e-3 : 6e-4;
    cr_log_info("%s, forget bias %g: h is off by %.2g as carried, %.2g as stored\n", narrow_text(n), forget, e.carried, e.stored);
    cr_expect_lt(e.carried, bound, "%s, forget bias %g: h is off by %g", narrow_text(n), forget, e.carried);
    cr_expect_lt(e.stored, narrow_unit(n) / 2, "%s, forget bias %g: h is off by %g as stored", narrow_text(n), forget, e.stored);
}

static void check_lstm(Precision precision, double forget)
{
    Forms t;
    forms_open(&t, "stdlib/lstm_heads.rnn", "lstm_heads");
    Code code = forms_compile(&t, (RecForm){.kind = REC_FORM_AUTO}, precision);
    check_error(&t, &code, forget, PLACES);
    code_free(&code);
    forms_close(&t);
}

Test(narrow, an_lstm_over_1024_places_keeps_its_precision)
{
    check_lstm(PREC_BF16, 0);
    check_lstm(PREC_BF16, 3);
    check_lstm(PREC_F16, 0);
    check_lstm(PREC_F16, 3);
}

/* ---- the same on a GPU: the tests' driver runs its PTX, which takes long ---- */

/* Whoever opens the driver by its name finds the one that is there already. */
static NvDevice *emulator(Arena *a)
{
    Str why = STR("");
    cr_assert(dlopen(RNNC_EMULATOR, RTLD_NOW | RTLD_LOCAL), "%s", dlerror());
    NvDevice *d = nv_device_open(a, &why);
    cr_assert(d, "%s", str_c(a, why));
    return d;
}

static void check_lstm_on_gpu(FactorType products, double forget)
{
    Forms t;
    CpuOptions cpu;
    Code code;
    Str error = STR("");
    forms_open(&t, "stdlib/lstm_heads.rnn", "lstm_heads");
    Gpu gpu = {emulator(t.d.arena), STR("sm_80"), products};
    driver_targets(&t.d, &cpu);
    cpu.precision = PREC_BF16;
    cr_assert(code_make_gpu(t.d.arena, driver_elab(&t.d, t.unit, t.entry), &cpu, &gpu, &code, &error), "%s", str_c(t.d.arena, error));
    check_error(&t, &code, forget, getenv("RNNC_ALL") ? PLACES : FEW);
    code_free(&code);
    nv_device_close(gpu.device);
    forms_close(&t);
}

/* In a few places; RNNC_ALL=1: in all of them. Then with h rounded where it is multiplied, too, which is all that the bounds leave room for. */
Test(narrow, an_lstm_on_a_gpu_keeps_its_precision)
{
    check_lstm_on_gpu(FACTOR_REAL, 0);
    check_lstm_on_gpu(FACTOR_REAL, 3);
    check_lstm_on_gpu(FACTOR_BF16, 0);
    check_lstm_on_gpu(FACTOR_BF16, 3);
}
