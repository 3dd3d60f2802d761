/* Runs the contestants of `grids` shape by shape, in turns (turns.h), and prints a table. The list of contestants has a line for
 * each: its kind, its name, its command, with tabs between.
 *   limit    what the core can do: flops (limits.c)
 *   own      what rnnc built
 *   rival    what others have; each is compared with our own
 * A table has rows for all shapes, and below it what contestants said when they were ready. */
#include "digest.h"

enum { MAX = 8, MAX_SHAPES = 16 };

typedef struct Shape {
    char mode[16];
    long T, P, Q;
} Shape;

typedef struct Bench {
    Contestant c[MAX];
    double numbers[MAX][NUMBERS];
    int n, nshapes;
    Turns turns;
    double flops; /* of a node forward; training takes three times as many */
    int threads;  /* of each contestant; the limit is that of one */
    const char *of; /* what T x P is */
    Shape shape[MAX_SHAPES];
    char notes[8192];
} Bench;

static int is(const Contestant *c, const char *kind)
{
    return !strcmp(c->kind, kind);
}

static const Contestant *the(const Bench *b, const char *kind)
{
    for (int i = 0; i < b->n; i++)
        if (is(&b->c[i], kind) && !isnan(b->c[i].median))
            return &b->c[i];
    return NULL;
}

static const char *label(const Shape *s)
{
    static char text[64];
    int n = snprintf(text, sizeof text, "%ld x %ld", s->T, s->P);
    if (s->Q > 1)
        snprintf(text + n, sizeof text - (size_t)n, ", B = %ld", s->Q);
    return text;
}

static void note(Bench *b, const Shape *s, const Contestant *c)
{
    size_t n = strlen(b->notes);
    int length = (int)strcspn(c->said, "\n");
    if (c->alive && length > 1 && !is(c, "limit"))
        snprintf(b->notes + n, sizeof b->notes - n, "- %s, %s, %s:%.*s\n", label(s), s->mode, c->name, length, c->said);
}

static void begin(Bench *b, Contestant *c, const Shape *s)
{
    char command[700];
    snprintf(command, sizeof command, "%s %s %ld %ld %ld", c->command, s->mode, s->T, s->P, s->Q);
    start(c, command);
    note(b, s, c);
}

/* The largest difference of a rival's results from our own. */
static double compare(Bench *b)
{
    double apart = 0;
    int own = -1;
    for (int i = 0; i < b->n; i++) {
        if (!b->c[i].alive || is(&b->c[i], "limit") || !read_digest(&b->c[i], b->numbers[i]))
            continue;
        if (is(&b->c[i], "own"))
            own = i;
        else if (own >= 0)
            apart = fmax(apart, digest_difference(b->numbers[own], b->numbers[i]));
    }
    return apart;
}

static void print_row(const Bench *b, const Shape *s, double apart)
{
    const Contestant *own = the(b, "own"), *limit = the(b, "limit");
    double ours = own ? own->median : NAN, nodes = (double)s->T * (double)s->P * (double)s->Q;
    double flops = b->flops * nodes * (strcmp(s->mode, "training") ? 1 : 3);
    printf("| %s | %s | %.4g | %.0f |", label(s), s->mode, 1e3 * ours, 1e9 * ours / nodes);
    if (b->flops > 0) {
        double peak = limit ? b->threads * atof(limit->said) / limit->median : NAN;
        printf(" %.0f of %.0f |", 100 * flops / ours / peak, 1e-9 * peak);
    }
    for (int i = 0; i < b->n; i++)
        if (is(&b->c[i], "rival"))
            isnan(b->c[i].median) ? printf(" - | - |") : printf(" %.4g | %.1f |", 1e3 * b->c[i].median, b->c[i].median / ours);
    if (the(b, "rival"))
        printf(" %.0e |", apart);
    printf("\n");
    fflush(stdout);
}

static void print_head(const Bench *b)
{
    int columns = b->flops > 0 ? 5 : 4;
    printf("| %s | pass | rnnc, ms | ns a node |%s", b->of, b->flops > 0 ? " % of peak flops, G/s |" : "");
    for (int i = 0; i < b->n; i++)
        if (is(&b->c[i], "rival"))
            printf(" %s, ms | over ours |", b->c[i].name), columns += 2;
    printf(columns > (b->flops > 0 ? 5 : 4) ? " largest difference |\n|---|" : "\n|");
    for (int i = 0; i < columns; i++)
        printf("---|");
    printf("\n");
    fflush(stdout);
}

static void bench_shape(Bench *b, const Shape *s)
{
    fprintf(stderr, "%s %ld %ld %ld\n", s->mode, s->T, s->P, s->Q);
    for (int i = 0; i < b->n; i++)
        begin(b, &b->c[i], s);
    double apart = compare(b);
    take_turns(b->c, b->n, &b->turns);
    print_row(b, s, apart);
    for (int i = 0; i < b->n; i++)
        stop(&b->c[i]);
}

static void add_shape(Bench *b, const char *text)
{
    Shape *s = &b->shape[b->nshapes];
    if (b->nshapes == MAX_SHAPES || sscanf(text, "%15[^,],%ld,%ld,%ld", s->mode, &s->T, &s->P, &s->Q) != 4) {
        fprintf(stderr, "a shape is MODE,T,P,Q: %s\n", text);
        exit(2);
    }
    b->nshapes++;
}

int main(int argc, char **argv)
{
    static Bench b = {.threads = 1, .turns = {15, 0.1, 4}, .of = "rows x columns"};
    int option;
    signal(SIGPIPE, SIG_IGN);
    while ((option = getopt(argc, argv, "f:p:s:t:w:")) != -1)
        switch (option) {
        case 'f': b.flops = atof(optarg); break;
        case 'p': b.threads = atoi(optarg); break;
        case 's': add_shape(&b, optarg); break;
        case 't': b.turns.budget = atof(optarg); break;
        case 'w': b.of = optarg; break;
        default: return 2;
        }
    if (argc - optind != 1) {
        fprintf(stderr, "grids [-t SECONDS] [-f FLOPS] [-p THREADS] [-w WHAT] -s MODE,T,P,Q... CONTESTANTS\n");
        return 2;
    }
    b.n = read_contestants(b.c, MAX, argv[optind]);
    print_head(&b);
    for (int i = 0; i < b.nshapes; i++)
        bench_shape(&b, &b.shape[i]);
    if (*b.notes)
        printf("\n%s", b.notes);
    return 0;
}
