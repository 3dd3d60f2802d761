/* One call of an entry on whole arrays: sizes, arguments and results, and the ways to get from one to the other.
 *
 * Arrays are doubles here, in the caller's layout: the batch axis behind a leading time axis, else in front; in a packed
 * batch not in arrays over time, which hold the sequences end to end. `prog` is the
 * reference program (raw, with its backward function); everything is indexed as in it. */
#ifndef FRONTEND_RUN_FRAME_H
#define FRONTEND_RUN_FRAME_H

#include "backends/nvptx/device.h"
#include "frontend/arrays.h"
#include "frontend/compile.h"

/* What a form tells of a call (OUT_REPORT). */
typedef struct Report {
    Str name;
    int64_t n;
    double *value;
} Report;

typedef struct Frame {
    Arena *arena;
    const RecProg *prog;
    int64_t *dim; /* by DimSym; -1: not known yet */
    Str *origin;  /* by DimSym: where a size was found, "from `h0`, axis 1"; empty when it follows from others */
    const int32_t *offset; /* [B+1]: where each sequence of a packed batch begins, and T; NULL: it is not packed */
    double **in;  /* by RecArg; NULL: not given */
    double **out; /* by RecOut; NULL: not computed */
    VEC(Report) report; /* of the last compiled call */
    VEC(Report) guess;  /* what compiled calls are given besides (ROLE_GUESS), by name */
    FactorType factor;  /* frame_rounded: of contractions */
    RecWatch *watch;    /* told of every step that the evaluator makes; NULL for none */
    void *watching;
    int64_t sequence, sequences; /* which of the batch the evaluator is at, and of how many */
} Frame;

/* The GPU that code is for. */
typedef struct Gpu {
    NvDevice *device;
    Str arch;
    FactorType products; /* --products */
} Gpu;

/* What was compiled, loaded and ready to be called: `code` on this machine's CPU, or `gpu`. */
typedef struct Code {
    KernProg *kern;
    CpuOptions cpu; /* of a GPU: its precision */
    Str arch;       /* of a GPU */
    FactorType products; /* likewise: --products */
    CpuCode *code;
    NvCode *gpu;
} Code;

Frame *frame_new(Arena *a, const RecProg *prog);
/* Sizes of an array of the caller's; false when a size overflows or is not known. */
bool frame_shape(const Frame *f, const Type *type, bool batched, Array *out);
int64_t frame_count(const Frame *f, const Type *type, bool batched); /* elements; stops the compiler on overflow */
bool frame_fits(const Frame *f, Str *error);                         /* no array of the call overflows */
double *frame_array(const Frame *f, const Type *type, bool batched);  /* zeros */
uint8_t frame_extents(const Frame *f, int64_t *extent); /* how far sequences go, axis by axis; how many axes */
bool frame_is_timed(const RecProg *p, const Type *type);             /* leads with a time axis */
/* Arrays as code keeps them that stores reals in 16 bits: arguments rounded; results beyond its largest number infinite. */
void frame_round(Frame *f, Narrow n);
void frame_overflow(Frame *f, Narrow n);
bool frame_axis(const RecProg *p, const Type *type, bool batched, uint32_t axis, Dim *out); /* false past the last axis */

/* ---- run_packed.c ---- */
bool frame_batched(const Frame *f, const Type *type, bool batched); /* whether the caller's array has an axis B */
int64_t frame_places_of(const Frame *f, int64_t b);                 /* how long sequence b is */
/* Sequence b of a packed batch, as a call of its own on its parts of the arrays. */
Frame frame_sequence(const Frame *f, int64_t b);

/* ---- run_places.c ---- */
/* The places of an array: its leading axes, each one of the cell's axes. */
typedef struct Places {
    uint8_t n, of_cell; /* how many, and how many the cell has */
    uint8_t axis[REC_MAXAXES];
    int64_t extent[REC_MAXAXES], all;
} Places;
Places frame_places(const Frame *f, const Type *type);
/* Is place number `place` beyond a sequence of these lengths, one for each of the cell's axes? */
bool places_beyond(const Places *at, int64_t place, const double *length);

/* ---- run_dims.c: sizes from shapes ---- */
Str dims_type_str(const Frame *f, const Type *type, bool batched); /* the caller's array: "real[T, B, 2*H]" */
/* Takes an array's shape as that of an argument; false, and a message, when it cannot be. */
bool dims_from_shape(Frame *f, const Type *type, bool batched, Str name, const Array *shape, Str *error);
/* Makes those sizes of `dim` that follow from others, where they do. */
void dims_derive(const DimTab *t, const struct RecDerivedDim *derived, uint32_t n, int64_t *dim);
/* Dimensions that follow from others, and divisions that must be exact; false, and a message, when a size is missing. */
bool dims_complete(Frame *f, Str *error);
/* What dims_complete leaves out of a packed batch: whether each sequence's own sizes fit. */
bool dims_fit_sequences(const Frame *f, Str *error);

/* ---- run_reference.c: the evaluator, sequence by sequence; gradients of parameters are summed ---- */
bool frame_reference(Frame *f, bool grad, Str *error);
bool frame_rounded(Frame *f, bool grad, Str *error); /* every operation's result rounded to single precision, factors as f says */
/* Values for parameters that have none, from their distributions. */
bool frame_init(Frame *f, uint64_t seed, Str *error);

/* ---- run_compiled.c ---- */
/* `raw` is used up. False, and a message, when the machine cannot run it. */
bool code_make(Arena *a, RecProg *raw, const CpuOptions *cpu, Code *out, Str *error);
void code_free(Code *code);
bool frame_compiled(Frame *f, const Code *code, bool grad, Str *error);
/* The sequence in pieces with carried state; piece by piece `size` places (the last one shorter). `step`: by the step
 * function. Needs ROLE_START arguments given or not; outputs and finals go to f->out. */
bool frame_chunks(Frame *f, const Code *code, int64_t size, bool step, Str *error);

/* ---- run_gpu.c ---- */
/* As code_make, for a GPU, in the precision that `cpu` says. */
bool code_make_gpu(Arena *a, RecProg *raw, const CpuOptions *cpu, const Gpu *gpu, Code *out, Str *error);
bool code_is_there(const Code *code);
/* A forward or backward call, of chunk or of step; an RnnStatus, and its text. */
int code_call(const Code *code, RecFn fn, const int64_t *dim, void *const *in, void *const *out, const int32_t *offset, bool train);
int code_call_chunk(const Code *code, bool step, const int64_t *dim, void *const *in, void *const *out);
Str code_status_text(Arena *a, const Code *code, int status);
/* Sequence after sequence: a GPU has no packed batches. */
bool frame_one_by_one(Frame *f, const Code *code, bool grad, Str *error);

/* The sizes of a call by the symbols of another program of the entry, with the numbers of chunks that it has. */
int64_t *frame_dims(const Frame *f, const DimTab *t, const struct RecDerivedDim *derived, uint32_t n);

/* The caller's arrays in the code's own types: by RecArg and RecOut of code->kern. */
typedef struct Native {
    void **in, **out;
    int64_t *dim;
} Native;
Native native_of(const Frame *f, const Code *code);
void native_results(Frame *f, const Code *code, const Native *n, bool grad);

#endif
