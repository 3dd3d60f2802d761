/* Text to tokens, by re2c. Three things are done by hand around it: UTF-8 is checked once for the whole file, so that
 * bad bytes in comments and strings are found too; comments and strings are skipped byte by byte; and line_ends()
 * decides which newlines end a statement. */
#include "frontend/lexer.h"

#include "lang/utf8.h"

typedef struct Lexer {
    Arena *arena;
    Diags *diags;
    const unsigned char *text, *start, *cursor, *limit;
    VEC(uint8_t) open; /* the brackets that are open, as token kinds */
    bool newline;      /* a newline was seen since the last token */
    Tokens out;
} Lexer;

/* What scan() finds beside tokens. */
enum { SCAN_COMMENT = TOK_COUNT, SCAN_NEWLINE };

/* ---- the table ---- */

typedef struct TokenRow {
    const char *name, *text;
    unsigned flags;
} TokenRow;

enum { MARK = TOKEN_MARK, WORD = TOKEN_WORD, JOINS = TOKEN_JOINS, BEGINS = TOKEN_BEGINS, BINARY = TOKEN_BINARY };

static const TokenRow token_row[] = {
#define TOKEN(NAME, TEXT, FLAGS) {#NAME, TEXT, FLAGS},
#include "frontend/token.def"
#undef TOKEN
};

const char *token_text(TokenKind k)
{
    return token_row[k].text;
}

unsigned token_flags(TokenKind k)
{
    return token_row[k].flags;
}

Str token_str(const Sources *src, uint32_t file, const Token *t)
{
    return (Str){src->file.p[file].text.p + t->begin, t->end - t->begin};
}

static TokenKind word_kind(Str s)
{
    for (int k = 0; k < TOK_COUNT; k++)
        if ((token_row[k].flags & WORD) && str_is(s, token_row[k].text))
            return (TokenKind)k;
    return TOK_NAME;
}

static Span span_of(const Lexer *lx, const unsigned char *from, const unsigned char *to)
{
    return (Span){lx->out.file, (uint32_t)(from - lx->text), (uint32_t)(to - lx->text)};
}

/* Reports each run of bytes that is no UTF-8, once. */
static void check_utf8(Lexer *lx)
{
    for (const unsigned char *p = lx->text; p < lx->limit;) {
        uint32_t n = utf8_length(p, (size_t)(lx->limit - p));
        const unsigned char *bad = p;
        while (p < lx->limit && (n = utf8_length(p, (size_t)(lx->limit - p))) == 0)
            p++;
        if (p > bad)
            diag(lx->diags, E_BAD_UTF8, span_of(lx, bad, p), (unsigned)*bad);
        p += n;
    }
}

/* ---- what is read by hand ---- */

static void skip_line(Lexer *lx)
{
    while (lx->cursor < lx->limit && *lx->cursor != '\n')
        lx->cursor++;
}

static unsigned string(Lexer *lx)
{
    while (lx->cursor < lx->limit && *lx->cursor != '\n' && *lx->cursor != '"')
        lx->cursor++;
    if (lx->cursor < lx->limit && *lx->cursor == '"') {
        lx->cursor++;
        return TOK_STRING;
    }
    diag(lx->diags, E_BAD_STRING, span_of(lx, lx->start, lx->cursor));
    return TOK_BAD;
}

static unsigned bad_number(Lexer *lx)
{
    Str s = {(const char *)lx->start, (uint32_t)(lx->cursor - lx->start)};
    Diag *d = diag(lx->diags, E_BAD_NUMBER, span_of(lx, lx->start, lx->cursor), str_c(lx->arena, s));
    if (s.p[0] == '.')
        diag_help(d, str_fmt(lx->arena, "write `0%.*s`", STRF(s)));
    return TOK_BAD;
}

/* What another language writes with this character, and ours in another way. */
static const char *other_spelling(unsigned char c)
{
    switch (c) {
    case '!': return "write `not`, or `!=`";
    case '&': return "write `and`";
    case '|': return "write `or`";
    case '%': return "write `mod(a, b)`";
    case '\'': return "strings stand in double quotes, and the transpose is `.T`";
    default: return "";
    }
}

static unsigned bad_char(Lexer *lx)
{
    uint32_t n = (uint32_t)(lx->cursor - lx->start);
    unsigned char c = *lx->start;
    Str shown = c < 0x20 || c == 0x7F ? str_fmt(lx->arena, "\\x%02x", (unsigned)c)
                                      : str_copy(lx->arena, (Str){(const char *)lx->start, n});
    Diag *d = diag(lx->diags, E_BAD_CHAR, span_of(lx, lx->start, lx->cursor), shown.p);
    diag_help(d, str_of(other_spelling(c)));
    return TOK_BAD;
}

static unsigned name(Lexer *lx)
{
    return word_kind((Str){(const char *)lx->start, (uint32_t)(lx->cursor - lx->start)});
}

/* ---- what re2c reads ---- */

/* The next token's kind, or one of SCAN_; it stands between start and cursor. */
static unsigned scan(Lexer *lx)
{
    const unsigned char *marker;
    for (;;) {
        lx->start = lx->cursor;
        /*!re2c
        re2c:api:style = free-form;
        re2c:define:YYCTYPE = "unsigned char";
        re2c:define:YYCURSOR = lx->cursor;
        re2c:define:YYLIMIT = lx->limit;
        re2c:define:YYMARKER = marker;
        re2c:yyfill:enable = 0;
        re2c:eof = 0;
        re2c:encoding:utf8 = 1;

        digit = [0-9];
        greek = [\u0391-\u03a1\u03a3-\u03a9\u03b1-\u03c9\u03d1\u03d5\u03d6\u03f1\u03f5];
        letter = [A-Za-z_] | greek;
        exponent = [eE] [+-]? digit+;
        real = digit+ "." digit+ exponent? | digit+ exponent;
        number = digit+ | real;
        above_ascii = [\u0080-\ud7ff\ue000-\U0010ffff];

        $                                     { return TOK_END; }
        *                                     { return *lx->start < 0x80 ? bad_char(lx) : (unsigned)TOK_BAD; }
        [ \t\r]+                              { continue; }
        "\n"                                  { return SCAN_NEWLINE; }
        "#"                                   { skip_line(lx); return SCAN_COMMENT; }
        ["]                                   { return string(lx); }
        letter (letter | digit)*              { return name(lx); }
        digit+                                { return TOK_INT; }
        real                                  { return TOK_REAL; }
        number "i"                            { return TOK_IMAGINARY; }
        number (letter | digit | ".")+        { return bad_number(lx); }
        "." digit (letter | digit)*           { return bad_number(lx); }
        "("                                   { return TOK_LPAREN; }
        ")"                                   { return TOK_RPAREN; }
        "["                                   { return TOK_LBRACKET; }
        "]"                                   { return TOK_RBRACKET; }
        "{"                                   { return TOK_LBRACE; }
        "}"                                   { return TOK_RBRACE; }
        ","                                   { return TOK_COMMA; }
        ";"                                   { return TOK_SEMICOLON; }
        ":"                                   { return TOK_COLON; }
        "."                                   { return TOK_DOT; }
        "="                                   { return TOK_ASSIGN; }
        "~"                                   { return TOK_TILDE; }
        "->"                                  { return TOK_ARROW; }
        "+"                                   { return TOK_PLUS; }
        "-"                                   { return TOK_MINUS; }
        "*"                                   { return TOK_STAR; }
        "/"                                   { return TOK_SLASH; }
        "^"                                   { return TOK_CARET; }
        "@"                                   { return TOK_AT; }
        "<"                                   { return TOK_LESS; }
        "<="                                  { return TOK_LESS_EQUAL; }
        ">"                                   { return TOK_GREATER; }
        ">="                                  { return TOK_GREATER_EQUAL; }
        "=="                                  { return TOK_EQUAL; }
        "!="                                  { return TOK_NOT_EQUAL; }
        above_ascii                           { return bad_char(lx); }
        */
    }
}

/* ---- lines and brackets ---- */

static bool is_open(const Lexer *lx, TokenKind k)
{
    return lx->open.n && lx->open.p[lx->open.n - 1] == k;
}

/* Forgets `(` and `[` that nothing closed before the end of their block. */
static void drop_unclosed(Lexer *lx)
{
    while (is_open(lx, TOK_LPAREN) || is_open(lx, TOK_LBRACKET))
        lx->open.n--;
}

/* Whether a bracket of this kind is open in the innermost block. */
static bool is_open_within(const Lexer *lx, TokenKind k)
{
    for (uint32_t i = lx->open.n; i > 0 && lx->open.p[i - 1] != TOK_LBRACE; i--)
        if (lx->open.p[i - 1] == k)
            return true;
    return false;
}

/* `)` or `]` closes the bracket that it fits, with all inside it; where it fits none, the innermost one. */
static void close_bracket(Lexer *lx, TokenKind opening)
{
    bool fits = is_open_within(lx, opening);
    while (fits && !is_open(lx, opening))
        lx->open.n--;
    if (lx->open.n && !is_open(lx, TOK_LBRACE))
        lx->open.n--;
}

static void follow_brackets(Lexer *lx, TokenKind k)
{
    if (k == TOK_LPAREN || k == TOK_LBRACKET || k == TOK_LBRACE)
        vec_push(lx->arena, &lx->open, (uint8_t)k);
    if (k == TOK_RPAREN)
        close_bracket(lx, TOK_LPAREN);
    if (k == TOK_RBRACKET)
        close_bracket(lx, TOK_LBRACKET);
    if (k == TOK_RBRACE) {
        drop_unclosed(lx);
        lx->open.n -= is_open(lx, TOK_LBRACE);
    }
}

static Token last_token(const Lexer *lx)
{
    return lx->out.list.n ? lx->out.list.p[lx->out.list.n - 1] : (Token){.kind = TOK_NEWLINE};
}

/* Whether the newline between the last token and `next` ends a statement. One before `{`, `}`, `->` never needs to. */
static bool line_ends(Lexer *lx, TokenKind next)
{
    TokenKind last = last_token(lx).kind;
    if (!lx->out.list.n || next == TOK_LBRACE || next == TOK_RBRACE || next == TOK_ARROW || next == TOK_END)
        return false;
    if (last == TOK_LBRACE || last == TOK_SEMICOLON)
        return false;
    if (token_flags(next) & BEGINS) {
        drop_unclosed(lx);
        return true;
    }
    return !is_open(lx, TOK_LPAREN) && !is_open(lx, TOK_LBRACKET) && !(token_flags(last) & JOINS);
}

static void add_token(Lexer *lx, TokenKind k)
{
    Token last = last_token(lx);
    Span at = span_of(lx, lx->start, lx->cursor);
    if (lx->newline && line_ends(lx, k))
        vec_push(lx->arena, &lx->out.list, (Token){TOK_NEWLINE, last.end, last.end, last.comment});
    lx->newline = false;
    if (k == TOK_END)
        at.begin = at.end = last.end;
    follow_brackets(lx, k);
    vec_push(lx->arena, &lx->out.list, (Token){k, at.begin, at.end, lx->out.comment.n});
}

static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void add_comment(Lexer *lx)
{
    const unsigned char *end = lx->cursor;
    while (is_blank(end[-1]))
        end--;
    bool alone = lx->newline || !lx->out.list.n;
    bool doc = alone && end - lx->start >= 2 && lx->start[1] == '#';
    Span at = span_of(lx, lx->start, end);
    vec_push(lx->arena, &lx->out.comment, (Comment){at.begin, at.end, doc});
}

static void skip_byte_order_mark(Lexer *lx)
{
    if (lx->limit - lx->cursor >= 3 && memcmp(lx->cursor, "\xEF\xBB\xBF", 3) == 0)
        lx->cursor += 3;
}

Tokens lex_file(Arena *a, const Sources *src, uint32_t file, Diags *ds)
{
    Str s = src->file.p[file].text;
    const unsigned char *text = (const unsigned char *)s.p;
    Lexer lx = {.arena = a, .diags = ds, .text = text, .cursor = text, .limit = text + s.n, .out.file = file};
    unsigned k;
    check_utf8(&lx);
    skip_byte_order_mark(&lx);
    do {
        k = scan(&lx);
        if (k == SCAN_COMMENT)
            add_comment(&lx);
        else if (k == SCAN_NEWLINE)
            lx.newline = true;
        else
            add_token(&lx, (TokenKind)k);
    } while (k != TOK_END);
    return lx.out;
}

void tokens_print(Text *out, const Sources *src, const Tokens *tokens)
{
    Str text = src->file.p[tokens->file].text;
    uint32_t line = 1, column = 1, at = 0;
    for (uint32_t i = 0; i < tokens->list.n; i++) {
        const Token *t = &tokens->list.p[i];
        for (; at < t->begin; at++) {
            column = text.p[at] == '\n' ? 1 : column + (((unsigned char)text.p[at] & 0xC0u) != 0x80u);
            line += text.p[at] == '\n';
        }
        Str s = token_str(src, tokens->file, t);
        text_add(out, "%u:%u %s%s", line, column, token_row[t->kind].name, s.n ? " " : "");
        text_put(out, s.p, s.n);
        text_put(out, "\n", 1);
    }
}
