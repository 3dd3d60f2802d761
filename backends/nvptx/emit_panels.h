/* Inside of emit_panels*.c: a block's tile of a product, and what its panels are multiplied by. */
#ifndef BACKENDS_NVPTX_EMIT_PANELS_H
#define BACKENDS_NVPTX_EMIT_PANELS_H

#include "backends/nvptx/emit.h"

enum { PANEL_SUMS = 32, PANEL_BYTES = 16 /* that are read or copied at once, at most */ };

/* A factor, in tiles of `lines` of its rows or columns. */
typedef struct Side {
    const KStmt *load;
    KVar var;
    bool dense;     /* along the depth, in memory */
    bool stored;    /* panels have what stands in memory, bit by bit; else reals, or what they are rounded to */
    uint32_t lines;
    uint32_t bytes; /* of an element in panels */
    LLVMTypeRef type;
    LLVMValueRef start, count, first; /* of the loop; how many there are; of the tile, counted from the start */
    LLVMValueRef panels;              /* shared memory */
    LLVMValueRef wide;                /* i1: lines begin at multiples of PANEL_BYTES; NULL: they do not */
} Side;

typedef struct Panels Panels;

/* What multiplies: threads alone, or warps. */
typedef struct PanelUnit {
    uint32_t (*size)(const Panels *x, const Side *s); /* of a panel, in elements */
    LLVMValueRef (*element)(const Panels *x, const Side *s, LLVMValueRef line, LLVMValueRef depth); /* where it stands in a panel */
    LLVMValueRef (*works)(const Panels *x); /* i1: this thread has elements of the tile, or its warp has some */
    void (*multiply)(const Panels *x, LLVMValueRef panel);
    void (*store)(const Panels *x);
    bool fills; /* places of depth beyond the end must be 0 */
    bool shows; /* what was written is shown to asynchronous products */
} PanelUnit;

struct Panels {
    Emit *e;
    const NvNode *n;
    const NvTile *t;
    const PanelUnit *unit;
    bool async;       /* there are copies that go by themselves */
    uint32_t panels;  /* how many there are at a time */
    uint32_t places;  /* of depth in a panel */
    LLVMValueRef thread, depth;
    Side a, b;
    uint32_t nsum;
    LLVMValueRef sum[PANEL_SUMS]; /* memory of the entry, which becomes registers */
};

static inline LLVMValueRef panel_number(const Panels *x, uint32_t n)
{
    return gen_i64(&x->e->g, n);
}

static inline LLVMValueRef panel_add(const Panels *x, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildNSWAdd(x->e->g.b, a, b, "");
}

static inline LLVMValueRef panel_times(const Panels *x, LLVMValueRef a, uint32_t n)
{
    return LLVMBuildNSWMul(x->e->g.b, a, panel_number(x, n), "");
}

static inline LLVMValueRef panel_quotient(const Panels *x, LLVMValueRef a, uint32_t n)
{
    return LLVMBuildUDiv(x->e->g.b, a, panel_number(x, n), "");
}

static inline LLVMValueRef panel_rest(const Panels *x, LLVMValueRef a, uint32_t n)
{
    return LLVMBuildURem(x->e->g.b, a, panel_number(x, n), "");
}

static inline LLVMValueRef panel_below(const Panels *x, LLVMValueRef a, LLVMValueRef end)
{
    return gen_icmp(&x->e->g, LLVMIntSLT, a, end);
}

/* emit_panels.c */
LLVMValueRef panel_place(const Panels *x, const Side *s, LLVMValueRef panel, LLVMValueRef line, LLVMValueRef depth); /* its address */
void panel_store(const Panels *x, LLVMValueRef row, LLVMValueRef col, uint32_t sum); /* if there is such an element; counted from the start */

/* emit_panels_threads.c: reals; emit_panels_warps.c: rounded factors; emit_panels_groups.c: those of 16 bits, on sm_90a */
extern const PanelUnit panel_threads, panel_warps, panel_groups;

#endif
