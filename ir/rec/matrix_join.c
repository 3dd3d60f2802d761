/* What terms of a matrix stage have in common: terms that write with the same vector are added before they are multiplied with
 * it, and what is read out with the vector of a rank-one term has been read already. A delta rule, S' = S + (v - S k) k, then
 * has one vector that writes and one that reads, and what it predicts, S k, costs nothing more.
 *
 * A rank-one term often stands under a condition (the place is within its sequence, the next one does not begin anew), and a
 * read-out by the same vector does not. What is written is zero where the condition does not hold, so the vector need not be,
 * but for garbage: a condition stays where the read-out, too, matters only under it. */
#include "ir/rec/matrix.h"

typedef struct Join {
    const RecProg *p;
    Arena *a;
    const RecOp *recur;
    Matrix *m;
} Join;

/* One side of a term, on the state's axes. */
typedef struct Side {
    const Term *t;
    uint32_t select;
    uint8_t k; /* the term's axis that is the state's axis k here */
} Side;

static Side read_side(const Matrix *m, const Split *x)
{
    return (Side){&x->term, x->first, x->term.axis[m->k]};
}

static Side written_side(const Matrix *m, const Split *x, bool low)
{
    return (Side){&x->term, low ? x->second : x->first, m->k};
}

static uint8_t term_axis(const Join *j, Side x, uint8_t state_axis)
{
    return state_axis == j->m->k ? x.k : x.t->state == REC_NONE ? state_axis : x.t->axis[state_axis];
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

static uint32_t count(Side x, bool conditions)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < x.t->factor.n; i++)
        n += (x.select >> i & 1) && (conditions || !matrix_is_condition(&x.t->factor.p[i]));
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

static bool same_side(const Join *j, Side x, Side y, bool conditions)
{
    if (count(x, conditions) != count(y, conditions))
        return false;
    for (uint32_t i = 0; i < x.t->factor.n; i++) {
        const Factor *f = &x.t->factor.p[i];
        if ((x.select >> i & 1) && (conditions || !matrix_is_condition(f)) && times_in(j, x, f, x) != times_in(j, x, f, y))
            return false;
    }
    return true;
}

/* ---- what is written with the same vector ---- */

static const Split *writer(const Matrix *m, uint32_t i)
{
    return i < m->low.n ? &m->low.p[i] : &m->source.p[i - m->low.n];
}

static void join_writes(Join *j)
{
    Matrix *m = j->m;
    uint32_t n = m->low.n + m->source.n;
    m->writes = NEWN(j->a, uint32_t, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        const Split *x = writer(m, i);
        uint32_t k = 0;
        for (; k < i; k++) {
            const Split *y = writer(m, k);
            if (x->to == y->to && !x->sum && !y->sum && m->writes[k] == k &&
                same_side(j, written_side(m, x, i < m->low.n), written_side(m, y, k < m->low.n), true))
                break;
        }
        m->writes[i] = k;
    }
}

/* ---- where a value matters ---- */

typedef struct Under {
    const Join *j;
    RecId condition;
    FactorKind kind;
    uint8_t n;     /* axes of the condition */
    bool *seen;    /* by op */
    uint8_t *axis; /* by op, n each: the op's axes that they are */
} Under;

static bool matters_only(Under *u, RecId v, const uint8_t *axis);

/* A use of a value by `op` as its operand `operand`; axis: the value's axes that the condition's are. */
static bool use_is_under(Under *u, RecId op, uint32_t operand, const uint8_t *axis)
{
    const RecOp *o = rec_op(u->j->p, op);
    uint8_t now[MAXRANK];
    if (o->kind == REC_RECUR || o->home != u->j->recur->region || !pass_iterates(o->kind))
        return false;
    for (uint8_t i = 0; i < u->n; i++)
        if ((now[i] = o->use[operand].axis[axis[i]]) >= o->type.rank)
            return false;
    if (o->kind == REC_MAP && o->fun == FUN_WHERE && o->use[0].v == u->condition && operand == (u->kind == FACTOR_IF ? 1 : 2) &&
        !memcmp(now, o->use[0].axis, u->n))
        return true;
    return matters_only(u, op, now);
}

/* Whether all that is made of v, but the stage's own states, is v's only where the condition holds (or, UNLESS, does not). */
static bool matters_only(Under *u, RecId v, const uint8_t *axis)
{
    const RecProg *p = u->j->p;
    const RecRegionInfo *body = &p->region.p[u->j->recur->region];
    if (u->seen[v])
        return !memcmp(axis, u->axis + v * MAXRANK, u->n);
    u->seen[v] = true;
    memcpy(u->axis + v * MAXRANK, axis, u->n);
    for (uint32_t i = 0; i < body->result.n; i++)
        if (body->result.p[i] == v)
            return false;
    for (RecId op = 0; op < p->op.n; op++)
        for (uint32_t k = 0; k < rec_op(p, op)->nuse; k++)
            if (rec_op(p, op)->use[k].v == v && !use_is_under(u, op, k, axis))
                return false;
    return true;
}

/* Whether a read-out matters only under a condition of a rank-one term. */
static bool is_under(const Join *j, RecId readout, Side q, Side b, const Factor *condition)
{
    Under u = {.j = j, .condition = condition->use.v, .kind = condition->kind};
    uint8_t axis[MAXRANK];
    u.n = rec_type(j->p, u.condition)->rank;
    u.seen = NEWN(j->a, bool, j->p->op.n + 1);
    u.axis = NEWN(j->a, uint8_t, (j->p->op.n + 1) * MAXRANK);
    for (uint8_t i = 0; i < u.n; i++) {
        uint8_t of_state = state_axis(j, b, condition->use.axis[i]);
        if (of_state == MAXRANK || (axis[i] = term_axis(j, q, of_state)) >= q.t->rank)
            return false;
    }
    return matters_only(&u, readout, axis);
}

/* ---- what is read with the same vector ---- */

/* Without the conditions under which the read-out has to be known, too. */
static uint32_t kept_conditions(const Join *j, RecId readout, Side q, Side b)
{
    uint32_t kept = b.select;
    for (uint32_t i = 0; i < b.t->factor.n; i++)
        if ((b.select >> i & 1) && matrix_is_condition(&b.t->factor.p[i]) && !is_under(j, readout, q, b, &b.t->factor.p[i]))
            kept &= ~(1u << i);
    return kept;
}

static void join_readout(Join *j, Readout *r, uint32_t i)
{
    Split *low = &j->m->low.p[i];
    for (uint32_t k = 0; k < r->of_state.n; k++) {
        Split *x = &r->of_state.p[k];
        Side q = read_side(j->m, x), b = read_side(j->m, low);
        if (x->same != NO_TERM || x->from != low->from || count(q, true) != count(q, false) || !same_side(j, q, b, false))
            continue;
        x->same = i;
        low->first = kept_conditions(j, r->v, q, b);
    }
}

void matrix_join(const RecProg *p, Arena *a, RecId recur, Matrix *m)
{
    Join j = {p, a, rec_op(p, recur), m};
    join_writes(&j);
    for (uint32_t i = 0; i < m->low.n; i++)
        for (uint32_t k = 0; k < m->readout.n; k++)
            join_readout(&j, &m->readout.p[k], i);
}
