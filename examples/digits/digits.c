/* Trains the two models of digits.rnn on four fifths of the images, and measures them on the fifth that nothing was
 * fitted on. All settings were chosen with --rehearse, which never looks at that fifth. */
#include "classifier.h"
#include "images.h"
#include "picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 32, MEASURED = 64 }; /* images at once, in training and in measuring */

static const double pi = 3.14159265358979323846;

static void check(rnn_status s, const char *what)
{
    if (s != RNN_OK) {
        fprintf(stderr, "digits: %s: status %d\n", what, (int)s);
        exit(1);
    }
}

static double seconds(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- a model with its weights, and what Adam remembers of each ---- */

typedef struct Model {
    Classifier kind;
    float *weights, *gradient, *m, *v;
    int updates;
} Model;

static Model model_new(Classifier kind, uint64_t seed)
{
    Model m = {.kind = kind};
    m.weights = room(4 * kind.nweights, sizeof(float));
    m.gradient = m.weights + kind.nweights;
    m.m = m.gradient + kind.nweights;
    m.v = m.m + kind.nweights;
    check(kind.init(m.weights, seed), "init");
    return m;
}

static void model_free(Model *m)
{
    free(m->weights);
}

/* By what a gradient is multiplied so that none is longer than 1. */
static float shrink(const float *gradient, size_t n)
{
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)gradient[i] * (double)gradient[i];
    return squares > 1 ? (float)(1 / sqrt(squares)) : 1;
}

static void adam(Model *m, double rate)
{
    size_t n = m->kind.nweights;
    float by = shrink(m->gradient, n);
    m->updates++;
    float step = (float)(rate / (1 - pow(0.9, m->updates))), scale = (float)(1 / (1 - pow(0.99, m->updates)));
    for (size_t i = 0; i < n; i++) {
        float g = m->gradient[i] * by;
        m->m[i] += 0.1f * (g - m->m[i]);
        m->v[i] += 0.01f * (g * g - m->v[i]);
        m->weights[i] -= step * m->m[i] / (sqrtf(m->v[i] * scale) + 1e-8f);
    }
}

/* ---- the arrays of one call ---- */

typedef struct Run {
    Batch batch;
    rnn_call call;
} Run;

static Run run_new(const Model *m, size_t most, int passes)
{
    Run r = {.call = {.passes = passes}};
    r.call.bytes = m->kind.workspace((int64_t)most, passes);
    r.call.workspace = room(r.call.bytes, 1);
    r.batch.x = room(most * PIXELS, sizeof(float));
    r.batch.label = room(most, sizeof(int32_t));
    r.batch.logits = room(most * CLASSES, sizeof(float));
    r.batch.loss = room(most, sizeof(float));
    r.batch.d_loss = room(most, sizeof(float));
    return r;
}

static void run_free(Run *r)
{
    free(r->call.workspace);
    free(r->batch.x);
    free(r->batch.label);
    free(r->batch.logits);
    free(r->batch.loss);
    free(r->batch.d_loss);
}

static void fill(Batch *b, const Images *s, const size_t *which, size_t n)
{
    b->n = (int64_t)n;
    for (size_t k = 0; k < n; k++) {
        const Image *m = &s->image[which[k]];
        b->label[k] = m->label;
        b->d_loss[k] = 1 / (float)n;
        for (size_t p = 0; p < PIXELS; p++)
            b->x[p * n + k] = m->pixel[p];
    }
}

/* ---- training ---- */

/* Forward and backward; gives the sum of the losses. */
static double learn(Model *m, Run *r, double rate)
{
    double sum = 0;
    check(m->kind.forward(&r->batch, m->weights, &r->call), "forward");
    memset(m->gradient, 0, m->kind.nweights * sizeof *m->gradient);
    check(m->kind.backward(&r->batch, m->weights, m->gradient, &r->call), "backward");
    adam(m, rate);
    for (int64_t i = 0; i < r->batch.n; i++)
        sum += (double)r->batch.loss[i];
    return sum;
}

/* Once through n images in the order given; gives the mean loss. */
static double pass(Model *m, Run *r, const Images *s, const size_t *order, size_t n, double rate)
{
    double sum = 0;
    for (size_t i = 0; i < n; i += BATCH) {
        fill(&r->batch, s, order + i, n - i < BATCH ? n - i : BATCH);
        sum += learn(m, r, rate);
    }
    return sum / (double)n;
}

/* The numbers of the training images. */
static size_t *training_images(const Images *s, size_t n)
{
    size_t *order = room(n, sizeof *order);
    for (size_t i = 0; i < n; i++)
        order[i] = s->nheld + i;
    return order;
}

/* Mean losses of the first and the last pass. */
typedef struct Losses {
    double first, last;
} Losses;

static Losses train(Model *m, const Images *s, int passes, size_t images)
{
    size_t n = s->n - s->nheld, *order = training_images(s, n);
    uint64_t seed = 2;
    double begin = seconds();
    Losses l = {0};
    Run r = run_new(m, BATCH, RNN_TRAIN);
    for (int e = 0; e < passes; e++) {
        shuffle(order, n, &seed);
        l.last = pass(m, &r, s, order, images, 0.01 * 0.5 * (1 + cos(pi * e / passes)));
        l.first = e ? l.first : l.last;
        printf("  %s, pass %2d of %d: loss %.4f, %.0f s\n", m->kind.name, e + 1, passes, l.last, seconds() - begin);
        fflush(stdout);
    }
    run_free(&r);
    free(order);
    return l;
}

/* ---- measuring ---- */

static int largest(const float *logit)
{
    int best = 0;
    for (int i = 1; i < CLASSES; i++)
        if (logit[i] > logit[best])
            best = i;
    return best;
}

/* What the model takes each held-out image for. */
static void classify(const Model *m, const Images *s, int *guess)
{
    size_t which[MEASURED];
    Run r = run_new(m, MEASURED, RNN_FORWARD);
    for (size_t i = 0; i < s->nheld; i += MEASURED) {
        size_t n = s->nheld - i < MEASURED ? s->nheld - i : MEASURED;
        for (size_t k = 0; k < n; k++)
            which[k] = i + k;
        fill(&r.batch, s, which, n);
        check(m->kind.forward(&r.batch, m->weights, &r.call), "forward");
        for (size_t k = 0; k < n; k++)
            guess[i + k] = largest(r.batch.logits + k * CLASSES);
    }
    run_free(&r);
}

/* ---- what they are compared with ---- */

static float distance(const Image *a, const Image *b)
{
    float sum = 0;
    for (int i = 0; i < PIXELS; i++)
        sum += (a->pixel[i] - b->pixel[i]) * (a->pixel[i] - b->pixel[i]);
    return sum;
}

/* The label of the training image that differs least. */
static int nearest(const Images *s, const Image *m)
{
    float least = INFINITY;
    int label = 0;
    for (size_t i = s->nheld; i < s->n; i++) {
        float d = distance(m, &s->image[i]);
        if (d < least)
            least = d, label = s->image[i].label;
    }
    return label;
}

static void classify_by_nearest(const Images *s, int *guess)
{
    for (size_t i = 0; i < s->nheld; i++)
        guess[i] = nearest(s, &s->image[i]);
}

/* ---- the whole job ---- */

static size_t count_right(const Images *s, const int *guess)
{
    size_t right = 0;
    for (size_t i = 0; i < s->nheld; i++)
        right += guess[i] == s->image[i].label;
    return right;
}

static double tell(const Images *s, const char *name, const int *guess)
{
    size_t right = count_right(s, guess);
    double percent = 100 * (double)right / (double)s->nheld;
    printf("  %-18s %zu of %zu right, %.1f %%\n", name, right, s->nheld, percent);
    return percent;
}

typedef struct Options {
    const char *data, *picture;
    int is_short, rehearse;
    uint64_t seed;
} Options;

static Options read_options(int argc, char **argv)
{
    Options o = {.data = "digits.csv", .picture = "digits.svg", .seed = 1};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--short") == 0)
            o.is_short = 1;
        else if (strcmp(argv[i], "--rehearse") == 0)
            o.rehearse = 1;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            o.seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--data") == 0 && i + 1 < argc)
            o.data = argv[++i];
        else if (strcmp(argv[i], "--picture") == 0 && i + 1 < argc)
            o.picture = argv[++i];
        else
            die(argv[i], "usage: digits [--short] [--rehearse] [--seed N] [--data FILE.csv] [--picture FILE.svg]");
    return o;
}

static Images read_images(const Options *o)
{
    Images s = images_read(o->data);
    if (o->rehearse)
        images_forget_held_out(&s);
    printf("%zu images to learn from, %zu held out%s\n", s.n - s.nheld, s.nheld,
           o->rehearse ? " of those that are for training" : "");
    return s;
}

/* Trains a model and lets it classify; gives whether its loss fell by a tenth or more. */
static int try_model(Classifier kind, const Options *o, const Images *s, int *guess)
{
    size_t n = s->n - s->nheld;
    Model m = model_new(kind, o->seed);
    printf("%s, %zu weights\n", kind.name, kind.nweights);
    Losses l = o->is_short ? train(&m, s, 6, n / 2) : train(&m, s, 50, n);
    classify(&m, s, guess);
    model_free(&m);
    return l.last < 0.9 * l.first;
}

int main(int argc, char **argv)
{
    Options o = read_options(argc, argv);
    Images s = read_images(&o);
    Classifier kind[2] = {classifier_mdlstm(), classifier_plstm()};
    const char *name[2] = {kind[0].name, kind[1].name};
    int *guess[3], good = 1;
    for (int k = 0; k < 3; k++)
        guess[k] = room(s.nheld, sizeof *guess[k]);
    for (int k = 0; k < 2; k++)
        good &= try_model(kind[k], &o, &s, guess[k]);
    classify_by_nearest(&s, guess[2]);

    printf("\nOn the held-out images\n");
    tell(&s, "nearest neighbour", guess[2]);
    for (int k = 0; k < 2; k++)
        good &= (tell(&s, name[k], guess[k]) > 95) | o.is_short;
    picture_draw(o.picture, &s, name, guess);
    printf("\nPicture: %s\n", o.picture);
    for (int k = 0; k < 3; k++)
        free(guess[k]);
    images_free(&s);
    return good ? 0 : 1;
}
