/* Making rec programs. A builder's preconditions are ours to keep: the frontend has already told the user of theirs, so
 * a shape that does not fit here stops the compiler.
 *
 * Ops live in one growing array: a RecOp pointer does not survive the making of another op. */
#include "ir/rec/rec.h"

#include <stdlib.h>

static void need(bool ok, const char *op, const char *rule)
{
    if (!ok)
        ice("rec.%s: %s", op, rule);
}

static DimSym sym_of_kind(DimTab *t, Str name, DimKind kind)
{
    for (DimSym s = 0; s < dim_nsyms(t); s++)
        if (dim_sym_info(t, s)->kind == kind)
            return s;
    return dim_sym_new(t, name, kind);
}

RecProg *rec_prog_new(Arena *a, DimTab *dims, Str name)
{
    RecProg *p = NEW(a, RecProg);
    p->arena = a;
    p->dims = dims;
    p->name = str_copy(a, name);
    p->batch = sym_of_kind(dims, STR("B"), DIM_BATCH);
    p->keep = sym_of_kind(dims, STR("keep"), DIM_KEEP);
    p->unit = 0x1p-53;
    for (int i = 0; i < REC_NFN; i++)
        vec_push(a, &p->region, (RecRegionInfo){.owner = REC_NONE});
    return p;
}

/* ---- ops and their uses ---- */

static RecId new_op(RecBuild *b, RecOp op)
{
    need(b->region < b->prog->region.n, "build", "the region exists");
    op.home = b->region;
    op.name = b->name;
    op.at = b->at;
    vec_push(b->prog->arena, &b->prog->op, op);
    return b->prog->op.n - 1;
}

static RecId append(RecBuild *b, RecOp op)
{
    RecId v = new_op(b, op);
    vec_push(b->prog->arena, &b->prog->region.p[b->region].op, v);
    return v;
}

/* Puts v at a place in its region's list. */
static void insert(RecProg *p, RecId v, uint32_t place)
{
    RecRegionInfo *r = &p->region.p[p->op.p[v].home];
    vec_push(p->arena, &r->op, v);
    for (uint32_t i = r->op.n - 1; i > place; i--)
        r->op.p[i] = r->op.p[i - 1];
    r->op.p[place] = v;
}

static RecUse *copy_uses(RecProg *p, const RecUse *use, uint32_t n)
{
    RecUse *copy = NEWN(p->arena, RecUse, n);
    if (n)
        memcpy(copy, use, n * sizeof *use);
    return copy;
}

static Type shaped(DType dt, uint8_t rank, const Dim *dim)
{
    need(rank <= MAXRANK, "build", "the rank is in range");
    Type t = {.dt = dt, .rank = rank};
    if (rank)
        memcpy(t.dim, dim, rank * sizeof *dim);
    return t;
}

/* Axes from..rank-1 of the operand follow iteration axes of their own size. */
static void check_map(const RecProg *p, RecUse u, uint32_t from, uint8_t nit, const Dim *space, const char *op)
{
    need(u.v < p->op.n, op, "every operand exists");
    const Type *t = rec_type(p, u.v);
    for (uint32_t i = from; i < t->rank; i++) {
        need(u.axis[i] < nit, op, "an operand axis follows an iteration axis that exists");
        need(t->dim[i] == space[u.axis[i]], op, "an operand axis has the size of the iteration axis it follows");
    }
}

static bool names_axis(const RecProg *p, RecUse u, uint32_t axis)
{
    const Type *t = rec_type(p, u.v);
    for (uint32_t i = 0; i < t->rank; i++)
        if (u.axis[i] == axis)
            return true;
    return false;
}

static RecOp over_space(RecKind kind, Type type, uint8_t nit, const Dim *space)
{
    need(nit <= MAXIT, "build", "the number of iteration axes is in range");
    RecOp op = {.kind = kind, .type = type, .nit = nit};
    if (nit)
        memcpy(op.space, space, nit * sizeof *space);
    return op;
}

/* ---- arguments, outputs, leaves ---- */

/* `batched` follows from the role. */
RecId rec_arg(RecBuild *b, RecArg arg)
{
    RecProg *p = b->prog;
    need(b->region < REC_NFN, "arg", "arguments belong to functions");
    RecOp op = {.kind = REC_ARG, .type = arg.type, .arg = p->arg.n};
    RecBuild at = {p, b->region, arg.at, arg.name};
    arg.value = append(&at, op);
    arg.batched = arg.role != ROLE_PARAM && arg.role != ROLE_SEED;
    vec_push(p->arena, &p->arg, arg);
    return arg.value;
}

/* `batched` follows from the role. */
uint32_t rec_out(RecProg *p, RecOut out)
{
    need(out.value < p->op.n, "out", "the value exists");
    out.batched = out.role != OUT_GRAD_PARAM && out.role != OUT_PARAM;
    vec_push(p->arena, &p->out, out);
    return p->out.n - 1;
}

RecId rec_const(RecBuild *b, DType dt, double number)
{
    return append(b, (RecOp){.kind = REC_CONST, .type = {.dt = dt}, .number = number});
}

RecId rec_dim(RecBuild *b, Dim d)
{
    return append(b, (RecOp){.kind = REC_DIM, .type = {.dt = DT_INT}, .dim = d});
}

RecId rec_iota(RecBuild *b, Dim n)
{
    return append(b, (RecOp){.kind = REC_IOTA, .type = shaped(DT_INT, 1, &n)});
}

RecId rec_random(RecBuild *b, Type type, uint32_t stream)
{
    need(type.dt == DT_REAL, "random", "the result is real");
    return append(b, (RecOp){.kind = REC_RANDOM, .type = type, .stream = stream});
}

RecId rec_given(RecBuild *b, uint32_t arg)
{
    need(arg < b->prog->arg.n && b->prog->arg.p[arg].optional, "given", "the argument exists and is optional");
    return append(b, (RecOp){.kind = REC_GIVEN, .type = {.dt = DT_BOOL}, .arg = arg});
}

/* ---- over an iteration space ---- */

RecId rec_map(RecBuild *b, Fun f, const RecUse *use, uint8_t rank, const Dim *dim)
{
    const FunInfo *info = fun_info(f);
    DType dt[3] = {DT_REAL, DT_REAL, DT_REAL};
    for (uint32_t i = 0; i < info->arity; i++) {
        check_map(b->prog, use[i], 0, rank, dim, info->text);
        dt[i] = rec_type(b->prog, use[i].v)->dt;
    }
    need(info->result != 's' || info->arity < 2 || dt[info->arity - 1] == dt[info->arity - 2], info->text,
         "the last two operands share their element type");
    need(f != FUN_WHERE || dt[0] == DT_BOOL, info->text, "the condition is a bool");
    RecOp op = over_space(REC_MAP, shaped(fun_result(f, dt), rank, dim), rank, dim);
    op.fun = f;
    op.nuse = info->arity;
    op.use = copy_uses(b->prog, use, info->arity);
    return append(b, op);
}

RecId rec_reduce(RecBuild *b, RecReduce red, RecUse a, uint8_t rank, uint8_t nit, const Dim *space)
{
    need(rank <= nit, "reduce", "the result's axes are the first iteration axes");
    check_map(b->prog, a, 0, nit, space, "reduce");
    for (uint32_t i = 0; i < rank; i++)
        need(names_axis(b->prog, a, i), "reduce", "the operand names every axis of the result");
    RecOp op = over_space(REC_REDUCE, shaped(rec_type(b->prog, a.v)->dt, rank, space), nit, space);
    need(op.type.dt != DT_BOOL || red > RED_PROD, "reduce", "bools have no sum or product");
    op.red = red;
    op.nuse = 1;
    op.use = copy_uses(b->prog, &a, 1);
    return append(b, op);
}

RecId rec_contract(RecBuild *b, RecUse a, RecUse c, uint8_t rank, uint8_t nit, const Dim *space)
{
    const RecProg *p = b->prog;
    need(rank <= nit, "contract", "the result's axes are the first iteration axes");
    check_map(p, a, 0, nit, space, "contract");
    check_map(p, c, 0, nit, space, "contract");
    for (uint32_t i = 0; i < nit; i++) {
        uint32_t named = (uint32_t)names_axis(p, a, i) + names_axis(p, c, i);
        need(named >= (i < rank ? 1u : 2u), "contract", "a result axis is named by one operand, a reduced one by both");
    }
    DType dt = rec_type(p, a.v)->dt;
    need(dt == rec_type(p, c.v)->dt && dt != DT_BOOL, "contract", "the operands share a numeric element type");
    RecOp op = over_space(REC_CONTRACT, shaped(dt, rank, space), nit, space);
    op.nuse = 2;
    op.use = copy_uses(b->prog, (RecUse[]){a, c}, 2);
    return append(b, op);
}

static void check_indices(const RecProg *p, const RecUse *use, uint32_t nuse, uint8_t nit, const Dim *space,
                          const char *op)
{
    for (uint32_t i = 1; i < nuse; i++) {
        check_map(p, use[i], 0, nit, space, op);
        need(rec_type(p, use[i].v)->dt == DT_INT, op, "indices are ints");
    }
}

RecId rec_gather(RecBuild *b, const RecUse *use, uint32_t nuse, uint8_t rank, const Dim *dim)
{
    need(nuse >= 1 && use[0].v < b->prog->op.n, "gather", "there is a table");
    const Type *table = rec_type(b->prog, use[0].v);
    need(nuse - 1 <= table->rank, "gather", "there are no more indices than the table has axes");
    check_map(b->prog, use[0], nuse - 1, rank, dim, "gather");
    check_indices(b->prog, use, nuse, rank, dim, "gather");
    RecOp op = over_space(REC_GATHER, shaped(table->dt, rank, dim), rank, dim);
    op.nindex = (uint8_t)(nuse - 1);
    op.nuse = nuse;
    op.use = copy_uses(b->prog, use, nuse);
    return append(b, op);
}

RecId rec_scatter(RecBuild *b, const RecUse *use, uint32_t nuse, uint8_t nit, const Dim *space, Type result,
                  const uint8_t *out_axis)
{
    need(nuse >= 1 && nuse - 1 <= result.rank, "scatter", "there are no more indices than the result has axes");
    check_map(b->prog, use[0], 0, nit, space, "scatter");
    check_indices(b->prog, use, nuse, nit, space, "scatter");
    need(rec_type(b->prog, use[0].v)->dt == result.dt, "scatter", "the result has the operand's element type");
    RecOp op = over_space(REC_SCATTER, result, nit, space);
    op.nindex = (uint8_t)(nuse - 1);
    for (uint32_t k = op.nindex; k < result.rank; k++) {
        need(out_axis[k] < nit && space[out_axis[k]] == result.dim[k], "scatter",
             "a result axis without an index follows an iteration axis of its size");
        op.out_axis[k] = out_axis[k];
    }
    op.nuse = nuse;
    op.use = copy_uses(b->prog, use, nuse);
    return append(b, op);
}

/* ---- whole axes ---- */

static RecOp on_axis(RecBuild *b, RecKind kind, RecId a, uint8_t along, Dim lo, Dim size)
{
    need(a < b->prog->op.n && along < rec_type(b->prog, a)->rank, "slice", "the operand has that axis");
    RecOp op = {.kind = kind, .type = *rec_type(b->prog, a), .nuse = 1};
    op.use = copy_uses(b->prog, &(RecUse){.v = a}, 1);
    op.type.dim[along] = size;
    op.along = along;
    op.lo = lo;
    return op;
}

bool rec_surely_outside(DimTab *t, Dim lo, Dim size, Dim whole)
{
    int64_t rest, first;
    if (dim_is_const(t, lo, &first) && first < 0)
        return true;
    return dim_is_const(t, dim_sub(t, dim_sub(t, whole, size), lo), &rest) && rest < 0;
}

RecId rec_slice(RecBuild *b, RecId a, uint8_t along, Dim lo, Dim size)
{
    RecOp op = on_axis(b, REC_SLICE, a, along, lo, size);
    need(!rec_surely_outside(b->prog->dims, lo, size, rec_type(b->prog, a)->dim[along]), "slice", "the part lies inside");
    return append(b, op);
}

RecId rec_pad(RecBuild *b, RecId a, uint8_t along, Dim lo, Dim size)
{
    RecOp op = on_axis(b, REC_PAD, a, along, lo, size);
    need(!rec_surely_outside(b->prog->dims, lo, rec_type(b->prog, a)->dim[along], size), "pad", "the part lies inside");
    return append(b, op);
}

bool rec_same_but_axis(const Type *a, const Type *b, uint32_t axis)
{
    if (a->dt != b->dt || a->rank != b->rank)
        return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (i != axis && a->dim[i] != b->dim[i])
            return false;
    return true;
}

RecId rec_concat(RecBuild *b, const RecId *v, uint32_t n, uint8_t along)
{
    RecProg *p = b->prog;
    need(n >= 1, "concat", "there is an operand");
    RecOp op = {.kind = REC_CONCAT, .type = *rec_type(p, v[0]), .nuse = n, .use = NEWN(p->arena, RecUse, n)};
    need(along < op.type.rank, "concat", "the operands have that axis");
    Dim size = DIM_ZERO;
    for (uint32_t i = 0; i < n; i++) {
        need(rec_same_but_axis(&op.type, rec_type(p, v[i]), along), "concat", "the operands differ along one axis only");
        size = dim_add(p->dims, size, rec_type(p, v[i])->dim[along]);
        op.use[i].v = v[i];
    }
    op.type.dim[along] = size;
    op.along = along;
    return append(b, op);
}

RecId rec_reshape(RecBuild *b, RecId a, uint8_t rank, const Dim *dim)
{
    RecProg *p = b->prog;
    const Type *from = rec_type(p, a);
    Type to = shaped(from->dt, rank, dim);
    need(type_size(p->dims, from) == type_size(p->dims, &to), "reshape", "the number of elements stays");
    return append(b, (RecOp){.kind = REC_RESHAPE, .type = to, .nuse = 1, .use = copy_uses(p, &(RecUse){.v = a}, 1)});
}

bool rec_is_gradient(RecOutRole role)
{
    return role == OUT_GRAD || role == OUT_GRAD_PARAM;
}

/* Parameters, inputs, outputs, and the gradients by outputs and by inputs. States that calls hand on, and gradients of parameters,
 * which are added up over calls, keep all their bits. */
bool rec_arg_narrows(const RecArg *x, const RecOut *out)
{
    bool of_output = x->role == ROLE_COTANGENT && out[x->of].role == OUT_VALUE;
    return x->type.dt == DT_REAL && (x->role == ROLE_PARAM || x->role == ROLE_INPUT || of_output);
}

bool rec_out_narrows(const RecOut *o, const RecArg *arg)
{
    bool of_input = o->role == OUT_GRAD && arg[o->of].role == ROLE_INPUT;
    return o->type.dt == DT_REAL && (o->role == OUT_VALUE || o->role == OUT_PARAM || of_input);
}

uint32_t rec_arg_of_role(const RecProg *p, RecRole role)
{
    for (uint32_t i = 0; i < p->arg.n; i++)
        if (p->arg.p[i].role == role)
            return i;
    return UINT32_MAX;
}

bool rec_has_role(const RecProg *p, RecRole role)
{
    return rec_arg_of_role(p, role) != UINT32_MAX;
}

uint32_t rec_arg_named(const RecProg *p, const char *name)
{
    for (uint32_t i = 0; i < p->arg.n; i++)
        if (str_is(p->arg.p[i].name, name))
            return i;
    return UINT32_MAX;
}

/* ---- the recurrence ---- */

uint8_t rec_places(const RecOp *recur, Dim *extent)
{
    uint8_t n = recur->grid ? recur->grid->naxes : 1;
    memcpy(extent, recur->grid ? recur->grid->extent : &recur->length, n * sizeof *extent);
    return n;
}

static Type element_type(const RecOp *recur, const Type *seq)
{
    Dim extent[REC_MAXAXES];
    uint8_t n = rec_places(recur, extent);
    return shaped(seq->dt, (uint8_t)(seq->rank - n), seq->dim + n);
}

static Type stacked_type(const RecOp *recur, const Type *step)
{
    Type t = {.dt = step->dt};
    uint8_t n = rec_places(recur, t.dim);
    need(step->rank + n <= MAXRANK, "recur", "a stacked value's rank is in range");
    memcpy(t.dim + n, step->dim, step->rank * sizeof *step->dim);
    t.rank = (uint8_t)(step->rank + n);
    return t;
}

/* REGARGs stand first in their region, in order. */
static RecId add_regarg(RecProg *p, RecRegion region, Type type, Str name, Span at)
{
    RecBuild b = {p, region, at, name};
    uint32_t index = p->region.p[region].arg.n;
    RecId v = new_op(&b, (RecOp){.kind = REC_REGARG, .type = type, .index = index});
    insert(p, v, index);
    vec_push(p->arena, &p->region.p[region].arg, v);
    return v;
}

static void check_seq(const RecProg *p, const RecOp *recur, RecId seq)
{
    Dim extent[REC_MAXAXES];
    uint8_t n = rec_places(recur, extent);
    need(seq < p->op.n && rec_type(p, seq)->rank >= n && memcmp(rec_type(p, seq)->dim, extent, n * sizeof *extent) == 0, "recur",
         "axis 0 of a sequence has the recurrence's length");
}

static RecId open_recur(RecBuild *b, RecOp op, const RecId *init, const RecId *seq, RecRegion *region)
{
    RecProg *p = b->prog;
    op.kind = REC_RECUR;
    op.nuse = op.nstate + op.nseq;
    op.use = NEWN(p->arena, RecUse, op.nuse);
    op.region = *region = p->region.n;
    for (uint32_t i = 0; i < op.nstate; i++)
        op.use[i].v = init[i];
    for (uint32_t i = 0; i < op.nseq; i++) {
        check_seq(p, &op, seq[i]);
        op.use[op.nstate + i].v = seq[i];
    }
    RecId v = append(b, op);
    vec_push(p->arena, &p->region, (RecRegionInfo){.owner = v});
    for (uint32_t i = 0; i < op.nstate; i++)
        add_regarg(p, *region, *rec_type(p, init[i]), rec_op(p, init[i])->name, b->at);
    for (uint32_t i = 0; i < op.nseq; i++)
        add_regarg(p, *region, element_type(&op, rec_type(p, seq[i])), rec_op(p, seq[i])->name, b->at);
    return v;
}

RecId rec_recur_open(RecBuild *b, const RecId *init, uint32_t nstate, const RecId *seq, uint32_t nseq, Dim length,
                     bool reverse, RecRegion *region)
{
    return open_recur(b, (RecOp){.nstate = nstate, .nseq = nseq, .length = length, .reverse = reverse}, init, seq, region);
}

RecId rec_grid_open(RecBuild *b, const RecId *init, uint32_t nstate, const RecId *seq, uint32_t nseq, const RecGrid *grid,
                    RecRegion *region)
{
    need(grid->naxes >= 1 && grid->naxes <= REC_MAXAXES, "recur", "a grid has one to four axes");
    return open_recur(b, (RecOp){.nstate = nstate, .nseq = nseq, .length = grid->extent[0], .grid = grid}, init, seq, region);
}

/* A value that a step may give: of the region itself or of one around it. */
static bool visible_in(const RecProg *p, RecId v, RecRegion region)
{
    for (RecRegion r = region;; r = p->op.p[p->region.p[r].owner].home) {
        if (p->op.p[v].home == r)
            return true;
        if (p->region.p[r].owner == REC_NONE)
            return false;
    }
}

void rec_recur_close(RecProg *p, RecId recur, const RecId *result, uint32_t nresult)
{
    RecOp *op = rec_op(p, recur);
    need(op->kind == REC_RECUR && p->region.p[op->region].result.n == 0, "recur", "it is open");
    need(nresult >= op->nstate, "recur", "every state has a new value");
    for (uint32_t i = 0; i < nresult; i++) {
        need(result[i] < p->op.n && visible_in(p, result[i], op->region), "recur", "a result is a value of the step");
        need(i >= op->nstate || type_eq(rec_type(p, result[i]), rec_type(p, op->use[i].v)), "recur",
             "a state keeps its type");
        vec_push(p->arena, &p->region.p[op->region].result, result[i]);
    }
    op->nout = nresult - op->nstate;
}

void rec_recur_move_last(RecProg *p, RecId recur)
{
    RecRegionInfo *home = &p->region.p[rec_op(p, recur)->home];
    uint32_t i = 0;
    while (home->op.p[i] != recur)
        i++;
    memmove(home->op.p + i, home->op.p + i + 1, (home->op.n - i - 1) * sizeof *home->op.p);
    home->op.p[home->op.n - 1] = recur;
}

static RecOp proj_op(RecProg *p, RecId recur, uint32_t index)
{
    const RecOp *r = rec_op(p, recur);
    need(r->kind == REC_RECUR && index < r->nstate + r->nout, "proj", "the recurrence has that result");
    need(!r->grid || index >= r->nstate, "proj", "a grid has no final states");
    const Type *step = rec_type(p, p->region.p[r->region].result.p[index]);
    RecOp op = {.kind = REC_PROJ, .type = index < r->nstate ? *step : stacked_type(r, step), .nuse = 1};
    op.use = copy_uses(p, &(RecUse){.v = recur}, 1);
    op.index = index;
    return op;
}

RecId rec_proj(RecBuild *b, RecId recur, uint32_t index)
{
    return append(b, proj_op(b->prog, recur, index));
}

RecId rec_history(RecBuild *b, uint32_t index, Type type)
{
    need(b->prog->region.p[b->region].owner != REC_NONE, "history", "it stands in a recurrence");
    return append(b, (RecOp){.kind = REC_HISTORY, .type = type, .index = index});
}

static uint32_t place_in_home(const RecProg *p, RecId v)
{
    const RecRegionInfo *home = &p->region.p[p->op.p[v].home];
    for (uint32_t i = 0; i < home->op.n; i++)
        if (home->op.p[i] == v)
            return i;
    ice("rec: an op does not stand in its region");
}

static bool is_proj_of(const RecProg *p, RecId v, RecId recur)
{
    return p->op.p[v].kind == REC_PROJ && p->op.p[v].use[0].v == recur;
}

/* The PROJ of a result: the one right behind the recurrence, or a new one there, before anything that could use it. */
static RecId proj_behind(RecProg *p, RecId recur, uint32_t index)
{
    RecRegion home = p->op.p[recur].home;
    uint32_t place = place_in_home(p, recur) + 1;
    for (; place < p->region.p[home].op.n && is_proj_of(p, p->region.p[home].op.p[place], recur); place++)
        if (p->op.p[p->region.p[home].op.p[place]].index == index)
            return p->region.p[home].op.p[place];
    const RecOp *step = rec_op(p, p->region.p[p->op.p[recur].region].result.p[index]);
    RecBuild b = {p, home, step->at, step->name};
    RecId v = new_op(&b, proj_op(p, recur, index));
    insert(p, v, place);
    return v;
}

RecId rec_recur_export(RecProg *p, RecId recur, RecId step_value)
{
    RecRegionInfo *region = &p->region.p[p->op.p[recur].region];
    need(visible_in(p, step_value, p->op.p[recur].region), "recur", "an exported value is a value of the step");
    uint32_t index = p->op.p[recur].nstate;
    while (index < region->result.n && region->result.p[index] != step_value)
        index++;
    if (index == region->result.n) {
        vec_push(p->arena, &region->result, step_value);
        p->op.p[recur].nout++;
    }
    return proj_behind(p, recur, index);
}

RecId rec_recur_add_seq(RecProg *p, RecId recur, RecId seq)
{
    RecOp *op = rec_op(p, recur);
    need(op->kind == REC_RECUR, "recur", "it is a recurrence");
    check_seq(p, op, seq);
    RecUse *use = NEWN(p->arena, RecUse, op->nuse + 1);
    if (op->nuse)
        memcpy(use, op->use, op->nuse * sizeof *use);
    use[op->nuse++].v = seq;
    op->use = use;
    op->nseq++;
    return add_regarg(p, op->region, element_type(op, rec_type(p, seq)), rec_op(p, seq)->name, rec_op(p, seq)->at);
}

/* ---- conveniences ---- */

RecId rec_moved(RecBuild *b, RecId v, uint8_t axis, int32_t by)
{
    if (by == 0)
        return v;
    Dim size = rec_type(b->prog, v)->dim[axis], far = dim_const(b->prog->dims, abs(by)), more = dim_add(b->prog->dims, size, far);
    return rec_slice(b, rec_pad(b, v, axis, by > 0 ? DIM_ZERO : far, more), axis, by > 0 ? far : DIM_ZERO, size);
}

RecUse rec_use(RecId v, uint8_t rank)
{
    RecUse u = {.v = v};
    need(rank <= MAXRANK, "use", "the rank is in range");
    for (uint8_t i = 0; i < rank; i++)
        u.axis[i] = i;
    return u;
}

RecUse rec_use_tail(const RecProg *p, RecId v, uint8_t rank)
{
    RecUse u = {.v = v};
    uint8_t own = rec_type(p, v)->rank;
    need(own <= rank, "use", "the operand has no more axes than the space");
    for (uint8_t i = 0; i < own; i++)
        u.axis[i] = (uint8_t)(rank - own + i);
    return u;
}

/* The operand with the most axes gives the result's. */
static RecId map_tails(RecBuild *b, Fun f, const RecId *v, uint32_t n)
{
    need(fun_info(f)->arity == n, fun_info(f)->text, "it has as many operands");
    Type like = *rec_type(b->prog, v[0]);
    for (uint32_t i = 1; i < n; i++)
        if (rec_type(b->prog, v[i])->rank > like.rank)
            like = *rec_type(b->prog, v[i]);
    RecUse use[3];
    for (uint32_t i = 0; i < n; i++)
        use[i] = rec_use_tail(b->prog, v[i], like.rank);
    return rec_map(b, f, use, like.rank, like.dim);
}

RecId rec_map1(RecBuild *b, Fun f, RecId x)
{
    return map_tails(b, f, &x, 1);
}

RecId rec_map2(RecBuild *b, Fun f, RecId x, RecId y)
{
    return map_tails(b, f, (RecId[]){x, y}, 2);
}

RecId rec_map3(RecBuild *b, Fun f, RecId x, RecId y, RecId z)
{
    return map_tails(b, f, (RecId[]){x, y, z}, 3);
}

/* The scalar itself when like is one. */
RecId rec_broadcast(RecBuild *b, RecId scalar, const Type *like)
{
    need(rec_type(b->prog, scalar)->rank == 0, "broadcast", "the value is a scalar");
    Type t = *like;
    return t.rank ? rec_map(b, FUN_ID, &(RecUse){.v = scalar}, t.rank, t.dim) : scalar;
}

RecId rec_zeros(RecBuild *b, const Type *like)
{
    Type t = *like;
    return rec_broadcast(b, rec_const(b, t.dt, 0), &t);
}

RecId rec_transpose(RecBuild *b, RecId a, const uint8_t *order)
{
    Type t = *rec_type(b->prog, a);
    RecUse u = {.v = a};
    Dim dim[MAXRANK];
    bool seen[MAXRANK] = {false};
    for (uint8_t i = 0; i < t.rank; i++) {
        need(order[i] < t.rank && !seen[order[i]], "transpose", "the order names every axis once");
        seen[order[i]] = true;
        u.axis[order[i]] = i;
        dim[i] = t.dim[order[i]];
    }
    return rec_map(b, FUN_ID, &u, t.rank, dim);
}

bool rec_inside(const RecProg *p, RecId v, RecRegion r)
{
    for (RecRegion home = p->op.p[v].home;; home = p->op.p[p->region.p[home].owner].home) {
        if (home == r)
            return true;
        if (p->region.p[home].owner == REC_NONE)
            return false;
    }
}

static bool is_used_forward(const RecProg *p, RecId v)
{
    for (uint32_t i = 0; i < p->out.n; i++)
        if (p->out.p[i].value == v)
            return true;
    for (RecId w = 0; w < p->op.n; w++)
        for (uint32_t i = 0; i < rec_op(p, w)->nuse; i++)
            if (rec_op(p, w)->use[i].v == v && !rec_inside(p, w, REC_BACKWARD))
                return true;
    return false;
}

bool rec_is_of_forward(const RecProg *p, RecId recur, uint32_t result)
{
    for (RecId v = 0; v < p->op.n; v++)
        if (rec_op(p, v)->kind == REC_PROJ && rec_op(p, v)->use[0].v == recur && rec_op(p, v)->index == result &&
            is_used_forward(p, v))
            return true;
    return result < rec_op(p, recur)->nstate;
}

/* The finaliser of splitmix64. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* 52 bits, and a half behind them: an odd multiple of 2^-53, so never 0 or 1. */
double rec_random_value(uint64_t seed, uint32_t stream, uint64_t i)
{
    const uint64_t golden = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t key = mix(seed + golden * ((uint64_t)stream + 1));
    uint64_t z = mix(key + golden * (i + 1));
    return ((double)(z >> 12) + 0.5) * 0x1p-52;
}
