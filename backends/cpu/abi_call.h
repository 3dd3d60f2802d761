/* Inside of abi.c and abi_packed.c: a call on its way through the checks. */
#ifndef BACKENDS_CPU_ABI_CALL_H
#define BACKENDS_CPU_ABI_CALL_H

#include "backends/cpu/abi.h"

/* What the emitted function knows so far. Arrays are numbered arguments first, then outputs. */
typedef struct Call {
    Abi *a;
    IfaceFn fn;
    RecFn kernel;
    LLVMValueRef stream; /* i1: chunk or step, where the carry stands for start values and finals; else NULL */
    LLVMValueRef given[IF_NSTRUCT]; /* pointers to the caller's structs, never NULL */
    LLVMValueRef options;           /* rnn_call */
    LLVMValueRef dims, bytes, bufs, ranges;
    LLVMValueRef *array; /* by array number; NULL: not part of this function */
    LLVMValueRef train, base, total;
    LLVMValueRef offsets, packed; /* of a packed batch, and i1: whether it is one; NULL where there is none */
    uint32_t nrange;
} Call;

enum { CALL_WORKSPACE, CALL_BYTES, CALL_PASSES, CALL_NWORD = 5 }; /* members of rnn_call, 8 bytes each */

/* ---- abi_packed.c ---- */
/* The function for all sequences, one after another, behind all checks; the status. `mode` is NULL where it has none. */
LLVMValueRef abi_packed_run(Call *c, AbiFn self, LLVMValueRef mode);

#endif
