/* Machine code of kernels: PTX goes through NVIDIA's own assembler, which comes with its toolkit, and for several architectures into one file
 * from which a driver takes what its device can run. Neither is needed for PTX, which drivers compile themselves.
 *
 * The programs run in an empty folder under fixed names, so that what they write down of names is the same every time. Nothing in the
 * file is compressed: what a new toolkit compresses, older drivers do not read. */
#define _XOPEN_SOURCE 700
#include "frontend/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { MOST_WORDS = 24 };

/* A program, its words and the folder where it runs. */
typedef struct Tool {
    Driver *d;
    const char *name, *variable, *folder; /* "ptxas", "PTXAS": which one it is, where there is another */
    const char *word[MOST_WORDS + 1];
    uint32_t n;
} Tool;

static Tool tool_new(Driver *d, const char *name, const char *variable, const char *folder)
{
    const char *other = getenv(variable);
    return (Tool){.d = d, .name = name, .variable = variable, .folder = folder, .word = {other && *other ? other : name}, .n = 1};
}

static void add_word(Tool *t, Str word)
{
    if (t->n == MOST_WORDS)
        ice("%s: too many words", t->name);
    t->word[t->n++] = str_c(t->d->arena, word);
}

static Str in_folder(const Tool *t, const char *file)
{
    return str_fmt(t->d->arena, "%s/%s", t->folder, file);
}

/* The first line of what it said. */
static bool has_failed(Tool *t)
{
    Bytes said = {0};
    Str why, ignored;
    why = file_read(t->d->arena, in_folder(t, "said"), &said, &ignored) ? (Str){(const char *)said.p, (uint32_t)said.n} : STR("");
    for (uint32_t i = 0; i < why.n; i++)
        if (why.p[i] == '\n')
            why.n = i;
    driver_fail(t->d, "%s does not take the kernels: %.*s", t->word[0], STRF(why));
    return false;
}

/* What it prints goes to a file of the folder. */
static int start(Tool *t, pid_t *child)
{
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, in_folder(t, "said").p, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
    t->word[t->n] = NULL;
    int error = posix_spawnp(child, t->word[0], &files, NULL, (char *const *)(uintptr_t)t->word, environ);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

static bool run_tool(Tool *t)
{
    pid_t child;
    int status = 0, error = start(t, &child);
    if (error) {
        driver_fail(t->d, "--emit=%.*s needs %s, which comes with CUDA's toolkit: `%s` cannot be run (%s). %s may say where it is",
                    STRF(t->d->opt->value[OPT_EMIT]), t->name, t->word[0], strerror(error), t->variable);
        return false;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return (WIFEXITED(status) && WEXITSTATUS(status) == 0) || has_failed(t);
}

/* FOLDER/sm_80.cubin from FOLDER/ptx */
static bool assemble(Driver *d, const char *folder, Str arch)
{
    Tool t = tool_new(d, "ptxas", "PTXAS", folder);
    add_word(&t, str_fmt(d->arena, "-arch=%.*s", STRF(arch)));
    if (d->opt->given[OPT_LINES])
        add_word(&t, STR("-lineinfo"));
    add_word(&t, STR("-o"));
    add_word(&t, str_fmt(d->arena, "%s/%.*s.cubin", folder, STRF(arch)));
    add_word(&t, in_folder(&t, "ptx"));
    return run_tool(&t);
}

/* FOLDER/fatbin: machine code for all of them, and the PTX for what comes later. */
static bool pack(Driver *d, const char *folder, const StrList *arch)
{
    Tool t = tool_new(d, "fatbinary", "FATBINARY", folder);
    add_word(&t, STR("-64"));
    add_word(&t, STR("--compress=false"));
    add_word(&t, str_fmt(d->arena, "--create=%s/fatbin", folder));
    for (uint32_t i = 0; i < arch->n; i++)
        add_word(&t, str_fmt(d->arena, "--image3=kind=elf,sm=%s,file=%s/%.*s.cubin", arch->p[i].p + 3, folder, STRF(arch->p[i])));
    add_word(&t, str_fmt(d->arena, "--image3=kind=ptx,sm=%s,file=%s/ptx", arch->p[0].p + 3, folder));
    return run_tool(&t);
}

static bool make(Driver *d, const char *folder, Str ptx, const StrList *arch, Str *code)
{
    bool fat = option_is(d->opt, OPT_EMIT, "fatbin");
    Bytes in;
    Str error, made = fat ? str_fmt(d->arena, "%s/fatbin", folder) : str_fmt(d->arena, "%s/%.*s.cubin", folder, STRF(arch->p[0]));
    bool ok = file_write(d->arena, str_fmt(d->arena, "%s/ptx", folder), ptx.p, ptx.n, &error);
    if (!ok)
        driver_fail(d, "%.*s", STRF(error));
    for (uint32_t i = 0; i < arch->n && ok; i++)
        ok = assemble(d, folder, arch->p[i]);
    ok = ok && (!fat || pack(d, folder, arch));
    if (ok && !file_read(d->arena, made, &in, &error)) {
        driver_fail(d, "%.*s", STRF(error));
        return false;
    }
    *code = ok ? (Str){(const char *)in.p, (uint32_t)in.n} : STR("");
    return ok;
}

static void remove_folder(Driver *d, const char *folder, const StrList *arch)
{
    static const char *const file[] = {"ptx", "said", "fatbin"};
    for (uint32_t i = 0; i < arch->n; i++)
        unlink(str_fmt(d->arena, "%s/%.*s.cubin", folder, STRF(arch->p[i])).p);
    for (size_t i = 0; i < sizeof file / sizeof *file; i++)
        unlink(str_fmt(d->arena, "%s/%s", folder, file[i]).p);
    rmdir(folder);
}

bool driver_assemble(Driver *d, Str ptx, const StrList *arch, Str *code)
{
    const char *place = getenv("TMPDIR");
    Str folder = str_fmt(d->arena, "%s/rnnc.XXXXXX", place && *place ? place : "/tmp");
    char *made = mkdtemp((char *)(uintptr_t)folder.p);
    if (!made) {
        driver_fail(d, "cannot make a folder like %.*s: %s", STRF(folder), strerror(errno));
        return false;
    }
    bool ok = make(d, made, ptx, arch, code);
    remove_folder(d, made, arch);
    return ok;
}
