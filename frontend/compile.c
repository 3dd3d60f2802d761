#include "frontend/compile.h"

static Str emit(Compile *c)
{
    if (c->emit == EMIT_OBJ)
        return cpu_build(c->arena, c->kern, &c->cpu);
    CpuModule *m = cpu_module_new(c->arena, c->kern, &c->cpu);
    Str result = {0};
    cpu_optimize(m);
    switch (c->emit) {
    case EMIT_LL: result = cpu_llvm_text(m, c->arena); break;
    case EMIT_S: result = cpu_assembly(m, c->arena); break;
    case EMIT_OBJ:
    case EMIT_REC:
    case EMIT_PTX:
    case EMIT_KERN: ice("compile: nothing to emit");
    }
    cpu_module_free(m);
    return result;
}

static void emit_ptx(Compile *c)
{
    c->plan = nv_plan(c->arena, c->kern, &c->gpu);
    if (!c->plan->fn[REC_FORWARD].refused.n)
        c->result = nv_ptx(c->plan, &c->gpu);
}

static double rounding_unit(bool f64)
{
    return f64 ? 0x1p-53 : 0x1p-24;
}

/* rec -> rec passes -> kern -> kern passes -> LLVM -> text or object code */
void compile(Compile *c)
{
    if (c->rec)
        c->rec->unit = rounding_unit(c->for_gpu ? c->gpu.f64 : c->cpu.precision == PREC_F64);
    if (c->rec && !run_rec_passes(c))
        return;
    if (c->rec && c->emit == EMIT_REC) {
        c->result = rec_text(c->arena, c->rec);
        return;
    }
    if (!c->kern)
        c->kern = rec_to_kern(c->arena, c->rec);
    check_kern(c->kern, "rec_to_kern");
    if (c->rec)
        c->kern->narrow = precision_narrow(c->cpu.precision);
    c->kern->tiles = c->for_gpu && !c->gpu.f64;
    c->kern->products = c->gpu.products;
    if (!run_kern_passes(c))
        return;
    if (c->emit == EMIT_PTX)
        emit_ptx(c);
    else
        c->result = c->emit == EMIT_KERN ? kern_text(c->arena, c->kern) : emit(c);
}

void compile_reference(RecProg *raw)
{
    check_rec(raw, "lowering");
    rec_operators(raw); /* nobody asked for a form */
    rec_backward(raw);
    check_rec(raw, "rec.backward");
}
