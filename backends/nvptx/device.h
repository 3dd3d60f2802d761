/* Launching kernels from here: what a generated launcher does, by the same tables and the same code, and the memory that its caller would
 * bring. The driver is opened at run time: without one there is no device, and the reason. */
#ifndef BACKENDS_NVPTX_DEVICE_H
#define BACKENDS_NVPTX_DEVICE_H

#include "backends/backend.h"
#include "backends/nvptx/nvptx.h"

/* The first GPU that the driver shows; its context is current in this thread from then on. NULL, and why, when there is none. */
typedef struct NvDevice NvDevice;
NvDevice *nv_device_open(Arena *a, Str *why);
void nv_device_close(NvDevice *d);
Str nv_device_name(const NvDevice *d);
Str nv_device_arch(const NvDevice *d); /* the newest of arch.def that it runs; empty when it is older than all */
/* What it can do by its data sheet, of which the driver knows the clocks: operations, bytes a second; 0: it does not say. */
double nv_device_flops(const NvDevice *d, bool f64);
double nv_device_bandwidth(const NvDevice *d);

/* A plan's kernels, loaded. The plan's arena must live as long. NULL, and why, when the driver does not take them. */
typedef struct NvCode NvCode;
NvCode *nv_load(NvDevice *d, const NvPlan *p, const NvOptions *o, Str ptx, Str *error);
void nv_unload(NvCode *c);

/* Arrays on the device, for any number of calls. Arrays are in the caller's precision, by RecArg and RecOut index, NULL where not given;
 * a carry stands in `in`, at its start value. `dim` is indexed by DimSym. Workspace is kept in the code from a forward call to the
 * backward one. Lengths must be sound, as for any launcher. What was opened must be closed, also where that has failed. */
typedef struct NvCall NvCall;
RnnStatus nv_call_open(NvCall **out, NvCode *c, IfaceFn fn, const int64_t *dim, void *const *in, void *const *results);
RnnStatus nv_call_start(NvCall *call, IfaceFn fn, bool train); /* launches; nothing is waited for */
RnnStatus nv_call_wait(NvCall *call);                          /* RNN_INDEX where an index was out of range */
RnnStatus nv_call_read(NvCall *call, void *const *in, void *const *out); /* results, and the carry */
void nv_call_close(NvCall *call);
/* All of these. */
RnnStatus nv_call(NvCode *c, IfaceFn fn, const int64_t *dim, void *const *in, void *const *out, bool train);
Str nv_error(Arena *a, const NvCode *c); /* what RNN_CUDA means: "cuLaunchKernel: CUDA_ERROR_INVALID_VALUE" */

#endif
