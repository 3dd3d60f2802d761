/* The syntax tree as indented text, for --emit=ast. */
#ifndef FRONTEND_AST_PRINT_H
#define FRONTEND_AST_PRINT_H

#include "lang/ast.h"

void ast_print(Text *out, const Ast *ast);
void ast_print_expr(Text *out, const Expr *e); /* (+ a (* b c)) */
const char *unary_text(UnaryOp op);
const char *binary_text(BinaryOp op); /* as in the source */

#endif
