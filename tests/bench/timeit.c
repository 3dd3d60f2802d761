/* Runs a command N times, and prints the medians of its time on the wall and of its processor time, in ms.
 * timeit N COMMAND... */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double wall(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + 1e-6 * (double)t.tv_nsec;
}

static double ms(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + 1e-3 * (double)t.tv_usec;
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

static int once(char **command, double *on_wall, double *busy)
{
    struct rusage use;
    int status;
    double start = wall();
    pid_t pid = fork();
    if (pid < 0)
        return 0;
    if (!pid) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(127);
        execvp(command[0], command);
        _exit(127);
    }
    if (wait4(pid, &status, 0, &use) != pid)
        return 0;
    *on_wall = wall() - start;
    *busy = ms(use.ru_utime) + ms(use.ru_stime);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    int n = argc > 2 ? atoi(argv[1]) : 0;
    if (n < 1) {
        fprintf(stderr, "timeit N COMMAND...\n");
        return 2;
    }
    double *t = malloc(2 * (size_t)n * sizeof(double)), *busy = t + n;
    if (!t || !once(argv + 2, &t[0], &busy[0])) /* once untimed: files come into memory, and errors are seen */
        return 1;
    for (int i = 0; i < n; i++)
        if (!once(argv + 2, &t[i], &busy[i]))
            return 1;
    printf("%.1f %.1f\n", median(t, n), median(busy, n));
    free(t);
    return 0;
}
