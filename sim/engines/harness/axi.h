// The memory behind an AXI4 port, and the rules of the port. sim/host/axi.py and sim/host/axi_rules.py are the same in
// Python; for the same master and seed both take exactly the same cycles.
#pragma once
#include <deque>

#include "memory.h"

struct AxiTiming {
    enum Order : uint64_t { FIFO = 0, BURSTS, BEATS };
    enum Writes : uint64_t { TOGETHER = 0, ADDRESS_FIRST, DATA_FIRST };
    uint64_t latency, jitter, order, stall_permille, writes, seed;

    void read(Reader &in) {
        latency = in.u64(), jitter = in.u64(), order = in.u64();
        stall_permille = in.u64(), writes = in.u64(), seed = in.u64();
    }
};

struct AxiAddress {
    bool valid;
    uint64_t id, addr, len, size, burst, cache, prot;

    bool operator==(const AxiAddress &o) const {
        return valid == o.valid && id == o.id && addr == o.addr && len == o.len && size == o.size &&
               burst == o.burst && cache == o.cache && prot == o.prot;
    }
};

// The master's wires in a cycle; a payload beside a low valid is all zero.
struct AxiMaster {
    AxiAddress aw{}, ar{};
    bool wvalid = false, wlast = false, rready = false, bready = false;
    uint64_t wdata = 0, wstrb = 0;
};

// The slave's.
struct AxiSlave {
    bool arready, awready, wready;
    bool rvalid = false, rlast = true;
    uint64_t rid = 0, rdata = ~uint64_t(0), rresp = 3;
    bool bvalid = false;
    uint64_t bid = 0, bresp = 3;
};

enum AxiResponse : uint64_t { OKAY = 0, SLVERR = 2, DECERR = 3 };

// Listener has stored(id, address, data, strobes, cycle): a word was written.
template <class Listener>
class AxiMemory {
    struct Beat {
        uint64_t data, response;
    };
    struct Read {
        uint64_t id, due;
        unsigned next, count;
        Beat beats[256];
    };
    struct Word {
        uint64_t data, strobes;
        bool last;
    };
    struct Write {
        uint64_t id, due, address;
        std::vector<Word> words;
    };

    Image &image;
    const AxiTiming timing;
    const uint64_t ram_first, ram_end;
    Violations &violations;
    Listener &listener;
    Random random{timing.seed, STREAM_STALL};
    std::deque<Read> reads;
    std::deque<Write> addresses, answers;
    std::deque<Word> data;
    size_t bursts = 0;
    bool data_waiting = false;
    AxiSlave driven;

  public:
    AxiMemory(Image &image, const AxiTiming &timing, uint64_t ram_first, uint64_t ram_end, Violations &violations,
              Listener &listener)
        : image(image), timing(timing), ram_first(ram_first), ram_end(ram_end), violations(violations),
          listener(listener) {}

    // The slave's wires in this cycle, which depend on former cycles only.
    const AxiSlave &drive(uint64_t cycle) {
        driven = AxiSlave();
        driven.arready = willing(), driven.awready = willing(), driven.wready = willing();
        if (timing.writes == AxiTiming::ADDRESS_FIRST) driven.wready &= addresses.size() > bursts;
        if (timing.writes == AxiTiming::DATA_FIRST) driven.awready &= data_waiting || !data.empty();
        answer_read(cycle);
        answer_write(cycle);
        return driven;
    }

    // The master's wires in this cycle; ends it.
    void sample(const AxiMaster &master, uint64_t cycle) {
        if (master.ar.valid && driven.arready) {
            reads.emplace_back();
            Read &read = reads.back();
            read.id = master.ar.id, read.next = 0, read.count = unsigned(master.ar.len + 1);
            for (unsigned i = 0; i < read.count; i++) read.beats[i] = load(master.ar.addr + 8 * i, cycle);
            read.due = due(cycle);
        }
        if (master.aw.valid && driven.awready) addresses.push_back({master.aw.id, 0, master.aw.addr, {}});
        data_waiting = master.wvalid && !driven.wready;
        if (master.wvalid && driven.wready) {
            data.push_back({master.wdata, master.wstrb, master.wlast});
            bursts += master.wlast;
        }
        if (!addresses.empty() && bursts) {
            answers.push_back(std::move(addresses.front()));
            addresses.pop_front();
            Write &write = answers.back();
            bool last;
            do {
                last = data.front().last;
                write.words.push_back(data.front());
                data.pop_front();
            } while (!last);
            bursts--;
            write.due = due(cycle);
        }
    }

  private:
    bool willing() { return !timing.stall_permille || random.below(1000) >= timing.stall_permille; }

    uint64_t due(uint64_t cycle) {
        return cycle + timing.latency + (timing.jitter ? random.below(timing.jitter + 1) : 0);
    }

    // Memory that the design may ask for and that is not there is answered with DECERR, without a violation.
    bool absent(uint64_t address) {
        return address >= ram_first && address < ram_end && !image.find(address);
    }

    Beat load(uint64_t address, uint64_t cycle) {
        if (absent(address)) return {~uint64_t(0), DECERR};
        bool exists = image.find(address);
        Image::Answer answer = image.load(address, 3, cycle);
        return {answer.data, !answer.error ? OKAY : exists ? SLVERR : DECERR};
    }

    void answer_read(uint64_t cycle) {
        if (reads.empty()) return;
        size_t chosen = 0, ready = 0;
        if (timing.order == AxiTiming::FIFO)
            ready = reads[0].due <= cycle;
        else
            for (size_t i = 0; i < reads.size(); i++) {
                if (reads[i].due > cycle) continue;
                if (!ready++ || (timing.order == AxiTiming::BURSTS && reads[i].due < reads[chosen].due)) chosen = i;
            }
        if (!ready || !willing()) return;
        if (timing.order == AxiTiming::BEATS) {
            size_t left = random.below(ready);
            for (chosen = 0; reads[chosen].due > cycle || left; chosen++) left -= reads[chosen].due <= cycle;
        }
        Read &read = reads[chosen];
        const Beat &beat = read.beats[read.next++];
        driven.rvalid = true, driven.rid = read.id, driven.rdata = beat.data, driven.rresp = beat.response;
        driven.rlast = read.next == read.count;
        if (driven.rlast) reads.erase(reads.begin() + ptrdiff_t(chosen));
    }

    void answer_write(uint64_t cycle) {
        if (answers.empty() || answers[0].due > cycle || !willing()) return;
        Write write = std::move(answers[0]);
        answers.pop_front();
        driven.bvalid = true, driven.bid = write.id, driven.bresp = OKAY;
        for (size_t i = 0; i < write.words.size(); i++) {
            const Word &word = write.words[i];
            uint64_t address = write.address + 8 * i, response = OKAY;
            if (!word.strobes) continue;
            bool exists = image.find(address);
            if (absent(address))
                response = DECERR;
            else if (image.store(address, 3, word.data, unsigned(word.strobes), cycle).error)
                response = exists ? SLVERR : DECERR;
            else
                listener.stored(write.id, address, word.data, word.strobes, cycle);
            if (response > driven.bresp) driven.bresp = response;
        }
    }
};

// What the master promises (hdl/axi4.py), cycle by cycle.
class AxiRules {
    static constexpr unsigned MAX_BEATS = 16;

    Violations &violations;
    bool holding = false;
    AxiMaster held;  // what was offered in the last cycle and not taken
    std::vector<uint8_t> in_flight;
    std::deque<uint64_t> addresses;  // beats of write bursts without all of their data
    std::deque<uint64_t> sent;       // beats of write data without an address
    uint64_t beats = 0;

  public:
    enum Channel : uint64_t { AW = 0, W, AR };

    uint64_t reads = 0, writes = 0;  // bursts accepted

    AxiRules(Violations &violations, unsigned id_bits) : violations(violations), in_flight(size_t(1) << id_bits) {}

    void sample(const AxiMaster &m, const AxiSlave &s, uint64_t cycle) {
        if (holding) {
            if (held.aw.valid && !(held.aw == m.aw)) violations.add(AXI_CHANGED, cycle, AW);
            if (held.wvalid && !(m.wvalid && m.wdata == held.wdata && m.wstrb == held.wstrb && m.wlast == held.wlast))
                violations.add(AXI_CHANGED, cycle, W);
            if (held.ar.valid && !(held.ar == m.ar)) violations.add(AXI_CHANGED, cycle, AR);
        }
        holding = (m.aw.valid && !s.awready) || (m.wvalid && !s.wready) || (m.ar.valid && !s.arready);
        if (holding) {
            held = m;
            held.aw.valid &= !s.awready, held.wvalid &= !s.wready, held.ar.valid &= !s.arready;
        }
        if (!m.rready) violations.add(AXI_NOT_READY, cycle, 0);
        if (!m.bready) violations.add(AXI_NOT_READY, cycle, 1);
        if (s.rvalid && s.rlast) in_flight[s.rid] = 0;
        if (m.ar.valid && s.arready) {
            address(m.ar, AR, cycle);
            reads++;
            if (in_flight[m.ar.id]++) violations.add(AXI_ID_REUSED, cycle, m.ar.id);
        }
        if (m.aw.valid && s.awready) {
            address(m.aw, AW, cycle);
            writes++;
            addresses.push_back(m.aw.len + 1);
        }
        if (m.wvalid && s.wready) {
            beats++;
            if (m.wlast) sent.push_back(beats), beats = 0;
        }
        if (!addresses.empty() && beats >= addresses[0]) violations.add(AXI_NO_WLAST, cycle, addresses[0]);
        while (!addresses.empty() && !sent.empty()) {
            if (addresses[0] != sent[0]) violations.add(AXI_WLAST, cycle, sent[0], addresses[0]);
            addresses.pop_front(), sent.pop_front();
        }
    }

  private:
    void address(const AxiAddress &a, Channel channel, uint64_t cycle) {
        uint64_t beats = a.len + 1;
        if (a.size != 3 || a.burst != 1 || a.cache != 2 || a.prot != 0)
            violations.add(AXI_ATTRIBUTES, cycle, channel, a.size | a.burst << 8 | a.cache << 16 | a.prot << 24);
        if (a.addr % 8) violations.add(MISALIGNED, cycle, a.addr, 8);
        if (beats > MAX_BEATS) violations.add(AXI_BEATS, cycle, channel, beats);
        if (a.addr / 4096 != (a.addr + 8 * beats - 1) / 4096) violations.add(AXI_CROSSES, cycle, a.addr, beats);
    }
};
