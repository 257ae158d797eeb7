/* A 40 x 40 product of 64-bit integers; exits with 0 when (A B) v = A (B v). */
#include "firmware.h"

#define SIZE 40

static int64_t a[SIZE][SIZE], b[SIZE][SIZE], product[SIZE][SIZE];
static int64_t v[SIZE], bv[SIZE];

int main(void) {
    uint64_t state = 99;
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            a[i][j] = (int64_t)state;
            state = state * 6364136223846793005u + 1442695040888963407u;
            b[i][j] = (int64_t)state;
            v[j] = (int64_t)(state >> 7);
        }
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            int64_t sum = 0;
            for (int k = 0; k < SIZE; k++) sum += a[i][k] * b[k][j];
            product[i][j] = sum;
        }
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) bv[i] += b[i][j] * v[j];
    for (int i = 0; i < SIZE; i++) {
        int64_t left = 0, right = 0;
        for (int j = 0; j < SIZE; j++) {
            left += product[i][j] * v[j];
            right += a[i][j] * bv[j];
        }
        if (left != right) return 1;
    }
    return 0;
}
