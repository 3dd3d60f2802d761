/* How steep a step is wherever it may be: of what is linear in some changes, a bound by sizes alone,
 *
 *     |sum of c_k d_k| <= sum of (|c_k| + r_k) |d_k|,
 *
 * where r_k bounds how much the coefficient c_k can differ from itself inside of a ball. Of a tangent that bounds by how much the step
 * itself changes, as long as what it finds stays inside of the ball (mean value theorem). */
#ifndef IR_REC_LIPSCHITZ_H
#define IR_REC_LIPSCHITZ_H

#include "ir/rec/ball.h"

typedef struct Lipschitz {
    RecBuild b;
    Ball *ball;  /* of the coefficients: begun behind all that lipschitz_of is asked for */
    bool *reads; /* by op: it is made of changes */
    RecId *of;   /* by op: its bound; REC_NONE: not made yet */
    bool none;   /* out: something has no bound here */
} Lipschitz;

/* `change`, n of them, are the changes, and their sizes: these are not negative. */
Lipschitz lipschitz_begin(RecBuild b, Ball *ball, const RecId *change, uint32_t n);
RecId lipschitz_of(Lipschitz *x, RecId v); /* REC_NONE: no change reaches it, or there is no bound */

#endif
