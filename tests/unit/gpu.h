/* Kernels of a GPU on a CPU: entries as programs, arrays of one call, threads of a block, each with a stack of its own. */
#ifndef TESTS_UNIT_GPU_H
#define TESTS_UNIT_GPU_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <ucontext.h>

#include "backends/nvptx/emit.h"
#include "frontend/elab.h"
#include "tests/unit/jit.h"

/* ---- programs ---- */

typedef struct Source {
    const char *path, *entry;
    RecForm form;
} Source;

static inline RecProg *elab(Arena *a, const Source *s)
{
    Sources *sources = sources_new(a);
    Diags *diags = diags_new(a, sources);
    uint32_t i;
    Unit *u = unit_load(a, sources, diags, str_of(s->path));
    cr_assert(u && unit_find_entry(u, str_of(s->entry), &i), "%s", s->entry);
    RecProg *p = elab_entry(a, u, i, NULL, 0, diags);
    cr_assert(p, "%s has errors", s->entry);
    return p;
}

/* What the evaluator runs. */
static inline RecProg *plain(Arena *a, const Source *s)
{
    RecProg *p = elab(a, s);
    rec_batch(p);
    rec_backward(p);
    return p;
}

static inline KernProg *lowered(Arena *a, const Source *s)
{
    RecProg *rec = elab(a, s);
    rec->form = s->form;
#define PASS(IR, NAME, ...) IR##_##NAME(rec);
#include "ir/rec/passes.def"
#undef PASS
    cr_assert_eq(rec->form_missing, WHY_NONE, "%s has no such form", s->entry);
    KernProg *k = rec_to_kern(a, rec);
#define PASS(IR, NAME, ...)                                                                                            \
    if (!kern_is_of_cpu(IR##_##NAME))                                                                                  \
        IR##_##NAME(k);
#include "ir/kern/passes.def"
#undef PASS
    return k;
}

/* ---- one set of sizes ---- */

typedef struct Case {
    int64_t T, B, keep;
    bool chance; /* leaves optional arguments and outputs out */
    uint64_t seed;
    char empty; /* the size of that name is 0 */
} Case;

static inline int64_t open_size(const DimTab *t, DimSym s, const Case *c)
{
    const DimSymInfo *info = dim_sym_info(t, s);
    switch (info->kind) {
    case DIM_TIME: return c->T;
    case DIM_BATCH: return c->B;
    case DIM_KEEP: return c->keep;
    case DIM_PART:
    case DIM_FLAG:
    case DIM_STRIP:
    case DIM_USER: break;
    }
    return info->name.p[0] == c->empty ? 0 : 2 + info->name.p[0] % 4;
}

/* Sizes are the same in both programs; quotients are the compiled one's own. */
static inline void fill_sizes(const KernProg *k, const Case *c, int64_t *size)
{
    for (DimSym s = 0; s < dim_nsyms(k->dims); s++)
        size[s] = open_size(k->dims, s, c);
    for (uint32_t i = 0; i < k->derived.n; i++) {
        int64_t num, den;
        cr_assert(dim_eval(k->dims, k->derived.p[i].num, size, &num) && dim_eval(k->dims, k->derived.p[i].den, size, &den));
        size[k->derived.p[i].sym] = num / den;
    }
}

static inline bool left_out(const Case *c, uint32_t slot)
{
    return c->chance && rec_random_value(c->seed, 99, slot) < 0.5;
}

static inline double draw(const RecArg *arg, uint32_t slot, const Case *c, int64_t i)
{
    double u = rec_random_value(c->seed, slot, (uint64_t)i);
    switch (arg->type.dt) {
    case DT_REAL: return 2 * u - 1;
    case DT_INT: return floor(u * ((double)c->T + 1));
    case DT_BOOL: return u < 0.3;
    case DT_COMPLEX: break;
    }
    return 0;
}

/* ---- arrays, as a GPU has them ---- */

#define BEFORE 0.25 /* what outputs hold before: gradients of parameters are added to it */

typedef struct Machine {
    Arena *a;
    const KernProg *k;
    const NvPlan *plan;
    LLVMOrcLLJITRef jit;
    const Case *c;
    const char *what;
    bool f64;
    int64_t *size;
    int64_t piece[NV_MAXCUT], team;
    int32_t trouble; /* an index was out of range */
    void **buf;        /* by KBufId; NULL: an output that was left out */
    bool *given;       /* by RecArg index */
    RecArray *doubles; /* by RecArg index: the same numbers, for the evaluator */
} Machine;

static inline int64_t elements(const Machine *m, KBufId b)
{
    int64_t n;
    cr_assert(dim_eval(m->k->dims, m->k->buf.p[b].size, m->size, &n), "%s: size of b%u", m->what, b);
    return n;
}

static inline void put(const Machine *m, KBufId b, int64_t i, double v)
{
    switch (m->k->buf.p[b].dt) {
    case DT_REAL:
        if (m->f64)
            ((double *)m->buf[b])[i] = v;
        else
            ((float *)m->buf[b])[i] = (float)v;
        break;
    case DT_INT: ((int32_t *)m->buf[b])[i] = (int32_t)v; break;
    case DT_BOOL: ((uint8_t *)m->buf[b])[i] = v != 0; break;
    case DT_COMPLEX: break;
    }
}

static inline double get(const Machine *m, KBufId b, int64_t i)
{
    switch (m->k->buf.p[b].dt) {
    case DT_REAL: return m->f64 ? ((double *)m->buf[b])[i] : (double)((float *)m->buf[b])[i];
    case DT_INT: return ((int32_t *)m->buf[b])[i];
    case DT_BOOL: return ((uint8_t *)m->buf[b])[i];
    case DT_COMPLEX: break;
    }
    return 0;
}

/* A missing argument reads as zeros. */
static inline void fill_argument(Machine *m, KBufId b)
{
    uint32_t slot = m->k->buf.p[b].slot;
    const RecArg *arg = &m->k->arg.p[slot];
    int64_t n = elements(m, b);
    m->given[slot] = !arg->optional || !left_out(m->c, slot);
    if (m->given[slot])
        m->doubles[slot].data = NEWN(m->a, double, n + 1);
    for (int64_t i = 0; i < n; i++) {
        double v = m->given[slot] ? draw(arg, slot, m->c, i) : 0;
        v = m->f64 ? v : (double)(float)v;
        put(m, b, i, v);
        if (m->given[slot])
            m->doubles[slot].data[i] = v;
    }
}

static inline void make_buffers(Machine *m)
{
    for (KBufId b = 0; b < m->k->buf.n; b++) {
        const KBuf *x = &m->k->buf.p[b];
        bool optional = x->kind == K_OUT && m->k->out.p[x->slot].role != OUT_VALUE;
        if (x->kind == K_BLOCK || x->shares != K_NONE || (optional && left_out(m->c, 1000 + x->slot)))
            continue;
        m->buf[b] = NEWN(m->a, double, elements(m, b) + 1);
        if (x->kind == K_ARG)
            fill_argument(m, b);
        else
            for (int64_t i = 0; i < elements(m, b); i++)
                put(m, b, i, x->kind == K_WORK ? (double)NAN : BEFORE);
    }
    for (KBufId b = 0; b < m->k->buf.n; b++)
        if (m->k->buf.p[b].shares != K_NONE)
            m->buf[b] = m->buf[m->k->buf.p[b].shares];
}

/* ---- the threads of a grid, in several orders ---- */

typedef void Kernel(const int64_t *param, const int64_t *place);

static inline int64_t param_value(const Machine *m, const NvParam *p)
{
    switch (p->kind) {
    case NV_BUFFER: return (int64_t)(intptr_t)m->buf[p->index];
    case NV_SIZE: return m->size[p->index];
    case NV_GIVEN: return m->given[p->index];
    case NV_PIECE: return m->piece[p->index];
    case NV_TEAM: return m->team;
    case NV_COUNTERS: return 0;
    case NV_SEED: return (int64_t)m->c->seed;
    case NV_TROUBLE: return (int64_t)(intptr_t)&m->trouble;
    }
    return 0;
}

static inline void launch_threads(const Machine *m, const NvKernel *kernel, Kernel *run, const int64_t *param)
{
    int64_t threads;
    cr_assert(dim_eval(m->k->dims, kernel->threads, m->size, &threads));
    int64_t grid = m->c->seed % 3 == 0 ? threads : m->c->seed % 3 == 1 ? 3 : threads + 7; /* one each, several, some idle */
    for (int64_t i = 0; i < grid; i++) {
        int64_t place[PLACE_N] = {m->c->seed & 1 ? grid - 1 - i : i, grid};
        run(param, place);
    }
}

/* ---- the threads of a block: each has a stack, and runs until it waits ---- */

enum { STACK = 1 << 15, MOST_THREADS = 256 };

typedef struct Thread {
    struct Block *block;
    ucontext_t context;
    int64_t place[PLACE_N];
    bool done;
    char *stack;
} Thread;

typedef struct Block {
    ucontext_t context;
    const char *name; /* of the kernel */
    Kernel *run;
    const int64_t *param;
    uint64_t seed; /* says in which order threads, and blocks, run */
    uint32_t n;
    Thread thread[MOST_THREADS];
} Block;

static inline void wait_for_others(void *cx)
{
    Thread *t = cx;
    swapcontext(&t->context, &t->block->context);
}

static inline void run_thread(unsigned low, unsigned high)
{
    Thread *t = (Thread *)((uintptr_t)high << 32 | low);
    t->block->run(t->block->param, t->place);
    t->done = true;
}

static inline void start_thread(Block *b, uint32_t i)
{
    Thread *t = &b->thread[i];
    t->done = false;
    cr_assert_eq(getcontext(&t->context), 0);
    t->context.uc_stack.ss_sp = t->stack;
    t->context.uc_stack.ss_size = STACK;
    t->context.uc_link = &b->context;
    makecontext(&t->context, (void (*)(void))run_thread, 2, (unsigned)((uintptr_t)t & 0xffffffffu), (unsigned)((uintptr_t)t >> 32));
}

/* To the next barrier, one thread after the other. All come there, or all to their end. */
static inline void run_block(Block *b)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < b->n; i++)
        start_thread(b, i);
    while (done == 0) {
        for (uint32_t i = 0; i < b->n; i++) {
            Thread *t = &b->thread[b->seed & 2 ? b->n - 1 - i : i];
            swapcontext(&b->context, &t->context);
            done += t->done;
        }
        cr_assert(done == 0 || done == b->n, "%s: %u of %u threads are at their end", b->name, done, b->n);
    }
}

static inline Block *block_new(Arena *a, const char *name, Kernel *run, const int64_t *param, uint32_t threads, uint64_t seed)
{
    Block *b = NEW(a, Block);
    *b = (Block){.name = name, .run = run, .param = param, .n = threads, .seed = seed};
    cr_assert(threads <= MOST_THREADS);
    for (uint32_t i = 0; i < threads; i++) {
        b->thread[i].block = b;
        b->thread[i].stack = NEWN(a, char, STACK);
    }
    return b;
}

/* Teams of blocks, or blocks, which are teams of one: b has all threads of a team, whose blocks have so many words of shared memory each. */
static inline void run_teams(Block *b, int64_t teams, uint32_t team, double *shared, int64_t words)
{
    uint32_t threads = b->n / team;
    for (int64_t n = 0; n < teams; n++) {
        for (uint32_t i = 0; i < b->n; i++) {
            int64_t rank = i / threads, block = (b->seed & 1 ? teams - 1 - n : n) * team + rank;
            int64_t place[PLACE_N] = {i % threads, threads, block, (int64_t)(intptr_t)(shared + rank * words),
                                      (int64_t)(intptr_t)wait_for_others, (int64_t)(intptr_t)&b->thread[i]};
            memcpy(b->thread[i].place, place, sizeof place);
        }
        run_block(b);
    }
}

static inline int64_t blocks_of(Machine *m, const NvKernel *kernel)
{
    int64_t places, blocks = 1;
    for (uint32_t i = 0; i < kernel->cut.n; i++) {
        cr_assert(dim_eval(m->k->dims, kernel->cut.p[i].axis, m->size, &places));
        m->piece[i] = 1 + (int64_t)((m->c->seed / 4 + i) % 3);
        blocks *= (places + m->piece[i] - 1) / m->piece[i];
    }
    m->team = kernel->shared ? 2 + (int64_t)(m->c->seed / 8 % 3) : 1;
    return blocks;
}

/* Of eight bytes, with what may be free between two arrays. */
static inline int64_t kept_words(const Machine *m, const NvKernel *kernel)
{
    int64_t words = 1;
    for (uint32_t i = 0; i < kernel->cut.n; i++)
        m->size[kernel->cut.p[i].part] = m->piece[i];
    if (kernel->shared)
        cr_assert(dim_eval(m->k->dims, kernel->team.axis, m->size, &m->size[kernel->team.part]));
    for (uint32_t i = 0; i < kernel->kept.n; i++)
        words += elements(m, kernel->kept.p[i]) + NV_KEEP / 8;
    return words;
}

static inline void launch_blocks(const Machine *m, const NvKernel *kernel, Kernel *run, const int64_t *param, int64_t blocks)
{
    static const uint32_t threads[] = {1, 4, 7, 8};
    uint32_t n = threads[m->c->seed / 2 % 4];
    Block *b = block_new(m->a, str_c(m->a, kernel->name), run, param, n * (uint32_t)m->team, m->c->seed);
    int64_t words = (kernel->nsum * n + kept_words(m, kernel)) / 2 * 2 + 2;
    double *shared = NEWN(m->a, double, m->team * words + 1);
    run_teams(b, blocks, (uint32_t)m->team, shared + ((uintptr_t)shared / 8 & 1), words);
}

static inline void launch(Machine *m, const NvKernel *kernel)
{
    int64_t *param = NEWN(m->a, int64_t, kernel->param.n + 1), blocks = blocks_of(m, kernel);
    for (uint32_t i = 0; i < kernel->param.n; i++)
        param[i] = param_value(m, &kernel->param.p[i]);
    Kernel *run = (Kernel *)jit_find(m->jit, str_c(m->a, kernel->name));
    if (kernel->blocks)
        launch_blocks(m, kernel, run, param, blocks);
    else
        launch_threads(m, kernel, run, param);
}

/* Of kernels that do the same, one. */
static inline void launch_all(Machine *m, const NvFn *fn)
{
    for (uint32_t i = 0, next; i < fn->kernel.n; i = next) {
        for (next = i + 1; next < fn->kernel.n && fn->kernel.p[next].instead; next++)
            ;
        launch(m, &fn->kernel.p[i + (m->c->seed + i) % (next - i)]);
    }
}

static inline void compare(const Machine *m, const RecProg *p, const RecEval *e, RecFn fn)
{
    double bound = m->f64 ? 1e-12 : fn == REC_FORWARD ? 2e-5 : 1e-4;
    for (KBufId b = 0; b < m->k->buf.n; b++) {
        const KBuf *x = &m->k->buf.p[b];
        if (x->kind != K_OUT || !m->buf[b] || !(x->used_by >> fn & 1))
            continue;
        const double *value = rec_eval_value(e, p->out.p[x->slot].value);
        double before = p->out.p[x->slot].role == OUT_GRAD_PARAM ? BEFORE : 0;
        for (int64_t i = 0; i < elements(m, b); i++) {
            double got = get(m, b, i), want = value[i] + before;
            cr_assert(got == want || fabs(got - want) <= bound * (1 + fabs(want)),
                      "%s: T %d B %d keep %d seed %d: %.*s[%d] is %.17g, not %.17g", m->what, (int)m->c->T, (int)m->c->B,
                      (int)m->c->keep, (int)m->c->seed, STRF(p->out.p[x->slot].name), (int)i, got, want);
        }
    }
}

/* ---- kernels for this machine ---- */

static struct {
    const NvPlan *plan;
    bool f64;
} made;

static inline void add_kernels(LLVMContextRef context, LLVMModuleRef module, LLVMBuilderRef b)
{
    nv_emit(made.plan, gen_of_thread(context, module, b, made.f64), NV_EMULATED, NULL);
    for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f))
        if (!LLVMIsDeclaration(f))
            cpu_set_target(context, f, CPU_AVX2);
}

static inline LLVMOrcLLJITRef jit_of_plan(const NvPlan *plan, bool f64)
{
    made.plan = plan;
    made.f64 = f64;
    return jit_new(add_kernels);
}

#endif
