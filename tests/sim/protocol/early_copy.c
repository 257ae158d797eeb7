/* Deliberately wrong: keeps a copy of h that it makes right after the start, without a fence. */
#include "packed.h"

static float h[64] __attribute__((aligned(8)));

int main(void) {
    struct elstm_layer layer = open_layer(0);
    uint64_t values = steps_of_network() * layer.h;
    elstm_run(&layer, input_of(0, 0), h, steps_of_network(), 0, ELSTM_H_SEQ | ELSTM_H_PRUNED);
    memcpy(results, h, values * sizeof *h);
    elstm_wait();
    return 0;
}
