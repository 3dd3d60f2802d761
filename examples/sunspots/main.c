/* Trains sunspot.rnn to say next year's sunspot number, and measures it on years that nothing was fitted on.
 *
 * The series is split once: everything before the last 60 years is for training (the scale, the weights, AR(2)); of
 * these 60 years only the inputs are read, each after the year before it was predicted. All settings below were chosen
 * on the 50 years before them. */
#include "sunspot.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { H = 16, MAXYEARS = 1000, HELD_OUT = 60, SHOWN = 120, MAXSEEDS = 5 }; /* SHOWN: years in the picture */

static const double pi = 3.14159265358979323846;

typedef struct Series {
    int n;
    int year[MAXYEARS];
    double value[MAXYEARS];
} Series;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "sunspots: %s: %s\n", what, why);
    exit(1);
}

static void check(rnn_status s, const char *what)
{
    if (s != RNN_OK) {
        fprintf(stderr, "sunspots: %s: status %d\n", what, (int)s);
        exit(1);
    }
}

static Series read_series(const char *path)
{
    Series s = {0};
    char line[256];
    FILE *f = fopen(path, "r");
    if (!f)
        die(path, strerror(errno));
    while (fgets(line, sizeof line, f)) {
        int year;
        double value;
        if (sscanf(line, "%d,%lf", &year, &value) != 2)
            continue; /* the line with the names */
        if (s.n == MAXYEARS)
            die(path, "too many years");
        s.year[s.n] = year;
        s.value[s.n++] = value;
    }
    fclose(f);
    if (s.n < SHOWN)
        die(path, "too few years");
    return s;
}

/* ---- the scale: roots, with mean 0 and variance 1 over the training years ---- */

typedef struct Scale {
    double mean, deviation;
} Scale;

static Scale fit_scale(const Series *s, int ntrain)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < ntrain; i++) {
        sum += sqrt(s->value[i]);
        squares += s->value[i];
    }
    double mean = sum / ntrain;
    return (Scale){mean, sqrt(squares / ntrain - mean * mean)};
}

static double scaled(Scale c, double value)
{
    return (sqrt(value) - c.mean) / c.deviation;
}

static double unscaled(Scale c, double z)
{
    double root = z * c.deviation + c.mean;
    return root > 0 ? root * root : 0;
}

/* ---- weights: one block of numbers, so that Adam is one loop ---- */

enum { NW = 3 * H, NU = 3 * H * H, NB = 3 * H, ND = H, NREADOUT = H, NWEIGHTS = NW + NU + NB + ND + NREADOUT + 1 };

typedef struct Parts {
    float *W, *U, *b, *d, *readout, *bias;
} Parts;

static Parts parts(float *w)
{
    Parts p;
    p.W = w;
    p.U = p.W + NW;
    p.b = p.U + NU;
    p.d = p.b + NB;
    p.readout = p.d + ND;
    p.bias = p.readout + NREADOUT;
    return p;
}

static void init_weights(float *w, uint64_t seed)
{
    Parts p = parts(w);
    sunspot_sizes sizes = {.T = 0, .B = 0};
    sunspot_weights weights = {
        .net_W = p.W, .net_U = p.U, .net_b = p.b, .net_d = p.d, .readout = p.readout, .bias = p.bias};
    check(sunspot_init(&sizes, &weights, seed), "init");
}

typedef struct Adam {
    float m[NWEIGHTS], v[NWEIGHTS];
    int steps;
} Adam;

static void adam(Adam *a, float *w, const float *g, double rate)
{
    double norm = 0;
    for (int i = 0; i < NWEIGHTS; i++)
        norm += (double)g[i] * g[i];
    double shrink = norm > 1 ? 1 / sqrt(norm) : 1; /* no gradient longer than 1 */
    a->steps++;
    double mscale = 1 - pow(0.9, a->steps), vscale = 1 - pow(0.999, a->steps);
    for (int i = 0; i < NWEIGHTS; i++) {
        double gi = g[i] * shrink;
        a->m[i] = (float)(0.9 * a->m[i] + 0.1 * gi);
        a->v[i] = (float)(0.999 * a->v[i] + 0.001 * gi * gi);
        w[i] -= (float)(rate * (a->m[i] / mscale) / (sqrt(a->v[i] / vscale) + 1e-8));
    }
}

/* ---- the network ---- */

typedef struct Net {
    sunspot_sizes sizes;
    rnn_call call;
    float *x, *target, *prediction;
    float loss;
} Net;

/* Buffers for T steps of one sequence. */
static Net net_new(const Series *s, Scale scale, int T)
{
    Net n = {.sizes = {.T = T, .B = 1}};
    n.x = calloc((size_t)T * 3, sizeof *n.x);
    n.target = n.x + T;
    n.prediction = n.target + T;
    n.call.passes = RNN_TRAIN;
    n.call.bytes = sunspot_workspace(&n.sizes, RNN_TRAIN);
    n.call.workspace = malloc(n.call.bytes);
    if (!n.x || !n.call.workspace)
        die("memory", "not enough");
    for (int t = 0; t < T; t++) {
        n.x[t] = (float)scaled(scale, s->value[t]);
        n.target[t] = (float)scaled(scale, s->value[t + 1]);
    }
    return n;
}

static void net_free(Net *n)
{
    free(n->x);
    free(n->call.workspace);
}

static void net_forward(Net *n, float *w)
{
    Parts p = parts(w);
    sunspot_params params = {
        .net_W = p.W, .net_U = p.U, .net_b = p.b, .net_d = p.d, .readout = p.readout, .bias = p.bias};
    sunspot_inputs in = {.x = n->x, .target = n->target};
    sunspot_outputs out = {.prediction = n->prediction, .loss = &n->loss};
    check(sunspot_forward(&n->sizes, &params, &in, &out, &n->call), "forward");
}

static void net_backward(Net *n, float *w, float *gradient)
{
    Parts p = parts(w), g = parts(gradient);
    float one = 1;
    sunspot_params params = {
        .net_W = p.W, .net_U = p.U, .net_b = p.b, .net_d = p.d, .readout = p.readout, .bias = p.bias};
    sunspot_inputs in = {.x = n->x, .target = n->target};
    sunspot_cotangents cot = {.d_loss = &one};
    sunspot_grads grads = {
        .net_W = g.W, .net_U = g.U, .net_b = g.b, .net_d = g.d, .readout = g.readout, .bias = g.bias};
    memset(gradient, 0, sizeof(float) * NWEIGHTS);
    check(sunspot_backward(&n->sizes, &params, &in, &cot, &grads, NULL, &n->call), "backward");
}

static void train(Net *n, float *w, int seed, int epochs)
{
    static Adam a;
    float gradient[NWEIGHTS];
    memset(&a, 0, sizeof a);
    for (int e = 0; e < epochs; e++) {
        net_forward(n, w);
        net_backward(n, w, gradient);
        adam(&a, w, gradient, 0.01 * 0.5 * (1 + cos(pi * e / epochs)));
        if ((e + 1) % 50 == 0 || e + 1 == epochs) {
            printf("  seed %d, pass %3d of %d over the training years: loss %.4f\n", seed, e + 1, epochs, n->loss);
            fflush(stdout);
        }
    }
}

/* ---- what it is compared with ---- */

/* Solves the 3 by 3 system A w = r by elimination. */
static void solve3(double A[3][3], double r[3], double w[3])
{
    for (int k = 0; k < 3; k++) {
        int best = k;
        for (int i = k + 1; i < 3; i++)
            if (fabs(A[i][k]) > fabs(A[best][k]))
                best = i;
        for (int j = 0; j < 3; j++) {
            double swap = A[k][j];
            A[k][j] = A[best][j];
            A[best][j] = swap;
        }
        double swap = r[k];
        r[k] = r[best];
        r[best] = swap;
        for (int i = k + 1; i < 3; i++) {
            double f = A[i][k] / A[k][k];
            for (int j = k; j < 3; j++)
                A[i][j] -= f * A[k][j];
            r[i] -= f * r[k];
        }
    }
    for (int k = 2; k >= 0; k--) {
        w[k] = r[k];
        for (int j = k + 1; j < 3; j++)
            w[k] -= A[k][j] * w[j];
        w[k] /= A[k][k];
    }
}

/* value[t] = w0 + w1 value[t-1] + w2 value[t-2] by least squares over the training years. */
static void fit_ar2(const Series *s, int ntrain, double w[3])
{
    double A[3][3] = {{0}}, r[3] = {0};
    for (int t = 2; t < ntrain; t++) {
        double row[3] = {1, s->value[t - 1], s->value[t - 2]};
        for (int i = 0; i < 3; i++) {
            for (int j = 0; j < 3; j++)
                A[i][j] += row[i] * row[j];
            r[i] += row[i] * s->value[t];
        }
    }
    solve3(A, r, w);
}

/* Root of the mean square distance from what was observed in the held-out years; guess[0] is for the first of them. */
static double error_of(const Series *s, const double *guess)
{
    double sum = 0;
    for (int i = 0; i < HELD_OUT; i++) {
        double d = guess[i] - s->value[s->n - HELD_OUT + i];
        sum += d * d;
    }
    return sqrt(sum / (double)HELD_OUT);
}

/* ---- the picture ---- */

enum { WIDTH = 920, HEIGHT = 440, LEFT = 60, RIGHT = 20, TOP = 60, BOTTOM = 50 };

static double at_x(int i)
{
    return (double)LEFT + i * (double)(WIDTH - LEFT - RIGHT) / (SHOWN - 1);
}

static double at_y(double value)
{
    return (double)(HEIGHT - BOTTOM) - value * (double)(HEIGHT - TOP - BOTTOM) / 200;
}

static void draw_line(FILE *f, const double *value, const char *color, const char *more)
{
    fprintf(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" %s points=\"", color, more);
    for (int i = 0; i < SHOWN; i++)
        fprintf(f, "%.1f,%.1f ", at_x(i), at_y(value[i]));
    fprintf(f, "\"/>\n");
}

static void draw_axes(FILE *f, const Series *s, int first)
{
    fprintf(f, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"#f1f4f8\"/>\n", at_x(SHOWN - HELD_OUT),
            TOP, at_x(SHOWN - 1) - at_x(SHOWN - HELD_OUT), HEIGHT - TOP - BOTTOM);
    fprintf(f, "<text x=\"%.1f\" y=\"%d\" fill=\"#667\">held out: nothing was fitted on these years</text>\n",
            at_x(SHOWN - HELD_OUT), TOP - 10);
    for (int v = 0; v <= 200; v += 50) {
        fprintf(f, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", LEFT, WIDTH - RIGHT, at_y(v),
                at_y(v), v ? "#dde" : "#445");
        fprintf(f, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", LEFT - 8, at_y(v) + 4, v);
    }
    for (int i = 0; i < SHOWN; i++)
        if (s->year[first + i] % 20 == 0)
            fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", at_x(i), HEIGHT - BOTTOM + 20,
                    s->year[first + i]);
    fprintf(f, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">year</text>\n", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10);
}

static void draw(const char *path, const Series *s, const double *guess)
{
    int first = s->n - SHOWN;
    FILE *f = fopen(path, "w");
    if (!f)
        die(path, strerror(errno));
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" "
            "font-size=\"13\" fill=\"#223\">\n",
            WIDTH, HEIGHT);
    fprintf(f, "<rect width=\"%d\" height=\"%d\" fill=\"white\"/>\n", WIDTH, HEIGHT);
    fprintf(f,
            "<text x=\"%d\" y=\"28\" font-size=\"17\">Yearly mean sunspot number, and a GRU's forecast one year "
            "ahead</text>\n",
            LEFT);
    draw_axes(f, s, first);
    draw_line(f, s->value + first, "#8a94a6", "");
    draw_line(f, guess + first, "#d1495b", "stroke-dasharray=\"6 3\"");
    fprintf(f,
            "<line x1=\"%d\" x2=\"%d\" y1=\"46\" y2=\"46\" stroke=\"#8a94a6\" stroke-width=\"2\"/><text x=\"%d\" "
            "y=\"50\">observed</text>\n",
            LEFT, LEFT + 28, LEFT + 34);
    fprintf(
        f,
        "<line x1=\"%d\" x2=\"%d\" y1=\"46\" y2=\"46\" stroke=\"#d1495b\" stroke-width=\"2\" stroke-dasharray=\"6 3\"/>"
        "<text x=\"%d\" y=\"50\">said the year before</text>\n",
        LEFT + 120, LEFT + 148, LEFT + 154);
    fprintf(f, "</svg>\n");
    if (ferror(f) | fclose(f))
        die(path, "could not be written");
}

/* ---- the whole job ---- */

typedef struct Options {
    const char *data, *picture;
    int seeds, epochs;
} Options;

static Options read_options(int argc, char **argv)
{
    Options o = {"sunspots.csv", "forecast.svg", MAXSEEDS, 150};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--short") == 0)
            o.seeds = 2, o.epochs = 60;
        else if (strcmp(argv[i], "--data") == 0 && i + 1 < argc)
            o.data = argv[++i];
        else if (strcmp(argv[i], "--picture") == 0 && i + 1 < argc)
            o.picture = argv[++i];
        else
            die(argv[i], "usage: sunspots [--short] [--data FILE.csv] [--picture FILE.svg]");
    return o;
}

int main(int argc, char **argv)
{
    Options o = read_options(argc, argv);
    Series s = read_series(o.data);
    int ntrain = s.n - HELD_OUT, won = 0;
    Scale scale = fit_scale(&s, ntrain);
    Net training = net_new(&s, scale, ntrain - 1), whole = net_new(&s, scale, s.n - 1);
    static float w[NWEIGHTS];
    static double guess[MAXYEARS];
    double last_year[HELD_OUT], ar2[HELD_OUT], coef[3], error[MAXSEEDS];

    printf("Training on %d to %d; held out: %d to %d\n", s.year[0], s.year[ntrain - 1], s.year[ntrain],
           s.year[s.n - 1]);
    for (int k = 0; k < o.seeds; k++) {
        init_weights(w, (uint64_t)k + 1);
        train(&training, w, k + 1, o.epochs);
        net_forward(&whole, w);
        guess[0] = s.value[0];
        for (int t = 1; t < s.n; t++)
            guess[t] = unscaled(scale, whole.prediction[t - 1]);
        error[k] = error_of(&s, guess + ntrain);
        if (k == 0)
            draw(o.picture, &s, guess);
    }
    fit_ar2(&s, ntrain, coef);
    for (int i = 0; i < HELD_OUT; i++) {
        last_year[i] = s.value[ntrain + i - 1];
        ar2[i] = coef[0] + coef[1] * s.value[ntrain + i - 1] + coef[2] * s.value[ntrain + i - 2];
    }

    double same = error_of(&s, last_year);
    printf("\nRoot mean square error, one year ahead, %d to %d\n", s.year[ntrain], s.year[s.n - 1]);
    printf("  same as last year       %6.2f\n", same);
    printf("  least-squares AR(2)     %6.2f\n", error_of(&s, ar2));
    for (int k = 0; k < o.seeds; k++) {
        printf("  GRU, seed %d             %6.2f\n", k + 1, error[k]);
        won += error[k] < same;
    }
    printf("\nBetter than \"same as last year\": %d of %d. Picture (seed 1): %s\n", won, o.seeds, o.picture);
    net_free(&training);
    net_free(&whole);
    return won == o.seeds ? 0 : 1;
}
