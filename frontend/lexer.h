/* Text to tokens. Where a line ends a statement is decided here, once: the parser sees a NEWLINE only where one counts.
 */
#ifndef FRONTEND_LEXER_H
#define FRONTEND_LEXER_H

#include "lang/diag.h"

typedef enum TokenKind {
#define TOKEN(NAME, TEXT, FLAGS) TOK_##NAME,
#include "frontend/token.def"
#undef TOKEN
    TOK_COUNT
} TokenKind;

/* Flags of token.def's rows. */
enum { TOKEN_MARK = 1, TOKEN_WORD = 2, TOKEN_JOINS = 4, TOKEN_BEGINS = 8, TOKEN_BINARY = 16 };

typedef struct Token {
    TokenKind kind;
    uint32_t begin, end; /* bytes in the file; NEWLINE and END are empty and stand behind the token before them */
    uint32_t comment;    /* how many comments of the file stand before it */
} Token;

typedef struct Comment {
    uint32_t begin, end; /* without the newline and the blanks before it */
    bool doc;            /* `##`, alone on its line */
} Comment;

typedef struct Tokens {
    uint32_t file;
    VEC(Token) list; /* ends with END */
    VEC(Comment) comment;
} Tokens;

/* Reports what cannot be read; a BAD token stands in its place. */
Tokens lex_file(Arena *a, const Sources *src, uint32_t file, Diags *ds);

const char *token_text(TokenKind k);
unsigned token_flags(TokenKind k);
Str token_str(const Sources *src, uint32_t file, const Token *t);
/* One token a line: `3:7 NAME lstm`; comments are left out. */
void tokens_print(Text *out, const Sources *src, const Tokens *tokens);

#endif
