/* What the passes over rec share: making a program's body anew, and taking values of a step out of their recurrence.
 * Most passes make the whole body again, op by op in order, so that a new op stands where it is needed. */
#ifndef IR_REC_PASS_H
#define IR_REC_PASS_H

#include "ir/rec/rec.h"

typedef struct Rewrite Rewrite;
struct Rewrite {
    RecProg old;    /* the body as it was; its arguments and outputs still name old ops until rw_end */
    RecProg *p;     /* the body in the making */
    RecId *to;      /* old op to new value, REC_NONE before it is made */
    uint32_t *nuse; /* how often an old op is used, outputs and region results included */
    bool changed;   /* for passes that run until nothing changes */
    void *cx;       /* the pass's own */
    RecId **result; /* by old RECUR: the values that its results are now, where it is replaced by something else */
    /* Makes the new value of an op that is neither a RECUR nor a REGARG; its uses are new values already. */
    RecId (*op)(Rewrite *w, RecBuild *b, RecId old, RecOp op);
    /* Makes the new values of a whole RECUR; NULL for rw_recur. */
    void (*recur)(Rewrite *w, RecBuild *b, RecId old);
};

void rw_begin(Rewrite *w, RecProg *p);
void rw_end(Rewrite *w);                                    /* arguments and outputs name new values */
void rw_region(Rewrite *w, RecRegion from, RecRegion into); /* every op of a region, in order */
void rw_run(Rewrite *w, RecProg *p);                        /* begin, the three functions, end, compact */
RecId rw_op(Rewrite *w, RecBuild *b, RecId old);            /* one op that is not a RECUR, by w->op */
void rw_recur(Rewrite *w, RecBuild *b, RecId old);          /* a RECUR, as it was, with new operands */
/* The same over other places: from these states, along these sequences of `length`. */
RecId rw_recur_over(Rewrite *w, RecBuild *b, RecId old, const RecId *state, const RecId *seq, Dim length);
RecId *rw_operands(Rewrite *w, RecId old);                  /* the new values of its operands */
RecId rw_open(Rewrite *w, RecBuild *b, RecId old, const RecId *operand,
              RecRegion *into);                                 /* the new RECUR and arguments */
void rw_close(Rewrite *w, RecId old);                           /* with the new values of its results */
RecBuild rw_build(const Rewrite *w, RecRegion into, RecId old); /* a builder that gives old's name and place */

void pass_mark(RecOp *recur, const RecOp *like); /* a new RECUR runs as the old one does: whatever is said of it behind its length but `reverse` */
RecId pass_push(RecBuild *b, RecOp op); /* appends a copy of op; its uses must already be in the arena */
/* The same with other operands: value(cx, v) stands for v. */
typedef RecId PassValue(void *cx, RecId v);
RecId pass_copy(RecBuild *b, RecOp op, PassValue *value, void *cx);
RecId pass_use_value(RecBuild *b, RecUse u, uint8_t rank,
                     const Dim *dim);                              /* u over these axes: an ID map, or u.v itself */
RecUse pass_with(RecUse u, RecId v);                               /* v, along the same axes */
bool pass_is_identity(const RecProg *p, RecUse u, uint8_t rank);   /* all of the axes, in order */
RecRegion pass_root(const RecProg *p, RecRegion r);                /* the function that it is in */
uint32_t pass_names(const RecProg *p, RecUse u);                   /* the iteration axes it names, as bits */
RecUse pass_compose(const RecProg *p, RecUse inner, RecUse outer); /* inner: a use by the op that outer uses */
bool pass_zeros(const RecProg *p, RecId v);                        /* v is a zero, or a broadcast one */
bool pass_const(const RecProg *p, RecId v, double *number);        /* v is a constant, or a broadcast one */
void pass_made_of(const RecProg *p, RecRegion r, bool *is);        /* by op: marks what in r, at any depth, reads what is marked */
bool pass_looks_back(const RecProg *p, RecRegion r);               /* r itself reads earlier steps' results */
bool pass_heavy(const RecOp *op);      /* worth moving or keeping: sums, indexing, functions that take long */
bool pass_iterates(RecKind k);         /* has an iteration space */
RecId *pass_ids(Arena *a, uint32_t n); /* n times REC_NONE */

/* Values of a recurrence's step, for all places at once and outside of it. */
typedef struct Lifted {
    RecId v;     /* REC_NONE: not made yet */
    bool placed; /* has a leading axis of places; else the same at every place */
} Lifted;
typedef struct Lift {
    Rewrite *w;
    RecBuild *b;  /* where the new ops go: the recurrence's own region */
    RecId recur;  /* old */
    Dim length;   /* how many places: all, or those of a chunk */
    Lifted *made; /* by old op */
} Lift;
Lifted lift_value(Lift *l, RecId old);
RecId lift_placed(Lift *l, RecId old); /* with its axis of places, broadcast if need be */

#endif
