/* Runs every layer of a packed network on every input, each layer on the pruned h of the one below; prints cycles and
   counters of each run, the class of each input, and a checksum over the bits of every h. Exits with 0, 1 when a run
   failed, 2 when this accelerator cannot run the network. */
#include "packed.h"

static const uint8_t shown[] = {ELSTM_COUNTER_W_WORDS, ELSTM_COUNTER_U_WORDS, ELSTM_COUNTER_KEPT_BLOCKS};

static void run(uint64_t sequence, uint64_t number, const struct elstm_layer *layer) {
    uint64_t steps = steps_of_network(), *counter = counters + (sequence * network.layers + number) * ELSTM_COUNTERS;
    elstm_run(layer, input_of(number, sequence), result_row(number, sequence, 0), steps, 0, ELSTM_H_SEQ | ELSTM_H_PRUNED);
    require_success(elstm_wait(), sequence, number);
    for (uint64_t i = 0; i < ELSTM_COUNTERS; i++) counter[i] = elstm_counter(i);
    checksum = checksum_rows(checksum, number, sequence);
    print_number("input ", sequence);
    print_number(" layer ", number + 1);
    print_number(": ", counter[ELSTM_COUNTER_CYCLES]);
    print(" cycles");
    for (size_t i = 0; i < sizeof shown; i++) {
        print(", ");
        print(elstm_counter_name(shown[i]));
        print_number(" ", counter[shown[i]]);
    }
    print("\n");
}

int main(void) {
    checksum = CHECKSUM_START;
    for (uint64_t sequence = 0; sequence < sequences_of_network(); sequence++) {
        for (uint64_t number = 0; number < network.layers; number++) {
            struct elstm_layer layer = open_layer(number);
            run(sequence, number, &layer);
        }
        if (!network.output) continue;
        predictions[sequence] = classify(result_row(network.layers - 1, sequence, steps_of_network() - 1));
        print_number("input ", sequence);
        print_number(": class ", predictions[sequence]);
        print("\n");
    }
    print("checksum ");
    print_hex(checksum);
    print("\n");
    return 0;
}
