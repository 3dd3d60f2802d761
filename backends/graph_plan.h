/* The order in which the nodes of a directed acyclic graph run, made once from its edges. This text stands in the headers of
 * cells over graphs too, so it is plain C99 and C++11, with nothing of rnnc's own but rnn_status. */
#ifndef RNN_GRAPH_PLAN
#define RNN_GRAPH_PLAN

/* edges: [E][2], from node, to node, in any order; a forest of trees is one with an edge from each child to its parent. Several
 * graphs at once are one graph of all their nodes.
 * known: nodes that were there before, so that a graph can grow. They are 0 .. known-1, and those of this call known .. known+N-1;
 * edges lead from either to those of this call. */
typedef struct rnn_graph {
    int64_t N, E;
    const int32_t *edges;
    int64_t known;
} rnn_graph;

/* Sizes, and the arrays of a cell's inputs: plan_node [blocks, width], plan_slot [N], plan_head and plan_tail [blocks, slots + olds],
 * in memory of the caller's. olds is 0 where no node was there before. */
typedef struct rnn_plan {
    int64_t blocks, width, slots;
    int32_t *node, *slot, *head, *tail;
    int64_t olds;
} rnn_plan;

/* The same for cells with states or inputs on edges: plan_edge [blocks, slots + olds], plan_came [blocks, slots],
 * plan_out and plan_from [blocks, outs], plan_pair, plan_pair_in and plan_pair_out [blocks, pairs]. */
typedef struct rnn_edge_plan {
    int64_t outs, pairs;
    int32_t *edge, *came, *out, *from, *pair, *pair_in, *pair_out;
} rnn_edge_plan;

/* Bytes of scratch memory that all of these functions need. */
static inline size_t rnn_plan_scratch(const rnn_graph *g)
{
    return (size_t)(7 * g->N + 3 * g->E + 2) * sizeof(int32_t);
}

/* The ends of an edge among the nodes of this call; from is negative if it was there before. */
static inline int64_t rnn_edge_from(const rnn_graph *g, int64_t edge)
{
    return g->edges[2 * edge] - g->known;
}

static inline int64_t rnn_edge_to(const rnn_graph *g, int64_t edge)
{
    return g->edges[2 * edge + 1] - g->known;
}

/* Nodes in an order in which each follows those that lead to it, by level: order[0..N-1], and level by node. False for a circle. */
static inline int rnn_plan_order(const rnn_graph *g, int32_t *order, int32_t *level, int32_t *left, int32_t *begin, int32_t *out)
{
    int64_t i, n = 0, seen = 0;
    for (i = 0; i < g->N; i++)
        level[i] = left[i] = begin[i] = 0;
    begin[g->N] = 0;
    for (i = 0; i < g->E; i++)
        if (rnn_edge_from(g, i) >= 0) {
            left[rnn_edge_to(g, i)]++;
            begin[rnn_edge_from(g, i) + 1]++;
        }
    for (i = 0; i < g->N; i++)
        begin[i + 1] += begin[i];
    for (i = 0; i < g->E; i++)
        if (rnn_edge_from(g, i) >= 0)
            out[begin[rnn_edge_from(g, i)]++] = (int32_t)rnn_edge_to(g, i);
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

/* Two edges from a node that was there before that are the same? list: [E]; it sorts them. */
static inline int rnn_plan_repeats_before(const rnn_graph *g, int32_t *list)
{
    int64_t i, k, gap, n = 0;
    for (i = 0; i < g->E; i++)
        if (rnn_edge_from(g, i) < 0)
            list[n++] = (int32_t)i;
    for (gap = n / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)
        for (i = gap; i < n; i++) {
            int32_t edge = list[i];
            const int32_t *x = g->edges + 2 * (int64_t)edge;
            for (k = i; k >= gap; k -= gap) {
                const int32_t *y = g->edges + 2 * (int64_t)list[k - gap];
                if (y[1] < x[1] || (y[1] == x[1] && y[0] <= x[0]))
                    break;
                list[k] = list[k - gap];
            }
            list[k] = edge;
        }
    for (i = 1; i < n; i++)
        if (g->edges[2 * list[i]] == g->edges[2 * list[i - 1]] && g->edges[2 * list[i] + 1] == g->edges[2 * list[i - 1] + 1])
            return 1;
    return 0;
}

/* Blocks of this width, of nodes of one level; one that has more than two edges for each of its places is closed earlier, so that
 * nodes with many edges do not make all blocks have many slots. Sets blocks, slots and olds, and where each node runs if place is not
 * NULL. degree: how many edges lead to each node from nodes of the call, early: from those that were there before. */
static inline void rnn_plan_place(const rnn_graph *g, const int32_t *order, const int32_t *level, const int32_t *degree, const int32_t *early, int32_t *place,
                                  rnn_plan *p)
{
    int64_t i, block = -1, row = 0, edges = 0, old = 0;
    p->slots = p->olds = 0;
    for (i = 0; i < g->N; i++, row++) {
        int32_t v = order[i];
        if (!i || row == p->width || level[v] != level[order[i - 1]] || edges + old + degree[v] + early[v] > 2 * p->width) {
            block++;
            row = edges = old = 0;
        }
        edges += degree[v];
        old += early[v];
        p->slots = edges > p->slots ? edges : p->slots;
        p->olds = old > p->olds ? old : p->olds;
        if (place)
            place[v] = (int32_t)(block * p->width + row);
    }
    p->blocks = block + 1;
}

/* Checks the edges, finds the order, and chooses the width: a block costs as much as some rows, a slot half a row. Sets blocks, width, slots and olds;
 * what it finds stays in scratch for rnn_plan_fill. RNN_INDEX: an edge names a node that is not there. RNN_GRAPH: a circle,
 * an edge that is there twice, or one that leads to a node that was there before. RNN_SIZE: a size is negative or too large. */
static inline rnn_status rnn_plan_sizes(const rnn_graph *g, void *scratch, rnn_plan *p)
{
    enum { RNN_PLAN_MOST = 256, RNN_PLAN_COST = 4 };
    int32_t *order, *level, *left, *begin, *place, *out, *early;
    int64_t i, width, cost, best = -1;
    if (!g || !scratch || !p || (g->E && !g->edges))
        return RNN_NULL;
    if (g->N < 0 || g->E < 0 || g->known < 0 || g->N > INT32_MAX / 8 || g->E > INT32_MAX / 8 || g->known > INT32_MAX / 8)
        return RNN_SIZE;
    for (i = 0; i < 2 * g->E; i++)
        if (g->edges[i] < 0 || g->edges[i] >= g->known + g->N)
            return RNN_INDEX;
    for (i = 0; i < g->E; i++)
        if (rnn_edge_to(g, i) < 0)
            return RNN_GRAPH;
    order = (int32_t *)scratch;
    level = order + g->N;
    left = level + g->N;
    begin = left + g->N;
    place = begin + g->N + 1;
    out = place + g->N + 1;
    early = out + 3 * g->E;
    if (!rnn_plan_order(g, order, level, left, begin, out) || rnn_plan_repeats(g, begin, out, left) || rnn_plan_repeats_before(g, out + g->E))
        return RNN_GRAPH;
    for (i = 0; i < g->N; i++)
        left[i] = early[i] = 0;
    for (i = 0; i < g->E; i++)
        (rnn_edge_from(g, i) < 0 ? early : left)[rnn_edge_to(g, i)]++;
    for (width = p->width = 1; width <= RNN_PLAN_MOST; width *= 2) {
        rnn_plan with = *p;
        with.width = width;
        rnn_plan_place(g, order, level, left, early, NULL, &with);
        if (with.blocks * width > INT32_MAX)
            break;
        cost = with.blocks * (width + (with.slots + with.olds) / 2 + RNN_PLAN_COST);
        if (best < 0 || cost <= best) {
            best = cost;
            *p = with;
        }
    }
    rnn_plan_place(g, order, level, left, early, place, p);
    return RNN_OK;
}

/* Fills the plan's arrays, whose memory the caller has set, after rnn_plan_sizes with the same graph and scratch. */
static inline void rnn_plan_fill(const rnn_graph *g, void *scratch, rnn_plan *p)
{
    int32_t *left = (int32_t *)scratch + 2 * g->N, *place = left + 2 * g->N + 1, *early = place + g->N + 1 + 3 * g->E;
    int64_t i, into = p->slots + p->olds;
    for (i = 0; i < p->blocks * p->width; i++)
        p->node[i] = -1;
    for (i = 0; i < p->blocks * into; i++) {
        p->head[i] = 0;
        p->tail[i] = -1;
    }
    for (i = 0; i < g->N; i++) {
        p->node[place[i]] = (int32_t)i;
        p->slot[i] = place[i];
        left[i] = early[i] = 0;
    }
    for (i = 0; i < g->E; i++) {
        int32_t to = place[rnn_edge_to(g, i)], block = (int32_t)(to / p->width);
        int64_t from = rnn_edge_from(g, i), at = block * into + (from < 0 ? p->slots + early[block]++ : left[block]++);
        p->head[at] = (int32_t)(to % p->width);
        p->tail[at] = from < 0 ? g->edges[2 * i] : place[from];
    }
}

/* Calls `put` for every pair of an edge that leads into a node and one that leaves it, in the order of the latter: the L pairs
 * that are given, or with NULL all that there are. list: scratch behind the places. */
static inline int64_t rnn_each_pair(const rnn_graph *g, int64_t L, const int32_t *pairs, int32_t *begin, int32_t *list,
                                    void (*put)(void *context, int64_t number, int32_t in, int32_t out), void *context)
{
    int64_t i, n = 0;
    if (pairs) {
        for (i = 0; i < L; i++)
            put(context, i, pairs[2 * i], pairs[2 * i + 1]);
        return L;
    }
    for (i = 0; i <= g->N; i++)
        begin[i] = 0;
    for (i = 0; i < g->E; i++)
        if (rnn_edge_from(g, i) >= 0)
            begin[rnn_edge_to(g, i) + 1]++;
    for (i = 0; i < g->N; i++)
        begin[i + 1] += begin[i];
    for (i = 0; i < g->E; i++)
        if (rnn_edge_from(g, i) >= 0)
            list[begin[rnn_edge_to(g, i)]++] = (int32_t)i; /* begin moves on by one node */
    for (i = 0; i < g->E; i++) {
        int64_t v = rnn_edge_from(g, i);
        int32_t k = v > 0 ? begin[v - 1] : 0;
        for (; v >= 0 && k < begin[v]; k++)
            put(context, n++, list[k], (int32_t)i);
    }
    return n;
}

/* What rnn_edge_sizes and rnn_edge_fill hand to themselves. */
typedef struct rnn_edge_work {
    const rnn_graph *g;
    const rnn_plan *p;
    rnn_edge_plan *e;
    int32_t *count, *place, *where, *begin, *list; /* by block, by node, by edge; begin, list: of rnn_each_pair */
} rnn_edge_work;

static inline rnn_edge_work rnn_edge_begin(const rnn_graph *g, void *scratch, const rnn_plan *p, rnn_edge_plan *e)
{
    rnn_edge_work w;
    int64_t i;
    w.g = g;
    w.p = p;
    w.e = e;
    w.begin = (int32_t *)scratch;
    w.count = w.begin + 2 * g->N;
    w.place = w.count + 2 * g->N + 1;
    w.where = w.place + g->N + 1;
    w.list = w.where + g->E;
    for (i = 0; i < g->N; i++)
        w.count[i] = 0;
    return w;
}

static inline int64_t rnn_block_left(const rnn_edge_work *w, int32_t edge)
{
    return w->place[rnn_edge_from(w->g, edge)] / w->p->width;
}

static inline void rnn_count_pair(void *context, int64_t number, int32_t in, int32_t out)
{
    const rnn_edge_work *w = (const rnn_edge_work *)context;
    int32_t n = ++w->count[rnn_block_left(w, out)];
    (void)number;
    (void)in;
    w->e->pairs = n > w->e->pairs ? n : w->e->pairs;
}

static inline void rnn_put_pair(void *context, int64_t number, int32_t in, int32_t out)
{
    const rnn_edge_work *w = (const rnn_edge_work *)context;
    int64_t block = rnn_block_left(w, out), at = block * w->e->pairs + w->count[block]++;
    w->e->pair[at] = (int32_t)number;
    w->e->pair_in[at] = w->where[in];
    w->e->pair_out[at] = (int32_t)(w->where[out] % w->e->outs);
}

/* After rnn_plan_fill, with its scratch: finds outs and pairs. pairs: [L][2], numbers of an edge that leads into a node and of
 * one that leaves it, in the order of the inputs on pairs; NULL where there are no such inputs: all pairs. RNN_INDEX: a pair
 * names an edge that is not there; RNN_GRAPH: its edges do not follow each other, or nodes were there before: states on edges
 * cannot be carried on. */
static inline rnn_status rnn_edge_sizes(const rnn_graph *g, void *scratch, const rnn_plan *p, int64_t L, const int32_t *pairs, rnn_edge_plan *e)
{
    int64_t i;
    rnn_edge_work w;
    if (g->known && pairs)
        return RNN_GRAPH;
    for (i = 0; pairs && i < L; i++) {
        int32_t in = pairs[2 * i], out = pairs[2 * i + 1];
        if (in < 0 || in >= g->E || out < 0 || out >= g->E)
            return RNN_INDEX;
        if (g->edges[2 * in + 1] != g->edges[2 * out])
            return RNN_GRAPH;
    }
    e->outs = e->pairs = 0;
    w = rnn_edge_begin(g, scratch, p, e);
    for (i = 0; i < g->E; i++) {
        int32_t n = rnn_edge_from(g, i) < 0 ? 0 : ++w.count[rnn_block_left(&w, (int32_t)i)];
        e->outs = n > e->outs ? n : e->outs;
    }
    w = rnn_edge_begin(g, scratch, p, e);
    rnn_each_pair(g, L, pairs, w.begin, w.list, rnn_count_pair, &w);
    return RNN_OK;
}

/* Fills the arrays, after rnn_edge_sizes with the same arguments; those of pairs where e->pair is not NULL: a cell that reads no
 * pairs has no such inputs. */
static inline void rnn_edge_fill(const rnn_graph *g, void *scratch, const rnn_plan *p, int64_t L, const int32_t *pairs, rnn_edge_plan *e)
{
    rnn_edge_work w = rnn_edge_begin(g, scratch, p, e);
    int32_t *early = w.list + 2 * g->E;
    int64_t i;
    for (i = 0; i < p->blocks * e->outs; i++) {
        e->out[i] = -1;
        e->from[i] = 0;
    }
    for (i = 0; i < p->blocks * (p->slots + p->olds); i++)
        e->edge[i] = 0;
    for (i = 0; i < p->blocks * p->slots; i++)
        e->came[i] = 0;
    for (i = 0; e->pair && i < p->blocks * e->pairs; i++) {
        e->pair[i] = -1;
        e->pair_in[i] = e->pair_out[i] = 0;
    }
    for (i = 0; i < g->E; i++) {
        int64_t block, at;
        if (rnn_edge_from(g, i) < 0)
            continue;
        block = rnn_block_left(&w, (int32_t)i);
        at = block * e->outs + w.count[block]++;
        e->out[at] = (int32_t)i;
        e->from[at] = (int32_t)(w.place[rnn_edge_from(g, i)] % p->width);
        w.where[i] = (int32_t)at;
    }
    w = rnn_edge_begin(g, scratch, p, e);
    for (i = 0; i < p->blocks; i++)
        early[i] = 0;
    for (i = 0; i < g->E; i++) { /* in the order of rnn_plan_fill */
        int64_t block = w.place[rnn_edge_to(g, i)] / p->width, old = rnn_edge_from(g, i) < 0;
        int64_t at = old ? p->slots + early[block]++ : w.count[block]++;
        e->edge[block * (p->slots + p->olds) + at] = (int32_t)i;
        if (!old)
            e->came[block * p->slots + at] = w.where[i];
    }
    w = rnn_edge_begin(g, scratch, p, e);
    if (e->pair)
        rnn_each_pair(g, L, pairs, w.begin, w.list, rnn_put_pair, &w);
}

#endif
