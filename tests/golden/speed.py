"""How fast the golden model is; prints, asserts nothing.

python -m tests.golden.speed
"""

import time

import numpy as np

from golden.formats import esell
from golden.layer import Layer, PackedLayer, pack_layer


def layer(x: int, h: int) -> PackedLayer:
    rng = np.random.default_rng(1)

    def sparse(cols: int) -> np.ndarray:
        return (rng.standard_normal((4 * h, cols)) * cols**-0.5 * (rng.random((4 * h, cols)) < 0.6)).astype(np.float16)

    return pack_layer(sparse(x), sparse(h), np.zeros(4 * h, dtype=np.float16))


def main() -> None:
    rng = np.random.default_rng(2)
    matrix = (rng.standard_normal((6000, 1500)) * (rng.random((6000, 1500)) < 0.6)).astype(np.float16)
    start = time.perf_counter()
    packed = esell.pack(matrix)
    print(f"pack 6000 x 1500, 60 %: {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    esell.unpack(packed.words, packed.rows, packed.cols)
    print(f"check and unpack it: {time.perf_counter() - start:.2f} s")
    for x, h, steps, sequences in ((1500, 1500, 35, 1), (28, 128, 28, 1000), (128, 128, 28, 1000)):
        p = layer(x, h)
        data = np.maximum(rng.standard_normal((sequences, steps, x)), 0).astype(np.float32)
        start = time.perf_counter()
        decoded = Layer(p)
        middle = time.perf_counter()
        decoded.run(data, 0.3)
        end = time.perf_counter()
        print(f"{x}/{h}/{steps}, {sequences} sequence(s): decode {middle - start:.2f} s, run {end - middle:.2f} s")


if __name__ == "__main__":
    main()
