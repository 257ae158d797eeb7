// The memory model (docs/simulation.md): what memory holds, when it accepts and when it answers.
// sim/host/memory.py is the same model in Python; both take exactly the same cycles for the same requests and seed.
#pragma once
#include "random.h"
#include "violations.h"

// Contents: segments of 64-bit words; anything outside them does not exist.
class Image {
  public:
    static constexpr uint64_t NOWHERE = ~uint64_t(0);

    struct Segment {
        uint64_t address, size;
        bool write;
        uint64_t read_error, write_error;  // offset of the word that answers with an error, or NOWHERE
        std::vector<uint64_t> words;
    };
    struct Answer {
        uint64_t data;
        bool error;
    };

    std::vector<Segment> segments;

    explicit Image(Violations &violations) : violations(violations) {}

    void read(Reader &in) {
        segments.resize(in.u64());
        for (Segment &s : segments) {
            s.address = in.u64(), s.size = in.u64(), s.write = in.u64();
            s.read_error = in.u64(), s.write_error = in.u64();
            s.words.assign(s.size / 8, ~uint64_t(0));
            uint64_t loaded = in.u64();
            if (loaded > s.size) fail("segment data exceeds its size");
            in.bytes(s.words.data(), loaded);
        }
    }

    // Final contents of the writable segments, in order.
    void write(Writer &out) const {
        for (const Segment &s : segments)
            if (s.write) out.bytes(s.words.data(), s.words.size() * 8);
    }

    // The aligned 64-bit word that holds the 2^log_bytes bytes at address.
    Answer load(uint64_t address, unsigned log_bytes, uint64_t cycle) {
        Segment *s = find(address);
        if (misaligned(address, log_bytes, cycle)) return {~uint64_t(0), true};
        if (!s) {
            violations.add(OUTSIDE, cycle, address, 0);
            return {~uint64_t(0), true};
        }
        uint64_t offset = (address - s->address) & ~uint64_t(7);
        if (offset == s->read_error) return {~uint64_t(0), true};
        return {s->words[offset / 8], false};
    }

    // Data and mask are byte lanes of the aligned 64-bit word.
    Answer store(uint64_t address, unsigned log_bytes, uint64_t data, unsigned mask, uint64_t cycle) {
        Segment *s = find(address);
        if (misaligned(address, log_bytes, cycle)) return {~uint64_t(0), true};
        if (!s || !s->write) {
            violations.add(s ? READ_ONLY : OUTSIDE, cycle, address, 1);
            return {~uint64_t(0), true};
        }
        uint64_t offset = (address - s->address) & ~uint64_t(7);
        if (offset == s->write_error) return {~uint64_t(0), true};
        // Spread the mask's eight bits to eight bytes.
        uint64_t lanes = 0;
        for (unsigned i = 0; i < 8; i++)
            if (mask >> i & 1) lanes |= uint64_t(0xFF) << (8 * i);
        uint64_t &word = s->words[offset / 8];
        word = (word & ~lanes) | (data & lanes);
        return {~uint64_t(0), false};
    }

    // The segment that holds address, or null. Remembers the last one: accesses come in runs.
    Segment *find(uint64_t address) {
        if (last < segments.size() && address - segments[last].address < segments[last].size) return &segments[last];
        for (size_t i = 0; i < segments.size(); i++) {
            if (address - segments[i].address < segments[i].size) {
                last = i;
                return &segments[i];
            }
        }
        return nullptr;
    }

  private:
    Violations &violations;
    size_t last = 0;

    bool misaligned(uint64_t address, unsigned log_bytes, uint64_t cycle) {
        uint64_t bytes = uint64_t(1) << log_bytes;
        if (!(address & (bytes - 1))) return false;
        violations.add(MISALIGNED, cycle, address, bytes);
        return true;
    }
};

// The parts of memory to bring back, byte by byte; what does not exist reads as ones.
class Kept {
    struct Range {
        uint64_t address, size;
    };
    std::vector<Range> ranges;

  public:
    void read(Reader &in) {
        ranges.resize(in.u64());
        for (Range &range : ranges) range.address = in.u64(), range.size = in.u64();
    }

    void write(Writer &out, Image &image) const {
        for (const Range &range : ranges)
            for (uint64_t at = range.address; at < range.address + range.size; at++) {
                const Image::Segment *s = image.find(at);
                uint64_t offset = at - (s ? s->address : 0);
                uint8_t byte = s ? uint8_t(s->words[offset / 8] >> 8 * (offset % 8)) : 0xFF;
                out.bytes(&byte, 1);
            }
    }
};

struct Timing {
    uint64_t latency, jitter, fifo, stall_permille, seed;

    void read(Reader &in) {
        latency = in.u64(), jitter = in.u64(), fifo = in.u64(), stall_permille = in.u64(), seed = in.u64();
    }
};

// When requests are accepted and answered; Payload is what comes back with an answer.
//
// One response a cycle, the one due first; of those due together, the one accepted first. Requests wait in a ring
// of one list for each cycle ahead; the lists whose cycle has come are joined to one queue.
template <class Payload>
class Responder {
    static constexpr uint32_t NONE = ~uint32_t(0);
    struct Entry {
        Payload payload;
        uint32_t next;
    };
    struct List {
        uint32_t first = NONE, last = NONE;
    };

    const Timing timing;
    Random stalls, jitters;
    std::vector<List> ring;
    std::vector<Entry> entries;
    uint32_t free_list = NONE;
    List ready;
    uint64_t last_due = 0;

  public:
    uint64_t outstanding = 0;

    explicit Responder(const Timing &t)
        : timing(t), stalls(t.seed, STREAM_STALL), jitters(t.seed, STREAM_JITTER) {
        uint64_t size = 1;
        while (size < t.latency + t.jitter + 1) size *= 2;
        ring.resize(size);
    }

    // Does memory accept a request in this cycle? To be asked exactly once a cycle.
    bool accepts() { return !timing.stall_permille || stalls.below(1000) >= timing.stall_permille; }

    // A request accepted in this cycle.
    void accept(const Payload &payload, uint64_t cycle) {
        uint64_t due = cycle + timing.latency;
        if (timing.jitter) due += jitters.below(timing.jitter + 1);
        if (timing.fifo) last_due = due = due < last_due ? last_due : due;
        uint32_t index = free_list;
        if (index == NONE) {
            index = uint32_t(entries.size());
            entries.push_back({payload, NONE});
        } else {
            free_list = entries[index].next;
            entries[index] = {payload, NONE};
        }
        join(ring[due & (ring.size() - 1)], {index, index});
        outstanding++;
    }

    // The response of this cycle, if any. To be called exactly once a cycle, before accept().
    bool respond(uint64_t cycle, Payload &payload) {
        List &due = ring[cycle & (ring.size() - 1)];
        if (due.first != NONE) {
            join(ready, due);
            due = List();
        }
        if (ready.first == NONE) return false;
        uint32_t index = ready.first;
        payload = entries[index].payload;
        ready.first = entries[index].next;
        if (ready.first == NONE) ready.last = NONE;
        entries[index].next = free_list;
        free_list = index;
        outstanding--;
        return true;
    }

  private:
    void join(List &to, List more) {
        if (to.first == NONE)
            to = more;
        else {
            entries[to.last].next = more.first;
            to.last = more.last;
        }
    }
};
