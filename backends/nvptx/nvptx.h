/* kern to PTX, for programs of elementwise and serial loops: what a diagonal recurrence gives, in the sequential form and as
 * a scan. Everything else is refused, with what is in the way and its place.
 *
 * Each statement at the top of a function that touches memory becomes one kernel; kernels run in order. Iterations of its
 * outer parallel loops are spread over threads, and a serial loop around them runs inside each thread, which is right only
 * where iterations of different threads never meet in memory (map.c proves it). A thread takes every grid-size-th iteration,
 * so any grid and any block will do.
 *
 * A kernel gets the buffers that it touches, the sizes that it needs, and flags of arguments, as numbers of 64 bits. Arrays
 * are as on the CPU: a missing optional argument is an array of zeros, a missing optional output a null pointer. */
#ifndef BACKENDS_NVPTX_H
#define BACKENDS_NVPTX_H

#include "ir/kern/kern.h"

enum { NV_MAXLEVEL = 8 };

typedef struct NvParam {
    enum { NV_BUFFER, NV_SIZE, NV_GIVEN } kind;
    uint32_t index; /* KBufId, DimSym, RecArg index */
    bool written;   /* of a buffer: by this kernel */
} NvParam;

/* A loop whose iterations have threads. Level 0 is the outermost; loops of one level have one extent. */
typedef struct NvAxis {
    KVar var;
    uint32_t level;
} NvAxis;

typedef struct NvKernel {
    Str name;
    KBlock before; /* scalars of the function that it needs: every thread computes them */
    KStmt *root;   /* what it does */
    VEC(NvAxis) axis;
    uint32_t nlevel;
    Dim extent[NV_MAXLEVEL];
    Dim threads; /* the product of the extents */
    VEC(NvParam) param;
} NvKernel;

typedef struct NvFn {
    VEC(NvKernel) kernel;
    Str refused; /* why there is none; empty when there is */
    Span at;
} NvFn;

typedef struct NvPlan {
    Arena *arena;
    KernProg *k;
    NvFn fn[REC_NFN]; /* not REC_INIT */
} NvPlan;

typedef struct NvOptions {
    Str prefix; /* of the kernels' names; the program's name when empty */
    Str arch;   /* a row of arch.def */
    bool f64;
    Str version;
    Str source_file;
} NvOptions;

const char *nv_arch(uint32_t i); /* NULL past the last */

/* map.c: which kernels, and which loops become threads */
NvPlan *nv_plan(Arena *a, KernProg *k, const NvOptions *o);
/* ptx.c: the kernels as text, in the lowest PTX version that the architecture has */
Str nv_ptx(const NvPlan *p, const NvOptions *o);
/* manifest.c: what a program that launches them must know, as JSON */
Str nv_manifest(const NvPlan *p, const NvOptions *o);

#endif
