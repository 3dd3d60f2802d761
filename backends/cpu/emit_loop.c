/* Loops and accumulators.
 *
 * A vector loop runs whole rounds of W iterations, then one last round with a mask; with AVX-512 every round has a
 * mask. Where a lane cannot be masked (stores that do not go to consecutive elements, addresses that come from data)
 * the rest runs one iteration at a time; both give the same bits, as every lane computes what the scalar code computes.
 *
 * An accumulator from outside a vector loop has one partial result a lane, combined behind the loop by halving: the
 * order depends on the extent and on W, nothing else. Short loops that accumulate would wait for one addition after the
 * other, so they run several vectors at once, as one that is as wide, and then single ones. */
#include "backends/cpu/emit.h"

#include <math.h>

/* ---- accumulators ---- */

LLVMValueRef emit_neutral(const CpuGen *g, RecReduce red, DType dt)
{
    static const double real[RED_COUNT] = {0, 1, -INFINITY, INFINITY};
    static const int64_t whole[RED_COUNT] = {0, 1, INT32_MIN, INT32_MAX};
    return dt == DT_REAL ? gen_const(g, real[red]) : gen_iconst(g, dt == DT_INT ? 32 : 1, (uint64_t)whole[red]);
}

LLVMValueRef emit_combine(const CpuGen *g, RecReduce red, DType dt, LLVMValueRef a, LLVMValueRef b)
{
    static const Fun fun[RED_COUNT] = {FUN_ADD, FUN_MUL, FUN_MAX, FUN_MIN};
    return cpu_fun(g, fun[red], (LLVMValueRef[]){a, b}, (DType[]){dt, dt});
}

static LLVMValueRef memory_with(Emit *e, LLVMValueRef start)
{
    LLVMValueRef at = emit_entry_memory(e, LLVMTypeOf(start));
    LLVMBuildStore(e->g.b, start, at);
    return at;
}

void emit_start(Emit *e, const KStmt *s)
{
    LLVMValueRef start = emit_neutral(&e->g, s->acc.red, emit_dtype(e, s->acc.var));
    LLVMValueRef at = memory_with(e, start);
    e->var[s->acc.var] = (EmitVar){.value = at, .memory = LLVMTypeOf(start), .lanes = e->v.on};
}

static void update_at(const CpuGen *g, const KStmt *s, DType dt, LLVMValueRef at, LLVMValueRef value)
{
    LLVMValueRef old = LLVMBuildLoad2(g->b, LLVMTypeOf(value), at, "");
    LLVMBuildStore(g->b, emit_combine(g, s->acc.red, dt, old, value), at);
}

/* By a product that is rounded with the sum; false if it is by something else. */
static bool update_by_product(Emit *e, const KStmt *s, LLVMValueRef at, bool lanes, bool masked)
{
    if (!emit_product_of(e, s->acc.value))
        return false;
    LLVMValueRef old = LLVMBuildLoad2(e->g.b, gen_type(&e->g, emit_dtype(e, s->acc.var)), at, "");
    LLVMValueRef new = emit_sum_with(e, s, old, lanes);
    LLVMBuildStore(e->g.b, masked ? gen_select(&e->g, e->v.mask, new, old) : new, at);
    return true;
}

void emit_update(Emit *e, const KStmt *s)
{
    const EmitVar *var = &e->var[s->acc.var];
    DType dt = emit_dtype(e, s->acc.var);
    bool split = e->v.on && !var->lanes;
    if (update_by_product(e, s, split ? var->partial : var->value, e->v.on, split && e->v.mask))
        return;
    LLVMValueRef value = emit_var(e, s->acc.value, e->v.on);
    if (split && e->v.mask)
        value = gen_select(&e->g, e->v.mask, value, emit_neutral(&e->g, s->acc.red, dt));
    update_at(&e->g, s, dt, split ? var->partial : var->value, value);
}

/* Calls `each` for every update, in b, of an accumulator that started outside of it. */
void emit_outer_updates(Emit *e, const KBlock *b, void (*each)(Emit *e, const KStmt *s))
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (kern_body(b->p[i]))
            emit_outer_updates(e, kern_body(b->p[i]), each);
        if (s->kind == K_UPDATE && e->var[s->acc.var].memory && !e->var[s->acc.var].lanes)
            each(e, s);
    }
}

void emit_start_partial(Emit *e, const KStmt *s)
{
    EmitVar *var = &e->var[s->acc.var];
    if (!var->partial)
        var->partial = memory_with(e, emit_neutral(&e->g, s->acc.red, emit_dtype(e, s->acc.var)));
}

/* Halves v until `lanes` are left. */
static LLVMValueRef across(const CpuGen *whole, RecReduce red, DType dt, LLVMValueRef v, uint32_t lanes)
{
    CpuGen g = *whole;
    while (g.lanes > lanes) {
        int low[GEN_MAXLANES], high[GEN_MAXLANES];
        uint32_t half = g.lanes / 2;
        for (uint32_t i = 0; i < half; i++)
            low[i] = (int)i, high[i] = (int)(i + half);
        LLVMValueRef a = half == 1 ? gen_lane(&g, v, 0) : gen_shuffle(&g, v, v, low, half);
        LLVMValueRef b = half == 1 ? gen_lane(&g, v, 1) : gen_shuffle(&g, v, v, high, half);
        g.lanes = half;
        v = emit_combine(&g, red, dt, a, b);
    }
    return v;
}

static LLVMValueRef partial_result(Emit *e, const KStmt *s, uint32_t lanes)
{
    const EmitVar *var = &e->var[s->acc.var];
    DType dt = emit_dtype(e, s->acc.var);
    LLVMValueRef v = LLVMBuildLoad2(e->g.b, gen_type(&e->g, dt), var->partial, "");
    return across(&e->g, s->acc.red, dt, v, lanes);
}

/* From several vectors at once to one. */
static void narrow_partial(Emit *e, const KStmt *s)
{
    uint32_t width = cpu_width(&e->g);
    EmitVar *var = &e->var[s->acc.var];
    if (!var->narrow)
        var->partial = memory_with(e, partial_result(e, s, width));
    var->narrow = true;
}

static void finish_partial(Emit *e, const KStmt *s)
{
    EmitVar *var = &e->var[s->acc.var];
    if (!var->partial)
        return;
    CpuGen one = emit_gen(e, false);
    update_at(&one, s, emit_dtype(e, s->acc.var), var->value, partial_result(e, s, 1));
    var->partial = NULL;
    var->narrow = false;
}

/* ---- plain loops ---- */

LLVMValueRef emit_loop_start(Emit *e, const KStmt *s)
{
    if (s->loop.by == DIM_ZERO)
        return gen_i64(&e->g, 0);
    emit_known(e, s->loop.from);
    return LLVMBuildNSWMul(e->g.b, e->var[s->loop.from].value, emit_dim(e, s->loop.by), "");
}

LLVMValueRef emit_loop_end(Emit *e, const KStmt *s, LLVMValueRef start)
{
    LLVMValueRef extent = emit_dim(e, s->loop.extent);
    return s->loop.by == DIM_ZERO ? extent : LLVMBuildNSWAdd(e->g.b, start, extent, "");
}

static bool has_lanes(const Emit *e, const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LOOP && (b->p[i]->loop.kind == K_VECTOR || has_lanes(e, &b->p[i]->loop.body)))
            return true;
    return e->v.on;
}

/* A comparison with something from outside, which holds in one iteration at most. */
const KStmt *emit_holds_once(const Emit *e, const KStmt *loop)
{
    const KBlock *b = &loop->loop.body;
    for (uint32_t i = 0; e->g.vector_bytes && !e->small && i < b->n; i++) {
        const KStmt *s = b->p[i];
        KVar v = loop->loop.var;
        if (s->kind != K_LET || s->let.fun != FUN_EQ || (s->let.arg[0] != v && s->let.arg[1] != v))
            continue;
        KVar other = s->let.arg[s->let.arg[0] == v];
        if (!emit_has_lanes(e, other) && !kern_defines_in(b, other) && has_lanes(e, b))
            return s;
    }
    return NULL;
}

static void one_version(Emit *e, const KStmt *loop, const KStmt *let, bool value)
{
    EmitKnown outer = e->equal;
    e->equal = (EmitKnown){let, value};
    emit_block(e, &loop->loop.body);
    e->equal = outer;
}

/* Where something holds in one iteration only, the others are without its selects. */
static void both_versions(Emit *e, const KStmt *s, const KStmt *let)
{
    LLVMValueRef x = emit_var(e, let->let.arg[0], false), y = emit_var(e, let->let.arg[1], false);
    GenElse same = gen_if_else(&e->g, LLVMBuildICmp(e->g.b, LLVMIntEQ, x, y, ""));
    one_version(e, s, let, true);
    gen_else(&e->g, same);
    one_version(e, s, let, false);
    gen_end_else(&e->g, same);
}

static void iteration(Emit *e, const KStmt *s)
{
    const KStmt *let = emit_holds_once(e, s);
    EmitAhead *ahead = let ? NULL : emit_find_ahead(e, s);
    if (let)
        both_versions(e, s, let);
    else if (ahead)
        emit_ahead(e, ahead);
    else
        emit_block(e, &s->loop.body);
}

void emit_plain_loop(Emit *e, const KStmt *s, LLVMValueRef from, LLVMValueRef to)
{
    LLVMValueRef one = gen_i64(&e->g, 1);
    GenLoop l = gen_loop(&e->g, from, to, one, NULL, 0);
    LLVMValueRef i = l.i;
    if (s->loop.reverse) {
        LLVMValueRef last = LLVMBuildSub(e->g.b, to, one, "");
        i = LLVMBuildSub(e->g.b, s->loop.by == DIM_ZERO ? last : LLVMBuildAdd(e->g.b, last, from, ""), i, "");
    }
    LLVMBasicBlockRef outer = e->behind_loop;
    e->behind_loop = l.done;
    emit_set(e, s->loop.var, i, false);
    bool in_steps = e->in_steps;
    e->in_steps |= s->loop.kind == K_SERIAL;
    iteration(e, s);
    e->in_steps = in_steps;
    e->behind_loop = outer;
    gen_loop_end(&e->g, &l, NULL);
}

void emit_one_by_one(Emit *e, const KStmt *s)
{
    LLVMValueRef start = emit_loop_start(e, s);
    emit_plain_loop(e, s, start, emit_loop_end(e, s, start));
}

/* ---- vector loops ---- */

/* How the lanes beyond the end of a vector loop are kept off. */
typedef enum Masking {
    MASK_NEVER, /* one iteration at a time behind the whole rounds */
    MASK_LAST,  /* a last round under a mask, behind whole rounds; every round under a mask would be half the code, but
                 * an  LSTM's gates with H = 64 ran at two thirds of the speed */
} Masking;

static bool reads_lanes(const KStmt *s, const bool *lanes)
{
    bool any = false;
    if (s->kind == K_LOAD)
        for (uint32_t t = 0; t < s->mem.at.n; t++)
            any |= lanes[s->mem.at.term[t].var];
    if (s->kind == K_LET)
        for (uint32_t i = 0; i < fun_info(s->let.fun)->arity; i++)
            any |= lanes[s->let.arg[i]];
    return any || (s->kind == K_CHECK && lanes[s->check.index]);
}

/* Marks the variables of a vector loop's body that differ from lane to lane; the loop's own is marked already. */
static void mark_lanes(const KBlock *b, bool *lanes)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (kern_body(b->p[i]))
            mark_lanes(kern_body(b->p[i]), lanes);
        else if (reads_lanes(s, lanes))
            lanes[s->kind == K_LET ? s->let.var : s->kind == K_LOAD ? s->mem.var : s->check.var] = true;
    }
}

/* One element for all lanes, or consecutive ones. */
static bool is_whole(const KStmt *s, KVar loop, const bool *lanes)
{
    for (uint32_t t = 0; t < s->mem.at.n; t++)
        if (lanes[s->mem.at.term[t].var] && (s->mem.at.term[t].var != loop || s->mem.at.term[t].stride != DIM_ONE))
            return false;
    return true;
}

/* An access of a vector loop. Addresses from data and stores that are not to consecutive elements go one by one. */
static Masking access_masking(const KStmt *s, KVar loop, const bool *lanes)
{
    bool unit = false;
    for (uint32_t t = 0; t < s->mem.at.n; t++) {
        KVar v = s->mem.at.term[t].var;
        if (lanes[v] && v != loop)
            return MASK_NEVER;
        unit |= v == loop && s->mem.at.term[t].stride == DIM_ONE;
    }
    if (s->kind == K_STORE && !unit)
        return MASK_NEVER;
    return MASK_LAST;
}

static Masking masking(const KBlock *b, KVar loop, const bool *lanes)
{
    Masking m = MASK_LAST;
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        Masking this = kern_body(b->p[i])                        ? masking(kern_body(b->p[i]), loop, lanes)
                       : s->kind == K_STORE || s->kind == K_LOAD ? access_masking(s, loop, lanes)
                                                                 : MASK_LAST;
        if (this < m)
            m = this;
    }
    return m;
}

static Masking loop_masking(const Emit *e, const KStmt *s)
{
    bool *lanes = NEWN(e->arena, bool, e->k->var.n);
    lanes[s->loop.var] = true;
    mark_lanes(&s->loop.body, lanes);
    return masking(&s->loop.body, s->loop.var, lanes);
}

static bool is_multiple(const Emit *e, Dim d, uint32_t of)
{
    for (uint32_t i = 0; i < dim_nterms(e->k->dims, d); i++)
        if (dim_term(e->k->dims, d, i)->coef % of)
            return false;
    return true;
}

static void rounds(Emit *e, const KStmt *s, LLVMValueRef from, LLVMValueRef to)
{
    CpuGen *g = &e->g;
    GenLoop l = gen_loop(g, from, to, gen_i64(g, g->lanes), NULL, 0);
    e->v = (EmitVector){.on = true, .var = s->loop.var, .first = l.i};
    emit_block(e, &s->loop.body);
    gen_loop_end(g, &l, NULL);
}

static void last_round(Emit *e, const KStmt *s, LLVMValueRef from, LLVMValueRef count)
{
    GenIf some = gen_if(&e->g, gen_icmp(&e->g, LLVMIntSGT, count, gen_i64(&e->g, 0)));
    e->v = (EmitVector){.on = true, .var = s->loop.var, .first = from, .mask = gen_first(&e->g, count), .count = count};
    e->small = true;
    emit_block(e, &s->loop.body);
    e->small = false;
    gen_end_if(&e->g, some);
}

static void single_steps(Emit *e, const KStmt *s, LLVMValueRef from, LLVMValueRef to)
{
    KStmt rest = *s;
    rest.loop.reverse = false;
    e->small = true;
    emit_plain_loop(e, &rest, from, to);
    e->small = false;
}

/* ---- several vectors at once ---- */

enum { MANY_SUMS = 4, MANY_VECTORS = 4 };

static bool is_short(Fun f)
{
    switch (f) {
    case FUN_ID:
    case FUN_NEG:
    case FUN_ADD:
    case FUN_SUB:
    case FUN_MUL:
    case FUN_WHERE: return true;
    default: return false;
    }
}

/* Whether all that depends on the lanes is in whole vectors, and made by such functions (NULL: any). */
static bool is_whole_block(const KBlock *b, KVar loop, const bool *lanes, bool (*fits)(Fun f))
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        if (kern_body(b->p[i]) && !is_whole_block(kern_body(b->p[i]), loop, lanes, fits))
            return false;
        if (s->kind == K_LET && fits && reads_lanes(s, lanes) && !fits(s->let.fun))
            return false;
        if (s->kind == K_CHECK || ((s->kind == K_LOAD || s->kind == K_STORE) && !is_whole(s, loop, lanes)))
            return false;
    }
    return true;
}

static bool is_whole_loop(const Emit *e, const KStmt *s, bool (*fits)(Fun f))
{
    bool *lanes = NEWN(e->arena, bool, e->k->var.n);
    lanes[s->loop.var] = true;
    mark_lanes(&s->loop.body, lanes);
    return is_whole_block(&s->loop.body, s->loop.var, lanes, fits);
}

/* The most that one block updates, of those inside. */
static uint32_t sums_at_once(const KBlock *b)
{
    uint32_t own = 0, most = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        uint32_t inner = kern_body(b->p[i]) ? sums_at_once(kern_body(b->p[i])) : 0;
        most = inner > most ? inner : most;
        own += b->p[i]->kind == K_UPDATE;
    }
    return own > most ? own : most;
}

enum { MANY_LONG = 3, LONG_VECTORS = 2 };

/* A few long functions without sums: their operations wait for each other, so two vectors go side by side. */
static bool has_long_chain(const Emit *e, const KStmt *s)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->loop.body.n; i++)
        n += s->loop.body.p[i]->kind == K_LET && cpu_is_long(s->loop.body.p[i]->let.fun);
    return n > 0 && n <= MANY_LONG && sums_at_once(&s->loop.body) == 0 && is_whole_loop(e, s, NULL);
}

/* Enough independent additions for none to wait; as few as that, because registers are few. */
static uint32_t vectors_at_once(const Emit *e, const KStmt *s)
{
    uint32_t sums = sums_at_once(&s->loop.body);
    if (has_long_chain(e, s))
        return LONG_VECTORS;
    if (sums == 0 || sums > MANY_SUMS || e->one_vector || !is_whole_loop(e, s, is_short))
        return 1;
    return sums == 1 ? MANY_VECTORS : 2;
}

uint32_t emit_short_sums(const Emit *e, const KStmt *s)
{
    return is_whole_loop(e, s, is_short) && loop_masking(e, s) == MASK_LAST ? sums_at_once(&s->loop.body) : 0;
}

static LLVMValueRef whole_rounds(const CpuGen *g, LLVMValueRef n)
{
    return LLVMBuildAnd(g->b, n, gen_i64(g, -(int64_t)g->lanes), "");
}

/* From `start` on; returns how far they come. */
static LLVMValueRef wide_rounds(Emit *e, const KStmt *s, LLVMValueRef start, LLVMValueRef n, uint32_t lanes)
{
    e->g.lanes = lanes;
    LLVMValueRef to = LLVMBuildAdd(e->g.b, start, whole_rounds(&e->g, n), "");
    emit_outer_updates(e, &s->loop.body, emit_start_partial);
    rounds(e, s, start, to);
    emit_outer_updates(e, &s->loop.body, narrow_partial);
    return to;
}

/* From `from` to `end`; returns how far whole vectors come, of all n. */
static LLVMValueRef narrow_rounds(Emit *e, const KStmt *s, LLVMValueRef from, LLVMValueRef start, LLVMValueRef end, bool masked)
{
    CpuGen *g = &e->g;
    LLVMValueRef n = emit_dim(e, s->loop.extent), whole = end;
    if (!is_multiple(e, s->loop.extent, g->lanes))
        whole = LLVMBuildAdd(g->b, start, whole_rounds(g, n), "");
    emit_outer_updates(e, &s->loop.body, emit_start_partial);
    rounds(e, s, from, whole);
    if (whole != end && masked)
        last_round(e, s, whole, LLVMBuildSub(g->b, end, whole, ""));
    return whole;
}

void emit_mark_defined(const KBlock *b, bool *inside)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        KVar own = s->kind == K_LOOP ? s->loop.var : s->kind == K_TASKS ? s->tasks.first : s->kind == K_STRIPS ? s->strips.first : kern_defines(s);
        if (own != K_NONE)
            inside[own] = true;
        if (kern_body(b->p[i]))
            emit_mark_defined(kern_body(b->p[i]), inside);
    }
}

/* Returns the block behind, which emit_front_close leads to. */
LLVMBasicBlockRef emit_front_open(Emit *e, const KStmt *s)
{
    gen_enter(&e->g, gen_block(&e->g, "front"));
    e->front = (EmitFront){LLVMCreateBuilderInContext(e->g.context), NEWN(e->arena, bool, e->k->var.n)};
    LLVMPositionBuilderAtEnd(e->front.b, LLVMGetInsertBlock(e->g.b));
    e->front.inside[s->loop.var] = true;
    emit_mark_defined(&s->loop.body, e->front.inside);
    LLVMBasicBlockRef then = gen_block(&e->g, "rounds");
    LLVMPositionBuilderAtEnd(e->g.b, then);
    return then;
}

void emit_front_close(Emit *e, LLVMBasicBlockRef then)
{
    LLVMBuildBr(e->front.b, then);
    LLVMDisposeBuilder(e->front.b);
    e->front.b = NULL;
}

static void all_rounds(Emit *e, const KStmt *s)
{
    CpuGen *g = &e->g;
    uint32_t width = cpu_width(g), many = vectors_at_once(e, s) * width;
    LLVMValueRef start = emit_loop_start(e, s), end = emit_loop_end(e, s, start), from = start, whole = end;
    Masking how = loop_masking(e, s);
    if (many > width)
        from = wide_rounds(e, s, start, emit_dim(e, s->loop.extent), many);
    g->lanes = width;
    if (many == width || !is_multiple(e, s->loop.extent, many))
        whole = narrow_rounds(e, s, from, start, end, how == MASK_LAST);
    emit_outer_updates(e, &s->loop.body, finish_partial);
    e->v = (EmitVector){.on = false};
    g->lanes = 1;
    if (whole != end && how == MASK_NEVER)
        single_steps(e, s, whole, end);
}

static void vector_rounds(Emit *e, const KStmt *s)
{
    LLVMBasicBlockRef then = emit_front_open(e, s);
    all_rounds(e, s);
    emit_front_close(e, then);
}

/* ---- what copies an array onto itself ---- */

static const KStmt *let_of(const KBlock *b, KVar v)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_LET && b->p[i]->let.var == v)
            return b->p[i];
    return NULL;
}

/* Whether all conditions between v and its load choose that. */
static LLVMValueRef is_loaded(Emit *e, const KBlock *b, KVar v, LLVMValueRef so_far)
{
    for (const KStmt *s = let_of(b, v); s; s = let_of(b, v)) {
        bool yes = kern_chosen_load(b, s->let.arg[1]) != NULL;
        LLVMValueRef c = emit_var(e, s->let.arg[0], false);
        so_far = LLVMBuildAnd(e->g.b, so_far, yes ? c : LLVMBuildNot(e->g.b, c, ""), "");
        v = s->let.arg[yes ? 1 : 2];
    }
    return so_far;
}

/* It stores nothing but what it loads from the same places, unless conditions from outside choose something else. */
static bool only_copies(const Emit *e, const KBlock *b)
{
    bool any = false;
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        bool copies = s->kind == K_STORE && kern_self_copy(e->k, b, s);
        bool chooses = s->kind == K_LET && s->let.fun == FUN_WHERE && !kern_defines_in(b, s->let.arg[0]);
        if (!copies && !chooses && s->kind != K_LOAD)
            return false;
        any |= copies;
    }
    return any;
}

/* Of such a loop: that all it would do is copy arrays onto themselves. */
static LLVMValueRef does_nothing(Emit *e, const KStmt *s)
{
    const KBlock *b = &s->loop.body;
    LLVMValueRef all = LLVMConstInt(gen_int1(&e->g, 1), 1, false);
    emit_set(e, s->loop.var, emit_loop_start(e, s), false);
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->p[i]->kind != K_STORE)
            continue;
        const KStmt *load = kern_self_copy(e->k, b, b->p[i]);
        LLVMValueRef same = LLVMBuildICmp(e->g.b, LLVMIntEQ, emit_address(e, load), emit_address(e, b->p[i]), "");
        all = LLVMBuildAnd(e->g.b, all, is_loaded(e, b, b->p[i]->mem.var, same), "");
    }
    return all;
}

static void vector_loop(Emit *e, const KStmt *s)
{
    bool few = vectors_at_once(e, s) == MANY_VECTORS; /* longer ones have little to gain */
    emit_as_usual(e, few ? &s->loop.body : NULL, s, vector_rounds, vector_rounds);
}

/* ---- loops whose only effect is on outputs that the caller may have left out ---- */

/* Whether all that b does is writing to *to, and that can be null; *to is K_NONE before the first write. */
static bool writes_only(const Emit *e, const KBlock *b, KBufId *to)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const KStmt *s = b->p[i];
        KBufId w = kern_written(s);
        if (kern_body(b->p[i]) && !writes_only(e, kern_body(b->p[i]), to))
            return false;
        if (s->kind == K_CHECK || (s->kind == K_UPDATE && e->var[s->acc.var].memory))
            return false;
        if (w == K_NONE)
            continue;
        if (!emit_can_be_null(e, w) || (*to != K_NONE && *to != w))
            return false;
        *to = w;
    }
    return true;
}

/* Random numbers are drawn once, at the start: short code is better than fast code. */
static bool has_random(const KBlock *b)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->p[i]->kind == K_RANDOM)
            return true;
    return false;
}

static void any_loop(Emit *e, const KStmt *s)
{
    if (s->loop.kind == K_VECTOR && e->g.vector_bytes && !e->v.on && !e->small && !has_random(&s->loop.body)) {
        GenIf needed = {NULL};
        if (only_copies(e, &s->loop.body))
            needed = gen_if(&e->g, LLVMBuildNot(e->g.b, does_nothing(e, s), ""));
        vector_loop(e, s);
        if (needed.done)
            gen_end_if(&e->g, needed);
    } else if (!emit_rows(e, s)) {
        emit_one_by_one(e, s);
    }
}

void emit_either(Emit *e, LLVMValueRef cond, const KStmt *s, void (*yes)(Emit *e, const KStmt *s), void (*no)(Emit *e, const KStmt *s))
{
    GenElse i = gen_if_else(&e->g, cond);
    yes(e, s);
    gen_else(&e->g, i);
    no(e, s);
    gen_end_else(&e->g, i);
}

/* In the lanes of either loop. */
static void either_loop(Emit *e, const KStmt *s)
{
    LLVMValueRef across = emit_is_across(e, s);
    if (across)
        emit_either(e, across, s, vector_rounds, any_loop);
    else
        any_loop(e, s);
}

void emit_loop(Emit *e, const KStmt *s)
{
    KBufId to = K_NONE;
    if (e->thread && e->thread[s->loop.var]) {
        emit_set(e, s->loop.var, LLVMBuildNSWAdd(e->g.b, emit_loop_start(e, s), e->thread[s->loop.var], ""), false);
        emit_block(e, &s->loop.body);
        return;
    }
    if (!writes_only(e, &s->loop.body, &to) || to == K_NONE) {
        either_loop(e, s);
        return;
    }
    GenIf given = gen_if(&e->g, LLVMBuildIsNotNull(e->g.b, emit_buf(e, to), ""));
    e->given_buf[to] = true;
    either_loop(e, s);
    e->given_buf[to] = false;
    gen_end_if(&e->g, given);
}
