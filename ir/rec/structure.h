/* The structure of recurrences: what each stage of a step is, by the terms of its new states, and which forms exist. */
#ifndef IR_REC_STRUCTURE_H
#define IR_REC_STRUCTURE_H

#include "ir/rec/matrix.h"
#include "ir/rec/operator.h"

typedef enum StageClass {
    STAGE_DELAY,    /* the new states read none of the old ones */
    STAGE_DIAGONAL, /* affine, each element by itself */
    STAGE_COUPLED,  /* affine, several states of one shape, whose elements at one place read each other */
    STAGE_DENSE,    /* affine, elements at different places read each other */
    STAGE_TABLE,    /* a state that stands for an element of an axis: see table.h */
    STAGE_OPERATOR, /* updated by an associative operator that the user declared: see operator.h */
    STAGE_NONLINEAR,
} StageClass;

typedef struct StageInfo {
    uint32_t n, *state; /* its states, by number */
    StageClass class;
    Algebra algebra;
    bool constant;   /* the operator is the same at every step, lengths and cuts apart */
    uint32_t kept; /* axes, as bits, that all its states have and along which every element sees its own place alone */
    uint32_t columns; /* those of them along which the operator is the same */
    bool guarded;     /* the step says that 0 times what may be infinite is 0 */
    Terms *term;      /* by state: of its new value; none if not affine */
    Matrix *matrix;  /* also a matrix stage; NULL if not */
    MatrixWhy no_matrix;
    Dim size;          /* of a table: of the axis */
    Update update;     /* by an operator */
    const bool *reads; /* by op: it reads the stage's states */
    RecId why;       /* of a nonlinear one: the op that made it so */
} StageInfo;

typedef struct Structure {
    RecId recur;
    Stages stages;
    StageInfo *stage;
    bool loops; /* the step has a loop inside */
} Structure;

Structure structure_of(const RecProg *p, Arena *a, RecId recur);
bool structure_same(const RecProg *p, const RecOp *recur, RecId v); /* v, a value of the step or from outside, is the same at every place */

/* A value of the step, or from outside, that is made of the lengths of sequences and constants alone. */
bool structure_of_lengths(const RecProg *p, const RecOp *recur, RecId v);

/* Whether the scan composes the steps of a stage: as elements, or as matrices over the axes that are not kept. */
bool structure_scans(const RecProg *p, const Structure *s, uint32_t stage);

/* Whether a form exists for a recurrence: WHY_NONE, or the reason why not, and the op that is the reason (REC_NONE for none). */
RecWhy structure_lacks(const RecProg *p, const Structure *s, const RecForm *form, RecId *at);

#endif
