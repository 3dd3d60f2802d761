/* What leaves the compiler: the header under every standard and compiler at hand, the object's symbols, equal bytes for
 * equal input. Works in a temporary folder of its own. */
#define _POSIX_C_SOURCE 200809L
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/capi/toy_program.h"

static void write_file(const char *dir, const char *name, Str text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    cr_assert(f, "%s", path);
    cr_assert_eq(fwrite(text.p, 1, text.n, f), text.n);
    fclose(f);
}

static const CpuOptions all_levels = {.level = {true, true, true}, .version = {"0.1", 3}};

/* `toy`, as anyone would name things; and one whose every name is somebody else's word. */
static Toy friendly(Arena *a)
{
    Toy t = toy_new(a, "toy");
    t.k->arg.p[t.W].doc = STR("weights: */ \"quoted\" \\ /* end ?\?/ \xe2\x80\xae ");
    return t;
}

static Toy hostile(Arena *a)
{
    Toy t = toy_new(a, "rnn");
    t.k->arg.p[t.W].name = STR("class");
    t.k->arg.p[t.x].name = STR("int");
    t.k->out.p[t.cT].name = STR("fwd.new.T");
    t.k->has_fn[REC_BACKWARD] = t.k->has_fn[REC_INIT] = false;
    t.k->out.p[t.h].streams = false;
    t.k->out.p[t.h].why_not = STR("`h` looks ahead /* */");
    return t;
}

static void make_files(Arena *a, const char *dir)
{
    Toy t = friendly(a), r = hostile(a);
    CpuOptions o = all_levels;
    write_file(dir, "toy.o", toy_object(&t, &o));
    o.precision = PREC_F64;
    write_file(dir, "rnn.o", toy_object(&r, &o));
    HeaderOptions h = {.source_file = STR("/home/me/models/toy.rnn"), .version = STR("0.1")};
    write_file(dir, "toy.h", header_text(a, t.k, &h));
    write_file(dir, "toy.json", manifest_text(a, t.k, &h));
    h.f64 = true;
    write_file(dir, "rnn.h", header_text(a, r.k, &h));
}

static char *folder(char *space)
{
    strcpy(space, "/tmp/rnnc-capi-XXXXXX");
    cr_assert(mkdtemp(space));
    return space;
}

static void remove_folder(const char *dir)
{
    char command[600];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    cr_assert_eq(system(command), 0);
}

static bool have(const char *program)
{
    char command[300];
    snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", program);
    return system(command) == 0;
}

static void compile_and_run(const char *dir, const char *compiler, const char *std, const char *language)
{
    char command[2000];
    snprintf(command, sizeof command,
             "cd '%s' && %s -x %s -std=%s -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wundef -Werror -I. -c "
             "'%s/tests/capi/two.c' -o two.o && "
             "%s -x none two.o toy.o rnn.o -o two && ./two",
             dir, compiler, language, std, RNNC_SOURCE_DIR, compiler);
    cr_expect_eq(system(command), 0, "%s -std=%s", compiler, std);
}

Test(capi, two_headers_and_objects_in_every_standard, .timeout = 120)
{
    static const char *const c[] = {"gcc", "clang", "clang-19"}, *const cpp[] = {"g++", "clang++", "clang++-19"};
    static const char *const c_std[] = {"c99", "c11", "c17", "c2x", "gnu17"}, *const cpp_std[] = {"c++11", "c++17",
                                                                                                  "c++20"};
    char dir[64];
    Arena *a = arena_new();
    int used = 0;
    make_files(a, folder(dir));
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 5 && have(c[i]); k++, used++)
            compile_and_run(dir, c[i], c_std[k], "c");
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3 && have(cpp[i]); k++, used++)
            compile_and_run(dir, cpp[i], cpp_std[k], "c++");
    remove_folder(dir);
    arena_free(a);
    if (!used)
        cr_skip_test("no C compiler is installed");
}

/* The object gives its public functions and asks for nothing but mem*. Its only data that changes is the level. */
Test(capi, symbols)
{
    static const char expected[] =
        "T toy_backward\nT toy_chunk\nT toy_forward\nT toy_info\nT toy_init\nT toy_packed_workspace\nT toy_step\nT toy_workspace\n";
    char dir[64], command[600], line[200], got[2000] = "";
    if (!have("nm"))
        cr_skip_test("nm is not installed");
    Arena *a = arena_new();
    make_files(a, folder(dir));
    snprintf(command, sizeof command, "LC_ALL=C nm '%s/toy.o' | sed 's/^[0-9a-f ]*//' | sort", dir);
    FILE *f = popen(command, "r");
    while (fgets(line, sizeof line, f)) {
        if (line[0] == 'U')
            cr_expect(!strcmp(line, "U memcpy\n") || !strcmp(line, "U memmove\n") || !strcmp(line, "U memset\n"), "%s",
                      line);
        else if (strchr("bBdDcCsSgG", line[0]))
            cr_expect(!strcmp(line, "b chosen\n") || strstr(line, "d info") || strstr(line, "d arrays"), "%s", line);
        else if (line[0] >= 'A' && line[0] <= 'Z')
            strcat(got, line);
        cr_expect(line[0] != 'W' && line[0] != 'V', "weak: %s", line);
    }
    pclose(f);
    cr_expect_str_eq(got, expected);
    snprintf(command, sizeof command, "LC_ALL=C readelf -SW '%s/toy.o' | grep -E 'init_array|ctors|tbss|tdata'", dir);
    cr_expect_neq(system(command), 0, "no constructors and no thread-local data");
    remove_folder(dir);
    arena_free(a);
}

Test(capi, prefix)
{
    Arena *a = arena_new();
    Toy t = toy_new(a, "toy");
    CpuOptions o = all_levels;
    o.prefix = STR("mine");
    Str error, object = toy_object(&t, &o);
    CpuCode *code = cpu_load(object, t.k, &o, &error);
    cr_assert(code, "%.*s", STRF(error));
    cr_expect_not_null(cpu_symbol(code, "mine_forward"));
    cr_expect_null(cpu_symbol(code, "toy_forward"));
    cr_expect_null(cpu_symbol(code, "measure"));
    HeaderOptions h = {.prefix = o.prefix, .version = STR("0.1")};
    const char *text = header_text(a, t.k, &h).p;
    cr_expect(strstr(text, "mine_forward(const mine_sizes *sizes") && !strstr(text, "toy_"));
    cpu_free(code);
    arena_free(a);
}

Test(capi, the_same_input_gives_the_same_bytes)
{
    Arena *a = arena_new();
    Toy t = friendly(a), again = friendly(a);
    CpuOptions o = all_levels;
    HeaderOptions h = {.source_file = STR("/home/me/models/toy.rnn"), .version = STR("0.1")}, elsewhere = h;
    elsewhere.source_file = STR("toy.rnn");
    cr_expect(str_eq(toy_object(&t, &o), toy_object(&again, &o)));
    cr_expect(str_eq(header_text(a, t.k, &h), header_text(a, again.k, &elsewhere)));
    cr_expect(str_eq(manifest_text(a, t.k, &h), manifest_text(a, again.k, &elsewhere)));
    o.level[CPU_AVX512] = false;
    cr_expect_not(str_eq(toy_object(&t, &o), toy_object(&again, &all_levels)));
    arena_free(a);
}

Test(capi, the_header_says_what_there_is)
{
    static const char *const lines[] = {
        "const float *x;",
        "[T, B, D]",
        "const int32_t *lengths;",
        "[B]; steps of each sequence, 0..T; NULL: all have T",
        "[B, H]; NULL: the declared start value",
        "const int32_t *offsets;",
        "[B + 1]; where each sequence of a packed batch begins, from 0, and T",
        "size_t toy_packed_workspace(const toy_sizes *sizes, const int32_t *offsets, int passes);",
        "arrays over T hold all sequences end to end, [T, ...] without B",
        "P = D / G must be a whole number",
        "from toy.rnn",
        "int64_t T;",
        "[2*H, D] weights: * / \"quoted\"",
        "RNN_STREAM     = 7,",
    };
    Arena *a = arena_new();
    Toy t = friendly(a);
    HeaderOptions h = {.source_file = STR("models/toy.rnn"), .version = STR("0.1")};
    Str text = header_text(a, t.k, &h);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        cr_expect(strstr(text.p, lines[i]), "%s", lines[i]);
    Toy r = hostile(a);
    text = header_text(a, r.k, &h);
    cr_expect(strstr(text.p, "always returns RNN_STREAM: `h` looks ahead / * * /."));
    cr_expect(strstr(text.p, "const rnn_info *rnn_info_(void);"));
    cr_expect(strstr(text.p, "*fwd_new_T;"));
    cr_expect_null(strstr(text.p, "_backward(") ? text.p : NULL);
    arena_free(a);
}

Test(capi, text_and_assembly)
{
    Arena *a = arena_new();
    Toy t = toy_new(a, "toy");
    CpuOptions o = all_levels;
    CpuModule *m = toy_module(&t, &o);
    cpu_optimize(m);
    Str first = cpu_object(m, a);
    cr_expect(strstr(cpu_llvm_text(m, a).p, "define i32 @toy_forward("));
    cr_expect(strstr(cpu_assembly(m, a).p, "toy_forward:"));
    cr_expect(str_eq(first, cpu_object(m, a)), "emission leaves the module alone");
    cpu_module_free(m);
    arena_free(a);
}
