/* Inside the elaborator: scopes, symbols, and values with free index axes. */
#ifndef FRONTEND_ELAB_INTERNAL_H
#define FRONTEND_ELAB_INTERNAL_H

#include "frontend/elab.h"

enum { MAX_DEPTH = 64, MAX_DELAY = 64, MAX_INSTANCES = 1 << 12 };
/* Of an entry: functions are inlined, so a few lines may ask for any number of operations. */
enum { MAX_OPS = 1 << 17 };
/* What later passes may multiply the known part of an array's size by: bytes, places of a chunk, parts of a plan. */
enum { MAX_REST = 1 << 16 };

/* A bound index: `i` in `let a[i] = ...` or `sum(i in K: ...)`. size is NO_SIZE until an axis or a range says it. */
#define NO_SIZE UINT32_MAX
typedef struct IndexVar {
    Ident name;
    Dim size;
    uint32_t id; /* later bindings have larger ids; free axes are kept in this order */
} IndexVar;

/* A value: its rec axes are first the free ones (one per index variable, ordered by id), then its own shape. A complex
 * one has two parts of the same type and axes, both real. */
typedef struct Val {
    RecId v; /* REC_NONE: poison, already reported */
    bool is_complex;
    RecId im; /* when is_complex; v is the real part */
    uint8_t nfree;
    IndexVar *free[MAXRANK];
} Val;

typedef struct Scope Scope;
typedef struct Inst Inst;
typedef struct LoopState LoopState;
typedef struct Loop Loop;

typedef enum SymKind {
    SYM_DIM,      /* dim */
    SYM_VALUE,    /* val: a parameter, input or anything already computed */
    SYM_LET,      /* let: computed on demand */
    SYM_STATE,    /* state of a cell instance */
    SYM_INDEX,    /* index */
    SYM_PLACE,    /* the cell's index: t */
    SYM_FN,       /* fn */
    SYM_INST,     /* inst: a cell used inside a cell or model */
    SYM_RUN,      /* run: the result of a scan */
    SYM_LOOP,     /* loop: a state of a model's `for` */
    SYM_COUNTER,  /* counts: the index of a loop inside a step */
    SYM_LAST,     /* last: a state of such a loop, read after it */
    SYM_NODE,     /* node: another node or an edge of a graph, as in `sum(u in pred(v): ...)` */
    SYM_GRAPH,    /* graph: of a model, `g: dag[N]` */
} SymKind;

/* Progress of a value that is computed on demand. */
typedef enum Progress { NOT_YET, RUNNING, READY } Progress;

/* The value of a `let s[u in pred(v)]` at the edges or pairs of a block, or before its nodes. */
typedef struct LetAt {
    const struct GraphPlace *place;
    bool before, starts; /* whether it is before the nodes, and has read a start value there */
    Val val;
} LetAt;

/* A `let` statement; shared by all of its targets. */
typedef struct LetDef {
    const Stmt *stmt;
    Scope *scope;
    Progress progress;
    Val *val; /* one per target */
    struct Run *run; /* when it is the result of a scan, kept whole */
    const Expr *range; /* `let s[u in pred(v)]`, `let s[d in into(v)]`: the range, else NULL; made where it is read, see elab_graph_let.c */
    VEC(LetAt) at;
} LetDef;

/* A read at another place of a grid: so many steps along each axis. */
typedef struct GridRead {
    int64_t by[REC_MAXAXES];
    Span at;
    Val value;  /* once the step is open: zero, or a state's start value, outside */
    Val inside; /* of an input: whether there is such a place */
} GridRead;
typedef VEC(GridRead) GridReads;

/* Where values of a cell over a graph are: at the nodes of a block, at the edges that lead into them, at those that leave them,
 * or at pairs of one that leads into a node and one that leaves it. */
typedef struct GraphPlace {
    struct GraphPlace *up;   /* of edges: the nodes; of pairs: the edges that leave */
    IndexVar *var;           /* runs over them; the values there have it as an index axis */
    Val at;                  /* which of those above each belongs to */
    Val there;               /* whether there is one: blocks are filled up */
    Val block, row, node;    /* of an edge into a node: where the node that it comes from ran, and its number; of the edges from
                                nodes of the call, which come first */
    Val earlier;             /* of those behind them, from nodes that were there before: the node's number; poison where there are none */
    Val in_block, in_row;    /* of an edge into a node, and of a pair: where that edge's states were put out */
    Val in, out, pair;       /* the numbers of the edge that leads in, of the one that leaves, of the pair */
} GraphPlace;

/* What a name in brackets stands for, `h[u]`, `C[d]`, `source[e]`. */
typedef struct GraphName {
    enum { GRAPH_NODE, GRAPH_IN, GRAPH_OUT } what;
    GraphPlace *place; /* where it has a meaning; NULL for GRAPH_OUT, which has one wherever an edge leaves */
    bool *outside;     /* not NULL: it stands for what is before a node that nothing leads to; true once a start value is read */
} GraphName;

/* A state of a cell instance. */
typedef struct StateDef {
    const Decl *decl;
    Type type;
    const Stmt *equation;
    Scope *scope;
    uint32_t nlag;      /* how many steps back it is read; at least 1 */
    bool forward_read, backward_read; /* [t-1], [t+1] */
    Span read_at;
    Progress progress;
    Val now;            /* the new value, once computed */
    RecId prev[2][MAX_DELAY];    /* by part: carried values by lag - 1, after cuts */
    RecId carried[2][MAX_DELAY]; /* as carried */
    GridReads read; /* of a cell over a grid, instead of all that is about lags */
    uint32_t history;   /* of a cell over a graph: its first part's number among the step's results */
    Val first;          /* of a cell over a graph: its start value at the nodes of a block, poison where none is declared */
    Val before;         /* of a cell over a graph: its values at nodes that were there before the call, once these are read */
    Str name;           /* with the instance path: `inner.h` */
    Loop *loop;         /* the loop inside a step whose state it is, or NULL; prev[0] is then the round before */
} StateDef;

/* An input read at other places becomes a hidden delay line. */
typedef struct DelayDef {
    const Decl *decl;
    Val now;
    uint32_t nlag;
    RecId prev[2][MAX_DELAY], carried[2][MAX_DELAY]; /* by part */
    uint32_t nahead;          /* how many places ahead it is read */
    RecId later[2][MAX_DELAY]; /* the value so many (less one) places ahead, zero past the end, and whether there is one */
    RecId there[MAX_DELAY];
    GridReads read; /* of a cell over a grid, instead of all of these */
    struct DelayDef *source; /* of a cell inside of one over a graph: the input that it is handed, or NULL */
    Val before;         /* of a cell over a graph: at nodes that were there before the call, once it is read there */
    Type type;
    Str name;
} DelayDef;

typedef struct Sym {
    Ident name;
    SymKind kind;
    union {
        Dim dim;
        uint32_t axis; /* SYM_PLACE */
        Val val;
        struct { LetDef *def; uint32_t target; } let;
        StateDef *state;
        IndexVar *index;
        const Fn *fn;
        Inst *inst;
        struct Run *run;
        LoopState *loop;
        Loop *counts;
        GraphName node;
        struct GraphPlan *graph;
        struct { Loop *loop; uint32_t state; } last;
    };
    DelayDef *delay;   /* SYM_VALUE of a per-step input of a cell, else NULL */
    bool has_place;    /* an input or let of a cell: brackets may be a place */
    bool failed;       /* SYM_VALUE: poison for good, because its declaration has an error; no more is said of it */
    Scope *fn_scope;   /* SYM_FN: where its free names are looked up; NULL: in its file */
    const Fn *other_fn; /* SYM_FN: another function that is meant as well, or NULL */
} Sym;

struct Scope {
    Scope *up;
    VEC(Sym) sym;
    Inst *inst;      /* the cell instance that places refer to, or NULL */
    Loop *loop;      /* whose rounds it is in, or NULL */
    GraphPlace *place; /* of a graph, or NULL for that of what is around */
    RecRegion region; /* where values of this scope are computed */
};

/* One cell being run: as the entry, by a model's scan, or inside another cell. Or a model that a model uses; then all that is used is
 * its path, its sizes, and a scope with parameters and instances. */
struct Inst {
    const Cell *cell;
    const Model *model; /* or NULL */
    Str path;        /* "" or "fwd." */
    Scope *scope;
    VEC(StateDef *) state;
    VEC(DelayDef *) delay;
    VEC(Inst *) child;
    VEC(Loop *) loop; /* directly in its body */
    VEC(Val) param;  /* in the order of the cell's parameters, root region */
    Scope *outer;    /* what start values see: dimensions, parameters, const inputs; the step's scope lies in it */
    const Dim *dim;  /* as given */
    uint32_t ndim;
    GraphPlace *nodes, *edges, *outs, *pairs; /* of a cell over a graph, once the step is open; pairs once one is read */
    struct Graph *graph;
    bool uses_index; /* reads t */
    Span start_reads; /* where a start value reads an input; file 0: nowhere */
    bool uses_count; /* reads an input behind with `else` */
    RecId place[REC_MAXAXES]; /* of a cell over a grid: r, s as values of the step region, or REC_NONE */
    RecId index;     /* t as a value of the step region, or REC_NONE */
    RecId count;     /* steps since the start or the last cut, or REC_NONE */
    bool called;     /* a child: its inputs are bound */
    bool broken;     /* a child whose call has errors, which are reported */
    Inst *parent;
    bool is_array;   /* `use layer[N] = ...`: item[i] are the instances */
    Inst **item;
    uint32_t nitem;
    bool reverse;    /* reads [t+1] */
    uint32_t nscan;  /* how often a model ran it */
    Span at;
};

/* A finished scan. */
typedef struct Run {
    Inst *inst;
    Val *output;
    uint32_t noutput;
    Val *last; /* final states by inst->state */
    uint32_t nlast;
} Run;

/* A state of a model's `for`: its current and previous value. */
struct LoopState {
    Val before, now;
    bool has_now;
    Ident var;
};

/* A loop inside a step. */
struct Loop {
    const Stmt *stmt;
    Scope *around, *round;
    VEC(StateDef *) state;
    VEC(Loop *) inner;
    uint32_t depth; /* loops around it */
    Progress progress;
    Dim length;    /* rounds */
    RecId recur;   /* in the region of `around` */
    RecId counter; /* its index as a value of a round, once needed, or REC_NONE */
    Val *last;     /* by state */
};

typedef struct Elab {
    Arena *arena;
    const Unit *unit;
    Diags *diags;
    RecProg *prog;
    DimTab *dims;
    RecBuild b;       /* where values go now */
    const Binding *bind;
    uint32_t nbind;
    uint32_t next_index;
    uint32_t depth;   /* of function calls */
    VEC(const void *) inside; /* the cells and models that are being put together, each used by the one before */
    uint32_t ninstance;
    uint32_t nstream; /* of random numbers in init */
    Span call;        /* of a function, the outermost that is being inlined; file 0 outside of all */
    bool too_many;    /* more than MAX_OPS, which is reported; nothing more is made */
    Scope **file_scope; /* by file of the unit: the functions that can be called there; NULL until needed */
    VEC(RecOut) final; /* final states, added behind the declared outputs */
} Elab;

static const Val poison = {.v = REC_NONE};

/* ---- elab_scope.c ---- */
Scope *scope_new(Elab *e, Scope *up);
Sym *scope_find(Scope *s, Str name);
Sym *scope_add(Elab *e, Scope *s, Ident name, SymKind kind); /* reports a duplicate in the same scope */
void scope_add_failed(Elab *e, Scope *s, Ident name);
void report_unknown(Elab *e, Scope *s, Ident name);
typedef VEC(Str) Names;
void add_names(Elab *e, const Scope *s, Names *to); /* what can be named in a scope */
void report_unknown_among(Elab *e, Ident name, const Str *known, uint32_t n);
Val val_of(RecId v);
bool is_poison(Val v);
Type val_type(const Elab *e, Val v); /* its own shape, without free axes */
DType val_dtype(const Elab *e, Val v);
Str val_str(Elab *e, Val v);         /* "real[4, H]" */
IndexVar *index_new(Elab *e, Ident name, Dim size);

/* ---- elab_dim.c ---- */
bool elab_dim(Elab *e, Scope *s, const Expr *x, Dim *out);     /* reports */
bool try_dim(Elab *e, Scope *s, const Expr *x, Dim *out);      /* silently; may be DIM_HUGE */
bool elab_size(Elab *e, Scope *s, const Expr *x, Dim *out);    /* reports; what is surely below 0 too */
bool type_fits(Elab *e, const Type *t, Span at);               /* reports too many elements */
bool elab_type(Elab *e, Scope *s, const TypeExpr *t, Type *out);
void bind_dims(Elab *e, Scope *s, const DimDecl *d, uint32_t n, const Dim *given, uint32_t ngiven, bool entry);

/* ---- elab_value.c: building blocks over values ---- */
Val map_vals(Elab *e, Fun f, const Val *arg, uint32_t n, Span at);   /* aligns free axes and shapes; reports mismatches */
Val to_real(Elab *e, Val v); /* of a complex value: itself */
Val to_dtype(Elab *e, Val v, DType want); /* real where a real or complex number is wanted, complex where that is; else itself */
bool align_vals(Elab *e, Val *a, Val *c, Span at); /* to one shape and the same free axes */
Val reduce_free(Elab *e, RecReduce red, Val v, IndexVar *const *var, uint32_t n); /* binders */
Val reduce_shape(Elab *e, RecReduce red, Val v);                     /* all own axes */
Val contract_vals(Elab *e, Val a, Val c, Span at);                   /* `@` */
Val outer_vals(Elab *e, Val a, Val c, Span at);
Val take(Elab *e, Val v, uint8_t axis, Dim at);                      /* one element of an own axis */
Val slice_val(Elab *e, Val v, uint8_t axis, Dim lo, Dim size);
Val broadcast_val(Elab *e, Val v, const Type *shape, IndexVar *const *free, uint32_t nfree);
Val free_to_shape(Elab *e, Val v, IndexVar *const *var, uint32_t n); /* index axes become the leading own axes */
/* table[index[0], ...]: the table's first n axes are chosen by ints; axis n + i runs along the variable rest[i] or, where that
 * is NULL, is an own axis of the result. */
Val gather_vals(Elab *e, RecId table, const Val *index, uint32_t n, IndexVar *const *rest, uint8_t nrest);
Val real_const(Elab *e, double x);
Val order_free(Elab *e, RecId v, IndexVar **axis_var, uint8_t rank); /* axes named by variables (NULL: own) into Val order */

/* ---- elab_complex.c: two reals for each complex number ---- */
enum { PART_RE, PART_IM };
uint32_t nparts(DType dt); /* 2 of a complex number, else 1 */
DType part_dtype(DType dt); /* what its parts are */
Str part_name(Elab *e, Str name, DType dt, uint32_t part); /* `x`; of a complex array `x.re`, `x.im` */
Val val_part(Elab *e, Val v, uint32_t part); /* the imaginary part of a real number is 0 */
Val val_of_parts(DType dt, const RecId *part);
Val complex_of(Elab *e, Val re, Val im, Span at);
Val complex_map(Elab *e, Fun f, const Val *arg, uint32_t n, Span at); /* map_vals where an argument is complex */
typedef Val Product(Elab *e, Val a, Val c, Span at);
Val complex_product(Elab *e, Product *product, Val a, Val c, Span at); /* of a product of reals */
Val complex_conj(Elab *e, Val v, Span at);
Val zero_like(Elab *e, Val v); /* a real one */
Val arg_val(Elab *e, RecArg arg); /* an argument of the program, or one for each part */
void out_val(Elab *e, RecOut out, Val v);

/* ---- elab_expr.c, elab_index.c, elab_call.c ---- */
Val elab_expr(Elab *e, Scope *s, const Expr *x);
Val elab_binary_op(Elab *e, BinaryOp op, Val a, Val c, Span at);
Val elab_index(Elab *e, Scope *s, const Expr *x);
void infer_index_sizes(Elab *e, Scope *s, const Expr *x);
Val elab_call(Elab *e, Scope *s, const Expr *x);
/* elab_operator.c: a call of an associative function that may be the update of states; false if it is an ordinary one. */
bool operator_call(Elab *e, const Fn *fn, Scope *defined, const Val *arg, Span at, Val *result);
Val elab_einsum(Elab *e, Scope *s, const Expr *x); /* elab_einsum.c */
Val elab_reduce(Elab *e, Scope *s, const Expr *x);
bool is_results_call(Scope *s, const Expr *x); /* of a function with several results */
void elab_results(Elab *e, Scope *s, const Expr *x, Val *result, uint32_t n); /* n of them; left as they are after an error */
bool call_results(Elab *e, const Fn *fn, Scope *defined, Val *arg, uint32_t narg, Span at, Val *result);
Val call_fn(Elab *e, const Fn *fn, Scope *defined, Val *arg, uint32_t narg, Span at);
Val call_named(Elab *e, const char *name, Val *arg, uint32_t narg, Span at); /* a function of the prelude */
Val let_value(Elab *e, Sym *sym);
Val state_now(Elab *e, StateDef *st);
Val cyclic(Elab *e, Ident name); /* reports */
void compute_scope(Elab *e, Scope *s); /* every `let` of a scope, needed or not */
bool bind_let(Elab *e, Scope *s, const Stmt *st); /* adds the symbols of a `let` */
void bind_fn(Elab *e, Scope *s, const Fn *fn);
/* Brackets that are a place, and where it is, by axis of the cell's domain (REC_MAXAXES of them). */
bool is_place(Elab *e, Scope *s, const Expr *x, int64_t *offset);
bool place_offset(const Expr *x, Str index, int64_t *offset); /* `t`, `t - 1`, `t + 2` for the index t */
bool not_negative(Elab *e, Dim d, Span at); /* false if surely negative; what only the data can tell is noted as a need */
Val indexed_equation(Elab *e, Scope *s, const Target *target, const Expr *value);

/* ---- elab_cell.c ---- */
Inst *inst_new(Elab *e, const Cell *cell, Str path, const Dim *dim, uint32_t ndim, Span at, bool entry);
Inst *inst_of_use(Elab *e, Scope *s, const Use *u, Str path); /* `fwd = lstm[E, H]`, its dimensions read in s; NULL after an error */
bool begin_use(Elab *e, Scope *s, const Use *u, const void *what, Dim *dim); /* its dimensions; false, and reports, if it uses itself or is too much */
void end_use(Elab *e);
void inst_params(Elab *e, Inst *inst);
StateDef *state_new(Elab *e, Inst *inst, Scope *s, const Decl *d); /* NULL after an error in its type */
void add_equations(Elab *e, Scope *s, Str index, Stmt *const *body, uint32_t n); /* index: what places in s are written with */
void need_equations(Elab *e, StateDef *const *st, uint32_t n);
Val start_value(Elab *e, Scope *s, StateDef *st, IndexVar *over); /* as declared, read in s; over: it may, and does then, have this index axis */
void inst_share(Elab *e, Inst *fresh, Inst *owner); /* takes the parameters of another instance of the same cell */
typedef struct ScanArgs {
    Val *input;       /* by the cell's inputs: per-step ones with a leading own axis of size `length`; poison if missing */
    Dim length;
    Dim extent[REC_MAXAXES];     /* of a grid, instead of `length` */
    uint32_t corner;             /* of a grid: the axes that run from their end, as bits */
    RecId lengths[REC_MAXAXES];  /* of a grid: how far a sequence goes along each axis, or REC_NONE at all */
    bool masked;                 /* of a grid or a graph: only places, or nodes, where this is true are there */
    RecId mask;
    bool reverse;     /* a model's `reverse` */
    RecId active;     /* bool[length], or REC_NONE */
    RecId cut;        /* bool[length]: resets, or REC_NONE */
    Val *from;        /* by state, or NULL; poison: not given */
    bool with_starts; /* add ROLE_START arguments and OUT_FINAL outputs for the states */
    Str prefix;       /* of their names */
} ScanArgs;
Run *scan_cell(Elab *e, Inst *inst, ScanArgs *args, Span at);
void elab_cell_entry(Elab *e, const Cell *cell);
void elab_finals(Elab *e); /* adds the collected final states as outputs */
Scope *cell_scope(Elab *e, Ident name); /* a scope for a cell or model of the unit */

Val input_arg(Elab *e, Inst *inst, const Decl *d, const Dim *extent); /* extent: of the axes of its places */
Val projected(Elab *e, RecId recur, Val in_step, uint32_t *next); /* an output of all places; next: of the recurrence's results */
void bind_input(Elab *e, Inst *inst, uint32_t i, Val whole, const RecId *part, RecId active); /* `part`: as the step has it */
Val output_value(Elab *e, Inst *inst, Ident name);
void compute_all(Elab *e, Inst *inst);

/* ---- elab_child.c: cells that run inside other cells ---- */
typedef VEC(StateDef *) States;
void add_child(Elab *e, Inst *inst, const Use *u);
Val call_inst(Elab *e, Scope *s, Inst *inst, const Expr *x);
bool child_runs(Elab *e, const Inst *inst);          /* false, and reports, where it has not been called yet */
void all_states(Elab *e, Inst *inst, States *states); /* its own, then those of what runs inside of it */
void set_region(Inst *inst, RecRegion r);            /* where its step, and what runs inside of it, is computed */
StateDef *child_state(Scope *s, const Expr *x);      /* `inner.h`, or NULL */

/* ---- elab_grid.c: running an instance over a grid ---- */
uint8_t cell_axes(const Cell *cell);
Dim new_extent(Elab *e, Str name); /* a size that comes with the data: of an axis of places, or of a plan; the first is the program's time */
uint8_t input_axes(const Cell *cell, const Decl *d, uint8_t *axis); /* along which axes an input differs */
void note_grid_read(Elab *e, StateDef *st, DelayDef *d, const int64_t *by, Span at);
Val grid_read(Elab *e, Scope *s, StateDef *st, DelayDef *d, const int64_t *by, const Expr *x); /* one of the two is NULL */
void elab_grid_entry(Elab *e, const Cell *cell);
Run *sweep_cell(Elab *e, Inst *inst, ScanArgs *args, Span at);

/* ---- elab_graph.c: running an instance over a graph ---- */
Val graph_value(Elab *e, Scope *s, Val v, Span at);           /* as it is at the place of scope s */
bool graph_read(Elab *e, Scope *s, const Expr *x, Val *out); /* `h[u]` of an earlier node; false if it is none */
bool is_graph_sum(const Expr *x);                             /* `sum(u in pred(v): ...)` */
Val graph_sum(Elab *e, Scope *s, const Expr *x);
bool graph_inside(Elab *e, Scope *inner, const Expr *x); /* binds its node in a scope for its body; false where there are none */
Val graph_at(Elab *e, Val v, const GraphPlace *here);           /* a value at what is above, such as the nodes, at each of what is below */
Val graph_added_up(Elab *e, Val v, const GraphPlace *edges, Span at); /* by what is above; what is not there gives 0 */
GraphPlace *graph_place_of(const Inst *inst, const StateDef *st); /* where a state lives */
GraphPlace *graph_here(Scope *s);                               /* where values of this scope are; NULL: of no graph */
bool graph_range_fits(Elab *e, Scope *s, const Expr *range);    /* pred(v), or into(v) where edges have names; reports what is wrong with it */
Val graph_no_place(Elab *e, Span at);                           /* reports that this cannot be read here */
void elab_graph_entry(Elab *e, const Cell *cell);

/* ---- elab_graph_let.c ---- */
const Expr *graph_let_range(const Scope *s, const Stmt *st);    /* pred(v) or into(v) of a `let` that has a value for each of these, else NULL */
Val graph_let_read(Elab *e, Scope *s, const Sym *sym, const GraphName *n, bool tail, Span at);
void graph_let_check(Elab *e, const Sym *sym);                  /* makes it once, so that its errors are found */
Val graph_let_bare(Elab *e, Ident name);                        /* reports that it is read without saying where */

/* ---- elab_graph_reduce.c ---- */
bool graph_reduces(Str name); /* is it a reduction over edges */
Val graph_reduced(Elab *e, Str name, Val v, const GraphPlace *edges, Span at);

/* ---- elab_loop.c ---- */
Loop *loop_new(Elab *e, Inst *inst, Scope *around, const Stmt *s);
void loop_run(Elab *e, Loop *loop);
Val loop_last(Elab *e, const Sym *sym);
Val loop_counter(Elab *e, Loop *loop);
bool loop_element(Elab *e, Loop *loop, Val *v, uint8_t axis); /* v becomes its element in this round; false if v is made in the rounds */
bool loop_place(Elab *e, Scope *s, const Expr *x, Val *out);

/* ---- elab_place.c: what a cell reads at other places, found before it is run ---- */
void find_places(Elab *e, Inst *inst);

/* ---- elab_model.c ---- */
void elab_model_entry(Elab *e, const Model *model);
bool is_run_call(Scope *s, const Expr *x); /* `scan(...)`, `sweep(...)`, `apply(...)` */
bool elab_run(Elab *e, Scope *s, const Expr *x, Run **out); /* of such a call */
Str run_output_name(const Run *run, uint32_t i);
void model_parts(Elab *e, Scope *s, const Model *m, Str path); /* parameters and instances */
void model_body(Elab *e, Scope *s, const Model *m);
Val model_value(Elab *e, Scope *s, const Decl *d);     /* an output, poison after an error */
bool declared_dim(const Model *m, Str name);
Inst *find_inst(Elab *e, Scope *s, const Expr *x); /* `fwd`, `layer[0]`; NULL after an error */
bool input_named(const Decl *input, uint32_t n, Str name, uint32_t *i); /* of a cell or a model */
void input_is_missing(Elab *e, Span at, Str input, Str of);

/* ---- elab_walk.c: graphs of a model, and cells that run over them ---- */
bool is_graph_type(const TypeExpr *t);
Sym *model_graph(Scope *s); /* the one that there is, or NULL */
void add_graphs(Elab *e, Scope *s, const Model *m); /* the entry's inputs that are graphs, and their sizes */
bool bind_graph_input(Elab *e, Scope *around, Scope *s, const Decl *d, const Expr *x); /* of a model that is applied */
void no_other_times(Elab *e, const Model *m, Ident size); /* reports, if it has a graph, that this size cannot come with the data */
bool walk_graph(Elab *e, Scope *s, const Expr *x, Dim *extent, struct GraphPlan **plan); /* `on = g`, and how many nodes, edges and pairs it has */
Run *walk_cell(Elab *e, Inst *inst, const ScanArgs *args, struct GraphPlan *plan, Span at);

/* ---- elab_apply.c: models that use models ---- */
Inst *model_of_use(Elab *e, Scope *s, const Use *u, const Model *m, Str path);
bool elab_apply(Elab *e, Scope *s, const Expr *x, Run **out);
Val run_output(Run *run, uint32_t i);

/* ---- elab_init.c ---- */
void elab_init(Elab *e, Scope *s, const Decl *d, uint32_t arg, const Type *type);

/* ---- elab_stream.c: which outputs chunk and step can give ---- */
void elab_streams(Elab *e);

/* ---- unit.c ---- */
typedef struct UnitImport {
    Str as; /* or empty */
    uint32_t file;
} UnitImport;
typedef struct UnitFile {
    const Ast *ast;
    Str path; /* as looked up */
    VEC(UnitImport) import;
} UnitFile;
uint32_t unit_nfiles(const Unit *u); /* 0 is the file that the user named */
const UnitFile *unit_file(const Unit *u, uint32_t i);
uint32_t unit_file_of(const Unit *u, Span at);
uint32_t unit_prelude(const Unit *u);
Arena *unit_arena(const Unit *u);
bool unit_lost(const Unit *u, Str name); /* whether something that could not be read may be called so */
const Cell *unit_entry_cell(const Unit *u, uint32_t i);
const Model *unit_entry_model(const Unit *u, uint32_t i);

/* ---- unit_names.c ---- */
/* A cell, a function or a model of some file; all NULL for none. */
typedef struct Definition {
    const Cell *cell;
    const Fn *fn;
    const Model *model;
    Ident name;
} Definition;
Definition unit_find_model(const Unit *u, Ident name, Definition *second);
Definition unit_find_cell(const Unit *u, Ident name, Definition *second); /* as seen from where the name stands; second: another that is meant as well */
void unit_cell_names(Elab *e, uint32_t file, Names *to);
Scope *file_scope(Elab *e, Span at); /* of the file of a place */
void report_ambiguous(Elab *e, Ident name, Span first, Span second);

/* ---- unit_schedule.c ---- */
EntryForm *unit_schedules(Arena *a, const Unit *u, Diags *diags); /* by entry */

#endif
