/* The memory functions that compilers expect of a freestanding environment. */
#include "firmware.h"

void *memcpy(void *restrict to, const void *restrict from, size_t count) {
    unsigned char *t = to;
    const unsigned char *f = from;
    /* both at multiples of 8: words, as long as there are some */
    if ((((uintptr_t)t | (uintptr_t)f) & 7) == 0)
        for (; count >= 8; count -= 8, t += 8, f += 8) *(uint64_t *)t = *(const uint64_t *)f;
    while (count--) *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t count) {
    unsigned char *t = to;
    const unsigned char *f = from;
    if (t < f)
        while (count--) *t++ = *f++;
    else
        while (count--) t[count] = f[count];
    return to;
}

void *memset(void *to, int value, size_t count) {
    unsigned char *t = to;
    while (count--) *t++ = (unsigned char)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t count) {
    const unsigned char *x = a, *y = b;
    for (; count; count--, x++, y++)
        if (*x != *y) return *x < *y ? -1 : 1;
    return 0;
}
