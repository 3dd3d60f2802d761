/* Long functions as functions of the module, for places where they are called rarely. */
#include "backends/cpu/build.h"

bool cpu_is_long(Fun f)
{
    return f == FUN_POW || f == FUN_EXP || f == FUN_EXPM1 || f == FUN_LOG || f == FUN_LOG1P || f == FUN_TANH ||
           f == FUN_SIGMOID || f == FUN_SIN || f == FUN_COS || f == FUN_ERF;
}

static LLVMValueRef function_of(const CpuGen *g, Fun f, const DType *dt)
{
    char name[64];
    uint32_t n = fun_info(f)->arity;
    snprintf(name, sizeof name, "math.%s.%ux%s.%s", fun_info(f)->text, g->lanes, g->f64 ? "f64" : "f32",
             cpu_level_info(g->level)->text);
    LLVMValueRef fn = LLVMGetNamedFunction(g->module, name), arg[3];
    if (fn)
        return fn;
    LLVMTypeRef param[3] = {gen_real(g), gen_real(g), gen_real(g)};
    fn = LLVMAddFunction(g->module, name, LLVMFunctionType(gen_real(g), param, n, false));
    LLVMSetLinkage(fn, LLVMInternalLinkage);
    cpu_set_target(g->context, fn, g->level);
    CpuGen in = *g;
    in.b = LLVMCreateBuilderInContext(g->context);
    LLVMPositionBuilderAtEnd(in.b, LLVMAppendBasicBlockInContext(g->context, fn, "entry"));
    for (uint32_t i = 0; i < n; i++)
        arg[i] = LLVMGetParam(fn, i);
    LLVMBuildRet(in.b, cpu_fun(&in, f, arg, dt));
    LLVMDisposeBuilder(in.b);
    return fn;
}

LLVMValueRef cpu_fun_call(const CpuGen *g, Fun f, const LLVMValueRef *arg, const DType *dt)
{
    uint32_t n = fun_info(f)->arity;
    bool real = cpu_is_long(f);
    LLVMValueRef list[3] = {NULL};
    for (uint32_t i = 0; i < n; i++) {
        list[i] = arg[i];
        real &= dt[i] == DT_REAL;
    }
    if (!real)
        return cpu_fun(g, f, arg, dt);
    LLVMValueRef fn = function_of(g, f, dt);
    return LLVMBuildCall2(g->b, LLVMGlobalGetValueType(fn), fn, list, n, "");
}
