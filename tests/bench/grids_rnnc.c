/* Contestant: what rnnc built of one cell over a grid or over trees, -DCELL=plstm_grid. With -DTREES it says how many nodes a
 * block of the plan has, and the time to make the plan, which the runs do not hold. Compiled with OpenMP its tasks run on those
 * threads. */
#include "grids.h"
#include "built.h"

static char planned[128], detail[192];

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
    give_arrays(&t);
#ifdef HAS_C
    outputs.c = task_array(t.a[ARRAYS - 1].n);
#endif
#ifdef TREES
    plan(&t);
#endif
    give_workspace(&t);
#ifdef _OPENMP
    call.parallel = rnn_openmp;
#endif
    snprintf(detail, sizeof detail, "%sworkspace %.3g MiB", planned, (double)call.bytes / 1048576);
    task_serve(&t, detail);
    return 0;
}
