/* Which kernels a function becomes, and which of their loops become threads.
 *
 * A kernel is a nest: serial loops (of time) with nothing else but scalars around chains of parallel loops. The chains'
 * loops become threads and change places with the serial ones. Where there are serial loops that needs a proof: all accesses
 * to memory that the nest writes have the same stride in each threaded loop, those strides are nested (each is a multiple
 * of the next times its extent), and everything else in the address is a multiple of the largest times its extent. Then an
 * address says which thread it belongs to, as digits do, and no two threads meet. */
#include "backends/nvptx/nvptx.h"

#include "backends/backend.h"

typedef struct Map {
    Arena *a;
    KernProg *k;
    NvFn *fn;
    NvKernel *kernel;
    bool *needs;                            /* by KVar: read by the kernel */
    bool *sizes, *given, *touched, *writes; /* by DimSym, RecArg index, KBufId: likewise */
} Map;

static bool refuse(Map *m, Span at, const char *why)
{
    m->fn->refused = str_of(why);
    m->fn->at = at;
    return false;
}

/* ---- statements ---- */

/* Without effect on memory, and the same for every thread that computes it. */
static bool is_scalar(const KStmt *s)
{
    return s->kind == K_LET || s->kind == K_CONST || s->kind == K_SIZE || s->kind == K_GIVEN || s->kind == K_LOAD;
}

static bool is_parallel(const KStmt *s)
{
    return s->kind == K_LOOP && s->loop.kind != K_SERIAL;
}

static bool can_run(Map *m, const KStmt *s)
{
    switch (s->kind) {
    case K_GEMM: return refuse(m, s->at, "a matrix product (K_GEMM)");
    case K_PACK: return refuse(m, s->at, "a matrix copied for products (K_PACK)");
    case K_CHECK: return refuse(m, s->at, "an index that must be checked when it runs (K_CHECK)");
    case K_RANDOM: return refuse(m, s->at, "random numbers (K_RANDOM)");
    case K_TASKS: return refuse(m, s->at, "tasks for the threads of a CPU (K_TASKS)");
    case K_LEAVE: return refuse(m, s->at, "a loop that ends by what it computes (K_LEAVE)");
    case K_LOOP:
        for (uint32_t i = 0; i < s->loop.body.n; i++)
            if (!can_run(m, s->loop.body.p[i]))
                return false;
        return true;
    default: return true;
    }
}

/* ---- fills and copies are loops, too ---- */

static KStmt *element_loop(Map *m, Span at, Dim count, KVar *var)
{
    *var = kern_var(m->k, DT_INT, true, STR(""));
    KStmt *s = NEW(m->a, KStmt);
    *s = (KStmt){.kind = K_LOOP, .at = at, .loop = {.kind = K_PARALLEL, .var = *var, .extent = count}};
    return s;
}

static void add_access(Map *m, KStmt *loop, KKind kind, KVar value, KBufId buf, KIndex at)
{
    kern_index_add(m->k, &at, loop->loop.var, DIM_ONE);
    kern_add(m->k, &loop->loop.body, (KStmt){.kind = kind, .at = loop->at, .mem = {.var = value, .buf = buf, .at = at}});
}

static KStmt *as_loop(Map *m, KStmt *s)
{
    KVar i, value;
    if (s->kind == K_FILL) {
        KStmt *loop = element_loop(m, s->at, s->fill.count, &i);
        value = kern_var(m->k, m->k->buf.p[s->fill.buf].dt, false, STR(""));
        kern_add(m->k, &loop->loop.body,
                 (KStmt){.kind = K_CONST, .at = s->at, .constant = {.var = value, .number = s->fill.number}});
        add_access(m, loop, K_STORE, value, s->fill.buf, s->fill.at);
        return loop;
    }
    if (s->kind == K_COPY) {
        KStmt *loop = element_loop(m, s->at, s->copy.count, &i);
        value = kern_var(m->k, m->k->buf.p[s->copy.src].dt, false, STR(""));
        add_access(m, loop, K_LOAD, value, s->copy.src, s->copy.from);
        add_access(m, loop, K_STORE, value, s->copy.dst, s->copy.to);
        return loop;
    }
    return s;
}

/* ---- loops become threads ---- */

/* The one loop of a body that is scalars and a parallel loop, or NULL. */
static const KStmt *only_loop(const KBlock *b)
{
    const KStmt *loop = NULL;
    for (uint32_t i = 0; i < b->n; i++) {
        if (is_scalar(b->p[i]))
            continue;
        if (loop || !is_parallel(b->p[i]))
            return NULL;
        loop = b->p[i];
    }
    return loop;
}

/* The chains of one nest share its threads, so they must be alike. */
static bool map_chain(Map *m, const KStmt *s)
{
    NvKernel *kernel = m->kernel;
    uint32_t level = 0;
    bool first = !kernel->nlevel;
    for (; s && level < NV_MAXLEVEL; s = only_loop(&s->loop.body), level++) {
        if (!first && (level == kernel->nlevel || kernel->extent[level] != s->loop.extent))
            return refuse(m, s->at, "different parallel loops inside one serial loop");
        kernel->extent[level] = s->loop.extent;
        vec_push(m->a, &kernel->axis, (NvAxis){s->loop.var, level});
    }
    if (!first && level != kernel->nlevel)
        return refuse(m, m->kernel->root->at, "different parallel loops inside one serial loop");
    kernel->nlevel = level;
    return true;
}

static bool map_nest(Map *m, const KStmt *s)
{
    if (is_parallel(s))
        return map_chain(m, s);
    uint32_t loops = 0;
    for (uint32_t i = 0; i < s->loop.body.n; i++) {
        const KStmt *in = s->loop.body.p[i];
        if (is_scalar(in))
            continue;
        if (in->kind != K_LOOP)
            return refuse(m, in->at, "a serial loop with more in it than parallel loops");
        if (!map_nest(m, in))
            return false;
        loops++;
    }
    return loops || refuse(m, s->at, "a serial loop without a parallel one in it");
}

/* ---- no two threads meet ---- */

typedef struct Digits {
    Map *m;
    KBufId memory;
    bool known, fail; /* the first access was seen; another one does not agree */
    Dim base, stride[NV_MAXLEVEL];
    Dim period;
} Digits;

static bool level_of(const NvKernel *kernel, KVar v, uint32_t *level)
{
    for (uint32_t i = 0; i < kernel->axis.n; i++)
        if (kernel->axis.p[i].var == v) {
            *level = kernel->axis.p[i].level;
            return true;
        }
    return false;
}

/* A product of sizes that is above 0 wherever there is memory. */
static bool is_positive(const KernProg *k, Dim d)
{
    return dim_nterms(k->dims, d) == 1 && dim_term(k->dims, d, 0)->coef > 0 && !dim_mentions(k->dims, d, k->keep);
}

static bool divides(const KernProg *k, Dim by, Dim d)
{
    Dim quotient;
    return d == DIM_ZERO || dim_div(k->dims, d, by, &quotient);
}

static void strides_of(const Digits *d, const KIndex *at, Dim *stride)
{
    uint32_t level;
    for (uint32_t l = 0; l < d->m->kernel->nlevel; l++)
        stride[l] = DIM_ZERO;
    for (uint32_t i = 0; i < at->n; i++)
        if (level_of(d->m->kernel, at->term[i].var, &level))
            stride[level] = at->term[i].stride;
}

static bool nested(Digits *d)
{
    const KernProg *k = d->m->k;
    const NvKernel *kernel = d->m->kernel;
    d->period = DIM_ONE;
    for (uint32_t l = kernel->nlevel; l-- > 0;) {
        if (!is_positive(k, d->stride[l]) || !is_positive(k, kernel->extent[l]) || !divides(k, d->period, d->stride[l]))
            return false;
        d->period = dim_mul(k->dims, d->stride[l], kernel->extent[l]);
    }
    return true;
}

static bool agrees(const Digits *d, const KIndex *at)
{
    const KernProg *k = d->m->k;
    Dim stride[NV_MAXLEVEL];
    uint32_t level;
    strides_of(d, at, stride);
    for (uint32_t l = 0; l < d->m->kernel->nlevel; l++)
        if (stride[l] != d->stride[l])
            return false;
    for (uint32_t i = 0; i < at->n; i++)
        if (!level_of(d->m->kernel, at->term[i].var, &level) && !divides(k, d->period, at->term[i].stride))
            return false;
    return divides(k, d->period, dim_sub(k->dims, at->base, d->base));
}

static void see_access(void *cx, KBufId buf, KIndex *at)
{
    Digits *d = cx;
    if (kern_memory(d->m->k, buf) != d->memory || d->fail)
        return;
    if (!d->known) {
        d->known = true;
        d->base = at->base;
        strides_of(d, at, d->stride);
        d->fail = !nested(d);
    }
    d->fail = d->fail || !agrees(d, at);
}

static bool keeps_apart(Map *m, KBufId b)
{
    Digits d = {.m = m, .memory = kern_memory(m->k, b)};
    kern_each_access(m->kernel->root, see_access, &d);
    if (!d.fail)
        return true;
    Str name = m->k->buf.p[b].name;
    Str why = name.n ? str_fmt(m->a, "a serial loop whose threads would share `%.*s`", STRF(name))
                     : STR("a serial loop whose threads would share memory");
    return refuse(m, m->kernel->root->at, why.p);
}

/* What moves ranges has no one address that could be looked at. */
static bool moves_ranges(const KStmt *s)
{
    for (uint32_t i = 0; s->kind == K_LOOP && i < s->loop.body.n; i++)
        if (moves_ranges(s->loop.body.p[i]))
            return true;
    return s->kind == K_FILL || s->kind == K_COPY;
}

static bool check_apart(Map *m)
{
    if (is_parallel(m->kernel->root))
        return true;
    if (moves_ranges(m->kernel->root))
        return refuse(m, m->kernel->root->at, "a range that is filled or copied inside a serial loop");
    for (KBufId b = 0; b < m->k->buf.n; b++)
        if (m->writes[b] && !keeps_apart(m, b))
            return false;
    return true;
}

/* ---- what a kernel reads ---- */

static void use_dim(Map *m, Dim d)
{
    for (uint32_t i = 0; i < dim_nterms(m->k->dims, d); i++)
        for (uint32_t s = 0; s < dim_term(m->k->dims, d, i)->nsym; s++)
            m->sizes[dim_term(m->k->dims, d, i)->sym[s]] = true;
}

static void use_access(void *cx, KBufId buf, KIndex *at)
{
    Map *m = cx;
    m->touched[buf] = true;
    use_dim(m, at->base);
    for (uint32_t i = 0; i < at->n; i++) {
        use_dim(m, at->term[i].stride);
        m->needs[at->term[i].var] = true;
    }
}

static void use_stmt(Map *m, KStmt *s)
{
    switch (s->kind) {
    case K_LOOP:
        use_dim(m, s->loop.extent);
        for (uint32_t i = 0; i < s->loop.body.n; i++)
            use_stmt(m, s->loop.body.p[i]);
        break;
    case K_LET:
        for (uint32_t i = 0; i < fun_info(s->let.fun)->arity; i++)
            m->needs[s->let.arg[i]] = true;
        break;
    case K_SIZE: use_dim(m, s->size.dim); break;
    case K_STORE:
        m->needs[s->mem.var] = true;
        m->writes[s->mem.buf] = true;
        kern_each_access(s, use_access, m);
        break;
    case K_LOAD: kern_each_access(s, use_access, m); break;
    case K_UPDATE: m->needs[s->acc.value] = true; break;
    case K_GIVEN: m->given[s->given.arg] = true; break;
    case K_FILL:
        m->writes[s->fill.buf] = true;
        use_dim(m, s->fill.count);
        kern_each_access(s, use_access, m);
        break;
    case K_COPY:
        m->writes[s->copy.dst] = true;
        use_dim(m, s->copy.count);
        kern_each_access(s, use_access, m);
        break;
    case K_CONST:
    case K_START:
    case K_RANDOM:
    case K_CHECK:
    case K_LEAVE:
    case K_GEMM:
    case K_PACK:
    case K_TASKS:
    case K_KIND_COUNT: break;
    }
}

static KVar scalar_var(const KStmt *s)
{
    switch (s->kind) {
    case K_LET: return s->let.var;
    case K_CONST: return s->constant.var;
    case K_SIZE: return s->size.var;
    case K_GIVEN: return s->given.var;
    default: return s->mem.var;
    }
}

/* Whether a function may write to it, in another kernel for instance. */
static bool can_change(const KernProg *k, KBufId b)
{
    return k->buf.p[b].kind != K_ARG || k->arg.p[k->buf.p[b].slot].role == ROLE_START;
}

/* The scalars in front of the root, from the last on: what one needs stands in front of it. */
static bool find_before(Map *m, const KBlock *b, uint32_t at)
{
    KBlock *before = &m->kernel->before;
    for (uint32_t i = at; i-- > 0;) {
        KStmt *s = b->p[i];
        if (!is_scalar(s) || !m->needs[scalar_var(s)])
            continue;
        if (s->kind == K_LOAD && can_change(m->k, s->mem.buf))
            return refuse(m, s->at, "an element read for several kernels, which one of them may change (K_LOAD)");
        use_stmt(m, s);
        vec_push(m->a, before, s);
    }
    for (uint32_t i = 0; i < before->n / 2; i++) {
        KStmt *s = before->p[i];
        before->p[i] = before->p[before->n - 1 - i];
        before->p[before->n - 1 - i] = s;
    }
    return true;
}

static void list_params(Map *m)
{
    NvKernel *kernel = m->kernel;
    for (KBufId b = 0; b < m->k->buf.n; b++)
        if (m->touched[b])
            vec_push(m->a, &kernel->param, (NvParam){NV_BUFFER, b, m->writes[b]});
    for (DimSym s = 0; s < dim_nsyms(m->k->dims); s++)
        if (m->sizes[s])
            vec_push(m->a, &kernel->param, (NvParam){NV_SIZE, s, false});
    for (uint32_t i = 0; i < m->k->arg.n; i++)
        if (m->given[i])
            vec_push(m->a, &kernel->param, (NvParam){NV_GIVEN, i, false});
}

/* ---- kernels ---- */

static void start_kernel(Map *m, NvKernel *kernel)
{
    m->kernel = kernel;
    m->needs = NEWN(m->a, bool, m->k->var.n);
    m->sizes = NEWN(m->a, bool, dim_nsyms(m->k->dims));
    m->given = NEWN(m->a, bool, m->k->arg.n);
    m->touched = NEWN(m->a, bool, m->k->buf.n);
    m->writes = NEWN(m->a, bool, m->k->buf.n);
}

static bool add_kernel(Map *m, const KBlock *b, uint32_t at, Str name)
{
    NvKernel kernel = {.name = name, .root = as_loop(m, b->p[at]), .threads = DIM_ONE};
    start_kernel(m, &kernel);
    use_stmt(m, kernel.root);
    if (kernel.root->kind == K_LOOP && !(map_nest(m, kernel.root) && check_apart(m)))
        return false;
    if (!find_before(m, b, at))
        return false;
    for (uint32_t l = 0; l < kernel.nlevel; l++)
        kernel.threads = dim_mul(m->k->dims, kernel.threads, kernel.extent[l]);
    list_params(m);
    vec_push(m->a, &m->fn->kernel, kernel);
    return true;
}

static void map_function(Map *m, const KBlock *b, Str prefix, const char *fn)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (!can_run(m, b->p[i]))
            return;
    for (uint32_t i = 0; i < b->n; i++) {
        if (is_scalar(b->p[i]))
            continue;
        if (b->p[i]->kind == K_START || b->p[i]->kind == K_UPDATE) {
            refuse(m, b->p[i]->at, "a sum over all threads (K_START)");
            return;
        }
        Str name = str_fmt(m->a, "%.*s_%s_%u", STRF(prefix), fn, m->fn->kernel.n);
        if (!add_kernel(m, b, i, name))
            return;
    }
}

NvPlan *nv_plan(Arena *a, KernProg *k, const NvOptions *o)
{
    static const char *const name[REC_NFN] = {"forward", "backward", "init"};
    NvPlan *p = NEW(a, NvPlan);
    *p = (NvPlan){.arena = a, .k = k};
    for (int fn = REC_FORWARD; fn <= REC_BACKWARD; fn++) {
        Map m = {.a = a, .k = k, .fn = &p->fn[fn]};
        if (k->has_fn[fn])
            map_function(&m, &k->fn[fn], iface_prefix(k, o->prefix), name[fn]);
    }
    return p;
}
