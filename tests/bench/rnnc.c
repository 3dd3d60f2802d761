/* Contestant: what rnnc built. -DGRU for gru.rnn, -DBOUND when D and H were bound at compile time. */
#include "contestant.h"

#ifdef GRU
#include "gru.h"
#define NAME(x) gru_##x
#else
#include "lstm.h"
#define NAME(x) lstm_##x
#endif

typedef struct Own {
    Job j;
    NAME(sizes) sizes;
    NAME(params) params;
    NAME(inputs) in;
    NAME(outputs) out;
    NAME(cotangents) cot;
    NAME(grads) grads;
    NAME(input_grads) input_grads;
    rnn_call call;
} Own;

static void check(rnn_status s)
{
    if (s == RNN_OK)
        return;
    printf("skip status %d\n", (int)s);
    exit(1);
}

static void clear(float *p, int64_t n)
{
    memset(p, 0, (size_t)n * sizeof(float));
}

static void once(void *context)
{
    Own *o = (Own *)context;
    Job *j = &o->j;
    check(NAME(forward)(&o->sizes, &o->params, &o->in, &o->out, &o->call));
    if (!j->training)
        return;
    clear(j->dW, j->G * j->H * j->H);
    clear(j->dU, j->G * j->H * j->H);
    clear(j->db, j->G * j->H);
    if (j->gru)
        clear(j->dd, j->H);
    check(NAME(backward)(&o->sizes, &o->params, &o->in, &o->cot, &o->grads, &o->input_grads, &o->call));
}

int main(int argc, char **argv)
{
    static Own o;
    Job *j = &o.j;
    *j = job_read(argc, argv);
    o.sizes.T = j->T, o.sizes.B = j->B;
#ifndef BOUND
    o.sizes.D = j->H, o.sizes.H = j->H;
#endif
    o.params.W = j->W, o.params.U = j->U, o.params.b = j->b;
    o.in.x = j->x;
    o.out.h = j->h;
    o.cot.d_h = j->dh;
    o.grads.W = j->dW, o.grads.U = j->dU, o.grads.b = j->db;
    o.input_grads.x = j->dx;
#ifdef GRU
    o.params.d = j->d, o.grads.d = j->dd;
#endif
    o.call.passes = j->training ? RNN_TRAIN : RNN_FORWARD;
    o.call.bytes = NAME(workspace)(&o.sizes, o.call.passes);
    if (o.call.bytes == SIZE_MAX)
        job_fail("sizes overflow");
    o.call.workspace = job_array((int64_t)((o.call.bytes + 3) / 4));
    return job_serve(j, NAME(info)()->version, once, NULL, &o);
}
