/* kern: loops, buffers and matrix products; what a target turns into code. CPU and GPU share it.
 *
 * A KernProg has up to three functions (forward, backward, init), each a list of statements. Scalars (KVar) are defined
 * once, inside loops; buffers are flat arrays of elements, addressed by a base plus variables times strides, all sizes
 * symbolic (lang/dim.h). The special dimension `keep` is 1 when a backward pass follows and 0 otherwise: a time stride of
 * keep*B*H makes a trajectory in training and one reused slot in inference.
 *
 * A missing optional argument reads as zeros. Writes (STORE, GEMM, FILL, COPY) into an optional output that the caller left out
 * (NULL) are skipped. Outputs of role OUT_GRAD_PARAM are added to: their stores and products have `add` set.
 * A product's view has stride 0 along a row or column axis that the operand does not have (size 1).
 *
 * A kernel finds its sizes in one array of int64: the values of all dimensions by DimSym, behind them one flag per RecArg
 * (at dim_nsyms + arg): 1 when the caller passed it, else 0. K_GIVEN reads the flag.
 */
#ifndef IR_KERN_H
#define IR_KERN_H

#include "ir/rec/rec.h" /* for the interface (RecArg, RecOut) and RecReduce */
#include "lang/factor.h"

typedef uint32_t KVar;   /* index into KernProg.var */
typedef uint32_t KBufId; /* index into KernProg.buf */
#define K_NONE UINT32_MAX
enum { K_MAXTERM = 12, KERN_PANEL = 64 };

typedef struct KVarInfo {
    DType dt;   /* loop variables are DT_INT (64 bits wide in generated code, like all sizes) */
    bool loop;
    Str name;
    KVar turns; /* this one is 1 - that one, which is 0 or 1; K_NONE: not known (see depend_find_turns) */
} KVarInfo;

typedef enum KBufKind {
    K_ARG,  /* the caller's array for RecArg number `slot`, with the axis B if that argument is batched */
    K_OUT,  /* the caller's array for RecOut number `slot` */
    K_WORK, /* in the workspace */
    K_BLOCK, /* a copy of elements of buffer `slot`, in memory that the threads of a GPU's block share: not in programs, but in what is made of them there */
} KBufKind;

typedef struct KBuf {
    KBufKind kind;
    DType dt;
    uint32_t slot;
    Dim size;        /* elements */
    bool kept;       /* written by forward, read by backward (K_WORK) */
    KBufId shares;   /* K_WORK that lives in the memory of another one of the same size and type, or K_NONE */
    KBufId home;     /* K_WORK that, in inference, may live in this array of the caller's if there is one, or K_NONE: see home.c */
    uint8_t used_by; /* bit 1 << RecFn */
    Str name;
} KBuf;

/* buffer element: base + sum of var * stride. A variable is a loop's or any computed int. */
typedef struct KIndex {
    Dim base;
    uint8_t n;
    struct { KVar var; Dim stride; } term[K_MAXTERM];
} KIndex;

/* A matrix inside a buffer: element (row, col) is at `at` + row * row_stride + col * col_stride. */
typedef struct KView {
    KBufId buf;
    KIndex at;
    Dim row_stride, col_stride;
} KView;

typedef enum KLoopKind {
    K_SERIAL,   /* iterations depend on each other, or nothing is known */
    K_PARALLEL, /* iterations are independent */
    K_VECTOR,   /* independent, run in lanes; may hold ACC updates; of loops only serial ones */
} KLoopKind;

typedef enum KKind {
    K_LOOP,   /* loop: for var in s..s + extent (downwards when reverse) body; s is from * by, 0 when by is 0 */
    K_LET,    /* let: var = fun(arg...); an int var may be used in KIndex */
    K_CONST,  /* constant: var = number */
    K_SIZE,   /* size: var = dim */
    K_LOAD,   /* mem: var = buf[at] */
    K_STORE,  /* mem: buf[at] = var, or += when add */
    K_START,  /* acc: var = the neutral element of red; the only kind of variable that changes */
    K_UPDATE, /* acc: var = red(var, value), in a loop inside the one where var started */
    K_RANDOM, /* random: var = uniform (0,1) from (seed, stream, counter); only in init */
    K_GIVEN,  /* given: var = whether the caller passed RecArg number `arg`, a bool */
    K_CHECK,  /* check: var = index if 0 <= index < bound, else 0 and the function will return RNN_INDEX */
    K_LEAVE,  /* leave: ends the serial loop whose body it stands in if var is true; before it the body has changed nothing */
    K_GEMM,   /* gemm: C[m,n] (+)= sum over k of A[m,k] * B[k,n]; k summed in one fixed order, set by K and strides only. With
                 `least`, several threads may do it, each some rows or columns, if m*n*k is as much. If `when` is not 0, B
                 is read from the copy of it in `packed`, with the same bits. With `factor`, each factor is rounded to that
                 before, and the sum has any order: see products.c */
    K_PACK,   /* pack: if `when` is not 0, buf[at ..) = the matrix b[k,n], in the target's own order, in no more than
                 (n + KERN_PANEL - 1) * k elements */
    K_FILL,   /* fill: buf[at .. at + count) = number */
    K_COPY,   /* copy: dst[at .. + count) = src[from .. + count); equal types, no overlap */
    K_TASKS,  /* tasks: body for pieces of the range 0..extent that make all of it, in any order, on any threads. A piece
                 is first..first + part; part is a dimension of kind DIM_PART. How it is cut makes no difference, not in
                 the last bit. Pieces are multiples of grain long, of half of it in a short range, but for the last one */
    K_STRIPS, /* strips: body for pieces of the range 0..extent, one after the other, from the last one on if reverse. Each
                 is `length` long, but for the last of the range. Not inside of other statements */
    K_KIND_COUNT
} KKind;

typedef struct KStmt KStmt;
typedef struct KBlock {
    KStmt **p;
    uint32_t n, cap;
} KBlock;

struct KStmt {
    KKind kind;
    Span at; /* the source line it came from, for debug data */
    union {
        struct { KLoopKind kind; KVar var; Dim extent; bool reverse; KBlock body; KVar from; Dim by; } loop;
        struct { KVar var; Fun fun; KVar arg[3]; } let;
        struct { KVar var; double number; } constant;
        struct { KVar var; Dim dim; } size;
        struct { KVar var; KBufId buf; KIndex at; bool add; } mem;
        struct { KVar var; RecReduce red; KVar value; } acc;
        struct { KVar var; uint32_t stream; KVar counter; } random;
        struct { KVar var; uint32_t arg; } given;
        struct { KVar var; KVar index; Dim bound; } check;
        struct { KVar var; } leave;
        struct { Dim m, n, k; KView a, b, c; bool add; uint32_t least; KBufId packed; KIndex packed_at; Dim when; FactorType factor; } gemm;
        struct { KBufId buf; KIndex at; KView b; Dim k, n, when; } pack;
        struct { KBufId buf; KIndex at; Dim count; double number; } fill;
        struct { KBufId dst; KIndex to; KBufId src; KIndex from; Dim count; } copy;
        struct {
            KVar first;
            DimSym part;
            Dim extent;
            uint32_t grain;
            Dim work;       /* about how many elements are computed in all */
            uint32_t least; /* work that is worth more than one thread */
            KBlock body;
        } tasks;
        struct { KVar first; DimSym part; Dim extent, length; bool reverse; KBlock body; } strips; /* as in tasks */
    };
};

typedef struct KernProg {
    Arena *arena;
    DimTab *dims;
    Str name, doc; /* of the entry; the doc is not part of the text form */
    bool no_packed; /* the target has no packed batches; not part of the text form either */
    Narrow narrow;  /* how reals stand in the caller's arrays: see narrow.c */
    bool tiles;      /* the target has products of rounded factors, which products.c marks; this and the next two are not part of the text form */
    FactorType products; /* what factors may be rounded to */
    bool rounds;         /* some products have such factors, or had them before a target took them apart */
    DimSym batch, keep;
    VEC(RecArg) arg; /* the interface, as rec had it */
    VEC(RecOut) out;
    VEC(DimSym) open;
    VEC(struct RecDerivedDim) derived;
    VEC(struct RecNeed) need;
    VEC(KVarInfo) var;
    VEC(KBuf) buf;
    KBlock fn[REC_NFN];
    bool has_fn[REC_NFN];
} KernProg;

/* ---- kern.c: building ---- */
KernProg *kern_prog_new(Arena *a, const RecProg *rec); /* copies the interface */
KVar kern_var(KernProg *p, DType dt, bool loop, Str name);
KBufId kern_buf(KernProg *p, KBuf buf);
KStmt *kern_add(KernProg *p, KBlock *to, KStmt stmt); /* appends a copy */
void kern_insert(KernProg *p, KBlock *to, uint32_t at, KStmt *s); /* before the statement that is number `at` now */
bool kern_index_eq(const KIndex *a, const KIndex *b);
Dim kern_index_stride(const KIndex *at, KVar v); /* how far it moves with v; DIM_ZERO: not at all */
void kern_index_add(KernProg *p, KIndex *at, KVar var, Dim stride); /* merges equal variables, drops stride 0 */

/* ---- kern.c: looking at programs ---- */
typedef void KernAccess(void *cx, KBufId buf, KIndex *at);
void kern_each_access(KStmt *s, KernAccess *fn, void *cx); /* what s, and all inside it, reads or writes in memory */
KBlock *kern_body(KStmt *s); /* the statements inside of a loop, of tasks or of strips, NULL for others */
KBufId kern_written(const KStmt *s); /* the buffer that s itself writes, or K_NONE */

/* The first buffer that may overlap b: workspace that shares memory does, and a starting state, which may be the caller's
 * array for the final state that replaces it. */
KBufId kern_memory(const KernProg *p, KBufId b);

typedef void KernUse(void *cx, KVar *v);
void kern_each_use(KStmt *s, KernUse *fn, void *cx); /* the variables that s, and all inside it, reads */
KVar kern_defines(const KStmt *s);                   /* the variable that it defines, K_NONE: none, or a loop's */
bool kern_defines_in(const KBlock *b, KVar v);       /* is v, not a loop's variable, defined there, or in a loop inside */
void kern_mark_uses(KernProg *p);                    /* sets KBuf.used_by and kept from the functions */

/* narrow.c: how reals stand in an array; NARROW_NONE where they are as wide as what is computed with, or there are none */
Narrow kern_arg_narrow(const KernProg *p, uint32_t arg);
Narrow kern_out_narrow(const KernProg *p, uint32_t out);
Narrow kern_buf_narrow(const KernProg *p, KBufId b);
bool kern_converts(const KStmt *s, KBufKind kind); /* it may read or write narrow buffers of that kind */

/* products.c: which products have rounded factors, the first thing that narrow.c does */
void kern_mark_products(KernProg *p);
bool kern_rounds(const KernProg *p); /* there is one, whether or not marked by a pass */

/* Part of a range: a dimension of kind DIM_PART, and what it is part of. */
typedef struct KernPiece {
    DimSym part;
    Dim axis;
} KernPiece;
typedef struct KernPieces {
    KernPiece *p;
    uint32_t n, cap;
} KernPieces;
Dim kern_whole(const KernProg *p, Dim extent, const KernPieces *pieces); /* of a loop, before it was cut */
/* apart.c: whether no element of a memory that one of two statements writes is read or written by the other; in one round of all loops around
 * both, or in two of `round`. They stand in root. pieces: of axes that are cut, or NULL. varies: where a piece begins of which the two see
 * different ones, or K_NONE. except: what else is known, or NULL */
typedef struct KernApart KernApart;
typedef struct KernKnown {
    const KStmt *loop;
    Dim round; /* from 0 on, by the loop's variable */
    bool or_more; /* it may be a later one */
} KernKnown;
typedef struct KernKnowns {
    KernKnown *p;
    uint32_t n, cap;
} KernKnowns;
typedef struct KernExcept {
    KernKnowns of_a, of_b; /* in which rounds of loops they are */
    const KStmt *loop_a, *loop_b; /* both are in different rounds of these, or NULL */
    bool in_order; /* b's round comes behind a's */
    bool (*excuse)(void *cx, const KIndex *a, const KIndex *b); /* the two may be one element all the same; or NULL */
    void *cx;
} KernExcept;
KernApart *kern_apart_new(Arena *a, KernProg *p, const KBlock *root, const KernPieces *pieces, KVar varies);
bool kern_apart(KernApart *x, const KStmt *a, const KStmt *b, KBufId memory, const KStmt *round, const KernExcept *except);
bool kern_are_apart(KernApart *x, const KIndex *a, const KIndex *b, const KernExcept *except); /* for an excuse: of the two statements that it is asked for */

/* ---- print.c, read.c, verify.c ---- */
void kern_print(Text *out, const KernProg *p);
KernProg *kern_read(Arena *a, Str text, Str *error);
bool kern_verify(const KernProg *p, Text *why);

/* ---- run.c: the interpreter: the meaning of kern, in double precision. All buffers are arrays of double, by KBufId; NULL
 * for an array that the caller left out. dim_value: dimensions, then the flags of the arguments. False if an index was out
 * of range. ---- */
bool kern_run(const KernProg *p, RecFn fn, const int64_t *dim_value, double *const *buf, uint64_t seed);

/* ---- from rec ---- */
KernProg *rec_to_kern(Arena *a, const RecProg *rec); /* rec must be batched */

/* ---- passes, one file each, named as in passes.def ---- */
void kern_narrow(KernProg *p);    /* narrow.c: some products have rounded factors, all others read, and sums are made in, wide copies of narrow arrays */
void kern_fuse(KernProg *p);      /* fuse.c: in a step, loops over the same matrix become one */
void kern_once(KernProg *p);      /* once.c: of a loop in which all iterations but one add zeros, that one is left */
void kern_columns(KernProg *p);   /* columns.c: sums over a matrix's rows stay in registers */
void kern_forward(KernProg *p);   /* forward.c: what was just stored is not loaded, what nobody reads is not made */
void kern_merge(KernProg *p);     /* merge.c: nested loops over dense memory become one */
void kern_vectorize(KernProg *p); /* vectorize.c: marks the loops whose iterations run in lanes */
void kern_pack(KernProg *p);      /* pack.c: what many rows are multiplied by is copied once into a better order */
void kern_strips(KernProg *p);    /* strips.c: products in front of and behind loops over places are made strip by strip */
void kern_tasks(KernProg *p);     /* tasks.c: what several threads can do is cut into tasks */
KStmt *kern_cut(KernProg *p, KStmt *s, uint32_t nested); /* tasks.c: a loop as tasks, whatever it costs; nested: it has been cut so often; NULL: it cannot be cut */
/* tasks.c: an axis along which the work of each round of a serial loop can be cut, if all tasks go through it together; false: there is none. And doing it.
 * own, by buffer: each task touches elements of that memory that no other one does */
bool kern_work_axis(KernProg *p, KStmt *s, Dim *axis);
KStmt *kern_cut_work(KernProg *p, KStmt *s, Dim axis, uint32_t nested, bool *own);
void kern_home(KernProg *p);      /* home.c: states of one slot live where their final values go */
const KStmt *kern_chosen_load(const KBlock *b, KVar v); /* the load in b that v is, where conditions choose it; NULL: there is none, or several */
/* A store in b that, in inference, puts an element where it came from if the two buffers are the same memory, as a slot and its home or
 * an initial state in a carry may be: the load that it comes from, or NULL. Conditions may choose something else instead. */
const KStmt *kern_self_copy(const KernProg *p, const KBlock *b, const KStmt *store);
void kern_reuse(KernProg *p);     /* reuse.c: workspace buffers that are not alive together share memory */
/* kern.c: whether a pass is for a CPU's threads, products and lanes alone; a GPU's threads share out nested loops, and find the batch
 * in them. */
bool kern_is_of_cpu(void (*pass)(KernProg *p));

#endif
