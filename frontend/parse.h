/* Tokens to the syntax tree of one file. */
#ifndef FRONTEND_PARSE_H
#define FRONTEND_PARSE_H

#include "lang/ast.h"

/* Reports every syntax error of the file and goes on behind it. A cell, model or function with an error is `broken`, or
 * missing and among the `lost`; the others are whole. */
Ast *parse_file(Arena *a, const Sources *src, uint32_t file, Diags *ds);

#endif
