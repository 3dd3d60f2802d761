/* Part of every generated launcher, and of rnnc: the CUDA driver, opened at run time, and the way from a call to kernels.
 * launch_table.h stands in front, the entry's own tables come behind. C99, without CUDA's headers: what is used of the driver is
 * declared here. */
#include <dlfcn.h>
#include <string.h>

/* One call, in arrays of its caller. */
typedef struct cuda_run {
    const cuda_program *p;
    int64_t *sizes;
    uint64_t *arg, *out, *buf; /* addresses on the device; 0: not given */
    uint64_t *value;           /* of parameters */
    void **pointer;            /* to values */
    int64_t piece[CUDA_CUTS];  /* of the axes of the kernel that is launched */
    int64_t team;              /* blocks of a team of it, or 1 */
    int meets;                 /* 1: they are no cluster, and meet at counters */
    int shared, together;      /* of the device: bytes that a block may have; blocks that can run at a time to wait for each other, or 0 */
    int64_t zeros;             /* bytes of zeros for arguments that are missing */
    uint64_t zeros_at, lengths_at, trouble_at, counters_at;
    uint64_t seed;             /* of random numbers */
    int bad;                   /* a size is negative, or overflows */
} cuda_run;

/* ---- sizes ---- */

static int64_t cuda_mul(cuda_run *r, int64_t a, int64_t b)
{
    int64_t limit = INT64_MAX;
    if (a != 0 && b != 0 && (a < 0 ? -a : a) > limit / (b < 0 ? -b : b)) {
        r->bad = 1;
        return 0;
    }
    return a * b;
}

static int64_t cuda_add(cuda_run *r, int64_t a, int64_t b)
{
    if ((b > 0 && a > INT64_MAX - b) || (b < 0 && a < -INT64_MAX - b)) {
        r->bad = 1;
        return 0;
    }
    return a + b;
}

static int64_t cuda_value(cuda_run *r, cuda_dim d)
{
    int64_t sum = 0;
    int i, s;
    for (i = 0; i < d.n; i++) {
        const cuda_term *t = &r->p->term[d.first + i];
        int64_t v = t->coef;
        for (s = 0; s < t->n; s++)
            v = cuda_mul(r, v, r->sizes[t->symbol[s]]);
        sum = cuda_add(r, sum, v);
    }
    return sum;
}

/* One below 0 is a mistake where something has that size. */
static int64_t cuda_natural(cuda_run *r, cuda_dim d)
{
    int64_t n = cuda_value(r, d);
    r->bad |= n < 0;
    return n < 0 ? 0 : n;
}

static void cuda_derive(cuda_run *r, const cuda_derived *d)
{
    int64_t num = cuda_value(r, d->num), den = cuda_value(r, d->den);
    r->bad |= den <= 0 || num < 0 || (!d->rounded && den > 0 && num % den != 0);
    r->sizes[d->symbol] = den > 0 ? num / den : 0;
}

/* What is called. A step is a chunk of one place; init has no places and no batch. */
enum { CUDA_FORWARD, CUDA_BACKWARD, CUDA_INIT, CUDA_CHUNK, CUDA_STEP };

static rnn_status cuda_measure(cuda_run *r, const void *sizes, int train, int mode)
{
    const cuda_program *p = r->p;
    int i;
    if (!sizes)
        return RNN_NULL;
    memset(r->sizes, 0, (size_t)p->nsymbol * sizeof *r->sizes);
    r->sizes[p->keep] = train;
    for (i = 0; i < p->nsize; i++) {
        int64_t *n = &r->sizes[p->size[i]];
        memcpy(n, (const char *)sizes + 8 * i, 8);
        *n = mode == CUDA_STEP && p->size[i] == p->time ? 1 : *n;
        *n = mode == CUDA_INIT && (p->bounded[i] || p->size[i] == p->batch) ? 0 : *n;
        r->bad |= *n < 0 || (p->bounded[i] && *n > INT32_MAX);
    }
    for (i = 0; i < p->nderived && !r->bad; i++)
        cuda_derive(r, &p->derived[i]);
    for (i = 0; i < p->nneed && !r->bad && mode != CUDA_INIT; i++)
        cuda_natural(r, p->need[i]);
    for (i = 0; i < p->narg; i++)
        cuda_mul(r, cuda_natural(r, p->arg[i].size), p->arg[i].bytes);
    for (i = 0; i < p->nout; i++)
        cuda_mul(r, cuda_natural(r, p->out[i].size), p->out[i].bytes);
    return r->bad ? RNN_SIZE : RNN_OK;
}

/* ---- the workspace: trouble, zeros, lengths, counters, buffers ---- */

enum { CUDA_ALIGN = 256, CUDA_APART = 128 /* bytes of a team's counter */, CUDA_TEAMS = 128 /* that meet at counters, at most */ };

static uint64_t cuda_place(cuda_run *r, int64_t *at, int64_t bytes)
{
    int64_t start = *at;
    *at = cuda_add(r, *at, bytes);
    *at = cuda_add(r, *at, CUDA_ALIGN - 1) / CUDA_ALIGN * CUDA_ALIGN;
    return (uint64_t)start;
}

static int64_t cuda_array_bytes(cuda_run *r, const cuda_array *a)
{
    return cuda_mul(r, cuda_natural(r, a->size), a->bytes);
}

static int cuda_has_teams(const cuda_program *p)
{
    int i, n = 0;
    for (i = 0; i < p->nkernel[0] + p->nkernel[1] + p->nkernel[2]; i++)
        n += p->kernel[i].team.part >= 0;
    return n > 0;
}

static int64_t cuda_layout(cuda_run *r, uint64_t base, int uses)
{
    const cuda_program *p = r->p;
    int64_t at = 0;
    int i;
    r->zeros = 0;
    for (i = 0; i < p->narg; i++) {
        int64_t n = cuda_array_bytes(r, &p->arg[i]);
        if (!(p->arg[i].flags & (CUDA_MUST | CUDA_LENGTHS)) && (p->arg[i].uses & uses) && n > r->zeros)
            r->zeros = n;
    }
    r->trouble_at = base + cuda_place(r, &at, 4);
    r->zeros_at = base + cuda_place(r, &at, r->zeros);
    for (i = 0; i < p->narg; i++)
        if (p->arg[i].flags & CUDA_LENGTHS)
            r->lengths_at = base + cuda_place(r, &at, cuda_array_bytes(r, &p->arg[i]));
    if (cuda_has_teams(p))
        r->counters_at = base + cuda_place(r, &at, CUDA_TEAMS * CUDA_APART);
    for (i = 0; i < p->nbuf; i++)
        if (p->buf[i].kind == CUDA_WORK && p->buf[i].shares < 0 && (p->buf[i].uses & uses))
            r->buf[i] = base + cuda_place(r, &at, cuda_mul(r, cuda_natural(r, p->buf[i].size), p->buf[i].bytes));
    for (i = 0; i < p->nbuf; i++)
        if (p->buf[i].kind == CUDA_WORK && p->buf[i].shares >= 0)
            r->buf[i] = r->buf[p->buf[i].shares];
    return at;
}

/* ---- the driver ---- */

/* CUlaunchConfig, with CUlaunchAttribute. */
typedef struct cuda_attribute {
    int id;
    char pad[4];
    union {
        unsigned cluster[3];
        uint64_t room[8];
    } value;
} cuda_attribute;

typedef struct cuda_config {
    unsigned grid_x, grid_y, grid_z, block_x, block_y, block_z, shared;
    void *stream;
    cuda_attribute *attribute;
    unsigned n;
} cuda_config;

typedef struct cuda_driver {
    int (*cuInit)(unsigned flags);
    int (*cuCtxGetCurrent)(void **context);
    int (*cuCtxGetDevice)(int *device);
    int (*cuDeviceGetAttribute)(int *value, int attribute, int device);
    int (*cuModuleLoadData)(void **module, const void *image);
    int (*cuModuleUnload)(void *module);
    int (*cuModuleGetFunction)(void **function, void *module, const char *name);
    int (*cuLaunchKernel)(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                          unsigned block_z, unsigned shared, void *stream, void **params, void **extra);
    int (*cuMemsetD8Async)(uint64_t at, unsigned char value, size_t n, void *stream);
    int (*cuMemsetD2D32Async)(uint64_t at, size_t pitch, unsigned value, size_t width, size_t height, void *stream);
    int (*cuFuncSetAttribute)(void *function, int attribute, int value);
    int (*cuGetErrorName)(int error, const char **name);
    /* NULL: an old driver has none */
    int (*cuLaunchCooperativeKernel)(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                                     unsigned block_z, unsigned shared, void *stream, void **params);
    int (*cuLaunchKernelEx)(const cuda_config *config, void *function, void **params, void **extra);
} cuda_driver;

static const char *const cuda_names[] = {"cuInit", "cuCtxGetCurrent", "cuCtxGetDevice", "cuDeviceGetAttribute", "cuModuleLoadData",
    "cuModuleUnload", "cuModuleGetFunction", "cuLaunchKernel", "cuMemsetD8Async", "cuMemsetD2D32Async", "cuFuncSetAttribute",
    "cuGetErrorName", "cuLaunchCooperativeKernel", "cuLaunchKernelEx"};

enum { CUDA_NFUNCTION = sizeof cuda_names / sizeof *cuda_names, CUDA_MUST_HAVE = CUDA_NFUNCTION - 2 };

typedef char cuda_driver_is_a_table[sizeof(cuda_driver) == CUDA_NFUNCTION * sizeof(void *) ? 1 : -1];

static rnn_status cuda_fail(rnn_cuda_error *e, const char *call, int result, const char *name)
{
    e->call = call;
    e->result = result;
    e->name = name;
    return RNN_CUDA;
}

static rnn_status cuda_failed(const cuda_driver *d, rnn_cuda_error *e, const char *call, int result)
{
    const char *name = NULL;
    if (d->cuGetErrorName(result, &name) != 0 || !name)
        name = "an error that the driver has no name for";
    return cuda_fail(e, call, result, name);
}

#define CUDA_CALL(D, E, FUNCTION, ARGS)                                                                                \
    do {                                                                                                               \
        int cuda_result = (D)->FUNCTION ARGS;                                                                          \
        if (cuda_result != 0)                                                                                          \
            return cuda_failed(D, E, #FUNCTION, cuda_result);                                                          \
    } while (0)

/* Fills a table of functions. */
static rnn_status cuda_find(void *library, const char *const *names, int n, void *table, rnn_cuda_error *e)
{
    int i;
    for (i = 0; i < n; i++) {
        void *f = dlsym(library, names[i]);
        if (!f)
            return cuda_fail(e, names[i], 0, "the driver has no such function");
        memcpy((char *)table + (size_t)i * sizeof f, &f, sizeof f);
    }
    return RNN_OK;
}

static rnn_status cuda_load_driver(void **library, cuda_driver *d, const char *path, rnn_cuda_error *e)
{
    int i;
    *library = dlopen(path ? path : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!*library)
        return cuda_fail(e, "dlopen", 0, "the CUDA driver cannot be loaded");
    for (i = CUDA_MUST_HAVE; i < CUDA_NFUNCTION; i++) {
        void *f = dlsym(*library, cuda_names[i]);
        memcpy((char *)d + (size_t)i * sizeof f, &f, sizeof f);
    }
    return cuda_find(*library, cuda_names, CUDA_MUST_HAVE, d, e);
}

/* A multiprocessor has room for one block, whatever it needs. */
static int cuda_together(const cuda_driver *d, int device)
{
    enum { MULTIPROCESSORS = 16, COOPERATIVE_LAUNCH = 95 };
    int can = 0, n = 0;
    if (!d->cuLaunchCooperativeKernel || d->cuDeviceGetAttribute(&can, COOPERATIVE_LAUNCH, device) != 0 || can <= 0 ||
        d->cuDeviceGetAttribute(&n, MULTIPROCESSORS, device) != 0)
        return 0;
    return n < 2 * CUDA_TEAMS ? n : 2 * CUDA_TEAMS;
}

static rnn_status cuda_check_device(const cuda_driver *d, const cuda_program *p, int *device, int *shared, int *together, rnn_cuda_error *e)
{
    enum { MAJOR = 75, MINOR = 76, SHARED = 97 /* MAX_SHARED_MEMORY_PER_BLOCK_OPTIN */ }; /* CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_... */
    void *context = NULL;
    int major = 0, minor = 0;
    CUDA_CALL(d, e, cuInit, (0));
    CUDA_CALL(d, e, cuCtxGetCurrent, (&context));
    if (!context)
        return cuda_fail(e, "cuCtxGetCurrent", 0, "no context is current");
    CUDA_CALL(d, e, cuCtxGetDevice, (device));
    CUDA_CALL(d, e, cuDeviceGetAttribute, (&major, MAJOR, *device));
    CUDA_CALL(d, e, cuDeviceGetAttribute, (&minor, MINOR, *device));
    CUDA_CALL(d, e, cuDeviceGetAttribute, (shared, SHARED, *device));
    *together = cuda_together(d, *device);
    if (major < p->major || (major == p->major && minor < p->minor))
        return cuda_fail(e, "cuDeviceGetAttribute", 0, "the device is older than the architecture that the kernels are for");
    if (p->only && major > p->major)
        return cuda_fail(e, "cuDeviceGetAttribute", 0, "the device is of a later generation than the code of the kernels, which is for one alone");
    return RNN_OK;
}

/* What keeps something may have all shared memory that there is. */
static rnn_status cuda_load(const cuda_driver *d, const cuda_program *p, int shared, void **module, void **function, rnn_cuda_error *e)
{
    enum { MAX_DYNAMIC_SHARED_SIZE_BYTES = 8 };
    int i;
    CUDA_CALL(d, e, cuModuleLoadData, (module, p->code));
    for (i = 0; i < p->nkernel[0] + p->nkernel[1] + p->nkernel[2]; i++) {
        CUDA_CALL(d, e, cuModuleGetFunction, (&function[i], *module, p->kernel[i].name));
        if (p->kernel[i].instead)
            CUDA_CALL(d, e, cuFuncSetAttribute, (function[i], MAX_DYNAMIC_SHARED_SIZE_BYTES, shared));
    }
    return RNN_OK;
}

/* ---- arrays of a call ---- */

static rnn_status cuda_members(cuda_run *r, cuda_struct s, const void *given)
{
    int i;
    if (!given)
        return s.optional ? RNN_OK : RNN_NULL;
    for (i = 0; i < s.n; i++) {
        const cuda_member *m = &r->p->member[s.first + i];
        const void *at;
        memcpy(&at, (const char *)given + sizeof at * (size_t)i, sizeof at);
        if (m->argument >= 0)
            r->arg[m->argument] = (uint64_t)(uintptr_t)at;
        if (m->output >= 0)
            r->out[m->output] = (uint64_t)(uintptr_t)at;
    }
    return RNN_OK;
}

static rnn_status cuda_given(cuda_run *r, const cuda_array *a, int n, const uint64_t *at, int uses)
{
    int i;
    for (i = 0; i < n; i++)
        if ((a[i].flags & CUDA_MUST) && (a[i].uses & uses) && !at[i] && cuda_array_bytes(r, &a[i]) > 0)
            return RNN_NULL;
    return RNN_OK;
}

/* A state that goes on must be there. */
static rnn_status cuda_carried(cuda_run *r, cuda_struct carry)
{
    int i;
    for (i = 0; i < carry.n; i++) {
        int a = r->p->member[carry.first + i].argument;
        if (!r->arg[a] && cuda_array_bytes(r, &r->p->arg[a]) > 0)
            return RNN_NULL;
    }
    return RNN_OK;
}

/* Lengths that are not given: all that there are. */
static rnn_status cuda_fill_lengths(cuda_run *r, const cuda_driver *d, rnn_cuda_call *call)
{
    size_t height = (size_t)r->sizes[r->p->batch];
    int i;
    for (i = 0; i < r->p->nextent && height > 0; i++)
        CUDA_CALL(d, &call->error, cuMemsetD2D32Async, (r->lengths_at + 4 * (uint64_t)i, 4 * (size_t)r->p->nextent,
                                                        (unsigned)r->sizes[r->p->extent[i]], 1, height, call->stream));
    return RNN_OK;
}

static rnn_status cuda_defaults(cuda_run *r, const cuda_driver *d, int uses, rnn_cuda_call *call)
{
    const cuda_program *p = r->p;
    int i, zeros = 0, lengths = 0;
    for (i = 0; i < p->narg; i++)
        if (!r->arg[i] && (p->arg[i].uses & uses)) {
            lengths |= (p->arg[i].flags & CUDA_LENGTHS) != 0;
            zeros |= !(p->arg[i].flags & CUDA_LENGTHS);
        }
    if (zeros && r->zeros > 0)
        CUDA_CALL(d, &call->error, cuMemsetD8Async, (r->zeros_at, 0, (size_t)r->zeros, call->stream));
    return lengths ? cuda_fill_lengths(r, d, call) : RNN_OK;
}

static void cuda_buffers(cuda_run *r)
{
    const cuda_program *p = r->p;
    int i;
    for (i = 0; i < p->nbuf; i++) {
        const cuda_buffer *b = &p->buf[i];
        if (b->kind == CUDA_OUTPUT)
            r->buf[i] = r->out[b->slot];
        if (b->kind == CUDA_ARGUMENT)
            r->buf[i] = r->arg[b->slot]                             ? r->arg[b->slot]
                        : (p->arg[b->slot].flags & CUDA_LENGTHS) ? r->lengths_at
                                                                    : r->zeros_at;
    }
}

/* ---- kernels ---- */

enum { CUDA_THREADS = 256, CUDA_WARP = 32 };

static uint64_t cuda_param_value(const cuda_run *r, const cuda_param *p)
{
    switch (p->kind) {
    case CUDA_BUFFER: return r->buf[p->index];
    case CUDA_SIZE: return (uint64_t)r->sizes[p->index];
    case CUDA_GIVEN: return r->arg[p->index] != 0;
    case CUDA_PIECE: return (uint64_t)r->piece[p->index];
    case CUDA_TEAM: return (uint64_t)r->team;
    case CUDA_COUNTERS: return r->meets ? r->counters_at : 0;
    case CUDA_SEED: return r->seed;
    default: return r->trouble_at;
    }
}

/* Iterations that a block shares out at a time, at most; as many as threads if that may be of a whole sequence. */
static int64_t cuda_work(cuda_run *r, const cuda_kernel *k)
{
    int64_t most = k->full ? CUDA_THREADS : CUDA_WARP;
    int i;
    for (i = 0; i < k->cuts; i++)
        r->sizes[k->cut[i].part] = r->piece[i];
    if (k->team.part >= 0)
        r->sizes[k->team.part] = (cuda_natural(r, k->team.axis) + r->team - 1) / r->team;
    for (i = 0; i < k->works; i++) {
        int64_t work = cuda_natural(r, r->p->work[k->first_work + i]);
        most = work > most ? work : most;
    }
    return most;
}

/* At least one block, or one team. */
static int64_t cuda_blocks(cuda_run *r, const cuda_kernel *k)
{
    int64_t grid = r->team;
    int i;
    for (i = 0; i < k->cuts; i++) {
        int64_t places = cuda_natural(r, k->cut[i].axis), piece = r->piece[i];
        grid = places ? cuda_mul(r, grid, places / piece + (places % piece != 0)) : grid;
    }
    return grid;
}

/* Pieces so much longer that all blocks can run at a time, if they can; axis after axis, of which the first is no more than it must be. */
static void cuda_gather(cuda_run *r, const cuda_kernel *k)
{
    int i;
    for (i = 0; i < k->cuts && cuda_blocks(r, k) > r->together; i++) {
        int64_t places = cuda_natural(r, k->cut[i].axis), piece = r->piece[i], pieces = places / piece + (places % piece != 0), fit;
        if (pieces == 0)
            continue;
        fit = r->together / (cuda_blocks(r, k) / pieces);
        r->piece[i] *= fit > 0 ? pieces / fit + (pieces % fit != 0) : pieces;
    }
}

/* Inside of the first axis, pieces are so long that a block's threads have work. A team is there because its pieces are large. */
static void cuda_pieces(cuda_run *r, const cuda_kernel *k)
{
    int i;
    for (i = 0; i < k->cuts; i++)
        r->piece[i] = k->cut[i].piece;
    if (r->meets)
        cuda_gather(r, k);
    for (i = k->cuts - 1; i > 0 && k->team.part < 0; i--)
        while (r->piece[i] < cuda_natural(r, k->cut[i].axis) && 2 * cuda_work(r, k) <= CUDA_THREADS)
            r->piece[i] *= 2;
}

/* Of a block: a power of 2, from one warp up. The same for all lengths of sequences, so that sums over threads are. */
static unsigned cuda_threads(cuda_run *r, const cuda_kernel *k)
{
    enum { SLOT = 8, SHARED = 48 * 1024 };
    unsigned threads = CUDA_THREADS;
    int64_t most = cuda_work(r, k);
    while (threads / 2 >= most || threads * (unsigned)k->sums * SLOT > SHARED)
        threads /= 2;
    return threads;
}

/* How many parts cover the matrices. */
static int64_t cuda_tiles(cuda_run *r, const cuda_kernel *k, int64_t elements)
{
    int64_t rows = cuda_natural(r, k->rows), cols = cuda_natural(r, k->cols);
    if (elements == 0 || rows == 0 || cols == 0)
        return 0;
    return elements / (rows * cols) * (rows / k->tile_rows + (rows % k->tile_rows != 0)) * (cols / k->tile_cols + (cols % k->tile_cols != 0));
}

/* In which each thread has some iterations, or many; or blocks some tiles. */
static int64_t cuda_grid(cuda_run *r, const cuda_kernel *k)
{
    enum { GRID = 1 << 20 };
    int64_t threads = cuda_natural(r, k->threads), each = CUDA_THREADS * k->each;
    int64_t grid = k->tile_rows ? cuda_tiles(r, k, threads) : threads / each + (threads % each != 0);
    return grid < GRID ? grid : GRID;
}

/* Of a block: partial results, and what it keeps. */
static int64_t cuda_shared(cuda_run *r, const cuda_kernel *k, unsigned threads)
{
    enum { SLOT = 8 };
    return cuda_add(r, (int64_t)threads * k->sums * SLOT, cuda_natural(r, k->kept));
}

/* Whether a kernel can do what the one before does, and is worth it. Sizes that overflow do not fit. */
static int cuda_fits(cuda_run *r, const cuda_kernel *k)
{
    int bad = r->bad, fits;
    cuda_pieces(r, k);
    fits = cuda_shared(r, k, cuda_threads(r, k)) <= r->shared && (!r->meets || cuda_blocks(r, k) <= r->together) && !r->bad;
    r->bad = bad;
    return fits;
}

/* A team has no more blocks than it needs. */
static int cuda_has_team(cuda_run *r, const cuda_kernel *k, int64_t most, int meets)
{
    int fits = 0;
    r->meets = meets;
    for (r->team = 1; !fits && r->team < most; fits = cuda_fits(r, k))
        r->team = 2 * r->team < most ? 2 * r->team : most;
    return fits;
}

/* A cluster has as many blocks as all devices let it have that have such. Other teams may have as many as there are multiprocessors. */
static int cuda_can(cuda_run *r, const cuda_driver *d, const cuda_kernel *k)
{
    enum { STEPS = 4, CLUSTER = 8 };
    if (cuda_natural(r, k->steps) < STEPS)
        return 0;
    if (k->team.part < 0)
        return cuda_fits(r, k);
    return cuda_has_team(r, k, r->p->clusters && d->cuLaunchKernelEx ? CLUSTER : 0, 0) || cuda_has_team(r, k, r->together, 1);
}

/* The first of those that do the same which can, or the plain one. */
static int cuda_choose(cuda_run *r, const cuda_driver *d, int first, int end)
{
    int i;
    for (i = first + 1; i < end; i++) {
        r->team = 1, r->meets = 0;
        if (cuda_can(r, d, &r->p->kernel[i]))
            return i;
    }
    r->team = 1, r->meets = 0;
    return first;
}

static rnn_status cuda_launch_team(cuda_run *r, const cuda_driver *d, unsigned grid, unsigned threads, unsigned shared, void *function, rnn_cuda_call *call)
{
    enum { CLUSTER_DIMENSION = 4 };
    cuda_attribute cluster = {CLUSTER_DIMENSION, {0}, {{0}}};
    cuda_config config = {0, 1, 1, 0, 1, 1, 0, NULL, NULL, 1};
    cluster.value.cluster[0] = (unsigned)r->team, cluster.value.cluster[1] = cluster.value.cluster[2] = 1;
    config.grid_x = grid, config.block_x = threads, config.shared = shared;
    config.stream = call->stream, config.attribute = &cluster;
    CUDA_CALL(d, &call->error, cuLaunchKernelEx, (&config, function, r->pointer, NULL));
    return RNN_OK;
}

static rnn_status cuda_launch_together(cuda_run *r, const cuda_driver *d, unsigned grid, unsigned threads, unsigned shared, void *function, rnn_cuda_call *call)
{
    size_t teams = grid / (size_t)r->team;
    CUDA_CALL(d, &call->error, cuMemsetD8Async, (r->counters_at, 0, teams * CUDA_APART, call->stream));
    CUDA_CALL(d, &call->error, cuLaunchCooperativeKernel, (function, grid, 1, 1, threads, 1, 1, shared, call->stream, r->pointer));
    return RNN_OK;
}

static rnn_status cuda_launch(cuda_run *r, const cuda_driver *d, const cuda_kernel *k, void *function, rnn_cuda_call *call)
{
    int64_t grid;
    unsigned threads, shared;
    int i;
    cuda_pieces(r, k);
    grid = k->blocks ? cuda_blocks(r, k) : cuda_grid(r, k);
    threads = cuda_threads(r, k);
    if (r->bad || grid > INT32_MAX)
        return RNN_SIZE;
    if (grid == 0)
        return RNN_OK;
    for (i = 0; i < k->n; i++) {
        r->value[i] = cuda_param_value(r, &r->p->param[k->first + i]);
        r->pointer[i] = &r->value[i];
    }
    shared = (unsigned)cuda_shared(r, k, threads);
    if (r->meets)
        return cuda_launch_together(r, d, (unsigned)grid, threads, shared, function, call);
    if (k->team.part >= 0)
        return cuda_launch_team(r, d, (unsigned)grid, threads, shared, function, call);
    CUDA_CALL(d, &call->error, cuLaunchKernel, (function, (unsigned)grid, 1, 1, threads, 1, 1, shared, call->stream, r->pointer, NULL));
    return RNN_OK;
}

/* ---- a call ---- */

/* By what a call's arrays and buffers are used; `kept`: also by the backward call behind it. */
static int cuda_uses(int mode, int kept)
{
    return mode == CUDA_INIT ? 4 : mode == CUDA_BACKWARD ? 2 | kept : 1 | 2 * kept;
}

/* `carry`: of chunk and step, else without members. */
static rnn_status cuda_prepare(cuda_run *r, const void *sizes, cuda_struct carry, rnn_cuda_call *call, int mode)
{
    int train = mode == CUDA_BACKWARD || (mode == CUDA_FORWARD && call->passes == RNN_TRAIN), uses = cuda_uses(mode, 0);
    rnn_status status = cuda_measure(r, sizes, train, mode);
    uint64_t base = (uint64_t)(uintptr_t)call->workspace;
    int64_t bytes;
    if (status != RNN_OK)
        return status;
    bytes = cuda_layout(r, base, cuda_uses(mode, train));
    if (r->bad)
        return RNN_SIZE;
    if (base == 0 || base % CUDA_ALIGN != 0 || (uint64_t)bytes > call->bytes)
        return RNN_WORKSPACE;
    if (call->index_error)
        r->trouble_at = (uint64_t)(uintptr_t)call->index_error;
    status = cuda_given(r, r->p->arg, r->p->narg, r->arg, uses);
    status = status == RNN_OK ? cuda_given(r, r->p->out, r->p->nout, r->out, uses) : status;
    return status == RNN_OK ? cuda_carried(r, carry) : status;
}

/* Kernels first..end-1 do the same. Where others have taken multiprocessors away for good, blocks do not run at a time; the plain kernel needs no
 * such thing. */
static rnn_status cuda_launch_one(cuda_run *r, const cuda_driver *d, int first, int end, void *const *function, rnn_cuda_call *call)
{
    enum { COOPERATIVE_LAUNCH_TOO_LARGE = 720 };
    int chosen = cuda_choose(r, d, first, end);
    rnn_status status = cuda_launch(r, d, &r->p->kernel[chosen], function[chosen], call);
    if (status != RNN_CUDA || !r->meets || call->error.result != COOPERATIVE_LAUNCH_TOO_LARGE)
        return status;
    r->team = 1, r->meets = 0;
    return cuda_launch(r, d, &r->p->kernel[first], function[first], call);
}

static rnn_status cuda_go(cuda_run *r, const cuda_driver *d, int device, void *const *function, rnn_cuda_call *call, int mode)
{
    const cuda_program *p = r->p;
    int i, which = mode <= CUDA_INIT ? mode : CUDA_FORWARD, first = 0, next, current = -1;
    rnn_status status;
    CUDA_CALL(d, &call->error, cuCtxGetDevice, (&current));
    if (current != device)
        return cuda_fail(&call->error, "cuCtxGetDevice", 0, "another device is current than the one that was opened");
    status = cuda_defaults(r, d, cuda_uses(mode, 0), call);
    cuda_buffers(r);
    for (i = 0; i < which; i++)
        first += p->nkernel[i];
    for (i = first; i < first + p->nkernel[which] && status == RNN_OK; i = next) {
        for (next = i + 1; next < first + p->nkernel[which] && p->kernel[next].instead;)
            next++;
        status = cuda_launch_one(r, d, i, next, function, call);
    }
    return status;
}
