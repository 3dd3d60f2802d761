/* Stages whose step is the same at every place, and of which only sums are read: what comes out is a convolution of what
 * goes in. Found from the terms of the step (linear.h), never from names. */
#ifndef IR_REC_CONVOLUTION_H
#define IR_REC_CONVOLUTION_H

#include "ir/rec/structure.h"

/* A term, with its factors that are the same at every place (as bits); of the others, conditions are in neither. */
typedef struct ConvTerm {
    Term term;
    uint32_t from, to; /* states, by their numbers in the stage */
    uint32_t fixed, moving, conditions;
    uint32_t group; /* of a source: the first one with the same moving factors */
} ConvTerm;
typedef VEC(ConvTerm) ConvTerms;

/* A result of the step, a sum over axes of the state; all its terms have the same factors that differ from place to place. */
typedef struct ConvRead {
    RecId v;
    ConvTerms of_state;
    Terms local;
} ConvRead;

typedef struct Convolution {
    uint32_t n, *state;
    Type type;
    uint32_t sum;      /* the axes of the state that are summed over, as bits */
    ConvTerms step;    /* the operator */
    ConvTerms source;
    VEC(ConvRead) read;
    bool holds;        /* where `valid` is false, and from there on, the state stays as it is */
    Factor valid;
    uint32_t clear;    /* of step.p[0]: the conditions without which the state becomes 0 */
} Convolution;

/* NULL, and why not, if the recurrence has not exactly one stage and that one is none. */
Convolution *convolution_of(const RecProg *p, Arena *a, const Structure *s, RecWhy *why, RecId *at);

#endif
