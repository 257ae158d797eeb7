// probe SEED CYCLES: random inputs i0..i3, all outputs o0..o7 of every cycle printed (tests/sim/engines/test_native.py).
#include "rtl.h"

#include "random.h"

int main(int, char **arguments) {
    Clocked<TOP> rtl;
    auto &top = rtl.top;
    Random random(std::strtoull(arguments[1], nullptr, 10), 7);
    put(top.p_i0, 0), put(top.p_i1, 0), put(top.p_i2, 0), put(top.p_i3, 0);
    rtl.reset();
    uint64_t cycles = std::strtoull(arguments[2], nullptr, 10);
    while (rtl.cycle < cycles) {
        // small and extreme values are as likely as any
        uint64_t shape = random.next();
        auto value = [&](int n) {
            uint64_t v = random.next();
            unsigned kind = shape >> (4 * n) & 7;
            return kind == 0 ? v & 3 : kind == 1 ? ~(v & 3) : kind == 2 ? uint64_t(1) << (v & 63) : v;
        };
        put(top.p_i0, value(0)), put(top.p_i1, value(1)), put(top.p_i2, value(2)), put(top.p_i3, value(3));
        rtl.settle();
        for (uint64_t o : {get(top.p_o0), get(top.p_o1), get(top.p_o2), get(top.p_o3), get(top.p_o4), get(top.p_o5),
                           get(top.p_o6), get(top.p_o7)})
            std::printf("%llx ", (unsigned long long)o);
        std::puts("");
        rtl.edge();
    }
}
