/* Works on the tokens and comments, not on the tree, so nothing that was written can get lost. The author's line breaks
 * stay, except one before `{`; of several empty lines one stays. What stands between two tokens of a line follows from
 * the two and the bracket they are in. */
#include "frontend/fmt.h"
#include "frontend/lexer.h"
#include "frontend/parse.h"

enum { INDENT = 2, CONTINUED = 4 };

typedef struct Bracket {
    TokenKind kind;
    bool sizes; /* `real[L - 1]`, or `use f = g[L - 1]`: no places stand in it */
} Bracket;

typedef struct Fmt {
    Arena *arena;
    const Sources *src;
    Tokens in;   /* without NEWLINE */
    bool *first; /* of each token: it begins a statement, or ends a block */
    Text out;
    VEC(Bracket) open; /* the brackets that are open */
    uint32_t nbrace;   /* how many of them are `{` */
    uint32_t comment;  /* the next one */
    bool cell_header;  /* behind `over`, before `{` */
    bool loop_header;  /* behind `for`, before `{` */
    bool in_use;       /* behind `use`, to the end of the statement */
} Fmt;

static TokenKind kind_at(const Fmt *f, uint32_t i)
{
    return f->in.list.p[i].kind;
}

/* The kind of a token that may be before the first or behind the last, then END. */
static TokenKind kind_near(const Fmt *f, uint32_t i, int by)
{
    int64_t at = (int64_t)i + by;
    return at < 0 || at >= (int64_t)f->in.list.n ? TOK_END : kind_at(f, (uint32_t)at);
}

static Str str_at(const Fmt *f, uint32_t i)
{
    return token_str(f->src, f->in.file, &f->in.list.p[i]);
}

static bool inside(const Fmt *f, TokenKind bracket)
{
    return f->open.n && f->open.p[f->open.n - 1].kind == bracket;
}

/* ---- what stands between two tokens of a line ---- */

/* Whether a value can end with this token, so that a `-` behind it is a difference. */
static bool ends_value(TokenKind k)
{
    return k == TOK_NAME || k == TOK_INT || k == TOK_REAL || k == TOK_IMAGINARY || k == TOK_RPAREN ||
           k == TOK_RBRACKET || k == TOK_TRUE || k == TOK_FALSE;
}

static bool is_sign(const Fmt *f, uint32_t i)
{
    return kind_at(f, i) == TOK_MINUS && !ends_value(kind_near(f, i, -1));
}

static bool is_type_name(Str s)
{
    return str_is(s, "real") || str_is(s, "int") || str_is(s, "bool") || str_is(s, "complex") || str_is(s, "dag");
}

/* The sign of a place, as in `t-1`: a name and a number are all there is between `[` or `,` and `]`, `,` or `else`. */
static bool is_offset(const Fmt *f, uint32_t i)
{
    TokenKind op = kind_near(f, i, 0), before = kind_near(f, i, -2), behind = kind_near(f, i, 2);
    if ((op != TOK_PLUS && op != TOK_MINUS) || !inside(f, TOK_LBRACKET) || f->open.p[f->open.n - 1].sizes)
        return false;
    return (before == TOK_LBRACKET || before == TOK_COMMA) && kind_near(f, i, -1) == TOK_NAME &&
           kind_near(f, i, 1) == TOK_INT && (behind == TOK_RBRACKET || behind == TOK_COMMA || behind == TOK_ELSE);
}

static bool is_slice_colon(const Fmt *f, uint32_t i)
{
    return kind_at(f, i) == TOK_COLON && inside(f, TOK_LBRACKET);
}

/* A bracket that belongs to what is before it: a call, an index, the dimensions of a type. */
static bool opens_tight(const Fmt *f, uint32_t i)
{
    TokenKind before = kind_near(f, i, -1);
    bool round = kind_at(f, i) == TOK_LPAREN, header = round && (f->cell_header && f->open.n == f->nbrace);
    if (header || (round && f->loop_header && before == TOK_NAME && str_is(str_at(f, i - 1), "until")))
        return false;
    return before == TOK_NAME || before == TOK_RBRACKET || before == TOK_RPAREN;
}

static bool tight_after(const Fmt *f, uint32_t i)
{
    TokenKind k = kind_at(f, i);
    return k == TOK_LPAREN || k == TOK_LBRACKET || k == TOK_DOT || is_sign(f, i) || is_slice_colon(f, i) ||
           is_offset(f, i);
}

static bool tight_before(const Fmt *f, uint32_t i)
{
    switch (kind_at(f, i)) {
    case TOK_COLON: return kind_near(f, i, -1) != TOK_COMMA;
    case TOK_COMMA:
    case TOK_SEMICOLON:
    case TOK_DOT:
    case TOK_RPAREN:
    case TOK_RBRACKET: return true;
    case TOK_LPAREN:
    case TOK_LBRACKET: return opens_tight(f, i);
    default: return is_offset(f, i);
    }
}

/* Whether a blank stands before token i, which is not the first of its line. `{}` stays together. */
static bool spaced(const Fmt *f, uint32_t i)
{
    if (kind_at(f, i) == TOK_RBRACE && kind_near(f, i, -1) == TOK_LBRACE)
        return false;
    return !tight_after(f, i - 1) && !tight_before(f, i);
}

/* ---- lines ---- */

static uint32_t newlines_between(const Fmt *f, uint32_t from, uint32_t to)
{
    Str text = f->src->file.p[f->in.file].text;
    uint32_t n = 0;
    for (uint32_t i = from; i < to; i++)
        n += text.p[i] == '\n';
    return n;
}

/* Of a line that begins with token i, or with a comment before it, when `first` is END. */
static uint32_t line_indent(const Fmt *f, uint32_t i, TokenKind first)
{
    uint32_t inner = f->open.n - f->nbrace, base = INDENT * f->nbrace;
    if (first == TOK_RBRACE)
        return base >= INDENT ? base - INDENT : 0;
    if (first == TOK_LBRACE)
        return base;
    if (first == TOK_RPAREN || first == TOK_RBRACKET)
        return base + (inner ? inner - 1 : 0) * INDENT;
    return base + (inner ? inner * INDENT + INDENT : f->first[i] ? 0 : CONTINUED);
}

/* Ends the line, and leaves one empty where the author left some, but none at the edges of a block. */
static void end_line(Fmt *f, uint32_t newlines, bool edge)
{
    if (!f->out.n)
        return;
    text_put(&f->out, "\n\n", newlines > 1 && !edge ? 2 : 1);
}

static void indent(Fmt *f, uint32_t i, TokenKind first)
{
    text_add(&f->out, "%*s", (int)line_indent(f, i, first), "");
}

/* ---- comments and tokens ---- */

/* `edge` says that nothing but `{` and a comment behind it precedes; a comment on a line of its own changes that. */
static void put_comment(Fmt *f, uint32_t i, uint32_t behind, bool *edge)
{
    const Comment *c = &f->in.comment.p[f->comment++];
    uint32_t newlines = newlines_between(f, behind, c->begin);
    if (f->out.n && !newlines) {
        text_put(&f->out, "  ", 2);
    } else {
        end_line(f, newlines, *edge);
        indent(f, i, TOK_END);
        *edge = false;
    }
    text_put(&f->out, f->src->file.p[f->in.file].text.p + c->begin, c->end - c->begin);
}

/* The comments before token i; gives the end of the last, or of the token before. */
static uint32_t put_comments(Fmt *f, uint32_t i, uint32_t behind, bool *edge)
{
    while (f->comment < f->in.list.p[i].comment) {
        put_comment(f, i, behind, edge);
        behind = f->in.comment.p[f->comment - 1].end;
    }
    return behind;
}

static void follow(Fmt *f, uint32_t i)
{
    TokenKind k = kind_at(f, i);
    if (f->first[i])
        f->in_use = k == TOK_USE;
    if (k == TOK_LPAREN || k == TOK_LBRACKET || k == TOK_LBRACE)
        vec_push(f->arena, &f->open, (Bracket){k, f->in_use || (i && is_type_name(str_at(f, i - 1)))});
    if (f->open.n && (k == TOK_RPAREN || k == TOK_RBRACKET || k == TOK_RBRACE))
        f->open.n--;
    f->nbrace += k == TOK_LBRACE;
    f->nbrace -= k == TOK_RBRACE && f->nbrace;
    if (k == TOK_NAME && f->open.n == 0 && str_is(str_at(f, i), "over"))
        f->cell_header = true;
    if (k == TOK_FOR)
        f->loop_header = true;
    if (k == TOK_LBRACE)
        f->cell_header = f->loop_header = false;
}

/* The line break or blank before token i, `commented` if comments stand there. A `{` comes up to the line before it
 * unless a comment is between. */
static void separate(Fmt *f, uint32_t i, uint32_t behind, bool edge, bool commented)
{
    TokenKind k = kind_at(f, i);
    uint32_t newlines = newlines_between(f, behind, f->in.list.p[i].begin);
    if (!i && !commented)
        return;
    if (newlines && (k != TOK_LBRACE || commented)) {
        end_line(f, newlines, edge || k == TOK_RBRACE);
        indent(f, i, k);
    } else if (spaced(f, i)) {
        text_put(&f->out, " ", 1);
    }
}

static void put_token(Fmt *f, uint32_t i, uint32_t behind)
{
    bool edge = i && kind_at(f, i - 1) == TOK_LBRACE;
    bool commented = f->comment < f->in.list.p[i].comment;
    behind = put_comments(f, i, behind, &edge);
    if (kind_at(f, i) == TOK_END)
        return;
    separate(f, i, behind, edge, commented);
    Str s = str_at(f, i);
    text_put(&f->out, s.p, s.n);
    follow(f, i);
}

static bool first_after(TokenKind last, TokenKind k)
{
    return last == TOK_NEWLINE || last == TOK_LBRACE || last == TOK_SEMICOLON || k == TOK_RBRACE || k == TOK_END;
}

/* A derivative on a line of its own goes on with its function. */
static bool is_derivative(const Fmt *f, const Token *t)
{
    return t->kind == TOK_NAME && t[1].kind == TOK_NAME && str_is(token_str(f->src, f->in.file, t), "derivative");
}

/* NEWLINE tokens have no text; what they say is kept in `first`. */
static void take_tokens(Fmt *f, const Tokens *all)
{
    TokenKind last = TOK_NEWLINE;
    f->first = NEWN(f->arena, bool, all->list.n);
    f->in.file = all->file;
    f->in.comment.p = all->comment.p;
    f->in.comment.n = all->comment.n;
    for (uint32_t i = 0; i < all->list.n; i++) {
        TokenKind k = all->list.p[i].kind;
        if (k != TOK_NEWLINE) {
            f->first[f->in.list.n] = first_after(last, k) && !is_derivative(f, &all->list.p[i]);
            vec_push(f->arena, &f->in.list, all->list.p[i]);
        }
        last = k;
    }
}

static Str formatted(Arena *a, const Sources *src, const Tokens *tokens)
{
    Fmt f = {.arena = a, .src = src, .out.arena = a};
    uint32_t behind = 0;
    take_tokens(&f, tokens);
    for (uint32_t i = 0; i < f.in.list.n; i++) {
        put_token(&f, i, behind);
        behind = f.in.list.p[i].end;
    }
    if (f.out.n)
        text_put(&f.out, "\n", 1);
    return text_str(&f.out);
}

Str fmt_source(Arena *a, const Sources *src, uint32_t file, Diags *ds)
{
    Diags *own = diags_new(a, src);
    parse_file(a, src, file, own);
    if (own->nerrors) {
        parse_file(a, src, file, ds);
        return src->file.p[file].text;
    }
    Tokens tokens = lex_file(a, src, file, own);
    return formatted(a, src, &tokens);
}
