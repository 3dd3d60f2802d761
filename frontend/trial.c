/* Trials: see trial.h. */
#define _POSIX_C_SOURCE 200809L
#include "frontend/trial.h"

#include <unistd.h>

/* ---- with what ---- */

bool trial_level(Driver *d, CpuOptions *cpu)
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

Str trial_target(const Trial *t)
{
    return code_name(t->arena, &(Code){.cpu = t->cpu, .arch = t->d->gpu ? t->d->gpu->arch : STR(""), .products = t->d->gpu ? t->d->gpu->products : FACTOR_REAL});
}

Str trial_machine(const Trial *t)
{
    Str model = t->d->gpu ? nv_device_name(t->d->gpu->device) : cpu_model(t->arena);
    return str_fmt(t->arena, "%.*s, %.*s", STRF(trial_target(t)), STRF(model));
}

void trial_put_lacking(const Trial *t, uint32_t i, int width)
{
    const Candidate *c = &t->candidate[i];
    if (!i || c[-1].form.kind != c->form.kind)
        printf("  %-*.*s no: %.*s\n", width, (int)strcspn(c->text, ":"), c->text, STRF(c->lacks));
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
static bool fits_machine(const Trial *t, const Frame *f, Str *error)
{
    const RecProg *p = f->prog;
    double elements = 0, there = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    for (uint32_t i = 0; i < p->arg.n; i++)
        elements += (double)frame_count(f, &p->arg.p[i].type, p->arg.p[i].batched);
    for (uint32_t i = 0; i < p->out.n; i++)
        elements += (double)frame_count(f, &p->out.p[i].type, p->out.p[i].batched);
    double bytes = elements * 8 * (t->n + 1);
    if (bytes > there)
        *error = str_fmt(f->arena, "measuring would take %.0f GB of memory, of which this machine has %.0f", bytes * 1e-9, there * 1e-9);
    return bytes <= there;
}

static bool choose_sizes(const Trial *t, Frame *f, int64_t places, Str *error)
{
    const RecProg *p = f->prog;
    enum { PLACES = 1024, OTHERS = 32 };
    for (uint32_t i = 0; i < p->open.n; i++) {
        DimSym s = p->open.p[i];
        const Binding *said = find_size(t->d->opt, dim_sym_info(p->dims, s)->name);
        bool time = dim_sym_info(p->dims, s)->kind == DIM_TIME;
        if (!is_derived(p, s))
            f->dim[s] = said ? said->value : s == p->batch ? 1 : time ? PLACES : OTHERS;
    }
    if (p->has_time && places >= 0)
        f->dim[p->time] = places;
    return dims_complete(f, error) && frame_fits(f, error) && fits_machine(t, f, error);
}

Str trial_sizes_text(const Trial *t)
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
static bool draw(const Trial *t, Frame *f, const Code *code, Str *error)
{
    Checker c = {.d = t->d, .arena = t->arena, .random = 1};
    Draw how = {.T = 0};
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

RecProg *trial_raw(const Trial *t)
{
    return elab_entry(t->arena, t->unit, t->entry, t->d->opt->bind.p, t->d->opt->bind.n, t->d->diags);
}

/* Newton's method is for what has no other parallel form. */
static bool has_better(const Trial *t, uint32_t i)
{
    bool better = false;
    for (uint32_t k = 1; t->candidate[i].form.kind == REC_FORM_NEWTON && k < i; k++)
        better |= !t->candidate[k].lacks.n;
    return better;
}

/* Compiles what exists. */
static bool make_candidate(Trial *t, uint32_t i, bool newton_too, Str *error)
{
    Candidate *c = &t->candidate[i];
    if (!rec_form_read(str_of(c->text), &c->form))
        ice("trial: there is no form %s", c->text);
    progress_show(t->d->progress, "%.*s: compiling %s", STRF(t->name), t->candidate[i].text);
    RecProg *half = trial_raw(t), *raw = trial_raw(t);
    driver_try_form(t->d, half, c->form);
    if (half->form_missing != WHY_NONE) {
        c->lacks = driver_form_missing(t->d, half);
        return true;
    }
    if (!newton_too && has_better(t, i)) {
        c->lacks = STR("there is another parallel form");
        return true;
    }
    raw->form = c->form;
    return driver_code(t->d, t->arena, raw, &t->cpu, &c->code, error);
}

bool trial_frame(const Trial *t, int64_t places, Frame **out, Str *error)
{
    RecProg *reference = trial_raw(t);
    compile_reference(reference);
    *out = frame_new(t->arena, reference);
    return choose_sizes(t, *out, places, error) && (!code_is_there(&t->candidate[0].code) || draw(t, *out, &t->candidate[0].code, error));
}

bool trial_begin(Trial *t, const char *const *form, uint32_t n, bool newton_too, Str *error)
{
    t->n = n;
    memset(t->candidate, 0, sizeof t->candidate);
    for (uint32_t i = 0; i < n; i++)
        t->candidate[i].text = form[i];
    if (!trial_frame(t, -1, &t->frame, error))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!make_candidate(t, i, newton_too, error))
            return false;
    return draw(t, t->frame, &t->candidate[0].code, error);
}

void trial_end(Trial *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        time_end(&t->candidate[i].timed);
    for (uint32_t i = 0; i < t->n; i++)
        code_free(&t->candidate[i].code);
}

bool trial_measure(Trial *t, const Frame *f, double seconds, Str *error)
{
    bool more = true;
    for (uint32_t i = 0; i < t->n; i++) {
        Candidate *c = &t->candidate[i];
        progress_show(t->d->progress, "%.*s: first run of %s", STRF(t->name), t->candidate[i].text);
        if (!c->lacks.n && !time_begin(&c->timed, f, &c->code, error))
            return false;
    }
    for (uint32_t round = 1; more; round++) {
        more = false;
        progress_show(t->d->progress, "%.*s: round %u of %d", STRF(t->name), round, (int)TIME_MAXROUNDS);
        for (uint32_t i = 0; i < t->n; i++)
            if (!t->candidate[i].lacks.n && !time_round(&t->candidate[i].timed, seconds, &more, error))
                return false;
    }
    return true;
}

/* ---- the sizes that are named ---- */

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

bool trial_sizes(Driver *d, const Unit *u)
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
