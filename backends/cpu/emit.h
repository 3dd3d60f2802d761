/* Inside of emit*.c: the state while one kernel is made. */
#ifndef BACKENDS_CPU_EMIT_H
#define BACKENDS_CPU_EMIT_H

#include "backends/cpu/build.h"

/* What a KVar is right now. A value made inside a vector loop has a lane for each iteration; all others are one scalar.
 */
typedef struct EmitVar {
    LLVMValueRef value; /* of an accumulator: its memory */
    LLVMTypeRef memory; /* of an accumulator: the type in memory; else NULL */
    bool lanes;
    LLVMValueRef partial; /* in a vector loop, of an accumulator from outside: memory of one partial result a lane */
} EmitVar;

/* The vector loop around the current place: the variable's first lane, and in the last, incomplete round which lanes
 * count. */
typedef struct EmitVector {
    bool on;
    KVar var;
    LLVMValueRef first;       /* i64 */
    LLVMValueRef mask, count; /* NULL in whole rounds */
} EmitVector;

typedef struct Emit {
    CpuGen g;             /* lanes: 1 outside vector loops, the level's width inside */
    LLVMBuilderRef entry; /* at the end of the entry block: sizes, pointers, memory for accumulators */
    Arena *arena;
    const KernProg *k;
    RecFn which;
    LLVMValueRef fn, dims, bufs, seed;
    VEC(LLVMValueRef) dim;           /* by Dim; NULL: not computed yet */
    LLVMValueRef *sym, *buf, *given; /* by DimSym, KBufId, RecArg index */
    EmitVar *var;                    /* by KVar */
    LLVMValueRef failed;             /* memory of an i1: a K_CHECK failed; NULL when there is none */
    EmitVector v;
    bool small;                         /* code at this place runs rarely: short is better than fast */
    LLVMValueRef *scope_of, *not_scope; /* by KBufId: alias metadata, NULL: not made yet */
    bool *given_buf;                    /* by KBufId: the code at this place runs only when the caller gave it */
    unsigned scope_kind, noalias_kind;
} Emit;

/* emit.c */
void emit_block(Emit *e, const KBlock *b);
LLVMValueRef emit_dim(Emit *e, Dim d);
LLVMValueRef emit_entry_memory(Emit *e, LLVMTypeRef type);
CpuGen emit_gen(const Emit *e, bool lanes);         /* for values of the vector loop, or for one scalar */
LLVMValueRef emit_var(Emit *e, KVar v, bool lanes); /* its value, spread over the lanes when asked */
bool emit_has_lanes(const Emit *e, KVar v);
void emit_set(Emit *e, KVar v, LLVMValueRef value, bool lanes);
DType emit_dtype(const Emit *e, KVar v);
uint32_t emit_bytes(const Emit *e, DType dt); /* in memory */

/* emit_memory.c: loads, stores, fills, copies, products */
void emit_load(Emit *e, const KStmt *s);
void emit_store(Emit *e, const KStmt *s);
void emit_fill(Emit *e, const KStmt *s);
void emit_copy(Emit *e, const KStmt *s);
void emit_gemm(Emit *e, const KStmt *s);
LLVMValueRef emit_buf(Emit *e, KBufId b);
bool emit_can_be_null(const Emit *e, KBufId b);

/* emit_loop.c: loops and accumulators */
void emit_loop(Emit *e, const KStmt *s);
void emit_start(Emit *e, const KStmt *s);
void emit_update(Emit *e, const KStmt *s);

#endif
