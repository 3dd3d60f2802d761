/* The interface of a cell that does what generated code must not: guard.sh shows that it is seen. */
#include "elman.h"

static const rnn_array arrays[] = {
    {"T", "sizes", "int64_t", "", 0}, {"B", "sizes", "int64_t", "", 0},
    {"x", "inputs", "float", "[T, B]", 0}, {"y", "outputs", "float", "[T, B]", 0},
};
static const rnn_info info = {RNN_TYPES_ABI, 4, "overrun", "", "single", "none", arrays};

const rnn_info *overrun_info(void)
{
    return &info;
}

size_t overrun_workspace(const int64_t *sizes, int passes)
{
    return sizes && passes ? 0 : 1;
}

int overrun_forward(const int64_t *sizes, const void *params, float *const *in, float *const *out, const rnn_call *call)
{
    int64_t n = sizes[0] * sizes[1];
    for (int64_t i = 0; i < n; i++)
        out[0][i] = in[0][i];
    (void)params;
    (void)call;
#ifdef BEFORE
    out[0][0] = in[0][-1];
#elif defined WRITES
    in[0][0] = 1;
#else
    out[0][0] = in[0][n];
#endif
    return RNN_OK;
}

int overrun_chunk(void)
{
    return RNN_STREAM;
}

int overrun_step(void)
{
    return RNN_STREAM;
}
