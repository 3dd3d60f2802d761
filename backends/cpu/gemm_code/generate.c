/* rnnc_gemm_code FILE.c: compiles the matrix products of every form, precision and level, and what asks for threads, once
 * for all models, and writes their machine code as a C table (cpu_ready_code). It runs when rnnc is built.
 *
 * LLVM would spend almost half of its time on the same few functions in every model. Each is compiled as it would be in
 * a model, alone in a module, with the helpers that it calls. Of that object file the code is kept, and behind it the
 * constants that it reads: all addresses among them are relative, so they are resolved here and the whole can be put
 * anywhere. Anything else that would have to be resolved later stops the build.
 *
 * A library beside the generated objects would need none of this; but then what rnnc writes would no longer be one
 * object that links with nothing. Linking the object here instead, by hand, is less than a linker inside rnnc. */
#include <elf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "backends/cpu/build.h"

/* This program makes the code: it has none. */
const ReadyCode *cpu_ready_code(const char *name)
{
    (void)name;
    return NULL;
}

static const char *const form_name[GEMM_NFORM] = {"dot", "broadcast", "plain", "turned", "packed", "copy"};

/* What is compiled: products of every form, precision and level, then what asks for threads. */
enum { NPRODUCT = GEMM_NFORM * 2 * CPU_NLEVEL, NCODE = NPRODUCT + 3 };

typedef struct Code {
    GemmForm form;
    bool f64;
    CpuLevel level;
    char symbol[64], array[24]; /* its name in the object file, and in the table */
} Code;

static Code code_of(int i)
{
    static const char *const other[] = {"tasks.run", "gemm.run.f32", "gemm.run.f64"};
    Code c = {.form = GEMM_NFORM, .f64 = i == NPRODUCT + 2, .level = CPU_BASELINE};
    snprintf(c.array, sizeof c.array, "code_%d", i);
    if (i >= NPRODUCT) {
        snprintf(c.symbol, sizeof c.symbol, "%s", other[i - NPRODUCT]);
        return c;
    }
    c.form = (GemmForm)(i / (2 * CPU_NLEVEL));
    c.f64 = i / CPU_NLEVEL % 2;
    c.level = (CpuLevel)(i % CPU_NLEVEL);
    snprintf(c.symbol, sizeof c.symbol, "gemm.%s.%s.%s", form_name[c.form], c.f64 ? "f64" : "f32",
             cpu_level_info(c.level)->text);
    return c;
}

static LLVMValueRef make(const CpuGen *g, int i, const Code *c)
{
    return i < NPRODUCT ? cpu_gemm_function(g, c->form) : i == NPRODUCT ? cpu_share_function(g) : cpu_product_function(g);
}

/* One function's object file, and its image: the sections that are kept, one behind the other. */
typedef struct Object {
    Arena *arena;
    const char *what;
    const unsigned char *file;
    const Elf64_Ehdr *head;
    const Elf64_Shdr *section;
    const Elf64_Sym *symbol;
    const char *symbol_names;
    bool *kept;
    uint32_t *place; /* of a kept section in the image */
    unsigned char *image;
    uint32_t n;
} Object;

__attribute__((format(printf, 2, 3))) static void refuse(const Object *o, const char *why, ...)
{
    va_list list;
    va_start(list, why);
    fprintf(stderr, "rnnc_gemm_code: %s: ", o->what);
    vfprintf(stderr, why, list);
    fprintf(stderr, "\n");
    va_end(list);
    exit(1);
}

/* ---- the object file ---- */

static Str compile(Arena *a, int i, const Code *c)
{
    KernProg none = {.name = str_of(c->symbol)};
    CpuOptions options = {.precision = c->f64 ? PREC_F64 : PREC_F32};
    CpuModule *m = cpu_module_open(a, &none, &options);
    CpuGen g = cpu_gen(m->context, m->module, m->builder, c->level, c->f64);
    LLVMSetLinkage(make(&g, i, c), LLVMExternalLinkage); /* nothing here calls it */
    cpu_module_close(m);
    cpu_optimize(m);
    Str object = cpu_last_object(m, a);
    cpu_module_free(m);
    return object;
}

static const char *section_name(const Object *o, uint32_t i)
{
    return (const char *)o->file + o->section[o->head->e_shstrndx].sh_offset + o->section[i].sh_name;
}

static Object object_open(Arena *a, const char *what, Str bytes)
{
    Object o = {.arena = a, .what = what};
    uint64_t *aligned = NEWN(a, uint64_t, bytes.n / sizeof(uint64_t) + 1);
    memcpy(aligned, bytes.p, bytes.n);
    o.file = (const unsigned char *)aligned;
    o.head = (const void *)o.file;
    o.section = (const void *)(o.file + o.head->e_shoff);
    for (uint32_t i = 0; i < o.head->e_shnum; i++)
        if (o.section[i].sh_type == SHT_SYMTAB) {
            o.symbol = (const void *)(o.file + o.section[i].sh_offset);
            o.symbol_names = (const char *)o.file + o.section[o.section[i].sh_link].sh_offset;
        }
    o.kept = NEWN(a, bool, o.head->e_shnum);
    o.place = NEWN(a, uint32_t, o.head->e_shnum);
    return o;
}

/* ---- the image ---- */

/* All that would be loaded; must be code and constants only. */
static bool is_kept(const Object *o, uint32_t i)
{
    const Elf64_Shdr *s = &o->section[i];
    const char *name = section_name(o, i);
    if (!(s->sh_flags & SHF_ALLOC) || !s->sh_size)
        return false;
    bool known = !strcmp(name, ".text") || !strncmp(name, ".rodata", 7);
    if (!known || s->sh_type != SHT_PROGBITS || s->sh_flags & SHF_WRITE || s->sh_addralign > READY_ALIGN)
        refuse(o, "section %s cannot be part of the code", name);
    return true;
}

static void lay_out(Object *o)
{
    for (uint32_t i = 0; i < o->head->e_shnum; i++) {
        o->kept[i] = is_kept(o, i);
        if (!o->kept[i])
            continue;
        o->place[i] = (o->n + READY_ALIGN - 1) / READY_ALIGN * READY_ALIGN;
        o->n = o->place[i] + (uint32_t)o->section[i].sh_size;
    }
    o->image = NEWN(o->arena, unsigned char, o->n);
    for (uint32_t i = 0; i < o->head->e_shnum; i++)
        if (o->kept[i])
            memcpy(o->image + o->place[i], o->file + o->section[i].sh_offset, o->section[i].sh_size);
}

static const char *symbol_name(const Object *o, const Elf64_Sym *s)
{
    bool section = ELF64_ST_TYPE(s->st_info) == STT_SECTION;
    return section ? section_name(o, s->st_shndx) : o->symbol_names + s->st_name;
}

static void resolve(Object *o, uint32_t section, const Elf64_Rela *r)
{
    const Elf64_Sym *s = &o->symbol[ELF64_R_SYM(r->r_info)];
    uint32_t type = (uint32_t)ELF64_R_TYPE(r->r_info);
    bool here = s->st_shndx < o->head->e_shnum && o->kept[s->st_shndx];
    if (!here || (type != R_X86_64_PC32 && type != R_X86_64_PLT32))
        refuse(o, "relocation of type %u against %s cannot be resolved", type, symbol_name(o, s));
    int64_t to = (int64_t)o->place[s->st_shndx] + (int64_t)s->st_value + r->r_addend;
    uint32_t at = o->place[section] + (uint32_t)r->r_offset;
    int32_t distance = (int32_t)(to - (int64_t)at);
    memcpy(o->image + at, &distance, sizeof distance);
}

static void resolve_all(Object *o)
{
    for (uint32_t i = 0; i < o->head->e_shnum; i++) {
        const Elf64_Shdr *s = &o->section[i];
        if (s->sh_type != SHT_RELA || !o->kept[s->sh_info])
            continue;
        const Elf64_Rela *r = (const void *)(o->file + s->sh_offset);
        for (uint64_t j = 0; j < s->sh_size / sizeof *r; j++)
            resolve(o, s->sh_info, &r[j]);
    }
}

/* The one symbol that others see must be the image's first byte. */
static void check_entry(const Object *o)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < o->head->e_shnum; i++) {
        uint64_t n = o->section[i].sh_type == SHT_SYMTAB ? o->section[i].sh_size / sizeof *o->symbol : 0;
        for (uint64_t j = 1; j < n; j++) {
            const Elf64_Sym *s = &o->symbol[j];
            if (ELF64_ST_BIND(s->st_info) == STB_LOCAL)
                continue;
            bool here = s->st_shndx < o->head->e_shnum && o->kept[s->st_shndx];
            if (!here || o->place[s->st_shndx] || s->st_value || strcmp(symbol_name(o, s), o->what))
                refuse(o, "%s is not the function at the beginning", symbol_name(o, s));
            found++;
        }
    }
    if (found != 1)
        refuse(o, "no function");
}

/* ---- the table ---- */

static void write_bytes(FILE *out, const char *name, const Object *o)
{
    fprintf(out, "static const unsigned char %s[] = {", name);
    for (uint32_t i = 0; i < o->n; i++)
        fprintf(out, "%s%u,", i % 32 ? "" : "\n", o->image[i]);
    fprintf(out, "\n};\n");
}

static void write_function(FILE *out, int i)
{
    Code c = code_of(i);
    Arena *a = arena_new();
    Object o = object_open(a, c.symbol, compile(a, i, &c));
    lay_out(&o);
    check_entry(&o);
    resolve_all(&o);
    fprintf(out, "/* %s */\n", c.symbol);
    write_bytes(out, c.array, &o);
    arena_free(a);
}

static void write_find(FILE *out)
{
    fprintf(out, "\nstatic const ReadyCode code[] = {\n");
    for (int i = 0; i < NCODE; i++) {
        Code c = code_of(i);
        fprintf(out, "    {\"%s\", %s, sizeof %s},\n", c.symbol, c.array, c.array);
    }
    fprintf(out, "};\n\nconst ReadyCode *cpu_ready_code(const char *name)\n{\n"
                 "    for (size_t i = 0; i < sizeof code / sizeof *code; i++)\n"
                 "        if (!strcmp(code[i].name, name))\n            return &code[i];\n    return NULL;\n}\n");
}

int main(int argc, char **argv)
{
    FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;
    if (!out) {
        fprintf(stderr, "usage: rnnc_gemm_code FILE.c\n");
        return 1;
    }
    fprintf(out, "/* Generated: machine code of matrix products. */\n#include \"backends/cpu/build.h\"\n\n");
    for (int i = 0; i < NCODE; i++)
        write_function(out, i);
    write_find(out);
    return fclose(out) != 0;
}
