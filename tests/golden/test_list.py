"""Schedule 1: its two models against each other, a plain walk, sums by hand, and bounds."""

import numpy as np
import pytest

from golden.config import AcceleratorConfig, LayerShape
from golden.cycles import GATE_LATENCY, LayerWords
from golden.cycles.list import Work, list_model
from golden.cycles.list.work import groups_of
from tests.golden.list_walk import walk


def random_words(seed: int) -> tuple[LayerWords, AcceleratorConfig, tuple[int, ...], int, int]:
    """A small run of any shape: its words, configuration, list, latency, and permille of the port."""
    rng = np.random.default_rng(seed)
    x, h, t = 4 * int(rng.integers(1, 9)), 4 * int(rng.integers(1, 12)), int(rng.integers(1, 14))
    most = int(rng.choice([3, 12, 40]))
    cols = int(rng.choice([1, 4]))
    w, u = rng.integers(0, most, x // cols), rng.integers(0, most, h // cols)
    w_heads = int(rng.integers(0, 1 + int(w.sum()) // 2)) * int(rng.integers(0, 2))
    if w_heads:
        w = w + -(-w_heads // len(w))
    u_heads = int(rng.choice([0, 0, 2]))
    kept = rng.random((t, h // cols)) < rng.choice([0, 0.3, 0.8, 1])
    zero = rng.random((t, x // cols)) < rng.choice([0.2, 0.7, 1])
    words = LayerWords(
        LayerShape(x, h, t), int(w.sum()) - w_heads, w_heads, kept, u + u_heads, h_seq=bool(rng.integers(2)),
        state_in=bool(rng.integers(2)), state_out=bool(rng.integers(2)), u_heads=u_heads, w_units=w,
        x_zero=zero if rng.integers(2) else None, w_offsets=int(rng.integers(0, 9)),
    )  # fmt: skip
    n_pe = int(rng.integers(2, 6))
    config = AcceleratorConfig(
        n_pe, slots=int(rng.integers(2 * (n_pe - 1), 25)), max_x=x * int(rng.integers(1, 3)), max_h=h,
        window=int(rng.choice([4, 16, 64])),
    )  # fmt: skip
    sizes = tuple(rng.integers(1, 8, int(rng.integers(1, 4))).tolist())
    return words, config, sizes, int(rng.choice([1, 8, 30])), int(rng.choice([1000, 1000, 700, 250]))


@pytest.mark.parametrize("seed", range(24))
def test_it_is_a_walk_word_by_word(seed: int) -> None:
    words, config, sizes, latency, permille = random_words(seed)
    work = Work(words, config)
    model = list_model(work, sizes, permille, latency)
    assert model == list_model(work, sizes, permille, latency, skip=False)
    assert model.groups == tuple(map(len, groups_of(sizes, words.shape.t, work.most)))
    assert model.cycles == walk(words, config, list(model.groups), latency, permille)


def one_step(h: int = 4, w: int = 5) -> LayerWords:
    """One step of X = 4: a unit of W of so many words, and no U."""
    return LayerWords(LayerShape(4, h, 1), w, 0, np.zeros((1, 1), bool), np.zeros(1, int), h_seq=False, u_heads=0)


def test_a_step_by_hand() -> None:
    # x: cycles 0 and 1; W: 2 to 6, at its bank from 10 on, done in 15; bias and U's offsets: 7 to 11; gates from 15,
    # 4 cycles and the latency to the one block; the row's two words in 55 and 56, the last answered 8 later
    work = Work(one_step(), AcceleratorConfig(2, 4))
    assert list_model(work, (1,)).cycles == 15 + GATE_LATENCY + 2 + 8
    assert list_model(work, (1,)).port_words == 2 + 5 + 5 + 2
    # A latency of 20 is that of the last word of W and of the store
    assert list_model(work, (1,), latency=20).cycles == 15 + GATE_LATENCY + 2 + 8 + 2 * 12
    # Words at every second cycle from 1 on, the last of U's offsets in 23; the row's in 64 and 66
    assert list_model(work, (1,), 500).cycles == 67 + 8


@pytest.mark.parametrize("seed", range(12))
def test_words_are_exact_and_bounds_hold(seed: int) -> None:
    words, config, sizes, latency, permille = random_words(100 + seed)
    model = list_model(Work(words, config), sizes, permille, latency)
    assert model.port_words <= model.cycles and words.bound(config.n_pe, permille) <= model.cycles
    values, heads = words.w_unit_words
    w, first = 0, 0
    for size in model.groups:
        for unit, total in enumerate((values + heads).tolist()):
            steps = range(first, first + size)
            w += total * (words.x_zero is None or not all(words.x_zero[t, unit] for t in steps))
        first += size
    u = sum(int(words.u_offsets[unit]) for _, unit in zip(*np.nonzero(words.kept), strict=True))
    shape = words.shape
    rows = shape.t if words.h_seq else 1
    others = shape.h * (1 + words.state_in + words.state_out) + -(-len(words.u_offsets) // 4) + words.w_offsets
    assert model.port_words == w + u + others + (shape.t * shape.x + rows * shape.h) // 2
