# Instructions that were just written run after fence.i, however near they are.
#include "check.h"

_start:
    la a0, target
    la a1, replacement
    lw t0, 0(a1)
    li s0, 5
    li s1, 0
again:
    addi t1, s0, 0
    slli t1, t1, 20
    add t1, t1, t0
    sw t1, 0(a0)
    fence.i
target:
    j fail
    # addi s2, zero, s0 by now
    li gp, 1
    bne s2, s0, fail
    addi s0, s0, -1
    bnez s0, again
    j pass
replacement:
    addi s2, zero, 0
    finish
