"""docs/events.md: four units over three steps, as golden sends and holds them, and the layout of a state."""

import re

import numpy as np

from golden import isa
from golden.formats import Parameters
from golden.isa import Flags, InputFormat
from golden.layer import Layer, LayerResult, pack_layer
from golden.memory import state_size, x_row_bytes
from golden.recurrence import Held, State
from tests.test_docs_facts import DOCS, table

PAGE = "events.md"
H = 4
X = 4
TH, TH_X = 0.125, 1 / 64
GATES = "figo"
USED = 2
"""Elements of x that the page shows."""


def layer() -> Layer:
    biases = {"f": 1, "i": 2, "g": 0, "o": 2}
    bias = np.repeat([biases[gate] for gate in GATES], H).astype(np.float16)
    matrices = {"W": np.zeros((4 * H, X), np.float16), "U": np.zeros((4 * H, H), np.float16)}
    for name, row, gate, unit, column, weight in table(PAGE, "matrix", "row"):
        assert (GATES[int(row) // H], str(int(row) % H)) == (gate, unit)
        matrices[name][int(row), int(column)] = float(weight)
    single = Parameters(4, 1)
    stream = isa.Format.STREAM16
    packed = pack_layer(matrices["W"], matrices["U"], bias, stream, stream, single, single)
    return Layer(packed, delta=True, events=True)


def inputs() -> np.ndarray:
    x = np.zeros((3, X), np.float32)
    for step, values, *_ in table(PAGE, "step", "x"):
        x[int(step), :USED] = [float(value) for value in values.split(", ")]
    return x


def after(steps: int) -> tuple[LayerResult, Held]:
    result = layer().run(inputs()[:steps], TH, x_threshold=TH_X)
    assert result.state.held is not None
    return result, result.state.held


def shown(values: np.ndarray) -> str:
    return ", ".join(f"{value:.10g}" for value in values)


def changes(old: np.ndarray, new: np.ndarray, sent: np.ndarray) -> str:
    """ "-" for what is not sent, which changes nothing."""
    assert not (new - old)[~sent].any()
    return ", ".join(str(n - o) if s else "-" for o, n, s in zip(old, new, sent, strict=True))


def test_x_is_sent_and_held_as_golden_does() -> None:
    old = np.zeros(X, np.int32)
    for step, _, before, sent, now in table(PAGE, "step", "x"):
        result, held = after(int(step) + 1)
        assert held.x is not None
        assert before == shown(old[:USED]) and now == shown(held.x[:USED])
        assert sent == changes(old[:USED], held.x[:USED], result.x_sent[-1, :USED])
        old = held.x
    assert len(table(PAGE, "step", "x")) == 3


def test_h_is_sent_and_held_as_golden_does() -> None:
    old = np.zeros(H, np.int32)
    rows = table(PAGE, "step", "h: held before")
    for step, before, sent, now, sums, h in rows:
        result, held = after(int(step) + 1)
        assert before == shown(old) and now == shown(held.h)
        assert sent == changes(old, held.h, result.kept[-1])
        assert sums == shown(held.sums[GATES.index("g") * H :][:H]) and h == shown(result.h[-1] * 1024)
        old = held.h
    assert len(rows) == 3


def test_sums_are_the_matrices_times_what_is_held() -> None:
    _, held = after(3)
    assert held.x is not None
    found = layer()
    products = np.zeros(4 * H)
    for name, row, _, _, column, weight in table(PAGE, "matrix", "row"):
        products[int(row)] += float(weight) * (held.x if name == "W" else held.h)[int(column)]
    assert held.sums.tolist() == (products * 1024).tolist()
    assert "row 8 is 1 x 512 + 0.25 x 192 = 560 of 2^-10, which is 573440 of 2^-20" in text()
    assert held.sums[8] == 573440 == 560 << 10 and found.unit_cols == 1


def text() -> str:
    return " ".join((DOCS / PAGE).read_text().split())


def test_the_last_row_is_what_would_be_held() -> None:
    result, held = after(3)
    rows = {row[0]: np.array(row[1:], float) for row in table(PAGE, "", "unit 0")}
    assert rows["h, x 2^10"].tolist() == (result.h[-1] * 1024).tolist()
    assert rows["from what is held"].tolist() == (result.h[-1] * 1024 - held.h).tolist()
    assert rows["row 2, x 2^10"].tolist() == (result.h_pruned[-1] * 1024).tolist()


def test_what_the_example_sends_is_counted() -> None:
    result, _ = after(3)
    of_w, of_u = int(result.x_sent.sum()), int(result.kept.sum())
    # without DELTA: what is not zero of x, and of h before each step
    full = int((inputs() != 0).sum()), int((result.h[:-1] != 0).sum())
    assert (
        f"{of_w} units of W and {of_u} of U are sent; a layer without DELTA would have needed {full[0]} and {full[1]}"
        in text()
    )


def test_a_state_lies_as_the_page_says() -> None:
    hidden, inputs_ = 8, 12
    given = State(
        (np.arange(hidden) / 8).astype(np.float32),
        np.arange(hidden, dtype=np.int32) - 3,
        Held(*(np.arange(n, dtype=np.int32) * k for n, k in ((hidden, 5), (4 * hidden, -7), (inputs_, 11)))),
    )
    assert given.held is not None
    values = {"h": given.h, "c": given.c, "held h": given.held.h, "M": given.held.sums, "held x": given.held.x}
    sizes = {"H": hidden, "4H": 4 * hidden, "X": inputs_}
    data, sums = given.to_bytes(), {"always": 0, "DELTA": 0, "events": 0}
    for name, elements, kind, _, when in table(PAGE, "array", "elements"):
        part = values[name]
        assert part is not None and len(part) == sizes[elements]
        expected = part.astype({"fp32": "<f4", "int32": "<i4"}[kind]).tobytes()
        assert data.startswith(expected), name
        data, sums[when] = data[len(expected) :], sums[when] + len(expected)
    assert not data
    plain, delta = sums["always"], sums["always"] + sums["DELTA"]
    assert plain == state_size(hidden, inputs_) == 8 * hidden
    assert delta == state_size(hidden, inputs_, delta=True) == 28 * hidden
    assert delta + sums["events"] == state_size(hidden, inputs_, delta=True, events=True) == 28 * hidden + 4 * inputs_
    assert "That is 8 H bytes, 28 H with DELTA, and 28 H + 4 X with events" in text()


def test_formats_of_x_are_the_table_s() -> None:
    rows = table(PAGE, "number", "x")
    assert [int(row[0]) for row in rows] == list(InputFormat)
    assert [row[1].split(",")[0] for row in rows] == [form.name.lower() for form in InputFormat]
    for row, form in zip(rows, InputFormat, strict=True):
        for x in (28, 32):
            said = {"4 X": 4 * x, "2 X": 2 * x}.get(row[2], x + 4 * bool(x % 8))
            assert said == x_row_bytes(x, form)
    place = isa.X_FORMAT_FIELD.place
    assert f"Bits {place.text} of START's flags" in text() and int(Flags.H_FP16) == 1 << 18
    assert int(Flags.DELTA) == 1 << 7 and f"the schedule bits {isa.SCHEDULE_FIELD.place.text}" in text()


def test_every_error_and_counter_it_names_is_one() -> None:
    errors = [name for row in table(PAGE, "error", "with DELTA or events") for name in row[0].split(", ")]
    assert set(errors) <= {error.name for error in isa.Error} and len(errors) == 7
    counters = [name for row in table(PAGE, "counter", "counts") for name in re.findall(r"\w+", row[0])]
    assert set(counters) <= {counter.name for counter in isa.Counter} and {"X_SENT", "X_SKIPPED"} <= set(counters)
