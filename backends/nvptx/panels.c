/* Which products are made by whole blocks (emit_panels.c). A thread that makes an element alone reads 2 * K numbers from global memory for K
 * multiplications; a block that brings 64 rows and 64 columns through shared memory, one of each for 32.
 *
 * Of reals, what is made is the same, in the same order: an element is one thread's, from the first place of depth to the last. So it is right for
 * all sizes, and sizes decide only where they are numbers: a side of a few elements, or a short depth, is left to threads alone, and a tile is
 * no larger than the product. Of rounded factors, warps share a tile; where that would leave many of them without a piece, each makes tiles by
 * itself (tile.c), and so it is on sm_75, which has no copies that go by themselves. */
#include "backends/nvptx/plan.h"

enum { FEW = 8 };

static bool is_most(const Map *m, Dim size, int64_t most)
{
    int64_t n;
    return dim_is_const(m->k->dims, size, &n) && n <= most;
}

/* Elements of a thread in this direction. */
static uint32_t each(const Map *m, Dim size)
{
    uint32_t n = NV_MOST_EACH;
    while (n > 1 && is_most(m, size, n / 2 * NV_PANEL_SIDE))
        n /= 2;
    return n;
}

static bool is_small(const Map *m, const NvNode *node, int64_t rows, int64_t cols, int64_t depth)
{
    return is_most(m, node->extent[node->nlevel - 2], rows) || is_most(m, node->extent[node->nlevel - 1], cols) ||
           is_most(m, node->tile->depth->loop.extent, depth);
}

NvNode *nv_panels(Map *m, KStmt *s)
{
    NvNode *node = nv_product(m, NV_PANELS, s);
    if (!node)
        return NULL;
    node->rows = NV_PANEL_ROWS / NV_PANEL_SIDE, node->cols = NV_PANEL_COLS / NV_PANEL_SIDE;
    if (node->tile->factor != FACTOR_REAL)
        return is_small(m, node, NV_PANEL_ROWS / 2, NV_PANEL_COLS / 2, NV_PANEL_DEPTH - 1) || str_is(m->plan->arch, "sm_75") ? NULL : node;
    node->rows = each(m, node->extent[node->nlevel - 2]);
    node->cols = each(m, node->extent[node->nlevel - 1]);
    return is_small(m, node, FEW - 1, FEW - 1, FEW - 1) ? NULL : node;
}
