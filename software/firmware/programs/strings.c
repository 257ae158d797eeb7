/* Copies, measures and compares strings byte by byte; exits with 0 when every copy is exact. */
#include "firmware.h"

#define SIZE 1024

static char source[SIZE], target[SIZE];

static char *copy(char *to, const char *from) {
    char *start = to;
    while ((*to++ = *from++)) {
    }
    return start;
}

static size_t length(const char *text) {
    const char *end = text;
    while (*end) end++;
    return (size_t)(end - text);
}

static int compare(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *(const unsigned char *)a - *(const unsigned char *)b;
}

int main(void) {
    for (int round = 0; round < 20; round++) {
        int count = SIZE - 1 - 37 * round;
        char letter = 'a' + round;
        for (int i = 0; i < count; i++) {
            source[i] = letter;
            letter = letter == 'z' ? 'a' : letter + 1;
        }
        source[count] = 0;
        copy(target, source);
        if (length(target) != (size_t)count || compare(source, target)) return 1;
    }
    return 0;
}
