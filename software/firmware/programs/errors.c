/* Provokes every error of the accelerator and prints its name; after each one a correct run must succeed. Exits with
   the number of surprises. */
#include "elstm.h"
#include "firmware.h"

#define SIDE 4 /* X and H */
#define STEPS 8
#define NOWHERE ((void *)0x40000000)
#define HALVES(value) (0x0001000100010001ULL * (value))
#define FP32_NAN 0x7FC00000
#define FP32_1000 0x447A0000
#define FP32_2 0x40000000

/* 16 rows and 4 columns are two blocks. A head with both chunks empty and the rows in their order: */
#define HEAD 0x07D6000003440000ULL
/* W: 0.5 in the first column of rows 0 to 3, nothing else. */
#define W(first_head, value) {(first_head), (value), HEAD}

static const uint64_t w[] = W(HEAD | 1, HALVES(0x3800)), w_format[] = W(HEAD | 7, 0),
                      w_infinite[] = W(HEAD | 1, HALVES(0x7C00)), w_huge[] = W(HEAD | 1, HALVES(0x7BFF));
static const uint64_t u[] = {HEAD, HEAD}, u_offsets[] = {2};
static const uint64_t bias[SIDE], bias_nan[SIDE] = {HALVES(0x7E00)};
static uint32_t x[STEPS][SIDE] __attribute__((aligned(8))), x_nan[STEPS][SIDE] __attribute__((aligned(8)));
static uint32_t h[STEPS][SIDE] __attribute__((aligned(8)));
static uint32_t state[2 * SIDE] __attribute__((aligned(8)));

static const struct run {
    uint64_t x_size, h_size, threshold, steps;
    const void *w, *bias, *u_offsets;
    uint64_t n_fuse;
    const void *x, *u;
    void *h, *state;
    uint64_t flags;
} correct = {SIDE, SIDE, 0, STEPS, w, bias, u_offsets, 3, x, u, h, 0, ELSTM_H_SEQ};

static int surprises;

static void start(const struct run *run) {
    elstm_sizes(run->x_size, run->h_size);
    elstm_steps(run->threshold, run->steps);
    elstm_weights((uint64_t)run->w, (uint64_t)run->bias);
    elstm_fusion((uint64_t)run->u_offsets, run->n_fuse);
    elstm_data((uint64_t)run->x, (uint64_t)run->h);
    elstm_extension(0, (uint64_t)run->state);
    elstm_start((uint64_t)run->u, run->flags);
}

/* Reports what came of the last start, then makes a run that must succeed. */
static void expect(unsigned code) {
    uint64_t status = elstm_wait();
    print(elstm_error_name(elstm_code(status)));
    if (elstm_code(status) != code) {
        surprises++;
        print(" where ");
        print(elstm_error_name(code));
        print(" was due");
    }
    start(&correct);
    status = elstm_wait();
    if (status & ELSTM_STATUS_ERROR || elstm_rows(status) != STEPS) {
        surprises++;
        print(", and the run after it failed: ");
        print(elstm_error_name(elstm_code(status)));
    }
    print("\n");
}

#define PROVOKE(code, ...)           \
    do {                             \
        struct run run = correct;    \
        __VA_ARGS__;                 \
        start(&run);                 \
        expect(ELSTM_ERROR_##code);  \
    } while (0)

int main(void) {
    for (int t = 0; t < STEPS; t++)
        for (int i = 0; i < SIDE; i++) x[t][i] = FP32_1000, x_nan[t][i] = FP32_NAN;
    state[0] = FP32_2;

    __asm__ volatile(".insn r 0x0b, 0, 127, x0, x0, x0" ::: "memory");
    PROVOKE(BAD_COMMAND, );
    PROVOKE(BAD_SIZE, run.x_size = 6);
    PROVOKE(BAD_T, run.steps = 0);
    PROVOKE(BAD_N_FUSE, run.n_fuse = 0);
    PROVOKE(MISALIGNED, run.h = (char *)h + 4);
    PROVOKE(BAD_FLAGS, run.flags = 1ULL << 63);
    PROVOKE(BAD_THRESHOLD, run.threshold = FP32_NAN);
    PROVOKE(BAD_FORMAT, run.w = w_format);
    PROVOKE(BAD_WEIGHT, run.w = w_infinite);
    PROVOKE(BAD_BIAS, run.bias = bias_nan);
    PROVOKE(BAD_X, run.x = x_nan);
    PROVOKE(BAD_STATE, run.state = state, run.flags = ELSTM_STATE_IN);
    PROVOKE(MEM_READ, run.w = NOWHERE);
    PROVOKE(MEM_WRITE, run.h = NOWHERE);
    PROVOKE(ACC_OVERFLOW, run.w = w_huge);
    start(&correct);
    elstm_abort();
    expect(ELSTM_ERROR_ABORTED);
    print(surprises ? "some errors were not what they should be\n" : "every error was reported, every run after it succeeded\n");
    return surprises;
}
