/* A run over a graph: the plan's arrays, the recurrence over its blocks, and what it puts out. See elab_graph.c. */
#include "frontend/elab_graph.h"

static void check_size_names(Elab *e, const Cell *cell)
{
    static const char *const name[] = {"nodes", "blocks", "width", "slots", "edges", "outs", "links", "pairs", "olds", "known"};
    for (uint32_t i = 0; i < cell->ndim; i++)
        for (size_t k = 0; k < sizeof name / sizeof *name; k++)
            if (str_is(cell->dim[i].name.text, name[k]))
                diag(e->diags, E_RESERVED, cell->dim[i].name.at,
                     "nodes, blocks, width, slots, edges, outs, links, pairs, olds and known are taken in a cell over a graph: they are the sizes of its plan");
}

GraphPlan *graph_plan_new(Elab *e, Span at)
{
    GraphPlan *p = NEW(e->arena, GraphPlan);
    *p = (GraphPlan){.e = e, .at = at};
    p->nodes = new_extent(e, STR("nodes"));
    p->blocks = new_extent(e, STR("blocks"));
    p->width = new_extent(e, STR("width"));
    p->into = p->slots = new_extent(e, STR("slots"));
    p->node = p->edge = p->pair = REC_NONE;
    return p;
}

static RecId plan_array(GraphPlan *p, const char *name, uint8_t rank, Dim a, Dim b, const char *doc)
{
    return rec_arg(&p->e->b, (RecArg){.name = str_of(name), .role = ROLE_PLAN, .type = {.dt = DT_INT, .rank = rank, .dim = {a, b}}, .batched = true,
                                      .frozen = true, .doc = str_of(doc), .at = p->at});
}

static void node_arrays(GraphPlan *p)
{
    p->node = plan_array(p, "plan.node", 2, p->blocks, p->width, "the node of each place of a block, -1 for none");
    p->slot = plan_array(p, "plan.slot", 1, p->nodes, DIM_ZERO, "where each node runs: block * width + place; -1 for nowhere");
    p->head = plan_array(p, "plan.head", 2, p->blocks, p->into, "the place in the block of the node that an edge leads to");
    p->tail = plan_array(p, "plan.tail", 2, p->blocks, p->into,
                         p->grows ? "the slot of the node that it comes from, -1 for no edge; of the last olds: which earlier node it comes from"
                                  : "the slot of the node that it comes from, -1 for no edge");
}

static void edge_arrays(GraphPlan *p)
{
    if (p->outs == DIM_ZERO)
        p->outs = new_extent(p->e, STR("outs"));
    p->edge = plan_array(p, "plan.edge", 2, p->blocks, p->into, "its number");
    p->came = plan_array(p, "plan.came", 2, p->blocks, p->slots, "where its state was put out: block * outs + place");
    p->out = plan_array(p, "plan.out", 2, p->blocks, p->outs, "the number of an edge that leaves a node of the block, -1 for none");
    p->from = plan_array(p, "plan.from", 2, p->blocks, p->outs, "the place in the block of that node");
}

void graph_plan_arrays(GraphPlan *p, bool edges)
{
    if (p->node == REC_NONE)
        node_arrays(p);
    if (edges && p->edge == REC_NONE)
        edge_arrays(p);
}

static RecId int_map(RecBuild *b, Fun f, RecId v, double number)
{
    return rec_map2(b, f, v, rec_const(b, DT_INT, number));
}

/* max(v, 0): what is not there is read as 0, and not looked at. */
static RecId or_zero(RecBuild *b, RecId v)
{
    return int_map(b, FUN_MAX, v, 0);
}

/* The rows of a table over nodes that `index`, of any shape, says. */
static RecId rows(RecBuild *b, RecId table, RecId index)
{
    Type t = *rec_type(b->prog, table), i = *rec_type(b->prog, index);
    RecUse use[2] = {{.v = table}, rec_use(index, i.rank)};
    Dim dim[MAXRANK];
    memcpy(dim, i.dim, i.rank * sizeof *dim);
    for (uint8_t k = 1; k < t.rank; k++) {
        use[0].axis[k] = (uint8_t)(i.rank + k - 1);
        dim[use[0].axis[k]] = t.dim[k];
    }
    return rec_gather(b, use, 2, (uint8_t)(i.rank + t.rank - 1), dim);
}

/* Inputs on edges and pairs are looked up where they are read. */
static bool is_at_nodes(const Decl *d)
{
    return !d->is_const && !d->nplace;
}

static void input_sequences(Graph *g)
{
    Elab *e = g->e;
    g->first_part = NEWN(e->arena, uint32_t, g->cell->ninput + 1);
    for (uint32_t i = 0; i < g->cell->ninput; i++) {
        g->first_part[i] = g->seq.n;
        for (uint32_t k = 0; is_at_nodes(&g->cell->input[i]) && k < nparts(val_dtype(e, g->input[i])); k++)
            vec_push(e->arena, &g->seq, rows(&e->b, val_part(e, g->input[i], k).v, or_zero(&e->b, g->plan->node)));
    }
}

static Val along(RecId v, IndexVar *var)
{
    return (Val){.v = v, .nfree = 1, .free = {var}};
}

static GraphPlace *new_place(Graph *g, Dim size)
{
    GraphPlace *at = NEW(g->e->arena, GraphPlace);
    at->at = at->there = at->block = at->row = at->node = at->earlier = at->in_block = at->in_row = at->in = at->out = at->pair = poison;
    at->var = index_new(g->e, g->cell->index[0], size);
    return at;
}

static Val is_there(Graph *g, RecId number, IndexVar *var)
{
    return along(rec_map2(&g->e->b, FUN_LE, rec_const(&g->e->b, DT_INT, 0), number), var);
}

/* block * size + row, apart. */
static void split_slot(Graph *g, RecId slot, Dim size, IndexVar *var, Val *block, Val *row)
{
    RecBuild *b = &g->e->b;
    RecId from = or_zero(b, slot), by = rec_dim(b, size);
    *block = along(rec_map2(b, FUN_IDIV, from, by), var);
    *row = along(rec_map2(b, FUN_IMOD, from, by), var);
}

/* An array over blocks and their places, at block, row: numbers, 0 for none. */
static Val number_at(Graph *g, RecId all, Val block, Val row, IndexVar *var)
{
    RecUse use[3] = {{.v = all}, rec_use(block.v, 1), rec_use(row.v, 1)};
    return along(or_zero(&g->e->b, rec_gather(&g->e->b, use, 3, 1, &var->size)), var);
}

/* Of the edges that lead in: those from nodes of the call come first, those from earlier nodes behind. */
static void bind_tails(Graph *g, GraphPlace *edges, RecId tail)
{
    RecBuild *b = &g->e->b;
    IndexVar *newer = g->plan->grows ? index_new(g->e, g->cell->index[0], g->plan->slots) : edges->var;
    split_slot(g, g->plan->grows ? rec_slice(b, tail, 0, DIM_ZERO, g->plan->slots) : tail, g->plan->width, newer, &edges->block, &edges->row);
    edges->node = number_at(g, g->plan->node, edges->block, edges->row, newer);
    if (g->plan->grows)
        edges->earlier = along(or_zero(b, rec_slice(b, tail, 0, g->plan->slots, g->plan->olds)), index_new(g->e, g->cell->index[0], g->plan->olds));
}

static void bind_nodes(Graph *g, RecId node, RecId head, RecId tail)
{
    GraphPlace *nodes = new_place(g, g->plan->width), *edges = new_place(g, g->plan->into);
    nodes->there = is_there(g, node, nodes->var);
    edges->up = nodes;
    edges->at = along(head, edges->var);
    edges->there = is_there(g, tail, edges->var);
    bind_tails(g, edges, tail);
    g->inst->nodes = nodes;
    g->inst->edges = edges;
}

static Val mask_at(Graph *g, Val node, IndexVar *var)
{
    return along(rows(&g->e->b, g->mask, node.v), var);
}

/* A node that is masked out is as one that is not in the graph, with its edges. */
static void mask_nodes(Graph *g, RecId node)
{
    GraphPlace *nodes = g->inst->nodes, *edges = g->inst->edges;
    Val here[2] = {nodes->there, mask_at(g, along(or_zero(&g->e->b, node), nodes->var), nodes->var)};
    Val from[2] = {edges->there, mask_at(g, edges->node, edges->var)};
    nodes->there = map_vals(g->e, FUN_AND, here, 2, g->cell->at);
    edges->there = map_vals(g->e, FUN_AND, from, 2, g->cell->at);
}

/* seq: edge, came, out, from. */
static void bind_edges(Graph *g, const RecId *seq)
{
    RecId part[4];
    memcpy(part, seq, sizeof part);
    GraphPlace *edges = g->inst->edges, *outs = new_place(g, g->plan->outs);
    edges->in = along(or_zero(&g->e->b, part[0]), edges->var);
    if (!g->plan->grows)
        split_slot(g, part[1], g->plan->outs, edges->var, &edges->in_block, &edges->in_row);
    outs->up = g->inst->nodes;
    outs->there = is_there(g, part[2], outs->var);
    outs->out = along(or_zero(&g->e->b, part[2]), outs->var);
    outs->at = along(part[3], outs->var);
    g->inst->outs = outs;
}

/* What runs inside of the cell runs at the same nodes. */
static void share_places(Graph *g, Inst *inst)
{
    inst->scope->place = inst->nodes = g->inst->nodes;
    inst->edges = g->inst->edges;
    inst->outs = inst->cell->has_edges ? g->inst->outs : NULL;
    inst->pairs = inst->cell->has_edges ? g->inst->pairs : NULL;
    inst->graph = g;
    for (uint32_t i = 0; i < inst->child.n; i++)
        share_places(g, inst->child.p[i]);
}

Val graph_before(Graph *g, Str name, Type type, Span at)
{
    RecBuild here = g->e->b;
    g->e->b.region = rec_op(g->e->prog, g->recur)->home;
    memmove(type.dim + 1, type.dim, type.rank++ * sizeof *type.dim);
    type.dim[0] = g->plan->known;
    Val all = arg_val(g->e, (RecArg){.name = str_fmt(g->e->arena, "%.*s0", STRF(name)), .role = ROLE_INPUT, .type = type, .batched = true,
                                     .doc = STR("at the nodes that were there before; NULL if there were none"), .at = at});
    g->e->b = here;
    rec_recur_move_last(g->e->prog, g->recur);
    return all;
}

/* Around the blocks, where the run stands. */
static void pair_arrays(Graph *g)
{
    GraphPlan *p = g->plan;
    RecBuild here = g->e->b;
    if (p->pair != REC_NONE)
        return;
    g->e->b.region = rec_op(g->e->prog, g->recur)->home;
    p->pairs = new_extent(g->e, STR("pairs"));
    p->pair = plan_array(p, "plan.pair", 2, p->blocks, p->pairs, "the number of a pair of an edge that leads into a node and one that leaves it, -1 for none");
    p->pair_in = plan_array(p, "plan.pair_in", 2, p->blocks, p->pairs, "where the state of the first was put out: block * outs + place");
    p->pair_out = plan_array(p, "plan.pair_out", 2, p->blocks, p->pairs, "the second's place among those of plan.out");
    g->e->b = here;
}

/* Pairs are many: a plan has them where they are read. */
void graph_bind_pairs(Graph *g)
{
    pair_arrays(g);
    RecId pair = rec_recur_add_seq(g->e->prog, g->recur, g->plan->pair);
    RecId in = rec_recur_add_seq(g->e->prog, g->recur, g->plan->pair_in);
    RecId out = rec_recur_add_seq(g->e->prog, g->recur, g->plan->pair_out);
    rec_recur_move_last(g->e->prog, g->recur);
    GraphPlace *pairs = new_place(g, g->plan->pairs);
    pairs->up = g->inst->outs;
    pairs->there = is_there(g, pair, pairs->var);
    pairs->pair = along(or_zero(&g->e->b, pair), pairs->var);
    split_slot(g, in, g->plan->outs, pairs->var, &pairs->in_block, &pairs->in_row);
    pairs->at = along(out, pairs->var);
    pairs->in = number_at(g, g->plan->out, pairs->in_block, pairs->in_row, pairs->var);
    g->inst->pairs = pairs;
    share_places(g, g->inst);
}

/* Inputs are what they are at the nodes of the block; `delay->now` is what graph_read looks other nodes up in. */
static void bind_graph_inputs(Graph *g, const RecId *seq)
{
    for (uint32_t i = 0; i < g->cell->ninput; i++) {
        const Decl *d = &g->cell->input[i];
        Sym *sym = scope_find(g->inst->scope, d->name.text);
        if (d->is_const || is_at_nodes(d))
            bind_input(g->e, g->inst, i, g->input[i], seq + g->first_part[i], REC_NONE);
        if (d->is_const)
            continue;
        if (is_at_nodes(d)) {
            sym->val.nfree = 1;
            sym->val.free[0] = g->inst->nodes->var;
        }
        sym->delay->now = g->input[i];
    }
}

static void number_histories(Graph *g)
{
    for (uint32_t i = 0; i < g->state.n; i++) {
        g->state.p[i]->history = g->nresult;
        g->nresult += nparts(g->state.p[i]->type.dt);
    }
}

/* Start values see parameters and const inputs, and what inputs are at the node that nothing leads to; those of a cell that runs
 * inside of this one no inputs. */
static void start_values(Graph *g, Inst *inst)
{
    Elab *e = g->e;
    Scope *s = scope_new(e, inst->outer);
    s->inst = inst;
    s->place = inst->nodes;
    s->region = e->b.region;
    for (uint32_t i = 0; !inst->parent && i < g->cell->ninput; i++)
        if (is_at_nodes(&g->cell->input[i]))
            scope_add(e, s, g->cell->input[i].name, SYM_VALUE)->val = scope_find(inst->scope, g->cell->input[i].name.text)->val;
    for (uint32_t i = 0; i < inst->state.n; i++) {
        StateDef *st = inst->state.p[i];
        st->first = st->decl->init ? start_value(e, s, st, inst->nodes->var) : poison;
    }
    for (uint32_t i = 0; i < inst->child.n; i++)
        start_values(g, inst->child.p[i]);
}

/* A state has the axis of the nodes or edges of a block beside its own. */
static bool states_fit(const Graph *g)
{
    bool fit = true;
    for (uint32_t i = 0; i < g->state.n; i++) {
        const StateDef *st = g->state.p[i];
        if (st->type.rank < MAXRANK - 2)
            continue;
        diag(g->e->diags, E_NOT_A_SIZE, st->decl->name.at, str_c(g->e->arena, str_fmt(g->e->arena, "a state of a graph has at most %d axes", MAXRANK - 3)));
        fit = false;
    }
    return fit;
}

/* At all nodes, or edges, that there are, else 0. */
static Val at_all(Graph *g, Val v, GraphPlace *at)
{
    Elab *e = g->e;
    Type t = val_type(e, v);
    v = broadcast_val(e, v, &t, &at->var, 1);
    return is_poison(v) ? v : graph_only_there(e, at, v, g->cell->at);
}

static void put_part(Graph *g, Val v, uint32_t k, RecId *result, uint32_t *n)
{
    result[(*n)++] = val_part(g->e, v, k).v;
}

/* An output as the step has it: a value at the nodes of the block, or a state at the edges that leave them. */
static Val output_at(Graph *g, Ident name)
{
    Elab *e = g->e;
    Val v = output_value(e, g->inst, name);
    bool edges = graph_is_elsewhere(g->inst, v, g->inst->nodes);
    if (edges && val_dtype(e, v) == DT_BOOL) {
        diag(e->diags, E_UNSUPPORTED, name.at, "a state of bools on edges cannot be an output yet");
        return poison;
    }
    return at_all(g, is_poison(v) ? real_const(e, 0) : v, edges ? g->inst->outs : g->inst->nodes);
}

static Val *put_results(Graph *g, RecId recur)
{
    Elab *e = g->e;
    uint32_t n = 0;
    RecId *result = NEWN(e->arena, RecId, g->nresult + 2 * g->cell->noutput + 1);
    Val *output = NEWN(e->arena, Val, g->cell->noutput + 1);
    for (uint32_t i = 0; i < g->state.n; i++) {
        StateDef *st = g->state.p[i];
        Type t = st->type;
        t.dt = part_dtype(t.dt);
        e->b.at = st->equation ? st->equation->at : st->decl->name.at;
        e->b.name = st->name;
        Val v = is_poison(st->now) ? to_dtype(e, val_of(rec_zeros(&e->b, &t)), st->type.dt) : st->now;
        v = at_all(g, v, graph_place_of(g->inst, st));
        for (uint32_t k = 0; k < nparts(st->type.dt); k++)
            put_part(g, v, k, result, &n);
    }
    e->b.name = (Str){0};
    for (uint32_t i = 0; i < g->cell->noutput; i++) {
        output[i] = output_at(g, g->cell->output[i]);
        for (uint32_t k = 0; !is_poison(output[i]) && k < nparts(val_dtype(e, output[i])); k++)
            put_part(g, output[i], k, result, &n);
    }
    rec_recur_close(e->prog, recur, result, n);
    return output;
}

/* From [blocks, width, ...] to [nodes, ...]. */
static RecId by_node(Graph *g, RecId v)
{
    RecBuild *b = &g->e->b;
    Type t = *rec_type(g->e->prog, v);
    RecId slot = or_zero(b, g->plan->slot), width = rec_dim(b, g->plan->width), zero = rec_const(b, DT_INT, 0);
    RecUse use[3] = {{.v = v}, rec_use(rec_map2(b, FUN_IDIV, slot, width), 1), rec_use(rec_map2(b, FUN_IMOD, slot, width), 1)};
    Dim dim[MAXRANK] = {g->plan->nodes};
    for (uint8_t k = 2; k < t.rank; k++) {
        use[0].axis[k] = (uint8_t)(k - 1);
        dim[k - 1] = t.dim[k];
    }
    RecId all = rec_gather(b, use, 3, (uint8_t)(t.rank - 1), dim);
    RecUse pick[3] = {rec_use(rec_map2(b, FUN_LE, zero, g->plan->slot), 1), rec_use(all, (uint8_t)(t.rank - 1)), {.v = rec_const(b, t.dt, 0)}};
    return rec_map(b, FUN_WHERE, pick, (uint8_t)(t.rank - 1), dim);
}

/* From [blocks, outs, ...], where what is no edge is 0, to [edges, ...]. */
static RecId by_edge(Graph *g, RecId v)
{
    Type t = *rec_type(g->e->prog, v), all = {.dt = t.dt, .rank = (uint8_t)(t.rank - 1), .dim = {g->plan->edges}};
    RecUse use[2] = {rec_use(v, t.rank), rec_use(or_zero(&g->e->b, g->plan->out), 2)};
    uint8_t out_axis[MAXRANK] = {0};
    for (uint8_t k = 2; k < t.rank; k++) {
        all.dim[k - 1] = t.dim[k];
        out_axis[k - 1] = k;
    }
    return rec_scatter(&g->e->b, use, 2, t.rank, t.dim, all, out_axis);
}

/* As all nodes, or edges, have them. */
static Val *over_all(Graph *g, const Val *output)
{
    Elab *e = g->e;
    uint32_t next = g->nresult;
    Val *all = NEWN(e->arena, Val, g->cell->noutput + 1);
    for (uint32_t i = 0; i < g->cell->noutput; i++) {
        RecId part[2];
        all[i] = poison;
        if (is_poison(output[i]))
            continue;
        DType dt = val_dtype(e, output[i]);
        bool edges = g->inst->outs && graph_axis_of(output[i], g->inst->outs->var) >= 0;
        for (uint32_t k = 0; k < nparts(dt); k++) {
            RecId v = rec_proj(&e->b, g->recur, next++);
            part[k] = edges ? by_edge(g, v) : by_node(g, v);
        }
        all[i] = val_of_parts(dt, part);
    }
    return all;
}

static bool is_put_out(const Cell *cell, Str name)
{
    for (uint32_t i = 0; i < cell->noutput; i++)
        if (str_eq(cell->output[i].text, name))
            return true;
    return false;
}

/* States that a later call may need, and that are no outputs. */
static void put_states(Graph *g)
{
    Elab *e = g->e;
    for (uint32_t i = 0; i < g->state.n; i++) {
        const StateDef *st = g->state.p[i];
        RecId part[2];
        if (is_poison(st->before) || is_put_out(g->cell, st->name))
            continue;
        for (uint32_t k = 0; k < nparts(st->type.dt); k++)
            part[k] = by_node(g, rec_proj(&e->b, g->recur, st->history + k));
        out_val(e, (RecOut){.name = str_fmt(e->arena, "%.*sT", STRF(st->name)), .role = OUT_VALUE, .batched = true, .at = st->decl->name.at},
                val_of_parts(st->type.dt, part));
    }
}

Val *graph_run(Graph *g)
{
    Elab *e = g->e;
    RecRegion step;
    for (uint32_t i = 0; i < g->cell->ninput; i++) /* start values may use const inputs */
        if (g->cell->input[i].is_const)
            scope_find(g->inst->scope, g->cell->input[i].name.text)->val = g->input[i];
    vec_push(e->arena, &g->seq, g->plan->node);
    vec_push(e->arena, &g->seq, g->plan->head);
    vec_push(e->arena, &g->seq, g->plan->tail);
    const RecId edge[] = {g->plan->edge, g->plan->came, g->plan->out, g->plan->from};
    for (size_t i = 0; g->cell->has_edges && i < sizeof edge / sizeof *edge; i++)
        vec_push(e->arena, &g->seq, edge[i]);
    if (!states_fit(g))
        return NULL;
    input_sequences(g);
    number_histories(g);
    RecId recur = g->recur = rec_recur_open(&e->b, NULL, 0, g->seq.p, g->seq.n, g->plan->blocks, false, &step);
    RecBuild before = e->b;
    e->b.region = step;
    set_region(g->inst, step);
    const RecId *seq = e->prog->region.p[step].arg.p;
    bind_nodes(g, seq[0], seq[1], seq[2]);
    if (g->masked)
        mask_nodes(g, seq[0]);
    if (g->cell->has_edges)
        bind_edges(g, e->prog->region.p[step].arg.p + 3);
    share_places(g, g->inst);
    bind_graph_inputs(g, e->prog->region.p[step].arg.p);
    start_values(g, g->inst);
    compute_all(e, g->inst);
    const Val *output = put_results(g, recur);
    e->b = before;
    return over_all(g, output);
}

/* ---- a cell as the entry ---- */

bool graph_has_edge_arrays(const Cell *cell)
{
    bool any = false;
    for (uint32_t i = 0; i < cell->ninput; i++)
        any |= cell->input[i].nplace == 1;
    for (uint32_t i = 0; i < cell->nbody; i++) {
        const Stmt *st = cell->body[i];
        for (uint32_t k = 0; st->kind == ST_STATE && k < st->decls.n; k++)
            any |= st->decls.decl[k].nplace && is_put_out(cell, st->decls.decl[k].name.text);
    }
    return any;
}

/* Where states live on edges a graph does not grow yet. */
static void may_grow(Graph *g)
{
    GraphPlan *p = g->plan;
    p->grows = true;
    for (uint32_t i = 0; i < g->state.n; i++)
        p->grows &= !g->state.p[i]->decl->nplace;
    if (!p->grows)
        return;
    p->olds = new_extent(g->e, STR("olds"));
    p->known = new_extent(g->e, STR("known"));
    p->into = dim_add(g->e->dims, p->slots, p->olds);
}

static void sizes_of_edges(Graph *g)
{
    GraphPlan *p = g->plan;
    bool pairs = false;
    for (uint32_t i = 0; i < g->cell->ninput; i++)
        pairs |= g->cell->input[i].nplace == 2;
    p->outs = new_extent(g->e, STR("outs"));
    if (graph_has_edge_arrays(g->cell))
        p->edges = new_extent(g->e, STR("edges"));
    if (pairs)
        p->links = new_extent(g->e, STR("links"));
}

static bool inputs_of_entry(Graph *g)
{
    const Cell *cell = g->cell;
    g->input = NEWN(g->e->arena, Val, cell->ninput + 1);
    for (uint32_t i = 0; i < cell->ninput; i++) {
        g->input[i] = input_arg(g->e, g->inst, &cell->input[i], (Dim[]){g->plan->nodes, g->plan->edges, g->plan->links});
        if (is_poison(g->input[i]))
            return false;
    }
    return true;
}

void elab_graph_entry(Elab *e, const Cell *cell)
{
    Graph g = {.e = e, .cell = cell, .plan = graph_plan_new(e, cell->at)};
    uint32_t before = e->diags->nreported;
    if (cell->has_edges)
        sizes_of_edges(&g);
    check_size_names(e, cell);
    if (e->diags->nreported == before)
        g.inst = inst_new(e, cell, STR(""), NULL, 0, cell->at, true);
    if (!g.inst || e->diags->nreported != before)
        return;
    inst_params(e, g.inst);
    all_states(e, g.inst, &g.state);
    may_grow(&g);
    graph_plan_arrays(g.plan, cell->has_edges);
    const Val *output = inputs_of_entry(&g) ? graph_run(&g) : NULL;
    for (uint32_t i = 0; output && i < cell->noutput; i++)
        if (!is_poison(output[i]))
            out_val(e, (RecOut){.name = cell->output[i].text, .role = OUT_VALUE, .batched = true, .at = cell->output[i].at}, output[i]);
    if (output)
        put_states(&g);
}
