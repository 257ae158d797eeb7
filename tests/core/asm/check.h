/* Self-checking programs: exit code 0, or the number (in gp) of the check that failed. */
    .option arch, +zicsr, +zifencei
    .section .text.start, "ax"
    .globl _start

/* reg must hold value */
    .macro expect number, reg, value:vararg
    li gp, \number
    li t6, \value
    bne \reg, t6, fail
    .endm

/* What follows traps with this cause and mtval; the pc after it is local label 9. mtval in a register. */
    .macro expect_trap number, cause, tval
    li gp, \number
    li t6, \cause
    bne s2, t6, fail
    bne s4, \tval, fail
    .endm

    .macro finish
pass:
    li gp, 0
fail:
    slli t0, gp, 1
    ori t0, t0, 1
    la t1, tohost
1:  sd t0, 0(t1)
    j 1b

/* Keeps mcause, mepc and mtval in s2, s3, s4 and goes on at s5. */
    .align 2
trap_handler:
    csrr s2, mcause
    csrr s3, mepc
    csrr s4, mtval
    csrw mepc, s5
    mret

    .section .tohost, "aw"
    .align 6
    .globl tohost
tohost:
    .dword 0
    .align 6
    .globl fromhost
fromhost:
    .dword 0
    .endm
