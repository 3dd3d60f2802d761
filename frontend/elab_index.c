/* Brackets: places (`h[t-1]`), slices, single elements, bare indices, and elements chosen by data. */
#include "frontend/elab_internal.h"

bool place_offset(const Expr *x, Str index, int64_t *offset)
{
    if (x->kind == EX_NAME && str_eq(x->name, index)) {
        *offset = 0;
        return true;
    }
    if (x->kind != EX_BINARY || (x->bin.op != BIN_ADD && x->bin.op != BIN_SUB))
        return false;
    const Expr *a = x->bin.a, *c = x->bin.b;
    if (a->kind != EX_NAME || !str_eq(a->name, index) || c->kind != EX_NUMBER || !c->is_int)
        return false;
    *offset = x->bin.op == BIN_ADD ? (int64_t)c->number : -(int64_t)c->number;
    return true;
}

/* The brackets hold these axes' indices, each plus a constant. */
static bool place_offsets(const Expr *x, const Cell *cell, const uint8_t *axis, uint8_t n, int64_t *offset)
{
    memset(offset, 0, REC_MAXAXES * sizeof *offset);
    bool is = x->index.nsub == n;
    for (uint8_t i = 0; is && i < n; i++)
        is = !x->index.sub[i].slice && place_offset(x->index.sub[i].lo, cell->index[axis[i]].text, &offset[axis[i]]);
    return is;
}

bool is_place(Elab *e, Scope *s, const Expr *x, int64_t *offset)
{
    (void)e;
    if (x->kind != EX_INDEX || !s->inst)
        return false;
    const Expr *base = x->index.base;
    const Cell *cell = s->inst->cell;
    uint8_t axis[REC_MAXAXES] = {0, 1, 2, 3}, n = cell_axes(cell);
    Sym *sym = NULL;
    if (base->kind == EX_NAME)
        sym = scope_find(s, base->name);
    else if (base->kind == EX_FIELD && base->field.base->kind == EX_NAME) {
        Sym *inst = scope_find(s, base->field.base->name);
        return inst && inst->kind == SYM_INST && place_offsets(x, cell, axis, n, offset);
    }
    if (!sym || !(sym->kind == SYM_STATE ? !sym->state->loop : sym->has_place))
        return false;
    if (cell->domain == DOMAIN_GRAPH && sym->kind == SYM_VALUE && sym->delay && sym->delay->decl->nplace)
        return false; /* of edges: see elab_graph.c */
    if (sym->kind == SYM_VALUE && sym->delay)
        n = input_axes(cell, sym->delay->decl, axis);
    return place_offsets(x, cell, axis, n, offset);
}

static Val carried_val(DType dt, RecId (*by_part)[MAX_DELAY], uint64_t lag)
{
    return val_of_parts(dt, (RecId[2]){by_part[PART_RE][lag - 1], by_part[PART_IM][lag - 1]});
}

static Val state_at(Elab *e, StateDef *st, int64_t offset, Span at)
{
    uint64_t lag = (uint64_t)(offset < 0 ? -offset : offset);
    if (offset == 0)
        return state_now(e, st);
    if (lag > st->nlag || st->prev[PART_RE][lag - 1] == REC_NONE) {
        diag(e->diags, E_BAD_PLACE, at, "an earlier state cannot be read here");
        return poison;
    }
    return carried_val(st->type.dt, st->prev, lag);
}

static Val input_at(Elab *e, Scope *s, Sym *sym, int64_t offset, const Expr *x)
{
    Val value = sym->val, other;
    if (offset == 0)
        return value;
    Inst *inst = s->inst;
    DelayDef *d = sym->delay;
    uint64_t lag = (uint64_t)(offset < 0 ? -offset : offset);
    bool ahead = inst->reverse ? offset < 0 : offset > 0;
    bool known = d && lag <= (ahead ? d->nahead : d->nlag);
    Val found = known ? carried_val(d->type.dt, ahead ? d->later : d->prev, lag) : poison;
    if (is_poison(found)) {
        diag(e->diags, E_UNSUPPORTED, x->at, "a cell that runs inside another one cannot read its inputs at other places yet");
        return poison;
    }
    if (!ahead && !x->index.otherwise)
        return found;
    other = x->index.otherwise ? elab_expr(e, s, x->index.otherwise) : val_of(rec_const(&e->b, part_dtype(d->type.dt), 0));
    if (is_poison(other))
        return poison;
    other = to_dtype(e, other, d->type.dt);
    if (ahead) {
        Val three[3] = {val_of(d->there[lag - 1]), found, other};
        return map_vals(e, FUN_WHERE, three, 3, x->at);
    }
    /* outside the sequence: fewer than `lag` places were seen since its start or the last cut */
    Val pair[2] = {val_of(inst->count), val_of(rec_const(&e->b, DT_INT, (double)lag))};
    Val three[3] = {map_vals(e, FUN_LT, pair, 2, x->at), other, found};
    return map_vals(e, FUN_WHERE, three, 3, x->at);
}

static bool is_here(const int64_t *by)
{
    return !by[0] && !by[1] && !by[2] && !by[3];
}

/* `inner.h[t-1]` */
static Val child_place(Elab *e, Scope *s, const Expr *x, const int64_t *by)
{
    StateDef *st = child_state(s, x->index.base);
    if (!st) {
        report_unknown(e, s, x->index.base->field.name);
        return poison;
    }
    if (!is_here(by) && s->inst->cell->domain == DOMAIN_GRID)
        return grid_read(e, s, st, NULL, by, x);
    return graph_value(e, s, state_at(e, st, by[0], x->at), x->at);
}

static Val place_value(Elab *e, Scope *s, const Expr *x, const int64_t *by)
{
    const Expr *base = x->index.base;
    int64_t offset = by[0];
    if (base->kind == EX_FIELD)
        return child_place(e, s, x, by);
    Sym *sym = scope_find(s, base->name);
    if (sym->kind == SYM_STATE && x->index.otherwise) {
        diag(e->diags, E_BAD_PLACE, x->at, "a state needs no `else`: outside the sequence it has its start value");
        return poison;
    }
    bool here = is_here(by);
    if (!here && s->inst->cell->domain == DOMAIN_GRID && (sym->kind == SYM_STATE || sym->kind == SYM_VALUE))
        return grid_read(e, s, sym->kind == SYM_STATE ? sym->state : NULL, sym->kind == SYM_VALUE ? sym->delay : NULL, by, x);
    if (!here && s->inst->cell->domain == DOMAIN_GRAPH) {
        diag_help(diag(e->diags, E_BAD_PLACE, x->at, "the nodes of a graph have no order to count in"),
                  str_fmt(e->arena, "read the nodes that lead to this one: `sum(k in pred(%.*s): %.*s[k])`", STRF(s->inst->cell->index[0].text), STRF(base->name)));
        return poison;
    }
    if (sym->kind == SYM_STATE)
        return state_at(e, sym->state, offset, x->at);
    if (sym->kind == SYM_VALUE)
        return input_at(e, s, sym, offset, x);
    if (here)
        return elab_expr(e, s, base);
    diag_help(diag(e->diags, E_UNSUPPORTED, x->at,
                   sym->kind == SYM_LAST ? "the last round can be read at the current place only" : "a `let` can be read at the current place only"),
              STR("make it a state"));
    return poison;
}

/* One axis between brackets, after the slices are done. */
typedef struct AxisSub {
    IndexVar *var; /* a bare index, or NULL */
    Val index;     /* chosen by a value, or poison */
    uint8_t axis;  /* of the base's own shape */
} AxisSub;

bool not_negative(Elab *e, Dim d, Span at)
{
    int64_t value;
    if (dim_is_const(e->dims, d, &value))
        return value >= 0 && d != DIM_HUGE;
    bool sure = true;
    for (uint32_t i = 0; i < dim_nterms(e->dims, d); i++)
        sure &= dim_term(e->dims, d, i)->coef >= 0;
    for (uint32_t i = 0; i < e->prog->need.n; i++)
        sure |= e->prog->need.p[i].dim == d;
    if (!sure)
        vec_push(e->arena, &e->prog->need, (struct RecNeed){d, at});
    return true;
}

static Val slice_sub(Elab *e, Scope *s, Val v, uint8_t axis, const Subscript *sub)
{
    Type t = val_type(e, v);
    Dim lo = DIM_ZERO, hi = t.dim[axis];
    if ((sub->lo && !elab_dim(e, s, sub->lo, &lo)) || (sub->hi && !elab_dim(e, s, sub->hi, &hi)))
        return poison;
    Dim n = dim_sub(e->dims, hi, lo), rest = dim_sub(e->dims, t.dim[axis], hi);
    bool inside = not_negative(e, n, sub->at) && not_negative(e, lo, sub->at) && not_negative(e, rest, sub->at);
    if (!inside) {
        diag(e->diags, E_INDEX, sub->at,
             str_c(e->arena, str_fmt(e->arena, "this slice is outside its axis of size %.*s", STRF(dim_str(e->arena, e->dims, t.dim[axis])))));
        return poison;
    }
    return slice_val(e, v, axis, lo, n);
}

/* An element at a size that is known when compiling: `x[2]`, `x[H - 1]`. */
static bool constant_sub(Elab *e, Scope *s, Val *v, uint8_t axis, const Subscript *sub)
{
    Dim at;
    if (!try_dim(e, s, sub->lo, &at))
        return false;
    Type t = val_type(e, *v);
    Dim rest = dim_sub(e->dims, dim_sub(e->dims, t.dim[axis], at), DIM_ONE);
    if (!not_negative(e, at, sub->at) || !not_negative(e, rest, sub->at)) {
        diag(e->diags, E_INDEX, sub->at,
             str_c(e->arena, str_fmt(e->arena, "this index is outside its axis of size %.*s", STRF(dim_str(e->arena, e->dims, t.dim[axis])))));
        *v = poison;
        return true;
    }
    *v = take(e, *v, axis, at);
    return true;
}

static void other_size(Elab *e, const Subscript *sub, Dim range, Dim size)
{
    Str have = dim_str(e->arena, e->dims, range), want = dim_str(e->arena, e->dims, size);
    diag_help(diag(e->diags, E_SHAPE, sub->at,
                   str_c(e->arena, str_fmt(e->arena, "index `%.*s` runs over %.*s, but this axis has size %.*s", STRF(sub->lo->name),
                                           STRF(have), STRF(want)))),
              STR("an index that can leave its axis needs `mod`, or `else` at the end of the brackets"));
}

/* The index of a loop inside a step, standing alone: the element of this round. False where it must be chosen by value. */
static bool round_sub(Elab *e, Loop *loop, Val *v, uint8_t axis, const Subscript *sub, bool padded)
{
    Dim size = val_type(e, *v).dim[axis];
    if (size == loop->length)
        return loop_element(e, loop, v, axis);
    if (padded)
        return false;
    other_size(e, sub, loop->length, size);
    *v = poison;
    return true;
}

/* The outermost loop whose index stands alone among the brackets that are left. */
static Loop *next_loop(Scope *s, const Expr *x, const bool *done, uint32_t *which)
{
    Loop *first = NULL;
    for (uint32_t i = 0; i < x->index.nsub; i++) {
        const Subscript *one = &x->index.sub[i];
        const Sym *sym = !done[i] && !one->slice && one->lo->kind == EX_NAME ? scope_find(s, one->lo->name) : NULL;
        if (sym && sym->kind == SYM_COUNTER && (!first || sym->counts->depth < first->depth)) {
            first = sym->counts;
            *which = i;
        }
    }
    return first;
}

/* Elements of rounds come first, the outer loops' before the inner ones': as sequences, for as long as v is made around them. */
static Val round_subs(Elab *e, Scope *s, Val v, const Expr *x, bool *done)
{
    bool tried[MAXRANK] = {false};
    uint32_t which;
    for (Loop *loop; !is_poison(v) && (loop = next_loop(s, x, tried, &which));) {
        uint8_t axis = (uint8_t)which;
        for (uint32_t i = 0; i < which; i++)
            axis = (uint8_t)(axis - done[i]);
        tried[which] = true;
        done[which] = round_sub(e, loop, &v, axis, &x->index.sub[which], x->index.otherwise != NULL);
    }
    return v;
}

static bool data_sub(Elab *e, Scope *s, Val base, const Subscript *sub, bool padded, AxisSub *out)
{
    Sym *sym = sub->lo->kind == EX_NAME ? scope_find(s, sub->lo->name) : NULL;
    Dim size = val_type(e, base).dim[out->axis];
    if (sym && sym->kind == SYM_INDEX && sym->index->size == NO_SIZE)
        sym->index->size = size;
    if (sym && sym->kind == SYM_INDEX && sym->index->size == size) {
        out->var = sym->index;
        return true;
    }
    if (sym && sym->kind == SYM_INDEX && !padded) {
        other_size(e, sub, sym->index->size, size);
        return false;
    }
    out->index = elab_expr(e, s, sub->lo);
    if (is_poison(out->index))
        return false;
    if (val_dtype(e, out->index) != DT_INT) {
        diag(e->diags, E_TYPE, sub->at,
             str_c(e->arena, str_fmt(e->arena, "an index is an int, and this is %.*s", STRF(val_str(e, out->index)))));
        return false;
    }
    return true;
}

/* Elements chosen by data, while it is put together. */
typedef struct Chosen {
    Val index[MAXRANK]; /* one for each chosen axis */
    uint8_t axis[MAXRANK];
    uint32_t n;
    IndexVar *extra[MAXRANK]; /* the axes of index tensors, as anonymous indices until the end */
    uint32_t nextra;
    Val inside;         /* with `else`: whether every index is inside its axis; else poison */
} Chosen;

/* The axes of an index tensor become indices, the same ones for all tensors of the brackets. */
static bool anonymous_axes(Elab *e, Chosen *c, Val *index, Span at)
{
    Type t = val_type(e, *index);
    for (uint8_t k = 0; !c->nextra && k < t.rank; k++)
        c->extra[k] = index_new(e, (Ident){STR("_"), at}, t.dim[k]);
    c->nextra = c->nextra ? c->nextra : t.rank;
    for (uint8_t k = 0; k < t.rank; k++) {
        if (c->nextra != t.rank || c->extra[k]->size != t.dim[k]) {
            diag(e->diags, E_SHAPE, at, "several index tensors in one bracket need one shape");
            return false;
        }
        index->free[index->nfree++] = c->extra[k];
    }
    return true;
}

/* With `else`: an index outside is replaced by 0, and noted. */
static Val guarded(Elab *e, Chosen *c, Val index, Dim size, Span at)
{
    Val zero = val_of(rec_const(&e->b, DT_INT, 0)), low[2] = {zero, index}, high[2] = {index, val_of(rec_dim(&e->b, size))};
    Val in[2] = {map_vals(e, FUN_LE, low, 2, at), map_vals(e, FUN_LT, high, 2, at)};
    Val here = map_vals(e, FUN_AND, in, 2, at), both[2] = {c->inside, here}, safe[3] = {here, index, zero};
    c->inside = is_poison(c->inside) ? here : map_vals(e, FUN_AND, both, 2, at);
    return map_vals(e, FUN_WHERE, safe, 3, at);
}

static bool choose(Elab *e, Chosen *c, Val base, const AxisSub *sub, bool padded, Span at)
{
    Val index = sub->index;
    if (!anonymous_axes(e, c, &index, at))
        return false;
    if (padded)
        index = guarded(e, c, index, val_type(e, base).dim[sub->axis], at);
    c->axis[c->n] = (uint8_t)(base.nfree + sub->axis);
    c->index[c->n++] = index;
    return !is_poison(index);
}

static bool is_chosen(const Chosen *c, uint8_t axis)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->axis[i] == axis)
            return true;
    return false;
}

/* The table with its chosen axes first, and what its other axes run along. */
static RecId chosen_first(Elab *e, const Chosen *c, Val base, const AxisSub *sub, uint32_t nsub, IndexVar **rest, uint8_t *nrest)
{
    uint8_t order[MAXRANK], n = 0, rank = rec_type(e->prog, base.v)->rank;
    bool same = true;
    *nrest = 0;
    for (uint32_t i = 0; i < c->n; i++)
        order[n++] = c->axis[i];
    for (uint8_t axis = 0; axis < rank; axis++) {
        if (is_chosen(c, axis))
            continue;
        rest[*nrest] = axis < base.nfree ? base.free[axis] : NULL;
        for (uint32_t k = 0; k < nsub; k++)
            if (sub[k].var && base.nfree + sub[k].axis == axis)
                rest[*nrest] = sub[k].var;
        ++*nrest;
        order[n++] = axis;
    }
    for (uint8_t i = 0; i < n; i++)
        same &= order[i] == i;
    return same ? base.v : rec_transpose(&e->b, base.v, order);
}

static Val gather(Elab *e, Scope *s, Val base, const AxisSub *sub, uint32_t nsub, const Expr *x)
{
    Chosen c = {.inside = poison};
    IndexVar *rest[MAXRANK];
    uint8_t nrest;
    for (uint32_t i = 0; i < nsub; i++)
        if (!sub[i].var && !choose(e, &c, base, &sub[i], x->index.otherwise, x->at))
            return poison;
    RecId table = chosen_first(e, &c, val_part(e, base, PART_RE), sub, nsub, rest, &nrest);
    Val v = gather_vals(e, table, c.index, c.n, rest, nrest);
    if (base.is_complex) {
        table = chosen_first(e, &c, val_part(e, base, PART_IM), sub, nsub, rest, &nrest);
        v = complex_of(e, v, gather_vals(e, table, c.index, c.n, rest, nrest), x->at);
    }
    if (!is_poison(v) && x->index.otherwise) {
        Val other = elab_expr(e, s, x->index.otherwise);
        other = to_dtype(e, other, val_dtype(e, v));
        Val three[3] = {c.inside, v, other};
        v = map_vals(e, FUN_WHERE, three, 3, x->at);
    }
    return c.nextra ? free_to_shape(e, v, c.extra, c.nextra) : v;
}

static Val subscripts(Elab *e, Scope *s, Val v, const Expr *x)
{
    AxisSub sub[MAXRANK];
    uint32_t nsub = 0;
    uint8_t axis = 0;
    bool data = false, ok = true, done[MAXRANK] = {false};
    v = round_subs(e, s, v, x, done);
    for (uint32_t i = 0; i < x->index.nsub && !is_poison(v); i++) {
        const Subscript *one = &x->index.sub[i];
        if (done[i])
            continue;
        if (one->slice) {
            v = slice_sub(e, s, v, axis++, one);
            continue;
        }
        if (constant_sub(e, s, &v, axis, one))
            continue;
        sub[nsub] = (AxisSub){.axis = axis++, .index = poison};
        ok &= data_sub(e, s, v, one, x->index.otherwise != NULL, &sub[nsub]);
        data |= !sub[nsub++].var;
    }
    if (is_poison(v) || !ok || !nsub)
        return ok ? v : poison;
    if (data)
        return gather(e, s, v, sub, nsub, x);
    IndexVar *axis_var[MAXRANK] = {0};
    Type t = val_type(e, v);
    for (uint8_t i = 0; i < v.nfree; i++)
        axis_var[i] = v.free[i];
    for (uint32_t i = 0; i < nsub; i++)
        axis_var[v.nfree + sub[i].axis] = sub[i].var;
    uint8_t rank = (uint8_t)(v.nfree + t.rank);
    Val re = order_free(e, v.v, axis_var, rank);
    return v.is_complex ? complex_of(e, re, order_free(e, v.im, axis_var, rank), x->at) : re;
}

/* `a[l-1]`: the value of a model's loop state one round before */
static bool loop_before(Scope *s, const Expr *x, Val *out)
{
    int64_t offset;
    const Expr *base = x->index.base;
    Sym *sym = base->kind == EX_NAME ? scope_find(s, base->name) : NULL;
    if (!sym || sym->kind != SYM_LOOP || x->index.nsub != 1 || x->index.sub[0].slice)
        return false;
    if (!place_offset(x->index.sub[0].lo, sym->loop->var.text, &offset) || offset != -1)
        return false;
    *out = sym->loop->before;
    return true;
}

/* Brackets after a state inside its own equation that are not a place: says what a place looks like. */
static bool no_place(Elab *e, Scope *s, const Expr *x)
{
    const Expr *base = x->index.base;
    Sym *sym = base->kind == EX_NAME ? scope_find(s, base->name) : NULL;
    if (!sym || sym->kind != SYM_STATE || sym->state->progress != RUNNING || !s->inst)
        return false;
    const Loop *loop = sym->state->loop;
    const Cell *cell = s->inst->cell;
    Str t = loop ? loop->stmt->loop.var.text : cell->index[0].text;
    Diag *d = diag(e->diags, E_BAD_PLACE, x->at, str_c(e->arena, str_fmt(e->arena, "this is not an earlier place of `%.*s`", STRF(base->name))));
    if (!loop && cell_axes(cell) > 1)
        diag_help(d, str_fmt(e->arena, "a place has an index for each axis, in order, each plus a whole number: `%.*s[%.*s-1, %.*s]`", STRF(base->name),
                             STRF(t), STRF(cell->index[1].text)));
    else
        diag_help(d, str_fmt(e->arena, "the index of this %s is `%.*s`; a place is it plus a whole number: `%.*s[%.*s-1]`", loop ? "loop" : "cell",
                             STRF(t), STRF(base->name), STRF(t)));
    return true;
}

/* What a place of this input looks like: `a[s-1]`, `x[r-1, s]`. */
static Str place_example(Elab *e, const Cell *cell, const Decl *input)
{
    uint8_t axis[REC_MAXAXES], n = input_axes(cell, input, axis);
    Text out = {.arena = e->arena};
    text_add(&out, "%.*s[", STRF(input->name.text));
    for (uint8_t i = 0; i < n; i++)
        text_add(&out, "%s%.*s%s", i ? ", " : "", STRF(cell->index[axis[i]].text), i ? "" : "-1");
    text_add(&out, "]");
    return text_str(&out);
}

/* Brackets right behind an input of a grid that hold an index of the cell, but are none of its places: not an element either. */
static bool half_place(Elab *e, Scope *s, const Expr *x)
{
    const Expr *base = x->index.base;
    Sym *sym = base->kind == EX_NAME ? scope_find(s, base->name) : NULL;
    if (!sym || sym->kind != SYM_VALUE || !sym->delay || !s->inst || s->inst->cell->domain != DOMAIN_GRID)
        return false;
    const Cell *cell = s->inst->cell;
    int64_t offset;
    bool half = false;
    for (uint32_t i = 0; i < x->index.nsub; i++)
        for (uint32_t k = 0; k < cell->nindex && !x->index.sub[i].slice; k++)
            half |= place_offset(x->index.sub[i].lo, cell->index[k].text, &offset);
    if (!half)
        return false;
    Diag *d = diag(e->diags, E_BAD_PLACE, x->at, str_c(e->arena, str_fmt(e->arena, "this is not a place of `%.*s`", STRF(base->name))));
    Str like = place_example(e, cell, sym->delay->decl);
    diag_help(d, str_fmt(e->arena, "its places are such as `%.*s`; elements follow in brackets of their own: `%.*s[0]`", STRF(like), STRF(like)));
    return true;
}

Val elab_index(Elab *e, Scope *s, const Expr *x)
{
    int64_t offset[REC_MAXAXES];
    const Expr *base = x->index.base;
    Val before;
    if (loop_before(s, x, &before) || loop_place(e, s, x, &before) || graph_read(e, s, x, &before))
        return before;
    if (!is_place(e, s, x, offset) && (no_place(e, s, x) || half_place(e, s, x)))
        return poison;
    if (is_place(e, s, x, offset))
        return place_value(e, s, x, offset);
    Val v = elab_expr(e, s, base);
    if (is_poison(v))
        return poison;
    if (x->index.nsub > val_type(e, v).rank) {
        diag(e->diags, E_INDEX, x->at,
             str_c(e->arena, str_fmt(e->arena, "%u indices are too many for %.*s", x->index.nsub, STRF(val_str(e, v)))));
        return poison;
    }
    return subscripts(e, s, v, x);
}

/* ---- the ranges of new indices: an index runs over the axis on which it stands alone ---- */

static bool mentions_open(Scope *s, const Expr *x);

static bool open_index(Scope *s, const Expr *x)
{
    Sym *sym = x && x->kind == EX_NAME ? scope_find(s, x->name) : NULL;
    return sym && sym->kind == SYM_INDEX && sym->index->size == NO_SIZE;
}

static bool mentions_open(Scope *s, const Expr *x)
{
    bool found = open_index(s, x);
    if (x->kind == EX_INDEX) {
        found |= mentions_open(s, x->index.base);
        for (uint32_t i = 0; i < x->index.nsub; i++)
            found |= x->index.sub[i].lo && mentions_open(s, x->index.sub[i].lo);
    }
    if (x->kind == EX_BINARY)
        found |= mentions_open(s, x->bin.a) || mentions_open(s, x->bin.b);
    if (x->kind == EX_UNARY)
        found |= mentions_open(s, x->un.a);
    if (x->kind == EX_CALL)
        for (uint32_t i = 0; i < x->call.narg; i++)
            found |= mentions_open(s, x->call.arg[i].value);
    if (x->kind == EX_FIELD)
        found |= mentions_open(s, x->field.base);
    return found;
}

static void infer_at(Elab *e, Scope *s, const Expr *x)
{
    int64_t offset[REC_MAXAXES];
    bool wanted = false;
    for (uint32_t i = 0; i < x->index.nsub; i++)
        wanted |= !x->index.sub[i].slice && open_index(s, x->index.sub[i].lo);
    if (!wanted || is_place(e, s, x, offset) || mentions_open(s, x->index.base))
        return;
    Val base = elab_expr(e, s, x->index.base);
    if (is_poison(base))
        return;
    Type t = val_type(e, base);
    for (uint32_t i = 0; i < x->index.nsub && i < t.rank; i++)
        if (!x->index.sub[i].slice && open_index(s, x->index.sub[i].lo))
            scope_find(s, x->index.sub[i].lo->name)->index->size = t.dim[i];
}

void infer_index_sizes(Elab *e, Scope *s, const Expr *x)
{
    switch (x->kind) {
    case EX_UNARY: infer_index_sizes(e, s, x->un.a); return;
    case EX_BINARY:
        infer_index_sizes(e, s, x->bin.a);
        infer_index_sizes(e, s, x->bin.b);
        return;
    case EX_INDEX:
        infer_index_sizes(e, s, x->index.base);
        for (uint32_t i = 0; i < x->index.nsub; i++)
            if (x->index.sub[i].lo)
                infer_index_sizes(e, s, x->index.sub[i].lo);
        infer_at(e, s, x);
        return;
    case EX_FIELD: infer_index_sizes(e, s, x->field.base); return;
    case EX_CALL:
        for (uint32_t i = 0; i < x->call.narg; i++)
            infer_index_sizes(e, s, x->call.arg[i].value);
        return;
    case EX_REDUCE: {
        /* its own indices are new: they hide ours of the same name, and have no size here */
        Scope *inner = scope_new(e, s);
        if (is_graph_sum(x) && graph_inside(e, inner, x)) {
            infer_index_sizes(e, inner, x->reduce.body);
            return;
        }
        for (uint32_t i = 0; i < x->reduce.nbind; i++)
            vec_push(e->arena, &inner->sym, (Sym){.name = x->reduce.bind[i].name, .kind = SYM_INDEX,
                                                  .index = index_new(e, x->reduce.bind[i].name, NO_SIZE)});
        infer_index_sizes(e, inner, x->reduce.body);
        return;
    }
    case EX_LIST:
        for (uint32_t i = 0; i < x->list.n; i++)
            infer_index_sizes(e, s, x->list.item[i]);
        return;
    default: return;
    }
}
