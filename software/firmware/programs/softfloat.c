/* Double arithmetic in software: 1,000 steps of the logistic map, which amplifies every wrong bit, their sum, and a
   division now and then; exits with 0 when the sum has exactly the bits of IEEE 754. */
#include "firmware.h"

#define EXPECTED 0x405cd1e17a3b9ac6ULL

int main(void) {
    volatile double start = 0.3, rate = 3.9;
    double x = start, r = rate, sum = 0.0;
    for (int i = 1; i <= 1000; i++) {
        x = r * x * (1.0 - x);
        sum = sum + x;
        if (i % 50 == 0) sum = sum / 1.25;
    }
    union {
        double value;
        uint64_t bits;
    } result = {sum};
    return result.bits == EXPECTED ? 0 : 1;
}
