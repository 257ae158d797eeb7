import re
from typing import Any

import numpy as np
import pytest

from golden.config import AcceleratorConfig, LayerShape
from golden.cycles import (
    CELL_FUSION,
    GATE_LATENCY,
    LayerWords,
    bound_cycles,
    head_charging_cycles,
    published_cycles,
    u_words_of_steps,
    word_model,
    word_model_cycles,
)
from golden.formats import esell
from golden.layer import Layer, pack_layer

# Table 2 of the paper: X, H, T, sparsity of W and U, and the cycles of Figure 10's "original"
PAPER = {
    "mnist-l1": (28, 128, 28, 0.3, 0.5, 4.04e5),
    "mnist-l2": (128, 128, 28, 0.2, 0.4, 6.34e5),
    "ptb-l1": (800, 800, 35, 0.2, 0.5, 2.91e7),
    "ptb-l2": (800, 800, 35, 0.2, 0.6, 2.68e7),
    "wiki-l1": (1500, 1500, 35, 0.4, 0.5, 9.62e7),
    "wiki-l2": (1500, 1500, 35, 0.3, 0.4, 1.07e8),
}
TINY = LayerShape(4, 8, 5)
TINY_KEPT = np.array([[1, 1], [0, 1], [1, 0], [0, 0], [1, 1]], dtype=bool)
TINY_OFFSETS = np.array([10, 7], dtype=np.uint16)


def random_layer(seed: int) -> tuple[LayerShape, int, int, np.ndarray, np.ndarray]:
    """A small packed layer and the mask of a run of it: shape, value words, heads, kept, offsets."""
    rng = np.random.default_rng(seed)
    x, h, t = 4 * int(rng.integers(1, 8)), 4 * int(rng.integers(1, 10)), int(rng.integers(1, 14))

    def sparse(columns: int) -> np.ndarray:
        return (rng.standard_normal((4 * h, columns)) * (rng.random((4 * h, columns)) < 0.5)).astype(np.float16)

    packed = pack_layer(sparse(x), sparse(h), np.zeros(4 * h, dtype=np.float16))
    result = Layer(packed).run(rng.standard_normal((t, x)).astype(np.float32), float(rng.choice([0, 0.3, 0.8])))
    shape = packed.shape(t)
    heads = shape.blocks_per_column * shape.x_blocks
    assert u_words_of_steps(result.kept, packed.u.offsets).sum() == result.u_words_loaded
    return shape, result.w_words - heads, heads, result.kept, packed.u.offsets


def port_and_pes(w_words: int, u_words: list[int], group: int, n_fuse: int) -> int:
    """Walk through the published schedule cycle by cycle, one word a cycle at the port, without x and set-up."""
    clock, waiting_u = 0, 0
    for first in range(0, len(u_words), group):
        w, busy = w_words, 0
        while w or busy or waiting_u:
            clock += 1
            if w and not busy:
                w, busy = w - 1, n_fuse
            elif waiting_u:
                waiting_u -= 1
            busy = max(0, busy - 1)
        waiting_u = sum(u_words[first : first + group])
    return clock + waiting_u


@pytest.mark.parametrize("seed", range(12))
def test_head_charging_is_the_published_formula_and_a_walk_through_its_schedule(seed: int) -> None:
    shape, values, heads, kept, offsets = random_layer(seed)
    u = u_words_of_steps(kept, offsets)
    for n_fuse in (1, 2, 3, 7):
        for n_pe in (2, 3, 5):
            published = published_cycles(shape, values + heads, u, n_fuse, n_pe)
            assert head_charging_cycles(shape, values, heads, kept, offsets, n_fuse, n_pe) == published
            group = n_fuse * (n_pe - 1)
            x = -(-shape.t // group) * group * shape.x // 2
            walked = port_and_pes(values + heads, u.tolist(), group, n_fuse)
            assert published == shape.h + shape.h // 16 + 1 + x + walked


def test_published_formula_by_hand() -> None:
    # N_fuse 2, N_pe 3: groups of steps 0-3 and 4, U words 17 + 7 + 10 + 0 and 17; x 8 words a group
    u = u_words_of_steps(TINY_KEPT, TINY_OFFSETS)
    assert u.tolist() == [17, 7, 10, 0, 17]
    assert published_cycles(TINY, 20, u, 2) == 8 + 1 + (8 + 40) + (8 + 34 + 20) + 17
    assert published_cycles(TINY, 50, u, 2) == 8 + 1 + (8 + 100) + (8 + 100) + 17


def test_word_model_by_hand() -> None:
    u = u_words_of_steps(TINY_KEPT, TINY_OFFSETS)
    # x is 2 words a step; group 0 of 4 steps: PEs 2 * 16, port 20 + 2, so 10 of the 17 U words of its first step come
    # meanwhile; group 1 of one: PEs 16 + 4 heads, port 20 + 24
    model = word_model(TINY, 16, 4, u, 2)
    assert (model.setup, model.groups, model.last_u) == (8 + 1 + 8, (32, 44), 17)
    assert (model.gates, model.stores, model.state) == (5 * GATE_LATENCY, 4, 0)
    assert model.port_words == 17 + 40 + 2 + 51 + 4
    assert model.cycles == word_model_cycles(TINY, 16, 4, TINY_KEPT, TINY_OFFSETS, 2) == 17 + 76 + 17 + 200 + 4
    everything = word_model(TINY, 16, 4, u, 2, h_seq=True, state_in=True, state_out=True)
    assert (everything.stores, everything.state) == (20, 16)
    assert everything.cycles - model.cycles == everything.port_words - model.port_words == 16 + 16


def test_heads_stop_the_pes_only_when_the_port_has_no_free_cycle() -> None:
    shape = LayerShape(4, 8, 4)
    nothing = np.zeros(4, dtype=np.int64)
    # 10 value words at n = 2 leave 10 port cycles free
    assert word_model(shape, 10, 10, nothing, 2).groups == (20,)
    assert word_model(shape, 10, 13, nothing, 2).groups == (23,)
    assert word_model(shape, 10, 3, nothing, 1).groups == (13 + 4, 13)


def test_the_first_step_of_a_group_loads_u_in_cycles_that_its_w_leaves_free() -> None:
    shape = LayerShape(4, 8, 6)
    u = np.array([50, 7, 7, 50, 7, 7])
    # Groups of 3 steps at n = 3, N_pe 2. PEs 30; port 10 and x of the next group, 6: 14 cycles are free, and only U of
    # the group's first step, 50 words, needs nothing that W gives. Then 10 words of W and the 50 of U that are left.
    model = word_model(shape, 10, 0, u, 3, 2)
    assert (model.groups, model.last_u) == ((30, 60), 64)
    # Less than is free: all of it comes early, and the others wait all the same
    assert word_model(shape, 10, 0, np.array([5, 40, 40, 5, 0, 0]), 3, 2).groups == (30, 90)
    # At half a port 16 words take 32 cycles, and none is free
    assert word_model(shape, 10, 0, u, 3, 2, port_permille=500).groups == (32, 148)


@pytest.mark.parametrize("seed", range(8))
def test_properties(seed: int) -> None:
    shape, values, heads, kept, offsets = random_layer(seed)
    u = u_words_of_steps(kept, offsets)
    for n_pe in (2, 3, 5):
        everything = -(-shape.t // (n_pe - 1))
        for n_fuse in range(1, everything + 2):
            model = word_model(shape, values, heads, u, n_fuse, n_pe)
            assert model.port_words <= model.cycles
            assert model.cycles >= bound_cycles(shape, values, heads, kept, offsets, n_pe)
        assert model == word_model(shape, values, heads, u, everything, n_pe), "one group is the most there is"
    dense = word_model_cycles(shape, values, heads, np.ones_like(kept), offsets, 1)
    assert dense >= word_model_cycles(shape, values, heads, kept, offsets, 1)


@pytest.mark.parametrize("name", PAPER)
@pytest.mark.parametrize("seed", [1])
def test_original_is_within_one_percent_of_the_papers_cycles(name: str, seed: int) -> None:
    x, h, t, sparsity_w, sparsity_u, paper = PAPER[name]
    rng = np.random.default_rng(seed)
    w = esell.pack((rng.random((4 * h, x)) >= sparsity_w).astype(np.float16))
    u = esell.pack((rng.random((4 * h, h)) >= sparsity_u).astype(np.float16))
    shape = LayerShape(x, h, t)
    heads = shape.blocks_per_column * shape.x_blocks
    kept = np.ones((t, shape.h_blocks), dtype=bool)
    assert word_model_cycles(shape, len(w.words) - heads, heads, kept, u.offsets, 1) == pytest.approx(paper, rel=0.01)
    published = published_cycles(shape, len(w.words), u_words_of_steps(kept, u.offsets), 1)
    assert published == pytest.approx(paper, rel=0.01)
    assert published == head_charging_cycles(shape, len(w.words) - heads, heads, kept, u.offsets, 1)


def test_bound_by_hand() -> None:
    # Port: 20 + 51 words; MACs: 5 * 16 value words of W and 51 less 4 heads for each of 6 kept columns, 3 at a time
    assert bound_cycles(TINY, 16, 4, TINY_KEPT, TINY_OFFSETS, 3) == 71
    assert bound_cycles(TINY, 60, 4, TINY_KEPT, TINY_OFFSETS, 3) == 115
    assert bound_cycles(TINY, 80, 4, TINY_KEPT, TINY_OFFSETS, 3) == 143  # of 427 value words
    assert bound_cycles(TINY, 61, 4, TINY_KEPT, TINY_OFFSETS, 2) == (305 + 51 - 24) // 2


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"n_fuse": 0}, ValueError, "n_fuse must be 1 or more, not 0"),
        ({"n_fuse": 1.5}, TypeError, "n_fuse must be an integer, not 1.5"),
        ({"n_pe": 1}, ValueError, "n_pe must be 2 or more, not 1"),
        ({"w_values": -1}, ValueError, "w_values must be 0 or more, not -1"),
        ({"w_heads": "4"}, TypeError, "w_heads must be an integer, not '4'"),
        ({"kept": TINY_KEPT.astype(int)}, TypeError, "kept must be bool, not int64"),
        ({"kept": TINY_KEPT[:, :1]}, ValueError, "kept must have shape (..., T, H/4) and u_offsets (H/4,), not (5, 1)"),
        ({"kept": TINY_KEPT[:4]}, ValueError, "u_words must have shape (5,), not (4,)"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, object], error: type[Exception], text: str) -> None:
    arguments: dict[str, Any] = {
        "shape": TINY,
        "w_values": 16,
        "w_heads": 4,
        "kept": TINY_KEPT,
        "u_offsets": TINY_OFFSETS,
        "n_fuse": 2,
    }
    for model in (word_model_cycles, head_charging_cycles):
        with pytest.raises(error) as raised:
            model(**arguments | change)
        assert text in str(raised.value)


@pytest.mark.parametrize(
    ("u_words", "error", "text"),
    [
        ([1, 2, 3, 4], ValueError, "u_words must have shape (5,), not (4,)"),
        ([1, 2, -3, 4, 5], ValueError, "u_words must be 0 or more, not -3"),
        ([1.0] * 5, TypeError, "u_words must be integers, not float64"),
    ],
)
def test_bad_u_words_are_named(u_words: list[float], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        published_cycles(TINY, 20, u_words, 2)
    assert str(raised.value) == text
    with pytest.raises(error) as raised:
        word_model(TINY, 16, 4, u_words, 2)
    assert str(raised.value) == text


def test_a_search_keeps_what_is_settled() -> None:
    words = LayerWords(TINY, 16, 4, TINY_KEPT, TINY_OFFSETS, h_seq=False)
    config = AcceleratorConfig(n_pe=2, slots=6)
    cycles = [word_model_cycles(TINY, 16, 4, TINY_KEPT, TINY_OFFSETS, n, 2) for n in (1, 2, 3)]
    best = 1 + cycles.index(min(cycles))
    assert CELL_FUSION.search(words, config) == (best,)
    for n, found in enumerate(cycles, 1):
        assert CELL_FUSION.search(words, config, n_fuse=n) == (n,)
        assert CELL_FUSION.model(words, config, (n,)).cycles == found
    assert CELL_FUSION.named((2,)) == {"n_fuse": 2}
    with pytest.raises(ValueError, match=re.escape("schedule cell-fusion has no choice with {'n_fuse': 4}")):
        CELL_FUSION.search(words, config, n_fuse=4)


@pytest.mark.parametrize("permille", [1000, 999, 500, 1])
def test_a_slow_port_stretches_words_only(permille: int) -> None:
    def stretched(words: int) -> int:
        return -(-words * 1000 // permille)

    limits = set()
    for seed, n_fuse, n_pe in ((5, 1, 3), (5, 2, 2), (5, 3, 4), (6, 7, 2), (8, 7, 2), (12, 7, 2)):
        shape, values, heads, kept, offsets = random_layer(seed)
        u = u_words_of_steps(kept, offsets)

        full = word_model(shape, values, heads, u, n_fuse, n_pe, h_seq=True, state_in=True)
        slow = word_model(shape, values, heads, u, n_fuse, n_pe, h_seq=True, state_in=True, port_permille=permille)
        for name in ("setup", "stores", "state"):
            assert getattr(slow, name) == stretched(getattr(full, name))
        assert (slow.gates, slow.port_words) == (full.gates, full.port_words)
        size = n_fuse * (n_pe - 1)
        steps: list[Any] = [u[first : first + size] for first in range(0, shape.t, size)]
        left = 0
        for group, after, cycles in zip(steps, [*steps[1:], []], slow.groups, strict=True):
            port = stretched(values + heads + left + len(after) * shape.x // 2)
            pes = -(-len(group) // (n_pe - 1)) * values
            assert cycles == max(pes, port)
            early = min(group[0], max(0, pes - port) * permille // 1000)
            left = sum(group) - early
            limits.add((pes > port, early > 0))
        assert slow.last_u == stretched(left)
        assert slow.cycles >= stretched(full.port_words)
        full_bound = bound_cycles(shape, values, heads, kept, offsets, n_pe)
        bound = bound_cycles(shape, values, heads, kept, offsets, n_pe, permille)
        assert bound == max(stretched(values + heads + int(u.sum())), full_bound)
        assert bound < slow.cycles
    slow_port, fast_port = {(False, False)}, {(False, False), (True, False), (True, True)}
    assert limits == (fast_port if permille >= 500 else slow_port), "PEs limit some groups at a fast port"


@pytest.mark.parametrize(("permille", "text"), [(0, "1 or more, not 0"), (1001, "1000 or less, not 1001")])
def test_a_port_s_share_is_checked(permille: int, text: str) -> None:
    with pytest.raises(ValueError, match=f"port_permille must be {text}"):
        word_model(TINY, 3, 1, [0] * 5, 1, port_permille=permille)
    with pytest.raises(ValueError, match=f"port_permille must be {text}"):
        bound_cycles(TINY, 3, 1, TINY_KEPT, TINY_OFFSETS, 3, permille)
