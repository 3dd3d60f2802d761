#include "frontend/driver.h"
#include "frontend/fmt.h"

static int format_file(Driver *d, Str path)
{
    Bytes in;
    Str error;
    if (!file_read(d->arena, path, &in, &error))
        return driver_fail(d, "%.*s", STRF(error));
    Str text = {(const char *)in.p, (uint32_t)in.n};
    uint32_t before = d->diags->nerrors, file = source_add(d->sources, path, text);
    Str out = fmt_source(d->arena, d->sources, file, d->diags);
    if (d->diags->nerrors > before)
        return EXIT_INPUT;
    bool print = d->opt->given[OPT_STDOUT] || str_is(path, "-");
    if (!print && str_eq(out, text))
        return EXIT_FINE;
    if (!file_write(d->arena, print ? STR("-") : path, out.p, out.n, &error))
        return driver_fail(d, "%.*s", STRF(error));
    return EXIT_FINE;
}

int cmd_fmt(Driver *d)
{
    int code = EXIT_FINE;
    for (uint32_t i = 0; i < d->opt->file.n; i++) {
        int one = format_file(d, d->opt->file.p[i]);
        code = code ? code : one;
    }
    int report = driver_report(d);
    return code ? code : report;
}
