/* Object files that become one: what is bound, what stays visible, and that the result runs. */
#include <elf.h>
#include <llvm-c/IRReader.h>

#include "backends/cpu/cpu.h"
#include "tests/unit/jit.h"

/* Calls into the second file and back, reads a constant that both name alike, and ready code. */
static const char first_text[] =
    "@table = private constant [3 x i32] [i32 5, i32 7, i32 11]\n"
    "@shared = hidden constant i32 100\n"
    "declare hidden i32 @twice(i32)\n"
    "declare ptr @memset(ptr, i32, i64)\n"
    "declare hidden void @gemm.plain.f32.baseline(i64, i64, i64, ptr, i64, i64, ptr, i64, i64, ptr, i64, i64, i1)\n"
    "define i32 @first(i64 %i) {\n"
    "  %at = getelementptr i32, ptr @table, i64 %i\n"
    "  %v = load i32, ptr %at\n"
    "  %r = call i32 @twice(i32 %v)\n"
    "  ret i32 %r\n"
    "}\n"
    "define hidden i32 @one_more(i32 %x) {\n"
    "  %r = add i32 %x, 1\n"
    "  ret i32 %r\n"
    "}\n"
    "define void @product(ptr %a, ptr %b, ptr %c) {\n"
    "  call ptr @memset(ptr %c, i32 0, i64 4)\n"
    "  call void @gemm.plain.f32.baseline(i64 1, i64 1, i64 2, ptr %a, i64 2, i64 1, ptr %b, i64 1, i64 1, ptr %c, i64 1, "
    "i64 1, i1 false)\n"
    "  ret void\n"
    "}\n";
static const char second_text[] =
    "@table = private constant [2 x i32] [i32 1, i32 2]\n"
    "@shared = external hidden constant i32\n"
    "@word = internal global i32 0\n"
    "declare hidden i32 @one_more(i32)\n"
    "declare ptr @memset(ptr, i32, i64)\n"
    "define hidden i32 @twice(i32 %x) {\n"
    "  %last = getelementptr i32, ptr @table, i64 1\n"
    "  %two = load volatile i32, ptr %last\n"
    "  %m = mul i32 %x, %two\n"
    "  %n = call i32 @one_more(i32 %m)\n"
    "  %h = load volatile i32, ptr @shared\n"
    "  %r = add i32 %n, %h\n"
    "  store volatile i32 %r, ptr @word\n"
    "  ret i32 %r\n"
    "}\n"
    "define void @clear(ptr %p) {\n"
    "  call ptr @memset(ptr %p, i32 0, i64 8)\n"
    "  ret void\n"
    "}\n";

static Str object_of(Arena *a, const char *text, LLVMCodeGenOptLevel level)
{
    CpuOptions options = {.precision = PREC_F32};
    KernProg none = {.name = STR("part")};
    cpu_start_llvm();
    CpuModule *m = cpu_module_part(a, &none, &options, level);
    LLVMMemoryBufferRef source = LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "text");
    LLVMModuleRef module;
    char *why = NULL;
    cr_assert_not(LLVMParseIRInContext(m->context, source, &module, &why), "%s", why);
    LLVMMemoryBufferRef object = cpu_emit(m, module, LLVMObjectFile);
    Str result = str_copy(a, (Str){LLVMGetBufferStart(object), (uint32_t)LLVMGetBufferSize(object)});
    LLVMDisposeMemoryBuffer(object);
    LLVMDisposeModule(module);
    cpu_module_free(m);
    return result;
}

static Str joined(Arena *a, LLVMCodeGenOptLevel one, LLVMCodeGenOptLevel two, bool turned)
{
    Str object[2] = {object_of(a, first_text, one), object_of(a, second_text, two)};
    Str other[2] = {object[1], object[0]};
    return cpu_join(a, turned ? other : object, 2);
}

/* ---- the file ---- */

typedef struct File {
    const char *bytes;
    const Elf64_Ehdr *head;
    const Elf64_Shdr *section, *symbols;
    const Elf64_Sym *symbol;
    const char *names;
    uint32_t n;
} File;

static File file_open(Arena *a, Str object)
{
    uint64_t *aligned = NEWN(a, uint64_t, object.n / 8 + 1);
    memcpy(aligned, object.p, object.n);
    File f = {.bytes = (const char *)aligned, .head = (const void *)aligned};
    f.section = (const void *)(f.bytes + f.head->e_shoff);
    for (uint32_t i = 0; i < f.head->e_shnum; i++)
        if (f.section[i].sh_type == SHT_SYMTAB)
            f.symbols = &f.section[i];
    cr_assert(f.symbols);
    f.symbol = (const void *)(f.bytes + f.symbols->sh_offset);
    f.names = f.bytes + f.section[f.symbols->sh_link].sh_offset;
    f.n = (uint32_t)(f.symbols->sh_size / sizeof *f.symbol);
    return f;
}

static const char *section_name(const File *f, uint32_t i)
{
    return f->bytes + f->section[f->head->e_shstrndx].sh_offset + f->section[i].sh_name;
}

Test(join, only_public_names_are_visible)
{
    Arena *a = arena_new();
    File f = file_open(a, joined(a, LLVMCodeGenLevelDefault, LLVMCodeGenLevelNone, false));
    Text seen = {.arena = a};
    for (uint32_t i = 0; i < f.n; i++) {
        bool local = ELF64_ST_BIND(f.symbol[i].st_info) == STB_LOCAL;
        cr_expect_eq(local, i < f.symbols->sh_info, "local symbols stand first");
        if (!local)
            text_add(&seen, "%s%s ", f.symbol[i].st_shndx == SHN_UNDEF ? "?" : "", f.names + f.symbol[i].st_name);
    }
    cr_expect_str_eq(seen.p, "first product clear ?memset ");
    arena_free(a);
}

Test(join, one_section_of_a_kind)
{
    Arena *a = arena_new();
    File f = file_open(a, joined(a, LLVMCodeGenLevelDefault, LLVMCodeGenLevelDefault, false));
    for (uint32_t i = 1; i < f.head->e_shnum; i++) {
        const Elf64_Shdr *s = &f.section[i];
        cr_expect(!s->sh_addralign || s->sh_offset % s->sh_addralign == 0, "%s is aligned", section_name(&f, i));
        for (uint32_t k = 1; k < i; k++)
            cr_expect_str_neq(section_name(&f, i), section_name(&f, k));
    }
    arena_free(a);
}

Test(join, relocations_name_what_there_is)
{
    Arena *a = arena_new();
    File f = file_open(a, joined(a, LLVMCodeGenLevelNone, LLVMCodeGenLevelNone, false));
    uint32_t seen = 0;
    for (uint32_t i = 1; i < f.head->e_shnum; i++) {
        const Elf64_Shdr *s = &f.section[i];
        const Elf64_Rela *r = (const void *)(f.bytes + s->sh_offset);
        for (uint64_t k = 0; s->sh_type == SHT_RELA && k < s->sh_size / sizeof *r; k++, seen++) {
            cr_expect(ELF64_R_SYM(r[k].r_info) > 0 && ELF64_R_SYM(r[k].r_info) < f.n);
            cr_expect(r[k].r_offset < f.section[s->sh_info].sh_size);
        }
    }
    cr_expect(seen >= 8);
    arena_free(a);
}

Test(join, the_same_bytes_again)
{
    Arena *a = arena_new();
    Str one = joined(a, LLVMCodeGenLevelDefault, LLVMCodeGenLevelNone, false);
    cr_expect(str_eq(one, joined(a, LLVMCodeGenLevelDefault, LLVMCodeGenLevelNone, false)));
    arena_free(a);
}

/* ---- running it ---- */

static void *set(void *p, int c, size_t n)
{
    return memset(p, c, n);
}

static void define_memset(LLVMOrcLLJITRef jit)
{
    void *(*at)(void *, int, size_t) = set;
    LLVMOrcCSymbolMapPair pair = {.Name = LLVMOrcLLJITMangleAndIntern(jit, "memset")};
    pair.Sym.Address = (LLVMOrcExecutorAddress)(uintptr_t)at;
    pair.Sym.Flags.GenericFlags = LLVMJITSymbolGenericFlagsExported | LLVMJITSymbolGenericFlagsCallable;
    jit_must(LLVMOrcJITDylibDefine(LLVMOrcLLJITGetMainJITDylib(jit), LLVMOrcAbsoluteSymbols(&pair, 1)));
}

static void runs(Str object)
{
    LLVMOrcLLJITRef jit;
    jit_must(LLVMOrcCreateLLJIT(&jit, NULL));
    define_memset(jit);
    LLVMMemoryBufferRef copy = LLVMCreateMemoryBufferWithMemoryRangeCopy(object.p, object.n, "object");
    jit_must(LLVMOrcLLJITAddObjectFile(jit, LLVMOrcLLJITGetMainJITDylib(jit), copy));
    int (*first)(int64_t) = (int (*)(int64_t))jit_find(jit, "first");
    void (*product)(const float *, const float *, float *) =
        (void (*)(const float *, const float *, float *))jit_find(jit, "product");
    float c = 1;
    cr_expect_eq(first(0), 2 * 5 + 1 + 100);
    cr_expect_eq(first(2), 2 * 11 + 1 + 100);
    product((float[]){2, 3}, (float[]){5, 7}, &c);
    cr_expect_eq(c, 31.0f);
    jit_must(LLVMOrcDisposeLLJIT(jit));
}

Test(join, runs_in_every_order)
{
    Arena *a = arena_new();
    for (int turned = 0; turned < 2; turned++) {
        runs(joined(a, LLVMCodeGenLevelDefault, LLVMCodeGenLevelDefault, turned));
        runs(joined(a, LLVMCodeGenLevelNone, LLVMCodeGenLevelDefault, turned));
        runs(joined(a, LLVMCodeGenLevelNone, LLVMCodeGenLevelNone, turned));
    }
    arena_free(a);
}
