# The timer: pending, enabled, direct and vectored, wfi, and where mepc points.
#include "check.h"
#define MTIMECMP 0x02004000
#define MTIME 0x0200bff8

_start:
    li s10, MTIMECMP
    li s11, MTIME
    li s9, 0x80
    # pending after reset; gone when the time is in the future; never taken while disabled
    csrr a0, mip
    and a0, a0, s9
    expect 1, a0, 0x80
    li t0, -1
    sd t0, 0(s10)
    nop
    nop
    csrr a0, mip
    and a0, a0, s9
    expect 2, a0, 0
    ld a0, 0(s10)
    expect 3, a0, -1
    # the lower half alone
    sw zero, 0(s10)
    ld a0, 0(s10)
    expect 4, a0, 0xffffffff00000000

    la t0, direct
    csrw mtvec, t0
    csrw mie, s9
    ld t0, 0(s11)
    addi t0, t0, 60
    sd t0, 0(s10)
    li s2, 0
    li s6, 0
    csrsi mstatus, 8
    # counting until the interrupt comes: it is taken between two instructions, not instead of one
spin:
    addi s6, s6, 1
    addi s7, s6, 0
    beqz s2, spin
    expect 10, s2, 0x8000000000000007
    li gp, 11
    bne s6, s7, fail
    la t0, spin
    bltu s3, t0, fail
    addi t0, t0, 8
    bgtu s3, t0, fail
    expect 12, s4, 0

    # with mstatus.MIE off wfi wakes up and goes on; the interrupt is taken when MIE is set, before the next instruction
    csrci mstatus, 8
    csrw mie, s9
    ld t0, 0(s11)
    addi t0, t0, 100
    sd t0, 0(s10)
    li s2, 0
    wfi
    ld t1, 0(s11)
    li gp, 20
    bltu t1, t0, fail
    bnez s2, fail
    csrsi mstatus, 8
after:
    expect 21, s2, 0x8000000000000007
    la t0, after
    li gp, 22
    bne s3, t0, fail

    # wfi with MIE on: taken behind it
    ld t0, 0(s11)
    addi t0, t0, 100
    sd t0, 0(s10)
    nop
    li s2, 0
    csrw mie, s9
    wfi
behind:
    expect 30, s2, 0x8000000000000007
    la t0, behind
    li gp, 31
    bne s3, t0, fail

    # vectored: entry 7
    la t0, vectors + 1
    csrw mtvec, t0
    li s2, 0
    sd zero, 0(s10)
    csrw mie, s9
    nop
    expect 40, s2, 0x8000000000000007
    j pass

    .align 2
vectors:
    .rept 7
    j fail
    .endr
direct:
    csrr s2, mcause
    csrr s3, mepc
    csrr s4, mtval
    csrw mie, zero
    mret
    finish
