"""The word-level model of events against the same rules word by word, and on a layer that golden ran."""

import dataclasses

import numpy as np
import pytest

from golden.config import LayerShape, preset
from golden.cycles import EVENTS, LayerWords, event_model
from golden.layer import Layer
from tests.golden.test_delta import packed_in


def walked(words: LayerWords, vector_units: int, gate_latency: int, latency: int) -> int:
    """Cycles, one word at a time."""
    assert words.x_sent is not None and words.w_units is not None
    hidden, steps = words.shape.h, words.shape.t
    passes = -(-hidden // vector_units)
    cols = hidden // len(words.u_offsets)
    time = hidden + words.offsets + words.state_words * words.state_in + words.x_words + latency
    gates_begin = first = 0
    for t in range(steps):
        for unit in np.flatnonzero(words.x_sent[t]):
            time += int(words.w_units[unit])
        time += words.x_words if t + 1 < steps else 0
        for unit in np.flatnonzero(words.kept[t]):
            last_element = cols * int(unit) + cols - 1
            if t:
                time = max(time, first + last_element // vector_units)
            time += int(words.u_offsets[unit])
        if t:
            time = max(time, first + hidden // vector_units)
            time += words.row_words if words.h_seq else 0
        gates_begin = max(time + latency, gates_begin + passes if t else 0)
        first = gates_begin + gate_latency
    return max(time, first + passes) + words.row_words + words.state_words * words.state_out + latency


def random_words(seed: int) -> LayerWords:
    rng = np.random.default_rng(seed)
    cols = int(rng.choice([1, 4]))
    shape = LayerShape(4 * int(rng.integers(1, 5)), 8 * int(rng.integers(1, 5)), int(rng.integers(1, 6)))
    x_units, units = shape.x // cols, shape.h // cols
    sent, state_in = rng.random((shape.t, units)) < rng.random(), bool(rng.integers(2))
    sent[0] &= state_in
    w_units = rng.integers(0, 9, x_units)
    return LayerWords(
        shape,
        int(w_units.sum()),
        0,
        sent,
        # no unit that is sent is empty: a packer leaves none of U's columns without a word
        rng.integers(1, 9, units),
        bool(rng.integers(2)),
        state_in,
        bool(rng.integers(2)),
        0,
        w_units,
        w_setup=int(rng.integers(0, 40)),
        x_sent=rng.random((shape.t, x_units)) < rng.random(),
        x_bits=int(rng.choice([32, 16, 8])),
        row_bits=int(rng.choice([32, 16])),
        delta=True,
    )


@pytest.mark.parametrize("seed", range(40))
def test_the_model_is_the_rules_word_by_word(seed: int) -> None:
    words, rng = random_words(seed), np.random.default_rng(seed)
    width, gates, latency = int(rng.choice([1, 2, 4, 8])), int(rng.integers(4, 50)), int(rng.integers(1, 20))
    found = event_model(words, width, gates, latency)
    assert found.cycles == walked(words, width, gates, latency), f"seed {seed}"
    assert found.cycles > found.port_words


def test_words_are_those_that_a_run_sends() -> None:
    packed = packed_in(1, 2, 8, 16)
    x = (np.random.default_rng(2).integers(-64, 64, (6, 8)) / 64).astype(np.float32)
    result = Layer(packed, delta=True, events=True).run(x, 0.1)
    words = LayerWords.of_layer(packed, result.kept, x_sent=result.x_sent, x_bits=8, row_bits=16, delta=True)
    assert words.offsets == 2 + 4, "of 8 and of 16 units"
    loaded = int((result.x_sent @ packed.w.offsets.astype(int)).sum()) + int(result.u_words_loaded)
    port_words = event_model(words).port_words
    assert port_words == 16 + words.offsets + 6 * (1 + 4) + loaded
    # a wider vector unit and less latency never cost
    order = [event_model(words, v, g).cycles for v, g in ((1, 40), (2, 40), (4, 40), (4, 24))]
    assert order == sorted(order, reverse=True)
    last = dataclasses.replace(words, h_seq=False)
    assert event_model(last).port_words == port_words - 5 * words.row_words
    stored = dataclasses.replace(words, state_in=True, state_out=True)
    assert event_model(stored).port_words == port_words + 2 * (7 * 16 + 8) // 2, "h, c, held, 4 sums; held x"
    assert words.bound(1) == loaded < event_model(words).cycles
    assert EVENTS.model(words, preset("event"), ()) == event_model(words, 4)
    with pytest.raises(ValueError, match="not 24 and 16"):
        dataclasses.replace(words, x_bits=24)
    with pytest.raises(ValueError, match="what is sent of x"):
        event_model(dataclasses.replace(words, x_sent=None))
