/* Cells over directed acyclic graphs. Nodes run in blocks: a block has `width` nodes that do not read each other, and `slots`
 * edges that lead into them, both filled up to these sizes; the blocks are the places of one RECUR. Which nodes, and which
 * edges, say the arrays of the plan (graph_plan.h), which is made from the edges when the graph is known.
 *
 * A value at the nodes of a block has an index axis over them, one at edges an index axis over these. What is named inside
 * of `sum(u in pred(v): ...)` is taken from the node to its edges; the sum adds up what the edges of each node give. A state
 * at u is what an earlier block put out: a HISTORY. */
#include "frontend/elab_internal.h"

static GraphPlace *place_of(Scope *s)
{
    while (s && !s->place)
        s = s->up;
    return s ? s->place : NULL;
}

static int axis_of(Val v, const IndexVar *var)
{
    for (uint8_t i = 0; i < v.nfree; i++)
        if (v.free[i] == var)
            return i;
    return -1;
}

/* A value at the nodes, at the edges: each has that of the node it leads to. */
static Val at_edges(Elab *e, Val v, const GraphPlace *edges)
{
    uint8_t axis = (uint8_t)axis_of(v, edges->up->var), rank = rec_type(e->prog, v.v)->rank, order[MAXRANK] = {axis}, n = 1;
    IndexVar *rest[MAXRANK];
    for (uint8_t i = 0; i < rank; i++)
        if (i != axis) {
            rest[n - 1] = i < v.nfree ? v.free[i] : NULL;
            order[n++] = i;
        }
    RecId part[2] = {v.v, v.im};
    for (uint32_t k = 0; k < (v.is_complex ? 2u : 1u); k++) {
        RecId table = axis ? rec_transpose(&e->b, part[k], order) : part[k];
        Val taken = gather_vals(e, table, &edges->at, 1, rest, (uint8_t)(rank - 1));
        if (is_poison(taken))
            return poison;
        part[k] = taken.v;
        if (k == 0) {
            bool complex = v.is_complex;
            RecId im = v.im;
            v = taken;
            v.is_complex = complex;
            part[1] = im;
        }
    }
    v.v = part[0];
    v.im = part[1];
    return v;
}

Val graph_value(Elab *e, Scope *s, Val v)
{
    const GraphPlace *here = place_of(s);
    if (!here || !here->up || is_poison(v) || axis_of(v, here->up->var) < 0)
        return v;
    return at_edges(e, v, here);
}

/* ---- another node ---- */

/* where(there, v, 0) */
static Val only_there(Elab *e, const GraphPlace *at, Val v, Span span)
{
    Val zero = to_dtype(e, val_of(rec_const(&e->b, part_dtype(val_dtype(e, v)), 0)), val_dtype(e, v)), three[3] = {at->there, v, zero};
    return map_vals(e, FUN_WHERE, three, 3, span);
}

static Val state_there(Elab *e, Inst *inst, StateDef *st, const GraphPlace *edge)
{
    uint32_t which = 0;
    while (inst->state.p[which] != st)
        which++;
    RecId part[2];
    Val index[2] = {edge->block, edge->row}, v = poison;
    for (uint32_t k = 0; k < nparts(st->type.dt); k++) {
        Type t = {.dt = part_dtype(st->type.dt), .rank = (uint8_t)(st->type.rank + 2)};
        t.dim[0] = rec_op(e->prog, e->prog->region.p[e->b.region].owner)->length;
        t.dim[1] = edge->up->var->size;
        memcpy(t.dim + 2, st->type.dim, st->type.rank * sizeof *t.dim);
        IndexVar *rest[MAXRANK] = {NULL};
        v = gather_vals(e, rec_history(&e->b, inst->history[which] + k, t), index, 2, rest, st->type.rank);
        part[k] = v.v;
    }
    if (is_poison(v) || st->type.dt != DT_COMPLEX)
        return v;
    v.is_complex = true;
    v.v = part[PART_RE];
    v.im = part[PART_IM];
    return v;
}

bool graph_read(Elab *e, Scope *s, const Expr *x, Val *out)
{
    const Expr *base = x->index.base;
    Sym *sym = s->inst && base->kind == EX_NAME ? scope_find(s, base->name) : NULL;
    bool one = sym && x->index.nsub == 1 && !x->index.sub[0].slice && x->index.sub[0].lo->kind == EX_NAME;
    Sym *node = one ? scope_find(s, x->index.sub[0].lo->name) : NULL;
    if (!node || node->kind != SYM_NODE)
        return false;
    *out = poison;
    if (sym->kind == SYM_STATE)
        *out = state_there(e, s->inst, sym->state, node->place);
    else if (sym->kind == SYM_VALUE && sym->delay) {
        IndexVar *rest[MAXRANK] = {NULL};
        Val all = sym->delay->now;
        *out = all.is_complex ? poison : gather_vals(e, all.v, &node->place->node, 1, rest, sym->delay->type.rank);
        if (all.is_complex)
            diag(e->diags, E_UNSUPPORTED, x->at, "a complex input cannot be read at another node yet");
    } else
        diag_help(diag(e->diags, E_UNSUPPORTED, x->at, "only states and inputs can be read at another node"), STR("make it a state"));
    if (!is_poison(*out))
        *out = only_there(e, node->place, *out, x->at);
    return true;
}

/* ---- sums over the edges ---- */

bool is_graph_sum(const Expr *x)
{
    const Expr *range = x->reduce.nbind == 1 ? x->reduce.bind[0].range : NULL;
    return range && range->kind == EX_CALL && str_is(range->call.callee.text, "pred");
}

static RecId added_up(Elab *e, RecId v, const GraphPlace *edges, uint8_t axis)
{
    Type t = *rec_type(e->prog, v), sum = {.dt = t.dt, .rank = t.rank, .dim = {edges->up->var->size}};
    uint8_t out_axis[MAXRANK] = {0}, n = 1;
    RecUse use[2] = {rec_use(v, t.rank), {.v = edges->at.v, .axis = {axis}}};
    for (uint8_t i = 0; i < t.rank; i++)
        if (i != axis) {
            sum.dim[n] = t.dim[i];
            out_axis[n++] = i;
        }
    return rec_scatter(&e->b, use, 2, t.rank, t.dim, sum, out_axis);
}

static Val sum_of_edges(Elab *e, Val v, const GraphPlace *edges)
{
    uint8_t axis = (uint8_t)axis_of(v, edges->var), n = 1;
    Val sum = {.is_complex = v.is_complex, .nfree = v.nfree, .free = {edges->up->var}};
    for (uint8_t i = 0; i < v.nfree; i++)
        if (i != axis)
            sum.free[n++] = v.free[i];
    sum.v = added_up(e, v.v, edges, axis);
    if (v.is_complex)
        sum.im = added_up(e, v.im, edges, axis);
    return sum;
}

static bool is_pred_of(Scope *s, const Expr *range)
{
    return range->call.narg == 1 && range->call.arg[0].value->kind == EX_NAME && s->inst &&
           str_eq(range->call.arg[0].value->name, s->inst->cell->index[0].text);
}

bool graph_inside(Elab *e, Scope *inner, const Expr *x)
{
    if (!inner->inst || !inner->inst->edges)
        return false;
    inner->place = inner->inst->edges;
    vec_push(e->arena, &inner->sym, (Sym){.name = x->reduce.bind[0].name, .kind = SYM_NODE, .place = inner->place});
    return true;
}

Val graph_sum(Elab *e, Scope *s, const Expr *x)
{
    const Expr *range = x->reduce.bind[0].range;
    const GraphPlace *nodes = place_of(s);
    if (!nodes || nodes->up || !is_pred_of(s, range)) {
        diag(e->diags, E_BAD_PLACE, range->at, "`pred(v)` are the nodes that lead to the node of a cell over a graph, and stand in no other sum over such nodes");
        return poison;
    }
    if (!str_is(x->reduce.callee.text, "sum")) {
        diag(e->diags, E_UNSUPPORTED, x->reduce.callee.at, "over the nodes that lead to a node there are only sums yet");
        return poison;
    }
    Scope *inner = scope_new(e, s);
    graph_inside(e, inner, x);
    Val v = elab_expr(e, inner, x->reduce.body);
    if (is_poison(v))
        return v;
    if (axis_of(v, nodes->var) >= 0) {
        diag(e->diags, E_UNSUPPORTED, x->at, "a function that reads names of the cell cannot be used in a sum over other nodes");
        return poison;
    }
    v = only_there(e, inner->place, v, x->at); /* has the edges' axis now */
    return is_poison(v) ? v : sum_of_edges(e, v, inner->place);
}

/* ---- the cell ---- */

typedef struct Graph {
    Elab *e;
    Inst *inst;
    const Cell *cell;
    Dim nodes, blocks, width, slots;
    Val *input;                   /* by input: at all nodes */
    RecId node, slot, head, tail; /* the plan */
    VEC(RecId) seq;
    uint32_t *first_part;         /* by input: its number among the sequences */
    uint32_t nresult;
} Graph;

static Dim size_sym(Elab *e, const Cell *cell, const char *name)
{
    for (uint32_t i = 0; i < cell->ndim; i++)
        if (str_is(cell->dim[i].name.text, name))
            diag(e->diags, E_RESERVED, cell->dim[i].name.at, "nodes, blocks, width and slots are taken in a cell over a graph: they are the sizes of its plan");
    DimSym sym = dim_sym_new(e->dims, str_of(name), DIM_TIME);
    if (!e->prog->has_time)
        e->prog->time = sym;
    e->prog->has_time = true;
    vec_push(e->arena, &e->prog->open, sym);
    return dim_of(e->dims, sym);
}

static RecId plan_array(Graph *g, const char *name, uint8_t rank, Dim a, Dim b, const char *doc)
{
    return rec_arg(&g->e->b, (RecArg){.name = str_of(name), .role = ROLE_PLAN, .type = {.dt = DT_INT, .rank = rank, .dim = {a, b}}, .batched = true,
                                      .frozen = true, .doc = str_of(doc), .at = g->cell->at});
}

static void plan_arrays(Graph *g)
{
    g->node = plan_array(g, "plan.node", 2, g->blocks, g->width, "the node of each place of a block, -1 for none");
    g->slot = plan_array(g, "plan.slot", 1, g->nodes, DIM_ZERO, "where each node runs: block * width + place; -1 for nowhere");
    g->head = plan_array(g, "plan.head", 2, g->blocks, g->slots, "the place in the block of the node that an edge leads to");
    g->tail = plan_array(g, "plan.tail", 2, g->blocks, g->slots, "the slot of the node that it comes from, -1 for no edge");
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

static void input_sequences(Graph *g)
{
    Elab *e = g->e;
    g->first_part = NEWN(e->arena, uint32_t, g->cell->ninput + 1);
    for (uint32_t i = 0; i < g->cell->ninput; i++) {
        g->first_part[i] = g->seq.n;
        for (uint32_t k = 0; !g->cell->input[i].is_const && k < nparts(val_dtype(e, g->input[i])); k++)
            vec_push(e->arena, &g->seq, rows(&e->b, val_part(e, g->input[i], k).v, or_zero(&e->b, g->node)));
    }
}

static Val along(RecId v, IndexVar *var)
{
    return (Val){.v = v, .nfree = 1, .free = {var}};
}

static GraphPlace *new_place(Graph *g, Dim size)
{
    GraphPlace *at = NEW(g->e->arena, GraphPlace);
    at->var = index_new(g->e, g->cell->index[0], size);
    return at;
}

/* Where the step's values are: from its parts of node, head and tail. */
static void bind_places(Graph *g, RecId node, RecId head, RecId tail)
{
    RecBuild *b = &g->e->b;
    GraphPlace *nodes = new_place(g, g->width), *edges = new_place(g, g->slots);
    RecId width = rec_dim(b, g->width), from = or_zero(b, tail);
    RecId block = rec_map2(b, FUN_IDIV, from, width), row = rec_map2(b, FUN_IMOD, from, width);
    nodes->there = along(rec_map2(b, FUN_LE, rec_const(b, DT_INT, 0), node), nodes->var);
    edges->up = nodes;
    edges->at = along(head, edges->var);
    edges->there = along(rec_map2(b, FUN_LE, rec_const(b, DT_INT, 0), tail), edges->var);
    edges->block = along(block, edges->var);
    edges->row = along(row, edges->var);
    RecUse use[3] = {{.v = g->node}, rec_use(block, 1), rec_use(row, 1)};
    edges->node = along(or_zero(b, rec_gather(b, use, 3, 1, &g->slots)), edges->var);
    g->inst->nodes = g->inst->scope->place = nodes;
    g->inst->edges = edges;
}

/* Inputs are what they are at the nodes of the block; `delay->now` is what graph_read looks other nodes up in. */
static void bind_graph_inputs(Graph *g, const RecId *seq)
{
    for (uint32_t i = 0; i < g->cell->ninput; i++) {
        const Decl *d = &g->cell->input[i];
        Sym *sym = scope_find(g->inst->scope, d->name.text);
        bind_input(g->e, g->inst, i, g->input[i], seq + g->first_part[i], REC_NONE);
        if (d->is_const)
            continue;
        sym->val.nfree = 1;
        sym->val.free[0] = g->inst->nodes->var;
        sym->delay->now = g->input[i];
    }
}

static void number_histories(Graph *g)
{
    g->inst->history = NEWN(g->e->arena, uint32_t, g->inst->state.n + 1);
    for (uint32_t i = 0; i < g->inst->state.n; i++) {
        StateDef *st = g->inst->state.p[i];
        g->inst->history[i] = g->nresult;
        g->nresult += nparts(st->type.dt);
        if (st->decl->init)
            diag(g->e->diags, E_UNSUPPORTED, st->decl->init->at, "a state on a graph has no start value: a sum over no nodes is 0");
    }
}

/* At the nodes that there are, else 0. */
static Val at_nodes(Graph *g, Val v)
{
    Elab *e = g->e;
    Type t = val_type(e, v);
    v = broadcast_val(e, v, &t, &g->inst->nodes->var, 1);
    return is_poison(v) ? v : only_there(e, g->inst->nodes, v, g->cell->at);
}

static void put_part(Graph *g, Val v, uint32_t k, RecId *result, uint32_t *n)
{
    result[(*n)++] = val_part(g->e, v, k).v;
}

static DType *put_results(Graph *g, RecId recur)
{
    Elab *e = g->e;
    uint32_t n = 0;
    RecId *result = NEWN(e->arena, RecId, g->nresult + 2 * g->cell->noutput + 1);
    DType *dt = NEWN(e->arena, DType, g->cell->noutput + 1);
    for (uint32_t i = 0; i < g->inst->state.n; i++) {
        StateDef *st = g->inst->state.p[i];
        Type t = st->type;
        t.dt = part_dtype(t.dt);
        e->b.at = st->equation ? st->equation->at : st->decl->name.at;
        e->b.name = st->name;
        Val v = is_poison(st->now) ? to_dtype(e, val_of(rec_zeros(&e->b, &t)), st->type.dt) : st->now;
        v = at_nodes(g, v);
        for (uint32_t k = 0; k < nparts(st->type.dt); k++)
            put_part(g, v, k, result, &n);
    }
    e->b.name = (Str){0};
    for (uint32_t i = 0; i < g->cell->noutput; i++) {
        Val v = output_value(e, g->inst, g->cell->output[i]);
        v = at_nodes(g, is_poison(v) ? real_const(e, 0) : v);
        dt[i] = val_dtype(e, v);
        for (uint32_t k = 0; k < nparts(dt[i]); k++)
            put_part(g, v, k, result, &n);
    }
    rec_recur_close(e->prog, recur, result, n);
    return dt;
}

/* From [blocks, width, ...] to [nodes, ...]. */
static RecId by_node(Graph *g, RecId v)
{
    RecBuild *b = &g->e->b;
    Type t = *rec_type(g->e->prog, v);
    RecId slot = or_zero(b, g->slot), width = rec_dim(b, g->width), zero = rec_const(b, DT_INT, 0);
    RecUse use[3] = {{.v = v}, rec_use(rec_map2(b, FUN_IDIV, slot, width), 1), rec_use(rec_map2(b, FUN_IMOD, slot, width), 1)};
    Dim dim[MAXRANK] = {g->nodes};
    for (uint8_t k = 2; k < t.rank; k++) {
        use[0].axis[k] = (uint8_t)(k - 1);
        dim[k - 1] = t.dim[k];
    }
    RecId all = rec_gather(b, use, 3, (uint8_t)(t.rank - 1), dim);
    RecUse pick[3] = {rec_use(rec_map2(b, FUN_LE, zero, g->slot), 1), rec_use(all, (uint8_t)(t.rank - 1)), {.v = rec_const(b, t.dt, 0)}};
    return rec_map(b, FUN_WHERE, pick, (uint8_t)(t.rank - 1), dim);
}

static void run_blocks(Graph *g)
{
    Elab *e = g->e;
    RecRegion step;
    vec_push(e->arena, &g->seq, g->node);
    vec_push(e->arena, &g->seq, g->head);
    vec_push(e->arena, &g->seq, g->tail);
    input_sequences(g);
    number_histories(g);
    RecId recur = rec_recur_open(&e->b, NULL, 0, g->seq.p, g->seq.n, g->blocks, false, &step);
    RecBuild before = e->b;
    e->b.region = g->inst->scope->region = step;
    const RecId *seq = e->prog->region.p[step].arg.p;
    bind_places(g, seq[0], seq[1], seq[2]);
    bind_graph_inputs(g, e->prog->region.p[step].arg.p);
    compute_all(e, g->inst);
    const DType *dt = put_results(g, recur);
    e->b = before;
    uint32_t next = g->nresult;
    for (uint32_t i = 0; i < g->cell->noutput; i++) {
        RecId part[2];
        for (uint32_t k = 0; k < nparts(dt[i]); k++)
            part[k] = by_node(g, rec_proj(&e->b, recur, next++));
        out_val(e, (RecOut){.name = g->cell->output[i].text, .role = OUT_VALUE, .batched = true, .at = g->cell->output[i].at}, val_of_parts(dt[i], part));
    }
}

void elab_graph_entry(Elab *e, const Cell *cell)
{
    Graph g = {.e = e, .cell = cell, .input = NEWN(e->arena, Val, cell->ninput + 1)};
    uint32_t before = e->diags->nerrors;
    g.nodes = size_sym(e, cell, "nodes");
    g.blocks = size_sym(e, cell, "blocks");
    g.width = size_sym(e, cell, "width");
    g.slots = size_sym(e, cell, "slots");
    if (e->diags->nerrors != before)
        return;
    g.inst = inst_new(e, cell, STR(""), NULL, 0, cell->at, true);
    if (!g.inst || e->diags->nerrors != before)
        return;
    inst_params(e, g.inst);
    plan_arrays(&g);
    for (uint32_t i = 0; i < cell->ninput; i++) {
        g.input[i] = input_arg(e, g.inst, &cell->input[i], &g.nodes);
        if (is_poison(g.input[i]))
            return;
        if (cell->input[i].is_const)
            scope_find(g.inst->scope, cell->input[i].name.text)->val = g.input[i];
    }
    run_blocks(&g);
}
