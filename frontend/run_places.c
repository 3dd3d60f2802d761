/* Which elements of an array lie at which place of a sequence, grid or graph. */
#include "frontend/run_frame.h"

Places frame_places(const Frame *f, const Type *type)
{
    const RecProg *p = f->prog;
    Places at = {.n = type_places(p->dims, type), .all = 1};
    for (uint32_t i = 0; i < p->open.n; i++) {
        bool time = dim_sym_info(p->dims, p->open.p[i])->kind == DIM_TIME;
        for (uint8_t k = 0; time && k < at.n; k++)
            if (type->dim[k] == dim_of(p->dims, p->open.p[i])) {
                at.axis[k] = at.of_cell;
                at.extent[k] = f->dim[p->open.p[i]];
                at.all *= at.extent[k];
            }
        at.of_cell = (uint8_t)(at.of_cell + time);
    }
    return at;
}

bool places_beyond(const Places *at, int64_t place, const double *length)
{
    bool beyond = false;
    for (uint8_t k = at->n; k-- > 0; place /= at->extent[k])
        beyond |= (double)(place % at->extent[k]) >= length[at->axis[k]];
    return beyond;
}
