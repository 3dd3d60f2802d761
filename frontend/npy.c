/* The .npy format, versions 1 to 3: magic, version, length of the header, header (a Python dictionary), data. */
#include "frontend/arrays.h"

static const unsigned char magic[6] = {0x93, 'N', 'U', 'M', 'P', 'Y'};

typedef struct Scan {
    const char *p, *end;
} Scan;

static void skip_blanks(Scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
        s->p++;
}

static bool accept(Scan *s, char c)
{
    skip_blanks(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

/* 'text' or "text", without escapes */
static bool take_string(Scan *s, Str *out)
{
    skip_blanks(s);
    if (s->p == s->end || (*s->p != '\'' && *s->p != '"'))
        return false;
    char quote = *s->p++;
    const char *begin = s->p;
    while (s->p < s->end && *s->p != quote)
        s->p++;
    *out = (Str){begin, (uint32_t)(s->p - begin)};
    return s->p < s->end && s->p++ != NULL;
}

static bool take_word(Scan *s, const char *word)
{
    size_t n = strlen(word);
    skip_blanks(s);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
        return false;
    s->p += n;
    return true;
}

static bool take_number(Scan *s, int64_t *out)
{
    skip_blanks(s);
    const char *begin = s->p;
    for (*out = 0; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
        if (__builtin_mul_overflow(*out, 10, out) || __builtin_add_overflow(*out, *s->p - '0', out))
            return false;
    return s->p > begin;
}

static bool take_shape(Scan *s, Array *out)
{
    if (!accept(s, '('))
        return false;
    for (out->rank = 0; !accept(s, ')');) {
        if (out->rank == ARRAY_MAXRANK || !take_number(s, &out->dim[out->rank]))
            return false;
        out->rank++;
        if (!accept(s, ','))
            return accept(s, ')');
    }
    return true;
}

static bool take_type(Arena *a, Scan *s, Array *out, Str *error)
{
    Str text;
    if (!take_string(s, &text)) {
        *error = STR("records are not arrays of numbers");
        return false;
    }
    for (Elem e = 0; e < EL_COUNT; e++)
        if (elem_info(e)->npy && str_is(text, elem_info(e)->npy)) {
            out->elem = e;
            return true;
        }
    out->is_complex = str_is(text, "<c8") || str_is(text, "<c16");
    out->elem = str_is(text, "<c8") ? EL_F32 : EL_F64;
    if (out->is_complex)
        return true;
    enum { SHOWN = 40 };
    bool cut = text.n > SHOWN;
    text.n = cut ? SHOWN : text.n;
    *error = str_fmt(a, "element type `%.*s%s` is not read; it must be float16, float32, float64, complex64, complex128, int32, int64, uint8 or bool, little endian",
                     STRF(text), cut ? "..." : "");
    return false;
}

static bool bad_header(Str *error)
{
    *error = STR("the header is not that of a .npy array");
    return false;
}

/* {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), } in any order */
static bool take_header(Arena *a, Scan s, Array *out, bool *fortran, Str *error)
{
    unsigned seen = 0;
    if (!accept(&s, '{'))
        return bad_header(error);
    while (!accept(&s, '}')) {
        Str key;
        if (!take_string(&s, &key) || !accept(&s, ':'))
            return bad_header(error);
        if (str_is(key, "descr")) {
            seen |= 1;
            if (!take_type(a, &s, out, error))
                return false;
        } else if (str_is(key, "fortran_order")) {
            seen |= 2;
            *fortran = take_word(&s, "True");
            if (!*fortran && !take_word(&s, "False"))
                return bad_header(error);
        } else if (str_is(key, "shape")) {
            seen |= 4;
            if (!take_shape(&s, out))
                return bad_header(error);
        } else {
            return bad_header(error);
        }
        accept(&s, ',');
    }
    return seen == 7 || bad_header(error);
}

static size_t element_bytes(const Array *x)
{
    return elem_info(x->elem)->bytes * (x->is_complex ? 2 : 1);
}

/* Column-major data to row-major, element by element. */
static void from_fortran(const Array *x, int64_t count, const unsigned char *from, unsigned char *to)
{
    size_t bytes = element_bytes(x);
    int64_t at[ARRAY_MAXRANK] = {0};
    for (int64_t i = 0; i < count; i++) {
        int64_t source = 0;
        for (uint32_t k = x->rank; k-- > 0;)
            source = source * x->dim[k] + at[k];
        memcpy(to + (size_t)i * bytes, from + (size_t)source * bytes, bytes);
        for (uint32_t k = x->rank; k-- > 0 && ++at[k] == x->dim[k];)
            at[k] = 0;
    }
}

/* Where header and data stand. */
static bool split(Bytes in, Scan *header, Bytes *data, Str *error)
{
    if (in.n < 10 || memcmp(in.p, magic, sizeof magic) != 0 || in.p[6] < 1 || in.p[6] > 3) {
        *error = STR("this is not a .npy file");
        return false;
    }
    size_t begin = in.p[6] == 1 ? 10 : 12, length = in.p[8] | (size_t)in.p[9] << 8;
    if (in.p[6] > 1 && in.n >= 12)
        length |= (size_t)in.p[10] << 16 | (size_t)in.p[11] << 24;
    if (in.n < begin || length > in.n - begin) {
        *error = STR("the file ends inside its header");
        return false;
    }
    *header = (Scan){(const char *)in.p + begin, (const char *)in.p + begin + length};
    *data = (Bytes){in.p + begin + length, in.n - begin - length};
    return true;
}

bool npy_decode(Arena *a, Bytes in, Array *out, Str *error)
{
    Scan header;
    Bytes data;
    bool fortran = false;
    int64_t count;
    if (!split(in, &header, &data, error) || !take_header(a, header, out, &fortran, error))
        return false;
    size_t bytes = element_bytes(out);
    if (!array_count(out, &count)) {
        *error = str_fmt(a, "its size overflows: %.*s", STRF(array_type_str(a, out)));
        return false;
    }
    if ((size_t)count * bytes != data.n) {
        *error = str_fmt(a, "%.*s takes %zu bytes, but the file has %zu", STRF(array_type_str(a, out)),
                         (size_t)count * bytes, data.n);
        return false;
    }
    out->data = arena_alloc(a, data.n);
    if (fortran && out->rank > 1)
        from_fortran(out, count, data.p, out->data);
    else if (data.n)
        memcpy(out->data, data.p, data.n);
    return true;
}

/* The format has no bfloat16; every one of those is a float. */
static Array as_float(Arena *a, const Array *x, int64_t count)
{
    Array y = *x;
    y.elem = EL_F32;
    y.data = arena_alloc(a, (size_t)count * sizeof(float));
    for (int64_t i = 0; i < count; i++)
        array_set(&y, i, array_get(x, i));
    return y;
}

Bytes npy_encode(Arena *a, const Array *x)
{
    Text head = {.arena = a};
    Array wide;
    int64_t count;
    if (!array_count(x, &count))
        ice("npy_encode: size overflows");
    if (!elem_info(x->elem)->npy) {
        wide = as_float(a, x, count);
        x = &wide;
    }
    text_add(&head, "{'descr': '%s', 'fortran_order': False, 'shape': (", elem_info(x->elem)->npy);
    for (uint32_t i = 0; i < x->rank; i++)
        text_add(&head, "%lld%s", (long long)x->dim[i], x->rank == 1 || i + 1 < x->rank ? ", " : "");
    text_add(&head, "), }");
    while ((10 + head.n + 1) % 64)
        text_add(&head, " ");
    text_add(&head, "\n");
    size_t bytes = (size_t)count * elem_info(x->elem)->bytes;
    Bytes out = {arena_alloc(a, 10 + head.n + bytes), 10 + head.n + bytes};
    memcpy(out.p, magic, sizeof magic);
    out.p[6] = 1;
    out.p[8] = (unsigned char)(head.n & 255);
    out.p[9] = (unsigned char)(head.n >> 8);
    memcpy(out.p + 10, head.p, head.n);
    if (bytes)
        memcpy(out.p + 10 + head.n, x->data, bytes);
    return out;
}
