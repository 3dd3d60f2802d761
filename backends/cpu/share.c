/* Whether work is worth the caller's threads, and asking for them. Both functions here are the same for every model and
 * level, so they are ready code, and the kernel only says what it has:
 *
 *     void tasks.run(ptr words, ptr frame, ptr parallel, ptr task, i64 n, ptr record)
 *     void gemm.run(ptr function, ptr parallel, ptr context, i64 least, the function's parameters)
 *
 * A range of n is cut into pieces of one length, which follows from sizes alone, whatever threads there are. Without
 * threads, or when the work is not worth them, one piece is everything, and runs at once.
 *
 * A product is cut along the longer of its rows and columns. Its task finds among its words:
 *
 *     n, piece, function, its parameters, then by how many bytes a, b and c move from one row or column to the next
 *
 * Where n or m is to be the length of the piece, it is -1. */
#include "backends/cpu/build.h"

typedef LLVMValueRef V;

enum { PIECES = 8 }; /* of a range, at most */
enum { GRAIN = 64 }; /* rows or columns that a piece has at least: B is packed, or read, again by each */
enum { WORD_N, WORD_PIECE, WORD_FUNCTION, WORD_PARAM, WORD_MOVE = WORD_PARAM + GEMM_NPARAM, NWORD = WORD_MOVE + 3 };

/* ---- words ---- */

V cpu_word(const CpuGen *g, V words, uint32_t i)
{
    return gen_at(g, gen_int1(g, 64), words, gen_i64(g, i));
}

V cpu_load_word(const CpuGen *g, LLVMTypeRef type, V words, uint32_t i)
{
    return LLVMBuildLoad2(g->b, type, cpu_word(g, words, i), "");
}

void cpu_store_word(const CpuGen *g, V value, V words, uint32_t i)
{
    LLVMBuildStore(g->b, value, cpu_word(g, words, i));
}

/* ---- types ---- */

LLVMTypeRef cpu_task_type(const CpuGen *g)
{
    return LLVMFunctionType(LLVMVoidTypeInContext(g->context), (LLVMTypeRef[]){gen_ptr(g), gen_int1(g, 64)}, 2, false);
}

static LLVMTypeRef share_type(const CpuGen *g)
{
    LLVMTypeRef ptr = gen_ptr(g), param[] = {ptr, ptr, ptr, ptr, gen_int1(g, 64), ptr};
    return LLVMFunctionType(LLVMVoidTypeInContext(g->context), param, 6, false);
}

enum { OWN_PARAMS = 4 }; /* of gemm.run, in front of the product's */

static LLVMTypeRef product_type(const CpuGen *g)
{
    LLVMTypeRef ptr = gen_ptr(g), param[OWN_PARAMS + GEMM_NPARAM] = {ptr, ptr, ptr, gen_int1(g, 64)};
    LLVMGetParamTypes(cpu_gemm_type(g), param + OWN_PARAMS);
    return LLVMFunctionType(LLVMVoidTypeInContext(g->context), param, OWN_PARAMS + GEMM_NPARAM, false);
}

/* ---- pieces ---- */

static V smaller(const CpuGen *g, V a, V b)
{
    return gen_select(g, gen_icmp(g, LLVMIntSLT, a, b), a, b);
}

static V larger(const CpuGen *g, V a, V b)
{
    return gen_select(g, gen_icmp(g, LLVMIntSGT, a, b), a, b);
}

static V pieces_of(const CpuGen *g, V n, V piece)
{
    V last = LLVMBuildSub(g->b, LLVMBuildAdd(g->b, n, piece, ""), gen_i64(g, 1), "");
    return LLVMBuildUDiv(g->b, last, piece, "");
}

/* A multiple of the grain; of half the grain where n has room for one piece only, since two threads gain more than short pieces lose. */
static V piece_of(const CpuGen *g, V n, V grain)
{
    V half = LLVMBuildLShr(g->b, LLVMBuildAdd(g->b, grain, gen_i64(g, 1), ""), gen_i64(g, 1), "");
    grain = gen_select(g, gen_icmp(g, LLVMIntSLT, n, LLVMBuildMul(g->b, grain, gen_i64(g, 2), "")), half, grain);
    V share = larger(g, pieces_of(g, n, gen_i64(g, PIECES)), gen_i64(g, 1));
    return LLVMBuildMul(g->b, pieces_of(g, share, grain), grain, "");
}

/* void parallel(context, count, task, words) */
static void ask(const CpuGen *g, V parallel, V context, V count, V task, V words)
{
    LLVMTypeRef ptr = gen_ptr(g), param[] = {ptr, gen_int1(g, 64), ptr, ptr};
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(g->context), param, 4, false);
    LLVMBuildCall2(g->b, type, parallel, (V[]){context, count, task, words}, 4, "");
}

/* ---- tasks ---- */

static V element(const CpuGen *g, V record, V i)
{
    return LLVMBuildLoad2(g->b, gen_int1(g, 64), gen_at(g, gen_int1(g, 64), record, i), "");
}

static V in_floating_point(const CpuGen *g, V n)
{
    return LLVMBuildSIToFP(g->b, n, LLVMDoubleTypeInContext(g->context), "");
}

/* The value of the record's polynomial, in floating point, where nothing overflows. */
static V work_of(const CpuGen *g, V record, V dims)
{
    V one = gen_i64(g, 1), start[] = {LLVMConstReal(LLVMDoubleTypeInContext(g->context), 0), gen_i64(g, SHARE_TERM)};
    GenLoop t = gen_loop(g, gen_i64(g, 0), cpu_load_word(g, gen_int1(g, 64), record, SHARE_NTERM), one, start, 2);
    V coef = in_floating_point(g, element(g, record, t.carried[1]));
    V at = LLVMBuildAdd(g->b, t.carried[1], one, ""), first = LLVMBuildAdd(g->b, at, one, "");
    V behind = LLVMBuildAdd(g->b, first, element(g, record, at), "");
    GenLoop s = gen_loop(g, first, behind, one, &coef, 1);
    V size = in_floating_point(g, element(g, dims, element(g, record, s.i)));
    gen_loop_end(g, &s, (V[]){gen_mul(g, s.carried[0], size)});
    gen_loop_end(g, &t, (V[]){gen_add(g, t.carried[0], s.result[0]), behind});
    return t.result[0];
}

static V worth_it(const CpuGen *g, V record, V dims, V n, V piece)
{
    V least = in_floating_point(g, cpu_load_word(g, gen_int1(g, 64), record, SHARE_LEAST));
    V enough = gen_fcmp(g, LLVMRealOGE, work_of(g, record, dims), least);
    return LLVMBuildAnd(g->b, enough, gen_icmp(g, LLVMIntSGT, n, piece), "");
}

/* The task sees no threads when it is one of several. */
static void store_task(const CpuGen *g, V words, V frame, V parallel, V n, V piece)
{
    cpu_store_word(g, frame, words, TASK_FRAME);
    cpu_store_word(g, parallel, words, TASK_PARALLEL);
    cpu_store_word(g, n, words, TASK_N);
    cpu_store_word(g, piece, words, TASK_PIECE);
}

static void make_share(const CpuGen *g, V fn)
{
    V words = LLVMGetParam(fn, 0), frame = LLVMGetParam(fn, 1), parallel = LLVMGetParam(fn, 2);
    V task = LLVMGetParam(fn, 3), n = LLVMGetParam(fn, 4), record = LLVMGetParam(fn, 5);
    V dims = cpu_load_word(g, gen_ptr(g), frame, FRAME_DIMS), grain = cpu_load_word(g, gen_int1(g, 64), record, SHARE_GRAIN);
    GenIf there = gen_if(g, LLVMBuildIsNotNull(g->b, parallel, ""));
    V piece = piece_of(g, n, grain);
    GenIf worth = gen_if(g, worth_it(g, record, dims, n, piece));
    store_task(g, words, frame, LLVMConstNull(gen_ptr(g)), n, piece);
    ask(g, parallel, cpu_load_word(g, gen_ptr(g), frame, FRAME_CONTEXT), pieces_of(g, n, piece), task, words);
    LLVMBuildRetVoid(g->b);
    LLVMPositionBuilderAtEnd(g->b, worth.done);
    V part = cpu_load_word(g, gen_int1(g, 64), record, SHARE_PART);
    LLVMBuildStore(g->b, n, gen_at(g, gen_int1(g, 64), dims, part)); /* who sees threads is alone */
    gen_end_if(g, there);
    store_task(g, words, frame, parallel, n, n);
    LLVMBuildCall2(g->b, cpu_task_type(g), task, (V[]){words, gen_i64(g, 0)}, 2, "");
    LLVMBuildRetVoid(g->b);
}

/* ---- products ---- */

static V moved(const CpuGen *g, V words, uint32_t array, V p, V first)
{
    V move = cpu_load_word(g, gen_int1(g, 64), words, WORD_MOVE + array);
    return gen_at(g, gen_int1(g, 8), p, LLVMBuildMul(g->b, move, first, ""));
}

static V length_or(const CpuGen *g, V length, V size)
{
    return gen_select(g, gen_icmp(g, LLVMIntSLT, size, gen_i64(g, 0)), length, size);
}

static void make_product_task(const CpuGen *g, V fn)
{
    static const int array[3] = {GEMM_A, GEMM_B, GEMM_C};
    LLVMTypeRef i64 = gen_int1(g, 64), type[GEMM_NPARAM];
    V words = LLVMGetParam(fn, 0), param[GEMM_NPARAM];
    V piece = cpu_load_word(g, i64, words, WORD_PIECE), first = LLVMBuildMul(g->b, LLVMGetParam(fn, 1), piece, "");
    V length = smaller(g, piece, LLVMBuildSub(g->b, cpu_load_word(g, i64, words, WORD_N), first, ""));
    LLVMGetParamTypes(cpu_gemm_type(g), type);
    for (uint32_t i = 0; i < GEMM_NPARAM; i++)
        param[i] = cpu_load_word(g, type[i], words, WORD_PARAM + i);
    param[GEMM_M] = length_or(g, length, param[GEMM_M]);
    param[GEMM_N] = length_or(g, length, param[GEMM_N]);
    for (uint32_t i = 0; i < 3; i++)
        param[array[i]] = moved(g, words, i, param[array[i]], first);
    V product = cpu_load_word(g, gen_ptr(g), words, WORD_FUNCTION);
    LLVMBuildCall2(g->b, cpu_gemm_type(g), product, param, GEMM_NPARAM, "");
    LLVMBuildRetVoid(g->b);
}

static V in_bytes(const CpuGen *g, V elements)
{
    return LLVMBuildMul(g->b, elements, gen_i64(g, g->f64 ? 8 : 4), "");
}

static void store_product(const CpuGen *g, V words, V function, const V *param, V rows)
{
    V none = gen_i64(g, 0), all = gen_i64(g, -1);
    cpu_store_word(g, function, words, WORD_FUNCTION);
    for (uint32_t i = 0; i < GEMM_NPARAM; i++)
        cpu_store_word(g, param[i], words, WORD_PARAM + i);
    cpu_store_word(g, gen_select(g, rows, all, param[GEMM_M]), words, WORD_PARAM + GEMM_M);
    cpu_store_word(g, gen_select(g, rows, param[GEMM_N], all), words, WORD_PARAM + GEMM_N);
    cpu_store_word(g, gen_select(g, rows, in_bytes(g, param[GEMM_A + 1]), none), words, WORD_MOVE);
    cpu_store_word(g, gen_select(g, rows, none, in_bytes(g, param[GEMM_B + 2])), words, WORD_MOVE + 1);
    V move = gen_select(g, rows, param[GEMM_C + 1], param[GEMM_C + 2]);
    cpu_store_word(g, in_bytes(g, move), words, WORD_MOVE + 2);
}

static V new_function(const CpuGen *g, const char *name, LLVMTypeRef type)
{
    V fn = LLVMAddFunction(g->module, name, type);
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cpu_set_target(g->context, fn, CPU_BASELINE);
    return fn;
}

/* Makes the body of fn; `make` returns from it. */
static void define(const CpuGen *outer, V fn, void (*make)(const CpuGen *g, V fn))
{
    CpuGen g = *outer;
    g.lanes = 1;
    g.b = LLVMCreateBuilderInContext(g.context);
    LLVMPositionBuilderAtEnd(g.b, LLVMAppendBasicBlockInContext(g.context, fn, "entry"));
    make(&g, fn);
    LLVMDisposeBuilder(g.b);
}

static void call_product(const CpuGen *g, V function, V *param)
{
    LLVMBuildCall2(g->b, cpu_gemm_type(g), function, param, GEMM_NPARAM, "");
    LLVMBuildRetVoid(g->b);
}

static void make_product(const CpuGen *g, V fn)
{
    V words = LLVMBuildAlloca(g->b, LLVMArrayType2(gen_int1(g, 64), NWORD), "");
    V function = LLVMGetParam(fn, 0), parallel = LLVMGetParam(fn, 1), least = LLVMGetParam(fn, 3), param[GEMM_NPARAM];
    for (unsigned i = 0; i < GEMM_NPARAM; i++)
        param[i] = LLVMGetParam(fn, OWN_PARAMS + i);
    GenIf alone = gen_if(g, LLVMBuildIsNull(g->b, parallel, ""));
    call_product(g, function, param);
    LLVMPositionBuilderAtEnd(g->b, alone.done);
    V rows = gen_icmp(g, LLVMIntSGE, param[GEMM_M], param[GEMM_N]), n = gen_select(g, rows, param[GEMM_M], param[GEMM_N]);
    V piece = piece_of(g, n, gen_i64(g, GRAIN)), work = in_floating_point(g, param[GEMM_M]);
    work = gen_mul(g, work, in_floating_point(g, param[GEMM_N]));
    work = gen_mul(g, work, in_floating_point(g, param[GEMM_K]));
    V enough = gen_fcmp(g, LLVMRealOGE, work, in_floating_point(g, least));
    enough = LLVMBuildAnd(g->b, enough, gen_icmp(g, LLVMIntSGT, n, piece), "");
    GenIf worth = gen_if(g, enough);
    cpu_store_word(g, n, words, WORD_N);
    cpu_store_word(g, piece, words, WORD_PIECE);
    store_product(g, words, function, param, rows);
    V task = new_function(g, "gemm.task", cpu_task_type(g));
    define(g, task, make_product_task);
    ask(g, parallel, LLVMGetParam(fn, 2), pieces_of(g, n, piece), task, words);
    LLVMBuildRetVoid(g->b);
    LLVMPositionBuilderAtEnd(g->b, worth.done);
    call_product(g, function, param);
}

/* ---- the functions in a module ---- */

static V find(const CpuGen *g, const char *name, LLVMTypeRef type, void (*make)(const CpuGen *g, V fn))
{
    V fn = LLVMGetNamedFunction(g->module, name);
    if (fn)
        return fn;
    fn = new_function(g, name, type);
    const ReadyCode *code = cpu_ready_code(name);
    if (code)
        cpu_use_code(g, fn, code);
    else
        define(g, fn, make);
    return fn;
}

V cpu_share_function(const CpuGen *g)
{
    return find(g, "tasks.run", share_type(g), make_share);
}

V cpu_product_function(const CpuGen *g)
{
    return find(g, g->f64 ? "gemm.run.f64" : "gemm.run.f32", product_type(g), make_product);
}
