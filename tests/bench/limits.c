/* Contestant: what one core of this machine can do at most. limits KIND ...: "flops" multiplies and adds in registers; "memory"
 * is c = a + s * b over arrays that no cache holds, with plain stores; "streamed" the same with stores that pass the caches by.
 * Says "ready WORK": the flops, or the bytes read and written, of one run. */
#include "timing.h"
#include <immintrin.h>
#include <sys/mman.h>

#if defined __AVX512F__
enum { WIDTH = 64 };
#elif defined __AVX__
enum { WIDTH = 32 };
#else
enum { WIDTH = 16 };
#endif
typedef float vector __attribute__((vector_size(WIDTH)));
enum { CHAINS = 12, ROUNDS = 400000, N = 1 << 26 };

static void flops(void *result)
{
    vector sum[CHAINS] = {0}, factor = sum[0] + 0.5f, summand = sum[0] + 0.25f;
    __asm__ volatile("" : "+x"(factor), "+x"(summand)); /* the compiler knows nothing of their values now */
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++)
        __asm__ volatile("" : "+x"(sum[c]));
    for (int i = 0; i < ROUNDS; i++)
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++)
            sum[c] = sum[c] * factor + summand;
    for (int c = 1; c < CHAINS; c++)
        sum[0] += sum[c];
    *(float *)result = sum[0][0];
}

static void memory(void *arrays)
{
    const float *a = (const float *)arrays, *b = a + N + 272;
    float *restrict c = (float *)arrays + 2 * N + 544;
    for (int64_t i = 0; i < N; i++)
        c[i] = a[i] + 0.5f * b[i];
}

static void streamed(void *arrays)
{
    const float *a = (const float *)arrays, *b = a + N + 272;
    float *c = (float *)arrays + 2 * N + 544;
    const __m128 s = _mm_set1_ps(0.5f);
    for (int64_t i = 0; i < N; i += 4)
        _mm_stream_ps(c + i, _mm_add_ps(_mm_load_ps(a + i), _mm_mul_ps(s, _mm_load_ps(b + i))));
    _mm_sfence();
}

int main(int argc, char **argv)
{
    const char *kind = argc > 1 ? argv[1] : "";
    int in_registers = !strcmp(kind, "flops");
    void (*once)(void *) = in_registers ? flops : !strcmp(kind, "memory") ? memory : streamed;
    double work = in_registers ? 2.0 * CHAINS * ROUNDS * WIDTH / sizeof(float) : 12.0 * N;
    size_t bytes = in_registers ? 4096 : ((size_t)3 * N + 1024) * sizeof(float);
    char *arrays = (char *)aligned_alloc(1 << 21, (bytes + (1 << 21) - 1) & ~(size_t)((1 << 21) - 1));
    char line[256];
    if (!arrays)
        job_fail("out of memory");
    madvise(arrays, bytes, MADV_HUGEPAGE);
    memset(arrays, 0, bytes);
    printf("ready %.0f\n", work);
    for (fflush(stdout); fgets(line, sizeof line, stdin); fflush(stdout))
        printf("time %.9f\n", job_time(atoi(line + 4), once, arrays));
    return 0;
}
