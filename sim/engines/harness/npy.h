// A file of NumPy's format 2.0: one array of structures, little-endian, whose number is known when it ends.
#pragma once
#include "files.h"
#include "model.h"

class Npy {
    Writer &out;
    const std::string fields;
    uint64_t count = 0;

    // As long for any count, so that it can be written over.
    std::string head() const {
        std::string shape = std::to_string(count), spaces(20 - shape.size(), ' ');
        std::string text = "{'descr': " + fields + ", 'fortran_order': False, 'shape': (" + shape + ",), " + spaces + "}";
        text.append(63 - (12 + text.size()) % 64, ' ') += '\n';
        std::string size(4, 0);
        for (unsigned i = 0; i < 4; i++) size[i] = char(text.size() >> 8 * i);
        return std::string("\x93NUMPY\2\0", 8) + size + text;
    }

  public:
    Npy(Writer &out, const char *fields) : out(out), fields(fields) { out.bytes(head().data(), head().size()); }

    void add(const uint64_t *words, const elstm::Field *field) {
        for (; field->bytes; field++) out.bytes(words + field->at, field->bytes);
        count++;
    }

    void end() {
        out.rewind();
        out.bytes(head().data(), head().size());
    }
};
