/* Kernels as LLVM functions: the CPU's emitter in one lane, with loops whose iterations have threads. */
#include "backends/nvptx/emit.h"

#include "backends/cpu/emit.h"

enum { GLOBAL_MEMORY = 1 }; /* the address space */

/* ---- parameters ---- */

static LLVMTypeRef param_type(const CpuGen *g, const NvParam *p)
{
    return p->kind == NV_BUFFER ? LLVMPointerTypeInContext(g->context, GLOBAL_MEMORY) : gen_int1(g, 64);
}

static void param_attribute(const CpuGen *g, LLVMValueRef fn, uint32_t i, const char *name)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, i + 1, LLVMCreateEnumAttribute(g->context, kind, 0));
}

static bool is_alone(const KernProg *k, const NvKernel *kernel, uint32_t i)
{
    for (uint32_t n = 0; n < kernel->param.n; n++) {
        const NvParam *p = &kernel->param.p[n];
        if (n != i && p->kind == NV_BUFFER && kern_memory(k, p->index) == kern_memory(k, kernel->param.p[i].index))
            return false;
    }
    return true;
}

/* What is only read goes through the cache for that. */
static void describe_params(const CpuGen *g, const KernProg *k, const NvKernel *kernel, LLVMValueRef fn)
{
    for (uint32_t i = 0; i < kernel->param.n; i++) {
        if (kernel->param.p[i].kind != NV_BUFFER || !is_alone(k, kernel, i))
            continue;
        param_attribute(g, fn, i, "noalias");
        if (!kernel->param.p[i].written)
            param_attribute(g, fn, i, "readonly");
    }
}

static LLVMValueRef new_kernel(const CpuGen *g, const NvPlan *p, const NvKernel *kernel, NvThreads threads)
{
    enum { CALLED_BY_HOST = 71 }; /* LLVM's calling convention ptx_kernel */
    LLVMTypeRef none = LLVMVoidTypeInContext(g->context), i64 = gen_int1(g, 64);
    LLVMTypeRef *type = NEWN(p->arena, LLVMTypeRef, kernel->param.n + 1);
    for (uint32_t i = 0; i < kernel->param.n; i++)
        type[i] = param_type(g, &kernel->param.p[i]);
    LLVMTypeRef fn_type = threads == NV_GRID
                              ? LLVMFunctionType(none, type, kernel->param.n, false)
                              : LLVMFunctionType(none, (LLVMTypeRef[]){gen_ptr(g), i64, i64}, 3, false);
    LLVMValueRef fn = LLVMAddFunction(g->module, str_c(p->arena, kernel->name), fn_type);
    if (threads == NV_GRID) {
        LLVMSetFunctionCallConv(fn, CALLED_BY_HOST);
        describe_params(g, p->k, kernel, fn);
    }
    return fn;
}

static LLVMValueRef emulated_param(const CpuGen *g, LLVMValueRef fn, const NvParam *p, uint32_t i)
{
    LLVMTypeRef type = p->kind == NV_BUFFER ? gen_ptr(g) : gen_int1(g, 64);
    return gen_load(g, type, gen_at(g, gen_int1(g, 64), LLVMGetParam(fn, 0), gen_i64(g, i)), 8);
}

static void read_params(Emit *e, const NvKernel *kernel, NvThreads threads)
{
    CpuGen g = e->g;
    g.b = e->entry;
    for (uint32_t i = 0; i < kernel->param.n; i++) {
        const NvParam *p = &kernel->param.p[i];
        LLVMValueRef v = threads == NV_GRID ? LLVMGetParam(e->fn, i) : emulated_param(&g, e->fn, p, i);
        switch (p->kind) {
        case NV_BUFFER: e->near.buf[p->index] = v; break;
        case NV_SIZE: e->near.sym[p->index] = v; break;
        case NV_GIVEN: e->near.given[p->index] = gen_icmp(&g, LLVMIntNE, v, gen_i64(&g, 0)); break;
        }
    }
}

/* ---- threads ---- */

static LLVMValueRef special(const CpuGen *g, const char *name)
{
    return LLVMBuildZExt(g->b, gen_intrinsic(g, name, NULL, (LLVMValueRef[1]){NULL}, 0), gen_int1(g, 64), "");
}

/* The iterations of this thread: first, first + step, ... */
static void own_iterations(const Emit *e, NvThreads threads, LLVMValueRef *first, LLVMValueRef *step)
{
    const CpuGen *g = &e->g;
    if (threads == NV_EMULATED) {
        *first = LLVMGetParam(e->fn, 1);
        *step = LLVMGetParam(e->fn, 2);
        return;
    }
    LLVMValueRef block = special(g, "llvm.nvvm.read.ptx.sreg.ntid.x");
    LLVMValueRef before = LLVMBuildNSWMul(g->b, special(g, "llvm.nvvm.read.ptx.sreg.ctaid.x"), block, "");
    *first = LLVMBuildNSWAdd(g->b, before, special(g, "llvm.nvvm.read.ptx.sreg.tid.x"), "");
    *step = LLVMBuildNSWMul(g->b, special(g, "llvm.nvvm.read.ptx.sreg.nctaid.x"), block, "");
}

/* The innermost loop runs fastest, so that neighbours in a warp are neighbours in memory. */
static void take_iteration(Emit *e, const NvKernel *kernel, LLVMValueRef number)
{
    const CpuGen *g = &e->g;
    LLVMValueRef at[NV_MAXLEVEL];
    for (uint32_t l = kernel->nlevel; l-- > 0;) {
        LLVMValueRef extent = emit_dim(e, kernel->extent[l]);
        at[l] = l ? LLVMBuildURem(g->b, number, extent, "") : number;
        if (l)
            number = LLVMBuildUDiv(g->b, number, extent, "");
    }
    e->thread = NEWN(e->arena, LLVMValueRef, e->k->var.n);
    for (uint32_t i = 0; i < kernel->axis.n; i++)
        e->thread[kernel->axis.p[i].var] = at[kernel->axis.p[i].level];
}

static void emit_kernel(const NvPlan *p, RecFn fn, const NvKernel *kernel, CpuGen g, NvThreads threads)
{
    LLVMValueRef first, step;
    KStmt *root = kernel->root;
    Emit e = emit_open(&g, p->arena, p->k, fn, new_kernel(&g, p, kernel, threads));
    read_params(&e, kernel, threads);
    emit_block(&e, &kernel->before);
    own_iterations(&e, threads, &first, &step);
    GenLoop own = gen_loop(&g, first, emit_dim(&e, kernel->threads), step, NULL, 0);
    take_iteration(&e, kernel, own.i);
    emit_block(&e, &(KBlock){.p = &root, .n = 1});
    gen_loop_end(&g, &own, NULL);
    LLVMBuildRetVoid(g.b);
    emit_close(&e);
}

void nv_emit(const NvPlan *p, CpuGen g, NvThreads threads)
{
    for (int fn = 0; fn < REC_NFN; fn++)
        for (uint32_t i = 0; i < p->fn[fn].kernel.n && !p->fn[fn].refused.n; i++)
            emit_kernel(p, (RecFn)fn, &p->fn[fn].kernel.p[i], g, threads);
}
