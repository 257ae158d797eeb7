/* The program of the published design: functs 0 to 5 in a loop over the sequences, no fence between starts, no flags,
   the arrays of its C header. Each sequence leaves its last h. Beyond the original: `aligned(8)`, one fence before h is
   read, and reading the cycle counter of each run (which the next run's first command has waited for).

   The sizes come from the build: LAYER_X, LAYER_H, LAYER_T, LAYER_SEQUENCES, LAYER_THRESHOLD (bits of an fp32) and
   LAYER_N_FUSE. */
#include "elstm.h"
#include "firmware.h"

extern uint64_t w[], w_offset[], u[], u_offset[], bias[];
extern float x[];

uint32_t h[LAYER_SEQUENCES * LAYER_H] __attribute__((aligned(8)));
uint64_t cycles[LAYER_SEQUENCES];

static void check(uint64_t sequence) {
    uint64_t status = elstm_counter(ELSTM_COUNTER_STATUS);
    if (!(status & ELSTM_STATUS_ERROR)) return;
    print("sequence ");
    print_decimal(sequence);
    print(": ");
    print(elstm_error_name(elstm_code(status)));
    print("\n");
    exit(1);
}

int main(void) {
    for (uint64_t i = 0; i < LAYER_SEQUENCES; i++) {
        elstm_sizes(LAYER_X, LAYER_H);
        if (i) cycles[i - 1] = elstm_counter(ELSTM_COUNTER_CYCLES), check(i - 1);
        elstm_steps(LAYER_THRESHOLD, LAYER_T);
        elstm_weights((uint64_t)w, (uint64_t)bias);
        elstm_fusion((uint64_t)u_offset, LAYER_N_FUSE);
        elstm_data((uint64_t)(x + i * LAYER_T * LAYER_X), (uint64_t)(h + i * LAYER_H));
        elstm_start((uint64_t)u, 0);
    }
    elstm_fence();
    cycles[LAYER_SEQUENCES - 1] = elstm_counter(ELSTM_COUNTER_CYCLES), check(LAYER_SEQUENCES - 1);

    uint64_t sum = 0;
    for (uint64_t i = 0; i < LAYER_SEQUENCES; i++) {
        print("sequence ");
        print_decimal(i);
        print(": ");
        print_decimal(cycles[i]);
        print(" cycles\n");
        sum += cycles[i];
    }
    print("mean: ");
    print_decimal(sum / LAYER_SEQUENCES);
    print(" cycles\n");
    return 0;
}
