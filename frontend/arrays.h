/* Named arrays, and the files they come from and go to. Files are not trusted: every size is checked before it is used. */
#ifndef FRONTEND_ARRAYS_H
#define FRONTEND_ARRAYS_H

#include "frontend/files.h"

enum { ARRAY_MAXRANK = 10 };

typedef enum Elem {
    EL_F32,
    EL_F64,
    EL_I32,
    EL_I64,
    EL_U8,
    EL_BOOL,
    EL_F16,
    EL_BF16,
    EL_COUNT,
} Elem;

typedef struct ElemInfo {
    const char *text;        /* "float32" */
    const char *npy;         /* "<f4"; NULL: the format has none */
    const char *safetensors; /* "F32" */
    size_t bytes;
} ElemInfo;

typedef struct Array {
    Str name;
    Elem elem;
    bool is_complex; /* two numbers for each element: in files only, see arrays_add */
    bool is_part;    /* made from a complex array */
    uint32_t rank;
    int64_t dim[ARRAY_MAXRANK];
    void *data; /* row-major, little endian */
} Array;

typedef struct Arrays {
    VEC(Array) list;
} Arrays;

const ElemInfo *elem_info(Elem e);
bool elem_is_float(Elem e);
bool array_count(const Array *x, int64_t *count); /* elements; false when the product overflows */
double array_get(const Array *x, int64_t i);
void array_set(Array *x, int64_t i, double value);
bool array_is_exact(const Array *x, int64_t i); /* array_get loses nothing */
Str array_element_str(Arena *a, const Array *x, int64_t i); /* its digits, of an int64 too */
Str array_place_str(Arena *a, const Array *x, int64_t i);   /* "3" of one axis, else "[1, 0]" */
Str array_type_str(Arena *a, const Array *x); /* "float32[3, 4]" */
Array *arrays_find(const Arrays *all, Str name);
void arrays_add(Arena *a, Arrays *to, const Array *x); /* a complex array `x` as two, `x.re` and `x.im` */

/* By extension: .npz, .npy (one array, named as the file), .safetensors. Appends. */
bool arrays_read(Arena *a, Str path, Arrays *out, Str *error);
bool arrays_write(Arena *a, Str path, const Arrays *all, Str *error);

/* ---- the formats ---- */
/* npy.c: messages say what is wrong, the caller says where */
bool npy_decode(Arena *a, Bytes in, Array *out, Str *error);
Bytes npy_encode(Arena *a, const Array *x);
bool npz_decode(Arena *a, Bytes in, Arrays *out, Str *error);
bool npz_encode(Arena *a, const Arrays *all, Bytes *out, Str *error);
bool safetensors_decode(Arena *a, Bytes in, Arrays *out, Str *error);
bool safetensors_encode(Arena *a, const Arrays *all, Bytes *out, Str *error);

#endif
