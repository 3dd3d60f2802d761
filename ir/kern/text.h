/* The words of kern's text form: for the printer, the reader and the verifier's messages. */
#ifndef IR_KERN_TEXT_H
#define IR_KERN_TEXT_H

#include "ir/kern/kern.h"

enum { KERN_NBUFKIND = K_WORK + 1, KERN_NLOOPKIND = K_VECTOR + 1 };

extern const char *const kern_kind_text[K_KIND_COUNT];
extern const char *const kern_loop_text[KERN_NLOOPKIND];
extern const char *const kern_buf_text[KERN_NBUFKIND];

/* One line without indentation, opening brace or newline. Also of statements that break rules. */
void kern_print_stmt(Text *out, const KernProg *p, const KStmt *s);

#endif
