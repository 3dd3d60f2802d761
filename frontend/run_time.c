#define _POSIX_C_SOURCE 200809L
#include "frontend/run_time.h"

#include <stdlib.h>
#include <time.h>

#include "backends/backend.h"
#include "frontend/driver.h"

/* On a GPU this only launches. */
static int launch(const Timed *t, bool training)
{
    RnnStatus status = nv_call_start(t->gpu, IFN_FORWARD, training);
    return (int)(status == RNN_OK && training ? nv_call_start(t->gpu, IFN_BACKWARD, true) : status);
}

static int call(const Timed *t, bool training)
{
    if (t->gpu)
        return launch(t, training);
    const void *const *in = (const void *const *)t->call.in;
    int status = cpu_call(t->code->code, REC_FORWARD, t->call.dim, in, t->call.out, training, 0);
    if (status == RNN_OK && training)
        status = cpu_call(t->code->code, REC_BACKWARD, t->call.dim, in, t->call.out, true, 0);
    return status;
}

static int wait(const Timed *t, int status)
{
    return t->gpu && status == RNN_OK ? (int)nv_call_wait(t->gpu) : status;
}

/* Time of this thread, which is all that generated code uses: what other programs take of the machine does not count. */
double time_of_thread(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The status of the first of them that fails. */
static int calls(const Timed *t, bool training, uint32_t repeat)
{
    int status = RNN_OK;
    for (uint32_t i = 0; i < repeat && status == RNN_OK; i++)
        status = call(t, training);
    return wait(t, status);
}

/* Seconds of one call, on a GPU by the clock on the wall; `repeat` calls take long enough for the clock. False, and a
 * message, when one fails. */
static bool measure(Timed *t, bool training, uint32_t repeat, double *seconds, Str *error)
{
    double begin = seconds_now(), mine = time_of_thread();
    int status = calls(t, training, repeat);
    mine = time_of_thread() - mine;
    double all = seconds_now() - begin;
    t->spent += all;
    *seconds = (t->gpu ? all : mine) / repeat;
    if (status != RNN_OK)
        *error = code_status_text(t->code->kern->arena, t->code, status);
    return status == RNN_OK;
}

/* The first call touches the memory, the second says how many fill a millisecond. */
static bool warm_up(Timed *t, bool training, Str *error)
{
    double one;
    if (!measure(t, training, 1, &one, error) || !measure(t, training, 1, &one, error))
        return false;
    t->repeat[training] = one >= 1e-3 ? 1 : one < 1e-6 ? 1000 : (uint32_t)(1e-3 / one) + 1;
    return true;
}

/* To a GPU, once. */
static bool bring(Timed *t, Str *error)
{
    if (!t->code->gpu)
        return true;
    RnnStatus status = nv_call_open(&t->gpu, t->code->gpu, IFN_FORWARD, t->call.dim, t->call.in, t->call.out);
    if (status != RNN_OK)
        *error = code_status_text(t->code->kern->arena, t->code, (int)status);
    return status == RNN_OK;
}

void time_end(Timed *t)
{
    if (t->gpu)
        nv_call_close(t->gpu);
    t->gpu = NULL;
}

bool time_begin(Timed *t, const Frame *f, const Code *code, Str *error)
{
    time_end(t);
    *t = (Timed){.code = code, .call = native_of(f, code), .trains = code->kern->has_fn[REC_BACKWARD]};
    return bring(t, error) && warm_up(t, false, error) && (!t->trains || warm_up(t, true, error));
}

bool time_round(Timed *t, double seconds, bool *more, Str *error)
{
    if (t->nround == TIME_MAXROUNDS || (t->nround >= TIME_MINROUNDS && t->spent >= seconds))
        return true;
    for (int training = 0; training <= t->trains; training++)
        if (!measure(t, training, t->repeat[training], &t->seconds[training][t->nround], error))
            return false;
    t->nround++;
    *more = true;
    return true;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The part `q` of the measurements are below it. */
static double quantile(const Timed *t, bool training, double q)
{
    double sorted[TIME_MAXROUNDS], at = q * (t->nround - 1);
    uint32_t below = (uint32_t)at, above = below + 1 < t->nround ? below + 1 : below;
    memcpy(sorted, t->seconds[training], sizeof sorted);
    qsort(sorted, t->nround, sizeof *sorted, compare);
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

double time_median(const Timed *t, bool training)
{
    return quantile(t, training, 0.5);
}

double time_spread(const Timed *t, bool training)
{
    double median = time_median(t, training);
    return median > 0 ? (quantile(t, training, 0.75) - quantile(t, training, 0.25)) / median : 0;
}
