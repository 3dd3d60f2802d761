/* Building blocks over values with free index axes. Every function keeps the free axes of its result ordered by id, so
 * that an op over two values only has to merge two sorted lists. */
#include "frontend/elab_internal.h"

/* The iteration space of an op over several values: the union of their free axes, then a shape. */
typedef struct Space {
    IndexVar *var[MAXRANK];
    uint8_t nfree, rank;
    Dim dim[MAXIT];
} Space;

static uint8_t free_axis(const Space *sp, const IndexVar *iv)
{
    for (uint8_t i = 0; i < sp->nfree; i++)
        if (sp->var[i] == iv)
            return i;
    ice("elaborator: a free axis is missing");
}

static bool has_var(IndexVar *const *list, uint32_t n, const IndexVar *iv)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i] == iv)
            return true;
    return false;
}

static bool add_free(Elab *e, Space *sp, Val v)
{
    for (uint8_t i = 0; i < v.nfree; i++) {
        if (has_var(sp->var, sp->nfree, v.free[i]))
            continue;
        if (sp->nfree == MAXRANK - 2) {
            diag(e->diags, E_NOT_A_SIZE, e->b.at, "more than 6 indices and axes at once");
            return false;
        }
        uint8_t k = sp->nfree++;
        for (; k > 0 && sp->var[k - 1]->id > v.free[i]->id; k--)
            sp->var[k] = sp->var[k - 1];
        sp->var[k] = v.free[i];
    }
    return true;
}

static bool space_start(Elab *e, Space *sp, const Val *v, uint32_t n)
{
    *sp = (Space){0};
    for (uint32_t i = 0; i < n; i++)
        if (!add_free(e, sp, v[i]))
            return false;
    for (uint8_t i = 0; i < sp->nfree; i++)
        sp->dim[i] = sp->var[i]->size;
    sp->rank = sp->nfree;
    return true;
}

static bool space_push(Elab *e, Space *sp, Dim d)
{
    if (sp->rank >= MAXRANK - 2) {
        diag(e->diags, E_NOT_A_SIZE, e->b.at, "more than 6 indices and axes at once");
        return false;
    }
    sp->dim[sp->rank++] = d;
    return true;
}

static RecUse free_use(const Space *sp, Val v)
{
    RecUse u = {.v = v.v};
    for (uint8_t i = 0; i < v.nfree; i++)
        u.axis[i] = free_axis(sp, v.free[i]);
    return u;
}

static Val space_val(const Space *sp, RecId v)
{
    Val r = {.v = v, .nfree = sp->nfree};
    memcpy(r.free, sp->var, sizeof(IndexVar *) * sp->nfree);
    return r;
}

Val real_const(Elab *e, double x)
{
    return val_of(rec_const(&e->b, DT_REAL, x));
}

Val to_real(Elab *e, Val v)
{
    if (is_poison(v) || v.is_complex || rec_type(e->prog, v.v)->dt == DT_REAL)
        return v;
    const RecOp *op = rec_op(e->prog, v.v);
    if (op->kind == REC_CONST)
        return real_const(e, op->number);
    v.v = rec_map1(&e->b, FUN_REAL, v.v);
    return v;
}

Val to_dtype(Elab *e, Val v, DType want)
{
    if (is_poison(v) || want == DT_INT || want == DT_BOOL || val_dtype(e, v) == DT_BOOL)
        return v;
    v = to_real(e, v);
    return want == DT_COMPLEX && !v.is_complex ? complex_of(e, v, real_const(e, 0), e->b.at) : v;
}

/* Do two shapes go together: equal, or one the tail of the other? The longer one is `out`. */
static bool join_shapes(const Type *a, const Type *b, Type *out)
{
    const Type *l = a->rank >= b->rank ? a : b, *s = a->rank >= b->rank ? b : a;
    *out = *l;
    for (uint8_t i = 0; i < s->rank; i++)
        if (l->dim[l->rank - s->rank + i] != s->dim[i])
            return false;
    return true;
}

static bool common_shape(Elab *e, const Val *arg, uint32_t n, Span at, Type *shape)
{
    *shape = val_type(e, arg[0]);
    for (uint32_t i = 1; i < n; i++) {
        Type t = val_type(e, arg[i]), both;
        if (!join_shapes(shape, &t, &both)) {
            Str a = type_str(e->arena, e->dims, shape), b = type_str(e->arena, e->dims, &t);
            diag_help(diag(e->diags, E_SHAPE, at,
                           str_c(e->arena, str_fmt(e->arena, "these shapes do not go together: %.*s and %.*s", STRF(a), STRF(b)))),
                      STR("shapes must be equal, or one the tail of the other; an axis of size 1 is not stretched"));
            return false;
        }
        *shape = both;
    }
    return true;
}

Val map_vals(Elab *e, Fun f, const Val *arg, uint32_t n, Span at)
{
    Space sp;
    Type shape;
    RecUse use[3];
    for (uint32_t i = 0; i < n; i++)
        if (is_poison(arg[i]))
            return poison;
    if (!common_shape(e, arg, n, at, &shape))
        return poison;
    for (uint32_t i = 0; i < n; i++)
        if (arg[i].is_complex)
            return complex_map(e, f, arg, n, at);
    if (!space_start(e, &sp, arg, n))
        return poison;
    for (uint8_t i = 0; i < shape.rank; i++)
        if (!space_push(e, &sp, shape.dim[i]))
            return poison;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t rank = val_type(e, arg[i]).rank;
        use[i] = free_use(&sp, arg[i]);
        for (uint8_t k = 0; k < rank; k++)
            use[i].axis[arg[i].nfree + k] = (uint8_t)(sp.rank - rank + k);
    }
    return space_val(&sp, rec_map(&e->b, f, use, sp.rank, sp.dim));
}

bool align_vals(Elab *e, Val *a, Val *c, Span at)
{
    Type shape;
    IndexVar *all[2 * MAXRANK];
    Val pair[2] = {*a, *c};
    if (is_poison(*a) || is_poison(*c) || !common_shape(e, pair, 2, at, &shape))
        return false;
    uint32_t n = (uint32_t)a->nfree + c->nfree;
    memcpy(all, a->free, a->nfree * sizeof *all);
    memcpy(all + a->nfree, c->free, c->nfree * sizeof *all);
    *a = broadcast_val(e, *a, &shape, all, n);
    *c = broadcast_val(e, *c, &shape, all, n);
    return !is_poison(*a) && !is_poison(*c);
}

/* The two halves of a complex result that were made alike. */
static Val both(Val re, Val im)
{
    if (is_poison(re) || is_poison(im))
        return poison;
    re.is_complex = true;
    re.im = im.v;
    return re;
}

/* Reduces the iteration axes for which `gone` is set; the others keep their order. */
static Val reduce_axes(Elab *e, RecReduce red, Val v, const bool *gone)
{
    if (v.is_complex && red != RED_SUM) {
        diag(e->diags, E_TYPE, e->b.at, "of complex numbers there are sums, but no maxima, and no products along an axis");
        return poison;
    }
    if (v.is_complex)
        return both(reduce_axes(e, red, val_part(e, v, PART_RE), gone), reduce_axes(e, red, val_part(e, v, PART_IM), gone));
    const Type t = *rec_type(e->prog, v.v);
    Val r = {0};
    Dim space[MAXIT];
    RecUse use = {.v = v.v};
    uint8_t kept = 0, next;
    for (uint8_t i = 0; i < t.rank; i++)
        kept += !gone[i];
    next = kept;
    for (uint8_t i = 0, k = 0; i < t.rank; i++) {
        use.axis[i] = gone[i] ? next++ : k++;
        space[use.axis[i]] = t.dim[i];
        if (!gone[i] && i < v.nfree)
            r.free[r.nfree++] = v.free[i];
    }
    r.v = kept == t.rank ? v.v : rec_reduce(&e->b, red, use, kept, t.rank, space);
    return r;
}

/* The value with a free axis for each of the variables. */
static Val with_axes(Elab *e, Val v, IndexVar *const *var, uint32_t n)
{
    Type shape = val_type(e, v);
    VEC(IndexVar *) all = {0};
    for (uint8_t i = 0; i < v.nfree; i++)
        vec_push(e->arena, &all, v.free[i]);
    for (uint32_t i = 0; i < n; i++)
        if (!has_var(v.free, v.nfree, var[i]))
            vec_push(e->arena, &all, var[i]);
    return broadcast_val(e, v, &shape, all.p, all.n);
}

Val reduce_free(Elab *e, RecReduce red, Val v, IndexVar *const *var, uint32_t n)
{
    bool gone[MAXRANK] = {0};
    if (is_poison(v))
        return poison;
    v = with_axes(e, v, var, n);
    if (is_poison(v))
        return poison;
    for (uint8_t i = 0; i < v.nfree; i++)
        gone[i] = has_var(var, n, v.free[i]);
    return reduce_axes(e, red, v, gone);
}

Val reduce_shape(Elab *e, RecReduce red, Val v)
{
    bool gone[MAXRANK] = {0};
    if (is_poison(v))
        return poison;
    for (uint8_t i = v.nfree; i < rec_type(e->prog, v.v)->rank; i++)
        gone[i] = true;
    return reduce_axes(e, red, v, gone);
}

Val contract_vals(Elab *e, Val a, Val c, Span at)
{
    Space sp;
    if (is_poison(a) || is_poison(c))
        return poison;
    Type ta = val_type(e, a), tc = val_type(e, c);
    uint8_t inner = tc.rank > 1 ? (uint8_t)(tc.rank - 2) : 0;
    if (!ta.rank || !tc.rank || ta.dim[ta.rank - 1] != tc.dim[inner]) {
        Str sa = val_str(e, a), sc = val_str(e, c);
        diag_help(diag(e->diags, E_SHAPE, at, str_c(e->arena, str_fmt(e->arena, "`@` cannot contract %.*s with %.*s", STRF(sa), STRF(sc)))),
                  STR("`a @ b` sums over the last axis of a and the last but one of b (the only one of a vector)"));
        return poison;
    }
    if (a.is_complex || c.is_complex)
        return complex_product(e, contract_vals, a, c, at);
    Val pair[2] = {a, c};
    if (!space_start(e, &sp, pair, 2))
        return poison;
    RecUse ua = free_use(&sp, a), uc = free_use(&sp, c);
    for (uint8_t i = 0; i + 1 < ta.rank; i++) {
        ua.axis[a.nfree + i] = sp.rank;
        if (!space_push(e, &sp, ta.dim[i]))
            return poison;
    }
    for (uint8_t i = 0; i < tc.rank; i++) {
        if (i == inner)
            continue;
        uc.axis[c.nfree + i] = sp.rank;
        if (!space_push(e, &sp, tc.dim[i]))
            return poison;
    }
    ua.axis[a.nfree + ta.rank - 1] = uc.axis[c.nfree + inner] = sp.rank;
    sp.dim[sp.rank] = ta.dim[ta.rank - 1];
    return space_val(&sp, rec_contract(&e->b, ua, uc, sp.rank, (uint8_t)(sp.rank + 1), sp.dim));
}

Val outer_vals(Elab *e, Val a, Val c, Span at)
{
    Space sp;
    Val pair[2] = {a, c};
    if (a.is_complex || c.is_complex)
        return complex_product(e, outer_vals, a, c, at);
    if (is_poison(a) || is_poison(c) || !space_start(e, &sp, pair, 2))
        return poison;
    RecUse use[2] = {free_use(&sp, a), free_use(&sp, c)};
    for (int k = 0; k < 2; k++) {
        Type t = val_type(e, pair[k]);
        for (uint8_t i = 0; i < t.rank; i++) {
            use[k].axis[pair[k].nfree + i] = sp.rank;
            if (!space_push(e, &sp, t.dim[i]))
                return poison;
        }
    }
    return space_val(&sp, rec_map(&e->b, FUN_MUL, use, sp.rank, sp.dim));
}

Val slice_val(Elab *e, Val v, uint8_t axis, Dim lo, Dim size)
{
    if (v.is_complex)
        return both(slice_val(e, val_part(e, v, PART_RE), axis, lo, size), slice_val(e, val_part(e, v, PART_IM), axis, lo, size));
    v.v = rec_slice(&e->b, v.v, (uint8_t)(v.nfree + axis), lo, size);
    return v;
}

Val take(Elab *e, Val v, uint8_t axis, Dim at)
{
    if (v.is_complex)
        return both(take(e, val_part(e, v, PART_RE), axis, at), take(e, val_part(e, v, PART_IM), axis, at));
    v = slice_val(e, v, axis, at, DIM_ONE);
    Type t = *rec_type(e->prog, v.v);
    uint8_t gone = (uint8_t)(v.nfree + axis);
    memmove(t.dim + gone, t.dim + gone + 1, sizeof(Dim) * (size_t)(t.rank - gone - 1));
    v.v = rec_reshape(&e->b, v.v, (uint8_t)(t.rank - 1), t.dim);
    return v;
}

Val broadcast_val(Elab *e, Val v, const Type *shape, IndexVar *const *free, uint32_t nfree)
{
    Space sp;
    Val want = {0};
    if (is_poison(v))
        return poison;
    if (v.is_complex)
        return both(broadcast_val(e, val_part(e, v, PART_RE), shape, free, nfree),
                    broadcast_val(e, val_part(e, v, PART_IM), shape, free, nfree));
    for (uint32_t i = 0; i < nfree; i++)
        if (!has_var(want.free, want.nfree, free[i]) && want.nfree < MAXRANK)
            want.free[want.nfree++] = free[i];
    Val pair[2] = {v, want};
    if (!space_start(e, &sp, pair, 2))
        return poison;
    Type t = val_type(e, v);
    if (sp.nfree == v.nfree && t.rank == shape->rank)
        return v;
    for (uint8_t i = 0; i < shape->rank; i++)
        if (!space_push(e, &sp, shape->dim[i]))
            return poison;
    RecUse use = free_use(&sp, v);
    for (uint8_t k = 0; k < t.rank; k++)
        use.axis[v.nfree + k] = (uint8_t)(sp.rank - t.rank + k);
    return space_val(&sp, rec_map(&e->b, FUN_ID, &use, sp.rank, sp.dim));
}

Val free_to_shape(Elab *e, Val v, IndexVar *const *var, uint32_t n)
{
    if (is_poison(v))
        return poison;
    if (v.is_complex)
        return both(free_to_shape(e, val_part(e, v, PART_RE), var, n), free_to_shape(e, val_part(e, v, PART_IM), var, n));
    v = with_axes(e, v, var, n);
    if (is_poison(v))
        return poison;
    Val r = {0};
    const Type full = *rec_type(e->prog, v.v);
    RecUse use = {.v = v.v};
    Dim dim[MAXRANK];
    bool same = true;
    for (uint8_t i = 0; i < v.nfree; i++)
        if (!has_var(var, n, v.free[i])) {
            use.axis[i] = r.nfree;
            r.free[r.nfree++] = v.free[i];
        }
    for (uint8_t i = 0; i < v.nfree; i++)
        for (uint32_t k = 0; k < n; k++)
            if (v.free[i] == var[k])
                use.axis[i] = (uint8_t)(r.nfree + k);
    for (uint8_t i = 0; i < full.rank; i++) {
        if (i >= v.nfree)
            use.axis[i] = i;
        dim[use.axis[i]] = full.dim[i];
        same &= use.axis[i] == i;
    }
    r.v = same ? v.v : rec_map(&e->b, FUN_ID, &use, full.rank, dim);
    return r;
}

Val order_free(Elab *e, RecId v, IndexVar **axis_var, uint8_t rank)
{
    Space sp;
    Val named = {0};
    const Type t = *rec_type(e->prog, v);
    RecUse use = {.v = v};
    bool same = true;
    for (uint8_t i = 0; i < rank; i++)
        if (axis_var[i] && !has_var(named.free, named.nfree, axis_var[i]))
            named.free[named.nfree++] = axis_var[i];
    if (!space_start(e, &sp, &named, 1))
        return poison;
    for (uint8_t i = 0; i < rank; i++) {
        if (axis_var[i])
            use.axis[i] = free_axis(&sp, axis_var[i]);
        else {
            use.axis[i] = sp.rank;
            sp.dim[sp.rank++] = t.dim[i];
        }
        same &= use.axis[i] == i;
    }
    return space_val(&sp, same && sp.rank == rank ? v : rec_map(&e->b, FUN_ID, &use, sp.rank, sp.dim));
}

Val gather_vals(Elab *e, RecId table, const Val *index, uint32_t n, IndexVar *const *rest, uint8_t nrest)
{
    Space sp;
    Val all[MAXRANK + 1];
    RecUse use[MAXRANK + 1] = {{.v = table}};
    const Type t = *rec_type(e->prog, table);
    memcpy(all, index, n * sizeof *index);
    all[n] = (Val){0};
    for (uint8_t i = 0; i < nrest; i++)
        if (rest[i])
            all[n].free[all[n].nfree++] = rest[i];
    if (!space_start(e, &sp, all, n + 1))
        return poison;
    for (uint8_t i = 0; i < nrest; i++) {
        use[0].axis[n + i] = rest[i] ? free_axis(&sp, rest[i]) : sp.rank;
        if (!rest[i] && !space_push(e, &sp, t.dim[n + i]))
            return poison;
    }
    for (uint32_t k = 0; k < n; k++)
        use[k + 1] = free_use(&sp, index[k]);
    return space_val(&sp, rec_gather(&e->b, use, n + 1, sp.rank, sp.dim));
}
