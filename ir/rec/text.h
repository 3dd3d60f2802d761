/* The words of rec's text form, and how one op is written: for the printer, the reader and the verifier's messages. */
#ifndef IR_REC_TEXT_H
#define IR_REC_TEXT_H

#include "ir/rec/rec.h"
#include "ir/text.h"

enum { REC_NROLE = ROLE_SEED + 1, REC_NOUTROLE = OUT_REPORT + 1 };

extern const char *const rec_kind_text[REC_KIND_COUNT];
extern const char *const rec_reduce_text[RED_COUNT];
extern const char *const rec_role_text[REC_NROLE];
extern const char *const rec_out_role_text[REC_NOUTROLE];
extern const char *const rec_fn_text[REC_NFN];

/* Ops count in the order in which they are printed; REC_NONE for one that stands nowhere. By RecId. */
const uint32_t *rec_numbers(Arena *a, const RecProg *p);
/* One line without indentation, opening brace, name or newline. Also of ops that break rules. */
void rec_print_op(Text *out, const RecProg *p, const uint32_t *number, RecId v);
/* Whether the operands of such an op have axis maps. */
bool rec_has_space(RecKind kind);
/* By DimSym: what the program mentions. */
const bool *rec_dims_used(Arena *a, const RecProg *p);

/* ---- parts of lines that kern's text has as well ---- */
bool rec_read_derived(TextIn *in, struct RecDerivedDim *d); /* `P = D / G`, `N = T / 64 floor` */
void rec_read_arg_marks(TextIn *in, RecArg *a);             /* optional, frozen, batched */
void rec_read_out_marks(TextIn *in, RecOut *o);             /* batched, streams */
void rec_print_derived(Text *out, const DimTab *t, const struct RecDerivedDim *d);
void rec_print_need(Text *out, const DimTab *t, Dim d);      /* `need H - 6` */
void rec_print_arg_marks(Text *out, const RecArg *a);
void rec_print_out_marks(Text *out, const RecOut *o);

#endif
