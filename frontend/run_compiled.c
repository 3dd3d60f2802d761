/* Calls generated code: the caller's arrays as float, double, 16 bits, int32 or uint8, and back. Every result starts out as
 * garbage, so that what the code forgets to write is seen. */
#include "backends/backend.h"
#include "frontend/run_frame.h"

#include <math.h>

bool code_make(Arena *a, RecProg *raw, const CpuOptions *cpu, Code *out, Str *error)
{
    Compile c = {.arena = a, .cpu = *cpu, .emit = EMIT_OBJ, .rec = raw, .dump = stderr};
    compile(&c);
    *out = (Code){.kern = c.kern, .cpu = *cpu};
    out->code = cpu_load(c.result, c.kern, cpu, error);
    return out->code != NULL;
}

void code_free(Code *code)
{
    if (code->code)
        cpu_free(code->code);
    if (code->gpu)
        nv_unload(code->gpu);
    code->code = NULL;
    code->gpu = NULL;
}

/* The elements of one array in generated code's memory. */
typedef struct Stored {
    DType dt;
    bool f64;
    Narrow narrow;
} Stored;

static Stored stored_arg(const Code *code, uint32_t arg)
{
    return (Stored){code->kern->arg.p[arg].type.dt, code->cpu.precision == PREC_F64, kern_arg_narrow(code->kern, arg)};
}

static Stored stored_out(const Code *code, uint32_t out)
{
    return (Stored){code->kern->out.p[out].type.dt, code->cpu.precision == PREC_F64, kern_out_narrow(code->kern, out)};
}

static size_t elem_bytes(Stored s)
{
    return s.dt == DT_BOOL ? 1 : s.dt == DT_INT ? 4 : narrow_bytes(s.narrow, s.f64 ? 8 : 4);
}

static void put(Stored s, void *to, int64_t i, double x)
{
    if (s.dt == DT_BOOL)
        ((uint8_t *)to)[i] = x != 0;
    else if (s.dt == DT_INT)
        ((int32_t *)to)[i] = (int32_t)x;
    else if (s.narrow)
        ((uint16_t *)to)[i] = narrow_of(s.narrow, (float)x);
    else if (s.f64)
        ((double *)to)[i] = x;
    else
        ((float *)to)[i] = (float)x;
}

static double get(Stored s, const void *from, int64_t i)
{
    if (s.dt == DT_BOOL)
        return ((const uint8_t *)from)[i];
    if (s.dt == DT_INT)
        return ((const int32_t *)from)[i];
    if (s.narrow)
        return (double)narrow_value(s.narrow, ((const uint16_t *)from)[i]);
    return s.f64 ? ((const double *)from)[i] : (double)((const float *)from)[i];
}

static void *native_array(const Frame *f, Stored s, int64_t n, const double *from)
{
    void *to = arena_alloc(f->arena, (size_t)n * elem_bytes(s) + 8);
    for (int64_t i = 0; i < n; i++)
        put(s, to, i, from ? from[i] : s.dt == DT_REAL ? (double)NAN : 77);
    return to;
}

/* The compiled program's arguments and results are the reference's, found by name; its dimensions too. */
static uint32_t find_arg(const RecProg *p, Str name, RecRole role)
{
    for (uint32_t i = 0; i < p->arg.n; i++)
        if (p->arg.p[i].role == role && str_eq(p->arg.p[i].name, name))
            return i;
    ice("find_arg: the reference program has no argument %.*s", STRF(name));
}

static uint32_t find_out(const RecProg *p, Str name, RecOutRole role)
{
    for (uint32_t i = 0; i < p->out.n; i++)
        if (p->out.p[i].role == role && str_eq(p->out.p[i].name, name))
            return i;
    ice("find_out: the reference program has no result %.*s", STRF(name));
}

int64_t *frame_dims(const Frame *f, const DimTab *t, const struct RecDerivedDim *derived, uint32_t n)
{
    int64_t *dim = NEWN(f->arena, int64_t, dim_nsyms(t));
    for (DimSym s = 0; s < dim_nsyms(t); s++) {
        DimSym same;
        if (dim_find_sym(f->prog->dims, dim_sym_info(t, s)->name, &same))
            dim[s] = f->dim[same];
    }
    dims_derive(t, derived, n, dim);
    return dim;
}

static int64_t report_count(const Frame *f, const Code *code, const int64_t *dim, uint32_t out)
{
    DimTab *t = code->kern->dims;
    const Type *type = &code->kern->out.p[out].type;
    RecFace face = iface_face(code->kern);
    int64_t n;
    Dim size = type_size(t, type);
    if (!f->offset || !rec_over_time(&face, type))
        size = dim_mul(t, size, dim_of(t, code->kern->batch));
    if (!dim_eval(t, size, dim, &n))
        ice("report_count: a size is negative or too large");
    return n;
}

static void take_report(Frame *f, const Code *code, const Native *n, uint32_t out)
{
    const RecOut *o = &code->kern->out.p[out];
    Report r = {.name = o->name, .n = report_count(f, code, n->dim, out)};
    r.value = NEWN(f->arena, double, r.n + 1);
    for (int64_t i = 0; i < r.n; i++)
        r.value[i] = get(stored_out(code, out), n->out[out], i);
    vec_push(f->arena, &f->report, r);
}

/* An array that the form asks for; the reference program does not know it. */
static void *native_guess(const Frame *f, const Code *code, uint32_t arg)
{
    Str name = code->kern->arg.p[arg].name;
    for (uint32_t i = 0; i < f->guess.n; i++)
        if (str_eq(f->guess.p[i].name, name))
            return native_array(f, stored_arg(code, arg), f->guess.p[i].n, f->guess.p[i].value);
    return NULL;
}

Native native_of(const Frame *f, const Code *code)
{
    const KernProg *k = code->kern;
    Native n = {NEWN(f->arena, void *, k->arg.n), NEWN(f->arena, void *, k->out.n), frame_dims(f, k->dims, k->derived.p, k->derived.n)};
    for (uint32_t i = 0; i < k->arg.n; i++) {
        if (k->arg.p[i].role == ROLE_GUESS) {
            n.in[i] = native_guess(f, code, i);
            continue;
        }
        const RecArg *x = &f->prog->arg.p[find_arg(f->prog, k->arg.p[i].name, k->arg.p[i].role)];
        const double *from = f->in[x - f->prog->arg.p];
        if (from)
            n.in[i] = native_array(f, stored_arg(code, i), frame_count(f, &x->type, x->batched), from);
    }
    for (uint32_t i = 0; i < k->out.n; i++) {
        if (k->out.p[i].role == OUT_REPORT) {
            n.out[i] = native_array(f, stored_out(code, i), report_count(f, code, n.dim, i), NULL);
            continue;
        }
        const RecOut *o = &f->prog->out.p[find_out(f->prog, k->out.p[i].name, k->out.p[i].role)];
        int64_t count = frame_count(f, &o->type, o->batched);
        const double *zeros = o->role == OUT_GRAD_PARAM ? NEWN(f->arena, double, count) : NULL;
        n.out[i] = native_array(f, stored_out(code, i), count, zeros);
    }
    return n;
}

void native_results(Frame *f, const Code *code, const Native *n, bool grad)
{
    const KernProg *k = code->kern;
    memset(f->out, 0, f->prog->out.n * sizeof *f->out);
    f->report.n = 0;
    for (uint32_t i = 0; i < k->out.n; i++) {
        if (k->out.p[i].role == OUT_REPORT) {
            take_report(f, code, n, i);
            continue;
        }
        uint32_t out = find_out(f->prog, k->out.p[i].name, k->out.p[i].role);
        const RecOut *o = &f->prog->out.p[out];
        bool gradient = o->role == OUT_GRAD || o->role == OUT_GRAD_PARAM;
        if (o->role == OUT_PARAM || (gradient && !grad))
            continue;
        f->out[out] = frame_array(f, &o->type, o->batched);
        Stored s = stored_out(code, i);
        for (int64_t j = 0, count = frame_count(f, &o->type, o->batched); j < count; j++)
            f->out[out][j] = get(s, n->out[i], j);
    }
}

/* Compiled code says only that an index was outside; the evaluator says which. */
static Str outside_index(const Frame *f)
{
    Frame again = *f;
    Str why;
    again.out = NEWN(f->arena, double *, f->prog->out.n);
    return frame_reference(&again, false, &why) ? STR("") : str_fmt(f->arena, ": %.*s", STRF(why));
}

static bool done(Frame *f, const Code *code, int status, Str *error)
{
    if (status == RNN_OK)
        return true;
    *error = str_fmt(f->arena, "%.*s%.*s", STRF(code_status_text(f->arena, code, status)), STRF(status == RNN_INDEX ? outside_index(f) : STR("")));
    return false;
}

bool frame_compiled(Frame *f, const Code *code, bool grad, Str *error)
{
    grad = grad && code->kern->has_fn[REC_BACKWARD];
    if (code->gpu && f->offset)
        return frame_one_by_one(f, code, grad, error);
    Native n = native_of(f, code);
    if (!done(f, code, code_call(code, REC_FORWARD, n.dim, n.in, n.out, f->offset, grad), error) ||
        (grad && !done(f, code, code_call(code, REC_BACKWARD, n.dim, n.in, n.out, f->offset, true), error)))
        return false;
    native_results(f, code, &n, grad);
    return true;
}

/* Where place t of an array [T,B,...] begins; an array without that axis is the same at every place. */
static void *at_place(const Frame *f, Stored s, const Type *type, bool batched, void *array, int64_t t)
{
    if (!array || !frame_is_timed(f->prog, type))
        return array;
    int64_t places = f->dim[f->prog->time], count = frame_count(f, type, batched);
    return (char *)array + (places ? (size_t)(count / places * t) * elem_bytes(s) : 0);
}

/* The carried states begin as the caller's start values, or as the declared ones, which a forward call over no places
 * gives back as its final states. */
static bool start_carry(Frame *f, const Code *code, const Native *n, Str *error)
{
    const KernProg *k = code->kern;
    Native none = native_of(f, code);
    none.dim[k->batch] = n->dim[k->batch];
    DimSym time;
    if (!dim_find_sym(k->dims, dim_sym_info(f->prog->dims, f->prog->time)->name, &time))
        ice("start_carry: no time axis");
    none.dim[time] = 0;
    for (uint32_t i = 0; i < k->arg.n; i++)
        if (k->arg.p[i].role == ROLE_LENGTH)
            none.in[i] = NULL;
    if (!done(f, code, code_call(code, REC_FORWARD, none.dim, none.in, none.out, NULL, false), error))
        return false;
    for (uint32_t i = 0; i < k->arg.n; i++)
        if (k->arg.p[i].role == ROLE_START)
            n->in[i] = none.out[k->arg.p[i].of];
    return true;
}

bool frame_chunks(Frame *f, const Code *code, int64_t size, bool step, Str *error)
{
    const KernProg *k = code->kern;
    Native n = native_of(f, code);
    DimSym time;
    int64_t places = f->dim[f->prog->time];
    if (!dim_find_sym(k->dims, dim_sym_info(f->prog->dims, f->prog->time)->name, &time))
        ice("frame_chunks: no time axis");
    if (!start_carry(f, code, &n, error))
        return false;
    for (int64_t t = 0; t < places; t += size) {
        void **in = NEWN(f->arena, void *, k->arg.n), **out = NEWN(f->arena, void *, k->out.n);
        n.dim[time] = t + size < places ? size : places - t;
        for (uint32_t i = 0; i < k->arg.n; i++)
            if (k->arg.p[i].role != ROLE_GUESS)
                in[i] = at_place(f, stored_arg(code, i), &k->arg.p[i].type, k->arg.p[i].batched, n.in[i], t);
        for (uint32_t i = 0; i < k->out.n; i++)
            if (k->out.p[i].role != OUT_REPORT) /* what a call says of itself; its sizes are unknown to f */
                out[i] = at_place(f, stored_out(code, i), &k->out.p[i].type, k->out.p[i].batched, n.out[i], t);
        if (!done(f, code, code_call_chunk(code, step, n.dim, in, out), error))
            return false;
    }
    for (uint32_t i = 0; i < k->out.n; i++)
        if (k->out.p[i].role == OUT_FINAL)
            n.out[i] = n.in[k->out.p[i].of];
    native_results(f, code, &n, false);
    return true;
}
