/* The order in which the nodes of a directed acyclic graph run, made once from its edges. This text stands in the headers of
 * cells over graphs too, so it is plain C99 and C++11, with nothing of rnnc's own but rnn_status. */
#ifndef RNN_GRAPH_PLAN
#define RNN_GRAPH_PLAN

/* edges: [E][2], from node, to node, in any order; a forest of trees is one with an edge from each child to its parent. Several
 * graphs at once are one graph of all their nodes. */
typedef struct rnn_graph {
    int64_t N, E;
    const int32_t *edges;
} rnn_graph;

/* Sizes, and the arrays of a cell's inputs: plan_node [blocks, width], plan_slot [N], plan_head and plan_tail [blocks, slots],
 * in memory of the caller's. */
typedef struct rnn_plan {
    int64_t blocks, width, slots;
    int32_t *node, *slot, *head, *tail;
} rnn_plan;

/* Bytes of scratch memory that rnn_plan_sizes and rnn_plan_fill need. */
static inline size_t rnn_plan_scratch(const rnn_graph *g)
{
    return (size_t)(6 * g->N + g->E + 2) * sizeof(int32_t);
}

/* Nodes in an order in which each follows those that lead to it, by level: order[0..N-1], and level by node. False for a circle. */
static inline int rnn_plan_order(const rnn_graph *g, int32_t *order, int32_t *level, int32_t *left, int32_t *begin, int32_t *out)
{
    int64_t i, n = 0, seen = 0;
    for (i = 0; i < g->N; i++)
        level[i] = left[i] = begin[i] = 0;
    begin[g->N] = 0;
    for (i = 0; i < g->E; i++) {
        left[g->edges[2 * i + 1]]++;
        begin[g->edges[2 * i] + 1]++;
    }
    for (i = 0; i < g->N; i++)
        begin[i + 1] += begin[i];
    for (i = 0; i < g->E; i++)
        out[begin[g->edges[2 * i]]++] = g->edges[2 * i + 1];
    for (i = 0; i < g->N; i++)
        if (!left[i])
            order[n++] = (int32_t)i;
    for (; seen < n; seen++) {
        int32_t from = order[seen], k = from ? begin[from - 1] : 0; /* begin has moved on by one node */
        for (; k < begin[from]; k++) {
            int32_t to = out[k];
            if (level[to] <= level[from])
                level[to] = level[from] + 1;
            if (!--left[to])
                order[n++] = to;
        }
    }
    return n == g->N;
}

/* Two edges that are the same? mark: [N]. */
static inline int rnn_plan_repeats(const rnn_graph *g, const int32_t *begin, const int32_t *out, int32_t *mark)
{
    int64_t v;
    for (v = 0; v < g->N; v++)
        mark[v] = -1;
    for (v = 0; v < g->N; v++) {
        int32_t k = v ? begin[v - 1] : 0;
        for (; k < begin[v]; k++) {
            if (mark[out[k]] == (int32_t)v)
                return 1;
            mark[out[k]] = (int32_t)v;
        }
    }
    return 0;
}

/* Blocks of this width: how many rows they have in all, those that are filled up included. */
static inline int64_t rnn_plan_rows(const rnn_graph *g, const int32_t *order, const int32_t *level, int64_t width, int64_t *blocks)
{
    int64_t i = 0;
    *blocks = 0;
    while (i < g->N) {
        int64_t end = i;
        while (end < g->N && level[order[end]] == level[order[i]])
            end++;
        *blocks += (end - i + width - 1) / width;
        i = end;
    }
    return *blocks * width;
}

/* Checks the edges, finds the order, and chooses the width: a block costs as much as some rows. Sets blocks, width and slots;
 * what it finds stays in scratch for rnn_plan_fill. RNN_INDEX: an edge names a node that is not there. RNN_GRAPH: a circle, or
 * an edge that is there twice. RNN_SIZE: a size is negative or too large. */
static inline rnn_status rnn_plan_sizes(const rnn_graph *g, void *scratch, rnn_plan *p)
{
    enum { RNN_PLAN_MOST = 256, RNN_PLAN_COST = 4 };
    int32_t *order, *level, *left, *begin, *place, *out;
    int64_t i, width, best = -1;
    if (!g || !scratch || !p || (g->E && !g->edges))
        return RNN_NULL;
    if (g->N < 0 || g->E < 0 || g->N > INT32_MAX / 8 || g->E > INT32_MAX / 8)
        return RNN_SIZE;
    for (i = 0; i < 2 * g->E; i++)
        if (g->edges[i] < 0 || g->edges[i] >= g->N)
            return RNN_INDEX;
    order = (int32_t *)scratch;
    level = order + g->N;
    left = level + g->N;
    begin = left + g->N;
    place = begin + g->N + 1;
    out = place + g->N + 1;
    if (!rnn_plan_order(g, order, level, left, begin, out) || rnn_plan_repeats(g, begin, out, left))
        return RNN_GRAPH;
    p->blocks = p->slots = 0;
    p->width = 1;
    for (width = 1; width <= RNN_PLAN_MOST; width *= 2) {
        int64_t blocks, rows = rnn_plan_rows(g, order, level, width, &blocks), cost = rows + RNN_PLAN_COST * blocks;
        if (best < 0 || cost <= best) {
            best = cost;
            p->width = width;
            p->blocks = blocks;
        }
    }
    {
        int64_t block = -1, row = p->width;
        for (i = 0; i < g->N; i++, row++) {
            if (row == p->width || level[order[i]] != level[order[i - 1]]) {
                block++;
                row = 0;
            }
            place[order[i]] = (int32_t)(block * p->width + row);
        }
    }
    for (i = 0; i < g->N; i++)
        left[i] = 0; /* edges into each block; there are no more blocks than nodes */
    for (i = 0; i < g->E; i++) {
        int32_t into = ++left[place[g->edges[2 * i + 1]] / p->width];
        p->slots = into > p->slots ? into : p->slots;
    }
    return RNN_OK;
}

/* Fills the plan's arrays, whose memory the caller has set, after rnn_plan_sizes with the same graph and scratch. */
static inline void rnn_plan_fill(const rnn_graph *g, void *scratch, rnn_plan *p)
{
    int32_t *left = (int32_t *)scratch + 2 * g->N, *place = left + 2 * g->N + 1;
    int64_t i;
    for (i = 0; i < p->blocks * p->width; i++)
        p->node[i] = -1;
    for (i = 0; i < p->blocks * p->slots; i++) {
        p->head[i] = 0;
        p->tail[i] = -1;
    }
    for (i = 0; i < g->N; i++) {
        p->node[place[i]] = (int32_t)i;
        p->slot[i] = place[i];
        left[i] = 0;
    }
    for (i = 0; i < g->E; i++) {
        int32_t to = place[g->edges[2 * i + 1]], block = (int32_t)(to / p->width);
        int64_t at = block * p->slots + left[block]++;
        p->head[at] = (int32_t)(to % p->width);
        p->tail[at] = place[g->edges[2 * i]];
    }
}

#endif
