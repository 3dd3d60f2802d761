/* .safetensors: eight bytes of length, a JSON object (name to dtype, shape and byte range), data. */
#include "frontend/arrays.h"

#include <jansson.h>

static bool fail(Str *error, Str message)
{
    *error = message;
    return false;
}

static bool take_type(Arena *a, const json_t *row, Array *x, Str *error)
{
    const char *text = json_string_value(json_object_get(row, "dtype"));
    for (Elem e = 0; text && e < EL_COUNT; e++)
        if (strcmp(text, elem_info(e)->safetensors) == 0) {
            x->elem = e;
            return true;
        }
    return fail(error, str_fmt(a, "array `%.*s`: element type `%s` is not read; it must be F16, BF16, F32, F64, I32, I64, U8 or BOOL",
                               STRF(x->name), text ? text : ""));
}

static bool take_shape(Arena *a, const json_t *row, Array *x, Str *error)
{
    const json_t *shape = json_object_get(row, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > ARRAY_MAXRANK)
        return fail(error, str_fmt(a, "array `%.*s`: no shape with at most %d axes", STRF(x->name), ARRAY_MAXRANK));
    x->rank = (uint32_t)json_array_size(shape);
    for (uint32_t i = 0; i < x->rank; i++) {
        const json_t *n = json_array_get(shape, i);
        x->dim[i] = json_is_integer(n) ? json_integer_value(n) : -1;
        if (x->dim[i] < 0)
            return fail(error, str_fmt(a, "array `%.*s`: the shape is not a list of sizes", STRF(x->name)));
    }
    return true;
}

static bool take_data(Arena *a, const json_t *row, Bytes data, Array *x, Str *error)
{
    const json_t *range = json_object_get(row, "data_offsets");
    const json_t *lo = json_array_get(range, 0), *hi = json_array_get(range, 1);
    json_int_t begin = json_is_integer(lo) ? json_integer_value(lo) : -1;
    json_int_t end = json_is_integer(hi) ? json_integer_value(hi) : -1;
    int64_t count;
    if (begin < 0 || end < begin || (uint64_t)end > data.n)
        return fail(error, str_fmt(a, "array `%.*s`: its bytes %lld to %lld are not in the file, which has %zu",
                                   STRF(x->name), (long long)begin, (long long)end, data.n));
    size_t n = (size_t)(end - begin);
    if (!array_count(x, &count) || (size_t)count * elem_info(x->elem)->bytes != n)
        return fail(error, str_fmt(a, "array `%.*s`: %.*s does not fit its %zu bytes", STRF(x->name),
                                   STRF(array_type_str(a, x)), n));
    x->data = arena_alloc(a, n);
    if (n)
        memcpy(x->data, data.p + begin, n);
    return true;
}

static bool take_arrays(Arena *a, json_t *head, Bytes data, Arrays *out, Str *error)
{
    const char *name;
    json_t *row;
    json_object_foreach(head, name, row)
    {
        Array x = {.name = str_copy(a, str_of(name))};
        if (strcmp(name, "__metadata__") == 0)
            continue;
        if (!take_type(a, row, &x, error) || !take_shape(a, row, &x, error) || !take_data(a, row, data, &x, error))
            return false;
        vec_push(a, &out->list, x);
    }
    return true;
}

bool safetensors_decode(Arena *a, Bytes in, Arrays *out, Str *error)
{
    uint64_t length = 0;
    for (uint32_t i = 0; i < 8 && in.n >= 8; i++)
        length |= (uint64_t)in.p[i] << (8 * i);
    if (in.n < 8 || length > in.n - 8)
        return fail(error, STR("the file ends inside its header, or is not a .safetensors file"));
    json_error_t why;
    json_t *head = json_loadb((const char *)in.p + 8, (size_t)length, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(head)) {
        json_decref(head);
        return fail(error, str_fmt(a, "the header is not a JSON object: %s", head ? "another value" : why.text));
    }
    bool ok = take_arrays(a, head, (Bytes){in.p + 8 + length, in.n - 8 - (size_t)length}, out, error);
    json_decref(head);
    return ok;
}

static json_t *describe(const Array *x, size_t begin, size_t end)
{
    json_t *shape = json_array();
    for (uint32_t i = 0; i < x->rank; i++)
        json_array_append_new(shape, json_integer(x->dim[i]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", elem_info(x->elem)->safetensors, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
}

static size_t data_bytes(const Array *x)
{
    int64_t count;
    if (!array_count(x, &count))
        ice("safetensors: size overflows");
    return (size_t)count * elem_info(x->elem)->bytes;
}

bool safetensors_encode(Arena *a, const Arrays *all, Bytes *out, Str *error)
{
    json_t *head = json_object();
    size_t bytes = 0;
    for (uint32_t i = 0; i < all->list.n; i++) {
        const Array *x = &all->list.p[i];
        json_object_setn_new(head, x->name.p, x->name.n, describe(x, bytes, bytes + data_bytes(x)));
        bytes += data_bytes(x);
    }
    size_t n = json_dumpb(head, NULL, 0, JSON_COMPACT), padded = (n + 7) / 8 * 8;
    *out = (Bytes){arena_alloc(a, 8 + padded + bytes), 8 + padded + bytes};
    memset(out->p + 8, ' ', padded);
    json_dumpb(head, (char *)out->p + 8, n, JSON_COMPACT);
    bool complete = json_object_size(head) == all->list.n;
    json_decref(head);
    if (!complete)
        return fail(error, STR("a name is not UTF-8 text"));
    for (uint32_t i = 0; i < 8; i++)
        out->p[i] = (unsigned char)(padded >> (8 * i) & 255);
    size_t at = 8 + padded;
    for (uint32_t i = 0; i < all->list.n; at += data_bytes(&all->list.p[i]), i++)
        if (data_bytes(&all->list.p[i]))
            memcpy(out->p + at, all->list.p[i].data, data_bytes(&all->list.p[i]));
    return true;
}
