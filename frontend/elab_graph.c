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
#include "frontend/elab_graph.h"

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

int graph_axis_of(Val v, const IndexVar *var)
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
    if (!here || !here->up || is_poison(v) || graph_axis_of(v, here->var) >= 0)
        return v;
    v = value_at(e, v, here->up);
    int axis = graph_axis_of(v, here->up->var);
    if (axis < 0 || is_poison(v))
        return v;
    Val now = taken(e, v.v, v, (uint8_t)axis, here);
    if (v.is_complex && !is_poison(now)) {
        now.im = taken(e, v.im, v, (uint8_t)axis, here).v;
        now.is_complex = true;
    }
    return now;
}

bool graph_is_elsewhere(const Inst *inst, Val v, const GraphPlace *here)
{
    const GraphPlace *all[] = {inst->nodes, inst->edges, inst->outs, inst->pairs};
    bool elsewhere = false;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        elsewhere |= all[i] && all[i] != here && graph_axis_of(v, all[i]->var) >= 0;
    return elsewhere;
}

Val graph_value(Elab *e, Scope *s, Val v, Span at)
{
    const GraphPlace *here = graph_here(s);
    if (!here || is_poison(v))
        return v;
    v = value_at(e, v, here);
    if (is_poison(v) || !graph_is_elsewhere(s->inst, v, here))
        return v;
    diag(e->diags, E_BAD_PLACE, at, "this is a state on the edges that leave the node: it has a value at one of them only");
    return poison;
}

/* ---- other nodes, and edges ---- */

Val graph_only_there(Elab *e, const GraphPlace *at, Val v, Span span)
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
static Val before_call(Inst *inst, Val *before, Str name, Type type, Span at)
{
    if (is_poison(*before))
        *before = graph_before(inst->graph, name, type, at);
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
    return graph_only_there(e, n->place, v, at);
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
        return graph_only_there(e, here, input_of_tail(e, s, d, here, at), at);
    if (d->decl->nplace == 1 && n->what == GRAPH_IN && !tail)
        index = here->in;
    if (d->decl->nplace == 1 && n->what == GRAPH_OUT && here && here->up)
        index = value_at(e, s->inst->outs->out, here);
    bool fits = !is_poison(index) && graph_axis_of(index, here->var) >= 0;
    return fits ? graph_only_there(e, here, input_rows(e, d, index, at), at) : graph_no_place(e, at);
}

/* `transition[d, e]` */
static Val pair_there(Elab *e, Scope *s, DelayDef *d, const GraphName *in, const GraphName *out, Span at)
{
    const GraphPlace *pairs = s->inst->pairs;
    if (d->decl->nplace != 2 || in->what != GRAPH_IN || out->what != GRAPH_OUT || in->place != pairs)
        return graph_no_place(e, at);
    return graph_only_there(e, pairs, input_rows(e, d->source ? d->source : d, pairs->pair, at), at);
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
    uint8_t axis = (uint8_t)graph_axis_of(v, edges->var), n = 1;
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
    v = graph_only_there(e, edges, v, at); /* has the edges' axis now */
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

bool graph_inside(Elab *e, Scope *inner, const Expr *x)
{
    const Inst *inst = inner->inst;
    if (!inst || !inst->edges)
        return false;
    bool pred = str_is(x->reduce.bind[0].range->call.callee.text, "pred"), pairs = !pred && graph_here(inner) == inst->outs;
    if (pairs && !inst->pairs)
        graph_bind_pairs(inst->graph);
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
    if (graph_axis_of(v, edges->up->var) >= 0) {
        diag(e->diags, E_UNSUPPORTED, x->at, "a function that reads names of the cell cannot be used in a sum over other nodes");
        return poison;
    }
    v = or_first(e, inner->up, x, graph_reduced(e, x->reduce.callee.text, v, edges, x->at), edges);
    return is_poison(v) ? v : value_at(e, v, here);
}
