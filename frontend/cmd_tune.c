/* tune: times the forms of every cell and model on this machine and writes the fastest into FILE.tune, which later builds read. */
#include "frontend/trial.h"

static const char *const measured[] = {"sequential", "cascade", "wavefront", "scan:16", "chunk:16", "chunk:32", "chunk:64", "newton:64"};
enum { NMEASURED = sizeof measured / sizeof *measured };

typedef struct Tuner {
    Trial t;
    TuneFile *out;
} Tuner;

/* ---- one entry ---- */

static double least(const Trial *t, bool training)
{
    double found = time_median(&t->candidate[0].timed, training);
    for (uint32_t i = 1; i < NMEASURED; i++)
        if (!t->candidate[i].lacks.n && time_median(&t->candidate[i].timed, training) < found)
            found = time_median(&t->candidate[i].timed, training);
    return found;
}

/* Training decides where there is any. What differs by less than measurements do is equal, and the earlier form is taken. */
static const Candidate *choose(const Trial *t)
{
    bool training = t->candidate[0].timed.trains;
    double enough = 1.03 * least(t, training);
    uint32_t i = 0;
    while (t->candidate[i].lacks.n || time_median(&t->candidate[i].timed, training) > enough)
        i++;
    return &t->candidate[i];
}

static void put_time(const Trial *t, const Candidate *c, bool training)
{
    double one = time_median(&c->timed, training), shortest = least(t, training);
    if (c->timed.trains || !training)
        printf(" %12.4f %7.2f", one * 1e3, shortest > 0 ? one / shortest : 1);
    else
        printf(" %12s %7s", "-", "-");
}

static void put_row(const Trial *t, uint32_t i, const Candidate *chosen)
{
    const Candidate *c = &t->candidate[i];
    if (c->lacks.n) {
        trial_put_lacking(t, i, 12);
        return;
    }
    printf("  %-12s", measured[i]);
    put_time(t, c, false);
    put_time(t, c, true);
    printf("%s\n", c == chosen ? "  taken" : "");
}

static void print_table(const Trial *t, Str sizes, Str with, const Candidate *chosen)
{
    EntryForm said = unit_form(t->unit, t->entry);
    printf("%.*s: %.*s, %.*s\n", STRF(t->name), STRF(sizes), STRF(with));
    printf("  %-12s %12s %7s %12s %7s\n", "form", "forward ms", "to best", "training ms", "to best");
    for (uint32_t i = 0; i < NMEASURED; i++)
        put_row(t, i, chosen);
    if (said.at.file)
        printf("  the schedule in line %u goes before it: %.*s\n", source_place(t->d->sources, said.at).line,
               STRF(rec_form_str(t->arena, said.form)));
    fflush(stdout);
}

static void conclude(Tuner *tuner)
{
    const Trial *t = &tuner->t;
    const Candidate *chosen = choose(t);
    Str sizes = trial_sizes_text(t), with = trial_machine(t);
    print_table(t, sizes, with, chosen);
    tune_set(t->d->arena, tuner->out,
             (TuneLine){.entry = t->name, .form = chosen->form, .rest = str_fmt(t->d->arena, "%.*s %.*s", STRF(sizes), STRF(with))});
}

static bool tune_entry(Tuner *tuner)
{
    Trial *t = &tuner->t;
    Str error;
    t->arena = arena_new();
    t->name = unit_entry_name(t->unit, t->entry);
    bool ok = trial_begin(t, measured, NMEASURED, false, &error) && trial_measure(t, t->frame, 1, &error);
    progress_end(t->d->progress);
    if (ok)
        conclude(tuner);
    else
        driver_fail(t->d, "%.*s: %.*s", STRF(t->name), STRF(error));
    trial_end(t);
    arena_free(t->arena);
    return ok;
}

/* ---- one file ---- */

static bool tune_entries(Tuner *tuner)
{
    Trial *t = &tuner->t;
    bool ok = true;
    for (t->entry = 0; t->entry < unit_entries(t->unit); t->entry++)
        ok = (!driver_wants(t->d, t->unit, t->entry) || tune_entry(tuner)) && ok;
    return ok;
}

/* What was measured of one entry goes into the file that is there, what was measured of all replaces it. */
static bool old_lines(Driver *d, const Unit *u, TuneFile *out)
{
    *out = (TuneFile){.path = tune_path(d->arena, u)};
    if (d->opt->given[OPT_ENTRY])
        *out = tune_read(d->arena, u, d->sources, d->diags);
    return !out->broken;
}

static bool write_lines(Driver *d, const TuneFile *out)
{
    Str error;
    bool ok = tune_write(d->arena, out, &error);
    if (ok)
        printf("wrote %.*s\n", STRF(out->path));
    else
        driver_fail(d, "%.*s", STRF(error));
    return ok;
}

static int tune_file(const Driver *all, Str path, const CpuOptions *cpu)
{
    Driver d = driver_open(all);
    TuneFile out;
    Unit *u = driver_load(&d, path);
    Tuner t = {.t = {.d = &d, .unit = u, .cpu = *cpu}, .out = &out};
    bool ok = u && trial_sizes(&d, u) && old_lines(&d, u, &out) && tune_entries(&t) && write_lines(&d, &out);
    driver_close(&d);
    return ok ? EXIT_FINE : EXIT_INPUT;
}

int cmd_tune(Driver *d)
{
    CpuOptions cpu;
    int code = EXIT_FINE;
    for (uint32_t i = 0; i < d->opt->file.n; i++)
        if (str_is(d->opt->file.p[i], "-")) {
            driver_fail(d, "tune writes beside the file that it reads, so it cannot read standard input");
            return EXIT_USAGE;
        }
    if (!trial_level(d, &cpu))
        return EXIT_INPUT;
    for (uint32_t i = 0; i < d->opt->file.n; i++) {
        int one = tune_file(d, d->opt->file.p[i], &cpu);
        code = code ? code : one;
    }
    return code;
}
