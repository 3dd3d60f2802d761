#include "frontend/driver.h"

typedef int Command(Driver *d);

static Command *const command[VERB_COUNT] = {
    [VERB_CHECK] = cmd_check, [VERB_EXPLAIN] = cmd_explain, [VERB_BUILD] = cmd_build,     [VERB_RUN] = cmd_run,
    [VERB_TEST] = cmd_test,   [VERB_TUNE] = cmd_tune,       [VERB_FMT] = cmd_fmt,         [VERB_TARGETS] = cmd_targets,
    [VERB_VERSION] = cmd_version, [VERB_BENCH] = cmd_bench,
};

static void print_information(Arena *a, const Options *o)
{
    Text out = {.arena = a};
    if (o->given[OPT_MAN])
        options_man(&out);
    else if (o->given[OPT_COMPLETION])
        options_completion(&out);
    else
        options_help(&out, o->verb);
    fputs(text_str(&out).p, stdout);
}

static int run(Arena *a, int argc, char **argv)
{
    Options opt;
    Str error;
    if (!options_parse(a, &opt, argc, argv, &error)) {
        fprintf(stderr, "rnnc: %.*s\n", STRF(error));
        return EXIT_USAGE;
    }
    Sources *sources = sources_new(a);
    Driver d = {.arena = a,
                .opt = &opt,
                .sources = sources,
                .diags = diags_new(a, sources),
                .progress = progress_begin(a),
                .form = {.kind = REC_FORM_AUTO}};
    if (opt.given[OPT_SHOW_VERSION])
        return cmd_version(&d);
    if (opt.given[OPT_HELP] || opt.given[OPT_MAN] || opt.given[OPT_COMPLETION]) {
        print_information(a, &opt);
        return EXIT_FINE;
    }
    int code = driver_read_form(&d) ? command[opt.verb](&d) : EXIT_USAGE;
    progress_end(d.progress);
    driver_gpu_close(&d);
    return code;
}

/* What was printed but could not be written is an error too. */
int main(int argc, char **argv)
{
    Arena *a = arena_new();
    int code = run(a, argc, argv);
    arena_free(a);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("rnnc: error: cannot write standard output\n", stderr);
        return code ? code : EXIT_INPUT;
    }
    return code;
}
