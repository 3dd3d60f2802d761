/* Tasks that are one product: they need no function of their own. One for all of them, in the module, takes a piece of the
 * rows or columns and calls the product's function, which stands among its words with everything that it takes:
 *
 *   n, piece, function, its parameters, then by how many bytes a, b and c move from one row or column to the next
 *
 * Where n or m is to be the length of the piece, it is -1. */
#include "backends/cpu/emit.h"

typedef LLVMValueRef V;

enum { WORD_N, WORD_PIECE, WORD_FUNCTION, WORD_PARAM, WORD_MOVE = WORD_PARAM + GEMM_NPARAM, NWORD = WORD_MOVE + 3 };
enum { PARAM_M = 0, PARAM_N = 1, PARAM_A = 3, PARAM_B = 6, PARAM_C = 9, PARAM_ADD = 12 };
static const int array_param[3] = {PARAM_A, PARAM_B, PARAM_C};

static V word(const CpuGen *g, V words, uint32_t i)
{
    return gen_at(g, gen_int1(g, 64), words, gen_i64(g, i));
}

static V load_word(const CpuGen *g, LLVMTypeRef type, V words, uint32_t i)
{
    return LLVMBuildLoad2(g->b, type, word(g, words, i), "");
}

/* ---- the task ---- */

static V moved(const CpuGen *g, V words, int array, V p, V first)
{
    V move = load_word(g, gen_int1(g, 64), words, WORD_MOVE + (uint32_t)array);
    return gen_at(g, gen_int1(g, 8), p, LLVMBuildMul(g->b, move, first, ""));
}

static V length_or(const CpuGen *g, V length, V size)
{
    return gen_select(g, gen_icmp(g, LLVMIntSLT, size, gen_i64(g, 0)), length, size);
}

static void make_task(const CpuGen *g, V fn)
{
    LLVMTypeRef i64 = gen_int1(g, 64), type[GEMM_NPARAM];
    V words = LLVMGetParam(fn, 0), param[GEMM_NPARAM];
    V n = load_word(g, i64, words, WORD_N), piece = load_word(g, i64, words, WORD_PIECE);
    V first = LLVMBuildMul(g->b, LLVMGetParam(fn, 1), piece, ""), left = LLVMBuildSub(g->b, n, first, "");
    V length = gen_select(g, gen_icmp(g, LLVMIntSLT, piece, left), piece, left);
    LLVMGetParamTypes(cpu_gemm_type(g), type);
    for (uint32_t i = 0; i < GEMM_NPARAM; i++)
        param[i] = load_word(g, type[i], words, WORD_PARAM + i);
    param[PARAM_M] = length_or(g, length, param[PARAM_M]);
    param[PARAM_N] = length_or(g, length, param[PARAM_N]);
    for (int i = 0; i < 3; i++)
        param[array_param[i]] = moved(g, words, i, param[array_param[i]], first);
    V product = load_word(g, gen_ptr(g), words, WORD_FUNCTION);
    LLVMBuildCall2(g->b, cpu_gemm_type(g), product, param, GEMM_NPARAM, "");
    LLVMBuildRetVoid(g->b);
}

/* It does next to nothing itself, so it is the same for all levels. */
static V task_function(const Emit *e)
{
    CpuGen g = emit_gen(e, false);
    V fn = LLVMGetNamedFunction(g.module, "gemm.task");
    if (fn)
        return fn;
    fn = LLVMAddFunction(g.module, "gemm.task", emit_task_type(&g));
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cpu_set_target(g.context, fn, CPU_BASELINE);
    g.b = LLVMCreateBuilderInContext(g.context);
    LLVMPositionBuilderAtEnd(g.b, LLVMAppendBasicBlockInContext(g.context, fn, "entry"));
    make_task(&g, fn);
    LLVMDisposeBuilder(g.b);
    return fn;
}

/* ---- asking for threads ---- */

static bool by_rows(const Emit *e, const KStmt *s)
{
    DimSym m;
    return dim_is_sym(e->k->dims, s->tasks.body.p[0]->gemm.m, &m) && m == s->tasks.part;
}

static bool by_columns(const Emit *e, const KStmt *s)
{
    DimSym n;
    return dim_is_sym(e->k->dims, s->tasks.body.p[0]->gemm.n, &n) && n == s->tasks.part;
}

bool emit_is_product(const Emit *e, const KStmt *s)
{
    return s->tasks.body.n == 1 && s->tasks.body.p[0]->kind == K_GEMM && (by_rows(e, s) || by_columns(e, s));
}

/* The product that the tasks make together: the piece begins at 0 and is everything. */
static GemmCall whole(Emit *e, const KStmt *s)
{
    KStmt all = *s->tasks.body.p[0];
    CpuGen g = emit_gen(e, false);
    *(by_rows(e, s) ? &all.gemm.m : &all.gemm.n) = s->tasks.extent;
    emit_set(e, s->tasks.first, gen_i64(&g, 0), false);
    GemmArg arg = emit_gemm_arg(e, &all);
    return cpu_gemm_call(&g, &arg, all.gemm.add);
}

static V in_bytes(const Emit *e, V elements)
{
    return LLVMBuildMul(e->g.b, elements, gen_i64(&e->g, emit_bytes(e, DT_REAL)), "");
}

static V store_words(Emit *e, const EmitShare *share, const GemmCall *call, bool rows)
{
    CpuGen g = emit_gen(e, false);
    V words = emit_entry_memory(e, LLVMArrayType2(gen_int1(&g, 64), NWORD)), value[NWORD], none = gen_i64(&g, 0);
    value[WORD_N] = share->n;
    value[WORD_PIECE] = share->piece;
    value[WORD_FUNCTION] = call->fn;
    memcpy(value + WORD_PARAM, call->param, sizeof call->param);
    value[WORD_PARAM + (rows ? PARAM_M : PARAM_N)] = gen_i64(&g, -1);
    value[WORD_MOVE] = rows ? in_bytes(e, call->param[PARAM_A + 1]) : none;
    value[WORD_MOVE + 1] = rows ? none : in_bytes(e, call->param[PARAM_B + 2]);
    value[WORD_MOVE + 2] = in_bytes(e, call->param[rows ? PARAM_C + 1 : PARAM_C + 2]);
    for (uint32_t i = 0; i < NWORD; i++)
        LLVMBuildStore(g.b, value[i], word(&g, words, i));
    return words;
}

void emit_product(Emit *e, const KStmt *s)
{
    GenIf given = {NULL};
    CpuGen g = emit_gen(e, false);
    KBufId to = s->tasks.body.p[0]->gemm.c.buf;
    EmitShare share = emit_share(e, s);
    if (emit_can_be_null(e, to))
        given = emit_if_given(e, to);
    GemmCall call = whole(e, s);
    GenElse branch = gen_if_else(&g, share.threads);
    emit_ask(e, &share, task_function(e), store_words(e, &share, &call, by_rows(e, s) != call.transposed));
    gen_else(&g, branch);
    LLVMBuildCall2(g.b, cpu_gemm_type(&g), call.fn, call.param, GEMM_NPARAM, "");
    gen_end_else(&g, branch);
    if (given.done)
        gen_end_if(&g, given);
}
