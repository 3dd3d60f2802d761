/* Guards that an adjoint recurrence carries. The states of a recurrence inside a step may be no numbers where no one
 * looks, such as beyond a sequence's length; so what guards the cotangent of a final state goes with the adjoint from
 * round to round, as a bool state behind the adjoints. A guard begins with the axes of the cotangent's and gets more
 * when a round needs more, for which the adjoint is made again. One that no round changes is its initial value, which
 * rec.simplify sees. */
#include "ir/rec/backward.h"

static uint32_t axes_of(const RecProg *p, Guard g)
{
    return pass_names(p, back_guard_use(g));
}

static Guard constant(Level *l, bool value)
{
    return (Guard){.v = rec_const(&l->b, DT_BOOL, value)};
}

/* The guard of a cotangent; what never came is zero everywhere. */
static Guard guard_of(Level *l, Part d)
{
    return d.v == REC_NONE ? constant(l, false) : d.guard.v == REC_NONE ? constant(l, true) : d.guard;
}

/* v over these axes of a guarded value. */
static Guard over_axes(RecId v, uint32_t axes)
{
    Guard g = {.v = v};
    uint8_t rank = 0;
    for (uint8_t i = 0; i < MAXRANK; i++)
        if (axes >> i & 1)
            g.axis[rank++] = i;
    return g;
}

/* The guard of a value of type t as a value over these of its axes, which the guard's own are among. */
static RecId widened(Level *l, Guard g, uint32_t axes, const Type *t)
{
    RecUse u = back_guard_use(g);
    uint8_t rank = 0, place[MAXRANK] = {0};
    Dim dim[MAXRANK];
    for (uint8_t i = 0; i < t->rank; i++)
        if (axes >> i & 1) {
            place[i] = rank;
            dim[rank++] = t->dim[i];
        }
    for (uint8_t k = 0; k < rec_type(l->back->p, g.v)->rank; k++)
        u.axis[k] = place[u.axis[k]];
    return pass_use_value(&l->b, u, rank, dim);
}

Carried back_carried(Level *l, uint32_t state, RecRegion home, Part cotangent)
{
    bool guarded = cotangent.v == REC_NONE || cotangent.guard.v != REC_NONE;
    Carried c = {.state = state, .guarded = home >= REC_NFN && guarded};
    if (c.guarded)
        c.axes = axes_of(l->back->p, guard_of(l, cotangent));
    return c;
}

RecId back_guard_value(Level *l, const Carried *c, Part d, const Type *t)
{
    return widened(l, guard_of(l, d), c->axes, t);
}

Guard back_carried_guard(const Carried *c, RecId v)
{
    return c->guarded ? over_axes(v, c->axes) : unguarded;
}

bool back_guard_fits(Level *in, Carried *c, Part d)
{
    uint32_t axes = c->guarded ? axes_of(in->back->p, guard_of(in, d)) : 0;
    bool fits = !(axes & ~c->axes);
    c->axes |= axes;
    return fits;
}
