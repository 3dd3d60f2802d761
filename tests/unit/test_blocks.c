/* Plans for GPUs: each does what its program says, with no two threads in each other's way; and what plans look like. */
#include "tests/ptx/blocks.h"

static void check_plan(const Pair *p)
{
    for (uint32_t i = 0; i < NCASE; i++) {
        Arena *a = arena_new();
        Case c = case_number(i);
        Str wrong = run_case(a, p, &c);
        cr_assert(wrong.n == 0, "%s, T %d B %d keep %d seed %d: %.*s", p->what, (int)c.T, (int)c.B, c.keep, (int)c.seed, STRF(wrong));
        arena_free(a);
    }
}

/* ---- files ---- */

static uint32_t check_entry(const Entry *e, RecForm form, FactorType products)
{
    Arena *a = arena_new();
    Pair p;
    bool is = pair_new(a, e, form, products, &p);
    if (is)
        check_plan(&p);
    arena_free(a);
    return is;
}

#define SEQUENTIAL (RecForm){.kind = REC_FORM_SEQUENTIAL}

static void check_tiled(const char *file, RecForm form, FactorType products)
{
    each_entry(file, form, products, check_entry);
}

static void check_file(const char *file, RecForm form)
{
    check_tiled(file, form, FACTOR_REAL);
}

static void check_folder(const char *folder, RecForm form)
{
    each_file(folder, form, check_entry);
}

Test(blocks, library) { check_folder("stdlib", SEQUENTIAL); }
Test(blocks, cells) { check_folder("tests/cells", SEQUENTIAL); }
Test(blocks, together) { check_file("tests/ptx/together.rnn", SEQUENTIAL); }
Test(blocks, scan) { check_folder("stdlib", (RecForm){.kind = REC_FORM_SCAN, .size = 3}); }
Test(blocks, chunk) { check_folder("stdlib", (RecForm){.kind = REC_FORM_CHUNK, .size = 3}); }
Test(blocks, convolution) { check_folder("stdlib", (RecForm){.kind = REC_FORM_CONVOLUTION, .size = 3}); }

static void check_files(const char *const *file, size_t n, RecForm form)
{
    for (size_t i = 0; i < n; i++)
        check_file(file[i], form);
}

Test(blocks, newton)
{
    static const char *const files[] = {"stdlib/pararnn.rnn", "stdlib/elman.rnn", "stdlib/deltanet.rnn", "stdlib/slstm.rnn"};
    check_files(files, sizeof files / sizeof *files, (RecForm){.kind = REC_FORM_NEWTON, .size = 3});
}

Test(blocks, wavefront)
{
    static const char *const files[] = {"stdlib/mdrnn.rnn", "stdlib/grid_lstm.rnn"};
    check_files(files, sizeof files / sizeof *files, (RecForm){.kind = REC_FORM_WAVEFRONT});
}

Test(blocks, grids_in_blocks) { check_file("tests/cells/inside/blocks.rnn", (RecForm){.kind = REC_FORM_BLOCK, .size = 2}); }

/* Several forms in one program, where sizes decide. */
Test(blocks, usual_form)
{
    static const char *const files[] = {"stdlib/gla.rnn", "stdlib/mlstm.rnn", "stdlib/h3.rnn", "stdlib/rwkv7.rnn", "stdlib/mamba2.rnn"};
    check_files(files, sizeof files / sizeof *files, (RecForm){.kind = REC_FORM_AUTO});
}

/* ---- products by warps ---- */

Test(blocks, tiles)
{
    static const char *const files[] = {"stdlib/lstm.rnn", "stdlib/gru_reset_before.rnn", "stdlib/lstm_heads.rnn", "stdlib/jordan.rnn"};
    static const char *const chunked[] = {"stdlib/gla.rnn", "stdlib/deltanet.rnn"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        check_tiled(files[i], SEQUENTIAL, FACTOR_BF16);
    for (size_t i = 0; i < sizeof chunked / sizeof *chunked; i++)
        check_tiled(chunked[i], (RecForm){.kind = REC_FORM_CHUNK, .size = 3}, FACTOR_TF32);
}

/* ---- what a plan looks like ---- */

/* From the line of a kernel to its end. */
static Str text_of(Arena *a, const NvPlan *p, const char *kernel)
{
    Text t = {.arena = a};
    nv_print(&t, p);
    const char *all = str_c(a, text_str(&t)), *at = strstr(all, kernel), *end = at ? strstr(at, "\n\n") : NULL;
    cr_assert(at, "%s\nhas no %s", all, kernel);
    return (Str){at, (uint32_t)(end ? (size_t)(end - at) : strlen(at))};
}

/* Two barriers a step: the product needs all of the last state, and what it gives is needed by others. */
Test(blocks, plan_of_gru)
{
    Arena *a = arena_new();
    Pair p;
    cr_assert(pair_new(a, &(Entry){"stdlib/gru.rnn", "gru"}, SEQUENTIAL, FACTOR_REAL, &p));
    Str forward = text_of(a, p.plan, "gru_forward_6"), backward = text_of(a, p.plan, "gru_backward_1");
    cr_assert(str_is(forward, "gru_forward_6, blocks of B, piece 1\n"
                              "  steps %4 < T\n"
                              "    barrier\n"
                              "    share 3*H*part.1 writes b33\n"
                              "    each\n"
                              "    each\n"
                              "    each\n"
                              "    barrier\n"
                              "    share H*part.1 writes b31 b14 b28 b30 b32 b29"), "%.*s", STRF(forward));
    cr_assert(str_is(backward, "gru_backward_1, blocks of B, piece 1\n"
                               "  steps %0 < T\n"
                               "    each\n"
                               "    each\n"
                               "    share H*part.1 writes b25 b24 b25 b24 b25 b24 b27\n"
                               "    barrier\n"
                               "    share H*part.1 writes b26\n"
                               "    each\n"
                               "    share H*part.1 writes b23"), "%.*s", STRF(backward));
    arena_free(a);
}

/* Heads see nothing of each other: there are as many blocks as heads and sequences. */
Test(blocks, plan_of_heads)
{
    Arena *a = arena_new();
    Pair p;
    cr_assert(pair_new(a, &(Entry){"stdlib/lstm_heads.rnn", "lstm_heads"}, SEQUENTIAL, FACTOR_REAL, &p));
    Str forward = text_of(a, p.plan, "lstm_heads_forward_5");
    cr_assert(str_is(forward, "lstm_heads_forward_5, blocks of B, piece 1 x N, piece 1\n"
                              "  steps %4 < T\n"
                              "    barrier\n"
                              "    share 4*K*part.1*part.2 writes b34\n"
                              "    each\n"
                              "    each\n"
                              "    barrier\n"
                              "    share K*part.1*part.2 writes b14 b13 b28 b27 b29 b31 b32 b33 b30"), "%.*s", STRF(forward));
    arena_free(a);
}

static NvPlan *plan_for(Arena *a, const Entry *e, const char *arch)
{
    return nv_plan(a, lowered(a, e, SEQUENTIAL, FACTOR_REAL), &(NvOptions){.arch = str_of(arch)});
}

/* On all GPUs; barriers where a block has them by itself, too, for all or for each of its blocks. Not where threads add up what others have. */
Test(blocks, plan_of_teams)
{
    Arena *a = arena_new();
    for (uint32_t i = 0; nv_arch(i); i++) {
        Str steps = text_of(a, plan_for(a, &(Entry){"stdlib/elman.rnn", "elman"}, nv_arch(i)), "elman_forward_6_team");
        cr_assert(str_is(steps, "elman_forward_6_team, blocks of B, piece 1, in teams along H, keeps H*part.2 + 4*part.2, part.2\n"
                                "  share part.1*part.2 writes b31 b31\n"
                                "  share H*part.2 writes b32\n"
                                "  share part.2 writes b33\n"
                                "  steps %4 < T\n"
                                "    each\n"
                                "    each\n"
                                "    each\n"
                                "    each\n"
                                "    barrier of the team\n"
                                "    share part.1*part.2 writes b25\n"
                                "    each\n"
                                "    each\n"
                                "    share part.1*part.2 writes b12 b23 b31 b24"), "%.*s", STRF(steps));
    }
    Text t = {.arena = a};
    nv_print(&t, plan_for(a, &(Entry){"stdlib/gated_deltanet.rnn", "gated_deltanet"}, "sm_90"));
    cr_assert(strstr(str_c(a, text_str(&t)), "combine") && !strstr(str_c(a, text_str(&t)), "_team"));
    arena_free(a);
}

static uint32_t times_of(const char *text, const char *what)
{
    uint32_t n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

/* A team waits for all of its blocks once a step: what one gate tells another stays in a block, and states take turns. */
Test(blocks, barriers_of_teams)
{
    static const struct {
        const char *file, *entry, *kernel;
        uint32_t team, block;
    } of[] = {{"stdlib/lstm.rnn", "lstm", "lstm_forward_6_team", 1, 1},
              {"stdlib/lstm.rnn", "lstm", "lstm_backward_1_team", 1, 0},
              {"stdlib/gru.rnn", "gru", "gru_forward_6_team", 1, 1},
              {"stdlib/gru.rnn", "gru", "gru_backward_1_team", 1, 1},
              {"stdlib/gru_reset_before.rnn", "gru_reset_before", "gru_reset_before_forward_6_team", 2, 0}};
    for (uint32_t i = 0; i < sizeof of / sizeof *of; i++) {
        Arena *a = arena_new();
        const char *text = str_c(a, text_of(a, plan_for(a, &(Entry){of[i].file, of[i].entry}, "sm_75"), of[i].kernel));
        cr_assert_eq(times_of(text, "barrier of the team\n"), of[i].team, "%s", text);
        cr_assert_eq(times_of(text, "barrier\n"), of[i].block, "%s", text);
        arena_free(a);
    }
}

/* Pieces side by side, and what may come before or behind them out of the way. */
Test(blocks, plan_of_scan)
{
    Arena *a = arena_new();
    Pair p, none;
    cr_assert(pair_new(a, &(Entry){"tests/ptx/diagonal.rnn", "diagonal"}, (RecForm){.kind = REC_FORM_SCAN, .size = 5}, FACTOR_REAL, &p));
    Str forward = text_of(a, p.plan, "diagonal_forward_7"), backward = text_of(a, p.plan, "diagonal_backward_5");
    cr_assert(str_is(forward, "diagonal_forward_7, threads for 5*B*H\n  look back over 5 pieces: b24 b23, then b28 b20, then b21 b20"), "%.*s", STRF(forward));
    cr_assert(str_is(backward, "diagonal_backward_5, threads for 5*B*H\n  look back over 5 pieces: b17 b16, then b30 b12, then b13 b12 b14"), "%.*s", STRF(backward));
    cr_assert(pair_new(a, &(Entry){"stdlib/plstm.rnn", "plstm"}, (RecForm){.kind = REC_FORM_SCAN, .size = 5}, FACTOR_REAL, &none));
    Text t = {.arena = a};
    nv_print(&t, none.plan); /* steps composed as matrices */
    cr_assert_null(strstr(str_c(a, text_str(&t)), "look back"));
    arena_free(a);
}

/* The rows of a tile are places of the batch; outside of steps they are all places, of which blocks make tiles. */
Test(blocks, plan_of_tiles)
{
    Arena *a = arena_new();
    Pair p;
    cr_assert(pair_new(a, &(Entry){"stdlib/gru.rnn", "gru"}, SEQUENTIAL, FACTOR_BF16, &p));
    Str steps = text_of(a, p.plan, "gru_forward_6"), inputs = text_of(a, p.plan, "gru_forward_4");
    cr_assert(str_is(steps, "gru_forward_6, blocks of B, piece 16\n"
                            "  steps %4 < T\n"
                            "    barrier\n"
                            "    tiles of 16 x 32, bf16, share 3*H*part.1 writes b33\n"
                            "    each\n"
                            "    each\n"
                            "    each\n"
                            "    barrier\n"
                            "    share H*part.1 writes b31 b14 b28 b30 b32 b29"), "%.*s", STRF(steps));
    cr_assert(str_is(inputs, "gru_forward_4, threads for 3*B*T*H\n"
                             "  panels for tiles of 128 x 64, bf16, share 3*B*T*H writes b34"), "%.*s", STRF(inputs));
    arena_free(a);
}
