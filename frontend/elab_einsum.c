/* einsum("hd,d->h", W, x): letters name axes; what is not named behind the arrow is summed. The letters become indices, so it
 * is the same program as sum(d: W[h, d] * x[d]). */
#include "frontend/elab_internal.h"

typedef struct Einsum {
    Elab *e;
    const Expr *x;
    Span at; /* of the text */
    IndexVar *of['z' + 1];
} Einsum;

static bool fail(Einsum *s, DiagCode code, Span at, Str why)
{
    diag(s->e->diags, code, at, str_c(s->e->arena, why));
    return false;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool bad_text(Einsum *s)
{
    return fail(s, E_ARGUMENTS, s->at, STR("`einsum` begins with a text such as \"ij,jk->ik\": a letter for each axis of each operand, commas, "
                                           "an arrow, and the letters of the result"));
}

/* The letters of the next operand, or of the result. */
static Str letters(Str *text)
{
    Str word = {text->p, 0};
    while (word.n < text->n && is_letter(word.p[word.n]))
        word.n++;
    *text = (Str){text->p + word.n, text->n - word.n};
    return word;
}

static bool skip(Str *text, const char *what)
{
    uint32_t n = (uint32_t)strlen(what);
    if (text->n < n || memcmp(text->p, what, n))
        return false;
    *text = (Str){text->p + n, text->n - n};
    return true;
}

static IndexVar *letter(Einsum *s, char c)
{
    if (!s->of[(unsigned char)c]) {
        Ident name = {str_fmt(s->e->arena, "%c", c), s->at};
        s->of[(unsigned char)c] = index_new(s->e, name, NO_SIZE);
    }
    return s->of[(unsigned char)c];
}

/* The letter's size is that of the first axis it names. */
static bool same_size(Einsum *s, char c, Dim size, Span at)
{
    IndexVar *v = letter(s, c);
    if (v->size == NO_SIZE)
        v->size = size;
    if (v->size == size)
        return true;
    Str a = dim_str(s->e->arena, s->e->dims, v->size), b = dim_str(s->e->arena, s->e->dims, size);
    return fail(s, E_SHAPE, at, str_fmt(s->e->arena, "`%c` is an axis of size %.*s and one of size %.*s", c, STRF(a), STRF(b)));
}

static RecId part_by_letters(Einsum *s, Val v, Str word, Val *out)
{
    IndexVar *var[MAXRANK];
    uint8_t n = 0;
    for (uint8_t i = 0; i < v.nfree; i++)
        var[n++] = v.free[i];
    for (uint32_t i = 0; i < word.n; i++)
        var[n++] = letter(s, word.p[i]);
    *out = order_free(s->e, v.v, var, n);
    return out->v;
}

/* Its own axes become indices. */
static Val by_letters(Einsum *s, Val v, Str word, Span at)
{
    Type t = val_type(s->e, v);
    if (t.dt == DT_BOOL)
        return fail(s, E_TYPE, at, STR("a number is needed here, and this is a bool")), poison;
    if (t.rank != word.n) {
        Str shape = val_str(s->e, v);
        fail(s, E_SHAPE, at, str_fmt(s->e->arena, "\"%.*s\" names %u %s, and this is %.*s", STRF(word), word.n, word.n == 1 ? "axis" : "axes", STRF(shape)));
        return poison;
    }
    for (uint32_t i = 0; i < word.n; i++)
        if (!same_size(s, word.p[i], t.dim[i], at))
            return poison;
    Val re, im;
    RecId part[2];
    part[0] = part_by_letters(s, val_part(s->e, v, PART_RE), word, &re);
    if (!v.is_complex || is_poison(re))
        return re;
    part[1] = part_by_letters(s, val_part(s->e, v, PART_IM), word, &im);
    re.is_complex = true;
    re.im = part[1];
    return re;
}

/* Every letter of the result names an axis of an operand, and none comes twice. */
static bool result_letters(Einsum *s, Str word, IndexVar **var)
{
    for (uint32_t i = 0; i < word.n; i++) {
        var[i] = s->of[(unsigned char)word.p[i]];
        if (!var[i])
            return fail(s, E_ARGUMENTS, s->at, str_fmt(s->e->arena, "`%c` of the result names no axis of an operand", word.p[i]));
        for (uint32_t k = 0; k < i; k++)
            if (var[k] == var[i])
                return fail(s, E_ARGUMENTS, s->at, str_fmt(s->e->arena, "`%c` comes twice in the result", word.p[i]));
    }
    return true;
}

static Val summed(Einsum *s, Val v, Str word)
{
    IndexVar *keep[MAXRANK], *gone[52];
    uint32_t n = 0;
    if (word.n > MAXRANK)
        return bad_text(s), poison;
    if (!result_letters(s, word, keep))
        return poison;
    for (uint32_t c = 0; c <= 'z'; c++) {
        bool kept = false;
        for (uint32_t k = 0; k < word.n; k++)
            kept |= keep[k] == s->of[c];
        if (s->of[c] && !kept)
            gone[n++] = s->of[c];
    }
    Val sum = n ? reduce_free(s->e, RED_SUM, v, gone, n) : v;
    return free_to_shape(s->e, sum, keep, word.n);
}

static bool read_word(Einsum *s, Str *text, uint32_t i, uint32_t n, Str *word)
{
    *word = letters(text);
    return i + 1 < n ? skip(text, ",") || bad_text(s) : skip(text, "->") || bad_text(s);
}

Val elab_einsum(Elab *e, Scope *scope, const Expr *x)
{
    uint32_t n = x->call.narg;
    const Expr *first = n ? x->call.arg[0].value : x;
    Einsum s = {.e = e, .x = x, .at = first->at};
    if (n < 2 || first->kind != EX_TEXT)
        return bad_text(&s), poison;
    Str text = first->name, word;
    Val product = poison;
    for (uint32_t i = 1; i < n; i++) {
        if (!read_word(&s, &text, i, n, &word))
            return poison;
        Val v = elab_expr(e, scope, x->call.arg[i].value);
        Val one = is_poison(v) ? poison : by_letters(&s, v, word, x->call.arg[i].value->at);
        if (is_poison(one))
            return poison;
        Val two[2] = {product, one};
        product = i > 1 ? map_vals(e, FUN_MUL, two, 2, x->at) : one;
    }
    word = letters(&text);
    return text.n ? (bad_text(&s), poison) : summed(&s, product, word);
}
