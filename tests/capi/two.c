/* Two generated headers and objects in one program, each through its own public functions. C99 and C++11. */
#include "rnn.h"
#include "toy.h"
#include "toy.h"

#include <stdio.h>
#include <string.h>

static int expect(int ok, const char *what)
{
    if (!ok)
        fprintf(stderr, "two: %s\n", what);
    return !ok;
}

static int find(const rnn_info *info, const char *group, const char *name)
{
    int i;
    for (i = 0; i < info->narrays; i++)
        if (!strcmp(info->arrays[i].group, group) && !strcmp(info->arrays[i].name, name))
            return i;
    return -1;
}

static int check_info(void)
{
    const rnn_info *info = toy_info();
    int bad = 0, x = find(info, "inputs", "x"), h0 = find(info, "inputs", "h0");
    bad += expect(info->abi == RNN_TYPES_ABI, "abi");
    bad += expect(!strcmp(info->name, "toy") && !strcmp(info->precision, "single"), "name and precision");
    bad += expect(!strcmp(info->levels, "baseline avx2 avx512"), "levels");
    bad += expect(x >= 0 && !strcmp(info->arrays[x].shape, "[T, B, D]") && !strcmp(info->arrays[x].type, "float"), "x");
    bad += expect(x >= 0 && !info->arrays[x].optional, "x must be given");
    bad += expect(h0 >= 0 && info->arrays[h0].optional && !strcmp(info->arrays[h0].shape, "[B, H]"), "h0");
    bad += expect(!strcmp(rnn_info_()->precision, "double"), "precision of the other");
    bad += expect(find(rnn_info_(), "params", "class_") >= 0, "a parameter called class");
    return bad;
}

/* The toy's kernels write a record into h, which is why it has more room than its sizes say. */
static int check_calls(void)
{
    static float W[48], x[36], h[1024], c[9];
    static double W2[48], x2[36], h2[1024];
    static unsigned char space[4096];
    toy_sizes s;
    toy_params p;
    toy_inputs in;
    toy_outputs out;
    rnn_params p2;
    rnn_inputs in2;
    rnn_outputs out2;
    rnn_sizes s2;
    rnn_call call;
    int bad = 0;
    memset(&s, 0, sizeof s);
    memset(&s2, 0, sizeof s2);
    memset(&p, 0, sizeof p);
    memset(&p2, 0, sizeof p2);
    memset(&in, 0, sizeof in);
    memset(&in2, 0, sizeof in2);
    memset(&out, 0, sizeof out);
    memset(&out2, 0, sizeof out2);
    memset(&call, 0, sizeof call);
    s.T = s2.T = 2;
    s.B = s2.B = 3;
    s.D = s2.D = 6;
    s.H = s2.H = 4;
    s.G = s2.G = 2;
    p.W = W;
    p2.class_ = W2;
    in.x = x;
    in2.int_ = x2;
    out.h = h;
    out.cT = c;
    out2.h = h2;
    call.workspace = space;
    call.bytes = sizeof space;
    call.passes = RNN_FORWARD;
    bad += expect(toy_workspace(&s, RNN_TRAIN) < sizeof space, "workspace");
    bad += expect(toy_forward(&s, &p, &in, &out, &call) == RNN_OK, "forward");
    bad += expect(rnn_forward(&s2, &p2, &in2, &out2, &call) == RNN_OK, "forward of the other");
    p.W = NULL;
    bad += expect(toy_forward(&s, &p, &in, &out, &call) == RNN_NULL, "a missing parameter");
    return bad;
}

int main(void)
{
    return check_info() + check_calls() != 0;
}
