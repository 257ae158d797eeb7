/* Console and exit through HTIF. The host clears tohost when it has taken a request. */
#include "firmware.h"

volatile uint64_t tohost __attribute__((section(".tohost"), aligned(64)));
volatile uint64_t fromhost __attribute__((section(".tohost"), aligned(64)));

#define CONSOLE_WRITE (1ULL << 56 | 1ULL << 48)

_Noreturn void exit(int code) {
    /* the last character may still wait there */
    while (tohost) {
    }
    for (;;) tohost = (uint64_t)(code & 0xFF) << 1 | 1;
}

static void put(char c) {
    while (tohost) {
    }
    tohost = CONSOLE_WRITE | (unsigned char)c;
}

void print(const char *text) {
    while (*text) put(*text++);
}

void print_hex(uint64_t value) {
    print("0x");
    int shift = 60;
    while (shift && !(value >> shift)) shift -= 4;
    for (; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
}

void print_decimal(uint64_t value) {
    char digits[20];
    int count = 0;
    do digits[count++] = '0' + value % 10;
    while (value /= 10);
    while (count) put(digits[--count]);
}
