# A cell over a graph from C: the header makes the plan; the order of the edges, and whether two graphs are run together or each
# alone, makes no difference but rounding; what is no graph is a status. The header is C99 and C++11.
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

static int run(int64_t n, int64_t count, const int32_t *edges, const double *x, double *h)
{
    rnn_graph g = {n, count, edges};
    rnn_plan plan = {0, 0, 0, NULL, NULL, NULL, NULL};
    double c[MOST * H];
    void *scratch = malloc(rnn_plan_scratch(&g));
    int status = rnn_plan_sizes(&g, scratch, &plan);
    if (!status) {
        plan.node = (int32_t *)malloc(sizeof(int32_t) * (size_t)(plan.blocks * plan.width + 1));
        plan.slot = (int32_t *)malloc(sizeof(int32_t) * (size_t)(n + 1));
        plan.head = (int32_t *)malloc(sizeof(int32_t) * (size_t)(plan.blocks * plan.slots + 1));
        plan.tail = (int32_t *)malloc(sizeof(int32_t) * (size_t)(plan.blocks * plan.slots + 1));
        rnn_plan_fill(&g, scratch, &plan);
        tree_lstm_sizes sizes = {n, plan.blocks, plan.width, plan.slots, 1, D, H};
        tree_lstm_params p = weights();
        tree_lstm_inputs in = {plan.node, plan.slot, plan.head, plan.tail, x};
        tree_lstm_outputs out = {h, c};
        rnn_call call = {NULL, tree_lstm_workspace(&sizes, RNN_FORWARD), RNN_FORWARD, NULL, NULL};
        call.workspace = malloc(call.bytes);
        status = tree_lstm_forward(&sizes, &p, &in, &out, &call);
        free(call.workspace);
        free(plan.node);
        free(plan.slot);
        free(plan.head);
        free(plan.tail);
    }
    free(scratch);
    return status;
}

static double apart(const double *a, const double *b, int n)
{
    double most = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, fabs(a[i] - b[i]));
    return most;
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
    return apart(h, again, 0) > 0;
}
E2
check "the program is C99" "$CC" -std=c99 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror program.c tree.o -o program -lm
cp program.c program.cc
c++ --version >/dev/null 2>&1 && check "and C++11" c++ -std=c++11 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -c program.cc -o program.cc.o
check "it runs" sh -c './program >out.txt'
check "the order of edges, and company, make no difference" sh -c 'head -n 1 out.txt | awk "{ exit !(\$1 < 1e-15 && \$2 < 1e-15 && \$3 < 1e-15) }"'
check "a circle, an edge to nowhere, an empty graph" grep -qx "8 6 0" out.txt

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
rm edges.npy
refuses "no edges at all" 1 "array .edges. \(int\[E, 2\]: from, to\) is missing" "$RNNC" run sums.rnn -i x.npy -o out.npz
finish
