/* Trains the model of arrows.rnn on images drawn as it goes, none of them twice, and measures it on fresh ones of the same size and of
 * twice the size. */
#include "arrows.h"
#include "picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 64 }; /* images of a call */

static void die(const char *what, const char *why)
{
    fprintf(stderr, "arrows: %s: %s\n", what, why);
    exit(1);
}

static void check(rnn_status s, const char *what)
{
    if (s == RNN_OK)
        return;
    fprintf(stderr, "arrows: %s: status %d\n", what, (int)s);
    exit(1);
}

static void *room(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        die("memory", "there is not enough");
    return p;
}

static double seconds(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the weights as one block of numbers, so that Adam is one loop ---- */

/* How many numbers a shape such as "[5, 16, 1]" has. */
static size_t elements(const char *shape)
{
    size_t n = 1;
    while (*shape) {
        char *end;
        long size = strtol(shape, &end, 10);
        n *= end == shape ? 1 : (size_t)size;
        shape = end == shape ? shape + 1 : end;
    }
    return n;
}

/* Sets the members of a struct of pointers, one for each parameter in the order of the model; gives how many numbers they are. */
static size_t place_weights(float *at, void *members, size_t bytes)
{
    const rnn_info *info = arrows_info();
    size_t n = 0;
    char *member = members;
    for (int i = 0; i < info->narrays; i++) {
        if (strcmp(info->arrays[i].group, "params") != 0)
            continue;
        float *array = at ? at + n : NULL;
        if (at && (size_t)(member - (char *)members) + sizeof array <= bytes)
            memcpy(member, &array, sizeof array);
        member += sizeof array;
        n += elements(info->arrays[i].shape);
    }
    return n;
}

typedef struct Model {
    size_t n;
    float *weights, *gradient, *first, *second;
    int updates;
} Model;

static Model model_new(uint64_t seed)
{
    Model m = {.n = place_weights(NULL, NULL, 0)};
    arrows_weights w;
    arrows_sizes sizes = {.R = 1, .S = 1};
    m.weights = room(4 * m.n, sizeof(float));
    m.gradient = m.weights + m.n, m.first = m.gradient + m.n, m.second = m.first + m.n;
    place_weights(m.weights, &w, sizeof w);
    check(arrows_init(&sizes, &w, seed), "init");
    return m;
}

static void adam(Model *m, double rate)
{
    double squares = 0;
    for (size_t i = 0; i < m->n; i++)
        squares += (double)m->gradient[i] * (double)m->gradient[i];
    float by = squares > 1 ? (float)(1 / sqrt(squares)) : 1;
    m->updates++;
    float step = (float)(rate / (1 - pow(0.9, m->updates))), scale = (float)(1 / (1 - pow(0.999, m->updates)));
    for (size_t i = 0; i < m->n; i++) {
        float g = m->gradient[i] * by;
        m->first[i] += 0.1f * (g - m->first[i]);
        m->second[i] += 0.001f * (g * g - m->second[i]);
        m->weights[i] -= step * m->first[i] / (sqrtf(m->second[i] * scale) + 1e-8f);
    }
}

/* ---- the arrays of a call ---- */

typedef struct Run {
    int side; /* pixels */
    arrows_sizes sizes;
    rnn_call call;
    float *x, *logits, *loss, *d_loss; /* [R, S, B, D], [B, 2], [B], [B] */
    int32_t *label;
    Scene scene[BATCH];
} Run;

static Run run_new(int side, int passes)
{
    Run r = {.side = side, .sizes = {.R = side / PATCH, .S = side / PATCH, .B = BATCH}, .call = {.passes = passes}};
#ifdef _OPENMP
    r.call.parallel = rnn_openmp;
#endif
    r.call.bytes = arrows_workspace(&r.sizes, passes);
    r.call.workspace = room(r.call.bytes, 1);
    r.x = room((size_t)(r.sizes.R * r.sizes.S * BATCH * POINTS), sizeof(float));
    r.logits = room(2 * BATCH, sizeof(float));
    r.loss = room(BATCH, sizeof(float));
    r.d_loss = room(BATCH, sizeof(float));
    r.label = room(BATCH, sizeof(int32_t));
    for (int i = 0; i < BATCH; i++)
        r.d_loss[i] = 1.0f / BATCH;
    return r;
}

static void run_free(Run *r)
{
    free(r->call.workspace);
    free(r->x);
    free(r->logits);
    free(r->loss);
    free(r->d_loss);
    free(r->label);
}

static void draw(Run *r, Random *random)
{
    for (int i = 0; i < BATCH; i++) {
        Scene s = r->scene[i] = scene_draw(random, r->side);
        r->label[i] = s.points;
        scene_paint(&s, r->side, r->x + (int64_t)i * POINTS, (int64_t)BATCH * POINTS);
    }
}

static void forward(Run *r, const Model *m)
{
    arrows_params p;
    arrows_inputs in = {.x = r->x, .label = r->label};
    arrows_outputs out = {.logits = r->logits, .loss = r->loss};
    place_weights(m->weights, &p, sizeof p);
    check(arrows_forward(&r->sizes, &p, &in, &out, &r->call), "forward");
}

static void backward(Run *r, Model *m)
{
    arrows_params p;
    arrows_grads g;
    arrows_inputs in = {.x = r->x, .label = r->label};
    arrows_cotangents d = {.d_loss = r->d_loss};
    place_weights(m->weights, &p, sizeof p);
    place_weights(m->gradient, &g, sizeof g);
    memset(m->gradient, 0, m->n * sizeof(float));
    check(arrows_backward(&r->sizes, &p, &in, &d, &g, NULL, &r->call), "backward");
}

static int count_right(const Run *r)
{
    int right = 0;
    for (int i = 0; i < BATCH; i++)
        right += (r->logits[2 * i + 1] > r->logits[2 * i]) == r->label[i];
    return right;
}

/* ---- training and measuring ---- */

static double mean(const float *x)
{
    double sum = 0;
    for (int i = 0; i < BATCH; i++)
        sum += (double)x[i];
    return sum / BATCH;
}

/* Warm-up over a tenth, then down along a cosine. */
static double rate_at(int step, int steps, double most)
{
    double t = (double)step / steps;
    return most * (t < 0.1 ? t / 0.1 : 0.5 * (1 + cos(3.14159265358979323846 * (t - 0.1) / 0.9)));
}

static void train(Model *m, int steps, double rate)
{
    Run r = run_new(SIDE, RNN_TRAIN);
    Random random = {43};
    double begin = seconds(), loss = 0;
    int right = 0, every = steps / 20 ? steps / 20 : 1;
    for (int i = 0; i < steps; i++) {
        draw(&r, &random);
        forward(&r, m);
        backward(&r, m);
        adam(m, rate_at(i, steps, rate));
        loss += mean(r.loss);
        right += count_right(&r);
        if ((i + 1) % every)
            continue;
        printf("  %7d images: loss %.4f, %.1f %% right, %.0f s\n", (i + 1) * BATCH, loss / every, 100.0 * right / (every * BATCH), seconds() - begin);
        fflush(stdout);
        loss = right = 0;
    }
    run_free(&r);
}

/* The share that is right; of the first images, what the model says. */
static double test(const Model *m, int side, int batches, uint64_t seed, Shown shown[SHOWN])
{
    Run r = run_new(side, RNN_FORWARD);
    Random random = {seed};
    int right = 0;
    for (int i = 0; i < batches; i++) {
        draw(&r, &random);
        forward(&r, m);
        right += count_right(&r);
        for (int k = 0; i == 0 && k < SHOWN; k++)
            shown[k] = (Shown){r.scene[k], 1 / (1 + exp((double)(r.logits[2 * k] - r.logits[2 * k + 1])))};
    }
    run_free(&r);
    return 100.0 * right / (batches * BATCH);
}

typedef struct Options {
    int steps, tests, is_short; /* in calls */
    double rate;
    uint64_t seed;
    const char *picture;
} Options;

static Options read_options(int argc, char **argv)
{
    Options o = {.steps = 6000, .tests = 32, .rate = 0.001, .seed = 1, .picture = "arrows.svg"};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--short") == 0)
            o.is_short = 1;
        else if (strcmp(argv[i], "--steps") == 0 && i + 1 < argc)
            o.steps = atoi(argv[++i]);
        else if (strcmp(argv[i], "--rate") == 0 && i + 1 < argc)
            o.rate = atof(argv[++i]);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            o.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--picture") == 0 && i + 1 < argc)
            o.picture = argv[++i];
        else
            die(argv[i], "usage: arrows [--short] [--steps N] [--rate R] [--seed N] [--picture FILE.svg]");
    if (o.is_short)
        o.steps = 20, o.tests = 1;
    return o;
}

int main(int argc, char **argv)
{
    Options o = read_options(argc, argv);
    Model m = model_new(o.seed);
    Shown small[SHOWN], large[SHOWN];
    printf("pLSTM, %zu weights, %d x %d places of %d numbers\n", m.n, SIDE / PATCH, SIDE / PATCH, POINTS);
    train(&m, o.steps, o.rate);
    double same = test(&m, SIDE, o.tests, 200042, small), twice = test(&m, 2 * SIDE, o.tests, 200043, large);
    printf("\nOn %d fresh images each (chance is 50 %%)\n  size of training  %.1f %% right\n  twice the size    %.1f %% right\n", o.tests * BATCH, same, twice);
    picture_write(o.picture, small, large);
    printf("\nPicture: %s\n", o.picture);
    free(m.weights);
    return o.is_short || same >= 75 ? 0 : 1;
}
