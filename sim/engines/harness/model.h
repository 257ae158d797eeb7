// What generated models are made of (sim/native).
#pragma once
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace elstm {

using u128 = unsigned __int128;
using i128 = __int128;

template <unsigned BITS>
struct Port {
    uint64_t v = 0;
};

// A signal with a name: its words begin at word ``at`` of what Top::look() stores.
struct Signal {
    const char *identifier;
    unsigned width, at;
};

// A field of a row: the word at which its signal begins, and its bytes.
struct Field {
    unsigned at, bytes;
};

// For code that runs rarely and should compile fast.
#ifdef __clang__
#define ELSTM_RARE __attribute__((noinline, optnone))
#else
#define ELSTM_RARE __attribute__((noinline, optimize("O0")))
#endif

// Shifts by any amount.
template <class T>
inline T shl(T value, uint64_t amount) {
    return amount < 8 * sizeof(T) ? value << amount : 0;
}
template <class T>
inline T shr(T value, uint64_t amount) {
    return amount < 8 * sizeof(T) ? value >> amount : 0;
}
template <class T>
inline T sar(T value, uint64_t amount) {
    return value >> (amount < 8 * sizeof(T) ? amount : 8 * sizeof(T) - 1);
}
// To the right by a signed amount.
template <class T>
inline T shift(T value, int64_t amount) {
    return amount < 0 ? shl(value, uint64_t(0) - amount) : shr(value, amount);
}
// 64 bits from a bit on of a value of many words, zeros beyond its end.
template <size_t WORDS>
inline uint64_t take(const uint64_t (&words)[WORDS], uint64_t from) {
    uint64_t word = from / 64, bit = from % 64;
    uint64_t low = word < WORDS ? words[word] >> bit : 0;
    return bit && word + 1 < WORDS ? low | words[word + 1] << (64 - bit) : low;
}

}  // namespace elstm
