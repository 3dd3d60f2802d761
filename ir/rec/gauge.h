/* Reference values that no result depends on, such as the running maximum of xLSTM: see gauge_find.c and gauge.c. */
#ifndef IR_REC_GAUGE_H
#define IR_REC_GAUGE_H

#include "ir/rec/rec.h"

#define GAUGE_NO_STATE UINT32_MAX

/* How the carried states and the new ones answer when the reference moves by d: state * exp(weight * d), element by element
 * along the axes that d's axes are in it. A weight of 0: they stay. */
typedef struct GaugeState {
    int8_t weight;
    uint8_t axis[MAXRANK]; /* by axis of the reference */
} GaugeState;

typedef struct Gauge {
    RecId value;       /* the reference at this place */
    uint32_t state;    /* the state whose new value it is, or GAUGE_NO_STATE */
    GaugeState *other; /* [nstate], of a state's reference */
    bool *chain;       /* by op: what the reference is computed from and depends on the one before; without it */
} Gauge;

typedef struct Gauges {
    VEC(Gauge) found;
} Gauges;

/* All of them in one recurrence; no two have a chain in common. */
void gauge_find(Arena *a, const RecProg *p, RecId recur, Gauges *to);

#endif
