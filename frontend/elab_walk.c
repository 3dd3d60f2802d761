/* Graphs of a model: an input `g: dag[N, E]` is a plan, whose arrays stand among those of the entry, and `walk(tree, x, on = g)` runs a
 * cell over its nodes. Any number of walks share it. */
#include "frontend/elab_graph.h"

bool is_graph_type(const TypeExpr *t)
{
    return str_is(t->name.text, "dag");
}

static const char *const size_names[] = {"nodes", "edges", "links"};

static bool has_graph(const Model *m)
{
    bool any = false;
    for (uint32_t i = 0; i < m->ninput; i++)
        any |= is_graph_type(&m->input[i].type);
    return any;
}

/* Its sizes come with the data; no others do. */
static bool fits(Elab *e, const Model *m, const Decl *d, const Sym *before)
{
    const TypeExpr *t = &d->type;
    bool names = t->ndim >= 1 && t->ndim <= 3;
    for (uint32_t k = 0; k < t->ndim; k++)
        names &= t->dim[k]->kind == EX_NAME && !declared_dim(m, t->dim[k]->name);
    if (!names)
        diag(e->diags, E_NOT_A_SIZE, t->at, "a graph has up to three sizes that come with the data, `dag[N, E, L]`: its nodes, edges, and pairs of edges");
    else if (before)
        diag_also(diag(e->diags, E_UNSUPPORTED, d->name.at, "a model has one graph yet"), before->name.at, STR("the first one"));
    else
        return true;
    return false;
}

Sym *model_graph(Scope *s)
{
    for (; s; s = s->up)
        for (uint32_t i = 0; i < s->sym.n; i++)
            if (s->sym.p[i].kind == SYM_GRAPH)
                return &s->sym.p[i];
    return NULL;
}

void add_graphs(Elab *e, Scope *s, const Model *m)
{
    for (uint32_t i = 0; i < m->ninput; i++) {
        const Decl *d = &m->input[i];
        if (!is_graph_type(&d->type) || !fits(e, m, d, model_graph(s)))
            continue;
        GraphPlan *p = graph_plan_new(e, d->name.at);
        Dim *size[] = {&p->nodes, &p->edges, &p->links};
        for (uint32_t k = 0; k < d->type.ndim; k++) {
            if (k)
                *size[k] = new_extent(e, str_of(size_names[k]));
            scope_add(e, s, (Ident){d->type.dim[k]->name, d->type.dim[k]->at}, SYM_DIM)->dim = *size[k];
        }
        graph_plan_arrays(p, false);
        scope_add(e, s, d->name, SYM_GRAPH)->graph = p;
    }
}

/* A size of a graph that a model is handed: bound, or compared where an input before it has it. */
static bool bind_size(Elab *e, Scope *s, const Decl *d, uint32_t k, Dim size, Span at)
{
    const Expr *x = d->type.dim[k];
    Sym *sym = x->kind == EX_NAME ? scope_find(s, x->name) : NULL;
    const char *why = size == DIM_ZERO ? "this graph says no number of edges, or pairs, and one is needed here"
                      : sym && (sym->kind != SYM_DIM || sym->dim != size) ? "this graph has another number of nodes, edges or pairs than the input before it" : NULL;
    if (why)
        diag_also(diag(e->diags, E_SHAPE, at, why), x->at, STR("declared here"));
    else if (!sym)
        scope_add(e, s, (Ident){x->name, x->at}, SYM_DIM)->dim = size;
    return !why;
}

bool bind_graph_input(Elab *e, Scope *around, Scope *s, const Decl *d, const Expr *x)
{
    Sym *sym = x->kind == EX_NAME ? scope_find(around, x->name) : NULL;
    if (!sym || sym->kind != SYM_GRAPH) {
        diag(e->diags, E_TYPE, x->at, "a graph is needed here: an input `g: dag[N]`");
        return false;
    }
    GraphPlan *p = sym->graph;
    const Dim size[] = {p->nodes, p->edges, p->links};
    for (uint32_t k = 0; k < d->type.ndim && k < 3; k++)
        if (!bind_size(e, s, d, k, size[k], x->at))
            return false;
    scope_add(e, s, d->name, SYM_GRAPH)->graph = p;
    return true;
}

void no_other_times(Elab *e, const Model *m, Ident size)
{
    if (has_graph(m))
        diag(e->diags, E_UNSUPPORTED, size.at, "beside those of its graph a model has no sizes that come with the data yet");
}

/* ---- the walk ---- */

bool walk_graph(Elab *e, Scope *s, const Expr *x, Dim *extent, GraphPlan **plan)
{
    const Expr *on = NULL;
    for (uint32_t i = 1; i < x->call.narg; i++)
        if (str_is(x->call.arg[i].name.text, "on"))
            on = x->call.arg[i].value;
    Sym *sym = on && on->kind == EX_NAME ? scope_find(s, on->name) : NULL;
    if (!sym || sym->kind != SYM_GRAPH) {
        diag_help(diag(e->diags, E_ARGUMENTS, on ? on->at : x->at, "`walk` runs over a graph of the model"), STR("write `on = g`, with an input `g: dag[N]`"));
        return false;
    }
    *plan = sym->graph;
    extent[0] = (*plan)->nodes;
    extent[1] = (*plan)->edges == DIM_ZERO ? NO_SIZE : (*plan)->edges;
    extent[2] = (*plan)->links == DIM_ZERO ? NO_SIZE : (*plan)->links;
    return true;
}

/* Inputs on edges, or pairs, need a graph that says how many there are, and so do states that are put out. */
static bool says_enough(Elab *e, const Cell *cell, const GraphPlan *p, Span at)
{
    bool pairs = false, edges = graph_has_edge_arrays(cell) && p->edges == DIM_ZERO;
    for (uint32_t i = 0; i < cell->ninput; i++)
        pairs |= cell->input[i].nplace == 2 && p->links == DIM_ZERO;
    if (edges || pairs)
        diag(e->diags, E_SHAPE, at,
             edges ? "this cell has inputs or outputs on edges: say how many there are, `g: dag[N, E]`"
                   : "this cell has inputs on pairs of edges: say how many there are, `g: dag[N, E, L]`");
    return !edges && !pairs;
}

static bool can_mask(Elab *e, const Graph *g, Span at)
{
    bool edges = false;
    for (uint32_t i = 0; i < g->state.n; i++)
        edges |= g->state.p[i]->decl->nplace > 0;
    if (edges)
        diag(e->diags, E_UNSUPPORTED, at, "a walk of a cell with states on edges takes no mask yet");
    return !edges;
}

Run *walk_cell(Elab *e, Inst *inst, const ScanArgs *args, GraphPlan *plan, Span at)
{
    Graph g = {.e = e, .inst = inst, .cell = inst->cell, .plan = plan, .input = args->input};
    e->b.at = at;
    if (!says_enough(e, g.cell, plan, at))
        return NULL;
    all_states(e, inst, &g.state);
    if (args->masked && !can_mask(e, &g, at))
        return NULL;
    g.masked = args->masked;
    g.mask = args->mask;
    graph_plan_arrays(plan, g.cell->has_edges);
    Val *output = graph_run(&g);
    if (!output)
        return NULL;
    Run *run = NEW(e->arena, Run);
    *run = (Run){.inst = inst, .noutput = g.cell->noutput, .output = output};
    return run;
}
