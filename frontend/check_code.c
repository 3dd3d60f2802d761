#include "frontend/check.h"

static bool wants_precision(const Options *o, Precision p)
{
    return o->given[OPT_PRECISION] ? driver_precision(o) == p : !precision_narrow(p);
}

/* A GPU has no levels, and is asked once. */
static bool wants_level(const Checker *c, const CpuOptions *cpu, CpuLevel level)
{
    return c->d->gpu ? level == CPU_BASELINE : cpu->level[level] && cpu_level_here(level);
}

/* One object per level, so that each level is what runs. */
static bool compile_level(Checker *c, Precision p, CpuLevel level)
{
    CpuOptions cpu;
    Str error;
    driver_targets(c->d, &cpu);
    if (!wants_precision(c->d->opt, p) || !wants_level(c, &cpu, level))
        return true;
    memset(cpu.level, 0, sizeof cpu.level);
    cpu.level[level] = true;
    cpu.precision = p;
    RecProg *raw = elab_entry(c->arena, c->unit, c->entry, c->bind.p, c->bind.n, c->d->diags);
    if (!raw)
        return false;
    raw->form = c->form;
    progress_show(c->d->progress, "%.*s: compiling for %s", STRF(c->name), c->d->gpu ? "a GPU" : cpu_level_info(level)->text);
    if (driver_code(c->d, c->arena, raw, &cpu, &c->code[p][level], &error))
        return true;
    check_fail(c, "%.*s", STRF(error));
    return false;
}

static bool is_ready(const Checker *c, uint32_t entry, const BindList *bind)
{
    bool same = c->reference && c->entry == entry && c->bind.n == bind->n;
    for (uint32_t i = 0; same && i < bind->n; i++)
        same = str_eq(c->bind.p[i].name, bind->p[i].name) && c->bind.p[i].value == bind->p[i].value;
    return same;
}

RecProg *checker_try_form(Checker *c, uint32_t entry, const BindList *bind)
{
    RecProg *raw = elab_entry(c->arena, c->unit, entry, bind->p, bind->n, c->d->diags);
    if (raw)
        driver_try_form(c->d, raw, c->form);
    return raw;
}

bool checker_compile(Checker *c, uint32_t entry, const BindList *bind)
{
    if (is_ready(c, entry, bind))
        return true;
    checker_free(c);
    c->entry = entry;
    c->bind = *bind;
    c->narrow = c->d->opt->given[OPT_PRECISION] ? precision_narrow(driver_precision(c->d->opt)) : NARROW_NONE;
    c->reference = elab_entry(c->arena, c->unit, entry, bind->p, bind->n, c->d->diags);
    if (!c->reference)
        return false;
    compile_reference(c->reference);
    for (uint32_t p = 0; p < NPRECISION; p++)
        for (CpuLevel l = 0; l < CPU_NLEVEL; l++)
            if (!compile_level(c, (Precision)p, l))
                return false;
    return true;
}

void checker_free(Checker *c)
{
    c->reference = NULL;
    for (uint32_t p = 0; p < NPRECISION; p++)
        for (CpuLevel l = 0; l < CPU_NLEVEL; l++)
            code_free(&c->code[p][l]);
}
