#define _POSIX_C_SOURCE 200809L
#include "frontend/files.h"

#include <errno.h>
#include <sys/stat.h>

static bool failed(Arena *a, Str *error, const char *what, Str path)
{
    *error = str_fmt(a, "cannot %s %.*s: %s", what, STRF(path), strerror(errno));
    return false;
}

static bool read_all(Arena *a, FILE *in, Bytes *out)
{
    size_t cap = 1 << 16;
    out->p = arena_alloc(a, cap + 1);
    for (out->n = 0;;) {
        size_t got = fread(out->p + out->n, 1, cap - out->n, in);
        out->n += got;
        if (out->n < cap)
            return !ferror(in);
        unsigned char *more = arena_alloc(a, cap * 2 + 1);
        memcpy(more, out->p, out->n);
        out->p = more;
        cap *= 2;
    }
}

static bool read_sized(Arena *a, FILE *in, size_t size, Bytes *out)
{
    *out = (Bytes){arena_alloc(a, size + 1), 0};
    out->n = fread(out->p, 1, size, in);
    return !ferror(in);
}

bool file_read(Arena *a, Str path, Bytes *out, Str *error)
{
    struct stat st;
    if (str_is(path, "-"))
        return read_all(a, stdin, out) || failed(a, error, "read", STR("standard input"));
    FILE *in = fopen(str_c(a, path), "rb");
    if (!in)
        return failed(a, error, "open", path);
    bool regular = fstat(fileno(in), &st) == 0 && S_ISREG(st.st_mode);
    bool ok = regular ? read_sized(a, in, (size_t)st.st_size, out) : read_all(a, in, out);
    if (!ok)
        failed(a, error, "read", path);
    fclose(in);
    return ok;
}

static uint32_t name_begin(Str path)
{
    uint32_t i = path.n;
    while (i > 0 && path.p[i - 1] != '/')
        i--;
    return i;
}

/* Where the extension's dot stands; path.n without one. A leading dot is part of the name. */
static uint32_t extension_dot(Str path)
{
    for (uint32_t i = path.n, begin = name_begin(path); i > begin + 1; i--)
        if (path.p[i - 1] == '.')
            return i - 1;
    return path.n;
}

Str path_extension(Str path)
{
    uint32_t dot = extension_dot(path);
    return dot == path.n ? (Str){0} : (Str){path.p + dot + 1, path.n - dot - 1};
}

Str path_without_extension(Str path)
{
    return (Str){path.p, extension_dot(path)};
}

Str path_stem(Str path)
{
    uint32_t begin = name_begin(path);
    return (Str){path.p + begin, extension_dot(path) - begin};
}

Str path_beside(Arena *a, Str path, Str name)
{
    if (name.n && name.p[0] == '/')
        return name;
    return str_fmt(a, "%.*s%.*s", (int)name_begin(path), path.p, STRF(name));
}
