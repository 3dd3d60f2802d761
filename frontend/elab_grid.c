/* Cells over grids: running an instance makes one RECUR over the places of a grid. Each place at which a state is read,
 * relative to the current one, is a state of the RECUR. Outside of the grid a state is zero, or its start value, which may
 * depend on the place; that, and how far a sequence goes along each axis, is spelt out with `where`, as in elab_cell.c. */
#include "frontend/elab_internal.h"

uint8_t cell_axes(const Cell *cell)
{
    return (uint8_t)cell->nindex;
}

/* Of a graph: at its nodes, its edges, or pairs of these. */
static uint8_t graph_axis(const Cell *cell, const Decl *d, uint8_t *axis)
{
    bool first_in = d->nplace && str_eq(d->place[0].text, cell->edge_in.text), first_out = d->nplace && str_eq(d->place[0].text, cell->edge_out.text);
    bool pair = d->nplace == 2 && first_in && str_eq(d->place[1].text, cell->edge_out.text);
    axis[0] = (uint8_t)d->nplace;
    return !d->nplace || (cell->has_edges && (pair || (d->nplace == 1 && (first_in || first_out))));
}

uint8_t input_axes(const Cell *cell, const Decl *d, uint8_t *axis)
{
    uint8_t n = 0;
    if (cell->domain == DOMAIN_GRAPH)
        return graph_axis(cell, d, axis);
    for (uint8_t i = 0; i < cell_axes(cell); i++)
        if (!d->nplace || (n < d->nplace && str_eq(d->place[n].text, cell->index[i].text)))
            axis[n++] = i;
    return d->nplace && n != d->nplace ? 0 : n;
}

static bool same_place(const int64_t *a, const int64_t *b)
{
    return memcmp(a, b, REC_MAXAXES * sizeof *a) == 0;
}

static GridReads *reads_of(StateDef *st, DelayDef *d)
{
    return st ? &st->read : d ? &d->read : NULL;
}

static GridRead *find_read(const GridReads *read, const int64_t *by)
{
    for (uint32_t i = 0; i < read->n; i++)
        if (same_place(read->p[i].by, by))
            return &read->p[i];
    return NULL;
}

void note_grid_read(Elab *e, StateDef *st, DelayDef *d, const int64_t *by, Span at)
{
    static const int64_t here[REC_MAXAXES] = {0};
    GridRead r = {.at = at, .value = poison, .inside = poison};
    memcpy(r.by, by, sizeof r.by);
    for (uint32_t i = 0; i < REC_MAXAXES; i++)
        if (by[i] >= MAX_DELAY || by[i] <= -MAX_DELAY) {
            diag(e->diags, E_BAD_PLACE, at, str_c(e->arena, str_fmt(e->arena, "a place at most %d steps away can be read", MAX_DELAY - 1)));
            return;
        }
    GridReads *read = reads_of(st, d);
    if (read && !same_place(by, here) && !find_read(read, by))
        vec_push(e->arena, read, r);
}

Val grid_read(Elab *e, Scope *s, StateDef *st, DelayDef *d, const int64_t *by, const Expr *x)
{
    const GridReads *read = reads_of(st, d);
    GridRead *r = read ? find_read(read, by) : NULL;
    if (!r || is_poison(r->value)) {
        diag(e->diags, E_BAD_PLACE, x->at, "another place cannot be read here");
        return poison;
    }
    if (st || !x->index.otherwise)
        return r->value;
    Val other = elab_expr(e, s, x->index.otherwise);
    if (is_poison(other))
        return poison;
    Val three[3] = {r->inside, r->value, to_dtype(e, other, d->type.dt)};
    return map_vals(e, FUN_WHERE, three, 3, x->at);
}

/* ---- a sweep ---- */

typedef struct Sweep {
    Elab *e;
    Inst *inst;
    ScanArgs *args;
    States state; /* those of what runs inside of the cell too */
    uint8_t naxes;
    VEC(RecId) init, seq;
    VEC(RecOffset) by;
    uint32_t *first_part;            /* by input: its number among the sequences */
    uint32_t place[REC_MAXAXES];     /* likewise: the indices */
    uint32_t active;
    RecId recur;
    RecBuild around;                 /* where the RECUR stands */
    RecId there;                     /* of the step: whether the place belongs to the sequence, or REC_NONE */
    Val *output; /* as the step has them */
} Sweep;

/* From the text's point of view to the array's: axes that run from their end go the other way. */
static int64_t turned(const Sweep *w, uint8_t axis, int64_t by)
{
    return w->args->corner >> axis & 1 ? -by : by;
}

static uint32_t add_sequence(Sweep *w, RecId v)
{
    vec_push(w->e->arena, &w->seq, v);
    return w->seq.n - 1;
}

/* A value along some axes of the grid, at all of its places. */
static RecId over_grid(Sweep *w, RecId v, const uint8_t *axis, uint8_t n)
{
    Type t = *rec_type(w->e->prog, v);
    Dim dim[MAXRANK];
    RecUse u = {.v = v};
    memcpy(dim, w->args->extent, w->naxes * sizeof *dim);
    for (uint8_t i = 0; i < n; i++)
        u.axis[i] = axis[i];
    for (uint8_t i = n; i < t.rank; i++) {
        u.axis[i] = (uint8_t)(w->naxes + i - n);
        dim[u.axis[i]] = t.dim[i];
    }
    return n == w->naxes ? v : rec_map(&w->e->b, FUN_ID, &u, (uint8_t)(w->naxes + t.rank - n), dim);
}

static RecId length_of(Sweep *w, uint8_t axis)
{
    return w->args->lengths[axis] != REC_NONE ? w->args->lengths[axis] : rec_dim(&w->e->b, w->args->extent[axis]);
}

/* 0, 1, ... along an axis, from the corner where the sequence begins. */
static RecId index_along(Sweep *w, uint8_t axis)
{
    RecId i = rec_iota(&w->e->b, w->args->extent[axis]);
    if (!(w->args->corner >> axis & 1))
        return i;
    RecId last = rec_map2(&w->e->b, FUN_SUB, length_of(w, axis), rec_const(&w->e->b, DT_INT, 1));
    return rec_map2(&w->e->b, FUN_SUB, last, i);
}

static void index_sequences(Sweep *w)
{
    RecId all = REC_NONE;
    for (uint8_t i = 0; i < w->naxes; i++)
        w->place[i] = add_sequence(w, over_grid(w, index_along(w, i), &i, 1));
    for (uint8_t i = 0; i < w->naxes && w->args->lengths[i] != REC_NONE; i++) {
        RecId inside = rec_map2(&w->e->b, FUN_LT, rec_iota(&w->e->b, w->args->extent[i]), w->args->lengths[i]);
        RecId here = over_grid(w, inside, &i, 1);
        all = all == REC_NONE ? here : rec_map2(&w->e->b, FUN_AND, all, here);
    }
    if (w->args->masked)
        all = all == REC_NONE ? w->args->mask : rec_map2(&w->e->b, FUN_AND, all, w->args->mask);
    w->active = all == REC_NONE ? UINT32_MAX : add_sequence(w, all);
}

/* An array moved so that each place has what stands `by` further on; zero where there is nothing. */
static RecId moved_by(Sweep *w, RecId v, const int64_t *by)
{
    for (uint8_t i = 0; i < w->naxes; i++)
        v = rec_moved(&w->e->b, v, i, (int32_t)turned(w, i, by[i]));
    return v;
}

static void input_sequences(Sweep *w)
{
    const Cell *cell = w->inst->cell;
    Elab *e = w->e;
    w->first_part = NEWN(e->arena, uint32_t, cell->ninput + 1);
    for (uint32_t i = 0, next = 0; i < cell->ninput; i++) {
        uint8_t axis[REC_MAXAXES], n = input_axes(cell, &cell->input[i], axis);
        if (cell->input[i].is_const)
            continue;
        DelayDef *d = w->inst->delay.p[next++];
        RecId part[2] = {REC_NONE, REC_NONE};
        w->first_part[i] = w->seq.n;
        for (uint32_t k = 0; k < nparts(d->type.dt); k++) {
            part[k] = over_grid(w, val_part(e, w->args->input[i], k).v, axis, n);
            add_sequence(w, part[k]);
        }
        for (uint32_t r = 0; r < d->read.n; r++)
            for (uint32_t k = 0; k < nparts(d->type.dt); k++)
                add_sequence(w, moved_by(w, part[k], d->read.p[r].by));
    }
}

static void state_operands(Sweep *w)
{
    Elab *e = w->e;
    for (uint32_t i = 0; i < w->state.n; i++) {
        StateDef *st = w->state.p[i];
        Type zero = st->type;
        zero.dt = part_dtype(zero.dt);
        for (uint32_t r = 0; r < st->read.n; r++)
            for (uint32_t k = 0; k < nparts(st->type.dt); k++) {
                RecOffset by = {{0}};
                for (uint8_t axis = 0; axis < w->naxes; axis++)
                    by.by[axis] = (int16_t)turned(w, axis, st->read.p[r].by[axis]);
                vec_push(e->arena, &w->by, by);
                vec_push(e->arena, &w->init, rec_zeros(&e->b, &zero));
            }
    }
}

/* ---- its step ---- */

/* Is there a place `by` further on in the sequence? */
static Val is_inside(Sweep *w, const int64_t *by)
{
    Elab *e = w->e;
    RecId all = rec_const(&e->b, DT_BOOL, 1);
    for (uint8_t i = 0; i < w->naxes; i++) {
        if (!by[i])
            continue;
        RecId there = rec_map2(&e->b, FUN_ADD, w->inst->place[i], rec_const(&e->b, DT_INT, (double)by[i]));
        RecId in = by[i] < 0 ? rec_map2(&e->b, FUN_LE, rec_const(&e->b, DT_INT, 0), there) : rec_map2(&e->b, FUN_LT, there, length_of(w, i));
        all = rec_map2(&e->b, FUN_AND, all, in);
    }
    return val_of(all);
}

/* The sequence of a part of an input that lives along n axes, as it is `by` further on along these; zero where there is none. */
static RecId edge_sequence(Sweep *w, RecId part, const uint8_t *axis, uint8_t n, const int64_t *by)
{
    RecBuild step = w->e->b;
    w->e->b = w->around;
    for (uint8_t k = 0; k < n; k++)
        part = rec_moved(&w->e->b, part, k, (int32_t)turned(w, axis[k], by[axis[k]]));
    RecId seq = over_grid(w, part, axis, n);
    w->e->b = step;
    return rec_recur_add_seq(w->e->prog, w->recur, seq);
}

/* Is there a place `by` further on, which is not masked out? */
static Val is_there(Sweep *w, const int64_t *by)
{
    static const uint8_t axis[REC_MAXAXES] = {0, 1, 2, 3};
    Val inside = is_inside(w, by);
    if (w->args->masked)
        inside.v = rec_map2(&w->e->b, FUN_AND, inside.v, edge_sequence(w, w->args->mask, axis, w->naxes, by));
    return inside;
}

/* An input that lives along some axes of the grid only, at a place outside that lies inside along these. */
static Val edge_input(Sweep *w, uint32_t input, const uint8_t *axis, uint8_t n, const int64_t *by)
{
    Elab *e = w->e;
    int64_t along[REC_MAXAXES] = {0};
    RecId part[2];
    DType dt = val_dtype(e, w->args->input[input]);
    for (uint8_t k = 0; k < n; k++)
        along[axis[k]] = by[axis[k]];
    Val inside = is_inside(w, along);
    if (w->there != REC_NONE)
        inside.v = rec_map2(&e->b, FUN_AND, inside.v, w->there);
    for (uint32_t k = 0; k < nparts(dt); k++) {
        RecId v = edge_sequence(w, val_part(e, w->args->input[input], k).v, axis, n, by);
        Type t = *rec_type(e->prog, v);
        part[k] = rec_map3(&e->b, FUN_WHERE, inside.v, v, rec_zeros(&e->b, &t));
    }
    return val_of_parts(dt, part);
}

/* `top` and, as it is declared, `top[s]`; at no other places. */
static void bind_edge_input(Sweep *w, Scope *s, uint32_t input, Val there)
{
    const Decl *d = &w->inst->cell->input[input];
    Sym *sym = scope_add(w->e, s, d->name, SYM_VALUE);
    sym->val = there;
    sym->has_place = true;
    sym->delay = NEW(w->e->arena, DelayDef);
    sym->delay->decl = d;
    sym->delay->now = poison;
}

static void bind_edge_inputs(Sweep *w, Scope *s, const int64_t *by)
{
    const Cell *cell = w->inst->cell;
    s->inst = w->inst;
    for (uint32_t i = 0; i < cell->ninput; i++) {
        uint8_t axis[REC_MAXAXES], n = input_axes(cell, &cell->input[i], axis);
        if (!cell->input[i].is_const && n < w->naxes)
            bind_edge_input(w, s, i, edge_input(w, i, axis, n, by));
    }
}

/* The declared start value at the place that is read, outside of the grid. */
static Val start_at(Sweep *w, StateDef *st, const int64_t *by)
{
    Elab *e = w->e;
    const Inst *inst = st->scope->inst;
    Scope *s = scope_new(e, inst->outer);
    s->region = e->b.region;
    for (uint8_t i = 0; i < w->naxes; i++) {
        RecId there = rec_map2(&e->b, FUN_ADD, w->inst->place[i], rec_const(&e->b, DT_INT, (double)by[i]));
        scope_add(e, s, inst->cell->index[i], SYM_VALUE)->val = val_of(there);
    }
    if (inst == w->inst)
        bind_edge_inputs(w, s, by);
    return start_value(e, s, st, NULL);
}

static Str read_name(Sweep *w, const StateDef *st, const int64_t *by)
{
    Text t = {.arena = w->e->arena};
    text_add(&t, "%.*s[", STRF(st->name));
    for (uint8_t i = 0; i < w->naxes; i++) {
        text_add(&t, "%s%.*s", i ? ", " : "", STRF(st->scope->inst->cell->index[i].text));
        if (by[i])
            text_add(&t, "%+d", (int)by[i]);
    }
    text_add(&t, "]");
    return text_str(&t);
}

static void bind_states(Sweep *w, RecRegion step)
{
    Elab *e = w->e;
    uint32_t next = 0;
    for (uint32_t i = 0; i < w->state.n; i++) {
        StateDef *st = w->state.p[i];
        for (uint32_t r = 0; r < st->read.n; r++) {
            GridRead *read = &st->read.p[r];
            RecId part[2];
            for (uint32_t k = 0; k < nparts(st->type.dt); k++) {
                part[k] = e->prog->region.p[step].arg.p[next++];
                rec_op(e->prog, part[k])->name = part_name(e, read_name(w, st, read->by), st->type.dt, k);
                rec_op(e->prog, part[k])->at = read->at;
            }
            Val three[3] = {poison, val_of_parts(st->type.dt, part), poison};
            read->value = three[1];
            if (!st->decl->init)
                continue;
            three[0] = is_there(w, read->by);
            three[2] = start_at(w, st, read->by);
            read->value = map_vals(e, FUN_WHERE, three, 3, read->at);
        }
    }
}

static void bind_sequences(Sweep *w, const RecId *seq)
{
    const Cell *cell = w->inst->cell;
    w->there = w->active == UINT32_MAX ? REC_NONE : seq[w->active];
    for (uint8_t i = 0; i < w->naxes; i++)
        w->inst->place[i] = seq[w->place[i]];
    for (uint32_t i = 0, next = 0; i < cell->ninput; i++) {
        const RecId *part = cell->input[i].is_const ? NULL : seq + w->first_part[i];
        bind_input(w->e, w->inst, i, w->args->input[i], part, w->there);
        if (cell->input[i].is_const)
            continue;
        DelayDef *d = w->inst->delay.p[next++];
        for (uint32_t r = 0; r < d->read.n; r++) {
            part += nparts(d->type.dt);
            d->read.p[r].inside = is_there(w, d->read.p[r].by);
            Val zero = to_dtype(w->e, val_of(rec_const(&w->e->b, part_dtype(d->type.dt), 0)), d->type.dt);
            Val three[3] = {d->read.p[r].inside, val_of_parts(d->type.dt, part), zero};
            d->read.p[r].value = map_vals(w->e, FUN_WHERE, three, 3, d->read.p[r].at);
        }
    }
}

/* Beyond the sequence all is zero, and nothing of it gets into a gradient. */
static RecId only_there(Sweep *w, RecId v)
{
    Type t = *rec_type(w->e->prog, v);
    return w->there == REC_NONE ? v : rec_map3(&w->e->b, FUN_WHERE, w->there, v, rec_zeros(&w->e->b, &t));
}

static void put_results(Sweep *w, RecId recur)
{
    Elab *e = w->e;
    VEC(RecId) result = {0};
    for (uint32_t i = 0; i < w->state.n; i++) {
        StateDef *st = w->state.p[i];
        e->b.at = st->equation ? st->equation->at : st->decl->name.at;
        e->b.name = st->name;
        for (uint32_t r = 0; r < st->read.n; r++)
            for (uint32_t k = 0; k < nparts(st->type.dt); k++) {
                RecId v = val_part(e, st->now, k).v;
                Type t = st->type;
                t.dt = part_dtype(t.dt);
                vec_push(e->arena, &result, only_there(w, v == REC_NONE ? rec_zeros(&e->b, &t) : v));
            }
    }
    e->b.name = (Str){0};
    w->output = NEWN(e->arena, Val, w->inst->cell->noutput + 1);
    for (uint32_t i = 0; i < w->inst->cell->noutput; i++) {
        Val v = w->output[i] = output_value(e, w->inst, w->inst->cell->output[i]);
        for (uint32_t k = 0; !is_poison(v) && k < nparts(val_dtype(e, v)); k++)
            vec_push(e->arena, &result, only_there(w, val_part(e, v, k).v));
    }
    rec_recur_close(e->prog, recur, result.p, result.n);
}

/* ---- whether it has an order ---- */

static GridRead *read_number(const Sweep *w, uint32_t n)
{
    for (uint32_t i = 0; i < w->state.n; n -= w->state.p[i]->read.n, i++)
        if (n < w->state.p[i]->read.n)
            return &w->state.p[i]->read.p[n];
    ice("elab_grid: no such read");
}

/* Two reads that lead round in a circle, or else all of them. */
static bool has_order(Sweep *w)
{
    Elab *e = w->e;
    int16_t weight[REC_MAXAXES];
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->state.n; i++)
        n += w->state.p[i]->read.n;
    RecOffset *by = NEWN(e->arena, RecOffset, n + 1);
    n = 0;
    for (uint32_t i = 0; i < w->state.n; i++)
        for (uint32_t r = 0; r < w->state.p[i]->read.n; r++, n++)
            for (uint8_t k = 0; k < w->naxes; k++)
                by[n].by[k] = (int16_t)w->state.p[i]->read.p[r].by[k];
    if (rec_grid_order(by, n, w->naxes, weight))
        return true;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = i + 1; k < n; k++)
            if (!rec_grid_order((RecOffset[]){by[i], by[k]}, 2, w->naxes, weight)) {
                diag_also(diag(e->diags, E_DIRECTION, read_number(w, k)->at,
                               "the places have no order: this one, and the other, would each have to come first"),
                          read_number(w, i)->at, STR("the other one"));
                return false;
            }
    diag(e->diags, E_DIRECTION, read_number(w, n - 1)->at, "the places have no order: those that are read here lead round in a circle");
    return false;
}

static Run *swept(Sweep *w, RecId recur)
{
    Run *run = NEW(w->e->arena, Run);
    uint32_t next = w->init.n;
    *run = (Run){.inst = w->inst, .noutput = w->inst->cell->noutput, .output = NEWN(w->e->arena, Val, w->inst->cell->noutput + 1)};
    for (uint32_t i = 0; i < run->noutput; i++)
        run->output[i] = projected(w->e, recur, w->output[i], &next);
    return run;
}

Run *sweep_cell(Elab *e, Inst *inst, ScanArgs *args, Span at)
{
    Sweep w = {.e = e, .inst = inst, .args = args, .naxes = cell_axes(inst->cell)};
    RecRegion step;
    e->b.at = at;
    for (uint32_t i = 0; i < inst->cell->ninput; i++) /* start values may use const inputs */
        if (inst->cell->input[i].is_const)
            scope_find(inst->scope, inst->cell->input[i].name.text)->val = args->input[i];
    all_states(e, inst, &w.state);
    if (!has_order(&w))
        return NULL;
    state_operands(&w);
    index_sequences(&w);
    input_sequences(&w);
    RecGrid *g = NEW(e->arena, RecGrid);
    *g = (RecGrid){.naxes = w.naxes, .by = w.by.p};
    memcpy(g->extent, args->extent, w.naxes * sizeof *g->extent);
    RecId recur = w.recur = rec_grid_open(&e->b, w.init.p, w.init.n, w.seq.p, w.seq.n, g, &step);
    RecBuild before = w.around = e->b;
    e->b.region = step;
    set_region(inst, step);
    RecId *seq = NEWN(e->arena, RecId, w.seq.n + 1); /* the region's list grows while they are bound */
    memcpy(seq, e->prog->region.p[step].arg.p + w.init.n, w.seq.n * sizeof *seq);
    bind_sequences(&w, seq);
    bind_states(&w, step);
    compute_all(e, inst);
    put_results(&w, recur);
    rec_recur_move_last(e->prog, recur);
    e->b = before;
    return swept(&w, recur);
}

/* ---- a cell over a grid as the entry ---- */

Dim new_extent(Elab *e, Str name)
{
    DimSym sym = dim_sym_new(e->dims, name, DIM_TIME);
    if (!e->prog->has_time)
        e->prog->time = sym;
    e->prog->has_time = true;
    vec_push(e->arena, &e->prog->open, sym);
    return dim_of(e->dims, sym);
}

/* The extent of the axis `r` is called R. */
static Dim extent_of(Elab *e, const Cell *cell, uint32_t axis)
{
    Ident name = cell->index[axis];
    char *text = arena_alloc(e->arena, name.text.n + 1);
    for (uint32_t i = 0; i < name.text.n; i++)
        text[i] = (char)(name.text.p[i] >= 'a' && name.text.p[i] <= 'z' ? name.text.p[i] - 'a' + 'A' : name.text.p[i]);
    Str upper = {text, name.text.n};
    bool taken = str_is(upper, "B") || str_is(upper, "keep");
    for (uint32_t i = 0; i < cell->ndim; i++)
        taken |= str_eq(cell->dim[i].name.text, upper);
    if (taken)
        diag_help(diag(e->diags, E_RESERVED, name.at,
                       str_c(e->arena, str_fmt(e->arena, "the extent of this axis would be called `%.*s`, and that name is taken", STRF(upper)))),
                  STR("call the index something else"));
    return new_extent(e, upper);
}

static void lengths_argument(Elab *e, const Cell *cell, ScanArgs *args)
{
    uint8_t n = cell_axes(cell);
    RecId all = rec_arg(&e->b, (RecArg){.name = STR("lengths"), .role = ROLE_LENGTH, .optional = true, .batched = true, .frozen = true,
                                        .type = {.dt = DT_INT, .rank = 1, .dim = {dim_const(e->dims, n)}}, .at = cell->at});
    for (uint8_t i = 0; i < n; i++)
        args->lengths[i] = rec_reshape(&e->b, rec_slice(&e->b, all, 0, dim_const(e->dims, i), DIM_ONE), 0, args->extent);
}

void elab_grid_entry(Elab *e, const Cell *cell)
{
    ScanArgs args = {.input = NEWN(e->arena, Val, cell->ninput + 1), .prefix = STR("")};
    uint32_t before = e->diags->nreported;
    for (uint32_t i = 0; i < cell->nindex && i < REC_MAXAXES; i++)
        args.extent[i] = extent_of(e, cell, i);
    Inst *inst = e->diags->nreported == before ? inst_new(e, cell, STR(""), NULL, 0, cell->at, true) : NULL;
    if (!inst)
        return;
    inst_params(e, inst);
    for (uint32_t i = 0; i < cell->ninput; i++) {
        args.input[i] = input_arg(e, inst, &cell->input[i], args.extent);
        if (is_poison(args.input[i]))
            return;
    }
    lengths_argument(e, cell, &args);
    Run *run = sweep_cell(e, inst, &args, cell->at);
    for (uint32_t i = 0; run && i < run->noutput; i++)
        out_val(e, (RecOut){.name = cell->output[i].text, .role = OUT_VALUE, .batched = true, .at = cell->output[i].at}, run->output[i]);
}
