#include "device.h"

#include <dlfcn.h>
#include <string.h>

/* The functions stand in the struct in this order. */
static const char *const names[] = {"cuInit",
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
enum { NFUNCTION = sizeof names / sizeof *names };

static int fine(Device *d, const char *call, int result)
{
    if (result != 0)
        d->failed = call;
    return result == 0;
}

static int load(Device *d)
{
    char *table = (char *)d + offsetof(Device, init);
    d->library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!d->library)
        return fine(d, "libcuda.so.1", 1);
    for (int i = 0; i < NFUNCTION; i++) {
        void *f = dlsym(d->library, names[i]);
        if (!f)
            return fine(d, names[i], 1);
        memcpy(table + (size_t)i * sizeof f, &f, sizeof f);
    }
    return 1;
}

int device_open(Device *d)
{
    *d = (Device){0};
    if (load(d) && fine(d, "cuInit", d->init(0)) && fine(d, "cuDeviceGet", d->get(&d->number, 0)) &&
        fine(d, "cuDeviceGetName", d->get_name(d->name, (int)sizeof d->name, d->number)) &&
        fine(d, "cuDevicePrimaryCtxRetain", d->retain(&d->context, d->number)) &&
        fine(d, "cuCtxSetCurrent", d->set_current(d->context)))
        return 1;
    device_close(d);
    return 0;
}

void device_close(Device *d)
{
    if (d->context)
        d->release(d->number);
    if (d->library)
        dlclose(d->library);
    d->context = d->library = NULL;
}

void *device_new(Device *d, size_t bytes, const void *from)
{
    uint64_t at = 0;
    if (!fine(d, "cuMemAlloc", d->alloc(&at, bytes)))
        return NULL;
    if (from && !fine(d, "cuMemcpyHtoD", d->to(at, from, bytes)))
        return NULL;
    return (void *)(uintptr_t)at;
}

void device_free(Device *d, void *at)
{
    if (at)
        d->free((uint64_t)(uintptr_t)at);
}

int device_read(Device *d, void *to, const void *at, size_t bytes)
{
    return fine(d, "cuMemcpyDtoH", d->from(to, (uint64_t)(uintptr_t)at, bytes));
}

int device_wait(Device *d)
{
    return fine(d, "cuCtxSynchronize", d->wait());
}
