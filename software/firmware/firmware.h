/* What a bare-metal program on the core has: a console, an exit, traps, counters. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Ends the program; the simulator exits with the low 8 bits of code. */
_Noreturn void exit(int code);

void print(const char *text);
void print_hex(uint64_t value);
void print_decimal(uint64_t value);

/* Called for every trap. The default reports cause, pc and mtval and exits with 1; a program may have its own, which
   returns the pc to go on at. The registers that a C function may change are kept. */
uint64_t handle_trap(uint64_t cause, uint64_t pc, uint64_t value);

/* Instructions of an extension that the compiler was not told of, as gcc is not of Zicsr and Zifencei. */
#define EXTENSION_(name, instruction) ".option push\n.option arch, +" name "\n" instruction "\n.option pop"
#define ZICSR_(instruction) EXTENSION_("zicsr", instruction)
#define CSR_READ(name)                                             \
    ({                                                             \
        uint64_t value_;                                           \
        __asm__ volatile(ZICSR_("csrr %0, " name) : "=r"(value_)); \
        value_;                                                    \
    })
#define CSR_WRITE(name, value) __asm__ volatile(ZICSR_("csrw " name ", %0")::"r"((uint64_t)(value)) : "memory")
#define CSR_SET(name, value) __asm__ volatile(ZICSR_("csrs " name ", %0")::"r"((uint64_t)(value)) : "memory")
#define CSR_CLEAR(name, value) __asm__ volatile(ZICSR_("csrc " name ", %0")::"r"((uint64_t)(value)) : "memory")

/* What was stored before is executed after: to be called between writing instructions and running them. */
static inline void fence_i(void) { __asm__ volatile(EXTENSION_("zifencei", "fence.i") ::: "memory"); }

#define MTIMECMP ((volatile uint64_t *)0x02004000)
#define MTIME ((volatile uint64_t *)0x0200bff8)

/* The compiler may call these on its own. */
void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);
void *memset(void *to, int value, size_t count);
int memcmp(const void *a, const void *b, size_t count);
