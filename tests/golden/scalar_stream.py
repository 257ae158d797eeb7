"""The stream formats in plain Python, entry by entry, straight from the rules: slow, scalar, independent of golden."""

from tests.golden.scalar import half


def rounded(bits: int, gap_bits: int) -> int | None:
    """The code (16 - gap_bits bits) nearest to an fp16, ties to even, None when that is infinite; +-0 gives 0."""
    magnitude, sign = bits & 0x7FFF, bits >> 15
    low = magnitude >> gap_bits
    below = half(magnitude) - half(low << gap_bits)
    # One more code up is infinity for the last finite one, at the distance that a finite number there would have
    step = half(low << gap_bits) - half((low - 1) << gap_bits) if low else half(1 << gap_bits)
    if (low + 1) << gap_bits != 0x7C00:
        step = half((low + 1) << gap_bits) - half(low << gap_bits)
    if 2 * below > step or (2 * below == step and low & 1):
        low += 1
    if low << gap_bits == 0x7C00:
        return None
    return low | sign << (15 - gap_bits) if low else 0


def pack(codes: list[list[int]], entry_bits: int, gap_bits: int, unit_cols: int) -> tuple[list[int], list[int]]:
    """Words and words per unit of a matrix of codes, rows a multiple of the streams, columns of unit_cols."""
    streams = 64 // entry_bits
    words: list[int] = []
    lengths = []
    for left in range(0, len(codes[0]), unit_cols):
        entries: list[list[int]] = []
        for stream in range(streams):
            line, run = [], 0
            for row in range(stream, len(codes), streams):
                for code in codes[row][left : left + unit_cols]:
                    if not code:
                        run += 1
                        continue
                    while run >= 1 << gap_bits:
                        line.append((1 << gap_bits) - 1)
                        run -= 1 << gap_bits
                    line.append(code << gap_bits | run)
                    run = 0
            entries.append(line)
        lengths.append(max(map(len, entries)))
        for j in range(lengths[-1]):
            words.append(sum((line[j] if j < len(line) else 0) << entry_bits * k for k, line in enumerate(entries)))
    return words, lengths


def decode(
    words: list[int], rows: int, lengths: list[int], entry_bits: int, gap_bits: int, unit_cols: int
) -> tuple[list[tuple[int, int, int]], dict[int, tuple[int, int]]]:
    """(row, column, code) of every value before its unit's first fault, and that fault's (stream, word)."""
    streams = 64 // entry_bits
    end = unit_cols * rows // streams
    values: list[tuple[int, int, int]] = []
    faults: dict[int, tuple[int, int]] = {}
    at = 0
    for unit, length in enumerate(lengths):
        place = [-1] * streams
        for word in range(at, at + length):
            if word == at + end:
                faults.setdefault(unit, (0, word))
                break
            if word >= len(words):
                faults.setdefault(unit, (0, len(words)))
                break
            for k in range(streams):
                entry = words[word] >> entry_bits * k & (1 << entry_bits) - 1
                place[k] = min(place[k] + (entry & (1 << gap_bits) - 1) + 1, end)
                code = entry >> gap_bits
                if not code or unit in faults:
                    continue
                if place[k] == end:
                    faults[unit] = (k, word)
                else:
                    values.append((place[k] // unit_cols * streams + k, unit * unit_cols + place[k] % unit_cols, code))
        at += length
    return values, faults
