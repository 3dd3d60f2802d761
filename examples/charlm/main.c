/* Trains charlm.rnn on a text, measures it on the held-out blocks, and lets it write. */
#include "charlm.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { E = 32, H = 128 };            /* as given to rnnc */
enum { STREAMS = 16, WINDOW = 64 };  /* training: sequences at once, and steps between two updates */
enum { MEASURED = 32, PIECE = 100 }; /* measuring: blocks at once, and steps per call */

static const double pi = 3.14159265358979323846;

typedef struct Options {
    const char *text;
    int epochs, sample, is_short;
    double minutes;
} Options;

static void check(rnn_status s, const char *what)
{
    if (s != RNN_OK) {
        fprintf(stderr, "charlm: %s: status %d\n", what, (int)s);
        exit(1);
    }
}

static void *room(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size);
    if (!p)
        die("memory", "not enough");
    return p;
}

static double seconds(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- weights: one block of numbers, so that Adam is one loop ---- */

typedef struct Parts {
    float *table, *head, *bias, *lower_W, *lower_U, *lower_b, *upper_W, *upper_U, *upper_b;
    size_t n;
} Parts;

static float *part(Parts *p, float *block, size_t n)
{
    p->n += n;
    return block ? block + p->n - n : NULL;
}

static Parts parts(float *w, int V)
{
    Parts p = {0};
    p.table = part(&p, w, (size_t)V * E);
    p.head = part(&p, w, (size_t)V * H);
    p.bias = part(&p, w, (size_t)V);
    p.lower_W = part(&p, w, 4 * H * E);
    p.lower_U = part(&p, w, 4 * H * H);
    p.lower_b = part(&p, w, 4 * H);
    p.upper_W = part(&p, w, 4 * H * H);
    p.upper_U = part(&p, w, 4 * H * H);
    p.upper_b = part(&p, w, 4 * H);
    return p;
}

/* Works for every generated struct that has one member per parameter. */
#define PARTS(p)                                                                                                       \
    {                                                                                                                  \
        .table = (p).table, .head = (p).head, .bias = (p).bias, .lower_W = (p).lower_W, .lower_U = (p).lower_U,        \
        .lower_b = (p).lower_b, .upper_W = (p).upper_W, .upper_U = (p).upper_U, .upper_b = (p).upper_b                 \
    }

typedef struct Model {
    int V;
    float *weights, *gradient, *m, *v; /* and what Adam remembers */
    int updates;
    charlm_params params;
} Model;

static Model model_new(int V, uint64_t seed)
{
    Model m = {.V = V};
    size_t n = parts(NULL, V).n;
    m.weights = room(n * 4, sizeof(float));
    m.gradient = m.weights + n;
    m.m = m.gradient + n;
    m.v = m.m + n;
    Parts p = parts(m.weights, V);
    m.params = (charlm_params)PARTS(p);
    charlm_sizes sizes = {.V = V};
    charlm_weights weights = PARTS(p);
    check(charlm_init(&sizes, &weights, seed), "init");
    return m;
}

static void adam(Model *m, double rate)
{
    size_t n = parts(NULL, m->V).n;
    double norm = 0;
    for (size_t i = 0; i < n; i++)
        norm += (double)m->gradient[i] * m->gradient[i];
    double shrink = norm > 1 ? 1 / sqrt(norm) : 1;
    m->updates++;
    double mscale = 1 - pow(0.9, m->updates), vscale = 1 - pow(0.99, m->updates);
    float step = (float)(rate / mscale), g, scale = (float)(1 / vscale);
    for (size_t i = 0; i < n; i++) {
        g = m->gradient[i] * (float)shrink;
        m->m[i] += 0.1f * (g - m->m[i]);
        m->v[i] += 0.01f * (g * g - m->v[i]);
        m->weights[i] -= step * m->m[i] / (sqrtf(m->v[i] * scale) + 1e-8f);
    }
}

/* ---- arrays for B sequences of T steps ---- */

typedef struct Run {
    charlm_sizes sizes;
    rnn_call call;
    int32_t *text, *next;
    float *loss, *logits, *d_loss;
    float *state[8]; /* h and c of both layers, before and after */
} Run;

static Run run_new(int V, int T, int B, int passes)
{
    Run r = {.sizes = {.T = T, .B = B, .V = V}, .call = {.passes = passes}};
    size_t steps = (size_t)T * (size_t)B;
    r.call.bytes = charlm_workspace(&r.sizes, passes);
    r.call.workspace = room(r.call.bytes, 1);
    r.text = room(steps, sizeof *r.text);
    r.next = room(steps, sizeof *r.next);
    r.loss = room(steps, sizeof *r.loss);
    r.d_loss = room(steps, sizeof *r.d_loss);
    r.logits = room(steps * (size_t)V, sizeof *r.logits);
    for (int i = 0; i < 8; i++)
        r.state[i] = room((size_t)B * H, sizeof(float));
    return r;
}

static void run_free(Run *r)
{
    void *all[] = {r->call.workspace, r->text, r->next, r->loss, r->d_loss, r->logits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    for (int i = 0; i < 8; i++)
        free(r->state[i]);
}

static void forget(Run *r)
{
    for (int i = 0; i < 4; i++)
        memset(r->state[i], 0, sizeof(float) * (size_t)r->sizes.B * H);
}

/* Goes on from the state that the call before left. */
static void go_on(Run *r, const Model *m, int one_step)
{
    charlm_inputs in = {.text = r->text, .next = r->next};
    charlm_outputs out = {.logits = r->logits, .loss = r->loss};
    charlm_carry carry = {
        .lower_h = r->state[0], .lower_c = r->state[1], .upper_h = r->state[2], .upper_c = r->state[3]};
    if (one_step)
        check(charlm_step(&r->sizes, &m->params, &in, &out, &carry, &r->call), "step");
    else
        check(charlm_chunk(&r->sizes, &m->params, &in, &out, &carry, &r->call), "chunk");
}

/* ---- training ---- */

/* Every stream reads its own part of the training text. */
static void fill_window(Run *r, const Text *t, int64_t window)
{
    int64_t part_length = t->ntrain / STREAMS;
    for (int64_t i = 0; i < WINDOW; i++)
        for (int64_t b = 0; b < STREAMS; b++) {
            const int32_t *at = t->train + b * part_length + window * WINDOW + i;
            r->text[i * STREAMS + b] = at[0];
            r->next[i * STREAMS + b] = at[1];
        }
}

/* Forward and backward over one window; the state goes on into the next. Gives the mean loss, in bits. */
static double learn_window(Run *r, Model *m)
{
    float **s = r->state;
    charlm_inputs in = {
        .text = r->text, .next = r->next, .lower_h0 = s[0], .lower_c0 = s[1], .upper_h0 = s[2], .upper_c0 = s[3]};
    charlm_outputs out = {
        .logits = r->logits, .loss = r->loss, .lower_hT = s[4], .lower_cT = s[5], .upper_hT = s[6], .upper_cT = s[7]};
    charlm_cotangents cot = {.d_loss = r->d_loss};
    Parts p = parts(m->gradient, m->V);
    charlm_grads grads = PARTS(p);
    double sum = 0;
    check(charlm_forward(&r->sizes, &m->params, &in, &out, &r->call), "forward");
    memset(m->gradient, 0, p.n * sizeof(float));
    check(charlm_backward(&r->sizes, &m->params, &in, &cot, &grads, NULL, &r->call), "backward");
    for (int i = 0; i < 4; i++) {
        float *swap = s[i];
        s[i] = s[i + 4];
        s[i + 4] = swap;
    }
    for (int i = 0; i < WINDOW * STREAMS; i++)
        sum += (double)r->loss[i];
    return sum / (WINDOW * STREAMS * log(2));
}

static double held_out_bits(const Text *t, const Model *m);

static void train(const Text *t, Model *m, const Options *o)
{
    Run r = run_new(m->V, WINDOW, STREAMS, RNN_TRAIN);
    int64_t windows = (t->ntrain / STREAMS - 1) / WINDOW, done = 0, all = windows * o->epochs;
    double begin = seconds(), mean = 0, share = 0, shown = 0;
    for (int i = 0; i < WINDOW * STREAMS; i++)
        r.d_loss[i] = 1.0f / (WINDOW * STREAMS);
    for (int epoch = 0; epoch < o->epochs && share < 1; epoch++) {
        forget(&r);
        for (int64_t w = 0; w < windows && share < 1; w++) {
            fill_window(&r, t, w);
            double bits = learn_window(&r, m), now = seconds() - begin;
            mean = done ? 0.98 * mean + 0.02 * bits : bits;
            share = fmax((double)++done / (double)all, now / (60 * o->minutes));
            adam(m, 0.004 * 0.5 * (1 + cos(pi * share)));
            if (now - shown > 5 || share >= 1) {
                shown = now;
                printf("  pass %2d of %d, window %4ld of %ld: %.3f bits per character in training, %.0f characters/s, "
                       "%.0f s\n",
                       epoch + 1, o->epochs, (long)w + 1, (long)windows, mean, (double)(done * WINDOW * STREAMS) / now,
                       now);
                fflush(stdout);
            }
        }
        if (epoch % 4 == 3 && share < 1)
            printf("  held out: %.3f bits per character\n", held_out_bits(t, m));
    }
    run_free(&r);
}

/* ---- measuring: each held-out block after the 1000 characters before it ---- */

static int64_t block_start(int64_t k)
{
    return (k * EVERY + EVERY - 1) * BLOCK;
}

static void fill_piece(Run *r, const Text *t, int64_t first_block, int begin)
{
    int64_t B = r->sizes.B;
    for (int64_t i = 0; i < PIECE; i++)
        for (int64_t b = 0; b < B; b++) {
            int64_t at = block_start(first_block + b) - BLOCK + begin + i;
            r->text[i * B + b] = at <= t->n ? t->symbol[at - 1] : 0;
            r->next[i * B + b] = at < t->n ? t->symbol[at] : 0;
        }
}

static double held_out_bits(const Text *t, const Model *m)
{
    double sum = 0;
    int64_t counted = 0, blocks = 0;
    while (block_start(blocks) < t->n)
        blocks++;
    for (int64_t k = 0; k < blocks; k += MEASURED) {
        int64_t B = blocks - k < MEASURED ? blocks - k : MEASURED;
        Run r = run_new(m->V, PIECE, (int)B, RNN_FORWARD);
        for (int begin = 0; begin < 2 * BLOCK; begin += PIECE) {
            fill_piece(&r, t, k, begin);
            go_on(&r, m, 0);
            for (int64_t i = 0; i < PIECE * B && begin >= BLOCK; i++)
                if (block_start(k + i % B) - BLOCK + begin + i / B < t->n) {
                    sum += (double)r.loss[i];
                    counted++;
                }
        }
        run_free(&r);
    }
    return sum / ((double)counted * log(2));
}

/* ---- writing ---- */

static double draw(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* A symbol with probability proportional to exp(logit / 0.7); never the one for unknown bytes. */
static int32_t choose(const float *logits, int V, uint64_t *seed)
{
    double top = logits[1], sum = 0;
    for (int i = 1; i < V; i++)
        top = fmax(top, logits[i]);
    for (int i = 1; i < V; i++)
        sum += exp((logits[i] - top) / 0.7);
    double u = draw(seed) * sum;
    for (int i = 1; i < V; i++)
        if ((u -= exp((logits[i] - top) / 0.7)) < 0)
            return i;
    return V - 1;
}

static void write_sample(const Text *t, const Model *m, int n)
{
    Run r = run_new(m->V, 1, 1, RNN_FORWARD);
    uint64_t seed = 1;
    for (int i = 0; i < 100 + n; i++) {
        r.text[0] = i < 100 ? t->train[i] : choose(r.logits, m->V, &seed);
        if (i >= 100)
            putchar(t->byte_of[r.text[0]]);
        go_on(&r, m, 1);
    }
    putchar('\n');
    run_free(&r);
}

/* ---- the whole job ---- */

static Options read_options(int argc, char **argv)
{
    Options o = {.epochs = 12, .minutes = 8, .sample = 500};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--short") == 0)
            o.minutes = 0.1, o.sample = 100, o.is_short = 1;
        else if (strcmp(argv[i], "--minutes") == 0 && i + 1 < argc)
            o.minutes = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--text") == 0 && i + 1 < argc)
            o.text = argv[++i];
        else
            die(argv[i], "usage: charlm_train --text FILE [--minutes N] [--short]");
    if (!o.text || !(o.minutes > 0))
        die("usage", "charlm_train --text FILE [--minutes N] [--short]");
    return o;
}

int main(int argc, char **argv)
{
    Options o = read_options(argc, argv);
    Text t = text_read(o.text);
    double base = order2_bits(&t);
    Model m = model_new(t.nsymbols, 1);
    printf("%ld characters to learn from, %ld held out, %d symbols, %zu weights\n", (long)t.ntrain,
           (long)(t.n - t.ntrain), t.nsymbols, parts(NULL, m.V).n);
    printf("order-2 character model (Kneser-Ney) on the held-out blocks: %.3f bits per character\n", base);
    train(&t, &m, &o);
    double bits = held_out_bits(&t, &m);
    printf("\nOn the held-out blocks: LSTM %.3f bits per character, order-2 model %.3f\n\nA sample:\n", bits, base);
    write_sample(&t, &m, o.sample);
    free(m.weights);
    free(t.symbol);
    free(t.train);
    return o.is_short || bits < base ? 0 : 1;
}
