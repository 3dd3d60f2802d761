/* guard FILE.so...: calls every function over odd sizes with every array ending at a page that may not be touched, then
 * beginning behind one; at some, what is only read lies in pages that may not be written. The results are the same bits as with
 * arrays from malloc. A touch ends the program with the name of the array and of the case. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "call.h"

enum { PAGE = 4096, ROOM = 4096 * PAGE, SEAM = 64 }; /* SEAM: garbage beside an array, on its free side */

typedef struct Guarded {
    char *base[MAXARRAY]; /* a page that may not be touched, ROOM bytes, another such page */
    char *at[MAXARRAY];
    char *sealed[MAXARRAY]; /* pages that may not be written, or NULL */
    size_t pages[MAXARRAY]; /* bytes of them */
    size_t bytes[MAXARRAY];
    bool ends; /* arrays end at the page behind them, else they begin behind the one in front */
    bool seals; /* what is only read may not be written */
} Guarded;

/* For the signal handler. */
static Guarded guarded;
static Run run;

static void fail_system(const char *what)
{
    perror(what);
    exit(1);
}

static void allow(void *at, size_t bytes, int what)
{
    if (mprotect(at, bytes, what))
        fail_system("mprotect");
}

static char *map_room(void)
{
    char *base = mmap(NULL, ROOM + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        fail_system("mmap");
    allow(base + PAGE, ROOM, PROT_READ | PROT_WRITE);
    return base;
}

static void unseal(Guarded *g, int slot)
{
    if (g->sealed[slot])
        allow(g->sealed[slot], g->pages[slot], PROT_READ | PROT_WRITE);
    g->sealed[slot] = NULL;
}

static void *guarded_place(void *cx, int slot, size_t bytes)
{
    Guarded *g = cx;
    if (bytes + SEAM > ROOM) {
        fprintf(stderr, "guard: an array of %zu bytes is too large for this test\n", bytes);
        exit(1);
    }
    if (!g->base[slot])
        g->base[slot] = map_room();
    unseal(g, slot);
    char *begin = g->base[slot] + PAGE, *end = begin + ROOM;
    g->at[slot] = g->ends ? end - bytes : begin;
    g->bytes[slot] = bytes;
    memset(g->ends ? g->at[slot] - SEAM : g->at[slot], 0xff, bytes + SEAM);
    return g->at[slot];
}

/* The pages that the array lies in. */
static void guarded_seal(void *cx, int slot, bool written)
{
    Guarded *g = cx;
    if (written || !g->seals)
        return;
    size_t pages = (g->bytes[slot] + SEAM + PAGE - 1) / PAGE * PAGE;
    pages = pages < (size_t)ROOM ? pages : (size_t)ROOM;
    g->sealed[slot] = g->base[slot] + PAGE + (g->ends ? (size_t)ROOM - pages : 0);
    g->pages[slot] = pages;
    allow(g->sealed[slot], pages, PROT_READ);
}

static void name_array(char *out, size_t n, const char *address)
{
    const Model *m = run.model;
    snprintf(out, n, "an address that is no array's");
    for (int i = 0; m && i <= m->narray; i++) {
        const char *base = guarded.base[i];
        if (!base || address < base || address >= base + ROOM + 2 * PAGE)
            continue;
        const char *name = i < m->narray ? m->info->arrays[i].name : "workspace";
        const char *of = i < m->narray ? m->info->arrays[i].group : "call";
        snprintf(out, n, "%s.%s at byte %ld of %zu", of, name, (long)(address - guarded.at[i]), guarded.bytes[i]);
    }
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
    char text[1000], array[200];
    (void)context;
    name_array(array, sizeof array, info->si_addr);
    size_t n = 0;
    if (run.model) {
        case_print(text, sizeof text - 300, run.model, run.c, function_name(run.now));
        n = strlen(text);
    }
    snprintf(text + n, sizeof text - n, ", arrays %s: signal %d, touches %s\n", guarded.ends ? "end" : "begin", signal, array);
    n = strlen(text);
    _exit(write(2, text, n) == (ssize_t)n ? 1 : 2);
}

static bool check_case(const Model *m, const Case *c)
{
    Heap heap = {{0}};
    Memory plain = heap_memory(&heap, false), pages = {guarded_place, guarded_seal, &guarded, false};
    uint64_t hash[3];
    bool ok = run_all(&run, m, c, &plain, &hash[0]);
    for (int i = 0; ok && i < 2; i++) {
        guarded.ends = i == 0;
        ok = run_all(&run, m, c, &pages, &hash[1 + i]);
    }
    if (ok && (hash[0] != hash[1] || hash[0] != hash[2])) {
        char text[600];
        case_print(text, sizeof text, m, c, "all functions");
        fprintf(stderr, "%s: where arrays lie changes the results (%s)\n", text, hash[0] != hash[1] ? "end" : "begin");
        ok = false;
    }
    heap_free(&heap);
    return ok;
}

/* The number of cases, or -1. */
static int check_model(const Model *m)
{
    int n = 0;
    Case c = {.given = ALL, .seed = 1};
    for (int i = 0; case_sizes(m, i, &c); i++)
        for (int k = 0; k < (m->packed_workspace ? 7 : 4); k++, n++) {
            c.seed = (uint64_t)n + 1;
            c.given = (Given)(k % 3);
            c.wild_ints = c.parallel = k == 3 || k == 6;
            c.packed = k > 3;
            guarded.seals = k % 4 == 0; /* once for each size, and once packed: it takes long */
            if (c.packed && c.size[model_size(m, "B")] == 0)
                c.size[model_size(m, "T")] = 0; /* no sequence has a place */
            if (!check_case(m, &c))
                return -1;
        }
    return n;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int failed = argc < 2;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    for (int i = 1; i < argc; i++) {
        Model m;
        int n = model_open(&m, argv[i]) ? check_model(&m) : -1;
        if (n > 0)
            printf("pass: %s, %d cases\n", argv[i], n);
        failed += n <= 0;
    }
    return failed != 0;
}
