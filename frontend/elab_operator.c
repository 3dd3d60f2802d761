/* Associative functions: what their declarations must be, and calls that update states. */
#include "frontend/elab_internal.h"

/* ---- declarations ---- */

static bool refuse(Elab *e, Span at, Str why)
{
    diag(e->diags, E_ASSOCIATIVE, at, str_c(e->arena, why));
    return false;
}

static uint32_t operands(const Fn *fn)
{
    return fn->value ? 1 : fn->nresult;
}

static bool fits_count(Elab *e, const Fn *fn)
{
    uint32_t n = operands(fn);
    if (fn->narg == 2 * n)
        return true;
    return refuse(e, fn->name.at, str_fmt(e->arena, "`%.*s` is associative, and has %u result%s: so it takes %u arguments, half of them on each side, and not %u",
                                          STRF(fn->name.text), n, n == 1 ? "" : "s", 2 * n, fn->narg));
}

/* An argument, or a result, against the one on the left. */
static bool same_type(Elab *e, const Fn *fn, Span at, const Type *left, const Type *other, const char *what, uint32_t i)
{
    if (type_eq(left, other))
        return true;
    return refuse(e, at, str_fmt(e->arena, "%s is %.*s, and `%.*s` on the left is %.*s: operands and results of an associative function are alike", what,
                                 STRF(type_str(e->arena, e->dims, other)), STRF(fn->arg[i].name.text), STRF(type_str(e->arena, e->dims, left))));
}

static bool take_argument(Elab *e, Scope *s, const Fn *fn, uint32_t i, Type *type, Val *arg)
{
    const Decl *d = &fn->arg[i];
    uint32_t n = operands(fn);
    if (!elab_type(e, s, &d->type, &type[i]))
        return false;
    if (type[i].dt == DT_COMPLEX)
        return refuse(e, d->type.at, STR("an associative function takes real numbers, ints and bools: a complex number can be two of them"));
    if (i >= n && !same_type(e, fn, d->type.at, &type[i - n], &type[i], str_fmt(e->arena, "`%.*s`", STRF(d->name.text)).p, i - n))
        return false;
    RecArg input = {.name = d->name.text, .role = ROLE_INPUT, .type = type[i], .at = d->name.at};
    arg[i] = val_of(rec_arg(&e->b, input));
    return true;
}

static bool give_result(Elab *e, const Fn *fn, uint32_t i, const Type *type, Val v)
{
    Span at = fn->value ? fn->value->at : fn->result[i].at;
    Str name = fn->value ? fn->name.text : fn->result[i].text;
    if (is_poison(v))
        return false;
    v = to_dtype(e, v, type->dt);
    Type have = val_type(e, v);
    if (!same_type(e, fn, at, type, &have, fn->value ? "the result" : str_fmt(e->arena, "`%.*s`", STRF(name)).p, i))
        return false;
    rec_out(e->prog, (RecOut){.name = name, .role = OUT_VALUE, .type = have, .value = v.v, .at = at});
    return true;
}

/* Compositions of steps have the derivative that the function has, if it is its own. */
static bool has_own_derivative(Elab *e, const Fn *fn)
{
    return !e->prog->chosen || refuse(e, fn->name.at, str_fmt(e->arena, "`%.*s` is associative, and has a derivative that is chosen, by `derivative`, `stop` or `straight`",
                                                              STRF(fn->name.text)));
}

static bool elaborated(Elab *e, const Fn *fn)
{
    Scope *file = file_scope(e, fn->name.at), *s = scope_new(e, file);
    uint32_t n = operands(fn), ngiven = 0;
    Dim *given = NEWN(e->arena, Dim, fn->ndim + 1);
    Type *type = NEWN(e->arena, Type, fn->narg + 1);
    Val *arg = NEWN(e->arena, Val, fn->narg + 1), *result = NEWN(e->arena, Val, n + 1);
    for (uint32_t i = 0; i < fn->ndim; i++)
        if (!fn->dim[i].value) {
            vec_push(e->arena, &e->prog->open, dim_sym_new(e->dims, fn->dim[i].name.text, DIM_USER));
            given[ngiven++] = dim_of(e->dims, e->prog->open.p[e->prog->open.n - 1]);
        }
    bind_dims(e, s, fn->dim, fn->ndim, given, ngiven, false);
    if (!fits_count(e, fn))
        return false;
    for (uint32_t i = 0; i < fn->narg; i++)
        if (!take_argument(e, s, fn, i, type, arg))
            return false;
    for (uint32_t i = 0; i < n; i++)
        result[i] = poison;
    if (!call_results(e, fn, file, arg, fn->narg, fn->name.at, result) || !has_own_derivative(e, fn))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!give_result(e, fn, i, &type[i], result[i]))
            return false;
    return true;
}

RecProg *elab_operator(Arena *a, const Unit *u, const Fn *fn, Diags *diags)
{
    DimTab *dims = dim_tab_new(a);
    Elab e = {.arena = a, .unit = u, .diags = diags, .dims = dims};
    uint32_t before = diags->nreported;
    if (fn->broken)
        return NULL;
    e.prog = rec_prog_new(a, dims, fn->name.text);
    e.b = (RecBuild){.prog = e.prog, .region = REC_FORWARD};
    return elaborated(&e, fn) && diags->nreported == before ? e.prog : NULL;
}

void elab_operators(Arena *a, const Unit *u, Diags *diags)
{
    for (uint32_t f = 0; f < unit_nfiles(u); f++) {
        const Ast *ast = unit_file(u, f)->ast;
        for (uint32_t i = 0; i < ast->nfn; i++)
            if (ast->fn[i]->associative)
                elab_operator(a, u, ast->fn[i], diags);
    }
}

/* ---- calls that update states ---- */

/* A state as the step of a sequence's recurrence finds it. */
static bool is_carried(const Elab *e, Val v)
{
    const RecProg *p = e->prog;
    if (is_poison(v) || v.nfree || v.is_complex || rec_op(p, v.v)->home != e->b.region)
        return false;
    RecId owner = p->region.p[e->b.region].owner;
    const RecOp *op = rec_op(p, v.v);
    return owner != REC_NONE && op->kind == REC_REGARG && op->index < rec_op(p, owner)->nstate && rec_op(p, owner)->home < REC_NFN &&
           !rec_op(p, owner)->grid;
}

/* Axes that an operand has in front of the declared ones: the function maps over them. */
static uint32_t more_axes(const Elab *e, const Fn *fn, uint32_t i, Val v)
{
    return val_type(e, v).rank - fn->arg[i].type.ndim;
}

/* Whether v is the same everywhere along the axes of this type that it lacks. */
static bool broadcasts(const Elab *e, Val v, const Type *to)
{
    Type t = val_type(e, v);
    bool fits = !v.nfree && !v.is_complex && t.dt == to->dt && t.rank <= to->rank;
    for (uint8_t i = 0; fits && i < t.rank; i++)
        fits = t.dim[i] == to->dim[to->rank - t.rank + i];
    return fits;
}

/* The left side are states, and the right side can be made like them; all are mapped over the same axes. */
static bool is_update(Elab *e, const Fn *fn, Val *arg)
{
    uint32_t n = operands(fn);
    if (e->call.file || fn->narg != 2 * n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!is_carried(e, arg[i]) || more_axes(e, fn, i, arg[i]) != more_axes(e, fn, 0, arg[0]))
            return false;
        Type t = val_type(e, arg[i]);
        arg[n + i] = to_dtype(e, arg[n + i], t.dt);
        if (!broadcasts(e, arg[n + i], &t))
            return false;
    }
    return true;
}

/* The value as the one element of a sequence. */
static RecId as_sequence(Elab *e, Val v, const Type *type)
{
    Dim dim[MAXRANK] = {DIM_ONE};
    memcpy(dim + 1, type->dim, type->rank * sizeof *dim);
    return rec_reshape(&e->b, broadcast_val(e, v, type, NULL, 0).v, (uint8_t)(type->rank + 1), dim);
}

static void operator_body(Elab *e, const Fn *fn, Scope *defined, RecId recur, Span at)
{
    RecProg *p = e->prog;
    uint32_t n = operands(fn);
    RecRegion region = rec_op(p, recur)->region;
    RecBuild before = e->b;
    Val *arg = NEWN(e->arena, Val, fn->narg), *result = NEWN(e->arena, Val, n);
    RecId *now = NEWN(e->arena, RecId, n);
    for (uint32_t i = 0; i < fn->narg; i++)
        arg[i] = val_of(p->region.p[region].arg.p[i]);
    for (uint32_t i = 0; i < n; i++)
        result[i] = poison;
    e->b.region = region;
    e->call = at;
    call_results(e, fn, defined, arg, fn->narg, at, result);
    e->call = (Span){0};
    for (uint32_t i = 0; i < n; i++) {
        Type want = val_type(e, arg[i]), have = want;
        if (!is_poison(result[i]))
            have = val_type(e, result[i] = to_dtype(e, result[i], want.dt));
        bool fits = !is_poison(result[i]) && type_eq(&want, &have);
        now[i] = fits ? result[i].v : arg[i].v; /* what does not fit has been reported with the declaration */
    }
    rec_recur_close(p, recur, now, n);
    e->b = before;
}

bool operator_call(Elab *e, const Fn *fn, Scope *defined, const Val *given, Span at, Val *result)
{
    if (!fn->associative)
        return false;
    uint32_t n = operands(fn);
    Val *arg = NEWN(e->arena, Val, fn->narg + 1);
    RecId *init = NEWN(e->arena, RecId, n), *seq = NEWN(e->arena, RecId, n);
    RecRegion region;
    memcpy(arg, given, fn->narg * sizeof *arg);
    if (!is_update(e, fn, arg))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        Type t = val_type(e, arg[i]);
        init[i] = arg[i].v;
        seq[i] = as_sequence(e, arg[n + i], &t);
    }
    RecId recur = rec_recur_open(&e->b, init, n, seq, n, DIM_ONE, false, &region);
    rec_op(e->prog, recur)->is_operator = true;
    rec_op(e->prog, recur)->name = fn->name.text;
    rec_op(e->prog, recur)->at = fn->name.at;
    operator_body(e, fn, defined, recur, at);
    for (uint32_t i = 0; i < n; i++)
        result[i] = val_of(rec_proj(&e->b, recur, i));
    return true;
}
