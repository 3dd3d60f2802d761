/* Plans of graphs: every edge leads from an earlier block to a later one, every node has one place; what is no graph is told. And
 * a grid is the graph that it is. */
#include "tests/unit/forms.h"

#include <math.h>

#include "backends/backend.h"

typedef RnnStatus rnn_status;
#include "backends/graph_plan.h"

typedef struct Plan {
    Arena *a;
    rnn_graph g;
    rnn_plan p;
    rnn_status status;
} Plan;

static Plan planned_behind(int64_t known, int64_t n, const int32_t *edges, int64_t count)
{
    Plan x = {.a = arena_new(), .g = {n, count, edges, known}};
    void *scratch = arena_alloc(x.a, rnn_plan_scratch(&x.g));
    x.status = rnn_plan_sizes(&x.g, scratch, &x.p);
    if (x.status != RNN_OK)
        return x;
    x.p.node = NEWN(x.a, int32_t, x.p.blocks * x.p.width + 1);
    x.p.slot = NEWN(x.a, int32_t, n + 1);
    x.p.head = NEWN(x.a, int32_t, x.p.blocks * (x.p.slots + x.p.olds) + 1);
    x.p.tail = NEWN(x.a, int32_t, x.p.blocks * (x.p.slots + x.p.olds) + 1);
    rnn_plan_fill(&x.g, scratch, &x.p);
    return x;
}

static Plan planned(int64_t n, const int32_t *edges, int64_t count)
{
    return planned_behind(0, n, edges, count);
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

/* As many edges as there are, each once, from an earlier block or, behind these, from a node that was there before. */
static void check_edges(const Plan *x)
{
    uint8_t *seen = NEWN(x->a, uint8_t, x->g.E + 1);
    int64_t into = x->p.slots + x->p.olds;
    for (int64_t i = 0; i < x->p.blocks * into; i++) {
        int64_t block = i / into;
        int32_t tail = x->p.tail[i];
        bool old = i % into >= x->p.slots;
        if (tail < 0)
            continue;
        int64_t from = old ? tail : x->p.node[tail] + x->g.known, to = x->p.node[block * x->p.width + x->p.head[i]];
        cr_assert(old ? tail < x->g.known : tail / x->p.width < block);
        cr_assert(from >= (old ? 0 : x->g.known) && to >= 0);
        int64_t e = 0;
        while (e < x->g.E && (x->g.edges[2 * e] != from || x->g.edges[2 * e + 1] != to + x->g.known))
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

/* The same graphs, the first nodes being there already: those that a random number of others do not follow. */
Test(graph, nodes_that_were_there_before)
{
    uint64_t state = 7;
    Arena *a = arena_new();
    for (int32_t n = 1; n < 40; n += 3)
        for (int32_t known = 0; known <= n; known += 1 + known / 2) {
            int32_t *edges = NEWN(a, int32_t, 2 * n * n + 1);
            int64_t count = 0;
            for (int32_t to = n - 1; to >= known; to--)
                for (int32_t from = 0; from < to; from++)
                    if (next(&state) % 3 == 0) {
                        edges[2 * count] = from;
                        edges[2 * count++ + 1] = to;
                    }
            Plan x = planned_behind(known, n - known, edges, count);
            cr_assert_eq(x.status, RNN_OK);
            check_nodes(&x);
            check_edges(&x);
            if (count > 1 && edges[2 * count - 2] < known) { /* the last one twice */
                memcpy(edges + 2 * count, edges + 2 * count - 2, 2 * sizeof *edges);
                cr_assert_eq(planned_behind(known, n - known, edges, count + 1).status, RNN_GRAPH);
            }
            arena_free(x.a);
        }
    arena_free(a);
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

/* ---- a grid as a graph ---- */

static double *array_of(Frame *f, const char *name)
{
    uint32_t i = rec_arg_named(f->prog, name);
    cr_assert_neq(i, UINT32_MAX, "no %s", name);
    return f->in[i];
}

static void set_dim(Frame *f, const char *name, int64_t value)
{
    DimSym s;
    cr_assert(dim_find_sym(f->prog->dims, str_of(name), &s), "no %s", name);
    f->dim[s] = value;
}

static void make_arrays(Frame *f)
{
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        const RecArg *x = &f->prog->arg.p[i];
        if (x->role == ROLE_INPUT || x->role == ROLE_PLAN || x->role == ROLE_COTANGENT)
            f->in[i] = frame_array(f, &x->type, x->batched);
    }
}

enum { HEADS = 2, KEYS = 3, VALUES = 2 };

typedef struct Grid {
    int64_t R, S, E, L;
    int32_t *edges, *pairs; /* edge: from, to; which way it goes stands in way */
    uint8_t *way;           /* 0: to the right, 1: downward */
} Grid;

static int64_t edge_from(const Grid *g, int64_t r, int64_t s, int way)
{
    for (int64_t e = 0; e < g->E; e++)
        if (g->edges[2 * e] == r * g->S + s && g->way[e] == way)
            return e;
    return -1;
}

static void add_pair(Grid *g, int64_t in, int64_t out)
{
    if (in < 0 || out < 0)
        return;
    g->pairs[2 * g->L] = (int32_t)in;
    g->pairs[2 * g->L++ + 1] = (int32_t)out;
}

static Grid grid_edges(Arena *a, int64_t R, int64_t S)
{
    Grid g = {R, S, 0, 0, NEWN(a, int32_t, 4 * R * S + 1), NEWN(a, int32_t, 8 * R * S + 1), NEWN(a, uint8_t, 2 * R * S + 1)};
    for (int64_t r = 0; r < R; r++)
        for (int64_t s = 0; s < S; s++)
            for (int way = 0; way < 2; way++) {
                int64_t to = way ? (r + 1 < R ? (r + 1) * S + s : -1) : (s + 1 < S ? r * S + s + 1 : -1);
                if (to < 0)
                    continue;
                g.way[g.E] = (uint8_t)way;
                g.edges[2 * g.E] = (int32_t)(r * S + s);
                g.edges[2 * g.E++ + 1] = (int32_t)to;
            }
    for (int64_t r = 0; r < R; r++)
        for (int64_t s = 0; s < S; s++)
            for (int in = 0; in < 2; in++)
                for (int out = 0; out < 2; out++)
                    add_pair(&g, in ? (r ? edge_from(&g, r - 1, s, 1) : -1) : (s ? edge_from(&g, r, s - 1, 0) : -1), edge_from(&g, r, s, out));
    return g;
}

static void same_array(Frame *to, Frame *from, const char *a, const char *b, double by)
{
    const double *x = array_of(from, b);
    double *y = array_of(to, a);
    uint32_t i = rec_arg_named(from->prog, b);
    for (int64_t k = 0, n = frame_count(from, &from->prog->arg.p[i].type, true); k < n; k++)
        y[k] = by * x[k];
}

/* Gates that stand at the nodes of the grid, at its edges and pairs. */
static void spread_gates(Frame *to, Frame *from, const Grid *g)
{
    const double *source = array_of(from, "source"), *transition = array_of(from, "transition"), *mark = array_of(from, "mark");
    for (int64_t e = 0; e < g->E; e++)
        for (int n = 0; n < HEADS; n++) {
            array_of(to, "source")[e * HEADS + n] = source[(g->edges[2 * e] * 2 + g->way[e]) * HEADS + n];
            array_of(to, "mark")[e * HEADS + n] = mark[(g->edges[2 * e + 1] * 2 + g->way[e]) * HEADS + n];
        }
    for (int64_t p = 0; p < g->L; p++)
        for (int n = 0; n < HEADS; n++) {
            int64_t in = g->pairs[2 * p], out = g->pairs[2 * p + 1], v = g->edges[2 * out];
            array_of(to, "transition")[p * HEADS + n] = transition[((v * 2 + g->way[out]) * 2 + g->way[in]) * HEADS + n];
        }
}

static int32_t *plan_ints(Arena *a, int64_t n)
{
    return NEWN(a, int32_t, n + 1);
}

/* What the cell has no use for is not there. */
static void put_ints(Frame *f, const char *name, const int32_t *from, int64_t n)
{
    for (int64_t i = 0; i < n && rec_arg_named(f->prog, name) != UINT32_MAX; i++)
        array_of(f, name)[i] = from[i];
}

static void set_plan_dim(Frame *f, const char *name, int64_t value)
{
    DimSym s;
    if (dim_find_sym(f->prog->dims, str_of(name), &s))
        f->dim[s] = value;
}

typedef struct Size {
    const char *name;
    int64_t n;
} Size;

/* Arrays of these sizes for a cell over the graph, with its plan. */
static Frame *over_graph(Forms *t, Arena *a, const rnn_graph *graph, int64_t npair, const int32_t *pairs, const Size *own, size_t nown)
{
    rnn_plan p = {0};
    rnn_edge_plan e = {0};
    void *scratch = arena_alloc(a, rnn_plan_scratch(graph));
    cr_assert_eq(rnn_plan_sizes(graph, scratch, &p), RNN_OK);
    p.node = plan_ints(a, p.blocks * p.width);
    p.slot = plan_ints(a, graph->N);
    p.head = plan_ints(a, p.blocks * p.slots);
    p.tail = plan_ints(a, p.blocks * p.slots);
    rnn_plan_fill(graph, scratch, &p);
    cr_assert_eq(rnn_edge_sizes(graph, scratch, &p, npair, pairs, &e), RNN_OK);
    e.edge = plan_ints(a, p.blocks * p.slots);
    e.came = plan_ints(a, p.blocks * p.slots);
    e.out = plan_ints(a, p.blocks * e.outs);
    e.from = plan_ints(a, p.blocks * e.outs);
    e.pair = plan_ints(a, p.blocks * e.pairs);
    e.pair_in = plan_ints(a, p.blocks * e.pairs);
    e.pair_out = plan_ints(a, p.blocks * e.pairs);
    rnn_edge_fill(graph, scratch, &p, npair, pairs, &e);
    Frame *f = frame_new(a, t->reference);
    const Size size[] = {{"nodes", graph->N}, {"blocks", p.blocks}, {"width", p.width},  {"slots", p.slots}, {"outs", e.outs},
                         {"pairs", e.pairs},  {"edges", graph->E},  {"links", npair}, {"olds", 0}, {"known", 0}, {"B", 1}};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        set_plan_dim(f, size[i].name, size[i].n);
    for (size_t i = 0; i < nown; i++)
        set_dim(f, own[i].name, own[i].n);
    make_arrays(f);
    put_ints(f, "plan.node", p.node, p.blocks * p.width);
    put_ints(f, "plan.slot", p.slot, graph->N);
    put_ints(f, "plan.head", p.head, p.blocks * p.slots);
    put_ints(f, "plan.tail", p.tail, p.blocks * p.slots);
    put_ints(f, "plan.edge", e.edge, p.blocks * p.slots);
    put_ints(f, "plan.came", e.came, p.blocks * p.slots);
    put_ints(f, "plan.out", e.out, p.blocks * e.outs);
    put_ints(f, "plan.from", e.from, p.blocks * e.outs);
    put_ints(f, "plan.pair", e.pair, p.blocks * e.pairs);
    put_ints(f, "plan.pair_in", e.pair_in, p.blocks * e.pairs);
    put_ints(f, "plan.pair_out", e.pair_out, p.blocks * e.pairs);
    return f;
}

static Frame *as_graph(Forms *t, Frame *grid, const Grid *g)
{
    const rnn_graph graph = {g->R * g->S, g->E, g->edges, 0};
    const Size own[] = {{"N", HEADS}, {"K", KEYS}, {"V", VALUES}};
    Frame *f = over_graph(t, grid->arena, &graph, g->L, g->pairs, own, sizeof own / sizeof *own);
    same_array(f, grid, "q", "q", 1 / sqrt(KEYS));
    same_array(f, grid, "k", "k", 1);
    same_array(f, grid, "w", "v", 1);
    same_array(f, grid, "d_y", "d_y", 1);
    spread_gates(f, grid, g);
    return f;
}

static double result_apart(const Frame *f, const char *a, const Frame *g, const char *b, double by)
{
    uint32_t i = 0, j = 0;
    double most = 0, size = 0;
    while (!str_is(f->prog->out.p[i].name, a))
        i++;
    while (!str_is(g->prog->out.p[j].name, b))
        j++;
    for (int64_t k = 0, n = frame_count(f, &f->prog->out.p[i].type, true); k < n; k++) {
        most = fmax(most, fabs(f->out[i][k] - by * g->out[j][k]));
        size = fmax(size, fabs(f->out[i][k]));
    }
    return size > 0 ? most / size : most;
}

static void grid_is_graph(int64_t R, int64_t S)
{
    Forms grid, graph;
    Arena *a = arena_new();
    uint64_t state = (uint64_t)(R * 100 + S);
    forms_open(&grid, "stdlib/plstm.rnn", "plstm_grid");
    forms_open(&graph, "stdlib/plstm.rnn", "plstm_graph");
    Code one = forms_compile(&grid, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    Code two = forms_compile(&graph, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    Grid g = grid_edges(a, R, S);
    Frame *f = frame_new(a, grid.reference);
    const int64_t size[] = {R, S, 1, HEADS, KEYS, VALUES};
    static const char *const name[] = {"R", "S", "B", "N", "K", "V"};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        set_dim(f, name[i], size[i]);
    make_arrays(f);
    for (uint32_t i = 0; i < f->prog->arg.n; i++)
        for (int64_t k = 0, n = f->in[i] ? frame_count(f, &f->prog->arg.p[i].type, true) : 0; k < n; k++)
            f->in[i][k] = (double)(next(&state) % 2001) / 1000 - 1;
    Frame *h = as_graph(&graph, f, &g);
    Str why = {0};
    cr_assert(frame_compiled(f, &one, true, &why), "%s", str_c(a, why));
    cr_assert(frame_compiled(h, &two, true, &why), "%s", str_c(a, why));
    cr_expect_leq(result_apart(f, "y", h, "y", 1), 1e-12, "%lld x %lld", (long long)R, (long long)S);
    cr_expect_leq(result_apart(f, "d_q", h, "d_q", 1 / sqrt(KEYS)), 1e-12, "d_q, %lld x %lld", (long long)R, (long long)S);
    cr_expect_leq(result_apart(f, "d_v", h, "d_w", 1), 1e-12, "d_v, %lld x %lld", (long long)R, (long long)S);
    code_free(&one);
    code_free(&two);
    forms_close(&grid);
    forms_close(&graph);
    arena_free(a);
}

Test(graph, a_grid_is_a_graph, .timeout = 120)
{
    grid_is_graph(1, 1);
    grid_is_graph(1, 17);
    grid_is_graph(5, 13);
    grid_is_graph(33, 47);
}

/* ---- a line as a graph: chains, whose first nodes begin with a start value ---- */

#define LINES "tests/forms/graph_lines.rnn"

enum { WIDE = 3 };

/* Node i of the chain is node (7 i + 3) mod n, n being prime to 7. */
static int64_t node_at(int64_t i, int64_t n)
{
    return (7 * i + 3) % n;
}

static const double *output_of(const Frame *f, const char *name)
{
    uint32_t i = 0;
    while (!str_is(f->prog->out.p[i].name, name))
        i++;
    return f->out[i];
}

/* The cotangent of the last state is zero: a chain has none. */
static void fill(Frame *f, uint64_t *state)
{
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        const RecArg *x = &f->prog->arg.p[i];
        if (x->role == ROLE_PARAM)
            f->in[i] = frame_array(f, &x->type, x->batched);
        bool drawn = x->role == ROLE_PARAM || x->role == ROLE_INPUT || str_is(x->name, "d_y");
        for (int64_t k = 0, n = drawn ? frame_count(f, &x->type, x->batched) : 0; k < n; k++)
            f->in[i][k] = (double)(next(state) % 2001) / 1000 - 1;
    }
}

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-12 * fmax(1, fabs(b));
}

static void same_rows(const double *row, const double *place, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < WIDE; k++)
            cr_expect(near(row[node_at(i, n) * WIDE + k], place[i * WIDE + k]), "%s of %lld at %lld", what, (long long)n, (long long)i);
}

/* The line's gradient of its start is that of the chain's first node; that of the others is zero. */
static void same_starts(const double *row, const double *start, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < WIDE; k++)
            cr_expect(near(row[node_at(i, n) * WIDE + k], i ? 0 : start[k]), "d_first of %lld at %lld", (long long)n, (long long)i);
}

static Frame *as_chain(Forms *t, Frame *line, int64_t n)
{
    Arena *a = line->arena;
    int32_t *edges = plan_ints(a, 2 * n), *pairs = plan_ints(a, 2 * n);
    for (int64_t i = 0; i + 1 < n; i++) {
        edges[2 * i] = (int32_t)node_at(i, n);
        edges[2 * i + 1] = (int32_t)node_at(i + 1, n);
        pairs[2 * i] = (int32_t)i;
        pairs[2 * i + 1] = (int32_t)(i + 1);
    }
    const rnn_graph g = {n, n ? n - 1 : 0, edges, 0};
    Frame *f = over_graph(t, a, &g, n > 2 ? n - 2 : 0, pairs, (Size[]){{"D", WIDE}}, 1);
    f->in[rec_arg_named(f->prog, "U")] = array_of(line, "U");
    for (int64_t i = 0; i < n; i++)
        for (int k = 0; k < WIDE; k++) {
            array_of(f, "x")[node_at(i, n) * WIDE + k] = array_of(line, "x")[i * WIDE + k];
            array_of(f, "d_y")[node_at(i, n) * WIDE + k] = array_of(line, "d_y")[i * WIDE + k];
            array_of(f, "first")[node_at(i, n) * WIDE + k] = i ? NAN : array_of(line, "first")[k];
        }
    return f;
}

static void line_is_chain(const char *entry, const char *graph_entry, int64_t n)
{
    Forms line, graph;
    uint64_t state = (uint64_t)n + 1;
    Str why = {0};
    forms_open(&line, LINES, entry);
    forms_open(&graph, LINES, graph_entry);
    Arena *a = arena_new();
    Code one = forms_compile(&line, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    Code two = forms_compile(&graph, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    Frame *f = frame_new(a, line.reference);
    set_dim(f, "T", n);
    set_dim(f, "B", 1);
    set_dim(f, "D", WIDE);
    make_arrays(f);
    fill(f, &state);
    Frame *g = as_chain(&graph, f, n);
    cr_assert(frame_compiled(f, &one, true, &why), "%s", str_c(a, why));
    cr_assert(frame_compiled(g, &two, true, &why), "%s", str_c(a, why));
    same_rows(output_of(g, "y"), output_of(f, "y"), n, "y");
    same_rows(output_of(g, "d_x"), output_of(f, "d_x"), n, "d_x");
    same_starts(output_of(g, "d_first"), output_of(f, "d_first"), n);
    cr_expect_leq(result_apart(g, "d_U", f, "d_U", 1), 1e-12, "d_U of %lld", (long long)n);
    code_free(&one);
    code_free(&two);
    forms_close(&line);
    forms_close(&graph);
    arena_free(a);
}

Test(graph, a_line_is_a_chain, .timeout = 60)
{
    static const int64_t n[] = {1, 2, 13, 40};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) {
        line_is_chain("line", "chain", n[i]);
        line_is_chain("line_late", "chain_of_edges", n[i]);
        line_is_chain("line_rounds", "chain_rounds", n[i]);
    }
}

/* ---- `let`s over what leads to a node ---- */

/* Edges of the graph, and all pairs of one that leads into a node and one that leaves it. */
static Frame *over_random_graph(Forms *t, Arena *a, uint64_t *state, int32_t n)
{
    int32_t *edges = plan_ints(a, n * n), *pairs = plan_ints(a, 2 * (int64_t)n * n * n);
    int64_t nedge = 0, npair = 0;
    for (int32_t i = 0; i < n; i++)
        for (int32_t j = 0; j < i; j++)
            if (next(state) % 3 == 0) {
                edges[2 * nedge] = j;
                edges[2 * nedge++ + 1] = i;
            }
    for (int64_t d = 0; d < nedge; d++)
        for (int64_t e = 0; e < nedge; e++)
            if (edges[2 * d + 1] == edges[2 * e]) {
                pairs[2 * npair] = (int32_t)d;
                pairs[2 * npair++ + 1] = (int32_t)e;
            }
    const rnn_graph g = {n, nedge, edges, 0};
    Frame *f = over_graph(t, a, &g, npair, pairs, (Size[]){{"D", WIDE}}, 1);
    fill(f, state);
    return f;
}

static Frame *run_entry(Forms *t, const char *entry, Arena *a, int32_t n)
{
    uint64_t state = (uint64_t)n;
    Str why = {0};
    forms_open(t, LINES, entry);
    Code code = forms_compile(t, (RecForm){.kind = REC_FORM_SEQUENTIAL}, PREC_F64);
    Frame *f = over_random_graph(t, a, &state, n);
    cr_assert(frame_compiled(f, &code, true, &why), "%s", str_c(a, why));
    code_free(&code);
    return f;
}

Test(graph, a_let_over_edges_is_what_it_stands_for, .timeout = 60)
{
    static const char *const result[] = {"y", "d_x", "d_a", "d_t"};
    for (int32_t n = 1; n < 20; n += 6) {
        Arena *a = arena_new();
        Forms one, two;
        Frame *f = run_entry(&one, "named", a, n), *g = run_entry(&two, "written_out", a, n);
        for (size_t i = 0; i < sizeof result / sizeof *result; i++)
            cr_expect_leq(result_apart(f, result[i], g, result[i], 1), 1e-13, "%s, %d nodes", result[i], (int)n);
        forms_close(&one);
        forms_close(&two);
        arena_free(a);
    }
}
