/* rec: recurrences over domains, in SSA over tensors with symbolic sizes.
 *
 * One RecProg is one entry (a cell over its sequence, or a model), with up to three functions, each a root region:
 * forward (outputs from arguments), backward (gradients from arguments, cotangents and any value of the forward
 * function; what it uses of those is what training keeps) and init (parameters from a seed).
 *
 * A value is an op; its id is its index. Ops never change type; a pass appends ops, redirects uses and lets
 * rec_compact drop the dead ones. Regions are ordered lists of ops; an op may use values of its own region that stand
 * before it, and values of enclosing regions.
 *
 * AXES. MAP, REDUCE, CONTRACT, GATHER, SCATTER run over an *iteration space*: axes 0..rank-1 are the axes of the result,
 * axes rank..nit-1 are reduced. Each operand says, axis by axis, which iteration axis it follows (RecUse.axis); axes that
 * an operand does not name are broadcast. So transposition, broadcasting and diagonals need no ops of their own, and
 * adding a batch or time axis to an op is inserting one iteration axis.
 *
 * LAYOUT. Until rec.batch a program is written for one sequence. rec.batch adds the axis B to all that depends on
 * batched arguments: behind leading time axes, else in front.
 */
#ifndef IR_REC_H
#define IR_REC_H

#include "lang/factor.h"
#include "lang/fun.h"
#include "lang/source.h"

typedef uint32_t RecId;     /* an op, and its value; REC_NONE for none */
typedef uint32_t RecRegion; /* index into RecProg.region */
#define REC_NONE UINT32_MAX
enum { MAXIT = 12, REC_MAXAXES = 4 };

typedef enum RecKind {
#define OP(ENUM, TEXT, CLASS) REC_##ENUM,
#include "ir/rec/rec_ops.def"
#undef OP
    REC_KIND_COUNT
} RecKind;

typedef enum RecReduce { RED_SUM, RED_PROD, RED_MAX, RED_MIN, RED_COUNT } RecReduce; /* of nothing: 0, 1, -inf, inf */

/* An operand with its axis map: operand axis i runs along iteration axis axis[i]. Ops without an iteration space
 * (SLICE, PAD, CONCAT, RESHAPE, RECUR) leave the map unused. */
typedef struct RecUse {
    RecId v;
    uint8_t axis[MAXRANK];
} RecUse;

/*  kind     operands              attributes and meaning
 *  ARG      -                     arg: index into RecProg.arg. The caller's array (zero when an optional one is missing).
 *  CONST    -                     number. A scalar.
 *  DIM      -                     dim: a size as an int scalar.
 *  IOTA     -                     type int[n]: 0, 1, ..., n-1.
 *  RANDOM   -                     stream: uniform in (0, 1), element i from (seed, stream, i): see rec_random(). Only in init.
 *  GIVEN    -                     arg: bool scalar, whether the caller passed that optional argument.
 *  MAP      fun's arity           fun, elementwise over the iteration space (no reduced axes).
 *  REDUCE   a                     red, over the reduced axes. Every result axis is named by the operand.
 *  CONTRACT a, b                  sum over the reduced axes of a * b. Each reduced axis is named by both; each result axis by
 *                                 at least one.
 *  GATHER   table, i0, i1, ...    for iteration point p (no reduced axes): table[...] where table axis k of the first
 *                                 nindex axes is indexed by the value of operand i_k (an int, with its own map), and
 *                                 the remaining table axes follow iteration axes use[0].axis[k]. An index outside is clamped
 *                                 and makes the generated function return RNN_INDEX; the evaluator reports it.
 *  SCATTER  d, i0, i1, ...        the adjoint of GATHER: a zero tensor of this op's type (the table's) to which, for every
 *                                 point p of the iteration space (space[0..nit-1]; the result has no iteration axes), d at p
 *                                 is added at [i0, i1, ..., rest]; axis k >= nindex of the result follows iteration axis
 *                                 out_axis[k].
 *  SLICE    a                     along `along`: elements [lo, lo + size), size being the result's.
 *  PAD      a                     along `along`: zeros, with a at [lo, lo + a's size). Adjoint of SLICE.
 *  CONCAT   a, b, ...             along `along`.
 *  RESHAPE  a                     same elements in row-major order.
 *  RECUR    init..., seq...       the recurrence: see below.
 *  PROJ     recur                 index: its result number.
 *  REGARG   -                     index: argument number of its region (owner is the region's op).
 *  HISTORY  -                     index: a per-step result of the recurrence in whose region it stands, stacked as its PROJ is:
 *                                 as far as places ran before; what a place that did not run would be may be anything finite
 *                                 (the evaluator gives 0), so it must not reach a value. Only as the table of a GATHER. Not
 *                                 over a grid.
 *
 * RECUR runs its region `region` once for each place 0..length-1 (length-1..0 when `reverse`). Operands: nstate initial
 * states, then nseq sequences whose axis 0 has size `length`. Region arguments (REGARG): the nstate carried states as the
 * step before left them, then the nseq elements at this place (axis 0 taken off). Region results (RecRegionInfo.result):
 * nstate new states, then nout per-step values. Its own results (PROJ): nstate final states, then nout sequences, each
 * per-step value stacked along a new axis 0 at its own place. Lengths and resets are spelt out with WHERE inside.
 * An `until` RECUR has no per-step values, and its last state is a bool: before each step it ends if that is true. So
 * `length` is only the most that it does.
 * A RECUR with a `grid` runs over all places of a grid instead of a line: see RecGrid.
 * A RECUR in `pieces` is affine, and rec.scan runs so many parts of its places side by side, as many places in each.
 * An `is_operator` RECUR has one place and as many sequences as states, of the same types: it is a call of an associative
 * operator that the user declared, states on its left, sequences on its right. See operator.h.
 * A `chunk` RECUR's step is a chunk of places: its work stays in it, and the backward function makes it again instead of
 * keeping it.
 */
/* A place, as seen from another one: so many steps along each axis. */
typedef struct RecOffset {
    int16_t by[REC_MAXAXES];
} RecOffset;

/* The places of a RECUR over a grid: sequences have `naxes` leading axes of these extents (the first is `length`), and so
 * have stacked per-step values. State k as carried, at place p, is the new state k of place p + by[k]; where that lies
 * outside of the grid it is the initial state. Places run in any order in which each follows those that it reads
 * (rec_grid_order finds one). There are no final states. Only rec.grid and what stands before it know of grids. */
typedef struct RecGrid {
    uint8_t naxes;
    Dim extent[REC_MAXAXES];
    RecOffset *by; /* [nstate] */
} RecGrid;

typedef struct RecOp {
    RecKind kind;
    Type type;        /* of the result; of RECUR: unused (rank 0) */
    RecRegion home;   /* the region it stands in */
    uint32_t nuse;
    RecUse *use;      /* in the program's arena */
    uint8_t nit;      /* iteration axes: type.rank, plus the reduced ones */
    Dim space[MAXIT]; /* their sizes */
    union {
        uint32_t arg;                                  /* ARG, GIVEN */
        double number;                                 /* CONST */
        Dim dim;                                       /* DIM */
        uint32_t stream;                               /* RANDOM */
        Fun fun;                                       /* MAP */
        RecReduce red;                                 /* REDUCE */
        struct { uint8_t nindex; uint8_t out_axis[MAXRANK]; }; /* GATHER (nindex), SCATTER */
        struct { uint8_t along; Dim lo; };             /* SLICE, PAD, CONCAT (along) */
        struct { RecRegion region; uint32_t nstate, nseq, nout; Dim length; bool reverse, chunk, until, is_operator; uint32_t pieces; const RecGrid *grid; }; /* RECUR */
        uint32_t index;                                /* PROJ, REGARG, HISTORY */
    };
    Str name;         /* of the `let` or state it came from, for people; may be empty; never decides anything */
    Span at;
} RecOp;

typedef struct RecRegionInfo {
    VEC(RecId) op;      /* in order */
    VEC(RecId) arg;     /* REGARGs (they also stand in op, first) */
    VEC(RecId) result;  /* of a RECUR's region */
    RecId owner;        /* the RECUR, or REC_NONE for a root */
} RecRegionInfo;

/* What an argument is to the caller. */
typedef enum RecRole {
    ROLE_PARAM,   /* shared by all sequences */
    ROLE_PLAN,    /* of a cell over a graph: in which order its nodes run, and where edges lead; made from the edges */
    ROLE_INPUT,   /* per place (leading time axis) or per sequence; type is that of one sequence */
    ROLE_START,   /* initial state `h0`: optional */
    ROLE_LENGTH,  /* `lengths`: int, per sequence, optional: the whole T */
    ROLE_RESET,   /* `resets`: bool[T], optional: none */
    ROLE_COTANGENT, /* `d_<output>`, `d_<state>T`: optional: zero */
    ROLE_GUESS,  /* what a form begins its iterations with, as a pass of the form adds it: optional */
    ROLE_SEED,   /* only for init */
} RecRole;

typedef struct RecArg {
    Str name;    /* as in files: `x`, `fwd.W`, `h0`, `lengths`, `d_h` */
    RecRole role;
    Type type;   /* for one sequence, as the text has it */
    bool optional;
    bool frozen; /* a parameter without gradient */
    bool batched; /* has an axis B in the caller's array (set from the role; parameters have none) */
    RecId value; /* its ARG op */
    uint32_t of; /* COTANGENT: index into RecProg.out; START: index of the final-state output in RecProg.out */
    Str doc;
    Span at;
} RecArg;

typedef enum RecOutRole {
    OUT_VALUE,      /* a declared output: per place when its type leads with time, else per sequence */
    OUT_FINAL,      /* final state `hT` */
    OUT_GRAD,       /* gradient `d_x`, `d_h0` of argument `of`; overwritten */
    OUT_GRAD_PARAM, /* gradient of parameter `of`; the generated function adds to the caller's array */
    OUT_PARAM,      /* init: value for parameter `of` */
    OUT_REPORT,     /* how forward went, as a pass of a form adds it; never differentiated */
} RecOutRole;

typedef struct RecOut {
    Str name;
    RecOutRole role;
    Type type;   /* for one sequence (of a parameter: its own) */
    RecId value;
    uint32_t of; /* argument index for OUT_GRAD*, OUT_PARAM; for OUT_FINAL the ROLE_START argument */
    bool batched;
    bool streams; /* `chunk` and `step` give it: it needs nothing from later places */
    Str why_not;  /* when it does not stream: the reason */
    Str doc;
    Span at;
} RecOut;

/* Why a recurrence does not have a form. */
typedef enum RecWhy {
#define WHY(NAME, ID, TEXT) WHY_##NAME,
#include "ir/rec/why.def"
#undef WHY
} RecWhy;

/* What Newton's iterations take for the derivative of a step. */
typedef enum RecDerivative {
    REC_DERIVATIVE_AUTO,     /* nobody says; see newton_dear.c */
    REC_DERIVATIVE_EXACT,
    REC_DERIVATIVE_BLOCK,    /* of each element by those of all states at its own place */
    REC_DERIVATIVE_DIAGONAL, /* of each element by itself */
} RecDerivative;

/* How recurrences are to be run. */
typedef struct RecForm {
    /* REC_FORM_AUTO: nobody says; see chunk.c. Users cannot name it. */
    enum { REC_FORM_SEQUENTIAL, REC_FORM_CHUNK, REC_FORM_SCAN, REC_FORM_NEWTON, REC_FORM_CONVOLUTION, REC_FORM_WAVEFRONT, REC_FORM_CASCADE, REC_FORM_BLOCK, REC_FORM_AUTO } kind;
    uint32_t size; /* places in a chunk or window; pieces that a scan cuts the places into */
    /* Of NEWTON; 0, 0 and false for what is done where nobody says. */
    uint32_t rounds;  /* iterations in a window, at most */
    double tolerance; /* of the states, relative to the largest of a window */
    bool no_fallback; /* what could not be shown to be right is not run again */
    bool no_clamp;    /* guesses may leave the boxes that the step does not leave */
    uint32_t store;   /* training keeps the states of every so many places, and makes the steps between again; 0, 1: of all */
    RecDerivative derivative;
    uint32_t pieces;  /* in which an iteration's affine recurrence runs side by side; 0, 1: place by place */
    double damping;   /* by how much the derivative is made smaller after an iteration that got nothing nearer */
} RecForm;

/* A form that can be asked for. `form.size` is what it is where no size is said; 0 when it must be, or when there is none. */
typedef struct RecFormName {
    const char *text;
    RecForm form;
    bool sized;
} RecFormName;
enum { REC_FORM_MAXSIZE = 4096 };

typedef enum RecFn { REC_FORWARD, REC_BACKWARD, REC_INIT, REC_NFN } RecFn;

typedef struct RecProg {
    Arena *arena;
    DimTab *dims;
    Str name;                 /* the entry's name */
    Str doc;
    bool is_model;
    DimSym batch, keep;       /* B and the keep flag; always exist */
    bool has_time;
    DimSym time;              /* T of a cell; of a model its first time dimension */
    bool batched;             /* rec.batch has run */
    RecForm form;             /* asked for; not part of the text */
    uint32_t file;            /* source that the entry stands in, 0 if unknown; not part of the text */
    bool chosen;              /* has derivatives of the user's choice, which differences need not agree with; not part of the text */
    double unit;              /* rounding unit of the precision that it will run in; not part of the text */
    RecWhy form_missing;      /* why no recurrence has it; set by rec.cascade, rec.wavefront and rec.chunk */
    Span form_missing_at;
    RecWhy store_missing;     /* why form.store does nothing; set by rec.store */
    VEC(Dim) pieced;          /* lengths of what rec.operators made side by side already; not part of the text */
    VEC(RecOp) op;
    VEC(RecRegionInfo) region; /* [0], [1], [2]: forward, backward, init */
    VEC(RecArg) arg;
    VEC(RecOut) out;
    /* Dimensions that are arguments of the generated functions, in the order of the text (T and B first). */
    VEC(DimSym) open;
    /* `P = D / G`: what must divide what, checked by the generated functions and when arrays are read; with `floor` a
     * number of whole chunks, which passes make: it is rounded down. */
    VEC(struct RecDerivedDim { DimSym sym; Dim num; Dim den; bool floor; }) derived;
    /* Sizes that must not be negative (`x[5]` of a real[H] needs H - 6), checked like `derived`. */
    VEC(struct RecNeed { Dim dim; Span at; }) need;
} RecProg;

/* ---- rec.c: making programs ---- */
RecProg *rec_prog_new(Arena *a, DimTab *dims, Str name);

/* A builder appends ops at the end of one region. */
typedef struct RecBuild {
    RecProg *prog;
    RecRegion region;
    Span at;
    Str name;
} RecBuild;

static inline RecOp *rec_op(const RecProg *p, RecId v)
{
    return &p->op.p[v];
}
static inline const Type *rec_type(const RecProg *p, RecId v)
{
    return &p->op.p[v].type;
}

RecId rec_arg(RecBuild *b, RecArg arg);                     /* adds the argument and its ARG op */
uint32_t rec_out(RecProg *p, RecOut out);                   /* adds an output */
RecId rec_const(RecBuild *b, DType dt, double number);
RecId rec_dim(RecBuild *b, Dim d);
RecId rec_iota(RecBuild *b, Dim n);
RecId rec_random(RecBuild *b, Type type, uint32_t stream);
RecId rec_given(RecBuild *b, uint32_t arg);
/* General forms: uses with maps are copied. `type` gives the result's axes (the element type is computed). */
RecId rec_map(RecBuild *b, Fun f, const RecUse *use, uint8_t rank, const Dim *dim);
RecId rec_reduce(RecBuild *b, RecReduce red, RecUse a, uint8_t rank, uint8_t nit, const Dim *space);
RecId rec_contract(RecBuild *b, RecUse a, RecUse c, uint8_t rank, uint8_t nit, const Dim *space);
RecId rec_gather(RecBuild *b, const RecUse *use, uint32_t nuse, uint8_t rank, const Dim *dim);
RecId rec_scatter(RecBuild *b, const RecUse *use, uint32_t nuse, uint8_t nit, const Dim *space, Type result, const uint8_t *out_axis);
RecId rec_slice(RecBuild *b, RecId a, uint8_t along, Dim lo, Dim size);
RecId rec_pad(RecBuild *b, RecId a, uint8_t along, Dim lo, Dim size);
RecId rec_concat(RecBuild *b, const RecId *v, uint32_t n, uint8_t along);
RecId rec_reshape(RecBuild *b, RecId a, uint8_t rank, const Dim *dim);
RecId rec_proj(RecBuild *b, RecId recur, uint32_t index);
RecId rec_history(RecBuild *b, uint32_t index, Type type); /* in an open RECUR; type: of the stacked result */
/* A RECUR is made in two steps: open it (operands given; its region and REGARGs exist), fill the region, close it. */
RecId rec_recur_open(RecBuild *b, const RecId *init, uint32_t nstate, const RecId *seq, uint32_t nseq, Dim length, bool reverse,
                     RecRegion *region);
RecId rec_grid_open(RecBuild *b, const RecId *init, uint32_t nstate, const RecId *seq, uint32_t nseq, const RecGrid *grid,
                    RecRegion *region);
bool rec_is_gradient(RecOutRole role);
/* Whether reals of 16 bits may stand in it, where a target is told to store such: see ir/kern/narrow.c. */
bool rec_arg_narrows(const RecArg *x, const RecOut *out);
bool rec_out_narrows(const RecOut *o, const RecArg *arg);
uint32_t rec_arg_of_role(const RecProg *p, RecRole role); /* the first; UINT32_MAX if there is none */
bool rec_has_role(const RecProg *p, RecRole role); /* of any argument */
uint32_t rec_arg_named(const RecProg *p, const char *name); /* its number; UINT32_MAX if there is none */
uint8_t rec_places(const RecOp *recur, Dim *extent); /* its axes of places, at most REC_MAXAXES, and their extents */
void rec_recur_close(RecProg *p, RecId recur, const RecId *result, uint32_t nresult); /* nstate new states, then outputs */
/* Behind all of its region, when values that it uses were made there after it was opened. */
void rec_recur_move_last(RecProg *p, RecId recur);
/* Appends one more per-step value to a closed RECUR and gives its PROJ in the RECUR's own region. */
RecId rec_recur_export(RecProg *p, RecId recur, RecId step_value);
/* Element i along the axis is v[i + by], zero where there is none. */
RecId rec_moved(RecBuild *b, RecId v, uint8_t axis, int32_t by);
RecId rec_recur_add_seq(RecProg *p, RecId recur, RecId seq); /* one more sequence operand; gives its REGARG */

/* Conveniences over rec_map: operands are aligned at their trailing axes (numpy without stretching of ones). */
RecId rec_map1(RecBuild *b, Fun f, RecId x);
RecId rec_map2(RecBuild *b, Fun f, RecId x, RecId y);
RecId rec_map3(RecBuild *b, Fun f, RecId x, RecId y, RecId z);
RecId rec_broadcast(RecBuild *b, RecId scalar, const Type *like); /* ID map of a scalar over like's axes */
RecId rec_zeros(RecBuild *b, const Type *like);
RecId rec_transpose(RecBuild *b, RecId a, const uint8_t *order); /* result axis i is a's axis order[i] */
RecUse rec_use(RecId v, uint8_t rank);                           /* identity map on the first `rank` axes */
RecUse rec_use_tail(const RecProg *p, RecId v, uint8_t rank);    /* v's axes are the last ones of `rank` */

/* Rules that the verifier checks again. */
bool rec_same_but_axis(const Type *a, const Type *b, uint32_t axis);
/* A part [lo, lo + size) leaves [0, whole) for certain; sizes that are not constants are taken on trust. */
bool rec_surely_outside(DimTab *t, Dim lo, Dim size, Dim whole);

bool rec_inside(const RecProg *p, RecId v, RecRegion r); /* v stands in r or in a region nested in it */
bool rec_is_of_forward(const RecProg *p, RecId recur, uint32_t result); /* a state or an output; not only kept for backward */
const char *rec_why_text(RecWhy why); /* structure.c */
const char *rec_why_id(RecWhy why);
double rec_random_value(uint64_t seed, uint32_t stream, uint64_t i); /* the meaning of RANDOM: splitmix64 of the three */

/* ---- packed.c: sequences of a batch end to end ---- */
/* What a program shows to its callers, of rec and of kern alike. */
typedef struct RecFace {
    DimTab *dims;
    DimSym time;    /* the first of `ntime` */
    uint32_t ntime;
    const struct RecDerivedDim *derived;
    const RecArg *arg;
    const RecOut *out;
    uint32_t nderived, narg, nout;
} RecFace;
RecFace rec_face(DimTab *dims, const DimSym *open, uint32_t nopen); /* without derived sizes, arguments and outputs */
RecFace rec_prog_face(const RecProg *p);
bool rec_packs(const RecFace *f); /* it can be called with a packed batch */
bool rec_prog_packs(const RecProg *p);
bool rec_mentions_time(const RecFace *f, Dim d);
bool rec_over_time(const RecFace *f, const Type *type); /* how large an array is depends on the length of the sequence */

/* ---- flag.c: rounded quotients, and sizes that say whether something pays ---- */
/* num / den, rounded down: one of the n that are known; or a new size of that kind, of that name or one like it, which `made` is then
 * (else made->floor is false). */
typedef struct RecQuotient {
    Str name;
    DimKind kind;
    Dim num, den;
} RecQuotient;
Dim rec_quotient(Arena *a, DimTab *t, const RecQuotient *q, const struct RecDerivedDim *known, uint32_t n, struct RecDerivedDim *made);
/* 1 if d >= least, else 0, as a derived size: 2 d / (d + least), rounded down. `made` is what to add to the `n` that are known; its
 * `floor` is false when there is nothing to add. */
Dim rec_flag(Arena *a, DimTab *t, Dim d, int64_t least, const struct RecDerivedDim *known, uint32_t n,
             struct RecDerivedDim *made);
Dim rec_at_least(RecProg *p, Dim d, int64_t least); /* adds it */

/* ---- grid_order.c: in which order the places of a grid can run ---- */
/* Weights of the axes: a place runs at the time that is the sum of weight * index, behind all that it reads; not all are 0.
 * False where the offsets by[0..n-1] go round in a circle. */
bool rec_grid_order(const RecOffset *by, uint32_t n, uint8_t naxes, int16_t *weight);

/* ---- form.c: forms by name ---- */
const RecFormName *rec_form_name(uint32_t i); /* NULL past the last */
const RecFormName *rec_form_find(Str name);   /* NULL if there is none */
bool rec_form_read(Str text, RecForm *out);   /* "chunk:64", "scan"; false if it is none */
Str rec_form_str(Arena *a, RecForm form);     /* "chunk:64" */
uint32_t rec_form_size(Str digits);           /* a whole number from 1 to REC_FORM_MAXSIZE; 0 when it is none */
bool rec_form_steps(RecForm form);            /* runs step by step, and so does nobody's choice where form.store is said */
/* "sequential, chunk:N, scan or scan:N", with `size` for ":N" */
Str rec_form_list(Arena *a, const char *size);

/* ---- print.c, read.c, verify.c: rec as text; every program can be printed, read back, and checked ---- */
void rec_print(Text *out, const RecProg *p);
RecProg *rec_read(Arena *a, Str text, Str *error);    /* NULL and a message with its line on bad text */
bool rec_verify(const RecProg *p, Text *why);         /* says each broken rule */

/* ---- eval.c: the reference evaluator: double precision, plain, one op after another; the meaning of the language ---- */
typedef struct RecArray {
    double *data; /* ints and bools as doubles; NULL: not given (optional arguments) */
} RecArray;
typedef struct RecEval RecEval;
/* dim_value: by DimSym. arg: by argument index, in the layout of p (one sequence, or with B when p is batched).
 * Runs the forward function; backward needs forward to have run in the same RecEval. Fails with a message (index out of
 * range, size overflow). */
RecEval *rec_eval_new(Arena *a, const RecProg *p, const int64_t *dim_value, const RecArray *arg, uint64_t seed);
bool rec_eval_run(RecEval *e, RecFn fn, Str *error);
const double *rec_eval_value(const RecEval *e, RecId v); /* of a root-region value, row-major */
/* Called behind every step of every recurrence, with the place that ran (over a grid its number in row-major order); the region's
 * results are there for rec_eval_value. */
typedef void RecWatch(void *context, const RecEval *e, RecId recur, int64_t place);
void rec_eval_watch(RecEval *e, RecWatch *watch, void *context);
/* From now on every operation's result is rounded to single precision, and the factors of contractions to that. */
void rec_eval_round(RecEval *e, FactorType factor);
void rec_eval_free(RecEval *e);

/* ---- passes, one file each, named as in passes.def ---- */
void rec_compact(RecProg *p);   /* compact.c: drops what no output needs; orders and renumbers from the outputs */
void rec_simplify(RecProg *p);  /* simplify.c: constants, x*1, x+0, where(const), ID maps, slices of concats, common subexpressions */
void rec_backward(RecProg *p);  /* backward.c: adds the backward function, cotangent arguments and gradient outputs */
void rec_chosen(RecProg *p);    /* chosen.c: after backward: CHOSEN and STOP, which only steer derivatives, become what they pass on */
void rec_gauge(RecProg *p);     /* gauge.c: no derivative goes through running maxima that cancel in all results */
void rec_batch(RecProg *p);     /* batch.c: adds the axis B */
void rec_cascade(RecProg *p);   /* cascade.c: grids become levels of grids, each with less to read */
void rec_rank_one(RecProg *p);  /* rank_one.c: states of grids that are made of one sum are replaced by it */
void rec_block(RecProg *p);     /* block.c: affine states on a grid block by block, if p->form says so */
void rec_wavefront(RecProg *p); /* wavefront.c: grids are skewed, so that everything is read at earlier times */
void rec_rows(RecProg *p);      /* rows.c: grids become recurrences over lines, one inside of the other */
void rec_parallel(RecProg *p);  /* parallel.c: recurrences without states become work on whole arrays */
void rec_contract_find(RecProg *p); /* contract_find.c: sums of products become CONTRACT */
void rec_slices(RecProg *p);    /* slices.c: takes slices through elementwise maps, so that gates stay in registers */
void rec_flatten(RecProg *p);   /* flatten.c: loops inside steps become steps, for the forms that need it */
void rec_chunk(RecProg *p);     /* chunk.c: recurrences with matrix stages run chunk by chunk, if p->form says so */
void rec_store(RecProg *p);     /* store.c: training keeps fewer states and makes steps again, if p->form says so */
void rec_accumulate(RecProg *p); /* accumulate.c: sums over what chunks give become states that are added to */
void rec_operators(RecProg *p); /* scan.c: what associative operators update, in pieces side by side, if p->form says so */
void rec_scan(RecProg *p);      /* scan.c: affine states run in pieces side by side, if p->form says so */
void rec_convolution(RecProg *p); /* convolution.c: sums over states with a constant step as kernels, chunk by chunk, if p->form says so */
void rec_newton(RecProg *p);    /* newton.c: nonlinear recurrences as systems of equations over windows, if p->form says so */
void rec_hoist(RecProg *p);     /* hoist.c: moves state-free products in front of the recurrence */
void rec_sink(RecProg *p);      /* sink.c: moves products that feed no state behind it */
void rec_remake(RecProg *p);    /* remake.c: what only the backward function reads is made there, of what is there */

#endif
