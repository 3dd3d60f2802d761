#include "lang/type.h"

const char *dtype_name(DType dt)
{
    static const char *const name[] = {[DT_REAL] = "real", [DT_INT] = "int", [DT_BOOL] = "bool", [DT_COMPLEX] = "complex"};
    return name[dt];
}

bool type_eq(const Type *a, const Type *b)
{
    if (a->dt != b->dt || a->rank != b->rank)
        return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

Dim type_size(DimTab *t, const Type *ty)
{
    Dim n = DIM_ONE;
    for (uint32_t i = 0; i < ty->rank; i++)
        n = dim_mul(t, n, ty->dim[i]);
    return n;
}

uint8_t type_places(const DimTab *t, const Type *ty)
{
    uint8_t n = 0;
    while (n < ty->rank && dim_is_time(t, ty->dim[n]))
        n++;
    return n;
}

Str type_str(Arena *a, const DimTab *t, const Type *ty)
{
    Text out = {.arena = a};
    text_add(&out, "%s", dtype_name(ty->dt));
    for (uint32_t i = 0; i < ty->rank; i++) {
        text_add(&out, i ? ", " : "[");
        dim_print(&out, t, ty->dim[i]);
    }
    text_add(&out, ty->rank ? "]" : "");
    return text_str(&out);
}
