/* Panels of rounded factors, multiplied by warps: a warp has 32 rows and 32 columns of a block's tile, and adds up pieces of 16 and 8 as in emit_tile.c.
 *
 * A panel is parts of 16 places of depth, in which a line's places are next to each other. A lane reads four of them at once, and all lanes of a
 * warp read 8 such lines, so that no two of them meet in a bank. What stands in memory as such a factor is in a panel as it is; reals are, too, and are
 * rounded when they are read, which leaves copies to themselves. Places beyond the end are 0 in both factors. */
#include "backends/nvptx/emit_panels.h"

enum { PART = 16, AT_ONCE = 4, ROWS = 2, COLS = 4 /* pieces of a warp */, MOST_REGISTERS = 4 /* of a line's four places */ };

static uint32_t size(const Panels *x, const Side *s)
{
    return x->places * s->lines;
}

static LLVMValueRef element(const Panels *x, const Side *s, LLVMValueRef line, LLVMValueRef depth)
{
    LLVMValueRef part = panel_quotient(x, depth, PART), at = panel_add(x, panel_times(x, part, s->lines), line);
    return panel_add(x, panel_times(x, at, PART), panel_rest(x, depth, PART));
}

/* ---- where a lane is ---- */

static LLVMValueRef warp(const Panels *x)
{
    return panel_quotient(x, x->thread, NV_WARP);
}

/* The first line of a warp, of the tile: warps stand in rows. */
static LLVMValueRef first_of(const Panels *x, const Side *s)
{
    uint32_t across = x->b.lines / (COLS * NV_TILE_COLS);
    LLVMValueRef down = panel_times(x, panel_quotient(x, warp(x), across), ROWS * NV_TILE_ROWS);
    return s == &x->a ? down : panel_times(x, panel_rest(x, warp(x), across), COLS * NV_TILE_COLS);
}

static LLVMValueRef quad(const Panels *x)
{
    return panel_rest(x, x->thread, 4);
}

static LLVMValueRef group(const Panels *x)
{
    return panel_rest(x, panel_quotient(x, x->thread, 4), NV_TILE_COLS);
}

/* ---- multiplying ---- */

/* The registers of a line's four places from the lane's own on: as many as have room for them. */
static void read_line(const Panels *x, const Side *s, LLVMValueRef panel, uint32_t part, LLVMValueRef line, LLVMValueRef *v)
{
    const CpuGen *g = &x->e->g;
    uint32_t each = nv_shape(x->t->factor, false).each, n = s->bytes * AT_ONCE / 4;
    LLVMTypeRef i32 = gen_int1(g, 32), type = LLVMVectorType(s->bytes == 2 ? i32 : gen_real1(g), n);
    LLVMValueRef depth = panel_add(x, panel_number(x, part * PART), panel_times(x, quad(x), AT_ONCE)), real[AT_ONCE];
    LLVMValueRef all = gen_load(g, type, panel_place(x, s, panel, line, depth), n * 4);
    for (uint32_t i = 0; i < n; i++)
        real[i] = v[i] = gen_lane(g, all, i);
    for (uint32_t i = 0; i < AT_ONCE / each && s->bytes == 4; i++)
        v[i] = nv_short(g, x->t->factor, &real[i * each]);
}

static void multiply_part(const Panels *x, LLVMValueRef panel, uint32_t part)
{
    const CpuGen *g = &x->e->g;
    NvShape shape = nv_shape(x->t->factor, false);
    uint32_t registers = AT_ONCE / shape.each;
    LLVMValueRef a[ROWS][2][MOST_REGISTERS], b[MOST_REGISTERS], turns[2 * MOST_REGISTERS];
    for (uint32_t i = 0; i < 2 * ROWS; i++)
        read_line(x, &x->a, panel, part, panel_add(x, panel_add(x, first_of(x, &x->a), group(x)), panel_number(x, i * NV_TILE_ROWS / 2)), a[i / 2][i % 2]);
    for (uint32_t j = 0; j < COLS; j++) {
        read_line(x, &x->b, panel, part, panel_add(x, panel_add(x, first_of(x, &x->b), group(x)), panel_number(x, j * NV_TILE_COLS)), b);
        for (uint32_t i = 0; i < ROWS; i++)
            for (uint32_t r = 0; r < registers; r += shape.slots) {
                for (uint32_t s = 0; s < 2 * shape.slots; s++)
                    turns[s] = a[i][s % 2][r + s / 2];
                nv_multiply(g, &shape, turns, &b[r], &x->sum[(i * COLS + j) * NV_RESULTS]);
            }
    }
}

static void multiply(const Panels *x, LLVMValueRef panel)
{
    for (uint32_t part = 0; part < x->places / PART; part++)
        multiply_part(x, panel, part);
}

/* ---- the tile ---- */

/* The same for all lanes of a warp. */
static LLVMValueRef works(const Panels *x)
{
    LLVMValueRef row = panel_add(x, x->a.first, first_of(x, &x->a)), col = panel_add(x, x->b.first, first_of(x, &x->b));
    return LLVMBuildAnd(x->e->g.b, panel_below(x, row, x->a.count), panel_below(x, col, x->b.count), "");
}

/* Two neighbours of a row, and two of the row 8 below. */
static void store(const Panels *x)
{
    for (uint32_t i = 0; i < x->nsum; i++) {
        uint32_t r = i % NV_RESULTS, col = i / NV_RESULTS % COLS, row = i / NV_RESULTS / COLS;
        LLVMValueRef down = panel_add(x, group(x), panel_number(x, row * NV_TILE_ROWS + r / 2 * NV_TILE_ROWS / 2));
        LLVMValueRef right = panel_add(x, panel_times(x, quad(x), 2), panel_number(x, col * NV_TILE_COLS + r % 2));
        panel_store(x, panel_add(x, panel_add(x, x->a.first, first_of(x, &x->a)), down), panel_add(x, panel_add(x, x->b.first, first_of(x, &x->b)), right), i);
    }
}

const PanelUnit panel_warps = {size, element, works, multiply, store, true, false};
