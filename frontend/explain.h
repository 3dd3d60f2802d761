/* What the files of `rnnc explain` share. */
#ifndef FRONTEND_EXPLAIN_H
#define FRONTEND_EXPLAIN_H

#include "frontend/driver.h"

typedef VEC(Str) ExplainList;

/* p as it is before rec.chunk, or with grids as rec.cascade leaves it: a line for each stage of each recurrence, and for each
 * form of one over a line. Adds ops that nothing uses. `calls`: the same where calls of associative operators still stand, or
 * NULL. */
void explain_stages(Driver *d, RecProg *p, RecProg *written, const RecProg *calls, RecForm said, ExplainList *stages, ExplainList *forms);

/* p as rec.cascade leaves it in the form that is taken: a line for each stage of a grid whose states could be made of one sum. */
void explain_rank_one(Driver *d, const RecProg *p, ExplainList *stages);

/* explain_cost.c: a line for each form that the entry has, and for the one that is said. */
void explain_costs(Driver *d, const Unit *u, uint32_t entry, RecForm said, bool grid, ExplainList *costs);

/* explain_grid.c; p as rec.cascade leaves it: for each grid with an order which places it reads, how it can run, and a picture. */
void explain_grids(Driver *d, const RecProg *p, ExplainList *grids);
/* p in that form, as driver_try_form leaves it: whether the entry has it. */
void explain_grid_form(Driver *d, const RecProg *p, ExplainList *forms);

#endif
