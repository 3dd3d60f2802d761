/* The rules of rec.backward for single ops: what the cotangent of a result gives to the operands. */
#include "ir/rec/backward.h"
#include "ir/rec/derivative.h"

typedef struct MapRule {
    Level *l;
    const RecOp *op;
    RecId y;
    Guard mask; /* of what the cotangent is multiplied with */
} MapRule;

static bool spotless(const Level *l, RecId v)
{
    const RecOp *op = rec_op(l->back->p, v);
    return op->kind == REC_CONST || (op->kind == REC_ARG && l->back->p->arg.p[op->arg].role == ROLE_PARAM);
}

static RecUse map_value(void *cx, char name)
{
    MapRule *m = cx;
    const RecOp *op = m->op;
    if (name == 'y')
        return rec_use(back_here(m->l, m->y), op->type.rank);
    RecUse u = op->use[name - 'a'], x = back_use(m->l, u);
    if (m->mask.v == REC_NONE || spotless(m->l, u.v))
        return x;
    uint32_t named = pass_names(m->l->back->p, back_guard_use(m->mask));
    if (named & ~pass_names(m->l->back->p, u))
        return rec_use(back_masked(m->l, m->mask, x, op->type.rank, op->type.dim), op->type.rank);
    Type t = *rec_type(m->l->back->p, u.v);
    Guard g = back_project(m->l, m->mask, u);
    x.v = back_masked(m->l, g, rec_use(x.v, t.rank), t.rank, t.dim);
    return x;
}

static bool multiplies(Fun f, uint32_t i)
{
    for (const char *name = "yabc"; *name; name++)
        if (derivative_mentions(f, i, *name))
            return true;
    return false;
}

static Guard branch_guard(Level *l, const RecOp *op, uint32_t i, Guard g)
{
    RecUse c = back_use(l, op->use[0]);
    if (i == 2)
        c.v = rec_map1(&l->b, FUN_NOT, c.v);
    Guard taken = {.v = c.v};
    memcpy(taken.axis, c.axis, sizeof c.axis);
    return g.v == REC_NONE ? taken : back_join(l, FUN_AND, g, taken, &op->type);
}

void back_map(Level *l, RecId v, const RecOp *op, Part d)
{
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecUse u = op->use[i];
        if (!l->back->needs[u.v] || !*fun_info(op->fun)->derivative[i])
            continue;
        MapRule m = {l, op, v, op->fun == FUN_MUL ? d.guard : unguarded};
        Derivative rule = {.b = &l->b, .fun = op->fun, .rank = op->type.rank, .cx = &m, .value = map_value};
        memcpy(rule.dim, op->type.dim, sizeof rule.dim);
        rule.d = rec_use(d.v, op->type.rank);
        RecId r = derivative_of(&rule, i);
        Guard g = op->fun == FUN_WHERE ? branch_guard(l, op, i, d.guard) : d.guard;
        if (d.guard.v != REC_NONE && op->fun != FUN_MUL && op->fun != FUN_WHERE && multiplies(op->fun, i))
            r = back_masked(l, g, rec_use(r, op->type.rank), op->type.rank, op->type.dim);
        back_give(l, u, r, op->nit, op->space, back_project(l, g, u));
    }
}

/* The other operand's part of a product, masked where it may be no number. */
static RecUse factor(Level *l, RecUse u, Guard g)
{
    RecUse x = back_use(l, u);
    Type t = *rec_type(l->back->p, u.v);
    if (g.v != REC_NONE && l->back->dirty[u.v])
        x.v = back_masked(l, back_project(l, g, u), rec_use(x.v, t.rank), t.rank, t.dim);
    return x;
}

static RecUse renumbered(const RecProg *p, RecUse u, const uint8_t *now)
{
    for (uint8_t k = 0; k < rec_type(p, u.v)->rank; k++)
        u.axis[k] = now[u.axis[k]];
    return u;
}

void back_contract(Level *l, const RecOp *op, Part d)
{
    RecProg *p = l->back->p;
    for (uint32_t i = 0; i < 2; i++) {
        RecUse u = op->use[i];
        if (!l->back->needs[u.v])
            continue;
        uint8_t axis[MAXIT], first[MAXRANK], now[MAXIT], n = back_distinct(p, u, axis, first), nit = n;
        uint32_t names = pass_names(p, u);
        for (uint8_t k = 0; k < op->nit; k++)
            if (!(names >> k & 1))
                axis[nit++] = k;
        Dim space[MAXIT];
        for (uint8_t k = 0; k < nit; k++) {
            now[axis[k]] = k;
            space[k] = op->space[axis[k]];
        }
        RecUse dd = renumbered(p, rec_use(d.v, op->type.rank), now);
        RecUse other = renumbered(p, factor(l, op->use[1 - i], d.guard), now);
        RecId r = rec_contract(&l->b, dd, other, n, nit, space);
        back_give(l, renumbered(p, u, now), r, n, space, back_project(l, d.guard, u));
    }
}

static RecId map2(Level *l, Fun f, RecUse a, RecUse b, const RecOp *over)
{
    return rec_map(&l->b, f, (RecUse[]){a, b}, over->nit, over->space);
}

static RecId choose(Level *l, RecId c, RecUse a, RecUse b, const RecOp *over)
{
    return rec_map(&l->b, FUN_WHERE, (RecUse[]){rec_use(c, over->nit), a, b}, over->nit, over->space);
}

static RecId reduced(Level *l, RecReduce red, RecId v, const RecOp *over)
{
    return rec_reduce(&l->b, red, rec_use(v, over->nit), over->type.rank, over->nit, over->space);
}

static RecUse constant(Level *l, double number)
{
    return (RecUse){.v = rec_const(&l->b, DT_REAL, number)};
}

/* The extremes share the cotangent evenly. */
static RecId back_extreme(Level *l, RecId v, const RecOp *op, RecUse d)
{
    RecUse y = rec_use(back_here(l, v), op->type.rank);
    RecId hit = map2(l, FUN_EQ, back_use(l, op->use[0]), y, op);
    RecId count = reduced(l, RED_SUM, rec_map1(&l->b, FUN_REAL, hit), op);
    RecUse share[2] = {d, rec_use(count, op->type.rank)};
    RecId each = rec_map(&l->b, FUN_DIV, share, op->type.rank, op->type.dim);
    return choose(l, hit, rec_use(each, op->type.rank), constant(l, 0), op);
}

/* The product of the others, also when one factor is zero. */
static RecId back_product(Level *l, const RecOp *op, RecUse d)
{
    RecUse a = back_use(l, op->use[0]);
    uint8_t n = op->nit, rank = op->type.rank;
    RecId zero = map2(l, FUN_EQ, a, constant(l, 0), op);
    RecId rest = choose(l, zero, constant(l, 1), a, op);
    RecUse all = rec_use(reduced(l, RED_PROD, rest, op), rank);
    RecUse zeros = rec_use(reduced(l, RED_SUM, rec_map1(&l->b, FUN_REAL, zero), op), rank);
    RecUse da = rec_use(map2(l, FUN_MUL, d, all, op), n);
    RecUse others = rec_use(map2(l, FUN_DIV, da, rec_use(rest, n), op), n);
    RecId alone = choose(l, map2(l, FUN_EQ, zeros, constant(l, 1), op), da, constant(l, 0), op);
    RecId none = choose(l, map2(l, FUN_EQ, zeros, constant(l, 0), op), others, constant(l, 0), op);
    return choose(l, zero, rec_use(alone, n), rec_use(none, n), op);
}

void back_reduce(Level *l, RecId v, const RecOp *op, Part d)
{
    if (op->nit > MAXRANK)
        ice("rec.backward: a sum has too many axes");
    RecUse du = rec_use(d.v, op->type.rank);
    RecId r = REC_NONE;
    switch (op->red) {
    case RED_SUM: r = rec_map(&l->b, FUN_ID, &du, op->nit, op->space); break;
    case RED_PROD: r = back_product(l, op, du); break;
    case RED_MAX:
    case RED_MIN: r = back_extreme(l, v, op, du); break;
    case RED_COUNT: ice("rec.backward: no such reduction");
    }
    if (d.guard.v != REC_NONE && op->red != RED_SUM)
        r = back_masked(l, d.guard, rec_use(r, op->nit), op->nit, op->space);
    back_give(l, op->use[0], r, op->nit, op->space, back_project(l, d.guard, op->use[0]));
}

static RecUse *indices_here(Level *l, const RecOp *op, RecUse first)
{
    RecUse *use = NEWN(l->back->p->arena, RecUse, op->nuse);
    use[0] = first;
    for (uint32_t i = 1; i < op->nuse; i++)
        use[i] = back_use(l, op->use[i]);
    return use;
}

/* A guard over a gather's result as one over its table: along the axes that are not indexed, any that is true. */
static Guard guard_table(Level *l, const RecOp *op, Guard g)
{
    RecUse u = op->use[0];
    for (uint8_t k = 0; k < op->nindex; k++)
        u.axis[k] = UINT8_MAX;
    return back_project(l, g, u);
}

void back_gather(Level *l, const RecOp *op, Part d)
{
    RecId table = op->use[0].v;
    Type t = *rec_type(l->back->p, table);
    if (!l->back->needs[table])
        return;
    RecUse *use = indices_here(l, op, rec_use(d.v, op->type.rank));
    RecId r = rec_scatter(&l->b, use, op->nuse, op->nit, op->space, t, op->use[0].axis);
    back_add(l, table, r, guard_table(l, op, d.guard));
}

void back_scatter(Level *l, const RecOp *op, Part d)
{
    if (op->nit > MAXRANK)
        ice("rec.backward: a scatter has too many axes");
    RecUse table = {.v = d.v};
    memcpy(table.axis, op->out_axis, sizeof table.axis);
    RecUse *use = indices_here(l, op, table);
    RecId r = rec_gather(&l->b, use, op->nuse, op->nit, op->space);
    back_give(l, op->use[0], r, op->nit, op->space, unguarded);
}

/* A guard of a part of a value along an axis, from that of the whole. */
static Guard guard_part(Level *l, Guard g, uint8_t along, Dim lo, Dim size)
{
    for (uint8_t j = 0; g.v != REC_NONE && j < rec_type(l->back->p, g.v)->rank; j++)
        if (g.axis[j] == along)
            g.v = rec_slice(&l->b, g.v, j, lo, size);
    return g;
}

static Guard guard_whole(Level *l, Guard g, uint8_t along, Dim lo, Dim size)
{
    for (uint8_t j = 0; g.v != REC_NONE && j < rec_type(l->back->p, g.v)->rank; j++)
        if (g.axis[j] == along)
            g.v = rec_pad(&l->b, g.v, j, lo, size);
    return g;
}

void back_slice(Level *l, const RecOp *op, Part d)
{
    RecId a = op->use[0].v;
    Dim size = rec_type(l->back->p, a)->dim[op->along];
    Guard g = guard_whole(l, d.guard, op->along, op->lo, size);
    back_add(l, a, rec_pad(&l->b, d.v, op->along, op->lo, size), g);
}

void back_part(Level *l, RecId a, uint8_t along, Dim lo, Part d)
{
    Dim size = rec_type(l->back->p, a)->dim[along];
    if (l->back->needs[a])
        back_add(l, a, rec_slice(&l->b, d.v, along, lo, size), guard_part(l, d.guard, along, lo, size));
}

void back_concat(Level *l, const RecOp *op, Part d)
{
    Dim lo = DIM_ZERO;
    for (uint32_t i = 0; i < op->nuse; i++) {
        back_part(l, op->use[i].v, op->along, lo, d);
        lo = dim_add(l->back->p->dims, lo, rec_type(l->back->p, op->use[i].v)->dim[op->along]);
    }
}

/* A guard that lies in leading axes that both shapes share stays; another is spread out and reshaped. */
void back_reshape(Level *l, const RecOp *op, Part d)
{
    RecId a = op->use[0].v;
    Type t = *rec_type(l->back->p, a), from = op->type;
    uint8_t same = 0;
    while (same < t.rank && same < from.rank && t.dim[same] == from.dim[same])
        same++;
    Guard g = d.guard;
    if (g.v != REC_NONE && pass_names(l->back->p, back_guard_use(g)) >> same) {
        RecUse u = back_guard_use(g);
        g = (Guard){.axis = {0, 1, 2, 3, 4, 5, 6, 7}};
        g.v = rec_reshape(&l->b, rec_map(&l->b, FUN_ID, &u, from.rank, from.dim), t.rank, t.dim);
    }
    back_add(l, a, rec_reshape(&l->b, d.v, t.rank, t.dim), g);
}
