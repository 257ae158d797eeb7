// Job and outcome files: little-endian 64-bit words, strings and blobs as a length and their bytes (sim/engines/wire/base.py).
#pragma once
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

[[noreturn]] inline void fail(const std::string &message) {
    std::fprintf(stderr, "%s\n", message.c_str());
    std::exit(3);
}

[[noreturn]] inline void cannot_write(const std::string &path) {
    fail("cannot write " + path + ": " + std::strerror(errno));
}

// A disk may fill up in the middle of a file or only when its last bytes are written.
inline void close_output(std::FILE *file, const std::string &path) {
    bool failed = std::ferror(file) != 0;
    if (std::fclose(file) || failed) cannot_write(path);
}

class Reader {
    std::string path;
    std::FILE *file;

  public:
    explicit Reader(const char *name) : path(name), file(std::fopen(name, "rb")) {
        if (!file) fail("cannot open " + path);
    }
    ~Reader() { std::fclose(file); }
    Reader(const Reader &) = delete;

    void bytes(void *to, size_t count) {
        if (std::fread(to, 1, count, file) != count) fail(path + " is truncated");
    }
    uint64_t u64() {
        uint64_t value;
        bytes(&value, 8);
        return value;
    }
    std::string text() {
        std::string value(u64(), '\0');
        bytes(value.data(), value.size());
        return value;
    }
};

class Writer {
    std::string path;
    std::FILE *file;

  public:
    explicit Writer(const char *name) : path(name), file(std::fopen(name, "wb")) {
        if (!file) cannot_write(path);
    }
    Writer(const Writer &) = delete;

    void bytes(const void *from, size_t count) {
        if (std::fwrite(from, 1, count, file) != count) cannot_write(path);
    }
    void u64(uint64_t value) { bytes(&value, 8); }
    // Back to the beginning, to write over it.
    void rewind() {
        if (std::fseek(file, 0, SEEK_SET)) cannot_write(path);
    }
    void close() { close_output(file, path); }
};
