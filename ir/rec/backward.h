/* What the files of rec.backward share: see backward.c for the idea. */
#ifndef IR_REC_BACKWARD_H
#define IR_REC_BACKWARD_H

#include "ir/rec/pass.h"

typedef struct Guard {
    RecId v;               /* REC_NONE: no guard */
    uint8_t axis[MAXRANK]; /* its axes among those of the guarded value */
} Guard;

typedef struct Part {
    RecId v;
    Guard guard;
} Part;

typedef struct Sum {
    VEC(Part) part;
} Sum;

typedef struct Back {
    RecProg *p;
    uint32_t n;  /* ops of the forward function: those before backward began */
    bool *needs; /* by forward op: its gradient is wanted */
    bool *dirty; /* by forward op: may be no number where no one looks: made of inputs, or by functions with poles */
} Back;

typedef struct Level Level;
struct Level {
    Level *up; /* NULL at the root */
    Back *back;
    RecId recur;    /* forward RECUR */
    RecId adjoint;  /* the RECUR in the making */
    RecRegion body; /* forward region */
    bool again;     /* nothing of a step is kept but the states that it finds */
    RecBuild b;
    VEC(RecId) made; /* by forward op: its value here */
    Sum *sum;        /* by forward op: contributions to its cotangent, of outer values too */
};

static const Guard unguarded = {.v = REC_NONE};

/* ---- backward_level.c: forward values where the adjoint is, guards, contributions ---- */
RecId back_here(Level *l, RecId v); /* a forward value, made again or kept for this level */
RecUse back_use(Level *l, RecUse u);
RecUse back_guard_use(Guard g);                                    /* over the axes of the guarded value */
Guard back_join(Level *l, Fun f, Guard a, Guard b, const Type *t); /* of a value of this type */
Guard back_project(Level *l, Guard g, RecUse u);                   /* a result's, for an operand */
/* The distinct axes that u names, in order; first[k]: the first of u's axes that follows the same one as k. */
uint8_t back_distinct(const RecProg *p, RecUse u, uint8_t *axis, uint8_t *first);
RecId back_masked(Level *l, Guard g, RecUse x, uint8_t rank, const Dim *dim); /* where(guard, x, 0) */
void back_add(Level *l, RecId v, RecId part, Guard g);                        /* to the cotangent of v */
Part back_total(Level *l, RecId v);                                           /* REC_NONE: nothing came */
void back_give(Level *l, RecUse u, RecId r, uint8_t nit, const Dim *space,
               Guard g); /* r, over all axes, to an operand */

/* ---- backward_guard.c: guards that an adjoint recurrence carries ---- */
/* A forward state whose adjoint is carried, perhaps with the guard of that. */
typedef struct Carried {
    uint32_t state;
    bool guarded;
    uint32_t axes; /* of the guard, among those of the adjoint, as bits */
} Carried;
Carried back_carried(Level *l, uint32_t state, RecRegion home, Part cotangent); /* of a RECUR in region home */
/* The guard as a value: of the final state's cotangent, and of what a round leaves. t: the state's type. */
RecId back_guard_value(Level *l, const Carried *c, Part d, const Type *t);
Guard back_carried_guard(const Carried *c, RecId v); /* v: such a value */
bool back_guard_fits(Level *in, Carried *c, Part d); /* false: c has more axes now, and the adjoint is made again */

/* ---- backward_rule.c: one op each; d is the cotangent of its result ---- */
void back_map(Level *l, RecId v, const RecOp *op, Part d);
void back_reduce(Level *l, RecId v, const RecOp *op, Part d);
void back_contract(Level *l, const RecOp *op, Part d);
void back_gather(Level *l, const RecOp *op, Part d);
void back_scatter(Level *l, const RecOp *op, Part d);
void back_slice(Level *l, const RecOp *op, Part d);
void back_part(Level *l, RecId a, uint8_t along, Dim lo,
               Part d); /* a is the part of a concatenation, or of zeros, at lo */
void back_concat(Level *l, const RecOp *op, Part d);
void back_reshape(Level *l, const RecOp *op, Part d);

#endif
