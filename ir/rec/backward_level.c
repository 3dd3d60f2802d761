/* A level of rec.backward: forward values as the adjoint has them, guards, and what is collected for each cotangent. */
#include "ir/rec/backward.h"

/* ---- forward values at a level ---- */

static RecId made_here(const Level *l, RecId v)
{
    return v < l->made.n ? l->made.p[v] : REC_NONE;
}

static RecId remember(Level *l, RecId v, RecId now)
{
    while (l->made.n <= v)
        vec_push(l->back->p->arena, &l->made, REC_NONE);
    return l->made.p[v] = now;
}

static bool is_leaf(const RecOp *op)
{
    return op->kind == REC_CONST || op->kind == REC_DIM || op->kind == REC_IOTA || op->kind == REC_GIVEN;
}

static bool is_cheap(const RecOp *op)
{
    return op->kind == REC_SLICE || op->kind == REC_RESHAPE || (op->kind == REC_MAP && !pass_heavy(op));
}

/* How many values would have to be kept to make v again here: 0, 1, or 2 for too many, and then v itself is kept. */
static int to_keep(const Level *l, RecId v, int depth)
{
    const RecOp *op = rec_op(l->back->p, v);
    if (!rec_inside(l->back->p, v, l->body) || made_here(l, v) != REC_NONE || is_leaf(op) || op->kind == REC_REGARG)
        return 0;
    if (!is_cheap(op) || depth > 10)
        return 2;
    int n = 0;
    for (uint32_t i = 0; i < op->nuse && n < 2; i++) {
        int more = to_keep(l, op->use[i].v, depth + 1);
        if (more > 0 && op->kind == REC_SLICE)
            return 2; /* the part costs less than the whole */
        n += more > 1 ? 1 : more;
    }
    return n;
}

/* What a region uses from around it, made here before the region is. */
static void surroundings_here(Level *l, RecRegion r, RecRegion whole)
{
    const RecProg *p = l->back->p;
    for (uint32_t i = 0; i < p->region.p[r].op.n; i++) {
        RecOp op = *rec_op(p, p->region.p[r].op.p[i]);
        for (uint32_t k = 0; k < op.nuse; k++)
            if (!rec_inside(p, op.use[k].v, whole))
                back_here(l, op.use[k].v);
        if (op.kind == REC_RECUR)
            surroundings_here(l, op.region, whole);
    }
}

/* An inner recurrence of a step that is made again: without results but its final states; see result_again. */
static void recur_again(Level *l, RecId v)
{
    RecProg *p = l->back->p;
    RecOp op = *rec_op(p, v);
    RecId *operand = NEWN(p->arena, RecId, op.nuse + 1);
    for (uint32_t i = 0; i < op.nuse; i++)
        operand[i] = back_here(l, op.use[i].v);
    RecRegion step;
    RecId made = rec_recur_open(&l->b, operand, op.nstate, operand + op.nstate, op.nseq, op.length, op.reverse, &step);
    rec_op(p, made)->chunk = op.chunk;
    remember(l, v, made);
    surroundings_here(l, op.region, op.region);
    Level in = *l; /* its values are found by their ids, which are of one program */
    in.b.region = step;
    for (uint32_t i = 0; i < p->region.p[op.region].op.n; i++) {
        RecId inner = p->region.p[op.region].op.p[i];
        const RecOp *what = rec_op(p, inner);
        if (what->kind == REC_REGARG)
            remember(&in, inner, p->region.p[step].arg.p[what->index]);
        else
            back_here(&in, inner);
    }
    l->made = in.made;
    RecId *result = NEWN(p->arena, RecId, op.nstate + 1);
    for (uint32_t i = 0; i < op.nstate; i++)
        result[i] = back_here(l, p->region.p[op.region].result.p[i]);
    rec_recur_close(p, made, result, op.nstate);
}

/* A result of an inner recurrence of a step that is made again. */
static RecId result_again(Level *l, RecId v)
{
    RecProg *p = l->back->p;
    RecOp op = *rec_op(p, v);
    RecId recur = op.use[0].v, made = back_here(l, recur);
    const RecOp *was = rec_op(p, recur);
    if (op.index < was->nstate)
        return rec_proj(&l->b, made, op.index);
    return rec_recur_export(p, made, back_here(l, p->region.p[was->region].result.p[op.index]));
}

static RecId value_here(void *level, RecId v)
{
    return back_here(level, v);
}

static RecId make_again(Level *l, RecId v)
{
    return pass_copy(&l->b, *rec_op(l->back->p, v), value_here, l);
}

/* The step's value as a sequence, kept by the forward recurrence. */
static RecId keep(Level *l, RecId v)
{
    RecProg *p = l->back->p;
    RecId seq = back_here(l->up, rec_recur_export(p, l->recur, v));
    return rec_recur_add_seq(p, l->adjoint, seq);
}

RecId back_here(Level *l, RecId v)
{
    RecProg *p = l->back->p;
    if (!l->up)
        return v;
    if (!rec_inside(p, v, l->body))
        return back_here(l->up, v);
    if (made_here(l, v) != REC_NONE)
        return made_here(l, v);
    const RecOp *op = rec_op(p, v);
    uint32_t nstate = rec_op(p, l->recur)->nstate;
    if (l->again && op->kind == REC_RECUR)
        return recur_again(l, v), made_here(l, v);
    if (l->again && op->kind == REC_PROJ)
        return remember(l, v, result_again(l, v));
    if (l->again && op->kind != REC_REGARG)
        return remember(l, v, make_again(l, v));
    if (op->kind == REC_REGARG && op->index >= nstate)
        return remember(l, v,
                        rec_recur_add_seq(p, l->adjoint, back_here(l->up, rec_op(p, l->recur)->use[op->index].v)));
    if (is_leaf(op) || (op->kind != REC_REGARG && to_keep(l, v, 0) < 2))
        return remember(l, v, make_again(l, v));
    return remember(l, v, keep(l, v));
}

RecUse back_use(Level *l, RecUse u)
{
    u.v = back_here(l, u.v);
    return u;
}

/* ---- guards ---- */

static bool same_guard(const RecProg *p, Guard a, Guard b)
{
    return a.v == b.v && memcmp(a.axis, b.axis, rec_type(p, a.v)->rank) == 0;
}

RecUse back_guard_use(Guard g)
{
    RecUse u = {.v = g.v};
    memcpy(u.axis, g.axis, sizeof g.axis);
    return u;
}

/* Both, or either, of two guards of a value of this shape. */
Guard back_join(Level *l, Fun f, Guard a, Guard b, const Type *t)
{
    const RecProg *p = l->back->p;
    if (same_guard(p, a, b))
        return a;
    RecUse use[2] = {back_guard_use(a), back_guard_use(b)};
    uint32_t names = pass_names(p, use[0]) | pass_names(p, use[1]);
    Guard g = {0};
    Dim dim[MAXRANK];
    uint8_t rank = 0, now[MAXRANK] = {0};
    for (uint8_t i = 0; i < t->rank; i++)
        if (names >> i & 1) {
            dim[rank] = t->dim[i];
            now[i] = rank;
            g.axis[rank++] = i;
        }
    for (int i = 0; i < 2; i++)
        for (uint8_t k = 0; k < rec_type(p, use[i].v)->rank; k++)
            use[i].axis[k] = now[use[i].axis[k]];
    g.v = rec_map(&l->b, f, use, rank, dim);
    return g;
}

/* The guard of a result as the guard of an operand: true where any of the places it goes to is. */
Guard back_project(Level *l, Guard g, RecUse u)
{
    const RecProg *p = l->back->p;
    if (g.v == REC_NONE)
        return g;
    Type t = *rec_type(p, g.v);
    uint8_t own = rec_type(p, u.v)->rank, rank = 0, nit = 0;
    Guard r = {.v = g.v};
    RecUse over = {.v = g.v};
    Dim space[MAXIT];
    bool kept[MAXRANK] = {false};
    for (uint8_t j = 0; j < t.rank; j++)
        for (uint8_t k = 0; k < own && !kept[j]; k++)
            if (u.axis[k] == g.axis[j]) {
                kept[j] = true;
                over.axis[j] = nit;
                r.axis[rank++] = k;
                space[nit++] = t.dim[j];
            }
    for (uint8_t j = 0; j < t.rank; j++)
        if (!kept[j]) {
            over.axis[j] = nit;
            space[nit++] = t.dim[j];
        }
    if (rank < t.rank)
        r.v = rec_reduce(&l->b, RED_MAX, over, rank, nit, space);
    return r;
}

/* where(guard, x, 0) over these axes. */
RecId back_masked(Level *l, Guard g, RecUse x, uint8_t rank, const Dim *dim)
{
    RecUse use[3] = {back_guard_use(g), x, {.v = rec_const(&l->b, DT_REAL, 0)}};
    return rec_map(&l->b, FUN_WHERE, use, rank, dim);
}

/* ---- contributions ---- */

void back_add(Level *l, RecId v, RecId part, Guard g)
{
    if (l->back->needs[v])
        vec_push(l->back->p->arena, &l->sum[v].part, (Part){part, g});
}

/* The sum of all contributions so far; REC_NONE if there are none. */
Part back_total(Level *l, RecId v)
{
    Sum *s = &l->sum[v];
    if (s->part.n == 0)
        return (Part){REC_NONE, unguarded};
    Part t = s->part.p[0];
    Type type = *rec_type(l->back->p, t.v);
    for (uint32_t i = 1; i < s->part.n; i++) {
        Part more = s->part.p[i];
        t.v = rec_map2(&l->b, FUN_ADD, t.v, more.v);
        bool both = t.guard.v != REC_NONE && more.guard.v != REC_NONE;
        t.guard = both ? back_join(l, FUN_OR, t.guard, more.guard, &type) : unguarded;
    }
    s->part.p[0] = t;
    s->part.n = 1;
    return t;
}

/* r over nit axes, summed over those not among the n distinct ones in `axis`, in their order. */
static RecId onto(Level *l, RecId r, uint8_t n, const uint8_t *axis, uint8_t nit, const Dim *space)
{
    RecUse from = {.v = r};
    Dim dim[MAXIT];
    uint8_t all = n;
    uint32_t names = 0;
    for (uint8_t k = 0; k < n; k++) {
        from.axis[axis[k]] = k;
        dim[k] = space[axis[k]];
        names |= 1u << axis[k];
    }
    for (uint8_t i = 0; i < nit; i++)
        if (!(names >> i & 1)) {
            from.axis[i] = all;
            dim[all++] = space[i];
        }
    return all > n ? rec_reduce(&l->b, RED_SUM, from, n, all, dim) : pass_use_value(&l->b, from, n, dim);
}

/* v runs along axis first[k] for each axis k of t that repeats an earlier one: zero off that diagonal. */
static RecId on_diagonal(Level *l, RecUse v, const uint8_t *first, const Type *t)
{
    RecId on = REC_NONE;
    for (uint8_t k = 0; k < t->rank; k++) {
        if (first[k] == k)
            continue;
        RecId at = rec_iota(&l->b, t->dim[k]);
        RecUse use[2] = {{.v = at, .axis = {first[k]}}, {.v = at, .axis = {k}}};
        RecId equal = rec_map(&l->b, FUN_EQ, use, t->rank, t->dim);
        on = on == REC_NONE ? equal : rec_map2(&l->b, FUN_AND, on, equal);
    }
    if (on == REC_NONE)
        return v.v;
    Guard g = {.v = on, .axis = {0, 1, 2, 3, 4, 5, 6, 7}};
    return back_masked(l, g, v, t->rank, t->dim);
}

/* The distinct iteration axes that u names, in order; first[k]: u's first axis that follows the same one as k. */
uint8_t back_distinct(const RecProg *p, RecUse u, uint8_t *axis, uint8_t *first)
{
    uint8_t n = 0;
    for (uint8_t k = 0; k < rec_type(p, u.v)->rank; k++) {
        first[k] = 0;
        while (u.axis[first[k]] != u.axis[k])
            first[k]++;
        if (first[k] == k)
            axis[n++] = u.axis[k];
    }
    return n;
}

/* Gives r, over nit iteration axes, to the operand that follows them as u says. */
void back_give(Level *l, RecUse u, RecId r, uint8_t nit, const Dim *space, Guard g)
{
    Type t = *rec_type(l->back->p, u.v);
    uint8_t axis[MAXRANK], first[MAXRANK], n = back_distinct(l->back->p, u, axis, first), m = 0;
    RecUse v = {.v = onto(l, r, n, axis, nit, space)};
    for (uint8_t k = 0; k < t.rank; k++)
        if (first[k] == k)
            v.axis[m++] = k;
    back_add(l, u.v, on_diagonal(l, v, first, &t), g);
}
