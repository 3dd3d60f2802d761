/* The rules of rec.h, checked. Every broken rule is one line: the op as the printer writes it, then the rule. Programs
 * may hold ops that stand in no region; those are dead and not looked at. */
#include "ir/rec/text.h"

typedef struct Verifier {
    const RecProg *p;
    Text *why;
    const uint32_t *number;
    bool *visible; /* ops that the op being checked may use */
    bool *listed;  /* ops met in a region so far */
    bool *entered; /* regions met so far */
    RecFn fn;
    bool ok;
} Verifier;

static void broken(Verifier *c, const char *rule)
{
    c->ok = false;
    text_add(c->why, "%s\n", rule);
}

/* False, with the rule, unless it holds. */
static bool need(Verifier *c, bool holds, RecId v, const char *rule)
{
    if (holds)
        return true;
    rec_print_op(c->why, c->p, c->number, v);
    text_add(c->why, ": ");
    broken(c, rule);
    return false;
}

static void need_named(Verifier *c, bool holds, const char *what, Str name, const char *rule)
{
    if (holds)
        return;
    text_add(c->why, "%s %.*s: ", what, STRF(name));
    broken(c, rule);
}

static const Type *operand(const Verifier *c, const RecOp *op, uint32_t i)
{
    return rec_type(c->p, op->use[i].v);
}

/* ---- operands ---- */

static bool check_uses(Verifier *c, RecId v, const RecOp *op)
{
    for (uint32_t i = 0; i < op->nuse; i++) {
        RecId u = op->use[i].v;
        if (!need(c, u < c->p->op.n, v, "an operand is no op"))
            return false;
        if (!need(c, c->visible[u], v, "an operand does not stand before it, in its region or around it"))
            return false;
        bool table = op->kind == REC_GATHER && i == 0;
        if (!need(c, table || rec_op(c->p, u)->kind != REC_HISTORY, v, "a history is read by an index only"))
            return false;
        bool is_recur = rec_op(c->p, u)->kind == REC_RECUR;
        if (!need(c, is_recur == (op->kind == REC_PROJ), v, "PROJ, and nothing else, uses a recurrence"))
            return false;
    }
    return true;
}

static bool check_arity(Verifier *c, RecId v, const RecOp *op)
{
    uint32_t least = 0, most = 0;
    switch (op->kind) {
    case REC_ARG:
    case REC_CONST:
    case REC_DIM:
    case REC_IOTA:
    case REC_RANDOM:
    case REC_GIVEN:
    case REC_HISTORY:
    case REC_REGARG: break;
    case REC_MAP:
        if (!need(c, (uint32_t)op->fun < FUN_COUNT, v, "there is no such function"))
            return false;
        least = most = fun_info(op->fun)->arity;
        break;
    case REC_CONTRACT: least = most = 2; break;
    case REC_REDUCE:
    case REC_SLICE:
    case REC_PAD:
    case REC_RESHAPE:
    case REC_PROJ: least = most = 1; break;
    case REC_GATHER:
    case REC_SCATTER: least = most = op->nindex + 1u; break;
    case REC_CONCAT: least = 1, most = UINT32_MAX; break;
    case REC_RECUR: least = most = op->nstate + op->nseq; break;
    case REC_KIND_COUNT: break;
    }
    return need(c, op->nuse >= least && op->nuse <= most, v, "the number of operands is wrong");
}

/* ---- iteration spaces ---- */

static bool check_space(Verifier *c, RecId v, const RecOp *op)
{
    if (!need(c, op->nit <= MAXIT, v, "there are too many iteration axes"))
        return false;
    if (op->kind == REC_SCATTER)
        return true;
    bool reduces = op->kind == REC_REDUCE || op->kind == REC_CONTRACT;
    bool fits = reduces ? op->nit >= op->type.rank : op->nit == op->type.rank;
    for (uint32_t i = 0; fits && i < op->type.rank; i++)
        fits = op->space[i] == op->type.dim[i];
    return need(c, fits, v, "the result's axes are not the first iteration axes");
}

/* Axes from.. of operand i follow iteration axes of their size. */
static bool check_map(Verifier *c, RecId v, const RecOp *op, uint32_t i, uint32_t from)
{
    const Type *t = operand(c, op, i);
    for (uint32_t k = from; k < t->rank; k++) {
        uint8_t axis = op->use[i].axis[k];
        if (!need(c, axis < op->nit, v, "an operand axis follows an iteration axis that does not exist") ||
            !need(c, t->dim[k] == op->space[axis], v,
                  "an operand axis has another size than the iteration axis it follows"))
            return false;
    }
    return true;
}

static bool names_axis(const Verifier *c, const RecOp *op, uint32_t i, uint32_t axis)
{
    for (uint32_t k = 0; k < operand(c, op, i)->rank; k++)
        if (op->use[i].axis[k] == axis)
            return true;
    return false;
}

static void check_map_op(Verifier *c, RecId v, const RecOp *op)
{
    const FunInfo *info = fun_info(op->fun);
    DType dt[3] = {DT_REAL, DT_REAL, DT_REAL};
    for (uint32_t i = 0; i < op->nuse; i++) {
        dt[i] = operand(c, op, i)->dt;
        if (!check_map(c, v, op, i, 0))
            return;
    }
    bool share = info->result != 's' || info->arity < 2 || dt[info->arity - 1] == dt[info->arity - 2];
    need(c, share, v, "the last two operands differ in their element type");
    need(c, op->fun != FUN_WHERE || dt[0] == DT_BOOL, v, "the condition is not a bool");
    need(c, op->type.dt == fun_result(op->fun, dt), v, "the element type is not the function's");
}

static void check_reduce(Verifier *c, RecId v, const RecOp *op)
{
    need(c, (uint32_t)op->red < RED_COUNT, v, "there is no such reduction");
    need(c, op->type.dt == operand(c, op, 0)->dt, v, "the element type is not the operand's");
    need(c, op->type.dt != DT_BOOL || op->red > RED_PROD, v, "bools have no sum or product");
    if (!check_map(c, v, op, 0, 0))
        return;
    for (uint32_t i = 0; i < op->type.rank; i++)
        need(c, names_axis(c, op, 0, i), v, "the operand does not name every axis of the result");
}

static void check_contract(Verifier *c, RecId v, const RecOp *op)
{
    const Type *a = operand(c, op, 0), *b = operand(c, op, 1);
    need(c, a->dt == b->dt && op->type.dt == a->dt, v, "the operands and the result differ in their element type");
    need(c, op->type.dt != DT_BOOL, v, "bools have no sum or product");
    if (!check_map(c, v, op, 0, 0) || !check_map(c, v, op, 1, 0))
        return;
    for (uint32_t i = 0; i < op->nit; i++) {
        bool in_a = names_axis(c, op, 0, i), in_b = names_axis(c, op, 1, i);
        if (i < op->type.rank)
            need(c, in_a || in_b, v, "an axis of the result is named by no operand");
        else
            need(c, in_a && in_b, v, "a reduced axis is not named by both operands");
    }
}

static bool check_indices(Verifier *c, RecId v, const RecOp *op)
{
    for (uint32_t i = 1; i < op->nuse; i++)
        if (!need(c, operand(c, op, i)->dt == DT_INT, v, "an index is not an int") || !check_map(c, v, op, i, 0))
            return false;
    return true;
}

static void check_gather(Verifier *c, RecId v, const RecOp *op)
{
    const Type *table = operand(c, op, 0);
    need(c, op->type.dt == table->dt, v, "the element type is not the table's");
    if (need(c, op->nindex <= table->rank, v, "there are more indices than the table has axes"))
        check_map(c, v, op, 0, op->nindex);
    check_indices(c, v, op);
}

static void check_scatter(Verifier *c, RecId v, const RecOp *op)
{
    need(c, op->type.dt == operand(c, op, 0)->dt, v, "the element type is not the operand's");
    check_map(c, v, op, 0, 0);
    check_indices(c, v, op);
    if (!need(c, op->nindex <= op->type.rank, v, "there are more indices than the result has axes"))
        return;
    for (uint32_t k = op->nindex; k < op->type.rank; k++)
        need(c, op->out_axis[k] < op->nit && op->space[op->out_axis[k]] == op->type.dim[k], v,
             "a result axis without an index follows no iteration axis of its size");
}

/* ---- whole axes ---- */

static void check_part(Verifier *c, RecId v, const RecOp *op)
{
    const Type *a = operand(c, op, 0), *whole = op->kind == REC_SLICE ? a : &op->type;
    const Type *part = op->kind == REC_SLICE ? &op->type : a;
    if (!need(c, op->along < a->rank, v, "the operand does not have that axis") ||
        !need(c, rec_same_but_axis(a, &op->type, op->along), v,
              "the result differs from the operand in more than that axis"))
        return;
    need(c, !rec_surely_outside(c->p->dims, op->lo, part->dim[op->along], whole->dim[op->along]), v,
         "the part does not lie inside");
}

static void check_concat(Verifier *c, RecId v, const RecOp *op)
{
    Dim size = DIM_ZERO;
    if (!need(c, op->along < op->type.rank, v, "the result does not have that axis"))
        return;
    for (uint32_t i = 0; i < op->nuse; i++) {
        const Type *t = operand(c, op, i);
        if (!need(c, rec_same_but_axis(t, &op->type, op->along), v,
                  "an operand differs from the result in more than that axis"))
            return;
        size = dim_add(c->p->dims, size, t->dim[op->along]);
    }
    need(c, size == op->type.dim[op->along], v, "the sizes of the operands do not add up to the result's");
}

/* Highest number of factors in a term. */
static uint32_t degree(const DimTab *t, const Type *ty)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < ty->rank; i++) {
        uint32_t most = 0;
        for (uint32_t k = 0; k < dim_nterms(t, ty->dim[i]); k++)
            most = dim_term(t, ty->dim[i], k)->nsym > most ? dim_term(t, ty->dim[i], k)->nsym : most;
        sum += most;
    }
    return sum;
}

static void check_reshape(Verifier *c, RecId v, const RecOp *op)
{
    DimTab *t = c->p->dims;
    const Type *a = operand(c, op, 0);
    need(c, a->dt == op->type.dt, v, "the element type is not the operand's");
    if (need(c, degree(t, a) <= DIM_MAXDEG && degree(t, &op->type) <= DIM_MAXDEG, v,
             "the number of elements is a product of too many dimensions"))
        need(c, type_size(t, a) == type_size(t, &op->type), v, "the number of elements changes");
}

/* ---- leaves ---- */

/* The type of an argument or output in the program's layout: a batched one has B behind leading time axes, else in
 * front, once rec.batch has run. */
static Type layout(const RecProg *p, const Type *one, bool batched)
{
    Type t = *one;
    if (!p->batched || !batched || t.rank >= MAXRANK)
        return t;
    uint8_t at = type_places(p->dims, &t);
    memmove(&t.dim[at + 1], &t.dim[at], sizeof t.dim[0] * (size_t)(t.rank - at));
    t.dim[at] = dim_of(p->dims, p->batch);
    t.rank++;
    return t;
}

static void check_arg(Verifier *c, RecId v, const RecOp *op)
{
    if (!need(c, op->arg < c->p->arg.n, v, "there is no such argument"))
        return;
    const RecArg *arg = &c->p->arg.p[op->arg];
    Type t = layout(c->p, &arg->type, arg->batched);
    need(c, type_eq(&t, &op->type), v, "the type is not the argument's");
}

static bool is_scalar(const RecOp *op, DType dt)
{
    return op->type.rank == 0 && op->type.dt == dt;
}

static void check_given(Verifier *c, RecId v, const RecOp *op)
{
    need(c, is_scalar(op, DT_BOOL), v, "the result is not a bool scalar");
    need(c, op->arg < c->p->arg.n && c->p->arg.p[op->arg].optional, v, "there is no such optional argument");
}

static void check_proj(Verifier *c, RecId v, const RecOp *op)
{
    const RecOp *r = rec_op(c->p, op->use[0].v);
    if (!need(c, r->region < c->p->region.n && op->index < c->p->region.p[r->region].result.n, v,
              "the recurrence has no such result"))
        return;
    need(c, r->home == op->home, v, "it does not stand in its recurrence's region");
    RecId result = c->p->region.p[r->region].result.p[op->index];
    if (result >= c->p->op.n)
        return; /* said at the recurrence */
    Type step = *rec_type(c->p, result), t = step;
    Dim extent[REC_MAXAXES];
    uint8_t n = rec_places(r, extent);
    need(c, !r->grid || op->index >= r->nstate, v, "a grid has no final states");
    if (op->index >= r->nstate && need(c, step.rank + n <= MAXRANK, v, "the stacked value has too many axes")) {
        memcpy(&t.dim[n], step.dim, sizeof t.dim[0] * step.rank);
        memcpy(t.dim, extent, n * sizeof *extent);
        t.rank = (uint8_t)(t.rank + n);
    }
    need(c, type_eq(&t, &op->type), v, "the type is not that of the recurrence's result");
}

/* ---- recurrences and regions ---- */

static void check_region(Verifier *c, RecRegion r);

/* REGARGs stand first, in order, with the types of the states and of the sequences' elements. */
static void check_regargs(Verifier *c, RecId v, const RecOp *op, const RecRegionInfo *region)
{
    if (!need(c, region->arg.n == op->nuse, v, "the region has not one argument for each operand"))
        return;
    for (uint32_t i = 0; i < region->arg.n; i++) {
        RecId a = region->arg.p[i];
        bool first = i < region->op.n && region->op.p[i] == a && a < c->p->op.n;
        if (!need(c, first && rec_op(c->p, a)->kind == REC_REGARG && rec_op(c->p, a)->index == i, v,
                  "the region's arguments do not stand first in it, in order"))
            return;
        Type t = *operand(c, op, i);
        Dim extent[REC_MAXAXES];
        uint8_t n = rec_places(op, extent);
        if (i >= op->nstate) {
            memmove(&t.dim[0], &t.dim[n], sizeof t.dim[0] * (size_t)(t.rank - n));
            t.rank = (uint8_t)(t.rank - n);
        }
        need(c, type_eq(&t, rec_type(c->p, a)), a, "the type is not that of the state or of the sequence's element");
    }
}

static void check_results(Verifier *c, RecId v, const RecOp *op, const RecRegionInfo *region)
{
    if (!need(c, region->result.n == op->nstate + op->nout, v,
              "the region has not one result for each state and output"))
        return;
    for (uint32_t i = 0; i < region->result.n; i++) {
        RecId result = region->result.p[i];
        if (!need(c, result < c->p->op.n && c->visible[result], v, "a result is no value of the step") ||
            !need(c, rec_op(c->p, result)->kind != REC_RECUR, v, "a result is a recurrence instead of its PROJ"))
            return;
        need(c, i >= op->nstate || type_eq(rec_type(c->p, result), operand(c, op, i)), v, "a state changes its type");
    }
}

static void check_grid(Verifier *c, RecId v, const RecOp *op)
{
    int16_t weight[REC_MAXAXES];
    need(c, op->length == op->grid->extent[0] && !op->reverse && !op->chunk && !op->until && !op->pieces, v, "a grid is more than its places");
    need(c, rec_grid_order(op->grid->by, op->nstate, op->grid->naxes, weight), v, "no order of the grid's places exists");
}

/* Its sequences stand for states, and nothing but the new states comes out. */
static void check_operator(Verifier *c, RecId v, const RecOp *op, const RecRegionInfo *region)
{
    bool fits = op->length == DIM_ONE && op->nstate && op->nseq == op->nstate && !op->nout && !op->grid && !op->reverse &&
                !op->chunk && !op->until && region->arg.n == op->nuse;
    if (!need(c, fits, v, "an operator has one place, and a sequence for each state"))
        return;
    for (uint32_t i = 0; i < op->nstate; i++)
        need(c, type_eq(rec_type(c->p, region->arg.p[i]), rec_type(c->p, region->arg.p[op->nstate + i])), v,
             "an operator's left and right differ");
}

static void check_recur(Verifier *c, RecId v, const RecOp *op)
{
    if (!need(c, op->region >= REC_NFN && op->region < c->p->region.n && !c->entered[op->region], v,
              "it has no region of its own"))
        return;
    const RecRegionInfo *region = &c->p->region.p[op->region];
    need(c, region->owner == v, v, "its region belongs to another op");
    Dim extent[REC_MAXAXES];
    uint8_t n = rec_places(op, extent);
    for (uint32_t i = op->nstate; i < op->nuse; i++)
        if (!need(c, operand(c, op, i)->rank >= n && memcmp(operand(c, op, i)->dim, extent, n * sizeof *extent) == 0, v,
                  op->grid ? "the first axes of a sequence are not those of the grid" : "axis 0 of a sequence has not the recurrence's length"))
            return;
    if (op->grid)
        check_grid(c, v, op);
    need(c, !op->until || (op->nstate && !op->nout && is_scalar(rec_op(c->p, op->use[op->nstate - 1].v), DT_BOOL)), v,
         "an until loop has per-step values, or its last state is no bool");
    int64_t places;
    need(c, !op->pieces || (!op->until && !op->chunk && dim_is_const(c->p->dims, op->length, &places) && places % op->pieces == 0), v,
         "its places are no equal pieces");
    check_regargs(c, v, op, region);
    if (op->is_operator)
        check_operator(c, v, op, region);
    check_region(c, op->region);
    check_results(c, v, op, region);
    for (uint32_t i = 0; i < region->op.n; i++)
        if (region->op.p[i] < c->p->op.n)
            c->visible[region->op.p[i]] = false;
}

static void check_regarg(Verifier *c, RecId v, const RecOp *op)
{
    const RecRegionInfo *home = &c->p->region.p[op->home];
    need(c, op->index < home->arg.n && home->arg.p[op->index] == v, v, "it is no argument of its region");
}

/* The result it names is that of the recurrence around it; it is a table and nothing else. */
static void check_history(Verifier *c, RecId v, const RecOp *op)
{
    RecId owner = c->p->region.p[op->home].owner;
    if (!need(c, owner != REC_NONE && !rec_op(c->p, owner)->grid, v, "it stands in no recurrence over a line"))
        return;
    const RecOp *recur = rec_op(c->p, owner);
    const RecRegionInfo *region = &c->p->region.p[op->home];
    if (!need(c, op->index >= recur->nstate && op->index < region->result.n && region->result.p[op->index] < c->p->op.n, v,
              "the recurrence has no such per-step result"))
        return;
    Type t = *rec_type(c->p, region->result.p[op->index]);
    if (!need(c, t.rank < MAXRANK, v, "the stacked value has too many axes"))
        return;
    memmove(&t.dim[1], &t.dim[0], sizeof t.dim[0] * t.rank++);
    t.dim[0] = recur->length;
    need(c, type_eq(&t, &op->type), v, "the type is not that of the result, stacked");
}

static void check_kind(Verifier *c, RecId v, const RecOp *op)
{
    switch (op->kind) {
    case REC_ARG: check_arg(c, v, op); break;
    case REC_CONST: need(c, op->type.rank == 0, v, "a constant is not a scalar"); break;
    case REC_DIM: need(c, is_scalar(op, DT_INT), v, "a size is not an int scalar"); break;
    case REC_IOTA: need(c, op->type.dt == DT_INT && op->type.rank == 1, v, "the result is not int[n]"); break;
    case REC_RANDOM:
        need(c, c->fn == REC_INIT, v, "random numbers stand in the init function only");
        need(c, op->type.dt == DT_REAL, v, "random numbers are not real");
        break;
    case REC_GIVEN: check_given(c, v, op); break;
    case REC_MAP: check_map_op(c, v, op); break;
    case REC_REDUCE: check_reduce(c, v, op); break;
    case REC_CONTRACT: check_contract(c, v, op); break;
    case REC_GATHER: check_gather(c, v, op); break;
    case REC_SCATTER: check_scatter(c, v, op); break;
    case REC_SLICE:
    case REC_PAD: check_part(c, v, op); break;
    case REC_CONCAT: check_concat(c, v, op); break;
    case REC_RESHAPE: check_reshape(c, v, op); break;
    case REC_RECUR: check_recur(c, v, op); break;
    case REC_PROJ: check_proj(c, v, op); break;
    case REC_REGARG: check_regarg(c, v, op); break;
    case REC_HISTORY: check_history(c, v, op); break;
    case REC_KIND_COUNT: break;
    }
}

static void check_op(Verifier *c, RecId v, RecRegion r)
{
    const RecOp *op = rec_op(c->p, v);
    if (!need(c, !c->listed[v], v, "it stands in more than one place"))
        return;
    c->listed[v] = true;
    need(c, op->home == r, v, "its home is not the region in which it stands");
    if (op->home >= c->p->region.n)
        return;
    if (need(c, (uint32_t)op->kind < REC_KIND_COUNT, v, "there is no such op") &&
        need(c, op->type.rank <= MAXRANK, v, "the result has too many axes") && check_uses(c, v, op) &&
        check_arity(c, v, op) && (!rec_has_space(op->kind) || check_space(c, v, op)))
        check_kind(c, v, op);
    c->visible[v] = true;
}

static void check_region(Verifier *c, RecRegion r)
{
    c->entered[r] = true;
    for (uint32_t i = 0; i < c->p->region.p[r].op.n; i++) {
        RecId v = c->p->region.p[r].op.p[i];
        if (v < c->p->op.n)
            check_op(c, v, r);
        else
            broken(c, "a region lists an op that does not exist");
    }
}

/* ---- the program ---- */

/* The function in which a value of this role is computed. A gradient may be a value of the forward function. */
static bool right_function(const RecProg *p, const RecOut *o)
{
    RecRegion home = rec_op(p, o->value)->home;
    switch (o->role) {
    case OUT_VALUE:
    case OUT_REPORT:
    case OUT_FINAL: return home == REC_FORWARD;
    case OUT_GRAD:
    case OUT_GRAD_PARAM: return home == REC_BACKWARD || home == REC_FORWARD;
    case OUT_PARAM: return home == REC_INIT;
    }
    return false;
}

static bool is_arg(const RecProg *p, uint32_t i, RecRole role)
{
    return i < p->arg.n && p->arg.p[i].role == role;
}

static bool out_of(const RecProg *p, const RecOut *o)
{
    switch (o->role) {
    case OUT_REPORT:
    case OUT_VALUE: return true;
    case OUT_FINAL: return o->of == REC_NONE || is_arg(p, o->of, ROLE_START);
    case OUT_GRAD: return o->of < p->arg.n && p->arg.p[o->of].role != ROLE_PARAM;
    case OUT_GRAD_PARAM:
    case OUT_PARAM: return is_arg(p, o->of, ROLE_PARAM);
    }
    return false;
}

static void check_out(Verifier *c, const RecOut *o)
{
    bool stands = o->value < c->p->op.n && c->listed[o->value] && rec_op(c->p, o->value)->kind != REC_RECUR;
    need_named(c, stands, "output", o->name, "its value stands in no region");
    if (!stands)
        return;
    need_named(c, right_function(c->p, o), "output", o->name, "its value does not stand in the function of its role");
    need_named(c, out_of(c->p, o), "output", o->name, "it is of no argument that fits its role");
    Type t = layout(c->p, &o->type, o->batched);
    need_named(c, type_eq(&t, rec_type(c->p, o->value)), "output", o->name, "its value has another type");
}

static void check_arg_entry(Verifier *c, uint32_t i)
{
    const RecProg *p = c->p;
    const RecArg *a = &p->arg.p[i];
    bool op = a->value == REC_NONE ||
              (a->value < p->op.n && rec_op(p, a->value)->kind == REC_ARG && rec_op(p, a->value)->arg == i);
    need_named(c, op, "argument", a->name, "its value is not its ARG");
    bool shared = a->role == ROLE_PARAM || a->role == ROLE_SEED;
    need_named(c, a->batched == !shared, "argument", a->name,
               "parameters and the seed have no batch, all else has one");
    if (a->role == ROLE_START)
        need_named(c, a->of == REC_NONE || (a->of < p->out.n && p->out.p[a->of].role == OUT_FINAL), "argument", a->name,
                   "it is the start of no final state");
    if (a->role == ROLE_COTANGENT)
        need_named(c, a->of < p->out.n, "argument", a->name, "it is the cotangent of no output");
}

/* Names are what the text form refers to. */
static void check_dims(Verifier *c)
{
    const RecProg *p = c->p;
    const bool *used = rec_dims_used(c->why->arena, p);
    for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
        for (DimSym r = 0; r < s; r++)
            need_named(c,
                       !used[s] || !used[r] || !str_eq(dim_sym_info(p->dims, s)->name, dim_sym_info(p->dims, r)->name),
                       "dimension", dim_sym_info(p->dims, s)->name, "another one has this name");
    if (p->has_time)
        need_named(c, dim_sym_info(p->dims, p->time)->kind == DIM_TIME, "dimension",
                   dim_sym_info(p->dims, p->time)->name, "the time is not of kind time");
}

/* The backward function may use the forward function's own values; init sees neither. */
static void check_functions(Verifier *c)
{
    for (RecRegion r = 0; r < REC_NFN; r++) {
        c->fn = (RecFn)r;
        if (r == REC_INIT)
            memset(c->visible, 0, c->p->op.n * sizeof *c->visible);
        if (c->p->region.p[r].owner != REC_NONE)
            broken(c, "a function's region belongs to an op");
        check_region(c, r);
    }
}

bool rec_verify(const RecProg *p, Text *why)
{
    Arena *a = why->arena;
    Verifier c = {.p = p, .why = why, .ok = true};
    if (p->region.n < REC_NFN) {
        broken(&c, "a program has three functions");
        return false;
    }
    c.number = rec_numbers(a, p);
    c.visible = NEWN(a, bool, p->op.n);
    c.listed = NEWN(a, bool, p->op.n);
    c.entered = NEWN(a, bool, p->region.n);
    check_functions(&c);
    for (uint32_t i = 0; i < p->arg.n; i++)
        check_arg_entry(&c, i);
    for (uint32_t i = 0; i < p->out.n; i++)
        check_out(&c, &p->out.p[i]);
    check_dims(&c);
    return c.ok;
}
