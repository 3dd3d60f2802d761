/* Loop nests: elementwise work over one space, with every scalar computed as far outside as its indices allow. */
#include "ir/kern/lower.h"

/* ---- the nest under construction ---- */

void nest_begin(Nest *n, Lower *l, uint32_t group, uint32_t naxes, const Dim *space, const uint8_t *order, Span at)
{
    *n = (Nest){.l = l, .group = group, .n = (uint8_t)naxes, .at = at};
    for (uint32_t depth = 0; depth < naxes; depth++) {
        uint32_t axis = order ? order[depth] : depth;
        n->extent[depth] = space[axis];
        n->kind[depth] = K_PARALLEL;
        n->var[depth] = K_NONE;
        if (space[axis] == DIM_ONE)
            continue;
        n->var[depth] = kern_var(l->k, DT_INT, true, STR(""));
        kern_index_add(l->k, &n->ix[axis], n->var[depth], DIM_ONE);
    }
}

/* How many loops stand around the place where a variable is known. */
static uint32_t depth_of(const Nest *n, KVar v)
{
    for (uint32_t i = n->n; i-- > 0;)
        if (n->var[i] == v && v != K_NONE)
            return i + 1;
    for (uint32_t i = n->depth.n; i-- > 0;)
        if (n->depth.p[i].var == v)
            return n->depth.p[i].depth;
    return 0;
}

static uint32_t index_depth(const Nest *n, const KIndex *at)
{
    uint32_t depth = 0;
    for (uint32_t i = 0; i < at->n; i++) {
        uint32_t d = depth_of(n, at->term[i].var);
        depth = d > depth ? d : depth;
    }
    return depth;
}

static KVar define(Nest *n, uint32_t depth, DType dt)
{
    KVar v = kern_var(n->l->k, dt, false, STR(""));
    vec_push(n->l->a, &n->depth, (VarDepth){v, (uint8_t)depth});
    return v;
}

static void emit(Nest *n, uint32_t depth, KStmt s)
{
    s.at = n->at;
    kern_add(n->l->k, &n->pre[depth], s);
}

static void append(Lower *l, KBlock *to, const KBlock *from)
{
    for (uint32_t i = 0; i < from->n; i++)
        vec_push(l->a, to, from->p[i]);
}

void nest_end(Nest *n)
{
    KBlock body = {0};
    for (uint32_t depth = n->n + 1u; depth-- > 0;) {
        KBlock outer = {0};
        append(n->l, &outer, &n->pre[depth]);
        if (depth < n->n && n->var[depth] != K_NONE) {
            KStmt s = {
                .kind = K_LOOP,
                .at = n->at,
                .loop = {.kind = n->kind[depth], .var = n->var[depth], .extent = n->extent[depth], .body = body}};
            kern_add(n->l->k, &outer, s);
        } else {
            append(n->l, &outer, &body);
        }
        append(n->l, &outer, &n->post[depth]);
        body = outer;
    }
    append(n->l, n->l->block, &body);
}

/* ---- scalars ---- */

static bool remembered(const Nest *n, RecId v, const KIndex *ix, uint32_t rank, KVar *out)
{
    for (uint32_t i = 0; i < n->memo.n; i++) {
        const Memo *m = &n->memo.p[i];
        bool same = m->v == v;
        for (uint32_t k = 0; k < rank && same; k++)
            same = kern_index_eq(&m->ix[k], &ix[k]);
        if (same)
            return *out = m->var, true;
    }
    return false;
}

static void remember(Nest *n, RecId v, const KIndex *ix, uint32_t rank, KVar var)
{
    Memo m = {.v = v, .ix = NEWN(n->l->a, KIndex, rank), .var = var};
    if (rank)
        memcpy(m.ix, ix, rank * sizeof *ix);
    vec_push(n->l->a, &n->memo, m);
}

KVar nest_let(Nest *n, Fun f, DType dt, KVar a, KVar b, KVar c)
{
    KVar arg[3] = {a, b, c};
    uint32_t depth = 0;
    for (uint32_t i = 0; i < fun_info(f)->arity; i++)
        depth = depth_of(n, arg[i]) > depth ? depth_of(n, arg[i]) : depth;
    KVar v = define(n, depth, dt);
    emit(n, depth, (KStmt){.kind = K_LET, .let = {v, f, {a, b, c}}});
    return v;
}

static KVar size(Nest *n, Dim d)
{
    KVar v = define(n, 0, DT_INT);
    emit(n, 0, (KStmt){.kind = K_SIZE, .size = {v, d}});
    return v;
}

/* The value of an index as an int. */
static KVar int_of(Nest *n, const KIndex *at)
{
    KVar sum = at->base != DIM_ZERO || at->n == 0 ? size(n, at->base) : K_NONE;
    for (uint32_t i = 0; i < at->n; i++) {
        KVar term = at->term[i].var;
        if (at->term[i].stride != DIM_ONE)
            term = nest_let(n, FUN_MUL, DT_INT, term, size(n, at->term[i].stride), K_NONE);
        sum = sum == K_NONE ? term : nest_let(n, FUN_ADD, DT_INT, sum, term, K_NONE);
    }
    return sum;
}

static KVar load(Nest *n, RecId v, const KIndex *ix, uint32_t rank)
{
    View m;
    if (!storage_view(n->l, v, &m))
        ice("rec_to_kern: a value that is not in memory is loaded");
    KIndex at = storage_at(n->l, &m, ix, rank);
    uint32_t depth = index_depth(n, &at);
    KVar var = define(n, depth, rec_type(n->l->rec, v)->dt);
    emit(n, depth, (KStmt){.kind = K_LOAD, .mem = {var, m.buf, at, false}});
    return var;
}

void nest_store(Nest *n, KVar var, const View *to, const KIndex *ix, uint32_t rank, bool add)
{
    emit(n, n->n, (KStmt){.kind = K_STORE, .mem = {var, to->buf, storage_at(n->l, to, ix, rank), add}});
}

KVar nest_checked(Nest *n, KVar index, Dim bound)
{
    uint32_t depth = depth_of(n, index);
    KVar v = define(n, depth, DT_INT);
    emit(n, depth, (KStmt){.kind = K_CHECK, .check = {v, index, bound}});
    return v;
}

/* ---- values ---- */

static KVar operand(Nest *n, const RecUse *u, const KIndex *ix)
{
    KIndex own[MAXRANK];
    for (uint32_t k = 0; k < rec_type(n->l->rec, u->v)->rank; k++)
        own[k] = ix[u->axis[k]];
    return nest_value(n, u->v, own);
}

static KVar map(Nest *n, const RecOp *op, const KIndex *ix)
{
    KVar arg[3] = {K_NONE, K_NONE, K_NONE};
    for (uint32_t i = 0; i < op->nuse; i++)
        arg[i] = operand(n, &op->use[i], ix);
    return nest_let(n, op->kind == REC_MAP ? op->fun : FUN_MUL, op->type.dt, arg[0], arg[1], arg[2]);
}

static KVar gather(Nest *n, const RecOp *op, const KIndex *ix)
{
    const Type *table = rec_type(n->l->rec, op->use[0].v);
    KIndex at[MAXRANK] = {0};
    for (uint32_t k = 0; k < table->rank; k++)
        if (k < op->nindex)
            kern_index_add(n->l->k, &at[k], nest_checked(n, operand(n, &op->use[k + 1], ix), table->dim[k]), DIM_ONE);
        else
            at[k] = ix[op->use[0].axis[k]];
    return nest_value(n, op->use[0].v, at);
}

static KVar random(Nest *n, const RecOp *op, const KIndex *ix)
{
    View dense = storage_dense(n->l, 0, &op->type);
    KIndex flat = storage_at(n->l, &dense, ix, op->type.rank);
    KVar counter = int_of(n, &flat);
    uint32_t depth = depth_of(n, counter);
    KVar v = define(n, depth, DT_REAL);
    emit(n, depth, (KStmt){.kind = K_RANDOM, .random = {v, op->stream, counter}});
    return v;
}

static KVar constant(Nest *n, const RecOp *op)
{
    KVar v = define(n, 0, op->type.dt);
    if (op->kind == REC_CONST)
        emit(n, 0, (KStmt){.kind = K_CONST, .constant = {v, op->number}});
    else if (op->kind == REC_DIM)
        emit(n, 0, (KStmt){.kind = K_SIZE, .size = {v, op->dim}});
    else
        emit(n, 0, (KStmt){.kind = K_GIVEN, .given = {v, op->arg}});
    return v;
}

/* Another value, at other indices. */
static KVar through(Nest *n, RecId v, const KIndex *ix)
{
    Lower *l = n->l;
    const RecOp *op = rec_op(l->rec, v);
    RecId source = lower_source(l, v);
    const Type *from = rec_type(l->rec, source);
    KIndex own[MAXRANK + 1] = {0};
    switch (op->kind) {
    case REC_MAP: return operand(n, &op->use[0], ix);
    case REC_SLICE:
        memcpy(own, ix, from->rank * sizeof *ix);
        own[op->along].base = dim_add(l->dims, own[op->along].base, op->lo);
        return nest_value(n, source, own);
    case REC_REGARG:
        kern_index_add(l->k, &own[0], l->recur[l->rec->region.p[op->home].owner]->place, DIM_ONE);
        memcpy(own + 1, ix, op->type.rank * sizeof *ix);
        return nest_value(n, source, own);
    default:
        if (!reshape_splits(l, from, &op->type))
            return load(n, v, ix, op->type.rank);
        reshape_index(l, from, &op->type, ix, own);
        return nest_value(n, source, own);
    }
}

static KVar make(Nest *n, RecId v, const KIndex *ix)
{
    const RecOp *op = rec_op(n->l->rec, v);
    switch (op->kind) {
    case REC_IOTA: return int_of(n, &ix[0]);
    case REC_RANDOM: return random(n, op, ix);
    case REC_GATHER: return gather(n, op, ix);
    case REC_MAP:
    case REC_CONTRACT: return map(n, op, ix);
    default: return constant(n, op);
    }
}

KVar nest_value(Nest *n, RecId v, const KIndex *ix)
{
    const Val *x = lower_val(n->l, v);
    if (x->form == F_VIEW)
        return through(n, v, ix);
    uint32_t rank = rec_type(n->l->rec, v)->rank;
    KVar var;
    if (remembered(n, v, ix, rank, &var))
        return var;
    bool here = x->form == F_LEAF || x->form == F_INLINE || (x->form == F_NEST && x->group == n->group);
    Span around = n->at, own = rec_op(n->l->rec, v)->at;
    if (here && own.file)
        n->at = own;
    var = here ? make(n, v, ix) : load(n, v, ix, rank);
    n->at = around;
    remember(n, v, ix, rank, var);
    return var;
}

void nest_use(const Nest *n, const RecUse *u, uint32_t rank, KIndex *out)
{
    for (uint32_t k = 0; k < rank; k++)
        out[k] = n->ix[u->axis[k]];
}

/* ---- groups ---- */

/* The nest has no loops for axes of size 1. */
static void own_indices(const Nest *n, const Type *t, KIndex *ix)
{
    for (uint32_t k = 0, axis = 0; k < t->rank; k++)
        ix[k] = t->dim[k] == DIM_ONE ? (KIndex){0} : n->ix[axis++];
}

/* All is read before anything is written: an updated state takes the old one's place. */
static void make_stores(Nest *n, const Group *g)
{
    KVar *value = NEWN(n->l->a, KVar, g->store.n);
    KIndex ix[MAXRANK];
    for (uint32_t pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < g->store.n; i++) {
            const Store *s = &g->store.p[i];
            const RecOp *op = rec_op(n->l->rec, s->v);
            own_indices(n, &op->type, ix);
            n->at = op->at;
            if (pass == 0)
                value[i] = nest_value(n, s->v, ix);
            else
                nest_store(n, value[i], &s->to, ix, op->type.rank, s->add);
        }
}

void lower_nest(Lower *l, uint32_t group)
{
    const Group *g = &l->group.p[group];
    Nest n;
    nest_begin(&n, l, group, g->rank, g->space, NULL, g->store.n ? rec_op(l->rec, g->store.p[0].v)->at : (Span){0});
    make_stores(&n, g);
    nest_end(&n);
}

void lower_fill(Lower *l, const View *v, const Type *t, double number, Span at)
{
    if (storage_is_dense(l, v, t)) {
        KStmt s = {.kind = K_FILL, .at = at, .fill = {v->buf, v->at, type_size(l->dims, t), number}};
        kern_add(l->k, l->block, s);
        return;
    }
    Nest n;
    nest_begin(&n, l, K_NONE, t->rank, t->dim, NULL, at);
    KVar x = define(&n, 0, t->dt);
    emit(&n, 0, (KStmt){.kind = K_CONST, .constant = {x, number}});
    nest_store(&n, x, v, n.ix, t->rank, false);
    nest_end(&n);
}
