/* The plan of a cell over a graph, from an array `edges` [E, 2] (from, to) in a file: see backends/graph_plan.h. */
#include "frontend/run_load.h"

#include "backends/backend.h"

typedef RnnStatus rnn_status;
#include "backends/graph_plan.h"

static bool wants_plan(const Frame *f)
{
    for (uint32_t i = 0; i < f->prog->arg.n; i++)
        if (f->prog->arg.p[i].role == ROLE_PLAN)
            return true;
    return false;
}

/* How many nodes there are: what an input at the nodes says. */
static bool count_nodes(const Load *l, int64_t *nodes)
{
    const RecProg *p = l->frame->prog;
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const Array *from = p->arg.p[i].role == ROLE_INPUT && type_places(p->dims, &p->arg.p[i].type) ? arrays_find(l->from, p->arg.p[i].name) : NULL;
        if (!from || !from->rank)
            continue;
        *nodes = from->dim[0];
        return true;
    }
    return false;
}

static bool take_edges(Load *l, const Array *edges, rnn_graph *g)
{
    int64_t n;
    bool whole = edges->elem == EL_I32 || edges->elem == EL_I64 || edges->elem == EL_U8;
    if (!whole || edges->rank != 2 || edges->dim[1] != 2 || !array_count(edges, &n)) {
        text_add(&l->errors, "array `edges` is %.*s, but int[E, 2] is expected: from, to\n", STRF(array_type_str(l->frame->arena, edges)));
        return false;
    }
    int32_t *e = NEWN(l->frame->arena, int32_t, n + 1);
    for (int64_t i = 0; i < n; i++) {
        double v = array_get(edges, i);
        e[i] = v < INT32_MIN || v > INT32_MAX ? -1 : (int32_t)v;
    }
    g->E = edges->dim[0];
    g->edges = e;
    return true;
}

static int32_t *ints(Load *l, Arrays *to, const char *name, uint32_t rank, const int64_t *dim)
{
    Array x = {.name = str_of(name), .elem = EL_I32, .rank = rank + 1};
    int64_t n;
    memcpy(x.dim, dim, rank * sizeof *dim);
    x.dim[rank] = 1; /* one graph */
    if (!array_count(&x, &n))
        ice("run_graph: a size overflows");
    x.data = arena_alloc(l->frame->arena, (size_t)n * sizeof(int32_t));
    vec_push(l->frame->arena, &to->list, x);
    return x.data;
}

static void make_plan(Load *l, Arrays *to, const rnn_graph *g)
{
    void *scratch = arena_alloc(l->frame->arena, rnn_plan_scratch(g));
    rnn_plan p = {0};
    RnnStatus status = rnn_plan_sizes(g, scratch, &p);
    if (status != RNN_OK) {
        text_add(&l->errors, "array `edges`: %s\n",
                 status == RNN_INDEX ? "an edge names a node that is not there" : status == RNN_GRAPH ? "the edges go round in a circle, or one is there twice"
                                                                                                    : "the graph is too large");
        return;
    }
    p.node = ints(l, to, "plan.node", 2, (int64_t[]){p.blocks, p.width});
    p.slot = ints(l, to, "plan.slot", 1, &g->N);
    p.head = ints(l, to, "plan.head", 2, (int64_t[]){p.blocks, p.slots});
    p.tail = ints(l, to, "plan.tail", 2, (int64_t[]){p.blocks, p.slots});
    rnn_plan_fill(g, scratch, &p);
}

bool load_plan(Load *l, Arrays *to)
{
    const Array *edges = arrays_find(l->from, STR("edges"));
    rnn_graph g = {0};
    if (!wants_plan(l->frame) || !edges || !count_nodes(l, &g.N) || !take_edges(l, edges, &g))
        return false;
    for (uint32_t i = 0; i < l->from->list.n; i++)
        vec_push(l->frame->arena, &to->list, l->from->list.p[i]);
    make_plan(l, to, &g);
    return !l->errors.n;
}
