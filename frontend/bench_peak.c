/* Peaks of one core: chains of multiplications and additions in registers, enough of them side by side for the units to be busy; and
 * c = a + s * b over arrays that no cache holds. The best of several runs counts: a peak is what nothing disturbed. */
#include <immintrin.h>
#include <stdlib.h>

#include "frontend/bench.h"

enum { CHAINS = 12, ROUNDS = 20000, RUNS = 25, ELEMENTS = 1 << 24, PASSES = 5 };

/* One function for each level and type. Twelve values, so that none waits for itself; the factor keeps them finite. */
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define CHAIN(I) c[I] = STEP(c[I]);
#define BODY(VECTOR, SET, ADD, STORE, NUMBER, LANES)                                                                                       \
    VECTOR c[CHAINS], factor = SET(*start), summand = SET(*start);                                                                         \
    NUMBER out[LANES];                                                                                                                     \
    for (int i = 0; i < CHAINS; i++)                                                                                                       \
        c[i] = SET(*start * (NUMBER)i);                                                                                                    \
    for (int i = 0; i < ROUNDS; i++) {                                                                                                     \
        ALL(CHAIN)                                                                                                                         \
    }                                                                                                                                      \
    for (int i = 1; i < CHAINS; i++)                                                                                                       \
        c[0] = ADD(c[0], c[i]);                                                                                                            \
    STORE(out, c[0]);                                                                                                                      \
    return (double)out[0];

#define STEP(V) _mm_add_ps(_mm_mul_ps(V, factor), summand)
static double baseline_f32(const volatile float *start)
{
    BODY(__m128, _mm_set1_ps, _mm_add_ps, _mm_storeu_ps, float, 4)
}
#undef STEP
#define STEP(V) _mm_add_pd(_mm_mul_pd(V, factor), summand)
static double baseline_f64(const volatile double *start)
{
    BODY(__m128d, _mm_set1_pd, _mm_add_pd, _mm_storeu_pd, double, 2)
}
#undef STEP
#define STEP(V) _mm256_fmadd_ps(V, factor, summand)
__attribute__((target("avx2,fma"))) static double avx2_f32(const volatile float *start)
{
    BODY(__m256, _mm256_set1_ps, _mm256_add_ps, _mm256_storeu_ps, float, 8)
}
#undef STEP
#define STEP(V) _mm256_fmadd_pd(V, factor, summand)
__attribute__((target("avx2,fma"))) static double avx2_f64(const volatile double *start)
{
    BODY(__m256d, _mm256_set1_pd, _mm256_add_pd, _mm256_storeu_pd, double, 4)
}
#undef STEP
#define STEP(V) _mm512_fmadd_ps(V, factor, summand)
__attribute__((target("avx512f"))) static double avx512_f32(const volatile float *start)
{
    BODY(__m512, _mm512_set1_ps, _mm512_add_ps, _mm512_storeu_ps, float, 16)
}
#undef STEP
#define STEP(V) _mm512_fmadd_pd(V, factor, summand)
__attribute__((target("avx512f"))) static double avx512_f64(const volatile double *start)
{
    BODY(__m512d, _mm512_set1_pd, _mm512_add_pd, _mm512_storeu_pd, double, 8)
}

static double once(CpuLevel level, bool f64)
{
    const volatile float half = 0.5f;
    const volatile double halves = 0.5;
    switch (level) {
    case CPU_AVX512: return f64 ? avx512_f64(&halves) : avx512_f32(&half);
    case CPU_AVX2: return f64 ? avx2_f64(&halves) : avx2_f32(&half);
    default: return f64 ? baseline_f64(&halves) : baseline_f32(&half);
    }
}

/* An interval of 0 is one that the clock did not see. */
static double better(double best, double count, double seconds)
{
    return seconds > 0 && count / seconds > best ? count / seconds : best;
}

static double flops(CpuLevel level, bool f64)
{
    uint32_t lanes = cpu_level_info(level)->vector_bytes / (f64 ? 8 : 4);
    double best = 0, count = (double)lanes * (2 * CHAINS * ROUNDS);
    volatile double kept = 0;
    for (int i = 0; i < RUNS; i++) {
        double begin = time_of_thread();
        kept = once(level, f64);
        best = better(best, count, time_of_thread() - begin);
    }
    (void)kept;
    return best;
}

/* Seconds. An element is read again, and no compiler knows which: stores that nobody reads need not be made. */
static double one_pass(float *c, const float *a, const float *b)
{
    volatile int any = 0;
    volatile float read;
    double begin = time_of_thread();
    for (int i = 0; i < ELEMENTS; i++)
        c[i] = a[i] + 0.5f * b[i];
    read = c[any];
    (void)read;
    return time_of_thread() - begin;
}

static bool bandwidth(double *best, Str *error)
{
    float *all = malloc((size_t)ELEMENTS * 3 * sizeof *all);
    *best = 0;
    if (!all) {
        *error = STR("there is no memory to measure how fast memory is");
        return false;
    }
    for (size_t i = 0; i < (size_t)ELEMENTS * 3; i++)
        all[i] = 1;
    for (int i = 0; i < PASSES; i++)
        *best = better(*best, (double)(12 * (int64_t)ELEMENTS), one_pass(all + 2 * (size_t)ELEMENTS, all, all + ELEMENTS));
    free(all);
    return true;
}

bool peak_measure(const CpuOptions *cpu, Peak *out, Str *error)
{
    CpuLevel level = CPU_NLEVEL;
    while (!cpu->level[level - 1])
        level--;
    out->flops = flops(level - 1, cpu->precision == PREC_F64);
    return bandwidth(&out->bandwidth, error);
}
