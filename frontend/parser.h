/* What the parse*.c files share: a cursor over the tokens, and one function per grammar rule.
 *
 * After an error the parser is `failed`: the cursor shows END, nothing is accepted or reported, so that every rule runs
 * out by itself; the statement or declaration that was begun then finds where to go on (parser_skip_). A rule never
 * gives NULL unless its comment says so. */
#ifndef FRONTEND_PARSER_H
#define FRONTEND_PARSER_H

#include "frontend/lexer.h"
#include "lang/ast.h"

enum { PARSER_MAXDEPTH = 200 };

typedef struct Parser {
    Arena *arena;
    const Sources *src;
    Diags *diags;
    Tokens tokens;
    uint32_t pos;
    uint32_t blocks, exprs; /* how many are open here */
    bool failed;
    uint32_t unread, nunread; /* where the lexer's errors are in diags, and how many */
} Parser;

/* A list as the tree keeps it. */
#define PARSED(vec, member, count) ((member) = (vec).p, (count) = (vec).n)

/* ---- parser.c: the cursor ---- */
TokenKind parser_kind(const Parser *p);
TokenKind parser_ahead(const Parser *p, uint32_t n); /* the kind n tokens ahead */
Span parser_here(const Parser *p);
Span parser_since(const Parser *p, Span begin); /* from there to the last token taken */
Str parser_str(const Parser *p);                /* text of the current token */
bool parser_at(const Parser *p, TokenKind k);
bool parser_accept(Parser *p, TokenKind k);
bool parser_expect(Parser *p, TokenKind k);
bool parser_word_ahead(const Parser *p, uint32_t n, const char *word); /* a name that means more in its place: `over` */
bool parser_accept_word(Parser *p, const char *word);
void parser_expect_word(Parser *p, const char *word);
void parser_close(Parser *p, TokenKind closing, Span opened); /* expects a bracket, and shows the other one */
Ident parser_name(Parser *p, const char *what);               /* what: "a name", "an input" */
/* One level down, counted in `open`, in which the outermost is no nesting yet; the caller counts back. */
bool parser_enter(Parser *p, uint32_t *open);
Str parser_doc(const Parser *p); /* the `##` lines before the current token */
/* "expected WHAT, found ...": fails; returns the report, or NULL if there was one before. */
Diag *parser_syntax(Parser *p, const char *what);
bool parser_at_declaration(const Parser *p); /* its word at the begin of a line ends every block that is still open */
void parser_skip_statement(Parser *p);       /* to the end of the statement, or before the `}` around it */
void parser_skip_declaration(Parser *p);     /* to the next one, which may be here */
bool parser_skip_to_block(Parser *p);        /* from a bad header to its `{`, if there is one */
bool parser_end_statement(Parser *p);

/* ---- parse_expr.c ---- */
Expr *parse_expr(Parser *p);
Expr *parse_number(Parser *p);
Binder parse_binder(Parser *p);
void parse_dims(Parser *p, Expr ***dim, uint32_t *n); /* `[4, H]`, or nothing */
Ident parse_dotted_name(Parser *p, const char *what);

/* ---- parse_stmt.c ---- */
void parse_decls(Parser *p, Decl **decl, uint32_t *n, const char *what); /* one or more, with commas */
void parse_inputs(Parser *p, Decl **decl, uint32_t *n);                  /* `(...)`, may be empty */
void parse_names(Parser *p, Ident **name, uint32_t *n, const char *what);
void parse_dim_decls(Parser *p, DimDecl **dim, uint32_t *n); /* `[D, P = D / G]`, or nothing */
Fn *parse_fn(Parser *p);                                     /* NULL if its header is not right */
bool parse_at_associative(const Parser *p);                   /* `associative fn` begins here */
void parse_block(Parser *p, Stmt ***body, uint32_t *n);

#endif
