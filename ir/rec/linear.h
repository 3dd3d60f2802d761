/* How the values of a step depend on its carried states: sums of terms, each a product of factors that read none of the
 * states in question and of at most one of these states. This is what every derivation of a parallel form begins with;
 * it looks at operations and index maps only. */
#ifndef IR_REC_LINEAR_H
#define IR_REC_LINEAR_H

#include "ir/rec/pass.h"

/* What "sum" and "product" mean. */
typedef enum Algebra {
    ALGEBRA_PLUS, /* + and * */
    ALGEBRA_MAX,  /* max and + */
    ALGEBRA_MIN,  /* min and + */
    ALGEBRA_COUNT,
} Algebra;

typedef struct AlgebraInfo {
    const char *text;
    Fun sum, product, quotient;
    RecReduce reduce;
    double zero, one;
} AlgebraInfo;

const AlgebraInfo *algebra_info(Algebra a);

typedef enum FactorKind {
    FACTOR_TIMES, /* the value */
    FACTOR_OVER,  /* one divided by it */
    FACTOR_IF,    /* a bool: one where it holds; where not, the whole term is zero, whatever its other factors are */
    FACTOR_UNLESS,
} FactorKind;

typedef struct Factor {
    FactorKind kind;
    RecUse use; /* by the term's axes */
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

typedef struct LinearCx {
    const RecProg *p;
    Arena *arena;
    RecRegion body;
    const bool *depends; /* by op: it reads one of the states */
    const bool *known;   /* by op: it does, but is to be taken as a factor all the same; NULL for none */
    Algebra algebra;
} LinearCx;

/* The terms of v; false, and the op that is not linear, when it has none. */
bool linear_terms(const LinearCx *cx, RecId v, Terms *out, RecId *why);
/* In ALGEBRA_PLUS: replaces a factor that is a product, a quotient or a sum by what it is made of; false when it is none. */
bool linear_expand(const LinearCx *cx, const Term *t, uint32_t factor, Terms *out);
uint32_t linear_names(const LinearCx *cx, const Term *t, uint32_t factor); /* the term's axes it names, as bits */

#endif
