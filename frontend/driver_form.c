/* Who says in which form an entry's recurrences are run, and what is said when they do not have it. */
#include "frontend/driver.h"

static bool read_store(Driver *d)
{
    Str said = d->opt->value[OPT_STORE];
    if (!d->opt->given[OPT_STORE] || (d->store = rec_form_size(said)))
        return true;
    driver_fail(d, "--store is a number of places from 1 to %d, not `%.*s`", (int)REC_FORM_MAXSIZE, STRF(said));
    return false;
}

bool driver_read_form(Driver *d)
{
    if (!read_store(d))
        return false;
    if (!d->opt->given[OPT_FORM] || rec_form_read(d->opt->value[OPT_FORM], &d->form))
        return true;
    driver_fail(d, "--form is %.*s, with N from 1 to %d, not `%.*s`", STRF(rec_form_list(d->arena, ":N")), (int)REC_FORM_MAXSIZE,
                STRF(d->opt->value[OPT_FORM]));
    return false;
}

/* What was measured of the entry, or NULL. Read once for each unit. */
static const TuneLine *tuned(Driver *d, const Unit *u, uint32_t entry)
{
    if (d->tune_of != u)
        d->tune = tune_read(d->arena, u, d->sources, d->diags);
    d->tune_of = u;
    return tune_find(&d->tune, unit_entry_name(u, entry));
}

/* What was measured, unless it has no states to leave out where that is asked for. */
static const TuneLine *tuned_with(Driver *d, const Unit *u, uint32_t entry, uint32_t store)
{
    const TuneLine *line = tuned(d, u, entry);
    return line && (store < 2 || rec_form_steps(line->form)) ? line : NULL;
}

bool driver_form(Driver *d, const Unit *u, uint32_t entry, FormChoice *out)
{
    EntryForm said = unit_form(u, entry);
    const TuneLine *line;
    bool option = d->opt->given[OPT_FORM], given = d->opt->given[OPT_STORE];
    uint32_t store = given ? d->store : option ? 0 : said.form.store;
    if (option)
        *out = (FormChoice){.form = d->form, .from = FORM_FROM_OPTION};
    else if (said.at.file)
        *out = (FormChoice){.form = said.form, .from = FORM_FROM_SCHEDULE, .at = said.at};
    else if ((line = tuned_with(d, u, entry, store)))
        *out = (FormChoice){.form = line->form, .from = FORM_FROM_TUNE, .at = line->at};
    else
        *out = (FormChoice){.form = d->form, .from = FORM_FROM_NOBODY};
    out->form.store = store;
    out->store_at = given || option ? (Span){0} : said.store_at;
    return out->from == FORM_FROM_OPTION || out->from == FORM_FROM_SCHEDULE || !d->tune.broken;
}

void driver_try_form(Driver *d, RecProg *raw, RecForm form)
{
    Compile half = {.arena = d->arena, .emit = EMIT_REC, .rec = raw, .stop_after = STR("rec.chunk")};
    raw->form = form;
    compile(&half);
}

Str driver_line(const Driver *d, const RecProg *p, Span at)
{
    uint32_t line = source_place(d->sources, at).line;
    if (!p->file || at.file == p->file)
        return str_fmt(d->arena, "line %u", line);
    Str path = d->sources->file.p[at.file].path;
    uint32_t name = path.n;
    while (name && path.p[name - 1] != '/')
        name--;
    return str_fmt(d->arena, "line %u of %.*s", line, (int)(path.n - name), path.p + name);
}

Str driver_form_missing(Driver *d, const RecProg *p)
{
    Text out = {.arena = d->arena};
    text_add(&out, "%s [%s]", rec_why_text(p->form_missing), rec_why_id(p->form_missing));
    if (p->form_missing_at.file)
        text_add(&out, ", %.*s", STRF(driver_line(d, p, p->form_missing_at)));
    return text_str(&out);
}

static Str refusal(Driver *d, const RecProg *p, RecForm form, Str why)
{
    return str_fmt(d->arena, "`%.*s` has no form %.*s: %.*s", STRF(p->name), STRF(rec_form_str(d->arena, form)), STRF(why));
}

/* The reason stands at its own place too. */
static void refuse_at(Driver *d, const RecProg *p, const FormChoice *choice)
{
    Str why = str_fmt(d->arena, "%s [%s]", rec_why_text(p->form_missing), rec_why_id(p->form_missing));
    DiagCode code = choice->from == FORM_FROM_TUNE ? E_TUNE : E_SCHEDULE;
    Diag *said = diag(d->diags, code, choice->at, str_c(d->arena, refusal(d, p, choice->form, why)));
    if (p->form_missing_at.file)
        diag_also(said, p->form_missing_at, STR("because of this"));
}

Str driver_store_missing(Driver *d, const RecProg *p)
{
    return str_fmt(d->arena, "%s [%s]", rec_why_text(p->store_missing), rec_why_id(p->store_missing));
}

static bool has_store(Driver *d, const RecProg *p, const FormChoice *choice)
{
    if (choice->form.store < 2 || p->store_missing == WHY_NONE)
        return true;
    bool form = p->store_missing == WHY_SIDE_BY_SIDE;
    Str in = form ? str_fmt(d->arena, " in the form %.*s", STRF(rec_form_str(d->arena, choice->form))) : STR("");
    Str says = str_fmt(d->arena, "`%.*s` has no states to leave out%.*s: %.*s", STRF(p->name), STRF(in), STRF(driver_store_missing(d, p)));
    if (choice->store_at.file)
        diag(d->diags, E_SCHEDULE, choice->store_at, str_c(d->arena, says));
    else
        driver_fail(d, "%.*s", STRF(says));
    return false;
}

/* What Newton's bounds count is the rounding of sums and functions, not of factors. */
static bool rounds_as_shown(Driver *d, const RecProg *p)
{
    FactorType f = driver_products(d->opt);
    if (f == FACTOR_REAL || p->form.kind != REC_FORM_NEWTON || p->form_missing != WHY_NONE)
        return true;
    driver_fail(d, "`%.*s`: --products=%s is not for the form newton, whose results are shown to be those of steps that round no factors", STRF(p->name), factor_text(f));
    return false;
}

bool driver_has_form(Driver *d, const RecProg *p, const FormChoice *choice)
{
    if (!has_store(d, p, choice) || !rounds_as_shown(d, p))
        return false;
    if (choice->from == FORM_FROM_NOBODY || p->form_missing == WHY_NONE)
        return true;
    if (choice->at.file)
        refuse_at(d, p, choice);
    else
        driver_fail(d, "%.*s", STRF(refusal(d, p, choice->form, driver_form_missing(d, p))));
    return false;
}

Str driver_form_origin(Driver *d, const FormChoice *choice)
{
    uint32_t line = choice->at.file ? source_place(d->sources, choice->at).line : 0;
    switch (choice->from) {
    case FORM_FROM_NOBODY: return STR("nobody");
    case FORM_FROM_OPTION: return STR("--form");
    case FORM_FROM_SCHEDULE: return str_fmt(d->arena, "the schedule in line %u", line);
    case FORM_FROM_TUNE: return str_fmt(d->arena, "%.*s, line %u", STRF(d->tune.path), line);
    }
    ice("driver_form_origin: %d", (int)choice->from);
}
