/* What contestants share that rnnc built of one cell, -DCELL=gla: its structs, filled from the task's arrays, and one run of it.
 * Behind linear.h, or what includes that. */
#ifndef TESTS_BENCH_BUILT_H
#define TESTS_BENCH_BUILT_H

#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define HEADER(cell) STRING(cell.h)
#include HEADER(CELL)

#define NAME(x) GLUE(GLUE(CELL, _), x)

static NAME(sizes) sizes;
static NAME(params) params;
static NAME(inputs) inputs;
static NAME(outputs) outputs;
static NAME(cotangents) cotangents;
static NAME(grads) grads;
static NAME(input_grads) input_grads;
static rnn_call call;

static void check(rnn_status s)
{
    if (s == RNN_OK)
        return;
    printf("skip status %d\n", (int)s);
    exit(1);
}

/* ---- step by step ---- */

#ifdef CARRIES
static NAME(carry) carry;

/* A struct of pointers. */
static void give_carry(const Task *t)
{
    float **c = (float **)&carry;
    for (size_t i = 0; i < sizeof carry / sizeof *c; i++)
        c[i] = task_array(t->P * t->Q);
}

/* With no steps, final states are the start values; they stand behind the only other output, in the order of the carry. */
static void begin_carry(void)
{
    NAME(outputs) finals;
    NAME(sizes) none = sizes;
    memset(&finals, 0, sizeof finals);
    memcpy((float **)&finals + 1, &carry, sizeof carry);
    none.T = 0;
    check(NAME(forward)(&none, &params, &inputs, &finals, &call));
}

static void step_through(const Task *t)
{
    const NAME(inputs) first = inputs;
    NAME(outputs) out = outputs;
    begin_carry();
    for (int64_t s = 0; s < t->T; s++) {
#define AT_STEP(name, count, low, high) inputs.name = t->a[A_##name].value + s * (t->a[A_##name].n / t->T);
#define OUT_AT_STEP(name, count, low, high) out.name = t->a[A_##name].value + s * (t->a[A_##name].n / t->T);
        INPUTS(AT_STEP)
        OUTPUT(OUT_AT_STEP)
        check(NAME(step)(&sizes, &params, &inputs, &out, &carry, &call));
    }
    inputs = first;
}
#endif

static void once(Task *t)
{
#ifdef CARRIES
    if (t->stepping) {
        step_through(t);
        return;
    }
#endif
    check(NAME(forward)(&sizes, &params, &inputs, &outputs, &call));
    if (!t->training)
        return;
#define CLEAR(name, count, low, high) memset(t->a[A_##name].d, 0, (size_t)t->a[A_##name].n * sizeof(float));
    PARAMS(CLEAR)
    check(NAME(backward)(&sizes, &params, &inputs, &cotangents, &grads, &input_grads, &call));
}

/* Inputs, parameters and outputs of the task. */
static void give_arrays(const Task *t)
{
#define GIVE_INPUT(name, count, low, high) inputs.name = t->a[A_##name].value, input_grads.name = t->a[A_##name].d;
#define GIVE_PARAM(name, count, low, high) params.name = t->a[A_##name].value, grads.name = t->a[A_##name].d;
#define GIVE_OUTPUT(name, count, low, high) outputs.name = t->a[A_##name].value, cotangents.d_##name = t->a[A_##name].d;
    INPUTS(GIVE_INPUT)
    PARAMS(GIVE_PARAM)
    OUTPUT(GIVE_OUTPUT)
}

/* For the sizes as they are now. */
static void give_workspace(const Task *t)
{
    call.passes = t->training ? RNN_TRAIN : RNN_FORWARD;
    call.bytes = NAME(workspace)(&sizes, call.passes);
    if (call.bytes == SIZE_MAX)
        job_fail("sizes overflow");
    call.workspace = task_array((int64_t)((call.bytes + 3) / 4));
}

#endif
