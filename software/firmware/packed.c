/* What the programs that run a packed network share. */
#include "packed.h"

#define IMAGE_VERSION 1
/* At the end of an image: tables, where a matrix has any, then the list of groups, where the schedule is one. */
#define TABLES_BYTES 256
#define GROUPS_BYTES 16
#define SCHEDULE_BITS (3u << ELSTM_SCHEDULE_SHIFT | ELSTM_X_SKIP)

static void refuse(uint64_t number) {
    print_number("layer ", number + 1);
    print(": ");
}

struct elstm_layer open_layer(uint64_t number) {
    const struct image *image = network.layer[number];
    if (memcmp(image->magic, "eLSTMimg", sizeof image->magic) || image->version != IMAGE_VERSION) {
        refuse(number);
        print("this is no layer image of version 1\n");
        exit(2);
    }
    uint64_t version = elstm_counter(ELSTM_COUNTER_VERSION);
    uint64_t max_x = elstm_max_x(version), max_h = elstm_max_h(version);
    if (image->x > max_x || image->h > max_h) {
        refuse(number);
        print_number("X = ", image->x);
        print_number(", H = ", image->h);
        print_number("; this accelerator takes at most X = ", max_x);
        print_number(", H = ", max_h);
        print("\n");
        exit(2);
    }
    const char *base = (const char *)image;
    uint32_t schedule = image->formats & SCHEDULE_BITS;
    const char *tables_end = base + image->bytes - (schedule ? GROUPS_BYTES : 0);
    struct elstm_layer layer = {
        .x = image->x,
        .h = image->h,
        .w = base + image->w.at,
        .u = base + image->u.at,
        .w_offsets = base + image->w_offsets.at,
        .u_offsets = base + image->u_offsets.at,
        .bias = base + image->bias.at,
        .threshold = image->threshold,
        .n_fuse = network.n_fuse[number],
        .formats = image->formats & ~SCHEDULE_BITS,
        .streams = image->streams,
        .tables = tables_end - TABLES_BYTES,
        .schedule = schedule,
    };
    if (schedule) memcpy(layer.groups, tables_end, sizeof layer.groups);
    return layer;
}

uint64_t steps_of_network(void) { return network.layer[0]->steps; }

uint64_t sequences_of_network(void) { return network.layer[0]->sequences; }

uint32_t *results_of(uint64_t layer) {
    uint32_t *at = results;
    for (uint64_t below = 0; below < layer; below++)
        at += sequences_of_network() * steps_of_network() * network.layer[below]->h;
    return at;
}

void *state_of(uint64_t layer) {
    uint64_t *at = states;
    for (uint64_t below = 0; below < layer; below++) at += network.layer[below]->h;
    return at;
}

const uint32_t *input_of(uint64_t layer, uint64_t sequence) {
    const struct image *image = network.layer[layer];
    const char *first = (const char *)image + image->input.at;
    return (layer ? results_of(layer - 1) : (const uint32_t *)first) + sequence * steps_of_network() * image->x;
}

void print_number(const char *text, uint64_t number) {
    print(text);
    print_decimal(number);
}

void require_success(uint64_t status, uint64_t sequence, uint64_t layer) {
    if (!(status & ELSTM_STATUS_ERROR) && status & ELSTM_STATUS_DONE) return;
    print_number("input ", sequence);
    print_number(" layer ", layer + 1);
    print(": ");
    print(elstm_error_name(elstm_code(status)));
    print_number(" after ", elstm_rows(status));
    print(" rows\n");
    exit(1);
}

uint64_t checksum_words(uint64_t sum, const void *words, uint64_t count) {
    for (const uint32_t *word = words; count; count--) sum = (sum ^ *word++) * 0x100000001b3ULL;
    return sum;
}

/* An h as a whole number of 2^-24, exactly: every h is an fp16 of at most 1. */
static int64_t in_units(uint32_t bits) {
    int exponent = bits >> 23 & 0xFF;
    if (!exponent) return 0;
    int64_t significand = (bits & 0x7FFFFF) | 0x800000;
    int shift = exponent - 126;
    int64_t value = shift < 0 ? significand >> -shift : significand << shift;
    return bits >> 31 ? -value : value;
}

uint64_t classify(const uint32_t *h) {
    const struct output_layer *output = network.output;
    uint64_t best = 0;
    int64_t best_sum = INT64_MIN;
    for (uint64_t k = 0; k < output->classes; k++) {
        const int32_t *weight = output->weights + k * output->hidden;
        int64_t sum = output->bias[k];
        for (uint64_t i = 0; i < output->hidden; i++) sum += weight[i] * in_units(h[i]);
        if (sum > best_sum) best = k, best_sum = sum;
    }
    return best;
}
