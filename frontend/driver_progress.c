/* One line on a terminal, from the second second on. A thread keeps it alive: most of what takes long is one call, of
 * LLVM or of the code that is run. */
#define _POSIX_C_SOURCE 200809L
#include "frontend/driver.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

enum { PROGRESS_WIDTH = 64 }; /* with the time behind it, less than any terminal's line */

struct Progress {
    double begin, last; /* last: when the line was written */
    bool terminal, runs, ends, shown;
    pthread_t thread;
    pthread_mutex_t lock; /* of everything here */
    pthread_cond_t change;
    char text[PROGRESS_WIDTH];
};

double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

Progress *progress_begin(Arena *a)
{
    Progress *p = NEW(a, Progress);
    pthread_condattr_t by_clock;
    p->begin = seconds_now();
    p->terminal = isatty(STDERR_FILENO) == 1;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&by_clock);
    pthread_condattr_setclock(&by_clock, CLOCK_MONOTONIC);
    pthread_cond_init(&p->change, &by_clock);
    pthread_condattr_destroy(&by_clock);
    return p;
}

static bool is_due(const Progress *p, double now)
{
    return now - p->begin >= 1 && (!p->shown || now - p->last >= 0.1);
}

static void draw(Progress *p, double now)
{
    fprintf(stderr, "\r\033[K%s (%.0f s)", p->text, now - p->begin);
    p->last = now;
    p->shown = true;
}

/* Sleeps for a second, or until the end. */
static void sleep_on(Progress *p)
{
    double until = seconds_now() + 1;
    if (until < p->begin + 1)
        until = p->begin + 1;
    struct timespec t = {.tv_sec = (time_t)until};
    t.tv_nsec = (long)(1e9 * (until - (double)t.tv_sec));
    pthread_cond_timedwait(&p->change, &p->lock, &t);
}

static void *tick(void *progress)
{
    Progress *p = progress;
    pthread_mutex_lock(&p->lock);
    while (!p->ends) {
        sleep_on(p);
        if (!p->ends && is_due(p, seconds_now()))
            draw(p, seconds_now());
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

void progress_show(Progress *p, const char *fmt, ...)
{
    va_list ap;
    if (!p->terminal)
        return;
    pthread_mutex_lock(&p->lock);
    va_start(ap, fmt);
    vsnprintf(p->text, sizeof p->text, fmt, ap);
    va_end(ap);
    if (is_due(p, seconds_now()))
        draw(p, seconds_now());
    p->ends = false;
    p->runs = p->runs || pthread_create(&p->thread, NULL, tick, p) == 0;
    pthread_mutex_unlock(&p->lock);
}

bool progress_is_due(Progress *p)
{
    if (!p->terminal)
        return false;
    pthread_mutex_lock(&p->lock);
    bool due = is_due(p, seconds_now());
    pthread_mutex_unlock(&p->lock);
    return due;
}

void progress_end(Progress *p)
{
    pthread_mutex_lock(&p->lock);
    p->ends = true;
    pthread_cond_signal(&p->change);
    pthread_mutex_unlock(&p->lock);
    if (p->runs)
        pthread_join(p->thread, NULL);
    if (p->shown)
        fputs("\r\033[K", stderr);
    p->runs = p->shown = false;
}
