/* The accelerator: instructions, flags, status bits, error codes, counters, and inline functions for them.

   Made from golden/isa by `make docs`; a test keeps it up to date. Do not edit.

   Every array that the accelerator reads or writes starts at a multiple of 8. Memory written before elstm_start is seen
   by the run; what the run writes may be read after elstm_fence. The "memory" clobbers keep the compiler from moving
   loads and stores across commands. */
#pragma once
#include <stdint.h>

#define ELSTM_VERSION 1

/* funct7 of each instruction */
#define ELSTM_FUNCT_SIZES 0
#define ELSTM_FUNCT_STEPS 1
#define ELSTM_FUNCT_WEIGHTS 2
#define ELSTM_FUNCT_FUSION 3
#define ELSTM_FUNCT_DATA 4
#define ELSTM_FUNCT_START 5
#define ELSTM_FUNCT_EXTENSION 6
#define ELSTM_FUNCT_COUNTER 7
#define ELSTM_FUNCT_ABORT 8
#define ELSTM_FUNCT_STREAMS 9
#define ELSTM_FUNCT_GROUPS 10
#define ELSTM_FUNCT_EVENTS 11

/* flags of START */
#define ELSTM_TRACE 0x1
#define ELSTM_H_SEQ 0x2
#define ELSTM_H_PRUNED 0x4
#define ELSTM_X_SKIP 0x8
#define ELSTM_STATE_IN 0x10
#define ELSTM_STATE_OUT 0x20
#define ELSTM_IRQ 0x40
#define ELSTM_DELTA 0x80
#define ELSTM_H_FP16 0x40000

/* fields of the flags */
#define ELSTM_SCHEDULE_SHIFT 8
#define ELSTM_W_FORMAT_SHIFT 12
#define ELSTM_U_FORMAT_SHIFT 14
#define ELSTM_X_FORMAT_SHIFT 16

/* schedules, numbers of that field */
#define ELSTM_SCHEDULE_CELL_FUSION 0
#define ELSTM_SCHEDULE_LIST 1
#define ELSTM_SCHEDULE_EVENTS 2

/* formats of weights, numbers of those fields */
#define ELSTM_FORMAT_ESELL 0
#define ELSTM_FORMAT_STREAM16 1
#define ELSTM_FORMAT_STREAM8 2

/* formats of x, numbers of that field */
#define ELSTM_X_FP32 0
#define ELSTM_X_FP16 1
#define ELSTM_X_UINT8 2

#define ELSTM_GROUP_BITS 6

/* status word */
#define ELSTM_STATUS_BUSY 1
#define ELSTM_STATUS_DONE 2
#define ELSTM_STATUS_ERROR 4
#define ELSTM_STATUS_CODE_SHIFT 8
#define ELSTM_STATUS_ROWS_SHIFT 32

/* error codes */
#define ELSTM_ERROR_NONE 0
#define ELSTM_ERROR_BAD_COMMAND 1
#define ELSTM_ERROR_BAD_SIZE 2
#define ELSTM_ERROR_BAD_T 3
#define ELSTM_ERROR_BAD_N_FUSE 4
#define ELSTM_ERROR_MISALIGNED 5
#define ELSTM_ERROR_BAD_FLAGS 6
#define ELSTM_ERROR_BAD_THRESHOLD 7
#define ELSTM_ERROR_BAD_FORMAT 8
#define ELSTM_ERROR_BAD_WEIGHT 9
#define ELSTM_ERROR_BAD_BIAS 10
#define ELSTM_ERROR_BAD_X 11
#define ELSTM_ERROR_BAD_STATE 12
#define ELSTM_ERROR_MEM_READ 13
#define ELSTM_ERROR_MEM_WRITE 14
#define ELSTM_ERROR_ACC_OVERFLOW 15
#define ELSTM_ERROR_ABORTED 16

/* counters */
#define ELSTM_COUNTER_STATUS 0
#define ELSTM_COUNTER_VERSION 1
#define ELSTM_COUNTER_CYCLES 2
#define ELSTM_COUNTER_W_WORDS 3
#define ELSTM_COUNTER_U_WORDS 4
#define ELSTM_COUNTER_KEPT_BLOCKS 5
#define ELSTM_COUNTER_N_FUSE 6
#define ELSTM_COUNTER_PORT_BUSY 7
#define ELSTM_COUNTER_PORT_STALLED 8
#define ELSTM_COUNTER_PORT_FULL 9
#define ELSTM_COUNTER_PORT_IDLE 10
#define ELSTM_COUNTER_X_WORDS 11
#define ELSTM_COUNTER_SETUP_WORDS 12
#define ELSTM_COUNTER_STORE_WORDS 13
#define ELSTM_COUNTER_SKIPPED_BLOCKS 14
#define ELSTM_COUNTER_W_BUSY 15
#define ELSTM_COUNTER_W_STOLEN 16
#define ELSTM_COUNTER_W_STARVED 17
#define ELSTM_COUNTER_W_IDLE 18
#define ELSTM_COUNTER_U_STARVED 19
#define ELSTM_COUNTER_U_IDLE 20
#define ELSTM_COUNTER_PE_BUSY 21
#define ELSTM_COUNTER_GATE_BUSY 22
#define ELSTM_COUNTER_GATE_WAIT_W 23
#define ELSTM_COUNTER_GATE_WAIT_STORE 24
#define ELSTM_COUNTER_GATE_IDLE 25
#define ELSTM_COUNTER_X_SENT 26
#define ELSTM_COUNTER_X_SKIPPED 27
#define ELSTM_COUNTER_FEATURES 28

#define ELSTM_COUNTERS 29

/* Name of an error code. */
static inline const char *elstm_error_name(uint64_t number) {
    static const char *const names[] = {
        [0] = "NONE",
        [1] = "BAD_COMMAND",
        [2] = "BAD_SIZE",
        [3] = "BAD_T",
        [4] = "BAD_N_FUSE",
        [5] = "MISALIGNED",
        [6] = "BAD_FLAGS",
        [7] = "BAD_THRESHOLD",
        [8] = "BAD_FORMAT",
        [9] = "BAD_WEIGHT",
        [10] = "BAD_BIAS",
        [11] = "BAD_X",
        [12] = "BAD_STATE",
        [13] = "MEM_READ",
        [14] = "MEM_WRITE",
        [15] = "ACC_OVERFLOW",
        [16] = "ABORTED",
    };
    return number <= 16 && names[number] ? names[number] : "unknown";
}

/* Name of a counter. */
static inline const char *elstm_counter_name(uint64_t number) {
    static const char *const names[] = {
        [0] = "STATUS",
        [1] = "VERSION",
        [2] = "CYCLES",
        [3] = "W_WORDS",
        [4] = "U_WORDS",
        [5] = "KEPT_BLOCKS",
        [6] = "N_FUSE",
        [7] = "PORT_BUSY",
        [8] = "PORT_STALLED",
        [9] = "PORT_FULL",
        [10] = "PORT_IDLE",
        [11] = "X_WORDS",
        [12] = "SETUP_WORDS",
        [13] = "STORE_WORDS",
        [14] = "SKIPPED_BLOCKS",
        [15] = "W_BUSY",
        [16] = "W_STOLEN",
        [17] = "W_STARVED",
        [18] = "W_IDLE",
        [19] = "U_STARVED",
        [20] = "U_IDLE",
        [21] = "PE_BUSY",
        [22] = "GATE_BUSY",
        [23] = "GATE_WAIT_W",
        [24] = "GATE_WAIT_STORE",
        [25] = "GATE_IDLE",
        [26] = "X_SENT",
        [27] = "X_SKIPPED",
        [28] = "FEATURES",
    };
    return number <= 28 && names[number] ? names[number] : "unknown";
}

/* set the sizes of the layer; rs1: X, elements; rs2: H, elements */
static inline void elstm_sizes(uint64_t rs1, uint64_t rs2) {
    __asm__ volatile(".insn r 0x0b, 3, 0, x0, %0, %1" :: "r"(rs1), "r"(rs2) : "memory");
}

/* set the pruning threshold and the number of time steps; rs1: threshold, fp32 bits; rs2: T */
static inline void elstm_steps(uint64_t rs1, uint64_t rs2) {
    __asm__ volatile(".insn r 0x0b, 3, 1, x0, %0, %1" :: "r"(rs1), "r"(rs2) : "memory");
}

/* set the addresses of W and of the bias; rs1: address of W; rs2: address of the bias */
static inline void elstm_weights(uint64_t rs1, uint64_t rs2) {
    __asm__ volatile(".insn r 0x0b, 3, 2, x0, %0, %1" :: "r"(rs1), "r"(rs2) : "memory");
}

/* set U's offsets and the fusion factor; rs1: address of U's column offsets; rs2: N_fuse */
static inline void elstm_fusion(uint64_t rs1, uint64_t rs2) {
    __asm__ volatile(".insn r 0x0b, 3, 3, x0, %0, %1" :: "r"(rs1), "r"(rs2) : "memory");
}

/* set the addresses of input and output; rs1: address of x; rs2: address of h */
static inline void elstm_data(uint64_t rs1, uint64_t rs2) {
    __asm__ volatile(".insn r 0x0b, 3, 4, x0, %0, %1" :: "r"(rs1), "r"(rs2) : "memory");
}

/* check everything set so far and start; returns at once; rs1: address of U; rs2: flags */
static inline void elstm_start(uint64_t rs1, uint64_t rs2) {
    __asm__ volatile(".insn r 0x0b, 3, 5, x0, %0, %1" :: "r"(rs1), "r"(rs2) : "memory");
}

/* set the optional addresses; rs1: address of W's column offsets or 0; rs2: address of the state or 0 */
static inline void elstm_extension(uint64_t rs1, uint64_t rs2) {
    __asm__ volatile(".insn r 0x0b, 3, 6, x0, %0, %1" :: "r"(rs1), "r"(rs2) : "memory");
}

/* read a counter; never waits for a run; rs1: counter index */
static inline uint64_t elstm_counter(uint64_t rs1) {
    uint64_t value;
    __asm__ volatile(".insn r 0x0b, 6, 7, %0, %1, x0" : "=r"(value) : "r"(rs1) : "memory");
    return value;
}

/* stop the run, clear all registers and errors; never waits for a run */
static inline void elstm_abort(void) {
    __asm__ volatile(".insn r 0x0b, 0, 8, x0, x0, x0" ::: "memory");
}

/* say how stream formats are packed; rs1: gap bits and units of W and U; rs2: address of the tables or 0 */
static inline void elstm_streams(uint64_t rs1, uint64_t rs2) {
    __asm__ volatile(".insn r 0x0b, 3, 9, x0, %0, %1" :: "r"(rs1), "r"(rs2) : "memory");
}

/* set the list of group sizes, 6 bits each; rs1: group sizes 0 to 9; rs2: group sizes 10 to 15 */
static inline void elstm_groups(uint64_t rs1, uint64_t rs2) {
    __asm__ volatile(".insn r 0x0b, 3, 10, x0, %0, %1" :: "r"(rs1), "r"(rs2) : "memory");
}

/* set the threshold that changes of x must reach; rs1: threshold of x, fp32 bits */
static inline void elstm_events(uint64_t rs1) {
    __asm__ volatile(".insn r 0x0b, 2, 11, x0, %0, x0" :: "r"(rs1) : "memory");
}

/* Fields of the status word, and of counters VERSION and FEATURES. */
static inline uint32_t elstm_code(uint64_t status) { return status >> 8 & 0xff; }
static inline uint32_t elstm_rows(uint64_t status) { return status >> 32 & 0xffffffff; }
static inline uint64_t elstm_n_pe(uint64_t version) { return version >> 16 & 0xff; }
static inline uint64_t elstm_slots(uint64_t version) { return version >> 24 & 0xff; }
static inline uint64_t elstm_max_x(uint64_t version) { return version >> 32 & 0xffff; }
static inline uint64_t elstm_max_h(uint64_t version) { return version >> 48 & 0xffff; }
static inline uint64_t elstm_schedules(uint64_t features) { return features >> 0 & 0xff; }
static inline uint64_t elstm_formats(uint64_t features) { return features >> 8 & 0xff; }
static inline uint64_t elstm_input_formats(uint64_t features) { return features >> 16 & 0xff; }
static inline uint64_t elstm_delta(uint64_t features) { return features >> 24 & 0x1; }
static inline uint64_t elstm_h_fp16(uint64_t features) { return features >> 25 & 0x1; }
static inline uint64_t elstm_vector_units(uint64_t features) { return features >> 26 & 0x3f; }

/* Waits until every command has been taken and the accelerator is not busy: h and the state may be read then. */
static inline void elstm_fence(void) { __asm__ volatile("fence" ::: "memory"); }

/* Waits for the end of the run, then gives its status word. */
static inline uint64_t elstm_wait(void) {
    elstm_fence();
    return elstm_counter(ELSTM_COUNTER_STATUS);
}

/* The weights of a layer. x, h: sizes in elements, multiples of 4; threshold: bits of an fp32; w_offsets: may be 0.
   formats: of W and U, in the fields of START's flags, 0 for eSELL; streams: gap bits and columns of a unit less 1, of
   W in bits 3:0 and 5:4, of U in 11:8 and 13:12; tables: of the values of stream-8, W's and then U's. schedule: its
   number in the field of START's flags, with X_SKIP, DELTA, H_FP16 and the format of x, which go with every run, 0 for
   cell fusion, which takes n_fuse; groups: sizes of the list's groups as elstm_groups takes them, ELSTM_GROUP_BITS
   each, the last of which repeats; x_threshold: bits of an fp32, of changes of x by events. */
struct elstm_layer {
    uint64_t x, h;
    const void *w, *u, *w_offsets, *u_offsets, *bias;
    uint32_t threshold;
    uint32_t n_fuse;
    uint32_t formats, streams;
    const void *tables;
    uint64_t groups[2];
    uint32_t schedule;
    uint32_t x_threshold;
};

/* Bytes of a row of x, of a row of h, and of a state: h and c, with DELTA the held h and four sums a unit, by events
   the held x. */
static inline uint64_t elstm_x_bytes(const struct elstm_layer *layer) {
    uint32_t format = layer->schedule >> ELSTM_X_FORMAT_SHIFT & 3;
    return format == ELSTM_X_UINT8 ? (layer->x + 7) & ~7ULL : layer->x * (format == ELSTM_X_FP16 ? 2 : 4);
}
static inline uint64_t elstm_h_bytes(const struct elstm_layer *layer) {
    return layer->h * (layer->schedule & ELSTM_H_FP16 ? 2 : 4);
}
static inline uint64_t elstm_state_bytes(const struct elstm_layer *layer) {
    uint64_t by_events = (layer->schedule >> ELSTM_SCHEDULE_SHIFT & 3) == ELSTM_SCHEDULE_EVENTS;
    return layer->h * (layer->schedule & ELSTM_DELTA ? 28 : 8) + (by_events ? layer->x * 4 : 0);
}

/* Sets up and starts a layer over `steps` rows of x, and returns at once. x: float [steps][layer->x], fp16 with that
   format of x, or bytes, k for k/256, of which every row begins at a multiple of 8; h: float [layer->h], or
   [steps][layer->h] with H_SEQ, fp16 with H_FP16; state: elstm_state_bytes, or 0 without STATE_IN and STATE_OUT. */
static inline void elstm_run(const struct elstm_layer *layer, const void *x, void *h, uint64_t steps, void *state,
                             uint64_t flags) {
    elstm_sizes(layer->x, layer->h);
    elstm_steps(layer->threshold, steps);
    elstm_weights((uint64_t)layer->w, (uint64_t)layer->bias);
    elstm_fusion((uint64_t)layer->u_offsets, layer->n_fuse);
    elstm_data((uint64_t)x, (uint64_t)h);
    elstm_extension((uint64_t)layer->w_offsets, (uint64_t)state);
    if (layer->formats) elstm_streams(layer->streams, (uint64_t)layer->tables);
    uint32_t schedule = layer->schedule >> ELSTM_SCHEDULE_SHIFT & 3;
    if (schedule == ELSTM_SCHEDULE_LIST) elstm_groups(layer->groups[0], layer->groups[1]);
    if (schedule == ELSTM_SCHEDULE_EVENTS) elstm_events(layer->x_threshold);
    elstm_start((uint64_t)layer->u, flags | layer->formats | layer->schedule);
}
