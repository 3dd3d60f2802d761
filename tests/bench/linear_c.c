/* Contestant: the diagonal scan and Mamba in plain C, loops over elements inside the loop over steps. Every state is kept for
 * the backward pass. */
#include "linear.h"
#include <math.h>

#define VALUE(t, name) (t)->a[A_##name].value
#define GRADIENT(t, name) (t)->a[A_##name].d

#define IS_scan 1
#define IS_mamba 2
#if GLUE(IS_, CELL) == IS_scan
static float *state;

static void prepare(Task *t)
{
    state = task_array(t->P);
}

static void once(Task *t)
{
    int64_t T = t->T, P = t->P;
    float *restrict s = state;
    memset(s, 0, (size_t)P * sizeof(float));
    for (int64_t i = 0; i < T; i++) {
        const float *restrict a = VALUE(t, a) + i * P, *restrict b = VALUE(t, b) + i * P;
        float *restrict h = VALUE(t, h) + i * P;
        for (int64_t d = 0; d < P; d++)
            h[d] = s[d] = a[d] * s[d] + b[d];
    }
    if (!t->training)
        return;
    memset(s, 0, (size_t)P * sizeof(float));
    for (int64_t i = T - 1; i >= 0; i--) {
        const float *restrict a = VALUE(t, a) + i * P, *restrict dh = GRADIENT(t, h) + i * P;
        const float *restrict before = VALUE(t, h) + (i > 0 ? i - 1 : 0) * P;
        float *restrict da = GRADIENT(t, a) + i * P, *restrict db = GRADIENT(t, b) + i * P, begun = i > 0;
#pragma GCC ivdep
        for (int64_t d = 0; d < P; d++) {
            float g = s[d] + dh[d];
            db[d] = g;
            da[d] = g * before[d] * begun;
            s[d] = g * a[d];
        }
    }
}
#else
static float *A, *states, *cotangent, *dA; /* [N][D]; states [T + 1][N][D] or, forward, one */
static float *read_out, *step, *dstep, *dx; /* [D]; read_out and step [T][D] with training */

static void prepare(Task *t)
{
    int64_t T = t->training ? t->T : 1, S = t->P * t->Q;
    A = task_array(S), dA = task_array(S), cotangent = task_array(S), states = task_array((T + 1) * S);
    read_out = task_array(T * t->P), step = task_array(T * t->P), dstep = task_array(t->P), dx = task_array(t->P);
}

static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static void forward_step(const Task *t, int64_t i, const float *restrict h, float *restrict next, float *restrict r, float *restrict u)
{
    int64_t D = t->P, N = t->Q;
    const float *restrict x = VALUE(t, x) + i * D, *restrict dt = VALUE(t, dt) + i * D, *restrict bias = VALUE(t, dt_bias);
    const float *restrict z = VALUE(t, z) + i * D, *restrict skip = VALUE(t, skip), *restrict As = A;
    float *restrict y = VALUE(t, y) + i * D;
    for (int64_t d = 0; d < D; d++)
        u[d] = logf(1.0f + expf(dt[d] + bias[d])), r[d] = skip[d] * x[d];
    for (int64_t n = 0; n < N; n++) {
        float b = VALUE(t, B)[i * N + n], c = VALUE(t, C)[i * N + n];
#pragma GCC ivdep
        for (int64_t d = 0; d < D; d++) {
            float v = expf(u[d] * As[n * D + d]) * h[n * D + d] + u[d] * x[d] * b;
            next[n * D + d] = v;
            r[d] += v * c;
        }
    }
    for (int64_t d = 0; d < D; d++)
        y[d] = r[d] * z[d] * sigmoid(z[d]);
}

static void forward(const Task *t)
{
    int64_t D = t->P, S = D * t->Q, keep = t->training;
    memset(states, 0, (size_t)S * sizeof(float));
    for (int64_t n = 0; n < t->Q; n++)
        for (int64_t d = 0; d < D; d++)
            A[n * D + d] = -expf(VALUE(t, A_log)[d * t->Q + n]);
    for (int64_t i = 0; i < t->T; i++) /* forward alone writes over the state it reads, element by element */
        forward_step(t, i, states + keep * i * S, states + keep * (i + 1) * S, read_out + keep * i * D, step + keep * i * D);
}

static void backward_step(const Task *t, int64_t i)
{
    int64_t D = t->P, N = t->Q, S = D * N;
    const float *restrict h = states + i * S, *restrict next = h + S, *restrict As = A;
    const float *restrict x = VALUE(t, x) + i * D, *restrict z = VALUE(t, z) + i * D, *restrict skip = VALUE(t, skip);
    const float *restrict u = step + i * D, *restrict dy = GRADIENT(t, y) + i * D;
    const float *restrict bias = VALUE(t, dt_bias), *restrict dt = VALUE(t, dt) + i * D;
    float *restrict g = cotangent, *restrict dAs = dA, *restrict du = dstep, *restrict dxi = GRADIENT(t, x) + i * D;
    float *restrict dz = GRADIENT(t, z) + i * D, *restrict dr = read_out + i * D, *restrict ddt = GRADIENT(t, dt) + i * D;
    float *restrict dskip = GRADIENT(t, skip), *restrict dbias = GRADIENT(t, dt_bias);
    for (int64_t d = 0; d < D; d++) {
        float s = sigmoid(z[d]);
        dz[d] = dy[d] * dr[d] * s * (1.0f + z[d] * (1.0f - s));
        dr[d] = dy[d] * z[d] * s;
        dskip[d] += dr[d] * x[d];
        dxi[d] = dr[d] * skip[d];
        du[d] = 0;
    }
    for (int64_t n = 0; n < N; n++) {
        float b = VALUE(t, B)[i * N + n], c = VALUE(t, C)[i * N + n], db = 0, dc = 0;
#pragma GCC ivdep
        for (int64_t d = 0; d < D; d++) {
            float a = As[n * D + d], e = expf(u[d] * a), w = g[n * D + d] + dr[d] * c, m = w * h[n * D + d] * e;
            dc += dr[d] * next[n * D + d];
            db += w * u[d] * x[d];
            du[d] += m * a + w * x[d] * b;
            dxi[d] += w * u[d] * b;
            dAs[n * D + d] += m * u[d];
            g[n * D + d] = w * e;
        }
        GRADIENT(t, B)[i * N + n] = db, GRADIENT(t, C)[i * N + n] = dc;
    }
    for (int64_t d = 0; d < D; d++)
        ddt[d] = du[d] * sigmoid(dt[d] + bias[d]), dbias[d] += ddt[d];
}

static void once(Task *t)
{
    int64_t D = t->P, N = t->Q;
    forward(t);
    if (!t->training)
        return;
    memset(cotangent, 0, (size_t)(D * N) * sizeof(float));
    memset(dA, 0, (size_t)(D * N) * sizeof(float));
    memset(GRADIENT(t, skip), 0, (size_t)D * sizeof(float));
    memset(GRADIENT(t, dt_bias), 0, (size_t)D * sizeof(float));
    for (int64_t i = t->T - 1; i >= 0; i--)
        backward_step(t, i);
    for (int64_t d = 0; d < D; d++)
        for (int64_t n = 0; n < N; n++)
            GRADIENT(t, A_log)[d * N + n] = dA[n * D + d] * A[n * D + d];
}
#endif

int main(int argc, char **argv)
{
    Task t = task_read(argc, argv, once);
    prepare(&t);
    task_serve(&t, "");
    return 0;
}
