/* CRC-32 bit by bit of 8 KiB, then by a table; exits with 0 when both agree and the check value of "123456789" is right. */
#include "firmware.h"

#define SIZE 8192

static uint8_t data[SIZE];
static uint32_t table[256];

static uint32_t step(uint32_t crc) { return crc >> 1 ^ (0xEDB88320u & -(crc & 1)); }

static uint32_t bitwise(const uint8_t *bytes, size_t count) {
    uint32_t crc = ~0u;
    for (; count; count--) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++) crc = step(crc);
    }
    return ~crc;
}

static uint32_t by_table(const uint8_t *bytes, size_t count) {
    uint32_t crc = ~0u;
    for (; count; count--) crc = crc >> 8 ^ table[(crc ^ *bytes++) & 0xFF];
    return ~crc;
}

int main(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = step(crc);
        table[i] = crc;
    }
    uint32_t state = 12345;
    for (int i = 0; i < SIZE; i++) {
        state = state * 1103515245u + 12345u;
        data[i] = state >> 24;
    }
    if (bitwise((const uint8_t *)"123456789", 9) != 0xCBF43926u) return 1;
    return bitwise(data, SIZE) == by_table(data, SIZE) ? 0 : 2;
}
