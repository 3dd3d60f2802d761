/* How far apart a step can bring two states that were at most 1 apart: a bound of the largest sum of |derivative| of one new element by
 * all old ones, whatever goes in. Where a state has a box (box.h), it is for states within it, as they stay if they start there. The bound is a
 * sum of products of sizes: of parameters and other values that the step reads, which only a call knows. */
#ifndef IR_REC_CONTRACTION_H
#define IR_REC_CONTRACTION_H

#include "ir/rec/rec.h"

enum { NORM_TERMS = 24, NORM_FACTORS = 6 };

typedef struct NormTerm {
    double coef;               /* above 0 */
    uint32_t n;
    uint32_t of[NORM_FACTORS]; /* indices into Contraction.size, in order */
} NormTerm;

/* A sum of terms; none: 0. */
typedef struct Norm {
    bool bounded;
    uint32_t n;
    NormTerm term[NORM_TERMS];
} Norm;

typedef struct NormSize {
    RecId v;
    uint32_t axes; /* of v, as bits: the largest sum of |v| over them; none: the largest |v| */
    Str name;
} NormSize;

typedef struct Contraction {
    Norm norm;
    VEC(NormSize) size;
} Contraction;

/* p has no derivatives of the user's choice (rec.chosen). Adds ops to the step that nothing uses. */
Contraction contraction_of(RecProg *p, Arena *a, RecId recur);
double contraction_number(const Contraction *c);              /* what it is without any size: a lower end of what can be shown */
/* "0.25 * max |a| + max row sum |U|" */
void contraction_print(Text *out, const RecProg *p, const Contraction *c);

#endif
