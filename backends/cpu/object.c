/* One LLVM module: made from a KernProg, optimised, written as an object file or text. The target is the host's system with the
 * baseline processor; kernels carry their own target-cpu. Names of files and times stay out, so the same program gives the same
 * bytes. */
#include "backends/cpu/cpu.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Support.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include "backends/backend.h"

void cpu_start_llvm(void)
{
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser(); /* inline assembly: cpuid */
    /* A sixth of the time for nothing that can be measured: addresses are simple and equal expressions already one, as
     * the kernels are made. There is no other way to leave these out. */
    static const char *const option[] = {"rnnc", "-disable-lsr", "-disable-machine-sink", "-disable-machine-cse",
                                         "-disable-x86-domain-reassignment"};
    LLVMParseCommandLineOptions((int)(sizeof option / sizeof *option), option, "");
}

static LLVMTargetMachineRef make_machine(char *triple, LLVMCodeGenOptLevel level)
{
    LLVMTargetRef target;
    char *why = NULL;
    if (LLVMGetTargetFromTriple(triple, &target, &why))
        ice("LLVM: %s", why);
    return LLVMCreateTargetMachine(target, triple, "x86-64", "", level, LLVMRelocPIC, LLVMCodeModelDefault);
}

static CpuModule *open(Arena *a, const KernProg *kern, const CpuOptions *options, LLVMCodeGenOptLevel level)
{
    CpuModule *m = NEW(a, CpuModule);
    *m = (CpuModule){.arena = a, .kern = kern, .options = *options, .context = LLVMContextCreate()};
    m->module = LLVMModuleCreateWithNameInContext(str_c(a, kern->name), m->context);
    m->builder = LLVMCreateBuilderInContext(m->context);
    char *triple = LLVMGetDefaultTargetTriple();
    m->machine = make_machine(triple, level);
    LLVMSetTarget(m->module, triple);
    LLVMDisposeMessage(triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(m->machine);
    LLVMSetModuleDataLayout(m->module, layout);
    LLVMDisposeTargetData(layout);
    LLVMValueRef two = LLVMConstInt(LLVMInt32TypeInContext(m->context), 2, false);
    LLVMAddModuleFlag(m->module, LLVMModuleFlagBehaviorOverride, "PIC Level", 9, LLVMValueAsMetadata(two));
    m->real = options->precision == PREC_F64 ? LLVMDoubleTypeInContext(m->context) : LLVMFloatTypeInContext(m->context);
    return m;
}

CpuModule *cpu_module_open(Arena *a, const KernProg *kern, const CpuOptions *options)
{
    cpu_start_llvm();
    return open(a, kern, options, LLVMCodeGenLevelDefault);
}

CpuModule *cpu_module_part(Arena *a, const KernProg *kern, const CpuOptions *options, LLVMCodeGenOptLevel level)
{
    CpuModule *m = open(a, kern, options, level);
    m->apart = true;
    return m;
}

void cpu_module_close(CpuModule *m)
{
    char *why = NULL;
    if (LLVMVerifyModule(m->module, LLVMReturnStatusAction, &why))
        ice("LLVM rejects the code of %.*s: %s", STRF(m->kern->name), why);
    LLVMDisposeMessage(why);
}

/* init runs once, so there is one for all levels, which draws the same numbers everywhere. */
CpuModule *cpu_module_new(Arena *a, const KernProg *kern, const CpuOptions *options)
{
    CpuModule *m = cpu_module_open(a, kern, options);
    LLVMValueRef init = kern->has_fn[REC_INIT] ? cpu_emit_kernel(m, REC_INIT, CPU_BASELINE) : NULL;
    for (int l = 0; l < CPU_NLEVEL; l++)
        for (int fn = 0; fn < REC_NFN; fn++)
            if (options->level[l] && kern->has_fn[fn])
                m->kernel[l][fn] = fn == REC_INIT ? init : cpu_emit_kernel(m, (RecFn)fn, (CpuLevel)l);
    cpu_emit_abi(m);
    cpu_module_close(m);
    return m;
}

void cpu_optimize(CpuModule *m)
{
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(m->module, CPU_PASSES, m->machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (error)
        ice("LLVM passes: %s", LLVMGetErrorMessage(error));
}

LLVMMemoryBufferRef cpu_emit(CpuModule *m, LLVMModuleRef module, LLVMCodeGenFileType type)
{
    LLVMMemoryBufferRef buffer = NULL;
    char *why = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(m->machine, module, type, &why, &buffer))
        ice("LLVM: %s", why);
    return buffer;
}

static Str emit(CpuModule *m, LLVMModuleRef module, Arena *a, LLVMCodeGenFileType type)
{
    LLVMMemoryBufferRef buffer = cpu_emit(m, module, type);
    Str result = str_copy(a, (Str){LLVMGetBufferStart(buffer), (uint32_t)LLVMGetBufferSize(buffer)});
    LLVMDisposeMemoryBuffer(buffer);
    return result;
}

static Str emit_copy(CpuModule *m, Arena *a, LLVMCodeGenFileType type)
{
    LLVMModuleRef copy = LLVMCloneModule(m->module);
    Str result = emit(m, copy, a, type);
    LLVMDisposeModule(copy);
    return result;
}

Str cpu_object(CpuModule *m, Arena *a)
{
    return emit_copy(m, a, LLVMObjectFile);
}

Str cpu_last_object(CpuModule *m, Arena *a)
{
    return emit(m, m->module, a, LLVMObjectFile);
}

Str cpu_assembly(CpuModule *m, Arena *a)
{
    return emit_copy(m, a, LLVMAssemblyFile);
}

Str cpu_llvm_text(CpuModule *m, Arena *a)
{
    char *text = LLVMPrintModuleToString(m->module);
    Str result = str_copy(a, str_of(text));
    LLVMDisposeMessage(text);
    return result;
}

void cpu_module_free(CpuModule *m)
{
    LLVMDisposeBuilder(m->builder);
    LLVMDisposeModule(m->module);
    LLVMDisposeTargetMachine(m->machine);
    LLVMContextDispose(m->context);
}
