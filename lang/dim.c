#include "lang/dim.h"

#include <math.h>

/* A polynomial is a list of terms sorted by their symbols, without zero coefficients. The table is searched by hash: a program has a few dozen sizes,
 * and questions about its addresses thousands. */
typedef struct Poly {
    uint32_t nterm, hash;
    DimTerm *term;
    uint32_t next; /* one more than the next one with such a hash, 0: none */
} Poly;

enum { NCHAIN = 1024 };

struct DimTab {
    Arena *arena;
    VEC(DimSymInfo) sym;
    VEC(Poly) poly;
    uint32_t chain[NCHAIN]; /* one more than the first one */
    DimTerm *sum; /* room for a sum on its way */
    uint32_t room;
};

static int term_order(const DimTerm *a, const DimTerm *b)
{
    for (uint32_t i = 0; i < a->nsym && i < b->nsym; i++)
        if (a->sym[i] != b->sym[i])
            return a->sym[i] < b->sym[i] ? -1 : 1;
    return a->nsym == b->nsym ? 0 : a->nsym > b->nsym ? -1 : 1; /* longer products first: T*B + 1 */
}

static uint32_t poly_hash(const DimTerm *term, uint32_t n)
{
    uint32_t h = 17;
    for (uint32_t i = 0; i < n; i++) {
        h = h * 31 + (uint32_t)term[i].coef;
        for (uint32_t k = 0; k < term[i].nsym; k++)
            h = h * 31 + term[i].sym[k] + 7;
    }
    return h;
}

static bool poly_same(const Poly *p, const DimTerm *term, uint32_t n, uint32_t hash)
{
    if (p->hash != hash || p->nterm != n)
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (p->term[i].coef != term[i].coef || term_order(&p->term[i], &term[i]) != 0)
            return false;
    return true;
}

static Dim intern(DimTab *t, const DimTerm *term, uint32_t n)
{
    uint32_t hash = poly_hash(term, n), *first = &t->chain[hash % NCHAIN];
    for (uint32_t i = *first; i; i = t->poly.p[i - 1].next)
        if (poly_same(&t->poly.p[i - 1], term, n, hash))
            return i - 1;
    Poly p = {.nterm = n, .hash = hash, .term = NEWN(t->arena, DimTerm, n), .next = *first};
    if (n)
        memcpy(p.term, term, n * sizeof *term);
    vec_push(t->arena, &t->poly, p);
    return (*first = t->poly.n) - 1;
}

DimTab *dim_tab_new(Arena *a)
{
    DimTab *t = NEW(a, DimTab);
    t->arena = a;
    Dim zero = intern(t, NULL, 0), one = dim_const(t, 1), huge = dim_const(t, INT64_MAX);
    if (zero != DIM_ZERO || one != DIM_ONE || huge != DIM_HUGE)
        ice("dim_tab_new: constants are out of place");
    return t;
}

DimSym dim_sym_new(DimTab *t, Str name, DimKind kind)
{
    vec_push(t->arena, &t->sym, (DimSymInfo){str_copy(t->arena, name), kind});
    return t->sym.n - 1;
}

uint32_t dim_nsyms(const DimTab *t)
{
    return t->sym.n;
}

const DimSymInfo *dim_sym_info(const DimTab *t, DimSym s)
{
    return &t->sym.p[s];
}

bool dim_find_sym(const DimTab *t, Str name, DimSym *out)
{
    for (uint32_t i = 0; i < t->sym.n; i++)
        if (str_eq(t->sym.p[i].name, name)) {
            *out = i;
            return true;
        }
    return false;
}

Dim dim_const(DimTab *t, int64_t value)
{
    DimTerm one = {.coef = value};
    return intern(t, &one, value != 0);
}

Dim dim_of(DimTab *t, DimSym s)
{
    DimTerm one = {.coef = 1, .nsym = 1, .sym = {s}};
    return intern(t, &one, 1);
}

static bool either_huge(Dim a, Dim b)
{
    return a == DIM_HUGE || b == DIM_HUGE;
}

/* a + k * b; false where that, or its negative, is no int64 */
static bool coef_add(int64_t a, int64_t b, int64_t k, int64_t *out)
{
    int64_t product;
    return !__builtin_mul_overflow(b, k, &product) && !__builtin_add_overflow(a, product, out) && *out != INT64_MIN;
}

static DimTerm *room_for(DimTab *t, uint32_t n)
{
    if (n > t->room) {
        t->room = 2 * n;
        t->sum = NEWN(t->arena, DimTerm, t->room);
    }
    return t->sum;
}

/* a + k * b, by merging two sorted lists */
static Dim add_scaled(DimTab *t, Dim a, Dim b, int64_t k)
{
    if (either_huge(a, b))
        return DIM_HUGE;
    if (b == DIM_ZERO)
        return a;
    Poly p = t->poly.p[a], q = t->poly.p[b];
    DimTerm *out = room_for(t, p.nterm + q.nterm);
    uint32_t i = 0, j = 0, n = 0;
    while (i < p.nterm || j < q.nterm) {
        int order = i == p.nterm ? 1 : j == q.nterm ? -1 : term_order(&p.term[i], &q.term[j]);
        DimTerm next = order <= 0 ? p.term[i++] : q.term[j];
        if (order >= 0 && !coef_add(order ? 0 : next.coef, q.term[j].coef, k, &next.coef))
            return DIM_HUGE;
        j += order >= 0;
        if (next.coef)
            out[n++] = next;
    }
    return intern(t, out, n);
}

Dim dim_add(DimTab *t, Dim a, Dim b)
{
    return add_scaled(t, a, b, 1);
}

Dim dim_sub(DimTab *t, Dim a, Dim b)
{
    return add_scaled(t, a, b, -1);
}

static Dim term_mul(DimTab *t, const DimTerm *a, const DimTerm *b)
{
    DimTerm r = {.nsym = a->nsym + b->nsym};
    if (r.nsym > DIM_MAXDEG || !coef_add(0, a->coef, b->coef, &r.coef))
        return DIM_HUGE;
    for (uint32_t i = 0, j = 0, n = 0; n < r.nsym; n++)
        r.sym[n] = j == b->nsym || (i < a->nsym && a->sym[i] <= b->sym[j]) ? a->sym[i++] : b->sym[j++];
    return intern(t, &r, 1);
}

Dim dim_mul(DimTab *t, Dim a, Dim b)
{
    if (a == DIM_ONE || b == DIM_ONE)
        return a == DIM_ONE ? b : a;
    Dim sum = either_huge(a, b) ? DIM_HUGE : DIM_ZERO;
    for (uint32_t i = 0; i < t->poly.p[a].nterm; i++)
        for (uint32_t j = 0; j < t->poly.p[b].nterm; j++)
            sum = dim_add(t, sum, term_mul(t, &t->poly.p[a].term[i], &t->poly.p[b].term[j]));
    return sum;
}

static bool term_div(const DimTerm *a, const DimTerm *b, DimTerm *out)
{
    if (a->coef % b->coef)
        return false;
    *out = (DimTerm){.coef = a->coef / b->coef};
    uint32_t j = 0;
    for (uint32_t i = 0; i < a->nsym; i++)
        if (j < b->nsym && a->sym[i] == b->sym[j])
            j++;
        else
            out->sym[out->nsym++] = a->sym[i];
    return j == b->nsym;
}

bool dim_div(DimTab *t, Dim a, Dim b, Dim *out)
{
    Dim sum = DIM_ZERO;
    if (either_huge(a, b))
        return *out = DIM_HUGE, true;
    if (t->poly.p[b].nterm != 1)
        return a == b ? (*out = DIM_ONE, true) : false;
    for (uint32_t i = 0; i < t->poly.p[a].nterm; i++) {
        DimTerm one;
        if (!term_div(&t->poly.p[a].term[i], &t->poly.p[b].term[0], &one))
            return false;
        sum = dim_add(t, sum, intern(t, &one, 1));
    }
    *out = sum;
    return true;
}

Dim dim_subst(DimTab *t, Dim a, DimSym s, Dim by)
{
    if (!dim_mentions(t, a, s))
        return a;
    Dim sum = DIM_ZERO;
    for (uint32_t i = 0; i < t->poly.p[a].nterm; i++) {
        DimTerm term = t->poly.p[a].term[i];
        Dim product = dim_const(t, term.coef);
        for (uint32_t k = 0; k < term.nsym; k++)
            product = dim_mul(t, product, term.sym[k] == s ? by : dim_of(t, term.sym[k]));
        sum = dim_add(t, sum, product);
    }
    return sum;
}

bool dim_is_const(const DimTab *t, Dim a, int64_t *value)
{
    const Poly *p = &t->poly.p[a];
    if (p->nterm > 1 || (p->nterm == 1 && p->term[0].nsym))
        return false;
    *value = p->nterm ? p->term[0].coef : 0;
    return true;
}

bool dim_is_sym(const DimTab *t, Dim a, DimSym *s)
{
    const Poly *p = &t->poly.p[a];
    if (p->nterm != 1 || p->term[0].nsym != 1 || p->term[0].coef != 1)
        return false;
    *s = p->term[0].sym[0];
    return true;
}

bool dim_is_time(const DimTab *t, Dim a)
{
    const Poly *p = &t->poly.p[a];
    bool any = false;
    for (uint32_t i = 0; i < p->nterm; i++)
        for (uint32_t k = 0; k < p->term[i].nsym; k++) {
            any = true;
            if (t->sym.p[p->term[i].sym[k]].kind != DIM_TIME)
                return false;
        }
    return any;
}

bool dim_mentions(const DimTab *t, Dim a, DimSym s)
{
    const Poly *p = &t->poly.p[a];
    for (uint32_t i = 0; i < p->nterm; i++)
        for (uint32_t k = 0; k < p->term[i].nsym; k++)
            if (p->term[i].sym[k] == s)
                return true;
    return false;
}

bool dim_eval(const DimTab *t, Dim a, const int64_t *sym_value, int64_t *out)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < t->poly.p[a].nterm; i++) {
        const DimTerm *term = &t->poly.p[a].term[i];
        int64_t product = term->coef;
        for (uint32_t k = 0; k < term->nsym; k++)
            if (__builtin_mul_overflow(product, sym_value[term->sym[k]], &product))
                return false;
        if (__builtin_add_overflow(sum, product, &sum))
            return false;
    }
    *out = sum;
    return sum >= 0 && a != DIM_HUGE;
}

double dim_about(const DimTab *t, Dim a, double each)
{
    double sum = 0;
    for (uint32_t i = 0; i < t->poly.p[a].nterm; i++)
        sum += (double)t->poly.p[a].term[i].coef * pow(each, t->poly.p[a].term[i].nsym);
    return a == DIM_HUGE ? INFINITY : sum;
}

bool dim_has_minus(const DimTab *t, Dim a)
{
    for (uint32_t i = 0; i < dim_nterms(t, a); i++)
        if (dim_term(t, a, i)->coef < 0)
            return true;
    return false;
}

uint32_t dim_nterms(const DimTab *t, Dim a)
{
    return t->poly.p[a].nterm;
}

const DimTerm *dim_term(const DimTab *t, Dim a, uint32_t i)
{
    return &t->poly.p[a].term[i];
}

Dim dim_of_term(DimTab *t, Dim a, uint32_t i)
{
    DimTerm term = t->poly.p[a].term[i];
    return intern(t, &term, 1);
}

static void term_print(Text *out, const DimTab *t, const DimTerm *term, bool first)
{
    int64_t size = term->coef < 0 ? -term->coef : term->coef;
    text_add(out, "%s", first ? (term->coef < 0 ? "-" : "") : term->coef < 0 ? " - " : " + ");
    if (size != 1 || !term->nsym)
        text_add(out, "%lld%s", (long long)size, term->nsym ? "*" : "");
    for (uint32_t k = 0; k < term->nsym; k++)
        text_add(out, "%s%.*s", k ? "*" : "", STRF(t->sym.p[term->sym[k]].name));
}

void dim_print(Text *out, const DimTab *t, Dim a)
{
    const Poly *p = &t->poly.p[a];
    if (!p->nterm)
        text_add(out, "0");
    for (uint32_t i = 0; i < p->nterm; i++)
        term_print(out, t, &p->term[i], i == 0);
}

Str dim_str(Arena *a, const DimTab *t, Dim d)
{
    Text out = {.arena = a};
    dim_print(&out, t, d);
    return text_str(&out);
}
