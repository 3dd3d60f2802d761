/* Inside of abi*.c: the public functions of one module, and the internal ones that they share. */
#ifndef BACKENDS_CPU_ABI_H
#define BACKENDS_CPU_ABI_H

#include "backends/backend.h"
#include "backends/cpu/cpu.h"

/* Internal functions of the generated module:
 *   i32 measure(sizes, mode, dims, bytes)       fills dims[] and bytes[] (arguments, then outputs); RNN_OK or RNN_SIZE
 *   i64 layout(dims, bytes, base, bufs, train)  places the workspace: bufs[] of K_WORK, then zeros, then lengths; how
 * many bytes that takes, -1 when they overflow i1  overlap(ranges, nwritten, n)            ranges: {start, end} pairs,
 * those written first i1  lengths_bad(lengths, B, T) void lengths_fill(lengths, B, T) i64 seal(dims) what a training
 * forward leaves in the workspace i32 level()                                 the CpuLevel to run */
typedef struct AbiFn {
    LLVMTypeRef type;
    LLVMValueRef fn;
} AbiFn;

typedef struct Abi {
    CpuModule *m;
    Arena *arena;
    const KernProg *k;
    Iface *iface;
    Str prefix;
    LLVMContextRef cx;
    LLVMBuilderRef b;
    LLVMTypeRef i1, i8, i32, i64, ptr, none;
    uint32_t nsym, narg, nout, nbuf;
    bool has_time, has_lengths;
    uint32_t nlength; /* lengths of a sequence: one for each axis of its places */
    DimSym extent[MAXRANK]; /* what each may be at most */
    DimSym time;
    uint32_t length_arg;
    bool packs;       /* takes packed batches; */
    uint32_t offsets; /* the member of the inputs that says so */
    AbiFn measure, layout, overlap, lengths_bad, lengths_fill, seal, level, run;
    AbiFn offsets_bad, packed_lengths_bad, packed_seal, sequence, rooms, advance; /* abi_packed.c */
} Abi;

/* sizes: all read, twice; T is 1; T and B are 0; arrays over T have no B */
typedef enum AbiMode { ABI_NORMAL, ABI_CHUNK, ABI_STEP, ABI_INIT, ABI_PACKED } AbiMode;

enum { ABI_ALIGN = 64, ABI_HEAD = 64 }; /* bytes: of buffers in the workspace; of its head, where the seal stands */

/* ---- abi_build.c: small tools over LLVM's builder ---- */
LLVMValueRef abi_i64(const Abi *a, int64_t v);
LLVMValueRef abi_i32(const Abi *a, int32_t v);
AbiFn abi_fn(Abi *a, const char *name, LLVMTypeRef result, uint32_t n, const LLVMTypeRef *param,
             bool is_public); /* builder at its start */
void abi_optimize(AbiFn f);   /* one with loops: it goes through LLVM's passes after all */
LLVMValueRef abi_call(Abi *a, AbiFn f, uint32_t n, const LLVMValueRef *arg);
LLVMValueRef abi_intrinsic(Abi *a, const char *name, LLVMTypeRef over, uint32_t n, const LLVMValueRef *arg);
LLVMValueRef abi_slot(Abi *a, LLVMValueRef array, uint32_t i); /* address of 8-byte element i */
LLVMValueRef abi_load(Abi *a, LLVMTypeRef type, LLVMValueRef array, uint32_t i);
void abi_store(Abi *a, LLVMValueRef value, LLVMValueRef array, uint32_t i);
LLVMValueRef abi_cmp(Abi *a, LLVMIntPredicate p, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef abi_is_null(Abi *a, LLVMValueRef p);
LLVMValueRef abi_or(Abi *a, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef abi_and(Abi *a, LLVMValueRef x, LLVMValueRef y);
LLVMValueRef abi_offset(Abi *a, LLVMValueRef base, LLVMValueRef bytes); /* base + bytes */
LLVMValueRef abi_words(Abi *a, uint32_t n);                             /* n of 8 bytes, on the stack */
LLVMBasicBlockRef abi_block(Abi *a);                                    /* a new one at the end of the function */
void abi_return_if(Abi *a, LLVMValueRef cond, LLVMValueRef result);     /* and goes on behind */
typedef struct AbiLoop {
    LLVMBasicBlockRef head, done;
    LLVMValueRef i;
} AbiLoop;
AbiLoop abi_loop(Abi *a, LLVMValueRef from, LLVMValueRef to); /* for i in from..to: what follows, until abi_loop_end */
void abi_loop_end(Abi *a, AbiLoop l);
LLVMValueRef abi_string(Abi *a, Str s); /* a private constant, NUL-terminated */
LLVMValueRef abi_table(Abi *a, const char *name, LLVMTypeRef elem, LLVMValueRef *v,
                       uint32_t n); /* a private constant array */

/* ---- the rest, a file each ---- */
void abi_emit_sizes(Abi *a);  /* abi_sizes.c: measure, layout */
void abi_emit_checks(Abi *a); /* abi_check.c: overlap, lengths_bad, lengths_fill, seal */
LLVMValueRef abi_mixed(Abi *a, LLVMValueRef h, LLVMValueRef n); /* a seal with one more number in it, in abi_check.c */
void abi_emit_packed(Abi *a); /* abi_packed.c: what packed batches need */
void abi_emit_level(Abi *a);  /* abi_level.c: level, when there is a choice */
LLVMValueRef abi_run_kernel(Abi *a, RecFn fn, LLVMValueRef dims, LLVMValueRef bufs,
                            LLVMValueRef seed, LLVMValueRef call); /* abi_level.c */
void abi_emit_info(Abi *a);                     /* abi_info.c: PREFIX_info */
LLVMValueRef abi_length(Abi *a, LLVMValueRef lengths, uint32_t axis); /* the first of an axis, in abi_check.c */
uint32_t abi_element_bytes(const Abi *a, DType dt);
bool abi_uses(const KBuf *buf, RecFn fn);
/* ---- workspace.c ---- */
uint32_t cpu_memory_of(const KernProg *k, uint32_t buf);                /* the buffer whose memory it lives in */
bool cpu_memory_used(const KernProg *k, uint32_t root, RecFn fn);       /* it, or what shares its memory, is used by fn */
/* What a missing guess is read from, for its values are not used: an array that every call has, of as many elements, by its number (outputs
 * follow arguments); K_NONE: there is none. */
uint32_t cpu_stands_in(const KernProg *k, uint32_t arg);
bool cpu_takes_zeros(const KernProg *k, uint32_t arg, RecFn fn);        /* zeros stand for this argument if it is missing */

#endif
