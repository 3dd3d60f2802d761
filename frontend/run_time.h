/* How long calls of compiled code take: forward alone, and forward with backward. Several codes are timed side by side, a
 * round of each after the other, so that what disturbs the machine disturbs them alike. */
#ifndef FRONTEND_RUN_TIME_H
#define FRONTEND_RUN_TIME_H

#include "frontend/run_frame.h"

enum { TIME_MINROUNDS = 3, TIME_MAXROUNDS = 31 };

typedef struct Timed {
    const Code *code;
    Native call;
    NvCall *gpu; /* of code on a GPU: its arrays there */
    bool trains;                       /* there is a backward function */
    uint32_t repeat[2];                /* calls in one measurement: forward, training */
    double seconds[2][TIME_MAXROUNDS]; /* of one call */
    uint32_t nround;
    double spent;
} Timed;

/* Calls each once; false, and a message, when the code answers with an error. */
bool time_begin(Timed *t, const Frame *f, const Code *code, Str *error);
/* One more measurement of each, and then sets `more`; none when `seconds` are spent and it is not the first few, or enough
 * is measured. False as above. */
bool time_round(Timed *t, double seconds, bool *more, Str *error);
void time_end(Timed *t);
double time_median(const Timed *t, bool training); /* seconds of one call */
double time_spread(const Timed *t, bool training); /* from the first quartile to the third, as a part of the median */
double time_of_thread(void); /* seconds that this thread has run */

#endif
