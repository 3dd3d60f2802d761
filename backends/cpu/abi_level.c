/* Which copy of a kernel runs: the best level that was built and that this machine and its system have. The answer is
 * kept in one atomic word; threads that race write the same value. */
#include "backends/cpu/abi.h"

/* What x86-64-v3 and v4 ask of CPUID: leaf 1 ECX, leaf 7 EBX, leaf 0x80000001 ECX; and of XCR0: registers that the
 * system saves. */
typedef struct Need {
    uint32_t leaf1_ecx, leaf7_ebx, extended_ecx, xcr0;
} Need;

enum {
    SSE3 = 1u << 0,
    SSSE3 = 1u << 9,
    FMA = 1u << 12,
    CX16 = 1u << 13,
    SSE41 = 1u << 19,
    SSE42 = 1u << 20,
    MOVBE = 1u << 22,
    POPCNT = 1u << 23,
    XSAVE = 1u << 26,
    OSXSAVE = 1u << 27,
    AVX = 1u << 28,
    F16C = 1u << 29,
    BMI1 = 1u << 3,
    AVX2 = 1u << 5,
    BMI2 = 1u << 8,
    AVX512F = 1u << 16,
    AVX512DQ = 1u << 17,
    AVX512CD = 1u << 28,
    AVX512BW = 1u << 30,
    LAHF = 1u << 0,
    LZCNT = 1u << 5,
    XMM_YMM = 0x6,
    XMM_YMM_ZMM = 0xe6,
};
#define AVX512VL (UINT32_C(1) << 31)
#define V3_LEAF1 (SSE3 | SSSE3 | FMA | CX16 | SSE41 | SSE42 | MOVBE | POPCNT | XSAVE | OSXSAVE | AVX | F16C)
#define V3_LEAF7 (BMI1 | AVX2 | BMI2)

static const Need need[] = {
    [CPU_BASELINE] = {0, 0, 0, 0},
    [CPU_AVX2] = {V3_LEAF1, V3_LEAF7, LAHF | LZCNT, XMM_YMM},
    [CPU_AVX512] = {V3_LEAF1, V3_LEAF7 | AVX512F | AVX512DQ | AVX512CD | AVX512BW | AVX512VL, LAHF | LZCNT,
                    XMM_YMM_ZMM},
};
_Static_assert(sizeof need / sizeof *need == CPU_NLEVEL, "each level says what it needs");

static LLVMValueRef inline_asm(Abi *a, LLVMTypeRef type, const char *text, const char *constraints, uint32_t n,
                               LLVMValueRef *arg)
{
    LLVMValueRef code = LLVMGetInlineAsm(type, text, strlen(text), constraints, strlen(constraints), true, false,
                                         LLVMInlineAsmDialectATT, false);
    return LLVMBuildCall2(a->b, type, code, arg, n, "");
}

/* {eax, ebx, ecx, edx} */
static LLVMValueRef cpuid(Abi *a, uint32_t leaf)
{
    LLVMTypeRef four[] = {a->i32, a->i32, a->i32, a->i32}, in[] = {a->i32, a->i32};
    LLVMTypeRef type = LLVMFunctionType(LLVMStructTypeInContext(a->cx, four, 4, false), in, 2, false);
    LLVMValueRef arg[] = {LLVMConstInt(a->i32, leaf, false), abi_i32(a, 0)};
    return inline_asm(a, type, "cpuid", "={ax},={bx},={cx},={dx},{ax},{cx},~{dirflag},~{fpsr},~{flags}", 2, arg);
}

static LLVMValueRef xcr0(Abi *a)
{
    LLVMTypeRef two[] = {a->i32, a->i32};
    LLVMTypeRef type = LLVMFunctionType(LLVMStructTypeInContext(a->cx, two, 2, false), &a->i32, 1, false);
    LLVMValueRef zero = abi_i32(a, 0);
    LLVMValueRef r = inline_asm(a, type, "xgetbv", "={ax},={dx},{cx},~{dirflag},~{fpsr},~{flags}", 1, &zero);
    return LLVMBuildExtractValue(a->b, r, 0, "");
}

static LLVMValueRef has_all(Abi *a, LLVMValueRef word, uint32_t bits)
{
    LLVMValueRef mask = LLVMConstInt(a->i32, bits, false);
    return abi_cmp(a, LLVMIntEQ, abi_and(a, word, mask), mask);
}

static LLVMValueRef not_(Abi *a, LLVMValueRef x)
{
    return LLVMBuildNot(a->b, x, "");
}

static CpuLevel lowest(const Abi *a)
{
    for (int l = 0; l < CPU_NLEVEL; l++)
        if (a->m->options.level[l])
            return (CpuLevel)l;
    ice("abi: no CPU level was asked for");
}

static uint32_t level_count(const Abi *a)
{
    uint32_t n = 0;
    for (int l = 0; l < CPU_NLEVEL; l++)
        n += a->m->options.level[l];
    return n;
}

/* i32 detect(): asks the processor; leaves that it may not have are asked for behind a branch. */
static AbiFn emit_detect(Abi *a)
{
    AbiFn f = abi_fn(a, "detect", a->i32, 0, NULL, false);
    LLVMValueRef low = abi_i32(a, (int32_t)lowest(a));
    LLVMValueRef most = LLVMBuildExtractValue(a->b, cpuid(a, 0), 0, "");
    LLVMValueRef extended = LLVMBuildExtractValue(a->b, cpuid(a, UINT32_C(0x80000000)), 0, "");
    abi_return_if(a, abi_cmp(a, LLVMIntULT, most, abi_i32(a, 7)), low);
    abi_return_if(a, abi_cmp(a, LLVMIntULT, extended, LLVMConstInt(a->i32, UINT32_C(0x80000001), false)), low);
    LLVMValueRef leaf1 = LLVMBuildExtractValue(a->b, cpuid(a, 1), 2, "");
    abi_return_if(a, not_(a, has_all(a, leaf1, OSXSAVE)), low);
    LLVMValueRef leaf7 = LLVMBuildExtractValue(a->b, cpuid(a, 7), 1, "");
    LLVMValueRef more = LLVMBuildExtractValue(a->b, cpuid(a, UINT32_C(0x80000001)), 2, ""), saved = xcr0(a), best = low;
    for (int l = (int)lowest(a) + 1; l < CPU_NLEVEL; l++) {
        if (!a->m->options.level[l])
            continue;
        LLVMValueRef x = abi_and(a, has_all(a, leaf1, need[l].leaf1_ecx), has_all(a, leaf7, need[l].leaf7_ebx));
        LLVMValueRef y = abi_and(a, has_all(a, more, need[l].extended_ecx), has_all(a, saved, need[l].xcr0));
        best = LLVMBuildSelect(a->b, abi_and(a, x, y), abi_i32(a, l), best, "");
    }
    LLVMBuildRet(a->b, best);
    return f;
}

void abi_emit_level(Abi *a)
{
    if (level_count(a) < 2)
        return;
    AbiFn detect = emit_detect(a);
    LLVMValueRef word = LLVMAddGlobal(a->m->module, a->i32, "chosen"); /* level + 1, 0 before the first call */
    LLVMSetInitializer(word, abi_i32(a, 0));
    LLVMSetLinkage(word, LLVMInternalLinkage);
    a->level = abi_fn(a, "level", a->i32, 0, NULL, false);
    LLVMValueRef seen = LLVMBuildLoad2(a->b, a->i32, word, "");
    LLVMSetOrdering(seen, LLVMAtomicOrderingMonotonic);
    LLVMSetAlignment(seen, 4);
    abi_return_if(a, abi_cmp(a, LLVMIntNE, seen, abi_i32(a, 0)), LLVMBuildSub(a->b, seen, abi_i32(a, 1), ""));
    LLVMValueRef best = abi_call(a, detect, 0, NULL);
    LLVMValueRef store = LLVMBuildStore(a->b, LLVMBuildAdd(a->b, best, abi_i32(a, 1), ""), word);
    LLVMSetOrdering(store, LLVMAtomicOrderingMonotonic);
    LLVMSetAlignment(store, 4);
    LLVMBuildRet(a->b, best);
}

static LLVMValueRef call_level(Abi *a, CpuLevel l, RecFn fn, LLVMValueRef *arg)
{
    LLVMValueRef kernel = a->m->kernel[l][fn];
    if (!kernel)
        ice("abi: no kernel for level %s", cpu_level_info(l)->text);
    return LLVMBuildCall2(a->b, LLVMGlobalGetValueType(kernel), kernel, arg, 4, "");
}

static bool same_at_all_levels(const Abi *a, RecFn fn)
{
    for (int l = 0; l < CPU_NLEVEL; l++)
        if (a->m->options.level[l] && a->m->kernel[l][fn] != a->m->kernel[lowest(a)][fn])
            return false;
    return true;
}

LLVMValueRef abi_run_kernel(Abi *a, RecFn fn, LLVMValueRef dims, LLVMValueRef bufs, LLVMValueRef seed,
                            LLVMValueRef call)
{
    LLVMValueRef arg[] = {dims, bufs, seed, call};
    CpuLevel low = lowest(a);
    if (level_count(a) < 2 || same_at_all_levels(a, fn))
        return call_level(a, low, fn, arg);
    LLVMValueRef which = abi_call(a, a->level, 0, NULL);
    LLVMBasicBlockRef other = abi_block(a), done = abi_block(a);
    LLVMValueRef choice = LLVMBuildSwitch(a->b, which, other, CPU_NLEVEL), result[CPU_NLEVEL];
    LLVMBasicBlockRef from[CPU_NLEVEL];
    uint32_t n = 0;
    for (int l = (int)low; l < CPU_NLEVEL; l++) {
        if (!a->m->options.level[l])
            continue;
        from[n] = l == (int)low ? other : abi_block(a);
        if (l != (int)low)
            LLVMAddCase(choice, abi_i32(a, l), from[n]);
        LLVMPositionBuilderAtEnd(a->b, from[n]);
        result[n++] = call_level(a, (CpuLevel)l, fn, arg);
        LLVMBuildBr(a->b, done);
    }
    LLVMPositionBuilderAtEnd(a->b, done);
    LLVMValueRef status = LLVMBuildPhi(a->b, a->i32, "");
    LLVMAddIncoming(status, result, from, n);
    return status;
}
