# Every exception: cause, pc, mtval, and that nothing behind the trapping instruction happened.
#include "check.h"

    # s6: pc of the instruction; s7 must stay 0
    .macro traps number, cause, tval, instruction:vararg
    la s5, 9f
    la s6, 8f
    li s2, -1
    li s7, 0
    li a0, 0x77
8:  \instruction
    li s7, 1
9:  expect_trap \number, \cause, \tval
    bne s3, s6, fail
    bnez s7, fail
    li t6, 0x77
    bne a0, t6, fail
    .endm

_start:
    la t0, trap_handler
    csrw mtvec, t0
    la a1, data
    addi a2, a1, 1
    addi a3, a1, 2
    addi a4, a1, 4
    li a5, 0x40000000
    li a6, -8

    # 8: an instruction of which mtval holds the bits
    .macro illegal_word number, word
    li s8, \word
    traps \number, 2, s8, .word \word
    .endm
    illegal_word 1, 0x00000000
    illegal_word 2, 0xffffffff
    illegal_word 3, 0x0000100b
    illegal_word 4, 0x0000502b
    illegal_word 5, 0x00002007
    illegal_word 6, 0x1000302f
    illegal_word 7, 0x10200073
    illegal_word 8, 0x12000073
    illegal_word 9, 0x7b200073
    illegal_word 10, 0x02001013 | 1 << 31
    illegal_word 11, 0x0200101b
    illegal_word 12, 0x00007003
    illegal_word 13, 0x00004023
    illegal_word 14, 0x00002063
    illegal_word 15, 0x00001067
    illegal_word 16, 0x0000200f
    illegal_word 17, 0x00004073
    illegal_word 18, 0x02001033 | 8
    illegal_word 19, 0x00000513 & ~3

    traps 20, 11, zero, ecall
    traps 21, 3, s6, ebreak

    traps 30, 4, a2, lh a0, 1(a1)
    traps 31, 4, a2, lhu a0, 1(a1)
    traps 32, 4, a3, lw a0, 2(a1)
    traps 33, 4, a3, lwu a0, 2(a1)
    traps 34, 4, a4, ld a0, 4(a1)
    traps 35, 6, a2, sh a0, 1(a1)
    traps 36, 6, a3, sw a0, 2(a1)
    traps 37, 6, a4, sd a0, 4(a1)
    ld t0, 0(a1)
    expect 38, t0, 0x1122334455667788

    traps 40, 5, a5, ld a0, 0(a5)
    traps 41, 5, a6, lb a0, 0(a6)
    traps 42, 7, a5, sb a0, 0(a5)
    traps 43, 7, a6, sd a0, 0(a6)
    # an access behind a faulting one does not happen
    la s5, 1f
    sd a5, 0(a5)
    sd a5, 0(a1)
1:  ld t0, 0(a1)
    expect 44, t0, 0x1122334455667788
    # nor does a CSR write
    csrw mscratch, zero
    la s5, 1f
    ld a0, 0(a5)
    csrw mscratch, a5
1:  csrr t0, mscratch
    expect 45, t0, 0

    # jumps to where no instruction may start: the jump traps, and its rd is not written
    la s8, 5f + 2
    la s9, 5f
    la ra, 3f
3:  li t1, 0
    traps 50, 0, s8, jalr a0, 2(s9)
    traps 51, 0, s8, jalr a0, 3(s9)
    .macro odd_branch number, word
    addi s8, s6, 0
    la s8, 8f + 6
    traps \number, 0, s8, .word \word
    .endm
    # beq x0, x0, .+6; jal a0, .+6
    odd_branch 52, 0x00000363
    odd_branch 53, 0x0060056f
    # not taken, the target does not matter: bne x0, x0, .+6
    .word 0x00001363
5:
    # bit 0 of a jalr's target is dropped
    la t0, 1f
    jalr t1, 1(t0)
    j fail
1:

    # a fetch from nowhere: the jump is done, the fetch traps
    la s5, 1f
    li s8, 0x40000000
    jalr t1, 0(s8)
1:  li gp, 60
    la t2, 1b
    bne t1, t2, fail
    expect_trap 61, 1, s8
    bne s3, s8, fail

    # what a trap and mret do to mstatus
    li t0, 8
    csrs mstatus, t0
    la s5, 1f
    ecall
1:  csrr t0, mstatus
    expect 70, t0, 0x8000000000019888
    csrw mstatus, zero
    la s5, 1f
    ecall
1:  csrr t0, mstatus
    expect 71, t0, 0x8000000000019880
    la t1, direct
    csrw mtvec, t1
    csrsi mstatus, 8
    ecall
    j fail
    .align 2
direct:
    csrr t0, mstatus
    expect 72, t0, 0x8000000000019880

    # in vectored mode exceptions still go to the base
    la t0, trap_handler + 1
    csrw mtvec, t0
    traps 73, 3, s6, ebreak
    j pass

    .section .rodata
    .align 3
data:
    .dword 0x1122334455667788

    .text
    finish
