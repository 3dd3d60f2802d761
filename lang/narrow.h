/* Reals of 16 bits: how they stand in arrays. Nothing is computed with them: what is read is widened to single precision,
 * what is written is rounded to the nearest, to the even one of two; what is too large becomes infinite, NaN stays NaN. */
#ifndef LANG_NARROW_H
#define LANG_NARROW_H

#include "lang/base.h"

typedef enum Narrow {
    NARROW_NONE, /* as wide as what is computed with */
    NARROW_BF16, /* the upper half of a float: 8 bits of exponent, 8 of precision */
    NARROW_F16,  /* IEEE 754: 5 bits of exponent, 11 of precision */
    NARROW_COUNT,
} Narrow;

const char *narrow_text(Narrow n);   /* "bf16"; "" of NARROW_NONE */
const char *narrow_c_type(Narrow n); /* "rnn_bf16" */
double narrow_unit(Narrow n);        /* how far rounding is off at most, relative to a normal number */
uint32_t narrow_bytes(Narrow n, uint32_t wide); /* of an element; of NARROW_NONE: wide */
uint16_t narrow_of(Narrow n, float x);
float narrow_value(Narrow n, uint16_t bits);
double narrow_round(Narrow n, double x); /* to single precision first, as generated code computes; of NARROW_NONE: x itself */

#endif
