/* Definitions, computed when they are first needed, so that the order of equations is free: `let`s, with destructuring
 * and indices, and the equations of states. */
#include "frontend/elab_internal.h"

Val cyclic(Elab *e, Ident name)
{
    diag(e->diags, E_CYCLE, name.at, str_c(e->arena, name.text));
    return poison;
}

Val indexed_equation(Elab *e, Scope *s, const Target *target, const Expr *value)
{
    Scope *inner = scope_new(e, s);
    IndexVar *var[MAXRANK];
    if (target->nindex > MAXRANK - 2) {
        diag(e->diags, E_NOT_A_SIZE, target->name.at, "more than 6 indices");
        return poison;
    }
    for (uint32_t i = 0; i < target->nindex; i++) {
        var[i] = index_new(e, target->index[i].name, NO_SIZE);
        if (target->index[i].range && !elab_size(e, s, target->index[i].range, &var[i]->size))
            return poison;
        scope_add(e, inner, target->index[i].name, SYM_INDEX)->index = var[i];
    }
    infer_index_sizes(e, inner, value);
    for (uint32_t i = 0; i < target->nindex; i++)
        if (var[i]->size == NO_SIZE) {
            Ident n = target->index[i].name;
            diag(e->diags, E_INDEX, n.at,
                 str_c(e->arena, str_fmt(e->arena, "the range of index `%.*s` is not known: write `%.*s in N`", STRF(n.text), STRF(n.text))));
            return poison;
        }
    return free_to_shape(e, elab_expr(e, inner, value), var, target->nindex);
}

/* Takes the leading axis apart into the targets. */
static void destructure(Elab *e, LetDef *def, Val v)
{
    const Stmt *st = def->stmt;
    int64_t n;
    if (is_poison(v))
        return;
    Type t = val_type(e, v);
    if (!t.rank || !dim_is_const(e->dims, t.dim[0], &n) || n != st->let.n) {
        diag(e->diags, E_DESTRUCTURE, st->at,
             str_c(e->arena, str_fmt(e->arena, "%u names cannot be taken from %.*s: its leading axis must have that size", st->let.n,
                                     STRF(val_str(e, v)))));
        return;
    }
    for (uint32_t i = 0; i < st->let.n; i++)
        def->val[i] = take(e, v, 0, dim_const(e->dims, i));
}

static void compute_let(Elab *e, LetDef *def)
{
    const Stmt *st = def->stmt;
    const Target *first = &st->let.target[0];
    e->b.name = first->name.text;
    if (is_run_call(def->scope, st->let.value)) {
        if (elab_run(e, def->scope, st->let.value, &def->run))
            for (uint32_t i = 0; i < st->let.n; i++)
                def->val[i] = run_output(def->run, i);
        if (def->run && st->let.n > 1 && st->let.n != def->run->noutput)
            diag(e->diags, E_DESTRUCTURE, st->at,
                 str_c(e->arena, str_fmt(e->arena, "it has %u outputs, and here are %u names", def->run->noutput, st->let.n)));
        return;
    }
    if (first->nindex && st->let.n > 1) {
        diag(e->diags, E_DESTRUCTURE, st->at, "indices on the left go with a single name");
        return;
    }
    if (!first->nindex && is_results_call(def->scope, st->let.value)) {
        elab_results(e, def->scope, st->let.value, def->val, st->let.n);
        return;
    }
    Val v = first->nindex ? indexed_equation(e, def->scope, first, st->let.value) : elab_expr(e, def->scope, st->let.value);
    if (st->let.n == 1)
        def->val[0] = v;
    else
        destructure(e, def, v);
}

Val let_value(Elab *e, Sym *sym)
{
    LetDef *def = sym->let.def;
    uint32_t target = sym->let.target;
    if (def->range)
        return graph_let_bare(e, def->stmt->let.target[0].name);
    if (def->progress == RUNNING)
        return cyclic(e, def->stmt->let.target[target].name);
    if (def->progress == NOT_YET) {
        RecBuild before = e->b;
        def->progress = RUNNING;
        e->b.region = def->scope->region;
        compute_let(e, def);
        e->b = before;
        def->progress = READY;
    }
    return def->val[target];
}

void compute_scope(Elab *e, Scope *s)
{
    for (uint32_t i = 0; i < s->sym.n; i++)
        if (s->sym.p[i].kind == SYM_LET && s->sym.p[i].let.def->range)
            graph_let_check(e, &s->sym.p[i]);
        else if (s->sym.p[i].kind == SYM_LET)
            let_value(e, &s->sym.p[i]);
}

void bind_fn(Elab *e, Scope *s, const Fn *fn)
{
    if (fn->associative)
        diag(e->diags, E_ASSOCIATIVE, fn->name.at, "an associative function stands outside of cells and models: it sees nothing but its operands");
    Sym *sym = scope_add(e, s, fn->name, SYM_FN);
    sym->fn = fn;
    sym->fn_scope = s;
}

bool bind_let(Elab *e, Scope *s, const Stmt *st)
{
    LetDef *def = NEW(e->arena, LetDef);
    *def = (LetDef){.stmt = st, .scope = s, .val = NEWN(e->arena, Val, st->let.n), .range = graph_let_range(s, st)};
    for (uint32_t i = 0; i < st->let.n; i++) {
        def->val[i] = poison;
        Sym *sym = scope_add(e, s, st->let.target[i].name, SYM_LET);
        sym->let.def = def;
        sym->let.target = i;
        sym->has_place = s->inst != NULL;
    }
    return true;
}

/* Brings a new value to the declared type of its state. */
static Val fit_state(Elab *e, StateDef *st, Val v)
{
    if (is_poison(v))
        return poison;
    Span at = st->equation->let.value->at;
    v = to_dtype(e, v, st->type.dt);
    Type t = val_type(e, v);
    bool fits = t.dt == st->type.dt && t.rank <= st->type.rank;
    for (uint8_t i = 0; fits && i < t.rank; i++)
        fits = t.dim[i] == st->type.dim[st->type.rank - t.rank + i];
    if (!fits) {
        Str have = val_str(e, v), want = type_str(e->arena, e->dims, &st->type);
        diag_also(diag(e->diags, E_SHAPE, at,
                       str_c(e->arena, str_fmt(e->arena, "state `%.*s` is %.*s, but its equation gives %.*s", STRF(st->decl->name.text),
                                               STRF(want), STRF(have)))),
                  st->decl->name.at, STR("declared here"));
        return poison;
    }
    GraphPlace *place = graph_place_of(st->scope->inst, st);
    return place ? broadcast_val(e, v, &st->type, &place->var, 1) : broadcast_val(e, v, &st->type, NULL, 0);
}

static Val state_equation(Elab *e, StateDef *st)
{
    const Target *target = &st->equation->let.target[0];
    uint32_t edge = st->decl->nplace, n = target->nindex - edge; /* the first is the edge it lives on */
    Scope *scope = st->scope;
    if (edge) {
        scope = scope_new(e, st->scope);
        scope->place = graph_place_of(st->scope->inst, st);
    }
    if (!n)
        return elab_expr(e, scope, st->equation->let.value);
    if (n > st->type.rank) {
        diag(e->diags, E_INDEX, target->name.at, "more indices than the state has axes");
        return poison;
    }
    /* The indices run over the state's own axes. */
    Scope *inner = scope_new(e, scope);
    IndexVar *var[MAXRANK];
    for (uint32_t i = 0; i < n; i++) {
        Ident name = target->index[edge + i].name;
        var[i] = index_new(e, name, st->type.dim[i]);
        scope_add(e, inner, name, SYM_INDEX)->index = var[i];
    }
    return free_to_shape(e, elab_expr(e, inner, st->equation->let.value), var, n);
}

Val state_now(Elab *e, StateDef *st)
{
    if (st->progress == RUNNING)
        return cyclic(e, st->equation->let.target[0].name);
    if (st->progress == READY)
        return st->now;
    if (!st->equation || !child_runs(e, st->scope->inst))
        return poison;
    RecBuild before = e->b;
    st->progress = RUNNING;
    e->b.region = st->scope->region;
    e->b.name = st->decl->name.text;
    st->now = fit_state(e, st, state_equation(e, st));
    e->b = before;
    st->progress = READY;
    return st->now;
}
