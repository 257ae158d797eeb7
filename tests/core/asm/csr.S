# Every CSR: what it reads after reset or after being written with ones and zeros; what does not exist.
#include "check.h"

    .macro illegal number, instruction:vararg
    la s5, 9f
    li s2, -1
    li a0, 0x77
8:  \instruction
    j fail
9:  la s6, 8b
    li gp, \number
    li t6, 2
    bne s2, t6, fail
    bne s3, s6, fail
    lw t5, 0(s6)
    slli t5, t5, 32
    srli t5, t5, 32
    bne s4, t5, fail
    # rd is untouched
    li t6, 0x77
    bne a0, t6, fail
    .endm

    .macro ones number, csr, value:vararg
    li a0, -1
    csrw \csr, a0
    csrr a1, \csr
    expect \number, a1, \value
    .endm

_start:
    # after reset: interrupts off, and XS, MPP, SD as constants
    csrr a0, mstatus
    expect 1, a0, 0x8000000000019800
    la t0, trap_handler
    csrw mtvec, t0

    csrr a0, misa
    expect 2, a0, 0x8000000000001100
    csrw misa, zero
    csrr a0, misa
    expect 3, a0, 0x8000000000001100
    csrr a0, mvendorid
    expect 4, a0, 0
    csrr a0, marchid
    expect 5, a0, 0
    csrr a0, mimpid
    expect 6, a0, 0
    csrr a0, mhartid
    expect 7, a0, 0
    csrr a0, 0xf15
    expect 8, a0, 0

    ones 10, mstatus, 0x8000000000019888
    csrw mstatus, zero
    csrr a0, mstatus
    expect 11, a0, 0x8000000000019800
    # no interrupt is enabled in mstatus here, so all may be enabled in mie
    ones 12, mie, 0x1888
    csrw mie, zero
    csrr a0, mie
    expect 13, a0, 0
    ones 14, mscratch, -1
    ones 15, mepc, 0xfffffffffffffffc
    ones 16, mcause, 0x800000000000003f
    ones 17, mtval, -1
    ones 18, mtvec, 0xfffffffffffffffd
    la t0, trap_handler
    csrw mtvec, t0
    csrr a1, mtvec
    li gp, 19
    bne a1, t0, fail

    # the six operations
    li a0, 0xf0f
    csrrw a1, mscratch, a0
    expect 20, a1, -1
    li a0, 0x0ff
    csrrs a1, mscratch, a0
    expect 21, a1, 0xf0f
    csrrc a1, mscratch, a0
    expect 22, a1, 0xfff
    csrrwi a1, mscratch, 21
    expect 23, a1, 0xf00
    csrrsi a1, mscratch, 10
    expect 24, a1, 21
    csrrci a1, mscratch, 1
    expect 25, a1, 31
    csrr a1, mscratch
    expect 26, a1, 30

    # counters: the value written is what the next instruction reads; inhibited ones stand still
    csrwi minstret, 0
    csrr a0, minstret
    expect 30, a0, 0
    csrr a0, minstret
    # csrr and the three instructions of the check
    expect 31, a0, 4
    csrr a0, instret
    expect 32, a0, 8
    ones 33, mcountinhibit, 5
    csrwi minstret, 7
    csrwi mcycle, 9
    nop
    csrr a0, minstret
    expect 34, a0, 7
    csrr a0, mcycle
    expect 35, a0, 9
    csrr a0, cycle
    expect 36, a0, 9
    csrwi mcountinhibit, 0
    csrr a0, mcycle
    csrr a1, mcycle
    li gp, 37
    bgeu a0, a1, fail
    csrr a0, time
    csrr a1, time
    li gp, 38
    bgeu a0, a1, fail
    # an ecall does not retire
    csrwi minstret, 0
    la s5, 1f
    ecall
1:  csrr a0, minstret
    # la (two), and the handler's five
    expect 39, a0, 7

    # hardwired zeros
    .irp csr, 0x323, 0x32f, 0x33f, 0xb03, 0xb0f, 0xb1f, 0x3a2, 0x3b1, 0x3bf, 0x7a0, 0x7a1, 0x7a2, 0x7a3
    ones 40, \csr, 0
    .endr
    # a protection entry that can restrict nothing
    ones 41, pmpcfg0, 0x1f
    ones 42, pmpaddr0, 0x3fffffffffffff
    # interrupts cannot be made pending by software
    csrw mip, zero
    li a0, -1
    csrs mip, a0
    csrr a1, mip
    andi a1, a1, 0x8
    expect 43, a1, 0

    # read-only registers: reading by set with x0 is no write
    csrrs a0, mhartid, x0
    csrrsi a0, mhartid, 0
    illegal 50, csrrw a0, mhartid, x0
    illegal 51, csrrsi a0, mhartid, 1
    illegal 52, csrrw a0, cycle, x0
    illegal 53, csrrs a0, instret, t0
    # what a hart without user and supervisor mode does not have
    .irp csr, 0x100, 0x105, 0x180, 0x302, 0x303, 0x306, 0x30a, 0x001, 0x003, 0x3b0 + 16, 0x7b0, 0x321, 0xb01, 0xc03, 0xfff
    illegal 54, csrrs a0, \csr, x0
    illegal 55, csrrw a0, \csr, x0
    .endr
    finish
