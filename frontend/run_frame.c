#include "frontend/run_frame.h"

#include <math.h>

Frame *frame_new(Arena *a, const RecProg *prog)
{
    Frame *f = NEW(a, Frame);
    *f = (Frame){.arena = a, .prog = prog};
    f->dim = NEWN(a, int64_t, dim_nsyms(prog->dims));
    f->origin = NEWN(a, Str, dim_nsyms(prog->dims));
    for (DimSym s = 0; s < dim_nsyms(prog->dims); s++)
        f->dim[s] = -1;
    f->dim[prog->keep] = 1;
    f->in = NEWN(a, double *, prog->arg.n);
    f->out = NEWN(a, double *, prog->out.n);
    return f;
}

bool frame_is_timed(const RecProg *p, const Type *type)
{
    return type_places(p->dims, type) > 0;
}

uint8_t frame_extents(const Frame *f, int64_t *extent)
{
    const RecProg *p = f->prog;
    uint8_t n = 0;
    for (uint32_t i = 0; i < p->open.n && n < REC_MAXAXES; i++)
        if (dim_sym_info(p->dims, p->open.p[i])->kind == DIM_TIME)
            extent[n++] = f->dim[p->open.p[i]];
    return n;
}

bool frame_axis(const RecProg *p, const Type *type, bool batched, uint32_t axis, Dim *out)
{
    uint32_t place = type_places(p->dims, type);
    if (axis >= type->rank + (uint32_t)batched)
        return false;
    *out = batched && axis == place ? dim_of(p->dims, p->batch) : type->dim[axis - (batched && axis > place)];
    return true;
}

static bool is_known(const Frame *f, Dim d)
{
    for (DimSym s = 0; s < dim_nsyms(f->prog->dims); s++)
        if (f->dim[s] < 0 && dim_mentions(f->prog->dims, d, s))
            return false;
    return true;
}

bool frame_shape(const Frame *f, const Type *type, bool batched, Array *out)
{
    Dim d;
    bool ok = true;
    batched = frame_batched(f, type, batched);
    for (out->rank = 0; frame_axis(f->prog, type, batched, out->rank, &d); out->rank++)
        ok = ok && is_known(f, d) && dim_eval(f->prog->dims, d, f->dim, &out->dim[out->rank]);
    return ok;
}

int64_t frame_count(const Frame *f, const Type *type, bool batched)
{
    Array shape;
    int64_t n;
    if (!frame_shape(f, type, batched, &shape) || !array_count(&shape, &n))
        ice("frame_count: a size overflows");
    return n;
}

static bool fits(const Frame *f, const Type *type, bool batched, Str name, Str *error)
{
    Array shape;
    int64_t n;
    enum { LIMIT = 1 << 30 };
    if (frame_shape(f, type, batched, &shape) && array_count(&shape, &n) && n <= (int64_t)LIMIT * 16)
        return true;
    *error = str_fmt(f->arena, "array `%.*s` would be too large", STRF(name));
    return false;
}

static bool arguments_fit(const Frame *f, bool optional, Str *error)
{
    const RecProg *p = f->prog;
    for (uint32_t i = 0; i < p->arg.n; i++) {
        const RecArg *x = &p->arg.p[i];
        if (x->optional == optional && x->role != ROLE_COTANGENT && !fits(f, &x->type, x->batched, x->name, error))
            return false;
    }
    return true;
}

/* Named is what the caller has: first what must be given, then results. A cotangent is as large as its output, a gradient as what it
 * is of. */
bool frame_fits(const Frame *f, Str *error)
{
    const RecProg *p = f->prog;
    if (!arguments_fit(f, false, error))
        return false;
    for (uint32_t i = 0; i < p->out.n; i++) {
        const RecOut *o = &p->out.p[i];
        bool result = o->role == OUT_VALUE || o->role == OUT_FINAL;
        if (result && !fits(f, &o->type, o->batched, o->name, error))
            return false;
    }
    return arguments_fit(f, true, error);
}

double *frame_array(const Frame *f, const Type *type, bool batched)
{
    return NEWN(f->arena, double, frame_count(f, type, batched));
}

void frame_round(Frame *f, Narrow n)
{
    const RecProg *p = f->prog;
    for (uint32_t i = 0; i < p->arg.n && n; i++) {
        const RecArg *x = &p->arg.p[i];
        bool rounds = f->in[i] && rec_arg_narrows(x, p->out.p);
        for (int64_t k = 0, count = rounds ? frame_count(f, &x->type, x->batched) : 0; k < count; k++)
            f->in[i][k] = narrow_round(n, f->in[i][k]);
    }
}

void frame_overflow(Frame *f, Narrow n)
{
    const RecProg *p = f->prog;
    for (uint32_t i = 0; i < p->out.n && n; i++) {
        const RecOut *o = &p->out.p[i];
        bool rounds = f->out[i] && rec_out_narrows(o, p->arg.p);
        for (int64_t k = 0, count = rounds ? frame_count(f, &o->type, o->batched) : 0; k < count; k++)
            if (isinf(narrow_round(n, f->out[i][k])))
                f->out[i][k] = narrow_round(n, f->out[i][k]);
    }
}
