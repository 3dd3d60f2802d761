/* kern to CPU code: a copy of every kernel for each CPU level, chosen once at run time. It is one LLVM module when its text
 * is asked for; for an object file it is made in parts, which are compiled at the same time and joined.
 *
 * A kernel is an internal function
 *     i32 @NAME.forward.avx2(ptr dims, ptr bufs, i64 seed, ptr call)       ; RNN_OK or RNN_INDEX
 * dims: i64[], indexed by DimSym (B, keep, T, H, ...; the lengths of pieces of tasks are written by share.c). bufs: ptr[], indexed by KBufId; a missing optional argument points
 * at zeros, a missing optional output is null. call: the caller's rnn_call, null for init. All checks are made by the public functions around it (abi.c).
 */
#ifndef BACKENDS_CPU_CPU_H
#define BACKENDS_CPU_CPU_H

#include <llvm-c/Core.h>
#include <llvm-c/TargetMachine.h>

#include "ir/kern/kern.h"

typedef enum CpuLevel {
#define LEVEL(ENUM, ...) CPU_##ENUM,
#include "backends/cpu/levels.def"
#undef LEVEL
    CPU_NLEVEL
} CpuLevel;

typedef struct CpuLevelInfo {
    const char *text;     /* "baseline", "avx2", "avx512" */
    const char *cpu;      /* LLVM's target-cpu */
    const char *features; /* LLVM's target-features */
    uint32_t vector_bytes;
    bool fma;
} CpuLevelInfo;

/* Of real arrays. What is computed, and what stays in the workspace, is in single precision for all but PREC_F64. */
typedef enum Precision { PREC_F32, PREC_F64, PREC_BF16, PREC_F16, PREC_COUNT } Precision;
Narrow precision_narrow(Precision p);
const char *precision_text(Precision p); /* "f32", as the option has it */

typedef struct CpuOptions {
    bool level[CPU_NLEVEL]; /* at least one */
    Precision precision;
    Str prefix;             /* of public names; the program's name when empty */
    bool debug;             /* line tables of the .rnn file */
    Str version;            /* of rnnc, for rnn_info */
    const Sources *sources; /* for debug data */
} CpuOptions;

typedef struct CpuModule {
    Arena *arena;
    const KernProg *kern;
    CpuOptions options;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    LLVMTargetMachineRef machine;
    LLVMTypeRef real; /* float or double */
    bool apart;       /* a part: its kernels, and ready code, are joined to others' objects by name */
    LLVMValueRef kernel[CPU_NLEVEL][REC_NFN]; /* NULL where there is none */
} CpuModule;

/* What LLVM does before code generation. Accumulators become registers, what loops repeat is done once; loops are already
 * in lanes and are left as they are. instcombine runs once: without no-verify-fixpoint it would insist on nothing being left. */
#define CPU_PASSES                                                                                                     \
    "function(mem2reg,early-cse<memssa>,instcombine<no-verify-fixpoint>,loop-mssa(licm),simplifycfg),globaldce"

const CpuLevelInfo *cpu_level_info(CpuLevel level);
bool cpu_level_here(CpuLevel level); /* can this machine run it */

/* emit.c: one function of the program for one level (uses math.c, gemm.c) */
LLVMValueRef cpu_emit_kernel(CpuModule *m, RecFn fn, CpuLevel level);
LLVMValueRef cpu_declare_kernel(CpuModule *m, RecFn fn, CpuLevel level); /* one that another part has */
/* abi.c: the public functions NAME_workspace, NAME_forward, ... and the choice of level */
void cpu_emit_abi(CpuModule *m);
/* workspace.c: what NAME_workspace answers, as a formula: `sum` and, of what shares one place, the largest; each of the arrays in it
 * takes up to 63 bytes more for its alignment. Names of dimensions that passes made stand in it as they are. */
typedef struct CpuWorkspace {
    Dim sum;
    VEC(Dim) most; /* none, or several */
    uint32_t narrays;
} CpuWorkspace;
CpuWorkspace cpu_workspace(Arena *a, const KernProg *k, bool f64, bool train);
uint32_t cpu_element_bytes(Precision p, DType dt); /* in the workspace */
/* object.c: one module; the result is an object file in memory, the same bytes for the same input */
CpuModule *cpu_module_new(Arena *a, const KernProg *kern, const CpuOptions *options); /* emits kernels and abi, verifies */
CpuModule *cpu_module_open(Arena *a, const KernProg *kern, const CpuOptions *options); /* without any function yet */
void cpu_start_llvm(void); /* before the first part, while no thread compiles */
CpuModule *cpu_module_part(Arena *a, const KernProg *kern, const CpuOptions *options, LLVMCodeGenOptLevel level);
void cpu_module_close(CpuModule *m); /* verifies */
void cpu_optimize(CpuModule *m);
LLVMMemoryBufferRef cpu_emit(CpuModule *m, LLVMModuleRef module, LLVMCodeGenFileType type); /* changes the module */
Str cpu_object(CpuModule *m, Arena *a);
Str cpu_last_object(CpuModule *m, Arena *a); /* the same bytes, sooner; m is good for cpu_module_free only */
Str cpu_assembly(CpuModule *m, Arena *a);
Str cpu_llvm_text(CpuModule *m, Arena *a);
void cpu_module_free(CpuModule *m);

/* parts.c: the whole way to an object file, with several threads, the same bytes whatever their number */
Str cpu_build(Arena *a, const KernProg *kern, const CpuOptions *options);
/* join.c: one object file of several. What one asks for and another has is bound, as is ready code; of all functions
 * only those stay visible that are not hidden. */
Str cpu_join(Arena *a, const Str *object, uint32_t n);

/* jit.c: runs the very bytes that build would write */
typedef struct CpuCode CpuCode;
CpuCode *cpu_load(Str object, const KernProg *kern, const CpuOptions *options, Str *error); /* NULL and a message on failure */
/* Calls a generated function by the interface's own order. Arrays are in the caller's precision: real as float or double by
 * options.precision (where kern_arg_narrow says so, 16 bits in uint16_t), int as int32_t, bool as uint8_t; NULL where not given. dim_value is indexed by DimSym. Returns the
 * rnn_status. `in` is by RecArg index, `out` by RecOut index. The workspace is kept between forward and backward. */
int cpu_call(CpuCode *code, RecFn fn, const int64_t *dim_value, const void *const *in, void *const *out, bool train,
             uint64_t seed);
/* The same with a packed batch; offsets: [B+1], or NULL where the batch is not packed. */
int cpu_call_packed(CpuCode *code, RecFn fn, const int64_t *dim_value, const void *const *in, void *const *out,
                    const int32_t *offsets, bool train, uint64_t seed);
/* T places with carried state: in-out arrays for every ROLE_START argument, by RecArg index in `in` (they are written). */
int cpu_call_chunk(CpuCode *code, bool step, const int64_t *dim_value, void *const *in, void *const *out);
void *cpu_symbol(CpuCode *code, const char *name);
const char *cpu_status_text(int status);
void cpu_free(CpuCode *code);

#endif
