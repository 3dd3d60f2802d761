/* The plan of a cell over a graph, from an array `edges` [E, 2] (from, to) in a file: see backends/graph_plan.h. */
#include "frontend/run_load.h"

#include "backends/backend.h"

typedef RnnStatus rnn_status;
#include "backends/graph_plan.h"

/* The extent of an array in the file whose leading axis is this one. */
static bool count_along(const Load *l, DimSym axis, int64_t *n)
{
    const RecProg *p = l->frame->prog;
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const Type *t = &p->arg.p[i].type;
        bool along = p->arg.p[i].role == ROLE_INPUT && t->rank && t->dim[0] == dim_of(p->dims, axis);
        const Array *from = along ? arrays_find(l->from, p->arg.p[i].name) : NULL;
        if (!from || !from->rank)
            continue;
        *n = from->dim[0];
        return true;
    }
    return false;
}

/* How many nodes there were before: as many as `h0` and its like have. */
static void count_known(Load *l, int64_t *known)
{
    DimSym s;
    if (!dim_find_sym(l->frame->prog->dims, STR("known"), &s) || count_along(l, s, known))
        return;
    l->frame->dim[s] = 0;
    l->frame->origin[s] = STR("without arrays of earlier nodes");
}

/* int[n, 2]; NULL after an error. */
static int32_t *take_twos(Load *l, const Array *from, const char *what, int64_t *count)
{
    int64_t n;
    bool whole = from->elem == EL_I32 || from->elem == EL_I64 || from->elem == EL_U8;
    if (!whole || from->rank != 2 || from->dim[1] != 2 || !array_count(from, &n)) {
        text_add(&l->errors, "array `%.*s` is %.*s, but int[%s] is expected\n", STRF(from->name), STRF(array_type_str(l->frame->arena, from)), what);
        return NULL;
    }
    int32_t *e = NEWN(l->frame->arena, int32_t, n + 1);
    for (int64_t i = 0; i < n; i++) {
        double v = array_get(from, i);
        e[i] = v < INT32_MIN || v > INT32_MAX ? -1 : (int32_t)v;
    }
    *count = from->dim[0];
    return e;
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

/* Inputs on pairs come with an array `pairs` that says which these are. */
static bool has_pair_inputs(const Frame *f)
{
    DimSym links;
    return dim_find_sym(f->prog->dims, STR("links"), &links);
}

/* What no array's shape alone says. */
static void say_plan_size(Load *l, const char *name, int64_t n)
{
    DimSym s;
    if (dim_find_sym(l->frame->prog->dims, str_of(name), &s))
        l->frame->dim[s] = n;
}

/* How many edges, or pairs, there are, for inputs on them. */
static void say_size(Load *l, const char *name, int64_t n)
{
    DimSym s;
    if (!dim_find_sym(l->frame->prog->dims, str_of(name), &s))
        return;
    l->frame->dim[s] = n;
    l->frame->origin[s] = str_fmt(l->frame->arena, "from `%s`, axis 0", str_is(str_of(name), "links") ? "pairs" : "edges");
}

static void make_edge_plan(Load *l, Arrays *to, const rnn_graph *g, void *scratch, const rnn_plan *p)
{
    const Array *given = arrays_find(l->from, STR("pairs"));
    rnn_edge_plan e = {0};
    int64_t n = 0;
    int32_t *pairs = NULL;
    if (has_pair_inputs(l->frame)) {
        if (!given)
            text_add(&l->errors, "array `pairs` (int[L, 2]: an edge that leads into a node, one that leaves it) is missing\n");
        if (!given || !(pairs = take_twos(l, given, "L, 2", &n)))
            return;
    }
    if (rnn_edge_sizes(g, scratch, p, n, pairs, &e) != RNN_OK) {
        text_add(&l->errors, "array `pairs`: a pair is of two edges that are not there, or do not follow each other\n");
        return;
    }
    say_size(l, "links", n);
    e.edge = ints(l, to, "plan.edge", 2, (int64_t[]){p->blocks, p->slots + p->olds});
    e.came = ints(l, to, "plan.came", 2, (int64_t[]){p->blocks, p->slots});
    e.out = ints(l, to, "plan.out", 2, (int64_t[]){p->blocks, e.outs});
    e.from = ints(l, to, "plan.from", 2, (int64_t[]){p->blocks, e.outs});
    if (rec_arg_named(l->frame->prog, "plan.pair") != UINT32_MAX) {
        e.pair = ints(l, to, "plan.pair", 2, (int64_t[]){p->blocks, e.pairs});
        e.pair_in = ints(l, to, "plan.pair_in", 2, (int64_t[]){p->blocks, e.pairs});
        e.pair_out = ints(l, to, "plan.pair_out", 2, (int64_t[]){p->blocks, e.pairs});
    }
    rnn_edge_fill(g, scratch, p, n, pairs, &e);
}

static void make_plan(Load *l, Arrays *to, const rnn_graph *g)
{
    void *scratch = arena_alloc(l->frame->arena, rnn_plan_scratch(g));
    rnn_plan p = {0};
    RnnStatus status = rnn_plan_sizes(g, scratch, &p);
    if (status != RNN_OK) {
        Str why = status == RNN_SIZE ? STR("the graph is too large") : graph_fault(l->frame->arena, g, (int32_t *)scratch + 2 * g->N);
        text_add(&l->errors, "array `edges`: %.*s\n", STRF(why));
        return;
    }
    say_size(l, "edges", g->E);
    p.node = ints(l, to, "plan.node", 2, (int64_t[]){p.blocks, p.width});
    p.slot = ints(l, to, "plan.slot", 1, &g->N);
    p.head = ints(l, to, "plan.head", 2, (int64_t[]){p.blocks, p.slots + p.olds});
    p.tail = ints(l, to, "plan.tail", 2, (int64_t[]){p.blocks, p.slots + p.olds});
    say_plan_size(l, "slots", p.slots);
    say_plan_size(l, "olds", p.olds);
    rnn_plan_fill(g, scratch, &p);
    if (rec_arg_named(l->frame->prog, "plan.edge") != UINT32_MAX)
        make_edge_plan(l, to, g, scratch, &p);
}

bool load_plan(Load *l, Arrays *to)
{
    const Array *edges = arrays_find(l->from, STR("edges"));
    rnn_graph g = {0};
    if (!rec_has_role(l->frame->prog, ROLE_PLAN))
        return false;
    if (!edges)
        text_add(&l->errors, "array `edges` (int[E, 2]: from, to) is missing\n");
    if (!edges || !count_along(l, l->frame->prog->time, &g.N) || !(g.edges = take_twos(l, edges, "E, 2", &g.E)))
        return false;
    count_known(l, &g.known);
    for (uint32_t i = 0; i < l->from->list.n; i++)
        vec_push(l->frame->arena, &to->list, l->from->list.p[i]);
    make_plan(l, to, &g);
    return !l->errors.n;
}
