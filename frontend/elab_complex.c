/* Complex numbers: every value, state, input, parameter and output that is complex becomes two real ones, so that
 * nothing behind the elaborator knows of them. The gradient of a complex number is that of its two parts. */
#include "frontend/elab_internal.h"

/* ---- parts ---- */

uint32_t nparts(DType dt)
{
    return dt == DT_COMPLEX ? 2 : 1;
}

DType part_dtype(DType dt)
{
    return dt == DT_COMPLEX ? DT_REAL : dt;
}

Str part_name(Elab *e, Str name, DType dt, uint32_t part)
{
    return dt == DT_COMPLEX ? str_fmt(e->arena, "%.*s.%s", STRF(name), part == PART_RE ? "re" : "im") : name;
}

Val val_part(Elab *e, Val v, uint32_t part)
{
    if (!is_poison(v) && part == PART_IM && !v.is_complex)
        return real_const(e, 0);
    if (!is_poison(v) && part == PART_IM)
        v.v = v.im;
    v.is_complex = false;
    return v;
}

Val val_of_parts(DType dt, const RecId *part)
{
    Val v = val_of(part[PART_RE]);
    v.is_complex = dt == DT_COMPLEX;
    v.im = v.is_complex ? part[PART_IM] : 0;
    return v;
}

Val complex_of(Elab *e, Val re, Val im, Span at)
{
    if (!align_vals(e, &re, &im, at))
        return poison;
    re.is_complex = true;
    re.im = im.v;
    return re;
}

/* ---- operations ---- */

/* A part that was never there, as the real part of `2i`: its products are left out, so that no 0 * inf comes of them.
 */
static bool is_absent(Elab *e, Val v)
{
    const RecOp *op = rec_op(e->prog, v.v);
    while (op->kind == REC_MAP && op->fun == FUN_ID)
        op = rec_op(e->prog, op->use[0].v);
    return op->kind == REC_CONST && op->number == 0;
}

static Val map2(Elab *e, Fun f, Val a, Val c, Span at)
{
    Val pair[2] = {a, c};
    return map_vals(e, f, pair, 2, at);
}

Val zero_like(Elab *e, Val v)
{
    if (is_poison(v))
        return poison;
    Type shape = val_type(e, v);
    return broadcast_val(e, real_const(e, 0), &shape, v.free, v.nfree);
}

static Val one_product(Elab *e, Product *product, Val a, Val c, Span at)
{
    Val p = product(e, a, c, at);
    return is_absent(e, a) || is_absent(e, c) ? zero_like(e, p) : p;
}

Val complex_product(Elab *e, Product *product, Val a, Val c, Span at)
{
    if (is_poison(a) || is_poison(c))
        return poison;
    Val ar = val_part(e, a, PART_RE), ai = val_part(e, a, PART_IM), cr = val_part(e, c, PART_RE),
        ci = val_part(e, c, PART_IM);
    if (!a.is_complex)
        return complex_of(e, one_product(e, product, a, cr, at), one_product(e, product, a, ci, at), at);
    if (!c.is_complex)
        return complex_of(e, one_product(e, product, ar, c, at), one_product(e, product, ai, c, at), at);
    Val re = map2(e, FUN_SUB, one_product(e, product, ar, cr, at), one_product(e, product, ai, ci, at), at);
    Val im = map2(e, FUN_ADD, one_product(e, product, ar, ci, at), one_product(e, product, ai, cr, at), at);
    return complex_of(e, re, im, at);
}

static Val real_product(Elab *e, Val a, Val c, Span at)
{
    return map2(e, FUN_MUL, a, c, at);
}

static Val by_parts(Elab *e, Fun f, const Val *arg, uint32_t n, Span at)
{
    Val part[2];
    for (uint32_t k = 0; k < 2; k++) {
        Val one[3];
        for (uint32_t i = 0; i < n; i++)
            one[i] = f == FUN_WHERE && i == 0 ? arg[0] : val_part(e, arg[i], k);
        part[k] = map_vals(e, f, one, n, at);
    }
    return complex_of(e, part[PART_RE], part[PART_IM], at);
}

static Val square_sum(Elab *e, Val v, Span at)
{
    Val re = val_part(e, v, PART_RE), im = val_part(e, v, PART_IM);
    return map2(e, FUN_ADD, real_product(e, re, re, at), real_product(e, im, im, at), at);
}

Val complex_conj(Elab *e, Val v, Span at)
{
    Val im = val_part(e, v, PART_IM);
    return v.is_complex ? complex_of(e, val_part(e, v, PART_RE), map_vals(e, FUN_NEG, &im, 1, at), at) : v;
}

/* a / c = a conj(c) / |c|^2 */
static Val quotient(Elab *e, Val a, Val c, Span at)
{
    Val top = c.is_complex ? complex_product(e, real_product, a, complex_conj(e, c, at), at) : a;
    Val size = c.is_complex ? square_sum(e, c, at) : c;
    return complex_of(e, map2(e, FUN_DIV, val_part(e, top, PART_RE), size, at),
                      map2(e, FUN_DIV, val_part(e, top, PART_IM), size, at), at);
}

static Val exponential(Elab *e, Val v, Span at)
{
    Val re = val_part(e, v, PART_RE), im = val_part(e, v, PART_IM);
    Val cosine = map_vals(e, FUN_COS, &im, 1, at), sine = map_vals(e, FUN_SIN, &im, 1, at);
    if (is_absent(e, re))
        return complex_of(e, cosine, sine, at);
    Val size = map_vals(e, FUN_EXP, &re, 1, at);
    return complex_of(e, real_product(e, size, cosine, at), real_product(e, size, sine, at), at);
}

/* exp(v) - 1 = expm1(re) cos(im) - 2 sin(im / 2)^2 + i exp(re) sin(im): exact for small v too */
static Val exponential_less_one(Elab *e, Val v, Span at)
{
    Val re = val_part(e, v, PART_RE), im = val_part(e, v, PART_IM), half = real_product(e, im, real_const(e, 0.5), at);
    Val cosine = map_vals(e, FUN_COS, &im, 1, at), sine = map_vals(e, FUN_SIN, &half, 1, at);
    Val size = map_vals(e, FUN_EXPM1, &re, 1, at);
    Val turned = real_product(e, real_const(e, 2), real_product(e, sine, sine, at), at);
    Val real = map2(e, FUN_SUB, real_product(e, size, cosine, at), turned, at);
    return complex_of(e, real, val_part(e, exponential(e, v, at), PART_IM), at);
}

/* sqrt(re^2 + im^2), with derivative 0 at 0 as the absolute value of a real number has */
static Val absolute(Elab *e, Val v, Span at)
{
    Val square = square_sum(e, v, at), zero = real_const(e, 0);
    Val none = map2(e, FUN_EQ, square, zero, at), safe[3] = {none, real_const(e, 1), square};
    Val some = map_vals(e, FUN_WHERE, safe, 3, at), root = map_vals(e, FUN_SQRT, &some, 1, at),
        size[3] = {none, zero, root};
    return map_vals(e, FUN_WHERE, size, 3, at);
}

static Val refused(Elab *e, Fun f, Span at)
{
    bool order = f == FUN_LT || f == FUN_LE || f == FUN_EQ || f == FUN_NE;
    Diag *d = diag(
        e->diags, E_TYPE, at,
        order ? "complex numbers are not compared"
              : str_c(e->arena, str_fmt(e->arena, "`%s` is not a function of complex numbers", fun_info(f)->text)));
    diag_help(d, STR("`re(z)`, `im(z)` and `abs(z)` are real"));
    return poison;
}

Val complex_map(Elab *e, Fun f, const Val *arg, uint32_t n, Span at)
{
    switch (f) {
    case FUN_ID:
    case FUN_STOP:
    case FUN_NEG:
    case FUN_ADD:
    case FUN_SUB:
    case FUN_WHERE: return by_parts(e, f, arg, n, at);
    case FUN_MUL: return complex_product(e, real_product, arg[0], arg[1], at);
    case FUN_DIV: return quotient(e, arg[0], arg[1], at);
    case FUN_EXP: return exponential(e, arg[0], at);
    case FUN_EXPM1: return exponential_less_one(e, arg[0], at);
    case FUN_ABS: return absolute(e, arg[0], at);
    default: return refused(e, f, at);
    }
}

/* ---- the program's arguments and results ---- */

Val arg_val(Elab *e, RecArg arg)
{
    DType dt = arg.type.dt;
    Str name = arg.name;
    RecId part[2];
    arg.type.dt = part_dtype(dt);
    arg.frozen |= arg.type.dt != DT_REAL;
    for (uint32_t k = 0; k < nparts(dt); k++) {
        arg.name = part_name(e, name, dt, k);
        part[k] = rec_arg(&e->b, arg);
    }
    return val_of_parts(dt, part);
}

void out_val(Elab *e, RecOut out, Val v)
{
    if (is_poison(v))
        return;
    DType dt = val_dtype(e, v);
    Str name = out.name;
    for (uint32_t k = 0; k < nparts(dt); k++) {
        out.name = part_name(e, name, dt, k);
        out.value = val_part(e, v, k).v;
        out.type = *rec_type(e->prog, out.value);
        rec_out(e->prog, out);
    }
}
