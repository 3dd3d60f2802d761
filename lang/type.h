/* Types of values: an element type and a shape of symbolic sizes. */
#ifndef LANG_TYPE_H
#define LANG_TYPE_H

#include "lang/dim.h"

enum { MAXRANK = 8 };

typedef enum DType {
    DT_REAL, /* float or double, as --precision says; the evaluator always computes in double */
    DT_INT,  /* 32 bits, signed */
    DT_BOOL, /* one byte, 0 or 1 */
    DT_COMPLEX, /* only in the text: the frontend makes two reals of it */
} DType;

typedef struct Type {
    DType dt;
    uint8_t rank;
    Dim dim[MAXRANK]; /* outermost first; row-major */
} Type;

const char *dtype_name(DType dt); /* "real", "int", "bool", "complex" */
bool type_eq(const Type *a, const Type *b);
Dim type_size(DimTab *t, const Type *ty); /* number of elements */
uint8_t type_places(const DimTab *t, const Type *ty); /* its leading axes of kind time; the batch stands behind them */
Str type_str(Arena *a, const DimTab *t, const Type *ty); /* "real[4, H]", "int" */

#endif
