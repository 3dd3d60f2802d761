/* Runs the contestants shape by shape, in turns (turns.h), and prints a table. The list of contestants is a file with a line for
 * each: "own" or "rival", its name, its command, with tabs between. In a command, {cell} and {H} stand for the shape's. */
#include "turns.h"
#include <stdint.h>

enum { MAX = 8, MAX_SHAPES = 64 };

typedef struct Shape {
    const char *cell, *mode;
    long B, T, H;
} Shape;

typedef struct Bench {
    Contestant c[MAX];
    int n;
    Turns turns;
    const char *folder, *cells, *modes;
    Shape shape[MAX_SHAPES]; /* B, T, H only */
    int nshapes;
    double worst;
    int below;
} Bench;

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

static void start_for(Contestant *c, const Shape *s, const char *data)
{
    char command[2048];
    expand(command, sizeof command, c->command, s, data);
    start(c, command);
}

static int own(const Contestant *c)
{
    return !strcmp(c->kind, "own");
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

static double best_rival(const Bench *b, const char **name)
{
    double best = INFINITY;
    for (int i = 0; i < b->n; i++)
        if (!own(&b->c[i]) && b->c[i].median < best)
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
        if (own(&b->c[i])) {
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
        if (own(&b->c[i]))
            printf(" speed of %s |", b->c[i].name);
    printf(" largest difference |\n|");
    for (int i = 0, n = 6 + b->n; i < n; i++)
        printf("---|");
    for (int i = 0; i < b->n; i++)
        if (own(&b->c[i]))
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
        start_for(&b->c[i], s, data);
    compare(b, s);
    take_turns(b->c, b->n, &b->turns);
    print_row(b, s);
    for (int i = 0; i < b->n; i++)
        stop(&b->c[i]);
    remove(data);
}

/* ---- arguments ---- */

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
    static Bench b = {.turns = {15, 0.03, 8}, .cells = "", .modes = "", .worst = INFINITY};
    static const char *const cells[] = {"lstm", "gru"}, *const modes[] = {"forward", "training"};
    int option;
    signal(SIGPIPE, SIG_IGN);
    while ((option = getopt(argc, argv, "c:m:s:t:")) != -1)
        switch (option) {
        case 'c': b.cells = optarg; break;
        case 'm': b.modes = optarg; break;
        case 's': add_shape(&b, optarg); break;
        case 't': b.turns.budget = atof(optarg); break;
        default: return 2;
        }
    if (argc - optind != 2) {
        fprintf(stderr, "bench [-c lstm|gru] [-m forward|training] [-t SECONDS] -s B,T,H... CONTESTANTS FOLDER\n");
        return 2;
    }
    b.n = read_contestants(b.c, MAX, argv[optind]);
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
