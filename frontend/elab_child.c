/* Cells that run inside other cells: `use inner = gru[D, H]` and `let y = inner(x)` make one step of it at the same place of the
 * sequence, grid or graph. Its states are carried beside those of what is around it; what it reads of earlier places, or of the
 * nodes that lead to the node, are its own states there. */
#include "frontend/elab_internal.h"

static const char *domain_name(const Cell *cell)
{
    return cell->domain == DOMAIN_GRID ? "a grid" : cell->domain == DOMAIN_GRAPH ? "a graph" : "a sequence";
}

/* Both must run over the same places. */
static bool same_domain(Elab *e, const Cell *around, const Cell *inner, Span at)
{
    bool edges = around->has_edges || !inner->has_edges, axes = around->domain != DOMAIN_GRID || around->nindex == inner->nindex;
    if (around->domain == inner->domain && axes && edges)
        return true;
    Str text = around->domain != inner->domain
                   ? str_fmt(e->arena, "a cell over %s cannot use one over %s", domain_name(around), domain_name(inner))
               : axes ? STR("a cell with `edges d -> v -> e` can be used in one with edges only")
                      : str_fmt(e->arena, "a cell over a grid of %u axes cannot use one over %u", around->nindex, inner->nindex);
    diag_also(diag(e->diags, E_UNSUPPORTED, at, str_c(e->arena, text)), inner->index[0].at, STR("what it runs over"));
    return false;
}

/* What a start value reads would have to be known before the step. */
static bool starts_alone(Elab *e, const Inst *child, Span at)
{
    if (!child->start_reads.file)
        return true;
    diag_also(diag(e->diags, E_UNSUPPORTED, at, "a cell that runs inside another one cannot read its inputs in start values yet"), child->start_reads,
              STR("this start value does"));
    return false;
}

static Inst *child_of(Elab *e, Inst *inst, const Use *u)
{
    if (u->count) {
        diag(e->diags, E_UNSUPPORTED, u->at, "several instances at once are for models only");
        return NULL;
    }
    Inst *child = inst_of_use(e, inst->outer, u, str_fmt(e->arena, "%.*s%.*s.", STRF(inst->path), STRF(u->name.text)));
    return child && same_domain(e, inst->cell, child->cell, u->at) && starts_alone(e, child, u->at) ? child : NULL;
}

void add_child(Elab *e, Inst *inst, const Use *u)
{
    Inst *child = child_of(e, inst, u);
    Sym *sym = scope_add(e, inst->scope, u->name, child ? SYM_INST : SYM_VALUE);
    if (!child) {
        sym->val = poison;
        return;
    }
    child->parent = inst;
    sym->inst = child;
    vec_push(e->arena, &inst->child, child);
}

void all_states(Elab *e, Inst *inst, States *states)
{
    for (uint32_t i = 0; i < inst->state.n; i++)
        vec_push(e->arena, states, inst->state.p[i]);
    for (uint32_t i = 0; i < inst->child.n; i++)
        all_states(e, inst->child.p[i], states);
}

void set_region(Inst *inst, RecRegion r)
{
    inst->scope->region = r;
    for (uint32_t i = 0; i < inst->child.n; i++)
        set_region(inst->child.p[i], r);
}

StateDef *child_state(Scope *s, const Expr *x)
{
    Sym *sym = x->kind == EX_FIELD && x->field.base->kind == EX_NAME ? scope_find(s, x->field.base->name) : NULL;
    for (uint32_t i = 0; sym && sym->kind == SYM_INST && !sym->inst->is_array && i < sym->inst->state.n; i++)
        if (str_eq(sym->inst->state.p[i]->decl->name.text, x->field.name.text))
            return sym->inst->state.p[i];
    return NULL;
}

bool child_runs(Elab *e, const Inst *inst)
{
    if (!inst->parent || inst->called)
        return true;
    if (inst->broken)
        return false;
    Str name = {inst->path.p, inst->path.n - 1};
    diag_help(diag(e->diags, E_UNSUPPORTED, e->b.at, str_c(e->arena, str_fmt(e->arena, "`%.*s` has not run yet here", STRF(name)))),
              STR("call it in a `let` that stands before"));
    return false;
}

/* ---- a call ---- */

static bool can_run(Elab *e, Scope *s, const Inst *inst, const Expr *x)
{
    const GraphPlace *here = graph_here(s);
    if (!inst->parent)
        diag_help(diag(e->diags, E_TYPE, x->at, "an instance is run over a whole sequence here"), STR("write `scan(name, inputs)`"));
    else if (e->b.region != inst->parent->scope->region)
        diag(e->diags, E_UNSUPPORTED, x->at, "an instance runs once in a step: it cannot be called in the rounds of a loop");
    else if (here != inst->parent->nodes)
        diag_help(diag(e->diags, E_UNSUPPORTED, x->at, "an instance runs once at a node: it cannot be called for edges"), STR("call it in a `let`"));
    else if (inst->called)
        diag(e->diags, E_ARGUMENTS, x->at, "this instance already runs in this step: use a second one");
    else if (x->call.narg != inst->cell->ninput)
        diag(e->diags, E_ARGUMENTS, x->at,
             str_c(e->arena, str_fmt(e->arena, "`%.*s` has %u inputs, and here are %u", STRF(inst->cell->name.text), inst->cell->ninput, x->call.narg)));
    else
        return true;
    return false;
}

/* An input of what is around, handed on as it is: then what is at other nodes, or on edges, is known too. */
static DelayDef *handed_on(Scope *s, const Inst *inst, const Decl *d, const Expr *x)
{
    Sym *sym = x->kind == EX_NAME && inst->cell->domain == DOMAIN_GRAPH ? scope_find(s, x->name) : NULL;
    if (!sym || sym->kind != SYM_VALUE || !sym->delay || d->is_const)
        return NULL;
    DelayDef *source = sym->delay->source ? sym->delay->source : sym->delay;
    const Decl *from = sym->delay->decl;
    bool alike = from->nplace == d->nplace && !is_poison(source->now);
    for (uint32_t i = 0; alike && i < d->nplace; i++) {
        bool in = str_eq(d->place[i].text, inst->cell->edge_in.text), from_in = str_eq(from->place[i].text, inst->parent->cell->edge_in.text);
        alike = in == from_in;
    }
    return alike ? source : NULL;
}

static bool bind_edge_argument(Elab *e, Inst *inst, const Decl *d, DelayDef *from, const Type *want, const Expr *x)
{
    Sym *sym = scope_find(inst->scope, d->name.text);
    if (from && type_eq(&from->type, want)) {
        sym->delay->source = from;
        sym->val = from->now;
        return true;
    }
    diag(e->diags, E_UNSUPPORTED, x->at, "an input on edges is handed on as it is: name one of this cell's, which lives there and has this type");
    return false;
}

static bool bind_argument(Elab *e, Scope *s, Inst *inst, const Decl *d, const Expr *x)
{
    Type want, have;
    DelayDef *from = handed_on(s, inst, d, x);
    if (!elab_type(e, inst->outer, &d->type, &want))
        return false;
    if (inst->cell->domain == DOMAIN_GRAPH && d->nplace)
        return bind_edge_argument(e, inst, d, from, &want, x);
    Val v = elab_expr(e, s, x);
    if (is_poison(v))
        return false;
    v = to_dtype(e, v, want.dt);
    have = val_type(e, v);
    IndexVar *nodes = inst->nodes && !d->is_const ? inst->nodes->var : NULL;
    bool free = v.nfree > 1 || (v.nfree == 1 && v.free[0] != nodes);
    if (free || !type_eq(&want, &have)) {
        diag(e->diags, E_SHAPE, x->at,
             str_c(e->arena, str_fmt(e->arena, "input `%.*s` is %.*s, and here %.*s is given", STRF(d->name.text), STRF(type_str(e->arena, e->dims, &want)),
                                     STRF(val_str(e, v)))));
        return false;
    }
    Sym *sym = scope_find(inst->scope, d->name.text);
    sym->val = nodes ? broadcast_val(e, v, &want, &nodes, 1) : v;
    if (from && type_eq(&from->type, &want))
        sym->delay->source = from;
    return true;
}

static bool bind_arguments(Elab *e, Scope *s, Inst *inst, const Expr *x)
{
    for (uint32_t i = 0; i < inst->cell->ninput; i++)
        if (!bind_argument(e, s, inst, &inst->cell->input[i], x->call.arg[i].value))
            return false;
    return true;
}

Val call_inst(Elab *e, Scope *s, Inst *inst, const Expr *x)
{
    const Cell *cell = inst->cell;
    if (inst->broken)
        return poison;
    inst->broken = !can_run(e, s, inst, x) || !bind_arguments(e, s, inst, x);
    if (inst->broken)
        return poison;
    inst->called = true;
    inst->index = inst->parent->index;
    return cell->noutput ? graph_value(e, s, output_value(e, inst, cell->output[0]), x->at) : poison;
}
