/* Lexer, parser, printer, formatter and diagnostics, on text alone. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "frontend/ast_print.h"
#include "frontend/fmt.h"
#include "frontend/lexer.h"
#include "frontend/parse.h"

#ifndef RNNC_SOURCE_DIR
#define RNNC_SOURCE_DIR "."
#endif

static const char *const data_file[] = {"cells", "indices", "domains", "models", "schedules", "untidy", "words"};
enum { NFILES = sizeof data_file / sizeof *data_file };

/* One text and what became of it. */
typedef struct Parsed {
    Arena *arena;
    Sources *src;
    Diags *diags;
    uint32_t file;
    Ast *ast;
} Parsed;

static Parsed parsed(Str text)
{
    Parsed p = {.arena = arena_new()};
    p.src = sources_new(p.arena);
    p.diags = diags_new(p.arena, p.src);
    p.file = source_add(p.src, STR("a.rnn"), text);
    p.ast = parse_file(p.arena, p.src, p.file, p.diags);
    return p;
}

/* In the arena. */
static Str read_data(Arena *a, const char *name)
{
    Str path = str_fmt(a, RNNC_SOURCE_DIR "/tests/data/syntax/%s", name);
    FILE *in = fopen(path.p, "rb");
    cr_assert(in, "cannot open %s", path.p);
    Text t = {.arena = a};
    char buf[4096];
    for (size_t n; (n = fread(buf, 1, sizeof buf, in)) > 0;)
        text_put(&t, buf, n);
    fclose(in);
    return text_str(&t);
}

static Str read_rnn(Arena *a, int i)
{
    return read_data(a, str_fmt(a, "%s.rnn", data_file[i]).p);
}

static Str printed(const Parsed *p)
{
    Text t = {.arena = p->arena};
    ast_print(&t, p->ast);
    return text_str(&t);
}

/* What a print function writes to a file, read back. */
static Str written(Arena *a, const Diags *ds, bool json)
{
    FILE *f = tmpfile();
    cr_assert(f);
    if (json)
        diags_print_json(ds, f);
    else
        diags_print_text(ds, f, false);
    rewind(f);
    Text t = {.arena = a};
    char buf[4096];
    for (size_t n; (n = fread(buf, 1, sizeof buf, f)) > 0;)
        text_put(&t, buf, n);
    fclose(f);
    return text_str(&t);
}

static void expect_str(Str got, Str want, const char *what)
{
    cr_expect(str_eq(got, want), "%s\n--- got\n%.*s\n--- want\n%.*s", what, STRF(got), STRF(want));
}

/* ---- tokens ---- */

static Str token_kinds(Arena *a, Str text)
{
    Sources *src = sources_new(a);
    uint32_t file = source_add(src, STR("a.rnn"), text);
    Tokens tokens = lex_file(a, src, file, diags_new(a, src));
    Text t = {.arena = a};
    for (uint32_t i = 0; i < tokens.list.n; i++) {
        Str s = token_str(src, file, &tokens.list.p[i]);
        text_add(&t, "%d %.*s\n", (int)tokens.list.p[i].kind, STRF(s));
    }
    return text_str(&t);
}

Test(lexer, places_and_kinds)
{
    Arena *a = arena_new();
    Sources *src = sources_new(a);
    Diags *ds = diags_new(a, src);
    uint32_t file = source_add(src, STR("a.rnn"), STR("let β = 1e-6 # why\n  x -> 2i;\n\n \"a b\" <= not"));
    Tokens tokens = lex_file(a, src, file, ds);
    Text t = {.arena = a};
    tokens_print(&t, src, &tokens);
    expect_str(
        text_str(&t),
        STR("1:1 LET let\n1:5 NAME β\n1:7 ASSIGN =\n1:9 REAL 1e-6\n1:13 NEWLINE\n2:3 NAME x\n2:5 ARROW ->\n"
            "2:8 IMAGINARY 2i\n2:10 SEMICOLON ;\n4:2 STRING \"a b\"\n4:8 LESS_EQUAL <=\n4:11 NOT not\n4:14 END\n"),
        "tokens");
    cr_expect_eq(ds->nerrors, 0);
    arena_free(a);
}

/* A newline counts unless a bracket is open or an operator, a comma or `{` is before it. */
Test(lexer, where_lines_go_on)
{
    static const struct {
        const char *two_lines;
        bool ends;
    } row[] = {
        {"a\nb", true},     {"a +\nb", false},  {"(a\nb", false},   {"[a\nb", false},    {"a)\nb", true},
        {"a =\nb", false},  {"a,\nb", false},   {"a ->\nb", false}, {"a\n-> b", false},  {"a\n{", false},
        {"{\nb", false},    {"a\n}", false},    {"}\na", true},     {"a;\nb", false},    {"a and\nb", false},
        {"a in\nb", false}, {"a # c\nb", true}, {"(a\nlet", true},  {"a +\ncell", true}, {"({\na\nb", true},
        {"a\r\nb", true},   {"a:\nb", false},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        Arena *a = arena_new();
        Str kinds = token_kinds(a, str_of(row[i].two_lines));
        Str newline = str_fmt(a, "\n%d \n", (int)TOK_NEWLINE);
        cr_expect_eq(strstr(kinds.p, newline.p) != NULL, row[i].ends, "%s", row[i].two_lines);
        arena_free(a);
    }
}

/* ---- expressions ---- */

static const struct {
    const char *text, *tree;
} expr_row[] = {
    {"-x^2", "(- (^ x 2))"},
    {"a ^ b ^ c", "(^ a (^ b c))"},
    {"2 ^ -1", "(^ 2 (- 1))"},
    {"r * U @ h", "(* r (@ U h))"},
    {"A @ B @ x", "(@ (@ A B) x)"},
    {"-A @ x", "(@ (- A) x)"},
    {"a - b - c", "(- (- a b) c)"},
    {"a / b * c", "(* (/ a b) c)"},
    {"a + b * c < d and not e == f or g", "(or (and (< (+ a (* b c)) d) (not (== e f))) g)"},
    {"(a + b) * c", "(* (+ a b) c)"},
    {"h[t-1][0:N]", "(index (index h (- t 1)) (: 0 N))"},
    {"x[:, 1:, :n, i + 1 else a]", "(index x (: _ _) (: 1 _) (: _ n) (+ i 1) (else a))"},
    {"W.T @ x", "(@ (field W T) x)"},
    {"run.last.S", "(field (field run last) S)"},
    {"f(a, k = b, reverse)", "(call f a (= k b) reverse)"},
    {"f()", "(call f)"},
    {"a.f(x)", "(call a.f x)"},
    {"sum(x)", "(call sum x)"},
    {"sum(i: x[i])", "(reduce sum (i) (index x i))"},
    {"sum(i, j in K: e)", "(reduce sum (i (in j K)) e)"},
    {"max(i, j, a == b)", "(call max i j (== a b))"},
    {"sum(u in pred(v): h[u])", "(reduce sum ((in u (call pred v))) (index h u))"},
    {"[a, [b, c]]", "(list a (list b c))"},
    {"f(g = (h = a, c = b), r = (r, s))", "(call f (= g (group (= h a) (= c b))) (= r (group r s)))"},
    {"1 + 1.0 + 2.5 + 1e-6 + 3i + true", "(+ (+ (+ (+ (+ 1 1.0) 2.5) 1e-06) 3i) true)"},
    {"(a)\n", "a"},
    {"f(a,\n  b)\n", "(call f a b)"},
};

Test(parser, expressions)
{
    for (size_t i = 0; i < sizeof expr_row / sizeof *expr_row; i++) {
        Arena *a = arena_new();
        Str text = str_fmt(a, "fn f(x: real) = %s", expr_row[i].text);
        Parsed p = parsed(text);
        cr_assert_eq(p.diags->nerrors, 0, "%s", text.p);
        Text t = {.arena = a};
        ast_print_expr(&t, p.ast->fn[0]->value);
        expect_str(text_str(&t), str_of(expr_row[i].tree), expr_row[i].text);
        arena_free(p.arena);
        arena_free(a);
    }
}

Test(parser, spans_cover_what_was_written)
{
    Parsed p = parsed(STR("fn f(x: real) = (a + b) * f(x)[1].T"));
    const Expr *e = p.ast->fn[0]->value;
    cr_expect_eq(e->at.begin, 16);
    cr_expect_eq(e->at.end, 35);
    cr_expect_eq(e->bin.op_at.begin, 24);
    cr_expect_eq(e->bin.a->at.begin, 16);
    cr_expect_eq(e->bin.a->at.end, 23);
    cr_expect_eq(e->bin.b->at.begin, 26);
    arena_free(p.arena);
}

Test(parser, words_tree)
{
    Arena *a = arena_new();
    Parsed p = parsed(read_data(a, "words.rnn"));
    expect_str(printed(&p), read_data(a, "words.ast"), "words.ast");
    arena_free(p.arena);
    arena_free(a);
}

Test(parser, documentation)
{
    Parsed p =
        parsed(STR("# no\n## one\n##  two\n\ncell a over t (x: real) -> h {  ## no\n  ## of h\n  state h: real\n}\n"
                   "# no\ncell b over t (x: real) -> h { }\n"));
    cr_assert_eq(p.ast->ncell, 2);
    expect_str(p.ast->cell[0]->doc, STR("one\n two"), "cell a");
    expect_str(p.ast->cell[0]->body[0]->decls.decl[0].doc, STR("of h"), "state h");
    expect_str(p.ast->cell[1]->doc, STR(""), "cell b");
    arena_free(p.arena);
}

Test(parser, files_without_errors)
{
    for (int i = 0; i < NFILES; i++) {
        Arena *a = arena_new();
        Parsed p = parsed(read_rnn(a, i));
        Str errors = written(a, p.diags, false);
        cr_expect_eq(p.diags->nerrors, 0, "%s: %.*s", data_file[i], STRF(errors));
        arena_free(p.arena);
        arena_free(a);
    }
}

/* ---- errors: "line:col CODE" for each, in the order of the text ---- */

static const struct {
    const char *text, *errors;
} error_row[] = {
    {"", ""},
    {"\n# only a comment", ""},
    {"let a = 1", "1:1 E0103"},
    {"cel a over t (x: real) -> h {\n  let = 3\n}", "1:1 E0103, 2:7 E0103"},
    {"cell a[D over t (x: real) -> h {\n  let = 3\n}\ncell b over (x: real) -> h { }",
     "1:10 E0103, 2:7 E0103, 4:15 E0103"},
    {"cell a over t (x real) -> h {\n  h = \n}", "1:18 E0103, 3:1 E0103"},
    {"cell a over t (x: real) -> h {\n  h = (x\n  let b = [x, 2)\n  c = 1 +\n}", "2:9 E0103, 3:16 E0103, 5:1 E0103"},
    {"cell a over t (x: real) -> h {\n  h = x\n    + 1\n  lte b = 2\n  h = 3 4; k = = ; u = 5\n}",
     "3:5 E0103, 4:7 E0103, 5:9 E0103, 5:16 E0103"},
    {"cell a over t (x: real) -> h {\n  for j n 3 {\n    let a b\n  }\n  h = ]\n}", "2:9 E0103, 3:11 E0103, 5:7 E0103"},
    {"cell a over t (x: real) -> h {\n  h = x\ncell b over t (x: real) -> h {\n  h = = x\n}", "3:1 E0103, 4:7 E0103"},
    {"cell a over t (x: real) -> h {\n  h = x\n}\n}\nfn f(x: real) x\nfn g(x: real) = ",
     "4:1 E0103, 5:15 E0103, 6:16 E0103"},
    {"cell a over v in tree (x: real) -> h { }", "1:18 E0103"},
    {"cell a over v in dag, edges d -> u -> e (x: real) -> h { }", "1:34 E0103"},
    {"cell a over t (x: real) -> h {\n  param W: real ~ 3, b: real ~ uniform\n  let cell = 1\n}",
     "2:19 E0103, 3:7 E0103"},
    {"model m(x: real) -> y {\n  use a lstm\n  use b = lstm[\n}", "1:23 E0103, 2:9 E0103, 4:1 E0103"},
    {"test a { data; tolerance 1e-3 }\nschedule a { forward }\nimport lstm\nimport \"a\" as 3",
     "1:14 E0103, 2:22 E0103, 3:8 E0103, 4:15 E0103"},
    {"fn f(x: real) = 1(x) + 2", "1:18 E0103"},
    {"fn f(x: real) = x[] + f(,)", "1:19 E0103"},
    {"fn f(x: real) = 1 < x < 2\nfn g(x: real) = a == b != c", "1:23 E0108, 2:24 E0108"},
    {"fn f(x: real) = 2x + .5 + 1e + 1.2.3 + 1", "1:17 E0104, 1:22 E0104, 1:27 E0104, 1:32 E0104"},
    {"fn f(x: real) = 1e999 + 99999999999999999999", "1:17 E0107, 1:25 E0107"},
    {"fn f(x: real) = x $ 3\nfn g(x: real) = x & 4 ! 5", "1:19 E0102, 2:19 E0102, 2:23 E0102"},
    {"import \"a\nimport \"b", "1:8 E0105, 2:8 E0105"},
    {"# \xff\xfe bad\nfn f(x: real) = \xe2\x82 + \xc0\xaf \xed\xa0\x80 \xf5 # \x80",
     "1:3 E0101, 2:17 E0101, 2:21 E0101, 2:23 E0101, 2:25 E0101, 2:29 E0101"},
    {"\xef\xbb\xbf"
     "fn f(x: real) = x",
     ""},
    {"fn f(x: real) = x\r\nfn g(x: real) = x\r\n", ""},
    {"fn f(x: real) = α + \xe2\x88\x92 x", "1:21 E0102"},
};

static int by_begin(const void *a, const void *b)
{
    const Diag *x = a, *y = b;
    return (x->at.begin > y->at.begin) - (x->at.begin < y->at.begin);
}

static Str error_list(const Parsed *p)
{
    Text t = {.arena = p->arena};
    if (p->diags->list.n)
        qsort(p->diags->list.p, p->diags->list.n, sizeof(Diag), by_begin);
    for (uint32_t i = 0; i < p->diags->list.n; i++) {
        const Diag *d = &p->diags->list.p[i];
        LineCol at = source_place(p->src, d->at);
        text_add(&t, "%s%u:%u %s", i ? ", " : "", at.line, at.col, diag_code_text(d->code));
    }
    return text_str(&t);
}

Test(parser, errors)
{
    for (size_t i = 0; i < sizeof error_row / sizeof *error_row; i++) {
        Parsed p = parsed(str_of(error_row[i].text));
        expect_str(error_list(&p), str_of(error_row[i].errors), error_row[i].text);
        arena_free(p.arena);
    }
}

Test(parser, nul_is_a_character)
{
    Parsed p = parsed(STR("fn f(x: real) = x\0y\nfn g(x: real) = x"));
    expect_str(error_list(&p), STR("1:18 E0102"), "NUL");
    cr_expect(str_is(p.ast->fn[p.ast->nfn - 1]->name.text, "g"));
    arena_free(p.arena);
}

Test(parser, goes_on_behind_errors)
{
    Parsed p =
        parsed(STR("cell a over t (x: real) -> h {\n  let a = = 1\n  let b = 2\n}\nfn f( = 1\nfn g(x: real) = x\n"
                   "cell c over t x -> h { }\ntest a { data 1 2; bind H = 8 }\n"));
    cr_expect_eq(p.diags->nerrors, 4);
    cr_assert_eq(p.ast->ncell, 1);
    cr_expect_eq(p.ast->cell[0]->nbody, 1);
    cr_assert_eq(p.ast->nfn, 1);
    cr_expect(str_is(p.ast->fn[0]->name.text, "g"));
    cr_assert_eq(p.ast->ntest, 1);
    arena_free(p.arena);
}

/* ---- hostile text ---- */

static Str repeated(Arena *a, const char *head, const char *part, int n, const char *tail)
{
    Text t = {.arena = a};
    text_add(&t, "%s", head);
    for (int i = 0; i < n; i++)
        text_add(&t, "%s", part);
    text_add(&t, "%s", tail);
    return text_str(&t);
}

static uint32_t count_code(const Diags *ds, DiagCode code)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < ds->list.n; i++)
        n += ds->list.p[i].code == code;
    return n;
}

Test(parser, nesting_is_bounded, .timeout = 60)
{
    static const struct {
        const char *head, *part, *tail;
    } row[] = {
        {"fn f(x: real) = ", "(", "x"},
        {"fn f(x: real) = ", "[", "x"},
        {"fn f(x: real) = ", "-", "x"},
        {"fn f(x: real) = ", "not ", "x"},
        {"fn f(x: real) = ", "x^", "x"},
        {"fn f(x: real) = ", "f(", "x"},
        {"fn f(x: real) = ", "x[", "x"},
        {"fn f(x: real) = ", "x+", "x"},
        {"fn f(x: real) = ", "x or ", "x"},
        {"fn f(x: real) = x", ".T", ""},
        {"fn f(x: real) = x", "[0]", ""},
        {"fn f(x: real) = ", "sum(i: ", "x"},
        {"cell a over t (x: real) -> h {", "for j in 2 {", "}"},
        {"cell a over t (x: real) -> h {", "fn f(x: real) -> y {", "}"},
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        Arena *a = arena_new();
        Parsed p = parsed(repeated(a, row[i].head, row[i].part, 20000, row[i].tail));
        cr_expect_gt(count_code(p.diags, E_NESTING), 0, "%s", row[i].part);
        arena_free(p.arena);
        p = parsed(repeated(a, row[i].head, row[i].part, 40, row[i].tail));
        cr_expect_eq(count_code(p.diags, E_NESTING), 0, "%s", row[i].part);
        arena_free(p.arena);
        arena_free(a);
    }
}

Test(parser, nesting_is_counted_by_level, .timeout = 60)
{
    static const char *const part[] = {"(", "-", "not ", "x^", "f(", "[", "x["};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++)
        for (int more = 0; more < 2; more++) {
            Arena *a = arena_new();
            Parsed p = parsed(repeated(a, "fn f(x: real) = ", part[i], 200 + more, "x"));
            cr_expect_eq(count_code(p.diags, E_NESTING), (uint32_t)more, "%s", part[i]);
            arena_free(p.arena);
            arena_free(a);
        }
}

Test(parser, many_errors_are_counted, .timeout = 60)
{
    Arena *a = arena_new();
    Parsed p = parsed(repeated(a, "", "$ ", 50000, ""));
    cr_expect_eq(p.diags->nerrors, 50000);
    cr_expect_lt(p.diags->list.n, 5000);
    Str s = written(a, p.diags, false);
    cr_expect(strstr(s.p, "more errors"));
    arena_free(p.arena);
    arena_free(a);
}

/* ---- formatter ---- */

static Str formatted(Arena *a, Str text)
{
    Sources *src = sources_new(a);
    uint32_t file = source_add(src, STR("a.rnn"), text);
    Diags *ds = diags_new(a, src);
    return fmt_source(a, src, file, ds);
}

/* Same tokens, same comments (their text is in neither, so their number is compared), and nothing left to change. */
static void expect_well_formatted(Arena *a, Str text, const char *name)
{
    Str once = formatted(a, text);
    expect_str(formatted(a, once), once, name);
    expect_str(token_kinds(a, once), token_kinds(a, text), name);
}

Test(fmt, keeps_tokens_and_is_idempotent)
{
    for (int i = 0; i < NFILES; i++) {
        Arena *a = arena_new();
        expect_well_formatted(a, read_rnn(a, i), data_file[i]);
        arena_free(a);
    }
}

Test(fmt, tidies)
{
    Arena *a = arena_new();
    expect_str(formatted(a, read_data(a, "untidy.rnn")), read_data(a, "untidy.expected"), "untidy");
    expect_str(formatted(a, read_data(a, "words.rnn")), read_data(a, "words.rnn"), "words is tidy");
    arena_free(a);
}

Test(fmt, keeps_every_comment)
{
    Arena *a = arena_new();
    Str got =
        formatted(a, STR("#a\n\n\n#b\ncell a over t (x: real) #c\n{ #d\n\n #e\nh = x + #f\n x #g\n#h\n\n}#i\n#j"));
    for (char c = 'a'; c <= 'j'; c++)
        cr_expect(strstr(got.p, (char[]){'#', c, 0}), "comment %c is lost in\n%s", c, got.p);
    expect_str(
        formatted(a, STR("cell a over t (x: real) -> h #c\n{ #d\n\n #e\nh = x + #f\n x #g\n\n\n#h\n\n}#i\n\n\n#j")),
        STR("cell a over t (x: real) -> h  #c\n{  #d\n  #e\n  h = x +  #f\n      x  #g\n\n  #h\n}  #i\n\n#j\n"),
        "comments");
    arena_free(a);
}

Test(fmt, leaves_a_wrong_file_alone)
{
    Arena *a = arena_new();
    Str text = STR("fn   f(x: real) = = x\n");
    Sources *src = sources_new(a);
    uint32_t file = source_add(src, STR("a.rnn"), text);
    Diags *ds = diags_new(a, src);
    expect_str(fmt_source(a, src, file, ds), text, "wrong file");
    cr_expect_eq(ds->nerrors, 1);
    expect_str(formatted(a, STR("")), STR(""), "empty file");
    arena_free(a);
}

/* ---- mutation: bytes changed, removed, doubled, copied from elsewhere; always the same ones ---- */

static uint32_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static uint32_t mutate(char *p, uint32_t n, uint32_t cap, uint64_t *state)
{
    static const char bytes[] = "()[]{}=,;:#\n\"-+^@~.<!\xff\xc3\0"
                                "9e iT";
    uint32_t at = next_random(state) % n, from = next_random(state) % n, len = 1 + next_random(state) % 8;
    switch (next_random(state) % 4) {
    case 0: p[at] = bytes[next_random(state) % (sizeof bytes - 1)]; break;
    case 1:
        len = len < n - at ? len : n - at;
        memmove(p + at, p + at + len, n - at - len);
        n -= len;
        break;
    case 2:
        if (n + 1 <= cap) {
            memmove(p + at + 1, p + at, n - at);
            n++;
        }
        break;
    default:
        len = len < n - at ? len : n - at;
        len = len < n - from ? len : n - from;
        memmove(p + at, p + from, len);
    }
    return n;
}

static uint32_t survive(Str text)
{
    Parsed p = parsed(text);
    printed(&p);
    if (p.diags->nerrors == 0)
        expect_well_formatted(p.arena, text, "mutated");
    uint32_t n = p.diags->nerrors;
    arena_free(p.arena);
    return n;
}

Test(parser, survives_mutation, .timeout = 300)
{
    uint64_t state = 1;
    uint32_t wrong = 0, right = 0;
    for (int i = 0; i < NFILES; i++) {
        Arena *a = arena_new();
        Str text = read_rnn(a, i);
        char *p = arena_alloc(a, text.n + 64);
        for (int round = 0; round < 300; round++) {
            uint32_t n = text.n, changes = 1 + next_random(&state) % 6;
            memcpy(p, text.p, n);
            for (uint32_t k = 0; k < changes && n > 0; k++)
                n = mutate(p, n, text.n + 64, &state);
            if (survive((Str){p, n}))
                wrong++;
            else
                right++;
        }
        arena_free(a);
    }
    cr_expect_gt(wrong, 500);
    cr_expect_gt(right, 50);
}

Test(parser, survives_truncation, .timeout = 300)
{
    Arena *a = arena_new();
    Str text = read_data(a, "words.rnn");
    for (uint32_t n = 0; n < text.n; n++)
        survive((Str){text.p, n});
    arena_free(a);
}

/* ---- diagnostics ---- */

Test(diag, text)
{
    Parsed p = parsed(STR("cell ok over t (x: real) -> h {\n\tlet α = [x, αβ 2\n}\nlte x = 2\n"));
    Str got = written(p.arena, p.diags, false);
    expect_str(
        got,
        STR("a.rnn:2:17: error: expected `]`, found `2` [E0103]\n"
            "    2 |  let α = [x, αβ 2\n"
            "      |                 ^\n"
            "a.rnn:2:10: note: opened here\n"
            "    2 |  let α = [x, αβ 2\n"
            "      |          ^\n"
            "a.rnn:4:1: error: expected `cell`, `model`, `fn`, `import`, `schedule` or `test`, found `lte` [E0103]\n"
            "    4 | lte x = 2\n"
            "      | ^~~\n"),
        "text");
    arena_free(p.arena);
}

Test(diag, json)
{
    Parsed p = parsed(STR("cell ok over t (x: real) -> h {\n let a = (x \"q\" \\ \n}\n"));
    expect_str(
        written(p.arena, p.diags, true),
        STR("[\n"
            "  {\"file\": \"a.rnn\", \"line\": 2, \"column\": 13, \"end_line\": 2, \"end_column\": 16, \"code\": "
            "\"E0103\", "
            "\"severity\": \"error\", \"message\": \"expected `)`, found the string \\\"q\\\"\", \"help\": \"\", "
            "\"related\": "
            "[{\"file\": \"a.rnn\", \"line\": 2, \"column\": 10, \"end_line\": 2, \"end_column\": 11, \"message\": "
            "\"opened here\"}]},\n"
            "  {\"file\": \"a.rnn\", \"line\": 2, \"column\": 17, \"end_line\": 2, \"end_column\": 18, \"code\": "
            "\"E0102\", "
            "\"severity\": \"error\", \"message\": \"unexpected character `\\\\`\", \"help\": \"\", \"related\": []}\n"
            "]\n"),
        "json");
    arena_free(p.arena);
}

Test(diag, same_twice_is_one)
{
    Arena *a = arena_new();
    Sources *src = sources_new(a);
    Span at = {source_add(src, STR("a.rnn"), STR("abc")), 1, 2};
    Diags *ds = diags_new(a, src);
    diag(ds, E_BAD_NUMBER, at, "b");
    diag(ds, E_BAD_NUMBER, at, "b");
    diag(ds, E_BAD_NUMBER, at, "c");
    cr_expect_eq(ds->list.n, 2);
    cr_expect_eq(ds->nerrors, 2);
    arena_free(a);
}

Test(diag, shows_the_place_in_a_long_line)
{
    Arena *a = arena_new();
    Str text = repeated(a, "", "abcdefghij", 1000, "");
    Sources *src = sources_new(a);
    Diags *ds = diags_new(a, src);
    uint32_t file = source_add(src, STR("a.rnn"), text);
    diag(ds, E_BAD_NUMBER, (Span){file, 5003, 5006}, "def");
    Str got = written(a, ds, false);
    const char *mark = strstr(got.p, "^~~"), *line = strstr(got.p, "    1 | "), *next = strchr(line, '\n');
    cr_assert(mark && got.n < 500);
    size_t column = (size_t)(mark - next - 1);
    cr_expect(strncmp(line + column, "def", 3) == 0, "%s", got.p);
    arena_free(a);
}

Test(diag, did_you_mean)
{
    static const Str names[] = {{"sigmoid", 7}, {"tanh", 4}, {"h", 1}, {"hidden", 6}, {"Wx", 2}};
    static const struct {
        const char *name, *want;
    } row[] = {{"sigmiod", "sigmoid"}, {"sigmod", "sigmoid"}, {"tahn", "tanh"}, {"x", ""},
               {"zzzz", ""},           {"hiden", "hidden"},   {"tanh", ""}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        expect_str(nearest(str_of(row[i].name), names, 5), str_of(row[i].want), row[i].name);
}
