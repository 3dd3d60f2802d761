/* Which edge it is that a graph is refused for. */
#include "frontend/run_load.h"

#include "backends/backend.h"

#include <stdlib.h>

typedef RnnStatus rnn_status;
#include "backends/graph_plan.h"

/* An edge as one number, and which one it is, so that equal ones come together and in order. */
typedef struct EdgeKey {
    int64_t ends;
    int64_t number;
} EdgeKey;

static int compare_keys(const void *a, const void *b)
{
    const EdgeKey *x = a, *y = b;
    if (x->ends != y->ends)
        return (x->ends > y->ends) - (x->ends < y->ends);
    return (x->number > y->number) - (x->number < y->number);
}

static Str outside(Arena *a, const rnn_graph *g)
{
    for (int64_t i = 0; i < 2 * g->E; i++)
        if (g->edges[i] < 0 || g->edges[i] >= g->known + g->N)
            return str_fmt(a, "edge %lld names node %d, but there are %lld nodes", (long long)(i / 2), (int)g->edges[i], (long long)(g->known + g->N));
    return (Str){0};
}

static Str twice(Arena *a, const rnn_graph *g)
{
    EdgeKey *key = NEWN(a, EdgeKey, g->E + 1);
    for (int64_t i = 0; i < g->E; i++)
        key[i] = (EdgeKey){(int64_t)g->edges[2 * i] << 32 | g->edges[2 * i + 1], i};
    qsort(key, (size_t)g->E, sizeof *key, compare_keys);
    for (int64_t i = 1; i < g->E; i++)
        if (key[i].ends == key[i - 1].ends)
            return str_fmt(a, "edges %lld and %lld are the same, from node %d to node %d", (long long)key[i - 1].number, (long long)key[i].number,
                           (int)g->edges[2 * key[i].number], (int)g->edges[2 * key[i].number + 1]);
    return (Str){0};
}

static Str back(Arena *a, const rnn_graph *g)
{
    for (int64_t i = 0; i < g->E; i++)
        if (rnn_edge_to(g, i) < 0)
            return str_fmt(a, "edge %lld leads to node %d, which was there before: those are nodes 0 to %lld", (long long)i, (int)g->edges[2 * i + 1],
                           (long long)g->known - 1);
    return (Str){0};
}

/* An edge of a circle: going back along edges from nodes that never ran, one comes around. */
static Str circle(Arena *a, const rnn_graph *g, const int32_t *waits)
{
    int64_t *into = NEWN(a, int64_t, g->N + 1), v = 0;
    for (int64_t i = 0; i < g->E; i++)
        if (rnn_edge_from(g, i) >= 0 && waits[rnn_edge_from(g, i)])
            into[rnn_edge_to(g, i)] = i;
    while (!waits[v])
        v++;
    for (int64_t i = 0; i < g->N; i++)
        v = rnn_edge_from(g, into[v]);
    return str_fmt(a, "the edges go round in a circle, through edge %lld from node %d to node %lld", (long long)into[v], (int)g->edges[2 * into[v]],
                   (long long)(v + g->known));
}

Str graph_fault(Arena *a, const struct rnn_graph *g, const int32_t *waits)
{
    Str fault = outside(a, g);
    fault = fault.n ? fault : back(a, g);
    fault = fault.n ? fault : twice(a, g);
    return fault.n ? fault : circle(a, g, waits);
}
