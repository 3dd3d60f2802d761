/* Panels of reals, multiplied by threads. They stand in a square, and each has a few neighbouring rows and columns of the tile. An element is summed by
 * one thread, in the order of depth, with fused multiply-add, as if the thread were alone; places beyond the end of the depth are not multiplied.
 *
 * In a panel a place of depth is a row of lines (rows of one factor, columns of the other), so that a thread reads its neighbours at once. */
#include "backends/nvptx/emit_panels.h"

enum { PLACES = 4 /* that are multiplied one behind the other without a branch */ };

/* Some more than lines: so places of depth begin at different banks, and at multiples of what is read at once. */
static uint32_t row_of(const Side *s)
{
    return s->lines + PANEL_BYTES / s->bytes;
}

static uint32_t size(const Panels *x, const Side *s)
{
    return x->places * row_of(s);
}

static LLVMValueRef element(const Panels *x, const Side *s, LLVMValueRef line, LLVMValueRef depth)
{
    return panel_add(x, panel_times(x, depth, row_of(s)), line);
}

/* The first line of a thread, of the tile. */
static LLVMValueRef first_of(const Panels *x, const Side *s)
{
    LLVMValueRef at = s == &x->a ? panel_quotient(x, x->thread, NV_PANEL_SIDE) : panel_rest(x, x->thread, NV_PANEL_SIDE);
    return panel_times(x, at, s->lines / NV_PANEL_SIDE);
}

static void lines_of(const Panels *x, const Side *s, LLVMValueRef panel, LLVMValueRef depth, LLVMValueRef *v)
{
    const CpuGen *g = &x->e->g;
    uint32_t n = s->lines / NV_PANEL_SIDE, bytes = n * s->bytes;
    LLVMTypeRef type = n == 1 ? s->type : LLVMVectorType(s->type, n);
    LLVMValueRef all = gen_load(g, type, panel_place(x, s, panel, first_of(x, s), depth), bytes < PANEL_BYTES ? bytes : PANEL_BYTES);
    for (uint32_t i = 0; i < n; i++)
        v[i] = n == 1 ? all : gen_lane(g, all, i);
}

static void multiply_place(const Panels *x, LLVMValueRef panel, LLVMValueRef depth)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef a[NV_MOST_EACH], b[NV_MOST_EACH];
    lines_of(x, &x->a, panel, depth, a);
    lines_of(x, &x->b, panel, depth, b);
    for (uint32_t i = 0; i < x->nsum; i++) {
        LLVMValueRef sum = LLVMBuildLoad2(g->b, gen_real1(g), x->sum[i], "");
        LLVMBuildStore(g->b, gen_fma(g, a[i / x->n->cols], b[i % x->n->cols], sum), x->sum[i]);
    }
}

static void multiply_places(const Panels *x, LLVMValueRef panel, LLVMValueRef count, uint32_t at_once)
{
    const CpuGen *g = &x->e->g;
    GenLoop l = gen_loop(g, panel_number(x, 0), count, panel_number(x, at_once), NULL, 0);
    for (uint32_t i = 0; i < at_once; i++)
        multiply_place(x, panel, panel_add(x, l.i, panel_number(x, i)));
    gen_loop_end(g, &l, NULL);
}

/* Of the last panel some. */
static void multiply(const Panels *x, LLVMValueRef panel)
{
    const CpuGen *g = &x->e->g;
    LLVMValueRef left = LLVMBuildNSWSub(g->b, x->depth, panel_times(x, panel, x->places), ""), all = panel_number(x, x->places);
    GenElse full = gen_if_else(g, gen_icmp(g, LLVMIntSGE, left, all));
    multiply_places(x, panel, all, PLACES);
    gen_else(g, full);
    multiply_places(x, panel, left, 1);
    gen_end_else(g, full);
}

static LLVMValueRef line(const Panels *x, const Side *s, uint32_t i)
{
    return panel_add(x, panel_add(x, s->first, first_of(x, s)), panel_number(x, i));
}

static LLVMValueRef works(const Panels *x)
{
    return LLVMBuildAnd(x->e->g.b, panel_below(x, line(x, &x->a, 0), x->a.count), panel_below(x, line(x, &x->b, 0), x->b.count), "");
}

static void store(const Panels *x)
{
    for (uint32_t i = 0; i < x->nsum; i++)
        panel_store(x, line(x, &x->a, i / x->n->cols), line(x, &x->b, i % x->n->cols), i);
}

const PanelUnit panel_threads = {size, element, works, multiply, store, false, false};
