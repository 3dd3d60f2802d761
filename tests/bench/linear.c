/* Runs the contestants of `linear` shape by shape, in turns (turns.h), and prints a table. The list of contestants has a line for
 * each: its kind, its name, its command, with tabs between; in a command, {cell} stands for the shape's.
 *   limit    what the machine can do (limits.c); where there are several, the fastest counts
 *   form     what rnnc built in this form
 *   chosen   what rnnc built by its own choice; a link to a form's program where both are the same
 *   rival    what others have */
#include "digest.h"
#include <limits.h>

enum { MAX = 16, MAX_SHAPES = 128 };

typedef struct Shape {
    char cell[32], mode[16];
    long T, P, Q;
} Shape;

typedef struct Bench {
    Contestant c[MAX];
    double numbers[MAX][NUMBERS];
    int n;
    Turns turns;
    int per_element; /* ns per element of the state, instead of the part of the limit */
    Shape shape[MAX_SHAPES];
    int nshapes;
    int judged, chosen_well, above_40;
} Bench;

/* ---- what a shape's work is: flops, bytes or elements of the state ---- */

/* Flops of a step of a matrix state, in K * V. Forward: the decay 1, the written product 2, the read-out 2; with a delta rule
 * what is predicted 2. Backward: states again (all but the read-out); the read-out's gradients by state 2 and by q 2; the written
 * product's by k 2 and by v 2; the decay's, 2, and the cotangent's own decay, 1; the prediction's by state 2 and by k 2. */
static double matrix_flops(const Shape *s)
{
    int delta = !strcmp(s->cell, "gated_deltanet"), training = !strcmp(s->mode, "training");
    double forward = delta ? 7 : 5, again = forward - 2, backward = delta ? 15 : 11;
    return (double)s->T * (double)s->P * (double)s->Q * (training ? forward + again + backward : forward);
}

/* Scan: a, b read, h written; backward: a, h and dh read, da and db written. Mamba: elements of the state. */
static double work(const Shape *s)
{
    int training = !strcmp(s->mode, "training");
    if (!strcmp(s->cell, "scan"))
        return 4.0 * (training ? 8 : 3) * (double)s->T * (double)s->P;
    if (!strcmp(s->cell, "mamba"))
        return (double)s->T * (double)s->P * (double)s->Q;
    return matrix_flops(s);
}

/* ---- contestants ---- */

static int is(const Contestant *c, const char *kind)
{
    return !strcmp(c->kind, kind);
}

static void expand(char *out, size_t size, const char *command, const char *cell)
{
    size_t n = 0;
    for (const char *p = command; *p && n + 64 < size;)
        if (!strncmp(p, "{cell}", 6))
            n += (size_t)snprintf(out + n, size - n, "%s", cell), p += 6;
        else
            out[n++] = *p++;
    out[n] = 0;
}

static int same_program(const Contestant *a, const Contestant *b, const char *cell)
{
    char x[1024], y[1024], real_x[PATH_MAX], real_y[PATH_MAX];
    expand(x, sizeof x, a->command, cell);
    expand(y, sizeof y, b->command, cell);
    return realpath(x, real_x) && realpath(y, real_y) && !strcmp(real_x, real_y);
}

/* The form that rnnc chose, where it is one of the forms that are measured; otherwise NULL. */
static const Contestant *chosen_form(const Bench *b, const Contestant *chosen, const Shape *s)
{
    for (int i = 0; i < b->n; i++)
        if (is(&b->c[i], "form") && same_program(chosen, &b->c[i], s->cell))
            return &b->c[i];
    return NULL;
}

static void start_for(Bench *b, Contestant *c, const Shape *s)
{
    char command[1024];
    size_t n;
    c->alive = 0;
    c->median = c->difference = NAN;
    if (is(c, "chosen") && chosen_form(b, c, s))
        return;
    expand(command, sizeof command - 128, c->command, s->cell);
    n = strlen(command);
    snprintf(command + n, sizeof command - n, " %s%s%s %ld %ld %ld", is(c, "rival") ? s->cell : "", is(c, "rival") ? " " : "", s->mode, s->T,
        s->P, s->Q);
    start(c, command);
}

static void compare(Bench *b)
{
    int base = -1;
    for (int i = b->n - 1; i >= 0; i--) { /* the last one is what the others are compared with */
        Contestant *c = &b->c[i];
        if (!c->alive || is(c, "limit") || !read_digest(c, b->numbers[i]))
            continue;
        base = base < 0 ? i : base;
        c->difference = digest_difference(b->numbers[i], b->numbers[base]);
    }
}

/* ---- a row ---- */

static const Contestant *fastest(const Bench *b, const char *kind)
{
    const Contestant *best = NULL;
    for (int i = 0; i < b->n; i++)
        if (is(&b->c[i], kind) && !isnan(b->c[i].median) && (!best || b->c[i].median < best->median))
            best = &b->c[i];
    return best;
}

/* Work of a second. */
static double limit_rate(const Bench *b)
{
    double best = NAN;
    for (int i = 0; i < b->n; i++)
        if (is(&b->c[i], "limit") && !isnan(b->c[i].median))
            best = fmax(isnan(best) ? 0 : best, atof(b->c[i].said) / b->c[i].median);
    return best;
}

static double in_units(const Bench *b, const Shape *s, double seconds)
{
    return b->per_element ? seconds * 1e9 / work(s) : 100 * work(s) / seconds / limit_rate(b);
}

/* Half the middle half of the turns, over the median. */
static double spread(const Contestant *c, int turns)
{
    return 0.5 * (c->turn[3 * turns / 4] - c->turn[turns / 4]) / c->median;
}

/* Whether what rnnc chose is within 10 % of the best form, beyond the spread of the two. */
static void judge(Bench *b, const Shape *s, const Contestant *best, int turns)
{
    const Contestant *chosen = fastest(b, "chosen");
    for (int i = 0; i < b->n && !chosen; i++)
        if (is(&b->c[i], "chosen"))
            chosen = chosen_form(b, &b->c[i], s);
    if (!chosen || isnan(chosen->median)) {
        printf(" - |");
        return;
    }
    double ratio = chosen->median / best->median;
    int well = ratio <= 1.1 + spread(chosen, turns) + spread(best, turns);
    b->chosen_well += well;
    printf(well ? " %s, %.2f |" : " **%s, %.2f** |", chosen->name, ratio);
}

static void print_row(Bench *b, const Shape *s, int turns)
{
    double apart = 0;
    const Contestant *best = fastest(b, "form"), *rival = fastest(b, "rival");
    printf("| %s | %s | %ld | %ld |", s->cell, s->mode, s->P, s->T);
    for (int i = 0; i < b->n; i++) {
        const Contestant *c = &b->c[i];
        apart = isnan(c->difference) ? apart : fmax(apart, c->difference);
        if (is(c, "limit") || is(c, "chosen"))
            continue;
        isnan(c->median) ? printf(" - |") : printf(b->per_element ? " %.3f |" : " %.1f |", in_units(b, s, c->median));
    }
    if (!b->per_element)
        printf(" %.0f |", limit_rate(b) * 1e-9);
    if (best) {
        b->judged++;
        b->above_40 += !b->per_element && in_units(b, s, best->median) >= 40;
        printf(" %s, %.3f ms |", best->name, best->median * 1e3);
        judge(b, s, best, turns);
    } else
        printf(" - | - |");
    best && rival ? printf(" %s, %.2f |", rival->name, rival->median / best->median) : printf(" - |");
    printf(" %.0e |\n", apart);
    fflush(stdout);
}

static void print_head(const Bench *b)
{
    int columns = b->per_element ? 8 : 9;
    printf("| cell | pass | K, D | T |");
    for (int i = 0; i < b->n; i++)
        if (is(&b->c[i], "form") || is(&b->c[i], "rival"))
            printf(" %s |", b->c[i].name), columns++;
    if (!b->per_element)
        printf(" limit, G/s |");
    printf(" best form | chosen, its time over the best's | best rival's time over ours | largest difference |\n|");
    for (int i = 0; i < columns; i++)
        printf("---|");
    printf("\n");
    fflush(stdout);
}

static void bench_shape(Bench *b, const Shape *s)
{
    fprintf(stderr, "%s %s T %ld, %ld, %ld\n", s->cell, s->mode, s->T, s->P, s->Q);
    for (int i = 0; i < b->n; i++)
        start_for(b, &b->c[i], s);
    compare(b);
    int turns = take_turns(b->c, b->n, &b->turns);
    print_row(b, s, turns);
    for (int i = 0; i < b->n; i++)
        if (b->c[i].pid)
            stop(&b->c[i]);
}

static void print_end(const Bench *b)
{
    printf("\nThe form chosen by rnnc itself is within 10 %% of the best one, beyond the spread of its turns, in %d of %d shapes", b->chosen_well,
        b->judged);
    if (!b->per_element)
        printf("; the best form reaches 40 %% of the limit in %d of them", b->above_40);
    printf(".\n");
}

static void add_shape(Bench *b, const char *text)
{
    Shape *s = &b->shape[b->nshapes];
    if (b->nshapes == MAX_SHAPES || sscanf(text, "%31[^,],%15[^,],%ld,%ld,%ld", s->cell, s->mode, &s->T, &s->P, &s->Q) != 5) {
        fprintf(stderr, "a shape is CELL,MODE,T,P,Q: %s\n", text);
        exit(2);
    }
    b->nshapes++;
}

int main(int argc, char **argv)
{
    static Bench b = {.turns = {15, 0.03, 8}};
    int option;
    signal(SIGPIPE, SIG_IGN);
    while ((option = getopt(argc, argv, "es:t:")) != -1)
        switch (option) {
        case 'e': b.per_element = 1; break;
        case 's': add_shape(&b, optarg); break;
        case 't': b.turns.budget = atof(optarg); break;
        default: return 2;
        }
    if (argc - optind != 1) {
        fprintf(stderr, "linear [-e] [-t SECONDS] -s CELL,MODE,T,P,Q... CONTESTANTS\n");
        return 2;
    }
    b.n = read_contestants(b.c, MAX, argv[optind]);
    print_head(&b);
    for (int i = 0; i < b.nshapes; i++)
        bench_shape(&b, &b.shape[i]);
    print_end(&b);
    return 0;
}
