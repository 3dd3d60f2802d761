/* tune: times the forms of every cell and model on this machine and writes the fastest into FILE.tune, which later builds read. */
#define _POSIX_C_SOURCE 200809L
#include "frontend/check.h"
#include "frontend/run_time.h"

#include <unistd.h>

static const char *const measured[] = {"sequential", "cascade", "wavefront", "scan:16", "chunk:16", "chunk:32", "chunk:64", "newton:64"};
enum { NMEASURED = sizeof measured / sizeof *measured };

typedef struct Candidate {
    RecForm form;
    Str lacks; /* why the entry does not have it; empty when it has */
    Code code;
    Timed timed;
} Candidate;

typedef struct Tuner {
    Driver *d;    /* of the file */
    Arena *arena; /* of the entry */
    const Unit *unit;
    uint32_t entry;
    Str name;
    CpuOptions cpu; /* one level */
    Frame *frame;
    Candidate candidate[NMEASURED];
    TuneFile *out;
} Tuner;

/* ---- with what ---- */

/* The highest level of those asked for that runs here. */
static bool choose_level(Driver *d, CpuOptions *cpu)
{
    driver_targets(d, cpu);
    bool found = false;
    for (CpuLevel l = CPU_NLEVEL; l-- > 0;) {
        cpu->level[l] = !found && cpu->level[l] && cpu_level_here(l);
        found = found || cpu->level[l];
    }
    if (!found)
        driver_fail(d, "this machine cannot run code for %.*s", STRF(d->opt->value[OPT_CPU]));
    return found;
}

static Str cpu_model(Arena *a)
{
    char line[256];
    Str model = STR("CPU of unknown model");
    FILE *in = fopen("/proc/cpuinfo", "r");
    while (in && fgets(line, sizeof line, in)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        const char *name = colon + 1 + strspn(colon + 1, " ");
        model = str_fmt(a, "%.*s", (int)strcspn(name, "\n"), name);
        break;
    }
    if (in)
        fclose(in);
    return model;
}

/* "f32 avx512, AMD EPYC" */
static Str machine(const Tuner *t)
{
    return str_fmt(t->arena, "%.*s, %.*s", STRF(code_name(t->arena, &(Code){.cpu = t->cpu})), STRF(cpu_model(t->arena)));
}

static bool is_derived(const RecProg *p, DimSym s)
{
    for (uint32_t i = 0; i < p->derived.n; i++)
        if (p->derived.p[i].sym == s)
            return true;
    return false;
}

static const Binding *find_size(const Options *o, Str name)
{
    for (uint32_t i = o->size.n; i-- > 0;)
        if (str_eq(o->size.p[i].name, name))
            return &o->size.p[i];
    for (uint32_t i = o->bind.n; i-- > 0;)
        if (str_eq(o->bind.p[i].name, name))
            return &o->bind.p[i];
    return NULL;
}

/* The arrays as doubles, and in the types of each code. */
static bool fits_machine(const Frame *f, Str *error)
{
    const RecProg *p = f->prog;
    double elements = 0, there = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    for (uint32_t i = 0; i < p->arg.n; i++)
        elements += (double)frame_count(f, &p->arg.p[i].type, p->arg.p[i].batched);
    for (uint32_t i = 0; i < p->out.n; i++)
        elements += (double)frame_count(f, &p->out.p[i].type, p->out.p[i].batched);
    double bytes = elements * 8 * (NMEASURED + 1);
    if (bytes > there)
        *error = str_fmt(f->arena, "measuring would take %.0f GB of memory, of which this machine has %.0f", bytes * 1e-9, there * 1e-9);
    return bytes <= there;
}

static bool choose_sizes(Tuner *t, Str *error)
{
    Frame *f = t->frame;
    const RecProg *p = f->prog;
    enum { PLACES = 1024, OTHERS = 32 };
    for (uint32_t i = 0; i < p->open.n; i++) {
        DimSym s = p->open.p[i];
        const Binding *said = find_size(t->d->opt, dim_sym_info(p->dims, s)->name);
        bool time = dim_sym_info(p->dims, s)->kind == DIM_TIME;
        if (!is_derived(p, s))
            f->dim[s] = said ? said->value : s == p->batch ? 1 : time ? PLACES : OTHERS;
    }
    return dims_complete(f, error) && frame_fits(f, error) && fits_machine(f, error);
}

/* "T=4096,B=1,H=64": open sizes, then those that -D binds. */
static Str sizes_text(const Tuner *t)
{
    const RecProg *p = t->frame->prog;
    Text out = {.arena = t->arena};
    for (uint32_t i = 0; i < p->open.n; i++)
        if (!is_derived(p, p->open.p[i]))
            text_add(&out, "%s%.*s=%lld", out.n ? "," : "", STRF(dim_sym_info(p->dims, p->open.p[i])->name),
                     (long long)t->frame->dim[p->open.p[i]]);
    for (uint32_t i = 0; i < t->d->opt->bind.n; i++)
        if (driver_has_dim(t->unit, t->entry, t->d->opt->bind.p[i].name))
            text_add(&out, ",%.*s=%lld", STRF(t->d->opt->bind.p[i].name), (long long)t->d->opt->bind.p[i].value);
    return text_str(&out);
}

/* Parameters from their distributions, all else at random, more narrowly where results are NaN. */
static bool draw(Tuner *t, const Code *code, Str *error)
{
    Checker c = {.d = t->d, .arena = t->arena, .random = 1};
    Draw how = {.T = 0};
    Frame *f = t->frame;
    bool ran = false;
    for (uint32_t narrow = 0; narrow <= DRAW_NARROWEST; narrow++) {
        draw_arguments(&c, f, &how, narrow);
        for (uint32_t i = 0; i < f->prog->out.n; i++)
            if (f->prog->out.p[i].role == OUT_PARAM)
                f->in[f->prog->out.p[i].of] = NULL;
        ran = frame_init(f, 1, error) && frame_compiled(f, code, true, error);
        if (ran && frame_is_number(f))
            return true;
    }
    return ran;
}

/* ---- one entry ---- */

static RecProg *raw_program(Tuner *t)
{
    return elab_entry(t->arena, t->unit, t->entry, t->d->opt->bind.p, t->d->opt->bind.n, t->d->diags);
}

/* Newton's method is for what has no other parallel form. */
static bool has_better(const Tuner *t, uint32_t i)
{
    bool better = false;
    for (uint32_t k = 1; t->candidate[i].form.kind == REC_FORM_NEWTON && k < i; k++)
        better |= !t->candidate[k].lacks.n;
    return better;
}

/* Compiles what exists. */
static bool make_candidate(Tuner *t, uint32_t i, Str *error)
{
    Candidate *c = &t->candidate[i];
    if (!rec_form_read(str_of(measured[i]), &c->form))
        ice("tune: there is no form %s", measured[i]);
    progress_show(t->d->progress, "%.*s: compiling %s", STRF(t->name), measured[i]);
    RecProg *half = raw_program(t), *raw = raw_program(t);
    driver_try_form(t->d, half, c->form);
    if (half->form_missing != WHY_NONE) {
        c->lacks = driver_form_missing(t->d, half);
        return true;
    }
    if (has_better(t, i)) {
        c->lacks = STR("there is another parallel form");
        return true;
    }
    raw->form = c->form;
    return code_make(t->arena, raw, &t->cpu, &c->code, error);
}

static bool make_candidates(Tuner *t, Str *error)
{
    RecProg *reference = raw_program(t);
    compile_reference(reference);
    t->frame = frame_new(t->arena, reference);
    if (!choose_sizes(t, error))
        return false;
    for (uint32_t i = 0; i < NMEASURED; i++)
        if (!make_candidate(t, i, error))
            return false;
    return draw(t, &t->candidate[0].code, error);
}

/* About a second for each form. */
static bool measure(Tuner *t, Str *error)
{
    bool more = true;
    for (uint32_t i = 0; i < NMEASURED; i++) {
        Candidate *c = &t->candidate[i];
        progress_show(t->d->progress, "%.*s: first run of %s", STRF(t->name), measured[i]);
        if (!c->lacks.n && !time_begin(&c->timed, t->frame, &c->code, error))
            return false;
    }
    for (uint32_t round = 1; more; round++) {
        more = false;
        progress_show(t->d->progress, "%.*s: round %u of %d", STRF(t->name), round, (int)TIME_MAXROUNDS);
        for (uint32_t i = 0; i < NMEASURED; i++)
            if (!t->candidate[i].lacks.n)
                more |= time_round(&t->candidate[i].timed, 1);
    }
    return true;
}

static double least(const Tuner *t, bool training)
{
    double found = time_median(&t->candidate[0].timed, training);
    for (uint32_t i = 1; i < NMEASURED; i++)
        if (!t->candidate[i].lacks.n && time_median(&t->candidate[i].timed, training) < found)
            found = time_median(&t->candidate[i].timed, training);
    return found;
}

/* Training decides where there is any. What differs by less than measurements do is equal, and the earlier form is taken. */
static const Candidate *choose(const Tuner *t)
{
    bool training = t->candidate[0].timed.trains;
    double enough = 1.03 * least(t, training);
    uint32_t i = 0;
    while (t->candidate[i].lacks.n || time_median(&t->candidate[i].timed, training) > enough)
        i++;
    return &t->candidate[i];
}

static void put_time(const Tuner *t, const Candidate *c, bool training)
{
    double one = time_median(&c->timed, training), shortest = least(t, training);
    if (c->timed.trains || !training)
        printf(" %12.4f %7.2f", one * 1e3, shortest > 0 ? one / shortest : 1);
    else
        printf(" %12s %7s", "-", "-");
}

/* A form that does not exist is named once, whatever its sizes. */
static void put_lacking(const Tuner *t, uint32_t i)
{
    const Candidate *c = &t->candidate[i];
    if (!i || c[-1].form.kind != c->form.kind)
        printf("  %-12.*s no: %.*s\n", (int)strcspn(measured[i], ":"), measured[i], STRF(c->lacks));
}

static void put_row(const Tuner *t, uint32_t i, const Candidate *chosen)
{
    const Candidate *c = &t->candidate[i];
    if (c->lacks.n) {
        put_lacking(t, i);
        return;
    }
    printf("  %-12s", measured[i]);
    put_time(t, c, false);
    put_time(t, c, true);
    printf("%s\n", c == chosen ? "  taken" : "");
}

static void print_table(const Tuner *t, Str sizes, Str with, const Candidate *chosen)
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

static void conclude(Tuner *t)
{
    const Candidate *chosen = choose(t);
    Str sizes = sizes_text(t), with = machine(t);
    print_table(t, sizes, with, chosen);
    tune_set(t->d->arena, t->out,
             (TuneLine){.entry = t->name, .form = chosen->form, .rest = str_fmt(t->d->arena, "%.*s %.*s", STRF(sizes), STRF(with))});
}

static bool tune_entry(Tuner *t)
{
    Str error;
    t->arena = arena_new();
    t->name = unit_entry_name(t->unit, t->entry);
    memset(t->candidate, 0, sizeof t->candidate);
    bool ok = make_candidates(t, &error) && measure(t, &error);
    progress_end(t->d->progress);
    if (ok)
        conclude(t);
    else
        driver_fail(t->d, "%.*s: %.*s", STRF(t->name), STRF(error));
    for (uint32_t i = 0; i < NMEASURED; i++)
        code_free(&t->candidate[i].code);
    arena_free(t->arena);
    return ok;
}

/* ---- one file ---- */

/* Sizes that are open in some entry that is measured; false when one cannot be compiled. */
static bool open_sizes(Driver *d, const Unit *u, StrList *all)
{
    for (uint32_t i = 0; i < unit_entries(u); i++) {
        if (!driver_wants(d, u, i))
            continue;
        const RecProg *p = elab_entry(d->arena, u, i, d->opt->bind.p, d->opt->bind.n, d->diags);
        if (!p)
            return false;
        for (uint32_t k = 0; k < p->open.n; k++)
            if (!is_derived(p, p->open.p[k]))
                vec_push(d->arena, all, dim_sym_info(p->dims, p->open.p[k])->name);
    }
    if (!all->n)
        driver_fail(d, "%.*s has no cell or model%s%.*s", STRF(unit_path(u)), d->opt->given[OPT_ENTRY] ? " " : "",
                    STRF(d->opt->value[OPT_ENTRY]));
    return all->n > 0;
}

static bool check_sizes(Driver *d, const Unit *u)
{
    StrList open = {0};
    if (!driver_bindings(d, u) || !open_sizes(d, u, &open))
        return false;
    for (uint32_t i = 0; i < d->opt->size.n; i++) {
        Str name = d->opt->size.p[i].name;
        bool known = false;
        for (uint32_t k = 0; k < open.n; k++)
            known = known || str_eq(name, open.p[k]);
        if (known)
            continue;
        Str near = nearest(name, open.p, open.n);
        driver_fail(d, "--sizes %.*s: no such size is open%s%.*s", STRF(name), near.n ? "; did you mean " : "", STRF(near));
        return false;
    }
    return true;
}

static bool tune_entries(Tuner *t)
{
    bool ok = true;
    for (t->entry = 0; t->entry < unit_entries(t->unit); t->entry++)
        ok = (!driver_wants(t->d, t->unit, t->entry) || tune_entry(t)) && ok;
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
    Arena *a = arena_new();
    Sources *sources = sources_new(a);
    Driver d = {.arena = a, .opt = all->opt, .sources = sources, .diags = diags_new(a, sources), .progress = progress_begin(a)};
    TuneFile out;
    Unit *u = driver_load(&d, path);
    Tuner t = {.d = &d, .unit = u, .cpu = *cpu, .out = &out};
    bool ok = u && check_sizes(&d, u) && old_lines(&d, u, &out) && tune_entries(&t) && write_lines(&d, &out);
    driver_report(&d);
    arena_free(a);
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
    if (!choose_level(d, &cpu))
        return EXIT_INPUT;
    for (uint32_t i = 0; i < d->opt->file.n; i++) {
        int one = tune_file(d, d->opt->file.p[i], &cpu);
        code = code ? code : one;
    }
    return code;
}
