/* Several object files, as LLVM writes them for x86-64, become one: sections of one name and kind are put one behind the
 * other, and the symbols of all get one table. A symbol that one file asks for and another has becomes that one; so does
 * the name of ready code, which is added as it is. Hidden symbols are for that alone: in the result they are local, so
 * that two results can be linked into one program. Relocations stay for the linker.
 *
 * Format: System V ABI, chapter 4, and its AMD64 supplement. */
#include "backends/cpu/build.h"

#include <elf.h>

typedef struct Out {
    Str name;
    Elf64_Shdr head;
    Text bytes;
    VEC(Elf64_Rela) rela;
    uint32_t symbol; /* that stands for it + 1, or 0 */
    uint32_t index;  /* in the result */
} Out;

typedef struct In {
    const unsigned char *file;
    const Elf64_Ehdr *head;
    const Elf64_Shdr *section;
    const Elf64_Sym *symbol;
    const char *names; /* of symbols */
    uint32_t nsymbol;
    uint32_t *out;   /* by section: its Out + 1, or 0 */
    uint64_t *place; /* by section: where it begins there */
    uint32_t *as;    /* by symbol: number among all symbols */
} In;

typedef struct Symbol {
    Str name;
    Elf64_Sym sym; /* st_shndx: an Out + 1, or 0 */
    uint32_t index; /* in the result */
} Symbol;

typedef struct Join {
    Arena *arena;
    In *in;
    uint32_t n;
    VEC(Out) out;
    VEC(Symbol) symbol;
    VEC(uint32_t) shared; /* symbols that other files may ask for */
} Join;

/* ---- reading ---- */

static In open_object(Arena *a, Str object)
{
    In in = {0};
    uint64_t *aligned = NEWN(a, uint64_t, object.n / sizeof(uint64_t) + 1);
    memcpy(aligned, object.p, object.n);
    in.file = (const unsigned char *)aligned;
    in.head = (const void *)in.file;
    in.section = (const void *)(in.file + in.head->e_shoff);
    for (uint32_t i = 0; i < in.head->e_shnum; i++)
        if (in.section[i].sh_type == SHT_SYMTAB) {
            in.symbol = (const void *)(in.file + in.section[i].sh_offset);
            in.nsymbol = (uint32_t)(in.section[i].sh_size / sizeof *in.symbol);
            in.names = (const char *)in.file + in.section[in.section[i].sh_link].sh_offset;
        }
    in.out = NEWN(a, uint32_t, in.head->e_shnum);
    in.place = NEWN(a, uint64_t, in.head->e_shnum);
    in.as = NEWN(a, uint32_t, in.nsymbol + 1);
    return in;
}

static Str section_name(const In *in, const Elf64_Shdr *s)
{
    return str_of((const char *)in->file + in->section[in->head->e_shstrndx].sh_offset + s->sh_name);
}

/* ---- sections ---- */

static uint32_t find_out(Join *j, Str name, const Elf64_Shdr *like)
{
    for (uint32_t i = 0; i < j->out.n; i++) {
        const Out *o = &j->out.p[i];
        if (str_eq(o->name, name) && o->head.sh_type == like->sh_type && o->head.sh_flags == like->sh_flags &&
            o->head.sh_entsize == like->sh_entsize)
            return i;
    }
    Elf64_Shdr head = {.sh_type = like->sh_type, .sh_flags = like->sh_flags, .sh_entsize = like->sh_entsize};
    vec_push(j->arena, &j->out, (Out){.name = name, .head = head, .bytes = {.arena = j->arena}});
    return j->out.n - 1;
}

static uint64_t up_to(uint64_t n, uint64_t align)
{
    return (n + align - 1) / align * align;
}

/* Puts bytes at the end of a section; returns where they begin. Gaps in code are `nop`s. */
static uint64_t append(Join *j, uint32_t out, const unsigned char *bytes, uint64_t n, uint64_t align)
{
    Out *o = &j->out.p[out];
    uint64_t at = up_to(o->head.sh_size, align);
    const char *gap = o->head.sh_flags & SHF_EXECINSTR ? "\x90" : "";
    o->head.sh_addralign = align > o->head.sh_addralign ? align : o->head.sh_addralign;
    o->head.sh_size = at + n;
    if (o->head.sh_type == SHT_NOBITS)
        return at;
    while (o->bytes.n < at)
        text_put(&o->bytes, gap, 1);
    text_put(&o->bytes, (const char *)bytes, n);
    return at;
}

static bool is_content(const Elf64_Shdr *s)
{
    return s->sh_type == SHT_PROGBITS || s->sh_type == SHT_NOBITS;
}

static void take_sections(Join *j, In *in)
{
    for (uint32_t i = 1; i < in->head->e_shnum; i++) {
        const Elf64_Shdr *s = &in->section[i];
        if (s->sh_type == SHT_GROUP)
            ice("cpu: an object file with groups of sections");
        if (!is_content(s) || (!s->sh_size && s->sh_flags & SHF_ALLOC))
            continue;
        uint32_t out = find_out(j, section_name(in, s), s);
        in->place[i] = append(j, out, in->file + s->sh_offset, s->sh_size, s->sh_addralign ? s->sh_addralign : 1);
        in->out[i] = out + 1;
    }
}

/* ---- symbols ---- */

static uint32_t add_symbol(Join *j, Str name, Elf64_Sym sym)
{
    vec_push(j->arena, &j->symbol, (Symbol){.name = name, .sym = sym});
    return j->symbol.n - 1;
}

static bool is_asked_for(const Elf64_Sym *s)
{
    return s->st_shndx == SHN_UNDEF;
}

/* What the symbol is in the result, where it is defined; false when its section is not there. */
static bool moved(const In *in, const Elf64_Sym *s, Elf64_Sym *to)
{
    *to = *s;
    if (s->st_shndx >= SHN_LORESERVE)
        return true;
    if (!in->out[s->st_shndx])
        return false;
    to->st_shndx = (Elf64_Section)in->out[s->st_shndx];
    to->st_value += in->place[s->st_shndx];
    return true;
}

/* A section has one symbol that stands for it, at 0. */
static uint32_t section_symbol(Join *j, Elf64_Sym sym)
{
    Out *o = &j->out.p[sym.st_shndx - 1];
    sym.st_value = 0;
    if (!o->symbol)
        o->symbol = add_symbol(j, STR(""), sym) + 1;
    return o->symbol - 1;
}

static void take_symbol(Join *j, In *in, uint32_t i)
{
    const Elf64_Sym *s = &in->symbol[i];
    uint32_t type = ELF64_ST_TYPE(s->st_info);
    bool visible = ELF64_ST_BIND(s->st_info) != STB_LOCAL;
    Elf64_Sym to;
    if (is_asked_for(s) || (type == STT_FILE && in != j->in) || !moved(in, s, &to))
        return;
    if (type == STT_SECTION) {
        in->as[i] = section_symbol(j, to);
        return;
    }
    if (ELF64_ST_VISIBILITY(s->st_other) == STV_HIDDEN) {
        to.st_info = ELF64_ST_INFO(STB_LOCAL, type);
        to.st_other = STV_DEFAULT;
    }
    in->as[i] = add_symbol(j, str_of(in->names + s->st_name), to);
    if (visible)
        vec_push(j->arena, &j->shared, in->as[i]);
}

static uint32_t find_shared(const Join *j, Str name)
{
    for (uint32_t i = 0; i < j->shared.n; i++)
        if (str_eq(j->symbol.p[j->shared.p[i]].name, name))
            return j->shared.p[i];
    return UINT32_MAX;
}

static Elf64_Sym add_code(Join *j, const ReadyCode *code)
{
    uint32_t out = find_out(j, STR(".text"), &(Elf64_Shdr){.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC | SHF_EXECINSTR});
    return (Elf64_Sym){.st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
                       .st_shndx = (Elf64_Section)(out + 1),
                       .st_value = append(j, out, code->bytes, code->n, READY_ALIGN),
                       .st_size = code->n};
}

/* Another file has it, or it is ready code, or the program that the result is linked into has it. */
static void bind_symbol(Join *j, In *in, uint32_t i)
{
    const Elf64_Sym *s = &in->symbol[i];
    const char *name = in->names + s->st_name;
    in->as[i] = find_shared(j, str_of(name));
    if (in->as[i] != UINT32_MAX)
        return;
    const ReadyCode *code = cpu_ready_code(name);
    if (!code && ELF64_ST_VISIBILITY(s->st_other) == STV_HIDDEN)
        ice("cpu: no part has %s", name);
    in->as[i] = add_symbol(j, str_of(name), code ? add_code(j, code) : *s);
    vec_push(j->arena, &j->shared, in->as[i]);
}

static void take_symbols(Join *j)
{
    for (uint32_t k = 0; k < j->n; k++)
        for (uint32_t i = 1; i < j->in[k].nsymbol; i++)
            take_symbol(j, &j->in[k], i);
    for (uint32_t k = 0; k < j->n; k++)
        for (uint32_t i = 1; i < j->in[k].nsymbol; i++)
            if (is_asked_for(&j->in[k].symbol[i]))
                bind_symbol(j, &j->in[k], i);
}

/* Local ones first, as the format wants it; returns how many. */
static uint32_t number_symbols(Join *j)
{
    uint32_t n = 1, local = 0;
    for (int global = 0; global < 2; global++) {
        for (uint32_t i = 0; i < j->symbol.n; i++)
            if ((ELF64_ST_BIND(j->symbol.p[i].sym.st_info) != STB_LOCAL) == global)
                j->symbol.p[i].index = n++;
        local = global ? local : n;
    }
    return local;
}

/* ---- relocations ---- */

/* The symbol of a section stands at its beginning in the result: the number that is added grows. */
static void take_relocation(Join *j, const In *in, uint32_t section, const Elf64_Rela *r)
{
    uint32_t i = (uint32_t)ELF64_R_SYM(r->r_info);
    const Elf64_Sym *s = &in->symbol[i];
    Elf64_Rela to = *r;
    to.r_offset += in->place[section];
    to.r_info = ELF64_R_INFO((uint64_t)j->symbol.p[in->as[i]].index, ELF64_R_TYPE(r->r_info));
    if (i && !is_asked_for(s) && s->st_shndx < SHN_LORESERVE && !in->out[s->st_shndx])
        ice("cpu: a relocation against a section that is left out");
    if (ELF64_ST_TYPE(s->st_info) == STT_SECTION)
        to.r_addend += (int64_t)in->place[s->st_shndx];
    vec_push(j->arena, &j->out.p[in->out[section] - 1].rela, to);
}

static void take_relocations(Join *j, const In *in)
{
    for (uint32_t i = 1; i < in->head->e_shnum; i++) {
        const Elf64_Shdr *s = &in->section[i];
        if (s->sh_type != SHT_RELA || !in->out[s->sh_info])
            continue;
        const Elf64_Rela *r = (const void *)(in->file + s->sh_offset);
        for (uint64_t k = 0; k < s->sh_size / sizeof *r; k++)
            take_relocation(j, in, s->sh_info, &r[k]);
    }
}

/* ---- writing ---- */

typedef struct File {
    Arena *arena;
    Text bytes, names;
    VEC(Elf64_Shdr) section;
} File;

static uint32_t name_of(File *f, Str name)
{
    uint32_t at = (uint32_t)f->names.n;
    text_put(&f->names, name.p, name.n);
    text_put(&f->names, "", 1);
    return at;
}

static void pad(File *f, uint64_t align)
{
    while (f->bytes.n % align)
        text_put(&f->bytes, "", 1);
}

/* Returns its number. */
static uint32_t put_section(File *f, Str name, Elf64_Shdr head, const void *bytes, uint64_t n)
{
    pad(f, head.sh_addralign ? head.sh_addralign : 1);
    head.sh_name = name_of(f, name);
    head.sh_offset = f->bytes.n;
    head.sh_size = n;
    if (head.sh_type != SHT_NOBITS)
        text_put(&f->bytes, bytes, n);
    vec_push(f->arena, &f->section, head);
    return f->section.n - 1;
}

static void put_symbols(File *f, Join *j, uint32_t table, uint32_t nlocal)
{
    Elf64_Sym *all = NEWN(f->arena, Elf64_Sym, j->symbol.n + 1);
    for (uint32_t i = 0; i < j->symbol.n; i++) {
        const Symbol *s = &j->symbol.p[i];
        Elf64_Sym *to = &all[s->index];
        *to = s->sym;
        to->st_name = s->name.n ? name_of(f, s->name) : 0;
        if (s->sym.st_shndx && s->sym.st_shndx < SHN_LORESERVE)
            to->st_shndx = (Elf64_Section)j->out.p[s->sym.st_shndx - 1].index;
    }
    Elf64_Shdr head = {.sh_type = SHT_SYMTAB, .sh_addralign = 8, .sh_entsize = sizeof *all, .sh_link = table + 1, .sh_info = nlocal};
    put_section(f, STR(".symtab"), head, all, (j->symbol.n + 1) * sizeof *all);
}

static void put_relocations(File *f, const Out *o, uint32_t table)
{
    if (!o->rela.n)
        return;
    Elf64_Shdr head = {.sh_type = SHT_RELA, .sh_flags = SHF_INFO_LINK, .sh_addralign = 8, .sh_entsize = sizeof *o->rela.p,
                       .sh_link = table, .sh_info = o->index};
    put_section(f, str_fmt(f->arena, ".rela%.*s", STRF(o->name)), head, o->rela.p, o->rela.n * sizeof *o->rela.p);
}

/* All names, its own too. */
static void put_strings(File *f)
{
    Elf64_Shdr head = {.sh_type = SHT_STRTAB, .sh_addralign = 1};
    uint32_t name = name_of(f, STR(".strtab"));
    uint32_t i = put_section(f, STR(""), head, f->names.p, f->names.n);
    f->section.p[i].sh_name = name;
    pad(f, 8);
}

static Str write_file(Join *j, uint32_t nlocal)
{
    File f = {.arena = j->arena, .bytes = {.arena = j->arena}, .names = {.arena = j->arena}};
    Elf64_Ehdr head = *j->in[0].head;
    text_put(&f.bytes, (const char *)&head, sizeof head);
    text_put(&f.names, "", 1);
    vec_push(f.arena, &f.section, (Elf64_Shdr){0});
    uint32_t table = 1; /* the number of the table of symbols, behind all others */
    for (uint32_t i = 0; i < j->out.n; i++) {
        Out *o = &j->out.p[i];
        o->index = put_section(&f, o->name, o->head, o->bytes.p, o->head.sh_size);
        table += o->rela.n ? 2 : 1;
    }
    for (uint32_t i = 0; i < j->out.n; i++)
        put_relocations(&f, &j->out.p[i], table);
    put_symbols(&f, j, table, nlocal);
    put_strings(&f);
    head.e_shoff = f.bytes.n;
    head.e_shnum = (Elf64_Half)f.section.n;
    head.e_shstrndx = (Elf64_Half)(f.section.n - 1);
    text_put(&f.bytes, (const char *)f.section.p, f.section.n * sizeof *f.section.p);
    memcpy(f.bytes.p, &head, sizeof head);
    return (Str){f.bytes.p, (uint32_t)f.bytes.n};
}

Str cpu_join(Arena *a, const Str *object, uint32_t n)
{
    Arena *own = arena_new();
    Join j = {.arena = own, .in = NEWN(own, In, n), .n = n};
    for (uint32_t i = 0; i < n; i++) {
        j.in[i] = open_object(own, object[i]);
        take_sections(&j, &j.in[i]);
    }
    take_symbols(&j);
    uint32_t nlocal = number_symbols(&j);
    for (uint32_t i = 0; i < n; i++)
        take_relocations(&j, &j.in[i]);
    Str result = str_copy(a, write_file(&j, nlocal));
    arena_free(own);
    return result;
}
