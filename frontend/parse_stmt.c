/* Declarations of names, and the statements of cells, models and functions. */
#include "frontend/parser.h"

/* ---- declared names ---- */

/* name dims */
static TypeExpr type(Parser *p)
{
    TypeExpr t = {.name = parser_name(p, "a type"), .at = parser_here(p)};
    parse_dims(p, &t.dim, &t.ndim);
    t.at = parser_since(p, t.name.at);
    return t;
}

void parse_names(Parser *p, Ident **name, uint32_t *n, const char *what)
{
    VEC(Ident) list = {0};
    do
        vec_push(p->arena, &list, parser_name(p, what));
    while (parser_accept(p, TOK_COMMA));
    PARSED(list, *name, *n);
}

/* '[' name (',' name)* ']' */
static void place(Parser *p, Decl *d)
{
    Span opened = parser_here(p);
    if (!parser_accept(p, TOK_LBRACKET))
        return;
    parse_names(p, &d->place, &d->nplace, "an index of the domain");
    parser_close(p, TOK_RBRACKET, opened);
}

/* '~' call */
static Expr *distribution(Parser *p)
{
    Span begin = parser_here(p);
    Expr *e = parse_expr(p);
    if (e->kind == EX_CALL || p->failed)
        return e;
    p->failed = true;
    Str found = {p->src->file.p[begin.file].text.p + e->at.begin, e->at.end - e->at.begin};
    diag(p->diags, E_SYNTAX, e->at, "a distribution such as `uniform(0.1)`",
         str_fmt(p->arena, "`%.*s`", STRF(found)).p);
    return e;
}

/* Whether `const` or `noise` stands here as a word of its own, and not as the name that is declared. */
static bool accept_prefix(Parser *p, const char *word)
{
    return parser_ahead(p, 1) == TOK_NAME && parser_accept_word(p, word);
}

/* ['const'] ['noise'] name place ':' type ['=' expr] ['~' distribution] ['frozen'], the last three in any order */
static Decl decl(Parser *p, const char *what)
{
    Decl d = {.doc = parser_doc(p)};
    d.is_const = accept_prefix(p, "const");
    d.is_noise = accept_prefix(p, "noise");
    d.name = parser_name(p, what);
    place(p, &d);
    parser_expect(p, TOK_COLON);
    d.type = type(p);
    for (;;) {
        if (!d.init && parser_accept(p, TOK_ASSIGN))
            d.init = parse_expr(p);
        else if (!d.distribution && parser_accept(p, TOK_TILDE))
            d.distribution = distribution(p);
        else if (!d.frozen && parser_accept_word(p, "frozen"))
            d.frozen = true;
        else
            return d;
    }
}

void parse_decls(Parser *p, Decl **list, uint32_t *n, const char *what)
{
    VEC(Decl) decls = {0};
    do
        vec_push(p->arena, &decls, decl(p, what));
    while (parser_accept(p, TOK_COMMA));
    PARSED(decls, *list, *n);
}

void parse_inputs(Parser *p, Decl **list, uint32_t *n)
{
    Span opened = parser_here(p);
    if (!parser_expect(p, TOK_LPAREN))
        return;
    if (!parser_at(p, TOK_RPAREN))
        parse_decls(p, list, n, "an input");
    parser_close(p, TOK_RPAREN, opened);
}

/* name ['=' expr] */
static DimDecl dim_decl(Parser *p)
{
    DimDecl d = {.name = parser_name(p, "a dimension")};
    if (parser_accept(p, TOK_ASSIGN))
        d.value = parse_expr(p);
    return d;
}

void parse_dim_decls(Parser *p, DimDecl **dim, uint32_t *n)
{
    VEC(DimDecl) list = {0};
    Span opened = parser_here(p);
    if (!parser_accept(p, TOK_LBRACKET))
        return;
    do
        vec_push(p->arena, &list, dim_decl(p));
    while (parser_accept(p, TOK_COMMA));
    parser_close(p, TOK_RBRACKET, opened);
    PARSED(list, *dim, *n);
}

/* ---- functions ---- */

/* 'derivative' name ':' expr (',' name ':' expr)* */
static void derivative(Parser *p, Fn *fn)
{
    VEC(Arg) list = {.p = fn->derivative, .n = fn->nderivative, .cap = fn->nderivative};
    parser_expect_word(p, "derivative");
    do {
        Arg d = {.name = parser_name(p, "an argument of the function")};
        parser_expect(p, TOK_COLON);
        d.value = parse_expr(p);
        vec_push(p->arena, &list, d);
    } while (parser_accept(p, TOK_COMMA));
    PARSED(list, fn->derivative, fn->nderivative);
}

/* Whether it follows n tokens ahead; before `=` the word is a name like any other. */
static bool at_derivative(const Parser *p, uint32_t n)
{
    return parser_word_ahead(p, n, "derivative") && parser_ahead(p, n + 1) != TOK_ASSIGN;
}

/* Any number of them, also on lines of their own. */
static void derivatives(Parser *p, Fn *fn)
{
    while (at_derivative(p, 0) || (parser_at(p, TOK_NEWLINE) && at_derivative(p, 1))) {
        parser_accept(p, TOK_NEWLINE);
        derivative(p, fn);
    }
}

bool parse_at_associative(const Parser *p)
{
    return parser_word_ahead(p, 0, "associative") && parser_ahead(p, 1) == TOK_FN;
}

/* ['associative'] 'fn' name dims inputs ('=' expr | '->' names block) derivatives */
Fn *parse_fn(Parser *p)
{
    Fn *fn = NEW(p->arena, Fn);
    Span begin = parser_here(p);
    fn->doc = parser_doc(p);
    fn->associative = parser_accept_word(p, "associative");
    parser_expect(p, TOK_FN);
    fn->name = parser_name(p, "the name of the function");
    parse_dim_decls(p, &fn->dim, &fn->ndim);
    parse_inputs(p, &fn->arg, &fn->narg);
    if (parser_accept(p, TOK_ASSIGN)) {
        fn->value = parse_expr(p);
    } else if (parser_accept(p, TOK_ARROW)) {
        parse_names(p, &fn->result, &fn->nresult, "the name of a result");
        parse_block(p, &fn->body, &fn->nbody);
    } else {
        parser_syntax(p, "`=` or `->`");
    }
    derivatives(p, fn);
    fn->at = parser_since(p, begin);
    return p->failed ? NULL : fn;
}

/* ---- statements ---- */

/* The word that begins the statement, then its names; what documents the statement documents the first. */
static void decls_stmt(Parser *p, Stmt *s, StmtKind kind, const char *what)
{
    Str doc = parser_doc(p);
    s->kind = kind;
    parser_accept(p, parser_kind(p));
    parse_decls(p, &s->decls.decl, &s->decls.n, what);
    if (!s->decls.decl[0].doc.n)
        s->decls.decl[0].doc = doc;
}

/* name ('[' binder (',' binder)* ']')*; the edge of a graph may stand in brackets of its own, `C[e][i, j]` */
static Target target(Parser *p)
{
    Target t = {.name = parser_name(p, "a name")};
    VEC(Binder) index = {0};
    for (Span opened = parser_here(p); parser_accept(p, TOK_LBRACKET); opened = parser_here(p)) {
        do
            vec_push(p->arena, &index, parse_binder(p));
        while (parser_accept(p, TOK_COMMA));
        parser_close(p, TOK_RBRACKET, opened);
    }
    PARSED(index, t.index, t.nindex);
    return t;
}

/* target (',' target)* '=' expr */
static void let(Parser *p, Stmt *s)
{
    VEC(Target) list = {0};
    s->kind = ST_LET;
    do
        vec_push(p->arena, &list, target(p));
    while (parser_accept(p, TOK_COMMA));
    parser_expect(p, TOK_ASSIGN);
    s->let.value = parse_expr(p);
    PARSED(list, s->let.target, s->let.n);
}

/* The reserved words that begin a statement; a name that is followed by no `=` may be one, misspelt. */
static const TokenKind stmt_word[] = {TOK_PARAM, TOK_STATE, TOK_LET, TOK_USE, TOK_FOR, TOK_FN};
enum { NSTMT_WORDS = sizeof stmt_word / sizeof *stmt_word };

static void no_equation(Parser *p, Str first)
{
    Str known[NSTMT_WORDS];
    for (int i = 0; i < NSTMT_WORDS; i++)
        known[i] = str_of(token_text(stmt_word[i]));
    Str near = nearest(first, known, NSTMT_WORDS);
    Diag *d = parser_syntax(p, "`=`");
    if (d && near.n)
        diag_help(d, str_fmt(p->arena, "did you mean `%.*s`?", STRF(near)));
}

/* target '=' expr */
static void equation(Parser *p, Stmt *s)
{
    Str first = parser_str(p);
    s->kind = ST_EQUATION;
    s->let.target = NEW(p->arena, Target);
    s->let.n = 1;
    s->let.target[0] = target(p);
    if (parser_accept(p, TOK_ASSIGN))
        s->let.value = parse_expr(p);
    else
        no_equation(p, first);
}

/* name ['[' expr ']'] '=' dotted_name dims */
static Use use(Parser *p)
{
    Use u = {.name = parser_name(p, "the name of an instance")};
    Span opened = parser_here(p);
    if (parser_accept(p, TOK_LBRACKET)) {
        u.count = parse_expr(p);
        parser_close(p, TOK_RBRACKET, opened);
    }
    parser_expect(p, TOK_ASSIGN);
    u.cell = parse_dotted_name(p, "the name of a cell");
    parse_dims(p, &u.dim, &u.ndim);
    u.at = parser_since(p, u.name.at);
    return u;
}

static void uses(Parser *p, Stmt *s)
{
    VEC(Use) list = {0};
    s->kind = ST_USE;
    do
        vec_push(p->arena, &list, use(p));
    while (parser_accept(p, TOK_COMMA));
    PARSED(list, s->uses.use, s->uses.n);
}

/* name 'in' expr ['until' expr] block */
static void loop(Parser *p, Stmt *s)
{
    s->kind = ST_FOR;
    s->loop.var = parser_name(p, "the index of the loop");
    parser_expect(p, TOK_IN);
    s->loop.count = parse_expr(p);
    if (parser_accept_word(p, "until"))
        s->loop.until = parse_expr(p);
    parse_block(p, &s->loop.body, &s->loop.n);
}

/* What begins here is no statement, perhaps the rest of one: a line may end with an operator, not begin with one. */
static void no_stmt(Parser *p)
{
    bool is_operator = token_flags(parser_kind(p)) & TOKEN_BINARY;
    Diag *d = parser_syntax(p, "a statement");
    if (d && is_operator)
        diag_help(d, STR("a line goes on after an operator, not before one"));
}

static void stmt_rest(Parser *p, Stmt *s)
{
    if (parser_at(p, TOK_PARAM))
        decls_stmt(p, s, ST_PARAM, "the name of a parameter");
    else if (parser_at(p, TOK_STATE))
        decls_stmt(p, s, ST_STATE, "the name of a state");
    else if (parser_accept(p, TOK_LET))
        let(p, s);
    else if (parser_accept(p, TOK_USE))
        uses(p, s);
    else if (parser_accept(p, TOK_FOR))
        loop(p, s);
    else if (parser_at(p, TOK_FN) || parse_at_associative(p))
        *s = (Stmt){.kind = ST_FN, .fn = parse_fn(p)};
    else if (parser_at(p, TOK_NAME))
        equation(p, s);
    else
        no_stmt(p);
}

/* NULL after an error. What stands in braces behind a bad header is parsed for its own errors, and dropped. */
static Stmt *stmt(Parser *p)
{
    Stmt *s = NEW(p->arena, Stmt), **dropped;
    Span begin = parser_here(p);
    uint32_t ndropped;
    stmt_rest(p, s);
    s->at = parser_since(p, begin);
    bool ok = !p->failed;
    if (!ok && parser_skip_to_block(p))
        parse_block(p, &dropped, &ndropped);
    if (!parser_end_statement(p))
        parser_skip_statement(p);
    return ok ? s : NULL;
}

static bool block_goes_on(const Parser *p)
{
    return !parser_at(p, TOK_RBRACE) && !parser_at(p, TOK_END) && !parser_at_declaration(p);
}

static void stmts(Parser *p, Stmt ***body, uint32_t *n)
{
    VEC(Stmt *) list = {0};
    while (block_goes_on(p)) {
        if (parser_accept(p, TOK_SEMICOLON) || parser_accept(p, TOK_NEWLINE))
            continue;
        Stmt *s = stmt(p);
        if (s)
            vec_push(p->arena, &list, s);
    }
    PARSED(list, *body, *n);
}

/* '{' (stmt end)* '}' */
void parse_block(Parser *p, Stmt ***body, uint32_t *n)
{
    Span opened = parser_here(p);
    *body = NULL;
    *n = 0;
    if (parser_enter(p, &p->blocks) && parser_expect(p, TOK_LBRACE)) {
        stmts(p, body, n);
        parser_close(p, TOK_RBRACE, opened);
    }
    p->blocks--;
}
