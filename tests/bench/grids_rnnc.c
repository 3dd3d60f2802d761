/* Contestant: what rnnc built of one cell over a grid or over trees, -DCELL=plstm_grid. With -DTREES it says how many nodes a
 * block of the plan has, and the time to make the plan, which the runs do not hold. */
#define STRING_(x) #x
#define STRING(x) STRING_(x)
#define HEADER(cell) STRING(cell.h)
#include "grids.h"
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
static char planned[128], detail[192];

static void check(rnn_status s)
{
    if (s == RNN_OK)
        return;
    printf("skip status %d\n", (int)s);
    exit(1);
}

static void once(Task *t)
{
    check(NAME(forward)(&sizes, &params, &inputs, &outputs, &call));
    if (!t->training)
        return;
#define CLEAR(name, count, low, high) memset(t->a[A_##name].d, 0, (size_t)t->a[A_##name].n * sizeof(float));
    PARAMS(CLEAR)
    check(NAME(backward)(&sizes, &params, &inputs, &cotangents, &grads, &input_grads, &call));
}

#ifdef TREES
static int32_t *ints(int64_t n)
{
    return (int32_t *)calloc((size_t)n + 1, sizeof(int32_t)); /* touched when it is filled */
}

/* Trees of the same number of nodes: the parent of each node but the first is one of the nodes before it. */
static rnn_graph forest(int64_t trees, int64_t nodes)
{
    int32_t *edges = ints(2 * trees * nodes);
    int64_t E = 0;
    for (int64_t v = 0; v < trees * nodes; v++) {
        int64_t i = v % nodes, parent = (int64_t)((double)draw(TREE, (uint32_t)v, 0, 1) * (double)i);
        if (!i)
            continue;
        edges[2 * E] = (int32_t)v;
        edges[2 * E++ + 1] = (int32_t)(v - i + parent);
    }
    return (rnn_graph){.N = trees * nodes, .E = E, .edges = edges};
}

static void plan(const Task *t)
{
    rnn_graph g = forest(t->T, t->P);
    rnn_plan p;
    double start = job_seconds();
    void *scratch = malloc(rnn_plan_scratch(&g));
    check(rnn_plan_sizes(&g, scratch, &p));
    p.node = ints(p.blocks * p.width);
    p.slot = ints(g.N);
    p.head = ints(p.blocks * p.slots);
    p.tail = ints(p.blocks * p.slots);
    rnn_plan_fill(&g, scratch, &p);
    snprintf(planned, sizeof planned, "%lld blocks of %lld nodes and %lld edges, planned in %.2f ms; ", (long long)p.blocks, (long long)p.width,
        (long long)p.slots, 1e3 * (job_seconds() - start));
    free(scratch);
    sizes.blocks = p.blocks, sizes.width = p.width, sizes.slots = p.slots;
    inputs.plan_node = p.node, inputs.plan_slot = p.slot, inputs.plan_head = p.head, inputs.plan_tail = p.tail;
}
#endif

int main(int argc, char **argv)
{
    Task t = task_read(argc, argv, once);
    int64_t P = t.P, Q = t.Q;
    (void)Q, (void)job_array;
    sizes = (NAME(sizes)){GLUE(SIZES_, CELL)};
#define GIVE_INPUT(name, count, low, high) inputs.name = t.a[A_##name].value, input_grads.name = t.a[A_##name].d;
#define GIVE_PARAM(name, count, low, high) params.name = t.a[A_##name].value, grads.name = t.a[A_##name].d;
#define GIVE_OUTPUT(name, count, low, high) outputs.name = t.a[A_##name].value, cotangents.d_##name = t.a[A_##name].d;
    INPUTS(GIVE_INPUT)
    PARAMS(GIVE_PARAM)
    OUTPUT(GIVE_OUTPUT)
#ifdef HAS_C
    outputs.c = task_array(t.a[ARRAYS - 1].n);
#endif
#ifdef TREES
    plan(&t);
#endif
    call.passes = t.training ? RNN_TRAIN : RNN_FORWARD;
    call.bytes = NAME(workspace)(&sizes, call.passes);
    if (call.bytes == SIZE_MAX)
        job_fail("sizes overflow");
    call.workspace = task_array((int64_t)((call.bytes + 3) / 4));
    snprintf(detail, sizeof detail, "%sworkspace %.3g MiB", planned, (double)call.bytes / 1048576);
    task_serve(&t, detail);
    return 0;
}
