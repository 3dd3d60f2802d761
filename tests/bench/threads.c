/* threads FILE.so SECONDS SIZES... : training (forward and backward) with 0, 1, 2, 4, ... threads from OpenMP; 0 is
 * without the callback. SIZES in the order of the entry's struct. Turns are interleaved; medians of the time on the
 * wall, and of the processor time along the longest thread: what the wall would show if nothing else ran and threads
 * woke at once. */
#define _POSIX_C_SOURCE 200809L
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/harden/call.h"

enum { MAXTURN = 999, MAXWAY = 8 };

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of the tasks so far: the first thread's processor time in them, and that of the thread with the most. */
typedef struct Inside {
    double own, most;
} Inside;

static void run_tasks(void *inside, int64_t n, void (*task)(void *, int64_t), void *cx)
{
    Inside *in = inside;
    double most = 0, own = 0;
#pragma omp parallel reduction(max : most) reduction(+ : own)
    {
        double start = now(CLOCK_THREAD_CPUTIME_ID);
#pragma omp for schedule(static, 1) nowait
        for (int64_t i = 0; i < n; i++)
            task(cx, i);
        most = now(CLOCK_THREAD_CPUTIME_ID) - start;
        own = omp_get_thread_num() ? 0 : most;
    }
    in->own += own;
    in->most += most;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void must(int status)
{
    if (status == RNN_OK)
        return;
    fprintf(stderr, "status %d\n", status);
    exit(1);
}

typedef struct Time {
    double wall, longest;
} Time;

/* Both passes on arrays that are laid out and filled already. */
static Time train(Run *forward, Run *backward, int threads)
{
    Inside in = {0};
    omp_set_num_threads(threads ? threads : 1);
    forward->call.parallel = threads ? run_tasks : NULL;
    forward->call.context = &in;
    double wall = now(CLOCK_MONOTONIC), own = now(CLOCK_THREAD_CPUTIME_ID);
    must(run_call(forward));
    backward->call = forward->call;
    must(run_call(backward));
    own = now(CLOCK_THREAD_CPUTIME_ID) - own;
    return (Time){now(CLOCK_MONOTONIC) - wall, own - in.own + in.most};
}

/* The first turn warms up. */
static double median(double *t, int turns)
{
    qsort(t + 1, (size_t)turns - 1, sizeof *t, by_size);
    return t[1 + (turns - 1) / 2];
}

int main(int argc, char **argv)
{
    static double wall[MAXWAY][MAXTURN], longest[MAXWAY][MAXTURN];
    Model m;
    Case c = {.given = NONE, .seed = 1};
    static Heap first, second;
    Memory memory = heap_memory(&first, false), more = heap_memory(&second, false);
    static Run forward, backward;
    int ways = 1, turns = 0;
    if (argc < 3 || !model_open(&m, argv[1]) || argc != 3 + m.count[SIZES])
        return 2;
    for (int i = 0; i < m.count[SIZES]; i++)
        c.size[i] = atoll(argv[3 + i]);
    c.given = ALL;
    run_begin(&forward, &m, &c, &memory, TRAIN);
    run_begin(&backward, &m, &c, &more, BACKWARD);
    for (int n = 1; n <= omp_get_num_procs() && ways < MAXWAY; n *= 2)
        ways++;
    double end = now(CLOCK_MONOTONIC) + atof(argv[2]), alone = 0, alone_wall = 0;
    for (; turns < MAXTURN && (turns < 4 || now(CLOCK_MONOTONIC) < end); turns++)
        for (int w = 0; w < ways; w++) {
            Time t = train(&forward, &backward, w ? 1 << (w - 1) : 0);
            wall[w][turns] = t.wall;
            longest[w][turns] = t.longest;
        }
    printf("|");
    for (int w = 0; w < ways; w++) {
        double l = median(longest[w], turns), t = median(wall[w], turns);
        alone = w ? alone : l;
        alone_wall = w ? alone_wall : t;
        printf(" %.3g (%.2f, wall %.2f) |", 1e3 * l, alone / l, alone_wall / t);
    }
    printf("\n");
    heap_free(&first);
    heap_free(&second);
    return 0;
}
