/* Streaming inference: the steps of each input come a few at a time, and every layer carries its state from call to
   call. The h of all calls together is the h of one call over the whole input, bit for bit: the checksum is the one
   that the program network prints. */
#include "packed.h"

#define CHUNK 5

int main(void) {
    const uint64_t flags = ELSTM_H_SEQ | ELSTM_H_PRUNED | ELSTM_STATE_OUT;
    uint64_t steps = steps_of_network(), calls = 0;
    checksum = CHECKSUM_START;
    for (uint64_t sequence = 0; sequence < sequences_of_network(); sequence++) {
        for (uint64_t first = 0; first < steps; first += CHUNK) {
            uint64_t count = steps - first < CHUNK ? steps - first : CHUNK;
            for (uint64_t number = 0; number < network.layers; number++, calls++) {
                struct elstm_layer layer = open_layer(number);
                elstm_run(&layer, input_row(number, sequence, first), result_row(number, sequence, first), count,
                          state_of(number), flags | (first ? ELSTM_STATE_IN : 0));
                require_success(elstm_wait(), sequence, number);
            }
        }
        for (uint64_t number = 0; number < network.layers; number++)
            checksum = checksum_rows(checksum, number, sequence);
    }
    print_number("inputs ", sequences_of_network());
    print_number(", calls ", calls);
    print_number(" of up to ", CHUNK);
    print(" steps\nchecksum ");
    print_hex(checksum);
    print("\n");
    return 0;
}
