/* Models: cells and tensor functions over whole sequences. */
#include "frontend/elab_internal.h"

static bool elab_scan(Elab *e, Scope *s, const Expr *x, Run **out);

Val run_output(Run *run, uint32_t i)
{
    return run && i < run->noutput ? run->output[i] : poison;
}

Str run_output_name(const Run *run, uint32_t i)
{
    return run->inst->model ? run->inst->model->output[i].name.text : run->inst->cell->output[i].text;
}

bool is_run_call(Scope *s, const Expr *x)
{
    Str name = x->kind == EX_CALL && !scope_find(s, x->call.callee.text) ? x->call.callee.text : STR("");
    return str_is(name, "scan") || str_is(name, "sweep") || str_is(name, "walk") || str_is(name, "apply");
}

bool elab_run(Elab *e, Scope *s, const Expr *x, Run **out)
{
    return str_is(x->call.callee.text, "apply") ? elab_apply(e, s, x, out) : elab_scan(e, s, x, out);
}

/* ---- instances ---- */

static Inst *make_inst(Elab *e, Scope *s, const Use *u, Str path)
{
    Definition second, model = unit_find_model(e->unit, u->cell, &second);
    if (second.model)
        report_ambiguous(e, u->cell, model.name.at, second.name.at);
    if (second.model || (model.model && !unit_find_cell(e->unit, u->cell, &second).cell))
        return second.model ? NULL : model_of_use(e, s, u, model.model, path);
    Inst *inst = inst_of_use(e, s, u, path);
    if (inst)
        inst_params(e, inst);
    return inst;
}

static bool constant_count(Elab *e, Scope *s, const Expr *x, int64_t *n)
{
    Dim d;
    if (!elab_dim(e, s, x, &d))
        return false;
    if (dim_is_const(e->dims, d, n) && *n >= 0 && *n <= 256)
        return true;
    diag_help(diag(e->diags, E_NOT_A_SIZE, x->at, "a number of layers must be known when compiling, and at most 256"),
              STR("bind the dimension with -D, as in `-D N=4`"));
    return false;
}

static void add_use(Elab *e, Scope *s, const Use *u, Str path)
{
    int64_t n = 1;
    Inst *made = NULL;
    if (!u->count)
        made = make_inst(e, s, u, str_fmt(e->arena, "%.*s%.*s.", STRF(path), STRF(u->name.text)));
    else if (constant_count(e, s, u->count, &n)) {
        made = NEW(e->arena, Inst);
        *made = (Inst){.is_array = true, .item = NEWN(e->arena, Inst *, n), .nitem = (uint32_t)n};
        for (uint32_t i = 0; i < (uint32_t)n; i++)
            if (!(made->item[i] = make_inst(e, s, u, str_fmt(e->arena, "%.*s%.*s.%u.", STRF(path), STRF(u->name.text), i))))
                made = NULL, i = (uint32_t)n;
    }
    Sym *sym = scope_add(e, s, u->name, made ? SYM_INST : SYM_VALUE);
    if (made)
        sym->inst = made;
    else
        sym->val = poison;
}

static bool is_definition(Elab *e, Ident name)
{
    Definition second;
    return unit_find_cell(e->unit, name, &second).cell || unit_find_model(e->unit, name, &second).model;
}

Inst *find_inst(Elab *e, Scope *s, const Expr *x)
{
    const Expr *name = x->kind == EX_INDEX ? x->index.base : x;
    Sym *sym = name->kind == EX_NAME ? scope_find(s, name->name) : NULL;
    Dim at;
    int64_t i;
    if (name->kind == EX_NAME && !sym && is_definition(e, (Ident){name->name, name->at})) {
        diag_help(diag(e->diags, E_TYPE, x->at, str_c(e->arena, str_fmt(e->arena, "`%.*s` is a cell or a model, and what runs is an instance of one", STRF(name->name)))),
                  str_fmt(e->arena, "make one: `use run = %.*s[...]`", STRF(name->name)));
        return NULL;
    }
    if (name->kind == EX_NAME && !sym) {
        report_unknown(e, s, (Ident){name->name, name->at});
        return NULL;
    }
    if (sym && sym->kind == SYM_VALUE && is_poison(sym->val))
        return NULL;
    if (!sym || sym->kind != SYM_INST) {
        diag(e->diags, E_TYPE, x->at, "this runs an instance: name one that `use` made");
        return NULL;
    }
    if (sym->inst->is_array != (x->kind == EX_INDEX)) {
        diag(e->diags, E_TYPE, x->at, sym->inst->is_array ? "this is a list of instances: choose one, as in `layer[0]`" : "this is one instance, not a list");
        return NULL;
    }
    if (x->kind != EX_INDEX)
        return sym->inst;
    if (x->index.nsub != 1 || x->index.sub[0].slice || !elab_dim(e, s, x->index.sub[0].lo, &at))
        return NULL;
    if (!dim_is_const(e->dims, at, &i) || i < 0 || i >= sym->inst->nitem) {
        diag(e->diags, E_INDEX, x->at, str_c(e->arena, str_fmt(e->arena, "the list has instances 0 to %u", sym->inst->nitem - 1)));
        return NULL;
    }
    return sym->inst->item[i];
}

/* ---- scans ---- */

typedef struct ScanOptions {
    const Expr *reverse; /* the word itself, or the axes of a sweep */
    const Expr *length, *reset, *from, *mask;
    struct GraphPlan *on; /* of a walk */
} ScanOptions;

static bool scan_option(Elab *e, const Arg *a, ScanOptions *o)
{
    Str name = a->name.text;
    if (!name.n && a->value->kind == EX_NAME && str_is(a->value->name, "reverse"))
        o->reverse = a->value;
    else if (str_is(name, "reverse"))
        o->reverse = a->value;
    else if (str_is(name, "length"))
        o->length = a->value;
    else if (str_is(name, "reset"))
        o->reset = a->value;
    else if (str_is(name, "from"))
        o->from = a->value;
    else if (str_is(name, "mask"))
        o->mask = a->value;
    else if (str_is(name, "on") && o->on) /* see walk_graph */
        return true;
    else if (str_is(name, "steps") || str_is(name, "until"))
        diag(e->diags, E_UNSUPPORTED, a->name.at, str_c(e->arena, str_fmt(e->arena, "the option `%.*s` is not supported yet", STRF(name))));
    else
        return false;
    return true;
}

bool input_named(const Decl *input, uint32_t n, Str name, uint32_t *i)
{
    for (*i = 0; *i < n; ++*i)
        if (str_eq(input[*i].name.text, name))
            return true;
    return false;
}

void input_is_missing(Elab *e, Span at, Str input, Str of)
{
    diag(e->diags, E_ARGUMENTS, at, str_c(e->arena, str_fmt(e->arena, "input `%.*s` of `%.*s` is missing", STRF(input), STRF(of))));
}

/* The leading axes of an input are those of its places, and all inputs must agree on them. */
static bool fit_places(Elab *e, const Cell *cell, const Type *have, const uint8_t *axis, uint8_t lead, Dim *extent, Span at)
{
    for (uint8_t k = 0; k < lead; k++) {
        if (extent[axis[k]] != NO_SIZE && extent[axis[k]] != have->dim[k]) {
            diag(e->diags, E_SHAPE, at,
                 cell->domain == DOMAIN_GRID    ? "the inputs of one sweep need the same extent along each axis"
                 : cell->domain == DOMAIN_GRAPH ? "an input of a walk has a value for each node, edge or pair of the graph, as it lives on"
                                                : "the inputs of one scan need one length");
            return false;
        }
        extent[axis[k]] = have->dim[k];
    }
    return true;
}

static bool fit_input(Elab *e, Inst *inst, uint32_t i, Val *v, Dim *extent, Span at)
{
    const Decl *d = &inst->cell->input[i];
    uint8_t axis[REC_MAXAXES];
    Type want, have;
    if (is_poison(*v) || !elab_type(e, inst->outer, &d->type, &want))
        return false;
    *v = to_dtype(e, *v, want.dt);
    have = val_type(e, *v);
    uint8_t lead = d->is_const ? 0 : input_axes(inst->cell, d, axis);
    bool fits = v->nfree == 0 && have.dt == want.dt && have.rank == want.rank + lead;
    for (uint8_t k = 0; fits && k < want.rank; k++)
        fits = have.dim[k + lead] == want.dim[k];
    if (!fits) {
        diag_also(diag(e->diags, E_SHAPE, at,
                       str_c(e->arena, str_fmt(e->arena, "input `%.*s` takes %.*s%s, and here %.*s is given", STRF(d->name.text),
                                               STRF(type_str(e->arena, e->dims, &want)), lead == 1 ? " for every place (one more leading axis)" : lead ? " for every place (an axis more for each of the grid's)" : "",
                                               STRF(val_str(e, *v))))),
                  d->name.at, STR("declared here"));
        return false;
    }
    return fit_places(e, inst->cell, &have, axis, lead, extent, at);
}

static void unknown_argument(Elab *e, const Cell *cell, const Arg *a)
{
    Names names = {0};
    Str word = a->name.text.n ? a->name.text : a->value->kind == EX_NAME ? a->value->name : (Str){0};
    static const char *const option[] = {"reverse", "length", "reset", "from", "mask", "on"};
    for (size_t i = 0; i < sizeof option / sizeof *option; i++)
        vec_push(e->arena, &names, str_of(option[i]));
    for (uint32_t i = 0; a->name.text.n && i < cell->ninput; i++)
        vec_push(e->arena, &names, cell->input[i].name.text);
    Diag *d = diag(e->diags, E_ARGUMENTS, a->name.text.n ? a->name.at : a->value->at,
                   a->name.text.n ? str_c(e->arena, str_fmt(e->arena, "`%.*s` has no input `%.*s`, and `scan` no such option", STRF(cell->name.text), STRF(word)))
                                  : "more inputs than the cell has");
    Str near = nearest(word, names.p, names.n);
    if (near.n)
        diag_help(d, str_fmt(e->arena, "did you mean `%.*s`?", STRF(near)));
}

static bool scan_inputs(Elab *e, Scope *s, const Expr *x, Inst *inst, ScanArgs *args, ScanOptions *o)
{
    const Cell *cell = inst->cell;
    uint32_t next = 0, which;
    bool ok = true;
    args->input = NEWN(e->arena, Val, cell->ninput);
    for (uint32_t i = 0; i < cell->ninput; i++)
        args->input[i] = poison;
    for (uint8_t i = 0; i < REC_MAXAXES; i++)
        args->extent[i] = NO_SIZE;
    if (cell->domain == DOMAIN_GRAPH && !walk_graph(e, s, x, args->extent, &o->on))
        return false;
    for (uint32_t i = 1; i < x->call.narg; i++) {
        const Arg *a = &x->call.arg[i];
        if (scan_option(e, a, o))
            continue;
        if (a->name.text.n ? !input_named(cell->input, cell->ninput, a->name.text, &which) : next >= cell->ninput) {
            unknown_argument(e, cell, a);
            return false;
        }
        which = a->name.text.n ? which : next++;
        args->input[which] = elab_expr(e, s, a->value);
        ok &= fit_input(e, inst, which, &args->input[which], args->extent, a->value->at);
    }
    for (uint32_t i = 0; i < cell->ninput && ok; i++)
        if (is_poison(args->input[i])) {
            input_is_missing(e, x->at, cell->input[i].name.text, cell->name.text);
            ok = false;
        }
    for (uint8_t i = 0; ok && i < cell_axes(cell); i++)
        if (args->extent[i] == NO_SIZE) {
            diag(e->diags, E_UNSUPPORTED, x->at,
                 cell->domain == DOMAIN_GRID ? "no input says how far the grid goes along each axis" : "a cell without per-step inputs cannot be scanned yet");
            ok = false;
        }
    args->length = args->extent[0];
    return ok;
}

static Val int_option(Elab *e, Scope *s, const Expr *x, const char *what)
{
    Val n = elab_expr(e, s, x);
    if (is_poison(n))
        return n;
    Type t = val_type(e, n);
    if (!n.nfree && !t.rank && t.dt == DT_INT)
        return n;
    diag(e->diags, E_TYPE, x->at, str_c(e->arena, str_fmt(e->arena, "%s is an int, and this is %.*s", what, STRF(val_str(e, n)))));
    return poison;
}

static bool scan_masks(Elab *e, Scope *s, const ScanOptions *o, ScanArgs *args)
{
    args->active = args->cut = REC_NONE;
    if (o->mask) {
        diag_help(diag(e->diags, E_UNSUPPORTED, o->mask->at, "a scan has no mask"), STR("`length = n` and `reset = r` say what there is of a sequence"));
        return false;
    }
    if (o->length) {
        Val n = int_option(e, s, o->length, "a length");
        if (is_poison(n))
            return false;
        args->active = rec_map2(&e->b, FUN_LT, rec_iota(&e->b, args->length), n.v);
    }
    if (o->reset) {
        Val r = elab_expr(e, s, o->reset);
        if (is_poison(r))
            return false;
        Type t = val_type(e, r);
        if (r.nfree || t.rank != 1 || t.dt != DT_BOOL || t.dim[0] != args->length) {
            diag(e->diags, E_TYPE, o->reset->at, str_c(e->arena, str_fmt(e->arena, "resets are a bool for every place, and this is %.*s", STRF(val_str(e, r)))));
            return false;
        }
        args->cut = r.v;
    }
    return true;
}

static Val group_value(Elab *e, Scope *s, const Expr *x, Str name)
{
    for (uint32_t i = 0; i < x->group.n; i++)
        if (str_eq(x->group.item[i].name.text, name))
            return elab_expr(e, s, x->group.item[i].value);
    return poison;
}

/* `from = run.last` or `from = (h = a, c = b)` */
static bool scan_from(Elab *e, Scope *s, Inst *inst, const Expr *x, ScanArgs *args)
{
    Run *run = NULL;
    args->from = NEWN(e->arena, Val, inst->state.n);
    if (x->kind == EX_FIELD && str_is(x->field.name.text, "last")) {
        const Expr *base = x->field.base;
        Sym *sym = base->kind == EX_NAME ? scope_find(s, base->name) : NULL;
        if (sym && sym->kind == SYM_LET) {
            let_value(e, sym);
            run = sym->let.def->run;
        } else if (base->kind == EX_CALL)
            elab_run(e, s, base, &run);
    }
    if (!run && x->kind != EX_GROUP) {
        diag(e->diags, E_TYPE, x->at, "`from` takes the final states of a run, `run.last`, or named values, `(h = a, c = b)`");
        return false;
    }
    if (run && (run->inst->model || run->inst->cell->domain != DOMAIN_LINE)) {
        diag(e->diags, E_UNSUPPORTED, x->at, run->inst->model ? "a model has no last states" : "a sweep or walk has no last states");
        return false;
    }
    for (uint32_t i = 0; i < inst->state.n; i++) {
        StateDef *st = inst->state.p[i];
        Val v = poison;
        for (uint32_t k = 0; run && k < run->nlast; k++)
            if (str_eq(run->inst->state.p[k]->decl->name.text, st->decl->name.text))
                v = run->last[k];
        if (!run)
            v = group_value(e, s, x, st->decl->name.text);
        v = to_dtype(e, v, st->type.dt);
        Type have = is_poison(v) ? st->type : val_type(e, v), want = st->type;
        if (st->nlag > 1) {
            memmove(want.dim + 1, want.dim, sizeof(Dim) * want.rank++);
            want.dim[0] = dim_const(e->dims, st->nlag);
        }
        if (!is_poison(v) && (v.nfree || !type_eq(&have, &want))) {
            diag(e->diags, E_SHAPE, x->at, str_c(e->arena, str_fmt(e->arena, "state `%.*s` starts as %.*s, and here %.*s is given",
                                                                   STRF(st->decl->name.text), STRF(type_str(e->arena, e->dims, &want)), STRF(val_str(e, v)))));
            return false;
        }
        args->from[i] = v;
    }
    return true;
}

/* `reverse = r` or `reverse = (r, s)`: the axes that run from their end. */
static bool sweep_corner(Elab *e, const Cell *cell, const Expr *x, uint32_t *corner)
{
    uint32_t n = x->kind == EX_GROUP ? x->group.n : 1;
    for (uint32_t i = 0; i < n; i++) {
        const Expr *axis = x->kind == EX_GROUP ? x->group.item[i].value : x;
        bool found = false;
        for (uint32_t k = 0; axis->kind == EX_NAME && k < cell->nindex; k++)
            if (str_eq(axis->name, cell->index[k].text)) {
                *corner |= 1u << k;
                found = true;
            }
        if (found)
            continue;
        diag_help(diag(e->diags, E_ARGUMENTS, axis->at, "`reverse` names axes of the cell's grid, those that begin at their end"),
                  str_fmt(e->arena, "write `reverse = %.*s`, or several in parentheses", STRF(cell->index[0].text)));
        return false;
    }
    return true;
}

/* `length = (n, m)`: one for each axis. */
static bool sweep_lengths(Elab *e, Scope *s, const Cell *cell, const Expr *x, RecId *length)
{
    uint32_t n = x->kind == EX_GROUP ? x->group.n : 1;
    if (n != cell->nindex) {
        diag(e->diags, E_ARGUMENTS, x->at, str_c(e->arena, str_fmt(e->arena, "a sweep over %u axes takes as many lengths, and here are %u", cell->nindex, n)));
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        Val v = int_option(e, s, x->kind == EX_GROUP ? x->group.item[i].value : x, "a length");
        if (is_poison(v))
            return false;
        length[i] = v.v;
    }
    return true;
}

/* `mask = m`: a bool for each place, or node. */
static bool mask_option(Elab *e, Scope *s, const Expr *x, uint8_t naxes, ScanArgs *args)
{
    Val m = elab_expr(e, s, x);
    if (is_poison(m))
        return false;
    Type t = val_type(e, m);
    bool fits = !m.nfree && t.rank == naxes && t.dt == DT_BOOL;
    for (uint8_t i = 0; fits && i < naxes; i++)
        fits = t.dim[i] == args->extent[i];
    if (!fits)
        diag(e->diags, E_TYPE, x->at, str_c(e->arena, str_fmt(e->arena, "a mask is a bool for every place, and this is %.*s", STRF(val_str(e, m)))));
    args->masked = fits;
    args->mask = m.v;
    return fits;
}

static bool sweep_options(Elab *e, Scope *s, const Cell *cell, const ScanOptions *o, ScanArgs *args)
{
    const Expr *other = o->reset ? o->reset : o->from;
    for (uint8_t i = 0; i < REC_MAXAXES; i++)
        args->lengths[i] = REC_NONE;
    if (other) {
        diag(e->diags, E_UNSUPPORTED, other->at, "a sweep has no resets, and begins with the declared start values");
        return false;
    }
    return (!o->reverse || sweep_corner(e, cell, o->reverse, &args->corner)) &&
           (!o->length || sweep_lengths(e, s, cell, o->length, args->lengths)) && (!o->mask || mask_option(e, s, o->mask, cell_axes(cell), args));
}

/* `scan` for a sequence, `sweep` for a grid, `walk` for a graph. */
static bool right_word(Elab *e, const Expr *x, const Cell *cell)
{
    static const struct {
        const char *word, *over;
    } row[] = {[DOMAIN_LINE] = {"scan", "a sequence is scanned"}, [DOMAIN_GRID] = {"sweep", "a grid is swept"}, [DOMAIN_GRAPH] = {"walk", "a graph is walked"}};
    if (str_is(x->call.callee.text, row[cell->domain].word))
        return true;
    diag_also(diag(e->diags, E_TYPE, x->call.callee.at, str_c(e->arena, str_fmt(e->arena, "a cell over %s: write `%s`", row[cell->domain].over, row[cell->domain].word))),
              cell->index[0].at, STR("what the cell runs over"));
    return false;
}

static bool walk_options(Elab *e, Scope *s, const ScanOptions *o, ScanArgs *args)
{
    const Expr *other = o->reverse ? o->reverse : o->length ? o->length : o->reset ? o->reset : o->from;
    if (other)
        diag(e->diags, E_UNSUPPORTED, other->at, "a walk takes no options but `on` and `mask` yet");
    return !other && (!o->mask || mask_option(e, s, o->mask, 1, args));
}

static bool options_fit(Elab *e, Scope *s, const Cell *cell, const ScanOptions *o, ScanArgs *args)
{
    switch (cell->domain) {
    case DOMAIN_LINE: return scan_masks(e, s, o, args);
    case DOMAIN_GRID: return sweep_options(e, s, cell, o, args);
    case DOMAIN_GRAPH: return walk_options(e, s, o, args);
    }
    ice("elab_scan: domain %d", (int)cell->domain);
}

static Run *run_inst(Elab *e, Inst *inst, const ScanOptions *o, ScanArgs *args, Span at)
{
    switch (inst->cell->domain) {
    case DOMAIN_LINE: return scan_cell(e, inst, args, at);
    case DOMAIN_GRID: return sweep_cell(e, inst, args, at);
    case DOMAIN_GRAPH: return walk_cell(e, inst, args, o->on, at);
    }
    ice("elab_scan: domain %d", (int)inst->cell->domain);
}

static bool elab_scan(Elab *e, Scope *s, const Expr *x, Run **out)
{
    ScanArgs args = {0};
    ScanOptions o = {0};
    if (!x->call.narg || x->call.arg[0].name.text.n) {
        diag(e->diags, E_ARGUMENTS, x->at, str_c(e->arena, str_fmt(e->arena, "`%.*s` takes an instance and its inputs", STRF(x->call.callee.text))));
        return false;
    }
    if (s->inst) {
        diag(e->diags, E_UNSUPPORTED, x->at, "a cell cannot scan another cell; call it for one step");
        return false;
    }
    Inst *owner = find_inst(e, s, x->call.arg[0].value);
    if (owner && owner->model) {
        diag_help(diag(e->diags, E_TYPE, x->call.arg[0].value->at, "this is a model"), STR("write `apply(name, inputs)`"));
        return false;
    }
    if (!owner || !right_word(e, x, owner->cell) || !scan_inputs(e, s, x, owner, &args, &o) || !options_fit(e, s, owner->cell, &o, &args))
        return false;
    if (o.from && !scan_from(e, s, owner, o.from, &args))
        return false;
    owner->nscan++;
    Str path = owner->nscan == 1 ? owner->path : str_fmt(e->arena, "%.*s%u.", STRF(owner->path), owner->nscan);
    Inst *fresh = inst_new(e, owner->cell, path, owner->dim, owner->ndim, x->at, false);
    if (!fresh)
        return false;
    inst_share(e, fresh, owner);
    args.reverse = o.reverse != NULL;
    args.with_starts = !o.from;
    args.prefix = STR("");
    *out = run_inst(e, fresh, &o, &args, x->at);
    return *out != NULL;
}

/* ---- the body ---- */

static void add_params(Elab *e, Scope *s, const Stmt *st, Str path)
{
    for (uint32_t i = 0; i < st->decls.n; i++) {
        const Decl *d = &st->decls.decl[i];
        Type type;
        Val v = poison;
        if (elab_type(e, s, &d->type, &type)) {
            uint32_t arg = e->prog->arg.n;
            v = arg_val(e, (RecArg){.name = str_fmt(e->arena, "%.*s%.*s", STRF(path), STRF(d->name.text)), .role = ROLE_PARAM, .type = type,
                                    .doc = d->doc, .at = d->name.at, .frozen = d->frozen});
            elab_init(e, s, d, arg, &type);
        }
        scope_add(e, s, d->name, SYM_VALUE)->val = v;
    }
}

static void loop_states(Elab *e, Scope *s, const Stmt *st, const Stmt *loop)
{
    for (uint32_t i = 0; i < st->decls.n; i++) {
        const Decl *d = &st->decls.decl[i];
        LoopState *ls = NEW(e->arena, LoopState);
        Type want;
        ls->var = loop->loop.var;
        ls->before = d->init ? elab_expr(e, s, d->init) : poison;
        if (elab_type(e, s, &d->type, &want) && !is_poison(ls->before)) {
            ls->before = to_dtype(e, ls->before, want.dt);
            ls->before = broadcast_val(e, ls->before, &want, NULL, 0);
            Type have = is_poison(ls->before) ? want : val_type(e, ls->before);
            if (!type_eq(&have, &want))
                diag(e->diags, E_SHAPE, d->init->at, str_c(e->arena, str_fmt(e->arena, "`%.*s` is %.*s, but its start value is %.*s", STRF(d->name.text),
                                                                             STRF(type_str(e->arena, e->dims, &want)), STRF(val_str(e, ls->before)))));
        } else if (!d->init)
            diag(e->diags, E_TYPE, d->name.at, "a state of a model's loop needs a start value: `= e`");
        ls->now = ls->before;
        ls->has_now = true;
        scope_add(e, s, d->name, SYM_LOOP)->loop = ls;
    }
}

static void loop_equation(Elab *e, Scope *round, const Stmt *st)
{
    const Target *t = &st->let.target[0];
    Sym *sym = scope_find(round, t->name.text);
    if (!sym || sym->kind != SYM_LOOP) {
        diag(e->diags, E_NOT_A_STATE, t->name.at, str_c(e->arena, t->name.text));
        return;
    }
    LoopState *ls = sym->loop;
    Val v = t->nindex ? indexed_equation(e, round, t, st->let.value) : elab_expr(e, round, st->let.value);
    Type want = is_poison(ls->before) ? (Type){0} : val_type(e, ls->before);
    v = to_dtype(e, v, want.dt);
    Type have = is_poison(v) ? want : val_type(e, v);
    if (!is_poison(ls->before) && !type_eq(&want, &have))
        diag(e->diags, E_SHAPE, st->let.value->at,
             str_c(e->arena, str_fmt(e->arena, "`%.*s` is %.*s, but its equation gives %.*s", STRF(t->name.text), STRF(val_str(e, ls->before)),
                                     STRF(val_str(e, v)))));
    ls->now = v;
    ls->has_now = true;
}

static void loop_rounds(Elab *e, Scope *s, const Stmt *st, int64_t n)
{
    for (int64_t k = 0; k < n; k++) {
        Scope *round = scope_new(e, s);
        round->region = REC_FORWARD;
        scope_add(e, round, st->loop.var, SYM_DIM)->dim = dim_const(e->dims, k);
        for (uint32_t i = 0; i < s->sym.n; i++)
            if (s->sym.p[i].kind == SYM_LOOP && s->sym.p[i].loop->var.at.begin == st->loop.var.at.begin) {
                s->sym.p[i].loop->before = s->sym.p[i].loop->now;
                s->sym.p[i].loop->has_now = false;
            }
        for (uint32_t i = 0; i < st->loop.n; i++)
            if (st->loop.body[i]->kind == ST_LET)
                bind_let(e, round, st->loop.body[i]);
        for (uint32_t i = 0; i < st->loop.n; i++)
            if (st->loop.body[i]->kind == ST_EQUATION)
                loop_equation(e, round, st->loop.body[i]);
    }
}

static void run_loop(Elab *e, Scope *s, const Stmt *st)
{
    int64_t n;
    if (st->loop.until) {
        diag(e->diags, E_UNSUPPORTED, st->loop.until->at, "a model's loop cannot stop early yet");
        return;
    }
    for (uint32_t i = 0; i < st->loop.n; i++) {
        StmtKind kind = st->loop.body[i]->kind;
        if (kind == ST_STATE)
            loop_states(e, s, st->loop.body[i], st);
        else if (kind != ST_LET && kind != ST_EQUATION)
            diag(e->diags, E_UNSUPPORTED, st->loop.body[i]->at, "a model's loop holds states, `let`s and equations");
    }
    if (constant_count(e, s, st->loop.count, &n))
        loop_rounds(e, s, st, n);
}

void model_parts(Elab *e, Scope *s, const Model *m, Str path)
{
    for (uint32_t i = 0; i < m->nbody; i++) {
        const Stmt *st = m->body[i];
        if (st->kind == ST_PARAM)
            add_params(e, s, st, path);
        for (uint32_t k = 0; st->kind == ST_USE && k < st->uses.n; k++)
            add_use(e, s, &st->uses.use[k], path);
    }
}

static void model_statement(Elab *e, Scope *s, const Stmt *st)
{
    switch (st->kind) {
    case ST_LET: bind_let(e, s, st); return;
    case ST_FN: bind_fn(e, s, st->fn); return;
    case ST_STATE: diag(e->diags, E_UNSUPPORTED, st->at, "a model has states only inside `for`"); return;
    case ST_EQUATION: diag(e->diags, E_NOT_A_STATE, st->let.target[0].name.at, str_c(e->arena, st->let.target[0].name.text)); return;
    case ST_PARAM:
    case ST_USE:
    case ST_FOR: return;
    }
}

void model_body(Elab *e, Scope *s, const Model *m)
{
    for (uint32_t i = 0; i < m->nbody; i++)
        model_statement(e, s, m->body[i]);
    for (uint32_t i = 0; i < m->nbody; i++)
        if (m->body[i]->kind == ST_FOR)
            run_loop(e, s, m->body[i]);
    for (uint32_t i = 0; i < s->sym.n; i++)
        if (s->sym.p[i].kind == SYM_LET)
            let_value(e, &s->sym.p[i]);
}

bool declared_dim(const Model *m, Str name)
{
    for (uint32_t i = 0; i < m->ndim; i++)
        if (str_eq(m->dim[i].name.text, name))
            return true;
    return false;
}

/* Sizes that are met first in an input's type come with the data: the first one is the time of the sequence. */
static void time_dims(Elab *e, Scope *s, const Model *m)
{
    for (uint32_t i = 0; i < m->ninput; i++)
        for (uint32_t k = 0; k < m->input[i].type.ndim; k++) {
            const Expr *x = m->input[i].type.dim[k];
            if (x->kind != EX_NAME || declared_dim(m, x->name) || scope_find(s, x->name) || is_graph_type(&m->input[i].type))
                continue;
            no_other_times(e, m, (Ident){x->name, x->at});
            if (str_is(x->name, "B") || str_is(x->name, "keep")) {
                diag(e->diags, E_RESERVED, x->at, "B and keep are taken: they are the batch and a flag in the generated interface");
                continue;
            }
            DimSym sym = dim_sym_new(e->dims, x->name, DIM_TIME);
            if (!e->prog->has_time)
                e->prog->time = sym;
            e->prog->has_time = true;
            vec_push(e->arena, &e->prog->open, sym);
            scope_add(e, s, (Ident){x->name, x->at}, SYM_DIM)->dim = dim_of(e->dims, sym);
        }
}

Val model_value(Elab *e, Scope *s, const Decl *d)
{
    Type want;
    Sym *sym = scope_find(s, d->name.text);
    if (!sym) {
        report_unknown(e, s, d->name);
        return poison;
    }
    Expr name = {.kind = EX_NAME, .at = d->name.at, .name = d->name.text};
    Val v = elab_expr(e, s, &name);
    if (is_poison(v) || !elab_type(e, s, &d->type, &want))
        return poison;
    v = want.dt == DT_COMPLEX ? to_dtype(e, v, DT_COMPLEX) : v;
    Type have = val_type(e, v);
    if (type_eq(&have, &want))
        return v;
    diag_also(diag(e->diags, E_SHAPE, d->name.at,
                   str_c(e->arena, str_fmt(e->arena, "output `%.*s` is declared as %.*s, but it is %.*s", STRF(d->name.text),
                                           STRF(type_str(e->arena, e->dims, &want)), STRF(val_str(e, v))))),
              sym->name.at, STR("computed here"));
    return poison;
}

void elab_model_entry(Elab *e, const Model *m)
{
    Scope *s = cell_scope(e, m->name);
    add_graphs(e, s, m);
    time_dims(e, s, m);
    bind_dims(e, s, m->dim, m->ndim, NULL, 0, true);
    model_parts(e, s, m, STR(""));
    for (uint32_t i = 0; i < m->ninput; i++) {
        const Decl *d = &m->input[i];
        Type type;
        Val v = poison;
        if (is_graph_type(&d->type))
            continue;
        if (elab_type(e, s, &d->type, &type))
            v = arg_val(e, (RecArg){.name = d->name.text, .role = ROLE_INPUT, .type = type, .batched = true, .doc = d->doc, .at = d->name.at});
        scope_add(e, s, d->name, SYM_VALUE)->val = v;
    }
    model_body(e, s, m);
    for (uint32_t i = 0; i < m->noutput; i++) {
        Val v = model_value(e, s, &m->output[i]);
        if (!is_poison(v))
            out_val(e, (RecOut){.name = m->output[i].name.text, .role = OUT_VALUE, .batched = true, .at = m->output[i].name.at}, v);
    }
    elab_finals(e);
}
