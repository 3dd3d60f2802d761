/* Code on a GPU, and what code on either is called by. */
#include "backends/backend.h"
#include "frontend/run_frame.h"

static Str refusal(Arena *a, const Compile *c)
{
    const NvFn *forward = &c->plan->fn[REC_FORWARD], *f = forward->refused.n ? forward : &c->plan->fn[REC_BACKWARD];
    return f->refused.n ? str_fmt(a, "it does not run on a GPU: its %s function has %.*s", f == forward ? "forward" : "backward", STRF(f->refused))
                        : STR("");
}

bool code_make_gpu(Arena *a, RecProg *raw, const CpuOptions *cpu, const Gpu *gpu, Code *out, Str *error)
{
    NvOptions o = {.arch = gpu->arch, .f64 = cpu->precision == PREC_F64, .version = cpu->version, .products = gpu->products};
    Compile c = {.arena = a, .cpu = *cpu, .for_gpu = true, .gpu = o, .emit = EMIT_PTX, .rec = raw, .dump = stderr};
    compile(&c);
    *error = refusal(a, &c);
    *out = (Code){.kern = c.kern, .cpu = *cpu, .arch = gpu->arch, .products = gpu->products};
    out->gpu = error->n ? NULL : nv_load(gpu->device, c.plan, &o, c.result, error);
    return out->gpu != NULL;
}

bool code_is_there(const Code *code)
{
    return code->code || code->gpu;
}

int code_call(const Code *code, RecFn fn, const int64_t *dim, void *const *in, void *const *out, const int32_t *offset, bool train)
{
    if (!code->gpu)
        return cpu_call_packed(code->code, fn, dim, (const void *const *)in, out, offset, train, 0);
    if (offset)
        ice("code_call: packed sequences on a GPU");
    return (int)nv_call(code->gpu, fn == REC_FORWARD ? IFN_FORWARD : IFN_BACKWARD, dim, in, out, train);
}

int code_call_chunk(const Code *code, bool step, const int64_t *dim, void *const *in, void *const *out)
{
    if (!code->gpu)
        return cpu_call_chunk(code->code, step, dim, in, out);
    return (int)nv_call(code->gpu, step ? IFN_STEP : IFN_CHUNK, dim, in, out, false);
}

Str code_status_text(Arena *a, const Code *code, int status)
{
    return code->gpu && status == RNN_CUDA ? nv_error(a, code->gpu) : str_of(cpu_status_text(status));
}

/* ---- packed batches ---- */

/* A batched result is the sequence's own part of the whole, others are sums. */
static void take_part(Frame *f, double *const *part, const Frame *one, uint32_t out)
{
    const RecOut *o = &f->prog->out.p[out];
    for (int64_t k = 0, n = one->out[out] ? frame_count(one, &o->type, o->batched) : 0; k < n; k++)
        part[out][k] = (o->batched ? 0 : part[out][k]) + one->out[out][k];
}

static bool run_sequence(Frame *f, int64_t b, const Code *code, bool grad, Str *error)
{
    Frame one = frame_sequence(f, b);
    double **part = one.out;
    one.out = NEWN(f->arena, double *, f->prog->out.n);
    one.guess.n = 0;
    if (!frame_compiled(&one, code, grad, error))
        return false;
    for (uint32_t i = 0; i < f->prog->out.n; i++)
        take_part(f, part, &one, i);
    return true;
}

bool frame_one_by_one(Frame *f, const Code *code, bool grad, Str *error)
{
    const RecProg *p = f->prog;
    bool ok = true;
    for (uint32_t i = 0; i < p->out.n; i++) {
        bool result = p->out.p[i].role == OUT_VALUE || p->out.p[i].role == OUT_FINAL || (grad && rec_is_gradient(p->out.p[i].role));
        f->out[i] = result ? frame_array(f, &p->out.p[i].type, p->out.p[i].batched) : NULL;
    }
    f->report.n = 0;
    for (int64_t b = 0; b < f->dim[p->batch] && ok; b++)
        ok = run_sequence(f, b, code, grad, error);
    return ok;
}
