/* A program made by hand whose kernels only write down what they were given: dims[], bufs[], seed, level. The record
 * goes into the array of one output, which the tests make large enough. A kernel's status is the first word of `W`. */
#ifndef TESTS_CAPI_TOY_PROGRAM_H
#define TESTS_CAPI_TOY_PROGRAM_H

#include "backends/backend.h"
#include "backends/cpu/cpu.h"

typedef struct Toy {
    Arena *a;
    KernProg *k;
    DimSym T, B, keep, D, H, G, P;
    uint32_t W, x, lengths, resets, h0, c0, d_h, d_hT, d_cT; /* arguments */
    uint32_t h, hT, cT, gW, gx, gh0, gc0, wW;                /* outputs */
    KBufId bW, bx, blengths, bresets, bh0, bc0, bd_h, bd_hT;
    KBufId bh, bhT, bcT, bgW, bgx, bgh0, bwW;
    KBufId kept, scratch, back, shared;
} Toy;

static inline Type toy_type(DType dt, uint8_t rank, Dim d0, Dim d1)
{
    return (Type){.dt = dt, .rank = rank, .dim = {d0, d1}};
}

static inline uint32_t toy_arg(Toy *t, const char *name, RecRole role, Type type)
{
    RecArg x = {.name = str_of(name),
                .role = role,
                .type = type,
                .optional = role != ROLE_PARAM && role != ROLE_INPUT,
                .batched = role != ROLE_PARAM};
    vec_push(t->a, &t->k->arg, x);
    return t->k->arg.n - 1;
}

static inline uint32_t toy_out(Toy *t, const char *name, RecOutRole role, Type type, uint32_t of)
{
    RecOut o = {.name = str_of(name),
                .role = role,
                .type = type,
                .of = of,
                .streams = true,
                .batched = role != OUT_GRAD_PARAM && role != OUT_PARAM};
    vec_push(t->a, &t->k->out, o);
    return t->k->out.n - 1;
}

static inline KBufId toy_buf(Toy *t, KBufKind kind, uint32_t slot, DType dt, Dim size, unsigned used_by)
{
    KBuf b = {.kind = kind, .slot = slot, .dt = dt, .size = size, .used_by = (uint8_t)used_by, .shares = K_NONE};
    vec_push(t->a, &t->k->buf, b);
    return t->k->buf.n - 1;
}

/* The buffer of an argument or output, with the caller's size. */
static inline KBufId toy_array(Toy *t, KBufKind kind, uint32_t slot, unsigned used_by)
{
    Dim dim[MAXRANK + 1], size = DIM_ONE;
    const Type *type = kind == K_ARG ? &t->k->arg.p[slot].type : &t->k->out.p[slot].type;
    uint32_t n =
        iface_array_dims(t->k, type, kind == K_ARG ? t->k->arg.p[slot].batched : t->k->out.p[slot].batched, dim);
    for (uint32_t i = 0; i < n; i++)
        size = dim_mul(t->k->dims, size, dim[i]);
    return toy_buf(t, kind, slot, type->dt, size, used_by);
}

static inline void toy_interface(Toy *t)
{
    DimTab *d = t->k->dims;
    Dim T = dim_of(d, t->T), D = dim_of(d, t->D), H = dim_of(d, t->H), P = dim_of(d, t->P);
    Type wide = toy_type(DT_REAL, 2, dim_mul(d, dim_const(d, 2), H), D), seq = toy_type(DT_REAL, 2, T, H),
         row = toy_type(DT_REAL, 1, H, 0);
    t->W = toy_arg(t, "W", ROLE_PARAM, wide);
    t->x = toy_arg(t, "x", ROLE_INPUT, toy_type(DT_REAL, 2, T, D));
    t->lengths = toy_arg(t, "lengths", ROLE_LENGTH, toy_type(DT_INT, 0, 0, 0));
    t->resets = toy_arg(t, "resets", ROLE_RESET, toy_type(DT_BOOL, 1, T, 0));
    t->h0 = toy_arg(t, "h0", ROLE_START, row);
    t->c0 = toy_arg(t, "c0", ROLE_START, toy_type(DT_REAL, 1, P, 0));
    t->d_h = toy_arg(t, "d_h", ROLE_COTANGENT, seq);
    t->d_hT = toy_arg(t, "d_hT", ROLE_COTANGENT, row);
    t->d_cT = toy_arg(t, "d_cT", ROLE_COTANGENT, toy_type(DT_REAL, 1, P, 0));
    t->h = toy_out(t, "h", OUT_VALUE, seq, 0);
    t->hT = toy_out(t, "hT", OUT_FINAL, row, t->h0);
    t->cT = toy_out(t, "cT", OUT_FINAL, toy_type(DT_REAL, 1, P, 0), t->c0);
    t->gW = toy_out(t, "d_W", OUT_GRAD_PARAM, wide, t->W);
    t->gx = toy_out(t, "d_x", OUT_GRAD, toy_type(DT_REAL, 2, T, D), t->x);
    t->gh0 = toy_out(t, "d_h0", OUT_GRAD, row, t->h0);
    t->gc0 = toy_out(t, "d_c0", OUT_GRAD, toy_type(DT_REAL, 1, P, 0), t->c0);
    t->wW = toy_out(t, "W", OUT_PARAM, wide, t->W);
    t->k->arg.p[t->h0].of = t->hT;
    t->k->arg.p[t->c0].of = t->cT;
}

/* Workspace: `kept` is (1 + keep * T) * B * H reals, `scratch` P bytes, `back` D ints for the backward pass alone. */
static inline void toy_buffers(Toy *t)
{
    enum { F = 1 << REC_FORWARD, R = 1 << REC_BACKWARD, I = 1 << REC_INIT };
    DimTab *d = t->k->dims;
    Dim steps = dim_add(d, DIM_ONE, dim_mul(d, dim_of(d, t->keep), dim_of(d, t->T)));
    Dim rows = dim_mul(d, dim_of(d, t->B), dim_of(d, t->H));
    t->bW = toy_array(t, K_ARG, t->W, F | R);
    t->bx = toy_array(t, K_ARG, t->x, F | R);
    t->blengths = toy_array(t, K_ARG, t->lengths, F | R);
    t->bresets = toy_array(t, K_ARG, t->resets, F | R);
    t->bh0 = toy_array(t, K_ARG, t->h0, F | R);
    t->bc0 = toy_array(t, K_ARG, t->c0, F | R);
    t->bd_h = toy_array(t, K_ARG, t->d_h, R);
    t->bd_hT = toy_array(t, K_ARG, t->d_hT, R);
    t->bh = toy_array(t, K_OUT, t->h, F);
    t->bhT = toy_array(t, K_OUT, t->hT, F);
    t->bcT = toy_array(t, K_OUT, t->cT, F);
    t->bgW = toy_array(t, K_OUT, t->gW, R);
    t->bgx = toy_array(t, K_OUT, t->gx, R);
    t->bgh0 = toy_array(t, K_OUT, t->gh0, R);
    t->bwW = toy_array(t, K_OUT, t->wW, I);
    t->kept = toy_buf(t, K_WORK, 0, DT_REAL, dim_mul(d, steps, rows), F | R);
    t->scratch = toy_buf(t, K_WORK, 0, DT_BOOL, dim_of(d, t->P), F);
    t->back = toy_buf(t, K_WORK, 0, DT_INT, dim_of(d, t->D), R);
    t->shared = toy_buf(t, K_WORK, 0, DT_BOOL, dim_of(d, t->P), F);
    t->k->buf.p[t->shared].shares = t->scratch;
}

static inline Toy toy_new(Arena *a, const char *name)
{
    Toy t = {.a = a, .k = NEW(a, KernProg)};
    KernProg *k = t.k;
    *k = (KernProg){.arena = a, .dims = dim_tab_new(a), .name = str_of(name), .has_fn = {true, true, true}};
    k->batch = t.B = dim_sym_new(k->dims, STR("B"), DIM_BATCH);
    k->keep = t.keep = dim_sym_new(k->dims, STR("keep"), DIM_KEEP);
    t.T = dim_sym_new(k->dims, STR("T"), DIM_TIME);
    t.D = dim_sym_new(k->dims, STR("D"), DIM_USER);
    t.H = dim_sym_new(k->dims, STR("H"), DIM_USER);
    t.G = dim_sym_new(k->dims, STR("G"), DIM_USER);
    t.P = dim_sym_new(k->dims, STR("P"), DIM_USER);
    DimSym open[] = {t.T, t.B, t.D, t.H, t.G};
    for (int i = 0; i < 5; i++)
        vec_push(a, &k->open, open[i]);
    vec_push(a, &k->derived, (struct RecDerivedDim){.sym = t.P, .num = dim_of(k->dims, t.D), .den = dim_of(k->dims, t.G)});
    toy_interface(&t);
    toy_buffers(&t);
    return t;
}

/* ---- kernels ---- */

static inline KBufId toy_record_buf(const Toy *t, RecFn fn)
{
    return fn == REC_FORWARD ? t->bh : fn == REC_BACKWARD ? t->bgW : t->bwW;
}

static inline LLVMValueRef toy_slot(CpuModule *m, LLVMValueRef base, uint64_t i)
{
    LLVMTypeRef word = LLVMInt64TypeInContext(m->context);
    LLVMValueRef index = LLVMConstInt(word, i, false);
    return LLVMBuildGEP2(m->builder, word, base, &index, 1, "");
}

static inline LLVMValueRef toy_kernel(CpuModule *m, const Toy *t, RecFn fn, CpuLevel level)
{
    LLVMTypeRef i64 = LLVMInt64TypeInContext(m->context), i32 = LLVMInt32TypeInContext(m->context);
    LLVMTypeRef ptr = LLVMPointerTypeInContext(m->context, 0), param[] = {ptr, ptr, i64, ptr};
    LLVMValueRef f = LLVMAddFunction(m->module, "kernel", LLVMFunctionType(i32, param, 4, false));
    LLVMSetLinkage(f, LLVMInternalLinkage);
    LLVMBuilderRef b = m->builder;
    LLVMPositionBuilderAtEnd(b, LLVMAppendBasicBlockInContext(m->context, f, ""));
    LLVMValueRef dims = LLVMGetParam(f, 0), bufs = LLVMGetParam(f, 1);
    uint64_t ndims = dim_nsyms(t->k->dims) + t->k->arg.n, nbuf = t->k->buf.n;
    LLVMValueRef to = LLVMBuildLoad2(b, ptr, toy_slot(m, bufs, toy_record_buf(t, fn)), "");
    LLVMBuildMemCpy(b, to, 1, dims, 1, LLVMConstInt(i64, ndims * 8, false));
    LLVMBuildMemCpy(b, toy_slot(m, to, ndims), 1, bufs, 1, LLVMConstInt(i64, nbuf * 8, false));
    LLVMSetAlignment(LLVMBuildStore(b, LLVMGetParam(f, 2), toy_slot(m, to, ndims + nbuf)), 1);
    LLVMSetAlignment(LLVMBuildStore(b, LLVMConstInt(i64, level, false), toy_slot(m, to, ndims + nbuf + 1)), 1);
    LLVMValueRef W = LLVMBuildLoad2(b, ptr, toy_slot(m, bufs, t->bW), "");
    LLVMBuildRet(b, fn == REC_INIT ? LLVMConstInt(i32, 0, false) : LLVMBuildLoad2(b, i32, W, ""));
    return f;
}

static inline CpuModule *toy_module(const Toy *t, const CpuOptions *options)
{
    CpuModule *m = cpu_module_open(t->a, t->k, options);
    for (int l = 0; l < CPU_NLEVEL; l++)
        for (int fn = 0; fn < REC_NFN; fn++)
            if (options->level[l] && t->k->has_fn[fn])
                m->kernel[l][fn] = toy_kernel(m, t, (RecFn)fn, (CpuLevel)l);
    cpu_emit_abi(m);
    cpu_module_close(m);
    return m;
}

static inline Str toy_object(const Toy *t, const CpuOptions *options)
{
    CpuModule *m = toy_module(t, options);
    cpu_optimize(m);
    Str object = cpu_object(m, t->a);
    cpu_module_free(m);
    return object;
}

#endif
