/* Interpolated Kneser-Ney smoothing (Kneser & Ney 1995; Chen & Goodman 1999) of order 2: a character is predicted from
 * the two before it. Order 2 uses counts; the orders below use the number of different characters that were seen in
 * front, and a discount each, estimated from how many were seen once and twice; at the bottom all symbols are equal. */
#include "text.h"

#include <math.h>
#include <stdlib.h>

/* Counts of one order: count[context * V + c], and per context their sum and how many are not zero. */
typedef struct Order {
    int V;
    int64_t ncontexts;
    int32_t *count, *sum, *kinds;
    double discount;
} Order;

static Order order_new(int V, int order)
{
    Order o = {.V = V, .ncontexts = 1};
    for (int i = 0; i < order; i++)
        o.ncontexts *= V;
    o.count = calloc((size_t)(o.ncontexts * V), sizeof *o.count);
    o.sum = calloc((size_t)o.ncontexts, sizeof *o.sum);
    o.kinds = calloc((size_t)o.ncontexts, sizeof *o.kinds);
    if (!o.count || !o.sum || !o.kinds)
        die("memory", "not enough");
    return o;
}

static void order_finish(Order *o)
{
    int64_t once = 0, twice = 0;
    for (int64_t i = 0; i < o->ncontexts * o->V; i++) {
        o->sum[i / o->V] += o->count[i];
        o->kinds[i / o->V] += o->count[i] > 0;
        once += o->count[i] == 1;
        twice += o->count[i] == 2;
    }
    o->discount = once ? (double)once / (double)(once + 2 * twice) : 0.5;
}

/* The order below: what follows a context counts once for each different character in front. */
static Order order_below(const Order *o, int order)
{
    Order below = order_new(o->V, order - 1);
    int64_t n = below.ncontexts * o->V;
    for (int64_t i = 0; i < o->ncontexts * o->V; i++)
        below.count[i % n] += o->count[i] > 0;
    order_finish(&below);
    return below;
}

static double mix(const Order *o, int64_t context, int c, double lower)
{
    double sum = o->sum[context], count = o->count[context * o->V + c];
    if (sum == 0)
        return lower;
    return (fmax(count - o->discount, 0) + o->discount * o->kinds[context] * lower) / sum;
}

double order2_bits(const Text *t)
{
    int V = t->nsymbols;
    Order two = order_new(V, 2);
    for (int64_t i = 2; i < t->ntrain; i++)
        two.count[((int64_t)t->train[i - 2] * V + t->train[i - 1]) * V + t->train[i]]++;
    order_finish(&two);
    Order one = order_below(&two, 2), none = order_below(&one, 1);
    double bits = 0;
    int64_t n = 0;
    for (int64_t i = 2; i < t->n; i++)
        if (is_held_out(i)) {
            int a = t->symbol[i - 2], b = t->symbol[i - 1], c = t->symbol[i];
            double p = mix(&none, 0, c, 1.0 / V);
            p = mix(&one, b, c, p);
            p = mix(&two, (int64_t)a * V + b, c, p);
            bits -= log2(p);
            n++;
        }
    Order *all[] = {&two, &one, &none};
    for (int i = 0; i < 3; i++) {
        free(all[i]->count);
        free(all[i]->sum);
        free(all[i]->kinds);
    }
    return bits / (double)n;
}
