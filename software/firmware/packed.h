/* A packed network as software.firmware.packing lays it into the ELF: one image a layer, the output layer, and room for
   what a program finds. */
#pragma once
#include "elstm.h"
#include "firmware.h"

/* Header of an image (software/image.py); every array is at a multiple of 8 from its start. */
struct image {
    char magic[8];
    uint32_t version, header_bytes;
    uint32_t x, h, steps, sequences;
    uint32_t inputs, hidden;
    uint32_t formats, threshold;
    struct {
        uint64_t at, bytes;
    } w, w_offsets, u, u_offsets, bias, input;
    uint64_t bytes;
    uint32_t crc, streams;
};

/* The output layer: whole numbers in units of 2^-22 (weights) and 2^-46 (bias). */
struct output_layer {
    uint64_t classes, hidden;
    const int32_t *weights; /* [classes][hidden] */
    const int64_t *bias;    /* [classes] */
};

struct network {
    uint64_t layers;
    const uint64_t *n_fuse; /* [layers] */
    const struct output_layer *output; /* 0 if there is none */
    const struct image *layer[];
};

extern const struct network network;

/* Not initialised. The bits of every h: for each layer [sequences][steps][h], fp32 or as it says fp16, one layer after
   the other. */
extern uint32_t results[];
/* [sequences][layers][ELSTM_COUNTERS] */
extern uint64_t counters[];
/* [sequences] */
extern uint64_t predictions[];
/* One block of elstm_state_bytes for each layer, one after the other. */
extern uint64_t states[];
extern uint64_t checksum;

/* The layer as the accelerator takes it; exits with 2 and a line when this accelerator cannot run it. */
struct elstm_layer open_layer(uint64_t number);

/* What an image says; nothing is checked. */
struct elstm_layer layer_of(const struct image *image, uint64_t n_fuse);

/* A row of a layer's h in results, and its bytes. */
void *result_row(uint64_t layer, uint64_t sequence, uint64_t step);
uint64_t row_bytes_of(uint64_t layer);
/* The state block of a layer. */
void *state_of(uint64_t layer);
/* x of a sequence, from its first step or another: the input of the network, or h of the layer below. */
const void *input_of(uint64_t layer, uint64_t sequence);
const void *input_row(uint64_t layer, uint64_t sequence, uint64_t step);
uint64_t steps_of_network(void);
uint64_t sequences_of_network(void);

/* Prints "text number". */
void print_number(const char *text, uint64_t number);
/* Exits with 1 and a line when the status word says that a run failed. */
void require_success(uint64_t status, uint64_t sequence, uint64_t layer);

/* FNV-1a, 64 bits, over 32-bit words. Starts at CHECKSUM_START. */
#define CHECKSUM_START 0xcbf29ce484222325ULL
uint64_t checksum_words(uint64_t sum, const void *words, uint64_t count);
/* The same over all rows of a sequence in a layer. */
uint64_t checksum_rows(uint64_t sum, uint64_t layer, uint64_t sequence);

/* The class of a last row of h, as the top layer stores it. */
uint64_t classify(const void *row);
