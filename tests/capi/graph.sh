# A cell over a graph from C: the header makes the plan; the order of the edges, and whether two graphs are run together or each
# alone, makes no difference but rounding, nor does it if it grows node by node, or in two parts, with gradients; what is no graph is a status. The header is C99 and C++11.
. "$SRC/tests/lib.sh"
"$RNNC" build "$SRC/stdlib/tree_lstm.rnn" --entry tree_lstm --precision=f64 -o tree.o || exit 1
cat >program.c <<'E2'
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tree.h"

enum { D = 3, H = 5, MOST = 64 };

static double params[3 * H * D + 3 * H * H + 3 * H + H * D + H * H + H];

static double *take(double **at, int n)
{
    double *p = *at;
    *at += n;
    return p;
}

static tree_lstm_params weights(void)
{
    double *at = params;
    tree_lstm_params p;
    p.W = take(&at, 3 * H * D);
    p.U = take(&at, 3 * H * H);
    p.b = take(&at, 3 * H);
    p.Wf = take(&at, H * D);
    p.Uf = take(&at, H * H);
    p.bf = take(&at, H);
    return p;
}

/* What stands in the arrays of a call: nodes known before, then n. */
typedef struct arrays {
    double h[MOST * H], c[MOST * H], d_h[MOST * H], d_c[MOST * H];
} arrays;

static double grads[sizeof params / sizeof *params];

/* Runs n nodes behind those that are known; with d_x training, whose gradients by states are added. */
static int run_part(int64_t known, int64_t n, int64_t count, const int32_t *edges, const double *x, arrays *all, double *d_x)
{
    rnn_graph g = {n, count, edges, known};
    rnn_plan plan = {0, 0, 0, NULL, NULL, NULL, NULL, 0};
    void *scratch = malloc(rnn_plan_scratch(&g));
    int status = rnn_plan_sizes(&g, scratch, &plan);
    if (!status) {
        plan.node = (int32_t *)malloc(sizeof(int32_t) * (size_t)(plan.blocks * plan.width + 1));
        plan.slot = (int32_t *)malloc(sizeof(int32_t) * (size_t)(n + 1));
        plan.head = (int32_t *)malloc(sizeof(int32_t) * (size_t)(plan.blocks * (plan.slots + plan.olds) + 1));
        plan.tail = (int32_t *)malloc(sizeof(int32_t) * (size_t)(plan.blocks * (plan.slots + plan.olds) + 1));
        rnn_plan_fill(&g, scratch, &plan);
        tree_lstm_sizes sizes = {n, plan.blocks, plan.width, plan.slots, plan.olds, known, 1, D, H};
        tree_lstm_params p = weights();
        tree_lstm_inputs in = {plan.node, plan.slot, plan.head, plan.tail, x + known * D, all->h, all->c};
        tree_lstm_outputs out = {all->h + known * H, all->c + known * H};
        rnn_call call = {NULL, tree_lstm_workspace(&sizes, d_x ? RNN_TRAIN : RNN_FORWARD), d_x ? RNN_TRAIN : RNN_FORWARD, NULL, NULL};
        call.workspace = malloc(call.bytes);
        status = tree_lstm_forward(&sizes, &p, &in, &out, &call);
        if (!status && d_x) {
            double d_h0[MOST * H], d_c0[MOST * H];
            double *at = grads;
            tree_lstm_cotangents d = {all->d_h + known * H, all->d_c + known * H};
            tree_lstm_grads to;
            tree_lstm_input_grads inputs = {d_x + known * D, d_h0, d_c0};
            to.W = take(&at, 3 * H * D);
            to.U = take(&at, 3 * H * H);
            to.b = take(&at, 3 * H);
            to.Wf = take(&at, H * D);
            to.Uf = take(&at, H * H);
            to.bf = take(&at, H);
            status = tree_lstm_backward(&sizes, &p, &in, &d, &to, &inputs, &call);
            for (int64_t i = 0; i < known * H; i++) {
                all->d_h[i] += d_h0[i];
                all->d_c[i] += d_c0[i];
            }
        }
        free(call.workspace);
        free(plan.node);
        free(plan.slot);
        free(plan.head);
        free(plan.tail);
    }
    free(scratch);
    return status;
}

static int run(int64_t n, int64_t count, const int32_t *edges, const double *x, double *h)
{
    arrays all;
    int status = run_part(0, n, count, edges, x, &all, NULL);
    for (int64_t i = 0; i < n * H; i++)
        h[i] = all.h[i];
    return status;
}

static double apart(const double *a, const double *b, int n)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs(a[i] - b[i]));
    return most;
}

/* A graph whose nodes follow each other: nodes from..to-1 behind the others, with the edges that lead to them. */
static int part(const int32_t *edges, int64_t count, int64_t from, int64_t to, const double *x, arrays *all, double *d_x)
{
    int32_t some[2 * MOST];
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++)
        if (edges[2 * i + 1] >= from && edges[2 * i + 1] < to) {
            some[2 * n] = edges[2 * i];
            some[2 * n++ + 1] = edges[2 * i + 1];
        }
    return run_part(from, to - from, n, some, x, all, d_x);
}

static void start_training(arrays *all)
{
    for (size_t i = 0; i < sizeof grads / sizeof *grads; i++)
        grads[i] = 0;
    for (int i = 0; i < MOST * H; i++) {
        all->d_h[i] = sin(i);
        all->d_c[i] = cos(3 * i);
    }
}

/* Forward node by node; training in two parts, the second one backward first. */
static int grow(const int32_t *edges, int64_t count, int64_t n, const double *x)
{
    static arrays whole, parts;
    static double d_whole[12 * D], d_parts[12 * D], sum[sizeof grads / sizeof *grads];
    start_training(&whole);
    if (run_part(0, n, count, edges, x, &whole, d_whole))
        return 1;
    for (size_t i = 0; i < sizeof grads / sizeof *grads; i++)
        sum[i] = grads[i];
    for (int64_t v = 0; v < n; v++)
        if (part(edges, count, v, v + 1, x, &parts, NULL))
            return 1;
    printf("%g %g\n", apart(whole.h, parts.h, (int)n * H), apart(whole.c, parts.c, (int)n * H));
    start_training(&parts);
    if (part(edges, count, n / 2, n, x, &parts, d_parts) || part(edges, count, 0, n / 2, x, &parts, d_parts))
        return 1;
    printf("%g %g %g\n", apart(whole.h, parts.h, (int)n * H), apart(sum, grads, (int)(sizeof grads / sizeof *grads)), apart(d_whole, d_parts, (int)n * D));
    return apart(grads, sum, 0) > 0;
}

int main(void)
{
    static const int32_t one[] = {0, 3, 1, 3, 2, 4, 3, 5, 4, 5}, turned[] = {4, 5, 3, 5, 2, 4, 1, 3, 0, 3};
    static const int32_t both[] = {0, 3, 1, 3, 2, 4, 3, 5, 4, 5, 6, 9, 7, 9, 8, 10, 9, 11, 10, 11};
    static const int32_t circle[] = {0, 1, 1, 0}, outside[] = {0, 6};
    double x[12 * D], h[MOST * H], again[MOST * H], together[MOST * H];
    for (size_t i = 0; i < sizeof params / sizeof *params; i++)
        params[i] = sin((double)i) / 2;
    for (int i = 0; i < 12 * D; i++)
        x[i] = cos(i % (6 * D));
    if (run(6, 5, one, x, h) || run(6, 5, turned, x, again) || run(12, 10, both, x, together))
        return 1;
    printf("%g %g %g\n", apart(h, again, 6 * H), apart(h, together, 6 * H), apart(h, together + 6 * H, 6 * H));
    printf("%d %d %d\n", run(2, 2, circle, x, h), run(6, 1, outside, x, h), run(0, 0, NULL, x, h));
    if (grow(both, 10, 12, x))
        return 1;
    static arrays all;
    static const int32_t back[] = {2, 1}, same[] = {0, 2, 1, 2, 0, 2}, beyond[] = {3, 2};
    printf("%d %d %d\n", run_part(2, 1, 1, back, x, &all, NULL), run_part(2, 1, 3, same, x, &all, NULL), run_part(2, 1, 1, beyond, x, &all, NULL));
    return apart(h, again, 0) > 0;
}
E2
check "the program is C99" "$CC" -std=c99 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror program.c tree.o -o program -lm
cp program.c program.cc
c++ --version >/dev/null 2>&1 && check "and C++11" c++ -std=c++11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -c program.cc -o program.cc.o
check "it runs" sh -c './program >out.txt'
check "the order of edges, and company, make no difference" sh -c 'head -n 1 out.txt | awk "{ exit !(\$1 < 1e-15 && \$2 < 1e-15 && \$3 < 1e-15) }"'
check "a circle, an edge to nowhere, an empty graph" grep -qx "8 6 0" out.txt
check "growing node by node makes no difference" sh -c 'sed -n 3p out.txt | awk "{ exit !(NF == 2 && \$1 < 1e-15 && \$2 < 1e-15) }"'
check "nor training in two parts" sh -c 'sed -n 4p out.txt | awk "{ exit !(NF == 3 && \$1 < 1e-15 && \$2 < 1e-13 && \$3 < 1e-13) }"'
check "an edge back, one twice, one to nowhere" grep -qx "8 8 6" out.txt

# From files: edges make the plan.
cat >sums.rnn <<'E2'
cell sums over v in dag (x: real) -> h {
  state h: real
  h = x + sum(u in pred(v): h[u])
}
E2
npy '<f4' '3, 1' 12 >x.npy
npy '<i4' '0, 2' 0 >edges.npy
check "no edges" "$RNNC" run sums.rnn -i x.npy -i edges.npy -o out.npz
npy '<i4' '1, 2' 8 >edges.npy
refuses "an edge to itself" 1 "array .edges.: the edges go round in a circle, through edge 0 from node 0 to node 0" "$RNNC" run sums.rnn -i x.npy -i edges.npy -o out.npz
npy '<i4' '2, 2' 16 >edges.npy
refuses "an edge twice" 1 "array .edges.: edges 0 and 1 are the same, from node 0 to node 0" "$RNNC" run sums.rnn -i x.npy -i edges.npy -o out.npz
npy '<f4' '0, 1' 0 >x.npy
refuses "an edge to nowhere" 1 "array .edges.: edge 0 names node 0, but there are 0 nodes" "$RNNC" run sums.rnn -i x.npy -i edges.npy -o out.npz
cat >weighed.rnn <<'E3'
cell weighed over v in dag, edges d -> v -> e (x: real, w[d]: real) -> h {
  state h: real
  h = x + sum(d in into(v): w[d] * h[tail(d)])
}
E3
npy '<f4' '3, 1' 12 >x.npy
npy '<i4' '0, 2' 0 >edges.npy
npy '<f4' '2, 1' 8 >w.npy
refuses "more values on edges than edges" 1 "array .w. is float32\\[2, 1\\], but .* edges = 0 \\(from .edges., axis 0\\) is expected" "$RNNC" run weighed.rnn -i x.npy -i w.npy -i edges.npy -o out.npz
"$RNNC" build weighed.rnn -o weighed.o
check "no pairs where none are read" sh -c '! grep -q "plan_pair;" weighed.h'
npy '<i4' '2, 3' 24 >edges.npy
refuses "edges of another shape" 1 "array .edges. is int32\[2, 3\], but int\[E, 2\] is expected" "$RNNC" run sums.rnn -i x.npy -i edges.npy -o out.npz
# Nodes behind two that were there before: h0 says how many; edges lead to the others.
ints '3, 2' 0 2 1 2 2 3 >edges.npy
npy '<f4' '2, 1' 8 >h0.npy
npy '<f4' '2, 1' 8 >x.npy
check "a graph that grows" "$RNNC" run sums.rnn -i x.npy -i h0.npy -i edges.npy -o out.npz
npy '<f4' '3, 1' 12 >h0.npy
refuses "an edge to a node that was there before" 1 "array .edges.: edge 0 leads to node 2, which was there before: those are nodes 0 to 2" "$RNNC" run sums.rnn -i x.npy -i h0.npy -i edges.npy -o out.npz
rm h0.npy
refuses "nodes beyond those of the call" 1 "array .edges.: edge 0 names node 2, but there are 2 nodes" "$RNNC" run sums.rnn -i x.npy -i edges.npy -o out.npz
rm edges.npy
refuses "no edges at all" 1 "array .edges. \(int\[E, 2\]: from, to\) is missing" "$RNNC" run sums.rnn -i x.npy -o out.npz
finish
