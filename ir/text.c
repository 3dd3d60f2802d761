/* Words of the text forms: see text.h. */
#include "ir/text.h"

#include <math.h>
#include <stdlib.h>

enum { MAXDIGITS = 60, NDIMKIND = DIM_PART + 1 };

static const char *const dim_kind_text[NDIMKIND] = {"size", "time", "batch", "keep", "flag", "strip", "part"};

/* ---- letters ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

/* Whether c may stand in a word, at its beginning or behind that. */
static bool in_words(char c, bool first)
{
    return is_letter(c) || (!first && (is_digit(c) || c == '.'));
}

/* ---- reading ---- */

TextIn in_new(Arena *a, Str text, bool by_line, Str *error)
{
    if (error)
        *error = (Str){0};
    return (TextIn){.a = a,
                    .dims = dim_tab_new(a),
                    .s = text.p,
                    .end = text.p + text.n,
                    .line = 1,
                    .by_line = by_line,
                    .error = error};
}

/* A message with the line; what is too long for one is cut. */
bool in_fail(TextIn *in, const char *fmt, ...)
{
    if (!in->error || in->error->n)
        return false;
    char what[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    *in->error = str_fmt(in->a, "line %u: %s", in->line, what);
    return false;
}

char in_peek(const TextIn *in)
{
    return in->s < in->end ? *in->s : '\n';
}

void in_blanks(TextIn *in)
{
    for (; in->s < in->end; in->s++)
        if (*in->s == '\n' && !in->by_line)
            in->line++;
        else if (*in->s != ' ' && *in->s != '\t' && *in->s != '\r')
            return;
}

bool in_accept(TextIn *in, char c)
{
    in_blanks(in);
    if (in->s == in->end || *in->s != c)
        return false;
    in->s++;
    return true;
}

bool in_expect(TextIn *in, char c)
{
    return in_accept(in, c) || in_fail(in, "expected `%c`", c);
}

Str in_word(TextIn *in)
{
    in_blanks(in);
    const char *begin = in->s;
    while (in_words(in_peek(in), in->s == begin))
        in->s++;
    return (Str){begin, (uint32_t)(in->s - begin)};
}

bool in_accept_word(TextIn *in, const char *w)
{
    in_blanks(in);
    const char *before = in->s;
    if (str_is(in_word(in), w))
        return true;
    in->s = before;
    return false;
}

bool in_expect_word(TextIn *in, const char *w)
{
    return in_accept_word(in, w) || in_fail(in, "expected `%s`", w);
}

bool in_one_of(TextIn *in, const char *const *text, uint32_t n, uint32_t *out)
{
    Str w = in_word(in);
    for (*out = 0; *out < n; ++*out)
        if (str_is(w, text[*out]))
            return true;
    return in_fail(in, "`%.*s` is none of the words that can stand here", STRF(w));
}

bool in_number(TextIn *in, uint32_t most, uint32_t *out)
{
    in_blanks(in);
    uint64_t n = 0;
    if (!is_digit(in_peek(in)))
        return in_fail(in, "expected a number");
    for (; is_digit(in_peek(in)) && n <= most; in->s++)
        n = n * 10 + (uint64_t)(in_peek(in) - '0');
    *out = (uint32_t)n;
    return n <= most || in_fail(in, "the number is too large");
}

bool in_real(TextIn *in, double *out)
{
    in_blanks(in);
    char text[MAXDIGITS + 1] = {0};
    uint32_t n = 0;
    for (; n < MAXDIGITS; n++) {
        char c = in_peek(in);
        if (!in_words(c, false) && c != '-' && c != '+')
            break;
        text[n] = *in->s++;
    }
    char *rest;
    *out = strtod(text, &rest);
    return (n && !*rest) || in_fail(in, "expected a number");
}

bool in_quoted(TextIn *in, Str *out)
{
    Text t = {.arena = in->a};
    if (!in_expect(in, '"'))
        return false;
    while (in->s < in->end && *in->s != '"' && *in->s != '\n') {
        char c = *in->s++;
        if (c == '\\' && in->s < in->end) {
            c = *in->s++;
            c = c == 'n' ? '\n' : c;
        }
        text_put(&t, &c, 1);
    }
    *out = text_str(&t);
    if (in_peek(in) != '"')
        return in_fail(in, "expected `\"`");
    in->s++;
    return true;
}

bool in_name(TextIn *in, Str *out)
{
    in_blanks(in);
    if (in_peek(in) == '"')
        return in_quoted(in, out);
    *out = str_copy(in->a, in_word(in));
    return out->n || in_fail(in, "expected a name");
}

/* ---- sizes and types ---- */

bool in_dim(TextIn *in, DimSym *out)
{
    Str w = in_word(in);
    return (w.n && dim_find_sym(in->dims, w, out)) || in_fail(in, "`%.*s` is no dimension", STRF(w));
}

bool in_new_dim(TextIn *in, DimSym *out)
{
    Str w = in_word(in);
    uint32_t kind;
    if (!w.n || dim_find_sym(in->dims, w, out))
        return in_fail(in, "expected the name of a new dimension");
    if (!in_one_of(in, dim_kind_text, NDIMKIND, &kind))
        return false;
    *out = dim_sym_new(in->dims, w, (DimKind)kind);
    return true;
}

static bool factor(TextIn *in, DimTerm *term)
{
    in_blanks(in);
    if (is_digit(in_peek(in))) {
        uint32_t n;
        if (!in_number(in, INT32_MAX, &n))
            return false;
        term->coef *= (int64_t)n;
        return (term->coef <= INT32_MAX && term->coef >= -INT32_MAX) || in_fail(in, "the number is too large");
    }
    DimSym s;
    if (!in_dim(in, &s))
        return false;
    if (term->nsym == DIM_MAXDEG)
        return in_fail(in, "a size is a product of too many dimensions");
    term->sym[term->nsym++] = s;
    return true;
}

static bool term(TextIn *in, int64_t sign, Dim *out)
{
    DimTerm t = {.coef = sign};
    do
        if (!factor(in, &t))
            return false;
    while (in_accept(in, '*'));
    *out = dim_const(in->dims, t.coef);
    for (uint32_t i = 0; i < t.nsym; i++)
        *out = dim_mul(in->dims, *out, dim_of(in->dims, t.sym[i]));
    return true;
}

bool in_size(TextIn *in, Dim *out)
{
    *out = DIM_ZERO;
    for (int64_t sign = in_accept(in, '-') ? -1 : 1;;) {
        Dim one;
        if (!term(in, sign, &one))
            return false;
        *out = dim_add(in->dims, *out, one);
        in_blanks(in);
        if (in->end - in->s > 1 && in->s[1] == '=')
            return true; /* the `+` of `+=` */
        if (in_accept(in, '+'))
            sign = 1;
        else if (in_accept(in, '-'))
            sign = -1;
        else
            return true;
    }
}

bool in_dtype(TextIn *in, DType *out)
{
    const char *const name[] = {dtype_name(DT_REAL), dtype_name(DT_INT), dtype_name(DT_BOOL)};
    uint32_t dt;
    if (!in_one_of(in, name, 3, &dt))
        return false;
    *out = (DType)dt;
    return true;
}

bool in_type(TextIn *in, Type *out)
{
    *out = (Type){0};
    if (!in_dtype(in, &out->dt))
        return false;
    if (!in_accept(in, '['))
        return true;
    do {
        if (out->rank == MAXRANK)
            return in_fail(in, "too many axes");
        if (!in_size(in, &out->dim[out->rank++]))
            return false;
    } while (in_accept(in, ','));
    return in_expect(in, ']');
}

/* ---- writing ---- */

void out_quoted(Text *out, Str s)
{
    text_add(out, "\"");
    for (uint32_t i = 0; i < s.n; i++)
        switch (s.p[i]) {
        case '"': text_add(out, "\\\""); break;
        case '\\': text_add(out, "\\\\"); break;
        case '\n': text_add(out, "\\n"); break;
        default: text_put(out, &s.p[i], 1);
        }
    text_add(out, "\"");
}

static bool is_word(Str s)
{
    for (uint32_t i = 0; i < s.n; i++)
        if (!in_words(s.p[i], i == 0))
            return false;
    return s.n > 0;
}

void out_name(Text *out, Str s)
{
    if (is_word(s))
        text_put(out, s.p, s.n);
    else
        out_quoted(out, s);
}

void out_real(Text *out, double x)
{
    char s[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(s, sizeof s, "%.*g", digits, x);
        if (strtod(s, NULL) == x)
            break;
    }
    text_add(out, "%s", isnan(x) ? "nan" : s);
}

void out_new_dim(Text *out, const DimTab *t, DimSym s)
{
    const DimSymInfo *info = dim_sym_info(t, s);
    text_add(out, "dim %.*s %s\n", STRF(info->name), dim_kind_text[info->kind]);
}

void out_type(Text *out, const DimTab *t, const Type *ty)
{
    Str s = type_str(out->arena, t, ty);
    text_put(out, s.p, s.n);
}
