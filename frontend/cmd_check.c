#include "frontend/driver.h"

static void check_entries(Driver *d, const Unit *u)
{
    for (uint32_t i = 0; i < unit_entries(u); i++) {
        if (!driver_wants(d, u, i))
            continue;
        RecProg *p = driver_elab(d, u, i);
        if (p)
            check_rec(p, "lowering");
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
