/* Products of the factors of a term, for all places of a chunk at once: see chunk.h. What names a summed axis is multiplied
 * first and summed before the rest, so that no product has more axes than it must. */
#include "ir/rec/chunk.h"

typedef struct Pool {
    Part part[64];
    FactorKind kind[64];
    uint32_t n;
    Part state; /* one more factor; v REC_NONE for none */
} Pool;

Part chunk_factor(Chunk *c, const Factor *f)
{
    c->lift.b = c->b;
    Lifted x = lift_value(&c->lift, f->use.v);
    Part p = {.v = x.v};
    uint8_t n = 0;
    if (x.placed)
        p.label[n++] = LABEL_PLACE;
    for (uint8_t i = 0; i < rec_type(&c->w->old, f->use.v)->rank; i++)
        p.label[n++] = (uint8_t)(LABEL_AXIS + f->use.axis[i]);
    return f->logarithm ? part_map1(c->b, FUN_LOG, p) : p;
}

static void add_to_pool(Pool *p, Part x, FactorKind kind)
{
    if (p->n == 64)
        ice("rec.chunk: a product of too many factors");
    p->part[p->n] = x;
    p->kind[p->n++] = kind;
}

/* The factor with the fewest axes among those that name one of these labels (any if 0); conditions last, divisors before them. */
static uint32_t next_of(const Chunk *c, const Pool *p, uint32_t labels)
{
    uint32_t best = p->n;
    for (uint32_t i = 0; i < p->n; i++) {
        if (labels && !(part_labels(c->b, p->part[i]) & labels))
            continue;
        bool better = best == p->n || p->kind[i] < p->kind[best] ||
                      (p->kind[i] == p->kind[best] && rec_type(c->b->prog, p->part[i].v)->rank <
                                                          rec_type(c->b->prog, p->part[best].v)->rank);
        if (better)
            best = i;
    }
    return best;
}

static Part combine(Chunk *c, Part x, Part y, FactorKind kind)
{
    const AlgebraInfo *algebra = algebra_info(c->algebra);
    if (kind == FACTOR_TIMES)
        return x.v == REC_NONE ? y : part_map(c->b, algebra->product, x, y);
    if (x.v == REC_NONE)
        x = part_number(c->b, c->dt, algebra->one);
    switch (kind) {
    case FACTOR_OVER: return part_map(c->b, algebra->quotient, x, y);
    case FACTOR_IF: return part_where(c->b, y, x, part_number(c->b, c->dt, algebra->zero));
    case FACTOR_UNLESS: return part_where(c->b, y, part_number(c->b, c->dt, algebra->zero), x);
    case FACTOR_TIMES: break;
    }
    ice("rec.chunk: a factor of no kind");
}

static bool state_names(const Chunk *c, const Pool *p, uint32_t labels)
{
    return p->state.v != REC_NONE && (!labels || (part_labels(c->b, p->state) & labels));
}

/* The state leaves the pool into the product. */
static Part take_state(Chunk *c, Pool *p, Part x, uint32_t labels)
{
    if (!state_names(c, p, labels))
        return x;
    x = combine(c, x, p->state, FACTOR_TIMES);
    p->state.v = REC_NONE;
    return x;
}

/* Takes all that name one of these labels out of the pool, as one product: numbers, the state, conditions. */
static Part take(Chunk *c, Pool *p, uint32_t labels)
{
    Part x = {.v = REC_NONE};
    for (uint32_t i; (i = next_of(c, p, labels)) < p->n;) {
        x = p->kind[i] > FACTOR_OVER ? take_state(c, p, x, labels) : x;
        x = combine(c, x, p->part[i], p->kind[i]);
        p->n--;
        p->part[i] = p->part[p->n];
        p->kind[i] = p->kind[p->n];
    }
    return take_state(c, p, x, labels);
}

static bool is_chosen(const Chunk *c, const Pool *p, uint32_t label)
{
    for (uint32_t i = 0; i < p->n; i++)
        if (p->kind[i] > FACTOR_OVER && (part_labels(c->b, p->part[i]) & label))
            return true;
    return false;
}

/* The state's sum over a label, with all that names it: one product of numbers meets the state in it, where no
 * condition does. */
static void sum_state(Chunk *c, Pool *p, uint32_t label)
{
    Part state = p->state;
    p->state.v = REC_NONE;
    Part x = take(c, p, label);
    p->state = x.v == REC_NONE ? algebra_reduce(c->b, c->algebra, state, label)
                               : algebra_contract(c->b, c->algebra, x, state, label);
}

/* Sums over one axis of a term: all factors that name it leave the pool, and their sum goes there. */
static void sum_over(Chunk *c, Pool *p, const Term *t, uint8_t axis)
{
    uint32_t label = 1u << (LABEL_AXIS + axis);
    if (state_names(c, p, label) && !is_chosen(c, p, label)) {
        sum_state(c, p, label);
        return;
    }
    Part x = take(c, p, label);
    x = x.v == REC_NONE ? algebra_count(c->b, c->algebra, c->dt, t->space[axis])
                        : algebra_reduce(c->b, c->algebra, x, label);
    add_to_pool(p, x, FACTOR_TIMES);
}

static bool names_any(const Chunk *c, const Term *t, uint32_t select, uint8_t axis)
{
    for (uint32_t i = 0; i < t->factor.n; i++)
        if ((select >> i & 1) && (pass_names(&c->w->old, t->factor.p[i].use) >> axis & 1))
            return true;
    return false;
}

/* The product of all that is in the pool. */
static Part product_of(Chunk *c, Pool *p, const Term *t, uint32_t select, uint32_t keep)
{
    for (uint32_t i = 0; i < t->factor.n; i++)
        if (select >> i & 1)
            add_to_pool(p, chunk_factor(c, &t->factor.p[i]), t->factor.p[i].kind);
    for (uint8_t axis = t->rank; axis < t->nit; axis++)
        if (!(keep >> axis & 1) && (select == EVERY_FACTOR || names_any(c, t, select, axis)))
            sum_over(c, p, t, axis);
    Part x = take(c, p, 0);
    return x.v == REC_NONE ? part_number(c->b, c->dt, algebra_info(c->algebra)->one) : x;
}

Part chunk_product(Chunk *c, const Term *t, uint32_t select, uint32_t keep)
{
    Pool p = {.state = {.v = REC_NONE}};
    return product_of(c, &p, t, select, keep);
}

Part chunk_apply(Chunk *c, const Term *t, Part state)
{
    Pool p = {.state = state};
    for (uint8_t i = 0; i < rec_type(c->b->prog, state.v)->rank; i++)
        if (state.label[i] >= LABEL_AXIS && state.label[i] < LABEL_FROM)
            p.state.label[i] = (uint8_t)(LABEL_AXIS + t->axis[state.label[i] - LABEL_AXIS]);
    return product_of(c, &p, t, EVERY_FACTOR, 0);
}
