/* What every target shares: the public interface as text. Names and order of all structs are written once, in interface.c;
 * header, manifest, ABI code and the JIT's calls follow it.
 *
 * For an entry `lstm` with parameters W, U, b, input x and states h, c, output h, precision float32:
 *
 *   typedef struct lstm_sizes      { int64_t T, B, D, H; } lstm_sizes;         T (if any), B, then the open dimensions
 *   typedef struct lstm_params     { const float *W, *U, *b; } lstm_params;
 *   typedef struct lstm_inputs     { const float *x; const int32_t *lengths; const uint8_t *resets; const float *h0, *c0;
 *                                    const int32_t *offsets; }
 *   typedef struct lstm_outputs    { float *h, *hT, *cT; }
 *   typedef struct lstm_cotangents { const float *d_h, *d_hT, *d_cT; }
 *   typedef struct lstm_grads      { float *W, *U, *b; }                       accumulated into; one per trainable parameter
 *   typedef struct lstm_input_grads{ float *x, *h0, *c0; }                     overwritten
 *   typedef struct lstm_weights    { float *W, *U, *b; }                       for lstm_init
 *   typedef struct lstm_carry      { float *h, *c; }                           in and out: one per ROLE_START argument
 *
 *   size_t     lstm_workspace(const lstm_sizes *, int passes);                 SIZE_MAX when it overflows
 *   size_t     lstm_packed_workspace(const lstm_sizes *, const int32_t *offsets, int passes);
 *   rnn_status lstm_forward  (const lstm_sizes *, const lstm_params *, const lstm_inputs *, const lstm_outputs *, const rnn_call *);
 *   rnn_status lstm_backward (const lstm_sizes *, const lstm_params *, const lstm_inputs *, const lstm_cotangents *,
 *                             const lstm_grads *, const lstm_input_grads *, const rnn_call *);
 *   rnn_status lstm_chunk    (const lstm_sizes *, const lstm_params *, const lstm_inputs *, const lstm_outputs *, const lstm_carry *, const rnn_call *);
 *   rnn_status lstm_step     (the same; sizes->T is not read: one place)
 *   rnn_status lstm_init     (const lstm_sizes *, const lstm_weights *, uint64_t seed);
 *   const rnn_info *lstm_info(void);
 *
 * With `offsets` [B+1] a call is of a packed batch: arrays over time are [T,...] instead of [T,B,...], and sequence b has the
 * places offsets[b] to offsets[b+1]. It is B calls of one sequence each.
 *
 * rnn_call { void *workspace; size_t bytes; int passes; rnn_parallel_for parallel; void *context; }: passes is RNN_FORWARD or
 * RNN_TRAIN; with RNN_TRAIN forward keeps in the workspace what backward needs. A dot in a name becomes `_` (fwd.W: fwd_W).
 * Empty structs do not exist: a struct without members has one `void *unused`.
 * Every member is 8 bytes: int64_t or a pointer.
 */
#ifndef BACKENDS_BACKEND_H
#define BACKENDS_BACKEND_H

#include "ir/kern/kern.h"

typedef enum IfaceStruct { IF_SIZES, IF_PARAMS, IF_INPUTS, IF_OUTPUTS, IF_COTANGENTS, IF_GRADS, IF_INPUT_GRADS, IF_WEIGHTS, IF_CARRY, IF_NSTRUCT } IfaceStruct;

typedef struct IfaceMember {
    Str name;      /* C name */
    uint32_t arg;  /* RecArg index, or K_NONE */
    uint32_t out;  /* RecOut index, or K_NONE */
    DimSym sym;    /* of IF_SIZES */
    bool offsets;  /* `offsets` of a packed batch, which no program knows of */
    DType dt;
    bool optional; /* may be NULL */
} IfaceMember;

typedef struct Iface {
    VEC(IfaceMember) member[IF_NSTRUCT];
} Iface;

Iface *iface_of(Arena *a, const KernProg *k);
const char *iface_struct_name(IfaceStruct s); /* "sizes", "params", ... */
/* The structs that a function takes, in order; what follows them (rnn_call, seed) is the function's own. */
typedef enum IfaceFn { IFN_WORKSPACE, IFN_PACKED, IFN_FORWARD, IFN_BACKWARD, IFN_CHUNK, IFN_STEP, IFN_INIT, IFN_INFO, IFN_COUNT } IfaceFn;
typedef struct IfaceFnInfo {
    const char *name; /* "forward" */
    uint8_t n;
    IfaceStruct takes[6];
    bool call; /* takes a rnn_call */
} IfaceFnInfo;
const IfaceFnInfo *iface_fn(IfaceFn f);
bool iface_has_fn(const KernProg *k, IfaceFn f);
bool iface_may_be_null(const Iface *f, IfaceStruct s); /* the struct as a whole: nothing in it must be given */
Str iface_public(Arena *a, Str prefix, IfaceFn f);     /* the symbol: `lstm_forward` */
Str iface_prefix(const KernProg *k, Str prefix);       /* the program's name when empty */
Str iface_c_name(Arena *a, Str text);                  /* dots become `_`; `_` behind what C, C++ or their headers take */
Str iface_shape(Arena *a, const KernProg *k, const Type *type, bool batched); /* "[T, B, 4, H]", "" for a scalar */
uint32_t iface_array_dims(const KernProg *k, const Type *type, bool batched, Dim out[MAXRANK + 1]);
Str iface_member_shape(Arena *a, const KernProg *k, const IfaceMember *m);
const char *iface_c_type(DType dt, bool f64); /* "float", "int32_t" */
const char *iface_stored_type(Narrow n, DType dt, bool f64); /* the same, or "rnn_bf16" */
const char *iface_member_type(const KernProg *k, const IfaceMember *m, bool f64); /* of its elements: "float", "rnn_bf16" */
Str iface_precision(const KernProg *k, bool f64); /* "single", "double", "bf16", "f16" */
uint32_t iface_extents(const KernProg *k, const Type *lengths, DimSym *extent); /* what lengths count, axis by axis; how many */
bool iface_time(const KernProg *k, DimSym *time);      /* the first time dimension, if any */
RecFace iface_face(const KernProg *k);
bool iface_packs(const KernProg *k);                   /* can be called with a packed batch: see ir/rec/packed.c */
bool iface_counts_chunks(const KernProg *k, DimSym quotient); /* a rounded one: it says how many chunks or pieces there are */
bool iface_in_order(const KernProg *k);               /* inference runs step by step: no recurrence of it is cut into chunks or pieces, and sums have one order */
bool iface_streams(const KernProg *k, Str *why);       /* has a chunk and step form; else the reason, which may be empty */

enum { RNN_PASS_FORWARD = 1, RNN_PASS_TRAIN = 3 };
enum { RNN_ABI_NUMBER = 2 }; /* grows when a generated interface changes its meaning */

typedef struct HeaderOptions {
    Str prefix;      /* the program's name when empty */
    bool f64;
    Str source_file; /* as the user wrote it */
    Str version;
    Str functions;   /* declarations in place of the CPU's; empty: those of the CPU */
} HeaderOptions;
Str header_text(Arena *a, const KernProg *k, const HeaderOptions *o);   /* header.c: the generated .h */
Str iface_comment(Arena *a, Str s); /* header.c: the user's words on one line, that neither end a comment nor open one */
Str manifest_text(Arena *a, const KernProg *k, const HeaderOptions *o); /* manifest.c: the generated .json */

/* manifest.c: pieces of JSON */
void json_put_string(Text *t, Str s);
void json_put_field(Text *t, const char *name, Str value, const char *end); /* "name": "value", then `end` */
Str json_file_name(Str path);                                               /* without folders */

extern const char graph_plan_text[]; /* graph_plan.h, as it stands in generated headers */

/* status.def: STATUS(ENUM, "RNN_ENUM", number, "what it means"), the one list of what generated functions return */
typedef enum RnnStatus {
#define STATUS(ENUM, NUMBER, TEXT) RNN_##ENUM = NUMBER,
#include "backends/status.def"
#undef STATUS
} RnnStatus;

#endif
