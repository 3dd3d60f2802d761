#include "frontend/run_load.h"

bool load_may_hold(DType dt, Elem e)
{
    switch (dt) {
    case DT_REAL: return e != EL_BOOL;
    case DT_INT: return e == EL_I32 || e == EL_I64 || e == EL_U8;
    case DT_BOOL: return !elem_is_float(e);
    case DT_COMPLEX: break;
    }
    ice("load_may_hold: type %d", (int)dt);
}

static void complain(Load *l, Str message)
{
    text_add(&l->errors, "%.*s\n", STRF(message));
}

static bool is_wanted(const Load *l, const RecArg *x)
{
    return x->role != ROLE_SEED && (x->role != ROLE_COTANGENT || l->grad);
}

static bool is_drawn(const Load *l, uint32_t arg)
{
    const RecProg *p = l->frame->prog;
    for (uint32_t i = 0; l->draw && i < p->out.n; i++)
        if (p->out.p[i].role == OUT_PARAM && p->out.p[i].of == arg)
            return true;
    return false;
}

static const char *role_text(const RecArg *x)
{
    return x->role == ROLE_PARAM ? "parameter" : "input";
}

/* A complex array is there as two, and a complex argument is two: where only one of them is complex, no names meet. */
static bool has_other_type(Load *l, Str name)
{
    Arena *a = l->frame->arena;
    bool part = name.n > 3 && (memcmp(name.p + name.n - 3, ".re", 3) == 0 || memcmp(name.p + name.n - 3, ".im", 3) == 0);
    Str whole = part ? (Str){name.p, name.n - 3} : name;
    const Array *found = arrays_find(l->from, part ? whole : str_fmt(a, "%.*s.re", STRF(name)));
    if (!found || found->is_part == part)
        return false;
    Array shown = *found;
    shown.is_complex = !part;
    if (!part || name.p[name.n - 2] == 'r') /* once for the two */
        complain(l, str_fmt(a, "array `%.*s` is %.*s, but %s elements are expected", STRF(whole), STRF(array_type_str(a, &shown)),
                            part ? "complex" : "real"));
    return true;
}

/* Of nodes that were there before, where there were none. */
static bool is_empty(const Load *l, const RecArg *x)
{
    DimSym known;
    DimTab *dims = l->frame->prog->dims;
    return x->type.rank && dim_find_sym(dims, STR("known"), &known) && x->type.dim[0] == dim_of(dims, known) && l->frame->dim[known] == 0;
}

static void missing(Load *l, uint32_t arg)
{
    const RecArg *x = &l->frame->prog->arg.p[arg];
    VEC(Str) all = {0};
    Arena *a = l->frame->arena;
    if (has_other_type(l, x->name) || x->optional || is_drawn(l, arg) || is_empty(l, x))
        return;
    for (uint32_t i = 0; i < l->from->list.n; i++)
        vec_push(a, &all, l->from->list.p[i].name);
    Str near = nearest(x->name, all.p, all.n);
    complain(l, str_fmt(a, "array `%.*s` (%s %.*s) is missing%s%.*s%s", STRF(x->name), role_text(x),
                        STRF(dims_type_str(l->frame, &x->type, x->batched)), near.n ? "; there is `" : "", STRF(near),
                        near.n ? "`" : ""));
}

static Narrow narrow_of_arg(const Load *l, const RecArg *x)
{
    return rec_arg_narrows(x, l->frame->prog->out.p) ? l->narrow : NARROW_NONE;
}

/* Whole numbers become real where that is exact; bools are 0 and 1. */
static bool is_exact(const Load *l, const RecArg *x, const Array *from, int64_t i)
{
    double v = array_get(from, i);
    switch (x->type.dt) {
    case DT_BOOL: return v == 0 || v == 1;
    case DT_INT: return v >= INT32_MIN && v <= INT32_MAX;
    case DT_REAL:
    case DT_COMPLEX: break;
    }
    if (elem_is_float(from->elem))
        return true;
    return array_is_exact(from, i) && (!l->single || (double)(float)v == v) && narrow_round(narrow_of_arg(l, x), v) == v;
}

static Str inexact(const Load *l, const RecArg *x, const Array *from, int64_t i)
{
    Arena *a = l->frame->arena;
    Narrow narrow = narrow_of_arg(l, x);
    const char *real = narrow ? narrow_text(narrow) : l->single ? "float32" : "float64";
    return str_fmt(a, "array `%.*s`: element %.*s is %.*s, which is no %s%s", STRF(x->name),
                   STRF(array_place_str(a, from, i)), STRF(array_element_str(a, from, i)), x->type.dt == DT_REAL ? "exact " : "",
                   x->type.dt == DT_REAL ? real : dtype_name(x->type.dt));
}

/* The elements as doubles; the first one that is not of the argument's type is an error. */
static void take_elements(Load *l, const RecArg *x, const Array *from, double **to)
{
    Arena *a = l->frame->arena;
    int64_t n;
    if (!array_count(from, &n))
        ice("take_elements: a size overflows");
    *to = NEWN(a, double, n);
    for (int64_t i = 0; i < n; i++) {
        (*to)[i] = array_get(from, i);
        if (is_exact(l, x, from, i))
            continue;
        complain(l, inexact(l, x, from, i));
        return;
    }
}

static void take_array(Load *l, uint32_t arg, const Array *from)
{
    const RecArg *x = &l->frame->prog->arg.p[arg];
    Str error;
    if (!load_may_hold(x->type.dt, from->elem))
        complain(l, str_fmt(l->frame->arena, "array `%.*s` is %.*s, but %s elements are expected", STRF(x->name),
                            STRF(array_type_str(l->frame->arena, from)), dtype_name(x->type.dt)));
    else if (!dims_from_shape(l->frame, &x->type, x->batched, x->name, from, &error))
        complain(l, error);
    else
        take_elements(l, x, from, &l->frame->in[arg]);
}

/* Shapes once more, now that every dimension is known: `[D * H]` can be compared only then. */
static void compare_shapes(Load *l)
{
    const RecProg *p = l->frame->prog;
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const Array *from = l->frame->in[i] ? arrays_find(l->from, p->arg.p[i].name) : NULL;
        Str error;
        if (from && !dims_from_shape(l->frame, &p->arg.p[i].type, p->arg.p[i].batched, p->arg.p[i].name, from, &error))
            complain(l, error);
    }
}

static void check_lengths(Load *l)
{
    const Frame *f = l->frame;
    for (uint32_t i = 0; i < f->prog->arg.n; i++) {
        const RecArg *x = &f->prog->arg.p[i];
        if (x->role != ROLE_LENGTH || !f->in[i])
            continue;
        int64_t extent[REC_MAXAXES];
        uint8_t naxes = x->type.rank ? frame_extents(f, extent) : 1;
        extent[0] = x->type.rank ? extent[0] : f->dim[f->prog->time];
        for (int64_t b = 0, n = frame_count(f, &x->type, x->batched); b < n; b++) {
            int64_t most = f->offset ? frame_places_of(f, b) : extent[b % naxes];
            if (f->in[i][b] < 0 || f->in[i][b] > (double)most)
                complain(l, str_fmt(f->arena, "array `%.*s`: element %lld is %.0f, outside 0..%lld", STRF(x->name), (long long)b,
                                    f->in[i][b], (long long)most));
        }
    }
}

static void take_sizes(Load *l, const Binding *size, uint32_t nsize)
{
    DimSym s;
    for (uint32_t i = 0; i < nsize; i++)
        if (dim_find_sym(l->frame->prog->dims, size[i].name, &s)) {
            l->frame->dim[s] = size[i].value;
            l->frame->origin[s] = STR("from -D");
        }
}

static bool has_batched_argument(const Load *l)
{
    for (uint32_t i = 0; i < l->frame->prog->arg.n; i++)
        if (l->frame->in[i] && l->frame->prog->arg.p[i].batched)
            return true;
    return false;
}

static bool find_sizes(Load *l)
{
    Str error;
    int64_t *batch = &l->frame->dim[l->frame->prog->batch];
    if (*batch < 0 && !has_batched_argument(l))
        *batch = 1;
    if (dims_complete(l->frame, &error))
        compare_shapes(l);
    else
        complain(l, error);
    if (!l->errors.n && !frame_fits(l->frame, &error))
        complain(l, error);
    return !l->errors.n;
}

bool load_arguments(Load *l, const Binding *size, uint32_t nsize)
{
    const RecProg *p = l->frame->prog;
    l->errors = (Text){.arena = l->frame->arena};
    Arrays *planned = NEW(l->frame->arena, Arrays);
    if (load_plan(l, planned))
        l->from = planned;
    l->used = NEWN(l->frame->arena, bool, l->from->list.n);
    for (uint32_t i = 0; l->from == planned && i < planned->list.n; i++)
        l->used[i] = str_is(planned->list.p[i].name, "edges") || str_is(planned->list.p[i].name, "pairs");
    take_sizes(l, size, nsize);
    load_offsets(l);
    if (l->errors.n) /* all other shapes depend on them */
        return false;
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const Array *from = is_wanted(l, &p->arg.p[i]) ? arrays_find(l->from, p->arg.p[i].name) : NULL;
        if (from) {
            l->used[from - l->from->list.p] = true;
            take_array(l, i, from);
        } else if (is_wanted(l, &p->arg.p[i]) && p->arg.p[i].role != ROLE_PLAN) {
            missing(l, i); /* what a plan lacks, its edges lack */
        }
    }
    if (l->errors.n || !find_sizes(l))
        return false;
    load_check_offsets(l);
    if (!l->errors.n)
        check_lengths(l);
    return !l->errors.n;
}

static Elem real_elem(const Frame *f, const RecOut *o, Precision p)
{
    Narrow n = rec_out_narrows(o, f->prog->arg.p) ? precision_narrow(p) : NARROW_NONE;
    return n == NARROW_BF16 ? EL_BF16 : n == NARROW_F16 ? EL_F16 : p == PREC_F64 ? EL_F64 : EL_F32;
}

Array load_result(const Frame *f, uint32_t out, Precision p)
{
    const RecOut *o = &f->prog->out.p[out];
    Array x = {.name = o->name};
    x.elem = o->type.dt == DT_INT ? EL_I32 : o->type.dt == DT_BOOL ? EL_BOOL : real_elem(f, o, p);
    if (!frame_shape(f, &o->type, o->batched, &x))
        ice("load_result: a size overflows");
    int64_t n = frame_count(f, &o->type, o->batched);
    x.data = arena_alloc(f->arena, (size_t)n * elem_info(x.elem)->bytes);
    for (int64_t i = 0; i < n; i++)
        array_set(&x, i, f->out[out][i]);
    return x;
}
