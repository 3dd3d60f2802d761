/* Cells over directed acyclic graphs. Nodes run in blocks: a block has `width` nodes that do not read each other, and `slots`
 * edges that lead into them, both filled up to these sizes; the blocks are the places of one RECUR. Which nodes, and which
 * edges, say the arrays of the plan (graph_plan.h), which is made from the edges when the graph is known.
 *
 * A value at the nodes of a block has an index axis over them, one at edges an index axis over these. What is named inside
 * of `sum(u in pred(v): ...)` is taken from the node to its edges; the sum adds up what the edges of each node give (for other
 * reductions see elab_graph_reduce.c). A state
 * at u is what an earlier block put out: a HISTORY. States on edges are put out by the block of the node that they leave; their
 * sums run over pairs of an edge that leads into it and one that leaves it.
 *
 * Edges may also come from nodes that were there before the call; they stand behind the others of their block. What is at these nodes
 * the caller gives, `h0`, so a graph can grow, or be run part by part. Where states live on edges there is no such thing yet.
 *
 * Where nothing leads to a node, a sum that reads states with start values has one term: its body is made a second time, at the
 * nodes, with those. A chain is a line so. */
#include "frontend/elab_internal.h"

GraphPlace *graph_here(Scope *s)
{
    while (s && !s->place)
        s = s->up;
    return s ? s->place : NULL;
}

GraphPlace *graph_place_of(const Inst *inst, const StateDef *st)
{
    return st->decl->nplace ? inst->outs : inst->nodes;
}

static int axis_of(Val v, const IndexVar *var)
{
    for (uint8_t i = 0; i < v.nfree; i++)
        if (v.free[i] == var)
            return i;
    return -1;
}

/* One part of a value that lives above, at `below`. */
static Val taken(Elab *e, RecId part, Val v, uint8_t axis, const GraphPlace *below)
{
    uint8_t rank = rec_type(e->prog, part)->rank, order[MAXRANK] = {axis}, n = 1;
    IndexVar *rest[MAXRANK];
    for (uint8_t i = 0; i < rank; i++)
        if (i != axis) {
            rest[n - 1] = i < v.nfree ? v.free[i] : NULL;
            order[n++] = i;
        }
    return gather_vals(e, axis ? rec_transpose(&e->b, part, order) : part, &below->at, 1, rest, (uint8_t)(rank - 1));
}

/* A value that lives above, such as at the nodes, at each of what is below: there it is that of the node it belongs to. */
static Val value_at(Elab *e, Val v, const GraphPlace *here)
{
    if (!here || !here->up || is_poison(v) || axis_of(v, here->var) >= 0)
        return v;
    v = value_at(e, v, here->up);
    int axis = axis_of(v, here->up->var);
    if (axis < 0 || is_poison(v))
        return v;
    Val now = taken(e, v.v, v, (uint8_t)axis, here);
    if (v.is_complex && !is_poison(now)) {
        now.im = taken(e, v.im, v, (uint8_t)axis, here).v;
        now.is_complex = true;
    }
    return now;
}

/* Whether it is one of edges, where these are none or others. */
static bool is_elsewhere(const Inst *inst, Val v, const GraphPlace *here)
{
    const GraphPlace *all[] = {inst->nodes, inst->edges, inst->outs, inst->pairs};
    bool elsewhere = false;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        elsewhere |= all[i] && all[i] != here && axis_of(v, all[i]->var) >= 0;
    return elsewhere;
}

Val graph_value(Elab *e, Scope *s, Val v, Span at)
{
    const GraphPlace *here = graph_here(s);
    if (!here || is_poison(v))
        return v;
    v = value_at(e, v, here);
    if (is_poison(v) || !is_elsewhere(s->inst, v, here))
        return v;
    diag(e->diags, E_BAD_PLACE, at, "this is a state on the edges that leave the node: it has a value at one of them only");
    return poison;
}

/* ---- other nodes, and edges ---- */

/* where(there, v, 0) */
static Val only_there(Elab *e, const GraphPlace *at, Val v, Span span)
{
    if (is_poison(v))
        return v;
    Val zero = to_dtype(e, val_of(rec_const(&e->b, part_dtype(val_dtype(e, v)), 0)), val_dtype(e, v)), three[3] = {at->there, v, zero};
    return map_vals(e, FUN_WHERE, three, 3, span);
}

/* The rows of a table that `index` says. */
static Val rows_of(Elab *e, Val table, Val index, uint8_t rank)
{
    IndexVar *rest[MAXRANK] = {NULL};
    Val v = gather_vals(e, table.v, &index, 1, rest, rank);
    if (!table.is_complex || is_poison(v))
        return v;
    v.im = gather_vals(e, table.im, &index, 1, rest, rank).v;
    v.is_complex = true;
    return v;
}

/* What is at nodes that were there before the call: `h0`, `x0`. It is an argument once it is read. */
static Val argument_before(struct Graph *g, Str name, Type type, Span at);

static Val before_call(Inst *inst, Val *before, Str name, Type type, Span at)
{
    if (is_poison(*before))
        *before = argument_before(inst->graph, name, type, at);
    return *before;
}

/* What edges from nodes of the call read, and behind it what those from earlier nodes do. */
static Val joined(Elab *e, const GraphPlace *edges, Val newer, Val older)
{
    Val all = {.is_complex = newer.is_complex, .nfree = 1, .free = {edges->var}};
    if (is_poison(newer) || is_poison(older))
        return poison;
    all.v = rec_concat(&e->b, (RecId[]){newer.v, older.v}, 2, 0);
    if (all.is_complex)
        all.im = rec_concat(&e->b, (RecId[]){newer.im, older.im}, 2, 0);
    return all;
}

/* What an earlier block put out for state st at block, row. */
static Val earlier(Elab *e, const StateDef *st, Val block, Val row)
{
    RecId part[2];
    Val index[2] = {block, row}, v = poison;
    for (uint32_t k = 0; k < nparts(st->type.dt); k++) {
        Type t = {.dt = part_dtype(st->type.dt), .rank = (uint8_t)(st->type.rank + 2)};
        t.dim[0] = rec_op(e->prog, e->prog->region.p[e->b.region].owner)->length;
        t.dim[1] = graph_place_of(st->scope->inst, st)->var->size;
        memcpy(t.dim + 2, st->type.dim, st->type.rank * sizeof *t.dim);
        IndexVar *rest[MAXRANK] = {NULL};
        v = gather_vals(e, rec_history(&e->b, st->history + k, t), index, 2, rest, st->type.rank);
        part[k] = v.v;
    }
    if (is_poison(v) || st->type.dt != DT_COMPLEX)
        return v;
    v.is_complex = true;
    v.v = part[PART_RE];
    v.im = part[PART_IM];
    return v;
}

/* `u`, or `tail(d)`. */
static const GraphName *named(Scope *s, const Expr *x, bool *tail)
{
    *tail = x->kind == EX_CALL && str_is(x->call.callee.text, "tail") && x->call.narg == 1;
    const Expr *name = *tail ? x->call.arg[0].value : x;
    Sym *sym = name->kind == EX_NAME ? scope_find(s, name->name) : NULL;
    return sym && sym->kind == SYM_NODE ? &sym->node : NULL;
}

Val graph_no_place(Elab *e, Span at)
{
    diag(e->diags, E_BAD_PLACE, at, "this cannot be read here: a state on edges at an edge that leads in, an input where it lives, a state or an input of nodes at another node");
    return poison;
}

static Val state_there(Elab *e, StateDef *st, const GraphName *n, bool tail, Span at)
{
    bool node = n->what == GRAPH_NODE || (tail && n->what == GRAPH_IN), edge = n->what == GRAPH_IN && !tail;
    if (!n->place || (node && !n->place->up) || (st->decl->nplace ? !edge : !node || is_poison(n->place->block)))
        return graph_no_place(e, at);
    Val v = st->decl->nplace ? earlier(e, st, n->place->in_block, n->place->in_row) : earlier(e, st, n->place->block, n->place->row);
    if (!st->decl->nplace && !is_poison(n->place->earlier)) {
        Val before = before_call(st->scope->inst, &st->before, st->name, st->type, st->decl->name.at);
        v = joined(e, n->place, v, rows_of(e, before, n->place->earlier, st->type.rank));
    }
    return only_there(e, n->place, v, at);
}

/* What a cell that runs inside another one is given is known at the nodes of the block only, unless it is an input. */
static Val input_rows(Elab *e, const DelayDef *d, Val index, Span at)
{
    if (!is_poison(d->now))
        return rows_of(e, d->now, index, d->type.rank);
    diag_help(diag(e->diags, E_UNSUPPORTED, at, "a cell that runs inside another one cannot read what is computed for it at other nodes yet"),
              STR("hand an input of the other cell on as it is, or make it a state there"));
    return poison;
}

static Val input_of_tail(Elab *e, Scope *s, DelayDef *d, const GraphPlace *edges, Span at)
{
    Val v = input_rows(e, d, edges->node, at);
    if (is_poison(v) || is_poison(edges->earlier))
        return v;
    Val before = before_call(s->inst, &d->before, d->name, d->type, d->decl->name.at);
    return joined(e, edges, v, rows_of(e, before, edges->earlier, d->type.rank));
}

static Val input_there(Elab *e, Scope *s, DelayDef *d, const GraphName *n, bool tail, Span at)
{
    GraphPlace *here = n->what == GRAPH_OUT ? graph_here(s) : n->place;
    bool node = n->what == GRAPH_NODE || (tail && n->what == GRAPH_IN);
    Val index = poison;
    d = d->source ? d->source : d;
    if (d->decl->nplace == 0 && node && !is_poison(here->node))
        return only_there(e, here, input_of_tail(e, s, d, here, at), at);
    if (d->decl->nplace == 1 && n->what == GRAPH_IN && !tail)
        index = here->in;
    if (d->decl->nplace == 1 && n->what == GRAPH_OUT && here && here->up)
        index = value_at(e, s->inst->outs->out, here);
    bool fits = !is_poison(index) && axis_of(index, here->var) >= 0;
    return fits ? only_there(e, here, input_rows(e, d, index, at), at) : graph_no_place(e, at);
}

/* `transition[d, e]` */
static Val pair_there(Elab *e, Scope *s, DelayDef *d, const GraphName *in, const GraphName *out, Span at)
{
    const GraphPlace *pairs = s->inst->pairs;
    if (d->decl->nplace != 2 || in->what != GRAPH_IN || out->what != GRAPH_OUT || in->place != pairs)
        return graph_no_place(e, at);
    return only_there(e, pairs, input_rows(e, d->source ? d->source : d, pairs->pair, at), at);
}

/* ---- what is before a node that nothing leads to ---- */

static Val state_before(Elab *e, Scope *s, StateDef *st, const GraphName *n)
{
    if (!st->decl->init)
        return broadcast_val(e, to_dtype(e, val_of(rec_const(&e->b, part_dtype(st->type.dt), 0)), st->type.dt), &st->type, NULL, 0);
    *n->outside = true;
    return value_at(e, st->first, graph_here(s));
}

/* An input is 0 there, or what follows `else`. */
static Val input_before(Elab *e, Scope *s, DelayDef *d, const Expr *x)
{
    Val zero = val_of(rec_const(&e->b, part_dtype(d->type.dt), 0));
    Val v = to_dtype(e, x->index.otherwise ? elab_expr(e, s, x->index.otherwise) : zero, d->type.dt);
    return is_poison(v) ? v : broadcast_val(e, v, &d->type, v.free, v.nfree);
}

/* What stands in front of such brackets: a state, of this cell or of one that runs inside of it, an input, or a `let`. */
typedef struct Read {
    const Sym *let;
    StateDef *state;
    DelayDef *input;
} Read;

static Read what_is_read(Scope *s, const Expr *base)
{
    const Sym *sym = base->kind == EX_NAME ? scope_find(s, base->name) : NULL;
    Read r = {.state = sym && sym->kind == SYM_STATE ? sym->state : child_state(s, base)};
    r.input = sym && sym->kind == SYM_VALUE ? sym->delay : NULL;
    r.let = sym && sym->kind == SYM_LET && sym->let.def->range ? sym : NULL;
    return r;
}

/* What follows `else` at an edge: it is not read there, but is checked. */
static Val with_otherwise(Elab *e, Scope *s, Read r, Val v, const Expr *x)
{
    if (!x->index.otherwise || is_poison(v))
        return v;
    if (r.state) {
        diag(e->diags, E_BAD_PLACE, x->at, "a state needs no `else`: before a node that nothing leads to it has its start value");
        return poison;
    }
    if (r.let) {
        diag(e->diags, E_BAD_PLACE, x->at, "a `let` needs no `else`: it is made of what it reads, which may have one");
        return poison;
    }
    Val other = to_dtype(e, elab_expr(e, s, x->index.otherwise), r.input->type.dt);
    Val three[3] = {val_of(rec_const(&e->b, DT_BOOL, 1)), v, other};
    return is_poison(other) ? poison : map_vals(e, FUN_WHERE, three, 3, x->at);
}

static Val read_there(Elab *e, Scope *s, Read r, const GraphName *n, const GraphName *second, bool tail, const Expr *x)
{
    bool one = x->index.nsub == 1;
    if (r.let && one)
        return graph_let_read(e, s, r.let, n, tail, x->at);
    if (r.state && one)
        return state_there(e, r.state, n, tail, x->at);
    if (r.input && second)
        return pair_there(e, s, r.input, n, second, x->at);
    if (r.input && one)
        return input_there(e, s, r.input, n, tail, x->at);
    diag_help(diag(e->diags, E_UNSUPPORTED, x->at, "only states, inputs and `let`s at them can be read at another node or edge"),
              STR("make it a state, or, where it is made of what is read there, `let s[u in pred(v)] = ...`"));
    return poison;
}

bool graph_read(Elab *e, Scope *s, const Expr *x, Val *out)
{
    const Expr *base = x->index.base;
    bool tail = false, ignored, one = s->inst && s->inst->nodes && x->index.nsub && !x->index.sub[0].slice;
    const GraphName *n = one ? named(s, x->index.sub[0].lo, &tail) : NULL;
    const GraphName *second = n && x->index.nsub == 2 && !x->index.sub[1].slice ? named(s, x->index.sub[1].lo, &ignored) : NULL;
    if (!n || !(base->kind == EX_FIELD ? child_state(s, base) != NULL : base->kind == EX_NAME && scope_find(s, base->name)))
        return false;
    Read r = what_is_read(s, base);
    if (n->outside && (r.state || r.input)) /* the body was made once already, at the edges: what is wrong in it has been said */
        *out = r.state ? state_before(e, s, r.state, n) : input_before(e, s, r.input, x);
    else
        *out = with_otherwise(e, s, r, read_there(e, s, r, n, second, tail, x), x);
    return true;
}

/* ---- sums over edges ---- */

bool is_graph_sum(const Expr *x)
{
    const Expr *range = x->reduce.nbind == 1 ? x->reduce.bind[0].range : NULL;
    return range && range->kind == EX_CALL && (str_is(range->call.callee.text, "pred") || str_is(range->call.callee.text, "into"));
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

Val graph_added_up(Elab *e, Val v, const GraphPlace *edges, Span at)
{
    v = only_there(e, edges, v, at); /* has the edges' axis now */
    return is_poison(v) ? v : sum_of_edges(e, v, edges);
}

Val graph_at(Elab *e, Val v, const GraphPlace *here)
{
    return value_at(e, v, here);
}

static bool is_of_node(Scope *s, const Expr *range)
{
    return range->call.narg == 1 && range->call.arg[0].value->kind == EX_NAME && s->inst &&
           str_eq(range->call.arg[0].value->name, s->inst->cell->index[0].text);
}

static void bind_pairs(struct Graph *g);

bool graph_inside(Elab *e, Scope *inner, const Expr *x)
{
    const Inst *inst = inner->inst;
    if (!inst || !inst->edges)
        return false;
    bool pred = str_is(x->reduce.bind[0].range->call.callee.text, "pred"), pairs = !pred && graph_here(inner) == inst->outs;
    if (pairs && !inst->pairs)
        bind_pairs(inst->graph);
    inner->place = pairs ? inst->pairs : inst->edges;
    GraphName name = {.what = pred ? GRAPH_NODE : GRAPH_IN, .place = inner->place};
    vec_push(e->arena, &inner->sym, (Sym){.name = x->reduce.bind[0].name, .kind = SYM_NODE, .node = name});
    return true;
}

static bool has_starts(const Inst *inst)
{
    bool any = false;
    for (uint32_t i = 0; i < inst->state.n; i++)
        any |= inst->state.p[i]->decl->init != NULL;
    for (uint32_t i = 0; i < inst->child.n; i++)
        any |= has_starts(inst->child.p[i]);
    return any;
}

/* v, or, at nodes that nothing leads to, the body with the start values of the states that it reads, if any has one. */
static Val or_first(Elab *e, Scope *around, const Expr *x, Val v, const GraphPlace *edges)
{
    bool pred = str_is(x->reduce.bind[0].range->call.callee.text, "pred"), reads = false;
    if (is_poison(v) || !has_starts(around->inst))
        return v;
    Scope *before = scope_new(e, around);
    GraphName name = {.what = pred ? GRAPH_NODE : GRAPH_IN, .outside = &reads};
    vec_push(e->arena, &before->sym, (Sym){.name = x->reduce.bind[0].name, .kind = SYM_NODE, .node = name});
    Val first = elab_expr(e, before, x->reduce.body);
    if (!reads || is_poison(first))
        return v;
    Val count = graph_at(e, graph_added_up(e, real_const(e, 1), around->inst->edges, x->at), edges->up), two[2] = {real_const(e, 0), count};
    Val three[3] = {map_vals(e, FUN_LT, two, 2, x->at), v, to_dtype(e, first, val_dtype(e, v))};
    return map_vals(e, FUN_WHERE, three, 3, x->at);
}

bool graph_range_fits(Elab *e, Scope *s, const Expr *range)
{
    const GraphPlace *here = graph_here(s);
    if (here && str_is(range->call.callee.text, "into") && !s->inst->cell->has_edges) {
        diag_help(diag(e->diags, E_BAD_PLACE, range->at, "`into(v)` are edges, but the cell's head names none"),
                  STR("write `over v in dag, edges d -> v -> e`, or sum over the nodes `pred(v)`"));
        return false;
    }
    if (here && s->loop) {
        diag_help(diag(e->diags, E_UNSUPPORTED, range->at, "what leads to a node cannot be looked at in a loop"),
                  STR("say the sum in a `let` before the loop"));
        return false;
    }
    if (here && (!here->up || here == s->inst->outs) && is_of_node(s, range))
        return true;
    diag(e->diags, E_BAD_PLACE, range->at,
         "`pred(v)` are the nodes that lead to the node of a cell over a graph, `into(v)` with `edges d -> v -> e` the edges; they stand in no other such sum");
    return false;
}

Val graph_sum(Elab *e, Scope *s, const Expr *x)
{
    const Expr *range = x->reduce.bind[0].range;
    const GraphPlace *here = graph_here(s);
    bool pred = str_is(range->call.callee.text, "pred");
    if (!graph_range_fits(e, s, range))
        return poison;
    if (!graph_reduces(x->reduce.callee.text)) {
        diag(e->diags, E_UNSUPPORTED, x->reduce.callee.at, "over the nodes or edges that lead to a node there are sum, mean, prod, max, min and logsumexp");
        return poison;
    }
    Scope *inner = scope_new(e, s);
    if (pred)
        inner->place = s->inst->nodes; /* each edge that leaves has the node's sum */
    inner = scope_new(e, inner);
    graph_inside(e, inner, x);
    const GraphPlace *edges = inner->place;
    Val v = elab_expr(e, inner, x->reduce.body);
    if (is_poison(v))
        return v;
    if (axis_of(v, edges->up->var) >= 0) {
        diag(e->diags, E_UNSUPPORTED, x->at, "a function that reads names of the cell cannot be used in a sum over other nodes");
        return poison;
    }
    v = or_first(e, inner->up, x, graph_reduced(e, x->reduce.callee.text, v, edges, x->at), edges);
    return is_poison(v) ? v : value_at(e, v, here);
}

/* ---- the cell ---- */

typedef struct Graph {
    Elab *e;
    Inst *inst;
    const Cell *cell;
    Dim nodes, blocks, width, slots;
    bool grows;                         /* no state lives on edges: edges may come from nodes that were there before */
    Dim olds, known;                    /* where it grows: of such edges in a block, and of such nodes */
    Dim into;                           /* edges that lead into a block, of both kinds */
    Dim edges, outs, links, pairs;      /* where there are states or inputs on edges */
    Val *input;                         /* by input: at all nodes, edges or pairs */
    RecId node, slot, head, tail;       /* the plan */
    RecId edge, came, out, from;
    RecId recur; /* over the blocks */
    States state; /* those of what runs inside of the cell too */
    VEC(RecId) seq;
    uint32_t *first_part;         /* by input: its number among the sequences */
    uint32_t nresult;
} Graph;

static Dim size_sym(Elab *e, const Cell *cell, const char *name)
{
    for (uint32_t i = 0; i < cell->ndim; i++)
        if (str_is(cell->dim[i].name.text, name))
            diag(e->diags, E_RESERVED, cell->dim[i].name.at, "nodes, blocks, width, slots, edges, outs, links, pairs, olds and known are taken in a cell over a graph: they are the sizes of its plan");
    return new_extent(e, str_of(name));
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
    g->head = plan_array(g, "plan.head", 2, g->blocks, g->into, "the place in the block of the node that an edge leads to");
    g->tail = plan_array(g, "plan.tail", 2, g->blocks, g->into,
                         g->grows ? "the slot of the node that it comes from, -1 for no edge; of the last olds: which earlier node it comes from"
                                  : "the slot of the node that it comes from, -1 for no edge");
    if (!g->cell->has_edges)
        return;
    g->edge = plan_array(g, "plan.edge", 2, g->blocks, g->into, "its number");
    g->came = plan_array(g, "plan.came", 2, g->blocks, g->slots, "where its state was put out: block * outs + place");
    g->out = plan_array(g, "plan.out", 2, g->blocks, g->outs, "the number of an edge that leaves a node of the block, -1 for none");
    g->from = plan_array(g, "plan.from", 2, g->blocks, g->outs, "the place in the block of that node");
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
    IndexVar *newer = g->grows ? index_new(g->e, g->cell->index[0], g->slots) : edges->var;
    split_slot(g, g->grows ? rec_slice(b, tail, 0, DIM_ZERO, g->slots) : tail, g->width, newer, &edges->block, &edges->row);
    edges->node = number_at(g, g->node, edges->block, edges->row, newer);
    if (g->grows)
        edges->earlier = along(or_zero(b, rec_slice(b, tail, 0, g->slots, g->olds)), index_new(g->e, g->cell->index[0], g->olds));
}

static void bind_nodes(Graph *g, RecId node, RecId head, RecId tail)
{
    GraphPlace *nodes = new_place(g, g->width), *edges = new_place(g, g->into);
    nodes->there = is_there(g, node, nodes->var);
    edges->up = nodes;
    edges->at = along(head, edges->var);
    edges->there = is_there(g, tail, edges->var);
    bind_tails(g, edges, tail);
    g->inst->nodes = nodes;
    g->inst->edges = edges;
}

/* seq: edge, came, out, from. */
static void bind_edges(Graph *g, const RecId *seq)
{
    RecId part[4];
    memcpy(part, seq, sizeof part);
    GraphPlace *edges = g->inst->edges, *outs = new_place(g, g->outs);
    edges->in = along(or_zero(&g->e->b, part[0]), edges->var);
    if (!g->grows)
        split_slot(g, part[1], g->outs, edges->var, &edges->in_block, &edges->in_row);
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

static RecId pair_array(Graph *g, const char *name, const char *doc)
{
    RecBuild here = g->e->b;
    g->e->b.region = rec_op(g->e->prog, g->recur)->home;
    RecId all = plan_array(g, name, 2, g->blocks, g->pairs, doc);
    g->e->b = here;
    return rec_recur_add_seq(g->e->prog, g->recur, all);
}

static Val argument_before(struct Graph *g, Str name, Type type, Span at)
{
    RecBuild here = g->e->b;
    g->e->b.region = rec_op(g->e->prog, g->recur)->home;
    memmove(type.dim + 1, type.dim, type.rank++ * sizeof *type.dim);
    type.dim[0] = g->known;
    Val all = arg_val(g->e, (RecArg){.name = str_fmt(g->e->arena, "%.*s0", STRF(name)), .role = ROLE_INPUT, .type = type, .batched = true,
                                     .doc = STR("at the nodes that were there before; NULL if there were none"), .at = at});
    g->e->b = here;
    rec_recur_move_last(g->e->prog, g->recur);
    return all;
}

/* Pairs are many: a plan has them where they are read. */
static void bind_pairs(struct Graph *g)
{
    g->pairs = size_sym(g->e, g->cell, "pairs");
    RecId pair = pair_array(g, "plan.pair", "the number of a pair of an edge that leads into a node and one that leaves it, -1 for none");
    RecId in = pair_array(g, "plan.pair_in", "where the state of the first was put out: block * outs + place");
    RecId out = pair_array(g, "plan.pair_out", "the second's place among those of plan.out");
    rec_recur_move_last(g->e->prog, g->recur);
    GraphPlace *pairs = new_place(g, g->pairs);
    pairs->up = g->inst->outs;
    pairs->there = is_there(g, pair, pairs->var);
    pairs->pair = along(or_zero(&g->e->b, pair), pairs->var);
    split_slot(g, in, g->outs, pairs->var, &pairs->in_block, &pairs->in_row);
    pairs->at = along(out, pairs->var);
    pairs->in = number_at(g, g->out, pairs->in_block, pairs->in_row, pairs->var);
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
    return is_poison(v) ? v : only_there(e, at, v, g->cell->at);
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
    bool edges = is_elsewhere(g->inst, v, g->inst->nodes);
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

/* From [blocks, outs, ...], where what is no edge is 0, to [edges, ...]. */
static RecId by_edge(Graph *g, RecId v)
{
    Type t = *rec_type(g->e->prog, v), all = {.dt = t.dt, .rank = (uint8_t)(t.rank - 1), .dim = {g->edges}};
    RecUse use[2] = {rec_use(v, t.rank), rec_use(or_zero(&g->e->b, g->out), 2)};
    uint8_t out_axis[MAXRANK] = {0};
    for (uint8_t k = 2; k < t.rank; k++) {
        all.dim[k - 1] = t.dim[k];
        out_axis[k - 1] = k;
    }
    return rec_scatter(&g->e->b, use, 2, t.rank, t.dim, all, out_axis);
}

static void put_outputs(Graph *g, const Val *output)
{
    Elab *e = g->e;
    uint32_t next = g->nresult;
    for (uint32_t i = 0; i < g->cell->noutput; i++) {
        RecId part[2];
        if (is_poison(output[i]))
            continue;
        DType dt = val_dtype(e, output[i]);
        bool edges = g->inst->outs && axis_of(output[i], g->inst->outs->var) >= 0;
        for (uint32_t k = 0; k < nparts(dt); k++) {
            RecId v = rec_proj(&e->b, g->recur, next++);
            part[k] = edges ? by_edge(g, v) : by_node(g, v);
        }
        out_val(e, (RecOut){.name = g->cell->output[i].text, .role = OUT_VALUE, .batched = true, .at = g->cell->output[i].at}, val_of_parts(dt, part));
    }
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

static void run_blocks(Graph *g)
{
    Elab *e = g->e;
    RecRegion step;
    vec_push(e->arena, &g->seq, g->node);
    vec_push(e->arena, &g->seq, g->head);
    vec_push(e->arena, &g->seq, g->tail);
    const RecId edge[] = {g->edge, g->came, g->out, g->from};
    for (size_t i = 0; g->cell->has_edges && i < sizeof edge / sizeof *edge; i++)
        vec_push(e->arena, &g->seq, edge[i]);
    if (!states_fit(g))
        return;
    input_sequences(g);
    number_histories(g);
    RecId recur = g->recur = rec_recur_open(&e->b, NULL, 0, g->seq.p, g->seq.n, g->blocks, false, &step);
    RecBuild before = e->b;
    e->b.region = step;
    set_region(g->inst, step);
    const RecId *seq = e->prog->region.p[step].arg.p;
    bind_nodes(g, seq[0], seq[1], seq[2]);
    if (g->cell->has_edges)
        bind_edges(g, e->prog->region.p[step].arg.p + 3);
    share_places(g, g->inst);
    bind_graph_inputs(g, e->prog->region.p[step].arg.p);
    start_values(g, g->inst);
    compute_all(e, g->inst);
    const Val *output = put_results(g, recur);
    e->b = before;
    put_outputs(g, output);
    put_states(g);
}

/* Whether an array of the caller's has a value for each edge: an input, or a state that is put out. */
static bool has_edge_arrays(const Cell *cell)
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

static void find_states(Graph *g)
{
    all_states(g->e, g->inst, &g->state);
    g->grows = true;
    for (uint32_t i = 0; i < g->state.n; i++)
        g->grows &= !g->state.p[i]->decl->nplace;
    g->into = g->slots;
    if (!g->grows)
        return;
    g->olds = size_sym(g->e, g->cell, "olds");
    g->known = size_sym(g->e, g->cell, "known");
    g->into = dim_add(g->e->dims, g->slots, g->olds);
}

void elab_graph_entry(Elab *e, const Cell *cell)
{
    Graph g = {.e = e, .cell = cell, .input = NEWN(e->arena, Val, cell->ninput + 1)};
    uint32_t before = e->diags->nreported;
    g.nodes = size_sym(e, cell, "nodes");
    g.blocks = size_sym(e, cell, "blocks");
    g.width = size_sym(e, cell, "width");
    g.slots = size_sym(e, cell, "slots");
    if (cell->has_edges) {
        g.outs = size_sym(e, cell, "outs");
        if (has_edge_arrays(cell))
            g.edges = size_sym(e, cell, "edges");
        for (uint32_t i = 0; i < cell->ninput; i++)
            if (cell->input[i].nplace == 2 && !g.links)
                g.links = size_sym(e, cell, "links");
    }
    if (e->diags->nreported != before)
        return;
    g.inst = inst_new(e, cell, STR(""), NULL, 0, cell->at, true);
    if (!g.inst || e->diags->nreported != before)
        return;
    inst_params(e, g.inst);
    find_states(&g);
    plan_arrays(&g);
    for (uint32_t i = 0; i < cell->ninput; i++) {
        g.input[i] = input_arg(e, g.inst, &cell->input[i], (Dim[]){g.nodes, g.edges, g.links});
        if (is_poison(g.input[i]))
            return;
        if (cell->input[i].is_const)
            scope_find(g.inst->scope, cell->input[i].name.text)->val = g.input[i];
    }
    run_blocks(&g);
}
