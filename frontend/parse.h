/* Tokens to the syntax tree of one file. */
#ifndef FRONTEND_PARSE_H
#define FRONTEND_PARSE_H

#include "lang/ast.h"

/* Reports every syntax error of the file and goes on behind it. What has an error may be missing from the tree, with
 * the names it would declare, so look at ds->nerrors before the tree is checked further. */
Ast *parse_file(Arena *a, const Sources *src, uint32_t file, Diags *ds);

#endif
