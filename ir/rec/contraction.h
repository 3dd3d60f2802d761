/* How far apart a step can bring two states that were at most 1 apart: a bound of the largest sum of |derivative| of one new element by
 * all old ones, whatever goes in, for states that are at most the `least` of their box (box.h), where there is one above 0. It is a sum of products of sizes: of parameters and
 * other values that the step reads, which only a call knows. */
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
    bool sums; /* the largest sum of |v| over the axes that a product sums over; else the largest |v| */
    Str name;
} NormSize;

typedef struct Contraction {
    Norm norm;
    VEC(NormSize) size;
} Contraction;

/* p has no derivatives of the user's choice (rec.chosen). Adds ops to the step that nothing uses. */
Contraction contraction_of(RecProg *p, Arena *a, RecId recur);
double contraction_number(const Contraction *c);              /* what it is without any size: a lower end of what can be shown */
void contraction_print(Text *out, const Contraction *c);      /* "0.25*max|a| + max sum|U|" */

#endif
