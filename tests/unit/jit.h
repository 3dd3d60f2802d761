/* Small pieces of generated code, compiled and loaded with nothing around them. */
#ifndef TESTS_UNIT_JIT_H
#define TESTS_UNIT_JIT_H

#include <criterion/criterion.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "backends/cpu/build.h"

typedef void JitAdd(LLVMContextRef context, LLVMModuleRef module, LLVMBuilderRef b);

static void jit_must(LLVMErrorRef e)
{
    if (e)
        cr_assert_fail("%s", LLVMGetErrorMessage(e));
}

/* The functions that `add` writes into a module, optimized as a program's are. There is no search generator: what calls
 * libm or anything else fails to link. */
static inline LLVMOrcLLJITRef jit_new(JitAdd *add)
{
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser();
    LLVMOrcLLJITRef j;
    jit_must(LLVMOrcCreateLLJIT(&j, LLVMOrcCreateLLJITBuilder()));
    LLVMOrcThreadSafeContextRef ts = LLVMOrcCreateNewThreadSafeContext();
    LLVMContextRef context = LLVMOrcThreadSafeContextGetContext(ts);
    LLVMModuleRef module = LLVMModuleCreateWithNameInContext("test", context);
    LLVMSetDataLayout(module, LLVMOrcLLJITGetDataLayoutStr(j));
    LLVMSetTarget(module, LLVMOrcLLJITGetTripleString(j));
    LLVMBuilderRef b = LLVMCreateBuilderInContext(context);
    add(context, module, b);
    LLVMDisposeBuilder(b);
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    jit_must(LLVMRunPasses(module, CPU_PASSES, NULL, options));
    LLVMDisposePassBuilderOptions(options);
    LLVMOrcThreadSafeModuleRef whole = LLVMOrcCreateNewThreadSafeModule(module, ts);
    jit_must(LLVMOrcLLJITAddLLVMIRModule(j, LLVMOrcLLJITGetMainJITDylib(j), whole));
    LLVMOrcDisposeThreadSafeContext(ts);
    return j;
}

/* The address of a function; the caller makes it one of the right type. */
static uintptr_t jit_find(LLVMOrcLLJITRef j, const char *name)
{
    LLVMOrcExecutorAddress at;
    jit_must(LLVMOrcLLJITLookup(j, &at, name));
    return (uintptr_t)at;
}

#endif
