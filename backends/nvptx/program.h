/* Inside of backends/nvptx: the tables that kernels are launched from. */
#ifndef BACKENDS_NVPTX_PROGRAM_H
#define BACKENDS_NVPTX_PROGRAM_H

#include "backends/backend.h"
#include "backends/nvptx/launch_table.h"
#include "backends/nvptx/nvptx.h"

typedef struct NvProgram {
    cuda_program tables;
    Str code; /* tables.code; a NUL stands behind it */
    const Iface *iface;
    cuda_struct of[IF_NSTRUCT];                   /* IF_SIZES has none */
    uint32_t nterm, nmember, nparam, nwork, most_params; /* rows, which the tables do not count */
} NvProgram;

uint32_t nv_kernels(const NvPlan *p); /* of all functions */
const NvProgram *nv_program(const NvPlan *plan, const NvOptions *o, Str code);

#endif
