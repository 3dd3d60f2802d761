/* Sizes from the shapes of arrays: each axis is a polynomial in the dimensions; one with a single unknown that stands in it
 * linearly (H, 2*H, H + 1) gives that unknown, one without unknowns is compared. */
#include "frontend/run_frame.h"

/* Whether d = rest + factor * s with one unknown s. rest is evaluated; false otherwise. */
static bool solve_for(const Frame *f, Dim d, DimSym *unknown, int64_t *factor, int64_t *rest)
{
    const DimTab *t = f->prog->dims;
    bool found = false;
    *factor = *rest = 0;
    for (uint32_t i = 0; i < dim_nterms(t, d); i++) {
        const DimTerm *term = dim_term(t, d, i);
        int64_t product = term->coef;
        bool open = false;
        for (uint32_t k = 0; k < term->nsym; k++) {
            bool known = f->dim[term->sym[k]] >= 0;
            if (!known && (open || (found && *unknown != term->sym[k])))
                return false;
            if (known && __builtin_mul_overflow(product, f->dim[term->sym[k]], &product))
                return false;
            if (!known) {
                *unknown = term->sym[k];
                open = found = true;
            }
        }
        if (__builtin_add_overflow(*(open ? factor : rest), product, open ? factor : rest))
            return false;
    }
    return found;
}

Str dims_type_str(const Frame *f, const Type *type, bool batched)
{
    Text out = {.arena = f->arena};
    Dim d;
    batched = frame_batched(f, type, batched);
    text_add(&out, "%s[", dtype_name(type->dt));
    for (uint32_t i = 0; frame_axis(f->prog, type, batched, i, &d); i++)
        text_add(&out, "%s%.*s", i ? ", " : "", STRF(dim_str(f->arena, f->prog->dims, d)));
    text_add(&out, "]");
    return text_str(&out);
}

static void put_size(Text *out, const Frame *f, DimSym s)
{
    text_add(out, "%.*s = %lld", STRF(dim_sym_info(f->prog->dims, s)->name), (long long)f->dim[s]);
    if (f->origin[s].n)
        text_add(out, " (%.*s)", STRF(f->origin[s]));
}

/* Type of an argument with what is known of its sizes: "real[T, B, 2*H] with H = 4 (from `h0`, axis 1)". */
static Str expected(const Frame *f, const Type *type, bool batched)
{
    const DimTab *t = f->prog->dims;
    Text out = {.arena = f->arena};
    Dim d;
    text_add(&out, "%.*s", STRF(dims_type_str(f, type, batched)));
    batched = frame_batched(f, type, batched);
    uint32_t n = 0;
    for (DimSym s = 0; s < dim_nsyms(t); s++) {
        bool mentioned = false;
        for (uint32_t i = 0; frame_axis(f->prog, type, batched, i, &d); i++)
            mentioned = mentioned || dim_mentions(t, d, s);
        if (!mentioned || f->dim[s] < 0)
            continue;
        text_add(&out, n++ ? ", " : " with ");
        put_size(&out, f, s);
    }
    return text_str(&out);
}

/* One axis of the array `name`. */
static bool axis_fits(Frame *f, Dim d, int64_t size, Str name, uint32_t axis)
{
    DimSym unknown = 0;
    int64_t factor, rest, value;
    if (solve_for(f, d, &unknown, &factor, &rest)) {
        if (factor == 0 || (size - rest) % factor || (size - rest) / factor < 0)
            return false;
        f->dim[unknown] = (size - rest) / factor;
        f->origin[unknown] = str_fmt(f->arena, "from `%.*s`, axis %u", STRF(name), axis);
        return true;
    }
    for (DimSym s = 0; s < dim_nsyms(f->prog->dims); s++)
        if (f->dim[s] < 0 && dim_mentions(f->prog->dims, d, s))
            return true; /* several unknowns: compared when they are known */
    return dim_eval(f->prog->dims, d, f->dim, &value) && value == size;
}

bool dims_from_shape(Frame *f, const Type *type, bool batched, Str name, const Array *shape, Str *error)
{
    Dim d;
    Str want = expected(f, type, batched);
    batched = frame_batched(f, type, batched);
    bool ok = shape->rank == type->rank + (uint32_t)batched;
    for (uint32_t i = 0; ok && frame_axis(f->prog, type, batched, i, &d); i++)
        ok = axis_fits(f, d, shape->dim[i], name, i);
    if (!ok)
        *error = str_fmt(f->arena, "array `%.*s` is %.*s, but %.*s is expected", STRF(name),
                         STRF(array_type_str(f->arena, shape)), STRF(want));
    return ok;
}

void dims_derive(const DimTab *t, const struct RecDerivedDim *derived, uint32_t n, int64_t *dim)
{
    for (uint32_t i = 0; i < n; i++) {
        int64_t num, den;
        if (dim_eval(t, derived[i].num, dim, &num) && dim_eval(t, derived[i].den, dim, &den) && den)
            dim[derived[i].sym] = num / den;
    }
}

/* Of a packed batch: what depends on the time, each sequence has by itself. */
static bool is_of_sequence(const Frame *f, Dim d)
{
    RecFace face = rec_prog_face(f->prog);
    return f->offset && rec_mentions_time(&face, d);
}

static bool derive(Frame *f, Str *error)
{
    const RecProg *p = f->prog;
    for (uint32_t i = 0; i < p->derived.n; i++) {
        int64_t num, den;
        DimSym s = p->derived.p[i].sym;
        if (is_of_sequence(f, dim_of(p->dims, s)))
            continue;
        if (!dim_eval(p->dims, p->derived.p[i].num, f->dim, &num) || !dim_eval(p->dims, p->derived.p[i].den, f->dim, &den) ||
            den == 0 || num % den || (f->dim[s] >= 0 && f->dim[s] != num / den)) {
            *error = str_fmt(f->arena, "%.*s = %.*s / %.*s must divide exactly", STRF(dim_sym_info(p->dims, s)->name),
                             STRF(dim_str(f->arena, p->dims, p->derived.p[i].num)),
                             STRF(dim_str(f->arena, p->dims, p->derived.p[i].den)));
            return false;
        }
        f->dim[s] = num / den;
    }
    for (uint32_t i = 0; i < p->need.n; i++) {
        int64_t value;
        if (!is_of_sequence(f, p->need.p[i].dim) && !dim_eval(p->dims, p->need.p[i].dim, f->dim, &value)) {
            *error = str_fmt(f->arena, "a slice or an element is outside its axis: %.*s is negative",
                             STRF(dim_str(f->arena, p->dims, p->need.p[i].dim)));
            return false;
        }
    }
    return true;
}

static bool has_of_sequence(const Frame *f)
{
    bool has = false;
    for (uint32_t i = 0; i < f->prog->derived.n; i++)
        has = has || is_of_sequence(f, dim_of(f->prog->dims, f->prog->derived.p[i].sym));
    for (uint32_t i = 0; i < f->prog->need.n; i++)
        has = has || is_of_sequence(f, f->prog->need.p[i].dim);
    return has;
}

bool dims_fit_sequences(const Frame *f, Str *error)
{
    bool ok = true;
    for (int64_t b = 0, n = has_of_sequence(f) ? f->dim[f->prog->batch] : 0; ok && b < n; b++) {
        Frame one = frame_sequence(f, b);
        ok = derive(&one, error);
        if (!ok)
            *error = str_fmt(f->arena, "%.*s, in sequence %lld", STRF(*error), (long long)b);
    }
    return ok;
}

/* A derived size whose parts are not known yet is left for later, one that is known may give its numerator. */
static void derive_known(Frame *f)
{
    const RecProg *p = f->prog;
    for (uint32_t i = 0; i < p->derived.n; i++) {
        int64_t den, factor, rest;
        DimSym unknown = 0, s = p->derived.p[i].sym;
        bool open = solve_for(f, p->derived.p[i].num, &unknown, &factor, &rest);
        if (open && f->dim[s] >= 0 && factor && dim_eval(p->dims, p->derived.p[i].den, f->dim, &den))
            f->dim[unknown] = (f->dim[s] * den - rest) / factor;
    }
}

bool dims_complete(Frame *f, Str *error)
{
    const RecProg *p = f->prog;
    derive_known(f);
    for (uint32_t i = 0; i < p->open.n; i++) {
        DimSym s = p->open.p[i];
        bool derived = false;
        for (uint32_t k = 0; k < p->derived.n; k++)
            derived = derived || p->derived.p[k].sym == s;
        if (f->dim[s] < 0 && !derived) {
            *error = str_fmt(f->arena, "no array says how large %.*s is; say it with -D %.*s=...",
                             STRF(dim_sym_info(p->dims, s)->name), STRF(dim_sym_info(p->dims, s)->name));
            return false;
        }
    }
    if (!derive(f, error))
        return false;
    for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
        f->dim[s] = f->dim[s] < 0 ? 0 : f->dim[s]; /* of no array */
    return true;
}
