"""Schedule 1: its two models against each other, a plain walk, sums by hand, and bounds."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from golden.config import AcceleratorConfig, LayerShape
from golden.cycles import GATE_LATENCY, LIST, LayerWords
from golden.cycles.list import Work, descent, list_model
from golden.cycles.list.columns import column_model
from golden.cycles.list.descent import search
from golden.cycles.list.work import groups_of
from golden.isa import Format
from golden.layer import pack_layer
from tests.golden.list_walk import walk


def random_words(seed: int) -> tuple[LayerWords, AcceleratorConfig, tuple[int, ...], int, int]:
    """A small run of any shape: its words, configuration, list, latency, and permille of the port."""
    rng = np.random.default_rng(seed)
    x, h, t = 4 * int(rng.integers(1, 9)), 4 * int(rng.integers(1, 12)), int(rng.integers(1, 14))
    most = int(rng.choice([3, 12, 40, 90]))
    cols = int(rng.choice([1, 4]))
    w, u = rng.integers(0, most, x // cols), rng.integers(0, 1 + most // int(rng.choice([1, 6])), h // cols)
    w_heads = int(rng.integers(0, 1 + int(w.sum()) // 2)) * int(rng.integers(0, 2))
    if w_heads:
        w = w + -(-w_heads // len(w))
    u_heads = int(rng.choice([0, 0, 2]))
    kept = rng.random((t, h // cols)) < rng.choice([0, 0.3, 0.8, 1])
    zero = rng.random((t, x // cols)) < rng.choice([0.2, 0.7, 1])
    words = LayerWords(
        LayerShape(x, h, t), int(w.sum()) - w_heads, w_heads, kept, u + u_heads, h_seq=bool(rng.integers(2)),
        state_in=bool(rng.integers(2)), state_out=bool(rng.integers(2)), u_heads=u_heads, w_units=w,
        x_zero=zero if rng.integers(2) else None, w_setup=int(rng.integers(0, 9)),
    )  # fmt: skip
    n_pe = int(rng.integers(2, 6))
    config = AcceleratorConfig(
        n_pe, slots=int(rng.integers(2 * (n_pe - 1), 25)), max_x=x * int(rng.integers(1, 3)),
        max_h=h * int(rng.integers(1, 3)), window=int(rng.choice([4, 16, 64])),
    )  # fmt: skip
    sizes = tuple(rng.integers(1, 8, int(rng.integers(1, 4))).tolist())
    return words, config, sizes, int(rng.choice([1, 8, 30])), int(rng.choice([1000, 1000, 700, 250]))


QUICK = (0, 1, 2, 3, 4, 5, 42, 102, 134)
"""Among them pools short of PEs, and passes short of x."""


@pytest.mark.parametrize("seed", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in range(6, 60) if n != 42)])
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


@pytest.mark.parametrize("seed", range(8))
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
    others = shape.h * (1 + words.state_in + words.state_out) + -(-len(words.u_offsets) // 4) + words.w_setup
    assert model.port_words == w + u + others + (shape.t * shape.x + rows * shape.h) // 2


def layer_words(seed: int, x: int = 16, h: int = 48, t: int = 21, *, skip: bool = False) -> LayerWords:
    """A small layer of units with some hundred words, as a stream has them."""
    rng = np.random.default_rng(seed)
    w, u = rng.integers(80, 140, x // 4), rng.integers(50, 90, h // 4)
    kept = rng.random((t, h // 4)) < 0.7
    zero = rng.random((t, x // 4)) < 0.4 if skip else None
    return LayerWords(LayerShape(x, h, t), int(w.sum()), 0, kept, u, u_heads=0, w_units=w, x_zero=zero)


@pytest.mark.parametrize("seed", range(4))
def test_columns_rank_lists_as_words_do(seed: int) -> None:
    # Small layers, W from a fifth of U's words to five times as many
    x, h = [(16, 48), (96, 32), (48, 48)][seed % 3]
    words = layer_words(seed, x, h, skip=seed % 2 > 0)
    work = Work(words, AcceleratorConfig(max_x=x, max_h=h))
    rng = np.random.default_rng(seed)
    lists = [tuple(rng.integers(1, 13, 3).tolist()) for _ in range(16)]
    model = column_model(work)
    columns = np.array([model(groups_of(sizes, words.shape.t, work.most)) for sizes in lists])
    cycles = np.array([list_model(work, sizes).cycles for sizes in lists])
    assert np.abs(columns / cycles - 1).max() < 0.05
    clear = cycles[:, None] > 1.05 * cycles
    assert clear.sum() > 10, "lists that differ"
    assert (columns[:, None] > columns)[clear].all()
    assert cycles[columns.argmin()] <= 1.02 * cycles.min()


@pytest.mark.parametrize("port_permille", [1000, 400])
def test_the_search_beats_groups_alike_and_is_repeatable(monkeypatch: pytest.MonkeyPatch, port_permille: int) -> None:
    words, config = layer_words(3, t=14), AcceleratorConfig(max_x=16, max_h=48)
    monkeypatch.setattr(descent, "EVALUATIONS", 120)
    best = LIST.search(words, config, port_permille)
    found = search(words, partial(Work, config=config), port_permille)
    assert best == found[0].sizes and found[0].words == LIST.model(words, config, best, port_permille).cycles
    alike = min(LIST.model(words, config, sizes, port_permille).cycles for sizes in LIST.choices(words, config))
    assert found[0].words <= alike
    assert LIST.named(best) == {"sizes": list(best)}
    with pytest.raises(ValueError, match="schedule list has no choice with {'n_fuse': 2}"):
        LIST.search(words, config, n_fuse=2)


def test_a_long_run_is_searched_on_its_first_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descent, "SEARCHED_STEPS", 9)
    monkeypatch.setattr(descent, "EVALUATIONS", 60)
    words, config = layer_words(5, t=40, skip=True), AcceleratorConfig(max_x=16, max_h=48)
    short = descent.first_steps(words, 9)
    assert (short.shape.t, len(short.kept), short.x_zero.shape) == (9, 9, (9, 4))  # type: ignore[union-attr]
    assert LIST.search(words, config) == LIST.search(short, config)


def test_what_must_not_hurt_does_not() -> None:
    words, config = layer_words(7, t=6), AcceleratorConfig(max_x=16, max_h=48)
    one_group = [list_model(Work(words, replace(config, slots=slots)), (6,)).cycles for slots in (6, 9, 12, 48)]
    assert len(set(one_group)) == 1, "slots that no step takes"
    for sizes in ((6,), (3,), (1,)):
        slow = [list_model(Work(words, config), sizes, latency=latency).cycles for latency in (1, 4, 8, 40, 60)]
        assert slow == sorted(slow) and slow[0] < slow[-1], "the window covers these latencies"
        ports = [list_model(Work(words, config), sizes, permille).cycles for permille in (1000, 800, 500, 100)]
        assert ports == sorted(ports)
    zero = np.zeros((6, 4), bool)
    dense = list_model(Work(words, config), (3,))
    skipped = [dense]
    for step in range(6):
        skipped.append(list_model(Work(replace(words, x_zero=zero.copy()), config), (3,)))
        zero[step] = True
    skipped.append(list_model(Work(replace(words, x_zero=zero), config), (3,)))
    assert skipped[1] == dense and [less.cycles for less in skipped] == sorted(
        (s.cycles for s in skipped), reverse=True
    )
    assert skipped[-1].port_words == dense.port_words - 2 * words.w_values


def test_slots_are_as_many_as_the_banks_hold_at_the_run_s_sizes() -> None:
    words = layer_words(1)
    for config, slots, rows in (
        (AcceleratorConfig(3, 12, max_x=16, max_h=48), 12, 12),
        (AcceleratorConfig(3, 12, max_x=40, max_h=60), 15, 30),
        # 12 of 13 slots make two groups, 3 for each of 4 banks; 3 x 100 / 48 are 6
        (AcceleratorConfig(4, 13, max_x=16, max_h=100), 24, 12),
        # 24 slots are 5 for each of 5 banks
        (AcceleratorConfig(5, 24, max_x=16, max_h=48), 25, 25),
    ):
        work = Work(words, config)
        assert (work.slots, work.rows, work.most) == (slots, rows, min(slots, rows))
    # a bank has a list of 16 steps, a size 6 bits
    assert Work(words, AcceleratorConfig()).most == 48
    assert Work(words, AcceleratorConfig(4, 18)).most == 63
    assert list_model(Work(words, AcceleratorConfig(max_x=16, max_h=48)), (20,)).groups == (12, 9)


@pytest.mark.parametrize(
    ("sizes", "error", "said"),
    [
        ((), ValueError, "a list must have 1..16 sizes, not 0"),
        ((1,) * 17, ValueError, "a list must have 1..16 sizes, not 17"),
        ((3, 0), ValueError, "a size must be 1 or more, not 0"),
        ((64,), ValueError, "a size must be 63 or less, not 64"),
        ((1.5,), TypeError, "a size must be an integer, not 1.5"),
    ],
)
def test_what_no_list_holds_is_named(sizes: tuple[int, ...], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=f"^{re.escape(said)}$"):
        list_model(Work(one_step(), AcceleratorConfig()), sizes)


def test_a_layer_that_does_not_fit_and_units_that_do_not_add_up_are_named() -> None:
    with pytest.raises(ValueError, match="^the layer has H = 48, the configuration allows 32$"):
        Work(layer_words(1), AcceleratorConfig(max_h=32))
    words = replace(layer_words(1), w_values=7)
    with pytest.raises(ValueError, match=r"^the units of W have \d+ words, W has 7$"):
        list_model(Work(words, AcceleratorConfig()), (3,))


def test_words_of_a_packed_layer() -> None:
    rng = np.random.default_rng(2)
    w, u = ((rng.random((32, size)) < 0.5).astype(np.float16) for size in (10, 8))
    x = np.ones((3, 10), np.float32)
    x[1, 4:8] = 1e-9  # 0 as fp16
    x[2, 8:] = 0
    for number, w_setup in ((Format.ESELL, 0), (Format.STREAM16, 1), (Format.STREAM8, 1 + 32)):
        packed = pack_layer(w, u, np.zeros(32, np.float16), number, number)
        kept = np.ones((3, 2), bool)
        words = LayerWords.of_layer(packed, kept)
        assert words.x_zero is None and words.w_setup == w_setup and words.offsets == 1 + w_setup
        values, heads = words.w_unit_words
        assert (values + heads == packed.w.offsets).all() and heads.sum() == words.w_heads
        skipped = LayerWords.of_layer(packed, kept, x)
        assert skipped.x_zero is not None and skipped.w_setup == max(1, w_setup)
        assert skipped.x_zero.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 1]]
        assert skipped.bound(3) <= words.bound(3)
