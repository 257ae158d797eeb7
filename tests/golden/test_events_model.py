"""The word-level model of events against the same rules word by word, and on a layer that golden ran."""

import dataclasses

import numpy as np
import pytest

from golden.config import LayerShape
from golden.cycles.events import EventWords, event_model
from golden.layer import Layer
from tests.golden.test_delta import packed_in


def walked(words: EventWords, vector_units: int, gate_latency: int, latency: int) -> int:
    """Cycles, one word at a time."""
    hidden, steps = words.shape.h, words.shape.t
    passes = -(-hidden // vector_units)
    cols = hidden // len(words.u_units)
    time = words.setup + words.state_in + words.x_words + latency
    gates_begin = first = 0
    for t in range(steps):
        for unit in np.flatnonzero(words.x_sent[t]):
            time += int(words.w_units[unit])
        time += words.x_words if t + 1 < steps else 0
        if t:
            for unit in np.flatnonzero(words.sent[t]):
                last_element = cols * int(unit) + cols - 1
                for word in range(int(words.u_units[unit])):
                    time = max(time, first + last_element // vector_units) + 1 if not word else time + 1
            time = max(time, first + hidden // vector_units)
            time += words.row_words if words.h_seq else 0
        gates_begin = max(time + latency, gates_begin + passes if t else 0)
        first = gates_begin + gate_latency
    return max(time, first + passes) + words.row_words + words.state_out + latency


def random_words(seed: int) -> EventWords:
    rng = np.random.default_rng(seed)
    cols = int(rng.choice([1, 4]))
    shape = LayerShape(4 * int(rng.integers(1, 5)), 8 * int(rng.integers(1, 5)), int(rng.integers(1, 6)))
    x_units, units = shape.x // cols, shape.h // cols
    sent = rng.random((shape.t, units)) < rng.random()
    sent[0] = False
    return EventWords(
        shape,
        rng.integers(0, 9, x_units),
        # no unit that is sent is empty: a packer leaves none of U's columns without a word
        rng.integers(1, 9, units),
        rng.random((shape.t, x_units)) < rng.random(),
        sent,
        int(rng.integers(1, 9)),
        int(rng.integers(1, 17)),
        int(rng.integers(0, 40)),
        int(rng.integers(0, 9)),
        int(rng.integers(0, 9)),
        bool(rng.integers(2)),
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
    words = EventWords.of_run(packed, result, x_bits=8, row_bits=16)
    assert words.setup == 16 + 2 + 4, "bias, offsets of 8 and of 16 units"
    loaded = int((result.x_sent @ packed.w.offsets.astype(int)).sum()) + int(result.u_words_loaded)
    assert words.port_words == words.setup + 6 * (1 + 4) + loaded
    # a wider vector unit and less latency never cost
    order = [event_model(words, v, g).cycles for v, g in ((1, 40), (2, 40), (4, 40), (4, 24))]
    assert order == sorted(order, reverse=True)
    last = dataclasses.replace(words, h_seq=False)
    assert last.port_words == words.port_words - 5 * words.row_words
    with pytest.raises(ValueError, match="not 24 and 32"):
        EventWords.of_run(packed, result, x_bits=24)
