/* Cells: an instance is a cell with its dimensions and parameters; running it over a sequence makes one RECUR.
 *
 * Lengths and resets are spelt out: a step carries on `where(cut, start, where(active, new, old))`, `cut` saying that the
 * step behind it begins anew, and every output is `where(active, y, 0)`. The cut is applied when a value is carried on,
 * not when it is read, so that the products of a step take the carried state as it is. A state that is read k steps back is carried k
 * times, each step handing its values on; so is an input that is read at earlier places. */
#include "frontend/elab_internal.h"

/* ---- making instances ---- */

StateDef *state_new(Elab *e, Inst *inst, Scope *s, const Decl *d)
{
    Type type;
    if (!elab_type(e, inst->outer, &d->type, &type)) {
        scope_add_failed(e, s, d->name);
        return NULL;
    }
    StateDef *st = NEW(e->arena, StateDef);
    *st = (StateDef){.decl = d, .type = type, .scope = s, .nlag = 1};
    st->name = str_fmt(e->arena, "%.*s%.*s", STRF(inst->path), STRF(d->name.text));
    st->now = st->before = poison;
    memset(st->prev, 0xff, sizeof st->prev); /* REC_NONE until the recurrence is open */
    scope_add(e, s, d->name, SYM_STATE)->state = st;
    return st;
}

/* `state C[e]`, `C[e] = ...` */
static bool on_its_edge(const Cell *cell, const Decl *d, const Target *t)
{
    return cell->has_edges && d->nplace == 1 && str_eq(d->place[0].text, cell->edge_out.text) && t->nindex &&
           str_eq(t->index[0].name.text, cell->edge_out.text);
}

/* A report about an equation of the state, which counts as the one that the state needs. */
static Diag *bad_equation(Elab *e, StateDef *state, const Stmt *st, Span at, const char *what)
{
    state->equation = st;
    state->progress = READY;
    return diag(e->diags, E_BAD_PLACE, at, what);
}

static void add_equation(Elab *e, Scope *s, Str index, const Stmt *st)
{
    const Target *t = &st->let.target[0];
    Sym *sym = scope_find(s, t->name.text);
    if (sym && sym->failed)
        return;
    if (sym && sym->kind == SYM_STATE && sym->state->scope != s)
        diag_also(diag(e->diags, E_NOT_A_STATE, t->name.at, str_c(e->arena, t->name.text)), sym->name.at,
                  STR("a state of what stands around the loop, and so must its equation"));
    else if (t->nindex && str_eq(t->index[0].name.text, index) && sym && sym->kind == SYM_STATE)
        diag_help(bad_equation(e, sym->state, st, t->index[0].name.at, "an equation says the value at the current place, without brackets"),
                  str_fmt(e->arena, "write `%.*s = ...`", STRF(t->name.text)));
    else if (!sym)
        report_unknown(e, s, t->name);
    else if (sym->kind != SYM_STATE)
        diag_also(diag(e->diags, E_NOT_A_STATE, t->name.at, str_c(e->arena, t->name.text)), sym->name.at, STR("defined here"));
    else if (sym->state->decl->nplace && !on_its_edge(s->inst->cell, sym->state->decl, t))
        diag_help(bad_equation(e, sym->state, st, t->name.at, "a state on edges lives on those that leave a node, and so does its equation"),
                  str_fmt(e->arena, "with `edges d -> v -> e` write `state %.*s[e]: ...` and `%.*s[e] = ...`", STRF(t->name.text), STRF(t->name.text)));
    else if (sym->state->equation)
        diag_also(diag(e->diags, E_TWO_EQUATIONS, t->name.at, str_c(e->arena, t->name.text)), sym->state->equation->at,
                  STR("the first one"));
    else
        sym->state->equation = st;
}

void add_equations(Elab *e, Scope *s, Str index, Stmt *const *body, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (body[i]->kind == ST_EQUATION)
            add_equation(e, s, index, body[i]);
}

void need_equations(Elab *e, StateDef *const *st, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        Ident name = st[i]->decl->name;
        if (!st[i]->equation)
            diag_help(diag(e->diags, E_NO_EQUATION, name.at, str_c(e->arena, name.text)),
                      str_fmt(e->arena, "add `%.*s = ...`", STRF(name.text)));
    }
}

/* NULL after an error. */
static const Cell *find_cell(Elab *e, Ident name)
{
    Definition second, it = unit_find_cell(e->unit, name, &second);
    Names names = {0};
    if (it.cell ? it.cell->broken : unit_lost(e->unit, name.text))
        return NULL;
    if (it.cell && !second.cell)
        return it.cell;
    if (second.cell) {
        report_ambiguous(e, name, it.name.at, second.name.at);
        return NULL;
    }
    if (unit_find_model(e->unit, name, &second).model) {
        diag_help(diag(e->diags, E_UNSUPPORTED, name.at, str_c(e->arena, str_fmt(e->arena, "`%.*s` is a model, and a cell uses cells", STRF(name.text)))),
                  STR("a model can use models and cells"));
        return NULL;
    }
    unit_cell_names(e, unit_file_of(e->unit, name.at), &names);
    report_unknown_among(e, name, names.p, names.n);
    return NULL;
}

/* NULL if nothing. */
static const char *unfit_use(Elab *e, const Use *u, const void *what)
{
    bool inside = e->inside.n >= MAX_DEPTH;
    for (uint32_t i = 0; i < e->inside.n; i++)
        inside |= e->inside.p[i] == what;
    if (u->ndim > MAXRANK)
        return "more than 8 dimensions";
    if (inside)
        return "cells and models use each other too deeply; none can use itself";
    return ++e->ninstance > MAX_INSTANCES ? "too many instances: what is used twice uses others twice, and so on" : NULL;
}

bool begin_use(Elab *e, Scope *s, const Use *u, const void *what, Dim *dim)
{
    bool said = e->ninstance > MAX_INSTANCES;
    const char *why = said ? NULL : unfit_use(e, u, what);
    if (why)
        diag(e->diags, E_TOO_DEEP, u->at, why);
    for (uint32_t k = 0; !said && !why && k < u->ndim; k++)
        if (!elab_size(e, s, u->dim[k], &dim[k]))
            return false;
    if (!said && !why)
        vec_push(e->arena, &e->inside, what);
    return !said && !why;
}

void end_use(Elab *e)
{
    e->inside.n--;
}

Inst *inst_of_use(Elab *e, Scope *s, const Use *u, Str path)
{
    Dim dim[MAXRANK];
    const Cell *cell = find_cell(e, u->cell);
    if (!cell || !begin_use(e, s, u, cell, dim))
        return NULL;
    Inst *inst = inst_new(e, cell, path, dim, u->ndim, u->at, false);
    end_use(e);
    return inst;
}

static void add_input(Elab *e, Inst *inst, const Decl *d)
{
    Sym *sym = scope_add(e, d->is_const ? inst->outer : inst->scope, d->name, SYM_VALUE);
    sym->val = poison;
    if (d->is_noise)
        diag(e->diags, E_UNSUPPORTED, d->name.at, "noise inputs are not supported yet: draw the noise and pass it as an input");
    uint8_t axis[REC_MAXAXES];
    if (d->nplace && !input_axes(inst->cell, d, axis))
        diag(e->diags, E_BAD_PLACE, d->place[0].at,
             inst->cell->domain == DOMAIN_GRAPH ? "an input lives on the nodes of a graph, on edges, or on pairs of them, named as in the cell's `edges d -> v -> e`: `a[e]`, `b[d, e]`"
                                                : "an input that differs along some axes of a grid only names them in their order");
    if (d->is_const)
        return;
    sym->has_place = true;
    sym->delay = NEW(e->arena, DelayDef);
    sym->delay->decl = d;
    sym->delay->now = sym->delay->before = poison;
    memset(sym->delay->prev, 0xff, sizeof sym->delay->prev);
    memset(sym->delay->later, 0xff, sizeof sym->delay->later);
    sym->delay->name = str_fmt(e->arena, "%.*s%.*s", STRF(inst->path), STRF(d->name.text));
    if (!elab_type(e, inst->outer, &d->type, &sym->delay->type))
        sym->delay->type = (Type){.dt = DT_REAL};
    vec_push(e->arena, &inst->delay, sym->delay);
}

static void add_states(Elab *e, Inst *inst, const Stmt *s)
{
    for (uint32_t i = 0; i < s->decls.n; i++) {
        StateDef *st = state_new(e, inst, inst->scope, &s->decls.decl[i]);
        if (st)
            vec_push(e->arena, &inst->state, st);
    }
}

static void add_statement(Elab *e, Inst *inst, const Stmt *s)
{
    switch (s->kind) {
    case ST_PARAM:
        for (uint32_t i = 0; i < s->decls.n; i++)
            scope_add(e, inst->outer, s->decls.decl[i].name, SYM_VALUE)->val = poison;
        return;
    case ST_STATE:
        add_states(e, inst, s);
        return;
    case ST_LET: bind_let(e, inst->scope, s); return;
    case ST_USE:
        for (uint32_t i = 0; i < s->uses.n; i++)
            add_child(e, inst, &s->uses.use[i]);
        return;
    case ST_FOR:
        vec_push(e->arena, &inst->loop, loop_new(e, inst, inst->scope, s)); return;
    case ST_FN: bind_fn(e, inst->scope, s->fn); return;
    case ST_EQUATION: return;
    }
}

static bool supported_domain(Elab *e, const Cell *cell)
{
    if (cell->domain == DOMAIN_LINE && cell->nindex == 1)
        return true;
    if (cell->domain == DOMAIN_GRID && cell->nindex <= REC_MAXAXES)
        return true;
    if (cell->domain == DOMAIN_GRAPH)
        return true;
    diag(e->diags, E_UNSUPPORTED, cell->nindex ? cell->index[0].at : cell->at,
         "a grid has at most four axes");
    return false;
}

static uint32_t free_dims(const Cell *cell)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < cell->ndim; i++)
        n += !cell->dim[i].value;
    return n;
}

Scope *cell_scope(Elab *e, Ident name)
{
    Scope *s = scope_new(e, file_scope(e, name.at));
    s->region = REC_FORWARD;
    return s;
}

Inst *inst_new(Elab *e, const Cell *cell, Str path, const Dim *dim, uint32_t ndim, Span at, bool entry)
{
    if (!supported_domain(e, cell))
        return NULL;
    if (!entry && ndim != free_dims(cell)) {
        diag_also(diag(e->diags, E_ARGUMENTS, at,
                       str_c(e->arena, str_fmt(e->arena, "`%.*s` has %u dimensions, and here are %u", STRF(cell->name.text), free_dims(cell), ndim))),
                  cell->name.at, STR("declared here"));
        return NULL;
    }
    Inst *inst = NEW(e->arena, Inst);
    *inst = (Inst){.cell = cell, .path = path, .index = REC_NONE, .count = REC_NONE, .at = at, .ndim = ndim};
    Dim *copy = NEWN(e->arena, Dim, ndim);
    if (ndim)
        memcpy(copy, dim, ndim * sizeof *dim);
    inst->dim = copy;
    inst->outer = cell_scope(e, cell->name);
    bind_dims(e, inst->outer, cell->dim, cell->ndim, dim, ndim, entry);
    inst->scope = scope_new(e, inst->outer);
    inst->scope->inst = inst;
    for (uint32_t i = 0; i < cell->nindex; i++) {
        scope_add(e, inst->scope, cell->index[i], SYM_PLACE)->axis = i;
        inst->place[i] = REC_NONE;
    }
    if (cell->has_edges)
        scope_add(e, inst->scope, cell->edge_out, SYM_NODE)->node = (GraphName){.what = GRAPH_OUT};
    for (uint32_t i = 0; i < cell->ninput; i++)
        add_input(e, inst, &cell->input[i]);
    for (uint32_t i = 0; i < cell->nbody; i++)
        add_statement(e, inst, cell->body[i]);
    add_equations(e, inst->scope, cell->index[0].text, cell->body, cell->nbody);
    need_equations(e, inst->state.p, inst->state.n);
    find_places(e, inst);
    return inst;
}

static Val param_arg(Elab *e, Inst *inst, const Decl *d)
{
    Type type;
    if (!elab_type(e, inst->outer, &d->type, &type))
        return poison;
    Str name = str_fmt(e->arena, "%.*s%.*s", STRF(inst->path), STRF(d->name.text));
    RecBuild before = e->b;
    e->b.region = REC_FORWARD;
    uint32_t arg = e->prog->arg.n;
    Val v = arg_val(e, (RecArg){.name = name, .role = ROLE_PARAM, .type = type, .doc = d->doc, .at = d->name.at, .frozen = d->frozen});
    e->b = before;
    elab_init(e, inst->outer, d, arg, &type);
    return v;
}

void inst_params(Elab *e, Inst *inst)
{
    for (uint32_t i = 0; i < inst->cell->nbody; i++) {
        const Stmt *s = inst->cell->body[i];
        for (uint32_t k = 0; s->kind == ST_PARAM && k < s->decls.n; k++) {
            Val v = param_arg(e, inst, &s->decls.decl[k]);
            scope_find(inst->outer, s->decls.decl[k].name.text)->val = v;
            vec_push(e->arena, &inst->param, v);
        }
    }
    for (uint32_t i = 0; i < inst->child.n; i++)
        inst_params(e, inst->child.p[i]);
}

void inst_share(Elab *e, Inst *fresh, Inst *owner)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < fresh->cell->nbody; i++) {
        const Stmt *s = fresh->cell->body[i];
        for (uint32_t k = 0; s->kind == ST_PARAM && k < s->decls.n; k++) {
            scope_find(fresh->outer, s->decls.decl[k].name.text)->val = owner->param.p[next];
            vec_push(e->arena, &fresh->param, owner->param.p[next++]);
        }
    }
    for (uint32_t i = 0; i < fresh->child.n; i++)
        inst_share(e, fresh->child.p[i], owner->child.p[i]);
}

/* ---- running an instance ---- */

/* One value that is carried on: a real, int or bool state or a part of a complex one, an earlier input, the counter. */
typedef struct Carry {
    Type type;
    uint32_t nlag;
    RecId start;   /* the declared start value */
    Str name;
    Str part_of;   /* ".re", ".im", or empty: goes behind `h0`, `hT` */
    Span at;
    RecId *prev, *carried; /* by lag - 1 */
    uint32_t arg, nproj, part;
    StateDef *state;   /* which of the three it is: both NULL for the counter */
    DelayDef *delay;
    uint32_t which;    /* the number of a state of the instance itself, else NOT_OWN */
} Carry;
#define NOT_OWN UINT32_MAX

typedef struct Carries {
    VEC(Carry) list;
} Carries;

Val start_value(Elab *e, Scope *s, StateDef *st, IndexVar *over)
{
    Val zero = to_dtype(e, val_of(rec_const(&e->b, part_dtype(st->type.dt), 0)), st->type.dt);
    Val none = broadcast_val(e, zero, &st->type, &over, over != NULL);
    if (!st->decl->init)
        return none;
    Val v = to_dtype(e, elab_expr(e, s, st->decl->init), st->type.dt);
    bool fits = !is_poison(v) && (v.nfree == 0 || (v.nfree == 1 && v.free[0] == over)) && val_dtype(e, v) == st->type.dt;
    Type t = fits ? val_type(e, v) : (Type){0};
    fits &= t.rank <= st->type.rank;
    for (uint8_t i = 0; fits && i < t.rank; i++)
        fits = t.dim[i] == st->type.dim[st->type.rank - t.rank + i];
    if (!fits) {
        if (!is_poison(v))
            diag(e->diags, E_SHAPE, st->decl->init->at,
                 str_c(e->arena, str_fmt(e->arena, "state `%.*s` is %.*s, but its start value is %.*s", STRF(st->decl->name.text),
                                         STRF(type_str(e->arena, e->dims, &st->type)), STRF(val_str(e, v)))));
        return none;
    }
    return broadcast_val(e, v, &st->type, &over, over != NULL);
}

static Carry carry_part(Elab *e, const Type *type, uint32_t part, Val start, Str name, Span at, RecId (*prev)[MAX_DELAY],
                        RecId (*carried)[MAX_DELAY])
{
    Carry c = {.type = *type, .start = val_part(e, start, part).v, .name = name, .part_of = part_name(e, STR(""), type->dt, part),
               .at = at, .prev = prev[part], .carried = carried[part], .part = part, .which = NOT_OWN};
    c.type.dt = part_dtype(type->dt);
    return c;
}

static void collect_states(Elab *e, Inst *inst, Carries *c, bool own)
{
    for (uint32_t i = 0; i < inst->state.n; i++) {
        StateDef *st = inst->state.p[i];
        Val start = start_value(e, inst->outer, st, NULL);
        for (uint32_t part = 0; part < nparts(st->type.dt); part++) {
            Carry one = carry_part(e, &st->type, part, start, st->name, st->decl->name.at, st->prev, st->carried);
            one.nlag = st->nlag;
            one.state = st;
            one.which = own ? i : NOT_OWN;
            vec_push(e->arena, &c->list, one);
        }
    }
    for (uint32_t i = 0; i < inst->child.n; i++)
        collect_states(e, inst->child.p[i], c, false);
}

static void collect_delays(Elab *e, Inst *inst, Carries *c)
{
    for (uint32_t i = 0; i < inst->delay.n; i++) {
        DelayDef *d = inst->delay.p[i];
        if (!d->nlag)
            continue;
        Type zero = d->type;
        zero.dt = part_dtype(zero.dt);
        Val start = to_dtype(e, val_of(rec_zeros(&e->b, &zero)), d->type.dt);
        for (uint32_t part = 0; part < nparts(d->type.dt); part++) {
            Carry one = carry_part(e, &d->type, part, start, d->name, d->decl->name.at, d->prev, d->carried);
            one.nlag = d->nlag;
            one.delay = d;
            vec_push(e->arena, &c->list, one);
        }
    }
}

/* The start values as an argument `h0` that the caller may give; read k steps back: [k, ...], oldest first. */
static RecId start_argument(Elab *e, Carry *c, Str prefix)
{
    Type type = c->type;
    if (c->nlag > 1) {
        memmove(type.dim + 1, type.dim, sizeof(Dim) * type.rank);
        type.dim[0] = dim_const(e->dims, c->nlag);
        type.rank++;
    }
    Str name = str_fmt(e->arena, "%.*s%.*s0%.*s", STRF(prefix), STRF(c->name), STRF(c->part_of));
    RecId arg = rec_arg(&e->b, (RecArg){.name = name, .role = ROLE_START, .type = type, .optional = true, .batched = true, .at = c->at,
                                        .frozen = type.dt != DT_REAL});
    c->arg = e->prog->arg.n - 1;
    return arg;
}

static RecId lag_start(Elab *e, Carry *c, uint32_t lag, RecId arg)
{
    if (arg == REC_NONE)
        return c->start;
    RecId given = arg;
    if (c->nlag > 1) {
        given = rec_slice(&e->b, arg, 0, dim_const(e->dims, c->nlag - lag), DIM_ONE);
        given = rec_reshape(&e->b, given, c->type.rank, c->type.dim);
    }
    return rec_map3(&e->b, FUN_WHERE, rec_given(&e->b, c->arg), given, c->start);
}

static RecId from_value(Elab *e, ScanArgs *args, Carry *c, uint32_t lag)
{
    if (!args->from || c->which == NOT_OWN || is_poison(args->from[c->which]))
        return REC_NONE;
    RecId v = val_part(e, args->from[c->which], c->part).v;
    if (c->nlag == 1)
        return v;
    v = rec_slice(&e->b, v, 0, dim_const(e->dims, c->nlag - lag), DIM_ONE);
    return rec_reshape(&e->b, v, c->type.rank, c->type.dim);
}

typedef struct Operands {
    VEC(RecId) init, seq;
    uint32_t active, cut, place;
} Operands;

/* Is there a cut in front of the very first place? Only forward: running from the end, no cut lies before the start. A
 * sequence of length 0 has no first place. */
static RecId first_cut(Elab *e, ScanArgs *args, bool backwards)
{
    if (args->cut == REC_NONE || backwards)
        return REC_NONE;
    RecId zero = rec_const(&e->b, DT_INT, 0), one = rec_const(&e->b, DT_INT, 1);
    RecId cut = args->active == REC_NONE ? args->cut : rec_map2(&e->b, FUN_AND, args->cut, args->active);
    RecId here = rec_map2(&e->b, FUN_AND, rec_map2(&e->b, FUN_EQ, rec_iota(&e->b, args->length), zero), cut);
    RecId count = rec_map3(&e->b, FUN_WHERE, here, one, zero);
    RecUse use = rec_use(count, 1);
    return rec_map2(&e->b, FUN_NE, rec_reduce(&e->b, RED_SUM, use, 0, 1, &args->length), zero);
}

static void carry_operands(Elab *e, ScanArgs *args, Carries *c, Operands *op, bool backwards)
{
    RecId first = first_cut(e, args, backwards);
    for (uint32_t i = 0; i < c->list.n; i++) {
        Carry *one = &c->list.p[i];
        RecId arg = args->with_starts ? start_argument(e, one, args->prefix) : REC_NONE;
        for (uint32_t lag = 1; lag <= one->nlag; lag++) {
            RecId from = from_value(e, args, one, lag);
            RecId start = from == REC_NONE ? lag_start(e, one, lag, arg) : from;
            vec_push(e->arena, &op->init, first == REC_NONE ? start : rec_map3(&e->b, FUN_WHERE, first, one->start, start));
        }
    }
}

/* The place within its segment, for a cell that runs from the end: a small recurrence in the other direction. */
static RecId place_sequence(Elab *e, Inst *inst, ScanArgs *args)
{
    RecRegion inner;
    RecId init = rec_const(&e->b, DT_INT, -1), zero = rec_const(&e->b, DT_INT, 0);
    Type one = {.dt = DT_BOOL, .rank = 1, .dim = {args->length}};
    RecId cut = args->cut == REC_NONE ? rec_zeros(&e->b, &one) : args->cut;
    RecId recur = rec_recur_open(&e->b, &init, 1, &cut, 1, args->length, args->reverse, &inner);
    rec_op(e->prog, e->prog->region.p[inner].arg.p[0])->name = inst->cell->index[0].text;
    RecBuild step = e->b;
    step.region = inner;
    RecId next = rec_map2(&step, FUN_ADD, e->prog->region.p[inner].arg.p[0], rec_const(&step, DT_INT, 1));
    RecId result = rec_map3(&step, FUN_WHERE, e->prog->region.p[inner].arg.p[1], zero, next);
    RecId results[2] = {result, result};
    rec_recur_close(e->prog, recur, results, 2);
    return rec_proj(&e->b, recur, 1);
}

/* Does the step after this one begin anew? A reset at t cuts between t-1 and t; what lies beyond the length cuts nothing. */
static RecId cut_after(Elab *e, ScanArgs *args, bool backwards)
{
    if (backwards) {
        RecId inside = rec_map2(&e->b, FUN_LT, rec_const(&e->b, DT_INT, 0), rec_iota(&e->b, args->length));
        RecId cut = rec_map2(&e->b, FUN_AND, args->cut, inside);
        return args->active == REC_NONE ? cut : rec_map2(&e->b, FUN_AND, cut, args->active);
    }
    RecId cut = args->active == REC_NONE ? args->cut : rec_map2(&e->b, FUN_AND, args->cut, args->active);
    return rec_moved(&e->b, cut, 0, 1);
}

/* A sequence moved by `by` places: element t is v[t + by] (v[t - by] when backwards), zero where there is none. */
static RecId moved(Elab *e, RecId v, uint32_t by, bool backwards)
{
    return rec_moved(&e->b, v, 0, backwards ? -(int32_t)by : (int32_t)by);
}

/* For every place: is there one `by` places ahead in the same sequence, with no cut between? */
static RecId reachable(Elab *e, ScanArgs *args, uint32_t by, bool backwards)
{
    Type places = {.dt = DT_BOOL, .rank = 1, .dim = {args->length}};
    RecId all = args->active != REC_NONE ? args->active : rec_broadcast(&e->b, rec_const(&e->b, DT_BOOL, 1), &places);
    RecId there = moved(e, all, by, backwards);
    for (uint32_t k = 0; args->cut != REC_NONE && k < by; k++) {
        RecId cut = moved(e, args->cut, backwards ? k : k + 1, backwards);
        there = rec_map2(&e->b, FUN_AND, there, rec_map1(&e->b, FUN_NOT, cut));
    }
    return there;
}

/* Inputs read ahead come as further sequences: the moved one, and whether it is there. */
static void ahead_operands(Elab *e, Inst *inst, ScanArgs *args, Operands *op, bool backwards)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < inst->cell->ninput; i++) {
        if (inst->cell->input[i].is_const)
            continue;
        DelayDef *d = inst->delay.p[next++];
        for (uint32_t by = 1; by <= d->nahead; by++) {
            for (uint32_t part = 0; part < nparts(d->type.dt); part++) {
                d->later[part][by - 1] = op->seq.n; /* operand numbers until the region is open */
                vec_push(e->arena, &op->seq, moved(e, val_part(e, args->input[i], part).v, by, backwards));
            }
            d->there[by - 1] = op->seq.n;
            vec_push(e->arena, &op->seq, reachable(e, args, by, backwards));
        }
    }
}

static void bind_ahead(Inst *inst, const RecId *seq)
{
    for (uint32_t i = 0; i < inst->delay.n; i++) {
        DelayDef *d = inst->delay.p[i];
        for (uint32_t k = 0; k < d->nahead; k++) {
            for (uint32_t part = 0; part < nparts(d->type.dt); part++)
                d->later[part][k] = seq[d->later[part][k]];
            d->there[k] = seq[d->there[k]];
        }
    }
}

static void sequence_operands(Elab *e, Inst *inst, ScanArgs *args, Operands *op, bool backwards)
{
    for (uint32_t i = 0; i < inst->cell->ninput; i++)
        for (uint32_t part = 0; !inst->cell->input[i].is_const && part < nparts(val_dtype(e, args->input[i])); part++)
            vec_push(e->arena, &op->seq, val_part(e, args->input[i], part).v);
    ahead_operands(e, inst, args, op, backwards);
    op->active = op->cut = op->place = UINT32_MAX;
    ScanArgs way = *args;
    if (inst->uses_index && inst->reverse) {
        way.reverse = !backwards;
        op->place = op->seq.n;
        vec_push(e->arena, &op->seq, place_sequence(e, inst, &way));
    }
    if (args->active != REC_NONE) {
        op->active = op->seq.n;
        vec_push(e->arena, &op->seq, args->active);
    }
    if (args->cut != REC_NONE) {
        op->cut = op->seq.n;
        vec_push(e->arena, &op->seq, cut_after(e, args, backwards));
    }
}

static RecId mask(Elab *e, RecId active, RecId now, RecId otherwise)
{
    return active == REC_NONE ? now : rec_map3(&e->b, FUN_WHERE, active, now, otherwise);
}

/* `h`, `z.re`; what goes on for longer is `h[t-2]`, or `h[t+2]` from the end; an earlier input is `x[t-1]`. */
static Str carry_name(Elab *e, const Inst *inst, const Carry *c, uint32_t lag)
{
    if (lag == 1 && !c->delay)
        return str_fmt(e->arena, "%.*s%.*s", STRF(c->name), STRF(c->part_of));
    return str_fmt(e->arena, "%.*s[%.*s%c%u]%.*s", STRF(c->name), STRF(inst->cell->index[0].text), inst->reverse ? '+' : '-', lag,
                   STRF(c->part_of));
}

static void bind_carried(Elab *e, Inst *inst, Carries *c, RecRegion r)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < c->list.n; i++)
        for (uint32_t lag = 0; lag < c->list.p[i].nlag; lag++) {
            Carry *one = &c->list.p[i];
            RecId arg = e->prog->region.p[r].arg.p[next++];
            one->prev[lag] = one->carried[lag] = arg;
            rec_op(e->prog, arg)->name = carry_name(e, inst, one, lag + 1);
            rec_op(e->prog, arg)->at = one->at;
        }
}

/* Ints beyond a sequence's length may be anything; as indices they must not be looked at, so they count as 0. */
void bind_input(Elab *e, Inst *inst, uint32_t i, Val whole, const RecId *part, RecId active)
{
    const Decl *d = &inst->cell->input[i];
    Sym *sym = scope_find(inst->scope, d->name.text);
    sym->val = d->is_const ? whole : val_of_parts(val_dtype(e, whole), part);
    Type t = *rec_type(e->prog, sym->val.v);
    if (!d->is_const && t.dt == DT_INT && active != REC_NONE)
        sym->val.v = rec_map3(&e->b, FUN_WHERE, active, sym->val.v, rec_zeros(&e->b, &t));
    if (sym->delay)
        sym->delay->now = sym->val;
}

static void bind_inputs(Elab *e, Inst *inst, ScanArgs *args, const RecId *seq, RecId active)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < inst->cell->ninput; i++) {
        bind_input(e, inst, i, args->input[i], seq + next, active);
        next += inst->cell->input[i].is_const ? 0 : nparts(val_dtype(e, args->input[i]));
    }
}

void compute_all(Elab *e, Inst *inst)
{
    compute_scope(e, inst->scope);
    for (uint32_t i = 0; i < inst->state.n; i++)
        state_now(e, inst->state.p[i]);
    for (uint32_t i = 0; i < inst->loop.n; i++)
        loop_run(e, inst->loop.p[i]);
    for (uint32_t i = 0; i < inst->child.n; i++) {
        if (inst->child.p[i]->broken)
            continue;
        if (!inst->child.p[i]->called)
            diag(e->diags, E_ARGUMENTS, inst->child.p[i]->at, "this instance is never run: call it as `let y = name(inputs)`");
        else
            compute_all(e, inst->child.p[i]);
    }
}

/* What lag 1 of the next step is. */
static RecId next_value(Elab *e, const Carry *c)
{
    if (c->state || c->delay)
        return val_part(e, c->state ? c->state->now : c->delay->now, c->part).v;
    return rec_map2(&e->b, FUN_ADD, c->prev[0], rec_const(&e->b, DT_INT, 1));
}

static void carry_on(Elab *e, Carries *c, RecId active, RecId cut, RecId *result, uint32_t *n)
{
    for (uint32_t i = 0; i < c->list.n; i++) {
        Carry *one = &c->list.p[i];
        e->b.at = one->state && one->state->equation ? one->state->equation->at : one->at;
        for (uint32_t lag = 0; lag < one->nlag; lag++) {
            RecId now = lag ? one->prev[lag - 1] : next_value(e, one);
            if (now == REC_NONE)
                now = rec_zeros(&e->b, &one->type);
            now = mask(e, active, now, one->carried[lag]);
            result[(*n)++] = cut == REC_NONE ? now : rec_map3(&e->b, FUN_WHERE, cut, one->start, now);
        }
    }
}

Val output_value(Elab *e, Inst *inst, Ident name)
{
    Sym *sym = scope_find(inst->scope, name.text);
    if (!sym) {
        report_unknown(e, inst->scope, name);
        return poison;
    }
    if (sym->kind == SYM_STATE)
        return state_now(e, sym->state);
    if (sym->kind == SYM_LET)
        return sym->let.def->range ? graph_let_bare(e, name) : let_value(e, sym);
    if (sym->kind == SYM_LAST)
        return loop_last(e, sym);
    if (sym->failed)
        return poison;
    diag(e->diags, E_TYPE, name.at, str_c(e->arena, str_fmt(e->arena, "an output is a state or a `let`, and `%.*s` is neither", STRF(name.text))));
    return poison;
}

/* Adds the outputs of a step to the region's results, and gives them as the step has them. */
static Val *step_outputs(Elab *e, Inst *inst, RecId active, RecId *result, uint32_t *n)
{
    Val *output = NEWN(e->arena, Val, inst->cell->noutput + 1);
    for (uint32_t i = 0; i < inst->cell->noutput; i++) {
        Val v = output[i] = output_value(e, inst, inst->cell->output[i]);
        for (uint32_t part = 0; !is_poison(v) && part < nparts(val_dtype(e, v)); part++) {
            RecId y = val_part(e, v, part).v;
            Type zero = *rec_type(e->prog, y);
            result[(*n)++] = active == REC_NONE ? y : mask(e, active, y, rec_zeros(&e->b, &zero));
        }
    }
    return output;
}

static RecId stacked_final(Elab *e, RecId recur, const Carry *c)
{
    if (c->nlag == 1)
        return rec_proj(&e->b, recur, c->nproj);
    RecId part[MAX_DELAY];
    Dim dim[MAXRANK] = {DIM_ONE};
    memcpy(dim + 1, c->type.dim, sizeof(Dim) * c->type.rank);
    for (uint32_t lag = c->nlag; lag >= 1; lag--)
        part[c->nlag - lag] = rec_reshape(&e->b, rec_proj(&e->b, recur, c->nproj + lag - 1), (uint8_t)(c->type.rank + 1), dim);
    return rec_concat(&e->b, part, c->nlag, 0);
}

Val projected(Elab *e, RecId recur, Val in_step, uint32_t *next)
{
    if (is_poison(in_step))
        return poison;
    RecId part[2];
    DType dt = val_dtype(e, in_step);
    for (uint32_t k = 0; k < nparts(dt); k++)
        part[k] = rec_proj(&e->b, recur, (*next)++);
    return val_of_parts(dt, part);
}

static Run *finish(Elab *e, Inst *inst, ScanArgs *args, Carries *c, RecId recur, uint32_t ncarried, const Val *output)
{
    Run *run = NEW(e->arena, Run);
    *run = (Run){.inst = inst, .noutput = inst->cell->noutput, .output = NEWN(e->arena, Val, inst->cell->noutput),
                 .last = NEWN(e->arena, Val, inst->state.n), .nlast = inst->state.n};
    for (uint32_t i = 0; i < run->noutput; i++)
        run->output[i] = projected(e, recur, output[i], &ncarried);
    for (uint32_t i = 0; i < c->list.n; i++) {
        Carry *one = &c->list.p[i];
        RecId final = stacked_final(e, recur, one);
        if (one->which != NOT_OWN && one->part == PART_RE)
            run->last[one->which] = val_of(final);
        if (one->which != NOT_OWN && one->part == PART_IM)
            run->last[one->which] = val_of_parts(DT_COMPLEX, (RecId[2]){run->last[one->which].v, final});
        if (!args->with_starts)
            continue;
        Str name = str_fmt(e->arena, "%.*s%.*sT%.*s", STRF(args->prefix), STRF(one->name), STRF(one->part_of));
        vec_push(e->arena, &e->final, (RecOut){.name = name, .role = OUT_FINAL, .type = e->prog->arg.p[one->arg].type, .value = final,
                                               .of = one->arg, .batched = true, .at = one->at});
    }
    return run;
}

Run *scan_cell(Elab *e, Inst *inst, ScanArgs *args, Span at)
{
    Carries c = {0};
    Operands op = {0};
    RecRegion region;
    bool backwards = inst->reverse != args->reverse;
    RecId counter_prev[1], counter_carried[1];
    e->b.at = at;
    for (uint32_t i = 0; i < inst->cell->ninput; i++) /* start values may use const inputs */
        if (inst->cell->input[i].is_const)
            scope_find(inst->scope, inst->cell->input[i].name.text)->val = args->input[i];
    collect_states(e, inst, &c, true);
    collect_delays(e, inst, &c);
    bool counts = inst->uses_count || (inst->uses_index && !inst->reverse);
    if (counts)
        vec_push(e->arena, &c.list, (Carry){.type = {.dt = DT_INT}, .nlag = 1, .start = rec_const(&e->b, DT_INT, 0),
                                            .name = str_fmt(e->arena, "%.*s%.*s", STRF(inst->path), STRF(inst->cell->index[0].text)),
                                            .at = inst->cell->index[0].at, .prev = counter_prev, .carried = counter_carried,
                                            .which = NOT_OWN});
    carry_operands(e, args, &c, &op, backwards);
    sequence_operands(e, inst, args, &op, backwards);
    RecId recur = rec_recur_open(&e->b, op.init.p, op.init.n, op.seq.p, op.seq.n, args->length, backwards, &region);
    RecBuild before = e->b;
    e->b.region = region;
    set_region(inst, region);
    const RecId *seq = e->prog->region.p[region].arg.p + op.init.n;
    RecId active = op.active == UINT32_MAX ? REC_NONE : seq[op.active], cut = op.cut == UINT32_MAX ? REC_NONE : seq[op.cut];
    bind_inputs(e, inst, args, seq, active);
    bind_ahead(inst, seq);
    inst->index = op.place == UINT32_MAX ? REC_NONE : seq[op.place];
    bind_carried(e, inst, &c, region);
    if (counts)
        inst->count = counter_prev[0];
    if (!inst->reverse)
        inst->index = inst->count;
    compute_all(e, inst);
    for (uint32_t i = 0, nproj = 0; i < c.list.n; i++) {
        c.list.p[i].nproj = nproj;
        nproj += c.list.p[i].nlag;
    }
    RecId *result = NEWN(e->arena, RecId, op.init.n + 2 * inst->cell->noutput);
    uint32_t n = 0;
    carry_on(e, &c, active, cut, result, &n);
    const Val *output = step_outputs(e, inst, active, result, &n);
    rec_recur_close(e->prog, recur, result, n);
    e->b = before;
    return finish(e, inst, args, &c, recur, op.init.n, output);
}

/* ---- a cell as the entry ---- */

void elab_finals(Elab *e)
{
    for (uint32_t i = 0; i < e->final.n; i++) {
        uint32_t out = rec_out(e->prog, e->final.p[i]);
        e->prog->arg.p[e->final.p[i].of].of = out;
    }
}

Val input_arg(Elab *e, Inst *inst, const Decl *d, const Dim *extent)
{
    Type type;
    uint8_t axis[REC_MAXAXES], n = d->is_const ? 0 : input_axes(inst->cell, d, axis);
    if (!elab_type(e, inst->outer, &d->type, &type))
        return poison;
    if (type.rank + n >= MAXRANK) {
        diag(e->diags, E_NOT_A_SIZE, d->name.at, "with the axes of its places and the batch this input has too many axes");
        return poison;
    }
    memmove(type.dim + n, type.dim, sizeof(Dim) * type.rank);
    for (uint8_t i = 0; i < n; i++)
        type.dim[i] = extent[axis[i]];
    type.rank = (uint8_t)(type.rank + n);
    return arg_val(e, (RecArg){.name = d->name.text, .role = ROLE_INPUT, .type = type, .batched = true, .doc = d->doc, .at = d->name.at});
}

void elab_cell_entry(Elab *e, const Cell *cell)
{
    Dim time = dim_of(e->dims, e->prog->time);
    Inst *inst = inst_new(e, cell, STR(""), NULL, 0, cell->at, true);
    if (!inst)
        return;
    ScanArgs args = {.input = NEWN(e->arena, Val, cell->ninput), .length = time, .with_starts = true, .prefix = STR("")};
    inst_params(e, inst);
    bool bad = false;
    for (uint32_t i = 0; i < cell->ninput; i++) {
        args.input[i] = input_arg(e, inst, &cell->input[i], &time);
        bad |= is_poison(args.input[i]);
    }
    if (bad)
        return;
    RecId lengths = rec_arg(&e->b, (RecArg){.name = STR("lengths"), .role = ROLE_LENGTH, .type = {.dt = DT_INT}, .optional = true,
                                            .batched = true, .frozen = true, .at = cell->at});
    args.active = rec_map2(&e->b, FUN_LT, rec_iota(&e->b, time), lengths);
    args.cut = rec_arg(&e->b, (RecArg){.name = STR("resets"), .role = ROLE_RESET, .type = {.dt = DT_BOOL, .rank = 1, .dim = {time}},
                                       .optional = true, .batched = true, .frozen = true, .at = cell->at});
    Run *run = scan_cell(e, inst, &args, cell->at);
    for (uint32_t i = 0; i < run->noutput; i++)
        out_val(e, (RecOut){.name = cell->output[i].text, .role = OUT_VALUE, .batched = true, .at = cell->output[i].at}, run->output[i]);
    elab_finals(e);
}
