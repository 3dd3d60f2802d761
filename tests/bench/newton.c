/* One cell in its sequential and in its Newton form, one after the other in one process, on one thread: medians of turns.
 *   newton T B H [WEIGHTS]     prints: sequential forward, Newton forward, sequential training, Newton training (ms each),
 *                              mean iterations, sequences run again, greatest difference of h, MiB of workspace (all four)
 * One number goes in at each step, so that what is measured is the recurrence.
 * Compiled for one cell: -DLSTM or not. Recurrent weights are uniform within +-WEIGHTS (0.5). */
#include "timing.h"

#include <math.h>

#include "newton_cell.h"
#include "sequential_cell.h"

static float *fill(long n, double scale, unsigned seed)
{
    float *x = job_array(n);
    for (long i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        x[i] = (float)(scale * ((seed >> 8) / 8388608.0 - 1));
    }
    return x;
}

#ifdef LSTM
#define EXTRA .p = p,
#define EXTRA_GRADS .p = d_p,
#else
#define EXTRA
#define EXTRA_GRADS
#endif

/* Sets up what both forms need under their own names. */
#define FORM(N)                                                                                                        \
    N##_sizes N##s = {.T = T, .B = B, .G = 1, .E = 1, .P = H};                                                         \
    N##_params N##p = {.W = W, .a = a, EXTRA .b = b};                                                                  \
    N##_inputs N##i = {.x = x};                                                                                        \
    N##_outputs N##o = {.h = N##_h};                                                                                   \
    N##_cotangents N##c = {.d_h = dh};                                                                                 \
    N##_grads N##g = {.W = d_W, .a = d_a, EXTRA_GRADS .b = d_b};                                                       \
    N##_input_grads N##d = {.x = dx};

#define RUN(N, TRAIN, INTO)                                                                                            \
    do {                                                                                                               \
        rnn_call call = {.workspace = work, .bytes = bytes, .passes = TRAIN ? RNN_TRAIN : RNN_FORWARD};                \
        double start = job_seconds();                                                                                          \
        int bad = N##_forward(&N##s, &N##p, &N##i, &N##o, &call);                                                      \
        if (TRAIN && !bad)                                                                                             \
            bad = N##_backward(&N##s, &N##p, &N##i, &N##c, &N##g, &N##d, &call);                                       \
        if (bad)                                                                                                       \
            return fprintf(stderr, "status %d\n", bad), 1;                                                             \
        INTO = job_seconds() - start;                                                                                          \
    } while (0)

enum { MOST = 15 };

int main(int argc, char **argv)
{
    if (argc < 4)
        return fputs("newton T B H [WEIGHTS]\n", stderr), 2;
    long T = atol(argv[1]), B = atol(argv[2]), H = atol(argv[3]), n = T * B * H, windows = T / 64;
    double w = argc > 4 ? atof(argv[4]) : 0.5;
    float *x = fill(T * B, 1.7, 1), *W = fill(3 * H, 1, 2), *a = fill(3 * H, w, 3), *p = fill(2 * H, w, 4), *b = fill(3 * H, 0.5, 5);
    float *sequential_h = fill(n, 0, 6), *newton_h = fill(n, 0, 7), *dh = fill(n, 1, 8), *dx = fill(T * B, 0, 9);
    float *d_W = fill(3 * H, 0, 10), *d_a = fill(3 * H, 0, 11), *d_p = fill(2 * H, 0, 12), *d_b = fill(3 * H, 0, 13);
    (void)p, (void)d_p;
    FORM(sequential)
    FORM(newton)
    int32_t *status = calloc((size_t)B + 1, 4), *rounds = calloc((size_t)(B * windows) + 1, 4);
    newtono.newton_status = status;
    newtono.newton_iterations = rounds;
    size_t need[4] = {sequential_workspace(&sequentials, RNN_FORWARD), newton_workspace(&newtons, RNN_FORWARD),
                      sequential_workspace(&sequentials, RNN_TRAIN), newton_workspace(&newtons, RNN_TRAIN)};
    size_t bytes = 0;
    for (int i = 0; i < 4; i++)
        bytes = need[i] > bytes ? need[i] : bytes;
    void *work = malloc(bytes);
    if (!work || !status || !rounds)
        return fputs("no memory\n", stderr), 1;
    double time[4][MOST], began = job_seconds();
    int turns = 0;
    do {
        RUN(sequential, 0, time[0][turns]);
        RUN(newton, 0, time[1][turns]);
        RUN(sequential, 1, time[2][turns]);
        RUN(newton, 1, time[3][turns]);
        turns++;
    } while (turns < MOST && (turns < 3 || job_seconds() - began < 1) && job_seconds() - began < 60);
    double off = 0, sum = 0;
    long again = 0;
    for (long i = 0; i < n; i++)
        off = fmax(off, fabs((double)newton_h[i] - (double)sequential_h[i]));
    for (long i = 0; i < B * windows; i++)
        sum += rounds[i];
    for (long i = 0; i < B; i++)
        again += status[i] != 0;
    for (int i = 0; i < 4; i++) {
        qsort(time[i], (size_t)turns, sizeof(double), job_order);
        printf("%.4g ", 1e3 * time[i][turns / 2]);
    }
    printf("%.2f %ld %.1e", windows ? sum / (double)(B * windows) : 0, again, off);
    for (int i = 0; i < 4; i++)
        printf(" %.3g", (double)need[i] / 1048576);
    puts("");
    return 0;
}
