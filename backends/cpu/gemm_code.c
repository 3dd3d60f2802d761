/* Machine code that is ready, inside a module that LLVM compiles: as assembly text, bytes written out in a string. */
#include "backends/cpu/build.h"

static void put_bytes(Text *t, const unsigned char *p, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        char plain = (char)p[i];
        char octal[4] = {'\\', (char)('0' + (p[i] >> 6)), (char)('0' + (p[i] >> 3 & 7)), (char)('0' + (p[i] & 7))};
        if (p[i] >= ' ' && p[i] <= '~' && plain != '"' && plain != '\\')
            text_put(t, &plain, 1);
        else
            text_put(t, octal, sizeof octal);
    }
}

static void add_code(LLVMModuleRef module, const ReadyCode *code)
{
    Arena *a = arena_new();
    Text t = {.arena = a};
    text_add(&t, "\t.text\n\t.balign %d, 0x90\n\t.type %s,@function\n%s:\n\t.ascii \"", READY_ALIGN, code->name,
             code->name);
    put_bytes(&t, code->bytes, code->n);
    text_add(&t, "\"\n\t.size %s, %u\n", code->name, code->n);
    Str s = text_str(&t);
    LLVMAppendModuleInlineAsm(module, s.p, s.n);
    arena_free(a);
}

void cpu_use_code(const CpuGen *g, LLVMValueRef fn, const ReadyCode *code)
{
    LLVMSetLinkage(fn, LLVMExternalLinkage);
    LLVMSetVisibility(fn, LLVMHiddenVisibility);
    if (!g->apart)
        add_code(g->module, code);
}
