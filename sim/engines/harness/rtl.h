// A model as a clocked component: ports as integers, one call a cycle, waveforms.
//
// Compile with -DMODEL='"path of the generated source"', which defines -DTOP: with -DNATIVE it is of sim/engines/native,
// else of sim/engines/verilator. Ports have the same names in both. The two headers below give, for the one or the other,
//
//   width(pointer to a port), put(port, value), get(port)
//   Clocked<Top>  top, cycle; open(window), reset(), and in every cycle settle() and edge(), once each;
//                 finish(path) at the end, for the outcome file ``path``
#pragma once
#include MODEL
#include "files.h"

// Which cycles go to a waveform; an empty path is none.
struct WaveWindow {
    std::string path;
    uint64_t first, last;

    void read(Reader &in) { path = in.text(), first = in.u64(), last = in.u64(); }
};

#ifdef NATIVE
#include "native.h"
#else
#include "verilator.h"
#endif
