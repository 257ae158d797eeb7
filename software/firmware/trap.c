/* The default trap handler: say what happened and where, then exit. */
#include "firmware.h"

static const char *const names[] = {
    "instruction address misaligned", "instruction access fault", "illegal instruction", "breakpoint",
    "load address misaligned",        "load access fault",        "store address misaligned", "store access fault",
};

__attribute__((weak)) uint64_t handle_trap(uint64_t cause, uint64_t pc, uint64_t value) {
    print("trap: ");
    if (cause < sizeof names / sizeof *names)
        print(names[cause]);
    else if (cause >> 63)
        print("interrupt ");
    else
        print("cause ");
    if (cause >= sizeof names / sizeof *names) print_decimal(cause & 63);
    print(" at pc ");
    print_hex(pc);
    print(", mtval ");
    print_hex(value);
    print("\n");
    exit(1);
}
