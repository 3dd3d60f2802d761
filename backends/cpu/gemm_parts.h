/* What the forms of matrix products share (gemm.c): the function being made, small tools, and storing a tile. */
#ifndef BACKENDS_CPU_GEMM_PARTS_H
#define BACKENDS_CPU_GEMM_PARTS_H

#include "backends/cpu/build.h"

enum {
    MAXROWS = 8,
    MAXCOLS = 6,
    MAXACC = 24,
    DOT_BYTES = 4096, /* of k in one block of the forms dot and packed */
    DOT_ROWS = 96,    /* rows of A that stay in the second-level cache while all of B passes */
};

typedef LLVMValueRef V;

/* One function while it is made. */
typedef struct Gemm {
    CpuGen g; /* lanes: the level's width */
    CpuGen s; /* the same, one lane */
    LLVMTypeRef one;
    uint32_t bytes; /* of an element */
    V fn;
    V m, n, k, a, a_row, a_col, b, b_row, b_col, c, c_row, c_col, add;
} Gemm;

/* ---- small tools on i64 ---- */

static inline V num(const Gemm *x, int64_t v)
{
    return gen_i64(&x->s, v);
}

static inline V plus(const Gemm *x, V a, V b)
{
    return LLVMBuildAdd(x->s.b, a, b, "");
}

static inline V minus(const Gemm *x, V a, V b)
{
    return LLVMBuildSub(x->s.b, a, b, "");
}

static inline V times(const Gemm *x, V a, V b)
{
    return LLVMBuildMul(x->s.b, a, b, "");
}

static inline V least(const Gemm *x, V a, V b)
{
    return gen_select(&x->s, gen_icmp(&x->s, LLVMIntSLT, a, b), a, b);
}

static inline V most(const Gemm *x, V a, V b)
{
    return gen_select(&x->s, gen_icmp(&x->s, LLVMIntSGT, a, b), a, b);
}

static inline V is(const Gemm *x, LLVMIntPredicate p, V a, V b)
{
    return gen_icmp(&x->s, p, a, b);
}

static inline V element(const Gemm *x, V base, V index)
{
    return gen_at(&x->s, x->one, base, index);
}

static inline V load(const Gemm *x, V at)
{
    return gen_load(&x->g, gen_real(&x->g), at, x->bytes);
}

static inline V zero(const Gemm *x)
{
    return LLVMConstNull(gen_real(&x->g));
}

/* What is added to, and what is overwritten: a block after the first, or a product with `add`. */
static inline V keeps_old(const Gemm *x, V kb)
{
    return LLVMBuildOr(x->s.b, x->add, is(x, LLVMIntSGT, kb, num(x, 0)), "");
}

static inline V with_old(const CpuGen *g, V keeps, V old, V v)
{
    return gen_select(g, keeps, gen_add(g, old, v), v);
}

/* n elements on the stack */
static inline V stack(const Gemm *x, uint32_t n)
{
    LLVMBasicBlockRef here = LLVMGetInsertBlock(x->s.b), entry = LLVMGetEntryBasicBlock(x->fn);
    LLVMPositionBuilderBefore(x->s.b, LLVMGetFirstInstruction(entry));
    V at = LLVMBuildArrayAlloca(x->s.b, x->one, LLVMConstInt(gen_int1(&x->s, 32), n, false), "");
    LLVMSetAlignment(at, 64);
    LLVMPositionBuilderAtEnd(x->s.b, here);
    return at;
}

/* for i in from..to by step: body, with the builder inside, until end() */
static inline GenLoop each(const Gemm *x, V from, V to, int64_t step)
{
    return gen_loop(&x->s, from, to, num(x, step), NULL, 0);
}

static inline void end(const Gemm *x, GenLoop *l)
{
    gen_loop_end(&x->s, l, NULL);
}

/* A block of k, also of length 0: then C is set to zero, unless it is added to. */
static inline GenLoop each_block(const Gemm *x, uint32_t bytes, V *kc)
{
    GenLoop l = each(x, num(x, 0), most(x, x->k, num(x, 1)), bytes / x->bytes);
    *kc = least(x, minus(x, x->k, l.i), num(x, bytes / x->bytes));
    return l;
}

/* Calls one of two ways to go through a block. */
static inline void either(const Gemm *x, V cond, void (*yes)(const Gemm *, V, V), void (*no)(const Gemm *, V, V), V kb,
                          V kc)
{
    GenElse i = gen_if_else(&x->s, cond);
    yes(x, kb, kc);
    gen_else(&x->s, i);
    no(x, kb, kc);
    gen_end_else(&x->s, i);
}

/* ---- gemm_broadcast.c: tiles with lanes along n ---- */

/* A tile of nrow rows and nvec vectors. Row r of A is at a[r], moving on by a_col; B is at b, moving on by b_row. */
typedef struct CastTile {
    uint32_t nrow, nvec;
    V a[MAXROWS], a_col, b, b_row;
    V c;           /* its corner */
    V rows, width; /* how many rows and columns are there; may be more than the tile has */
    V keeps;
    bool mask_b; /* columns of B that are not there must not be read */
} CastTile;
extern const uint32_t gemm_cast_vectors[CPU_NLEVEL]; /* of a tile */
/* One k more: next[row * nvec + vector] = old + element `at` of the row of A times vec[vector]. */
void gemm_tile_step(const Gemm *x, const CastTile *t, V at, const V *vec, const V *old, V *next);
void gemm_store_tile(const Gemm *x, const CastTile *t, const V *acc); /* acc as next above */

/* ---- gemm.c ---- */
V gemm_new_function(const Gemm *x, const char *name, LLVMTypeRef type);
Gemm gemm_inside(const Gemm *x, V fn); /* the same generator with a builder of its own, at the start of fn */
void gemm_finish(Gemm *x);

/* ---- the forms ---- */
void gemm_make_dot(Gemm *x);       /* gemm_dot.c */
void gemm_make_broadcast(Gemm *x); /* gemm_broadcast.c */
void gemm_make_turned(Gemm *x);    /* gemm_turned.c */
void gemm_make_packed(Gemm *x);    /* gemm_packed.c */
void gemm_make_copy(Gemm *x);      /* the same: B into C, as `packed` wants it */

#endif
