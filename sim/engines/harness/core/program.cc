// Runs one ProgramJob on the bare core: program JOB OUTCOME (formats: sim/engines/wire/core.py).
//
// Two ports to the memory model, one for instructions and one for data; the machine timer and HTIF are devices in
// front of the data port. The core is built with RVFI, from which come the trace and the reasons for stopping.
#include "rtl.h"

#include "memory.h"
#include "progress.h"
#include "retire.h"

using Top = TOP;

static constexpr uint64_t MTIMECMP = 0x02004000, MTIME = 0x0200BFF8;

struct Fetched {
    uint64_t data, error;
};

class Run {
    Clocked<Top> rtl;
    Violations violations;
    Image image{violations};
    Timing fetch_timing, data_timing;
    uint64_t max_cycles, stuck_cycles;
    Htif htif{image};
    Retirement core;
    Kept kept;

    uint64_t mtimecmp = 0;  // as Spike starts: a timer interrupt is pending until it is set
    uint64_t active = 0, nanoseconds = 0;
    Stop stop = EXITED;

  public:
    explicit Run(const char *job) {
        Reader in(job);
        fetch_timing.read(in), data_timing.read(in);
        max_cycles = in.u64(), stuck_cycles = in.u64();
        core.start(in.u64());
        htif.tohost = in.u64(), htif.fromhost = in.u64();
        core.trace.open(in.text());
        WaveWindow window;
        window.read(in);
        rtl.open(window);
        kept.read(in);
        image.read(in);
    }

    void simulate() {
        Top &top = rtl.top;
        Responder<Fetched> instructions(fetch_timing), data(data_timing);
        ProgressLines progress;
        put(top.p_rocc____cmd____ready, 0);
        put(top.p_rocc____resp____valid, 0);
        put(top.p_rocc____busy, 0);
        put(top.p_rocc____interrupt, 0);
        put(top.p_external, 0);
        put(top.p_software, 0);
        put(top.p_timer, 1);
        put(top.p_ibus____resp__valid, 0);
        put(top.p_dbus____resp__valid, 0);
        rtl.reset();
        for (;;) {
            const uint64_t cycle = rtl.cycle;
            Fetched answer{~uint64_t(0), 1};
            bool answers = instructions.respond(cycle, answer);
            put(top.p_ibus____resp__valid, answers);
            put(top.p_ibus____resp__data, uint32_t(answer.data));
            put(top.p_ibus____resp__error, answer.error);
            answer = {~uint64_t(0), 1};
            answers = data.respond(cycle, answer);
            put(top.p_dbus____resp__valid, answers);
            put(top.p_dbus____resp__data, answer.data);
            put(top.p_dbus____resp__error, answer.error);
            bool fetches = instructions.accepts(), accesses = data.accepts();
            put(top.p_ibus____req__ready, fetches);
            put(top.p_dbus____req__ready, accesses);
            put(top.p_mtime, cycle);
            put(top.p_timer, cycle >= mtimecmp);

            rtl.settle();

            if (fetches && get(top.p_ibus____req__valid)) {
                uint64_t address = get(top.p_ibus____req__addr);
                if (Image::Segment *s = image.find(address)) {
                    uint64_t word = s->words[(address - s->address) / 8];
                    instructions.accept({word >> (address & 4) * 8, 0}, cycle);
                } else
                    instructions.accept({~uint64_t(0), 1}, cycle);
            }
            if (accesses && get(top.p_dbus____req__valid)) data.accept(access(cycle), cycle);
            if (core.sample(top, htif, stop)) active = cycle;

            rtl.edge();
            progress.tick(rtl.cycle);
            if (core.exited) break;
            if (stop != EXITED) break;
            if (htif.state == Htif::UNKNOWN) stop = BAD_HTIF;
            if (rtl.cycle >= max_cycles) stop = MAX_CYCLES;
            if (rtl.cycle - active > stuck_cycles) stop = STUCK;
            if (stop != EXITED) break;
        }
        nanoseconds = progress.nanoseconds();
        core.trace.close();
    }

    void save(const char *path) {
        Writer out(path);
        core.write(out, rtl.cycle, stop, htif, nanoseconds);
        kept.write(out, image);
        out.close();
        rtl.finish(path);
    }

  private:
    Fetched access(uint64_t cycle) {
        Top &top = rtl.top;
        uint64_t address = get(top.p_dbus____req__addr), word = address & ~uint64_t(7);
        bool write = get(top.p_dbus____req__write);
        uint64_t value = get(top.p_dbus____req__data), mask = get(top.p_dbus____req__mask);
        unsigned size = unsigned(get(top.p_dbus____req__size));
        if (word == MTIME) return {cycle, write};
        if (word == MTIMECMP) {
            for (unsigned i = 0; i < 8 && write; i++)
                if (mask >> i & 1) mtimecmp = (mtimecmp & ~(uint64_t(0xFF) << 8 * i)) | (value & uint64_t(0xFF) << 8 * i);
            return {mtimecmp, 0};
        }
        if (!image.find(address)) return {~uint64_t(0), 1};
        Image::Answer answer = write ? image.store(address, size, value, unsigned(mask), cycle)
                                     : image.load(address, size, cycle);
        if (write && word == htif.tohost && !answer.error) htif.act();
        return {answer.data, answer.error};
    }
};

int main(int count, char **arguments) {
    if (count != 3) fail("usage: program JOB OUTCOME");
    Run run(arguments[1]);
    run.simulate();
    run.save(arguments[2]);
}
