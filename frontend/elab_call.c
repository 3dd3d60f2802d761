/* Calls: built-in operations, functions of the file and the prelude, and reductions that bind indices. */
#include "frontend/elab_internal.h"

typedef enum Builtin {
    B_UNARY,  /* an elementwise function of one real */
    B_KEEP,   /* an elementwise function that keeps the element type */
    B_REDUCE, /* over all axes */
    B_MINMAX, /* one argument: reduction; two: elementwise */
    B_WHERE, B_INTDIV, B_DOT, B_OUTER, B_CONCAT, B_RESHAPE, B_ONEHOT, B_CAST, B_MEAN,
    B_PART, B_CONJ, B_COMPLEX,
    B_STOP, B_STRAIGHT, /* they steer derivatives */
    B_FLAT,   /* a function of the prelude over all axes as one vector */
} Builtin;

enum { MAX_ARGS = 16 };

typedef struct BuiltinInfo {
    const char *text;
    Builtin kind;
    uint32_t min, max; /* number of arguments */
    Fun fun;
    RecReduce red;
} BuiltinInfo;

static const BuiltinInfo builtins[] = {
    {"exp", B_UNARY, 1, 1, FUN_EXP, RED_SUM},       {"expm1", B_UNARY, 1, 1, FUN_EXPM1, RED_SUM},
    {"log", B_UNARY, 1, 1, FUN_LOG, RED_SUM},       {"log1p", B_UNARY, 1, 1, FUN_LOG1P, RED_SUM},
    {"sqrt", B_UNARY, 1, 1, FUN_SQRT, RED_SUM},     {"tanh", B_UNARY, 1, 1, FUN_TANH, RED_SUM},
    {"sigmoid", B_UNARY, 1, 1, FUN_SIGMOID, RED_SUM}, {"floor", B_UNARY, 1, 1, FUN_FLOOR, RED_SUM},
    {"sin", B_UNARY, 1, 1, FUN_SIN, RED_SUM},       {"cos", B_UNARY, 1, 1, FUN_COS, RED_SUM},
    {"erf", B_UNARY, 1, 1, FUN_ERF, RED_SUM},
    {"abs", B_KEEP, 1, 1, FUN_ABS, RED_SUM},        {"sign", B_KEEP, 1, 1, FUN_SIGN, RED_SUM},
    {"stop", B_STOP, 1, 1, FUN_STOP, RED_SUM},      {"real", B_CAST, 1, 1, FUN_REAL, RED_SUM},
    {"int", B_CAST, 1, 1, FUN_INT, RED_SUM},        {"sum", B_REDUCE, 1, 1, FUN_ID, RED_SUM},
    {"prod", B_REDUCE, 1, 1, FUN_ID, RED_PROD},     {"max", B_MINMAX, 1, 2, FUN_MAX, RED_MAX},
    {"min", B_MINMAX, 1, 2, FUN_MIN, RED_MIN},      {"where", B_WHERE, 3, 3, FUN_WHERE, RED_SUM},
    {"div", B_INTDIV, 2, 2, FUN_IDIV, RED_SUM},     {"mod", B_INTDIV, 2, 2, FUN_IMOD, RED_SUM},
    {"dot", B_DOT, 2, 2, FUN_ID, RED_SUM},          {"outer", B_OUTER, 2, 2, FUN_ID, RED_SUM},
    {"concat", B_CONCAT, 1, 16, FUN_ID, RED_SUM},   {"reshape", B_RESHAPE, 2, 7, FUN_ID, RED_SUM},
    {"one_hot", B_ONEHOT, 2, 2, FUN_ID, RED_SUM},   {"mean", B_MEAN, 1, 1, FUN_ID, RED_SUM},
    {"logsumexp", B_FLAT, 1, 1, FUN_ID, RED_SUM},
    {"re", B_PART, 1, 1, FUN_ID, RED_SUM},          {"im", B_PART, 1, 1, FUN_ID, RED_SUM},
    {"straight", B_STRAIGHT, 2, 2, FUN_CHOSEN, RED_SUM},
    {"conj", B_CONJ, 1, 1, FUN_ID, RED_SUM},        {"complex", B_COMPLEX, 1, 2, FUN_ID, RED_SUM},
};

static const BuiltinInfo *builtin_find(Str name)
{
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
        if (str_is(name, builtins[i].text))
            return &builtins[i];
    return NULL;
}

static Val type_error(Elab *e, Span at, const char *want, Val got)
{
    diag(e->diags, E_TYPE, at, str_c(e->arena, str_fmt(e->arena, "%s is needed here, and this is %.*s", want, STRF(val_str(e, got)))));
    return poison;
}

static bool common_type(Elab *e, Val *a, Val *c)
{
    if (val_dtype(e, *a) == val_dtype(e, *c))
        return true;
    if (val_dtype(e, *a) == DT_BOOL || val_dtype(e, *c) == DT_BOOL)
        return false;
    *a = to_real(e, *a);
    *c = to_real(e, *c);
    return true;
}

static Val where_call(Elab *e, Val *a, Span at)
{
    if (val_dtype(e, a[0]) != DT_BOOL)
        return type_error(e, at, "a bool condition", a[0]);
    if (!common_type(e, &a[1], &a[2]))
        return type_error(e, at, "one element type for both branches", a[2]);
    return map_vals(e, FUN_WHERE, a, 3, at);
}

static Val dot_call(Elab *e, Val *a, Span at)
{
    Type ta = val_type(e, a[0]), tc = val_type(e, a[1]);
    a[0] = to_real(e, a[0]);
    a[1] = to_real(e, a[1]);
    ta.dt = tc.dt = DT_REAL; /* an int goes with a real, a real with a complex number */
    if (!type_eq(&ta, &tc)) {
        diag(e->diags, E_SHAPE, at, str_c(e->arena, str_fmt(e->arena, "`dot` needs two equal shapes, not %.*s and %.*s",
                                                            STRF(val_str(e, a[0])), STRF(val_str(e, a[1])))));
        return poison;
    }
    return reduce_shape(e, RED_SUM, map_vals(e, FUN_MUL, a, 2, at));
}

static Val concat_call(Elab *e, Val *a, uint32_t n, Span at)
{
    RecId part[2][16];
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; a[i].is_complex && k < n; k++)
            a[k] = to_dtype(e, a[k], DT_COMPLEX);
    Type first = val_type(e, a[0]);
    VEC(IndexVar *) all = {0};
    for (uint32_t i = 0; i < n; i++)
        for (uint8_t k = 0; k < a[i].nfree; k++)
            vec_push(e->arena, &all, a[i].free[k]);
    Val out = poison;
    for (uint32_t i = 0; i < n; i++) {
        Type t = val_type(e, a[i]);
        bool fits = t.rank == first.rank && t.rank > 0 && t.dt == first.dt;
        for (uint8_t k = 0; fits && k + 1 < t.rank; k++)
            fits = t.dim[k] == first.dim[k];
        if (!fits) {
            diag(e->diags, E_SHAPE, at,
                 str_c(e->arena, str_fmt(e->arena, "`concat` joins along the last axis; all other axes must be equal: %.*s, %.*s",
                                         STRF(val_str(e, a[0])), STRF(val_str(e, a[i])))));
            return poison;
        }
        Val one = broadcast_val(e, a[i], &t, all.p, all.n);
        if (is_poison(one))
            return poison;
        for (uint32_t p = 0; p < nparts(t.dt); p++)
            part[p][i] = val_part(e, one, p).v;
        out = one;
    }
    uint8_t last = (uint8_t)(rec_type(e->prog, part[PART_RE][0])->rank - 1);
    out.v = rec_concat(&e->b, part[PART_RE], n, last);
    if (out.is_complex)
        out.im = rec_concat(&e->b, part[PART_IM], n, last);
    return out;
}

static Val reshape_call(Elab *e, Scope *s, Val v, const Expr *x)
{
    Type want = {.dt = val_dtype(e, v)}, full = *rec_type(e->prog, v.v), have = val_type(e, v);
    for (uint32_t i = 1; i < x->call.narg; i++)
        if (!elab_size(e, s, x->call.arg[i].value, &want.dim[want.rank++]))
            return poison;
    if (type_size(e->dims, &want) != type_size(e->dims, &have)) {
        Str w = type_str(e->arena, e->dims, &want);
        diag(e->diags, E_SHAPE, x->at, str_c(e->arena, str_fmt(e->arena, "%.*s cannot be reshaped to %.*s", STRF(val_str(e, v)), STRF(w))));
        return poison;
    }
    memcpy(full.dim + v.nfree, want.dim, sizeof(Dim) * want.rank);
    v.v = rec_reshape(&e->b, v.v, (uint8_t)(v.nfree + want.rank), full.dim);
    if (v.is_complex)
        v.im = rec_reshape(&e->b, v.im, (uint8_t)(v.nfree + want.rank), full.dim);
    return v;
}

static Val one_hot_call(Elab *e, Scope *s, Val v, const Expr *x)
{
    Dim n;
    if (!elab_size(e, s, x->call.arg[1].value, &n))
        return poison;
    if (val_dtype(e, v) != DT_INT)
        return type_error(e, x->at, "an int", v);
    /* a new last axis: every own axis of v is an index meanwhile */
    IndexVar *own[MAXRANK];
    Type t = val_type(e, v);
    for (uint8_t k = 0; k < t.rank; k++) {
        own[k] = index_new(e, (Ident){STR("_"), x->at}, t.dim[k]);
        v.free[v.nfree++] = own[k];
    }
    Val pair[2] = {v, val_of(rec_iota(&e->b, n))};
    Val hot = to_real(e, map_vals(e, FUN_EQ, pair, 2, x->at));
    return t.rank ? free_to_shape(e, hot, own, t.rank) : hot;
}

static Val mean_of(Elab *e, Val v, Span at)
{
    Type t = val_type(e, v);
    Val pair[2] = {reduce_shape(e, RED_SUM, to_real(e, v)), to_real(e, val_of(rec_dim(&e->b, type_size(e->dims, &t))))};
    return map_vals(e, FUN_DIV, pair, 2, at);
}

/* `logsumexp(x)`: the prelude's `logsumexp_vector` of all elements. */
static Val flat_call(Elab *e, const BuiltinInfo *bi, Val v, Span at)
{
    Type own = val_type(e, v), full = *rec_type(e->prog, v.v);
    if (v.is_complex)
        return type_error(e, at, "a real number", v);
    full.dim[v.nfree] = type_size(e->dims, &own);
    v.v = rec_reshape(&e->b, to_real(e, v).v, (uint8_t)(v.nfree + 1), full.dim);
    return call_named(e, str_fmt(e->arena, "%s_vector", bi->text).p, &v, 1, at);
}

/* re(z) and im(z) of any number; its axes stay those of z. */
static Val part_call(Elab *e, Val v, uint32_t part)
{
    return v.is_complex || part == PART_RE ? val_part(e, v, part) : zero_like(e, v);
}

static Val complex_call(Elab *e, Val *a, uint32_t n, Span at)
{
    Val im = n == 2 ? a[1] : real_const(e, 0);
    if (n == 1 && a[0].is_complex)
        return a[0];
    if (a[0].is_complex || im.is_complex)
        return type_error(e, at, "a real number", a[0].is_complex ? a[0] : im);
    return complex_of(e, a[0], im, at);
}

static Val cast_call(Elab *e, Fun f, Val v, Span at)
{
    if (v.is_complex)
        return map_vals(e, f, &v, 1, at);
    return f == FUN_REAL ? to_real(e, v) : map_vals(e, FUN_INT, &v, 1, at);
}

static bool all_numbers(Elab *e, Val *a, uint32_t n, Span at)
{
    for (uint32_t i = 0; i < n; i++) {
        if (val_dtype(e, a[i]) == DT_BOOL) {
            type_error(e, at, "a number", a[i]);
            return false;
        }
        a[i] = to_real(e, a[i]);
    }
    return true;
}

/* Differences may disagree with derivatives that are chosen; the prelude chooses none but true ones. */
static void note_chosen(Elab *e, Span at)
{
    e->prog->chosen |= unit_file_of(e->unit, at) != unit_prelude(e->unit);
}

static Val stop_call(Elab *e, Val *a, Span at)
{
    note_chosen(e, at);
    return map_vals(e, FUN_STOP, a, 1, at);
}

/* The value of a, with the derivative of b. */
static Val straight_call(Elab *e, Val *a, Span at)
{
    Val three[3] = {stop_call(e, a, at), a[1], real_const(e, 1)};
    return map_vals(e, FUN_CHOSEN, three, 3, at);
}

static bool all_reals(Elab *e, Val *a, uint32_t n, Span at)
{
    if (!all_numbers(e, a, n, at))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (a[i].is_complex) {
            type_error(e, at, "a real number", a[i]);
            return false;
        }
    return true;
}

static Val builtin_call(Elab *e, Scope *s, const BuiltinInfo *bi, Val *a, const Expr *x)
{
    uint32_t n = x->call.narg;
    switch (bi->kind) {
    case B_UNARY:
        if (val_dtype(e, a[0]) == DT_BOOL)
            return type_error(e, x->at, "a number", a[0]);
        a[0] = to_real(e, a[0]);
        return map_vals(e, bi->fun, a, 1, x->at);
    case B_STOP: return stop_call(e, a, x->at);
    case B_STRAIGHT: return all_reals(e, a, n, x->at) ? straight_call(e, a, x->at) : poison;
    case B_KEEP: return map_vals(e, bi->fun, a, 1, x->at);
    case B_CAST: return cast_call(e, bi->fun, a[0], x->at);
    case B_PART: return all_numbers(e, a, n, x->at) ? part_call(e, a[0], str_is(x->call.callee.text, "im") ? PART_IM : PART_RE) : poison;
    case B_CONJ: return all_numbers(e, a, n, x->at) ? complex_conj(e, a[0], x->at) : poison;
    case B_COMPLEX: return all_numbers(e, a, n, x->at) ? complex_call(e, a, n, x->at) : poison;
    case B_MINMAX:
        if (n == 2) {
            if (!common_type(e, &a[0], &a[1]))
                return type_error(e, x->at, "numbers", a[0]);
            return map_vals(e, bi->fun, a, 2, x->at);
        }
        return reduce_shape(e, bi->red, a[0]);
    case B_REDUCE: return val_dtype(e, a[0]) == DT_BOOL ? type_error(e, x->at, "a number", a[0]) : reduce_shape(e, bi->red, a[0]);
    case B_MEAN: return mean_of(e, a[0], x->at);
    case B_FLAT: return flat_call(e, bi, a[0], x->at);
    case B_WHERE: return where_call(e, a, x->at);
    case B_INTDIV:
        if (val_dtype(e, a[0]) != DT_INT || val_dtype(e, a[1]) != DT_INT)
            return type_error(e, x->at, "an int on both sides", val_dtype(e, a[0]) != DT_INT ? a[0] : a[1]);
        return map_vals(e, bi->fun, a, 2, x->at);
    case B_DOT: return dot_call(e, a, x->at);
    case B_OUTER: return outer_vals(e, to_real(e, a[0]), to_real(e, a[1]), x->at);
    case B_CONCAT: return concat_call(e, a, n, x->at);
    case B_RESHAPE: return reshape_call(e, s, a[0], x);
    case B_ONEHOT: return one_hot_call(e, s, a[0], x);
    }
    ice("builtin_call: %s", bi->text);
}

/* ---- functions of the language ---- */

static bool dim_named(const Fn *fn, const Expr *x, uint32_t *which)
{
    for (uint32_t i = 0; x->kind == EX_NAME && i < fn->ndim; i++)
        if (str_eq(fn->dim[i].name.text, x->name)) {
            *which = i;
            return true;
        }
    return false;
}

/* Finds the function's dimensions from the shapes of its arguments: `x: real[N]` against the last axes of a value. */
static void unify_dims(Elab *e, const Fn *fn, const Val *arg, Dim *dim, bool *known)
{
    for (uint32_t i = 0; i < fn->narg; i++) {
        const TypeExpr *te = &fn->arg[i].type;
        Type t = val_type(e, arg[i]);
        uint32_t which;
        for (uint32_t k = 0; k < te->ndim && te->ndim <= t.rank; k++)
            if (dim_named(fn, te->dim[k], &which) && !known[which]) {
                dim[which] = t.dim[t.rank - te->ndim + k];
                known[which] = true;
            }
    }
}

static bool bind_fn_dims(Elab *e, const Fn *fn, Scope *fs, const Val *arg, Span at)
{
    Dim dim[MAXRANK] = {0};
    bool known[MAXRANK] = {0};
    if (fn->ndim > MAXRANK) {
        diag(e->diags, E_NOT_A_SIZE, fn->at, "a function has at most 8 dimensions");
        return false;
    }
    unify_dims(e, fn, arg, dim, known);
    for (uint32_t i = 0; i < fn->ndim; i++) {
        if (!known[i] && fn->dim[i].value && elab_size(e, fs, fn->dim[i].value, &dim[i]))
            known[i] = true;
        if (!known[i]) {
            diag(e->diags, E_NOT_A_SIZE, at,
                 str_c(e->arena, str_fmt(e->arena, "dimension `%.*s` of `%.*s` does not follow from the arguments",
                                         STRF(fn->dim[i].name.text), STRF(fn->name.text))));
            return false;
        }
        scope_add(e, fs, fn->dim[i].name, SYM_DIM)->dim = dim[i];
    }
    return true;
}

/* Binds one argument; its axes beyond the declared ones become anonymous indices (the function maps over them). */
static bool bind_argument(Elab *e, Scope *fs, const Decl *d, Val v, IndexVar *const *extra, uint32_t nextra, Span at)
{
    Type want, have = val_type(e, v);
    if (!elab_type(e, fs, &d->type, &want))
        return false;
    v = to_dtype(e, v, want.dt);
    bool fits = val_dtype(e, v) == want.dt && have.rank >= want.rank && have.rank - want.rank <= (int)nextra;
    uint8_t more = fits ? (uint8_t)(have.rank - want.rank) : 0;
    for (uint8_t k = 0; fits && k < want.rank; k++)
        fits = have.dim[more + k] == want.dim[k];
    for (uint8_t k = 0; fits && k < more; k++)
        fits = have.dim[k] == extra[nextra - more + k]->size && v.nfree < MAXRANK - 1;
    if (!fits) {
        Str w = type_str(e->arena, e->dims, &want);
        diag_also(diag(e->diags, E_SHAPE, at,
                       str_c(e->arena, str_fmt(e->arena, "argument `%.*s` is %.*s, and here %.*s is given", STRF(d->name.text), STRF(w),
                                               STRF(val_str(e, v))))),
                  d->name.at, STR("declared here"));
        return false;
    }
    for (uint8_t k = 0; k < more; k++)
        v.free[v.nfree++] = extra[nextra - more + k];
    scope_add(e, fs, d->name, SYM_VALUE)->val = v;
    return true;
}

static uint32_t extra_axes(Elab *e, const Fn *fn, const Val *arg, IndexVar **extra, Span at)
{
    uint32_t most = 0, who = 0;
    for (uint32_t i = 0; i < fn->narg; i++) {
        uint32_t rank = val_type(e, arg[i]).rank, more = rank > fn->arg[i].type.ndim ? rank - fn->arg[i].type.ndim : 0;
        if (more > most) {
            most = more;
            who = i;
        }
    }
    Type t = most ? val_type(e, arg[who]) : (Type){0};
    for (uint32_t k = 0; k < most; k++)
        extra[k] = index_new(e, (Ident){STR("_"), at}, t.dim[k]);
    return most;
}

static uint32_t results(const Fn *fn)
{
    return fn->value ? 1 : fn->nresult;
}

static void fn_body(Elab *e, const Fn *fn, Scope *fs, Val *result)
{
    if (fn->value)
        result[0] = elab_expr(e, fs, fn->value);
    for (uint32_t i = 0; i < fn->nbody; i++)
        if (fn->body[i]->kind == ST_LET)
            bind_let(e, fs, fn->body[i]);
        else
            diag(e->diags, E_UNSUPPORTED, fn->body[i]->at, "a function's body has only `let`s");
    for (uint32_t i = 0; i < fn->nresult; i++) {
        Expr name = {.kind = EX_NAME, .at = fn->result[i].at, .name = fn->result[i].text};
        result[i] = elab_expr(e, fs, &name);
    }
}

/* A derivative that the user chose: the value as written, held constant, with these derivatives instead. */
static Val with_derivatives(Elab *e, const Fn *fn, Scope *fs, Val v)
{
    if (!fn->nderivative || is_poison(v))
        return v;
    if (results(fn) > 1) {
        diag(e->diags, E_UNSUPPORTED, fn->derivative[0].name.at, "a derivative can be chosen for a function of one result");
        return poison;
    }
    note_chosen(e, fn->at);
    v = map_vals(e, FUN_STOP, &v, 1, fn->at);
    for (uint32_t i = 0; i < fn->nderivative; i++) {
        const Arg *d = &fn->derivative[i];
        Sym *sym = scope_find(fs, d->name.text);
        if (!sym || sym->kind != SYM_VALUE || val_dtype(e, sym->val) != DT_REAL) {
            diag(e->diags, E_ARGUMENTS, d->name.at,
                 str_c(e->arena, str_fmt(e->arena, "`%.*s` is not a real argument of this function", STRF(d->name.text))));
            return poison;
        }
        Val three[3] = {v, sym->val, to_real(e, elab_expr(e, fs, d->value))};
        v = map_vals(e, FUN_CHOSEN, three, 3, d->value->at);
    }
    return v;
}

/* Fills in all results; false after an error. */
bool call_results(Elab *e, const Fn *fn, Scope *defined, Val *arg, uint32_t narg, Span at, Val *result)
{
    IndexVar *extra[MAXRANK];
    if (fn->broken)
        return false;
    if (narg != fn->narg) {
        diag_also(diag(e->diags, E_ARGUMENTS, at,
                       str_c(e->arena, str_fmt(e->arena, "`%.*s` takes %u arguments, and here are %u", STRF(fn->name.text), fn->narg, narg))),
                  fn->name.at, STR("declared here"));
        return false;
    }
    for (uint32_t i = 0; i < narg; i++)
        if (is_poison(arg[i]))
            return false;
    if (e->depth > MAX_DEPTH * 4) {
        diag(e->diags, E_TOO_DEEP, at, "functions call each other too deeply; a function cannot call itself");
        return false;
    }
    if (operator_call(e, fn, defined, arg, at, result))
        return true;
    Scope *fs = scope_new(e, defined);
    fs->region = e->b.region;
    uint32_t nextra = extra_axes(e, fn, arg, extra, at);
    if (!bind_fn_dims(e, fn, fs, arg, at))
        return false;
    for (uint32_t i = 0; i < narg; i++)
        if (!bind_argument(e, fs, &fn->arg[i], arg[i], extra, nextra, at))
            return false;
    Span around = e->call;
    e->call = around.file ? around : at;
    e->depth += 4;
    fn_body(e, fn, fs, result);
    for (uint32_t i = 0; i < results(fn); i++) {
        result[i] = with_derivatives(e, fn, fs, result[i]);
        result[i] = nextra ? free_to_shape(e, result[i], extra, nextra) : result[i];
    }
    e->depth -= 4;
    e->call = around;
    return true;
}

static void report_results(Elab *e, const Fn *fn, uint32_t names, Span at)
{
    Str wanted = names == 1 ? STR("one is wanted here") : str_fmt(e->arena, "here are %u names", names);
    Diag *d = diag(e->diags, E_DESTRUCTURE, at,
                   str_c(e->arena, str_fmt(e->arena, "`%.*s` has %u results, and %.*s", STRF(fn->name.text), fn->nresult, STRF(wanted))));
    diag_also(d, fn->name.at, STR("declared here"));
    diag_help(d, STR("a `let` takes all of them: `let a, b = ...`"));
}

Val call_fn(Elab *e, const Fn *fn, Scope *defined, Val *arg, uint32_t narg, Span at)
{
    Val result = poison;
    if (results(fn) == 1)
        call_results(e, fn, defined, arg, narg, at, &result);
    else
        report_results(e, fn, 1, at);
    return result;
}

static Scope *fn_scope(Elab *e, const Sym *sym)
{
    return sym->fn_scope ? sym->fn_scope : file_scope(e, sym->fn->name.at);
}

Val call_named(Elab *e, const char *name, Val *arg, uint32_t narg, Span at)
{
    Span prelude = {.file = unit_file(e->unit, unit_prelude(e->unit))->ast->file};
    Sym *sym = scope_find(file_scope(e, prelude), str_of(name));
    if (!sym || sym->kind != SYM_FN)
        ice("the prelude has no function `%s`", name);
    return call_fn(e, sym->fn, fn_scope(e, sym), arg, narg, at);
}

static bool no_names(Elab *e, const Expr *x)
{
    for (uint32_t i = 0; i < x->call.narg; i++)
        if (x->call.arg[i].name.text.n) {
            diag(e->diags, E_ARGUMENTS, x->call.arg[i].name.at, "arguments of functions have no names");
            return false;
        }
    return true;
}

/* Parts of the language that are planned: their names deserve a better answer than "unknown". */
static bool is_planned(Str name)
{
    static const char *const planned[] = {"grad", "solve", "inv", "fft", "expm", "logdet", "scatter", "walk"};
    for (size_t i = 0; i < sizeof planned / sizeof *planned; i++)
        if (str_is(name, planned[i]))
            return true;
    return false;
}

static Val unknown_function(Elab *e, Scope *s, const Expr *x)
{
    Ident name = x->call.callee;
    if (unit_lost(e->unit, name.text))
        return poison;
    if (is_planned(name.text)) {
        diag(e->diags, E_UNSUPPORTED, name.at, str_c(e->arena, str_fmt(e->arena, "`%.*s` is not supported", STRF(name.text))));
        return poison;
    }
    Names names = {0};
    for (size_t i = 0; i < sizeof builtins / sizeof *builtins; i++)
        vec_push(e->arena, &names, str_of(builtins[i].text));
    add_names(e, s, &names);
    report_unknown_among(e, name, names.p, names.n);
    return poison;
}

static bool callable(Elab *e, const Sym *sym, Ident name)
{
    if (sym->other_fn)
        report_ambiguous(e, name, sym->fn->name.at, sym->other_fn->name.at);
    return !sym->other_fn && !sym->fn->broken;
}

/* All arguments are looked at, even behind one with an error. */
static bool arguments(Elab *e, Scope *s, const Expr *x, uint32_t min, uint32_t max, bool only_first, Val *arg)
{
    uint32_t n = x->call.narg;
    bool ok = true;
    if (n < min || n > max || n > MAX_ARGS) {
        diag(e->diags, E_ARGUMENTS, x->at,
             str_c(e->arena, str_fmt(e->arena, "`%.*s` takes %u%s argument%s, and here are %u", STRF(x->call.callee.text), min,
                                     max > min ? " or more" : "", min == 1 && max == 1 ? "" : "s", n)));
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        arg[i] = i && only_first ? val_of(REC_NONE - 1) : elab_expr(e, s, x->call.arg[i].value);
        ok &= !is_poison(arg[i]);
    }
    return ok;
}

Val elab_call(Elab *e, Scope *s, const Expr *x)
{
    Val arg[MAX_ARGS];
    Ident name = x->call.callee;
    Sym *sym = scope_find(s, name.text);
    const BuiltinInfo *bi = builtin_find(name.text);
    if (sym && sym->kind == SYM_INST)
        return call_inst(e, s, sym->inst, x);
    if (is_run_call(s, x)) {
        Run *run = NULL;
        return elab_run(e, s, x, &run) ? run_output(run, 0) : poison;
    }
    if (sym && sym->kind == SYM_VALUE && is_poison(sym->val)) {
        for (uint32_t i = 0; i < x->call.narg; i++)
            elab_expr(e, s, x->call.arg[i].value);
        return poison;
    }
    if (str_is(name.text, "einsum") && !sym)
        return no_names(e, x) ? elab_einsum(e, s, x) : poison;
    if (!(sym && sym->kind == SYM_FN) && !bi)
        return unknown_function(e, s, x);
    if (!no_names(e, x))
        return poison;
    bool fn = sym && sym->kind == SYM_FN;
    if (fn && !callable(e, sym, name))
        return poison;
    bool only_first = !fn && (bi->kind == B_RESHAPE || bi->kind == B_ONEHOT); /* the others are sizes */
    if (!arguments(e, s, x, fn ? sym->fn->narg : bi->min, fn ? sym->fn->narg : bi->max, only_first, arg))
        return poison;
    return fn ? call_fn(e, sym->fn, fn_scope(e, sym), arg, x->call.narg, x->at) : builtin_call(e, s, bi, arg, x);
}

bool is_results_call(Scope *s, const Expr *x)
{
    Sym *sym = x->kind == EX_CALL ? scope_find(s, x->call.callee.text) : NULL;
    return sym && sym->kind == SYM_FN && results(sym->fn) > 1;
}

void elab_results(Elab *e, Scope *s, const Expr *x, Val *result, uint32_t n)
{
    Val arg[MAX_ARGS];
    Sym *sym = scope_find(s, x->call.callee.text);
    if (!callable(e, sym, x->call.callee) || !no_names(e, x) || !arguments(e, s, x, sym->fn->narg, sym->fn->narg, false, arg))
        return;
    if (n == results(sym->fn))
        call_results(e, sym->fn, fn_scope(e, sym), arg, x->call.narg, x->at, result);
    else
        report_results(e, sym->fn, n, x->at);
}

/* `sum(i in K, j: body)` */
Val elab_reduce(Elab *e, Scope *s, const Expr *x)
{
    Scope *inner = scope_new(e, s);
    IndexVar *var[MAXRANK];
    Ident name = x->reduce.callee;
    const BuiltinInfo *bi = builtin_find(name.text);
    if (is_graph_sum(x))
        return graph_sum(e, s, x);
    if (x->reduce.nbind > MAXRANK - 2) {
        diag(e->diags, E_NOT_A_SIZE, x->at, "more than 6 indices");
        return poison;
    }
    for (uint32_t i = 0; i < x->reduce.nbind; i++) {
        Binder b = x->reduce.bind[i];
        var[i] = index_new(e, b.name, NO_SIZE);
        if (b.range && !elab_size(e, s, b.range, &var[i]->size))
            return poison;
        scope_add(e, inner, b.name, SYM_INDEX)->index = var[i];
    }
    infer_index_sizes(e, inner, x->reduce.body);
    for (uint32_t i = 0; i < x->reduce.nbind; i++)
        if (var[i]->size == NO_SIZE) {
            index_new(e, var[i]->name, NO_SIZE);
            diag(e->diags, E_INDEX, var[i]->name.at,
                 str_c(e->arena, str_fmt(e->arena, "the range of index `%.*s` is not known: write `%.*s in N`", STRF(var[i]->name.text),
                                         STRF(var[i]->name.text))));
            return poison;
        }
    Val v = elab_expr(e, inner, x->reduce.body);
    if (is_poison(v))
        return poison;
    if (bi && bi->kind == B_REDUCE && val_dtype(e, v) == DT_BOOL)
        return type_error(e, x->at, "a number", v);
    if (bi && (bi->kind == B_REDUCE || bi->kind == B_MINMAX))
        return reduce_free(e, bi->red, v, var, x->reduce.nbind);
    if (bi && bi->kind == B_MEAN) {
        Dim count = DIM_ONE;
        for (uint32_t i = 0; i < x->reduce.nbind; i++)
            count = dim_mul(e->dims, count, var[i]->size);
        Val pair[2] = {reduce_free(e, RED_SUM, to_real(e, v), var, x->reduce.nbind), to_real(e, val_of(rec_dim(&e->b, count)))};
        return map_vals(e, FUN_DIV, pair, 2, x->at);
    }
    /* a function of one vector: the indices become its axis */
    if (bi && bi->kind == B_FLAT)
        return flat_call(e, bi, free_to_shape(e, v, var, x->reduce.nbind), x->at);
    if (x->reduce.nbind == 1)
        v = free_to_shape(e, v, var, 1);
    Sym *sym = scope_find(s, name.text);
    if (sym && sym->kind == SYM_FN ? !callable(e, sym, name) : unit_lost(e->unit, name.text))
        return poison;
    if (x->reduce.nbind != 1 || !sym || sym->kind != SYM_FN || sym->fn->narg != 1 || sym->fn->arg[0].type.ndim != 1 || val_type(e, v).rank != 1) {
        diag(e->diags, E_ARGUMENTS, name.at,
             str_c(e->arena, str_fmt(e->arena, "`%.*s` cannot reduce over indices: one index, over scalars, and a function of one vector",
                                     STRF(name.text))));
        return poison;
    }
    return call_fn(e, sym->fn, fn_scope(e, sym), &v, 1, x->at);
}
