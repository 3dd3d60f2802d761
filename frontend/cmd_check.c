#include "frontend/driver.h"

/* A form that the file says must exist. */
static void check_form(Driver *d, const Unit *u, uint32_t entry, RecProg *p)
{
    FormChoice choice;
    if (!driver_form(d, u, entry, &choice) || (choice.from == FORM_FROM_NOBODY && !choice.form.store))
        return;
    driver_try_form(d, p, choice.form);
    driver_has_form(d, p, &choice);
}

static void check_entries(Driver *d, const Unit *u)
{
    for (uint32_t i = 0; i < unit_entries(u); i++) {
        if (!driver_wants(d, u, i))
            continue;
        RecProg *p = driver_elab(d, u, i);
        if (!p)
            continue;
        check_rec(p, "lowering");
        check_form(d, u, i, p);
    }
}

int cmd_check(Driver *d)
{
    for (uint32_t i = 0; i < d->opt->file.n; i++) {
        Unit *u = unit_load(d->arena, d->sources, d->diags, d->opt->file.p[i]);
        if (u)
            check_entries(d, u);
    }
    return driver_report(d);
}
