// Runs one AcceleratorJob on the bare accelerator: accelerator JOB OUTCOME (formats: sim/engines/wire/accelerator.py).
// The host below is sim/host/accelerator.py in C++; docs/simulation.md says what both do in a cycle.
#include "rtl.h"

#include "memory.h"
#include "progress.h"

using Top = TOP;

static constexpr unsigned TAG_BITS = width(static_cast<decltype(Top::p_mem____resp__tag) *>(nullptr));

static constexpr uint64_t ONES = ~uint64_t(0);
static constexpr uint64_t TAIL = 4;  // cycles after the last step, in which stray responses show
static constexpr uint64_t STORE = 1;  // MemoryCommand.STORE
static constexpr uint64_t XD = 1 << 14;

enum StepKind : uint64_t { COMMAND = 0, WAIT_IDLE, WAIT_CYCLES, WAIT_READS };

struct Step {
    uint64_t kind, a, rs1, rs2, gap, withdraw;
};

struct Taken {
    uint64_t rd, data, cycle;
};

struct Stored {
    uint64_t cycle, address, data, mask;
};

struct Reply {
    uint64_t tag, data, error;
};

enum Stop : uint64_t { DONE = 0, MAX_CYCLES, STUCK };

class Run {
    Clocked<Top> rtl;
    Violations violations;
    Image image{violations};
    Timing timing;
    std::vector<Step> steps;
    uint64_t max_cycles, stuck_cycles, response_stall, log_writes;

    // Host: the current step, cycles spent in it, and whether it holds cmd.valid up.
    size_t step = 0;
    uint64_t spent = 0;
    bool valid = false, reload = false;

    std::vector<uint64_t> expected;  // rd of each accepted command with xd = 1
    std::vector<Taken> taken;
    std::vector<uint8_t> tags;  // outstanding requests of each tag
    std::vector<Stored> log;
    std::vector<uint64_t> busy_cycles;
    uint64_t busy_since = ONES, reads = 0, writes = 0, interrupt_cycles = 0;
    uint64_t active = 0;  // last cycle in which anything moved
    uint64_t tail = 0;
    Stop stop = DONE;

  public:
    explicit Run(const char *job) {
        Reader in(job);
        timing.read(in);
        max_cycles = in.u64(), stuck_cycles = in.u64(), response_stall = in.u64(), log_writes = in.u64();
        WaveWindow window;
        window.read(in);
        rtl.open(window);
        steps.resize(in.u64());
        for (Step &s : steps) {
            s.kind = in.u64(), s.a = in.u64(), s.rs1 = in.u64(), s.rs2 = in.u64();
            s.gap = in.u64(), s.withdraw = in.u64();
        }
        image.read(in);
        tags.resize(size_t(1) << TAG_BITS);
    }

    void simulate() {
        Top &top = rtl.top;
        Responder<Reply> responder(timing);
        Random response_stalls(timing.seed, STREAM_RESPONSE);
        ProgressLines progress;
        idle_command();
        answer(false, {});
        put(top.p_mem____req__ready, 0);
        put(top.p_resp____ready, 0);
        put(top.p_exception, 0);
        put(top.p_cmd____status, 0);
        rtl.reset();
        for (;;) {
            const uint64_t cycle = rtl.cycle;

            drive_command();
            Reply reply{};
            bool answers = responder.respond(cycle, reply);
            answer(answers, reply);
            bool accepts = responder.accepts();
            put(top.p_mem____req__ready, accepts);
            bool takes = !response_stall || response_stalls.below(1000) >= response_stall;
            put(top.p_resp____ready, takes);

            rtl.settle();

            if (answers) {
                tags[reply.tag]--;
                active = cycle;
            }
            bool busy = get(top.p_busy);
            if (takes && get(top.p_resp____valid)) response(get(top.p_resp____rd), get(top.p_resp____data), cycle);
            if (accepts && get(top.p_mem____req__valid)) request(responder, busy, cycle);
            watch_busy(busy, responder.outstanding, cycle);
            interrupt_cycles += get(top.p_interrupt);
            advance(busy, get(top.p_cmd____ready), cycle);

            rtl.edge();
            progress.tick(rtl.cycle);
            if (step == steps.size() && taken.size() >= expected.size() && ++tail > TAIL) break;
            if (rtl.cycle >= max_cycles) {
                stop = MAX_CYCLES;
                break;
            }
            if (rtl.cycle - active > stuck_cycles) {
                stop = STUCK;
                break;
            }
        }
        if (busy_since != ONES) busy_cycles.push_back(rtl.cycle - busy_since);
        nanoseconds = progress.nanoseconds();
    }

    void save(const char *path) {
        Writer out(path);
        out.u64(rtl.cycle), out.u64(stop), out.u64(step), out.u64(reads), out.u64(writes);
        out.u64(interrupt_cycles), out.u64(nanoseconds);
        out.u64(busy_cycles.size());
        for (uint64_t cycles : busy_cycles) out.u64(cycles);
        out.u64(taken.size());
        for (const Taken &t : taken) out.u64(t.rd), out.u64(t.data), out.u64(t.cycle);
        violations.write(out);
        out.u64(log.size());
        for (const Stored &s : log) out.u64(s.cycle), out.u64(s.address), out.u64(s.data), out.u64(s.mask);
        image.write(out);
        out.close();
        rtl.finish(path);
    }

  private:
    uint64_t nanoseconds = 0;

    void idle_command() {
        Top &top = rtl.top;
        valid = false;
        put(top.p_cmd____valid, 0);
        put(top.p_cmd____inst, ONES);
        put(top.p_cmd____rs1, ONES);
        put(top.p_cmd____rs2, ONES);
    }

    void drive_command() {
        bool wanted = false;
        if (step < steps.size() && steps[step].kind == COMMAND && spent >= steps[step].gap) {
            const Step &s = steps[step];
            wanted = !s.withdraw || (spent - s.gap) % (s.withdraw + 1) < s.withdraw;
            if (wanted && (!valid || reload)) {
                Top &top = rtl.top;
                put(top.p_cmd____valid, 1);
                put(top.p_cmd____inst, s.a);
                put(top.p_cmd____rs1, s.rs1);
                put(top.p_cmd____rs2, s.rs2);
                valid = true;
                reload = false;
            }
        }
        if (!wanted && valid) idle_command();
    }

    // With no response the wires carry what a careless design would choke on.
    void answer(bool valid_now, const Reply &reply) {
        Top &top = rtl.top;
        put(top.p_mem____resp__valid, valid_now);
        put(top.p_mem____resp__tag, (valid_now ? reply.tag : ONES) & ((uint64_t(1) << TAG_BITS) - 1));
        put(top.p_mem____resp__data, valid_now ? reply.data : ONES);
        put(top.p_mem____resp__error, valid_now ? reply.error : 1);
    }

    void response(uint64_t rd, uint64_t data, uint64_t cycle) {
        active = cycle;
        if (taken.size() >= expected.size())
            violations.add(UNASKED_RESPONSE, cycle, rd, data);
        else if (expected[taken.size()] != rd)
            violations.add(WRONG_RD, cycle, rd, expected[taken.size()]);
        taken.push_back({rd, data, cycle});
    }

    void request(Responder<Reply> &responder, bool busy, uint64_t cycle) {
        Top &top = rtl.top;
        active = cycle;
        uint64_t address = get(top.p_mem____req__addr), tag = get(top.p_mem____req__tag);
        unsigned log_bytes = unsigned(get(top.p_mem____req__size));
        if (!busy) violations.add(NOT_BUSY, cycle, address);
        if (tags[tag]++) violations.add(TAG_REUSED, cycle, tag);
        Image::Answer answer;
        if (get(top.p_mem____req__cmd) == STORE) {
            writes++;
            uint64_t data = get(top.p_mem____req__data), mask = get(top.p_mem____req__mask);
            if (log_writes) log.push_back({cycle, address, data, mask});
            answer = image.store(address, log_bytes, data, unsigned(mask), cycle);
        } else {
            reads++;
            answer = image.load(address, log_bytes, cycle);
        }
        responder.accept({tag, answer.data, answer.error}, cycle);
    }

    void watch_busy(bool busy, uint64_t outstanding, uint64_t cycle) {
        if (busy == (busy_since != ONES)) return;
        if (busy) {
            busy_since = cycle;
            return;
        }
        busy_cycles.push_back(cycle - busy_since);
        busy_since = ONES;
        if (outstanding) violations.add(LEFT_OUTSTANDING, cycle, outstanding);
    }

    // End of the cycle for the host: is the current step over?
    void advance(bool busy, bool cmd_ready, uint64_t cycle) {
        if (step == steps.size()) return;
        const Step &s = steps[step];
        bool over = false;
        switch (s.kind) {
            case COMMAND:
                if (spent < s.gap)
                    active = cycle;
                else if (valid && cmd_ready) {
                    over = true;
                    active = cycle;
                    if (s.a & XD) expected.push_back(s.a >> 7 & 31);
                    // Inputs must not change before the edge: the wires are driven anew in the next cycle.
                    reload = true;
                }
                break;
            case WAIT_IDLE:
                over = !busy;
                break;
            case WAIT_CYCLES:
                over = spent + 1 >= s.a;
                active = cycle;
                break;
            case WAIT_READS:
                over = reads >= s.a;
                break;
        }
        spent = over ? 0 : spent + 1;
        step += over;
    }
};

int main(int count, char **arguments) {
    if (count != 3) fail("usage: accelerator JOB OUTCOME");
    Run run(arguments[1]);
    run.simulate();
    run.save(arguments[2]);
}
