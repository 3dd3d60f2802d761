/* Inside of backends/nvptx: kernels as LLVM functions. */
#ifndef BACKENDS_NVPTX_EMIT_H
#define BACKENDS_NVPTX_EMIT_H

#include "backends/cpu/build.h"
#include "backends/nvptx/nvptx.h"

/* Where a kernel's iterations come from. */
typedef enum NvThreads {
    NV_GRID,     /* threads of a grid; parameters by value, buffers in global memory */
    NV_EMULATED, /* for tests, on a CPU: NAME(const int64_t *params, int64_t first, int64_t step) runs one thread, which
                  * takes the iterations first, first + step, ... */
} NvThreads;

void nv_emit(const NvPlan *p, CpuGen g, NvThreads threads);

#endif
