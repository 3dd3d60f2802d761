/* What the edges of each node give, put together: sums are added up edge by edge; of a product, or of what is largest or
 * smallest, each node looks at all edges of its block, and takes another node's as what changes nothing. */
#include "frontend/elab_internal.h"

#include <math.h>

typedef struct GraphReduction {
    const char *text;
    bool whole; /* each node looks at all edges; else it is made of sums */
    RecReduce red;
    double nothing;
} GraphReduction;

static const GraphReduction reductions[] = {
    {"sum", false, RED_SUM, 0},
    {"mean", false, RED_SUM, 0},
    {"logsumexp", false, RED_MAX, -INFINITY},
    {"max", true, RED_MAX, -INFINITY},
    {"min", true, RED_MIN, INFINITY},
    {"prod", true, RED_PROD, 1},
};

static const GraphReduction *reduction_find(Str name)
{
    for (size_t i = 0; i < sizeof reductions / sizeof *reductions; i++)
        if (str_is(name, reductions[i].text))
            return &reductions[i];
    return NULL;
}

bool graph_reduces(Str name)
{
    return reduction_find(name) != NULL;
}

/* By node and edge: does the edge lead there? */
static Val leads_to(Elab *e, const GraphPlace *edges, Span at)
{
    Val node = {.v = rec_iota(&e->b, edges->up->var->size), .nfree = 1, .free = {edges->up->var}}, two[2] = {node, edges->at};
    two[0] = map_vals(e, FUN_EQ, two, 2, at);
    two[1] = edges->there;
    return map_vals(e, FUN_AND, two, 2, at);
}

static Val looked_at(Elab *e, const GraphReduction *how, Val v, const GraphPlace *edges, Span at)
{
    Val three[3] = {leads_to(e, edges, at), v, real_const(e, how->nothing)};
    Val all = map_vals(e, FUN_WHERE, three, 3, at);
    return is_poison(all) ? all : reduce_free(e, how->red, all, &edges->var, 1);
}

static Val map2(Elab *e, Fun f, Val a, Val b, Span at)
{
    return map_vals(e, f, (Val[]){a, b}, 2, at);
}

static Val where(Elab *e, Val c, Val a, Val b, Span at)
{
    return map_vals(e, FUN_WHERE, (Val[]){c, a, b}, 3, at);
}

/* The largest is taken off before exp, and put back behind log; of no edges, or of -inf alone, it is -inf. No derivative goes
 * through what cancels. */
static Val log_sum(Elab *e, const GraphReduction *how, Val v, const GraphPlace *edges, Span at)
{
    Val zero = real_const(e, 0), one = real_const(e, 1), infinite = real_const(e, INFINITY), top = looked_at(e, how, v, edges, at);
    if (is_poison(top))
        return top;
    top = map_vals(e, FUN_STOP, &top, 1, at);
    Val size = map_vals(e, FUN_ABS, &top, 1, at), shift = where(e, map2(e, FUN_LT, size, infinite, at), top, zero, at);
    Val less = map2(e, FUN_SUB, v, graph_at(e, shift, edges), at);
    Val sum = graph_added_up(e, map_vals(e, FUN_EXP, &less, 1, at), edges, at), none = map2(e, FUN_EQ, sum, zero, at);
    Val some = where(e, none, one, sum, at);
    return where(e, none, real_const(e, -INFINITY), map2(e, FUN_ADD, shift, map_vals(e, FUN_LOG, &some, 1, at), at), at);
}

static Val mean(Elab *e, Val v, const GraphPlace *edges, Span at)
{
    return map2(e, FUN_DIV, graph_added_up(e, v, edges, at), graph_added_up(e, real_const(e, 1), edges, at), at);
}

Val graph_reduced(Elab *e, Str name, Val v, const GraphPlace *edges, Span at)
{
    const GraphReduction *how = reduction_find(name);
    if (str_is(name, "sum"))
        return graph_added_up(e, v, edges, at);
    if (v.is_complex && !str_is(name, "mean")) {
        diag(e->diags, E_TYPE, at, str_c(e->arena, str_fmt(e->arena, "a real number is needed here, and this is %.*s", STRF(val_str(e, v)))));
        return poison;
    }
    v = to_real(e, v);
    if (how->whole)
        return looked_at(e, how, v, edges, at);
    return str_is(name, "mean") ? mean(e, v, edges, at) : log_sum(e, how, v, edges, at);
}
