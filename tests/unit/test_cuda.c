/* Generated launchers without a GPU. The driver is tests/ptx/driver.c, whose device is this process. A launch runs kernels that were
 * made for this machine, or the PTX itself, instruction by instruction; what comes out of the launcher's functions is what the evaluator
 * says. Then every call of the driver fails once. */
#include <dlfcn.h>
#include <unistd.h>

#include "backends/backend.h"
#include "tests/unit/gpu.h"

/* As the header has them. */
typedef struct Error {
    const char *call, *name;
    int result;
} Error;

typedef struct Call {
    void *workspace;
    size_t bytes;
    int passes;
    void *stream;
    int32_t *index_error;
    Error error;
} Call;

typedef struct Cuda {
    void *library, *module, *driver[NV_DRIVER_FUNCTIONS], *more[256];
} Cuda;

/* As the driver has it. */
typedef struct Stub {
    const char *fail;
    int error, at, device, major, minor, no_context, loaded, calls;
    void *stream;
    int (*launch)(const char *kernel, unsigned grid, unsigned block, unsigned shared, void **params);
    int any_memory;
} Stub;

typedef int Open(Cuda *cuda, const char *driver);
typedef void Close(Cuda *cuda);
typedef size_t Workspace(const int64_t *sizes, int passes);
typedef int Forward(const Cuda *cuda, const int64_t *sizes, void **params, void **inputs, void **outputs, Call *call);
typedef int Stream(const Cuda *cuda, const int64_t *sizes, void **params, void **inputs, void **outputs, void **carry, Call *call);
typedef int Init(const Cuda *cuda, const int64_t *sizes, void **weights, uint64_t seed, Call *call);
typedef int Backward(const Cuda *cuda, const int64_t *sizes, void **params, void **inputs, void **cotangents, void **grads,
                     void **input_grads, Call *call);

typedef struct Launcher {
    Arena *a;
    RecProg *rec;
    NvPlan *plan;
    LLVMOrcLLJITRef jit;
    Stub *stub;
    const char *folder, *driver, *what;
    void *library;
    Open *open;
    Close *close;
    Workspace *workspace;
    Forward *forward;
    Backward *backward;
    Stream *chunk, *step;
    Init *init; /* NULL: there are no parameters */
} Launcher;

/* ---- from a file to functions ---- */

static void write_text(const char *path, Str text)
{
    FILE *f = fopen(path, "wb");
    cr_assert(f && fwrite(text.p, 1, text.n, f) == text.n && fclose(f) == 0, "%s", path);
}

static void must_compile(const char *options, const char *from, const char *to)
{
    Arena *a = arena_new();
    const char *command = str_fmt(a, "cc %s -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -O1 -shared -fPIC %s -o %s -ldl -lm", options, from, to).p;
    cr_assert_eq(system(command), 0, "%s", command);
    arena_free(a);
}

static void *library(const char *path)
{
    void *l = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    cr_assert(l, "%s", dlerror());
    return l;
}

/* The caller makes it a function. */
static uintptr_t symbol(Launcher *l, const char *format)
{
    const char *name = str_fmt(l->a, format, "k").p;
    void *at = dlsym(l->library, name);
    cr_assert(at, "%s", name);
    return (uintptr_t)at;
}

static Launcher launcher_new(Arena *a, Source s)
{
    Launcher l = {.a = a, .what = s.entry, .rec = plain(a, &s)};
    NvOptions o = {.prefix = STR("k"), .arch = STR("sm_80"), .version = STR("0"), .source_file = STR("k.rnn")};
    char folder[] = "/tmp/rnnc_cuda_XXXXXX";
    cr_assert(mkdtemp(folder), "%s", folder);
    l.plan = nv_plan(a, lowered(a, &s), &o);
    l.jit = jit_of_plan(l.plan, false);
    HeaderOptions h = {.prefix = o.prefix, .version = o.version, .source_file = o.source_file, .functions = nv_declarations(l.plan, &o)};
    const char *source = str_fmt(a, "%s/k.c", folder).p, *object = str_fmt(a, "%s/k.so", folder).p, *header = str_fmt(a, "%s/k.h", folder).p;
    l.driver = str_fmt(a, "%s/driver.so", folder).p;
    write_text(header, header_text(a, l.plan->k, &h));
    write_text(source, nv_launcher(l.plan, &o, nv_ptx(l.plan, &o), STR("k.h")));
    must_compile("-std=c99", source, object);
    must_compile("-std=gnu99 -ffp-contract=off", RNNC_SOURCE_DIR "/tests/ptx/driver.c " RNNC_SOURCE_DIR "/tests/ptx/interpret.c " RNNC_SOURCE_DIR "/tests/ptx/weak.c", l.driver);
    l.library = library(object);
    l.stub = dlsym(library(l.driver), "stub");
    l.open = (Open *)symbol(&l, "%s_open_cuda");
    l.close = (Close *)symbol(&l, "%s_close_cuda");
    l.workspace = (Workspace *)symbol(&l, "%s_workspace_cuda");
    l.forward = (Forward *)symbol(&l, "%s_forward_cuda");
    l.backward = (Backward *)symbol(&l, "%s_backward_cuda");
    l.chunk = (Stream *)symbol(&l, "%s_chunk_cuda");
    l.step = (Stream *)symbol(&l, "%s_step_cuda");
    l.init = iface_has_fn(l.plan->k, IFN_INIT) ? (Init *)symbol(&l, "%s_init_cuda") : NULL;
    l.folder = str_fmt(a, "%s", folder).p;
    cr_assert(unlink(source) == 0 && unlink(object) == 0 && unlink(header) == 0);
    return l;
}

static void launcher_free(Launcher *l)
{
    cr_assert(unlink(l->driver) == 0 && rmdir(l->folder) == 0);
    LLVMOrcDisposeLLJIT(l->jit);
}

/* ---- launches ---- */

static const Launcher *launched; /* by whom: the driver hands no context on */
static uint32_t launches, team_launches;

static const NvKernel *find_kernel(const char *name)
{
    for (int fn = 0; fn < REC_NFN; fn++)
        for (uint32_t i = 0; i < launched->plan->fn[fn].kernel.n; i++)
            if (str_is(launched->plan->fn[fn].kernel.p[i].name, name))
                return &launched->plan->fn[fn].kernel.p[i];
    cr_assert_fail("no kernel is called %s", name);
    return NULL;
}

static void run_grid(Kernel *run, const int64_t *param, int64_t threads)
{
    for (int64_t i = 0; i < threads; i++) {
        int64_t place[PLACE_N] = {i, threads};
        run(param, place);
    }
}

static uint32_t team_of(const NvKernel *kernel, const int64_t *param)
{
    for (uint32_t i = 0; i < kernel->param.n; i++)
        if (kernel->param.p[i].kind == NV_TEAM)
            return (uint32_t)param[i];
    return 1;
}

static void run_kernel(Arena *a, const NvKernel *kernel, const int64_t *param, uint32_t grid, uint32_t threads, uint32_t shared)
{
    Kernel *run = (Kernel *)jit_find(launched->jit, str_c(a, kernel->name));
    uint32_t team = team_of(kernel, param);
    int64_t words = shared / NV_KEEP * 2 + 2;
    double *all = NEWN(a, double, team * words + 1);
    team_launches += team > 1;
    if (kernel->blocks)
        run_teams(block_new(a, str_c(a, kernel->name), run, param, threads * team, launches), grid / team, team, all + ((uintptr_t)all / 8 & 1), words);
    else
        run_grid(run, param, (int64_t)grid * threads);
}

static int launch_here(const char *name, unsigned grid, unsigned block, unsigned shared, void **params)
{
    Arena *a = arena_new();
    const NvKernel *kernel = find_kernel(name);
    int64_t *param = NEWN(a, int64_t, kernel->param.n + 1);
    for (uint32_t i = 0; i < kernel->param.n; i++)
        memcpy(&param[i], params[i], 8);
    launches++;
    run_kernel(a, kernel, param, grid, block, shared);
    arena_free(a);
    return 0;
}

/* ---- one call ---- */

typedef struct Arrays {
    int64_t *sizes;
    void **in[IF_NSTRUCT]; /* pointers, in the order of the struct */
} Arrays;

static void *array_of(const Machine *m, KBufKind kind, uint32_t slot)
{
    for (KBufId b = 0; b < m->k->buf.n; b++)
        if (m->k->buf.p[b].kind == kind && m->k->buf.p[b].slot == slot)
            return kind == K_ARG && !m->given[slot] ? NULL : m->buf[b];
    return NULL;
}

static Arrays arrays_of(const Machine *m)
{
    const Iface *f = iface_of(m->a, m->k);
    Arrays x = {.sizes = NEWN(m->a, int64_t, f->member[IF_SIZES].n)};
    for (uint32_t i = 0; i < f->member[IF_SIZES].n; i++)
        x.sizes[i] = m->size[f->member[IF_SIZES].p[i].sym];
    for (int s = IF_PARAMS; s < IF_NSTRUCT; s++) {
        x.in[s] = NEWN(m->a, void *, f->member[s].n + 1);
        for (uint32_t i = 0; i < f->member[s].n; i++) {
            const IfaceMember *member = &f->member[s].p[i];
            x.in[s][i] = member->arg != K_NONE ? array_of(m, K_ARG, member->arg) : array_of(m, K_OUT, member->out);
        }
    }
    return x;
}

/* Where lengths are left out, all sequences are whole. */
static void say_lengths(Machine *m)
{
    for (KBufId b = 0; b < m->k->buf.n; b++) {
        const KBuf *x = &m->k->buf.p[b];
        if (x->kind != K_ARG || m->k->arg.p[x->slot].role != ROLE_LENGTH || m->given[x->slot])
            continue;
        m->doubles[x->slot].data = NEWN(m->a, double, elements(m, b) + 1);
        for (int64_t i = 0; i < elements(m, b); i++)
            m->doubles[x->slot].data[i] = (double)m->c->T;
    }
}

static Machine machine_new(Launcher *l, Arena *a, const Case *c)
{
    const KernProg *k = l->plan->k;
    Machine m = {.a = a, .k = k, .plan = l->plan, .jit = l->jit, .c = c, .what = l->what};
    m.size = NEWN(a, int64_t, dim_nsyms(k->dims));
    m.buf = NEWN(a, void *, k->buf.n);
    m.given = NEWN(a, bool, k->arg.n);
    m.doubles = NEWN(a, RecArray, k->arg.n);
    fill_sizes(k, c, m.size);
    make_buffers(&m);
    say_lengths(&m);
    return m;
}

/* Full of what is no number: what is not written first shows. */
static void *workspace_new(Arena *a, size_t bytes)
{
    char *p = NEWN(a, char, bytes + 256);
    p += (256 - (uintptr_t)p % 256) % 256;
    memset(p, 0xff, bytes);
    return p;
}

static int forward(Launcher *l, const Cuda *cuda, const Arrays *x, Call *call)
{
    return l->forward(cuda, x->sizes, x->in[IF_PARAMS], x->in[IF_INPUTS], x->in[IF_OUTPUTS], call);
}

static int backward(Launcher *l, const Cuda *cuda, const Arrays *x, Call *call)
{
    return l->backward(cuda, x->sizes, x->in[IF_PARAMS], x->in[IF_INPUTS], x->in[IF_COTANGENTS], x->in[IF_GRADS], x->in[IF_INPUT_GRADS], call);
}

static Call call_new(Launcher *l, Arena *a, const Arrays *x, bool train)
{
    Call call = {.passes = train ? RNN_PASS_TRAIN : RNN_PASS_FORWARD, .stream = &launches};
    call.bytes = l->workspace(x->sizes, call.passes);
    cr_assert_neq(call.bytes, SIZE_MAX);
    call.workspace = workspace_new(a, call.bytes);
    return call;
}

static void check_case(Launcher *l, const Cuda *cuda, const Case *c)
{
    Arena *a = arena_new();
    Str error = {0};
    Machine m = machine_new(l, a, c);
    int64_t *size = NEWN(a, int64_t, dim_nsyms(l->rec->dims));
    for (DimSym s = 0; s < dim_nsyms(l->rec->dims); s++)
        size[s] = open_size(l->rec->dims, s, c);
    RecEval *e = rec_eval_new(a, l->rec, size, m.doubles, c->seed);
    Arrays x = arrays_of(&m);
    Call call = call_new(l, a, &x, c->keep);
    cr_assert(rec_eval_run(e, REC_FORWARD, &error), "%s", error.p);
    cr_assert_eq(forward(l, cuda, &x, &call), RNN_OK, "%s: %s: %s", l->what, call.error.call, call.error.name);
    compare(&m, l->rec, e, REC_FORWARD);
    if (c->keep) {
        cr_assert(rec_eval_run(e, REC_BACKWARD, &error), "%s", error.p);
        cr_assert_eq(backward(l, cuda, &x, &call), RNN_OK, "%s: %s: %s", l->what, call.error.call, call.error.name);
        compare(&m, l->rec, e, REC_BACKWARD);
    }
    rec_eval_free(e);
    arena_free(a);
}

/* ---- chunk and step: the same bits as forward ---- */

static int64_t place_bytes(const Machine *m, const IfaceMember *member)
{
    bool is_arg = member->arg != K_NONE;
    const Type *type = is_arg ? &m->k->arg.p[member->arg].type : &m->k->out.p[member->out].type;
    DimSym time;
    cr_assert(iface_time(m->k, &time));
    if (!type->rank || type->dim[0] != dim_of(m->k->dims, time))
        return 0;
    for (KBufId b = 0; b < m->k->buf.n; b++)
        if (m->k->buf.p[b].kind == (is_arg ? K_ARG : K_OUT) && m->k->buf.p[b].slot == (is_arg ? member->arg : member->out))
            return elements(m, b) / m->c->T * (type->dt == DT_BOOL ? 1 : 4);
    return 0;
}

/* A struct's pointers, at place t of arrays over time. */
static void **at_place(const Machine *m, const Iface *f, IfaceStruct s, void **whole, int64_t t)
{
    void **at = NEWN(m->a, void *, f->member[s].n + 1);
    for (uint32_t i = 0; i < f->member[s].n; i++) {
        const IfaceMember *member = &f->member[s].p[i];
        bool lengths = member->arg != K_NONE && m->k->arg.p[member->arg].role == ROLE_LENGTH;
        at[i] = whole[i] && !lengths ? (char *)whole[i] + t * place_bytes(m, member) : NULL;
    }
    return at;
}

/* Outputs in memory of their own; a carry that begins as a forward call over no places leaves it. */
static void carry_begins(Launcher *l, const Cuda *cuda, Machine *m, const Iface *f, Arrays *x)
{
    Arrays none = *x;
    int64_t *sizes = NEWN(m->a, int64_t, f->member[IF_SIZES].n);
    memcpy(sizes, x->sizes, f->member[IF_SIZES].n * sizeof *sizes);
    sizes[0] = 0;
    none.sizes = sizes;
    none.in[IF_INPUTS] = at_place(m, f, IF_INPUTS, x->in[IF_INPUTS], 0);
    none.in[IF_OUTPUTS] = NEWN(m->a, void *, f->member[IF_OUTPUTS].n + 1);
    for (uint32_t i = 0; i < f->member[IF_OUTPUTS].n; i++)
        none.in[IF_OUTPUTS][i] = NEWN(m->a, double, 4096);
    Call call = call_new(l, m->a, &none, false);
    cr_assert_eq(forward(l, cuda, &none, &call), RNN_OK);
    for (uint32_t i = 0; i < f->member[IF_CARRY].n; i++)
        for (uint32_t o = 0; o < f->member[IF_OUTPUTS].n; o++)
            if (f->member[IF_OUTPUTS].p[o].out == f->member[IF_CARRY].p[i].out)
                x->in[IF_CARRY][i] = none.in[IF_OUTPUTS][o];
    for (uint32_t o = 0; o < f->member[IF_OUTPUTS].n; o++)
        x->in[IF_OUTPUTS][o] = NEWN(m->a, double, 4096);
}

static void go_on(Launcher *l, const Cuda *cuda, Machine *m, const Iface *f, const Arrays *x, int64_t at, int64_t n)
{
    Arrays piece = *x;
    int64_t *sizes = NEWN(m->a, int64_t, f->member[IF_SIZES].n);
    memcpy(sizes, x->sizes, f->member[IF_SIZES].n * sizeof *sizes);
    sizes[0] = n;
    piece.sizes = sizes;
    Call call = call_new(l, m->a, &piece, false);
    void **in = at_place(m, f, IF_INPUTS, x->in[IF_INPUTS], at), **out = at_place(m, f, IF_OUTPUTS, x->in[IF_OUTPUTS], at);
    call.passes = 0;
    if (n > 1) {
        cr_assert_eq(l->chunk(cuda, sizes, x->in[IF_PARAMS], in, out, x->in[IF_CARRY], &call), RNN_OK);
        return;
    }
    sizes[0] = -99;
    cr_assert_eq(l->step(cuda, sizes, x->in[IF_PARAMS], in, out, NULL, &call), RNN_NULL);
    cr_assert_eq(l->step(cuda, sizes, x->in[IF_PARAMS], in, out, x->in[IF_CARRY], &call), RNN_OK);
}

static const void *final_of(const Iface *f, const Arrays *x, uint32_t carry)
{
    for (uint32_t o = 0; o < f->member[IF_OUTPUTS].n; o++)
        if (f->member[IF_OUTPUTS].p[o].out == f->member[IF_CARRY].p[carry].out)
            return x->in[IF_OUTPUTS][o];
    return NULL;
}

static void stream_case(Launcher *l, const Cuda *cuda, const Case *c, int64_t size)
{
    Arena *a = arena_new();
    Machine m = machine_new(l, a, c);
    const Iface *f = iface_of(a, m.k);
    Arrays x = arrays_of(&m), y = arrays_of(&m);
    x.in[IF_INPUTS] = at_place(&m, f, IF_INPUTS, x.in[IF_INPUTS], 0);
    Call call = call_new(l, a, &x, false);
    cr_assert_eq(forward(l, cuda, &x, &call), RNN_OK);
    carry_begins(l, cuda, &m, f, &y);
    for (int64_t t = 0; t < c->T; t += size)
        go_on(l, cuda, &m, f, &y, t, t + size < c->T ? size : c->T - t);
    for (uint32_t o = 0; o < f->member[IF_OUTPUTS].n; o++)
        if (m.k->out.p[f->member[IF_OUTPUTS].p[o].out].role == OUT_VALUE)
            cr_assert_eq(memcmp(x.in[IF_OUTPUTS][o], y.in[IF_OUTPUTS][o], (size_t)(c->T * place_bytes(&m, &f->member[IF_OUTPUTS].p[o]))), 0,
                         "%s: pieces of %d", l->what, (int)size);
    for (uint32_t i = 0; i < f->member[IF_CARRY].n; i++)
        cr_assert_eq(memcmp(final_of(f, &x, i), y.in[IF_CARRY][i], 4 * (size_t)c->B), 0, "%s: the state behind pieces of %d", l->what, (int)size);
    arena_free(a);
}

static void check_stream(Launcher *l, const Cuda *cuda)
{
    static const int64_t size[] = {1, 2, 5};
    Str why;
    if (!iface_streams(l->plan->k, &why) || !iface_in_order(l->plan->k))
        return;
    for (uint32_t i = 0; i < 6; i++) {
        l->stub->launch = i & 1 ? launch_here : NULL;
        stream_case(l, cuda, &(Case){7, 2 + i % 2, 0, false, i, 0}, size[i / 2]);
    }
}

/* ---- init: the evaluator's numbers ---- */

static void check_init(Launcher *l, const Cuda *cuda)
{
    for (uint32_t i = 0; i < 4 && l->init; i++) {
        Arena *a = arena_new();
        Case c = {3, 2, 0, false, 20 + i, 0};
        Str error = {0};
        Machine m = machine_new(l, a, &c);
        int64_t *size = NEWN(a, int64_t, dim_nsyms(l->rec->dims));
        for (DimSym s = 0; s < dim_nsyms(l->rec->dims); s++)
            size[s] = open_size(l->rec->dims, s, &c);
        RecEval *e = rec_eval_new(a, l->rec, size, m.doubles, c.seed);
        Arrays x = arrays_of(&m);
        Call call = call_new(l, a, &x, false);
        l->stub->launch = i & 1 ? launch_here : NULL;
        cr_assert(rec_eval_run(e, REC_INIT, &error), "%s", error.p);
        x.sizes[0] = -1; /* T: not read */
        cr_assert_eq(l->init(cuda, x.sizes, NULL, c.seed, &call), RNN_NULL);
        cr_assert_eq(l->init(cuda, x.sizes, x.in[IF_WEIGHTS], c.seed, &call), RNN_OK);
        compare(&m, l->rec, e, REC_INIT);
        rec_eval_free(e);
        arena_free(a);
    }
}

static void check_launcher(Source s)
{
    static const int64_t T[] = {3, 0, 1, 7}, B[] = {2, 1, 0, 5};
    Arena *a = arena_new();
    Cuda cuda;
    if (!cpu_level_here(CPU_AVX2))
        cr_skip("this machine has no fused multiply-add");
    Launcher l = launcher_new(a, s);
    launched = &l;
    l.stub->launch = launch_here;
    cr_assert_eq(l.open(&cuda, l.driver), RNN_OK);
    for (uint32_t i = 0; i < 16; i++) {
        l.stub->launch = i < 8 ? launch_here : NULL;
        l.stub->any_memory = 1;
        check_case(&l, &cuda, &(Case){T[i % 4], B[i / 2 % 4], i & 1, i / 2 & 1, i, 0});
    }
    cr_assert_eq(l.stub->stream, &launches, "the caller's stream");
    check_stream(&l, &cuda);
    check_init(&l, &cuda);
    l.close(&cuda);
    cr_assert_eq(l.stub->loaded, 0);
    launcher_free(&l);
    arena_free(a);
}

Test(cuda, gru) { check_launcher((Source){.path = "stdlib/gru.rnn", .entry = "gru"}); }
Test(cuda, lstm) { check_launcher((Source){.path = "stdlib/lstm.rnn", .entry = "lstm"}); }
/* Where a block has no room for its weights. */
Test(cuda, teams)
{
    cr_assert_eq(setenv("STUB_SHARED", "600", 1), 0);
    check_launcher((Source){.path = "stdlib/lstm_heads.rnn", .entry = "lstm_heads"});
    cr_assert(team_launches >= 4, "%u", team_launches);
}

Test(cuda, sums) { check_launcher((Source){.path = "stdlib/rwkv7.rnn", .entry = "rwkv7"}); }
/* What does not stream says so. */
Test(cuda, no_stream)
{
    Arena *a = arena_new();
    Cuda cuda;
    Call call = {0};
    int64_t sizes[8] = {0};
    Launcher l = launcher_new(a, (Source){.path = "stdlib/bidirectional.rnn", .entry = "bilstm"});
    cr_assert_eq(l.open(&cuda, l.driver), RNN_OK);
    cr_assert_eq(l.chunk(&cuda, sizes, NULL, NULL, NULL, NULL, &call), RNN_STREAM);
    cr_assert_eq(l.step(&cuda, sizes, NULL, NULL, NULL, NULL, &call), RNN_STREAM);
    l.close(&cuda);
    launcher_free(&l);
    arena_free(a);
}

Test(cuda, bidirectional) { check_launcher((Source){.path = "stdlib/bidirectional.rnn", .entry = "bilstm"}); }
Test(cuda, scan) { check_launcher((Source){.path = "stdlib/mingru.rnn", .entry = "mingru", .form = {.kind = REC_FORM_SCAN, .size = 3}}); }

/* ---- threads of a block: as many as have work, however long the sequences are ---- */

static unsigned block_of[8]; /* by the number of a kernel that is blocks, in the order of launches */
static uint32_t nblock;
static unsigned tiles_grid, tiles_block; /* of the last product in tiles of blocks */

static int note_block(const char *name, unsigned grid, unsigned block, unsigned shared, void **params)
{
    const NvKernel *kernel = find_kernel(name);
    (void)shared, (void)params;
    if (kernel->blocks && nblock < 8)
        block_of[nblock++] = block;
    if (kernel->node.p[0]->kind == NV_PANELS)
        tiles_grid = grid, tiles_block = block;
    return 0;
}

/* A GRU's kernels, loaded by a driver that notes how large its blocks are. */
static Launcher noted_gru(Arena *a, Cuda *cuda)
{
    Launcher l = launcher_new(a, (Source){.path = "stdlib/gru.rnn", .entry = "gru"});
    l.stub->launch = note_block;
    cr_assert_eq(l.open(cuda, l.driver), RNN_OK);
    return l;
}

static void launch_sizes(Launcher *l, const Cuda *cuda, int64_t T, int64_t H)
{
    int64_t sizes[] = {T, 2, 4, H};
    static float array[4096];
    void *all[8] = {array, array, array, array, array, array, array, array};
    void *in[8] = {array};
    Call call = {.passes = RNN_PASS_FORWARD, .bytes = l->workspace(sizes, RNN_PASS_FORWARD)};
    call.workspace = workspace_new(l->a, call.bytes);
    nblock = 0;
    cr_assert_eq(l->forward(cuda, sizes, all, in, all, &call), RNN_OK);
    cr_assert_geq(nblock, 1);
}

Test(cuda, threads)
{
    static const struct {
        int64_t H;
        unsigned most;
    } of[] = {{4, 32}, {20, 64}, {40, 128}, {300, 256}};
    Arena *a = arena_new();
    Cuda cuda;
    if (!cpu_level_here(CPU_AVX2))
        cr_skip("this machine has no fused multiply-add");
    Launcher l = noted_gru(a, &cuda);
    launched = &l;
    for (uint32_t i = 0; i < sizeof of / sizeof *of; i++) {
        unsigned most = 0;
        launch_sizes(&l, &cuda, 3, of[i].H);
        for (uint32_t b = 0; b < nblock; b++)
            most = block_of[b] > most ? block_of[b] : most;
        cr_assert_eq(most, of[i].most, "H %d: %u threads", (int)of[i].H, most);
        unsigned before[8];
        memcpy(before, block_of, sizeof before);
        launch_sizes(&l, &cuda, 50, of[i].H);
        cr_assert_eq(memcmp(before, block_of, nblock * sizeof *before), 0, "H %d: other threads for longer sequences", (int)of[i].H);
    }
    l.close(&cuda);
    launcher_free(&l);
    arena_free(a);
}

/* A block for each tile of 64 x 64: of T * B rows, B being 2, and 3 * H columns. */
Test(cuda, tiles)
{
    static const struct {
        int64_t T, H;
        unsigned grid;
    } of[] = {{1, 1, 1}, {32, 21, 1}, {33, 21, 2}, {32, 22, 2}, {33, 22, 4}, {160, 300, 5 * 15}};
    Arena *a = arena_new();
    Cuda cuda;
    if (!cpu_level_here(CPU_AVX2))
        cr_skip("this machine has no fused multiply-add");
    Launcher l = noted_gru(a, &cuda);
    launched = &l;
    for (uint32_t i = 0; i < sizeof of / sizeof *of; i++) {
        launch_sizes(&l, &cuda, of[i].T, of[i].H);
        cr_assert(tiles_grid == of[i].grid && tiles_block == NV_PANEL_THREADS, "T %d H %d: %u blocks of %u", (int)of[i].T, (int)of[i].H, tiles_grid, tiles_block);
    }
    l.close(&cuda);
    launcher_free(&l);
    arena_free(a);
}

/* ---- what goes wrong ---- */

static void check_error(const Error *e, const char *call, int result, const char *name)
{
    cr_assert(e->call && e->name && strcmp(e->call, call) == 0 && e->result == result && strstr(e->name, name), "%s: %d, %s", e->call, e->result,
              e->name);
}

/* Where the object has the error of an open: behind its kernels, of which there are a different number in each. */
static const Error *open_error(const Launcher *l, const Cuda *cuda)
{
    uint32_t kernels = l->plan->fn[REC_FORWARD].kernel.n + l->plan->fn[REC_BACKWARD].kernel.n + l->plan->fn[REC_INIT].kernel.n;
    return (const Error *)&cuda->more[kernels + 3];
}

static void check_open(Launcher *l, const char *call, int result, const char *name)
{
    Cuda cuda;
    cr_assert_eq(l->open(&cuda, l->driver), RNN_CUDA, "%s", call);
    check_error(open_error(l, &cuda), call, result, name);
    l->close(&cuda);
    cr_assert_eq(l->stub->loaded, 0);
}

/* An out of memory at each call that opening makes, the second of its kind where there is one. */
static void check_opening(Launcher *l)
{
    static const char *const calls[] = {"cuInit", "cuCtxGetCurrent", "cuCtxGetDevice", "cuDeviceGetAttribute", "cuModuleLoadData", "cuModuleGetFunction", "cuFuncSetAttribute"};
    Stub *stub = l->stub;
    Cuda cuda;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        stub->fail = calls[i];
        stub->error = 2;
        stub->calls = 0;
        stub->at = i == 3 || i == 5;
        check_open(l, calls[i], 2, "CUDA_ERROR_OUT_OF_MEMORY");
    }
    stub->fail = "cuModuleLoadData";
    stub->error = 218;
    stub->at = 0;
    check_open(l, "cuModuleLoadData", 218, "CUDA_ERROR_INVALID_PTX");
    stub->error = 12345;
    check_open(l, "cuModuleLoadData", 12345, "no name");
    stub->fail = NULL;
    stub->no_context = 1;
    check_open(l, "cuCtxGetCurrent", 0, "no context is current");
    stub->no_context = 0;
    stub->major = 7;
    stub->minor = 5;
    check_open(l, "cuDeviceGetAttribute", 0, "older");
    stub->major = 8;
    stub->minor = 0;
    cr_assert_eq(l->open(&cuda, "/nowhere/libcuda.so.1"), RNN_CUDA);
    check_error(open_error(l, &cuda), "dlopen", 0, "cannot be loaded");
    l->close(&cuda);
    cr_assert_eq(l->open(NULL, l->driver), RNN_NULL);
}

static void check_calls(Launcher *l, const Cuda *cuda, const Arrays *x, Call call)
{
    static const char *const calls[] = {"cuCtxGetDevice", "cuMemsetD8Async", "cuMemsetD2D32Async", "cuLaunchKernel"};
    Stub *stub = l->stub;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        stub->fail = calls[i];
        stub->error = 1;
        stub->calls = 0;
        stub->at = i == 3 ? 2 : 0;
        launches = 0;
        cr_assert_eq(forward(l, cuda, x, &call), RNN_CUDA, "%s", calls[i]);
        check_error(&call.error, calls[i], 1, "CUDA_ERROR_INVALID_VALUE");
        cr_assert_eq(launches, i == 3 ? 2 : 0, "nothing is launched behind what has failed");
    }
    stub->fail = NULL;
    stub->device = 1;
    cr_assert_eq(forward(l, cuda, x, &call), RNN_CUDA);
    check_error(&call.error, "cuCtxGetDevice", 0, "another device");
    stub->device = 0;
}

static void check_arguments(Launcher *l, const Cuda *cuda, const Arrays *x, Call call)
{
    Arrays y = *x;
    Call other = call;
    int64_t huge[] = {INT32_MAX, INT64_MAX / 4, 4, 4}, negative[] = {3, -1, 4, 4}, many[] = {(int64_t)INT32_MAX + 1, 1, 1, 1};
    launches = 0;
    other.bytes--;
    cr_assert_eq(forward(l, cuda, x, &other), RNN_WORKSPACE);
    other = call;
    other.workspace = NULL;
    cr_assert_eq(forward(l, cuda, x, &other), RNN_WORKSPACE);
    other.workspace = (char *)call.workspace + 64;
    cr_assert_eq(forward(l, cuda, x, &other), RNN_WORKSPACE);
    cr_assert_eq(l->forward(NULL, x->sizes, x->in[IF_PARAMS], x->in[IF_INPUTS], x->in[IF_OUTPUTS], &call), RNN_NULL);
    cr_assert_eq(l->forward(cuda, NULL, x->in[IF_PARAMS], x->in[IF_INPUTS], x->in[IF_OUTPUTS], &call), RNN_NULL);
    cr_assert_eq(l->forward(cuda, x->sizes, NULL, x->in[IF_INPUTS], x->in[IF_OUTPUTS], &call), RNN_NULL);
    cr_assert_eq(l->forward(cuda, x->sizes, x->in[IF_PARAMS], x->in[IF_INPUTS], NULL, &call), RNN_NULL);
    cr_assert_eq(forward(l, cuda, x, NULL), RNN_NULL);
    cr_assert_eq(l->workspace(NULL, RNN_PASS_FORWARD), SIZE_MAX);
    for (int i = 0; i < 3; i++) {
        y.sizes = i == 0 ? huge : i == 1 ? negative : many;
        cr_assert_eq(forward(l, cuda, &y, &call), RNN_SIZE);
        cr_assert_eq(l->workspace(y.sizes, RNN_PASS_TRAIN), SIZE_MAX);
    }
    void *h = x->in[IF_OUTPUTS][0], *W = x->in[IF_PARAMS][0];
    x->in[IF_OUTPUTS][0] = NULL;
    cr_assert_eq(forward(l, cuda, x, &call), RNN_NULL);
    x->in[IF_OUTPUTS][0] = h;
    x->in[IF_PARAMS][0] = NULL;
    cr_assert_eq(forward(l, cuda, x, &call), RNN_NULL);
    x->in[IF_PARAMS][0] = W;
    cr_assert_eq(launches, 0, "nothing is launched");
    cr_assert_eq(forward(l, cuda, x, &call), RNN_OK);
}

Test(cuda, failures)
{
    Arena *a = arena_new();
    Cuda cuda;
    if (!cpu_level_here(CPU_AVX2))
        cr_skip("this machine has no fused multiply-add");
    Launcher l = launcher_new(a, (Source){.path = "stdlib/gru.rnn", .entry = "gru"});
    Case c = {3, 2, 1, false, 5, 0};
    launched = &l;
    l.stub->launch = launch_here;
    check_opening(&l);
    cr_assert_eq(l.open(&cuda, l.driver), RNN_OK);
    Machine m = machine_new(&l, a, &c);
    Arrays x = arrays_of(&m);
    Call call = call_new(&l, a, &x, true);
    check_arguments(&l, &cuda, &x, call);
    x.in[IF_INPUTS][1] = x.in[IF_INPUTS][2] = NULL; /* lengths, resets: for the driver to fill */
    check_calls(&l, &cuda, &x, call);
    l.close(&cuda);
    launcher_free(&l);
    arena_free(a);
}

/* An index out of range is told where the caller wants to know. */
Test(cuda, index_error)
{
    Arena *a = arena_new();
    Cuda cuda;
    if (!cpu_level_here(CPU_AVX2))
        cr_skip("this machine has no fused multiply-add");
    Launcher l = launcher_new(a, (Source){.path = "tests/ptx/together.rnn", .entry = "chosen"});
    Case c = {3, 2, 0, false, 5, 0};
    launched = &l;
    l.stub->launch = launch_here;
    cr_assert_eq(l.open(&cuda, l.driver), RNN_OK);
    Machine m = machine_new(&l, a, &c);
    Arrays x = arrays_of(&m);
    Call call = call_new(&l, a, &x, false);
    int32_t error = 0, *index = x.in[IF_INPUTS][0];
    memset(index, 0, 3 * 2 * sizeof *index);
    x.in[IF_INPUTS][2] = NULL; /* lengths */
    call.index_error = &error;
    cr_assert_eq(forward(&l, &cuda, &x, &call), RNN_OK);
    cr_assert_eq(error, 0);
    for (int32_t i = -1; i < 1000000; i += 1000000) {
        index[4] = i;
        error = 0;
        cr_assert_eq(forward(&l, &cuda, &x, &call), RNN_OK);
        cr_assert_eq(error, 1, "index %d", i);
        call.index_error = NULL;
        cr_assert_eq(forward(&l, &cuda, &x, &call), RNN_OK);
        call.index_error = &error;
    }
    l.close(&cuda);
    launcher_free(&l);
    arena_free(a);
}
