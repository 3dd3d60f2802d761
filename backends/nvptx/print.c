/* A plan as text: its kernels and their nodes, for people. Loops are named by their variable, memory by its buffer. */
#include "backends/nvptx/nvptx.h"

typedef struct Print {
    Text *out;
    const NvPlan *p;
} Print;

static void put_dim(const Print *x, Dim d)
{
    dim_print(x->out, x->p->k->dims, d);
}

static void put_stores(const Print *x, KStmt *s)
{
    if (kern_written(s) != K_NONE)
        text_add(x->out, " b%u", kern_written(s));
    for (uint32_t i = 0; kern_body(s) && i < kern_body(s)->n; i++)
        put_stores(x, kern_body(s)->p[i]);
}

static void put_share(const Print *x, const NvNode *n)
{
    text_add(x->out, "share ");
    put_dim(x, n->count);
    text_add(x->out, " writes");
    put_stores(x, n->s);
    for (uint32_t i = 0; i < n->sum.n; i++)
        text_add(x->out, " partial %%%u", n->sum.p[i]->acc.var);
}

static void put_sums(const Print *x, const NvNode *n)
{
    text_add(x->out, "combine");
    for (uint32_t i = 0; i < n->sum.n; i++)
        text_add(x->out, " %%%u", n->sum.p[i]->acc.var);
}

static void put_nodes(const Print *x, const NvNodes *nodes, int depth);

static void put_node(const Print *x, const NvNode *n, int depth)
{
    text_add(x->out, "%*s", 2 * depth, "");
    switch (n->kind) {
    case NV_EACH: text_add(x->out, n->s->kind == K_LEAVE ? "leave" : "each"); break;
    case NV_ONE:
        text_add(x->out, "one writes");
        put_stores(x, n->s);
        break;
    case NV_SHARE: put_share(x, n); break;
    case NV_TILES:
        text_add(x->out, "tiles of %u x %u, %s, ", n->rows * NV_TILE_ROWS, n->cols * NV_TILE_COLS, factor_text(n->tile->factor));
        put_share(x, n);
        break;
    case NV_PANELS:
        text_add(x->out, "panels for tiles of %u x %u, %s, ", n->rows * NV_PANEL_SIDE, n->cols * NV_PANEL_SIDE, factor_text(n->tile->factor));
        put_share(x, n);
        break;
    case NV_COMBINE: put_sums(x, n); break;
    case NV_BARRIER: text_add(x->out, n->team ? "barrier of the team" : "barrier"); break;
    case NV_LOOK:
        text_add(x->out, "look back over ");
        put_dim(x, n->look->loop->loop.extent);
        text_add(x->out, " pieces:");
        put_stores(x, n->look->pieces->s);
        text_add(x->out, ", then");
        put_stores(x, n->look->step->s);
        text_add(x->out, ", then");
        put_stores(x, n->look->rest->s);
        break;
    case NV_STEPS:
        text_add(x->out, "steps %%%u < ", n->s->loop.var);
        put_dim(x, n->s->loop.extent);
        break;
    }
    text_add(x->out, "\n");
    put_nodes(x, &n->body, depth + 1);
}

static void put_nodes(const Print *x, const NvNodes *nodes, int depth)
{
    for (uint32_t i = 0; i < nodes->n; i++)
        put_node(x, nodes->p[i], depth);
}

static void put_kernel(const Print *x, const NvKernel *kernel)
{
    text_add(x->out, "%.*s, %s ", STRF(kernel->name), kernel->blocks ? "blocks of" : "threads for");
    if (kernel->cut.n == 0)
        put_dim(x, kernel->threads);
    for (uint32_t i = 0; i < kernel->cut.n; i++) {
        text_add(x->out, i ? " x " : "");
        put_dim(x, kernel->cut.p[i].axis);
        text_add(x->out, ", piece %u", kernel->cut.p[i].piece);
    }
    if (kernel->shared) {
        text_add(x->out, ", in teams along ");
        put_dim(x, kernel->team.axis);
    }
    for (uint32_t i = 0; i < kernel->kept.n; i++) {
        text_add(x->out, i ? ", " : ", keeps ");
        put_dim(x, x->p->k->buf.p[kernel->kept.p[i]].size);
    }
    text_add(x->out, "\n");
    put_nodes(x, &kernel->node, 1);
    text_add(x->out, "\n");
}

void nv_print(Text *out, const NvPlan *p)
{
    Print x = {out, p};
    for (int fn = 0; fn < REC_NFN; fn++)
        for (uint32_t i = 0; i < p->fn[fn].kernel.n; i++)
            put_kernel(&x, &p->fn[fn].kernel.p[i]);
}
