/* See device.h. A call goes through the launcher's own code: structs of addresses go in as its caller would give them.
 */
#include "backends/nvptx/device.h"

#include <stdlib.h>

#include "backends/nvptx/launch_call.h"
#include "backends/nvptx/program.h"

/* As the generated header has them. */
typedef RnnStatus rnn_status;
enum { RNN_TRAIN = RNN_PASS_TRAIN };
#include "backends/nvptx/launch_code.h"

/* ---- the device ---- */

/* What the launcher leaves to its caller. */
typedef struct More {
    int (*cuDeviceGetCount)(int *count);
    int (*cuDeviceGet)(int *device, int ordinal);
    int (*cuDeviceGetName)(char *name, int bytes, int device);
    int (*cuDevicePrimaryCtxRetain)(void **context, int device);
    int (*cuDevicePrimaryCtxRelease_v2)(int device);
    int (*cuCtxSetCurrent)(void *context);
    int (*cuCtxSynchronize)(void);
    int (*cuMemAlloc_v2)(uint64_t *at, size_t bytes);
    int (*cuMemFree_v2)(uint64_t at);
    int (*cuMemcpyHtoD_v2)(uint64_t to, const void *from, size_t bytes);
    int (*cuMemcpyDtoH_v2)(void *to, uint64_t from, size_t bytes);
} More;

static const char *const more_names[] = {"cuDeviceGetCount",
                                         "cuDeviceGet",
                                         "cuDeviceGetName",
                                         "cuDevicePrimaryCtxRetain",
                                         "cuDevicePrimaryCtxRelease_v2",
                                         "cuCtxSetCurrent",
                                         "cuCtxSynchronize",
                                         "cuMemAlloc_v2",
                                         "cuMemFree_v2",
                                         "cuMemcpyHtoD_v2",
                                         "cuMemcpyDtoH_v2"};
enum { NMORE = sizeof more_names / sizeof *more_names };
_Static_assert(sizeof(More) == NMORE * sizeof(void *), "a function for each name");
_Static_assert((int)CUDA_CUTS == (int)NV_MAXCUT, "axes of a kernel");
_Static_assert((int)CUDA_APART == (int)NV_APART, "counters of teams");
_Static_assert((int)CUDA_NFUNCTION == (int)NV_DRIVER_FUNCTIONS, "what headers make room for");

struct NvDevice {
    Arena *arena;
    void *library, *context;
    cuda_driver driver;
    More more;
    int device, shared, together;
    int major, minor, processors, khz, memory_khz, memory_bits;
    char name[128];
};

static Str error_text(Arena *a, const rnn_cuda_error *e)
{
    return str_fmt(a, "%s: %s", e->call, e->name);
}

static rnn_status load_driver(NvDevice *d, rnn_cuda_error *e)
{
    rnn_status status = cuda_load_driver(&d->library, &d->driver, NULL, e);
    return status == RNN_OK ? cuda_find(d->library, more_names, NMORE, &d->more, e) : status;
}

/* MORE_CALL of the device d, whose errors have their names from the driver. */
#define MORE_CALL(D, E, FUNCTION, ARGS)                                                                                \
    do {                                                                                                               \
        int more_result = (D)->more.FUNCTION ARGS;                                                                     \
        if (more_result != 0)                                                                                          \
            return cuda_failed(&(D)->driver, E, #FUNCTION, more_result);                                               \
    } while (0)

static rnn_status open_context(NvDevice *d, rnn_cuda_error *e)
{
    int count = 0;
    CUDA_CALL(&d->driver, e, cuInit, (0));
    MORE_CALL(d, e, cuDeviceGetCount, (&count));
    if (count == 0)
        return cuda_fail(e, "cuDeviceGetCount", 0, "there is none");
    MORE_CALL(d, e, cuDeviceGet, (&d->device, 0));
    MORE_CALL(d, e, cuDeviceGetName, (d->name, (int)sizeof d->name, d->device));
    MORE_CALL(d, e, cuDevicePrimaryCtxRetain, (&d->context, d->device));
    MORE_CALL(d, e, cuCtxSetCurrent, (d->context));
    return RNN_OK;
}

/* By CU_DEVICE_ATTRIBUTE_...: what a driver does not say stays 0. */
static rnn_status read_attributes(NvDevice *d, rnn_cuda_error *e)
{
    enum { CLOCK = 13, PROCESSORS = 16, MEMORY_CLOCK = 36, MEMORY_BITS = 37, MAJOR = 75, MINOR = 76 };
    CUDA_CALL(&d->driver, e, cuDeviceGetAttribute, (&d->major, MAJOR, d->device));
    CUDA_CALL(&d->driver, e, cuDeviceGetAttribute, (&d->minor, MINOR, d->device));
    d->driver.cuDeviceGetAttribute(&d->processors, PROCESSORS, d->device);
    d->driver.cuDeviceGetAttribute(&d->khz, CLOCK, d->device);
    d->driver.cuDeviceGetAttribute(&d->memory_khz, MEMORY_CLOCK, d->device);
    d->driver.cuDeviceGetAttribute(&d->memory_bits, MEMORY_BITS, d->device);
    return RNN_OK;
}

NvDevice *nv_device_open(Arena *a, Str *why)
{
    NvDevice *d = NEW(a, NvDevice);
    rnn_cuda_error e = {0};
    d->arena = a;
    rnn_status status = load_driver(d, &e);
    status = status == RNN_OK ? open_context(d, &e) : status;
    status = status == RNN_OK ? read_attributes(d, &e) : status;
    if (status == RNN_OK)
        return d;
    *why = error_text(a, &e);
    nv_device_close(d);
    return NULL;
}

void nv_device_close(NvDevice *d)
{
    if (d->context)
        d->more.cuDevicePrimaryCtxRelease_v2(d->device);
    if (d->library)
        dlclose(d->library);
    *d = (NvDevice){0};
}

Str nv_device_name(const NvDevice *d)
{
    return str_of(d->name);
}

/* ---- what it is ---- */

typedef struct Arch {
    const char *name;
    int single_lanes, double_lanes;
} Arch;

static const Arch archs[] = {
#define ARCH(NAME, SINGLE, DOUBLE, ...) {NAME, SINGLE, DOUBLE},
#include "backends/nvptx/arch.def"
#undef ARCH
};

/* The last row that is not newer than the device; NULL: all are. What is for one alone has to be asked for: nobody has run it yet. */
static const Arch *arch_of(const NvDevice *d)
{
    const Arch *found = NULL;
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++)
        if (!nv_is_alone(str_of(archs[i].name)) && atoi(archs[i].name + 3) <= 10 * d->major + d->minor)
            found = &archs[i];
    return found;
}

Str nv_device_arch(const NvDevice *d)
{
    const Arch *arch = arch_of(d);
    return arch ? str_of(arch->name) : STR("");
}

double nv_device_flops(const NvDevice *d, bool f64)
{
    const Arch *arch = arch_of(d);
    int lanes = !arch ? 0 : f64 ? arch->double_lanes : arch->single_lanes;
    return 2e3 * lanes * d->processors * d->khz;
}

/* Two transfers a clock. */
double nv_device_bandwidth(const NvDevice *d)
{
    return 2e3 * d->memory_khz * d->memory_bits / 8;
}

/* ---- code ---- */

struct NvCode {
    NvDevice *device;
    const NvProgram *program;
    void *module, **function;
    uint64_t workspace;
    size_t bytes;
    rnn_cuda_error error;
};

Str nv_error(Arena *a, const NvCode *c)
{
    return error_text(a, &c->error);
}

NvCode *nv_load(NvDevice *d, const NvPlan *p, const NvOptions *o, Str ptx, Str *error)
{
    NvCode *c = NEW(p->arena, NvCode);
    int device;
    *c = (NvCode){.device = d, .program = nv_program(p, o, ptx)};
    const cuda_program *tables = &c->program->tables;
    c->function = NEWN(p->arena, void *, nv_kernels(p) + 1);
    rnn_status status = cuda_check_device(&d->driver, tables, &device, &d->shared, &d->together, &c->error);
    status = status == RNN_OK ? cuda_load(&d->driver, tables, d->shared, &c->module, c->function, &c->error) : status;
    if (status == RNN_OK)
        return c;
    *error = nv_error(p->arena, c);
    nv_unload(c);
    return NULL;
}

void nv_unload(NvCode *c)
{
    if (c->workspace)
        c->device->more.cuMemFree_v2(c->workspace);
    if (c->module)
        c->device->driver.cuModuleUnload(c->module);
    c->workspace = 0;
    c->module = NULL;
}

/* ---- memory ---- */

enum { GARBAGE = 0xff }; /* what a workspace is full of: not a number, no index */

static rnn_status to_device(NvCode *c, uint64_t *at, const void *from, int64_t bytes)
{
    *at = 0;
    MORE_CALL(c->device, &c->error, cuMemAlloc_v2, (at, bytes ? (size_t)bytes : 1));
    if (bytes)
        MORE_CALL(c->device, &c->error, cuMemcpyHtoD_v2, (*at, from, (size_t)bytes));
    return RNN_OK;
}

static rnn_status from_device(NvCode *c, void *to, uint64_t at, int64_t bytes)
{
    if (bytes)
        MORE_CALL(c->device, &c->error, cuMemcpyDtoH_v2, (to, at, (size_t)bytes));
    return RNN_OK;
}

/* A new one is empty: there is nothing to go backward from. */
static rnn_status grow_workspace(NvCode *c, size_t bytes)
{
    if (bytes <= c->bytes)
        return RNN_OK;
    if (c->workspace)
        MORE_CALL(c->device, &c->error, cuMemFree_v2, (c->workspace));
    c->workspace = 0;
    c->bytes = 0;
    MORE_CALL(c->device, &c->error, cuMemAlloc_v2, (&c->workspace, bytes));
    CUDA_CALL(&c->device->driver, &c->error, cuMemsetD8Async, (c->workspace, GARBAGE, bytes, NULL));
    c->bytes = bytes;
    return RNN_OK;
}

/* ---- a call ---- */

struct NvCall {
    Arena *arena;
    NvCode *code;
    bool stream;        /* chunk or step: a carry changes */
    int64_t *size;      /* the struct of sizes */
    uint64_t *in, *out; /* on the device, by RecArg and RecOut index */
    int64_t *in_bytes, *out_bytes;
    uint64_t trouble; /* an int32 on the device */
    rnn_cuda_call options;
};

static int mode_of(IfaceFn fn)
{
    switch (fn) {
    case IFN_FORWARD: return CUDA_FORWARD;
    case IFN_BACKWARD: return CUDA_BACKWARD;
    case IFN_CHUNK: return CUDA_CHUNK;
    case IFN_STEP: return CUDA_STEP;
    case IFN_WORKSPACE:
    case IFN_PACKED:
    case IFN_INIT:
    case IFN_INFO:
    case IFN_COUNT: break;
    }
    ice("device: no kernels are of %s", iface_fn(fn)->name);
}

static cuda_run run_new(Arena *a, const NvProgram *program)
{
    const cuda_program *p = &program->tables;
    return (cuda_run){.p = p,
                      .sizes = NEWN(a, int64_t, p->nsymbol + 1),
                      .arg = NEWN(a, uint64_t, p->narg + 1),
                      .out = NEWN(a, uint64_t, p->nout + 1),
                      .buf = NEWN(a, uint64_t, p->nbuf + 1),
                      .value = NEWN(a, uint64_t, program->most_params + 1),
                      .pointer = NEWN(a, void *, program->most_params + 1)};
}

/* Sizes, and how long arrays are. */
static rnn_status measure(NvCall *call, IfaceFn fn, cuda_run *r)
{
    const cuda_program *p = r->p;
    rnn_status status = cuda_measure(r, call->size, 0, mode_of(fn));
    for (int i = 0; i < p->narg && status == RNN_OK; i++)
        call->in_bytes[i] = cuda_array_bytes(r, &p->arg[i]);
    for (int i = 0; i < p->nout && status == RNN_OK; i++)
        call->out_bytes[i] = cuda_array_bytes(r, &p->out[i]);
    return status;
}

static rnn_status bring(NvCall *call, void *const *in, void *const *out)
{
    const cuda_program *p = &call->code->program->tables;
    const int32_t fine = 0;
    rnn_status status = to_device(call->code, &call->trouble, &fine, sizeof fine);
    for (int i = 0; i < p->narg && status == RNN_OK; i++)
        if (in[i])
            status = to_device(call->code, &call->in[i], in[i], call->in_bytes[i]);
    for (int i = 0; i < p->nout && status == RNN_OK; i++)
        if (out[i])
            status = to_device(call->code, &call->out[i], out[i], call->out_bytes[i]);
    return status;
}

static rnn_status take_workspace(NvCall *call, IfaceFn fn, bool train, cuda_run *r)
{
    rnn_status status = cuda_measure(r, call->size, train, mode_of(fn));
    int64_t bytes = status == RNN_OK ? cuda_layout(r, 0, cuda_uses(mode_of(fn), train)) : 0;
    if (status != RNN_OK || r->bad)
        return RNN_SIZE;
    status = grow_workspace(call->code, (size_t)bytes);
    call->options = (rnn_cuda_call){.workspace = (void *)(uintptr_t)call->code->workspace,
                                    .bytes = call->code->bytes,
                                    .passes = train ? RNN_PASS_TRAIN : RNN_PASS_FORWARD,
                                    .index_error = (int32_t *)(uintptr_t)call->trouble};
    return status;
}

RnnStatus nv_call_open(NvCall **out, NvCode *c, IfaceFn fn, const int64_t *dim, void *const *in, void *const *results)
{
    Arena *a = arena_new();
    const cuda_program *p = &c->program->tables;
    NvCall *call = *out = NEW(a, NvCall);
    cuda_run r = run_new(a, c->program);
    *call = (NvCall){.arena = a, .code = c, .stream = fn == IFN_CHUNK || fn == IFN_STEP};
    call->size = NEWN(a, int64_t, p->nsize + 1);
    call->in = NEWN(a, uint64_t, p->narg + 1), call->in_bytes = NEWN(a, int64_t, p->narg + 1);
    call->out = NEWN(a, uint64_t, p->nout + 1), call->out_bytes = NEWN(a, int64_t, p->nout + 1);
    for (int i = 0; i < p->nsize; i++)
        call->size[i] = dim[p->size[i]];
    rnn_status status = measure(call, fn, &r);
    return status == RNN_OK ? bring(call, in, results) : status;
}

/* A struct as the caller of a launcher fills it. */
static const void *struct_of(NvCall *call, Arena *a, IfaceStruct s)
{
    const Iface *f = call->code->program->iface;
    uint64_t *at = NEWN(a, uint64_t, f->member[s].n + 1);
    for (uint32_t i = 0; i < f->member[s].n; i++) {
        const IfaceMember *m = &f->member[s].p[i];
        at[i] = m->arg != K_NONE ? call->in[m->arg] : call->out[m->out];
    }
    return at;
}

static rnn_status launch(NvCall *call, IfaceFn fn, cuda_run *r, Arena *a)
{
    static const cuda_struct nothing = {.optional = 1};
    NvCode *c = call->code;
    const IfaceFnInfo *info = iface_fn(fn);
    cuda_struct carry = info->takes[info->n - 1] == IF_CARRY ? c->program->of[IF_CARRY] : nothing;
    rnn_status status = RNN_OK;
    for (uint32_t i = 1; i < info->n && status == RNN_OK; i++)
        status = cuda_members(r, c->program->of[info->takes[i]], struct_of(call, a, info->takes[i]));
    status = status == RNN_OK ? cuda_prepare(r, call->size, carry, &call->options, mode_of(fn)) : status;
    r->shared = c->device->shared, r->together = c->device->together;
    status = status == RNN_OK ? cuda_go(r, &c->device->driver, c->device->device, c->function, &call->options, mode_of(fn)) : status;
    if (status == RNN_CUDA)
        c->error = call->options.error;
    return status;
}

RnnStatus nv_call_start(NvCall *call, IfaceFn fn, bool train)
{
    Arena *a = arena_new();
    cuda_run r = run_new(a, call->code->program);
    rnn_status status = take_workspace(call, fn, train || fn == IFN_BACKWARD, &r);
    status = status == RNN_OK ? launch(call, fn, &r, a) : status;
    arena_free(a);
    return status;
}

RnnStatus nv_call_wait(NvCall *call)
{
    int32_t trouble = 0;
    MORE_CALL(call->code->device, &call->code->error, cuCtxSynchronize, ());
    rnn_status status = from_device(call->code, &trouble, call->trouble, sizeof trouble);
    return status == RNN_OK && trouble ? RNN_INDEX : status;
}

static bool is_carry(const NvCall *call, int arg)
{
    const cuda_struct s = call->code->program->of[IF_CARRY];
    bool found = false;
    for (int i = 0; i < s.n && call->stream; i++)
        found |= call->code->program->tables.member[s.first + i].argument == arg;
    return found;
}

RnnStatus nv_call_read(NvCall *call, void *const *in, void *const *out)
{
    const cuda_program *p = &call->code->program->tables;
    rnn_status status = RNN_OK;
    for (int i = 0; i < p->narg && status == RNN_OK; i++)
        if (in[i] && is_carry(call, i))
            status = from_device(call->code, in[i], call->in[i], call->in_bytes[i]);
    for (int i = 0; i < p->nout && status == RNN_OK; i++)
        if (out[i])
            status = from_device(call->code, out[i], call->out[i], call->out_bytes[i]);
    return status;
}

void nv_call_close(NvCall *call)
{
    const cuda_program *p = &call->code->program->tables;
    const More *more = &call->code->device->more;
    for (int i = 0; i < p->narg; i++)
        if (call->in[i])
            more->cuMemFree_v2(call->in[i]);
    for (int i = 0; i < p->nout; i++)
        if (call->out[i])
            more->cuMemFree_v2(call->out[i]);
    if (call->trouble)
        more->cuMemFree_v2(call->trouble);
    arena_free(call->arena);
}

RnnStatus nv_call(NvCode *c, IfaceFn fn, const int64_t *dim, void *const *in, void *const *out, bool train)
{
    NvCall *call;
    RnnStatus status = nv_call_open(&call, c, fn, dim, in, out);
    status = status == RNN_OK ? nv_call_start(call, fn, train) : status;
    status = status == RNN_OK ? nv_call_wait(call) : status;
    status = status == RNN_OK ? nv_call_read(call, in, out) : status;
    nv_call_close(call);
    return status;
}
