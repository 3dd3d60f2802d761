/* The command line as data: see options.def. */
#ifndef FRONTEND_OPTIONS_H
#define FRONTEND_OPTIONS_H

#include "frontend/elab.h"

typedef enum Verb {
#define VERB(ENUM, ...) VERB_##ENUM,
#define OPTION(...)
#include "frontend/options.def"
#undef VERB
#undef OPTION
    VERB_COUNT
} Verb;

typedef enum OptionId {
#define VERB(...)
#define OPTION(ENUM, ...) OPT_##ENUM,
#include "frontend/options.def"
#undef VERB
#undef OPTION
    OPT_COUNT
} OptionId;

typedef VEC(Binding) BindList;

typedef struct Options {
    Verb verb; /* VERB_COUNT when none was given */
    VEC(Str) file;
    VEC(Str) input;
    BindList bind; /* -D */
    BindList size; /* --sizes */
    bool given[OPT_COUNT];
    Str value[OPT_COUNT];
} Options;

/* Exit codes: part of the interface. 70 is ice()'s. */
enum { EXIT_FINE = 0, EXIT_INPUT = 1, EXIT_USAGE = 2, EXIT_NO_GPU = 3 };

/* False, and a message, when the command line makes no sense. */
bool options_parse(Arena *a, Options *o, int argc, char **argv, Str *error);
bool option_is(const Options *o, OptionId id, const char *value);
/* One word of a choice: the i-th of "f32|f64", or an empty Str past the last. */
Str option_choice(OptionId id, uint32_t i);
Str option_item(const Options *o, OptionId id, uint32_t i); /* of "sm_75,sm_90", which was given; empty past the last */

void options_help(Text *out, Verb verb); /* VERB_COUNT: of the command as a whole */
void options_man(Text *out);
void options_completion(Text *out);

#endif
