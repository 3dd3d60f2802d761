/* Small tools over LLVM's builder; see build.h. */
#include "backends/cpu/build.h"

CpuGen cpu_gen(LLVMContextRef context, LLVMModuleRef module, LLVMBuilderRef b, CpuLevel level, bool f64)
{
    const CpuLevelInfo *info = cpu_level_info(level);
    return (CpuGen){context, module, b, level, info->fma, level != CPU_BASELINE, f64, info->vector_bytes, 1, false};
}

CpuGen gen_of_thread(LLVMContextRef context, LLVMModuleRef module, LLVMBuilderRef b, bool f64)
{
    return (CpuGen){context, module, b, CPU_BASELINE, true, true, f64, 0, 1, false};
}

uint32_t cpu_width(const CpuGen *g)
{
    return g->vector_bytes / (g->f64 ? 8 : 4);
}

static void string_attribute(LLVMContextRef context, LLVMValueRef fn, const char *key, const char *value)
{
    LLVMAttributeRef a = LLVMCreateStringAttribute(context, key, (unsigned)strlen(key), value, (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, a);
}

void cpu_set_target(LLVMContextRef context, LLVMValueRef fn, CpuLevel level)
{
    const CpuLevelInfo *info = cpu_level_info(level);
    unsigned nounwind = LLVMGetEnumAttributeKindForName("nounwind", 8);
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(context, nounwind, 0));
    string_attribute(context, fn, "target-cpu", info->cpu);
    if (info->features[0])
        string_attribute(context, fn, "target-features", info->features);
    if (info->vector_bytes == 64)
        string_attribute(context, fn, "prefer-vector-width", "512");
}

/* ---- types ---- */

LLVMTypeRef gen_real1(const CpuGen *g)
{
    return g->f64 ? LLVMDoubleTypeInContext(g->context) : LLVMFloatTypeInContext(g->context);
}

LLVMTypeRef gen_int1(const CpuGen *g, uint32_t bits)
{
    return LLVMIntTypeInContext(g->context, bits);
}

LLVMTypeRef gen_ptr(const CpuGen *g)
{
    return LLVMPointerTypeInContext(g->context, 0);
}

LLVMTypeRef gen_lanes(const CpuGen *g, LLVMTypeRef one)
{
    return g->lanes == 1 ? one : LLVMVectorType(one, g->lanes);
}

LLVMTypeRef gen_real(const CpuGen *g)
{
    return gen_lanes(g, gen_real1(g));
}

LLVMTypeRef gen_int(const CpuGen *g, uint32_t bits)
{
    return gen_lanes(g, gen_int1(g, bits));
}

LLVMTypeRef gen_type(const CpuGen *g, DType dt)
{
    switch (dt) {
    case DT_REAL: return gen_real(g);
    case DT_INT: return gen_int(g, 32);
    case DT_BOOL: return gen_int(g, 1);
    case DT_COMPLEX: break;
    }
    ice("cpu: element type %d", (int)dt);
}

uint32_t gen_real_bits(const CpuGen *g)
{
    return g->f64 ? 64 : 32;
}

/* ---- values ---- */

static LLVMValueRef const_lanes(const CpuGen *g, LLVMValueRef one)
{
    LLVMValueRef v[GEN_MAXLANES];
    if (g->lanes == 1)
        return one;
    for (uint32_t i = 0; i < g->lanes; i++)
        v[i] = one;
    return LLVMConstVector(v, g->lanes);
}

LLVMValueRef gen_const(const CpuGen *g, double v)
{
    return const_lanes(g, LLVMConstReal(gen_real1(g), v));
}

LLVMValueRef gen_iconst(const CpuGen *g, uint32_t bits, uint64_t v)
{
    return const_lanes(g, LLVMConstInt(gen_int1(g, bits), v, false));
}

LLVMValueRef gen_splat(const CpuGen *g, LLVMValueRef scalar)
{
    int zero[GEN_MAXLANES] = {0};
    if (g->lanes == 1)
        return scalar;
    if (LLVMIsConstant(scalar))
        return const_lanes(g, scalar);
    LLVMValueRef none = LLVMGetPoison(LLVMVectorType(LLVMTypeOf(scalar), g->lanes));
    LLVMValueRef first = LLVMBuildInsertElement(g->b, none, scalar, gen_i64(g, 0), "");
    return gen_shuffle(g, first, none, zero, g->lanes);
}

LLVMValueRef gen_iota(const CpuGen *g, uint32_t bits)
{
    LLVMValueRef v[GEN_MAXLANES];
    for (uint32_t i = 0; i < g->lanes; i++)
        v[i] = LLVMConstInt(gen_int1(g, bits), i, false);
    return g->lanes == 1 ? v[0] : LLVMConstVector(v, g->lanes);
}

LLVMValueRef gen_i64(const CpuGen *g, int64_t v)
{
    return LLVMConstInt(gen_int1(g, 64), (unsigned long long)v, true);
}

/* ---- operations ---- */

LLVMValueRef gen_intrinsic(const CpuGen *g, const char *name, LLVMTypeRef over, const LLVMValueRef *arg, uint32_t n)
{
    LLVMValueRef list[4];
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name)), nover = over != NULL;
    memcpy(list, arg, n * sizeof *arg);
    LLVMTypeRef type = LLVMIntrinsicGetType(g->context, id, &over, nover);
    return LLVMBuildCall2(g->b, type, LLVMGetIntrinsicDeclaration(g->module, id, &over, nover), list, n, "");
}

LLVMValueRef gen_add(const CpuGen *g, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFAdd(g->b, a, b, "");
}

LLVMValueRef gen_sub(const CpuGen *g, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFSub(g->b, a, b, "");
}

LLVMValueRef gen_mul(const CpuGen *g, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFMul(g->b, a, b, "");
}

LLVMValueRef gen_div(const CpuGen *g, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFDiv(g->b, a, b, "");
}

LLVMValueRef gen_fma(const CpuGen *g, LLVMValueRef a, LLVMValueRef b, LLVMValueRef c)
{
    if (!g->fma)
        return gen_add(g, gen_mul(g, a, b), c);
    return gen_intrinsic(g, "llvm.fma", LLVMTypeOf(a), (LLVMValueRef[]){a, b, c}, 3);
}

/* Lanes from..from + g->lanes of a value with more of them. */
LLVMValueRef gen_part(const CpuGen *g, LLVMValueRef v, uint32_t from)
{
    int lane[GEN_MAXLANES];
    for (uint32_t i = 0; i < g->lanes; i++)
        lane[i] = (int)(from + i);
    return gen_shuffle(g, v, LLVMGetPoison(LLVMTypeOf(v)), lane, g->lanes);
}

LLVMValueRef gen_join(const CpuGen *g, LLVMValueRef low, LLVMValueRef high)
{
    int lane[GEN_MAXLANES];
    for (uint32_t i = 0; i < g->lanes; i++)
        lane[i] = (int)i;
    return gen_shuffle(g, low, high, lane, g->lanes);
}

/* Of several vectors one by one: masks that are wider than a vector would be taken apart again in each round. */
LLVMValueRef gen_select(const CpuGen *g, LLVMValueRef c, LLVMValueRef a, LLVMValueRef b)
{
    if (LLVMIsNull(c) || c == LLVMConstAllOnes(LLVMTypeOf(c)))
        return LLVMIsNull(c) ? b : a;
    if (g->lanes == 1 || g->lanes <= cpu_width(g))
        return LLVMBuildSelect(g->b, c, a, b, "");
    CpuGen half = *g;
    half.lanes /= 2;
    LLVMValueRef part[2];
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t from = i * half.lanes;
        part[i] = gen_select(&half, gen_part(&half, c, from), gen_part(&half, a, from), gen_part(&half, b, from));
    }
    return gen_join(g, part[0], part[1]);
}

LLVMValueRef gen_fcmp(const CpuGen *g, LLVMRealPredicate p, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildFCmp(g->b, p, a, b, "");
}

LLVMValueRef gen_icmp(const CpuGen *g, LLVMIntPredicate p, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildICmp(g->b, p, a, b, "");
}

LLVMValueRef gen_bits(const CpuGen *g, LLVMValueRef real)
{
    return LLVMBuildBitCast(g->b, real, gen_int(g, gen_real_bits(g)), "");
}

LLVMValueRef gen_real_of_bits(const CpuGen *g, LLVMValueRef bits)
{
    return LLVMBuildBitCast(g->b, bits, gen_real(g), "");
}

LLVMValueRef gen_lane(const CpuGen *g, LLVMValueRef v, uint32_t lane)
{
    if (LLVMGetTypeKind(LLVMTypeOf(v)) != LLVMVectorTypeKind)
        return v;
    return LLVMBuildExtractElement(g->b, v, gen_i64(g, lane), "");
}

LLVMValueRef gen_put_lane(const CpuGen *g, LLVMValueRef v, LLVMValueRef x, uint32_t lane)
{
    return LLVMBuildInsertElement(g->b, v, x, gen_i64(g, lane), "");
}

LLVMValueRef gen_shuffle(const CpuGen *g, LLVMValueRef a, LLVMValueRef b, const int *mask, uint32_t n)
{
    LLVMValueRef m[GEN_MAXLANES];
    for (uint32_t i = 0; i < n; i++)
        m[i] = mask[i] < 0 ? LLVMGetPoison(gen_int1(g, 32)) : LLVMConstInt(gen_int1(g, 32), (unsigned)mask[i], false);
    return LLVMBuildShuffleVector(g->b, a, b, LLVMConstVector(m, n), "");
}

/* ---- memory ---- */

LLVMValueRef gen_at(const CpuGen *g, LLVMTypeRef one, LLVMValueRef base, LLVMValueRef index)
{
    return LLVMBuildInBoundsGEP2(g->b, one, base, &index, 1, "");
}

LLVMValueRef gen_load(const CpuGen *g, LLVMTypeRef type, LLVMValueRef at, uint32_t bytes)
{
    LLVMValueRef v = LLVMBuildLoad2(g->b, type, at, "");
    LLVMSetAlignment(v, bytes);
    return v;
}

LLVMValueRef gen_store(const CpuGen *g, LLVMValueRef v, LLVMValueRef at, uint32_t bytes)
{
    LLVMValueRef s = LLVMBuildStore(g->b, v, at);
    LLVMSetAlignment(s, bytes);
    return s;
}

LLVMValueRef gen_first(const CpuGen *g, LLVMValueRef count)
{
    LLVMValueRef n = LLVMBuildTrunc(g->b, count, gen_int1(g, 32), "");
    return gen_icmp(g, LLVMIntULT, gen_iota(g, 32), gen_splat(g, n));
}

/* AVX-512 masks everything; AVX2 only elements of 4 and 8 bytes. */
static bool has_masks(const CpuGen *g, uint32_t bytes)
{
    return g->level == CPU_AVX512 || (g->level == CPU_AVX2 && bytes >= 4);
}

static LLVMValueRef clamped_lane(const CpuGen *g, uint32_t lane, LLVMValueRef count)
{
    LLVMValueRef last = LLVMBuildSub(g->b, count, gen_i64(g, 1), ""), l = gen_i64(g, lane);
    return gen_select(g, gen_icmp(g, LLVMIntSLT, l, last), l, last);
}

LLVMValueRef gen_load_first(const CpuGen *g, LLVMTypeRef one, LLVMValueRef at, uint32_t bytes, LLVMValueRef mask,
                            LLVMValueRef count)
{
    LLVMTypeRef type = gen_lanes(g, one);
    LLVMValueRef zero = LLVMConstNull(type), v = LLVMGetPoison(type);
    if (has_masks(g, bytes)) {
        LLVMTypeRef over[2] = {type, gen_ptr(g)};
        unsigned id = LLVMLookupIntrinsicID("llvm.masked.load", 16);
        LLVMValueRef list[4] = {at, LLVMConstInt(gen_int1(g, 32), bytes, false), mask, zero};
        return LLVMBuildCall2(g->b, LLVMIntrinsicGetType(g->context, id, over, 2),
                              LLVMGetIntrinsicDeclaration(g->module, id, over, 2), list, 4, "");
    }
    for (uint32_t i = 0; i < g->lanes; i++)
        v = gen_put_lane(g, v, gen_load(g, one, gen_at(g, one, at, clamped_lane(g, i, count)), bytes), i);
    return gen_select(g, mask, v, zero);
}

/* Lane by lane from the last: lanes beyond the count land on the last element, which its own lane then overwrites. */
static void store_lanes(const CpuGen *g, LLVMValueRef v, LLVMTypeRef one, LLVMValueRef at, uint32_t bytes,
                        LLVMValueRef count)
{
    for (uint32_t i = g->lanes; i-- > 0;)
        gen_store(g, gen_lane(g, v, i), gen_at(g, one, at, clamped_lane(g, i, count)), bytes);
}

void gen_store_first(const CpuGen *g, LLVMValueRef v, LLVMTypeRef one, LLVMValueRef at, uint32_t bytes,
                     LLVMValueRef mask, LLVMValueRef count)
{
    if (!has_masks(g, bytes)) {
        store_lanes(g, v, one, at, bytes, count);
        return;
    }
    LLVMTypeRef over[2] = {LLVMTypeOf(v), gen_ptr(g)};
    unsigned id = LLVMLookupIntrinsicID("llvm.masked.store", 17);
    LLVMValueRef list[4] = {v, at, LLVMConstInt(gen_int1(g, 32), bytes, false), mask};
    LLVMBuildCall2(g->b, LLVMIntrinsicGetType(g->context, id, over, 2),
                   LLVMGetIntrinsicDeclaration(g->module, id, over, 2), list, 4, "");
}

/* ---- blocks and loops ---- */

LLVMBasicBlockRef gen_block(const CpuGen *g, const char *name)
{
    LLVMValueRef fn = LLVMGetBasicBlockParent(LLVMGetInsertBlock(g->b));
    return LLVMAppendBasicBlockInContext(g->context, fn, name);
}

void gen_enter(const CpuGen *g, LLVMBasicBlockRef block)
{
    LLVMBuildBr(g->b, block);
    LLVMPositionBuilderAtEnd(g->b, block);
}

static LLVMValueRef phi(const CpuGen *g, LLVMValueRef first, LLVMBasicBlockRef from)
{
    LLVMValueRef p = LLVMBuildPhi(g->b, LLVMTypeOf(first), "");
    LLVMAddIncoming(p, &first, &from, 1);
    return p;
}

/* The test stands in front and at the end (a rotated loop), so that what is hoisted is known to run. */
GenLoop gen_loop(const CpuGen *g, LLVMValueRef from, LLVMValueRef to, LLVMValueRef step, const LLVMValueRef *carried,
                 uint32_t ncarried)
{
    GenLoop l = {.to = to, .step = step, .ncarried = ncarried};
    LLVMBasicBlockRef before = LLVMGetInsertBlock(g->b);
    l.body = gen_block(g, "loop");
    l.done = gen_block(g, "done");
    LLVMBuildCondBr(g->b, gen_icmp(g, LLVMIntSLT, from, to), l.body, l.done);
    LLVMPositionBuilderAtEnd(g->b, l.done);
    for (uint32_t i = 0; i < ncarried; i++)
        l.result[i] = phi(g, carried[i], before);
    LLVMPositionBuilderAtEnd(g->b, l.body);
    l.i = phi(g, from, before);
    for (uint32_t i = 0; i < ncarried; i++)
        l.carried[i] = phi(g, carried[i], before);
    return l;
}

void gen_loop_end(const CpuGen *g, GenLoop *l, const LLVMValueRef *next)
{
    LLVMValueRef i = LLVMBuildNSWAdd(g->b, l->i, l->step, "");
    LLVMBasicBlockRef from = LLVMGetInsertBlock(g->b);
    LLVMAddIncoming(l->i, &i, &from, 1);
    for (uint32_t v = 0; v < l->ncarried; v++) {
        LLVMValueRef value = next[v];
        LLVMAddIncoming(l->carried[v], &value, &from, 1);
        LLVMAddIncoming(l->result[v], &value, &from, 1);
    }
    LLVMBuildCondBr(g->b, gen_icmp(g, LLVMIntSLT, i, l->to), l->body, l->done);
    LLVMPositionBuilderAtEnd(g->b, l->done);
}

GenIf gen_if(const CpuGen *g, LLVMValueRef cond)
{
    LLVMBasicBlockRef yes = gen_block(g, "then");
    GenIf i = {gen_block(g, "join")};
    LLVMBuildCondBr(g->b, cond, yes, i.done);
    LLVMPositionBuilderAtEnd(g->b, yes);
    return i;
}

void gen_end_if(const CpuGen *g, GenIf i)
{
    gen_enter(g, i.done);
}

GenElse gen_if_else(const CpuGen *g, LLVMValueRef cond)
{
    LLVMBasicBlockRef yes = gen_block(g, "then");
    GenElse i = {gen_block(g, "else"), gen_block(g, "join")};
    LLVMBuildCondBr(g->b, cond, yes, i.no);
    LLVMPositionBuilderAtEnd(g->b, yes);
    return i;
}

void gen_else(const CpuGen *g, GenElse i)
{
    LLVMBuildBr(g->b, i.done);
    LLVMPositionBuilderAtEnd(g->b, i.no);
}

void gen_end_else(const CpuGen *g, GenElse i)
{
    gen_enter(g, i.done);
}
