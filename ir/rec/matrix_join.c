/* Which terms of a matrix stage write with the same vector: they are added before they are multiplied with it. In a delta rule,
 * S' = S + (v - S k) k, what is predicted and what is new are one product with k. */
#include "ir/rec/matrix.h"

typedef struct Join {
    const RecProg *p;
    Arena *a;
    const Matrix *m;
} Join;

/* One side of a term, on the state's axes. */
typedef struct Side {
    const Term *t;
    uint32_t select;
} Side;

static Side written_side(const Split *x, bool low)
{
    return (Side){&x->term, low ? x->second : x->first};
}

static uint8_t term_axis(const Join *j, Side x, uint8_t state_axis)
{
    return x.t->state == REC_NONE || state_axis == j->m->k ? state_axis : x.t->axis[state_axis];
}

/* Axis `axis` of the term as one of the state; MAXRANK if it is none. */
static uint8_t state_axis(const Join *j, Side x, uint8_t axis)
{
    uint8_t i = 0;
    while (i < j->m->type.rank && term_axis(j, x, i) != axis)
        i++;
    return i < j->m->type.rank ? i : MAXRANK;
}

static bool same_factor(const Join *j, Side x, const Factor *f, Side y, const Factor *g)
{
    if (f->kind != g->kind || f->use.v != g->use.v)
        return false;
    for (uint8_t i = 0; i < rec_type(j->p, f->use.v)->rank; i++) {
        uint8_t axis = state_axis(j, x, f->use.axis[i]);
        if (axis == MAXRANK || axis != state_axis(j, y, g->use.axis[i]))
            return false;
    }
    return true;
}

static uint32_t count(Side x)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < x.t->factor.n; i++)
        n += x.select >> i & 1;
    return n;
}

/* How often f, a factor of x, is one of y's. */
static uint32_t times_in(const Join *j, Side x, const Factor *f, Side y)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < y.t->factor.n; i++)
        n += (y.select >> i & 1) && same_factor(j, x, f, y, &y.t->factor.p[i]);
    return n;
}

static bool same_side(const Join *j, Side x, Side y)
{
    if (count(x) != count(y))
        return false;
    for (uint32_t i = 0; i < x.t->factor.n; i++)
        if ((x.select >> i & 1) && times_in(j, x, &x.t->factor.p[i], x) != times_in(j, x, &x.t->factor.p[i], y))
            return false;
    return true;
}

static const Split *writer(const Matrix *m, uint32_t i)
{
    return i < m->low.n ? &m->low.p[i] : &m->source.p[i - m->low.n];
}

/* Terms with a sum over both their vectors write with several. */
static bool is_same_vector(const Join *j, uint32_t i, uint32_t k)
{
    const Matrix *m = j->m;
    const Split *x = writer(m, i), *y = writer(m, k);
    return x->to == y->to && !x->sum && !y->sum && same_side(j, written_side(x, i < m->low.n), written_side(y, k < m->low.n));
}

void matrix_join(const RecProg *p, Arena *a, Matrix *m)
{
    Join j = {p, a, m};
    uint32_t n = m->low.n + m->source.n;
    m->writes = NEWN(a, uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = 0;
        while (k < i && !(m->writes[k] == k && is_same_vector(&j, i, k)))
            k++;
        m->writes[i] = k;
    }
}
