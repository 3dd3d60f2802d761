/* The reference evaluator: the meaning of rec. Double precision, one op after the other, sequences in order, every sum
 * in row-major order of its iteration space. Nothing is reordered, so its numbers depend on the program only.
 *
 * A function is planned once (sizes, strides, one buffer for each op; ops of a recurrence's region have one for the
 * step) and can then run many times, also on changed data in the arrays. */
#include "ir/rec/rec.h"

#include <math.h>

enum { MAXACCESS = MAXRANK + 2 }; /* the result, and the operands of an op with an iteration space */

/* How an op walks over its iteration space: access 0 is the result, access 1.. the operands. */
typedef struct Walk {
    uint32_t nit, naccess; /* nit >= 1 */
    int64_t n[MAXIT];
    int64_t stride[MAXACCESS][MAXIT];
} Walk;

typedef struct Plan {
    int64_t count; /* elements */
    int64_t dim[MAXRANK], stride[MAXRANK];
    int64_t number; /* DIM's value, RECUR's length, SLICE's and PAD's lo */
    double *buffer;
    Walk *walk;
    struct Carry *carry; /* of a RECUR */
} Plan;

/* A RECUR's results, and for each state two buffers that take turns; over a grid, states are kept for all places. */
typedef struct Carry {
    double **result;
    double *(*state)[2];
    uint8_t naxes;
    int64_t extent[REC_MAXAXES], places;
    bool looked_at; /* while it runs, by a HISTORY: what did not run yet is 0 */
} Carry;

struct RecEval {
    const RecProg *p;
    Arena *own, *messages;
    const int64_t *dim_value;
    const RecArray *arg;
    uint64_t seed;
    Plan *plan;     /* by RecId */
    double **value; /* by RecId: where its value is now */
    bool planned[REC_NFN], forward_done;
    bool rounds; /* to single precision, behind every op */
    FactorType factor;
    RecWatch *watch; /* NULL for none */
    void *watching;
    Str error;
};

RecEval *rec_eval_new(Arena *a, const RecProg *p, const int64_t *dim_value, const RecArray *arg, uint64_t seed)
{
    Arena *own = arena_new();
    RecEval *e = NEW(own, RecEval);
    *e = (RecEval){.p = p, .own = own, .messages = a, .arg = arg, .seed = seed};
    int64_t *dims = NEWN(own, int64_t, dim_nsyms(p->dims));
    for (DimSym s = 0; s < dim_nsyms(p->dims); s++)
        dims[s] = dim_value[s];
    e->dim_value = dims;
    e->plan = NEWN(own, Plan, p->op.n);
    e->value = NEWN(own, double *, p->op.n);
    return e;
}

void rec_eval_free(RecEval *e)
{
    if (e)
        arena_free(e->own);
}

void rec_eval_round(RecEval *e, FactorType factor)
{
    e->rounds = true;
    e->factor = factor;
}

void rec_eval_watch(RecEval *e, RecWatch *watch, void *context)
{
    e->watch = watch;
    e->watching = context;
}

const double *rec_eval_value(const RecEval *e, RecId v)
{
    return e->value[v];
}

/* What people call an op: its name, or else its kind and type. */
static Str called(const RecEval *e, const RecOp *op)
{
    if (op->name.n)
        return str_fmt(e->messages, "`%.*s`", STRF(op->name));
    Str t = type_str(e->messages, e->p->dims, &op->type);
    return str_fmt(e->messages, "a value of type %.*s", STRF(t));
}

static bool fail(RecEval *e, Str message)
{
    if (!e->error.n)
        e->error = message;
    return false;
}

/* ---- planning ---- */

static bool size_of(RecEval *e, Dim d, int64_t *out)
{
    if (dim_eval(e->p->dims, d, e->dim_value, out))
        return true;
    Str s = dim_str(e->messages, e->p->dims, d);
    return fail(e, str_fmt(e->messages, "the size %.*s is negative or too large", STRF(s)));
}

static bool times(RecEval *e, const RecOp *op, int64_t *product, int64_t by)
{
    const int64_t most = INT64_C(1) << 37; /* elements: a terabyte */
    if (!__builtin_mul_overflow(*product, by, product) && *product <= most)
        return true;
    Str name = called(e, op);
    return fail(e, str_fmt(e->messages, "%.*s has too many elements", STRF(name)));
}

/* Count, sizes and row-major strides of a type. */
static bool plan_shape(RecEval *e, const RecOp *op, Plan *plan)
{
    plan->count = 1;
    for (uint32_t i = op->type.rank; i-- > 0;) {
        plan->stride[i] = plan->count;
        if (!size_of(e, op->type.dim[i], &plan->dim[i]) || !times(e, op, &plan->count, plan->dim[i]))
            return false;
    }
    return true;
}

static void add_access(Walk *w, uint32_t access, const Plan *array, uint32_t from, uint32_t rank, const uint8_t *axis)
{
    for (uint32_t i = from; i < rank; i++)
        w->stride[access][axis[i]] += array->stride[i];
}

static bool plan_walk(RecEval *e, const RecOp *op, Plan *plan)
{
    static const uint8_t same[MAXRANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    bool scatter = op->kind == REC_SCATTER, gather = op->kind == REC_GATHER;
    Walk *w = plan->walk = NEW(e->own, Walk);
    w->nit = op->nit ? op->nit : 1;
    w->n[0] = 1;
    w->naccess = op->nuse + 1;
    for (uint32_t i = 0; i < op->nit; i++)
        if (!size_of(e, op->space[i], &w->n[i]))
            return false;
    add_access(w, 0, plan, scatter ? op->nindex : 0, op->type.rank, scatter ? op->out_axis : same);
    for (uint32_t i = 0; i < op->nuse; i++)
        add_access(w, i + 1, &e->plan[op->use[i].v], gather && i == 0 ? op->nindex : 0,
                   rec_type(e->p, op->use[i].v)->rank, op->use[i].axis);
    return true;
}

static double *buffer(RecEval *e, int64_t count)
{
    return NEWN(e->own, double, count);
}

static bool plan_region(RecEval *e, RecRegion r);

static bool plan_places(RecEval *e, const RecOp *op, Carry *c)
{
    Dim extent[REC_MAXAXES];
    c->naxes = rec_places(op, extent);
    c->places = 1;
    for (uint8_t i = 0; i < c->naxes; i++)
        if (!size_of(e, extent[i], &c->extent[i]) || !times(e, op, &c->places, c->extent[i]))
            return false;
    return true;
}

static bool plan_recur(RecEval *e, const RecOp *op, Plan *plan)
{
    Carry *c = plan->carry = NEW(e->own, Carry);
    if (!plan_places(e, op, c) || !size_of(e, op->length, &plan->number) || !plan_region(e, op->region))
        return false;
    c->result = NEWN(e->own, double *, op->nstate + op->nout);
    c->state = arena_alloc(e->own, sizeof *c->state * op->nstate);
    for (uint32_t i = 0; i < op->nstate + op->nout; i++) {
        RecId step = e->p->region.p[op->region].result.p[i];
        int64_t n = e->plan[step].count, all = n;
        if ((op->grid || i >= op->nstate) && !times(e, rec_op(e->p, step), &all, c->places))
            return false;
        c->result[i] = buffer(e, all);
        for (int k = 0; k < 2 && i < op->nstate && !op->grid; k++)
            c->state[i][k] = buffer(e, n);
    }
    return true;
}

/* [lo, lo + part) lies in an axis of `whole`. */
static bool plan_part(RecEval *e, const RecOp *op, Plan *plan, int64_t part, int64_t whole)
{
    if (!size_of(e, op->lo, &plan->number))
        return false;
    if (plan->number <= whole && part <= whole - plan->number)
        return true;
    Str name = called(e, op);
    return fail(e, str_fmt(e->messages, "%.*s: elements %lld to %lld do not lie in an axis of size %lld", STRF(name),
                           (long long)plan->number, (long long)(plan->number + part), (long long)whole));
}

static bool plan_op(RecEval *e, RecId v)
{
    const RecOp *op = rec_op(e->p, v);
    Plan *plan = &e->plan[v];
    const Plan *first = op->nuse ? &e->plan[op->use[0].v] : NULL;
    if (!plan_shape(e, op, plan))
        return false;
    switch (op->kind) {
    case REC_RECUR: return plan_recur(e, op, plan);
    case REC_DIM: return size_of(e, op->dim, &plan->number) && (plan->buffer = buffer(e, 1));
    case REC_SLICE:
        plan->buffer = buffer(e, plan->count);
        return plan_part(e, op, plan, plan->dim[op->along], first->dim[op->along]);
    case REC_PAD:
        plan->buffer = buffer(e, plan->count);
        return plan_part(e, op, plan, first->dim[op->along], plan->dim[op->along]);
    case REC_MAP:
    case REC_REDUCE:
    case REC_CONTRACT:
    case REC_GATHER:
    case REC_SCATTER: plan->buffer = buffer(e, plan->count); return plan_walk(e, op, plan);
    case REC_CONST:
    case REC_IOTA:
    case REC_RANDOM:
    case REC_GIVEN:
    case REC_CONCAT: plan->buffer = buffer(e, plan->count); return true;
    case REC_ARG:
    case REC_RESHAPE:
    case REC_PROJ:
    case REC_REGARG: return true; /* their values are elsewhere */
    case REC_HISTORY: e->plan[e->p->region.p[op->home].owner].carry->looked_at = true; return true;
    case REC_KIND_COUNT: break;
    }
    ice("eval: no such op");
}

static bool plan_region(RecEval *e, RecRegion r)
{
    for (uint32_t i = 0; i < e->p->region.p[r].op.n; i++)
        if (!plan_op(e, e->p->region.p[r].op.p[i]))
            return false;
    return true;
}

/* ---- ops with an iteration space: a function for one row, which is the innermost iteration axis ---- */

typedef struct Row {
    RecEval *e;
    const RecOp *op;
    const Walk *walk;
    double *base[MAXACCESS];
    const Plan *table; /* what is indexed: GATHER's first operand, SCATTER's result */
} Row;

typedef bool RowFn(const Row *r, const int64_t *offset);

/* Steps to the next row; false after the last. */
static bool next_row(const Walk *w, int64_t *at, int64_t *offset)
{
    for (uint32_t i = w->nit - 1; i-- > 0;) {
        bool more = ++at[i] < w->n[i];
        for (uint32_t k = 0; k < w->naccess; k++)
            offset[k] += w->stride[k][i] * (more ? 1 : 1 - w->n[i]);
        if (more)
            return true;
        at[i] = 0;
    }
    return false;
}

static bool walk_rows(const Row *r, RowFn *row)
{
    int64_t at[MAXIT] = {0}, offset[MAXACCESS] = {0};
    for (uint32_t i = 0; i < r->walk->nit; i++)
        if (r->walk->n[i] == 0)
            return true;
    do {
        if (!row(r, offset))
            return false;
    } while (next_row(r->walk, at, offset));
    return true;
}

/* Stride of an access along the row. */
static int64_t along_row(const Row *r, uint32_t access)
{
    return r->walk->stride[access][r->walk->nit - 1];
}

static int64_t row_length(const Row *r)
{
    return r->walk->n[r->walk->nit - 1];
}

static bool map_row(const Row *r, const int64_t *offset)
{
    uint32_t n = r->op->nuse;
    double *out = r->base[0] + offset[0];
    const double *a = r->base[1] + offset[1];
    const double *b = n > 1 ? r->base[2] + offset[2] : a;
    const double *c = n > 2 ? r->base[3] + offset[3] : a;
    int64_t so = along_row(r, 0), sa = along_row(r, 1), sb = n > 1 ? along_row(r, 2) : 0,
            sc = n > 2 ? along_row(r, 3) : 0;
    for (int64_t i = 0; i < row_length(r); i++)
        out[i * so] = fun_eval(r->op->fun, a[i * sa], b[i * sb], c[i * sc]);
    return true;
}

static double reduced(RecReduce red, double a, double b)
{
    switch (red) {
    case RED_SUM: return a + b;
    case RED_PROD: return a * b;
    case RED_MAX: return fun_eval(FUN_MAX, a, b, 0);
    case RED_MIN: return fun_eval(FUN_MIN, a, b, 0);
    case RED_COUNT: break;
    }
    ice("eval: no such reduction");
}

static bool reduce_row(const Row *r, const int64_t *offset)
{
    double *out = r->base[0] + offset[0];
    const double *a = r->base[1] + offset[1];
    int64_t so = along_row(r, 0), sa = along_row(r, 1);
    for (int64_t i = 0; i < row_length(r); i++)
        out[i * so] = reduced(r->op->red, out[i * so], a[i * sa]);
    return true;
}

static bool contract_row(const Row *r, const int64_t *offset)
{
    double *out = r->base[0] + offset[0];
    const double *a = r->base[1] + offset[1], *b = r->base[2] + offset[2];
    int64_t so = along_row(r, 0), sa = along_row(r, 1), sb = along_row(r, 2);
    FactorType f = r->e->factor;
    for (int64_t i = 0; i < row_length(r); i++)
        out[i * so] += f ? factor_round(f, a[i * sa]) * factor_round(f, b[i * sb]) : a[i * sa] * b[i * sb];
    return true;
}

/* What a gather's table is called where it was made: a slice that keeps the axis is looked through. */
static Str table_name(const Row *r, uint32_t axis)
{
    RecId v = r->op->use[0].v;
    for (const RecOp *op = rec_op(r->e->p, v); op->kind == REC_SLICE; op = rec_op(r->e->p, v)) {
        if (r->e->plan[op->use[0].v].dim[axis] != r->e->plan[v].dim[axis])
            break;
        v = op->use[0].v;
    }
    return rec_op(r->e->p, v)->name;
}

static bool bad_index(const Row *r, uint32_t axis, double index)
{
    Str name = called(r->e, r->op), table = STR("");
    if (r->op->kind == REC_GATHER && table_name(r, axis).n)
        table = str_fmt(r->e->messages, " of `%.*s`", STRF(table_name(r, axis)));
    return fail(r->e, str_fmt(r->e->messages, "%.*s: index %g is outside 0..%lld, the range of axis %u%.*s", STRF(name),
                              index, (long long)r->table->dim[axis] - 1, axis, STRF(table)));
}

/* Where the indices at element i of the row point to in the table. */
static bool indexed(const Row *r, const int64_t *offset, int64_t i, int64_t *place)
{
    for (uint32_t k = 0; k < r->op->nindex; k++) {
        double index = r->base[k + 2][offset[k + 2] + i * along_row(r, k + 2)];
        if (!(index >= 0 && index < (double)r->table->dim[k]))
            return bad_index(r, k, index);
        *place += (int64_t)index * r->table->stride[k];
    }
    return true;
}

static bool gather_row(const Row *r, const int64_t *offset)
{
    for (int64_t i = 0; i < row_length(r); i++) {
        int64_t place = offset[1] + i * along_row(r, 1);
        if (!indexed(r, offset, i, &place))
            return false;
        r->base[0][offset[0] + i * along_row(r, 0)] = r->base[1][place];
    }
    return true;
}

static bool scatter_row(const Row *r, const int64_t *offset)
{
    for (int64_t i = 0; i < row_length(r); i++) {
        int64_t place = offset[0] + i * along_row(r, 0);
        if (!indexed(r, offset, i, &place))
            return false;
        r->base[0][place] += r->base[1][offset[1] + i * along_row(r, 1)];
    }
    return true;
}

static bool over_rows(RecEval *e, RecId v, RowFn *row)
{
    const RecOp *op = rec_op(e->p, v);
    Row r = {.e = e, .op = op, .walk = e->plan[v].walk, .base = {e->plan[v].buffer}};
    for (uint32_t i = 0; i < op->nuse; i++)
        r.base[i + 1] = e->value[op->use[i].v];
    r.table = &e->plan[op->kind == REC_GATHER ? op->use[0].v : v];
    return walk_rows(&r, row);
}

/* ---- the other ops ---- */

static void fill(const Plan *plan, double x)
{
    for (int64_t i = 0; i < plan->count; i++)
        plan->buffer[i] = x;
}

/* Copies n places of an axis, from one array at `from` to another at `to`; other axes are the same in both. */
static void copy_part(double *dst, const Plan *to_plan, int64_t to, const double *src, const Plan *from_plan,
                      int64_t from, uint32_t along, int64_t n)
{
    int64_t inner = to_plan->stride[along], outer = 1;
    for (uint32_t i = 0; i < along; i++)
        outer *= to_plan->dim[i];
    for (int64_t o = 0; o < outer && inner * n > 0; o++)
        memcpy(dst + (o * to_plan->dim[along] + to) * inner, src + (o * from_plan->dim[along] + from) * inner,
               sizeof *dst * (size_t)(n * inner));
}

static void concat(RecEval *e, const RecOp *op, const Plan *plan)
{
    int64_t at = 0;
    for (uint32_t i = 0; i < op->nuse; i++) {
        const Plan *part = &e->plan[op->use[i].v];
        copy_part(plan->buffer, plan, at, e->value[op->use[i].v], part, 0, op->along, part->dim[op->along]);
        at += part->dim[op->along];
    }
}

static bool argument(RecEval *e, RecId v)
{
    const RecOp *op = rec_op(e->p, v);
    Plan *plan = &e->plan[v];
    const RecArg *arg = &e->p->arg.p[op->arg];
    e->value[v] = e->arg[op->arg].data;
    if (e->value[v])
        return true;
    if (!arg->optional && plan->count)
        return fail(e, str_fmt(e->messages, "the array `%.*s` is missing", STRF(arg->name)));
    if (!plan->buffer)
        plan->buffer = buffer(e, plan->count);
    e->value[v] = plan->buffer;
    return true;
}

static void random_values(RecEval *e, const RecOp *op, const Plan *plan)
{
    for (int64_t i = 0; i < plan->count; i++)
        plan->buffer[i] = rec_random_value(e->seed, op->stream, (uint64_t)i);
}

static bool run_region(RecEval *e, RecRegion r);

static void copy(double *to, const double *from, int64_t n)
{
    if (n)
        memcpy(to, from, sizeof *to * (size_t)n);
}

static void tell(const RecEval *e, const RecRegionInfo *region, int64_t place)
{
    if (e->watch)
        e->watch(e->watching, e, region->owner, place);
}

/* One step at place t; `turn` says which of the two buffers holds the carried states. */
static bool run_step(RecEval *e, const RecOp *op, const Carry *c, int64_t t, int turn)
{
    const RecRegionInfo *region = &e->p->region.p[op->region];
    for (uint32_t i = 0; i < op->nstate; i++)
        e->value[region->arg.p[i]] = c->state[i][turn];
    for (uint32_t i = op->nstate; i < op->nuse; i++)
        e->value[region->arg.p[i]] = e->value[op->use[i].v] + t * e->plan[op->use[i].v].stride[0];
    if (!run_region(e, op->region))
        return false;
    tell(e, region, t);
    for (uint32_t i = 0; i < op->nstate + op->nout; i++) {
        RecId v = region->result.p[i];
        int64_t n = e->plan[v].count;
        copy(i < op->nstate ? c->state[i][!turn] : c->result[i] + t * n, e->value[v], n);
    }
    return true;
}

/* ---- grids: place `at` is number `place` in row-major order ---- */

/* Where state k of this place is read; the initial state when that is outside. */
static double *read_at(const RecEval *e, const RecOp *op, const Carry *c, const int64_t *at, uint32_t k)
{
    int64_t there = 0;
    for (uint8_t i = 0; i < c->naxes; i++) {
        int64_t index = at[i] + op->grid->by[k].by[i];
        if (index < 0 || index >= c->extent[i])
            return e->value[op->use[k].v];
        there = there * c->extent[i] + index;
    }
    return c->result[k] + there * e->plan[op->use[k].v].count;
}

static bool run_place(RecEval *e, const RecOp *op, const Carry *c, const int64_t *at, int64_t place)
{
    const RecRegionInfo *region = &e->p->region.p[op->region];
    for (uint32_t k = 0; k < op->nstate; k++)
        e->value[region->arg.p[k]] = read_at(e, op, c, at, k);
    for (uint32_t i = op->nstate; i < op->nuse; i++)
        e->value[region->arg.p[i]] = e->value[op->use[i].v] + place * e->plan[op->use[i].v].stride[c->naxes - 1];
    if (!run_region(e, op->region))
        return false;
    tell(e, region, place);
    for (uint32_t i = 0; i < op->nstate + op->nout; i++) {
        RecId v = region->result.p[i];
        copy(c->result[i] + place * e->plan[v].count, e->value[v], e->plan[v].count);
    }
    return true;
}

/* All places of one time. */
static bool run_time(RecEval *e, const RecOp *op, const Carry *c, const int16_t *weight, int64_t time)
{
    for (int64_t place = 0; place < c->places; place++) {
        int64_t at[REC_MAXAXES], rest = place, now = 0;
        for (uint8_t i = c->naxes; i-- > 0; rest /= c->extent[i]) {
            at[i] = rest % c->extent[i];
            now += weight[i] * at[i];
        }
        if (now == time && !run_place(e, op, c, at, place))
            return false;
    }
    return true;
}

static bool run_grid(RecEval *e, const RecOp *op, const Carry *c)
{
    int16_t weight[REC_MAXAXES];
    int64_t first = 0, last = 0;
    if (!rec_grid_order(op->grid->by, op->nstate, c->naxes, weight))
        ice("eval: a grid without an order");
    for (uint8_t i = 0; i < c->naxes && c->places; i++)
        *(weight[i] < 0 ? &first : &last) += weight[i] * (c->extent[i] - 1);
    for (int64_t time = first; time <= last; time++)
        if (!run_time(e, op, c, weight, time))
            return false;
    return true;
}

static bool run_recur(RecEval *e, RecId v)
{
    const RecOp *op = rec_op(e->p, v);
    const Carry *c = e->plan[v].carry;
    if (op->grid)
        return run_grid(e, op, c);
    int64_t length = e->plan[v].number;
    int turn = 0;
    for (uint32_t i = op->nstate; c->looked_at && i < op->nstate + op->nout; i++) /* nothing ran yet */
        memset(c->result[i], 0, sizeof *c->result[i] * (size_t)(length * e->plan[e->p->region.p[op->region].result.p[i]].count));
    for (uint32_t i = 0; i < op->nstate; i++)
        copy(c->state[i][0], e->value[op->use[i].v], e->plan[op->use[i].v].count);
    for (int64_t k = 0; k < length && !(op->until && *c->state[op->nstate - 1][turn] != 0); k++, turn = !turn)
        if (!run_step(e, op, c, op->reverse ? length - 1 - k : k, turn))
            return false;
    for (uint32_t i = 0; i < op->nstate; i++)
        copy(c->result[i], c->state[i][turn], e->plan[op->use[i].v].count);
    return true;
}

static double of_nothing(RecReduce red, DType dt)
{
    static const double number[RED_COUNT] = {
        [RED_SUM] = 0, [RED_PROD] = 1, [RED_MAX] = -INFINITY, [RED_MIN] = INFINITY};
    return dt == DT_BOOL ? red == RED_PROD || red == RED_MIN : number[red];
}

static bool run_op(RecEval *e, RecId v)
{
    const RecOp *op = rec_op(e->p, v);
    Plan *plan = &e->plan[v];
    RecId first = op->nuse ? op->use[0].v : REC_NONE;
    e->value[v] = plan->buffer;
    switch (op->kind) {
    case REC_ARG: return argument(e, v);
    case REC_CONST: fill(plan, op->number); return true;
    case REC_DIM: fill(plan, (double)plan->number); return true;
    case REC_GIVEN: fill(plan, e->arg[op->arg].data != NULL); return true;
    case REC_RANDOM: random_values(e, op, plan); return true;
    case REC_IOTA:
        for (int64_t i = 0; i < plan->count; i++)
            plan->buffer[i] = (double)i;
        return true;
    case REC_MAP: return over_rows(e, v, map_row);
    case REC_REDUCE: fill(plan, of_nothing(op->red, op->type.dt)); return over_rows(e, v, reduce_row);
    case REC_CONTRACT: fill(plan, 0); return over_rows(e, v, contract_row);
    case REC_GATHER: return over_rows(e, v, gather_row);
    case REC_SCATTER: fill(plan, 0); return over_rows(e, v, scatter_row);
    case REC_SLICE:
        copy_part(plan->buffer, plan, 0, e->value[first], &e->plan[first], plan->number, op->along,
                  plan->dim[op->along]);
        return true;
    case REC_PAD:
        fill(plan, 0);
        copy_part(plan->buffer, plan, plan->number, e->value[first], &e->plan[first], 0, op->along,
                  e->plan[first].dim[op->along]);
        return true;
    case REC_CONCAT: concat(e, op, plan); return true;
    case REC_RESHAPE: e->value[v] = e->value[first]; return true;
    case REC_RECUR: return run_recur(e, v);
    case REC_PROJ: e->value[v] = e->plan[first].carry->result[op->index]; return true;
    case REC_HISTORY: e->value[v] = e->plan[e->p->region.p[op->home].owner].carry->result[op->index]; return true;
    case REC_REGARG: break; /* set by its recurrence */
    case REC_KIND_COUNT: break;
    }
    ice("eval: no such op");
}

/* Values without a buffer of their own were rounded where they come from. */
static void round_result(RecEval *e, RecId v)
{
    const Plan *plan = &e->plan[v];
    for (int64_t i = 0; plan->buffer && e->rounds && i < plan->count; i++)
        plan->buffer[i] = rec_type(e->p, v)->dt == DT_REAL ? (double)(float)plan->buffer[i] : plan->buffer[i];
}

static bool run_region(RecEval *e, RecRegion r)
{
    const RecRegionInfo *region = &e->p->region.p[r];
    for (uint32_t i = 0; i < region->op.n; i++) {
        if (rec_op(e->p, region->op.p[i])->kind == REC_REGARG)
            continue;
        if (!run_op(e, region->op.p[i]))
            return false;
        round_result(e, region->op.p[i]);
    }
    return true;
}

static bool run_fn(RecEval *e, RecFn fn)
{
    if (fn == REC_BACKWARD && !e->forward_done)
        return fail(e, STR("the backward function needs the forward function to have run"));
    if (!e->planned[fn] && !plan_region(e, (RecRegion)fn))
        return false;
    e->planned[fn] = true;
    return run_region(e, (RecRegion)fn);
}

/* Slices and single elements must lie inside their axes. */
static bool sizes_fit(RecEval *e)
{
    int64_t value;
    for (uint32_t i = 0; i < e->p->need.n; i++)
        if (!dim_eval(e->p->dims, e->p->need.p[i].dim, e->dim_value, &value)) {
            e->error = str_fmt(e->messages, "a slice or an element is outside its axis: %.*s is negative",
                               STRF(dim_str(e->messages, e->p->dims, e->p->need.p[i].dim)));
            return false;
        }
    return true;
}

bool rec_eval_run(RecEval *e, RecFn fn, Str *error)
{
    e->error = (Str){0};
    bool ok = (fn == REC_INIT || sizes_fit(e)) && run_fn(e, fn);
    if (fn == REC_FORWARD)
        e->forward_done = ok;
    if (!ok && error)
        *error = e->error;
    return ok;
}
