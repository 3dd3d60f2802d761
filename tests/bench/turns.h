/* Contestants are processes (contestant.h); each gets a batch of runs in its turn, as many as fill a slice of time, and the
 * medians of all turns are compared. */
#ifndef TESTS_BENCH_TURNS_H
#define TESTS_BENCH_TURNS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TURNS = 64 };

typedef struct Contestant {
    char name[64], command[512], kind[16];
    char said[256]; /* behind "ready" */
    pid_t pid;
    FILE *to, *from;
    int alive, batch;
    double turn[TURNS], median, difference;
} Contestant;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ask(Contestant *c, char *answer, size_t size, const char *format, ...)
{
    va_list va;
    va_start(va, format);
    if (*format)
        vfprintf(c->to, format, va);
    va_end(va);
    fflush(c->to);
    c->alive = c->alive && fgets(answer, (int)size, c->from);
    return c->alive;
}

static void start(Contestant *c, const char *command)
{
    char line[512];
    int down[2], up[2];
    if (pipe2(down, 0x80000) || pipe2(up, 0x80000)) /* close on exec */
        die("pipe");
    c->pid = fork();
    if (c->pid < 0)
        die("fork");
    if (!c->pid) {
        char shell[2100];
        snprintf(shell, sizeof shell, "exec %s", command);
        dup2(down[0], 0);
        dup2(up[1], 1);
        execl("/bin/sh", "sh", "-c", shell, (char *)NULL);
        _exit(127);
    }
    close(down[0]);
    close(up[1]);
    c->to = fdopen(down[1], "w");
    c->from = fdopen(up[0], "r");
    c->alive = 1;
    c->median = c->difference = NAN;
    if (!ask(c, line, sizeof line, "") || strncmp(line, "ready", 5)) {
        line[strcspn(line, "\n")] = 0;
        fprintf(stderr, "  %s is left out: %s\n", c->name, c->alive ? line : command);
        c->alive = 0;
        return;
    }
    snprintf(c->said, sizeof c->said, "%.255s", line + 5);
    fprintf(stderr, "  %s: %s", c->name, line);
}

static void stop(Contestant *c)
{
    fclose(c->to);
    fclose(c->from);
    waitpid(c->pid, NULL, 0);
    c->pid = 0;
}

static double run(Contestant *c, int n)
{
    char line[512];
    double t;
    if (ask(c, line, sizeof line, "run %d\n", n) && sscanf(line, "time %lf", &t) == 1)
        return t;
    fprintf(stderr, "%s stopped\n", c->name);
    c->alive = 0;
    return NAN;
}

static int order(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *t, int n)
{
    qsort(t, (size_t)n, sizeof(double), order);
    return n % 2 ? t[n / 2] : 0.5 * (t[n / 2 - 1] + t[n / 2]);
}

/* Turns of all contestants: as many as fit the budget; three if they fit four times the budget. */
typedef struct Turns {
    int most;
    double slice, budget; /* seconds: of a batch, of all turns */
} Turns;

/* A first run says how many make a batch; a run that is a batch of its own counts as the first turn. */
static int first_turn(Contestant *c, int n, double slice)
{
    int counts = 1;
    for (int i = 0; i < n; i++)
        if (c[i].alive) {
            double t = c[i].turn[0] = run(&c[i], 1);
            c[i].batch = t > slice / 2 || isnan(t) ? 1 : (int)fmin(2000, slice / t);
            counts = counts && c[i].batch == 1;
        }
    return counts;
}

/* Returns how many turns were taken; they are left sorted. */
static int take_turns(Contestant *c, int n, const Turns *limits)
{
    int turns = first_turn(c, n, limits->slice);
    double begin = wall();
    for (; turns < limits->most && wall() < begin + (turns < 3 ? 4 : 1) * limits->budget; turns++)
        for (int i = 0; i < n; i++)
            if (c[i].alive)
                c[i].turn[turns] = run(&c[i], c[i].batch);
    for (int i = 0; i < n; i++)
        if (c[i].alive)
            c[i].median = median(c[i].turn, turns);
    return turns;
}

/* A line for each: its kind, its name, its command, with tabs between. */
static int read_contestants(Contestant *c, int most, const char *path)
{
    char line[1024];
    int n = 0;
    FILE *f = fopen(path, "r");
    if (!f)
        die(path);
    while (n < most && fgets(line, sizeof line, f))
        if (sscanf(line, "%15[^\t]\t%63[^\t]\t%511[^\n]", c[n].kind, c[n].name, c[n].command) == 3)
            n++;
    fclose(f);
    return n;
}

#endif
