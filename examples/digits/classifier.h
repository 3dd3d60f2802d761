/* What the program sees of a model: its weights are one block of numbers, so that Adam is one loop. */
#ifndef CLASSIFIER_H
#define CLASSIFIER_H

#include "digit_mdlstm.h"
#include "digit_plstm.h"

/* Images as the models want them. */
typedef struct Batch {
    int64_t n;
    float *x;       /* [8, 8, n, 1] */
    int32_t *label; /* [n] */
    float *logits;  /* [n, 10] */
    float *loss;    /* [n] */
    float *d_loss;  /* [n] */
} Batch;

typedef struct Classifier {
    const char *name;
    size_t nweights;
    rnn_status (*init)(float *w, uint64_t seed);
    size_t (*workspace)(int64_t n, int passes);
    rnn_status (*forward)(const Batch *b, const float *w, const rnn_call *call);
    rnn_status (*backward)(const Batch *b, const float *w, float *gradient,
                           const rnn_call *call); /* adds to gradient */
} Classifier;

Classifier classifier_mdlstm(void);
Classifier classifier_plstm(void);

#endif
