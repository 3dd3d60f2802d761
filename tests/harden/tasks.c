/* tasks FILE.so...: what a call gives does not depend on the threads that it is lent, in no bit: without any, with 3
 * and 7, and with one that takes the tasks from the last to the first. Every object asks for threads at some of the
 * sizes, and for none at small ones. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "call.h"

enum { MAXTHREAD = 7 };

/* ---- threads for one call of the callback ---- */

typedef struct Pool {
    int threads;
    long asked; /* how often the code under test asked */
} Pool;

typedef struct Batch {
    _Atomic int64_t next;
    int64_t n;
    void (*task)(void *, int64_t);
    void *cx;
} Batch;

static void *work(void *batch)
{
    Batch *b = batch;
    for (int64_t i; (i = atomic_fetch_add(&b->next, 1)) < b->n;)
        b->task(b->cx, i);
    return NULL;
}

static void run_tasks(void *pool, int64_t n, void (*task)(void *, int64_t), void *cx)
{
    Pool *p = pool;
    pthread_t thread[MAXTHREAD];
    Batch b = {.n = n, .task = task, .cx = cx};
    int started = 0;
    p->asked++;
    while (started < p->threads - 1 && !pthread_create(&thread[started], NULL, work, &b))
        started++;
    work(&b);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
}

/* ---- the same call on other threads ---- */

typedef struct Sizes {
    int64_t T, B, last; /* last: of the other sizes, which are 3 or less */
    bool small;
} Sizes;

static const Sizes sizes[] = {
    {2, 3, 5, true},    {9, 33, 41, false},  {30, 1, 131, false},
    {2, 8, 260, false}, {5, 65, 180, false}, {64, 33, 131, false},
};

static void set_sizes(const Model *m, const Sizes *s, Case *c)
{
    int T = model_size(m, "T");
    for (int k = 0; k < m->count[SIZES]; k++)
        c->size[k] = k + 1 < m->count[SIZES] && s->last > 3 ? 3 : s->last;
    if (T >= 0)
        c->size[T] = s->T;
    c->size[model_size(m, "B")] = s->B;
}

static bool hash_of(const Model *m, const Case *c, uint64_t *hash)
{
    Run run = {0};
    Heap heap = {{0}};
    Memory memory = heap_memory(&heap, false);
    bool ok = run_all(&run, m, c, &memory, hash);
    heap_free(&heap);
    return ok;
}

static bool same(const Model *m, const Case *c, uint64_t want, const char *how)
{
    uint64_t got;
    char text[400];
    if (!hash_of(m, c, &got))
        return false;
    if (got == want)
        return true;
    case_print(text, sizeof text, m, c, how);
    fprintf(stderr, "%s: other results than without threads\n", text);
    return false;
}

/* `asked` counts for the larger sizes; at small ones nobody is asked. */
static bool check_sizes(const Model *m, const Sizes *s, Given given, bool wild, long *asked)
{
    static const int threads[] = {3, MAXTHREAD};
    Case c = {.given = given, .wild_ints = wild, .seed = 5};
    uint64_t want;
    set_sizes(m, s, &c);
    bool ok = hash_of(m, &c, &want);
    c.parallel = true;
    ok = ok && same(m, &c, want, "from the last task");
    c.threads = run_tasks;
    for (int i = 0; ok && i < (int)(sizeof threads / sizeof *threads); i++) {
        Pool p = {threads[i], 0};
        c.context = &p;
        ok = same(m, &c, want, "in threads");
        if (s->small && p.asked) {
            fprintf(stderr, "%s asks for threads for next to nothing\n", m->path);
            ok = false;
        }
        *asked += p.asked;
    }
    return ok;
}

static int forward(const Model *m, const Case *c)
{
    Run run = {0};
    Heap heap = {{0}};
    Memory memory = heap_memory(&heap, false);
    run_begin(&run, m, c, &memory, FORWARD);
    int status = run_call(&run);
    heap_free(&heap);
    return status;
}

/* Indices into nothing end the call; its status is the same. */
static bool check_empty(const Model *m)
{
    static const Sizes large = {20, 65, 60, false};
    int T = model_size(m, "T"), B = model_size(m, "B");
    for (int k = 0; k < m->count[SIZES]; k++) {
        Pool p = {3, 0};
        Case c = {.seed = 3}, lent = {.seed = 3, .threads = run_tasks, .context = &p};
        if (k == T || k == B)
            continue;
        set_sizes(m, &large, &c);
        set_sizes(m, &large, &lent);
        c.size[k] = lent.size[k] = 0;
        if (forward(m, &c) != forward(m, &lent)) {
            fprintf(stderr, "%s: another status with threads\n", m->path);
            return false;
        }
    }
    return true;
}

static bool check_model(const Model *m)
{
    long asked = 0;
    bool ok = check_empty(m);
    for (int i = 0; ok && i < (int)(sizeof sizes / sizeof *sizes); i++)
        ok = check_sizes(m, &sizes[i], i % 2 ? SOME : ALL, false, &asked) &&
             check_sizes(m, &sizes[i], NONE, true, &asked);
    if (ok && !asked)
        fprintf(stderr, "%s never asks for threads\n", m->path);
    return ok && asked;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
    for (int i = 1; i < argc; i++) {
        Model m;
        bool ok = model_open(&m, argv[i]) && check_model(&m);
        if (!ok)
            fprintf(stderr, "tasks: %s failed\n", argv[i]);
        failed += !ok;
    }
    return failed != 0;
}
