#include "frontend/arrays.h"
#include "lang/narrow.h"
#include "lang/utf8.h"

static const ElemInfo elem_row[EL_COUNT] = {
    [EL_F32] = {"float32", "<f4", "F32", 4}, [EL_F64] = {"float64", "<f8", "F64", 8},
    [EL_I32] = {"int32", "<i4", "I32", 4},   [EL_I64] = {"int64", "<i8", "I64", 8},
    [EL_U8] = {"uint8", "|u1", "U8", 1},     [EL_BOOL] = {"bool", "|b1", "BOOL", 1},
    [EL_F16] = {"float16", "<f2", "F16", 2}, [EL_BF16] = {"bfloat16", NULL, "BF16", 2},
};

const ElemInfo *elem_info(Elem e)
{
    return &elem_row[e];
}

bool array_count(const Array *x, int64_t *count)
{
    bool ok = true;
    *count = 1;
    for (uint32_t i = 0; i < x->rank; i++)
        ok = ok && x->dim[i] >= 0 && !__builtin_mul_overflow(*count, x->dim[i], count);
    return ok && *count <= INT64_MAX / 16;
}

double array_get(const Array *x, int64_t i)
{
    switch (x->elem) {
    case EL_F32: return (double)((const float *)x->data)[i];
    case EL_F64: return ((const double *)x->data)[i];
    case EL_I32: return ((const int32_t *)x->data)[i];
    case EL_I64: return (double)((const int64_t *)x->data)[i];
    case EL_U8: return ((const uint8_t *)x->data)[i];
    case EL_BOOL: return ((const uint8_t *)x->data)[i] != 0;
    case EL_F16: return (double)narrow_value(NARROW_F16, ((const uint16_t *)x->data)[i]);
    case EL_BF16: return (double)narrow_value(NARROW_BF16, ((const uint16_t *)x->data)[i]);
    case EL_COUNT: break;
    }
    ice("array_get: element type %d", (int)x->elem);
}

void array_set(Array *x, int64_t i, double value)
{
    switch (x->elem) {
    case EL_F32: ((float *)x->data)[i] = (float)value; return;
    case EL_F64: ((double *)x->data)[i] = value; return;
    case EL_I32: ((int32_t *)x->data)[i] = (int32_t)value; return;
    case EL_I64: ((int64_t *)x->data)[i] = (int64_t)value; return;
    case EL_U8:
    case EL_BOOL: ((uint8_t *)x->data)[i] = (uint8_t)value; return;
    case EL_F16: ((uint16_t *)x->data)[i] = narrow_of(NARROW_F16, (float)value); return;
    case EL_BF16: ((uint16_t *)x->data)[i] = narrow_of(NARROW_BF16, (float)value); return;
    case EL_COUNT: break;
    }
    ice("array_set: element type %d", (int)x->elem);
}

bool elem_is_float(Elem e)
{
    return e == EL_F32 || e == EL_F64 || e == EL_F16 || e == EL_BF16;
}

bool array_is_exact(const Array *x, int64_t i)
{
    double v = array_get(x, i);
    return x->elem != EL_I64 || (v < 0x1p63 && (int64_t)v == ((const int64_t *)x->data)[i]);
}

Str array_element_str(Arena *a, const Array *x, int64_t i)
{
    if (x->elem == EL_I64)
        return str_fmt(a, "%lld", (long long)((const int64_t *)x->data)[i]);
    return str_fmt(a, "%.17g", array_get(x, i));
}

Str array_place_str(Arena *a, const Array *x, int64_t i)
{
    Text out = {.arena = a};
    int64_t at[ARRAY_MAXRANK];
    if (x->rank < 2)
        return str_fmt(a, "%lld", (long long)i);
    for (uint32_t k = x->rank; k-- > 0; i /= x->dim[k])
        at[k] = i % x->dim[k];
    for (uint32_t k = 0; k < x->rank; k++)
        text_add(&out, "%s%lld", k ? ", " : "[", (long long)at[k]);
    text_add(&out, "]");
    return text_str(&out);
}

Str array_type_str(Arena *a, const Array *x)
{
    Text out = {.arena = a};
    if (x->is_complex)
        text_add(&out, "complex%zu[", 16 * elem_row[x->elem].bytes);
    else
        text_add(&out, "%s[", elem_row[x->elem].text);
    for (uint32_t i = 0; i < x->rank; i++)
        text_add(&out, "%s%lld", i ? ", " : "", (long long)x->dim[i]);
    text_add(&out, "]");
    return text_str(&out);
}

Array *arrays_find(const Arrays *all, Str name)
{
    for (uint32_t i = 0; i < all->list.n; i++)
        if (str_eq(all->list.p[i].name, name))
            return &all->list.p[i];
    return NULL;
}

void arrays_add(Arena *a, Arrays *to, const Array *x)
{
    int64_t n;
    if (!x->is_complex) {
        vec_push(a, &to->list, *x);
        return;
    }
    if (!array_count(x, &n))
        ice("arrays_add: a size overflows");
    size_t bytes = elem_row[x->elem].bytes;
    for (uint32_t part = 0; part < 2; part++) {
        Array one = *x;
        one.is_complex = false;
        one.is_part = true;
        one.name = str_fmt(a, "%.*s.%s", STRF(x->name), part ? "im" : "re");
        one.data = arena_alloc(a, (size_t)n * bytes);
        for (size_t i = 0; i < (size_t)n; i++)
            memcpy((char *)one.data + i * bytes, (const char *)x->data + (2 * i + part) * bytes, bytes);
        vec_push(a, &to->list, one);
    }
}

/* What is said of a file may quote it, and there may be anything in it. */
static bool located(Arena *a, Str path, Str *error)
{
    *error = str_fmt(a, "%.*s: %.*s", STRF(path), STRF(str_printable(a, *error)));
    return false;
}

static bool decode(Arena *a, Str path, Bytes in, Arrays *out, Str *error)
{
    Str extension = path_extension(path);
    if (str_is(extension, "npz"))
        return npz_decode(a, in, out, error);
    if (str_is(extension, "safetensors"))
        return safetensors_decode(a, in, out, error);
    if (!str_is(extension, "npy")) {
        *error = STR("array files end in .npz, .npy or .safetensors");
        return false;
    }
    Array one = {.name = path_stem(path)};
    if (!npy_decode(a, in, &one, error))
        return false;
    arrays_add(a, out, &one);
    return true;
}

bool arrays_read(Arena *a, Str path, Arrays *out, Str *error)
{
    Bytes in;
    Arrays found = {0};
    if (!file_read(a, path, &in, error))
        return false;
    if (!decode(a, path, in, &found, error))
        return located(a, path, error);
    for (uint32_t i = 0; i < found.list.n; i++) {
        Str name = found.list.p[i].name = str_printable(a, found.list.p[i].name);
        if (arrays_find(out, name)) {
            *error = str_fmt(a, "`%.*s` is there twice", STRF(name));
            return located(a, path, error);
        }
        vec_push(a, &out->list, found.list.p[i]);
    }
    return true;
}

static bool encode(Arena *a, Str path, const Arrays *all, Bytes *out, Str *error)
{
    Str extension = path_extension(path);
    if (str_is(extension, "npz"))
        return npz_encode(a, all, out, error);
    if (str_is(extension, "safetensors"))
        return safetensors_encode(a, all, out, error);
    if (str_is(extension, "npy") && all->list.n == 1) {
        *out = npy_encode(a, &all->list.p[0]);
        return true;
    }
    *error = str_is(extension, "npy") ? str_fmt(a, "a .npy file holds one array, not %u; write .npz", all->list.n)
                                      : STR("array files end in .npz, .npy or .safetensors");
    return false;
}

bool arrays_write(Arena *a, Str path, const Arrays *all, Str *error)
{
    Bytes out;
    if (!encode(a, path, all, &out, error))
        return located(a, path, error);
    return file_write(a, path, out.p, out.n, error);
}
