/* quiet FILE.so...: while generated code runs, nothing is allocated, printed or started. Allocations are counted by standing
 * in front of the library's; threads and open files are counted in /proc; then everything is called once more in a process
 * that the kernel ends on any system call but read, write and exit. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "call.h"

/* ---- allocations ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t alignment, size_t n);
void __libc_free(void *p);

static volatile int counted; /* since the last look */

void *malloc(size_t n)
{
    counted++;
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    counted++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    counted++;
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t alignment, size_t n)
{
    counted++;
    return __libc_memalign(alignment, n);
}

void free(void *p)
{
    counted++;
    __libc_free(p);
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    counted++;
    long result = syscall(SYS_mmap, at, n, prot, flags, fd, offset);
    void *p;
    memcpy(&p, &result, sizeof p);
    return p;
}

/* ---- what the process has ---- */

static int entries_of(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;
    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

typedef struct State {
    int threads, files;
    off_t printed;
} State;

static State state(FILE *output)
{
    struct stat s = {0};
    fstat(fileno(output), &s);
    return (State){entries_of("/proc/self/task"), entries_of("/proc/self/fd"), s.st_size};
}

/* ---- calling ---- */

static void sizes_of(const Model *m, Case *c)
{
    case_sizes(m, 7 * 4, c);
}

static bool has(const Model *m, Function f)
{
    return f == INIT ? m->init != NULL : f == BACKWARD || f == TRAIN ? m->backward != NULL : true;
}

typedef struct Calls {
    Run run[NFUNCTION];
    Heap heap[NFUNCTION];
    Memory memory[NFUNCTION];
    Case c, one;
} Calls;

/* Everything is laid out before anything is watched. Backward goes on in the workspace of the call before it. */
static void prepare(Calls *all, const Model *m)
{
    int T = model_size(m, "T");
    all->c = (Case){{0}, ALL, false, false, 1};
    sizes_of(m, &all->c);
    all->one = all->c;
    if (T >= 0)
        all->one.size[T] = 1;
    for (int f = 0; f < NFUNCTION; f++) {
        all->memory[f] = heap_memory(&all->heap[f], false);
        if (f == BACKWARD)
            all->run[f].call = all->run[TRAIN].call;
        if (has(m, (Function)f))
            run_begin(&all->run[f], m, f == STEP ? &all->one : &all->c, &all->memory[f], (Function)f);
    }
}

static int call_all(Calls *all, const Model *m)
{
    int bad = m->workspace(&all->run[FORWARD].word[m->first[SIZES]], RNN_TRAIN) == SIZE_MAX || !m->info;
    for (int f = 0; f < NFUNCTION; f++)
        if (has(m, (Function)f)) {
            int status = run_call(&all->run[f]);
            bad += status != RNN_OK && status != RNN_STREAM;
        }
    return bad;
}

/* ---- the three ways to watch ---- */

static bool watch_counts(Calls *all, const Model *m, FILE *output)
{
    State before = state(output);
    counted = 0;
    int bad = call_all(all, m), allocations = counted;
    State after = state(output);
    if (!bad && !allocations && !memcmp(&before, &after, sizeof before))
        return true;
    fprintf(stderr, "%s: %d failed calls, %d allocations, %d threads, %d files, %ld bytes printed\n", m->path, bad,
            allocations, after.threads - before.threads, after.files - before.files, (long)(after.printed - before.printed));
    return false;
}

/* 0: no system call; else what is wrong. In strict mode only _exit by its plain number ends the process in peace. */
static int watch_kernel(Calls *all, const Model *m, bool allocate)
{
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
            _exit(77);
        int bad = call_all(all, m);
        if (allocate)
            bad += mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
        syscall(SYS_exit, bad != 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool check_kernel(Calls *all, const Model *m)
{
    int got = watch_kernel(all, m, false);
    if (got == 0 && watch_kernel(all, m, true) == 128 + 9)
        return true;
    if (got == 77)
        fprintf(stderr, "%s: system calls are not watched: the kernel has no seccomp\n", m->path);
    else
        fprintf(stderr, "%s: generated code makes a system call (%d)\n", m->path, got);
    return got == 77;
}

/* The counters count: else they prove nothing. */
static bool counters_work(void)
{
    counted = 0;
    void *volatile p = malloc(10);
    free(p);
    return counted == 2;
}

static bool check_object(const char *path)
{
    static Calls all;
    Model m;
    if (!model_open(&m, path))
        return false;
    memset(&all, 0, sizeof all);
    FILE *output = tmpfile();
    int out = dup(1), err = dup(2);
    if (!output || out < 0 || err < 0)
        return false;
    prepare(&all, &m);
    fflush(NULL);
    dup2(fileno(output), 1);
    dup2(fileno(output), 2);
    State before = state(output);
    int bad = call_all(&all, &m);
    State after = state(output);
    dup2(out, 1);
    dup2(err, 2);
    bool silent = !bad && before.printed == after.printed;
    bool ok = watch_counts(&all, &m, output) && silent && check_kernel(&all, &m);
    for (int f = 0; f < NFUNCTION; f++)
        heap_free(&all.heap[f]);
    fclose(output);
    close(out);
    close(err);
    return ok;
}

int main(int argc, char **argv)
{
    int failed = argc < 2 || !counters_work();
    for (int i = 1; i < argc; i++)
        if (!check_object(argv[i])) {
            fprintf(stderr, "quiet: %s failed\n", argv[i]);
            failed++;
        }
    return failed != 0;
}
