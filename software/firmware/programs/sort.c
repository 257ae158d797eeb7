/* Quicksort of 2,000 random 64-bit numbers; exits with 0 when they are in order and none was lost. */
#include "firmware.h"

#define COUNT 2000

static uint64_t values[COUNT];

static void sort(uint64_t *first, uint64_t *last) {
    while (first < last) {
        uint64_t pivot = first[(last - first) / 2];
        uint64_t *low = first, *high = last;
        while (low <= high) {
            while (*low < pivot) low++;
            while (*high > pivot) high--;
            if (low <= high) {
                uint64_t swapped = *low;
                *low++ = *high;
                *high-- = swapped;
            }
        }
        sort(first, high);
        first = low;
    }
}

int main(void) {
    uint64_t state = 1, before = 0, after = 0;
    for (int i = 0; i < COUNT; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        values[i] = state;
        before += state;
    }
    sort(values, values + COUNT - 1);
    for (int i = 0; i < COUNT; i++) after += values[i];
    if (before != after) return 1;
    for (int i = 1; i < COUNT; i++)
        if (values[i - 1] > values[i]) return 2;
    return 0;
}
