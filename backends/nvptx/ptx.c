/* From kernels to PTX. LLVM's fast paths stay off: additions and products are not fused behind our back, division and square
 * root are rounded, subnormal numbers are kept, as at the CPU's levels with fma. */
#include "backends/nvptx/emit.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Error.h>
#include <llvm-c/Target.h>
#include <llvm-c/Transforms/PassBuilder.h>

const char *nv_arch(uint32_t i)
{
    static const char *const name[] = {
#define ARCH(NAME, ...) NAME,
#include "backends/nvptx/arch.def"
#undef ARCH
        NULL};
    return name[i];
}

bool nv_is_alone(Str arch)
{
    return arch.p[arch.n - 1] == 'a';
}

static uint32_t row_of(Str arch)
{
    uint32_t i = 0;
    while (nv_arch(i) && !str_is(arch, nv_arch(i)))
        i++;
    return i;
}

bool nv_multiplies(Str arch, FactorType f)
{
    static const unsigned factors[] = {
#define ARCH(NAME, SINGLE, DOUBLE, FACTORS, CLUSTERS) FACTORS,
#include "backends/nvptx/arch.def"
#undef ARCH
    };
    uint32_t i = row_of(arch);
    return nv_arch(i) && factors[i] >> f & 1u;
}

bool nv_has_clusters(Str arch)
{
    static const bool clusters[] = {
#define ARCH(NAME, SINGLE, DOUBLE, FACTORS, CLUSTERS) CLUSTERS,
#include "backends/nvptx/arch.def"
#undef ARCH
    };
    uint32_t i = row_of(arch);
    return nv_arch(i) && clusters[i];
}

static bool rounds(const NvPlan *p)
{
    for (uint32_t i = 0; i < p->tile.n; i++)
        if (p->tile.p[i]->factor != FACTOR_REAL)
            return true;
    return false;
}

/* The lowest version of PTX that an architecture has is enough, but for one thing. */
static const char *features(const NvPlan *p)
{
    return rounds(p) && str_is(p->arch, "sm_75") ? "+ptx65" : "";
}

static LLVMTargetMachineRef make_machine(Arena *a, Str arch, const char *more)
{
    static const char triple[] = "nvptx64-nvidia-cuda";
    LLVMTargetRef target;
    char *why = NULL;
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
    if (LLVMGetTargetFromTriple(triple, &target, &why))
        ice("LLVM: %s", why);
    return LLVMCreateTargetMachine(target, triple, str_c(a, arch), more, LLVMCodeGenLevelDefault, LLVMRelocDefault,
                                   LLVMCodeModelDefault);
}

static LLVMModuleRef make_module(const NvPlan *p, LLVMContextRef context, LLVMTargetMachineRef machine, const NvOptions *o)
{
    LLVMModuleRef module = LLVMModuleCreateWithNameInContext(str_c(p->arena, p->k->name), context);
    LLVMBuilderRef b = LLVMCreateBuilderInContext(context);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    char *triple = LLVMGetTargetMachineTriple(machine), *why = NULL;
    LLVMSetTarget(module, triple);
    LLVMSetModuleDataLayout(module, layout);
    LLVMDisposeTargetData(layout);
    LLVMDisposeMessage(triple);
    NvLines *lines = o->sources && o->sources->file.n > 1 ? nv_lines_open(p->arena, context, module, o->sources) : NULL;
    nv_emit(p, gen_of_thread(context, module, b, o->f64), NV_GRID, lines);
    if (lines)
        nv_lines_close(lines);
    LLVMDisposeBuilder(b);
    if (LLVMVerifyModule(module, LLVMReturnStatusAction, &why))
        ice("LLVM rejects the kernels of %.*s: %s", STRF(p->k->name), why);
    LLVMDisposeMessage(why);
    return module;
}

static void optimize(LLVMModuleRef module, LLVMTargetMachineRef machine)
{
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef error = LLVMRunPasses(module, CPU_PASSES, machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (error)
        ice("LLVM passes: %s", LLVMGetErrorMessage(error));
}

static Str text_of(Arena *a, LLVMModuleRef module, LLVMTargetMachineRef machine)
{
    LLVMMemoryBufferRef buffer = NULL;
    char *why = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, module, LLVMAssemblyFile, &why, &buffer))
        ice("LLVM: %s", why);
    Str text = str_copy(a, (Str){LLVMGetBufferStart(buffer), (uint32_t)LLVMGetBufferSize(buffer)});
    LLVMDisposeMemoryBuffer(buffer);
    return text;
}

Str nv_ptx(const NvPlan *p, const NvOptions *o)
{
    LLVMContextRef context = LLVMContextCreate();
    LLVMTargetMachineRef machine = make_machine(p->arena, o->arch, features(p));
    LLVMModuleRef module = make_module(p, context, machine, o);
    optimize(module, machine);
    Str text = text_of(p->arena, module, machine);
    LLVMDisposeModule(module);
    LLVMDisposeTargetMachine(machine);
    LLVMContextDispose(context);
    return text;
}
