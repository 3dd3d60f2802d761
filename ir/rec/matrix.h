/* Matrix stages: a stage of one state S whose step is, column by column, S' = d*S + a (b.S) + k v, or of several states of
 * one shape, each with such terms in all of them. One axis of S, `k`, is contracted by the rank-one part and by what is
 * read out; the axes in `batch` may occur in all factors; those in `cols` occur in no factor of the operator, so columns
 * never mix. Such a stage has a chunkwise form in matrix products (chunk.c). Found from the terms of the step
 * (linear.h), never from names. */
#ifndef IR_REC_MATRIX_H
#define IR_REC_MATRIX_H

#include "ir/rec/linear.h"
#include "ir/rec/stage.h"

/* A term whose factors are in two groups that share no axis but batch ones, and summed ones in `sum`, and a third of what names
 * axes of neither; conditions may be in the first two. As bits. */
typedef struct Split {
    Term term;
    uint32_t first, second, scale;
    uint32_t sum; /* axes that both groups name, and that are summed over last */
    uint32_t from, to; /* the states that are read and written, by their numbers in the stage */
} Split;

typedef VEC(Split) Splits;

/* A value of the step in which the state has been contracted. */
typedef struct Readout {
    RecId v;
    Splits of_state; /* first: what meets the state's axis k; second: what is multiplied afterwards */
    Terms local;     /* what reads no state of the stage */
} Readout;

typedef struct Matrix {
    uint32_t n, *state; /* its states, by number */
    RecId *carried;     /* their REGARGs */
    Type type;          /* of each */
    uint8_t k;
    uint32_t batch, cols; /* its axes, as bits */
    bool diagonal;        /* the decay differs along k */
    Terms *decay;         /* [n, n]: the decays of state j in the new state i, at i * n + j */
    Splits low;    /* first: b, second: a */
    Splits source; /* first: k, second: v */
    VEC(Readout) readout;
    uint32_t *writes; /* by rank-one term, then by source term: the first of them that writes the same vector */
} Matrix;

/* Why a stage is none. */
typedef struct MatrixWhy {
    RecWhy why;
    RecId at; /* the op that made it so, or REC_NONE */
} MatrixWhy;

bool matrix_is_condition(const Factor *f);

/* Stage `stage` of a recurrence as a matrix stage, or NULL and why not. */
Matrix *matrix_stage(const RecProg *p, Arena *a, RecId recur, const Stages *s, uint32_t stage, MatrixWhy *why);

void matrix_join(const RecProg *p, Arena *a, Matrix *m); /* matrix_join.c: makes Matrix.writes */

#endif
