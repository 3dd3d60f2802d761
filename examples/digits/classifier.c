#include "classifier.h"
#include "images.h"

#include <string.h>

/* How many numbers a shape such as "[5, 16, 1]" has; 1 for "". */
static size_t elements(const char *shape)
{
    size_t n = 1, digits = 0;
    for (; *shape; shape++)
        if (*shape >= '0' && *shape <= '9')
            digits = 10 * digits + (size_t)(*shape - '0');
        else if (*shape == ',' || *shape == ']')
            n *= digits, digits = 0;
    return n;
}

static size_t elements_of(const rnn_info *info, const char *weight)
{
    for (int i = 0; i < info->narrays; i++)
        if (strcmp(info->arrays[i].group, "params") == 0 && strcmp(info->arrays[i].name, weight) == 0)
            return elements(info->arrays[i].shape);
    die(weight, "no weight of this name");
}

/* The generated functions of two models differ in the names of their types and weights only, so what stands between
 * them and a Classifier is written once, in classifier.inc. */
#define JOINED(a, b) a##b
#define JOIN(a, b) JOINED(a, b)
#define NAME(what) JOIN(MODEL, what)

#define MODEL digit_mdlstm
#define WEIGHTS(each)                                                                                                  \
    each(a_W) each(a_U) each(a_b) each(b_W) each(b_U) each(b_b) each(c_W) each(c_U) each(c_b) each(d_W) each(d_U)      \
        each(d_b) each(head) each(bias)
#include "classifier.inc"
#undef MODEL
#undef WEIGHTS

#define MODEL digit_plstm
#define WEIGHTS(each)                                                                                                  \
    each(near) each(near_bias) each(qkv) each(gate) each(gate_bias) each(own) each(own_bias) each(head) each(bias)
#include "classifier.inc"

Classifier classifier_mdlstm(void)
{
    return digit_mdlstm_classifier("MDLSTM");
}

Classifier classifier_plstm(void)
{
    return digit_plstm_classifier("pLSTM");
}
