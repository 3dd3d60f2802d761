/* Which products of rounded factors are made in tiles by warps: a chain of parallel loops, of which the last two are the rows and columns
 * of a product that loops.c has listed. Iterations are independent, so any warp may have any tile; but who makes an element is not who makes
 * it in an NV_SHARE, so barriers stand between them (barrier.c). */
#include "backends/nvptx/plan.h"

/* It may have been cut since it was made, but it is the same loop. */
static const NvTile *tile_of(const Map *m, const KStmt *row)
{
    for (uint32_t i = 0; i < m->plan->tile.n; i++)
        if (m->plan->tile.p[i]->row == row)
            return m->plan->tile.p[i];
    for (uint32_t i = 0; i < m->plan->tile.n; i++)
        if (m->plan->tile.p[i]->row->loop.var == row->loop.var)
            return m->plan->tile.p[i];
    return NULL;
}

/* No more than there are, where that is a number. */
static uint32_t pieces(const Map *m, Dim size, uint32_t piece, uint32_t most)
{
    int64_t n;
    if (!dim_is_const(m->k->dims, size, &n) || n >= (int64_t)(piece * most))
        return most;
    return n > piece ? (uint32_t)((n + piece - 1) / piece) : 1;
}

/* Elements are stored while others are still to be made, by whom ever. */
static bool is_apart(const Map *m, const NvTile *t)
{
    KBufId c = kern_memory(m->k, t->store->mem.buf);
    return c != kern_memory(m->k, t->a->mem.buf) && c != kern_memory(m->k, t->b->mem.buf);
}

NvNode *nv_product(Map *m, NvKind kind, KStmt *s)
{
    NvNode *node = nv_node(m, kind, s);
    if (s->kind != K_LOOP || s->loop.kind == K_SERIAL || !nv_chain(m, node, s) || node->nlevel < 2)
        return NULL;
    node->tile = tile_of(m, node->axis.p[node->nlevel - 2].loop);
    for (uint32_t l = 0; l < node->nlevel; l++)
        node->count = dim_mul(m->k->dims, node->count, node->extent[l]);
    return node->tile && is_apart(m, node->tile) ? node : NULL;
}

NvNode *nv_tiles(Map *m, KStmt *s, uint32_t rows)
{
    NvNode *node = nv_product(m, NV_TILES, s);
    if (!node || node->tile->factor == FACTOR_REAL)
        return NULL;
    node->rows = pieces(m, node->extent[node->nlevel - 2], NV_TILE_ROWS, rows);
    node->cols = pieces(m, node->extent[node->nlevel - 1], NV_TILE_COLS, NV_MOST_COLS);
    return node;
}
