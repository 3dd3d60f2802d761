/* A CUDA driver without a device. Memory of the device is this process's. Kernels are run from their PTX, one
 * instruction after the other, and what they touch must have been allocated; or a launch goes to a function that the
 * test gives. Any call can be made to fail: by `stub`, or in a process of its own by STUB_FAIL="cuLaunchKernel 2 719":
 * from its third call on, with error 719. STUB_MOST: how many instructions a launch may run, before it is out of time.
 * STUB_SHARED: bytes of shared memory that a block may have, if it is asked for. STUB_PROCESSORS: multiprocessors, of which each takes one block of
 * a cooperative launch. STUB_COOPERATIVE=0: there are no such launches; STUB_APART=1: there are, but no more of their blocks run at a time than of others.
 * STUB_SAYS=1: tells which part of a fat binary it takes, and what is launched. STUB_WITHOUT=3: what the fourth of all barriers, acquires and releases is for does not
 * happen; it is told which, and of what kernel. STUB_WITHOUT_IN=_team: of all in kernels that are called so. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "interpret.h"

struct stub {
    const char *fail; /* the function that fails, with `error`; NULL: none */
    int error, at;    /* from its call number `at` on */
    int device, major, minor;
    int no_context;
    int loaded, calls; /* modules that are loaded now; of the function that fails */
    void *stream;      /* of the last launch */
    int (*launch)(const char *kernel, unsigned grid, unsigned block, unsigned shared, void **params);
    int any_memory; /* kernels may touch what was not allocated here */
} stub = {0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0};

enum {
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_IMAGE = 200,
    NO_BINARY = 209,
    INVALID_PTX = 218,
    NOT_FOUND = 500,
    TOO_LARGE = 720,
    NOT_SUPPORTED = 801,
    MOST_BLOCKS = 4096,
    MOST_MODULES = 64
};

static int does(const char *function)
{
    if (!stub.fail || strcmp(stub.fail, function) != 0)
        return 0;
    return stub.calls++ >= stub.at ? stub.error : 0;
}

/* ---- the device ---- */

static int64_t most = 4000000000; /* instructions of a launch */
static int asynchronous; /* the error of a kernel: told by the next call that waits */

int cuInit(unsigned flags)
{
    static char name[64];
    const char *fail = getenv("STUB_FAIL"), *minor = getenv("STUB_ARCH"), *limit = getenv("STUB_MOST");
    (void)flags;
    most = limit ? atoll(limit) : most;
    if (fail && !stub.fail && sscanf(fail, "%63s %d %d", name, &stub.at, &stub.error) == 3)
        stub.fail = name;
    if (minor)
        sscanf(minor, "%d.%d", &stub.major, &stub.minor);
    return does("cuInit");
}

int cuDeviceGetCount(int *count)
{
    *count = 1;
    return does("cuDeviceGetCount");
}

int cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return does("cuDeviceGet");
}

int cuDeviceGetName(char *name, int bytes, int device)
{
    (void)device;
    snprintf(name, (size_t)bytes, "no GPU, but the driver of the tests");
    return does("cuDeviceGetName");
}

int cuDevicePrimaryCtxRetain(void **context, int device)
{
    (void)device;
    *context = &stub;
    return does("cuDevicePrimaryCtxRetain");
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
    (void)device;
    return 0;
}

int cuCtxSetCurrent(void *context)
{
    (void)context;
    return does("cuCtxSetCurrent");
}

int cuCtxGetCurrent(void **context)
{
    *context = stub.no_context ? 0 : &stub;
    return does("cuCtxGetCurrent");
}

int cuCtxGetDevice(int *device)
{
    *device = stub.device;
    return does("cuCtxGetDevice");
}

static int number(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

static int shared_most(void)
{
    return number("STUB_SHARED", 99 * 1024);
}

static int processors(void)
{
    return number("STUB_PROCESSORS", 10);
}

static int is_cooperative(void)
{
    return number("STUB_COOPERATIVE", 1);
}

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    const int of[][2] = {{13, 1000000}, {16, processors()}, {36, 1000000}, {37, 256}, /* kHz, multiprocessors, kHz of memory, its bits */
                         {75, stub.major}, {76, stub.minor}, {95, is_cooperative()}, {97, shared_most()}};
    size_t i;
    (void)device;
    *value = -1;
    for (i = 0; i < sizeof of / sizeof *of; i++)
        if (of[i][0] == attribute)
            *value = of[i][1];
    return does("cuDeviceGetAttribute");
}

int cuCtxSynchronize(void)
{
    int error = does("cuCtxSynchronize");
    return error ? error : asynchronous;
}

/* ---- its memory ---- */

static struct {
    uint64_t at;
    size_t n;
} block[MOST_BLOCKS];
static int blocks;

static int is_in(int i, uint64_t at, size_t n)
{
    return at >= block[i].at && at - block[i].at <= block[i].n && n <= block[i].n - (at - block[i].at);
}

/* Kernels touch a few blocks in turn: those move to the front. */
static int owner(uint64_t at, size_t n)
{
    int i = 0;
    while (i < blocks && !is_in(i, at, n))
        i++;
    if (i == blocks)
        return -1;
    for (; i > 4; i /= 2) {
        uint64_t other = block[i / 2].at;
        size_t bytes = block[i / 2].n;
        block[i / 2] = block[i];
        block[i].at = other;
        block[i].n = bytes;
    }
    return i;
}

static int may_touch(uint64_t at, size_t n)
{
    return stub.any_memory || owner(at, n) >= 0;
}

/* As a device has it: full of what is no number. */
int cuMemAlloc_v2(uint64_t *at, size_t n)
{
    int error = does("cuMemAlloc_v2");
    void *p = NULL;
    if (error || n == 0)
        return error ? error : INVALID_VALUE;
    if (blocks == MOST_BLOCKS || n > (size_t)1 << 40 || posix_memalign(&p, 256, n) != 0)
        return OUT_OF_MEMORY;
    memset(p, 0xff, n);
    block[blocks].at = *at = (uint64_t)(uintptr_t)p;
    block[blocks++].n = n;
    return 0;
}

int cuMemFree_v2(uint64_t at)
{
    int i = 0;
    while (i < blocks && block[i].at != at)
        i++;
    if (i == blocks)
        return INVALID_VALUE;
    block[i] = block[--blocks];
    free((void *)(uintptr_t)at);
    return does("cuMemFree_v2");
}

int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t n)
{
    int error = does("cuMemcpyHtoD_v2");
    if (error || !may_touch(to, n))
        return error ? error : INVALID_VALUE;
    memcpy((void *)(uintptr_t)to, from, n);
    return asynchronous;
}

int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t n)
{
    int error = does("cuMemcpyDtoH_v2");
    if (error || !may_touch(from, n))
        return error ? error : INVALID_VALUE;
    memcpy(to, (const void *)(uintptr_t)from, n);
    return asynchronous;
}

int cuMemsetD8Async(uint64_t at, unsigned char value, size_t n, void *stream)
{
    (void)stream;
    memset((void *)(uintptr_t)at, value, n);
    return does("cuMemsetD8Async");
}

int cuMemsetD2D32Async(uint64_t at, size_t pitch, unsigned value, size_t width, size_t height, void *stream)
{
    size_t row, i;
    (void)stream;
    for (row = 0; row < height; row++)
        for (i = 0; i < width; i++)
            memcpy((char *)(uintptr_t)at + row * pitch + 4 * i, &value, 4);
    return does("cuMemsetD2D32Async");
}

/* ---- kernels ---- */

/* What fatbinary writes when it does not compress: a header, then images, each behind a header of its own. There is PTX in them,
 * which is what runs. */
struct fat {
    uint32_t magic;
    uint16_t version, header;
    uint64_t bytes;
};
struct part {
    uint16_t kind, version;
    uint32_t header;
    uint64_t bytes;
    uint32_t more[3], arch; /* 75 */
};
enum { PTX_PART = 1, CODE_PART = 2 };
static const uint32_t fat_magic = 0xba55ed50u, elf_magic = 0x464c457fu;

/* Machine code is for its own generation, PTX for all later ones. */
static int runs_here(const struct part *p)
{
    int arch = (int)p->arch, here = 10 * stub.major + stub.minor;
    return p->kind == CODE_PART ? arch / 10 == stub.major && arch <= here : arch <= here;
}

static int is_better(const struct part *a, const struct part *b)
{
    return !b || (a->kind != b->kind ? a->kind == CODE_PART : a->arch > b->arch);
}

static void tell(const char *kind, unsigned arch)
{
    if (getenv("STUB_SAYS"))
        fprintf(stderr, "loaded: %s sm_%u\n", kind, arch);
}

/* The PTX of a fat binary that has something for this device; NULL: it has nothing. */
static const char *take_from(const struct fat *f)
{
    const char *at = (const char *)f + f->header, *end = at + f->bytes, *ptx = NULL;
    const struct part *best = NULL;
    for (const struct part *p; at < end; at += p->header + p->bytes) {
        p = (const struct part *)(const void *)at;
        if (runs_here(p) && is_better(p, best))
            best = p;
        if (p->kind == PTX_PART)
            ptx = at + p->header;
    }
    if (!best)
        return NULL;
    tell(best->kind == CODE_PART ? "machine code" : "PTX", best->arch);
    return ptx;
}

/* Machine code cannot be run here. */
static int look_at_machine_code(const unsigned char *elf)
{
    struct part p = {CODE_PART, 0, 0, 0, {0}, 0};
    uint32_t flags;
    memcpy(&flags, elf + 48, sizeof flags);
    p.arch = (elf[8] >= 8 ? flags >> 8 : flags) & 0xff;
    if (!runs_here(&p))
        return NO_BINARY;
    tell("machine code", p.arch);
    return INVALID_IMAGE;
}

/* The last kernel that begins in front of it. */
static const char *kernel_of(const char *ptx, const char *at)
{
    static const char entry[] = ".entry ";
    const char *name = ptx;
    for (const char *next = ptx; (next = strstr(next, entry)) && next < at; name = next)
        next += sizeof entry - 1;
    return name;
}

static int is_meant(const char *ptx, const char *at)
{
    const char *name = kernel_of(ptx, at), *in = getenv("STUB_WITHOUT_IN"), *found = in ? strstr(name, in) : name;
    return found && found < name + strcspn(name, "(");
}

/* The n-th of all in the text; NULL: there are not as many. */
static char *find_fence(char *ptx, int n)
{
    static const char *const words[] = {"bar.sync", "ld.acquire", "st.release", "red.release", "barrier.cluster.arrive", "arrive.aligned"};
    for (char *next, *at = ptx;; at = next + 1) {
        next = NULL;
        for (int i = 0; i < 6; i++) {
            char *found = strstr(at, words[i]);
            next = found && (!next || found < next) ? found : next;
        }
        if (!next || (is_meant(ptx, next) && n-- == 0))
            return next;
    }
}

/* A copy, which is never freed. */
static const char *without(const char *ptx, int n)
{
    char *copy = strdup(ptx), *at = find_fence(copy, n);
    const char *name = kernel_of(copy, at ? at : copy);
    if (at)
        fprintf(stderr, "without: %.*s in %.*s\n", (int)strcspn(at, ";"), at, (int)strcspn(name, "("), name);
    else
        fprintf(stderr, "without: nothing\n");
    if (at && strncmp(at, "barrier", 7) == 0) {
        char *wait = strstr(at, "barrier.cluster.wait");
        memset(at, ' ', strcspn(at, ";") + 1);
        memset(wait, ' ', strcspn(wait, ";") + 1);
    } else if (at && strncmp(at, "arrive", 6) == 0)
        memcpy(at + 6, ".relaxed", 8);
    else if (at && *at == 'b')
        memset(at, ' ', strcspn(at, ";") + 1);
    else if (at)
        memcpy(strchr(at, '.') + 1, "relaxed", 7);
    return copy;
}

int cuModuleLoadData(void **module, const void *image)
{
    int error = does("cuModuleLoadData");
    uint32_t magic;
    if (error)
        return error;
    memcpy(&magic, image, sizeof magic);
    if (magic == elf_magic)
        return look_at_machine_code(image);
    if (magic == fat_magic && !(image = take_from(image)))
        return NO_BINARY;
    if (getenv("STUB_WITHOUT"))
        image = without(image, atoi(getenv("STUB_WITHOUT")));
    *module = kernels_read(image);
    if (!*module || !strstr(image, ".version"))
        return INVALID_PTX;
    stub.loaded++;
    return 0;
}

int cuModuleUnload(void *module)
{
    kernels_free(module);
    stub.loaded--;
    return does("cuModuleUnload");
}

/* Behind a function stands its name. */
int cuModuleGetFunction(void **function, void *module, const char *name)
{
    int error = does("cuModuleGetFunction");
    *function = (void *)(uintptr_t)kernels_find(module, name);
    return error ? error : *function ? 0 : NOT_FOUND;
}

/* Shared memory beyond what every kernel may have must be asked for. */
static struct {
    void *function;
    int bytes;
} raised[1024];
static int nraised;

int cuFuncSetAttribute(void *function, int attribute, int value)
{
    int error = does("cuFuncSetAttribute");
    if (error || attribute != 8 || value < 0 || value > shared_most() || nraised == 1024)
        return error ? error : INVALID_VALUE;
    raised[nraised].function = function;
    raised[nraised++].bytes = value;
    return 0;
}

static unsigned shared_of(const void *function)
{
    int i = nraised;
    while (i > 0 && raised[i - 1].function != function)
        i--;
    return i > 0 ? (unsigned)raised[i - 1].bytes : 48 * 1024;
}

static int launch(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                  unsigned shared, void *stream, void **params, void **extra, unsigned cluster, int cooperative)
{
    static int launches;
    struct grid g = {grid_x, block_x, shared, params, most, launches & 1, may_touch, (uint64_t)launches, cluster, cooperative && !number("STUB_APART", 0)};
    launches++;
    if (!grid_x || grid_y != 1 || grid_z != 1 || !block_x || block_x > 1024 || block_y != 1 || block_z != 1 ||
        shared > shared_of(function) || extra)
        return INVALID_VALUE;
    stub.stream = stream;
    if (getenv("STUB_SAYS"))
        fprintf(stderr, "launched: %s, %u blocks of %u threads, %u bytes, clusters of %u%s\n", kernel_name(function), grid_x, block_x, shared, cluster,
                cooperative ? ", cooperative" : "");
    if (stub.launch)
        return stub.launch(kernel_name(function), grid_x, block_x, shared, params);
    if (!asynchronous)
        asynchronous = kernel_run(function, &g);
    return 0;
}

int cuLaunchKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                   void *stream, void **params, void **extra)
{
    int error = does("cuLaunchKernel");
    return error ? error : launch(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, stream, params, extra, 0, 0);
}

/* CUlaunchConfig, by the driver's documentation. */
struct attribute {
    int id;
    char pad[4];
    uint64_t value[8];
};
struct config {
    unsigned grid[3], block[3], shared;
    void *stream;
    const struct attribute *attribute;
    unsigned attributes;
};

/* Clusters are of 8 blocks at most, and a grid has whole ones. */
#ifndef STUB_IS_OLD /* drivers before CUDA 11.8 have no such function */
int cuLaunchKernelEx(const struct config *c, void *function, void **params, void **extra)
{
    enum { CLUSTER_DIMENSION = 4 };
    int error = does("cuLaunchKernelEx");
    unsigned cluster[3];
    if (error)
        return error;
    if (c->attributes != 1 || c->attribute->id != CLUSTER_DIMENSION || stub.major < 9)
        return INVALID_VALUE;
    memcpy(cluster, c->attribute->value, sizeof cluster);
    if (cluster[0] < 1 || cluster[0] > 8 || c->grid[0] % cluster[0] != 0 || cluster[1] != 1 || cluster[2] != 1)
        return INVALID_VALUE;
    return launch(function, c->grid[0], c->grid[1], c->grid[2], c->block[0], c->block[1], c->block[2], c->shared, c->stream, params, extra, cluster[0], 0);
}
#endif

/* A multiprocessor takes one of their blocks. */
#if !defined STUB_IS_OLD || STUB_IS_OLD < 9 /* before CUDA 9 */
int cuLaunchCooperativeKernel(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                              unsigned shared, void *stream, void **params)
{
    int error = does("cuLaunchCooperativeKernel");
    if (error || !is_cooperative() || grid_x > (unsigned)processors())
        return error ? error : is_cooperative() ? TOO_LARGE : NOT_SUPPORTED;
    return launch(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, stream, params, 0, 0, 1);
}
#endif

int cuGetErrorName(int error, const char **name)
{
    static const struct {
        int error;
        const char *name;
    } of[] = {{INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"}, {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
              {NO_DEVICE, "CUDA_ERROR_NO_DEVICE"},         {INVALID_PTX, "CUDA_ERROR_INVALID_PTX"},
              {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"}, {NO_BINARY, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
              {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},         {RUN_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
              {RUN_TIMEOUT, "CUDA_ERROR_LAUNCH_TIMEOUT"},  {RUN_MISALIGNED, "CUDA_ERROR_MISALIGNED_ADDRESS"},
              {RUN_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},    {TOO_LARGE, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE"},
              {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED"}};
    size_t i;
    *name = 0;
    for (i = 0; i < sizeof of / sizeof *of; i++)
        if (of[i].error == error)
            *name = of[i].name;
    return *name ? 0 : 1;
}
