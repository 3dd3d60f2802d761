/* One model on a GPU and on the CPU: forward and backward over the same numbers, what differs, and how long each took.
 *   gpu [T B H]
 * Exit code 3: there is no GPU; 1: something failed, or the two do not agree. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "device.h"
#include "echo.h"
#include "echo_cpu.h"

enum { D = 8, NO_GPU = 3, W = 0, U, BIAS, OUT, NPARAM };

/* Everything that both compute with, and what each computes. */
typedef struct Run {
    float *param[NPARAM], *x, *dy; /* the same for both; dy: the cotangent of y */
    float *y, *grad[NPARAM], *dx;
} Run;

typedef struct Job {
    int64_t T, B, H;
    size_t nparam[NPARAM], nx;
} Job;

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "gpu: %s: %s\n", what, why);
    exit(1);
}

static float *floats(size_t n)
{
    float *p = calloc(n, sizeof *p);
    if (!p)
        fail("memory", "there is none");
    return p;
}

static void draw(float *p, size_t n)
{
    static uint64_t state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        p[i] = (float)((double)(state >> 11) * 0x1p-53) * 2 - 1;
    }
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static Run run_new(const Job *j)
{
    Run r = {.x = floats(j->nx), .dy = floats(j->nx), .y = floats(j->nx), .dx = floats(j->nx)};
    for (int i = 0; i < NPARAM; i++) {
        r.param[i] = floats(j->nparam[i]);
        r.grad[i] = floats(j->nparam[i]);
    }
    return r;
}

/* ---- on the CPU ---- */

static double on_cpu(const Job *j, Run *r)
{
    echo_cpu_sizes sizes = {.T = j->T, .B = j->B, .D = D, .H = j->H};
    echo_cpu_params params = {.W = r->param[W], .U = r->param[U], .b = r->param[BIAS], .out = r->param[OUT]};
    echo_cpu_inputs inputs = {.x = r->x};
    echo_cpu_outputs outputs = {.y = r->y};
    echo_cpu_cotangents cotangents = {.d_y = r->dy};
    echo_cpu_grads grads = {.W = r->grad[W], .U = r->grad[U], .b = r->grad[BIAS], .out = r->grad[OUT]};
    echo_cpu_input_grads input_grads = {.x = r->dx};
    rnn_call call = {.bytes = echo_cpu_workspace(&sizes, RNN_TRAIN), .passes = RNN_TRAIN};
    call.workspace = malloc(call.bytes);
    double begin = seconds();
    if (echo_cpu_forward(&sizes, &params, &inputs, &outputs, &call) != RNN_OK ||
        echo_cpu_backward(&sizes, &params, &inputs, &cotangents, &grads, &input_grads, &call) != RNN_OK)
        fail("on the CPU", "a size is wrong");
    double end = seconds();
    free(call.workspace);
    return end - begin;
}

/* ---- on the GPU ---- */

static void *there(Device *d, const float *from, size_t n)
{
    void *at = device_new(d, n * sizeof *from, from);
    if (!at)
        fail(d->failed, "failed");
    return at;
}

/* The same arrays on the device. */
static Run run_there(Device *d, const Job *j, const Run *r)
{
    Run g = {.x = there(d, r->x, j->nx),
             .dy = there(d, r->dy, j->nx),
             .y = there(d, NULL, j->nx),
             .dx = there(d, NULL, j->nx)};
    for (int i = 0; i < NPARAM; i++) {
        g.param[i] = there(d, r->param[i], j->nparam[i]);
        g.grad[i] = there(d, r->grad[i], j->nparam[i]); /* zeros: gradients of parameters are added */
    }
    return g;
}

static void run_back(Device *d, const Job *j, Run *r, const Run *g)
{
    int ok = device_read(d, r->y, g->y, j->nx * sizeof *r->y) && device_read(d, r->dx, g->dx, j->nx * sizeof *r->dx);
    for (int i = 0; i < NPARAM && ok; i++)
        ok = device_read(d, r->grad[i], g->grad[i], j->nparam[i] * sizeof *r->grad[i]);
    if (!ok)
        fail(d->failed, "failed");
}

static void run_free(Device *d, Run *g)
{
    for (int i = 0; i < NPARAM; i++) {
        device_free(d, g->param[i]);
        device_free(d, g->grad[i]);
    }
    device_free(d, g->x);
    device_free(d, g->dy);
    device_free(d, g->y);
    device_free(d, g->dx);
}

static void must(const rnn_cuda_error *e, rnn_status status)
{
    if (status == RNN_CUDA)
        fail(e->call, e->name);
    if (status != RNN_OK)
        fail("a call of the launcher", "an argument is wrong");
}

/* Calls only launch: the time is that until all of it is done. */
static double launch(Device *d, const echo_cuda *cuda, const Job *j, Run *g)
{
    echo_sizes sizes = {.T = j->T, .B = j->B, .D = D, .H = j->H};
    echo_params params = {.W = g->param[W], .U = g->param[U], .b = g->param[BIAS], .out = g->param[OUT]};
    echo_inputs inputs = {.x = g->x};
    echo_outputs outputs = {.y = g->y};
    echo_cotangents cotangents = {.d_y = g->dy};
    echo_grads grads = {.W = g->grad[W], .U = g->grad[U], .b = g->grad[BIAS], .out = g->grad[OUT]};
    echo_input_grads input_grads = {.x = g->dx};
    rnn_cuda_call call = {.bytes = echo_workspace_cuda(&sizes, RNN_TRAIN), .passes = RNN_TRAIN};
    call.workspace = there(d, NULL, call.bytes / sizeof(float) + 1);
    double begin = seconds();
    must(&call.error, echo_forward_cuda(cuda, &sizes, &params, &inputs, &outputs, &call));
    must(&call.error, echo_backward_cuda(cuda, &sizes, &params, &inputs, &cotangents, &grads, &input_grads, &call));
    if (!device_wait(d))
        fail(d->failed, "failed");
    double end = seconds();
    device_free(d, call.workspace);
    return end - begin;
}

static double on_gpu(Device *d, const Job *j, Run *r)
{
    echo_cuda cuda;
    must(&cuda.error, echo_open_cuda(&cuda, NULL));
    Run g = run_there(d, j, r);
    double took = launch(d, &cuda, j, &g);
    run_back(d, j, r, &g);
    run_free(d, &g);
    echo_close_cuda(&cuda);
    return took;
}

/* ---- both ---- */

/* The largest difference, as a part of the largest element. */
static double difference(const float *a, const float *b, size_t n)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)a[i]));
        if (!isfinite(b[i]))
            return INFINITY;
    }
    return largest > 0 ? worst / largest : worst;
}

static int compare(const Job *j, const Run *a, const Run *b)
{
    double outputs = difference(a->y, b->y, j->nx), gradients = difference(a->dx, b->dx, j->nx);
    for (int i = 0; i < NPARAM; i++)
        gradients = fmax(gradients, difference(a->grad[i], b->grad[i], j->nparam[i]));
    printf("largest difference: outputs %.1e, gradients %.1e\n", outputs, gradients);
    return outputs < 2e-5 && gradients < 1e-4;
}

/* The same numbers for both: b's arrays are copies of a's. */
static void draw_both(const Job *j, Run *a, Run *b)
{
    echo_cpu_sizes sizes = {.T = j->T, .B = j->B, .D = D, .H = j->H};
    echo_cpu_weights weights = {.W = a->param[W], .U = a->param[U], .b = a->param[BIAS], .out = a->param[OUT]};
    if (echo_cpu_init(&sizes, &weights, 1) != RNN_OK)
        fail("sizes", "they are too large");
    draw(a->x, j->nx);
    draw(a->dy, j->nx);
    memcpy(b->x, a->x, j->nx * sizeof *a->x);
    memcpy(b->dy, a->dy, j->nx * sizeof *a->dy);
    for (int i = 0; i < NPARAM; i++)
        memcpy(b->param[i], a->param[i], j->nparam[i] * sizeof **a->param);
}

static Job job_of(int argc, char **argv)
{
    Job j = {.T = argc > 1 ? atoll(argv[1]) : 1024,
             .B = argc > 2 ? atoll(argv[2]) : 16,
             .H = argc > 3 ? atoll(argv[3]) : 64};
    if (j.T < 1 || j.B < 1 || j.H < 1 || j.T > 1000000 || j.B > 1000000 || j.H > 10000)
        fail("sizes", "gpu [T B H], each from 1");
    size_t H = (size_t)j.H;
    j.nparam[W] = 3 * H * D, j.nparam[U] = 3 * H * H, j.nparam[BIAS] = 3 * H, j.nparam[OUT] = D * H;
    j.nx = (size_t)(j.T * j.B) * D;
    return j;
}

int main(int argc, char **argv)
{
    Job j = job_of(argc, argv);
    Device d;
    if (!device_open(&d)) {
        fprintf(stderr, "gpu: there is no GPU to run on (%s)\n", d.failed);
        return NO_GPU;
    }
    Run a = run_new(&j), b = run_new(&j);
    draw_both(&j, &a, &b);
    printf("T = %lld, B = %lld, H = %lld, forward and backward\n", (long long)j.T, (long long)j.B, (long long)j.H);
    printf("one core: %.2f ms\n", 1e3 * on_cpu(&j, &a));
    on_gpu(&d, &j, &b); /* once for nothing: the driver compiles */
    for (int i = 0; i < NPARAM; i++)
        memset(b.grad[i], 0, j.nparam[i] * sizeof **b.grad);
    printf("%s: %.2f ms\n", d.name, 1e3 * on_gpu(&d, &j, &b));
    int agree = compare(&j, &a, &b);
    device_close(&d);
    return agree ? 0 : 1;
}
