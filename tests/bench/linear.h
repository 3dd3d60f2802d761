/* What every contestant of `linear` is: a process that fills the arrays of one cell, says "ready", and then obeys lines on its
 * standard input:
 *   run N    does the work N times (and once before, untimed, when N > 1); answers "time SECONDS", the median
 *   digest   does it once more; answers "digest" and two numbers for each result: its product with fixed noise, and its norm
 * It ends with its input. Compiled for one cell, -DCELL=gla. B = 1, one head.
 *
 * arguments: MODE(forward|training|step) T P Q; step: T calls that go on from a carry
 * The arrays of each cell, in order: X(name, elements, low, high), drawn between low and high by draw(). P and Q are the sizes
 * of the state: D; D and N; K and V. Results are the outputs, then, with training, the gradients of inputs and parameters. */
#ifndef TESTS_BENCH_LINEAR_H
#define TESTS_BENCH_LINEAR_H

#include "timing.h"
#include <sys/mman.h>

#define INPUTS_scan(X) X(a, T * P, 0.5, 1) X(b, T * P, -1, 1)
#define PARAMS_scan(X)
#define OUTPUT_scan(X) X(h, T * P, -1, 1)
#define SIZES_scan .D = P

#define INPUTS_mamba(X) X(x, T * P, -1, 1) X(dt, T * P, -1, 1) X(B, T * Q, -1, 1) X(C, T * Q, -1, 1) X(z, T * P, -1, 1)
#define PARAMS_mamba(X) X(A_log, P * Q, 0, 2.77) X(dt_bias, P, -6.9, -2.25) X(skip, P, 0.5, 1.5)
#define OUTPUT_mamba(X) X(y, T * P, -1, 1)
#define SIZES_mamba .D = P, .N = Q

#define INPUTS_gla(X) X(q, T * P, -1, 1) X(k, T * P, -1, 1) X(v, T * Q, -1, 1) X(g, T * P, -2, 4)
#define PARAMS_gla(X)
#define OUTPUT_gla(X) X(y, T * Q, -1, 1)
#define SIZES_gla .N = 1, .K = P, .V = Q

#define INPUTS_gated_deltanet(X) \
    X(q, T * P, -1, 1) X(k, T * P, -1, 1) X(v, T * Q, -1, 1) X(a, T, -1, 1) X(b, T, -2, 2)
#define PARAMS_gated_deltanet(X) X(A_log, 1, 0, 2.77) X(dt_bias, 1, -6.9, -2.25)
#define OUTPUT_gated_deltanet(X) X(y, T * Q, -1, 1)
#define SIZES_gated_deltanet .N = 1, .K = P, .V = Q

#define INPUTS_mlstm(X) X(q, T * P, -1, 1) X(k, T * P, -1, 1) X(v, T * Q, -1, 1) X(i, T, -2, 2) X(f, T, 0, 4)
#define PARAMS_mlstm(X)
#define OUTPUT_mlstm(X) X(y, T * Q, -1, 1)
#define SIZES_mlstm .N = 1, .K = P, .V = Q

#define GLUE_(a, b) a##b
#define GLUE(a, b) GLUE_(a, b)
#define INPUTS(X) GLUE(INPUTS_, CELL)(X)
#define PARAMS(X) GLUE(PARAMS_, CELL)(X)
#define OUTPUT(X) GLUE(OUTPUT_, CELL)(X)

#define NUMBER(name, count, low, high) A_##name,
enum { INPUTS(NUMBER) PARAMS(NUMBER) OUTPUT(NUMBER) ARRAYS };

typedef struct Array {
    float *value, *d; /* d is drawn for the output, a result for all others; NULL without training */
    int64_t n;
} Array;

typedef struct Task {
    int training, stepping;
    int64_t T, P, Q;
    Array a[ARRAYS];
    void (*once)(struct Task *);
} Task;

static float draw(uint32_t array, uint32_t i, double low, double high)
{
    uint32_t x = i * 2654435761u ^ array * 2246822519u;
    x ^= x >> 16, x *= 0x7feb352du;
    x ^= x >> 15, x *= 0x846ca68bu;
    x ^= x >> 16;
    return (float)(low + (high - low) * (double)(x >> 8) / 16777216.0);
}

/* What the machine has left, less a reserve for others. */
static double memory_left(void)
{
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && !kib && fgets(line, sizeof line, f))
        sscanf(line, "MemAvailable: %lf", &kib);
    if (f)
        fclose(f);
    return kib ? (kib - 4194304) * 1024 : 1e30;
}

/* Filled with zeros, on huge pages where there are. Every array starts at another place of its page: stores that go to the place
 * of a load in another page would wait for each other. */
static float *task_array(int64_t n)
{
    static int64_t place;
    enum { HUGE = 1 << 21 };
    place = (place + 17 * 64) % 4096;
    size_t bytes = ((size_t)n * sizeof(float) + 8192 + HUGE - 1) & ~(size_t)(HUGE - 1);
    if ((double)bytes > memory_left()) {
        printf("skip %.1f GiB more than there is memory for\n", (double)bytes / 1073741824);
        exit(1);
    }
    char *p = (char *)aligned_alloc(HUGE, bytes);
    if (!p)
        job_fail("out of memory");
    madvise(p, bytes, MADV_HUGEPAGE);
    memset(p, 0, bytes);
    return (float *)(p + place);
}

static void task_draw(float *p, int64_t n, uint32_t array, double low, double high)
{
    for (int64_t i = 0; i < n; i++)
        p[i] = draw(array, (uint32_t)i, low, high);
}

static void task_fill(Task *t, int which, int output, int64_t n, double low, double high)
{
    Array *a = &t->a[which];
    a->n = n;
    a->value = task_array(n);
    if (t->training)
        a->d = task_array(n);
    if (!output || a->d)
        task_draw(output ? a->d : a->value, n, (uint32_t)which, low, high);
}

static Task task_read(int argc, char **argv, void (*once)(Task *))
{
    Task t;
    memset(&t, 0, sizeof t);
    if (argc != 5)
        job_fail("wrong arguments");
    t.training = !strcmp(argv[1], "training");
    t.stepping = !strcmp(argv[1], "step");
    t.once = once;
    int64_t T = t.T = atoll(argv[2]), P = t.P = atoll(argv[3]), Q = t.Q = atoll(argv[4]);
    (void)Q;
#define FILL(name, count, low, high) task_fill(&t, A_##name, 0, count, low, high);
#define FILL_OUTPUT(name, count, low, high) task_fill(&t, A_##name, 1, count, low, high);
    INPUTS(FILL) PARAMS(FILL) OUTPUT(FILL_OUTPUT)
    return t;
}

static void task_digest(const float *p, int64_t n)
{
    double product = 0, norm = 0;
    for (int64_t i = 0; i < n; i++)
        product += (double)p[i] * (double)draw(99, (uint32_t)i, -1, 1), norm += (double)p[i] * (double)p[i];
    printf(" %.17g %.17g", product, norm);
}

static void task_serve(Task *t, const char *detail)
{
    char line[256];
    printf("ready %s\n", detail);
    for (fflush(stdout); fgets(line, sizeof line, stdin); fflush(stdout))
        if (!strncmp(line, "run ", 4)) {
            printf("time %.9f\n", job_time(atoi(line + 4), (void (*)(void *))t->once, t));
        } else {
            t->once(t);
            printf("digest");
            task_digest(t->a[ARRAYS - 1].value, t->a[ARRAYS - 1].n);
            for (int i = 0; i < ARRAYS - 1 && t->training; i++)
                task_digest(t->a[i].d, t->a[i].n);
            printf("\n");
        }
}

#endif
