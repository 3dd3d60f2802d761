/* nan FILE.so...: what lies beyond a sequence's length, NaN too, reaches no result; without places or sequences, final states
 * are the initial ones and gradients of parameters stay as they are. nan --finite FILE.so: all results are finite numbers
 * over inputs of every sign and zeros. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "call.h"

typedef struct Test {
    const Model *model;
    Run forward, backward; /* TRAIN and BACKWARD */
    Heap heap[2];
    Memory memory[2];
    Case c;
} Test;

/* Forward and backward, laid out but not called. */
static void begin(Test *t, const Model *m, const Case *c)
{
    memset(t, 0, sizeof *t);
    t->model = m;
    t->c = *c;
    for (int i = 0; i < 2; i++)
        t->memory[i] = heap_memory(&t->heap[i], false);
    run_begin(&t->forward, m, &t->c, &t->memory[0], TRAIN);
    t->backward.call = t->forward.call;
    run_begin(&t->backward, m, &t->c, &t->memory[1], BACKWARD);
}

static bool call(Test *t)
{
    return run_call(&t->forward) == RNN_OK && run_call(&t->backward) == RNN_OK;
}

static void end(Test *t)
{
    heap_free(&t->heap[0]);
    heap_free(&t->heap[1]);
}

static bool complain(const Test *t, const char *what, const char *array)
{
    char text[600];
    case_print(text, sizeof text, t->model, &t->c, what);
    fprintf(stderr, "%s: %s\n", text, array);
    return false;
}

static const rnn_array *row_info(const Test *t, int row)
{
    return &t->model->info->arrays[row];
}

static bool in_group(const Model *m, int row, Group g)
{
    return row >= m->first[g] && row < m->first[g] + m->count[g];
}

static double element(const rnn_array *a, const void *p, size_t i)
{
    return !strcmp(a->type, "double") ? ((const double *)p)[i] : (double)((const float *)p)[i];
}

static void set_element(const rnn_array *a, void *p, size_t i, double x)
{
    if (!strcmp(a->type, "double"))
        ((double *)p)[i] = x;
    else if (!strcmp(a->type, "float"))
        ((float *)p)[i] = (float)x;
    else if (!strcmp(a->type, "uint8_t"))
        ((uint8_t *)p)[i] = 1;
    else
        ((int32_t *)p)[i] = INT32_MAX;
}

static size_t width(const rnn_array *a)
{
    return !strcmp(a->type, "double") ? 8 : !strcmp(a->type, "uint8_t") ? 1 : 4;
}

static bool same_bytes(const Test *t, int a, const Run *of_a, int b, const Run *of_b, const char *what)
{
    const void *p = of_a->word[a].array, *q = of_b->word[b].array;
    if (a < 0 || b < 0 || of_a->bytes[a] != of_b->bytes[b] || (of_a->bytes[a] && memcmp(p, q, of_a->bytes[a])))
        return complain(t, what, row_info(t, b)->name);
    return true;
}

/* ---- beyond the lengths ---- */

typedef bool Visit(Test *t, const rnn_array *a, void *p, size_t i);

/* Every element of an array [T, B, ...] that lies beyond its sequence. */
static bool beyond(Test *t, const Run *r, int row, const int32_t *lengths, Visit *visit)
{
    const rnn_array *a = row_info(t, row);
    void *p = r->word[row].array;
    size_t T = (size_t)t->c.size[model_size(t->model, "T")], B = (size_t)t->c.size[model_size(t->model, "B")];
    if (!p || strncmp(a->shape, "[T, B", 5) || !T || !B)
        return true;
    size_t n = r->bytes[row] / width(a), rest = n / (T * B);
    for (size_t i = 0; i < n; i++)
        if (i / rest / B >= (size_t)lengths[i / rest % B] && !visit(t, a, p, i))
            return complain(t, "beyond its length is not zero", a->name);
    return true;
}

static bool spoil(Test *t, const rnn_array *a, void *p, size_t i)
{
    (void)t;
    set_element(a, p, i, (double)NAN);
    return true;
}

static bool is_zero(Test *t, const rnn_array *a, void *p, size_t i)
{
    (void)t;
    return !is_real(a) || element(a, p, i) == 0;
}

static bool each_row(Test *t, const int32_t *lengths, Visit *visit, bool inputs)
{
    bool ok = true;
    for (int row = 0; row < t->model->narray; row++) {
        bool in = in_group(t->model, row, INPUTS), cotangent = in_group(t->model, row, COTANGENTS);
        bool out = in_group(t->model, row, OUTPUTS), gradient = in_group(t->model, row, INPUT_GRADS);
        if (inputs ? in : out)
            ok = ok && beyond(t, &t->forward, row, lengths, visit);
        if (inputs ? in || cotangent : gradient)
            ok = ok && beyond(t, &t->backward, row, lengths, visit);
    }
    return ok;
}

/* Every result of both is the same bytes. */
static bool same_results(const Test *a, const Test *b)
{
    static const Group written[] = {OUTPUTS, GRADS, INPUT_GRADS};
    for (int i = 0; i < 3; i++) {
        Group g = written[i];
        const Run *ra = g == OUTPUTS ? &a->forward : &a->backward, *rb = g == OUTPUTS ? &b->forward : &b->backward;
        for (int row = a->model->first[g]; row < a->model->first[g] + a->model->count[g]; row++)
            if (!same_bytes(b, row, ra, row, rb, "what lies beyond the lengths reaches"))
                return false;
    }
    return true;
}

static bool check_beyond(const Model *m, const Case *c)
{
    Test clean, spoilt;
    int row = model_array(m, INPUTS, "lengths");
    if (row < 0)
        return true;
    begin(&clean, m, c);
    begin(&spoilt, m, c);
    each_row(&spoilt, spoilt.forward.word[row].array, spoil, true);
    bool ok = call(&clean) && call(&spoilt);
    if (!ok)
        complain(&spoilt, "beyond", "a call fails");
    ok = ok && same_results(&clean, &spoilt) && each_row(&clean, clean.forward.word[row].array, is_zero, false);
    end(&clean);
    end(&spoilt);
    return ok;
}

/* ---- no places, no sequences ---- */

/* `h0` or `hT` for state `h`, `z0_re` for `z_re`, a part of a complex one */
static int marked_array(const Model *m, Group g, const char *state, char mark)
{
    char name[200];
    const char *part = strrchr(state, '_');
    snprintf(name, sizeof name, "%s%c", state, mark);
    int row = model_array(m, g, name);
    if (row >= 0 || !part)
        return row;
    snprintf(name, sizeof name, "%.*s%c%s", (int)(part - state), state, mark, part);
    return model_array(m, g, name);
}

/* hT is h0, for every state; t0 counts as one too. */
static bool finals_are_initial(const Test *t)
{
    const Model *m = t->model;
    for (int i = 0; i < m->count[CARRY]; i++) {
        const char *name = row_info(t, m->first[CARRY] + i)->name;
        if (!same_bytes(t, marked_array(m, INPUTS, name, '0'), &t->forward, marked_array(m, OUTPUTS, name, 'T'), &t->forward,
                        "a final state is not the initial one"))
            return false;
    }
    return true;
}

static bool check_nothing(const Model *m, const Case *c)
{
    Test t, untouched;
    bool ok = true;
    begin(&t, m, c);
    begin(&untouched, m, c);
    ok = call(&t) ? finals_are_initial(&t) : complain(&t, "nothing", "a call fails");
    for (int row = m->first[GRADS]; ok && row < m->first[GRADS] + m->count[GRADS]; row++)
        ok = same_bytes(&t, row, &t.backward, row, &untouched.backward, "a gradient is not left alone");
    end(&t);
    end(&untouched);
    return ok;
}

/* ---- finite ---- */

/* Inputs: -3, 0, 3, -0.5, 0.5 and again. Start values and parameters as drawn. */
static void plain_values(Run *r)
{
    static const double value[] = {-3, 0, 3, -0.5, 0.5};
    int row = model_array(r->model, INPUTS, "x");
    const rnn_array *a = &r->model->info->arrays[row];
    for (size_t i = 0; i < r->bytes[row] / width(a); i++)
        set_element(a, r->word[row].array, i, value[i % 5]);
}

static bool all_finite(Test *t, const Run *r)
{
    for (int row = 0; row < t->model->narray; row++) {
        const rnn_array *a = row_info(t, row);
        if (!is_real(a) || !r->word[row].array)
            continue;
        for (size_t i = 0; i < r->bytes[row] / width(a); i++)
            if (!isfinite(element(a, r->word[row].array, i)))
                return complain(t, "is not finite", a->name);
    }
    return true;
}

static bool check_finite(const Model *m, const Case *c)
{
    Test t;
    begin(&t, m, c);
    plain_values(&t.forward);
    plain_values(&t.backward);
    bool ok = (call(&t) || complain(&t, "finite", "a call fails")) && all_finite(&t, &t.forward) && all_finite(&t, &t.backward);
    end(&t);
    return ok;
}

static bool check_model(const Model *m, bool finite)
{
    Case c = {{0}, ALL, false, false, 1};
    int T = model_size(m, "T"), B = model_size(m, "B");
    for (int i = 0; case_sizes(m, i, &c); i++) {
        c.seed++;
        bool nothing = c.size[B] == 0 || (T >= 0 && c.size[T] == 0);
        if (finite ? !check_finite(m, &c) : !check_beyond(m, &c))
            return false;
        if (nothing && !finite && m->count[CARRY] && !check_nothing(m, &c))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    bool finite = argc > 1 && !strcmp(argv[1], "--finite");
    int failed = argc < 2 + finite;
    for (int i = 1 + finite; i < argc; i++) {
        Model m;
        failed += !model_open(&m, argv[i]) || !check_model(&m, finite);
    }
    return failed != 0;
}
