/* What a program that launches the kernels must know, as JSON: sizes and buffers, and for each function its kernels in order,
 * with their parameters and how many threads they can use. */
#include "backends/backend.h"
#include "backends/nvptx/nvptx.h"

typedef struct Out {
    Text t;
    const NvPlan *p;
    const NvOptions *o;
} Out;

static void put_dim(Out *x, const char *name, Dim d, const char *end)
{
    json_put_field(&x->t, name, dim_str(x->p->arena, x->p->k->dims, d), end);
}

/* ---- sizes ---- */

static void put_quotient(Out *x, DimSym s)
{
    const KernProg *k = x->p->k;
    for (uint32_t i = 0; i < k->derived.n; i++)
        if (k->derived.p[i].sym == s) {
            text_add(&x->t, ", ");
            put_dim(x, "quotient_of", k->derived.p[i].num, ", ");
            put_dim(x, "by", k->derived.p[i].den, "");
            text_add(&x->t, ", \"floor\": %s", k->derived.p[i].floor ? "true" : "false");
        }
}

static void put_size(Out *x, DimSym s)
{
    static const char *const kind[] = {
        [DIM_FLAG] = "flag", [DIM_STRIP] = "strip", [DIM_USER] = "size", [DIM_TIME] = "time", [DIM_BATCH] = "batch", [DIM_KEEP] = "keep"};
    const DimSymInfo *info = dim_sym_info(x->p->k->dims, s);
    text_add(&x->t, "{");
    json_put_field(&x->t, "name", info->name, ", ");
    json_put_field(&x->t, "kind", str_of(kind[info->kind]), "");
    put_quotient(x, s);
    text_add(&x->t, "}");
}

/* ---- buffers ---- */

static void put_buffer(Out *x, KBufId b)
{
    static const char *const kind[] = {[K_ARG] = "argument", [K_OUT] = "output", [K_WORK] = "workspace", [K_BLOCK] = ""};
    const KernProg *k = x->p->k;
    const KBuf *buf = &k->buf.p[b];
    Str name = buf->kind == K_ARG ? k->arg.p[buf->slot].name : buf->kind == K_OUT ? k->out.p[buf->slot].name : buf->name;
    bool optional = buf->kind == K_ARG ? k->arg.p[buf->slot].optional
                                       : buf->kind == K_OUT && k->out.p[buf->slot].role != OUT_VALUE;
    text_add(&x->t, "{\"buffer\": %u, ", b);
    json_put_field(&x->t, "kind", str_of(kind[buf->kind]), ", ");
    json_put_field(&x->t, "name", name, ", ");
    json_put_field(&x->t, "type", str_of(iface_stored_type(kern_buf_narrow(k, b), buf->dt, x->o->f64)), ", ");
    put_dim(x, "elements", buf->size, "");
    if (buf->shares != K_NONE)
        text_add(&x->t, ", \"in\": %u", buf->shares);
    text_add(&x->t, ", \"optional\": %s}", optional ? "true" : "false");
}

/* ---- kernels ---- */

static void put_param(Out *x, const NvParam *p)
{
    const KernProg *k = x->p->k;
    text_add(&x->t, "{");
    switch (p->kind) {
    case NV_BUFFER: text_add(&x->t, "\"buffer\": %u", p->index); break;
    case NV_SIZE: json_put_field(&x->t, "size", dim_sym_info(k->dims, p->index)->name, ""); break;
    case NV_GIVEN: json_put_field(&x->t, "given", k->arg.p[p->index].name, ""); break;
    case NV_PIECE: text_add(&x->t, "\"piece_of_axis\": %u", p->index); break;
    case NV_TEAM: text_add(&x->t, "\"team\": true"); break;
    case NV_COUNTERS: text_add(&x->t, "\"counters\": true"); break;
    case NV_SEED: text_add(&x->t, "\"seed\": true"); break;
    case NV_TROUBLE: text_add(&x->t, "\"trouble\": true"); break;
    }
    text_add(&x->t, "}");
}

static bool has_tiles(const NvNodes *nodes)
{
    for (uint32_t i = 0; i < nodes->n; i++)
        if (nodes->p[i]->kind == NV_TILES || has_tiles(&nodes->p[i]->body))
            return true;
    return false;
}

static void put_axes(Out *x, const NvKernel *kernel)
{
    text_add(&x->t, "\"axes\": [");
    for (uint32_t i = 0; i < kernel->cut.n; i++) {
        text_add(&x->t, i ? ", {" : "{");
        put_dim(x, "places", kernel->cut.p[i].axis, ", ");
        json_put_field(&x->t, "part", dim_sym_info(x->p->k->dims, kernel->cut.p[i].part)->name, ", ");
        text_add(&x->t, "\"piece\": %u}", kernel->cut.p[i].piece);
    }
    text_add(&x->t, "], ");
}

/* Arrays in shared memory; `part.N` in their sizes is a piece of an axis. */
static void put_kept(Out *x, const NvKernel *kernel)
{
    put_dim(x, "instead_for_steps", kernel->steps, ", ");
    if (kernel->shared) {
        text_add(&x->t, "\"team\": {");
        put_dim(x, "places", kernel->team.axis, ", ");
        json_put_field(&x->t, "part", dim_sym_info(x->p->k->dims, kernel->team.part)->name, "}, ");
    }
    text_add(&x->t, "\"kept\": [");
    for (uint32_t i = 0; i < kernel->kept.n; i++) {
        KBufId b = kernel->kept.p[i];
        text_add(&x->t, i ? ", {" : "{");
        json_put_field(&x->t, "type", str_of(iface_stored_type(kern_buf_narrow(x->p->k, b), DT_REAL, x->o->f64)), ", ");
        put_dim(x, "elements", x->p->k->buf.p[b].size, "}");
    }
    text_add(&x->t, "], ");
}

static void put_kernel(Out *x, const NvKernel *kernel)
{
    text_add(&x->t, "{");
    json_put_field(&x->t, "kernel", kernel->name, ", ");
    if (kernel->blocks)
        put_axes(x, kernel);
    else
        put_dim(x, "threads", kernel->threads, ", ");
    if (kernel->blocks || kernel->nsum)
        text_add(&x->t, "\"partial_results\": %u, ", kernel->nsum);
    if (kernel->instead)
        put_kept(x, kernel);
    if (has_tiles(&kernel->node))
        text_add(&x->t, "\"warps\": true, ");
    if (kernel->node.p[0]->kind == NV_PANELS)
        text_add(&x->t, "\"block\": %d, \"tile\": [%u, %u], ", NV_PANEL_THREADS, kernel->node.p[0]->rows * NV_PANEL_SIDE, kernel->node.p[0]->cols * NV_PANEL_SIDE);
    text_add(&x->t, "\"parameters\": [");
    for (uint32_t i = 0; i < kernel->param.n; i++) {
        text_add(&x->t, i ? ", " : "");
        put_param(x, &kernel->param.p[i]);
    }
    text_add(&x->t, "]}");
}

static void put_function(Out *x, const char *name, const NvFn *f)
{
    text_add(&x->t, ",\n  \"%s\": ", name);
    if (f->refused.n) {
        text_add(&x->t, "{");
        json_put_field(&x->t, "refused", f->refused, "}");
        return;
    }
    text_add(&x->t, "[");
    for (uint32_t i = 0; i < f->kernel.n; i++) {
        text_add(&x->t, i ? ",\n    " : "\n    ");
        put_kernel(x, &f->kernel.p[i]);
    }
    text_add(&x->t, "]");
}

/* ---- the whole ---- */

static void put_list(Out *x, const char *name, uint32_t n, const bool *listed, void (*put)(Out *, uint32_t))
{
    bool first = true;
    text_add(&x->t, ",\n  \"%s\": [", name);
    for (uint32_t i = 0; i < n; i++) {
        if (!listed[i])
            continue;
        text_add(&x->t, first ? "\n    " : ",\n    ");
        put(x, i);
        first = false;
    }
    text_add(&x->t, "]");
}

/* Marks the buffers that kernels touch, and those whose memory they lie in. */
static bool *used_buffers(const NvPlan *p)
{
    bool *used = NEWN(p->arena, bool, p->k->buf.n);
    for (int fn = 0; fn < REC_NFN; fn++)
        for (uint32_t i = 0; i < p->fn[fn].kernel.n && !p->fn[fn].refused.n; i++)
            for (uint32_t n = 0; n < p->fn[fn].kernel.p[i].param.n; n++) {
                const NvParam *param = &p->fn[fn].kernel.p[i].param.p[n];
                if (param->kind != NV_BUFFER)
                    continue;
                used[param->index] = true;
                if (p->k->buf.p[param->index].shares != K_NONE)
                    used[p->k->buf.p[param->index].shares] = true;
            }
    return used;
}

/* The part of an axis that a block has is its own to find. */
static bool *known_sizes(const NvPlan *p)
{
    bool *listed = NEWN(p->arena, bool, dim_nsyms(p->k->dims));
    for (DimSym s = 0; s < dim_nsyms(p->k->dims); s++)
        listed[s] = dim_sym_info(p->k->dims, s)->kind != DIM_PART;
    return listed;
}

Str nv_manifest(const NvPlan *p, const NvOptions *o)
{
    const KernProg *k = p->k;
    Out x = {.t = {.arena = p->arena}, .p = p, .o = o};
    text_add(&x.t, "{\n  \"schema\": 1,\n  ");
    json_put_field(&x.t, "rnnc", o->version, ",\n  ");
    json_put_field(&x.t, "source", json_file_name(o->source_file), ",\n  ");
    json_put_field(&x.t, "name", k->name, ",\n  ");
    json_put_field(&x.t, "target", STR("ptx"), ",\n  ");
    json_put_field(&x.t, "arch", o->arch, ",\n  ");
    json_put_field(&x.t, "code", o->code.n ? o->code : STR("ptx"), ",\n  ");
    json_put_field(&x.t, "precision", iface_precision(p->k, o->f64), ",\n  ");
    json_put_field(&x.t, "products", str_of(factor_text(p->k->products)), "");
    put_list(&x, "sizes", dim_nsyms(k->dims), known_sizes(p), put_size);
    put_list(&x, "buffers", k->buf.n, used_buffers(p), put_buffer);
    put_function(&x, "forward", &p->fn[REC_FORWARD]);
    if (k->has_fn[REC_BACKWARD])
        put_function(&x, "backward", &p->fn[REC_BACKWARD]);
    if (k->has_fn[REC_INIT])
        put_function(&x, "init", &p->fn[REC_INIT]);
    text_add(&x.t, "\n}\n");
    return text_str(&x.t);
}
