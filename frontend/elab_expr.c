/* Expressions: one function per kind of syntax. A value is built while it is checked. */
#include "frontend/elab_internal.h"

#include <math.h>

static Val number(Elab *e, const Expr *x)
{
    if (x->imaginary)
        return complex_of(e, real_const(e, 0), real_const(e, x->number), x->at);
    if (x->is_int && fabs(x->number) < 2147483648.0)
        return val_of(rec_const(&e->b, DT_INT, x->number));
    return real_const(e, x->number);
}

static Val index_value(Elab *e, IndexVar *iv, Span at)
{
    if (iv->size == NO_SIZE) {
        diag_help(diag(e->diags, E_INDEX, at,
                       str_c(e->arena, str_fmt(e->arena, "the range of index `%.*s` is not known", STRF(iv->name.text)))),
                  STR("let it stand alone on some axis, or say it: `i in N`"));
        return poison;
    }
    Val v = val_of(rec_iota(&e->b, iv->size));
    v.nfree = 1;
    v.free[0] = iv;
    return v;
}

static Val place_index(Elab *e, Scope *s, uint32_t axis, Span at)
{
    Inst *inst = s->inst;
    while (inst && inst->parent)
        inst = inst->parent;
    if (inst && inst->cell->domain == DOMAIN_GRID && inst->place[axis] != REC_NONE)
        return val_of(inst->place[axis]);
    if (!inst || inst->index == REC_NONE) {
        diag(e->diags, E_BAD_PLACE, at, "the place has no number here: start values are outside the sequence");
        return poison;
    }
    return val_of(inst->index);
}

static Val symbol_itself(Elab *e, Scope *s, Sym *sym, Ident name)
{
    switch (sym->kind) {
    case SYM_DIM: return val_of(rec_dim(&e->b, sym->dim));
    case SYM_VALUE: return sym->val;
    case SYM_LET: return sym->let.def->range ? graph_let_bare(e, name) : let_value(e, sym);
    case SYM_STATE: return state_now(e, sym->state);
    case SYM_INDEX: return index_value(e, sym->index, name.at);
    case SYM_PLACE: return place_index(e, s, sym->axis, name.at);
    case SYM_COUNTER: return loop_counter(e, sym->counts);
    case SYM_LAST: return loop_last(e, sym);
    case SYM_RUN: return run_output(sym->run, 0);
    case SYM_LOOP:
        if (!sym->loop->has_now) {
            diag(e->diags, E_CYCLE, name.at, str_c(e->arena, name.text));
            return poison;
        }
        return sym->loop->now;
    case SYM_NODE: diag(e->diags, E_TYPE, name.at, "a node has no value: read a state or an input there, as in `h[u]`"); return poison;
    case SYM_GRAPH: diag(e->diags, E_TYPE, name.at, "a graph has no value: `walk(name, inputs, on = g)` runs a cell over it"); return poison;
    case SYM_FN:
    case SYM_INST: break;
    }
    diag(e->diags, E_TYPE, name.at,
         str_c(e->arena, str_fmt(e->arena, "`%.*s` is %s, not a value", STRF(name.text),
                                 sym->kind == SYM_FN ? "a function" : "an instance of a cell")));
    return poison;
}

static Val symbol_value(Elab *e, Scope *s, Sym *sym, Ident name)
{
    if (sym->kind == SYM_VALUE && sym->delay && sym->delay->decl->nplace && s->inst && s->inst->cell->domain == DOMAIN_GRAPH) {
        diag(e->diags, E_BAD_PLACE, name.at, "an input on edges is read at one, as in `a[e]`");
        return poison;
    }
    return graph_value(e, s, symbol_itself(e, s, sym, name), name.at);
}

static Val name_value(Elab *e, Scope *s, Ident name)
{
    Sym *sym = scope_find(s, name.text);
    if (sym)
        return symbol_value(e, s, sym, name);
    if (str_is(name.text, "inf"))
        return real_const(e, INFINITY);
    if (str_is(name.text, "pi"))
        return real_const(e, 3.14159265358979323846);
    report_unknown(e, s, name);
    return poison;
}

static bool is_const(Elab *e, Val v, double *x)
{
    const RecOp *op = rec_op(e->prog, v.v);
    *x = op->number;
    return op->kind == REC_CONST && !v.is_complex;
}

static Val want_number(Elab *e, Val v, Span at)
{
    if (is_poison(v) || val_dtype(e, v) != DT_BOOL)
        return v;
    diag_help(diag(e->diags, E_TYPE, at, "this is a bool, and arithmetic needs numbers"), STR("write `real(...)` or `int(...)` around it"));
    return poison;
}

static Val want_bool(Elab *e, Val v, Span at)
{
    if (is_poison(v) || val_dtype(e, v) == DT_BOOL)
        return v;
    diag(e->diags, E_TYPE, at, str_c(e->arena, str_fmt(e->arena, "a bool is needed here, and this is %.*s", STRF(val_str(e, v)))));
    return poison;
}

static Val unary(Elab *e, Scope *s, const Expr *x)
{
    double c;
    Val a = elab_expr(e, s, x->un.a);
    if (x->un.op == UN_NOT) {
        a = want_bool(e, a, x->un.a->at);
        return map_vals(e, FUN_NOT, &a, 1, x->at);
    }
    a = want_number(e, a, x->un.a->at);
    if (!is_poison(a) && is_const(e, a, &c))
        return val_of(rec_const(&e->b, val_dtype(e, a), -c));
    return map_vals(e, FUN_NEG, &a, 1, x->at);
}

static Val power(Elab *e, Val a, Val c, Span at)
{
    double k;
    Val aa[2] = {a, a};
    if (is_const(e, c, &k)) {
        if (k == 0)
            return real_const(e, 1);
        if (k == 1)
            return a;
        if (k == 2)
            return map_vals(e, FUN_MUL, aa, 2, at);
        if (k == 3) {
            Val three[2] = {map_vals(e, FUN_MUL, aa, 2, at), a};
            return map_vals(e, FUN_MUL, three, 2, at);
        }
        a = to_real(e, a);
        if (k == 0.5)
            return map_vals(e, FUN_SQRT, &a, 1, at);
        if (k == -0.5 || k == -1) {
            Val one[2] = {real_const(e, 1), k == -1 ? a : map_vals(e, FUN_SQRT, &a, 1, at)};
            return map_vals(e, FUN_DIV, one, 2, at);
        }
    }
    Val real[2] = {to_real(e, a), to_real(e, c)};
    return map_vals(e, FUN_POW, real, 2, at);
}

static Val compare(Elab *e, BinaryOp op, Val a, Val c, Span at)
{
    bool swap = op == BIN_GT || op == BIN_GE;
    Val pair[2] = {swap ? c : a, swap ? a : c};
    Fun f = op == BIN_EQ ? FUN_EQ : op == BIN_NE ? FUN_NE : op == BIN_LT || op == BIN_GT ? FUN_LT : FUN_LE;
    return map_vals(e, f, pair, 2, at);
}

/* Brings two numbers to one element type: real as soon as one of them is. */
static void same_type(Elab *e, Val *a, Val *c)
{
    if (val_dtype(e, *a) == val_dtype(e, *c))
        return;
    *a = to_real(e, *a);
    *c = to_real(e, *c);
}

Val elab_binary_op(Elab *e, BinaryOp op, Val a, Val c, Span at)
{
    bool logic = op == BIN_AND || op == BIN_OR, equality = op == BIN_EQ || op == BIN_NE;
    if (is_poison(a) || is_poison(c))
        return poison;
    if (logic) {
        Val pair[2] = {want_bool(e, a, at), want_bool(e, c, at)};
        return map_vals(e, op == BIN_AND ? FUN_AND : FUN_OR, pair, 2, at);
    }
    if (!equality || val_dtype(e, a) != DT_BOOL || val_dtype(e, c) != DT_BOOL) {
        a = want_number(e, a, at);
        c = want_number(e, c, at);
        if (is_poison(a) || is_poison(c))
            return poison;
    }
    if (op == BIN_POW)
        return power(e, a, c, at);
    if (op == BIN_DIV || op == BIN_MATMUL) {
        a = to_real(e, a);
        c = to_real(e, c);
    }
    same_type(e, &a, &c);
    Val pair[2] = {a, c};
    switch (op) {
    case BIN_ADD: return map_vals(e, FUN_ADD, pair, 2, at);
    case BIN_SUB: return map_vals(e, FUN_SUB, pair, 2, at);
    case BIN_MUL: return map_vals(e, FUN_MUL, pair, 2, at);
    case BIN_DIV: return map_vals(e, FUN_DIV, pair, 2, at);
    case BIN_MATMUL: return contract_vals(e, a, c, at);
    default: return compare(e, op, a, c, at);
    }
}

static Val list(Elab *e, Scope *s, const Expr *x)
{
    RecId part[2][64];
    Val item[64];
    Type shape = {0};
    VEC(IndexVar *) all = {0};
    DType number = DT_INT;
    bool bad = false;
    if (!x->list.n || x->list.n > 64) {
        diag(e->diags, E_ARGUMENTS, x->at, "a list has 1 to 64 entries");
        return poison;
    }
    for (uint32_t i = 0; i < x->list.n; i++) {
        item[i] = elab_expr(e, s, x->list.item[i]);
        bad |= is_poison(item[i]);
        DType dt = bad ? DT_INT : val_dtype(e, item[i]);
        number = dt == DT_COMPLEX || (dt == DT_REAL && number == DT_INT) ? dt : number;
    }
    if (bad)
        return poison;
    for (uint32_t i = 0; i < x->list.n; i++) {
        item[i] = to_dtype(e, item[i], number);
        Type t = val_type(e, item[i]);
        shape = t.rank > shape.rank || i == 0 ? t : shape;
        for (uint8_t k = 0; k < item[i].nfree; k++)
            vec_push(e->arena, &all, item[i].free[k]);
    }
    Val first = poison;
    for (uint32_t i = 0; i < x->list.n; i++) {
        Val probe[2] = {broadcast_val(e, item[i], &shape, all.p, all.n), item[0]};
        Type t = val_type(e, probe[0]);
        t.dt = shape.dt;
        if (!type_eq(&t, &shape) || val_dtype(e, probe[0]) != val_dtype(e, item[0])) {
            diag(e->diags, E_SHAPE, x->list.item[i]->at,
                 str_c(e->arena, str_fmt(e->arena, "the entries of a list need one shape: this is %.*s, the first %.*s",
                                         STRF(val_str(e, item[i])), STRF(val_str(e, item[0])))));
            return poison;
        }
        first = i ? first : probe[0];
        Type full = *rec_type(e->prog, probe[0].v);
        uint8_t k = probe[0].nfree;
        memmove(full.dim + k + 1, full.dim + k, sizeof(Dim) * (size_t)(full.rank - k));
        full.dim[k] = DIM_ONE;
        for (uint32_t p = 0; p < nparts(number); p++)
            part[p][i] = rec_reshape(&e->b, val_part(e, probe[0], p).v, (uint8_t)(full.rank + 1), full.dim);
    }
    first.v = rec_concat(&e->b, part[PART_RE], x->list.n, first.nfree);
    if (first.is_complex)
        first.im = rec_concat(&e->b, part[PART_IM], x->list.n, first.nfree);
    return first;
}

/* `run.h[R - 1, S - 1]`: what there is of a sweep where another run has its last states. */
static Str last_place(Elab *e, const Run *run, Str name)
{
    uint32_t i = 0;
    while (i + 1 < run->noutput && !str_eq(run->inst->cell->output[i].text, name))
        i++;
    Type type = val_type(e, run->output[i]);
    Text out = {.arena = e->arena};
    text_add(&out, ".%.*s[", STRF(run->inst->cell->output[i].text));
    for (uint32_t k = 0; k < run->inst->cell->nindex; k++)
        text_add(&out, "%s%.*s - 1", k ? ", " : "", STRF(dim_str(e->arena, e->dims, type.dim[k])));
    text_add(&out, "]");
    return text_str(&out);
}

static Val last_state(Elab *e, const Run *run, const Expr *x)
{
    const Expr *of = x->field.base->field.base;
    for (uint32_t i = 0; i < run->nlast; i++)
        if (str_eq(run->inst->state.p[i]->decl->name.text, x->field.name.text))
            return run->last[i];
    if (run->inst->model) {
        diag_help(diag(e->diags, E_UNSUPPORTED, x->field.base->field.name.at, "a model has no last states"), STR("make them outputs of it"));
        return poison;
    }
    if (run->inst->cell->domain != DOMAIN_GRID) {
        diag(e->diags, E_UNKNOWN_NAME, x->field.name.at, str_c(e->arena, x->field.name.text));
        return poison;
    }
    Str place = last_place(e, run, x->field.name.text), name = of->kind == EX_NAME ? of->name : STR("run");
    diag_help(diag(e->diags, E_UNSUPPORTED, x->field.base->field.name.at, "a sweep has no last states"),
              str_fmt(e->arena, "take an output at the place that is meant, `%.*s%.*s`", STRF(name), STRF(place)));
    return poison;
}

/* `W.T`, `run.y`, `run.last.S`, `inner.h` */
static Val field(Elab *e, Scope *s, const Expr *x)
{
    const Expr *base = x->field.base;
    Str name = x->field.name.text;
    Sym *sym = base->kind == EX_NAME ? scope_find(s, base->name) : NULL;
    bool last = base->kind == EX_FIELD && str_is(base->field.name.text, "last");
    Run *run = NULL;
    if (last && base->field.base->kind == EX_NAME) {
        Sym *r = scope_find(s, base->field.base->name);
        if (r && r->kind == SYM_LET)
            let_value(e, r);
        run = r && r->kind == SYM_LET ? r->let.def->run : r && r->kind == SYM_RUN ? r->run : NULL;
    } else if (last && base->field.base->kind == EX_CALL)
        elab_run(e, s, base->field.base, &run);
    if (last && run)
        return last_state(e, run, x);
    if (sym && sym->kind == SYM_LET && !str_is(name, "T")) {
        let_value(e, sym);
        run = sym->let.def->run;
    }
    if (sym && sym->kind == SYM_RUN)
        run = sym->run;
    if (run) {
        for (uint32_t i = 0; i < run->noutput; i++)
            if (str_eq(run_output_name(run, i), name))
                return run_output(run, i);
        diag(e->diags, E_UNKNOWN_NAME, x->field.name.at, str_c(e->arena, name));
        return poison;
    }
    if (child_state(s, x))
        return graph_value(e, s, state_now(e, child_state(s, x)), x->at);
    if (!str_is(name, "T")) {
        diag(e->diags, E_UNKNOWN_NAME, x->field.name.at, str_c(e->arena, name));
        return poison;
    }
    Val v = elab_expr(e, s, base);
    if (is_poison(v))
        return poison;
    Type t = val_type(e, v);
    if (t.rank < 2) {
        diag(e->diags, E_SHAPE, x->at, str_c(e->arena, str_fmt(e->arena, "`.T` swaps the last two axes, and this is %.*s", STRF(val_str(e, v)))));
        return poison;
    }
    uint8_t order[MAXRANK], rank = (uint8_t)(t.rank + v.nfree);
    for (uint8_t i = 0; i < rank; i++)
        order[i] = i;
    order[rank - 1] = (uint8_t)(rank - 2);
    order[rank - 2] = (uint8_t)(rank - 1);
    v.v = rec_transpose(&e->b, v.v, order);
    if (v.is_complex)
        v.im = rec_transpose(&e->b, v.im, order);
    return v;
}

static Val expr(Elab *e, Scope *s, const Expr *x)
{
    switch (x->kind) {
    case EX_NUMBER: return number(e, x);
    case EX_BOOL: return val_of(rec_const(&e->b, DT_BOOL, x->number));
    case EX_NAME: return name_value(e, s, (Ident){x->name, x->at});
    case EX_UNARY: return unary(e, s, x);
    case EX_BINARY: {
        Val a = elab_expr(e, s, x->bin.a), c = elab_expr(e, s, x->bin.b);
        return elab_binary_op(e, x->bin.op, a, c, x->at);
    }
    case EX_INDEX: return elab_index(e, s, x);
    case EX_FIELD: return field(e, s, x);
    case EX_CALL: return elab_call(e, s, x);
    case EX_REDUCE: return elab_reduce(e, s, x);
    case EX_LIST: return list(e, s, x);
    case EX_GROUP: diag(e->diags, E_TYPE, x->at, "named values in parentheses only follow `from =`"); return poison;
    case EX_TEXT: diag(e->diags, E_TYPE, x->at, "a text is no value; `einsum` takes one"); return poison;
    case EX_ERROR: return poison;
    }
    ice("elab_expr: kind %d", (int)x->kind);
}

static bool too_many_ops(Elab *e, Span at)
{
    if (e->too_many || e->prog->op.n <= MAX_OPS)
        return e->too_many;
    diag_help(diag(e->diags, E_TOO_DEEP, e->call.file ? e->call : at,
                   str_c(e->arena, str_fmt(e->arena, "`%.*s` has more than %d operations up to here", STRF(e->prog->name), (int)MAX_OPS))),
              STR("each call of a function repeats all of its operations: name results that are used twice with `let`"));
    return e->too_many = true;
}

Val elab_expr(Elab *e, Scope *s, const Expr *x)
{
    Span before = e->b.at;
    if (too_many_ops(e, x->at))
        return poison;
    if (e->depth >= MAX_DEPTH * 8) {
        diag(e->diags, E_TOO_DEEP, x->at, "this is nested too deeply, or a function calls itself");
        return poison;
    }
    e->b.at = x->at;
    e->depth++;
    Val v = expr(e, s, x);
    e->depth--;
    e->b.at = before;
    return v;
}
