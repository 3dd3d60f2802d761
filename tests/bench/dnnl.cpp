// Contestant: oneDNN's LSTM and linear-before-reset GRU primitives, weights reordered outside the timed part. Without training
// it takes the faster of its two forward primitives: the one for training is often the better one with a single sequence.
#include "contestant.h"
#include <dnnl.hpp>
#include <string>
#include <unordered_map>

using namespace dnnl;
using Tag = memory::format_tag;
using Arguments = std::unordered_map<int, memory>;

static const memory::data_type F32 = memory::data_type::f32;
static const rnn_direction DIRECTION = rnn_direction::unidirectional_left2right;

struct Shapes {
    memory::desc seq, state, bias, any, none;
    explicit Shapes(const Job &j)
        : seq({j.T, j.B, j.H}, F32, Tag::tnc), state({1, 1, j.B, j.H}, F32, Tag::ldnc),
          bias({1, 1, 4, j.H}, F32, Tag::ldgo), any({1, 1, j.H, j.G, j.H}, F32, Tag::any)
    {
    }
};

// One forward primitive, and the backward one that fits it.
struct Net {
    primitive forward, backward;
    memory::desc W, U, bW, bU, dW, dU, workspace;
    std::string name;
    Arguments in, back;

    template <class PD> void take_forward(const PD &p)
    {
        W = p.weights_layer_desc(), U = p.weights_iter_desc(), workspace = p.workspace_desc();
        name = p.impl_info_str();
    }
    template <class PD> void take_backward(const PD &p)
    {
        bW = p.weights_layer_desc(), bU = p.weights_iter_desc();
        dW = p.diff_weights_layer_desc(), dU = p.diff_weights_iter_desc();
    }
};

static Net lstm_net(const Shapes &s, engine &e, prop_kind kind, bool training)
{
    Net n;
    lstm_forward::desc d(kind, DIRECTION, s.seq, s.state, s.state, s.any, s.any, s.bias, s.seq, s.state, s.state);
    lstm_forward::primitive_desc p(d, e);
    n.forward = lstm_forward(p);
    n.take_forward(p);
    if (training) {
        lstm_backward::desc b(prop_kind::backward, DIRECTION, s.seq, s.state, s.state, s.any, s.any, s.bias, s.seq, s.state, s.state,
                              s.seq, s.state, s.state, s.any, s.any, s.bias, s.seq, s.state, s.state);
        lstm_backward::primitive_desc q(b, e, p);
        n.backward = lstm_backward(q);
        n.take_backward(q);
    }
    return n;
}

static Net gru_net(const Shapes &s, engine &e, prop_kind kind, bool training)
{
    Net n;
    lbr_gru_forward::desc d(kind, DIRECTION, s.seq, s.state, s.any, s.any, s.bias, s.seq, s.state);
    lbr_gru_forward::primitive_desc p(d, e);
    n.forward = lbr_gru_forward(p);
    n.take_forward(p);
    if (training) {
        lbr_gru_backward::desc b(prop_kind::backward, DIRECTION, s.seq, s.state, s.any, s.any, s.bias, s.seq, s.state, s.seq,
                                 s.state, s.any, s.any, s.bias, s.seq, s.state);
        lbr_gru_backward::primitive_desc q(b, e, p);
        n.backward = lbr_gru_backward(q);
        n.take_backward(q);
    }
    return n;
}

struct Dnnl {
    Job j;
    engine e{engine::kind::cpu, 0};
    stream s{e};
    Net net;
};

static float *data(memory m)
{
    return (float *)m.get_data_handle();
}

static memory zeros(Dnnl &o, const memory::desc &d)
{
    memory m(d, o.e);
    if (d.get_size())
        memset(m.get_data_handle(), 0, d.get_size());
    return m;
}

static memory filled(Dnnl &o, const memory::desc &d, const float *from)
{
    memory m = zeros(o, d);
    memcpy(m.get_data_handle(), from, d.get_size());
    return m;
}

// oneDNN's gru has its gates in the order z r n: the first two blocks of each [G, ...] array change places.
static void copy_gates(const Job &j, int64_t block, const float *from, float *to)
{
    for (int64_t g = 0; g < j.G; g++)
        memcpy(to + g * block, from + (j.gru && g < 2 ? 1 - g : g) * block, (size_t)block * sizeof(float));
}

static memory::desc user_weights(const Job &j)
{
    return memory::desc({1, 1, j.H, j.G, j.H}, F32, Tag::ldgoi);
}

static memory weights(Dnnl &o, const float *from, const memory::desc &to)
{
    memory user = zeros(o, user_weights(o.j)), m(to, o.e);
    copy_gates(o.j, o.j.H * o.j.H, from, data(user));
    reorder(user, m).execute(o.s, user, m);
    o.s.wait();
    return m;
}

static memory biases(Dnnl &o, const memory::desc &d)
{
    memory m = zeros(o, d);
    copy_gates(o.j, o.j.H, o.j.b, data(m));
    if (o.j.gru)
        memcpy(data(m) + 3 * o.j.H, o.j.d, (size_t)o.j.H * sizeof(float));
    return m;
}

static void bind(Dnnl &o, Net &n, const Shapes &s)
{
    Arguments &a = n.in;
    a = {{DNNL_ARG_SRC_LAYER, filled(o, s.seq, o.j.x)},
         {DNNL_ARG_SRC_ITER, zeros(o, s.state)},
         {DNNL_ARG_WEIGHTS_LAYER, weights(o, o.j.W, n.W)},
         {DNNL_ARG_WEIGHTS_ITER, weights(o, o.j.U, n.U)},
         {DNNL_ARG_BIAS, biases(o, s.bias)},
         {DNNL_ARG_DST_LAYER, zeros(o, s.seq)},
         {DNNL_ARG_DST_ITER, zeros(o, s.state)}};
    if (n.workspace.get_size())
        a[DNNL_ARG_WORKSPACE] = zeros(o, n.workspace);
    if (!o.j.gru)
        a[DNNL_ARG_SRC_ITER_C] = zeros(o, s.state), a[DNNL_ARG_DST_ITER_C] = zeros(o, s.state);
}

static void bind_backward(Dnnl &o, Net &n, const Shapes &s)
{
    Arguments &a = n.back;
    a = n.in;
    a[DNNL_ARG_WEIGHTS_LAYER] = weights(o, o.j.W, n.bW);
    a[DNNL_ARG_WEIGHTS_ITER] = weights(o, o.j.U, n.bU);
    a[DNNL_ARG_DIFF_SRC_LAYER] = zeros(o, s.seq);
    a[DNNL_ARG_DIFF_SRC_ITER] = zeros(o, s.state);
    a[DNNL_ARG_DIFF_WEIGHTS_LAYER] = zeros(o, n.dW);
    a[DNNL_ARG_DIFF_WEIGHTS_ITER] = zeros(o, n.dU);
    a[DNNL_ARG_DIFF_BIAS] = zeros(o, s.bias);
    a[DNNL_ARG_DIFF_DST_LAYER] = filled(o, s.seq, o.j.dh);
    a[DNNL_ARG_DIFF_DST_ITER] = zeros(o, s.state);
    if (!o.j.gru)
        a[DNNL_ARG_DIFF_SRC_ITER_C] = zeros(o, s.state), a[DNNL_ARG_DIFF_DST_ITER_C] = zeros(o, s.state);
}

static void clear(memory m)
{
    memset(m.get_data_handle(), 0, m.get_desc().get_size());
}

static void once(void *context)
{
    Dnnl &o = *(Dnnl *)context;
    o.net.forward.execute(o.s, o.net.in);
    if (o.j.training) {
        clear(o.net.back[DNNL_ARG_DIFF_WEIGHTS_LAYER]);
        clear(o.net.back[DNNL_ARG_DIFF_WEIGHTS_ITER]);
        clear(o.net.back[DNNL_ARG_DIFF_BIAS]);
        o.net.backward.execute(o.s, o.net.back);
    }
    o.s.wait();
}

static void collect_weights(Dnnl &o, memory m, float *to)
{
    memory user = zeros(o, user_weights(o.j));
    reorder(m, user).execute(o.s, m, user);
    o.s.wait();
    copy_gates(o.j, o.j.H * o.j.H, data(user), to);
}

static void collect(void *context)
{
    Dnnl &o = *(Dnnl *)context;
    size_t bytes = (size_t)(o.j.T * o.j.B * o.j.H) * sizeof(float);
    memcpy(o.j.h, data(o.net.in[DNNL_ARG_DST_LAYER]), bytes);
    if (!o.j.training)
        return;
    float *bias = data(o.net.back[DNNL_ARG_DIFF_BIAS]);
    memcpy(o.j.dx, data(o.net.back[DNNL_ARG_DIFF_SRC_LAYER]), bytes);
    collect_weights(o, o.net.back[DNNL_ARG_DIFF_WEIGHTS_LAYER], o.j.dW);
    collect_weights(o, o.net.back[DNNL_ARG_DIFF_WEIGHTS_ITER], o.j.dU);
    copy_gates(o.j, o.j.H, bias, o.j.db);
    if (o.j.gru)
        memcpy(o.j.dd, bias + 3 * o.j.H, (size_t)o.j.H * sizeof(float));
}

static Net prepare(Dnnl &o, prop_kind kind)
{
    Shapes s(o.j);
    // The bias of lstm has as many blocks as gates, that of linear-before-reset gru one more: four either way.
    Net n = o.j.gru ? gru_net(s, o.e, kind, o.j.training) : lstm_net(s, o.e, kind, o.j.training);
    bind(o, n, s);
    if (o.j.training)
        bind_backward(o, n, s);
    return n;
}

int main(int argc, char **argv)
{
    static Dnnl o;
    o.j = job_read(argc, argv);
    o.net = prepare(o, prop_kind::forward_training);
    if (!o.j.training) {
        Net train = o.net;
        double with = job_time(3, once, &o);
        o.net = prepare(o, prop_kind::forward_inference);
        if (job_time(3, once, &o) > with)
            o.net = train;
    }
    return job_serve(&o.j, o.net.name.c_str(), once, collect, &o);
}
