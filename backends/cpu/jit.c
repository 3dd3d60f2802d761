/* Runs the very bytes that build would write: the object goes to LLVM's linker in memory, and calls go through the
 * public functions, by the interface's own order. */
#include "backends/cpu/cpu.h"

#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Orc.h>
#include <llvm-c/Target.h>
#include <stdlib.h>

#include "backends/backend.h"

/* rnn_call of the generated header */
typedef struct CallOptions {
    void *workspace;
    size_t bytes;
    int passes;
    void *parallel, *context;
} CallOptions;

struct CpuCode {
    Arena *arena;
    const KernProg *kern;
    Iface *iface;
    LLVMOrcLLJITRef jit;
    void *fn[IFN_COUNT];
    void *workspace;
    size_t bytes;
};

/* ---- loading ---- */

/* Takes the error apart; NULL when there is none. */
static bool failed(LLVMErrorRef error, Str *why, Arena *a)
{
    if (!error)
        return false;
    char *text = LLVMGetErrorMessage(error);
    *why = str_copy(a, str_of(text));
    LLVMDisposeErrorMessage(text);
    return true;
}

static void *address_of(const void *fn, size_t n)
{
    void *p;
    memcpy(&p, fn, n);
    return p;
}

/* The only functions that generated code may call. */
static LLVMErrorRef define_memory_functions(LLVMOrcLLJITRef jit)
{
    void *(*copy)(void *, const void *, size_t) = memcpy, *(*move)(void *, const void *, size_t) = memmove;
    void *(*set)(void *, int, size_t) = memset;
    const char *name[] = {"memcpy", "memmove", "memset"};
    void *at[] = {address_of(&copy, sizeof copy), address_of(&move, sizeof move), address_of(&set, sizeof set)};
    LLVMOrcCSymbolMapPair pair[3];
    for (int i = 0; i < 3; i++) {
        pair[i].Name = LLVMOrcLLJITMangleAndIntern(jit, name[i]);
        pair[i].Sym.Address = (LLVMOrcExecutorAddress)(uintptr_t)at[i];
        pair[i].Sym.Flags =
            (LLVMJITSymbolFlags){.GenericFlags = LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable};
    }
    return LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(jit), LLVMOrcAbsoluteSymbols(pair, 3));
}

static LLVMErrorRef add_object(LLVMOrcLLJITRef jit, Str object)
{
    LLVMMemoryBufferRef buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(object.p, object.n, "object");
    return LLVMOrcLLJITAddObjectFile(jit, LLVMOrcLLJITGetMainJITDylib(jit), buffer);
}

static bool find_functions(CpuCode *c, Str prefix, Str *error)
{
    for (int f = 0; f < IFN_COUNT; f++) {
        LLVMOrcExecutorAddress at = 0;
        if (!iface_has_fn(c->kern, (IfaceFn)f))
            continue;
        const char *name = str_c(c->arena, iface_public(c->arena, prefix, (IfaceFn)f));
        if (failed(LLVMOrcLLJITLookup(c->jit, &at, name), error, c->kern->arena))
            return false;
        c->fn[f] = (void *)(uintptr_t)at;
    }
    return true;
}

CpuCode *cpu_load(Str object, const KernProg *kern, const CpuOptions *options, Str *error)
{
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    Arena *a = arena_new();
    CpuCode *c = NEW(a, CpuCode);
    *c = (CpuCode){.arena = a, .kern = kern, .iface = iface_of(a, kern)};
    bool bad = failed(LLVMOrcCreateLLJIT(&c->jit, NULL), error, kern->arena);
    bad = bad || failed(define_memory_functions(c->jit), error, kern->arena) ||
          failed(add_object(c->jit, object), error, kern->arena);
    if (!bad && find_functions(c, iface_prefix(kern, options->prefix), error))
        return c;
    cpu_free(c);
    return NULL;
}

void *cpu_symbol(CpuCode *code, const char *name)
{
    LLVMOrcExecutorAddress at = 0;
    LLVMErrorRef error = LLVMOrcLLJITLookup(code->jit, &at, name);
    if (error)
        LLVMConsumeError(error);
    return (void *)(uintptr_t)at;
}

void cpu_free(CpuCode *code)
{
    if (code->jit)
        LLVMConsumeError(LLVMOrcDisposeLLJIT(code->jit));
    free(code->workspace);
    arena_free(code->arena);
}

const char *cpu_status_text(int status)
{
    switch (status) {
#define STATUS(ENUM, NUMBER, TEXT)                                                                                     \
    case NUMBER:                                                                                                       \
        return TEXT;
#include "backends/status.def"
#undef STATUS
    default: return "unknown status";
    }
}

/* ---- calling ---- */

typedef union Word {
    int64_t n;
    void *p;
} Word;

/* One struct of the interface, from arrays by index. An empty one has a member all the same. */
static Word *pack(CpuCode *c, Arena *a, IfaceStruct s, const int64_t *dim_value, const void *const *in, void *const *out,
                  const int32_t *offsets)
{
    Word *w = NEWN(a, Word, c->iface->member[s].n + 1);
    for (uint32_t i = 0; i < c->iface->member[s].n; i++) {
        const IfaceMember *m = &c->iface->member[s].p[i];
        if (s == IF_SIZES)
            w[i].n = dim_value[m->sym];
        else if (m->offsets)
            memcpy(&w[i].p, &offsets, sizeof w[i].p);
        else if (m->arg != K_NONE)
            memcpy(&w[i].p, &in[m->arg], sizeof w[i].p); /* drops a const that the callee keeps */
        else
            w[i].p = out[m->out];
    }
    return w;
}

/* Makes the workspace large enough. A new one is empty: there is nothing to go backward from. */
static bool grow_workspace(CpuCode *c, size_t bytes)
{
    if (bytes == SIZE_MAX)
        return false;
    if (bytes <= c->bytes)
        return true;
    free(c->workspace);
    c->workspace = calloc(1, bytes);
    c->bytes = c->workspace ? bytes : 0;
    return c->workspace != NULL;
}

typedef size_t WorkspaceFn(const Word *, int);
typedef size_t PackedFn(const Word *, const int32_t *, int);
typedef int Call4(const Word *, const Word *, const Word *, const Word *, const CallOptions *);
typedef int Call5(const Word *, const Word *, const Word *, const Word *, const Word *, const CallOptions *);
typedef int Call6(const Word *, const Word *, const Word *, const Word *, const Word *, const Word *,
                  const CallOptions *);
typedef int InitFn(const Word *, const Word *, uint64_t);

/* Data pointers to code pointers, which ISO C keeps apart. */
#define AS_FN(type, address, result)                                                                                   \
    type *result;                                                                                                      \
    memcpy(&result, &(address), sizeof result)

static size_t workspace_of(CpuCode *c, const Word *sizes, const int32_t *offsets, int passes)
{
    AS_FN(WorkspaceFn, c->fn[IFN_WORKSPACE], workspace);
    AS_FN(PackedFn, c->fn[IFN_PACKED], packed);
    return offsets ? packed(sizes, offsets, passes) : workspace(sizes, passes);
}

static int call_public(CpuCode *c, IfaceFn f, Word *const *s, const int32_t *offsets, int passes, uint64_t seed)
{
    CallOptions o = {.workspace = c->workspace, .bytes = c->bytes, .passes = passes};
    if (iface_fn(f)->call) {
        if (!grow_workspace(c, workspace_of(c, s[0], offsets, passes)))
            return RNN_SIZE;
        o.workspace = c->workspace;
        o.bytes = c->bytes;
    }
    AS_FN(InitFn, c->fn[f], init);
    AS_FN(Call4, c->fn[f], call4);
    AS_FN(Call5, c->fn[f], call5);
    AS_FN(Call6, c->fn[f], call6);
    switch (f) {
    case IFN_INIT: return init(s[0], s[1], seed);
    case IFN_FORWARD: return call4(s[0], s[1], s[2], s[3], &o);
    case IFN_CHUNK:
    case IFN_STEP: return call5(s[0], s[1], s[2], s[3], s[4], &o);
    case IFN_BACKWARD: return call6(s[0], s[1], s[2], s[3], s[4], s[5], &o);
    case IFN_WORKSPACE:
    case IFN_PACKED:
    case IFN_INFO:
    case IFN_COUNT: break;
    }
    ice("jit: this function is not called so");
}

static int call(CpuCode *c, IfaceFn f, const int64_t *dim_value, const void *const *in, void *const *out, const int32_t *offsets,
                int passes, uint64_t seed)
{
    if (!c->fn[f])
        ice("jit: %.*s has no function %s", STRF(c->kern->name), iface_fn(f)->name);
    Arena *a = arena_new();
    Word *s[6] = {0};
    for (uint32_t i = 0; i < iface_fn(f)->n; i++)
        s[i] = pack(c, a, iface_fn(f)->takes[i], dim_value, in, out, offsets);
    int status = call_public(c, f, s, offsets, passes, seed);
    arena_free(a);
    return status;
}

int cpu_call(CpuCode *code, RecFn fn, const int64_t *dim_value, const void *const *in, void *const *out, bool train,
             uint64_t seed)
{
    return cpu_call_packed(code, fn, dim_value, in, out, NULL, train, seed);
}

int cpu_call_packed(CpuCode *code, RecFn fn, const int64_t *dim_value, const void *const *in, void *const *out,
                    const int32_t *offsets, bool train, uint64_t seed)
{
    static const IfaceFn public_of[REC_NFN] = {
        [REC_FORWARD] = IFN_FORWARD, [REC_BACKWARD] = IFN_BACKWARD, [REC_INIT] = IFN_INIT};
    bool both = train || fn == REC_BACKWARD;
    return call(code, public_of[fn], dim_value, in, out, offsets, both ? RNN_PASS_TRAIN : RNN_PASS_FORWARD, seed);
}

int cpu_call_chunk(CpuCode *code, bool step, const int64_t *dim_value, void *const *in, void *const *out)
{
    Arena *a = arena_new();
    const void **given = NEWN(a, const void *, code->kern->arg.n + 1);
    int64_t *dims = NEWN(a, int64_t, dim_nsyms(code->kern->dims));
    memcpy(dims, dim_value, dim_nsyms(code->kern->dims) * sizeof *dims);
    DimSym time;
    if (step && iface_time(code->kern, &time))
        dims[time] = 1; /* for the workspace; step itself does not read it */
    for (uint32_t i = 0; i < code->kern->arg.n; i++)
        given[i] = in[i];
    int status = call(code, step ? IFN_STEP : IFN_CHUNK, dims, given, out, NULL, RNN_PASS_FORWARD, 0);
    arena_free(a);
    return status;
}
