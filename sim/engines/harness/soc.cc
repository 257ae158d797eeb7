// Runs one SocJob on the SoC: soc JOB OUTCOME (formats: sim/engines/wire/soc.py). sim/host/soc.py is the same
// host in Python.
//
// One port to the memory model; HTIF listens to what the core writes there. With -DRVFI the core has its trace port, from
// which come the trace and the reasons for stopping.
#include "rtl.h"

#include "axi.h"
#include "core/retire.h"
#include "progress.h"

using Top = TOP;

static constexpr unsigned ID_BITS = width(static_cast<decltype(Top::p_axi____rid) *>(nullptr));

struct Stored {
    uint64_t cycle, address, data, strobes;
};

class Run {
    Clocked<Top> rtl;
    Violations violations;
    Image image{violations};
    AxiTiming timing;
    uint64_t ram_first, ram_end, max_cycles, stuck_cycles, log_writes;
    Htif htif{image};
    Retirement core;
    std::FILE *reads = nullptr;
    Kept kept;
    std::vector<Stored> log;
    std::vector<uint64_t> busy_cycles;
    uint64_t busy_since = Image::NOWHERE;
    uint64_t active = 0, nanoseconds = 0, read_bursts = 0, write_bursts = 0;
    size_t shown = 0;  // of the console
    Stop stop = EXITED;

  public:
    explicit Run(const char *job) {
        Reader in(job);
        timing.read(in);
        ram_first = in.u64(), ram_end = in.u64();
        max_cycles = in.u64(), stuck_cycles = in.u64(), log_writes = in.u64();
        core.start(in.u64());
        htif.tohost = in.u64(), htif.fromhost = in.u64();
        core.trace.open(in.text());
        std::string path = in.text();
        if (!path.empty() && !(reads = std::fopen(path.c_str(), "wb"))) fail("cannot write " + path);
        WaveWindow window;
        window.read(in);
        rtl.open(window);
        kept.read(in);
        image.read(in);
    }

    void simulate() {
        Top &top = rtl.top;
        AxiMemory<Run> memory(image, timing, ram_first, ram_end, violations, *this);
        AxiRules rules(violations, ID_BITS);
        ProgressLines progress;
        put_wires({});
        rtl.reset();
        for (;;) {
            const uint64_t cycle = rtl.cycle;
            const AxiSlave &slave = memory.drive(cycle);
            put_wires(slave);

            rtl.settle();

            AxiMaster master = get_wires();
            if ((master.ar.valid && slave.arready) || (master.wvalid && slave.wready) || slave.rvalid) active = cycle;
            if (master.ar.valid && slave.arready && !(master.ar.id >> (ID_BITS - 1))) read(master.ar, cycle);
            memory.sample(master, cycle);
            rules.sample(master, slave, cycle);
            watch_busy(get(top.p_busy), cycle);
#ifdef RVFI
            if (core.sample(top, htif, stop)) active = cycle;
            bool exited = core.exited;
#else
            bool exited = htif.state == Htif::EXIT;
#endif
            rtl.edge();
            progress.tick(rtl.cycle);
            if (exited || stop != EXITED) break;
            if (htif.state == Htif::UNKNOWN) stop = BAD_HTIF;
            if (rtl.cycle >= max_cycles) stop = MAX_CYCLES;
            if (rtl.cycle - active > stuck_cycles) stop = STUCK;
            if (stop != EXITED) break;
        }
        watch_busy(false, rtl.cycle);
        nanoseconds = progress.nanoseconds();
        core.trace.close();
        if (reads) close_output(reads, "the trace of reads");
        read_bursts = rules.reads, write_bursts = rules.writes;
    }

    void save(const char *path) {
        Writer out(path);
        core.write(out, rtl.cycle, stop, htif, nanoseconds);
        out.u64(read_bursts), out.u64(write_bursts);
        out.u64(busy_cycles.size());
        for (uint64_t cycles : busy_cycles) out.u64(cycles);
        violations.write(out);
        out.u64(log.size());
        for (const Stored &s : log) out.u64(s.cycle), out.u64(s.address), out.u64(s.data), out.u64(s.strobes);
        kept.write(out, image);
        out.close();
        rtl.finish(path);
    }

    // From memory: a word was written. The core's ids have the highest bit.
    void stored(uint64_t id, uint64_t address, uint64_t data, uint64_t strobes, uint64_t cycle) {
        if (!(id >> (ID_BITS - 1))) {
            if (log_writes) log.push_back({cycle, address, data, strobes});
            return;
        }
        if (address != htif.tohost) return;
        htif.act();
        if (htif.console.size() > shown && htif.console.back() == '\n') show();
    }

  private:
    // What was printed since, in hexadecimal on a line of its own.
    void show() {
        std::putchar('>');
        for (; shown < htif.console.size(); shown++) std::printf("%02x", uint8_t(htif.console[shown]));
        if (std::putchar('\n') < 0 || std::fflush(stdout)) std::exit(4);
    }

    // Each period in which the accelerator is busy, whatever its own counter says.
    void watch_busy(bool busy, uint64_t cycle) {
        if (busy == (busy_since != Image::NOWHERE)) return;
        if (!busy) busy_cycles.push_back(cycle - busy_since);
        busy_since = busy ? cycle : Image::NOWHERE;
    }

    // A burst of loads of the accelerator's.
    void read(const AxiAddress &burst, uint64_t cycle) {
        if (reads) std::fprintf(reads, "%" PRIu64 " 0x%08" PRIx64 " %" PRIu64 "\n", cycle, burst.addr, burst.len + 1);
    }

    void put_wires(const AxiSlave &s) {
        Top &top = rtl.top;
        put(top.p_axi____arready, s.arready), put(top.p_axi____awready, s.awready), put(top.p_axi____wready, s.wready);
        put(top.p_axi____rvalid, s.rvalid), put(top.p_axi____rid, s.rid), put(top.p_axi____rdata, s.rdata);
        put(top.p_axi____rresp, s.rresp), put(top.p_axi____rlast, s.rlast);
        put(top.p_axi____bvalid, s.bvalid), put(top.p_axi____bid, s.bid), put(top.p_axi____bresp, s.bresp);
    }

    AxiMaster get_wires() {
        Top &top = rtl.top;
        AxiMaster m;
        if (get(top.p_axi____arvalid))
            m.ar = {true,
                    get(top.p_axi____arid),
                    get(top.p_axi____araddr),
                    get(top.p_axi____arlen),
                    get(top.p_axi____arsize),
                    get(top.p_axi____arburst),
                    get(top.p_axi____arcache),
                    get(top.p_axi____arprot)};
        if (get(top.p_axi____awvalid))
            m.aw = {true,
                    get(top.p_axi____awid),
                    get(top.p_axi____awaddr),
                    get(top.p_axi____awlen),
                    get(top.p_axi____awsize),
                    get(top.p_axi____awburst),
                    get(top.p_axi____awcache),
                    get(top.p_axi____awprot)};
        if (get(top.p_axi____wvalid)) {
            m.wvalid = true, m.wlast = get(top.p_axi____wlast);
            m.wdata = get(top.p_axi____wdata), m.wstrb = get(top.p_axi____wstrb);
        }
        m.rready = get(top.p_axi____rready), m.bready = get(top.p_axi____bready);
        return m;
    }
};

int main(int count, char **arguments) {
    if (count != 3) fail("usage: soc JOB OUTCOME");
    Run run(arguments[1]);
    run.simulate();
    run.save(arguments[2]);
}
