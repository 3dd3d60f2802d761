/* Sizes of a part of a kernel's own. A kernel may have dozens of nests in a loop over time, and LLVM would compute addresses for all of them
 * in front of it: they would not fit into registers. What is found from a part's own sizes is computed in that part. */
#include "backends/nvptx/emit.h"

EmitNear nv_own_sizes(Emit *e)
{
    EmitNear outer = e->near;
    e->near = (EmitNear){.buf = outer.buf, .given = outer.given, .sym = NEWN(e->arena, LLVMValueRef, dim_nsyms(e->k->dims))};
    gen_enter(&e->g, gen_block(&e->g, "near"));
    e->near.b = LLVMCreateBuilderInContext(e->g.context);
    LLVMPositionBuilderAtEnd(e->near.b, LLVMGetInsertBlock(e->g.b));
    for (DimSym s = 0; s < dim_nsyms(e->k->dims); s++)
        e->near.sym[s] = outer.sym[s] ? nv_own(&e->g, e->near.b, outer.sym[s]) : NULL;
    e->near.then = gen_block(&e->g, "part");
    LLVMPositionBuilderAtEnd(e->g.b, e->near.then);
    return outer;
}

void nv_outer_sizes(Emit *e, EmitNear outer)
{
    LLVMBuildBr(e->near.b, e->near.then);
    LLVMDisposeBuilder(e->near.b);
    e->near = outer;
}
