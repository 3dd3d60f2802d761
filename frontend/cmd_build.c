/* build: an object file with its header and manifest, or the text of any stage on the way there. */
#include "backends/backend.h"
#include "frontend/ast_print.h"
#include "frontend/driver.h"
#include "frontend/lexer.h"

static int write_text(Driver *d, Str text)
{
    Str error, path = d->opt->given[OPT_OUTPUT] ? d->opt->value[OPT_OUTPUT] : STR("-");
    if (!file_write(d->arena, path, text.p, text.n, &error))
        return driver_fail(d, "%.*s", STRF(error));
    return EXIT_FINE;
}

/* ---- the stages that need no names resolved ---- */

static int emit_tokens(Driver *d, Str path)
{
    Bytes in;
    Str error;
    Text out = {.arena = d->arena};
    if (!file_read(d->arena, path, &in, &error))
        return driver_fail(d, "%.*s", STRF(error));
    uint32_t file = source_add(d->sources, path, (Str){(const char *)in.p, (uint32_t)in.n});
    Tokens tokens = lex_file(d->arena, d->sources, file, d->diags);
    tokens_print(&out, d->sources, &tokens);
    int code = write_text(d, text_str(&out)), report = driver_report(d);
    return code ? code : report;
}

static int emit_ast(Driver *d, Str path)
{
    Unit *u = driver_load(d, path);
    Text out = {.arena = d->arena};
    if (!u)
        return driver_report(d);
    ast_print(&out, unit_ast(u));
    return write_text(d, text_str(&out));
}

/* ---- what goes into compile() ---- */

static int read_ir(Driver *d, Compile *c, Str path)
{
    Bytes in;
    Str error;
    if (!file_read(d->arena, path, &in, &error))
        return driver_fail(d, "%.*s", STRF(error));
    Str text = {(const char *)in.p, (uint32_t)in.n};
    if (option_is(d->opt, OPT_LANGUAGE, "rec"))
        c->rec = rec_read(d->arena, text, &error);
    else
        c->kern = kern_read(d->arena, text, &error);
    if (!c->rec && !c->kern)
        return driver_fail(d, "%.*s: %.*s", STRF(path), STRF(error));
    if (c->rec && c->rec->region.p[REC_BACKWARD].op.n && !c->rec->batched)
        return driver_fail(d, "%.*s: a program with a backward function must have its batch axis too", STRF(path));
    if (c->kern && kern_rounds(c->kern) && !driver_is_gpu(d->opt))
        return driver_fail(d, "%.*s: products of rounded factors are of --target=ptx and cuda", STRF(path));
    if (c->kern && kern_rounds(c->kern) && driver_precision(d->opt) == PREC_F64)
        return driver_fail(d, "%.*s: products of rounded factors are not of --precision=f64", STRF(path));
    return EXIT_FINE;
}

static int read_source(Driver *d, Compile *c, Str path, Unit **unit, FormChoice *choice)
{
    uint32_t entry;
    *unit = driver_load(d, path);
    if (!*unit)
        return driver_report(d);
    if (!driver_entry(d, *unit, path, &entry))
        return EXIT_INPUT;
    c->rec = driver_elab(d, *unit, entry);
    return c->rec && driver_form(d, *unit, entry, choice) ? EXIT_FINE : driver_report(d);
}

static Emit emit_of(const Options *o)
{
    Str kind = o->value[OPT_EMIT];
    if (!o->given[OPT_EMIT] || driver_is_assembled(o))
        return driver_is_gpu(o) ? EMIT_PTX : EMIT_OBJ;
    return str_is(kind, "rec") ? EMIT_REC : str_is(kind, "kern") ? EMIT_KERN : str_is(kind, "ll") ? EMIT_LL
         : str_is(kind, "s")   ? EMIT_S
                               : EMIT_OBJ;
}

static bool check_pass(Driver *d, OptionId id)
{
    VEC(Str) all = {0};
    Text list = {.arena = d->arena};
    if (!d->opt->given[id])
        return true;
    for (uint32_t i = 0; pass_name(d->arena, i).n; i++) {
        Str name = pass_name(d->arena, i);
        if (str_eq(name, d->opt->value[id]))
            return true;
        vec_push(d->arena, &all, name);
        text_add(&list, "%s%.*s", i ? ", " : "", STRF(name));
    }
    Str near = nearest(d->opt->value[id], all.p, all.n);
    driver_fail(d, "there is no pass `%.*s`%s%.*s; the passes are %.*s", STRF(d->opt->value[id]),
                near.n ? "; did you mean " : "", STRF(near), STRF(text_str(&list)));
    return false;
}

/* ---- what comes out ---- */

/* `-o NAME` and `-o NAME.o` (`NAME.ptx`) mean the same files; without -o they are named as the input and go to the current
 * folder. */
static const char *code_extension(const Options *o)
{
    return option_is(o, OPT_EMIT, "cubin") ? "cubin" : option_is(o, OPT_EMIT, "fatbin") ? "fatbin" : "ptx";
}

static const char *main_extension(const Options *o)
{
    return option_is(o, OPT_TARGET, "ptx") ? code_extension(o) : option_is(o, OPT_TARGET, "cuda") ? "c" : "o";
}

static Str output_base(Driver *d)
{
    Str out = d->opt->value[OPT_OUTPUT];
    if (!d->opt->given[OPT_OUTPUT])
        return path_stem(d->opt->file.p[0]);
    return str_is(path_extension(out), main_extension(d->opt)) ? path_without_extension(out) : out;
}

/* The files of one build. */
typedef struct Parts {
    Arena *arena;
    Str base;
    VEC(FileOut) file;
} Parts;

static void add_file(Parts *parts, Str path, Str text)
{
    vec_push(parts->arena, &parts->file, (FileOut){path, text.p, text.n});
}

static void add_part(Parts *parts, const char *extension, Str text)
{
    add_file(parts, str_fmt(parts->arena, "%.*s.%s", STRF(parts->base), extension), text);
}

/* A path in a makefile: blanks, `#` and `$` are escaped. */
static void put_make_path(Text *out, Str path)
{
    for (uint32_t i = 0; i < path.n; i++) {
        if (path.p[i] == ' ' || path.p[i] == '#')
            text_add(out, "\\");
        text_add(out, path.p[i] == '$' ? "$$" : "%c", path.p[i]);
    }
}

/* The files of the text, and what was measured of it, if that was asked. */
static StrList dependencies(Driver *d, const Unit *u)
{
    StrList all = {0};
    const Str *path = NULL;
    for (uint32_t i = 0, n = u ? unit_files(u, &path) : 0; i < n; i++)
        vec_push(d->arena, &all, path[i]);
    if (u && d->tune_of == u && d->tune.exists)
        vec_push(d->arena, &all, d->tune.path);
    return all;
}

static Str dependency_text(Driver *d, Str base, const Unit *u)
{
    Text out = {.arena = d->arena};
    StrList from = dependencies(d, u);
    put_make_path(&out, str_fmt(d->arena, "%.*s.%s", STRF(base), main_extension(d->opt)));
    text_add(&out, ":");
    for (uint32_t i = 0; i < from.n; i++) {
        text_add(&out, " ");
        put_make_path(&out, from.p[i]);
    }
    text_add(&out, "\n");
    for (uint32_t i = 1; i < from.n; i++) {
        text_add(&out, "\n");
        put_make_path(&out, from.p[i]);
        text_add(&out, ":\n");
    }
    return text_str(&out);
}

static void add_dependencies(Driver *d, Parts *parts, const Unit *u)
{
    Str file = d->opt->given[OPT_DEPEND_FILE] ? d->opt->value[OPT_DEPEND_FILE]
                                              : str_fmt(d->arena, "%.*s.d", STRF(parts->base));
    if (d->opt->given[OPT_DEPEND])
        add_file(parts, file, dependency_text(d, parts->base, u));
}

static int write_parts(Driver *d, const Parts *parts)
{
    Str error;
    if (files_write(d->arena, parts->file.p, parts->file.n, &error))
        return EXIT_FINE;
    return driver_fail(d, "%.*s", STRF(error));
}

static bool is_refused(Driver *d)
{
    Str extension = path_extension(d->opt->value[OPT_OUTPUT]);
    if (!str_is(extension, "a") && !str_is(extension, "so"))
        return false;
    driver_fail(d, "build writes object files; make the library from them: %s",
                str_is(extension, "a") ? "ar rcs NAME.a NAME.o" : "cc -shared -o NAME.so NAME.o");
    return true;
}

/* The object comes last: if the machine stops in between, make finds the old one and builds again. */
static int write_object(Driver *d, const Compile *c, const Unit *u)
{
    Parts parts = {.arena = d->arena, .base = output_base(d)};
    HeaderOptions h = {.prefix = c->cpu.prefix,
                       .f64 = c->cpu.precision == PREC_F64,
                       .source_file = d->opt->file.p[0],
                       .version = c->cpu.version};
    add_part(&parts, "h", header_text(d->arena, c->kern, &h));
    add_part(&parts, "json", manifest_text(d->arena, c->kern, &h));
    add_dependencies(d, &parts, u);
    add_part(&parts, "o", c->result);
    return write_parts(d, &parts);
}

/* A launcher has all functions or none; the manifest says which there are. */
static bool is_refused_for_gpu(Driver *d, const Compile *c)
{
    static const char *const name[REC_NFN] = {[REC_FORWARD] = "forward", [REC_BACKWARD] = "backward", [REC_INIT] = "init"};
    int fn = REC_FORWARD;
    while (fn + 1 < REC_NFN && !c->plan->fn[fn].refused.n && option_is(d->opt, OPT_TARGET, "cuda"))
        fn++;
    const NvFn *f = &c->plan->fn[fn];
    if (!f->refused.n)
        return false;
    Str line = f->at.file ? str_fmt(d->arena, ", line %u", source_place(d->sources, f->at).line) : STR("");
    driver_fail(d, "`%.*s` cannot be built for %.*s: its %s function has %.*s%.*s", STRF(c->kern->name), STRF(d->opt->value[OPT_TARGET]),
                name[fn], STRF(f->refused), STRF(line));
    return true;
}

static void add_launcher(Driver *d, const Compile *c, Parts *parts)
{
    HeaderOptions h = {.prefix = c->gpu.prefix,
                       .f64 = c->gpu.f64,
                       .source_file = c->gpu.source_file,
                       .version = c->gpu.version,
                       .functions = nv_declarations(c->plan, &c->gpu)};
    Str header = str_fmt(d->arena, "%.*s.h", STRF(json_file_name(parts->base)));
    add_part(parts, "h", header_text(d->arena, c->kern, &h));
    add_part(parts, "c", nv_launcher(c->plan, &c->gpu, c->result, header));
}

static int write_kernels(Driver *d, Compile *c, const Unit *u)
{
    Parts parts = {.arena = d->arena, .base = output_base(d)};
    StrList arch = driver_archs(d);
    if (is_refused_for_gpu(d, c) || (driver_is_assembled(d->opt) && !driver_assemble(d, c->result, &arch, &c->result)))
        return EXIT_INPUT;
    add_part(&parts, "json", nv_manifest(c->plan, &c->gpu));
    add_dependencies(d, &parts, u);
    add_part(&parts, code_extension(d->opt), c->result);
    if (option_is(d->opt, OPT_TARGET, "cuda"))
        add_launcher(d, c, &parts);
    return write_parts(d, &parts);
}

int cmd_build(Driver *d)
{
    Str path = d->opt->file.p[0];
    Unit *unit = NULL;
    FormChoice choice = {0};
    bool ir = d->opt->given[OPT_LANGUAGE] && !option_is(d->opt, OPT_LANGUAGE, "rnn");
    Compile c = {.arena = d->arena, .emit = emit_of(d->opt), .dump = stderr};
    if (option_is(d->opt, OPT_EMIT, "tokens"))
        return emit_tokens(d, path);
    if (option_is(d->opt, OPT_EMIT, "ast"))
        return emit_ast(d, path);
    if (!check_pass(d, OPT_STOP_AFTER) || !check_pass(d, OPT_DUMP_AFTER))
        return EXIT_USAGE;
    if (is_refused(d) || driver_is_for_other_target(d))
        return EXIT_USAGE;
    if (ir && d->opt->given[OPT_LINES]) {
        driver_fail(d, "-g: what is read with -x %.*s has no lines of a .rnn file", STRF(d->opt->value[OPT_LANGUAGE]));
        return EXIT_USAGE;
    }
    int code = ir ? read_ir(d, &c, path) : read_source(d, &c, path, &unit, &choice);
    if (code)
        return code;
    driver_targets(d, &c.cpu);
    c.for_gpu = driver_is_gpu(d->opt);
    c.gpu = (NvOptions){.prefix = c.cpu.prefix,
                        .arch = driver_archs(d).p[0],
                        .code = str_of(code_extension(d->opt)),
                        .f64 = c.cpu.precision == PREC_F64,
                        .products = driver_products(d->opt),
                        .version = c.cpu.version,
                        .source_file = path,
                        .sources = d->opt->given[OPT_LINES] ? d->sources : NULL};
    c.stop_after = d->opt->value[OPT_STOP_AFTER];
    c.dump_after = d->opt->value[OPT_DUMP_AFTER];
    if (!d->opt->given[OPT_DUMP_AFTER])
        progress_show(d->progress, "%.*s: compiling", STRF(c.rec ? c.rec->name : c.kern->name));
    compile(&c);
    progress_end(d->progress);
    if (unit && !driver_has_form(d, c.rec, &choice)) {
        driver_report(d);
        return EXIT_INPUT;
    }
    if ((c.emit != EMIT_OBJ && c.emit != EMIT_PTX) || d->opt->given[OPT_STOP_AFTER])
        return write_text(d, c.result);
    if (c.emit == EMIT_PTX)
        return write_kernels(d, &c, unit);
    return write_object(d, &c, unit);
}
