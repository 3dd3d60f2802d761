/* From syntax trees to rec: loading files with their imports, resolving names, checking shapes, lowering.
 * One walk does the last three: an expression is checked while its value is built, so its type is the type of that value. */
#ifndef FRONTEND_ELAB_H
#define FRONTEND_ELAB_H

#include "ir/rec/rec.h"
#include "lang/ast.h"

/* A file with everything it imports; its own cells and models are its entries. */
typedef struct Unit Unit;

typedef struct Binding {
    Str name;
    int64_t value;
} Binding;

/* Reads `path` ("-": standard input) and its imports. An import is looked up beside the importing file, then in the
 * embedded standard library. NULL (and diagnostics) when the file cannot be read; a Unit with errors in Diags otherwise. */
Unit *unit_load(Arena *a, Sources *sources, Diags *diags, Str path);
const Ast *unit_ast(const Unit *u);
/* Paths of every file that was read from disk, for -MD. */
uint32_t unit_files(const Unit *u, const Str **path);

uint32_t unit_entries(const Unit *u);
Str unit_entry_name(const Unit *u, uint32_t i);
bool unit_entry_is_model(const Unit *u, uint32_t i);
bool unit_find_entry(const Unit *u, Str name, uint32_t *i);
Str unit_path(const Unit *u); /* of the file that the user named; "-" for standard input */

/* What schedules of the file say of an entry: its form, and `form.store`; the files of the places are 0 when none does. */
typedef struct EntryForm {
    RecForm form;
    Span at, store_at;
} EntryForm;
EntryForm unit_form(const Unit *u, uint32_t entry);

/* Checks and lowers one entry with some dimensions bound. NULL when it has errors. The program is raw: for one sequence,
 * nothing transformed, REC_FORWARD and (when there are parameters) REC_INIT. */
RecProg *elab_entry(Arena *a, const Unit *u, uint32_t entry, const Binding *bind, uint32_t nbind, Diags *diags);

/* An associative function by itself: a program whose inputs are its left operands and then its right ones. NULL after an
 * error in its declaration. */
RecProg *elab_operator(Arena *a, const Unit *u, const Fn *fn, Diags *diags);
void elab_operators(Arena *a, const Unit *u, Diags *diags); /* reports what is wrong with their declarations */

/* Embedded standard library: made by CMake from stdlib/ (a table of path and text). */
typedef struct EmbeddedFile {
    const char *path; /* "lstm.rnn", "prelude.rnn" */
    const char *text;
} EmbeddedFile;
extern const EmbeddedFile embedded_stdlib[];
extern const uint32_t embedded_stdlib_count;

#endif
