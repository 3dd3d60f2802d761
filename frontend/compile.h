/* The straight line from a loaded file to object code, as far as it is asked for. */
#ifndef FRONTEND_COMPILE_H
#define FRONTEND_COMPILE_H

#include "backends/cpu/cpu.h"
#include "backends/nvptx/nvptx.h"
#include "frontend/elab.h"

typedef enum Emit { EMIT_REC, EMIT_KERN, EMIT_LL, EMIT_S, EMIT_OBJ, EMIT_PTX } Emit;

typedef struct Compile {
    Arena *arena;
    CpuOptions cpu;
    bool for_gpu;     /* kern is made for a GPU, whatever the last stage is */
    NvOptions gpu;    /* for EMIT_PTX */
    Emit emit;        /* the last stage */
    Str stop_after;   /* a pass, "rec.hoist": the program as it leaves it is the result; empty for none */
    Str dump_after;   /* a pass: prints to `dump` and goes on */
    FILE *dump;
    RecProg *rec;     /* the raw program when compile() begins; or NULL, and kern given */
    KernProg *kern;
    NvPlan *plan;     /* for EMIT_PTX: kernels, or why there are none */
    Str result;       /* text or object code */
} Compile;

void compile(Compile *c);

/* A raw program with its backward function, for the reference evaluator. */
void compile_reference(RecProg *raw);

/* ---- passes.c: the lists of passes ---- */
Str pass_name(Arena *a, uint32_t i); /* "lower", "rec.hoist", in order; empty past the last */
/* False when it stopped, and c->result is the program's text. */
bool run_rec_passes(Compile *c);
bool run_kern_passes(Compile *c);
/* Stops the compiler, naming the pass, when it broke the program. */
void check_rec(const RecProg *p, const char *pass);
void check_kern(const KernProg *k, const char *pass);
Str rec_text(Arena *a, const RecProg *p);
Str kern_text(Arena *a, const KernProg *k);

#endif
