#include "frontend/parser.h"

static const Token *token(const Parser *p, uint32_t ahead)
{
    uint32_t last = p->tokens.list.n - 1;
    return &p->tokens.list.p[p->pos + ahead < last ? p->pos + ahead : last];
}

TokenKind parser_kind(const Parser *p)
{
    return p->failed ? TOK_END : token(p, 0)->kind;
}

TokenKind parser_ahead(const Parser *p, uint32_t n)
{
    return p->failed ? TOK_END : token(p, n)->kind;
}

Span parser_here(const Parser *p)
{
    return (Span){p->tokens.file, token(p, 0)->begin, token(p, 0)->end};
}

Span parser_since(const Parser *p, Span begin)
{
    uint32_t end = p->pos ? p->tokens.list.p[p->pos - 1].end : begin.end;
    return (Span){begin.file, begin.begin, end > begin.begin ? end : begin.end};
}

Str parser_str(const Parser *p)
{
    return token_str(p->src, p->tokens.file, token(p, 0));
}

bool parser_at(const Parser *p, TokenKind k)
{
    return parser_kind(p) == k;
}

bool parser_accept(Parser *p, TokenKind k)
{
    if (p->failed || token(p, 0)->kind != k)
        return false;
    if (k != TOK_END)
        p->pos++;
    return true;
}

/* "`)`", "a name" */
static Str kind_str(Arena *a, TokenKind k)
{
    bool quoted = token_flags(k) & (TOKEN_MARK | TOKEN_WORD);
    return str_fmt(a, quoted ? "`%s`" : "%s", token_text(k));
}

/* "the reserved word `cell`", "`x`", "the end of the line" */
static Str found_str(const Parser *p)
{
    Str s = parser_str(p);
    TokenKind k = token(p, 0)->kind;
    if (s.n == 0)
        return str_of(token_text(k));
    if (k == TOK_STRING)
        return str_fmt(p->arena, "the string %.*s", STRF(s));
    return str_fmt(p->arena, "%s`%.*s`", token_flags(k) & TOKEN_WORD ? "the reserved word " : "", STRF(s));
}

/* Whether the lexer reported something right here, so that nothing more need be said. */
static bool follows_bad(const Parser *p)
{
    return token(p, 0)->kind == TOK_BAD || (p->pos && p->tokens.list.p[p->pos - 1].kind == TOK_BAD);
}

Diag *parser_syntax(Parser *p, const char *what)
{
    if (p->failed)
        return NULL;
    p->failed = true;
    if (follows_bad(p))
        return NULL;
    return diag(p->diags, E_SYNTAX, parser_here(p), what, found_str(p).p);
}

bool parser_expect(Parser *p, TokenKind k)
{
    if (parser_accept(p, k))
        return true;
    parser_syntax(p, kind_str(p->arena, k).p);
    return false;
}

void parser_close(Parser *p, TokenKind closing, Span opened)
{
    if (parser_accept(p, closing))
        return;
    Diag *d = parser_syntax(p, kind_str(p->arena, closing).p);
    if (d)
        diag_also(d, opened, STR("opened here"));
}

bool parser_word_ahead(const Parser *p, uint32_t n, const char *word)
{
    return parser_ahead(p, n) == TOK_NAME && str_is(token_str(p->src, p->tokens.file, token(p, n)), word);
}

bool parser_accept_word(Parser *p, const char *word)
{
    return parser_word_ahead(p, 0, word) && parser_accept(p, TOK_NAME);
}

void parser_expect_word(Parser *p, const char *word)
{
    if (!parser_accept_word(p, word))
        parser_syntax(p, str_fmt(p->arena, "`%s`", word).p);
}

Ident parser_name(Parser *p, const char *what)
{
    Ident id = {.text = parser_str(p), .at = parser_here(p)};
    if (parser_accept(p, TOK_NAME))
        return id;
    parser_syntax(p, what);
    return (Ident){.at = id.at};
}

bool parser_enter(Parser *p, uint32_t *open)
{
    if ((*open)++ <= PARSER_MAXDEPTH || p->failed)
        return !p->failed;
    diag(p->diags, E_NESTING, parser_here(p), (int)PARSER_MAXDEPTH);
    p->failed = true;
    return false;
}

/* ---- documentation ---- */

static Str doc_line(const Parser *p, const Comment *c)
{
    Str s = {p->src->file.p[p->tokens.file].text.p + c->begin, c->end - c->begin};
    uint32_t skip = 2;
    skip += skip < s.n && s.p[skip] == ' ';
    return (Str){s.p + skip, s.n - skip};
}

Str parser_doc(const Parser *p)
{
    uint32_t end = token(p, 0)->comment, begin = end, bottom = 0;
    if (p->pos)
        bottom = p->tokens.list.p[p->pos - 1].comment;
    while (begin > bottom && p->tokens.comment.p[begin - 1].doc)
        begin--;
    Text out = {.arena = p->arena};
    for (uint32_t i = begin; i < end; i++) {
        Str line = doc_line(p, &p->tokens.comment.p[i]);
        if (i > begin)
            text_put(&out, "\n", 1);
        text_put(&out, line.p, line.n);
    }
    return text_str(&out);
}

/* ---- where to go on after an error ---- */

bool parser_end_statement(Parser *p)
{
    if (parser_accept(p, TOK_NEWLINE) || parser_accept(p, TOK_SEMICOLON))
        return true;
    if (parser_at(p, TOK_RBRACE) || parser_at(p, TOK_END))
        return !p->failed;
    parser_syntax(p, "the end of the statement");
    return false;
}

static bool declares(TokenKind k)
{
    return k == TOK_IMPORT || k == TOK_CELL || k == TOK_MODEL || k == TOK_SCHEDULE || k == TOK_TEST;
}

bool parser_at_declaration(const Parser *p)
{
    bool first = p->pos == 0 || p->tokens.list.p[p->pos - 1].kind == TOK_NEWLINE;
    return first && declares(token(p, 0)->kind);
}

void parser_skip_statement(Parser *p)
{
    uint32_t depth = 0;
    for (p->failed = false; !parser_at(p, TOK_END); p->pos++) {
        TokenKind k = token(p, 0)->kind;
        if (parser_at_declaration(p) || (k == TOK_RBRACE && depth == 0))
            return;
        if (depth == 0 && (parser_accept(p, TOK_NEWLINE) || parser_accept(p, TOK_SEMICOLON)))
            return;
        depth += k == TOK_LBRACE;
        depth -= k == TOK_RBRACE;
    }
}

static bool ends_something(TokenKind k)
{
    return k == TOK_NEWLINE || k == TOK_RBRACE || k == TOK_SEMICOLON;
}

void parser_skip_declaration(Parser *p)
{
    for (p->failed = false; !parser_at(p, TOK_END); p->pos++) {
        TokenKind k = token(p, 0)->kind;
        if (p->pos && (declares(k) || k == TOK_FN) && ends_something(p->tokens.list.p[p->pos - 1].kind))
            return;
    }
}

bool parser_skip_to_block(Parser *p)
{
    uint32_t pos = p->pos;
    TokenKind k;
    while ((k = p->tokens.list.p[pos].kind) != TOK_LBRACE) {
        if (k == TOK_END || ends_something(k) || declares(k))
            return false;
        pos++;
    }
    p->pos = pos;
    p->failed = false;
    return true;
}
