/* .npz: a zip archive of .npy files. */
#include "frontend/arrays.h"

#include <zip.h>

static bool fail_zip(Arena *a, Str *error, const char *what)
{
    *error = str_fmt(a, "not a readable .npz archive: %s", what);
    return false;
}

/* Deflate cannot expand more than 1032 times: a larger claim is a lie, and not worth the memory. */
static bool plausible(const zip_stat_t *st)
{
    zip_uint64_t need = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    if ((st->valid & need) != need)
        return false;
    if (st->comp_method == ZIP_CM_STORE)
        return st->size == st->comp_size;
    return st->comp_method == ZIP_CM_DEFLATE && st->size / 1100 <= st->comp_size;
}

static bool read_entry(Arena *a, zip_t *zip, const zip_stat_t *st, Bytes *out)
{
    zip_file_t *file = zip_fopen_index(zip, st->index, 0);
    if (!file)
        return false;
    *out = (Bytes){arena_alloc(a, (size_t)st->size + 1), (size_t)st->size};
    size_t got = 0;
    for (zip_int64_t n = 1; got < out->n && n > 0; got += n > 0 ? (size_t)n : 0)
        n = zip_fread(file, out->p + got, out->n - got);
    /* reading the end is what checks the sum */
    char more;
    bool ok = got == out->n && zip_fread(file, &more, 1) == 0;
    return zip_fclose(file) == 0 && ok;
}

static bool decode_entry(Arena *a, zip_t *zip, zip_uint64_t index, uint64_t archive_bytes, Arrays *out, Str *error)
{
    zip_stat_t st;
    Bytes data;
    if (zip_stat_index(zip, index, 0, &st) != 0)
        return fail_zip(a, error, zip_strerror(zip));
    Str name = str_copy(a, str_of(st.name));
    if (!str_is(path_extension(name), "npy"))
        return true;
    Array one = {.name = {name.p, name.n - 4}};
    bool ok = plausible(&st) && st.comp_size <= archive_bytes && read_entry(a, zip, &st, &data);
    if (!ok)
        *error = STR("damaged or truncated");
    ok = ok && npy_decode(a, data, &one, error);
    if (!ok) {
        *error = str_fmt(a, "array `%.*s`: %.*s", STRF(one.name), STRF(*error));
        return false;
    }
    arrays_add(a, out, &one);
    return true;
}

bool npz_decode(Arena *a, Bytes in, Arrays *out, Str *error)
{
    zip_error_t why;
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(in.p, in.n, 0, &why);
    zip_t *zip = source ? zip_open_from_source(source, ZIP_RDONLY, &why) : NULL;
    if (!zip) {
        fail_zip(a, error, zip_error_strerror(&why));
        if (source)
            zip_source_free(source);
        zip_error_fini(&why);
        return false;
    }
    bool ok = true;
    for (zip_int64_t i = 0; ok && i < zip_get_num_entries(zip, 0); i++)
        ok = decode_entry(a, zip, (zip_uint64_t)i, in.n, out, error);
    zip_discard(zip);
    zip_error_fini(&why);
    return ok;
}

/* Stored, and with a fixed time: the same arrays give the same bytes. */
static bool add_entry(Arena *a, zip_t *zip, const Array *x)
{
    Bytes data = npy_encode(a, x);
    zip_source_t *source = zip_source_buffer(zip, data.p, data.n, 0);
    if (!source)
        return false;
    zip_int64_t index = zip_file_add(zip, str_fmt(a, "%.*s.npy", STRF(x->name)).p, source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
        zip_source_free(source);
        return false;
    }
    return zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0) == 0 &&
           zip_file_set_dostime(zip, (zip_uint64_t)index, 0, (1 << 5) | 1, 0) == 0;
}

static bool read_back(Arena *a, zip_source_t *source, Bytes *out)
{
    zip_stat_t st;
    if (zip_source_stat(source, &st) != 0 || zip_source_open(source) != 0)
        return false;
    *out = (Bytes){arena_alloc(a, (size_t)st.size + 1), (size_t)st.size};
    zip_int64_t got = out->n ? zip_source_read(source, out->p, out->n) : 0;
    zip_source_close(source);
    return got >= 0 && (size_t)got == out->n;
}

bool npz_encode(Arena *a, const Arrays *all, Bytes *out, Str *error)
{
    zip_error_t why;
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(NULL, 0, 0, &why);
    zip_t *zip = source ? zip_open_from_source(source, ZIP_CREATE | ZIP_TRUNCATE, &why) : NULL;
    if (!zip)
        ice("npz_encode: %s", zip_error_strerror(&why));
    zip_source_keep(source);
    bool ok = true;
    for (uint32_t i = 0; ok && i < all->list.n; i++)
        ok = add_entry(a, zip, &all->list.p[i]);
    if (!ok || zip_close(zip) != 0) {
        *error = str_fmt(a, "the archive cannot be made: %s", zip_strerror(zip));
        zip_discard(zip);
        zip_source_free(source);
        return false;
    }
    ok = read_back(a, source, out);
    if (!ok)
        *error = STR("the archive cannot be made");
    zip_source_free(source);
    zip_error_fini(&why);
    return ok;
}
