/* `let s[u in pred(v)] = ...`, `let s[d in into(v)] = ...`: a value for each node, or edge, that leads to the node. It is made
 * where it is read, s[u] in a sum over these, at the edges or pairs of that sum, and so before a node that nothing leads to, with
 * start values, too; once at each of these. */
#include "frontend/elab_internal.h"

static bool over_nodes(const Expr *range)
{
    return str_is(range->call.callee.text, "pred");
}

const Expr *graph_let_range(const Scope *s, const Stmt *st)
{
    const Target *t = &st->let.target[0];
    const Expr *range = t->nindex ? t->index[0].range : NULL;
    bool cell = s->inst && s->inst->scope == s && s->inst->cell->domain == DOMAIN_GRAPH && st->let.n == 1;
    bool edges = range && range->kind == EX_CALL && (over_nodes(range) || str_is(range->call.callee.text, "into"));
    return cell && edges ? range : NULL;
}

static LetAt *found_at(LetDef *def, const GraphPlace *place, bool before)
{
    for (uint32_t i = 0; i < def->at.n; i++)
        if (def->at.p[i].place == place && def->at.p[i].before == before)
            return &def->at.p[i];
    return NULL;
}

/* At what the name stands for, in a scope whose values are at `place`. */
static Val make_at(Elab *e, LetDef *def, GraphName name, GraphPlace *place)
{
    const Target *t = &def->stmt->let.target[0];
    RecBuild before = e->b;
    Scope *s = scope_new(e, def->scope);
    s->place = place;
    vec_push(e->arena, &s->sym, (Sym){.name = t->index[0].name, .kind = SYM_NODE, .node = name});
    Target rest = {.name = t->name, .index = t->index + 1, .nindex = t->nindex - 1};
    def->progress = RUNNING;
    e->b.region = def->scope->region;
    Val v = rest.nindex ? indexed_equation(e, s, &rest, def->stmt->let.value) : elab_expr(e, s, def->stmt->let.value);
    e->b = before;
    def->progress = NOT_YET;
    return graph_value(e, s, v, t->name.at);
}

static Val made_at(Elab *e, LetDef *def, GraphName name, GraphPlace *place)
{
    const LetAt *found = found_at(def, place, name.outside != NULL);
    LetAt new = {.place = place, .before = name.outside != NULL};
    if (def->progress == RUNNING)
        return cyclic(e, def->stmt->let.target[0].name);
    if (!found) {
        GraphName here = {name.what, name.place, name.outside ? &new.starts : NULL};
        new.val = make_at(e, def, here, place);
        vec_push(e->arena, &def->at, new);
        found = &new;
    }
    if (found->starts)
        *name.outside = true;
    return found->val;
}

Val graph_let_read(Elab *e, Scope *s, const Sym *sym, const GraphName *n, bool tail, Span at)
{
    LetDef *def = sym->let.def;
    bool nodes = over_nodes(def->range), node = n->what == GRAPH_NODE || (n->what == GRAPH_IN && tail), edge = n->what == GRAPH_IN && !tail;
    GraphName name = {.what = nodes ? GRAPH_NODE : GRAPH_IN, .place = n->place, .outside = n->outside};
    if ((nodes ? !node : !edge) || (nodes && n->place && n->place == s->inst->pairs))
        return graph_no_place(e, at);
    return made_at(e, def, name, n->outside ? graph_here(s) : n->place);
}

void graph_let_check(Elab *e, const Sym *sym)
{
    LetDef *def = sym->let.def;
    GraphName name = {.what = over_nodes(def->range) ? GRAPH_NODE : GRAPH_IN, .place = def->scope->inst->edges};
    if (def->scope->inst->edges && graph_range_fits(e, def->scope, def->range))
        made_at(e, def, name, def->scope->inst->edges);
}

Val graph_let_bare(Elab *e, Ident name)
{
    diag(e->diags, E_BAD_PLACE, name.at,
         str_c(e->arena, str_fmt(e->arena, "`%.*s` has a value for each node or edge that leads to the node: read it at one of them, in a sum over these",
                                 STRF(name.text))));
    return poison;
}
