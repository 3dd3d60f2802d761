/* Initial values of parameters: `W: real[H, D] ~ uniform(1 / sqrt(D))` or `= value`, as the init function of the program.
 * Both parts of a complex parameter are drawn alike. */
#include "frontend/elab_internal.h"

typedef struct Distribution {
    const char *text;
    uint32_t min, max;
} Distribution;

static const Distribution distributions[] = {{"uniform", 1, 2}, {"normal", 1, 2}, {"constant", 1, 1}};

static const Distribution *find(Str name)
{
    for (size_t i = 0; i < sizeof distributions / sizeof *distributions; i++)
        if (str_is(name, distributions[i].text))
            return &distributions[i];
    return NULL;
}

static Val affine(Elab *e, Val u, Val scale, Val shift, Span at)
{
    Val product[2] = {scale, u};
    Val sum[2] = {map_vals(e, FUN_MUL, product, 2, at), shift};
    return map_vals(e, FUN_ADD, sum, 2, at);
}

/* uniform(a): -a to a; uniform(a, b); normal(s): mean 0; normal(m, s). u is uniform in (0, 1). */
static Val draw(Elab *e, const Distribution *d, Val *a, uint32_t n, const Type *type, Span at)
{
    if (str_is(str_of(d->text), "constant"))
        return a[0];
    Val u = val_of(rec_random(&e->b, *type, e->nstream++));
    if (str_is(str_of(d->text), "normal")) {
        u = call_named(e, "probit", &u, 1, at);
        return affine(e, u, a[n - 1], n == 2 ? a[0] : real_const(e, 0), at);
    }
    if (n == 1)
        return affine(e, affine(e, u, real_const(e, 2), real_const(e, -1), at), a[0], real_const(e, 0), at);
    Val width[2] = {a[1], a[0]};
    return affine(e, u, map_vals(e, FUN_SUB, width, 2, at), a[0], at);
}

static Val drawn(Elab *e, Scope *s, const Expr *x, const Type *type)
{
    Val a[2];
    const Distribution *d = x->kind == EX_CALL ? find(x->call.callee.text) : NULL;
    if (!d || x->call.narg < d->min || x->call.narg > d->max) {
        diag(e->diags, E_ARGUMENTS, x->at, "a distribution is uniform(a), uniform(low, high), normal(deviation), normal(mean, deviation) or constant(c)");
        return poison;
    }
    for (uint32_t i = 0; i < x->call.narg; i++) {
        a[i] = elab_expr(e, s, x->call.arg[i].value);
        if (is_poison(a[i]))
            return poison;
        a[i] = to_real(e, a[i]);
        if (a[i].is_complex) {
            diag(e->diags, E_TYPE, x->at, "distributions have real numbers; both parts of a complex parameter are drawn alike");
            return poison;
        }
    }
    Type one = *type;
    one.dt = part_dtype(type->dt);
    Val re = draw(e, d, a, x->call.narg, &one, x->at);
    return type->dt == DT_COMPLEX ? complex_of(e, re, draw(e, d, a, x->call.narg, &one, x->at), x->at) : re;
}

void elab_init(Elab *e, Scope *s, const Decl *d, uint32_t arg, const Type *type)
{
    const Expr *x = d->distribution ? d->distribution : d->init;
    if (!x || x->kind == EX_ERROR)
        return;
    RecBuild before = e->b;
    e->b.region = REC_INIT;
    e->b.at = x->at;
    Val v = d->distribution ? drawn(e, s, x, type) : elab_expr(e, s, x);
    v = to_dtype(e, v, type->dt);
    if (!is_poison(v)) {
        Type have = val_type(e, v);
        bool fits = have.dt == type->dt && have.rank <= type->rank;
        for (uint8_t i = 0; fits && i < have.rank; i++)
            fits = have.dim[i] == type->dim[type->rank - have.rank + i];
        if (!fits) {
            diag(e->diags, E_SHAPE, x->at,
                 str_c(e->arena, str_fmt(e->arena, "parameter `%.*s` is %.*s, but its initial value is %.*s", STRF(d->name.text),
                                         STRF(type_str(e->arena, e->dims, type)), STRF(val_str(e, v)))));
        } else
            v = broadcast_val(e, v, type, NULL, 0);
        for (uint32_t k = 0; fits && !is_poison(v) && k < nparts(type->dt); k++) {
            const RecArg *a = &e->prog->arg.p[arg + k];
            rec_out(e->prog, (RecOut){.name = a->name, .role = OUT_PARAM, .type = a->type, .value = val_part(e, v, k).v,
                                      .of = arg + k, .at = x->at});
        }
    }
    e->b = before;
}
