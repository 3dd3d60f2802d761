#include "lang/fun.h"

#include <math.h>

static const FunInfo info[FUN_COUNT] = {
#define FUN(ENUM, TEXT, ARITY, RESULT, MEANING, DA, DB, DC) [FUN_##ENUM] = {TEXT, ARITY, RESULT, {DA, DB, DC}},
#include "lang/fun.def"
#undef FUN
};

const FunInfo *fun_info(Fun f)
{
    return &info[f];
}

bool fun_find(Str text, Fun *out)
{
    for (uint32_t f = 0; f < FUN_COUNT; f++)
        if (str_is(text, info[f].text)) {
            *out = (Fun)f;
            return true;
        }
    return false;
}

double fun_eval(Fun f, double a, double b, double c)
{
    (void)b, (void)c;
    switch (f) {
#define FUN(ENUM, TEXT, ARITY, RESULT, MEANING, DA, DB, DC)                                                            \
    case FUN_##ENUM: return MEANING;
#include "lang/fun.def"
#undef FUN
    case FUN_COUNT: break;
    }
    ice("fun_eval: no function %d", (int)f);
}

DType fun_result(Fun f, const DType *arg)
{
    switch (info[f].result) {
    case 'b': return DT_BOOL;
    case 'i': return DT_INT;
    case 's': return arg[info[f].arity - 1];
    default: return DT_REAL;
    }
}
