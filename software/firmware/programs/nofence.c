/* Deliberately wrong: reads h right after the start, without a fence. It then looks again behind one; exits with 0 when
   both agree, and with 1 and a line when, as it should be, the first look was too early. */
#include "packed.h"

int main(void) {
    struct elstm_layer layer = open_layer(0);
    uint64_t steps = steps_of_network();
    uint32_t *last = result_row(0, 0, steps - 1);
    uint64_t words = row_bytes_of(0) / sizeof *last;
    for (uint64_t i = 0; i < words; i++) last[i] = ~0u;
    elstm_run(&layer, input_of(0, 0), results, steps, 0, ELSTM_H_SEQ | ELSTM_H_PRUNED);
    uint64_t early = checksum_words(CHECKSUM_START, last, words);
    require_success(elstm_wait(), 0, 0);
    checksum = checksum_words(CHECKSUM_START, last, words);
    if (early == checksum) {
        print("h was there without a fence\n");
        return 0;
    }
    print("h was read before the run had ended: a fence is missing between elstm_start and the read\n");
    return 1;
}
