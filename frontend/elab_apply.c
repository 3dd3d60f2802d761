/* Models that use models: `use block = residual[E]` has parameters and instances, which all of its uses share, and
 * `apply(block, x)` puts in what the model says, for these inputs. What a model's sizes that come with the data are is read off the
 * inputs that it is given. */
#include "frontend/elab_internal.h"

static uint32_t free_dims(const Model *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->ndim; i++)
        n += !m->dim[i].value;
    return n;
}

static Inst *model_inst(Elab *e, const Use *u, const Model *m, const Dim *dim, Str path)
{
    if (u->ndim != free_dims(m)) {
        diag_also(diag(e->diags, E_ARGUMENTS, u->at,
                       str_c(e->arena, str_fmt(e->arena, "`%.*s` has %u dimensions, and here are %u", STRF(m->name.text), free_dims(m), u->ndim))),
                  m->name.at, STR("declared here"));
        return NULL;
    }
    Inst *inst = NEW(e->arena, Inst);
    *inst = (Inst){.model = m, .path = path, .at = u->at, .scope = cell_scope(e, m->name)};
    bind_dims(e, inst->scope, m->dim, m->ndim, dim, u->ndim, false);
    model_parts(e, inst->scope, m, path);
    return inst;
}

Inst *model_of_use(Elab *e, Scope *s, const Use *u, const Model *m, Str path)
{
    Dim dim[MAXRANK];
    if (m->broken || !begin_use(e, s, u, m, dim))
        return NULL;
    Inst *inst = model_inst(e, u, m, dim, path);
    end_use(e);
    return inst;
}

/* ---- inputs ---- */

/* A size that is met first in an input's type is that of the value that is given. */
static void sizes_of_input(Elab *e, Scope *s, const Model *m, const Decl *d, Val v)
{
    Type have = val_type(e, v);
    for (uint32_t k = 0; k < d->type.ndim && k < have.rank; k++) {
        const Expr *x = d->type.dim[k];
        if (x->kind == EX_NAME && !declared_dim(m, x->name) && !scope_find(s, x->name))
            scope_add(e, s, (Ident){x->name, x->at}, SYM_DIM)->dim = have.dim[k];
    }
}

static bool bind_model_input(Elab *e, Scope *s, const Model *m, const Decl *d, Val v, Span at)
{
    Type want;
    sizes_of_input(e, s, m, d, v);
    if (!elab_type(e, s, &d->type, &want))
        return false;
    v = to_dtype(e, v, want.dt);
    Type have = val_type(e, v);
    if (v.nfree || !type_eq(&have, &want)) {
        diag_also(diag(e->diags, E_SHAPE, at,
                       str_c(e->arena, str_fmt(e->arena, "input `%.*s` is %.*s, and here %.*s is given", STRF(d->name.text),
                                               STRF(type_str(e->arena, e->dims, &want)), STRF(val_str(e, v))))),
                  d->name.at, STR("declared here"));
        return false;
    }
    scope_add(e, s, d->name, SYM_VALUE)->val = v;
    return true;
}

/* By input: the argument that it is given, in order or by name. */
static bool sort_arguments(Elab *e, const Model *m, const Expr *x, const Arg **given)
{
    uint32_t next = 0, which;
    for (uint32_t i = 1; i < x->call.narg; i++) {
        const Arg *a = &x->call.arg[i];
        bool known = a->name.text.n ? input_named(m->input, m->ninput, a->name.text, &which) : (which = next++) < m->ninput;
        if (!known || given[which]) {
            diag(e->diags, E_ARGUMENTS, a->value->at, known ? "this input is given twice" : "the model has no such input");
            return false;
        }
        given[which] = a;
    }
    for (uint32_t i = 0; i < m->ninput; i++)
        if (!given[i]) {
            input_is_missing(e, x->at, m->input[i].name.text, m->name.text);
            return false;
        }
    return true;
}

static bool bind_model_inputs(Elab *e, Scope *around, Scope *s, const Model *m, const Expr *x)
{
    const Arg **given = NEWN(e->arena, const Arg *, m->ninput + 1);
    if (!sort_arguments(e, m, x, given))
        return false;
    for (uint32_t i = 0; i < m->ninput; i++) {
        if (is_graph_type(&m->input[i].type)) {
            if (!bind_graph_input(e, around, s, &m->input[i], given[i]->value))
                return false;
            continue;
        }
        Val v = elab_expr(e, around, given[i]->value);
        if (is_poison(v) || !bind_model_input(e, s, m, &m->input[i], v, given[i]->value->at))
            return false;
    }
    return true;
}

/* ---- the call ---- */

static Run *applied(Elab *e, Scope *s, Inst *inst)
{
    const Model *m = inst->model;
    Run *run = NEW(e->arena, Run);
    *run = (Run){.inst = inst, .noutput = m->noutput, .output = NEWN(e->arena, Val, m->noutput + 1)};
    model_body(e, s, m);
    for (uint32_t i = 0; i < m->noutput; i++)
        run->output[i] = model_value(e, s, &m->output[i]);
    return run;
}

bool elab_apply(Elab *e, Scope *s, const Expr *x, Run **out)
{
    if (!x->call.narg || x->call.arg[0].name.text.n) {
        diag(e->diags, E_ARGUMENTS, x->at, "`apply` takes an instance of a model and its inputs");
        return false;
    }
    if (s->inst) {
        diag(e->diags, E_UNSUPPORTED, x->at, "a cell cannot apply a model");
        return false;
    }
    Inst *inst = find_inst(e, s, x->call.arg[0].value);
    if (inst && !inst->model)
        diag_help(diag(e->diags, E_TYPE, x->call.arg[0].value->at, "this is a cell"), STR("write `scan(name, inputs)`, or `sweep` over a grid"));
    if (!inst || !inst->model)
        return false;
    Scope *inner = scope_new(e, inst->scope);
    inner->region = REC_FORWARD;
    if (!bind_model_inputs(e, s, inner, inst->model, x))
        return false;
    *out = applied(e, inner, inst);
    return true;
}
