/* Reads the command line, as options.def says. Options and operands come in any order; `--` ends the options. */
#include "frontend/options.h"

#include <errno.h>
#include <stdlib.h>

#define ON(VERB) (1u << VERB_##VERB)
#define EVERYWHERE UINT32_MAX

typedef struct VerbRow {
    const char *name, *operands, *text;
} VerbRow;

typedef struct OptionRow {
    const char *names, *value;
    uint32_t verbs;
    const char *text;
} OptionRow;

static const VerbRow verb_row[] = {
#define VERB(ENUM, NAME, OPERANDS, TEXT) {NAME, OPERANDS, TEXT},
#define OPTION(...)
#include "frontend/options.def"
#undef VERB
#undef OPTION
};

static const OptionRow option_row[] = {
#define VERB(...)
#define OPTION(ENUM, NAMES, VALUE, VERBS, TEXT) {NAMES, VALUE, VERBS, TEXT},
#include "frontend/options.def"
#undef VERB
#undef OPTION
};

/* The i-th of the words that `by` separates; empty past the last. */
static Str word(const char *text, char by, uint32_t i)
{
    for (;; i--, text = strchr(text, by) + 1) {
        const char *end = strchr(text, by);
        if (i == 0)
            return (Str){text, (uint32_t)(end ? (size_t)(end - text) : strlen(text))};
        if (!end)
            return (Str){0};
    }
}

static Str option_name(OptionId id, uint32_t i)
{
    return word(option_row[id].names, ' ', i);
}

/* "sm_75|sm_80[,...]": several, with commas between them */
static const char list_mark[] = "[,...]";

static bool is_list(OptionId id)
{
    return strstr(option_row[id].value, list_mark) != NULL;
}

Str option_choice(OptionId id, uint32_t i)
{
    const char *value = option_row[id].value;
    Str choice = strchr(value, '|') ? word(value, '|', i) : (Str){0};
    const char *mark = choice.n ? memchr(choice.p, '[', choice.n) : NULL;
    return mark ? (Str){choice.p, (uint32_t)(mark - choice.p)} : choice;
}

Str option_item(const Options *o, OptionId id, uint32_t i)
{
    Str list = o->value[id];
    for (;; i--) {
        const char *comma = memchr(list.p, ',', list.n);
        uint32_t n = comma ? (uint32_t)(comma - list.p) : list.n;
        if (i == 0)
            return (Str){list.p, n};
        if (!comma)
            return (Str){0};
        list = (Str){comma + 1, list.n - n - 1};
    }
}

bool option_is(const Options *o, OptionId id, const char *value)
{
    return o->given[id] && str_is(o->value[id], value);
}

static bool starts_with(Str s, Str with)
{
    return s.n >= with.n && memcmp(s.p, with.p, with.n) == 0;
}

/* Whether the word is this option; `value` is what is joined to it (`--entry=h`, `-DH=8`), p NULL if nothing. */
static bool matches(OptionId id, Str text, Str *value)
{
    Str name;
    for (uint32_t i = 0; (name = option_name(id, i)).n; i++) {
        *value = (Str){0};
        if (str_eq(text, name))
            return true;
        if (!option_row[id].value[0] || !starts_with(text, name))
            continue;
        uint32_t skip = name.n + (text.p[name.n] == '=' && name.n > 2);
        *value = (Str){text.p + skip, text.n - skip};
        if (name.n == 2 || skip > name.n)
            return true;
    }
    return false;
}

static bool find_option(Str text, OptionId *id, Str *value)
{
    for (*id = 0; *id < OPT_COUNT; (*id)++)
        if (matches(*id, text, value))
            return true;
    return false;
}

static Str nearest_option(Arena *a, Str text)
{
    VEC(Str) all = {0};
    const char *equals = memchr(text.p, '=', text.n);
    for (OptionId id = 0; id < OPT_COUNT; id++)
        for (uint32_t i = 0; option_name(id, i).n; i++)
            vec_push(a, &all, option_name(id, i));
    return nearest((Str){text.p, equals ? (uint32_t)(equals - text.p) : text.n}, all.p, all.n);
}

static Str nearest_verb(Str text)
{
    Str all[VERB_COUNT];
    for (Verb v = 0; v < VERB_COUNT; v++)
        all[v] = str_of(verb_row[v].name);
    return nearest(text, all, VERB_COUNT);
}

static Str guess(Arena *a, Str near)
{
    return near.n ? str_fmt(a, "; did you mean %.*s?", STRF(near)) : STR("");
}

static bool is_choice(OptionId id, Str value)
{
    Str choice;
    const char *comma = is_list(id) ? memchr(value.p, ',', value.n) : NULL;
    if (comma) {
        uint32_t n = (uint32_t)(comma - value.p);
        return is_choice(id, (Str){value.p, n}) && is_choice(id, (Str){comma + 1, value.n - n - 1});
    }
    for (uint32_t i = 0; (choice = option_choice(id, i)).n; i++)
        if (str_eq(choice, value))
            return true;
    return false;
}

static bool check_choice(Arena *a, OptionId id, Str value, Str *error)
{
    if (!option_choice(id, 0).n || is_choice(id, value))
        return true;
    *error = str_fmt(a, "%.*s takes %s, not `%.*s`", STRF(option_name(id, 0)), option_row[id].value, STRF(value));
    return false;
}

/* NAME=VALUE */
static bool read_binding(Arena *a, const char *option, Str value, Binding *out, Str *error)
{
    const char *equals = memchr(value.p, '=', value.n);
    uint32_t name = equals ? (uint32_t)(equals - value.p) : value.n;
    const char *text = equals ? str_c(a, (Str){equals + 1, value.n - name - 1}) : "";
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (equals && end != text && !*end && errno == ERANGE && text[0] != '-') {
        *error = str_fmt(a, "%s %.*s: the number is too large", option, STRF(value));
        return false;
    }
    if (!equals || equals == value.p || end == text || *end || errno || number < 0) {
        *error = str_fmt(a, "%s takes NAME=VALUE with a whole number from 0, not `%.*s`", option, STRF(value));
        return false;
    }
    *out = (Binding){{value.p, name}, number};
    return true;
}

/* False when the name has another value already. */
static bool add_binding(Arena *a, BindList *to, const char *option, Binding one, Str *error)
{
    for (uint32_t i = 0; i < to->n; i++) {
        const Binding *first = &to->p[i];
        if (!str_eq(first->name, one.name))
            continue;
        if (first->value != one.value)
            *error = str_fmt(a, "%s gives %.*s two values, %lld and %lld", option, STRF(one.name), (long long)first->value, (long long)one.value);
        return first->value == one.value;
    }
    vec_push(a, to, one);
    return true;
}

static bool take_binding(Arena *a, Options *o, Str value, Str *error)
{
    Binding one;
    return read_binding(a, "-D", value, &one, error) && add_binding(a, &o->bind, "-D", one, error);
}

/* NAME=VALUE,NAME=VALUE */
static bool take_sizes(Arena *a, Options *o, Str value, Str *error)
{
    for (bool more = true; more;) {
        const char *comma = memchr(value.p, ',', value.n);
        uint32_t n = comma ? (uint32_t)(comma - value.p) : value.n;
        Binding one;
        if (!read_binding(a, "--sizes", (Str){value.p, n}, &one, error) || !add_binding(a, &o->size, "--sizes", one, error))
            return false;
        more = comma != NULL;
        value = more ? (Str){comma + 1, value.n - n - 1} : value;
    }
    return true;
}

static bool is_c_identifier(Str s)
{
    for (uint32_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return s.n > 0;
}

static bool check_prefix(Arena *a, Str value, Str *error)
{
    if (!is_c_identifier(value))
        *error = str_fmt(a, "--prefix takes a C identifier, not `%.*s`", STRF(value));
    return is_c_identifier(value);
}

static bool take_option(Arena *a, Options *o, OptionId id, Str value, Str *error)
{
    if (!check_choice(a, id, value, error))
        return false;
    o->given[id] = true;
    o->value[id] = value;
    if (id == OPT_DEFINE)
        return take_binding(a, o, value, error);
    if (id == OPT_SIZES)
        return take_sizes(a, o, value, error);
    if (id == OPT_PREFIX)
        return check_prefix(a, value, error);
    if (id == OPT_INPUT)
        vec_push(a, &o->input, value);
    return true;
}

static bool find_verb(Str text, Verb *verb)
{
    for (*verb = 0; *verb < VERB_COUNT; (*verb)++)
        if (str_is(text, verb_row[*verb].name))
            return true;
    return false;
}

static bool looks_like_file(Str text)
{
    return str_is(text, "-") || memchr(text.p, '.', text.n) || memchr(text.p, '/', text.n);
}

/* The first operand is the verb; a file in its place means build, as compilers have it. */
static bool take_operand(Arena *a, Options *o, Str text, Str *error)
{
    if (o->verb != VERB_COUNT || (!find_verb(text, &o->verb) && looks_like_file(text))) {
        o->verb = o->verb == VERB_COUNT ? VERB_BUILD : o->verb;
        vec_push(a, &o->file, text);
        return true;
    }
    if (o->verb != VERB_COUNT)
        return true;
    *error = str_fmt(a, "there is no verb `%.*s`%.*s", STRF(text), STRF(guess(a, nearest_verb(text))));
    return false;
}

static bool check_verbs(Arena *a, const Options *o, Str *error)
{
    for (OptionId id = 0; id < OPT_COUNT && o->verb != VERB_COUNT; id++)
        if (o->given[id] && !(option_row[id].verbs >> o->verb & 1u)) {
            *error = str_fmt(a, "%.*s means nothing to `%s`", STRF(option_name(id, 0)), verb_row[o->verb].name);
            return false;
        }
    return true;
}

static bool wants_information(const Options *o)
{
    return o->given[OPT_HELP] || o->given[OPT_SHOW_VERSION] || o->given[OPT_MAN] || o->given[OPT_COMPLETION];
}

static bool check_operands(Arena *a, const Options *o, Str *error)
{
    if (wants_information(o))
        return true;
    if (o->verb == VERB_COUNT) {
        *error = STR("a verb is missing; `rnnc --help` lists them");
        return false;
    }
    const char *wants = verb_row[o->verb].operands;
    bool many = strstr(wants, "...") != NULL;
    if ((wants[0] && !o->file.n) || (!many && o->file.n > (wants[0] != 0))) {
        *error = str_fmt(a, "usage: rnnc %s %s", verb_row[o->verb].name, wants[0] ? wants : "(without operands)");
        return false;
    }
    return true;
}

bool options_parse(Arena *a, Options *o, int argc, char **argv, Str *error)
{
    bool open = true;
    *o = (Options){.verb = VERB_COUNT};
    for (int i = 1; i < argc; i++) {
        Str text = str_of(argv[i]), value;
        OptionId id;
        if (open && str_is(text, "--")) {
            open = false;
            continue;
        }
        if (!open || text.n < 2 || text.p[0] != '-') {
            if (!take_operand(a, o, text, error))
                return false;
            continue;
        }
        if (!find_option(text, &id, &value)) {
            *error = str_fmt(a, "there is no option %.*s%.*s", STRF(text), STRF(guess(a, nearest_option(a, text))));
            return false;
        }
        if (option_row[id].value[0] && !value.p) {
            if (++i == argc) {
                *error = str_fmt(a, "%.*s needs a value: %s", STRF(text), option_row[id].value);
                return false;
            }
            value = str_of(argv[i]);
        }
        if (!take_option(a, o, id, value, error))
            return false;
    }
    return check_verbs(a, o, error) && check_operands(a, o, error);
}

/* ---- help, man page, completion ---- */

static bool goes_with(OptionId id, Verb verb)
{
    return verb == VERB_COUNT ? option_row[id].verbs == EVERYWHERE : (option_row[id].verbs >> verb & 1u) != 0;
}

/* "-o, --output FILE", "--entry=CELL" */
static Str option_form(Arena *a, OptionId id)
{
    Text out = {.arena = a};
    const char *value = option_row[id].value;
    Str name = {0};
    for (uint32_t i = 0; option_name(id, i).n; i++) {
        name = option_name(id, i);
        text_add(&out, "%s%.*s", i ? ", " : "", STRF(name));
    }
    if (value[0])
        text_add(&out, "%s%s", starts_with(name, STR("--")) ? "=" : " ", value);
    return text_str(&out);
}

static void help_row(Text *out, Str left, const char *text)
{
    enum { WIDTH = 26 };
    if (left.n > WIDTH)
        text_add(out, "  %.*s\n  %*s  %s\n", STRF(left), WIDTH, "", text);
    else
        text_add(out, "  %-*.*s  %s\n", WIDTH, STRF(left), text);
}

static void help_verbs(Text *out)
{
    text_add(out, "usage: rnnc VERB [OPTION...] [FILE...]\n       rnnc FILE.rnn -o FILE.o\n\n");
    for (Verb v = 0; v < VERB_COUNT; v++)
        help_row(out, str_fmt(out->arena, "%s %s", verb_row[v].name, verb_row[v].operands), verb_row[v].text);
    text_add(out, "\n`rnnc VERB --help` lists the options of a verb. For all verbs:\n\n");
}

void options_help(Text *out, Verb verb)
{
    if (verb == VERB_COUNT)
        help_verbs(out);
    else
        text_add(out, "usage: rnnc %s [OPTION...] %s\n\n%s.\n\n", verb_row[verb].name, verb_row[verb].operands,
                 verb_row[verb].text);
    for (OptionId id = 0; id < OPT_COUNT; id++)
        if (goes_with(id, verb))
            help_row(out, option_form(out->arena, id), option_row[id].text);
}

/* Text for troff: a hyphen that is a minus, a backslash that is one. */
static void put_troff(Text *out, Str s)
{
    for (uint32_t i = 0; i < s.n; i++)
        if (s.p[i] == '-')
            text_add(out, "\\-");
        else if (s.p[i] == '\\')
            text_add(out, "\\e");
        else
            text_put(out, &s.p[i], 1);
}

static void man_row(Text *out, Str left, const char *text)
{
    text_add(out, ".TP\n.B ");
    put_troff(out, left);
    text_add(out, "\n");
    put_troff(out, str_of(text));
    text_add(out, "\n");
}

static Str verbs_of(Arena *a, OptionId id)
{
    Text out = {.arena = a};
    for (Verb v = 0; v < VERB_COUNT; v++)
        if (option_row[id].verbs >> v & 1u)
            text_add(&out, "%s%s", out.n ? ", " : "", verb_row[v].name);
    return text_str(&out);
}

/* What `run` reads and writes, by what the cell runs over. */
static void man_arrays(Text *out)
{
    static const struct {
        const char *of, *text;
    } row[] = {
        {"sequences", "inputs and outputs are [T, B, ...]. lengths [B] and resets [T, B] are optional, and so are "
                      "start values h0 [B, ...]; final states are hT."},
        {"sequences end to end", "with offsets [B + 1], from 0 up to T, inputs and outputs are [T, ...] without B, and sequence b has "
                                 "the places from offsets[b] to offsets[b + 1]: a packed batch."},
        {"grids", "a cell over (r, s): [R, S, B, ...], where an input a[s] is [S, B, ...]. lengths [B, 2], how far "
                  "each grid goes along each axis, is optional. There are no resets, "
                  "start values or final states."},
        {"graphs", "a cell over v in dag: arrays at nodes are [nodes, 1, ...]. edges, int[E, 2] (from, to), in any "
                   "order, must be given; what lives on edges is [E, 1, ...] in that order, "
                   "what lives on pairs of edges comes with pairs, int[L, 2] of edge numbers. h0 [known, 1, ...] "
                   "are states at nodes that were there before, which edges then count first."},
        {"models", "inputs and outputs as they are declared, with B behind the leading axes that come with the data."},
        {"gradients", "with --grad: cotangents d_h and d_hT are read, those that are missing are 0; gradients d_x, d_W "
                      "and d_h0 are written."},
    };
    text_add(out, ".SH ARRAYS\nThe arrays of\n.B rnnc run\nhave the names of the model file. B counts sequences, grids "
                  "or graphs.\n");
    for (uint32_t i = 0; i < sizeof row / sizeof *row; i++)
        man_row(out, str_of(row[i].of), row[i].text);
}

void options_man(Text *out)
{
    text_add(out, ".TH RNNC 1\n.SH NAME\nrnnc \\- compiler for recurrent models\n.SH SYNOPSIS\n.B rnnc\n"
                  ".I VERB\n[OPTION...] [FILE...]\n.br\n.B rnnc\n.I FILE.rnn\n.B \\-o\n.I FILE.o\n.SH VERBS\n");
    for (Verb v = 0; v < VERB_COUNT; v++)
        man_row(out, str_fmt(out->arena, "%s %s", verb_row[v].name, verb_row[v].operands), verb_row[v].text);
    text_add(out, ".SH OPTIONS\n");
    for (OptionId id = 0; id < OPT_COUNT; id++) {
        Str where = option_row[id].verbs == EVERYWHERE ? STR("every verb") : verbs_of(out->arena, id);
        const char *text = str_fmt(out->arena, "%s (%.*s)", option_row[id].text, STRF(where)).p;
        man_row(out, option_form(out->arena, id), text);
    }
    man_arrays(out);
    text_add(out, ".SH EXIT STATUS\n.TP\n.B 0\nfine\n.TP\n.B 1\nthe input is wrong\n.TP\n.B 2\nthe command line is wrong\n"
                  ".TP\n.B 3\nthere is no GPU for \\-\\-target=cuda\n"
                  ".TP\n.B 70\na fault of the compiler\n");
}

static void completion_values(Text *out, OptionId id)
{
    text_add(out, "    ");
    for (uint32_t i = 0; option_name(id, i).n; i++)
        text_add(out, "%s%.*s", i ? "|" : "", STRF(option_name(id, i)));
    text_add(out, ") COMPREPLY=($(compgen -W \"");
    for (uint32_t i = 0; option_choice(id, i).n; i++)
        text_add(out, "%s%.*s", i ? " " : "", STRF(option_choice(id, i)));
    text_add(out, "\" -- \"$cur\")); return ;;\n");
}

static void completion_verb(Text *out, Verb verb)
{
    text_add(out, "    %s) words=\"", verb_row[verb].name);
    for (OptionId id = 0, n = 0; id < OPT_COUNT; id++)
        for (uint32_t i = 0; goes_with(id, verb) && option_name(id, i).n; i++)
            text_add(out, "%s%.*s", n++ ? " " : "", STRF(option_name(id, i)));
    text_add(out, "\" ;;\n");
}

void options_completion(Text *out)
{
    text_add(out, "_rnnc() {\n  local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\" words=\"\"\n"
                  "  if [ \"$cur\" = \"=\" ]; then cur=\"\"; fi\n"
                  "  if [ \"$prev\" = \"=\" ]; then prev=\"${COMP_WORDS[COMP_CWORD-2]}\"; fi\n  case \"$prev\" in\n");
    for (OptionId id = 0; id < OPT_COUNT; id++)
        if (option_choice(id, 0).n)
            completion_values(out, id);
    text_add(out, "  esac\n  case \"${COMP_WORDS[1]}\" in\n");
    for (Verb v = 0; v < VERB_COUNT; v++)
        completion_verb(out, v);
    text_add(out, "    *) words=\"");
    for (Verb v = 0; v < VERB_COUNT; v++)
        text_add(out, "%s%s", v ? " " : "", verb_row[v].name);
    text_add(out, "\" ;;\n  esac\n  case \"$cur\" in\n    -*) ;;\n    *) [ \"$COMP_CWORD\" -gt 1 ] && words=\"\" ;;\n  esac\n"
                  "  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\") $(compgen -f -- \"$cur\"))\n}\n"
                  "complete -o filenames -F _rnnc rnnc\n");
}
