/* What the files of the lowering share: how each value of rec is made, where it lives, and when it is computed.
 *
 * Planning walks every region from its end. A value that is read asks its operands for themselves (plan_demand); what is
 * known when the walk reaches an op decides its group. A group is what is emitted as one piece: a loop nest with all the
 * elementwise work over one space, or one product, sum, recurrence. Groups have levels: all that a group reads from memory
 * was written at a higher level, so emitting groups by falling level is an order. Levels count from the end, so work is
 * done as late as it can be, next to what uses it. */
#ifndef IR_KERN_LOWER_H
#define IR_KERN_LOWER_H

#include "ir/kern/kern.h"

/* A value in memory: its element [i, j, ...] is at `at` + i * stride[0] + j * stride[1] + ... */
typedef struct View {
    KBufId buf;
    KIndex at;
    Dim stride[MAXRANK];
} View;

/* How a value comes to be. */
typedef enum Form {
    F_UNKNOWN,
    F_ARG,     /* in the caller's array */
    F_STATE,   /* a carried state: in its trajectory */
    F_HISTORY, /* a per-step result of all places: where they are stored */
    F_PROJ,    /* a result of a recurrence: in a trajectory, or stored by its steps */
    F_LEAF,    /* a constant, a size, an index: made where it is used */
    F_INLINE,  /* cheap work on values in memory: made wherever it is used */
    F_VIEW,    /* another value, addressed differently */
    F_NEST,    /* elementwise: computed by a loop nest, in memory only if another group reads it */
    F_REDUCE,  /* REDUCE, and CONTRACT without rows or columns, or of a matrix that a step makes with a vector */
    F_GEMM,
    F_SCATTER,
    F_PAD,
    F_CONCAT,  /* its parts are stored where they belong */
    F_RESHAPE, /* a copy, because its operand is not dense */
    F_RECUR,
} Form;

/* A place that a value must be written to, for a reader at `level`. */
typedef struct Dest {
    View view;
    bool add;      /* to what is there */
    bool readable; /* may also serve as the value's own memory */
    int level;
} Dest;

typedef struct Val {
    Form form;
    bool memory;     /* a product or a reshape needs it in memory */
    bool feeds;      /* a new state of its own region is made of it */
    uint32_t nuse, ninline;
    bool wanted;     /* by a group, as follows */
    bool join;       /* at the highest level only group `by` reads it, in a way that it can compute itself */
    bool only;       /* nobody else reads it at any level */
    bool cover;      /* `by` reads it at other indices than those of its own loops */
    int level;       /* highest level of a reader */
    uint32_t by;
    int floor;       /* highest level of a Dest */
    uint32_t group;  /* what computes it */
    bool stored, add;
    View mem;
    VEC(Dest) dest;
} Val;

typedef struct Store {
    RecId v;
    View to;
    bool add;
} Store;

typedef struct Group {
    int level;
    RecRegion region;
    RecId op; /* REC_NONE: a nest that makes `store` */
    uint8_t rank; /* of a nest: loops, none for axes of size 1 */
    Dim space[MAXRANK];
    VEC(Store) store;
} Group;

/* Where a carried state lives: slot number s at s * step + (s mod 2) * turn. See lower_recur.c. */
typedef struct Trajectory {
    KBufId buf;
    Dim step, turn;
    bool in_place; /* turn was found to be needless */
} Trajectory;

typedef struct RecurResult {
    bool read_own, read_other; /* by the function that runs the recurrence; by another one */
    bool stored;
    View mem;
    VEC(Dest) dest;
} RecurResult;

typedef struct Recur {
    KVar place, parity, other_parity, length_parity;
    Trajectory *state;
    RecurResult *result;
} Recur;

typedef struct Lower {
    Arena *a;
    const RecProg *rec;
    KernProg *k;
    DimTab *dims;
    Val *val;           /* by RecId */
    Recur **recur;      /* by RecId */
    uint32_t *group_of; /* by region: the group of its RECUR, K_NONE for a function */
    VEC(Group) group;
    KBufId *arg, *out;  /* by argument, by output */
    RecFn fn;           /* what is being emitted, and where to */
    KBlock *block;
} Lower;

typedef enum Access { A_SAME, A_COVER, A_ANY } Access; /* see Val.join and Val.cover; A_ANY: loads it */

static inline Val *lower_val(const Lower *l, RecId v)
{
    return &l->val[v];
}

/* ---- classify.c ---- */
void lower_classify(Lower *l);
RecFn lower_fn(const Lower *l, RecRegion r);
RecId lower_source(const Lower *l, RecId v); /* of an F_VIEW */
uint32_t lower_step_matrix(const RecProg *p, const RecOp *op); /* of a CONTRACT in a step: the operand that is made there and
                                                                * has all axes; K_NONE: there is none */
bool lower_is_identity(const RecUse *u, uint32_t rank, uint32_t nit);

/* ---- plan.c ---- */
void plan_region(Lower *l, RecRegion r);
void plan_demand(Lower *l, uint32_t group, RecId v, Access how);
void plan_dest(Lower *l, RecRegion r, RecId v, Dest d); /* v must be written to d too */
uint32_t plan_group(Lower *l, RecRegion r, int level, RecId op);

/* ---- storage.c ---- */
KBufId storage_new(Lower *l, const Type *t, Dim size, RecId v);
View storage_dense(Lower *l, KBufId buf, const Type *t);
bool storage_is_dense(Lower *l, const View *v, const Type *t);
View storage_element(Lower *l, const View *v, uint32_t rank, KVar at); /* axis 0 taken off, at a place */
View storage_part(Lower *l, const View *v, uint32_t along, Dim lo);
KIndex storage_at(Lower *l, const View *v, const KIndex *ix, uint32_t rank);
void storage_add(Lower *l, KIndex *to, const KIndex *from, Dim factor);
bool storage_view(Lower *l, RecId v, View *out); /* where v is in memory; false if it is made where it is used */
bool storage_undo(Lower *l, RecId v, const View *to, View *out);
bool reshape_splits(Lower *l, const Type *from, const Type *to); /* every axis of `to` lies in one of `from` */
void reshape_index(Lower *l, const Type *from, const Type *to, const KIndex *to_ix, KIndex *from_ix);

/* ---- lower_map.c ---- */
typedef struct Memo {
    RecId v;
    KIndex *ix;
    KVar var;
} Memo;
typedef struct VarDepth {
    KVar var;
    uint8_t depth;
} VarDepth;
typedef struct Nest {
    Lower *l;
    uint32_t group;
    uint8_t n;              /* axes */
    KIndex ix[MAXIT];       /* by axis: its loop variable, 0 for an axis of size 1 */
    Dim extent[MAXIT];      /* by depth */
    KVar var[MAXIT];        /* by depth, K_NONE for an axis of size 1 */
    KLoopKind kind[MAXIT];  /* by depth */
    KBlock pre[MAXIT + 1], post[MAXIT + 1]; /* before and behind the loop at each depth */
    Span at;
    VEC(VarDepth) depth;
    VEC(Memo) memo;
} Nest;
void nest_begin(Nest *n, Lower *l, uint32_t group, uint32_t naxes, const Dim *space, const uint8_t *order, Span at);
KVar nest_value(Nest *n, RecId v, const KIndex *ix);     /* element ix of v, computed as far outside as it can be */
void nest_use(const Nest *n, const RecUse *u, uint32_t rank, KIndex *out); /* the operand's indices at the nest's own point */
KVar nest_checked(Nest *n, KVar index, Dim bound);
KVar nest_let(Nest *n, Fun f, DType dt, KVar a, KVar b, KVar c);
void nest_store(Nest *n, KVar var, const View *to, const KIndex *ix, uint32_t rank, bool add);
void nest_end(Nest *n);
void lower_nest(Lower *l, uint32_t group);
void lower_fill(Lower *l, const View *v, const Type *t, double number, Span at);

/* ---- lower_reduce.c, lower_scatter.c, lower_contract.c ---- */
void lower_reduce(Lower *l, uint32_t group);
void lower_scatter(Lower *l, uint32_t group);
void lower_pad(Lower *l, uint32_t group);
void lower_reshape(Lower *l, uint32_t group);
void lower_contract(Lower *l, uint32_t group);

/* ---- lower_recur.c ---- */
void recur_plan(Lower *l, RecId v);
void recur_parities(Lower *l, RecRegion r); /* before anything else of the region */
void lower_recur(Lower *l, uint32_t group);
View recur_state(Lower *l, RecId regarg);

/* ---- in_place.c ---- */
void in_place_find(const RecOp *recur, const Recur *rc, const KBlock *step); /* which states need one slot only */
void in_place_apply(Lower *l); /* gives them one slot, when all functions are made */

/* ---- rec_to_kern.c ---- */
void lower_region(Lower *l, RecRegion r);

#endif
