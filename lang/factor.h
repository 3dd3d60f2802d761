/* What the factors of a matrix product are rounded to before they are multiplied. Two factors so short have an exact product in single
 * precision; sums are of single precision, in any order. */
#ifndef LANG_FACTOR_H
#define LANG_FACTOR_H

#include "lang/narrow.h"

typedef enum FactorType {
    FACTOR_REAL, /* nothing: as wide as what is computed with */
    FACTOR_BF16,
    FACTOR_F16,
    FACTOR_TF32, /* the exponent of single precision, 11 bits of precision; ties go away from zero, as NVIDIA's conversion has it */
    FACTOR_COUNT,
} FactorType;

const char *factor_text(FactorType f);      /* "bf16"; of FACTOR_REAL "f32" */
FactorType factor_of_text(Str text);        /* FACTOR_COUNT: there is none */
FactorType factor_of_narrow(Narrow n);      /* what is stored so needs no more rounding; of NARROW_NONE: FACTOR_REAL */
double factor_unit(FactorType f);           /* how far rounding is off at most, relative to a normal number */
double factor_round(FactorType f, double x); /* to single precision first; of FACTOR_REAL: x itself */

#endif
