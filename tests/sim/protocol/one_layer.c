/* Runs one layer on one input, almost without a word, for slow simulators. */
#include "packed.h"

int main(void) {
    struct elstm_layer layer = open_layer(0);
    elstm_run(&layer, input_of(0, 0), results, steps_of_network(), 0, ELSTM_H_SEQ | ELSTM_H_PRUNED);
    if (elstm_code(elstm_wait())) return 1;
    for (uint64_t i = 0; i < ELSTM_COUNTERS; i++) counters[i] = elstm_counter(i);
    print("ok\n");
    return 0;
}
