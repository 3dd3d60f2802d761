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
    bool narrow;          /* several vectors of partial results have become one */
} EmitVar;

/* The vector loop around the current place: the variable's first lane, and in the last, incomplete round which lanes
 * count. */
typedef struct EmitVector {
    bool on;
    KVar var;
    LLVMValueRef first;       /* i64 */
    LLVMValueRef mask, count; /* NULL in whole rounds */
} EmitVector;

/* Sizes, pointers and flags that were computed at one place, and are known behind it. */
typedef struct EmitNear {
    LLVMBuilderRef b;                /* where the next ones are computed */
    LLVMBasicBlockRef then;          /* what is run behind them */
    VEC(LLVMValueRef) dim;           /* by Dim; NULL: not computed yet */
    LLVMValueRef *sym, *buf, *given; /* by DimSym, KBufId, RecArg index */
} EmitNear;

/* In front of a vector loop: what does not change in it is computed there once, for whole rounds and the last one. */
typedef struct EmitFront {
    LLVMBuilderRef b; /* NULL: there is no vector loop around */
    bool *inside;     /* by KVar: it is defined in the loop */
} EmitFront;

/* Where code comes from, for debuggers and profilers: NULL where it is not known. */
typedef struct EmitLines {
    LLVMMetadataRef (*at)(void *cx, Span at);
    void *cx;
} EmitLines;

/* A load in a serial loop, of what the store in the round before has left there; only the first round reads memory. */
typedef struct EmitCarry {
    const KStmt *load, *store, *loop;
    LLVMValueRef memory; /* of the thread's own: what was stored last */
} EmitCarry;

/* What is known of a comparison in a version of the code at this place. */
typedef struct EmitKnown {
    const KStmt *let; /* NULL: nothing */
    bool value;
} EmitKnown;

typedef struct Emit {
    CpuGen g;             /* lanes: 1 outside vector loops, the level's width inside */
    LLVMBuilderRef entry; /* at the end of the entry block: memory for accumulators, what a task is given */
    EmitNear near;        /* at the end of the entry block too, or in front of the current nest */
    bool large;           /* the function has many nests */
    Arena *arena;
    const KernProg *k;
    RecFn which;
    LLVMValueRef fn, dims, bufs, seed;
    struct EmitTask *task;          /* NULL in the kernel itself */
    LLVMValueRef parallel, context; /* the caller's function for tasks, NULL at run time where there is none */
    LLVMValueRef frame;             /* words that the kernel and all its tasks share */
    LLVMValueRef trouble;           /* memory of an i8 in the kernel's frame: what K_CHECKs in tasks found */
    EmitVar *var;                   /* by KVar */
    LLVMValueRef failed;            /* memory of an i1: a K_CHECK failed; NULL when there is none */
    EmitVector v;
    LLVMBasicBlockRef behind_loop;      /* of the innermost serial loop */
    EmitFront front;
    bool small;                         /* code at this place runs rarely: short is better than fast */
    EmitKnown equal;
    bool in_steps;                      /* a serial loop is around */
    bool one_vector;                    /* vector loops have one partial result a lane, as they have in emit_rows */
    LLVMValueRef *scope_of, *not_scope; /* by KBufId: alias metadata, NULL: not made yet */
    LLVMMetadataRef *scope;             /* by KBufId that is its own memory */
    bool *given_buf;                    /* by KBufId: the code at this place runs only when the caller gave it */
    const KStmt **product;              /* by KVar: it is rounded with the sum it goes into (emit_fma.c); or NULL */
    LLVMValueRef *thread;               /* by KVar: the number of an iteration that has its thread; or NULL */
    LLVMBasicBlockRef nothing;          /* where an index into nothing leads, instead of to the kernel's end; or NULL */
    unsigned scope_kind, noalias_kind;
    const EmitLines *lines; /* NULL: nobody asked */
    VEC(EmitCarry) carry;   /* at the code's current place; none in lanes */
} Emit;

/* emit.c */
Emit emit_open(const CpuGen *g, Arena *a, const KernProg *k, RecFn which, LLVMValueRef fn); /* builders at its start */
void emit_body(Emit *e, const KBlock *b); /* all of a function */
void emit_close(Emit *e);                         /* entry and code become one; behind the last statement */
bool emit_start_checks(Emit *e, const KBlock *b); /* room for what K_CHECKs find, if there are any */
LLVMValueRef emit_failed(Emit *e);                /* i1: a K_CHECK of this function, or of its tasks, failed */
void emit_known(Emit *e, KVar v);                 /* it has a value from here on, if from the function around */
void emit_block(Emit *e, const KBlock *b);
EmitNear emit_near_open(Emit *e); /* sizes and pointers are computed here from now on; returns where they were, for emit_near_close */
void emit_near_close(Emit *e, EmitNear outer);
void emit_at(Emit *e, Span at); /* what follows comes from there */
LLVMValueRef emit_dim(Emit *e, Dim d);
LLVMValueRef emit_entry_memory(Emit *e, LLVMTypeRef type);
CpuGen emit_gen(const Emit *e, bool lanes);         /* for values of the vector loop, or for one scalar */
LLVMValueRef emit_var(Emit *e, KVar v, bool lanes); /* its value, spread over the lanes when asked */
bool emit_has_lanes(const Emit *e, KVar v);
void emit_set(Emit *e, KVar v, LLVMValueRef value, bool lanes);
DType emit_dtype(const Emit *e, KVar v);
bool emit_in_front(const Emit *e, KVar v); /* its value does not change in the vector loop around */
uint32_t emit_bytes(const Emit *e, DType dt); /* in memory */

/* emit_memory.c: loads, stores, fills, copies, products */
void emit_load(Emit *e, const KStmt *s);
/* Outside of vector loops: what a load or store is of; and what stands there, as that type, at an address that is a multiple of so
 * many bytes. */
LLVMValueRef emit_address(Emit *e, const KStmt *s);
LLVMValueRef emit_index_address(Emit *e, KBufId b, const KIndex *at);
LLVMTypeRef emit_memory_type(const Emit *e, KBufId b); /* of an element */
uint32_t emit_memory_bytes(const Emit *e, KBufId b);
void emit_carry(Emit *e, const KStmt *load, const KStmt *store, const KStmt *loop); /* from here on, until e->carry.n is less again */
LLVMValueRef emit_load_as(Emit *e, const KStmt *s, LLVMTypeRef type, uint32_t bytes);
void emit_store(Emit *e, const KStmt *s);
void emit_fill(Emit *e, const KStmt *s);
void emit_copy(Emit *e, const KStmt *s);
void emit_gemm(Emit *e, const KStmt *s);
void emit_pack(Emit *e, const KStmt *s);
LLVMValueRef emit_buf(Emit *e, KBufId b);
bool emit_can_be_null(const Emit *e, KBufId b);

/* emit_loop.c: loops and accumulators */
void emit_loop(Emit *e, const KStmt *s);
void emit_start(Emit *e, const KStmt *s);
void emit_update(Emit *e, const KStmt *s);
LLVMValueRef emit_neutral(const CpuGen *g, RecReduce red, DType dt);
LLVMValueRef emit_combine(const CpuGen *g, RecReduce red, DType dt, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef emit_loop_start(Emit *e, const KStmt *s); /* the first value of its variable */
LLVMValueRef emit_loop_end(Emit *e, const KStmt *s, LLVMValueRef start); /* the first value that it has not */
void emit_plain_loop(Emit *e, const KStmt *s, LLVMValueRef from, LLVMValueRef to); /* one iteration at a time */
void emit_one_by_one(Emit *e, const KStmt *s); /* the same, all of them */
LLVMBasicBlockRef emit_front_open(Emit *e, const KStmt *s); /* of a vector loop; returns the block behind, for emit_front_close */
void emit_front_close(Emit *e, LLVMBasicBlockRef then);
/* Of a vector loop all of whose work is short and in whole vectors, but for the last: the sums that it updates; else 0. */
uint32_t emit_short_sums(const Emit *e, const KStmt *s);
const KStmt *emit_holds_once(const Emit *e, const KStmt *loop); /* a comparison, true in at most one iteration; or NULL */
void emit_mark_defined(const KBlock *b, bool *inside); /* by KVar: what is defined in b, and in all inside it */
void emit_outer_updates(Emit *e, const KBlock *b, void (*each)(Emit *e, const KStmt *s)); /* of accumulators from outside */
void emit_start_partial(Emit *e, const KStmt *update);
/* s in one of two ways, by an i1. */
void emit_either(Emit *e, LLVMValueRef cond, const KStmt *s, void (*yes)(Emit *e, const KStmt *s), void (*no)(Emit *e, const KStmt *s));

/* emit_ahead.c: what the next step of a loop needs is fetched while this one runs */
typedef struct EmitAhead EmitAhead;
EmitAhead *emit_find_ahead(Emit *e, const KStmt *s); /* NULL where that does not pay */
void emit_ahead(Emit *e, const EmitAhead *a); /* the loop's body */

/* emit_across.c: i1, the loop s is better made with its own iterations in the lanes than with those of the loop in it; or NULL */
LLVMValueRef emit_is_across(Emit *e, const KStmt *s);

/* emit_rows.c */
bool emit_is_plain(const KStmt *s); /* a load, a store, or a scalar: it can stand beside the same of another iteration */
bool emit_rows(Emit *e, const KStmt *s); /* several iterations of a loop at once, if that is worth it */

/* emit_usual.c: twice, for conditions from outside of `body` being as usual and for any; once if body is NULL or has none */
void emit_as_usual(Emit *e, const KBlock *body, const KStmt *s, void (*usual)(Emit *e, const KStmt *s), void (*any)(Emit *e, const KStmt *s));

/* emit_fma.c */
const KStmt **emit_find_products(Arena *a, const KernProg *k, const KBlock *b); /* of a whole function */
LLVMValueRef emit_sum(Emit *e, const KStmt *s, bool lanes); /* a let that adds such a product; NULL for others */
const KStmt *emit_product_of(const Emit *e, KVar v);        /* such a product, or NULL */
LLVMValueRef emit_sum_with(Emit *e, const KStmt *update, LLVMValueRef old, bool lanes); /* an accumulator's value with one added */

/* emit_product.c */
void emit_product(Emit *e, const GemmCall *call, uint32_t least); /* on the caller's threads, if worth it */

/* emit_tasks.c */
void emit_tasks(Emit *e, const KStmt *s);
void emit_task_args(Emit *e, LLVMValueRef call);  /* in the kernel: the caller's function, from its rnn_call */
void emit_leave(Emit *e);                         /* an index into nothing: ends the kernel */
LLVMValueRef emit_outer_var(Emit *e, KVar v);     /* in a task: the value in the function around */
LLVMValueRef emit_outer_part(Emit *e, DimSym s);

#endif
