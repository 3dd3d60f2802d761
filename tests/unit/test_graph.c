/* Plans of graphs: every edge leads from an earlier block to a later one, every node has one place; what is no graph is told. */
#include "backends/backend.h"
#include "lang/base.h"

#include <criterion/criterion.h>

typedef RnnStatus rnn_status;
#include "backends/graph_plan.h"

typedef struct Plan {
    Arena *a;
    rnn_graph g;
    rnn_plan p;
    rnn_status status;
} Plan;

static Plan planned(int64_t n, const int32_t *edges, int64_t count)
{
    Plan x = {.a = arena_new(), .g = {n, count, edges}};
    void *scratch = arena_alloc(x.a, rnn_plan_scratch(&x.g));
    x.status = rnn_plan_sizes(&x.g, scratch, &x.p);
    if (x.status != RNN_OK)
        return x;
    x.p.node = NEWN(x.a, int32_t, x.p.blocks * x.p.width + 1);
    x.p.slot = NEWN(x.a, int32_t, n + 1);
    x.p.head = NEWN(x.a, int32_t, x.p.blocks * x.p.slots + 1);
    x.p.tail = NEWN(x.a, int32_t, x.p.blocks * x.p.slots + 1);
    rnn_plan_fill(&x.g, scratch, &x.p);
    return x;
}

static void check_nodes(const Plan *x)
{
    int64_t there = 0;
    for (int64_t i = 0; i < x->p.blocks * x->p.width; i++) {
        int32_t v = x->p.node[i];
        cr_assert(v >= -1 && v < x->g.N);
        there += v >= 0;
        if (v >= 0)
            cr_assert_eq(x->p.slot[v], i);
    }
    cr_assert_eq(there, x->g.N);
}

/* As many edges as there are, each once, from an earlier block. */
static void check_edges(const Plan *x)
{
    uint8_t *seen = NEWN(x->a, uint8_t, x->g.E + 1);
    for (int64_t k = 0; k < x->p.blocks; k++)
        for (int64_t s = 0; s < x->p.slots; s++) {
            int32_t tail = x->p.tail[k * x->p.slots + s], head = x->p.head[k * x->p.slots + s];
            if (tail < 0)
                continue;
            cr_assert_lt(tail / x->p.width, k);
            int32_t from = x->p.node[tail], to = x->p.node[k * x->p.width + head];
            cr_assert(from >= 0 && to >= 0);
            int64_t e = 0;
            while (e < x->g.E && (x->g.edges[2 * e] != from || x->g.edges[2 * e + 1] != to))
                e++;
            cr_assert(e < x->g.E && !seen[e]);
            seen[e] = 1;
        }
    for (int64_t e = 0; e < x->g.E; e++)
        cr_assert(seen[e], "edge %lld is in no block", (long long)e);
}

static uint64_t next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Nodes in a random order, each pair of them an edge with this chance in 100. */
static Plan random_graph(uint64_t *state, int32_t n, uint64_t chance)
{
    Arena *a = arena_new();
    int32_t *order = NEWN(a, int32_t, n + 1), *edges = NEWN(a, int32_t, n * n + 1);
    int64_t count = 0;
    for (int32_t i = 0; i < n; i++) {
        int32_t j = (int32_t)(next(state) % (uint64_t)(i + 1));
        order[i] = order[j];
        order[j] = i;
    }
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < i; j++)
            if (next(state) % 100 < chance) {
                edges[2 * count] = order[j];
                edges[2 * count++ + 1] = order[i];
            }
    Plan x = planned(n, edges, count);
    check_nodes(&x);
    check_edges(&x);
    arena_free(a);
    return x;
}

Test(graph, every_node_and_every_edge_has_its_place)
{
    uint64_t state = 1;
    for (int32_t n = 0; n < 40; n += 3)
        for (uint64_t chance = 0; chance <= 100; chance += 20) {
            Plan x = random_graph(&state, n, chance);
            cr_assert_eq(x.status, RNN_OK);
            arena_free(x.a);
        }
}

Test(graph, few_and_many_levels)
{
    enum { N = 10000, LEVELS = 1000 };
    Arena *a = arena_new();
    int32_t *edges = NEWN(a, int32_t, 2 * N);
    Plan roots = planned(N, NULL, 0);
    cr_assert_eq(roots.status, RNN_OK);
    cr_assert_lt(roots.p.blocks * roots.p.width, N + N / 10);
    check_nodes(&roots);
    for (int32_t i = 0; i + 1 < LEVELS; i++) { /* a chain, the last node first */
        edges[2 * i] = LEVELS - 1 - i;
        edges[2 * i + 1] = LEVELS - 2 - i;
    }
    Plan chain = planned(LEVELS, edges, LEVELS - 1);
    cr_assert_eq(chain.status, RNN_OK);
    cr_assert_eq(chain.p.blocks, LEVELS);
    cr_assert_eq(chain.p.width, 1);
    check_edges(&chain);
    arena_free(roots.a);
    arena_free(chain.a);
    arena_free(a);
}

static void refused(rnn_status status, int64_t n, const int32_t *edges, int64_t count)
{
    Plan x = planned(n, edges, count);
    cr_expect_eq(x.status, status, "%d", (int)x.status);
    arena_free(x.a);
}

Test(graph, what_is_none_is_refused)
{
    refused(RNN_GRAPH, 3, (int32_t[]){0, 1, 1, 2, 2, 0}, 3);
    refused(RNN_GRAPH, 2, (int32_t[]){1, 1}, 1);
    refused(RNN_GRAPH, 3, (int32_t[]){0, 1, 0, 2, 0, 1}, 3);
    refused(RNN_INDEX, 2, (int32_t[]){0, 2}, 1);
    refused(RNN_INDEX, 2, (int32_t[]){-1, 1}, 1);
    refused(RNN_INDEX, 0, (int32_t[]){0, 0}, 1);
    refused(RNN_NULL, 2, NULL, 1);
    refused(RNN_OK, 1, NULL, 0);
    refused(RNN_OK, 0, NULL, 0);
}
