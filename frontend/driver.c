#define _POSIX_C_SOURCE 200809L
#include "frontend/driver.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int driver_fail(Driver *d, const char *fmt, ...)
{
    va_list ap;
    d->failed = true;
    progress_end(d->progress);
    fflush(stdout); /* both may go to one place */
    fputs("rnnc: error: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return EXIT_INPUT;
}

int driver_report(Driver *d)
{
    progress_end(d->progress);
    fflush(stdout);
    if (option_is(d->opt, OPT_DIAGNOSTICS, "json"))
        diags_print_json(d->diags, d->opt->verb == VERB_CHECK ? stdout : stderr);
    else
        diags_print_text(d->diags, stderr, isatty(STDERR_FILENO) && !getenv("NO_COLOR"));
    return d->diags->nerrors ? EXIT_INPUT : EXIT_FINE;
}

Driver driver_open(const Driver *all)
{
    Arena *a = arena_new();
    Driver d = {.arena = a, .opt = all->opt, .sources = sources_new(a), .progress = progress_begin(a), .form = all->form, .store = all->store, .gpu = all->gpu};
    d.diags = diags_new(a, d.sources);
    return d;
}

int driver_close(Driver *d)
{
    int code = driver_report(d);
    arena_free(d->arena);
    return code;
}

Unit *driver_load(Driver *d, Str path)
{
    uint32_t before = d->diags->nerrors;
    Unit *u = unit_load(d->arena, d->sources, d->diags, path);
    return d->diags->nerrors == before ? u : NULL;
}

static void entry_dims(const Unit *u, uint32_t entry, const DimDecl **dim, uint32_t *n)
{
    const Ast *ast = unit_ast(u);
    bool cell = entry < ast->ncell;
    *dim = cell ? ast->cell[entry]->dim : ast->model[entry - ast->ncell]->dim;
    *n = cell ? ast->cell[entry]->ndim : ast->model[entry - ast->ncell]->ndim;
}

bool driver_has_dim(const Unit *u, uint32_t entry, Str name)
{
    const DimDecl *dim;
    uint32_t n;
    entry_dims(u, entry, &dim, &n);
    for (uint32_t i = 0; i < n; i++)
        if (str_eq(dim[i].name.text, name))
            return true;
    return false;
}

static Str near_dim(Driver *d, const Unit *u, Str name)
{
    StrList all = {0};
    for (uint32_t i = 0; i < unit_entries(u); i++) {
        const DimDecl *dim;
        uint32_t n;
        entry_dims(u, i, &dim, &n);
        for (uint32_t k = 0; k < n; k++)
            vec_push(d->arena, &all, dim[k].name.text);
    }
    return nearest(name, all.p, all.n);
}

bool driver_bindings(Driver *d, const Unit *u)
{
    for (uint32_t i = 0; i < d->opt->bind.n; i++) {
        Str name = d->opt->bind.p[i].name;
        bool sizes = d->opt->verb == VERB_RUN || d->opt->verb == VERB_TUNE || d->opt->verb == VERB_BENCH;
        bool known = sizes && (str_is(name, "T") || str_is(name, "B"));
        for (uint32_t k = 0; k < unit_entries(u); k++)
            known = known || driver_has_dim(u, k, name);
        if (known)
            continue;
        Str near = near_dim(d, u, name);
        driver_fail(d, "-D %.*s: there is no such dimension%s%.*s", STRF(name), near.n ? "; did you mean " : "", STRF(near));
        return false;
    }
    return true;
}

static Str entry_names(Arena *a, const Unit *u)
{
    Text out = {.arena = a};
    for (uint32_t i = 0; i < unit_entries(u); i++)
        text_add(&out, "%s%.*s", i ? ", " : "", STRF(unit_entry_name(u, i)));
    return text_str(&out);
}

static Str near_entry(Driver *d, const Unit *u, Str name)
{
    VEC(Str) all = {0};
    for (uint32_t i = 0; i < unit_entries(u); i++)
        vec_push(d->arena, &all, unit_entry_name(u, i));
    Str near = nearest(name, all.p, all.n);
    return near.n ? str_fmt(d->arena, "; did you mean %.*s?", STRF(near)) : STR("");
}

bool driver_entry(Driver *d, const Unit *u, Str path, uint32_t *entry)
{
    Str name = d->opt->value[OPT_ENTRY];
    *entry = 0;
    if (!driver_bindings(d, u))
        return false;
    if (d->opt->given[OPT_ENTRY]) {
        if (unit_find_entry(u, name, entry))
            return true;
        driver_fail(d, "%.*s has no cell or model `%.*s`%.*s", STRF(path), STRF(name), STRF(near_entry(d, u, name)));
        return false;
    }
    if (unit_entries(u) == 1 || unit_find_entry(u, path_stem(path), entry))
        return true;
    if (unit_entries(u))
        driver_fail(d, "%.*s has several cells and models (%.*s); choose one with --entry", STRF(path),
                    STRF(entry_names(d->arena, u)));
    else
        driver_fail(d, "%.*s has no cell or model", STRF(path));
    return false;
}

bool driver_wants(const Driver *d, const Unit *u, uint32_t entry)
{
    return !d->opt->given[OPT_ENTRY] || str_eq(d->opt->value[OPT_ENTRY], unit_entry_name(u, entry));
}

RecProg *driver_elab(Driver *d, const Unit *u, uint32_t entry)
{
    FormChoice choice;
    RecProg *p = elab_entry(d->arena, u, entry, d->opt->bind.p, d->opt->bind.n, d->diags);
    if (!p || !driver_form(d, u, entry, &choice))
        return NULL;
    p->form = choice.form;
    return p;
}

Precision driver_precision(const Options *o)
{
    Precision p = PREC_F32;
    for (uint32_t i = 0; i < PREC_COUNT; i++)
        p = option_is(o, OPT_PRECISION, precision_text((Precision)i)) ? (Precision)i : p;
    return p;
}

void driver_targets(const Driver *d, CpuOptions *cpu)
{
    bool all = !d->opt->given[OPT_CPU] || option_is(d->opt, OPT_CPU, "all");
    *cpu = (CpuOptions){.precision = driver_precision(d->opt),
                        .prefix = d->opt->value[OPT_PREFIX],
                        .debug = true,
                        .version = STR(RNNC_VERSION),
                        .sources = d->sources};
    for (CpuLevel l = 0; l < CPU_NLEVEL; l++)
        cpu->level[l] = all || str_is(d->opt->value[OPT_CPU], cpu_level_info(l)->text);
}

bool driver_number(Driver *d, OptionId id, uint64_t *out)
{
    const char *text = str_c(d->arena, d->opt->value[id]);
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    if (end != text && !*end && !errno && text[0] != '-')
        return true;
    driver_fail(d, errno == ERANGE ? "`%s` is too large a number" : "`%s` is not a whole number from 0", text);
    return false;
}
