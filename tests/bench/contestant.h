/* What every contestant of the benchmark is: a process that reads one shape's data from a file, says "ready", and then obeys
 * lines on its standard input:
 *   run N        does the work N times (and once before, untimed, when N > 1); answers "time SECONDS", the median
 *   write FILE   does it once more and writes the results; answers "done"
 * It ends with its input.
 *
 * arguments: CELL(lstm|gru) MODE(forward|training) B T H DATA
 * DATA, float32:  x[T,B,H] W[G,H,H] U[G,H,H] b[G,H] d[H] dh[T,B,H]          gates i f g o, or r z n; d is gru's inner bias
 * results:        h[T,B,H], and with training dx dW dU db (dd with gru) */
#ifndef TESTS_BENCH_CONTESTANT_H
#define TESTS_BENCH_CONTESTANT_H

#include "timing.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct Job {
    int gru, training;
    int64_t B, T, H, G;
    const float *x, *W, *U, *b, *d, *dh;
    float *h, *dx, *dW, *dU, *db, *dd; /* results; the last is NULL without gru, all but h without training */
} Job;

static const float *job_map(const char *path, int64_t floats)
{
    struct stat s;
    int f = open(path, O_RDONLY);
    if (f < 0 || fstat(f, &s) || s.st_size != floats * (int64_t)sizeof(float))
        job_fail("the data file is missing or has another size");
    void *p = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, f, 0);
    close(f);
    if (p == MAP_FAILED)
        job_fail("the data file cannot be mapped");
    return (const float *)p;
}

static Job job_read(int argc, char **argv)
{
    Job j;
    memset(&j, 0, sizeof j);
    if (argc != 7)
        job_fail("wrong arguments");
    j.gru = !strcmp(argv[1], "gru");
    j.training = !strcmp(argv[2], "training");
    j.B = atoll(argv[3]), j.T = atoll(argv[4]), j.H = atoll(argv[5]), j.G = j.gru ? 3 : 4;
    int64_t seq = j.T * j.B * j.H, mat = j.G * j.H * j.H;
    j.x = job_map(argv[6], 2 * seq + 2 * mat + j.G * j.H + j.H);
    j.W = j.x + seq, j.U = j.W + mat, j.b = j.U + mat, j.d = j.b + j.G * j.H, j.dh = j.d + j.H;
    j.h = job_array(seq);
    if (j.training)
        j.dx = job_array(seq), j.dW = job_array(mat), j.dU = job_array(mat), j.db = job_array(j.G * j.H);
    if (j.training && j.gru)
        j.dd = job_array(j.H);
    return j;
}

static void job_write(const Job *j, const char *path)
{
    int64_t seq = j->T * j->B * j->H, mat = j->G * j->H * j->H;
    const float *part[] = {j->h, j->dx, j->dW, j->dU, j->db, j->dd};
    int64_t n[] = {seq, seq, mat, mat, j->G * j->H, j->H};
    FILE *f = fopen(path, "wb");
    for (int i = 0; f && i < 6; i++)
        if (part[i] && fwrite(part[i], sizeof(float), (size_t)n[i], f) != (size_t)n[i])
            job_fail("the results cannot be written");
    if (!f || fclose(f))
        job_fail("the results cannot be written");
}

/* `collect` puts results that are kept in another layout into the job's arrays; it may be NULL. */
static int job_serve(Job *j, const char *detail, void (*once)(void *), void (*collect)(void *), void *context)
{
    char line[4096];
    printf("ready %s\n", detail);
    for (fflush(stdout); fgets(line, sizeof line, stdin); fflush(stdout)) {
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "run ", 4)) {
            printf("time %.9f\n", job_time(atoi(line + 4), once, context));
        } else if (!strncmp(line, "write ", 6)) {
            once(context);
            if (collect)
                collect(context);
            job_write(j, line + 6);
            printf("done\n");
        }
    }
    return 0;
}

#endif
