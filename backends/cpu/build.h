/* Small tools over LLVM's builder, for code that is written once for scalars and vectors, floats and doubles.
 *
 * A CpuGen says what is being made right now: at which level, in which precision, in how many lanes. One lane is a
 * plain scalar, never a vector of one. */
#ifndef BACKENDS_CPU_BUILD_H
#define BACKENDS_CPU_BUILD_H

#include "backends/cpu/cpu.h"

enum { GEN_MAXLANES = 64 };

typedef struct CpuGen {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef b;
    CpuLevel level;
    bool fma, floor;       /* are one instruction each */
    bool f64;              /* real is double */
    uint32_t vector_bytes; /* 0: there are no vectors */
    uint32_t lanes;        /* of the values being made; LLVM splits what is wider than a register */
    bool apart;            /* ready code is joined to the module's object later */
} CpuGen;

CpuGen cpu_gen(LLVMContextRef context, LLVMModuleRef module, LLVMBuilderRef b, CpuLevel level, bool f64);
uint32_t cpu_width(const CpuGen *g); /* lanes of a whole vector of reals */
/* For targets whose lanes are threads: one value at a time, with the same bits as the levels that have fma. */
CpuGen gen_of_thread(LLVMContextRef context, LLVMModuleRef module, LLVMBuilderRef b, bool f64);
void cpu_set_target(LLVMContextRef context, LLVMValueRef fn, CpuLevel level); /* attributes that every kernel has */

/* ---- types: of one element, and of g->lanes elements ---- */
LLVMTypeRef gen_real1(const CpuGen *g);
LLVMTypeRef gen_int1(const CpuGen *g, uint32_t bits);
LLVMTypeRef gen_ptr(const CpuGen *g);
LLVMTypeRef gen_lanes(const CpuGen *g, LLVMTypeRef one);
LLVMTypeRef gen_real(const CpuGen *g);
LLVMTypeRef gen_int(const CpuGen *g, uint32_t bits);
LLVMTypeRef gen_type(const CpuGen *g, DType dt); /* in registers: real, i32, i1 */
uint32_t gen_real_bits(const CpuGen *g);

/* ---- values in g->lanes lanes ---- */
LLVMValueRef gen_const(const CpuGen *g, double v);
LLVMValueRef gen_iconst(const CpuGen *g, uint32_t bits, uint64_t v);
LLVMValueRef gen_splat(const CpuGen *g, LLVMValueRef scalar);
LLVMValueRef gen_iota(const CpuGen *g, uint32_t bits); /* 0, 1, 2, ... */
LLVMValueRef gen_i64(const CpuGen *g, int64_t v);      /* one */

/* ---- operations ---- */
LLVMValueRef gen_intrinsic(const CpuGen *g, const char *name, LLVMTypeRef over, const LLVMValueRef *arg, uint32_t n);
LLVMValueRef gen_add(const CpuGen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef gen_sub(const CpuGen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef gen_mul(const CpuGen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef gen_div(const CpuGen *g, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef gen_fma(const CpuGen *g, LLVMValueRef a, LLVMValueRef b,
                     LLVMValueRef c); /* a * b + c; rounded twice without fma */
LLVMValueRef gen_select(const CpuGen *g, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef gen_fcmp(const CpuGen *g, LLVMRealPredicate p, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef gen_icmp(const CpuGen *g, LLVMIntPredicate p, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef gen_bits(const CpuGen *g, LLVMValueRef real); /* as an integer of the same size */
LLVMValueRef gen_real_of_bits(const CpuGen *g, LLVMValueRef bits);
LLVMValueRef gen_lane(const CpuGen *g, LLVMValueRef v, uint32_t lane);
LLVMValueRef gen_put_lane(const CpuGen *g, LLVMValueRef v, LLVMValueRef x, uint32_t lane);
LLVMValueRef gen_part(const CpuGen *g, LLVMValueRef v, uint32_t from); /* lanes from..from + g->lanes of a value with more of them */
LLVMValueRef gen_join(const CpuGen *g, LLVMValueRef low, LLVMValueRef high); /* two halves as one of g->lanes */
LLVMValueRef gen_shuffle(const CpuGen *g, LLVMValueRef a, LLVMValueRef b, const int *mask, uint32_t n);

/* ---- memory: `bytes` is the size of an element, and all the alignment there is ---- */
LLVMValueRef gen_at(const CpuGen *g, LLVMTypeRef one, LLVMValueRef base, LLVMValueRef index); /* &base[index] */
LLVMValueRef gen_load(const CpuGen *g, LLVMTypeRef type, LLVMValueRef at, uint32_t bytes);
LLVMValueRef gen_store(const CpuGen *g, LLVMValueRef v, LLVMValueRef at, uint32_t bytes);
/* The first `count` lanes only, 1 <= count <= lanes (an i64); the other lanes read as zero. `mask` is gen_first(count).
 * Without masked instructions at this level it is lane by lane, without branches. */
LLVMValueRef gen_first(const CpuGen *g, LLVMValueRef count);
LLVMValueRef gen_load_first(const CpuGen *g, LLVMTypeRef one, LLVMValueRef at, uint32_t bytes, LLVMValueRef mask,
                            LLVMValueRef count);
void gen_store_first(const CpuGen *g, LLVMValueRef v, LLVMTypeRef one, LLVMValueRef at, uint32_t bytes,
                     LLVMValueRef mask, LLVMValueRef count);

/* ---- blocks and counted loops: for i = from; i < to; i += step. Runs zero times when from >= to. ---- */
LLVMBasicBlockRef gen_block(const CpuGen *g, const char *name);
void gen_enter(const CpuGen *g, LLVMBasicBlockRef block); /* branch there and go on there */
typedef struct GenLoop {
    LLVMBasicBlockRef body, done;
    LLVMValueRef i, to, step;
    LLVMValueRef carried[32]; /* further values that change from iteration to iteration */
    LLVMValueRef result[32];  /* after gen_loop_end: their values behind the loop */
    uint32_t ncarried;
} GenLoop;
GenLoop gen_loop(const CpuGen *g, LLVMValueRef from, LLVMValueRef to, LLVMValueRef step, const LLVMValueRef *carried,
                 uint32_t ncarried);
void gen_loop_end(const CpuGen *g, GenLoop *l, const LLVMValueRef *next); /* next: ncarried values */
typedef struct GenIf {
    LLVMBasicBlockRef done;
} GenIf;
GenIf gen_if(const CpuGen *g, LLVMValueRef cond);
void gen_end_if(const CpuGen *g, GenIf i);
typedef struct GenElse {
    LLVMBasicBlockRef no, done;
} GenElse;
GenElse gen_if_else(const CpuGen *g, LLVMValueRef cond); /* then gen_else, then gen_end_else */
void gen_else(const CpuGen *g, GenElse i);
void gen_end_else(const CpuGen *g, GenElse i);

/* ---- math.c ---- */
/* f of arguments in g->lanes lanes; dt: their element types. Semantics: lang/fun.def. */
LLVMValueRef cpu_fun(const CpuGen *g, Fun f, const LLVMValueRef *arg, const DType *dt);
bool cpu_is_long(Fun f); /* it takes many operations, one after the other */
/* The same bits; what is long is called, from one function of the module. */
LLVMValueRef cpu_fun_call(const CpuGen *g, Fun f, const LLVMValueRef *arg, const DType *dt);
double cpu_math_bound(Fun f, bool f64); /* largest error in units of the last place; the same at all levels */
/* (0,1) from (seed, stream, counter), as rec_random_value; seed and counter are i64, the counter in g->lanes lanes */
LLVMValueRef cpu_random(const CpuGen *g, LLVMValueRef seed, uint32_t stream, LLVMValueRef counter);

/* ---- narrow.c: between reals, which are floats, and the 16 bits that stand for them in memory; bit by bit as lang/narrow.h ---- */
LLVMValueRef gen_widen(const CpuGen *g, Narrow n, LLVMValueRef bits);
LLVMValueRef gen_narrow(const CpuGen *g, Narrow n, LLVMValueRef real);

/* ---- math_circle.c ---- */
LLVMValueRef cpu_sin(const CpuGen *g, LLVMValueRef x);
LLVMValueRef cpu_cos(const CpuGen *g, LLVMValueRef x);

/* ---- gemm.c ---- */
typedef struct GemmArg {
    LLVMValueRef m, n, k;         /* i64 */
    LLVMValueRef a, a_row, a_col; /* pointer to the first element, and strides in elements */
    LLVMValueRef b, b_row, b_col;
    LLVMValueRef c, c_row, c_col;
    bool copied; /* a copy of B may take its place, which is for `dot` */
} GemmArg;
/* Calls the module's matrix product, which comes into the module at its first use. The form is chosen from the strides that are
 * constant 1 or 0 here. */
void cpu_gemm(const CpuGen *g, const GemmArg *arg, bool add);
/* The same call, not made yet. It may compute the transpose of what was asked for: m and n are then exchanged. */
enum { GEMM_M, GEMM_N, GEMM_K, GEMM_A, GEMM_B = 6, GEMM_C = 9, GEMM_NPARAM = 13 }; /* a, b and c before their two strides */
typedef struct GemmCall {
    LLVMValueRef fn, param[GEMM_NPARAM]; /* in GemmArg's order, then whether to add (i1) */
} GemmCall;
GemmCall cpu_gemm_call(const CpuGen *g, const GemmArg *arg, bool add);
LLVMTypeRef cpu_gemm_type(const CpuGen *g);
typedef enum GemmForm { GEMM_DOT, GEMM_BROADCAST, GEMM_PLAIN, GEMM_TURNED, GEMM_PACKED, GEMM_COPY, GEMM_NFORM } GemmForm;
/* The function that it calls: ready code where there is some, else made here. */
LLVMValueRef cpu_gemm_function(const CpuGen *g, GemmForm form);

/* ---- share.c ---- */
/* What a kernel and its tasks share, in 8-byte words: its frame; the words of one statement that is cut into tasks, with
 * what the body uses of the function around behind them; and a constant record, which says what it is worth: the length
 * of a piece is a multiple of the grain, threads are asked for from `least` work on, dims[part] is the length of the
 * piece where one is everything, and the work is a sum of terms: coefficient, number of symbols, symbols. */
enum { FRAME_DIMS, FRAME_BUFS, FRAME_CONTEXT, FRAME_TROUBLE, FRAME_NWORD };
enum { TASK_FRAME, TASK_PARALLEL, TASK_N, TASK_PIECE, TASK_NWORD };
enum { SHARE_GRAIN, SHARE_LEAST, SHARE_PART, SHARE_NTERM, SHARE_TERM };
LLVMValueRef cpu_word(const CpuGen *g, LLVMValueRef words, uint32_t i); /* address of 8-byte word i */
LLVMValueRef cpu_load_word(const CpuGen *g, LLVMTypeRef type, LLVMValueRef words, uint32_t i);
void cpu_store_word(const CpuGen *g, LLVMValueRef value, LLVMValueRef words, uint32_t i);
LLVMTypeRef cpu_task_type(const CpuGen *g);         /* void (ptr words, i64 number) */
LLVMValueRef cpu_share_function(const CpuGen *g);   /* tasks.run */
LLVMValueRef cpu_product_function(const CpuGen *g); /* gemm.run */

/* ---- gemm_code.c ---- */
/* Machine code that runs wherever it is put, at a multiple of READY_ALIGN bytes. The function begins at the first. */
typedef struct ReadyCode {
    const char *name;
    const unsigned char *bytes;
    uint32_t n;
} ReadyCode;
enum { READY_ALIGN = 64 };
/* NULL: there is none of that name. The table is written when rnnc is built, by gemm_code/generate.c. */
const ReadyCode *cpu_ready_code(const char *name);
/* Makes fn that code, as if it were a function of this module: others do not see it, and calls reach it directly. */
void cpu_use_code(const CpuGen *g, LLVMValueRef fn, const ReadyCode *code);

#endif
