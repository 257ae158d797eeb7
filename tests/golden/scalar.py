"""An independent golden model in plain Python integers and fractions, straight from the formulas: slow, scalar."""

import struct
from fractions import Fraction
from math import floor

COLUMNS: dict[int, dict[int, tuple[int, ...]]] = {
    0: {0: ()},
    1: {0: (0,), 4: (1,), 6: (2,), 7: (3,)},
    2: {0: (0, 1), 2: (0, 2), 3: (0, 3), 4: (1, 2), 5: (1, 3), 6: (2, 3)},
    3: {0: (0, 1, 2), 1: (0, 1, 3), 2: (0, 2, 3), 4: (1, 2, 3)},
    4: {0: (0, 1, 2, 3)},
}


def half(bits: int) -> Fraction:
    """A finite fp16 from its bits, from the definition of the format."""
    exponent, fraction = bits >> 10 & 31, bits & 0x3FF
    assert exponent != 31
    magnitude = (
        Fraction(fraction, 2**24)
        if exponent == 0
        else Fraction(1024 + fraction, 2**10) * Fraction(2) ** (exponent - 15)
    )
    return -magnitude if bits >> 15 else magnitude


def to_half_bits(value: Fraction) -> int:
    """Nearest fp16, ties to even, by searching all finite magnitudes' neighbours; zero is +0."""
    low, high = 0, 0x7BFF
    magnitude = abs(value)
    while low < high:
        middle = (low + high + 1) // 2
        if half(middle) <= magnitude:
            low = middle
        else:
            high = middle - 1
    if low < 0x7BFF:
        below, above = magnitude - half(low), half(low + 1) - magnitude
        if above < below or (above == below and low & 1):
            low += 1
    return low | 0x8000 if value < 0 and low else low


def single(bits: int) -> Fraction:
    return Fraction(struct.unpack("<f", struct.pack("<I", bits))[0])


def round_half_up(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def wrap(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def pack(rows: list[list[int]]) -> tuple[list[int], list[int]]:
    """eSELL words and words per block column of a matrix of fp16 bits, sizes multiples of 8 and 4."""
    words: list[int] = []
    offsets = []
    for left in range(0, len(rows[0]), 4):
        before = len(words)
        for top in range(0, len(rows), 8):
            block = []
            for r in range(8):
                columns = tuple(c for c in range(4) if rows[top + r][left + c] & 0x7FFF)
                block.append((r, columns, [rows[top + r][left + c] for c in columns]))
            block.sort(key=lambda entry: -len(entry[1]))
            head, values = 0, []
            for chunk in (0, 1):
                lines = block[4 * chunk : 4 * chunk + 4]
                width = max(len(columns) for _, columns, _ in lines)
                head |= width << 32 * chunk
                for i, (r, columns, _) in enumerate(lines):
                    code = next(code for code, found in COLUMNS[len(columns)].items() if found == columns)
                    head |= code << 32 * chunk + 3 + 3 * i
                    head |= r << 32 * chunk + 15 + 3 * i
                for j in range(width):
                    values.append(
                        sum((line[2][j] if j < len(line[2]) else 0) << 16 * i for i, line in enumerate(lines))
                    )
            words += [head, *values]
        offsets.append(len(words) - before)
    return words, offsets


def tanh_table() -> list[int]:
    # e^(2x) by its series in exact fractions, cut far below one unit
    table = []
    for i in range(513):
        x, term, total, n = Fraction(i, 32), Fraction(1), Fraction(0), 0
        while n < 10 or term > Fraction(1, 10**12):
            total += term
            n += 1
            term = (term * x / n).limit_denominator(10**30)
        table.append(min(65535, floor(65536 * (total - 1) / (total + 1) + Fraction(1, 2))))
    return table


class Cell:
    """One LSTM layer. w, u: rows of fp16 bits; b: fp16 bits; all sizes as the hardware takes them."""

    def __init__(self, w: list[list[int]], u: list[list[int]], b: list[int], table: list[int]) -> None:
        self.w, self.u, self.b, self.table = w, u, b, table
        self.hidden = len(b) // 4

    def tanh(self, z: int) -> int:
        a = min(abs(z), 2**23 - 1)
        i, f = divmod(a, 2**14)
        v = 16 * self.table[i] + floor(Fraction((self.table[i + 1] - self.table[i]) * f, 2**10) + Fraction(1, 2))
        return -v if z < 0 else v

    def sigmoid(self, z: int) -> int:
        return floor(Fraction(2**20 + self.tanh(floor(Fraction(z, 2))), 2))

    def keep(self, h: list[int], threshold: int) -> list[bool]:
        """threshold: fp32 bits."""
        if threshold == 0x7F80_0000:
            return [False] * (len(h) // 4)
        th = Fraction(-1) if threshold == 0xFF80_0000 else single(threshold)
        kept = []
        for k in range(0, len(h), 4):
            magnitudes = [abs(half(v)) for v in h[k : k + 4]]
            kept.append(sum(magnitudes) >= th or any(m >= th / 2 for m in magnitudes))
        return kept

    def step(self, x: list[int], h: list[int], c: list[int], keep: list[bool]) -> tuple[list[int], list[int]]:
        """x: fp16 bits, h: fp16 bits (unpruned), c: Q20. Returns the new h and c."""
        z = []
        for row in range(4 * self.hidden):
            total = round_half_up(half(self.b[row]) * 2**20)
            for j, value in enumerate(x):
                total += round_half_up(half(self.w[row][j]) * half(value) * 2**20)
            for j, value in enumerate(h):
                if keep[j // 4]:
                    total += round_half_up(half(self.u[row][j]) * half(value) * 2**20)
            z.append(wrap(total))
        return self.gates(z, c)

    def gates(self, z: list[int], c: list[int]) -> tuple[list[int], list[int]]:
        """The new h and c of the gates' sums."""
        new_h, new_c = [], []
        for k in range(self.hidden):
            f, i, o = (self.sigmoid(z[g * self.hidden + k]) for g in (0, 1, 3))
            g = self.tanh(z[2 * self.hidden + k])
            total = round_half_up(Fraction(f * c[k], 2**20)) + round_half_up(Fraction(i * g, 2**20))
            cell = max(-(2**31), min(2**31 - 1, total))
            new_c.append(cell)
            out = round_half_up(Fraction(o * self.tanh(cell), 2**20))
            new_h.append(to_half_bits(Fraction(out, 2**20)))
        return new_h, new_c
