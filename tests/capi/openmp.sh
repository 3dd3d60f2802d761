# The callback over OpenMP that a header has for programs compiled with it: the same bits, and more than one thread at work.
. "$SRC/tests/lib.sh"
echo 'int main(void) { return 0; }' >empty.c
"$CC" -fopenmp empty.c -o empty 2>/dev/null || skip "the compiler has no OpenMP"
"$RNNC" build "$SRC/stdlib/elman.rnn" --entry elman -o elman.o || exit 1
cat >program.c <<'E2'
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "elman.h"

enum { T = 7, B = 64, D = 9, H = 96 };

static int most;

static void watched(void *context, int64_t n, void (*task)(void *, int64_t), void *task_context)
{
    most = n > most ? (int)n : most;
    rnn_openmp(context, n, task, task_context);
}

static int forward(float *h, rnn_parallel_for parallel)
{
    static float W[H * D], U[H * H], b[H], x[T * B * D];
    elman_sizes sizes = {.T = T, .B = B, .D = D, .H = H};
    elman_weights weights = {.W = W, .U = U, .b = b};
    elman_params params = {.W = W, .U = U, .b = b};
    elman_inputs inputs = {.x = x};
    elman_outputs outputs = {.h = h};
    rnn_call call = {.bytes = elman_workspace(&sizes, RNN_FORWARD), .passes = RNN_FORWARD, .parallel = parallel};
    for (int i = 0; i < T * B * D; i++)
        x[i] = (float)(i % 31) / 31;
    call.workspace = malloc(call.bytes);
    int status = elman_init(&sizes, &weights, 3);
    status = status ? status : elman_forward(&sizes, &params, &inputs, &outputs, &call);
    free(call.workspace);
    return status;
}

int main(void)
{
    static float one[T * B * H], many[T * B * H];
    omp_set_num_threads(3);
    if (forward(one, NULL) || forward(many, watched) || memcmp(one, many, sizeof one) || most < 2)
        return printf("status, bits or %d tasks are not as they should be\n", most), 1;
    return 0;
}
E2
check "it compiles" "$CC" -std=c99 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -fopenmp program.c elman.o -o program
check "the same bits on three threads" ./program
finish
