/* Contestant: plain C with OpenBLAS. One product for the inputs of all steps, one per step for the state (sgemv with one
 * sequence), elementwise loops that gcc vectorises through libmvec. Weights are transposed once, outside the timed part: that
 * layout is the faster one. */
#include "contestant.h"
#include <cblas.h>
#include <math.h>
#undef I

extern char *openblas_get_corename(void);

typedef struct Blas {
    Job j;
    int64_t N;             /* G * H */
    float *WT, *UT;        /* [H, N] */
    float *gates, *rec;    /* [T, B, N]; rec: gru's products with the state, [T, B, N] or [B, N] */
    float *h;              /* [T + 1, B, H] */
    float *c, *tc;         /* lstm: cells and their tanh, of all steps when training */
    float *dgates, *drec;  /* [T, B, N] */
    float *dhp, *dcp;      /* [B, H] */
    float *dWT, *dUT;      /* [H, N] */
} Blas;

static inline float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

static void product(int64_t m, int64_t n, int64_t k, const float *a, const float *w, float keep, float *out)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, 1, a, (int)k, w, (int)n, keep, out, (int)n);
}

static void state_product(const Blas *o, const float *h, float keep, float *out)
{
    int H = (int)o->j.H, N = (int)o->N;
    if (o->j.B == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, N, H, 1, o->j.U, H, h, 1, keep, out, 1);
    else
        product(o->j.B, N, H, h, o->UT, keep, out);
}

static void state_product_back(const Blas *o, const float *dg, float keep)
{
    int H = (int)o->j.H, N = (int)o->N;
    if (o->j.B == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, H, N, 1, o->UT, N, dg, 1, keep, o->dhp, 1);
    else
        product(o->j.B, H, N, dg, o->j.U, keep, o->dhp);
}

static void lstm_row(int64_t H, float *restrict g, const float *restrict cp, float *restrict c, float *restrict tc, float *restrict h)
{
    float *restrict gi = g, *restrict gf = g + H, *restrict gg = g + 2 * H, *restrict go = g + 3 * H;
#pragma omp simd
    for (int64_t k = 0; k < H; k++) {
        float i = sigmoid(gi[k]), f = sigmoid(gf[k]), q = tanhf(gg[k]), u = sigmoid(go[k]);
        float v = f * cp[k] + i * q, t = tanhf(v);
        gi[k] = i, gf[k] = f, gg[k] = q, go[k] = u, c[k] = v, tc[k] = t, h[k] = u * t;
    }
}

static void lstm_row_forward(int64_t H, const float *restrict g, float *restrict c, float *restrict h)
{
    const float *restrict gi = g, *restrict gf = g + H, *restrict gg = g + 2 * H, *restrict go = g + 3 * H;
#pragma omp simd
    for (int64_t k = 0; k < H; k++) {
        float v = sigmoid(gf[k]) * c[k] + sigmoid(gi[k]) * tanhf(gg[k]);
        c[k] = v, h[k] = sigmoid(go[k]) * tanhf(v);
    }
}

static void gru_row(int64_t H, float *restrict g, const float *restrict q, const float *restrict hp, float *restrict h, int keep)
{
    float *restrict gr = g, *restrict gz = g + H, *restrict gn = g + 2 * H;
    const float *restrict qr = q, *restrict qz = q + H, *restrict qn = q + 2 * H;
    if (keep) {
#pragma omp simd
        for (int64_t k = 0; k < H; k++) {
            float r = sigmoid(gr[k] + qr[k]), z = sigmoid(gz[k] + qz[k]), n = tanhf(gn[k] + r * qn[k]);
            gr[k] = r, gz[k] = z, gn[k] = n, h[k] = (1 - z) * n + z * hp[k];
        }
    } else {
#pragma omp simd
        for (int64_t k = 0; k < H; k++) {
            float r = sigmoid(gr[k] + qr[k]), z = sigmoid(gz[k] + qz[k]), n = tanhf(gn[k] + r * qn[k]);
            h[k] = (1 - z) * n + z * hp[k];
        }
    }
}

static void step(Blas *o, int64_t t)
{
    int64_t B = o->j.B, H = o->j.H, N = o->N, keep = o->j.training;
    float *g = o->gates + t * B * N, *hp = o->h + t * B * H, *h = hp + B * H, *q = o->rec + (keep ? t * B * N : 0);
    if (!o->j.gru) {
        float *c = o->c + (keep ? t * B * H : 0), *tc = o->tc + (keep ? t * B * H : 0);
        state_product(o, hp, 1, g);
        for (int64_t b = 0; b < B; b++)
            if (keep)
                lstm_row(H, g + b * N, c + b * H, c + (B + b) * H, tc + b * H, h + b * H);
            else
                lstm_row_forward(H, g + b * N, c + b * H, h + b * H);
        return;
    }
    for (int64_t b = 0; b < B; b++) {
        memset(q + b * N, 0, (size_t)(2 * H) * sizeof(float));
        memcpy(q + b * N + 2 * H, o->j.d, (size_t)H * sizeof(float));
    }
    state_product(o, hp, 1, q);
    for (int64_t b = 0; b < B; b++)
        gru_row(H, g + b * N, q + b * N, hp + b * H, h + b * H, (int)keep);
}

static void forward(Blas *o)
{
    int64_t B = o->j.B, H = o->j.H, N = o->N, rows = o->j.T * B;
    memset(o->h, 0, (size_t)(B * H) * sizeof(float));
    if (!o->j.gru)
        memset(o->c, 0, (size_t)(B * H) * sizeof(float));
    for (int64_t i = 0; i < rows; i++)
        memcpy(o->gates + i * N, o->j.b, (size_t)N * sizeof(float));
    product(rows, N, H, o->j.x, o->WT, 1, o->gates);
    for (int64_t t = 0; t < o->j.T; t++)
        step(o, t);
}

static void lstm_row_back(const Blas *o, int64_t row, int64_t b)
{
    int64_t H = o->j.H, B = o->j.B;
    const float *restrict gi = o->gates + row * o->N, *restrict gf = gi + H, *restrict gg = gf + H, *restrict go = gg + H;
    const float *restrict cp = o->c + row * H, *restrict tc = o->tc + row * H, *restrict dh = o->j.dh + row * H;
    float *restrict di = o->dgates + row * o->N, *restrict df = di + H, *restrict dg = df + H, *restrict du = dg + H;
    float *restrict dhp = o->dhp + b * H, *restrict dcp = o->dcp + b * H;
    (void)B;
#pragma omp simd
    for (int64_t k = 0; k < H; k++) {
        float v = dhp[k] + dh[k], t = tc[k], u = go[k], dc = dcp[k] + v * u * (1 - t * t), i = gi[k], f = gf[k], q = gg[k];
        du[k] = v * t * u * (1 - u), di[k] = dc * q * i * (1 - i), df[k] = dc * cp[k] * f * (1 - f), dg[k] = dc * i * (1 - q * q);
        dcp[k] = dc * f;
    }
}

static void gru_row_back(const Blas *o, int64_t row, int64_t b)
{
    int64_t H = o->j.H;
    const float *restrict gr = o->gates + row * o->N, *restrict gz = gr + H, *restrict gn = gz + H;
    const float *restrict qn = o->rec + row * o->N + 2 * H, *restrict hp = o->h + row * H, *restrict dh = o->j.dh + row * H;
    float *restrict ar = o->dgates + row * o->N, *restrict az = ar + H, *restrict an = az + H;
    float *restrict ur = o->drec + row * o->N, *restrict uz = ur + H, *restrict un = uz + H, *restrict dhp = o->dhp + b * H;
#pragma omp simd
    for (int64_t k = 0; k < H; k++) {
        float v = dhp[k] + dh[k], r = gr[k], z = gz[k], n = gn[k];
        float dn = v * (1 - z) * (1 - n * n), dz = v * (hp[k] - n) * z * (1 - z), dr = dn * qn[k] * r * (1 - r);
        ar[k] = dr, az[k] = dz, an[k] = dn, ur[k] = dr, uz[k] = dz, un[k] = dn * r, dhp[k] = v * z;
    }
}

static void column_sums(int64_t rows, int64_t n, int64_t stride, const float *from, float *to)
{
    memset(to, 0, (size_t)n * sizeof(float));
    for (int64_t i = 0; i < rows; i++) {
        const float *restrict row = from + i * stride;
        for (int64_t k = 0; k < n; k++)
            to[k] += row[k];
    }
}

static void outer(const Blas *o, const float *left, const float *right, float *out)
{
    int H = (int)o->j.H, N = (int)o->N, rows = (int)(o->j.T * o->j.B);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, H, N, rows, 1, left, H, right, N, 0, out, N);
}

static void backward(Blas *o)
{
    int64_t B = o->j.B, H = o->j.H, N = o->N, rows = o->j.T * B;
    float *dr = o->j.gru ? o->drec : o->dgates;
    memset(o->dhp, 0, (size_t)(B * H) * sizeof(float));
    memset(o->dcp, 0, (size_t)(B * H) * sizeof(float));
    for (int64_t t = o->j.T - 1; t >= 0; t--) {
        for (int64_t b = 0; b < B; b++)
            if (o->j.gru)
                gru_row_back(o, t * B + b, b);
            else
                lstm_row_back(o, t * B + b, b);
        state_product_back(o, dr + t * B * N, o->j.gru ? 1 : 0);
    }
    outer(o, o->h, dr, o->dUT);
    outer(o, o->j.x, o->dgates, o->dWT);
    product(rows, H, N, o->dgates, o->j.W, 0, o->j.dx);
    column_sums(rows, N, N, o->dgates, o->j.db);
    if (o->j.gru)
        column_sums(rows, H, N, o->drec + 2 * H, o->j.dd);
}

static void once(void *context)
{
    Blas *o = context;
    forward(o);
    if (o->j.training)
        backward(o);
}

static void transpose(int64_t rows, int64_t columns, const float *from, float *to)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < columns; k++)
            to[k * rows + i] = from[i * columns + k];
}

static void collect(void *context)
{
    Blas *o = context;
    int64_t B = o->j.B, H = o->j.H;
    memcpy(o->j.h, o->h + B * H, (size_t)(o->j.T * B * H) * sizeof(float));
    if (!o->j.training)
        return;
    transpose(H, o->N, o->dWT, o->j.dW);
    transpose(H, o->N, o->dUT, o->j.dU);
}

int main(int argc, char **argv)
{
    static Blas o;
    o.j = job_read(argc, argv);
    int64_t B = o.j.B, H = o.j.H, N = o.N = o.j.G * H, all = o.j.T * B, kept = o.j.training ? all : B;
    o.WT = job_array(H * N), o.UT = job_array(H * N);
    transpose(N, H, o.j.W, o.WT);
    transpose(N, H, o.j.U, o.UT);
    o.gates = job_array(all * N), o.rec = job_array(o.j.gru ? kept * N : 0), o.h = job_array((all + B) * H);
    o.c = job_array((kept + B) * H), o.tc = job_array(kept * H), o.dhp = job_array(B * H), o.dcp = job_array(B * H);
    if (o.j.training) {
        o.dgates = job_array(all * N), o.drec = job_array(o.j.gru ? all * N : 0);
        o.dWT = job_array(H * N), o.dUT = job_array(H * N);
    }
    return job_serve(&o.j, openblas_get_corename(), once, collect, &o);
}
