/* What a launcher knows of a plan, as the tables that launch_code.h goes by: launcher.c prints them into C, device.c
 * launches from them here. */
#include "backends/nvptx/program.h"

typedef struct Make {
    Arena *a;
    const NvPlan *plan;
    const KernProg *k;
    const NvOptions *o;
    NvProgram *out;
    VEC(cuda_term) term;
    VEC(cuda_member) member;
    VEC(cuda_param) param;
    VEC(cuda_dim) work;
} Make;

/* ---- polynomials ---- */

static cuda_term term_of(const DimTerm *t)
{
    cuda_term row = {.coef = t->coef, .n = (int)t->nsym};
    if (t->nsym > sizeof row.symbol / sizeof *row.symbol)
        ice("launcher: a product of %u sizes", t->nsym);
    for (uint32_t s = 0; s < t->nsym; s++)
        row.symbol[s] = (int)t->sym[s];
    return row;
}

static cuda_dim dim_row(Make *m, Dim d)
{
    cuda_dim row = {.first = (int)m->term.n, .n = (int)dim_nterms(m->k->dims, d)};
    for (int i = 0; i < row.n; i++)
        vec_push(m->a, &m->term, term_of(dim_term(m->k->dims, d, (uint32_t)i)));
    return row;
}

static int bytes_of(const Make *m, DType dt, Narrow narrow)
{
    return (int)narrow_bytes(narrow, dt == DT_REAL ? (m->o->f64 ? 8 : 4) : dt == DT_INT ? 4 : 1);
}

/* ---- sizes ---- */

static void make_sizes(Make *m, cuda_program *p)
{
    const struct IfaceMember *member = m->out->iface->member[IF_SIZES].p;
    uint32_t n = m->out->iface->member[IF_SIZES].n;
    int *size = NEWN(m->a, int, n + 1), *bounded = NEWN(m->a, int, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        size[i] = (int)member[i].sym;
        bounded[i] = dim_sym_info(m->k->dims, member[i].sym)->kind == DIM_TIME;
    }
    p->nsize = (int)n, p->size = size, p->bounded = bounded;
}

static void make_derived(Make *m, cuda_program *p)
{
    cuda_derived *derived = NEWN(m->a, cuda_derived, m->k->derived.n + 1);
    for (uint32_t i = 0; i < m->k->derived.n; i++) {
        const struct RecDerivedDim *d = &m->k->derived.p[i];
        derived[i] = (cuda_derived){.symbol = (int)d->sym, .rounded = d->floor};
        derived[i].num = dim_row(m, d->num);
        derived[i].den = dim_row(m, d->den);
    }
    p->nderived = (int)m->k->derived.n, p->derived = derived;
    cuda_dim *need = NEWN(m->a, cuda_dim, m->k->need.n + 1);
    for (uint32_t i = 0; i < m->k->need.n; i++)
        need[i] = dim_row(m, m->k->need.p[i].dim);
    p->nneed = (int)m->k->need.n, p->need = need;
}

/* The symbols that lengths count. */
static void make_extents(Make *m, cuda_program *p)
{
    DimSym extent[MAXRANK], time;
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->k->arg.n; i++)
        if (m->k->arg.p[i].role == ROLE_LENGTH)
            n = iface_extents(m->k, &m->k->arg.p[i].type, extent);
    int *row = NEWN(m->a, int, n + 1);
    for (uint32_t i = 0; i < n; i++)
        row[i] = (int)extent[i];
    p->nextent = (int)n, p->extent = row;
    p->nsymbol = (int)dim_nsyms(m->k->dims), p->keep = (int)m->k->keep, p->batch = (int)m->k->batch;
    p->time = iface_time(m->k, &time) ? (int)time : -1;
}

/* ---- arrays ---- */

static int uses_of(const Make *m, KBufKind kind, uint32_t slot)
{
    int uses = 0;
    for (KBufId b = 0; b < m->k->buf.n; b++)
        if (m->k->buf.p[b].kind == kind && m->k->buf.p[b].slot == slot)
            uses |= m->k->buf.p[b].used_by;
    return uses;
}

static Dim elements(const Make *m, const Type *type, bool batched)
{
    Dim dim[MAXRANK + 1], all = DIM_ONE;
    for (uint32_t i = 0, n = iface_array_dims(m->k, type, batched, dim); i < n; i++)
        all = dim_mul(m->k->dims, all, dim[i]);
    return all;
}

static cuda_array array_row(Make *m, int flags, int uses, const Type *type, bool batched, Narrow narrow)
{
    return (cuda_array){
        .flags = flags, .uses = uses, .bytes = bytes_of(m, type->dt, narrow), .size = dim_row(m, elements(m, type, batched))};
}

static void make_arrays(Make *m, cuda_program *p)
{
    const KernProg *k = m->k;
    cuda_array *arg = NEWN(m->a, cuda_array, k->arg.n + 1), *out = NEWN(m->a, cuda_array, k->out.n + 1);
    for (uint32_t i = 0; i < k->arg.n; i++) {
        const RecArg *x = &k->arg.p[i];
        int flags = x->role == ROLE_LENGTH ? CUDA_LENGTHS : x->optional ? 0 : CUDA_MUST;
        arg[i] = array_row(m, flags, uses_of(m, K_ARG, i), &x->type, x->batched, kern_arg_narrow(k, i));
    }
    for (uint32_t i = 0; i < k->out.n; i++) {
        const RecOut *x = &k->out.p[i];
        out[i] = array_row(m, x->role == OUT_VALUE ? CUDA_MUST : 0, uses_of(m, K_OUT, i), &x->type, x->batched, kern_out_narrow(k, i));
    }
    p->narg = (int)k->arg.n, p->arg = arg;
    p->nout = (int)k->out.n, p->out = out;
}

static KBufId root_of(const KernProg *k, KBufId b)
{
    while (k->buf.p[b].shares != K_NONE)
        b = k->buf.p[b].shares;
    return b;
}

/* By what a buffer, or one in its memory, is used. */
static int memory_uses(const KernProg *k, KBufId root)
{
    int uses = 0;
    for (KBufId b = 0; b < k->buf.n; b++)
        uses |= root_of(k, b) == root ? k->buf.p[b].used_by : 0;
    return uses;
}

static void make_buffers(Make *m, cuda_program *p)
{
    static const int kind[] = {[K_ARG] = CUDA_ARGUMENT, [K_OUT] = CUDA_OUTPUT, [K_WORK] = CUDA_WORK, [K_BLOCK] = CUDA_WORK};
    const KernProg *k = m->k;
    cuda_buffer *buf = NEWN(m->a, cuda_buffer, k->buf.n + 1);
    for (KBufId i = 0; i < k->buf.n; i++) {
        const KBuf *b = &k->buf.p[i];
        buf[i] = (cuda_buffer){.kind = kind[b->kind],
                               .slot = b->kind == K_WORK || b->kind == K_BLOCK ? 0 : (int)b->slot,
                               .shares = b->shares == K_NONE ? -1 : (int)root_of(k, i),
                               .bytes = bytes_of(m, b->dt, kern_buf_narrow(k, i)),
                               .uses = memory_uses(k, i),
                               .size = dim_row(m, b->size)};
    }
    p->nbuf = (int)k->buf.n, p->buf = buf;
}

static int index_of(uint32_t i)
{
    return i == K_NONE ? -1 : (int)i;
}

static void make_members(Make *m, cuda_program *p)
{
    const Iface *f = m->out->iface;
    for (int s = IF_PARAMS; s < IF_NSTRUCT; s++) {
        m->out->of[s] = (cuda_struct){
            .first = (int)m->member.n, .n = (int)f->member[s].n, .optional = iface_may_be_null(f, (IfaceStruct)s)};
        for (uint32_t i = 0; i < f->member[s].n; i++)
            vec_push(m->a, &m->member,
                     ((cuda_member){index_of(f->member[s].p[i].arg), index_of(f->member[s].p[i].out)}));
    }
    p->member = m->member.p;
}

/* ---- kernels ---- */

static void make_params(Make *m, const NvKernel *kernel)
{
    static const int kind[] = {[NV_BUFFER] = CUDA_BUFFER,
                               [NV_SIZE] = CUDA_SIZE,
                               [NV_GIVEN] = CUDA_GIVEN,
                               [NV_PIECE] = CUDA_PIECE, [NV_TEAM] = CUDA_TEAM, [NV_COUNTERS] = CUDA_COUNTERS, [NV_SEED] = CUDA_SEED,
                               [NV_TROUBLE] = CUDA_TROUBLE};
    for (uint32_t i = 0; i < kernel->param.n; i++)
        vec_push(m->a, &m->param, ((cuda_param){kind[kernel->param.p[i].kind], (int)kernel->param.p[i].index}));
}

static bool is_timed(const Make *m, Dim d);

static bool is_timed_symbol(const Make *m, DimSym s)
{
    DimKind kind = dim_sym_info(m->k->dims, s)->kind;
    bool timed = kind == DIM_TIME || kind == DIM_KEEP || kind == DIM_FLAG || kind == DIM_STRIP;
    for (uint32_t i = 0; i < m->k->derived.n && !timed; i++)
        if (m->k->derived.p[i].sym == s)
            timed = is_timed(m, m->k->derived.p[i].num) || is_timed(m, m->k->derived.p[i].den);
    return timed;
}

/* Whether it differs between a step, or an inference, and a whole forward call in training. */
static bool is_timed(const Make *m, Dim d)
{
    for (uint32_t i = 0; i < dim_nterms(m->k->dims, d); i++)
        for (uint32_t s = 0; s < dim_term(m->k->dims, d, i)->nsym; s++)
            if (is_timed_symbol(m, dim_term(m->k->dims, d, i)->sym[s]))
                return true;
    return false;
}

static bool is_shared(const NvNode *n)
{
    return n->kind == NV_SHARE || n->kind == NV_TILES;
}

/* What a block shares out; false when some of it is of a whole sequence, for which there are never too many threads. */
static bool add_works(Make *m, const NvNodes *nodes)
{
    for (uint32_t i = 0; i < nodes->n; i++) {
        const NvNode *n = nodes->p[i];
        if (!add_works(m, &n->body) || (is_shared(n) && is_timed(m, n->count)))
            return false;
        if (is_shared(n)) {
            cuda_dim count = dim_row(m, n->count);
            vec_push(m->a, &m->work, count);
        }
    }
    return true;
}

static void make_works(Make *m, const NvKernel *kernel, cuda_kernel *row)
{
    row->first_work = (int)m->work.n;
    row->full = !kernel->blocks || !add_works(m, &kernel->node);
    row->works = row->full ? 0 : (int)m->work.n - row->first_work;
}

/* A quarter of the elements that a lane has of a tile: tiles at the end of rows and columns are not full. */
enum { TILE_EACH = NV_MOST_ROWS * NV_TILE_ROWS * NV_MOST_COLS * NV_TILE_COLS / NV_WARP / 4 };

static void make_parts(Make *m, const NvNode *n, cuda_kernel *row)
{
    row->tile_rows = (int)(n->rows * NV_PANEL_SIDE), row->tile_cols = (int)(n->cols * NV_PANEL_SIDE);
    row->rows = dim_row(m, n->extent[n->nlevel - 2]);
    row->cols = dim_row(m, n->extent[n->nlevel - 1]);
}

/* Bytes, with what may be left free between two arrays. */
static Dim kept_bytes(const Make *m, const NvKernel *kernel)
{
    DimTab *d = m->k->dims;
    Dim all = dim_const(d, NV_KEEP * (int64_t)kernel->kept.n);
    for (uint32_t i = 0; i < kernel->kept.n; i++) {
        KBufId b = kernel->kept.p[i];
        all = dim_add(d, all, dim_mul(d, m->k->buf.p[b].size, dim_const(d, bytes_of(m, m->k->buf.p[b].dt, kern_buf_narrow(m->k, b)))));
    }
    return all;
}

/* What it loads at first counts no more than for a block alone. */
static void make_team(Make *m, const NvKernel *kernel, cuda_kernel *row)
{
    row->team = (cuda_cut){(int)kernel->team.part, 1, dim_row(m, kernel->team.axis)};
    row->first_work = (int)m->work.n;
    row->full = 0;
    for (uint32_t i = 0; i < kernel->node.n; i++)
        row->full |= kernel->node.p[i]->kind == NV_STEPS && !add_works(m, &kernel->node.p[i]->body);
    row->works = row->full ? 0 : (int)m->work.n - row->first_work;
}

/* It shares out the same as the one before, so that it adds up the same: what it loads at first may have more iterations than there are threads. */
static void make_instead(Make *m, const NvKernel *kernel, const cuda_kernel *before, cuda_kernel *row)
{
    row->first_work = before->first_work, row->works = before->works, row->full = before->full;
    if (kernel->shared)
        make_team(m, kernel, row);
    row->instead = 1;
    row->steps = dim_row(m, kernel->steps);
    row->kept = dim_row(m, kept_bytes(m, kernel));
}

static cuda_kernel kernel_row(Make *m, const NvKernel *kernel, const cuda_kernel *before)
{
    cuda_kernel row = {.name = str_c(m->a, kernel->name),
                       .blocks = kernel->blocks,
                       .cuts = (int)kernel->cut.n,
                       .each = kernel->node.p[0]->kind == NV_TILES ? TILE_EACH : 1,
                       .sums = (int)kernel->nsum,
                       .threads = dim_row(m, kernel->threads),
                       .team = {.part = -1},
                       .first = (int)m->param.n,
                       .n = (int)kernel->param.n};
    for (uint32_t i = 0; i < kernel->cut.n; i++)
        row.cut[i] = (cuda_cut){(int)kernel->cut.p[i].part, (int)kernel->cut.p[i].piece, dim_row(m, kernel->cut.p[i].axis)};
    if (kernel->node.p[0]->kind == NV_PANELS)
        make_parts(m, kernel->node.p[0], &row);
    make_params(m, kernel);
    if (kernel->instead)
        make_instead(m, kernel, before, &row);
    else
        make_works(m, kernel, &row);
    if (kernel->param.n > m->out->most_params)
        m->out->most_params = kernel->param.n;
    return row;
}

uint32_t nv_kernels(const NvPlan *p)
{
    uint32_t n = 0;
    for (int f = 0; f < REC_NFN; f++)
        n += p->fn[f].kernel.n;
    return n;
}

static void make_kernels(Make *m, cuda_program *p)
{
    const NvFn *fn = m->plan->fn;
    cuda_kernel *kernel = NEWN(m->a, cuda_kernel, nv_kernels(m->plan) + 1);
    uint32_t n = 0;
    for (int f = 0; f < REC_NFN; f++) {
        p->nkernel[f] = (int)fn[f].kernel.n;
        for (uint32_t i = 0; i < fn[f].kernel.n; i++, n++)
            kernel[n] = kernel_row(m, &fn[f].kernel.p[i], n ? &kernel[n - 1] : NULL);
    }
    p->kernel = kernel;
    p->param = m->param.p;
}

/* "sm_86": 8, 6. "sm_90a": 9, 0, and nothing later */
static void make_arch(Make *m, cuda_program *p)
{
    Str arch = m->o->arch;
    uint32_t n = arch.n - nv_is_alone(arch);
    for (uint32_t i = 3; i + 1 < n; i++)
        p->major = 10 * p->major + arch.p[i] - '0';
    p->minor = arch.p[n - 1] - '0';
    p->only = str_is(m->o->code, "cubin") || nv_is_alone(arch);
    p->clusters = nv_has_clusters(arch);
}

const NvProgram *nv_program(const NvPlan *plan, const NvOptions *o, Str code)
{
    Arena *a = plan->arena;
    NvProgram *out = NEW(a, NvProgram);
    Make m = {.a = a, .plan = plan, .k = plan->k, .o = o, .out = out};
    *out = (NvProgram){.iface = iface_of(a, plan->k), .code = str_copy(a, code)};
    out->tables.code = out->code.p;
    make_arch(&m, &out->tables);
    make_sizes(&m, &out->tables);
    make_derived(&m, &out->tables);
    make_extents(&m, &out->tables);
    make_arrays(&m, &out->tables);
    make_buffers(&m, &out->tables);
    make_members(&m, &out->tables);
    make_kernels(&m, &out->tables);
    out->tables.term = m.term.p;
    out->tables.work = m.work.p;
    out->nwork = m.work.n;
    out->nterm = m.term.n, out->nmember = m.member.n, out->nparam = m.param.n;
    return out;
}
