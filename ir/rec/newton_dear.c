/* When the whole derivative of a step is too dear for rec.newton. Where matrices mix the elements of the states its product with a
 * change can only be made at one place after the other: each iteration is as many products deep as the plain recurrence, which makes
 * them once, and no machine gains by it. Composing steps instead, in pieces, matrix by matrix, takes products of the third order. The part of it
 * that stays in place takes as long as elementwise steps do, and the products of an iteration are of all places at once; but then
 * errors shrink by a factor in each iteration, and are not squared. Small products are another matter; and so are affine steps, which
 * the whole derivative solves in one iteration. */
#include "ir/rec/newton.h"

static const double near = 8;     /* products for each element that are not dear */
static const double unknown = 64; /* a size that is not known */

static Dim product(const RecProg *p, const Dim *dim, uint8_t n)
{
    Dim all = DIM_ONE;
    for (uint8_t i = 0; i < n; i++)
        if (dim[i] != dim_of(p->dims, p->batch))
            all = dim_mul(p->dims, all, dim[i]);
    return all;
}

/* Multiplications in the products of the step's whole derivative with a change of the states, at one place of one sequence. */
static Dim products(const RecProg *p, Arena *a, const RecOp *recur)
{
    const RecRegionInfo *body = &p->region.p[recur->region];
    bool *feeds = newton_feeding(p, a, recur), *reads = newton_reading(p, a, recur);
    Dim sum = DIM_ZERO;
    for (uint32_t i = 0; i < body->op.n; i++) {
        const RecOp *op = rec_op(p, body->op.p[i]);
        if (reads[body->op.p[i]] && feeds[body->op.p[i]] && op->kind == REC_CONTRACT)
            sum = dim_add(p->dims, sum, product(p, op->space, op->nit));
    }
    return sum;
}

static bool too_dear(const RecProg *p, Arena *a, const RecOp *recur)
{
    double elements = 0;
    for (uint32_t i = 0; i < recur->nstate; i++) {
        const Type *t = rec_type(p, recur->use[i].v);
        elements += dim_about(p->dims, product(p, t->dim, t->rank), unknown);
    }
    return dim_about(p->dims, products(p, a, recur), unknown) > near * elements;
}

static bool affine(const Structure *s)
{
    for (uint32_t i = 0; i < s->stages.n; i++)
        if (s->stage[i].class == STAGE_NONLINEAR || s->stage[i].algebra != ALGEBRA_PLUS)
            return false;
    return true;
}

static RecDerivative derivative(const RecOp *recur, bool channels, bool dear, bool affine, RecForm said)
{
    if (channels)
        return said.derivative == REC_DERIVATIVE_DIAGONAL && recur->nstate > 1 ? said.derivative : REC_DERIVATIVE_EXACT;
    if (said.derivative != REC_DERIVATIVE_AUTO)
        return said.derivative;
    return !affine && dear ? REC_DERIVATIVE_BLOCK : REC_DERIVATIVE_EXACT;
}

NewtonWay newton_way(const RecProg *p, Arena *a, const Structure *s, RecForm said)
{
    const RecOp *recur = rec_op(p, s->recur);
    NewtonWay x = {.channels = newton_by_element(p, a, recur)};
    bool dear = !x.channels && too_dear(p, a, recur);
    x.derivative = derivative(recur, x.channels, dear, affine(s), said);
    bool matrices = !x.channels && x.derivative == REC_DERIVATIVE_EXACT;
    if (said.pieces > 1 && !(matrices && dear && said.derivative != REC_DERIVATIVE_EXACT))
        x.pieces = said.pieces;
    x.bound = x.channels || (matrices && x.pieces && newton_has_rules(p, a, recur));
    return x;
}
