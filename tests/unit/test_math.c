/* The generated elementwise functions against libm in extended precision, over the whole range, at every level that
 * this machine runs: the error bounds, the ends, and that vectors and scalars, and all levels with fused multiply-add,
 * give the same bits. */
#include "tests/unit/jit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* ---- a module with each function, for each level, in vectors and scalars ---- */

typedef void Kernel(const void *a, const void *b, void *y, int64_t n);

static const Fun tested[] = {FUN_EXP, FUN_EXPM1, FUN_LOG,  FUN_LOG1P, FUN_TANH,  FUN_SIGMOID, FUN_SIN,
                             FUN_COS, FUN_ERF,   FUN_POW,  FUN_SQRT,  FUN_FLOOR, FUN_ABS,     FUN_SIGN,
                             FUN_MIN, FUN_MAX,   FUN_IDIV, FUN_IMOD,  FUN_INT};
enum { NTESTED = sizeof tested / sizeof *tested };

static bool of_ints(Fun f)
{
    return f == FUN_IDIV || f == FUN_IMOD;
}

static void kernel_name(char *out, size_t n, Fun f, CpuLevel level, bool f64, uint32_t lanes)
{
    snprintf(out, n, "%s_%s_%s_%u", fun_info(f)->text, cpu_level_info(level)->text, f64 ? "f64" : "f32", lanes);
}

static void add_kernel(CpuGen g, Fun f, const char *name)
{
    LLVMTypeRef ptr = gen_ptr(&g), i64 = gen_int1(&g, 64);
    LLVMTypeRef type =
        LLVMFunctionType(LLVMVoidTypeInContext(g.context), (LLVMTypeRef[]){ptr, ptr, ptr, i64}, 4, false);
    LLVMValueRef fn = LLVMAddFunction(g.module, name, type);
    cpu_set_target(g.context, fn, g.level);
    LLVMPositionBuilderAtEnd(g.b, LLVMAppendBasicBlockInContext(g.context, fn, "entry"));
    DType dt = of_ints(f) ? DT_INT : DT_REAL, result = fun_result(f, (DType[]){dt, dt, dt});
    uint32_t in_bytes = dt == DT_INT ? 4 : g.f64 ? 8 : 4, out_bytes = result == DT_INT ? 4 : g.f64 ? 8 : 4;
    CpuGen one = g;
    one.lanes = 1;
    GenLoop l = gen_loop(&g, gen_i64(&g, 0), LLVMGetParam(fn, 3), gen_i64(&g, g.lanes), NULL, 0);
    LLVMValueRef arg[2];
    for (unsigned i = 0; i < 2; i++)
        arg[i] = gen_load(&g, gen_type(&g, dt), gen_at(&g, gen_type(&one, dt), LLVMGetParam(fn, i), l.i), in_bytes);
    LLVMValueRef y = cpu_fun(&g, f, arg, (DType[]){dt, dt});
    gen_store(&g, y, gen_at(&g, gen_type(&one, result), LLVMGetParam(fn, 2), l.i), out_bytes);
    gen_loop_end(&g, &l, NULL);
    LLVMBuildRetVoid(g.b);
}

static void add_all(LLVMContextRef context, LLVMModuleRef module, LLVMBuilderRef b)
{
    char name[64];
    for (int level = 0; level < CPU_NLEVEL; level++)
        for (int f64 = 0; f64 < 2; f64++)
            for (int vec = 0; vec < 2; vec++)
                for (int i = 0; i < NTESTED; i++) {
                    CpuGen g = cpu_gen(context, module, b, (CpuLevel)level, f64);
                    g.lanes = vec ? cpu_width(&g) : 1;
                    kernel_name(name, sizeof name, tested[i], (CpuLevel)level, f64, g.lanes);
                    add_kernel(g, tested[i], name);
                }
}

static Kernel *kernel(LLVMOrcLLJITRef j, Fun f, CpuLevel level, bool f64, bool vec)
{
    char name[64];
    kernel_name(name, sizeof name, f, level, f64, vec ? cpu_level_info(level)->vector_bytes / (f64 ? 8 : 4) : 1);
    return (Kernel *)jit_find(j, name);
}

/* ---- what is right ---- */

static double right32(Fun f, double x, double y)
{
    return f == FUN_SIGMOID && x < 0 ? exp(x) / (1 + exp(x)) : fun_eval(f, x, y, 0);
}

static long double right(Fun f, long double x, long double y)
{
    switch (f) {
    case FUN_EXP: return expl(x);
    case FUN_EXPM1: return expm1l(x);
    case FUN_LOG: return logl(x);
    case FUN_LOG1P: return log1pl(x);
    case FUN_TANH: return tanhl(x);
    case FUN_SIGMOID: return x >= 0 ? 1 / (1 + expl(-x)) : expl(x) / (1 + expl(x));
    case FUN_SIN: return sinl(x);
    case FUN_COS: return cosl(x);
    case FUN_ERF: return erfl(x);
    case FUN_POW: return powl(x, y);
    case FUN_SQRT: return sqrtl(x);
    default: return (long double)fun_eval(f, (double)x, (double)y, 0);
    }
}

/* Units in the last place of a result near `exact`. */
static double ulps(double got, long double exact, bool f64)
{
    double near = f64 ? (double)exact : (double)(float)exact;
    if (isnan(exact) || isnan(got))
        return isnan(exact) && isnan(got) ? 0 : INFINITY;
    if (isinf(near) || isinf(got))
        return near == got ? 0 : INFINITY;
    int e = 0;
    frexpl(exact, &e);
    int least = f64 ? -1073 : -148, digits = f64 ? 53 : 24;
    return (double)(fabsl((long double)got - exact) / ldexpl(1, (e - digits < least - 1 ? least - 1 : e - digits)));
}

/* ---- sweeps ---- */

enum { CHUNK = 4096 };

typedef struct Sweep {
    double worst, at;
    uint64_t hash; /* of all results' bits; which of the NaNs it is does not count */
    uint64_t count;
    bool measure; /* against libm: slow, and useless where the bits are known to be the same */
} Sweep;

static void note(Sweep *s, Fun f, double x, double y, double got, bool f64)
{
    if (!s->measure)
        return;
    double e = ulps(got, f64 ? right(f, x, y) : (long double)right32(f, x, y), f64);
    if (e > s->worst)
        s->worst = e, s->at = x;
    s->count++;
}

static uint64_t mixed(uint64_t h, const void *p, size_t n)
{
    const unsigned char *c = p;
    for (size_t i = 0; i < n; i++)
        h = (h ^ c[i]) * UINT64_C(0x100000001b3);
    return h;
}

static double random_double(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (double)(z >> 11) * 0x1p-53;
}

/* Angles: ordinary ones, all magnitudes, and those next to whole numbers of quarter turns. */
static double sample_angle(uint64_t *state, double ordinary)
{
    double kind = random_double(state), u = random_double(state), v = random_double(state);
    if (kind < 0.4)
        return ordinary;
    if (kind < 0.7)
        return ldexp(1 + v, (int)(u * 1024));
    return (double)(floorl(ldexpl(1 + (long double)v, (int)(u * 40))) * 1.57079632679489661923L);
}

/* Doubles: magnitudes from 2^-40 to 2^12 evenly in the exponent, both signs; for powers, exponents that keep it in
 * range. */
static double sample(uint64_t *state, Fun f, bool exponent, double base)
{
    double u = random_double(state), v = random_double(state);
    double x = ldexp(1 + v, (int)(u * 52) - 40);
    if (exponent)
        return (v - 0.5) * 1500 / (fabs(log(base)) + 1e-3);
    if (f == FUN_POW)
        return ldexp(1 + v, (int)(u * u * 40) - 10);
    if (f == FUN_SIN || f == FUN_COS)
        x = sample_angle(state, x);
    return random_double(state) < 0.5 ? -x : x;
}

static Sweep sweep64(Kernel *k, Fun f, bool measure)
{
    static double a[CHUNK], b[CHUNK], y[CHUNK];
    Sweep s = {.measure = measure};
    uint64_t state = 7;
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < CHUNK; i++) {
            a[i] = sample(&state, f, false, 0);
            b[i] = f == FUN_POW ? sample(&state, f, true, a[i]) : 1;
        }
        k(a, b, y, CHUNK);
        for (int i = 0; i < CHUNK; i++)
            y[i] = isnan(y[i]) ? NAN : y[i];
        s.hash = mixed(s.hash, y, sizeof y);
        for (int i = 0; i < CHUNK; i++)
            note(&s, f, a[i], b[i], y[i], true);
    }
    return s;
}

/* Every `step`-th of all floats. */
static Sweep sweep32(Kernel *k, Fun f, uint32_t step, bool measure)
{
    static float a[CHUNK], b[CHUNK], y[CHUNK];
    Sweep s = {.measure = measure};
    uint64_t state = 7;
    uint64_t bits = 0;
    while (bits <= UINT32_MAX) {
        for (int i = 0; i < CHUNK; i++, bits += step) {
            uint32_t low = (uint32_t)bits;
            memcpy(&a[i], &low, 4);
            b[i] = f == FUN_POW ? (float)((random_double(&state) - 0.5) * 180 / (fabs(log(fabs((double)a[i]))) + 1e-3))
                                : 1;
        }
        k(a, b, y, CHUNK);
        for (int i = 0; i < CHUNK; i++)
            y[i] = isnan(y[i]) ? NAN : y[i];
        s.hash = mixed(s.hash, y, sizeof y);
        for (int i = 0; i < CHUNK; i++)
            note(&s, f, (double)a[i], (double)b[i], (double)y[i], false);
    }
    return s;
}

static Sweep sweep(LLVMOrcLLJITRef j, Fun f, CpuLevel level, bool f64, bool vec, bool measure)
{
    Kernel *k = kernel(j, f, level, f64, vec);
    return f64 ? sweep64(k, f, measure) : sweep32(k, f, getenv("RNNC_DENSE") ? 61 : 1021, measure);
}

/* The baseline is measured, and the first level with fused multiply-add; the others must give the latter's bits. */
static void check_fun(LLVMOrcLLJITRef j, Fun f, bool f64)
{
    uint64_t fused = 0;
    for (CpuLevel level = 0; level < CPU_NLEVEL; level++) {
        const CpuLevelInfo *info = cpu_level_info(level);
        if (!cpu_level_here(level))
            continue;
        Sweep v = sweep(j, f, level, f64, true, fused == 0), s = sweep(j, f, level, f64, false, false);
        if (getenv("RNNC_SHOW") && v.measure)
            fprintf(stderr, "%-8s %-8s %s: %.3f ulp at %a, %llu points\n", fun_info(f)->text, info->text,
                    f64 ? "f64" : "f32", v.worst, v.at, (unsigned long long)v.count);
        cr_expect(!v.measure || v.count > 200000);
        cr_expect(v.worst <= cpu_math_bound(f, f64), "%s %s %s: %.3f ulp at %a", fun_info(f)->text, info->text,
                  f64 ? "f64" : "f32", v.worst, v.at);
        cr_expect(v.hash == s.hash, "%s %s: vectors and scalars differ", fun_info(f)->text, info->text);
        cr_expect(fused == 0 || fused == v.hash, "%s: levels with fma differ", fun_info(f)->text);
        if (info->fma)
            fused = v.hash;
    }
}

Test(math, bounds_and_bits, .timeout = 600)
{
    static const Fun measured[] = {FUN_EXP, FUN_EXPM1, FUN_LOG, FUN_LOG1P, FUN_TANH, FUN_SIGMOID,
                                   FUN_SIN, FUN_COS,   FUN_ERF, FUN_POW,   FUN_SQRT};
    LLVMOrcLLJITRef j = jit_new(add_all);
    for (size_t i = 0; i < sizeof measured / sizeof *measured; i++)
        for (int f64 = 0; f64 < 2; f64++)
            check_fun(j, measured[i], f64);
}

/* ---- ends, ties, ints: exact ---- */

static bool same(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a == b && (a != 0 || signbit(a) == signbit(b)));
}

static double call_one(Kernel *k, double a, double b, bool f64)
{
    double x[8], y[8], r[8];
    float xf[16], yf[16], rf[16];
    for (int i = 0; i < 16; i++)
        xf[i] = (float)a, yf[i] = (float)b;
    for (int i = 0; i < 8; i++)
        x[i] = a, y[i] = b;
    f64 ? k(x, y, r, 8) : k(xf, yf, rf, 16);
    return f64 ? r[7] : (double)rf[15];
}

static void exact_everywhere(LLVMOrcLLJITRef j, Fun f, double a, double b, double want)
{
    for (int level = 0; level < CPU_NLEVEL; level++)
        for (int f64 = 0; f64 < 2 && cpu_level_here((CpuLevel)level); f64++)
            for (int vec = 0; vec < 2; vec++) {
                double got = call_one(kernel(j, f, (CpuLevel)level, f64, vec), a, b, f64);
                cr_expect(same(got, want), "%s(%g, %g) at %s %s: %g, not %g", fun_info(f)->text, a, b,
                          cpu_level_info((CpuLevel)level)->text, f64 ? "f64" : "f32", got, want);
            }
}

Test(math, ends)
{
    static const struct {
        Fun f;
        double a, b, want;
    } row[] = {
        {FUN_EXP, -INFINITY, 0, 0},
        {FUN_EXP, INFINITY, 0, INFINITY},
        {FUN_EXP, NAN, 0, NAN},
        {FUN_EXP, 0, 0, 1},
        {FUN_EXP, 1e4, 0, INFINITY},
        {FUN_EXP, -1e4, 0, 0},
        {FUN_EXP, 1e30, 0, INFINITY},
        {FUN_EXP, -1e30, 0, 0},
        {FUN_EXPM1, -INFINITY, 0, -1},
        {FUN_EXPM1, INFINITY, 0, INFINITY},
        {FUN_EXPM1, -0.0, 0, -0.0},
        {FUN_EXPM1, NAN, 0, NAN},
        {FUN_EXPM1, -50, 0, -1},
        {FUN_LOG, 0, 0, -INFINITY},
        {FUN_LOG, -0.0, 0, -INFINITY},
        {FUN_LOG, -1, 0, NAN},
        {FUN_LOG, INFINITY, 0, INFINITY},
        {FUN_LOG, NAN, 0, NAN},
        {FUN_LOG, 1, 0, 0},
        {FUN_LOG, -INFINITY, 0, NAN},
        {FUN_LOG1P, -1, 0, -INFINITY},
        {FUN_LOG1P, -2, 0, NAN},
        {FUN_LOG1P, INFINITY, 0, INFINITY},
        {FUN_LOG1P, -0.0, 0, -0.0},
        {FUN_LOG1P, NAN, 0, NAN},
        {FUN_TANH, INFINITY, 0, 1},
        {FUN_TANH, -INFINITY, 0, -1},
        {FUN_TANH, NAN, 0, NAN},
        {FUN_TANH, -0.0, 0, -0.0},
        {FUN_TANH, 20, 0, 1},
        {FUN_TANH, -20, 0, -1},
        {FUN_SIGMOID, INFINITY, 0, 1},
        {FUN_SIGMOID, -INFINITY, 0, 0},
        {FUN_SIGMOID, NAN, 0, NAN},
        {FUN_SIGMOID, 0, 0, 0.5},
        {FUN_SIGMOID, 40, 0, 1},
        {FUN_SIGMOID, -800, 0, 0},
        {FUN_SIN, 0, 0, 0},
        {FUN_SIN, -0.0, 0, -0.0},
        {FUN_SIN, INFINITY, 0, NAN},
        {FUN_SIN, -INFINITY, 0, NAN},
        {FUN_SIN, NAN, 0, NAN},
        {FUN_COS, 0, 0, 1},
        {FUN_COS, -0.0, 0, 1},
        {FUN_COS, 1e-30f, 0, 1},
        {FUN_COS, INFINITY, 0, NAN},
        {FUN_COS, -INFINITY, 0, NAN},
        {FUN_COS, NAN, 0, NAN},
        {FUN_ERF, 0, 0, 0},
        {FUN_ERF, -0.0, 0, -0.0},
        {FUN_ERF, INFINITY, 0, 1},
        {FUN_ERF, -INFINITY, 0, -1},
        {FUN_ERF, 7, 0, 1},
        {FUN_ERF, -1e30f, 0, -1},
        {FUN_ERF, NAN, 0, NAN},
        {FUN_SQRT, -1, 0, NAN},
        {FUN_SQRT, -0.0, 0, -0.0},
        {FUN_SQRT, 4, 0, 2},
        {FUN_FLOOR, -0.5, 0, -1},
        {FUN_FLOOR, -0.0, 0, -0.0},
        {FUN_FLOOR, 2.5, 0, 2},
        {FUN_FLOOR, -3, 0, -3},
        {FUN_FLOOR, 1e30f, 0, 1e30f},
        {FUN_FLOOR, INFINITY, 0, INFINITY},
        {FUN_FLOOR, NAN, 0, NAN},
        {FUN_FLOOR, 0.75, 0, 0},
        {FUN_FLOOR, 8388609, 0, 8388609},
        {FUN_ABS, -0.0, 0, 0},
        {FUN_ABS, -INFINITY, 0, INFINITY},
        {FUN_SIGN, -3, 0, -1},
        {FUN_SIGN, 0, 0, 0},
        {FUN_SIGN, -0.0, 0, 0},
        {FUN_SIGN, NAN, 0, NAN},
        {FUN_SIGN, INFINITY, 0, 1},
        {FUN_MAX, 1, NAN, NAN},
        {FUN_MAX, NAN, 1, NAN},
        {FUN_MAX, 0.0, -0.0, 0.0},
        {FUN_MAX, -0.0, 0.0, -0.0},
        {FUN_MAX, 1, 2, 2},
        {FUN_MIN, 1, NAN, NAN},
        {FUN_MIN, NAN, 1, NAN},
        {FUN_MIN, 0.0, -0.0, 0.0},
        {FUN_MIN, -0.0, 0.0, -0.0},
        {FUN_MIN, 1, 2, 1},
        {FUN_POW, 2, 10, 1024},
        {FUN_POW, -2, 3, -8},
        {FUN_POW, -2, 2, 4},
        {FUN_POW, -2, 0.5, NAN},
        {FUN_POW, 0, 0, 1},
        {FUN_POW, NAN, 0, 1},
        {FUN_POW, 1, NAN, 1},
        {FUN_POW, 2, NAN, NAN},
        {FUN_POW, NAN, 2, NAN},
        {FUN_POW, 0, 2, 0},
        {FUN_POW, 0, -2, INFINITY},
        {FUN_POW, -0.0, 3, -0.0},
        {FUN_POW, -0.0, -3, -INFINITY},
        {FUN_POW, -0.0, 2, 0},
        {FUN_POW, INFINITY, 2, INFINITY},
        {FUN_POW, INFINITY, -1, 0},
        {FUN_POW, -INFINITY, 3, -INFINITY},
        {FUN_POW, -INFINITY, 0.5, INFINITY},
        {FUN_POW, 2, INFINITY, INFINITY},
        {FUN_POW, 0.5, INFINITY, 0},
        {FUN_POW, 2, -INFINITY, 0},
        {FUN_POW, 0.5, -INFINITY, INFINITY},
        {FUN_POW, -1, INFINITY, 1},
        {FUN_POW, 1, INFINITY, 1},
        {FUN_POW, 10, 400, INFINITY},
        {FUN_POW, 10, -400, 0},
        {FUN_POW, 9, 0.5, 3},
        {FUN_POW, 0, INFINITY, 0},
        {FUN_POW, 1e30f, 1e30f, INFINITY},
    };
    LLVMOrcLLJITRef j = jit_new(add_all);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        exact_everywhere(j, row[i].f, row[i].a, row[i].b, row[i].want);
}

/* Of all doubles the nearest to a multiple of pi/2 (Muller, Elementary Functions, on argument reduction); the values
 * are from 400 digits. */
Test(math, hardest_angle)
{
    LLVMOrcLLJITRef j = jit_new(add_all);
    for (int level = 0; level < CPU_NLEVEL; level++)
        for (int vec = 0; vec < 2 && cpu_level_here((CpuLevel)level); vec++) {
            double x = 0x1.6ac5b262ca1ffp+849;
            double c = call_one(kernel(j, FUN_COS, (CpuLevel)level, true, vec), x, 0, true);
            double s = call_one(kernel(j, FUN_SIN, (CpuLevel)level, true, vec), -x, 0, true);
            cr_expect(ulps(c, -4.687165924254627611e-19L, true) <= cpu_math_bound(FUN_COS, true), "%a", c);
            cr_expect(s == -1, "%a", s);
        }
}

Test(math, ints)
{
    static const int32_t value[] = {0, 1, -1, 2, -2, 3, -3, 7, -7, 100, INT32_MAX, INT32_MIN};
    enum { N = sizeof value / sizeof *value };
    LLVMOrcLLJITRef j = jit_new(add_all);
    int32_t a[16], b[16], y[16];
    for (int level = 0; level < CPU_NLEVEL; level++)
        for (int f = 0; f < 2 && cpu_level_here((CpuLevel)level); f++)
            for (int n = 0; n < N * N * 2; n++) {
                Fun fun = f ? FUN_IDIV : FUN_IMOD;
                int64_t p = value[n / 2 / N], q = value[n / 2 % N];
                for (int i = 0; i < 16; i++)
                    a[i] = (int32_t)p, b[i] = (int32_t)q;
                kernel(j, fun, (CpuLevel)level, false, n % 2)(a, b, y, 16);
                int64_t down = q ? p / q - (p % q && (p % q < 0) != (q < 0)) : 0, rest = q ? p - q * down : 0;
                int32_t want = (int32_t)(uint32_t)(uint64_t)(fun == FUN_IDIV ? down : rest);
                cr_expect(y[15] == want, "%s(%lld, %lld) at %s: %d, not %d", fun_info(fun)->text, (long long)p,
                          (long long)q, cpu_level_info((CpuLevel)level)->text, y[15], want);
            }
}

Test(math, to_int)
{
    static const struct {
        float a;
        int32_t want;
    } row[] = {
        {2.9f, 2}, {-2.9f, -2}, {NAN, 0}, {INFINITY, INT32_MAX}, {-INFINITY, INT32_MIN}, {-2147483648.f, INT32_MIN}};
    LLVMOrcLLJITRef j = jit_new(add_all);
    float a[16];
    int32_t y[16];
    for (int level = 0; level < CPU_NLEVEL; level++)
        for (size_t r = 0; r < sizeof row / sizeof *row && cpu_level_here((CpuLevel)level); r++)
            for (int vec = 0; vec < 2; vec++) {
                for (int i = 0; i < 16; i++)
                    a[i] = row[r].a;
                kernel(j, FUN_INT, (CpuLevel)level, false, vec)(a, a, y, 16);
                cr_expect(y[0] == row[r].want, "int(%g): %d, not %d", (double)row[r].a, y[0], row[r].want);
            }
}
