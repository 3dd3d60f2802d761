/* Runs the contestants shape by shape, in turns, and prints a table. Contestants are processes (contestant.h); the list is a
 * file with a line for each: "own" or "rival", its name, its command, with tabs between. In a command, {cell} and {H} stand for the
 * shape's. Each gets a batch of runs in its turn, as many as fill a slice of time; the medians of all turns are compared. */
#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX = 8, TURNS = 64, MAX_SHAPES = 64 };

typedef struct Contestant {
    char name[64], command[512];
    int own;
    pid_t pid;
    FILE *to, *from;
    int alive, batch;
    double turn[TURNS], median, difference;
} Contestant;

typedef struct Shape {
    const char *cell, *mode;
    long B, T, H;
} Shape;

typedef struct Bench {
    Contestant c[MAX];
    int n, turns;
    double slice, budget; /* seconds: of a batch, of all turns of a shape */
    const char *folder, *cells, *modes;
    Shape shape[MAX_SHAPES]; /* B, T, H only */
    int nshapes;
    double worst;
    int below;
} Bench;

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

/* ---- data ---- */

static uint64_t state = 88172645463325252u;

static float uniform(float bound)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return bound * ((float)(state >> 40) / 8388608.0f - 1.0f);
}

static void put(FILE *f, long n, float bound)
{
    float part[4096];
    while (n > 0) {
        long k = n < 4096 ? n : 4096;
        for (long i = 0; i < k; i++)
            part[i] = uniform(bound);
        if (fwrite(part, sizeof(float), (size_t)k, f) != (size_t)k)
            die("data file");
        n -= k;
    }
}

static void write_data(const char *path, const Shape *s)
{
    long G = strcmp(s->cell, "gru") ? 4 : 3, seq = s->T * s->B * s->H, mat = G * s->H * s->H;
    float bound = 1.0f / sqrtf((float)s->H);
    FILE *f = fopen(path, "wb");
    if (!f)
        die(path);
    put(f, seq, 1);
    put(f, 2 * mat + G * s->H + s->H, bound);
    put(f, seq, 1);
    if (fclose(f))
        die(path);
}

/* Largest difference of two arrays over the largest element of the first. */
static double array_difference(FILE *a, FILE *b, long n)
{
    static float x[4096], y[4096];
    double most = 0, apart = 0;
    while (n > 0) {
        size_t k = (size_t)(n < 4096 ? n : 4096);
        if (fread(x, sizeof(float), k, a) != k || fread(y, sizeof(float), k, b) != k)
            return INFINITY;
        for (size_t i = 0; i < k; i++) {
            most = fmax(most, fabs((double)x[i]));
            double d = fabs((double)x[i] - (double)y[i]);
            if (!(d <= apart))
                apart = d;
        }
        n -= (long)k;
    }
    return most > 0 ? apart / most : apart;
}

static double file_difference(const char *pa, const char *pb, const Shape *s)
{
    long G = strcmp(s->cell, "gru") ? 4 : 3, seq = s->T * s->B * s->H, mat = G * s->H * s->H;
    long n[] = {seq, seq, mat, mat, G * s->H, s->H};
    int parts = strcmp(s->mode, "training") ? 1 : G == 3 ? 6 : 5;
    double worst = 0;
    FILE *a = fopen(pa, "rb"), *b = fopen(pb, "rb");
    if (!a || !b)
        die("results");
    for (int i = 0; i < parts; i++) {
        double d = array_difference(a, b, n[i]);
        if (!(d <= worst))
            worst = d;
    }
    fclose(a);
    fclose(b);
    return worst;
}

/* ---- contestants ---- */

static void expand(char *out, size_t size, const char *command, const Shape *s, const char *data)
{
    size_t n = 0;
    for (const char *p = command; *p && n + 32 < size;) {
        if (!strncmp(p, "{cell}", 6))
            n += (size_t)snprintf(out + n, size - n, "%s", s->cell), p += 6;
        else if (!strncmp(p, "{H}", 3))
            n += (size_t)snprintf(out + n, size - n, "%ld", s->H), p += 3;
        else
            out[n++] = *p++;
    }
    snprintf(out + n, size - n, " %s %s %ld %ld %ld %s", s->cell, s->mode, s->B, s->T, s->H, data);
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

static void start(Contestant *c, const Shape *s, const char *data)
{
    char command[2048], line[512];
    int down[2], up[2];
    expand(command, sizeof command, c->command, s, data);
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
        fprintf(stderr, "%s is left out: %s\n", c->name, c->alive ? line : command);
        c->alive = 0;
    } else
        fprintf(stderr, "  %s: %s", c->name, line);
}

static void stop(Contestant *c)
{
    fclose(c->to);
    fclose(c->from);
    waitpid(c->pid, NULL, 0);
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

/* ---- one shape ---- */

static void compare(Bench *b, const Shape *s)
{
    char path[MAX][512], line[512];
    int base = -1;
    for (int i = b->n - 1; i >= 0; i--) { /* the last one, a rival, is what the others are compared with */
        Contestant *c = &b->c[i];
        snprintf(path[i], sizeof path[i], "%s/result", b->folder);
        if (!c->alive)
            continue;
        snprintf(path[i], sizeof path[i], "%s/%s", b->folder, base < 0 ? "base" : "result");
        if (!ask(c, line, sizeof line, "write %s\n", path[i]) || strncmp(line, "done", 4)) {
            c->alive = 0;
            continue;
        }
        base = base < 0 ? i : base;
        c->difference = i == base ? 0 : file_difference(path[base], path[i], s);
    }
}

/* A first run says how many make a batch; a run that is a batch of its own counts as the first turn. */
static int first_turn(Bench *b)
{
    int counts = 1;
    for (int i = 0; i < b->n; i++)
        if (b->c[i].alive) {
            double t = b->c[i].turn[0] = run(&b->c[i], 1);
            b->c[i].batch = t > b->slice / 2 || isnan(t) ? 1 : (int)fmin(2000, b->slice / t);
            counts = counts && b->c[i].batch == 1;
        }
    return counts;
}

static void take_turns(Bench *b)
{
    int turns = first_turn(b);
    for (double end = wall() + b->budget; turns < b->turns && (turns < 3 || wall() < end); turns++)
        for (int i = 0; i < b->n; i++)
            if (b->c[i].alive)
                b->c[i].turn[turns] = run(&b->c[i], b->c[i].batch);
    for (int i = 0; i < b->n; i++)
        if (b->c[i].alive)
            b->c[i].median = median(b->c[i].turn, turns);
}

static double best_rival(const Bench *b, const char **name)
{
    double best = INFINITY;
    for (int i = 0; i < b->n; i++)
        if (!b->c[i].own && b->c[i].median < best)
            best = b->c[i].median, *name = b->c[i].name;
    return best;
}

static void print_row(Bench *b, const Shape *s)
{
    const char *name = "none";
    double best = best_rival(b, &name), apart = 0, gates = strcmp(s->cell, "gru") ? 4 : 3;
    double flop = (strcmp(s->mode, "training") ? 1 : 3) * 4 * gates * (double)(s->T * s->B * s->H * s->H);
    printf("| %s | %s | %ld | %ld |", s->cell, s->mode, s->H, s->B);
    for (int i = 0; i < b->n; i++) {
        const Contestant *c = &b->c[i];
        isnan(c->median) ? printf(" - |") : printf(" %.3f |", c->median * 1e3);
        if (!isnan(c->difference))
            apart = fmax(apart, c->difference);
    }
    printf(" %s, %.0f |", name, flop / best * 1e-9);
    for (int i = 0; i < b->n; i++)
        if (b->c[i].own) {
            double ratio = best / b->c[i].median;
            isnan(ratio) ? printf(" - |") : printf(" %s%.2f%s |", ratio < 0.5 ? "**" : "", ratio, ratio < 0.5 ? "**" : "");
            b->below += ratio < 0.5;
            if (ratio < b->worst)
                b->worst = ratio;
        }
    printf(" %.0e |\n", apart);
    fflush(stdout);
}

static void print_head(const Bench *b)
{
    printf("| cell | pass | H = D | B |");
    for (int i = 0; i < b->n; i++)
        printf(" %s, ms |", b->c[i].name);
    printf(" best rival, GFLOP/s |");
    for (int i = 0; i < b->n; i++)
        if (b->c[i].own)
            printf(" speed of %s |", b->c[i].name);
    printf(" largest difference |\n|");
    for (int i = 0, n = 6 + b->n; i < n; i++)
        printf("---|");
    for (int i = 0; i < b->n; i++)
        if (b->c[i].own)
            printf("---|");
    printf("\n");
    fflush(stdout);
}

static void bench_shape(Bench *b, const Shape *s)
{
    char data[512];
    snprintf(data, sizeof data, "%s/data", b->folder);
    fprintf(stderr, "%s %s B %ld T %ld H %ld\n", s->cell, s->mode, s->B, s->T, s->H);
    write_data(data, s);
    for (int i = 0; i < b->n; i++)
        start(&b->c[i], s, data);
    compare(b, s);
    take_turns(b);
    print_row(b, s);
    for (int i = 0; i < b->n; i++)
        stop(&b->c[i]);
    remove(data);
}

/* ---- arguments ---- */

static void read_contestants(Bench *b, const char *path)
{
    char line[1024], kind[16];
    FILE *f = fopen(path, "r");
    if (!f)
        die(path);
    while (b->n < MAX && fgets(line, sizeof line, f)) {
        Contestant *c = &b->c[b->n];
        if (sscanf(line, "%15[^\t]\t%63[^\t]\t%511[^\n]", kind, c->name, c->command) == 3)
            c->own = !strcmp(kind, "own"), b->n++;
    }
    fclose(f);
}

static void add_shape(Bench *b, const char *text)
{
    Shape *s = &b->shape[b->nshapes];
    if (b->nshapes == MAX_SHAPES || sscanf(text, "%ld,%ld,%ld", &s->B, &s->T, &s->H) != 3 || s->B < 1 || s->T < 1 || s->H < 1) {
        fprintf(stderr, "a shape is B,T,H: %s\n", text);
        exit(2);
    }
    b->nshapes++;
}

static int has(const char *list, const char *word)
{
    return !*list || strstr(list, word) != NULL;
}

int main(int argc, char **argv)
{
    static Bench b = {.turns = 15, .slice = 0.03, .budget = 8, .cells = "", .modes = "", .worst = INFINITY};
    static const char *const cells[] = {"lstm", "gru"}, *const modes[] = {"forward", "training"};
    int option;
    signal(SIGPIPE, SIG_IGN);
    while ((option = getopt(argc, argv, "c:m:s:t:")) != -1)
        switch (option) {
        case 'c': b.cells = optarg; break;
        case 'm': b.modes = optarg; break;
        case 's': add_shape(&b, optarg); break;
        case 't': b.budget = atof(optarg); break;
        default: return 2;
        }
    if (argc - optind != 2) {
        fprintf(stderr, "bench [-c lstm|gru] [-m forward|training] [-t SECONDS] -s B,T,H... CONTESTANTS FOLDER\n");
        return 2;
    }
    read_contestants(&b, argv[optind]);
    b.folder = argv[optind + 1];
    print_head(&b);
    for (int c = 0; c < 2; c++)
        for (int m = 0; m < 2; m++)
            for (int i = 0; i < b.nshapes; i++)
                if (has(b.cells, cells[c]) && has(b.modes, modes[m])) {
                    Shape s = {cells[c], modes[m], b.shape[i].B, b.shape[i].T, b.shape[i].H};
                    bench_shape(&b, &s);
                }
    if (b.worst < INFINITY)
        printf("\nLeast speed against the best rival: %.2f; below a half: %d.\n", b.worst, b.below);
    return b.below ? 1 : 0;
}
