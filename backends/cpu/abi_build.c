/* Small tools over LLVM's builder, so that the files that emit checks read like the checks. */
#include "backends/cpu/abi.h"

LLVMValueRef abi_i64(const Abi *a, int64_t v)
{
    return LLVMConstInt(a->i64, (unsigned long long)v, true);
}

LLVMValueRef abi_i32(const Abi *a, int32_t v)
{
    return LLVMConstInt(a->i32, (unsigned long long)v, true);
}

static void add_attribute(Abi *a, LLVMValueRef fn, const char *name)
{
    unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
    LLVMAddAttributeAtIndex(fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(a->cx, kind, 0));
}

/* Checks are long straight lines that run once a call: LLVM translates them without optimising, a third of the time. */
AbiFn abi_fn(Abi *a, const char *name, LLVMTypeRef result, uint32_t n, const LLVMTypeRef *param, bool is_public)
{
    LLVMTypeRef list[8];
    if (n > 8)
        ice("abi: %s has too many parameters", name);
    for (uint32_t i = 0; i < n; i++)
        list[i] = param[i];
    AbiFn f = {.type = LLVMFunctionType(result, list, n, false)};
    f.fn = LLVMAddFunction(a->m->module, name, f.type);
    if (!is_public)
        LLVMSetLinkage(f.fn, LLVMInternalLinkage);
    add_attribute(a, f.fn, "nounwind");
    add_attribute(a, f.fn, "noinline");
    add_attribute(a, f.fn, "optnone");
    LLVMPositionBuilderAtEnd(a->b, LLVMAppendBasicBlockInContext(a->cx, f.fn, "entry"));
    return f;
}

void abi_optimize(AbiFn f)
{
    unsigned kind = LLVMGetEnumAttributeKindForName("optnone", 7);
    LLVMRemoveEnumAttributeAtIndex(f.fn, (LLVMAttributeIndex)LLVMAttributeFunctionIndex, kind);
}

LLVMValueRef abi_call(Abi *a, AbiFn f, uint32_t n, const LLVMValueRef *arg)
{
    LLVMValueRef list[8];
    for (uint32_t i = 0; i < n; i++)
        list[i] = arg[i];
    return LLVMBuildCall2(a->b, f.type, f.fn, list, n, "");
}

LLVMValueRef abi_intrinsic(Abi *a, const char *name, LLVMTypeRef over, uint32_t n, const LLVMValueRef *arg)
{
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    AbiFn f = {LLVMIntrinsicGetType(a->cx, id, &over, 1), LLVMGetIntrinsicDeclaration(a->m->module, id, &over, 1)};
    return abi_call(a, f, n, arg);
}

LLVMValueRef abi_slot(Abi *a, LLVMValueRef array, uint32_t i)
{
    LLVMValueRef index = abi_i64(a, i);
    return i ? LLVMBuildInBoundsGEP2(a->b, a->i64, array, &index, 1, "") : array;
}

LLVMValueRef abi_load(Abi *a, LLVMTypeRef type, LLVMValueRef array, uint32_t i)
{
    return LLVMBuildLoad2(a->b, type, abi_slot(a, array, i), "");
}

void abi_store(Abi *a, LLVMValueRef value, LLVMValueRef array, uint32_t i)
{
    LLVMBuildStore(a->b, value, abi_slot(a, array, i));
}

LLVMValueRef abi_cmp(Abi *a, LLVMIntPredicate p, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildICmp(a->b, p, x, y, "");
}

LLVMValueRef abi_is_null(Abi *a, LLVMValueRef p)
{
    return LLVMBuildIsNull(a->b, p, "");
}

LLVMValueRef abi_or(Abi *a, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildOr(a->b, x, y, "");
}

LLVMValueRef abi_and(Abi *a, LLVMValueRef x, LLVMValueRef y)
{
    return LLVMBuildAnd(a->b, x, y, "");
}

LLVMValueRef abi_offset(Abi *a, LLVMValueRef base, LLVMValueRef bytes)
{
    return LLVMBuildGEP2(a->b, a->i8, base, &bytes, 1, "");
}

LLVMValueRef abi_words(Abi *a, uint32_t n)
{
    return LLVMBuildAlloca(a->b, LLVMArrayType2(a->i64, n ? n : 1), "");
}

LLVMBasicBlockRef abi_block(Abi *a)
{
    LLVMValueRef fn = LLVMGetBasicBlockParent(LLVMGetInsertBlock(a->b));
    return LLVMAppendBasicBlockInContext(a->cx, fn, "");
}

void abi_return_if(Abi *a, LLVMValueRef cond, LLVMValueRef result)
{
    LLVMBasicBlockRef leave = abi_block(a), stay = abi_block(a);
    LLVMBuildCondBr(a->b, cond, leave, stay);
    LLVMPositionBuilderAtEnd(a->b, leave);
    LLVMBuildRet(a->b, result);
    LLVMPositionBuilderAtEnd(a->b, stay);
}

AbiLoop abi_loop(Abi *a, LLVMValueRef from, LLVMValueRef to)
{
    LLVMBasicBlockRef before = LLVMGetInsertBlock(a->b), body;
    AbiLoop l = {.head = abi_block(a)};
    body = abi_block(a);
    l.done = abi_block(a);
    LLVMBuildBr(a->b, l.head);
    LLVMPositionBuilderAtEnd(a->b, l.head);
    l.i = LLVMBuildPhi(a->b, a->i64, "");
    LLVMAddIncoming(l.i, &from, &before, 1);
    LLVMBuildCondBr(a->b, abi_cmp(a, LLVMIntSLT, l.i, to), body, l.done);
    LLVMPositionBuilderAtEnd(a->b, body);
    return l;
}

void abi_loop_end(Abi *a, AbiLoop l)
{
    LLVMValueRef next = LLVMBuildAdd(a->b, l.i, abi_i64(a, 1), "");
    LLVMBasicBlockRef from = LLVMGetInsertBlock(a->b);
    LLVMAddIncoming(l.i, &next, &from, 1);
    LLVMBuildBr(a->b, l.head);
    LLVMPositionBuilderAtEnd(a->b, l.done);
}

static LLVMValueRef constant(Abi *a, LLVMValueRef value, const char *name)
{
    LLVMValueRef g = LLVMAddGlobal(a->m->module, LLVMTypeOf(value), name);
    LLVMSetInitializer(g, value);
    LLVMSetGlobalConstant(g, true);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
    return g;
}

LLVMValueRef abi_string(Abi *a, Str s)
{
    return constant(a, LLVMConstStringInContext2(a->cx, s.p, s.n, false), "text");
}

LLVMValueRef abi_table(Abi *a, const char *name, LLVMTypeRef elem, LLVMValueRef *v, uint32_t n)
{
    return constant(a, LLVMConstArray2(elem, v, n), name);
}

uint32_t cpu_element_bytes(Precision p, DType dt)
{
    switch (dt) {
    case DT_REAL: return p == PREC_F64 ? 8 : 4;
    case DT_INT: return 4;
    case DT_BOOL: return 1;
    case DT_COMPLEX: break;
    }
    ice("abi: element type %d", (int)dt);
}

Narrow precision_narrow(Precision p)
{
    return p == PREC_BF16 ? NARROW_BF16 : p == PREC_F16 ? NARROW_F16 : NARROW_NONE;
}

const char *precision_text(Precision p)
{
    return p == PREC_F64 ? "f64" : p == PREC_F32 ? "f32" : narrow_text(precision_narrow(p));
}

uint32_t abi_element_bytes(const Abi *a, DType dt)
{
    return cpu_element_bytes(a->m->options.precision, dt);
}

bool abi_uses(const KBuf *buf, RecFn fn)
{
    return buf->used_by >> fn & 1;
}
