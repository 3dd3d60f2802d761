/* Tasks: their body becomes a function of its own, which the caller's threads run for pieces of the range; share.c asks
 * for them. A task that is one of several sees no threads, so tasks inside of it run where they are. */
#include "backends/cpu/emit.h"
#include "backends/backend.h"

typedef LLVMValueRef V;

enum { CALL_PARALLEL = 3, CALL_CONTEXT = 4 }; /* members of rnn_call, 8 bytes each */

/* What a K_CHECK in tasks found. */
enum { TROUBLE_INDEX = 1, TROUBLE_LEAVE = 2 };

/* A value of the function around that the body uses. */
typedef struct Passed {
    bool part; /* a DimSym, else a KVar */
    uint32_t id;
} Passed;

typedef VEC(LLVMValueRef) EmitRecord;

typedef struct EmitTask {
    V words;
    VEC(Passed) passed;
} EmitTask;

/* ---- what the function around has ---- */

static CpuGen at_entry(const Emit *e)
{
    CpuGen g = emit_gen(e, false);
    g.b = e->entry;
    return g;
}

static V passed(Emit *e, Passed p, LLVMTypeRef type)
{
    CpuGen g = at_entry(e);
    uint32_t i = 0;
    while (i < e->task->passed.n && (e->task->passed.p[i].part != p.part || e->task->passed.p[i].id != p.id))
        i++;
    if (i == e->task->passed.n)
        vec_push(e->arena, &e->task->passed, p);
    return cpu_load_word(&g, type, e->task->words, TASK_NWORD + i);
}

V emit_outer_var(Emit *e, KVar v)
{
    CpuGen g = at_entry(e);
    bool loop = e->k->var.p[v].loop;
    return passed(e, (Passed){false, v}, loop ? gen_int1(&g, 64) : gen_type(&g, emit_dtype(e, v)));
}

V emit_outer_part(Emit *e, DimSym s)
{
    if (!e->task)
        ice("cpu: a size depends on tasks that are not around");
    return passed(e, (Passed){true, s}, gen_int1(&e->g, 64));
}

static V value_around(Emit *e, Passed p)
{
    if (p.part)
        return emit_dim(e, dim_of(e->k->dims, p.id));
    emit_known(e, p.id);
    return e->k->var.p[p.id].loop ? e->var[p.id].value : emit_var(e, p.id, false);
}

/* ---- indices out of range ---- */

static void report(Emit *e, int what)
{
    V bits = LLVMConstInt(gen_int1(&e->g, 8), (unsigned)what, false);
    LLVMBuildAtomicRMW(e->g.b, LLVMAtomicRMWBinOpOr, e->trouble, bits, LLVMAtomicOrderingMonotonic, false);
}

void emit_leave(Emit *e)
{
    if (e->nothing) {
        LLVMBuildStore(e->g.b, LLVMConstInt(gen_int1(&e->g, 1), 1, false), e->failed);
        LLVMBuildBr(e->g.b, e->nothing);
        return;
    }
    if (!e->task) {
        LLVMBuildRet(e->g.b, LLVMConstInt(gen_int1(&e->g, 32), RNN_INDEX, false));
        return;
    }
    report(e, TROUBLE_INDEX | TROUBLE_LEAVE);
    LLVMBuildRetVoid(e->g.b);
}

static V has_bit(const CpuGen *g, V bits, int bit)
{
    LLVMTypeRef type = LLVMTypeOf(bits);
    V one = LLVMBuildAnd(g->b, bits, LLVMConstInt(type, (unsigned)bit, false), "");
    return gen_icmp(g, LLVMIntNE, one, LLVMConstNull(type));
}

/* Behind tasks with checks. */
static void take_trouble(Emit *e)
{
    CpuGen g = emit_gen(e, false);
    V found = LLVMBuildLoad2(g.b, gen_int1(&g, 8), e->trouble, "");
    LLVMSetOrdering(found, LLVMAtomicOrderingMonotonic);
    LLVMSetAlignment(found, 1);
    LLVMBuildStore(g.b, LLVMBuildOr(g.b, emit_failed(e), has_bit(&g, found, TROUBLE_INDEX), ""), e->failed);
    GenIf leave = gen_if(&g, has_bit(&g, found, TROUBLE_LEAVE));
    emit_leave(e);
    LLVMPositionBuilderAtEnd(g.b, leave.done);
}

void emit_task_args(Emit *e, V call)
{
    CpuGen g = at_entry(e);
    e->parallel = cpu_load_word(&g, gen_ptr(&g), call, CALL_PARALLEL);
    e->context = cpu_load_word(&g, gen_ptr(&g), call, CALL_CONTEXT);
    e->trouble = emit_entry_memory(e, gen_int1(&g, 8));
    LLVMBuildStore(g.b, LLVMConstNull(gen_int1(&g, 8)), e->trouble);
    e->frame = emit_entry_memory(e, LLVMArrayType2(gen_int1(&g, 64), FRAME_NWORD));
    cpu_store_word(&g, e->dims, e->frame, FRAME_DIMS);
    cpu_store_word(&g, e->bufs, e->frame, FRAME_BUFS);
    cpu_store_word(&g, e->context, e->frame, FRAME_CONTEXT);
    cpu_store_word(&g, e->trouble, e->frame, FRAME_TROUBLE);
}

/* ---- the function of a task ---- */

static V smaller(const CpuGen *g, V a, V b)
{
    return gen_select(g, gen_icmp(g, LLVMIntSLT, a, b), a, b);
}

/* The piece that belongs to the number of the task. */
static void take_piece(Emit *e, const KStmt *s, V number)
{
    CpuGen g = at_entry(e);
    LLVMTypeRef i64 = gen_int1(&g, 64);
    V words = e->task->words, n = cpu_load_word(&g, i64, words, TASK_N), piece = cpu_load_word(&g, i64, words, TASK_PIECE);
    V first = LLVMBuildNSWMul(g.b, number, piece, "");
    emit_set(e, s->tasks.first, first, false);
    e->near.sym[s->tasks.part] = smaller(&g, piece, LLVMBuildNSWSub(g.b, n, first, ""));
}

static void take_words(Emit *e)
{
    CpuGen g = at_entry(e);
    V words = e->task->words;
    LLVMTypeRef ptr = gen_ptr(&g);
    e->frame = cpu_load_word(&g, ptr, words, TASK_FRAME);
    e->parallel = cpu_load_word(&g, ptr, words, TASK_PARALLEL);
    e->dims = cpu_load_word(&g, ptr, e->frame, FRAME_DIMS);
    e->bufs = cpu_load_word(&g, ptr, e->frame, FRAME_BUFS);
    e->context = cpu_load_word(&g, ptr, e->frame, FRAME_CONTEXT);
    e->trouble = cpu_load_word(&g, ptr, e->frame, FRAME_TROUBLE);
}

static void finish(Emit *e)
{
    if (e->failed) {
        GenIf bad = gen_if(&e->g, emit_failed(e));
        report(e, TROUBLE_INDEX);
        gen_end_if(&e->g, bad);
    }
    LLVMBuildRetVoid(e->g.b);
    emit_close(e);
}

/* Constants need not be passed, and what is constant is simplified in the task, too. */
static void take_constants(Emit *e, const Emit *outer)
{
    for (KVar v = 0; v < e->k->var.n; v++)
        if (outer->var[v].value && LLVMIsConstant(outer->var[v].value))
            e->var[v] = outer->var[v];
}

/* Whether it has checks. */
static bool make_function(const Emit *outer, EmitTask *t, const KStmt *s, V fn)
{
    CpuGen g = emit_gen(outer, false);
    g.b = LLVMCreateBuilderInContext(g.context);
    Emit e = emit_open(&g, outer->arena, outer->k, outer->which, fn);
    e.task = t;
    e.scope_of = outer->scope_of;
    e.not_scope = outer->not_scope;
    e.scope = outer->scope;
    e.given_buf = outer->given_buf;
    e.product = outer->product;
    e.in_steps = outer->in_steps;
    t->words = LLVMGetParam(fn, 0);
    take_constants(&e, outer);
    take_words(&e);
    take_piece(&e, s, LLVMGetParam(fn, 1));
    bool checks = emit_start_checks(&e, &s->tasks.body);
    emit_body(&e, &s->tasks.body);
    finish(&e);
    LLVMDisposeBuilder(g.b);
    return checks;
}

static V new_function(const Emit *e)
{
    Str name = str_fmt(e->arena, "%s.task", LLVMGetValueName(e->fn));
    V fn = LLVMAddFunction(e->g.module, str_c(e->arena, name), cpu_task_type(&e->g));
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cpu_set_target(e->g.context, fn, e->g.level);
    return fn;
}

/* ---- asking for threads ---- */

static void put_word(Emit *e, EmitRecord *r, int64_t n)
{
    vec_push(e->arena, r, gen_i64(&e->g, n));
}

/* A constant for share.c. */
static V record_of(Emit *e, const KStmt *s)
{
    EmitRecord r = {0};
    const DimTab *dims = e->k->dims;
    put_word(e, &r, s->tasks.grain);
    put_word(e, &r, s->tasks.least);
    put_word(e, &r, s->tasks.part);
    put_word(e, &r, dim_nterms(dims, s->tasks.work));
    for (uint32_t i = 0; i < dim_nterms(dims, s->tasks.work); i++) {
        const DimTerm *t = dim_term(dims, s->tasks.work, i);
        put_word(e, &r, t->coef);
        put_word(e, &r, t->nsym);
        for (uint32_t k = 0; k < t->nsym; k++)
            put_word(e, &r, t->sym[k]);
    }
    V value = LLVMConstArray2(gen_int1(&e->g, 64), r.p, r.n), record = LLVMAddGlobal(e->g.module, LLVMTypeOf(value), "record");
    LLVMSetInitializer(record, value);
    LLVMSetGlobalConstant(record, true);
    LLVMSetLinkage(record, LLVMPrivateLinkage);
    return record;
}

static V store_passed(Emit *e, const EmitTask *t)
{
    CpuGen g = emit_gen(e, false);
    V words = emit_entry_memory(e, LLVMArrayType2(gen_int1(&g, 64), TASK_NWORD + t->passed.n));
    for (uint32_t i = 0; i < t->passed.n; i++)
        cpu_store_word(&g, value_around(e, t->passed.p[i]), words, TASK_NWORD + i);
    return words;
}

void emit_tasks(Emit *e, const KStmt *s)
{
    CpuGen g = emit_gen(e, false);
    EmitTask t = {0};
    V task = new_function(e), run = cpu_share_function(&g);
    bool checks = make_function(e, &t, s, task);
    V arg[] = {store_passed(e, &t), e->frame, e->parallel, task, emit_dim(e, s->tasks.extent), record_of(e, s)};
    LLVMBuildCall2(g.b, LLVMGlobalGetValueType(run), run, arg, 6, "");
    if (checks)
        take_trouble(e);
}
