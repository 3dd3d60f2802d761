/* PTX without a GPU: the kernels are made for this machine instead, by the same code but for where a thread's iterations and
 * parameters come from, and run one thread after the other. What comes out is what rec's evaluator says of the program as it
 * was before any pass. A thread runs to its end, or to a barrier, before the next begins, so a kernel whose threads would need
 * each other's values on the way gives something else. tests/unit/test_blocks.c looks at every access of the plan. */
#include <criterion/criterion.h>
#include <jansson.h>
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

static RecProg *elab(Arena *a, const Source *s)
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
static RecProg *plain(Arena *a, const Source *s)
{
    RecProg *p = elab(a, s);
    rec_batch(p);
    rec_backward(p);
    return p;
}

static KernProg *lowered(Arena *a, const Source *s)
{
    RecProg *rec = elab(a, s);
    rec->form = s->form;
#define PASS(IR, NAME, ...) IR##_##NAME(rec);
#include "ir/rec/passes.def"
#undef PASS
    cr_assert_eq(rec->form_missing, WHY_NONE, "%s has no such form", s->entry);
    KernProg *k = rec_to_kern(a, rec);
#define PASS(IR, NAME, ...)                                                                                            \
    if (strcmp(#NAME, "tasks") != 0 && strcmp(#NAME, "pack") != 0) /* those are for a CPU */                                               \
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
} Case;

static int64_t open_size(const DimTab *t, DimSym s, const Case *c)
{
    const DimSymInfo *info = dim_sym_info(t, s);
    switch (info->kind) {
    case DIM_TIME: return c->T;
    case DIM_BATCH: return c->B;
    case DIM_KEEP: return c->keep;
    case DIM_PART:
    case DIM_FLAG:
    case DIM_USER: break;
    }
    return 2 + info->name.p[0] % 4;
}

/* Sizes are the same in both programs; quotients are the compiled one's own. */
static void fill_sizes(const KernProg *k, const Case *c, int64_t *size)
{
    for (DimSym s = 0; s < dim_nsyms(k->dims); s++)
        size[s] = open_size(k->dims, s, c);
    for (uint32_t i = 0; i < k->derived.n; i++) {
        int64_t num, den;
        cr_assert(dim_eval(k->dims, k->derived.p[i].num, size, &num) && dim_eval(k->dims, k->derived.p[i].den, size, &den));
        size[k->derived.p[i].sym] = num / den;
    }
}

static bool left_out(const Case *c, uint32_t slot)
{
    return c->chance && rec_random_value(c->seed, 99, slot) < 0.5;
}

static double draw(const RecArg *arg, uint32_t slot, const Case *c, int64_t i)
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
    int64_t piece;
    int32_t trouble; /* an index was out of range */
    void **buf;        /* by KBufId; NULL: an output that was left out */
    bool *given;       /* by RecArg index */
    RecArray *doubles; /* by RecArg index: the same numbers, for the evaluator */
} Machine;

static int64_t elements(const Machine *m, KBufId b)
{
    int64_t n;
    cr_assert(dim_eval(m->k->dims, m->k->buf.p[b].size, m->size, &n), "%s: size of b%u", m->what, b);
    return n;
}

static void put(const Machine *m, KBufId b, int64_t i, double v)
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

static double get(const Machine *m, KBufId b, int64_t i)
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
static void fill_argument(Machine *m, KBufId b)
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

static void make_buffers(Machine *m)
{
    for (KBufId b = 0; b < m->k->buf.n; b++) {
        const KBuf *x = &m->k->buf.p[b];
        bool optional = x->kind == K_OUT && m->k->out.p[x->slot].role != OUT_VALUE;
        if (x->shares != K_NONE || (optional && left_out(m->c, 1000 + x->slot)))
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

static int64_t param_value(const Machine *m, const NvParam *p)
{
    switch (p->kind) {
    case NV_BUFFER: return (int64_t)(intptr_t)m->buf[p->index];
    case NV_SIZE: return m->size[p->index];
    case NV_GIVEN: return m->given[p->index];
    case NV_PIECE: return m->piece;
    case NV_TROUBLE: return (int64_t)(intptr_t)&m->trouble;
    }
    return 0;
}

static void launch_threads(const Machine *m, const NvKernel *kernel, Kernel *run, const int64_t *param)
{
    int64_t threads;
    cr_assert(dim_eval(m->k->dims, kernel->axis, m->size, &threads));
    int64_t grid = m->c->seed % 3 == 0 ? threads : m->c->seed % 3 == 1 ? 3 : threads + 7; /* one each, several, some idle */
    for (int64_t i = 0; i < grid; i++) {
        int64_t place[PLACE_N] = {m->c->seed & 1 ? grid - 1 - i : i, grid};
        run(param, place);
    }
}

/* ---- the threads of a block: each has a stack, and runs until it waits ---- */

enum { STACK = 1 << 16, MOST_THREADS = 8 };

typedef struct Thread {
    struct Block *block;
    ucontext_t context;
    int64_t place[PLACE_N];
    bool done;
    char *stack;
} Thread;

typedef struct Block {
    ucontext_t context;
    Kernel *run;
    const int64_t *param;
    uint32_t n;
    Thread thread[MOST_THREADS];
} Block;

static void wait_for_others(void *cx)
{
    Thread *t = cx;
    swapcontext(&t->context, &t->block->context);
}

static void run_thread(unsigned low, unsigned high)
{
    Thread *t = (Thread *)((uintptr_t)high << 32 | low);
    t->block->run(t->block->param, t->place);
    t->done = true;
}

static void start_thread(Block *b, uint32_t i)
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
static void run_block(const Machine *m, Block *b, const char *kernel)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < b->n; i++)
        start_thread(b, i);
    while (done == 0) {
        for (uint32_t i = 0; i < b->n; i++) {
            Thread *t = &b->thread[m->c->seed & 2 ? b->n - 1 - i : i];
            swapcontext(&b->context, &t->context);
            done += t->done;
        }
        cr_assert(done == 0 || done == b->n, "%s: %s: %u of %u threads are at their end", m->what, kernel, done, b->n);
    }
}

static int64_t blocks_of(Machine *m, const NvKernel *kernel)
{
    int64_t places;
    cr_assert(dim_eval(m->k->dims, kernel->axis, m->size, &places));
    m->piece = 1 + (int64_t)(m->c->seed / 4 % 3);
    return kernel->first == K_NONE ? 1 : (places + m->piece - 1) / m->piece;
}

static void launch_blocks(const Machine *m, const NvKernel *kernel, Kernel *run, const int64_t *param, int64_t blocks)
{
    static const uint32_t sizes[] = {1, 4, 7, 8};
    Block *b = NEW(m->a, Block);
    *b = (Block){.run = run, .param = param, .n = sizes[m->c->seed / 2 % 4]};
    double *shared = NEWN(m->a, double, kernel->nsum * b->n + 1);
    for (uint32_t i = 0; i < b->n; i++) {
        b->thread[i].block = b;
        b->thread[i].stack = NEWN(m->a, char, STACK);
    }
    for (int64_t n = 0; n < blocks; n++) {
        for (uint32_t i = 0; i < b->n; i++) {
            int64_t place[PLACE_N] = {i, b->n, m->c->seed & 1 ? blocks - 1 - n : n, (int64_t)(intptr_t)shared,
                                      (int64_t)(intptr_t)wait_for_others, (int64_t)(intptr_t)&b->thread[i]};
            memcpy(b->thread[i].place, place, sizeof place);
        }
        run_block(m, b, str_c(m->a, kernel->name));
    }
}

static void launch(Machine *m, const NvKernel *kernel)
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

static void compare(const Machine *m, const RecProg *p, const RecEval *e, RecFn fn)
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

static bool run_function(Machine *m, const RecProg *p, RecEval *e, RecFn fn)
{
    Str error = {0};
    bool fine = rec_eval_run(e, fn, &error);
    m->trouble = 0;
    for (uint32_t i = 0; i < m->plan->fn[fn].kernel.n; i++)
        launch(m, &m->plan->fn[fn].kernel.p[i]);
    cr_assert_eq(m->trouble == 0, fine, "%s: an index out of range: %.*s", m->what, STRF(error));
    if (fine)
        compare(m, p, e, fn);
    return fine;
}

static void run_case(const RecProg *p, const NvPlan *plan, LLVMOrcLLJITRef jit, bool f64, const Case *c, const char *what)
{
    const KernProg *k = plan->k;
    Arena *a = arena_new();
    Machine m = {.a = a, .k = k, .plan = plan, .jit = jit, .c = c, .what = what, .f64 = f64};
    m.size = NEWN(a, int64_t, dim_nsyms(k->dims));
    m.buf = NEWN(a, void *, k->buf.n);
    m.given = NEWN(a, bool, k->arg.n);
    m.doubles = NEWN(a, RecArray, k->arg.n);
    int64_t *size = NEWN(a, int64_t, dim_nsyms(p->dims));
    for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
        size[s] = open_size(p->dims, s, c);
    fill_sizes(k, c, m.size);
    make_buffers(&m);
    RecEval *e = rec_eval_new(a, p, size, m.doubles, c->seed);
    if (run_function(&m, p, e, REC_FORWARD) && c->keep)
        run_function(&m, p, e, REC_BACKWARD);
    rec_eval_free(e);
    arena_free(a);
}

/* ---- one program ---- */

static struct {
    const NvPlan *plan;
    bool f64;
} made;

static void add_kernels(LLVMContextRef context, LLVMModuleRef module, LLVMBuilderRef b)
{
    nv_emit(made.plan, gen_of_thread(context, module, b, made.f64), NV_EMULATED);
    for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f))
        if (!LLVMIsDeclaration(f))
            cpu_set_target(context, f, CPU_AVX2);
}

static void check(Source s)
{
    static const int64_t T[] = {0, 1, 2, 7, 19}, B[] = {1, 3, 0};
    Arena *a = arena_new();
    if (!cpu_level_here(CPU_AVX2))
        cr_skip("this machine has no fused multiply-add");
    const char *what = str_fmt(a, "%s, form %d:%u", s.entry, (int)s.form.kind, s.form.size).p;
    const RecProg *p = plain(a, &s);
    NvPlan *plan = nv_plan(a, lowered(a, &s), &(NvOptions){.arch = STR("sm_80")});
    for (int fn = 0; fn < REC_NFN; fn++)
        cr_assert_eq(plan->fn[fn].refused.n, 0, "%s: %.*s", what, STRF(plan->fn[fn].refused));
    for (int f64 = 0; f64 < 2; f64++) {
        made.plan = plan;
        made.f64 = f64;
        LLVMOrcLLJITRef jit = jit_new(add_kernels);
        for (uint32_t i = 0; i < 5 * 3 * 4; i++)
            run_case(p, plan, jit, f64, &(Case){T[i % 5], B[i / 5 % 3], i / 15 & 1, i / 30 & 1, i}, what);
        LLVMOrcDisposeLLJIT(jit);
    }
    arena_free(a);
}

static void check_forms(Source s)
{
    check(s);
    for (uint32_t n = 1; n <= 16; n = 3 * n + 1) {
        s.form = (RecForm){.kind = REC_FORM_SCAN, .size = n};
        check(s);
    }
}

Test(ptx, diagonal) { check_forms((Source){.path = "tests/ptx/diagonal.rnn", .entry = "diagonal"}); }
Test(ptx, mingru) { check_forms((Source){.path = "stdlib/mingru.rnn", .entry = "mingru"}); }
Test(ptx, gates) { check_forms((Source){.path = "tests/ptx/gates.rnn", .entry = "gates"}); }
Test(ptx, functions) { check((Source){.path = "tests/ptx/functions.rnn", .entry = "functions"}); }
Test(ptx, rwkv4) { check_forms((Source){.path = "stdlib/rwkv4.rnn", .entry = "rwkv4"}); }
Test(ptx, several_cells) { check_forms((Source){.path = "stdlib/fsmn.rnn", .entry = "fsmn3"}); }
Test(ptx, running_max) { check_forms((Source){.path = "tests/cells/semiring_running_max.rnn", .entry = "running_max"}); }
Test(ptx, lstm) { check((Source){.path = "stdlib/lstm.rnn", .entry = "lstm"}); }
Test(ptx, gru) { check((Source){.path = "stdlib/gru.rnn", .entry = "gru"}); }
Test(ptx, embedding) { check((Source){.path = "stdlib/embedding.rnn", .entry = "embedding"}); }
Test(ptx, sums_over_threads) { check((Source){.path = "stdlib/rwkv7.rnn", .entry = "rwkv7"}); }
Test(ptx, two_stages) { check((Source){.path = "stdlib/mamba2.rnn", .entry = "mamba2"}); }
Test(ptx, viterbi) { check((Source){.path = "stdlib/hmm.rnn", .entry = "viterbi"}); }
Test(ptx, neighbours) { check((Source){.path = "tests/ptx/together.rnn", .entry = "neighbours"}); }
Test(ptx, flipped) { check((Source){.path = "tests/ptx/together.rnn", .entry = "flipped"}); }
Test(ptx, everyone) { check((Source){.path = "tests/ptx/together.rnn", .entry = "everyone"}); }
Test(ptx, chosen) { check((Source){.path = "tests/ptx/together.rnn", .entry = "chosen"}); }
Test(ptx, no_state) { check((Source){.path = "tests/data/prelude.rnn", .entry = "pointwise"}); }

/* ---- nests over time whose threads meet in memory, and some like them whose threads do not ---- */

typedef struct Nest {
    const char *body;
    bool apart;
} Nest;


static const Nest nests[] = {
    {"vector %1 < H { %2 : real = load b1[0, %1 by 1] store b1[0, %1 by 1] = %2 }", true},
    {"vector %1 < H { %2 : real = load b1[H, %0 by H, %1 by 1] store b1[2*H, %0 by H, %1 by 1] = %2 }", true},
    {"parallel %3 < B { vector %1 < H { %2 : real = load b1[0, %0 by B*H, %3 by H, %1 by 1] store b1[B*H, %0 by B*H, %3 by H, %1 by 1] = %2 } }", true},
    {"vector %1 < H { %2 : real = load b1[0, %1 by 2] store b1[2*H, %0 by 2*H, %1 by 2] = %2 }", true},
    {"vector %1 < H { %2 : real = load b1[0, %1 by 1] store b2[0, %0 by 1, %1 by 1] = %2 }", false},
    {"vector %1 < H { %2 : real = load b0[1, %0 by 1] store b1[0, %1 by 1] = %2 }", true},
    {"vector %1 < H { %2 : real = load b1[1, %1 by 1] store b1[0, %1 by 1] = %2 }", false},
    {"vector %1 < H { %2 : real = load b1[0, %0 by 1, %1 by 1] store b1[0, %1 by 1] = %2 }", false},
    {"vector %1 < H { %2 : real = load b1[0] store b1[0, %1 by 1] = %2 }", false},
    {"vector %1 < H { %2 : real = load b1[0, %1 by 2] store b1[0, %1 by 1] = %2 }", false},
    {"%2 : real = load b1[0] vector %1 < H { store b1[0, %1 by 1] = %2 }", false},
    {"parallel %3 < B { vector %1 < H { %2 : real = load b1[0, %0 by H, %3 by H, %1 by 1] store b1[H, %0 by H, %3 by H, %1 by 1] = %2 } }", false},
    {"parallel %3 < B { vector %1 < H { %2 : real = load b1[0, %3 by 1, %1 by B] store b1[0, %3 by H, %1 by 1] = %2 } }", false},
    {"parallel %3 < B { vector %1 < H { %2 : real = load b1[0, %3 by 1, %1 by 1] store b1[0, %3 by 1, %1 by 1] = %2 } }", false},
    {"parallel %3 < B { vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 } }", false},
    {"vector %1 < H { %2 : real = load b1[0, %1 by keep] store b1[0, %1 by keep] = %2 }", false},
    {"vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 } "
     "vector %3 < H { %4 : real = load b1[0, %3 by 1] store b2[0, %3 by 1] = %4 }", true},
    {"vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 } "
     "vector %3 < H { %4 : real = load b1[1, %3 by 1] store b2[0, %3 by 1] = %4 }", false},
    {"vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 } "
     "vector %3 < B { %4 : real = load b0[0, %3 by 1] store b2[0, %3 by 1] = %4 }", false},
    {"vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 } "
     "parallel %3 < H { vector %5 < B { %4 : real = load b0[0, %3 by 1] store b2[0, %3 by B, %5 by 1] = %4 } }", false},
    {"parallel %3 < H { vector %5 < B { %4 : real = load b0[0, %3 by 1] store b2[0, %3 by B, %5 by 1] = %4 } } "
     "vector %1 < H { %2 : real = load b0[0, %1 by 1] store b1[0, %1 by 1] = %2 }", false},
    {"serial %6 < B { vector %1 < H { %2 : real = load b1[0, %6 by H, %1 by 1] store b1[0, %6 by H, %1 by 1] = %2 } }", true},
    {"parallel %3 < B { serial %6 < H { %2 : real = load b1[0, %3 by H, %6 by 1] store b1[0, %3 by H, %6 by 1] = %2 } }", false},
    {"serial %6 < B { %2 : real = load b1[0, %6 by 1] store b2[0, %6 by 1] = %2 }", false},
    {"serial %6 < B { %2 : real = load b1[0, %6 by 1] }", false},
    {"parallel %3 < B { copy b1[0, %3 by H] = b0[0, %3 by H] count H }", true},
    {"parallel %3 < B { copy b1[0, %3 by H] = b0[0, %3 by H] count B }", false},
};

static KernProg *program_of(Arena *a, const char *forward)
{
    Str error = {0};
    Str text = str_fmt(a,
                       "kern \"n\"\ndim B batch\ndim keep keep\ndim T time\ndim H size\ndim part.1 part\nopen T\nopen B\nopen H\n"
                       "arg \"x\" real[T, H] input of 0 batched\narg \"h0\" real[H] start of 1 optional batched\n"
                       "buf b0 arg 0 real B*T*H used 1 \"x\"\nbuf b1 work real 9*B*T*H used 1 \"w\"\n"
                       "buf b2 work real 9*B*T*H used 1 \"v\"\nbuf b3 arg 1 real B*H used 1 \"h0\"\nforward {\n  %s\n}\n", forward);
    KernProg *k = kern_read(a, text, &error);
    cr_assert(k, "%.*s\n%s", STRF(error), text.p);
    return k;
}

/* What becomes of a forward function: a `t` for each kernel of threads, a `b` for each of blocks that is cut, a `1` for one
 * block that does it all. */
static Str kernels_of(Arena *a, const char *forward)
{
    NvPlan *plan = nv_plan(a, program_of(a, forward), &(NvOptions){.arch = STR("sm_80")});
    const NvFn *fn = &plan->fn[REC_FORWARD];
    Text t = {.arena = a};
    if (fn->refused.n)
        return fn->refused;
    for (uint32_t i = 0; i < fn->kernel.n; i++)
        text_add(&t, "%c", !fn->kernel.p[i].blocks ? 't' : fn->kernel.p[i].first == K_NONE ? '1' : 'b');
    return text_str(&t);
}

static void check_kernels(const char *forward, const char *want)
{
    Arena *a = arena_new();
    Str got = kernels_of(a, forward);
    cr_assert(str_is(got, want), "%s\nbecomes `%.*s`, not `%s`", forward, STRF(got), want);
    arena_free(a);
}

Test(ptx, threads_keep_apart)
{
    for (size_t i = 0; i < sizeof nests / sizeof *nests; i++) {
        Arena *a = arena_new();
        Str got = kernels_of(a, str_fmt(a, "serial %%0 < T {\n    %s\n  }", nests[i].body).p);
        cr_assert_eq(str_is(got, "t"), nests[i].apart, "%s\nbecomes `%.*s`", nests[i].body, STRF(got));
        arena_free(a);
    }
}

/* Outside of all loops. A scalar that a kernel may change, and what is found from it, stays in one kernel. */
Test(ptx, top_of_a_function)
{
    check_kernels("%1 : real = load b0[0] vector %0 < H { store b1[0, %0 by 1] = %1 }", "t");
    check_kernels("%1 : real = load b1[0] vector %0 < H { store b2[0, %0 by 1] = %1 }", "1");
    check_kernels("%1 : real = load b3[0] vector %0 < H { store b2[0, %0 by 1] = %1 }", "1");
    check_kernels("%1 : real = load b1[0] %2 : real = const 1 vector %0 < H { store b2[0, %0 by 1] = %2 }", "1t");
    check_kernels("%1 : real = load b1[0] %3 : real = neg(%1) fill b2[0] count H = 0 vector %0 < H { store b2[0, %0 by 1] = %3 } "
                  "fill b1[0] count H = 0", "1t");
    check_kernels("%1 : real = const 2 store b1[0] = %1", "1");
    check_kernels("fill b1[0] count H = 0 copy b2[0] = b1[0] count H", "tt");
    check_kernels("%1 : real = start sum vector %0 < H { %2 : real = load b0[0, %0 by 1] update %1 sum %2 } store b1[0] = %1", "1");
    check_kernels("gemm m B n H k H b1[0] rows H cols 1 = b0[0] rows H cols 1 @ b2[0] rows 1 cols H", "t");
    check_kernels("vector %0 < H { %1 : int = check %0 < H %2 : real = load b0[0, %1 by 1] store b1[0, %0 by 1] = %2 }", "t");
    check_kernels("%0 : int = const 3 %1 : int = check %0 < H %2 : real = load b0[0, %1 by 1] store b1[0] = %2", "1");
    check_kernels("serial %0 < T { gemm m B n H k H b1[0] rows H cols 1 = b2[0] rows H cols 1 @ b0[0] rows 1 cols H "
                  "copy b2[0] = b1[0] count B*H }", "b");
    check_kernels("serial %0 < T { gemm m H n H k H b1[0] rows H cols 1 = b2[0] rows H cols 1 @ b1[H*H] rows 1 cols H "
                  "copy b1[H*H] = b2[0] count H*H }", "1");
}

Test(ptx, refused)
{
    check_kernels("pack b1[0] = k H n H b0[0] rows H cols 1 when 1", "a matrix copied for the products of a CPU (K_PACK)");
    check_kernels("tasks %0 part.1 < B grain 1 work B least 1 { fill b1[0, %0 by 1] count part.1 = 0 }", "tasks for the threads of a CPU (K_TASKS)");
}

/* ---- the manifest ---- */

/* A program that has nothing but the manifest finds every buffer and size that a kernel asks for. */
static void check_parameters(const json_t *root, const json_t *kernel)
{
    size_t i, n;
    json_t *param, *row;
    cr_assert(json_is_string(json_object_get(kernel, "kernel")) && json_is_string(json_object_get(kernel, "threads")));
    json_array_foreach(json_object_get(kernel, "parameters"), i, param) {
        bool buffer = json_object_get(param, "buffer");
        bool found = json_object_get(param, "given");
        json_array_foreach(json_object_get(root, buffer ? "buffers" : "sizes"), n, row)
            found |= json_equal(json_object_get(row, buffer ? "buffer" : "name"), json_object_get(param, buffer ? "buffer" : "size"));
        cr_assert(found);
    }
}

Test(ptx, manifest)
{
    Arena *a = arena_new();
    Source s = {.path = "stdlib/mingru.rnn", .entry = "mingru", .form = {.kind = REC_FORM_SCAN, .size = 4}};
    NvOptions o = {.arch = STR("sm_80"), .version = STR("0"), .source_file = STR("mingru.rnn")};
    NvPlan *plan = nv_plan(a, lowered(a, &s), &o);
    Str text = nv_manifest(plan, &o);
    json_error_t error;
    json_t *root = json_loadb(text.p, text.n, 0, &error), *kernel;
    size_t i;
    cr_assert(root, "%s\n%s", error.text, text.p);
    cr_assert_eq(json_array_size(json_object_get(root, "forward")), plan->fn[REC_FORWARD].kernel.n);
    cr_assert_eq(json_array_size(json_object_get(root, "backward")), plan->fn[REC_BACKWARD].kernel.n);
    json_array_foreach(json_object_get(root, "forward"), i, kernel)
        check_parameters(root, kernel);
    json_array_foreach(json_object_get(root, "backward"), i, kernel)
        check_parameters(root, kernel);
    json_decref(root);
    arena_free(a);
}
