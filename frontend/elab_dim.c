/* Sizes in the text: `4`, `2 * H`, `D / G`; and the dimensions of cells, models and functions. */
#include "frontend/elab_internal.h"

static bool combine(Elab *e, BinaryOp op, Dim a, Dim b, Dim *out)
{
    switch (op) {
    case BIN_ADD: *out = dim_add(e->dims, a, b); return true;
    case BIN_SUB: *out = dim_sub(e->dims, a, b); return true;
    case BIN_MUL: *out = dim_mul(e->dims, a, b); return true;
    case BIN_DIV: return b != DIM_ZERO && dim_div(e->dims, a, b, out);
    default: return false;
    }
}

bool try_dim(Elab *e, Scope *s, const Expr *x, Dim *out)
{
    Dim a, b;
    Sym *sym;
    switch (x->kind) {
    case EX_NUMBER:
        *out = x->is_int ? dim_const(e->dims, (int64_t)x->number) : DIM_ZERO;
        return x->is_int && !x->imaginary;
    case EX_NAME:
        sym = scope_find(s, x->name);
        if (!sym || sym->kind != SYM_DIM)
            return false;
        *out = sym->dim;
        return true;
    case EX_UNARY:
        if (x->un.op != UN_NEG || !try_dim(e, s, x->un.a, &a))
            return false;
        *out = dim_sub(e->dims, DIM_ZERO, a);
        return true;
    case EX_BINARY: return try_dim(e, s, x->bin.a, &a) && try_dim(e, s, x->bin.b, &b) && combine(e, x->bin.op, a, b, out);
    default: return false;
    }
}

static bool not_huge(Elab *e, Dim d, Span at)
{
    if (d != DIM_HUGE)
        return true;
    diag(e->diags, E_SIZE_RANGE, at, "this size is too large: it must be below 2^63, and no product of more than 10 dimensions");
    return false;
}

static bool in_range(Elab *e, Dim d, Span at)
{
    int64_t n;
    if (!not_huge(e, d, at))
        return false;
    if (!dim_is_const(e->dims, d, &n) || n >= 0)
        return true;
    diag(e->diags, E_SIZE_RANGE, at, str_c(e->arena, str_fmt(e->arena, "this size is %lld, and no size is below 0", (long long)n)));
    return false;
}

/* Whether one of the names has an error: it is unknown, which is reported, or its declaration failed. */
static bool has_bad_name(Elab *e, Scope *s, const Expr *x)
{
    Sym *sym = x->kind == EX_NAME ? scope_find(s, x->name) : NULL;
    switch (x->kind) {
    case EX_NAME:
        if (!sym)
            report_unknown(e, s, (Ident){x->name, x->at});
        return !sym || sym->failed;
    case EX_UNARY: return has_bad_name(e, s, x->un.a);
    case EX_BINARY: return has_bad_name(e, s, x->bin.a) || has_bad_name(e, s, x->bin.b);
    default: return false;
    }
}

bool elab_size(Elab *e, Scope *s, const Expr *x, Dim *out)
{
    return elab_dim(e, s, x, out) && in_range(e, *out, x->at);
}

bool elab_dim(Elab *e, Scope *s, const Expr *x, Dim *out)
{
    if (x->kind == EX_ERROR || has_bad_name(e, s, x))
        return false;
    if (try_dim(e, s, x, out))
        return not_huge(e, *out, x->at);
    Diag *d = diag(e->diags, E_NOT_A_SIZE, x->at, "a size is made of whole numbers and dimensions with + - * and exact /");
    if (x->kind == EX_CALL)
        diag_help(d, STR("of calls there are only `pred(v)` and `into(v)`, alone in a reduction of a cell over a graph"));
    return false;
}

static bool dtype_find(Elab *e, Ident name, DType *out)
{
    for (int dt = DT_REAL; dt <= DT_COMPLEX; dt++)
        if (str_is(name.text, dtype_name((DType)dt))) {
            *out = (DType)dt;
            return true;
        }
    if (str_is(name.text, "dag"))
        diag(e->diags, E_UNSUPPORTED, name.at,
             str_c(e->arena, str_fmt(e->arena, "`%.*s` is not supported yet: the element types are real, complex, int and bool",
                                     STRF(name.text))));
    else
        diag(e->diags, E_UNKNOWN_TYPE, name.at, str_c(e->arena, name.text));
    return false;
}

bool type_fits(Elab *e, const Type *t, Span at)
{
    Dim n = dim_mul(e->dims, type_size(e->dims, t), dim_const(e->dims, MAX_REST));
    if (n != DIM_HUGE)
        return true;
    diag(e->diags, E_SIZE_RANGE, at,
         str_c(e->arena, str_fmt(e->arena, "%.*s is too large: an array has fewer than 2^47 elements, not counting its open sizes",
                                 STRF(type_str(e->arena, e->dims, t)))));
    return false;
}

bool elab_type(Elab *e, Scope *s, const TypeExpr *t, Type *out)
{
    *out = (Type){0};
    if (!dtype_find(e, t->name, &out->dt))
        return false;
    if (t->ndim > MAXRANK - 2) {
        diag(e->diags, E_NOT_A_SIZE, t->at, "a tensor has at most 6 axes");
        return false;
    }
    for (uint32_t i = 0; i < t->ndim; i++)
        if (!elab_size(e, s, t->dim[i], &out->dim[out->rank++]))
            return false;
    return type_fits(e, out, t->at);
}

static bool bound_value(const Elab *e, Str name, int64_t *value)
{
    for (uint32_t i = 0; i < e->nbind; i++)
        if (str_eq(e->bind[i].name, name)) {
            *value = e->bind[i].value;
            return true;
        }
    return false;
}

/* From here on the text's D is G * P, so that shapes with either agree. */
static void follow(Scope *s, Dim was, Dim is)
{
    for (uint32_t i = 0; i < s->sym.n; i++)
        if (s->sym.p[i].kind == SYM_DIM && s->sym.p[i].dim == was)
            s->sym.p[i].dim = is;
}

/* `P = D / G`: exact as a polynomial, or else a new dimension that the generated functions compute and check. */
static bool derived_dim(Elab *e, Scope *s, const DimDecl *d, Dim *out)
{
    if (try_dim(e, s, d->value, out))
        return in_range(e, *out, d->value->at);
    Dim num, den;
    if (d->value->kind != EX_BINARY || d->value->bin.op != BIN_DIV)
        return elab_dim(e, s, d->value, out);
    if (!elab_dim(e, s, d->value->bin.a, &num) || !elab_dim(e, s, d->value->bin.b, &den))
        return false;
    int64_t n, k;
    if (den == DIM_ZERO || (dim_is_const(e->dims, num, &n) && dim_is_const(e->dims, den, &k) && n % k)) {
        diag(e->diags, E_NOT_A_SIZE, d->value->at, "this division leaves a remainder");
        return false;
    }
    DimSym sym = dim_sym_new(e->dims, d->name.text, DIM_USER);
    vec_push(e->arena, &e->prog->derived, (struct RecDerivedDim){.sym = sym, .num = num, .den = den});
    *out = dim_of(e->dims, sym);
    follow(s, num, dim_mul(e->dims, den, *out));
    return true;
}

static Dim open_dim(Elab *e, Ident name)
{
    int64_t value;
    if (bound_value(e, name.text, &value))
        return dim_const(e->dims, value);
    DimSym sym = dim_sym_new(e->dims, name.text, DIM_USER);
    vec_push(e->arena, &e->prog->open, sym);
    return dim_of(e->dims, sym);
}

static bool reserved_dim(Elab *e, Ident name)
{
    if (!str_is(name.text, "B") && !str_is(name.text, "T") && !str_is(name.text, "keep"))
        return false;
    diag(e->diags, E_RESERVED, name.at,
         "B, T and keep are taken: they are the batch, the length of the sequence, and a flag in the generated interface");
    return true;
}

void bind_dims(Elab *e, Scope *s, const DimDecl *d, uint32_t n, const Dim *given, uint32_t ngiven, bool entry)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < n; i++) {
        Dim dim = DIM_ONE;
        bool fine = true;
        if (entry && reserved_dim(e, d[i].name))
            fine = false;
        else if (d[i].value)
            fine = derived_dim(e, s, &d[i], &dim);
        else if (entry)
            dim = open_dim(e, d[i].name);
        else if (next < ngiven)
            dim = given[next++];
        if (fine)
            scope_add(e, s, d[i].name, SYM_DIM)->dim = dim;
        else
            scope_add_failed(e, s, d[i].name);
    }
}
