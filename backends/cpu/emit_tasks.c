/* Tasks: their body becomes a function of its own, which the caller's threads run for pieces of the range.
 *
 * The kernel and its tasks share an array of words in the frame of the function that asks for them:
 *
 *     dims, bufs, parallel, context, n, piece, trouble, then what the body uses of the function around
 *
 * A function that asks the caller for threads passes on no `parallel`, so tasks inside of tasks run where they are.
 * Without threads, or when the work is not worth them, the body runs at once, with all of the range for its piece. */
#include "backends/cpu/emit.h"
#include "backends/backend.h"

typedef LLVMValueRef V;

enum { PIECES = 8 }; /* of a range, at most */

typedef enum Word { WORD_DIMS, WORD_BUFS, WORD_PARALLEL, WORD_CONTEXT, WORD_N, WORD_PIECE, WORD_TROUBLE, NWORD } Word;

enum { CALL_PARALLEL = 3, CALL_CONTEXT = 4 }; /* members of rnn_call, 8 bytes each */

/* What a K_CHECK in tasks found. */
enum { TROUBLE_INDEX = 1, TROUBLE_LEAVE = 2 };

/* A value of the function around that the body uses. */
typedef struct Passed {
    bool part; /* a DimSym, else a KVar */
    uint32_t id;
} Passed;

typedef struct EmitTask {
    V words;
    VEC(Passed) passed;
} EmitTask;

/* ---- words ---- */

V emit_word(const CpuGen *g, V words, uint32_t i)
{
    return gen_at(g, gen_int1(g, 64), words, gen_i64(g, i));
}

V emit_load_word(const CpuGen *g, LLVMTypeRef type, V words, uint32_t i)
{
    return LLVMBuildLoad2(g->b, type, emit_word(g, words, i), "");
}

static void store_word(const CpuGen *g, V value, V words, uint32_t i)
{
    LLVMBuildStore(g->b, value, emit_word(g, words, i));
}

static CpuGen at_entry(const Emit *e)
{
    CpuGen g = emit_gen(e, false);
    g.b = e->entry;
    return g;
}

static V passed(Emit *e, Passed p, LLVMTypeRef type)
{
    CpuGen g = at_entry(e);
    vec_push(e->arena, &e->task->passed, p);
    return emit_load_word(&g, type, e->task->words, NWORD + e->task->passed.n - 1);
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
    e->parallel = emit_load_word(&g, gen_ptr(&g), call, CALL_PARALLEL);
    e->context = emit_load_word(&g, gen_ptr(&g), call, CALL_CONTEXT);
    e->trouble = emit_entry_memory(e, gen_int1(&g, 8));
    LLVMBuildStore(g.b, LLVMConstNull(gen_int1(&g, 8)), e->trouble);
}

/* ---- the function of a task ---- */

LLVMTypeRef emit_task_type(const CpuGen *g)
{
    return LLVMFunctionType(LLVMVoidTypeInContext(g->context), (LLVMTypeRef[]){gen_ptr(g), gen_int1(g, 64)}, 2, false);
}

static V smaller(const CpuGen *g, V a, V b)
{
    return gen_select(g, gen_icmp(g, LLVMIntSLT, a, b), a, b);
}

static V larger(const CpuGen *g, V a, V b)
{
    return gen_select(g, gen_icmp(g, LLVMIntSGT, a, b), a, b);
}

/* The piece that belongs to the number of the task. */
static void take_piece(Emit *e, const KStmt *s, V number)
{
    CpuGen g = at_entry(e);
    LLVMTypeRef i64 = gen_int1(&g, 64);
    V words = e->task->words, n = emit_load_word(&g, i64, words, WORD_N), piece = emit_load_word(&g, i64, words, WORD_PIECE);
    V first = LLVMBuildNSWMul(g.b, number, piece, "");
    emit_set(e, s->tasks.first, first, false);
    e->sym[s->tasks.part] = smaller(&g, piece, LLVMBuildNSWSub(g.b, n, first, ""));
}

static void take_words(Emit *e)
{
    CpuGen g = at_entry(e);
    V words = e->task->words;
    LLVMTypeRef ptr = gen_ptr(&g);
    e->dims = emit_load_word(&g, ptr, words, WORD_DIMS);
    e->bufs = emit_load_word(&g, ptr, words, WORD_BUFS);
    e->parallel = emit_load_word(&g, ptr, words, WORD_PARALLEL);
    e->context = emit_load_word(&g, ptr, words, WORD_CONTEXT);
    e->trouble = emit_load_word(&g, ptr, words, WORD_TROUBLE);
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

/* Whether it has checks. */
static bool make_function(const Emit *outer, EmitTask *t, const KStmt *s, V fn)
{
    CpuGen g = emit_gen(outer, false);
    g.b = LLVMCreateBuilderInContext(g.context);
    Emit e = emit_open(&g, outer->arena, outer->k, outer->which, fn);
    e.task = t;
    e.scope_of = outer->scope_of;
    e.not_scope = outer->not_scope;
    e.given_buf = outer->given_buf;
    t->words = LLVMGetParam(fn, 0);
    take_words(&e);
    take_piece(&e, s, LLVMGetParam(fn, 1));
    bool checks = emit_start_checks(&e, &s->tasks.body);
    emit_block(&e, &s->tasks.body);
    finish(&e);
    LLVMDisposeBuilder(g.b);
    return checks;
}

static V new_function(const Emit *e)
{
    Str name = str_fmt(e->arena, "%s.task", LLVMGetValueName(e->fn));
    V fn = LLVMAddFunction(e->g.module, str_c(e->arena, name), emit_task_type(&e->g));
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cpu_set_target(e->g.context, fn, e->g.level);
    return fn;
}

/* ---- asking for threads ---- */

/* In floating point, where nothing overflows. */
static V work_of(Emit *e, Dim d)
{
    CpuGen g = at_entry(e);
    LLVMTypeRef real = LLVMDoubleTypeInContext(g.context);
    V sum = LLVMConstReal(real, 0);
    for (uint32_t i = 0; i < dim_nterms(e->k->dims, d); i++) {
        const DimTerm *t = dim_term(e->k->dims, d, i);
        V product = LLVMConstReal(real, (double)t->coef);
        for (uint32_t k = 0; k < t->nsym; k++) {
            V size = emit_dim(e, dim_of(e->k->dims, t->sym[k]));
            product = gen_mul(&g, product, LLVMBuildSIToFP(g.b, size, real, ""));
        }
        sum = gen_add(&g, sum, product);
    }
    return sum;
}

static V round_up(const CpuGen *g, V n, int64_t to)
{
    V pieces = LLVMBuildUDiv(g->b, LLVMBuildAdd(g->b, n, gen_i64(g, to - 1), ""), gen_i64(g, to), "");
    return LLVMBuildMul(g->b, pieces, gen_i64(g, to), "");
}

/* How long a piece is: from the sizes alone, whatever threads there are. */
static V piece_of(const CpuGen *g, V n, uint32_t grain)
{
    V share = LLVMBuildUDiv(g->b, LLVMBuildAdd(g->b, n, gen_i64(g, PIECES - 1), ""), gen_i64(g, PIECES), "");
    return round_up(g, larger(g, share, gen_i64(g, 1)), grain);
}

EmitShare emit_share(Emit *e, V n, uint32_t grain, V work, uint32_t least)
{
    CpuGen g = at_entry(e);
    V piece = piece_of(&g, n, grain), there = LLVMBuildIsNotNull(g.b, e->parallel, "");
    V enough = gen_fcmp(&g, LLVMRealOGE, work, LLVMConstReal(LLVMTypeOf(work), least));
    V many = LLVMBuildAnd(g.b, enough, gen_icmp(&g, LLVMIntSGT, n, piece), "");
    return (EmitShare){n, piece, LLVMBuildAnd(g.b, many, there, "")};
}

static V store_words(Emit *e, const EmitTask *t, const EmitShare *share)
{
    CpuGen g = emit_gen(e, false);
    V words = emit_entry_memory(e, LLVMArrayType2(gen_int1(&g, 64), NWORD + t->passed.n));
    store_word(&g, e->dims, words, WORD_DIMS);
    store_word(&g, e->bufs, words, WORD_BUFS);
    store_word(&g, gen_select(&g, share->threads, LLVMConstNull(gen_ptr(&g)), e->parallel), words, WORD_PARALLEL);
    store_word(&g, e->context, words, WORD_CONTEXT);
    store_word(&g, share->n, words, WORD_N);
    store_word(&g, gen_select(&g, share->threads, share->piece, share->n), words, WORD_PIECE);
    store_word(&g, e->trouble, words, WORD_TROUBLE);
    for (uint32_t i = 0; i < t->passed.n; i++)
        store_word(&g, value_around(e, t->passed.p[i]), words, NWORD + i);
    return words;
}

void emit_ask(Emit *e, const EmitShare *share, V task, V words)
{
    CpuGen g = emit_gen(e, false);
    LLVMTypeRef ptr = gen_ptr(&g), param[] = {ptr, gen_int1(&g, 64), ptr, ptr};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(g.context), param, 4, false);
    V last = LLVMBuildSub(g.b, LLVMBuildAdd(g.b, share->n, share->piece, ""), gen_i64(&g, 1), "");
    V count = LLVMBuildUDiv(g.b, last, share->piece, "");
    LLVMBuildCall2(g.b, type, e->parallel, (V[]){e->context, count, task, words}, 4, "");
}

static void run_alone(Emit *e, V task, V words)
{
    CpuGen g = emit_gen(e, false);
    LLVMBuildCall2(g.b, emit_task_type(&g), task, (V[]){words, gen_i64(&g, 0)}, 2, "");
}

void emit_tasks(Emit *e, const KStmt *s)
{
    CpuGen g = emit_gen(e, false);
    EmitTask t = {0};
    V task = new_function(e), n = emit_dim(e, s->tasks.extent);
    EmitShare share = emit_share(e, n, s->tasks.grain, work_of(e, s->tasks.work), s->tasks.least);
    bool checks = make_function(e, &t, s, task);
    V words = store_words(e, &t, &share);
    GenElse branch = gen_if_else(&g, share.threads);
    emit_ask(e, &share, task, words);
    gen_else(&g, branch);
    run_alone(e, task, words);
    gen_end_else(&g, branch);
    if (checks)
        take_trouble(e);
}
