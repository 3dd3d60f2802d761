/* Reads a derivative column of fun.def, `mul(d, sub(1, mul(y, y)))`, into rec ops. A column that cannot be read is our
 * mistake. */
#include "ir/rec/derivative.h"

#include <ctype.h>
#include <stdlib.h>

typedef struct Rule {
    Derivative *r;
    const char *at;
} Rule;

static void skip(Rule *u, char c)
{
    while (*u->at == ' ')
        u->at++;
    if (*u->at != c)
        ice("fun.def: derivative of %s: expected '%c' at \"%s\"", fun_info(u->r->fun)->text, c, u->at);
    u->at++;
}

static Str word(Rule *u)
{
    while (*u->at == ' ')
        u->at++;
    const char *from = u->at;
    while (isalnum((unsigned char)*u->at))
        u->at++;
    return (Str){from, (uint32_t)(u->at - from)};
}

static RecUse expression(Rule *u);

static RecUse number(Rule *u)
{
    char *end;
    double x = strtod(u->at, &end);
    u->at = end;
    return (RecUse){.v = rec_const(u->r->b, DT_REAL, x)};
}

static RecUse call(Rule *u, Str name)
{
    Derivative *r = u->r;
    RecUse arg[3] = {{0}};
    Fun f;
    if (!fun_find(name, &f))
        ice("fun.def: derivative of %s: no function \"%.*s\"", fun_info(r->fun)->text, STRF(name));
    for (uint32_t i = 0; i < fun_info(f)->arity; i++) {
        skip(u, i ? ',' : '(');
        arg[i] = expression(u);
    }
    skip(u, ')');
    return rec_use(rec_map(r->b, f, arg, r->rank, r->dim), r->rank);
}

static RecUse expression(Rule *u)
{
    while (*u->at == ' ')
        u->at++;
    if (isdigit((unsigned char)*u->at) || *u->at == '.')
        return number(u);
    Str name = word(u);
    if (name.n == 0)
        ice("fun.def: derivative of %s: expected a name at \"%s\"", fun_info(u->r->fun)->text, u->at);
    if (name.n > 1)
        return call(u, name);
    return *name.p == 'd' ? u->r->d : u->r->value(u->r->cx, *name.p);
}

RecId derivative_of(Derivative *r, uint32_t arg)
{
    const char *text = fun_info(r->fun)->derivative[arg];
    if (!*text)
        return REC_NONE;
    Rule rule = {r, text};
    RecUse u = expression(&rule);
    if (*rule.at)
        ice("fun.def: derivative of %s: \"%s\" is left over", fun_info(r->fun)->text, rule.at);
    bool whole = rec_type(r->b->prog, u.v)->rank == r->rank;
    for (uint8_t i = 0; whole && i < r->rank; i++)
        whole = u.axis[i] == i;
    return whole ? u.v : rec_map(r->b, FUN_ID, &u, r->rank, r->dim);
}

bool derivative_mentions(Fun f, uint32_t arg, char name)
{
    const char *s = fun_info(f)->derivative[arg];
    for (; *s; s++) {
        const char *from = s;
        while (isalnum((unsigned char)*s))
            s++;
        if (s - from == 1 && *from == name)
            return true;
        if (!*s)
            break;
    }
    return false;
}

typedef struct Standing {
    RecBuild *b;
    RecId v;
} Standing;

static RecUse standing(void *cx, char name)
{
    const Standing *s = cx;
    const RecOp *op = rec_op(s->b->prog, s->v);
    return name == 'y' ? rec_use(s->v, op->type.rank) : op->use[name - 'a'];
}

RecId derivative_along(RecBuild *b, RecId v, uint32_t arg, RecId change)
{
    Standing s = {b, v};
    const RecOp *op = rec_op(b->prog, v);
    Derivative r = {.b = b, .fun = op->fun, .rank = op->type.rank, .d = op->use[arg], .cx = &s, .value = standing};
    r.d.v = change;
    memcpy(r.dim, op->type.dim, sizeof r.dim);
    return derivative_of(&r, arg);
}
