/* Elementwise functions: see fun.def. */
#ifndef LANG_FUN_H
#define LANG_FUN_H

#include "lang/type.h"

typedef enum Fun {
#define FUN(ENUM, ...) FUN_##ENUM,
#include "lang/fun.def"
#undef FUN
    FUN_COUNT
} Fun;

typedef struct FunInfo {
    const char *text;
    uint8_t arity;
    char result;            /* 'r' real, 'b' bool, 'i' int, 's' as the (last two) arguments */
    const char *derivative[3]; /* prefix form, see fun.def; "" for none */
} FunInfo;

const FunInfo *fun_info(Fun f);
bool fun_find(Str text, Fun *out);
double fun_eval(Fun f, double a, double b, double c);
DType fun_result(Fun f, const DType *arg); /* element type of the result */

#endif
