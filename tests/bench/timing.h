/* How contestants allocate and take time. Seconds are those of the process's own processor time, which other programs on the
 * machine disturb less than the clock on the wall; with several threads (BENCH_THREADS, the same for all contestants) they are
 * those of that clock. */
#ifndef TESTS_BENCH_TIMING_H
#define TESTS_BENCH_TIMING_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void job_fail(const char *text)
{
    printf("skip %s\n", text);
    exit(1);
}

static float *job_array(int64_t n)
{
    size_t bytes = ((size_t)n * sizeof(float) + 63) & ~(size_t)63;
    float *p = (float *)aligned_alloc(64, bytes ? bytes : 64);
    if (!p)
        job_fail("out of memory");
    memset(p, 0, bytes);
    return p;
}

static int job_threads(void)
{
    const char *text = getenv("BENCH_THREADS");
    return text ? atoi(text) : 1;
}

static double job_seconds(void)
{
    struct timespec t;
    clock_gettime(job_threads() > 1 ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int job_order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double job_time(int n, void (*once)(void *), void *context)
{
    double *t = (double *)malloc((size_t)n * sizeof(double)), median;
    if (n > 1)
        once(context);
    for (int i = 0; i < n; i++) {
        double start = job_seconds();
        once(context);
        t[i] = job_seconds() - start;
    }
    qsort(t, (size_t)n, sizeof(double), job_order);
    median = n % 2 ? t[n / 2] : 0.5 * (t[n / 2 - 1] + t[n / 2]);
    free(t);
    return median;
}

#endif
