/* Which products of reals are made by whole blocks (emit_panels.c). A thread that makes an element alone reads 2 * K numbers from global memory
 * for K multiplications; a block that brings 64 rows and 64 columns through shared memory, one of each for 32.
 *
 * What is made is the same, in the same order: an element is one thread's, from the first place of depth to the last. So it is right for all
 * sizes, and sizes decide only where they are numbers: a side of a few elements, or a short depth, is left to threads alone, and a tile is no
 * larger than the product. */
#include "backends/nvptx/plan.h"

enum { FEW = 8 };

static bool is_few(const Map *m, Dim size)
{
    int64_t n;
    return dim_is_const(m->k->dims, size, &n) && n < FEW;
}

static uint32_t each(const Map *m, Dim size)
{
    int64_t n;
    uint32_t most = NV_MOST_EACH;
    while (dim_is_const(m->k->dims, size, &n) && most > 1 && n <= (int64_t)(most / 2 * NV_PANEL_SIDE))
        most /= 2;
    return most;
}

NvNode *nv_panels(Map *m, KStmt *s)
{
    NvNode *node = nv_product(m, NV_PANELS, s);
    if (!node || node->tile->factor != FACTOR_REAL)
        return NULL;
    Dim rows = node->extent[node->nlevel - 2], cols = node->extent[node->nlevel - 1];
    if (is_few(m, rows) || is_few(m, cols) || is_few(m, node->tile->depth->loop.extent))
        return NULL;
    node->rows = each(m, rows);
    node->cols = each(m, cols);
    return node;
}
