/* rec.block: affine states on a grid of two axes block by block, in four sweeps (after the borders of pLSTM's blocks, Pöppel et al. 2025,
 * here with the direct recurrence inside of a block and between blocks):
 *
 *   1. every block, all blocks side by side: its states, with nothing that comes in: what it gives by itself;
 *   2. likewise: what it makes of each element that can come in through its borders, with nothing of its own;
 *   3. block by block: what comes in, from what the blocks before give: a grid of as many places as there are blocks;
 *   4. every block again, all side by side, from there, with all that the step puts out.
 *
 * The depth is that of a block three times, and that of the blocks. Each state is read one place further on along one axis, and each
 * element sees itself alone, in all states; what the coefficients do not depend on, sweep 2 has no axes for. Blocks that the grid does
 * not fill up are filled up behind the last places, where nothing comes from.
 *
 * It stands in front of rec.backward, so the gradient is that of these equations. */
#include "ir/rec/chunk.h"
#include "ir/rec/grid.h"
#include "ir/rec/linear.h"

typedef struct Block {
    Rewrite *w;
    RecBuild *b; /* where the grids go */
    RecId old;
    const RecOp *op;
    const RecRegionInfo *body;
    Terms *term;       /* by state */
    uint32_t labels;   /* of the coefficients' axes, as bits from LABEL_AXIS on */
    Dim size, count[2], whole[2]; /* of a block; blocks along each axis, and places of all of them */
    int64_t side;
} Block;

/* ---- whether it has the form ---- */

static uint8_t axis_of(const RecGrid *g, uint32_t k)
{
    return g->by[k].by[0] ? 0 : 1;
}

/* Each state one place further on along one axis; along each axis all of them the same way. Else the number of one that is not;
 * nstate where an axis has none. */
static bool reads_next(const RecOp *op, uint32_t *other)
{
    int16_t way[2] = {0, 0};
    for (*other = 0; *other < op->nstate; ++*other) {
        const int16_t *by = op->grid->by[*other].by;
        uint8_t a = axis_of(op->grid, *other);
        bool next = (by[a] == 1 || by[a] == -1) && !by[1 - a] && (!way[a] || way[a] == by[a]);
        if (!next)
            return false;
        way[a] = by[a];
    }
    return way[0] && way[1];
}

static bool one_type(const RecProg *p, const RecOp *op, uint32_t *other)
{
    for (*other = 1; *other < op->nstate; ++*other)
        if (!type_eq(rec_type(p, op->use[*other].v), rec_type(p, op->use[0].v)))
            return false;
    return true;
}

static bool zero_outside(const RecProg *p, const RecOp *op)
{
    for (uint32_t k = 0; k < op->nstate; k++)
        if (!pass_zeros(p, op->use[k].v))
            return false;
    return true;
}

/* With four axes of places, one of what comes in, and the batch. */
static bool has_room(const Block *x)
{
    const RecProg *p = &x->w->old;
    bool room = 4 + rec_type(p, x->op->use[0].v)->rank < MAXRANK && 5 + __builtin_popcount(x->labels) < MAXRANK;
    for (uint32_t i = x->op->nstate; i < x->op->nuse; i++)
        room &= rec_type(p, x->op->use[i].v)->rank + 2 < MAXRANK;
    for (uint32_t i = x->op->nstate; i < x->body->result.n; i++)
        room &= rec_type(p, x->body->result.p[i])->rank + 4 < MAXRANK;
    return room;
}

/* The terms of all states, each in its own place. */
static RecWhy find_terms(Block *x, RecId *at)
{
    const RecProg *p = &x->w->old;
    bool *depends = NEWN(x->w->p->arena, bool, p->op.n + 1);
    LinearCx cx = {.p = p, .arena = x->w->p->arena, .body = x->op->region, .depends = depends, .algebra = ALGEBRA_PLUS};
    for (uint32_t k = 0; k < x->op->nstate; k++)
        depends[x->body->arg.p[k]] = true;
    pass_made_of(p, x->op->region, depends);
    x->term = NEWN(x->w->p->arena, Terms, x->op->nstate + 1);
    for (uint32_t k = 0; k < x->op->nstate; k++) {
        if (!linear_terms(&cx, x->body->result.p[k], &x->term[k], at))
            return WHY_NOT_AFFINE;
        for (uint32_t i = 0; i < x->term[k].n; i++) {
            const Term *t = &x->term[k].p[i];
            *at = x->body->result.p[k];
            if (t->state == REC_NONE)
                continue;
            if (!linear_in_place(p, t))
                return WHY_DENSE;
            for (uint32_t f = 0; f < t->factor.n; f++)
                x->labels |= linear_names(&cx, t, f) << LABEL_AXIS;
        }
    }
    *at = REC_NONE;
    return WHY_NONE;
}

static RecWhy lacks(Block *x, RecId *at)
{
    const RecProg *p = &x->w->old;
    const RecOp *op = x->op;
    uint32_t other = op->nstate;
    bool fits = op->grid->naxes == 2 && reads_next(op, &other) && zero_outside(p, op);
    *at = other < op->nstate ? x->body->result.p[other] : REC_NONE;
    if (!fits)
        return WHY_NO_BLOCKS;
    if (rec_type(p, op->use[0].v)->dt != DT_REAL)
        return WHY_NOT_REAL;
    if (!one_type(p, op, &other)) {
        *at = x->body->result.p[other];
        return WHY_COUPLED;
    }
    RecWhy why = find_terms(x, at);
    return why == WHY_NONE && !has_room(x) ? WHY_AXES : why;
}

/* ---- arrays over places as arrays over blocks ---- */

static bool from_end(const Block *x, uint8_t axis)
{
    for (uint32_t k = 0; k < x->op->nstate; k++)
        if (axis_of(x->op->grid, k) == axis)
            return x->op->grid->by[k].by[axis] > 0;
    ice("rec.block: an axis that nothing is read along");
}

/* How many places of the blocks lie in front of the grid: they are filled up where the last places are. */
static Dim in_front(const Block *x, uint8_t axis)
{
    return from_end(x, axis) ? dim_sub(x->w->p->dims, x->whole[axis], x->op->grid->extent[axis]) : DIM_ZERO;
}

static RecId exchanged(RecBuild *b, RecId v)
{
    uint8_t order[MAXRANK] = {0, 2, 1, 3, 4, 5, 6, 7};
    return rec_transpose(b, v, order);
}

/* [R, S, ...] to [blocks, blocks, size, size, ...] */
static RecId in_blocks(const Block *x, RecId v)
{
    for (uint8_t axis = 0; axis < 2; axis++)
        v = rec_pad(x->b, v, axis, in_front(x, axis), x->whole[axis]);
    Type t = *rec_type(x->b->prog, v);
    Dim dim[MAXRANK] = {x->count[0], x->size, x->count[1], x->size};
    memcpy(dim + 4, t.dim + 2, (t.rank - 2u) * sizeof *dim);
    return exchanged(x->b, rec_reshape(x->b, v, (uint8_t)(t.rank + 2), dim));
}

static RecId in_places(const Block *x, RecId v)
{
    v = exchanged(x->b, v);
    Type t = *rec_type(x->b->prog, v);
    Dim dim[MAXRANK] = {x->whole[0], x->whole[1]};
    memcpy(dim + 2, t.dim + 4, (t.rank - 4u) * sizeof *dim);
    v = rec_reshape(x->b, v, (uint8_t)(t.rank - 2), dim);
    for (uint8_t axis = 0; axis < 2; axis++)
        v = rec_slice(x->b, v, axis, in_front(x, axis), x->op->grid->extent[axis]);
    return v;
}

/* [blocks, blocks, size, size, ...] along the border that state k leaves a block at: [blocks, blocks, size, ...] */
static RecId border(const Block *x, uint32_t k, RecId v)
{
    uint8_t axis = axis_of(x->op->grid, k);
    v = rec_slice(x->b, v, (uint8_t)(2 + axis), from_end(x, axis) ? DIM_ZERO : dim_const(x->w->p->dims, x->side - 1), DIM_ONE);
    Type t = *rec_type(x->b->prog, v);
    memmove(t.dim + 2 + axis, t.dim + 3 + axis, (t.rank - 3u - axis) * sizeof *t.dim);
    return rec_reshape(x->b, v, (uint8_t)(t.rank - 1), t.dim);
}

/* ---- sweeps over the places of all blocks ---- */

typedef struct Sweep {
    RecId recur;
    RecBuild in;      /* its step */
    const RecId *arg; /* of the states, then the operands in blocks */
    RecId there, index[2];
} Sweep;

static RecId places_in_blocks(const Block *x)
{
    Type all = {.dt = DT_BOOL, .rank = 2, .dim = {x->op->grid->extent[0], x->op->grid->extent[1]}};
    return in_blocks(x, rec_broadcast(x->b, rec_const(x->b, DT_BOOL, 1), &all));
}

/* 0, 1, ... within a block along an axis */
static RecId index_in_block(const Block *x, uint8_t axis)
{
    RecUse u = {.v = rec_iota(x->b, x->size), .axis = {(uint8_t)(2 + axis)}};
    return rec_map(x->b, FUN_ID, &u, 4, (Dim[]){x->count[0], x->count[1], x->size, x->size});
}

static Sweep sweep_open(const Block *x, const RecId *init, const RecId *seq)
{
    RecProg *p = x->w->p;
    RecGrid *g = NEW(p->arena, RecGrid);
    RecId *all = NEWN(p->arena, RecId, x->op->nseq + 4), there = places_in_blocks(x), row = index_in_block(x, 0), column = index_in_block(x, 1);
    RecRegion step;
    *g = (RecGrid){.naxes = 4, .extent = {x->count[0], x->count[1], x->size, x->size}, .by = NEWN(p->arena, RecOffset, x->op->nstate)};
    for (uint32_t k = 0; k < x->op->nstate; k++)
        memcpy(g->by[k].by + 2, x->op->grid->by[k].by, 2 * sizeof *g->by[k].by);
    memcpy(all, seq, x->op->nseq * sizeof *all);
    RecId recur = rec_grid_open(x->b, init, x->op->nstate, all, x->op->nseq, g, &step);
    Sweep s = {.recur = recur, .in = {p, step, x->b->at, {0}}};
    s.there = rec_recur_add_seq(p, recur, there);
    s.index[0] = rec_recur_add_seq(p, recur, row);
    s.index[1] = rec_recur_add_seq(p, recur, column);
    RecId *arg = NEWN(p->arena, RecId, x->op->nuse + 1);
    memcpy(arg, p->region.p[step].arg.p, x->op->nuse * sizeof *arg);
    s.arg = arg;
    return s;
}

/* The step as it was, of these states. */
static void copy_step(const Block *x, const Sweep *s, const RecId *state)
{
    for (uint32_t i = 0; i < x->body->arg.n; i++)
        x->w->to[x->body->arg.p[i]] = i < x->op->nstate ? state[i] : s->arg[i];
    rw_region(x->w, x->op->region, s->in.region);
}

static RecId only_there(Sweep *s, RecId v)
{
    Type t = *rec_type(s->in.prog, v);
    return rec_map3(&s->in, FUN_WHERE, s->there, v, rec_zeros(&s->in, &t));
}

/* Whether state k is read across the border of a block. */
static RecId at_border(const Block *x, Sweep *s, uint32_t k)
{
    uint8_t axis = axis_of(x->op->grid, k);
    return rec_map2(&s->in, FUN_EQ, s->index[axis], rec_const(&s->in, DT_INT, from_end(x, axis) ? (double)(x->side - 1) : 0));
}

/* 1: what each block gives by itself, [blocks, blocks, size, state] by state. */
static RecId *by_itself(const Block *x, const RecId *init, const RecId *seq)
{
    RecProg *p = x->w->p;
    uint32_t n = x->op->nstate;
    Sweep s = sweep_open(x, init, seq);
    RecId *result = NEWN(p->arena, RecId, 2 * n + 1);
    copy_step(x, &s, s.arg);
    for (uint32_t k = 0; k < n; k++)
        result[k] = result[n + k] = only_there(&s, x->w->to[x->body->result.p[k]]);
    rec_recur_close(p, s.recur, result, 2 * n);
    for (uint32_t k = 0; k < n; k++)
        result[k] = border(x, k, rec_proj(x->b, s.recur, n + k));
    return result;
}

/* ---- 2: what a block makes of what comes in ---- */

static Part factor_part(const Block *x, const Factor *f)
{
    Part part = {.v = x->w->to[f->use.v]};
    for (uint8_t i = 0; i < rec_type(&x->w->old, f->use.v)->rank; i++)
        part.label[i] = (uint8_t)(LABEL_AXIS + f->use.axis[i]);
    return part;
}

static Part times_factor(RecBuild *b, Part product, const Factor *f, Part by)
{
    Part zero = part_number(b, DT_REAL, 0);
    switch (f->kind) {
    case FACTOR_TIMES: return part_map(b, FUN_MUL, product, by);
    case FACTOR_OVER: return part_map(b, FUN_DIV, product, by);
    case FACTOR_IF: return part_where(b, by, product, zero);
    case FACTOR_UNLESS: return part_where(b, by, zero, product);
    }
    ice("rec.block: a factor of no kind");
}

/* Products and quotients first, so that a condition stands around all of them. */
static Part coefficient(const Block *x, RecBuild *b, const Term *t)
{
    Part product = part_number(b, DT_REAL, t->sign);
    for (int conditions = 0; conditions < 2; conditions++)
        for (uint32_t i = 0; i < t->factor.n; i++)
            if ((t->factor.p[i].kind > FACTOR_OVER) == conditions)
                product = times_factor(b, product, &t->factor.p[i], factor_part(x, &t->factor.p[i]));
    return product;
}

/* What comes in to state l at each place of the border: one at the own one. By LABEL_OTHER, states one behind the other. */
static Part unit(const Block *x, Sweep *s, uint32_t l)
{
    RecBuild *b = &s->in;
    DimTab *dims = x->w->p->dims;
    RecId first = rec_const(b, DT_INT, (double)l * (double)x->side), at = rec_map2(b, FUN_ADD, s->index[1 - axis_of(x->op->grid, l)], first);
    Part all = part_of(rec_iota(b, dim_mul(dims, dim_const(dims, x->op->nstate), x->size)), 1u << LABEL_OTHER);
    return part_where(b, part_map(b, FUN_EQ, all, (Part){.v = at}), part_number(b, DT_REAL, 1), part_number(b, DT_REAL, 0));
}

static Type of_columns(const Block *x)
{
    const Type *state = rec_type(&x->w->old, x->op->use[0].v);
    Type t = {.dt = DT_REAL};
    for (uint8_t i = 0; i < state->rank; i++)
        if (x->labels >> (LABEL_AXIS + i) & 1)
            t.dim[t.rank++] = state->dim[i];
    t.dim[t.rank++] = dim_mul(x->w->p->dims, dim_const(x->w->p->dims, x->op->nstate), x->size);
    return t;
}

static Part new_columns(const Block *x, Sweep *s, uint32_t k, const Part *from)
{
    Part sum = {.v = REC_NONE};
    for (uint32_t i = 0; i < x->term[k].n; i++) {
        const Term *t = &x->term[k].p[i];
        if (t->state == REC_NONE)
            continue;
        Part one = part_map(&s->in, FUN_MUL, coefficient(x, &s->in, t), from[rec_op(&x->w->old, t->state)->index]);
        sum = sum.v == REC_NONE ? one : part_map(&s->in, FUN_ADD, sum, one);
    }
    return sum.v == REC_NONE ? part_number(&s->in, DT_REAL, 0) : sum;
}

/* [blocks, blocks, size, coefficients' axes, columns] by state */
static RecId *of_borders(const Block *x, const RecId *seq)
{
    RecProg *p = x->w->p;
    uint32_t n = x->op->nstate, labels = x->labels | 1u << LABEL_OTHER;
    Type type = of_columns(x);
    Dim size[LABEL_COUNT] = {0};
    RecId *init = NEWN(p->arena, RecId, n + 1), *none = NEWN(p->arena, RecId, n + 1), *result = NEWN(p->arena, RecId, 2 * n + 1);
    Part *from = NEWN(p->arena, Part, n + 1);
    memcpy(size + LABEL_AXIS, rec_type(&x->w->old, x->op->use[0].v)->dim, rec_type(&x->w->old, x->op->use[0].v)->rank * sizeof *size);
    size[LABEL_OTHER] = type.dim[type.rank - 1];
    for (uint32_t k = 0; k < n; k++)
        init[k] = rec_zeros(x->b, &type);
    Sweep s = sweep_open(x, init, seq);
    for (uint32_t k = 0; k < n; k++)
        none[k] = rec_zeros(&s.in, rec_type(&x->w->old, x->op->use[k].v));
    copy_step(x, &s, none); /* for what the coefficients are made of */
    for (uint32_t l = 0; l < n; l++)
        from[l] = part_where(&s.in, (Part){.v = at_border(x, &s, l)}, unit(x, &s, l), part_of(s.arg[l], labels));
    for (uint32_t k = 0; k < n; k++)
        result[k] = result[n + k] = only_there(&s, part_expand(&s.in, new_columns(x, &s, k, from), labels, size).v);
    rec_recur_close(p, s.recur, result, 2 * n);
    for (uint32_t k = 0; k < n; k++)
        result[k] = border(x, k, rec_proj(x->b, s.recur, n + k));
    return result;
}

/* ---- 3: what comes in ---- */

/* One place for each block: the elements along a border leave it as the block's own and as what it makes of those that came in. */
static RecId *between(const Block *x, const RecId *own, const RecId *columns)
{
    RecProg *p = x->w->p;
    uint32_t n = x->op->nstate, rank = rec_type(&x->w->old, x->op->use[0].v)->rank;
    RecGrid *g = NEW(p->arena, RecGrid);
    Type state = *rec_type(&x->w->old, x->op->use[0].v);
    RecId *init = NEWN(p->arena, RecId, n + 1), *seq = NEWN(p->arena, RecId, n + n * n + 1), *result = NEWN(p->arena, RecId, 2 * n + 1);
    memmove(state.dim + 1, state.dim, rank * sizeof *state.dim);
    state.dim[0] = x->size;
    state.rank++;
    *g = (RecGrid){.naxes = 2, .extent = {x->count[0], x->count[1]}, .by = x->op->grid->by};
    for (uint32_t k = 0; k < n; k++) {
        init[k] = rec_zeros(x->b, &state);
        seq[k] = own[k];
        uint8_t last = (uint8_t)(rec_type(p, columns[k])->rank - 1);
        for (uint32_t l = 0; l < n; l++)
            seq[n + k * n + l] = rec_slice(x->b, columns[k], last, dim_const(p->dims, (int64_t)l * x->side), x->size);
    }
    RecRegion step;
    RecId recur = rec_grid_open(x->b, init, n, seq, n + n * n, g, &step);
    RecBuild in = {p, step, x->b->at, {0}};
    RecId *arg = NEWN(p->arena, RecId, 2 * n + n * n + 1);
    memcpy(arg, p->region.p[step].arg.p, (2 * n + n * n) * sizeof *arg);
    uint32_t elements = 1u << LABEL_PLACE | ((1u << rank) - 1) << LABEL_AXIS;
    for (uint32_t k = 0; k < n; k++) {
        Part sum = part_of(arg[n + k], elements);
        for (uint32_t l = 0; l < n; l++) {
            Part by = part_of(arg[2 * n + k * n + l], 1u << LABEL_PLACE | x->labels | 1u << LABEL_OTHER);
            Part from = part_relabel(&in, part_of(arg[l], elements), LABEL_PLACE, LABEL_OTHER);
            sum = part_map(&in, FUN_ADD, sum, part_contract(&in, by, from, 1u << LABEL_OTHER));
        }
        result[k] = sum.v;
        result[n + k] = arg[k];
    }
    rec_recur_close(p, recur, result, 2 * n);
    for (uint32_t k = 0; k < n; k++)
        result[k] = rec_proj(x->b, recur, n + k);
    return result;
}

/* ---- 4: all that the step puts out ---- */

/* What comes in to state k, at all places: it is looked at along the border. */
static RecId at_all_places(const Block *x, uint32_t k, RecId v)
{
    Type t = *rec_type(x->b->prog, v);
    RecUse u = {.v = v, .axis = {0, 1, (uint8_t)(axis_of(x->op->grid, k) ? 2 : 3)}};
    Dim dim[MAXRANK] = {x->count[0], x->count[1], x->size, x->size};
    for (uint8_t i = 3; i < t.rank; i++) {
        u.axis[i] = (uint8_t)(i + 1);
        dim[i + 1] = t.dim[i];
    }
    return rec_map(x->b, FUN_ID, &u, (uint8_t)(t.rank + 1), dim);
}

static void run_again(const Block *x, const RecId *init, const RecId *seq, const RecId *in)
{
    RecProg *p = x->w->p;
    uint32_t n = x->op->nstate;
    Sweep s = sweep_open(x, init, seq);
    RecId *state = NEWN(p->arena, RecId, n + 1), *result = NEWN(p->arena, RecId, x->body->result.n + 1);
    for (uint32_t k = 0; k < n; k++) {
        RecId comes = rec_recur_add_seq(p, s.recur, at_all_places(x, k, in[k]));
        rec_op(p, s.arg[k])->name = rec_op(&x->w->old, x->body->arg.p[k])->name;
        state[k] = rec_map3(&s.in, FUN_WHERE, at_border(x, &s, k), comes, s.arg[k]);
    }
    copy_step(x, &s, state);
    for (uint32_t i = 0; i < x->body->result.n; i++)
        result[i] = only_there(&s, x->w->to[x->body->result.p[i]]);
    rec_recur_close(p, s.recur, result, x->body->result.n);
    rec_recur_move_last(p, s.recur);
    for (uint32_t i = n; i < x->body->result.n; i++)
        result[i] = in_places(x, rec_proj(x->b, s.recur, i));
    x->w->result[x->old] = result;
}

static void run_blocks(Block *x)
{
    RecProg *p = x->w->p;
    const RecId *operand = rw_operands(x->w, x->old);
    RecId *seq = NEWN(p->arena, RecId, x->op->nseq + 1);
    x->side = p->form.size;
    x->size = dim_const(p->dims, x->side);
    for (uint8_t axis = 0; axis < 2; axis++) {
        x->count[axis] = cut_count(p, dim_add(p->dims, x->op->grid->extent[axis], dim_const(p->dims, x->side - 1)), p->form.size);
        x->whole[axis] = dim_mul(p->dims, x->count[axis], x->size);
    }
    for (uint32_t i = 0; i < x->op->nseq; i++)
        seq[i] = in_blocks(x, operand[x->op->nstate + i]);
    const RecId *own = by_itself(x, operand, seq), *columns = of_borders(x, seq);
    run_again(x, operand, seq, between(x, own, columns));
}

static void block_recur(Rewrite *w, RecBuild *b, RecId old)
{
    Block x = {.w = w, .b = b, .old = old, .op = rec_op(&w->old, old)};
    RecId at = REC_NONE;
    x.body = &w->old.region.p[x.op->region];
    RecWhy why = x.op->grid && x.op->nstate ? lacks(&x, &at) : WHY_NO_GRID;
    if (why == WHY_NONE) {
        run_blocks(&x);
        w->changed = true;
        return;
    }
    rw_recur(w, b, old);
    if (w->p->form_missing != WHY_NONE && w->p->form_missing != WHY_NO_GRID)
        return;
    w->p->form_missing = why;
    if (why != WHY_NO_GRID)
        w->p->form_missing_at = rec_op(&w->old, at == REC_NONE ? old : at)->at;
}

void rec_block(RecProg *p)
{
    if (p->form.kind != REC_FORM_BLOCK)
        return;
    Rewrite w = {.recur = block_recur};
    p->form_missing = WHY_NO_GRID;
    rw_run(&w, p);
    if (!w.changed)
        return;
    p->form_missing = WHY_NONE;
    p->form_missing_at = (Span){0};
}
