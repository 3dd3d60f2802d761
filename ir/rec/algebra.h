/* The algebras over which a step can be affine: what "sum" and "product" mean. Products distribute over sums in all of
 * them. */
#ifndef IR_REC_ALGEBRA_H
#define IR_REC_ALGEBRA_H

#include "ir/rec/part.h"

typedef enum Algebra {
    ALGEBRA_PLUS, /* + and * */
    ALGEBRA_MAX,  /* max and + */
    ALGEBRA_MIN,  /* min and + */
    ALGEBRA_LOG,  /* log(exp(a) + exp(b)) and + */
    ALGEBRA_COUNT,
} Algebra;

typedef struct AlgebraInfo {
    const char *text;
    Fun sum, product, quotient;
    RecReduce reduce;
    double zero, one;
    bool logarithms; /* a sum is the logarithm of one of exponentials; `sum` and `reduce` are the largest, which is
                        taken out of it */
} AlgebraInfo;

const AlgebraInfo *algebra_info(Algebra a);

Part algebra_sum(RecBuild *b, Algebra a, Part x, Part y);
Part algebra_reduce(RecBuild *b, Algebra a, Part x, uint32_t over); /* the sum over these labels */
/* The sum over these labels of x * y, of which both name all of them. */
Part algebra_contract(RecBuild *b, Algebra a, Part x, Part y, uint32_t over);
Part algebra_count(RecBuild *b, Algebra a, DType dt, Dim n); /* the sum of n ones */

#endif
