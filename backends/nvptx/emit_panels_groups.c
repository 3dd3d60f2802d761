/* Panels of factors of 16 bits, multiplied by groups of four warps: wgmma, which reads both factors from shared memory by itself. There are two groups,
 * each with 64 rows of a block's tile, and all of its columns. It is of sm_90a only: no other GPU has it, not even later ones.
 *
 * A panel is made of cores, of 8 lines and 8 places of depth, each of which is 128 bytes in a row, line by line. Cores of neighbouring lines are next to
 * each other; from one to the next along the depth is as far as all lines take. A descriptor says where the first core is, and these two distances,
 * in units of 16 bytes. What is no such factor in memory is rounded on the way here, by threads.
 *
 * Before it is multiplied, what threads have written is shown to the asynchronous products, and the barrier follows. The group waits for its
 * products, so that the next barrier says that the panel's memory is free. */
#include "backends/nvptx/emit_panels.h"

enum { CORE = 8, CORE_BYTES = 128, UNIT = 16, PRODUCT = 16 /* places of depth */, ADDRESS = 0x3ffff, MOST_PRODUCTS = 4, GROUP_WARPS = 4 };

static uint32_t size(const Panels *x, const Side *s)
{
    return x->places * s->lines;
}

static LLVMValueRef element(const Panels *x, const Side *s, LLVMValueRef line, LLVMValueRef depth)
{
    LLVMValueRef core = panel_add(x, panel_times(x, panel_quotient(x, depth, CORE), s->lines / CORE), panel_quotient(x, line, CORE));
    LLVMValueRef in = panel_add(x, panel_times(x, panel_rest(x, line, CORE), CORE), panel_rest(x, depth, CORE));
    return panel_add(x, panel_times(x, core, CORE * CORE), in);
}

static LLVMValueRef first_row(const Panels *x)
{
    return panel_times(x, panel_quotient(x, x->thread, NV_GROUP), NV_GROUP_ROWS);
}

static LLVMValueRef descriptor(const Panels *x, const Side *s, LLVMValueRef panel, LLVMValueRef line, uint32_t depth)
{
    const CpuGen *g = &x->e->g;
    uint64_t along = s->lines * CORE * 2 / UNIT, across = CORE_BYTES / UNIT;
    LLVMValueRef at = LLVMBuildPtrToInt(g->b, panel_place(x, s, panel, line, panel_number(x, depth)), gen_int1(g, 64), "");
    at = LLVMBuildLShr(g->b, LLVMBuildAnd(g->b, at, panel_number(x, ADDRESS), ""), panel_number(x, 4), "");
    return LLVMBuildOr(g->b, at, gen_i64(g, (int64_t)(along << 16 | across << 32)), "");
}

static void multiply(const Panels *x, LLVMValueRef panel)
{
    LLVMValueRef ab[2 * MOST_PRODUCTS];
    uint32_t n = x->places / PRODUCT;
    for (uint32_t i = 0; i < n; i++) {
        ab[2 * i] = descriptor(x, &x->a, panel, first_row(x), i * PRODUCT);
        ab[2 * i + 1] = descriptor(x, &x->b, panel, panel_number(x, 0), i * PRODUCT);
    }
    nv_multiply_group(&x->e->g, x->t->factor, ab, n, x->sum);
}

/* The same for all threads of a group. */
static LLVMValueRef works(const Panels *x)
{
    return panel_below(x, panel_add(x, x->a.first, first_row(x)), x->a.count);
}

/* A warp of the group has 16 rows: two neighbours of one, and two of the row 8 below, in each piece of 8 columns. */
static void store(const Panels *x)
{
    LLVMValueRef warp = panel_rest(x, panel_quotient(x, x->thread, NV_WARP), GROUP_WARPS), lane = panel_rest(x, x->thread, NV_WARP);
    LLVMValueRef row = panel_add(x, panel_add(x, x->a.first, first_row(x)), panel_add(x, panel_times(x, warp, NV_TILE_ROWS), panel_quotient(x, lane, 4)));
    LLVMValueRef col = panel_add(x, x->b.first, panel_times(x, panel_rest(x, lane, 4), 2));
    for (uint32_t i = 0; i < x->nsum; i++) {
        uint32_t r = i % NV_RESULTS;
        panel_store(x, panel_add(x, row, panel_number(x, r / 2 * NV_TILE_ROWS / 2)), panel_add(x, col, panel_number(x, i / NV_RESULTS * NV_TILE_COLS + r % 2)), i);
    }
}

const PanelUnit panel_groups = {size, element, works, multiply, store, true, true};
