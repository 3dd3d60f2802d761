/* make_cells SEED N: writes N random small cells as one .rnn file, the same for the same seed. Every cell is right by
 * construction: values are made from values that stand before them, states are squashed, nothing divides by zero. What sums
 * up to a constant (softmax, layer norm) is weighted, since a comparison with that constant would be one of rounding errors. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum Shape { S, D, H, NSHAPE } Shape; /* a scalar, [D], [H] */

enum { MAXNAME = 64, DEPTH = 4 };

typedef struct Name {
    char text[16];
    Shape shape;
} Name;

typedef struct Cell {
    uint64_t random;
    Name value[MAXNAME]; /* what can be read at the current place */
    int nvalue;
    Name state[4];
    int nstate;
    bool reversed;
} Cell;

static int below(Cell *c, int n)
{
    uint64_t z = c->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return (int)((z ^ z >> 31) % (uint64_t)n);
}

static void add_value(Cell *c, const char *text, Shape shape)
{
    Name *n = &c->value[c->nvalue++];
    snprintf(n->text, sizeof n->text, "%s", text);
    n->shape = shape;
}

static void expr(Cell *c, Shape shape, int depth);

/* '%' in the pattern: one expression, of shape s, d or h behind it. */
static void write_pattern(Cell *c, const char *pattern, int depth)
{
    for (; *pattern; pattern++) {
        if (*pattern != '%') {
            putchar(*pattern);
            continue;
        }
        pattern++;
        expr(c, *pattern == 's' ? S : *pattern == 'd' ? D : H, depth - 1);
    }
}

static const char *one_of(Cell *c, const char *const *list)
{
    int n = 0;
    while (list[n])
        n++;
    return list[below(c, n)];
}

/* ---- leaves ---- */

static bool write_name(Cell *c, const Name *list, int n, Shape shape, const char *behind)
{
    int found[MAXNAME], count = 0;
    for (int i = 0; i < n; i++)
        if (list[i].shape == shape)
            found[count++] = i;
    if (count)
        printf("%s%s", list[found[below(c, count)]].text, behind);
    return count > 0;
}

static const char *old(Cell *c)
{
    bool two = below(c, 4) == 0;
    return c->reversed ? (two ? "[t+2]" : "[t+1]") : (two ? "[t-2]" : "[t-1]");
}

static void leaf(Cell *c, Shape shape)
{
    static const char *const number[] = {"0.3", "-0.7", "1.1", "2", "0.01", NULL};
    int what = below(c, 10);
    if (what < 4 && write_name(c, c->state, c->nstate, shape, old(c)))
        return;
    if (what == 4 && shape == D) {
        static const char *const place[] = {"x[t-1]", "x[t-2 else 0.5]", "x[t-3]", "k", NULL};
        printf("%s", one_of(c, place));
    } else if (what == 5 && shape == H)
        printf("E[mod(n, 3)]");
    else if (what == 5 && shape == S)
        printf("real(mod(t, 3))");
    else if (what == 6 && shape == S)
        printf("%s", one_of(c, number));
    else
        write_name(c, c->value, c->nvalue, shape, "");
}

/* ---- what is made of others ---- */

static const char *const same_shape[] = {
    "(# + #)", "(# - #)", "(# * #)", "tanh(#)", "sigmoid(#)", "exp(-abs(#))", "relu(#)", "softplus(#)", "sqrt(1 + tanh(#) ^ 2)",
    "log1p(exp(-abs(#)))", "max(#, #)", "min(#, #)", "(# / (1.5 + tanh(#)))", "where(%s > 0, #, #)", "where(# > #, #, #)",
    "(-#)", "clamp(#, -0.8, 0.9)", "silu(#)", "(%s * #)", "(# + %s)", "leaky_relu(#, 0.1)", "tanh(#) ^ 3", "elu(#, 0.7)",
    "where(# < 0.2 and not (# > 1), #, 0.5)", "expm1(tanh(#))", "sin(# + #)", "cos(#)", "erf(#)", NULL};
static const char *const to_scalar[] = {"sum(%h)", "mean(%d)", "dot(%h, %h)", "max(%d)", "logsumexp(%h)", "min(%h)",
                                        "sum(j in H: b[j] * U[j, j])", "mean(%h)", "dot(%d, a)", NULL};
static const char *const to_d[] = {"(V @ %h)", "(softmax(%d) * a)", "concat(%d, %h)[0:D]", "(W.T @ %h)", "(layer_norm(%d, 0.1) * a)", NULL};
static const char *const to_h[] = {"(W @ %d)", "(U @ %h)", "(U @ %h + W @ %d)", "(softmax(%h) - b)", "concat(%d, %h)[D:D + H]",
                                   "rms_norm(%h, 0.1)", "(outer(%h, %d) @ a)", "(b * U @ %h)", NULL};

static void write_same(Cell *c, Shape shape, int depth)
{
    char pattern[200];
    size_t n = 0;
    for (const char *p = one_of(c, same_shape); *p && n + 3 < sizeof pattern; p++)
        if (*p == '#') {
            pattern[n++] = '%';
            pattern[n++] = "sdh"[shape];
        } else
            pattern[n++] = *p;
    pattern[n] = 0;
    write_pattern(c, pattern, depth);
}

static void expr(Cell *c, Shape shape, int depth)
{
    if (depth <= 0 || below(c, 5) == 0)
        leaf(c, shape);
    else if (below(c, 3) == 0)
        write_pattern(c, one_of(c, shape == S ? to_scalar : shape == D ? to_d : to_h), depth);
    else
        write_same(c, shape, depth);
}

/* ---- cells ---- */

static const char *const type_text[] = {"real", "real[D]", "real[H]"};

static Shape any_shape(Cell *c)
{
    return (Shape)below(c, NSHAPE);
}

static void write_let(Cell *c, int i)
{
    char name[16];
    Shape shape = any_shape(c);
    snprintf(name, sizeof name, "v%d", i);
    bool indexed = shape == H && below(c, 4) == 0;
    printf(indexed ? "  let %s[i] = sum(j in D: W[i, j] * x[j]) * b[i] + tanh(" : "  let %s = tanh(", name);
    expr(c, indexed ? S : shape, DEPTH);
    printf(")\n");
    add_value(c, name, shape);
}

/* Two states, the second one from the first; rounds read the ones before, and an element. */
static void write_loop(Cell *c, int i)
{
    static const char *const range[] = {"D", "H", "H - 1"}, *const element[] = {"x[j]", "b[j]", "real(j)"};
    int over = below(c, 3), nvalue = c->nvalue;
    Name state[2], before[2];
    printf("  for j in %s {\n", range[over]);
    for (int k = 0; k < 2; k++) {
        state[k].shape = before[k].shape = any_shape(c);
        snprintf(state[k].text, sizeof state[k].text, "l%d%c", i, 'a' + k);
        snprintf(before[k].text, sizeof before[k].text, "l%d%c[j-1]", i, 'a' + k);
        printf("    state %s: %s = tanh(", state[k].text, type_text[state[k].shape]);
        expr(c, state[k].shape, 2);
        printf(")\n");
    }
    add_value(c, element[over], S);
    add_value(c, before[0].text, before[0].shape);
    add_value(c, before[1].text, before[1].shape);
    for (int k = 0; k < 2; k++) {
        printf("    %s = tanh(0.7 * %s + ", state[k].text, before[k].text);
        expr(c, state[k].shape, DEPTH - 1);
        printf(")\n");
        add_value(c, state[k].text, state[k].shape);
    }
    printf("  }\n");
    c->nvalue = nvalue;
    for (int k = 0; k < 2; k++)
        add_value(c, state[k].text, state[k].shape);
}

static void write_equation(Cell *c, const Name *s)
{
    static const char *const form[] = {"tanh(", "0.5 * ", "0.9 * sigmoid("};
    int which = below(c, 3);
    printf("  %s = %s", s->text, form[which]);
    if (which == 1)
        printf("%s%s + 0.5 * tanh(", s->text, c->reversed ? "[t+1]" : "[t-1]");
    expr(c, s->shape, DEPTH);
    printf(")\n");
    add_value(c, s->text, s->shape);
}

static void write_head(const Cell *c, int number, int nlet)
{
    printf("cell c%d[D, H] over t (x: real[D], s: real, n: int, const k: real[D]) -> ", number);
    for (int i = 0; i < c->nstate; i++)
        printf("%s, ", c->state[i].text);
    printf("v%d {\n", nlet - 1);
    printf("  param W: real[H, D], U: real[H, H], V: real[D, H], b: real[H], a: real[D], E: real[3, H], g: real\n");
    for (int i = 0; i < c->nstate; i++) {
        static const char *const start[] = {"g", "a", "b"};
        printf("  state %s: %s%s%s\n", c->state[i].text, type_text[c->state[i].shape], i % 2 ? " = " : "",
               i % 2 ? start[c->state[i].shape] : "");
    }
}

static void write_cell(uint64_t seed, int number)
{
    static const char *const names[] = {"p", "q", "r"};
    Cell c = {.random = seed * 1000003 + (uint64_t)number};
    int nlet = 2 + below(&c, 5), next = 0;
    c.reversed = below(&c, 4) == 0;
    for (c.nstate = 0; c.nstate < 3 && (!c.nstate || below(&c, 3)); c.nstate++) {
        snprintf(c.state[c.nstate].text, sizeof c.state[0].text, "%s", names[c.nstate]);
        c.state[c.nstate].shape = any_shape(&c);
    }
    write_head(&c, number, nlet);
    add_value(&c, "x", D);
    add_value(&c, "a", D);
    add_value(&c, "s", S);
    add_value(&c, "g", S);
    add_value(&c, "b", H);
    for (int i = 0; i < nlet; i++) {
        write_let(&c, i);
        if (below(&c, 4) == 0)
            write_loop(&c, i);
        if (next < c.nstate && below(&c, 2))
            write_equation(&c, &c.state[next++]);
    }
    while (next < c.nstate)
        write_equation(&c, &c.state[next++]);
    printf("}\n\n");
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    for (int i = 0; i < atoi(argv[2]); i++)
        write_cell((uint64_t)atoll(argv[1]), i);
    return 0;
}
