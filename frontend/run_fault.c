/* Which edge it is that a graph is refused for. */
#include "frontend/run_load.h"

#include <stdlib.h>

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

static Str outside(Arena *a, const int32_t *edges, int64_t nedge, int64_t nodes)
{
    for (int64_t i = 0; i < nedge; i++)
        for (int k = 0; k < 2; k++)
            if (edges[2 * i + k] < 0 || edges[2 * i + k] >= nodes)
                return str_fmt(a, "edge %lld names node %d, but there are %lld nodes", (long long)i, (int)edges[2 * i + k], (long long)nodes);
    return (Str){0};
}

static Str twice(Arena *a, const int32_t *edges, int64_t nedge)
{
    EdgeKey *key = NEWN(a, EdgeKey, nedge + 1);
    for (int64_t i = 0; i < nedge; i++)
        key[i] = (EdgeKey){(int64_t)edges[2 * i] << 32 | edges[2 * i + 1], i};
    qsort(key, (size_t)nedge, sizeof *key, compare_keys);
    for (int64_t i = 1; i < nedge; i++)
        if (key[i].ends == key[i - 1].ends)
            return str_fmt(a, "edges %lld and %lld are the same, from node %d to node %d", (long long)key[i - 1].number, (long long)key[i].number,
                           (int)edges[2 * key[i].number], (int)edges[2 * key[i].number + 1]);
    return (Str){0};
}

/* An edge of a circle: going back along edges from nodes that never ran, one comes around. */
static Str circle(Arena *a, const int32_t *edges, int64_t nedge, int64_t nodes, const int32_t *waits)
{
    int64_t *into = NEWN(a, int64_t, nodes + 1), v = 0;
    for (int64_t i = 0; i < nedge; i++)
        if (waits[edges[2 * i]])
            into[edges[2 * i + 1]] = i;
    while (!waits[v])
        v++;
    for (int64_t i = 0; i < nodes; i++)
        v = edges[2 * into[v]];
    return str_fmt(a, "the edges go round in a circle, through edge %lld from node %d to node %lld", (long long)into[v], (int)edges[2 * into[v]], (long long)v);
}

Str graph_fault(Arena *a, const int32_t *edges, int64_t nedge, int64_t nodes, const int32_t *waits)
{
    Str fault = outside(a, edges, nedge, nodes);
    fault = fault.n ? fault : twice(a, edges, nedge);
    return fault.n ? fault : circle(a, edges, nedge, nodes, waits);
}
