/* How the values of a step depend on its carried states: sums of terms, each a product of factors that read none of the
 * states in question and of at most one of these states. This is what every derivation of a parallel form begins with;
 * it looks at operations and index maps only. */
#ifndef IR_REC_LINEAR_H
#define IR_REC_LINEAR_H

#include "ir/rec/algebra.h"

typedef enum FactorKind {
    FACTOR_TIMES, /* the value */
    FACTOR_OVER,  /* one divided by it */
    FACTOR_IF,    /* a bool: one where it holds; where not, the whole term is zero, whatever its other factors are */
    FACTOR_UNLESS,
} FactorKind;

typedef struct Factor {
    FactorKind kind;
    RecUse use; /* by the term's axes */
    bool logarithm; /* its logarithm stands there: in ALGEBRA_LOG */
} Factor;

enum { LINEAR_MAXFACTORS = 30 }; /* so that some of them are bits of a number */

/* Over the axes of the value it is a term of, then those that are summed over. */
typedef struct Term {
    double sign; /* 1 or -1 */
    RecId state; /* the REGARG of a carried state, or REC_NONE */
    uint8_t axis[MAXRANK]; /* the term's axis that each axis of the state follows */
    uint8_t rank, nit;
    Dim space[MAXIT];
    VEC(Factor) factor;
} Term;

typedef VEC(Term) Terms;

/* An axis of a value of which one element alone is looked at, where it is a list of parts, [a, b]: see linear_reduce.
 */
typedef struct PartAt {
    bool one;
    uint8_t axis;
    uint32_t part;
} PartAt;

/* A condition, that a sum of terms has its zero, which is known not to hold: see linear_where. */
typedef struct Guard {
    RecId condition;
    RecUse sum;   /* as the condition names it */
    bool aligned; /* there is one, and the value has its axes */
    bool here;    /* the value is the sum */
    bool empty;   /* the sum is taken to have no terms */
} Guard;

typedef struct LinearCx {
    const RecProg *p;
    Arena *arena;
    RecRegion body;
    const bool *depends; /* by op: it reads one of the states */
    const bool *known;   /* by op: it does, but is to be taken as a factor all the same; NULL for none */
    Algebra algebra;
    PartAt at;
    Guard guard;
    bool *guarded;     /* set where a guard is left out; NULL: none is to be */
    bool exponentials; /* in ALGEBRA_LOG: the value itself is a sum of exponentials; else it is the logarithm of one */
    uint32_t *left;    /* how many more values may be looked at: a step reads one over and over; NULL: LINEAR_MAXVALUES */
} LinearCx;

/* The terms of v; false, and the op that is not linear, when it has none. */
bool linear_terms(const LinearCx *cx, RecId v, Terms *out, RecId *why);
bool linear_log_terms(const LinearCx *cx, RecId v, Terms *out, RecId *why); /* linear_log.c: the same in ALGEBRA_LOG */
/* In ALGEBRA_PLUS: replaces a factor that is a product, a quotient or a sum by what it is made of; false when it is
 * none. */
bool linear_expand(const LinearCx *cx, const Term *t, uint32_t factor, Terms *out);
uint32_t linear_names(const LinearCx *cx, const Term *t, uint32_t factor); /* the term's axes it names, as bits */
bool linear_same_factor(const RecProg *p, const Factor *a, const Factor *b);
bool linear_in_place(const RecProg *p, const Term *t); /* it reads its state at its own place, and nothing is summed */

/* ---- what linear.c and linear_log.c share: terms of an operand as terms of the op ---- */
enum { LINEAR_MAXTERMS = 64, LINEAR_MAXVALUES = 4096 };
bool linear_in_question(const LinearCx *cx, RecId v); /* it reads a state, and is no factor */
bool linear_is_carried(const RecProg *p, RecId v);
Term linear_one(const RecOp *op); /* the term of no factors, over the op's axes */
bool linear_through(const LinearCx *cx, const RecOp *op, uint32_t operand, Terms *out, RecId *why);
/* where(c, a, b), in which c reads no state, or is a guard: a sum's being zero, in which case the whole is zero. */
bool linear_where(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why);
/* What the op sums over; where that is a list of parts, each part by itself. */
bool linear_reduce(const LinearCx *cx, const RecOp *op, Terms *out, RecId *why);
bool linear_part(const LinearCx *cx, const RecOp *op, Terms *out,
                 RecId *why); /* of a CONCAT or RESHAPE, the part that is looked at */
bool linear_few_factors(const Terms *t);
bool linear_log_value(const LinearCx *cx, RecId v, Terms *out,
                      RecId *why); /* linear_log.c: with factors that read states */

#endif
