/* threads FILE.so...: two threads call the same object at once, each on data of its own, the very first call included. What
 * they get is what one thread gets. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>

#include "call.h"

enum { NTHREAD = 2, NCALL = 60 };

typedef struct Job {
    const Model *model;
    pthread_barrier_t *start;
    uint64_t first; /* seed */
    uint64_t hash[NCALL];
    bool ok;
} Job;

static void *work(void *cx)
{
    Job *j = cx;
    Run run = {0};
    Heap heap = {{0}};
    Memory memory = heap_memory(&heap, false);
    Case c = {.given = ALL};
    if (j->start)
        pthread_barrier_wait(j->start);
    j->ok = true;
    for (int i = 0; i < NCALL && j->ok; i++) {
        c.seed = j->first + (uint64_t)i;
        j->ok = case_sizes(j->model, i, &c) && run_all(&run, j->model, &c, &memory, &j->hash[i]);
    }
    heap_free(&heap);
    return NULL;
}

static bool together(const Model *m, Job *job)
{
    pthread_t thread[NTHREAD];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, NTHREAD);
    for (int i = 0; i < NTHREAD; i++) {
        job[i] = (Job){.model = m, .start = &start, .first = (uint64_t)i * 1000};
        if (pthread_create(&thread[i], NULL, work, &job[i]))
            return false;
    }
    for (int i = 0; i < NTHREAD; i++)
        pthread_join(thread[i], NULL);
    pthread_barrier_destroy(&start);
    return true;
}

static bool check_model(const Model *m)
{
    static Job job[NTHREAD];
    bool ok = together(m, job);
    for (int i = 0; ok && i < NTHREAD; i++) {
        Job alone = {.model = m, .first = job[i].first};
        work(&alone);
        ok = job[i].ok && alone.ok;
        for (int k = 0; ok && k < NCALL; k++)
            ok = alone.hash[k] == job[i].hash[k];
    }
    return ok;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
    for (int i = 1; i < argc; i++) {
        Model m;
        bool ok = model_open(&m, argv[i]) && check_model(&m);
        if (!ok)
            fprintf(stderr, "threads: %s gives other results\n", argv[i]);
        failed += !ok;
    }
    return failed != 0;
}
