"""What a page says was sent and held, against golden's own masks, and how it says it."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from golden.layer import Layer, LayerResult
from golden.numbers import to_fp16
from golden.recurrence import Held, State
from sim import run
from sim.engines.build_cache import cache_root
from sim.report.timeline_page import DROPPED, SendsView, sends_view
from sim.results.result import LayerRun, from_json
from tests.golden.test_delta import packed_in

X, H, T = 12, 16, 6


def run_of(golden: LayerResult, unit: int) -> LayerRun:
    sent = int(golden.x_sent.sum())
    found = LayerRun("L", X, H, T, 1, 1, 0.1, 1, 1, 1, 1, 1, 1, int(golden.kept.sum()), True, u_unit_cols=unit)
    found.counters = {"X_SENT": sent}
    return found


def pixels(uri: str | None) -> np.ndarray:
    assert uri is not None
    content = base64.b64decode(uri.partition(",")[2])
    return (imread(io.BytesIO(content), format="png")[..., :3] * 255).round().astype(int)


def grey(picture: np.ndarray) -> np.ndarray:
    return (picture == DROPPED).all(axis=2)


def views(unit: int, events: bool, held: Held | None) -> tuple[LayerResult, SendsView]:
    packed = packed_in(unit, 1, X, H)
    x = (np.random.default_rng(5).integers(0, 256, (T, X)) / 256).astype(np.float32)
    x[2:4] = x[1]
    h = np.random.default_rng(6).integers(-9, 9, H) / 10
    state = (
        None if held is None else State(to_fp16(h.astype(np.float32)).astype(np.float32), np.zeros(H, np.int32), held)
    )
    golden = Layer(packed, delta=True, events=events).run(x, 0.1, state, 0.05)
    return golden, sends_view(run_of(golden, unit), golden, x, state)


@pytest.mark.parametrize("events", [False, True])
@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("unit", [1, 4])
def test_grey_is_what_golden_holds(unit: int, events: bool, fresh: bool) -> None:
    rng = np.random.default_rng(7)
    parts = [rng.integers(-900, 900, n).astype(np.int32) for n in (H, 4 * H, X)]
    golden, view = views(unit, events, None if fresh else Held(parts[0], parts[1], parts[2] if events else None))
    assert view.unit == unit and view.units == golden.kept.size
    held = grey(pixels(view.of_h))
    # row t is what step t + 1 takes in
    assert (held[:-1] == ~np.repeat(golden.kept[1:], unit, axis=1)).all()
    assert view.last == (~held[-1]).reshape(-1, unit).any(axis=1).sum() and view.sent == golden.kept.sum()
    if not events:
        assert view.of_x is None and (view.x_sent, view.x_units) == (0, 0)
        return
    of_x = grey(pixels(view.of_x))
    assert (of_x == ~np.repeat(golden.x_sent, X // golden.x_sent.shape[1], axis=1)).all()
    assert of_x[2:4].all() and not of_x[0].all(), "x that stays where it is is held"
    assert (view.x_sent, view.x_units) == (golden.x_sent.sum(), golden.x_sent.size)


def test_red_goes_up_and_blue_down() -> None:
    golden, view = views(1, True, None)
    picture = pixels(view.of_h)
    changes = np.diff(np.concatenate((np.zeros((1, H)), golden.h_pruned)), axis=0)
    for up in (True, False):
        of = picture[(changes > 0.02) if up else (changes < -0.02)]
        assert len(of) and ((of[:, 0] > of[:, 2]) == up).all()


@pytest.mark.slow
def test_the_page_of_a_digit_by_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELSTM_CACHE", str(cache_root()))
    monkeypatch.chdir(tmp_path)
    arguments = ["digit", "4", "--network", "delta", "--json", "d.json", "--out", "d.html"]
    monkeypatch.setattr("sys.argv", ["sim.run", *arguments])
    assert run.main() == 0
    page = " ".join((tmp_path / "d.html").read_text().split())
    assert "the cycles drawn add up to the counters" in page and page.count("<h3>What was sent</h3>") == 2
    for layer in from_json((tmp_path / "d.json").read_text()).inputs[0].layers:
        counters = layer.counters
        units, x_units = layer.t * layer.h, layer.t * layer.x
        assert counters["X_SENT"] + counters["X_SKIPPED"] == x_units
        assert (
            f"Of the {units:,} units of h (one element each) that the steps take in, {layer.kept_blocks:,} were" in page
        )
        assert f"Of the {x_units:,} units of x, {counters['X_SENT']:,} were sent" in page
    for state in ("starved of U", "x sent", "h sent", "held"):
        assert f'"{state}"' in page
