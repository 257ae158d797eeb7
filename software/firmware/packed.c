/* What the programs that run a packed network share. */
#include "packed.h"

#define IMAGE_VERSION 1
/* At the end of an image: tables, where a matrix has any, then the list of groups, where the schedule is one, or the
   threshold of x, where it is events. */
#define TABLES_BYTES 256
#define GROUPS_BYTES 16
#define EVENTS_BYTES 8
#define FORMAT_BITS (3u << ELSTM_W_FORMAT_SHIFT | 3u << ELSTM_U_FORMAT_SHIFT)

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
    return layer_of(image, network.n_fuse[number]);
}

struct elstm_layer layer_of(const struct image *image, uint64_t n_fuse) {
    const char *base = (const char *)image;
    uint32_t schedule = image->formats >> ELSTM_SCHEDULE_SHIFT & 3;
    uint64_t last = schedule == ELSTM_SCHEDULE_LIST ? GROUPS_BYTES : schedule == ELSTM_SCHEDULE_EVENTS ? EVENTS_BYTES : 0;
    const char *tables_end = base + image->bytes - last;
    struct elstm_layer layer = {
        .x = image->x,
        .h = image->h,
        .w = base + image->w.at,
        .u = base + image->u.at,
        .w_offsets = base + image->w_offsets.at,
        .u_offsets = base + image->u_offsets.at,
        .bias = base + image->bias.at,
        .threshold = image->threshold,
        .n_fuse = n_fuse,
        .formats = image->formats & FORMAT_BITS,
        .streams = image->streams,
        .tables = tables_end - TABLES_BYTES,
        .schedule = image->formats & ~FORMAT_BITS,
    };
    if (schedule == ELSTM_SCHEDULE_LIST) memcpy(layer.groups, tables_end, sizeof layer.groups);
    if (schedule == ELSTM_SCHEDULE_EVENTS) memcpy(&layer.x_threshold, tables_end, sizeof layer.x_threshold);
    return layer;
}

uint64_t steps_of_network(void) { return network.layer[0]->steps; }

uint64_t sequences_of_network(void) { return network.layer[0]->sequences; }

static struct elstm_layer parsed(uint64_t number) { return layer_of(network.layer[number], network.n_fuse[number]); }

uint64_t row_bytes_of(uint64_t number) {
    struct elstm_layer layer = parsed(number);
    return elstm_h_bytes(&layer);
}

void *result_row(uint64_t layer, uint64_t sequence, uint64_t step) {
    uint64_t rows = sequences_of_network() * steps_of_network();
    char *at = (char *)results;
    for (uint64_t below = 0; below < layer; below++) at += rows * row_bytes_of(below);
    return at + (sequence * steps_of_network() + step) * row_bytes_of(layer);
}

void *state_of(uint64_t number) {
    char *at = (char *)states;
    for (uint64_t below = 0; below < number; below++) {
        struct elstm_layer layer = parsed(below);
        at += elstm_state_bytes(&layer);
    }
    return at;
}

const void *input_row(uint64_t number, uint64_t sequence, uint64_t step) {
    if (number) return result_row(number - 1, sequence, step);
    struct elstm_layer layer = parsed(0);
    const char *first = (const char *)network.layer[0] + network.layer[0]->input.at;
    return first + (sequence * steps_of_network() + step) * elstm_x_bytes(&layer);
}

const void *input_of(uint64_t layer, uint64_t sequence) { return input_row(layer, sequence, 0); }

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

uint64_t checksum_rows(uint64_t sum, uint64_t layer, uint64_t sequence) {
    return checksum_words(sum, result_row(layer, sequence, 0), steps_of_network() * row_bytes_of(layer) / 4);
}

uint64_t checksum_words(uint64_t sum, const void *words, uint64_t count) {
    for (const uint32_t *word = words; count; count--) sum = (sum ^ *word++) * 0x100000001b3ULL;
    return sum;
}

/* The fp16 of some bits as a whole number of 2^-24, exactly; it is at most 1. */
static int64_t half_in_units(uint16_t bits) {
    int exponent = bits >> 10 & 0x1F;
    int64_t value = bits & 0x3FF;
    if (exponent) value = (value | 0x400) << (exponent - 1);
    return bits >> 15 ? -value : value;
}

/* The same of an fp32, which every h is exact in as fp16. */
static int64_t in_units(uint32_t bits) {
    int exponent = bits >> 23 & 0xFF;
    if (!exponent) return 0;
    int64_t significand = (bits & 0x7FFFFF) | 0x800000;
    int shift = exponent - 126;
    int64_t value = shift < 0 ? significand >> -shift : significand << shift;
    return bits >> 31 ? -value : value;
}

uint64_t classify(const void *row) {
    const struct output_layer *output = network.output;
    const uint16_t *halves = row;
    const uint32_t *h = row;
    int half = row_bytes_of(network.layers - 1) < 4 * output->hidden;
    uint64_t best = 0;
    int64_t best_sum = INT64_MIN;
    for (uint64_t k = 0; k < output->classes; k++) {
        const int32_t *weight = output->weights + k * output->hidden;
        int64_t sum = output->bias[k];
        for (uint64_t i = 0; i < output->hidden; i++)
            sum += weight[i] * (half ? half_in_units(halves[i]) : in_units(h[i]));
        if (sum > best_sum) best = k, best_sum = sum;
    }
    return best;
}
