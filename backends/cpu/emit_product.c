/* Products on the caller's threads. One task function in the module serves all of them: it takes a piece of the rows or
 * columns and calls the product's function, which stands among its words with everything that it takes:
 *
 *   n, piece, function, its parameters, then by how many bytes a, b and c move from one row or column to the next
 *
 * Where n or m is to be the length of the piece, it is -1. */
#include "backends/cpu/emit.h"

typedef LLVMValueRef V;

enum { WORD_N, WORD_PIECE, WORD_FUNCTION, WORD_PARAM, WORD_MOVE = WORD_PARAM + GEMM_NPARAM, NWORD = WORD_MOVE + 3 };
enum { PARAM_M, PARAM_N, PARAM_K, PARAM_A, PARAM_B = 6, PARAM_C = 9 };
enum { GRAIN = 64 }; /* rows or columns that a piece has at least: B is packed, or read, again by each */
static const int array_param[3] = {PARAM_A, PARAM_B, PARAM_C};

/* ---- the task ---- */

static V moved(const CpuGen *g, V words, int array, V p, V first)
{
    V move = emit_load_word(g, gen_int1(g, 64), words, WORD_MOVE + (uint32_t)array);
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
    V n = emit_load_word(g, i64, words, WORD_N), piece = emit_load_word(g, i64, words, WORD_PIECE);
    V first = LLVMBuildMul(g->b, LLVMGetParam(fn, 1), piece, ""), left = LLVMBuildSub(g->b, n, first, "");
    V length = gen_select(g, gen_icmp(g, LLVMIntSLT, piece, left), piece, left);
    LLVMGetParamTypes(cpu_gemm_type(g), type);
    for (uint32_t i = 0; i < GEMM_NPARAM; i++)
        param[i] = emit_load_word(g, type[i], words, WORD_PARAM + i);
    param[PARAM_M] = length_or(g, length, param[PARAM_M]);
    param[PARAM_N] = length_or(g, length, param[PARAM_N]);
    for (int i = 0; i < 3; i++)
        param[array_param[i]] = moved(g, words, i, param[array_param[i]], first);
    V product = emit_load_word(g, gen_ptr(g), words, WORD_FUNCTION);
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

/* In floating point, where nothing overflows. */
static V work_of(const CpuGen *g, const GemmCall *call)
{
    LLVMTypeRef real = LLVMDoubleTypeInContext(g->context);
    V work = LLVMBuildSIToFP(g->b, call->param[PARAM_M], real, "");
    work = gen_mul(g, work, LLVMBuildSIToFP(g->b, call->param[PARAM_N], real, ""));
    return gen_mul(g, work, LLVMBuildSIToFP(g->b, call->param[PARAM_K], real, ""));
}

static V in_bytes(const Emit *e, V elements)
{
    return LLVMBuildMul(e->g.b, elements, gen_i64(&e->g, emit_bytes(e, DT_REAL)), "");
}

static V store_words(Emit *e, const EmitShare *share, const GemmCall *call, V rows)
{
    CpuGen g = emit_gen(e, false);
    V words = emit_entry_memory(e, LLVMArrayType2(gen_int1(&g, 64), NWORD)), value[NWORD];
    V none = gen_i64(&g, 0), all = gen_i64(&g, -1);
    value[WORD_N] = share->n;
    value[WORD_PIECE] = share->piece;
    value[WORD_FUNCTION] = call->fn;
    memcpy(value + WORD_PARAM, call->param, sizeof call->param);
    value[WORD_PARAM + PARAM_M] = gen_select(&g, rows, all, call->param[PARAM_M]);
    value[WORD_PARAM + PARAM_N] = gen_select(&g, rows, call->param[PARAM_N], all);
    value[WORD_MOVE] = gen_select(&g, rows, in_bytes(e, call->param[PARAM_A + 1]), none);
    value[WORD_MOVE + 1] = gen_select(&g, rows, none, in_bytes(e, call->param[PARAM_B + 2]));
    value[WORD_MOVE + 2] = in_bytes(e, gen_select(&g, rows, call->param[PARAM_C + 1], call->param[PARAM_C + 2]));
    for (uint32_t i = 0; i < NWORD; i++)
        LLVMBuildStore(g.b, value[i], emit_word(&g, words, i));
    return words;
}

/* Along the longer of rows and columns. */
void emit_product(Emit *e, GemmCall *call, uint32_t least)
{
    CpuGen g = emit_gen(e, false), entry = g;
    entry.b = e->entry;
    V m = call->param[PARAM_M], n = call->param[PARAM_N], rows = gen_icmp(&entry, LLVMIntSGE, m, n);
    EmitShare share = emit_share(e, gen_select(&entry, rows, m, n), GRAIN, work_of(&entry, call), least);
    GenElse branch = gen_if_else(&g, share.threads);
    emit_ask(e, &share, task_function(e), store_words(e, &share, call, rows));
    gen_else(&g, branch);
    LLVMBuildCall2(g.b, cpu_gemm_type(&g), call->fn, call->param, GEMM_NPARAM, "");
    gen_end_else(&g, branch);
}
