"""Timelines: what the signals say is what the counters count, and the page shows it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golden.config import AcceleratorConfig, preset
from golden.isa import Counter, Error, Flags, Schedule
from golden.layer import Layer
from sim import run
from sim.commands import story
from sim.engines import registry
from sim.engines.build_cache import cache_root
from sim.engines.compiled import CompiledAccelerator
from sim.engines.native.vcd import read_rows
from sim.layers.jobs import LayerCall, layer_job
from sim.layers.random_layer import (
    CONFIGS,
    EVENT_CONFIGS,
    FULL_CONFIGS,
    RandomLayer,
    Traits,
    calls,
    generate,
)
from sim.layers.table2 import LAYERS, random_case
from sim.protocol.base import Design, EngineError, WaveRequest
from sim.protocol.timing import MemoryTiming
from sim.report import command as report
from sim.report import timeline, timeline_page
from sim.report.timeline import LONGEST, NO_STEP, SIGNALS, Recorded, record
from sim.report.timeline_page import View, digit_view
from software.cli import UserError
from software.cli import run as run_command
from tests import browser
from tests.sim.engines.read_vcd import signals

TINY = preset("tiny")
DELTA = replace(TINY, delta=True)


def recorded(case: RandomLayer, config: AcceleratorConfig, window: tuple[int, int] | None = None) -> Recorded:
    call = calls(case)[0]
    return record("a layer", call, call.golden(case.layer), config, case.timing, window)


def test_cycles_add_up_to_the_counters_on_random_layers():
    errors = set()
    for seed in range(40):
        case = generate(seed, traits=Traits(max_size=32, max_steps=8))
        found = recorded(case, TINY)
        assert found.verdict.exact, case.text
        assert found.problems == [], case.text
        assert found.timeline.length == found.timeline.cycles == found.rtl.counters[Counter.CYCLES]
        errors.add(found.rtl.status.code)
    assert errors == {Error.NONE}


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.n_pe}-pes")
def test_cycles_add_up_for_every_number_of_pes(config):
    for seed in range(300, 330):
        case = generate(seed, traits=Traits(n_pe=config.n_pe))
        found = recorded(case, config)
        assert found.verdict.exact, case.text
        assert found.problems == [], case.text
        assert len(found.timeline.tracks) == config.n_pe + 2


@pytest.mark.slow
def test_pes_of_the_pool_add_up_and_take_the_steps_of_their_banks():
    config = FULL_CONFIGS[1]
    for seed in range(300, 312):
        case = generate(seed, traits=Traits(full=True, n_pe=3, schedule=Schedule.LIST))
        found = recorded(case, config)
        assert found.verdict.exact, case.text
        assert found.problems == [], case.text
        assert [track.name for track in found.timeline.tracks][1:4] == ["PE 0", "PE 1", "PE 2"]
        steps = len(np.asarray(calls(case)[0].x))
        of_w = set()
        for pe, track in enumerate(found.timeline.tracks[1:4]):
            taken = track.steps[track.codes == 1].astype(int) - 1
            assert set(taken % 3) <= {pe} and set(taken) <= set(range(steps)), case.text
            of_w |= set(taken)
        if not case.flags & Flags.X_SKIP and len(case.packed.w.words) > case.packed.w.offsets.size:
            assert of_w in (set(), set(range(steps))), case.text


@pytest.mark.slow
def test_changes_and_events_add_up_and_take_the_steps_in_turn():
    config = EVENT_CONFIGS[-1]
    for seed in range(300, 312):
        case = generate(seed, traits=Traits(max_size=32, max_steps=8), config=config)
        found = recorded(case, config)
        assert found.verdict.exact and found.problems == [], case.text
        tracks = {track.name: track for track in found.timeline.tracks}
        assert list(tracks) == ["memory port", "scanner", "PE", "gate unit"]
        works = np.isin(tracks["PE"].codes, (1, 2))
        taken = tracks["PE"].steps[works].astype(int) - 1
        assert (works == (tracks["PE"].steps != NO_STEP)).all() and (np.diff(taken) >= 0).all(), case.text
        assert set(tracks["gate unit"].steps[tracks["gate unit"].codes == 1] - 1) == set(range(found.rtl.status.rows))
    for seed in range(300, 306):
        case = generate(seed, traits=Traits(max_size=32, max_steps=8, delta=True), config=DELTA)
        found = recorded(case, DELTA)
        assert found.verdict.exact and found.problems == [], case.text


def event_signals(**changed: list[int]) -> dict[str, np.ndarray]:
    """Ten cycles of a run by events, everything quiet but what is given."""
    given = {name: np.array(changed.get(name, [0] * 10)) for name in timeline.EVENT_SIGNALS}
    return given | {"busy": np.ones(10, int)}


ARRAYS = {
    "w": range(0x1000, 0x1010),
    "u": range(0x2000, 0x2008),
    "x": range(0x3000, 0x3008),
    "h": range(0x4000, 0x4008),
}


def test_a_word_of_events_is_of_the_array_that_it_lies_in():
    places = [0x1008, 0x2000, 0x3000, 0x4000, 0x5000]
    found = event_signals(
        issue=[1, 1, 1, 1, 1, 0, 0, 0, 0, 0], address=[place // 8 for place in [*places, 0, 0, 0, 0, 0]],
        kind=[1, 1, 2, 3, 1, 0, 0, 0, 0, 0], port_busy=[0, 1, 1, 1, 1, 1, 0, 0, 0, 0],
        port_stalled=[0] * 6 + [1] + [0] * 3, port_full=[0] * 7 + [1, 0, 0],
    )  # fmt: skip
    port = timeline.event_tracks_of(found, ARRAYS)[0]
    names = [port.states[code][0] for code in port.codes]
    assert names == ["idle", "W", "U", "x", "store", "setup", "stalled", "full", "idle", "idle"]


def test_the_pe_of_events_works_on_what_was_loaded_two_cycles_before():
    found = event_signals(
        w_loaded=[1, 0, 0, 0, 0, 0, 0, 0, 0, 0], u_loaded=[0, 0, 1, 1, 0, 0, 0, 0, 0, 0],
        working=[0, 0, 1, 0, 1, 1, 0, 0, 0, 0], step_issued=[0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        starved=[0, 1, 0, 1, 0, 0, 0, 0, 0, 0], u_starved=[0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        x_sent=[2, 0, 0, 0, 0, 0, 0, 0, 0, 0], kept=[0, 3, 0, 0, 0, 0, 0, 0, 0, 0],
        x_skipped=[2, 0, 4, 0, 0, 0, 0, 0, 0, 0], skipped=[0, 1, 0, 4, 0, 0, 0, 0, 0, 0],
        gate_busy=[0, 0, 0, 0, 0, 0, 0, 1, 1, 0], gate_wait_store=[0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
    )  # fmt: skip
    tracks = timeline.event_tracks_of(found, ARRAYS)
    _, scanner, pe, gate = ([track.states[code][0] for code in track.codes] for track in tracks)
    assert scanner == ["x sent", "h sent", "held", "held", *["idle"] * 6]
    assert pe == ["idle", "starved", "W", "starved of U", "U", "U", *["idle"] * 4]
    assert tracks[2].steps.tolist() == [0, 0, 1, 0, 2, 2, 0, 0, 0, 0]
    assert gate == ["idle"] * 6 + ["waits for a row", "works", "works", "idle"]
    counts = timeline.event_counts_of(found, tracks)
    assert {counter: counts[counter] for counter in (Counter.W_BUSY, Counter.PE_BUSY, Counter.W_STARVED)} == {
        Counter.W_BUSY: 3, Counter.PE_BUSY: 3, Counter.W_STARVED: 2,
    }  # fmt: skip
    assert (counts[Counter.U_STARVED], counts[Counter.U_IDLE], counts[Counter.W_IDLE]) == (1, 7, 5)
    sent = (Counter.X_SENT, Counter.X_SKIPPED, Counter.KEPT_BLOCKS, Counter.SKIPPED_BLOCKS)
    assert [counts[counter] for counter in sent] == [2, 6, 3, 5]
    # a counter that is off by one in any of them is noticed
    for counter in counts:
        wrong = timeline.disagreements(counts, counts | {counter: counts[counter] + 1})
        assert wrong == [f"counter {counter.name} is {counts[counter] + 1}, the signals say {counts[counter]}"]


def test_steps_are_those_of_the_schedule():
    """Every W PE takes every w_pes-th step of a group, U and gates all steps in turn."""
    case = generate(5, traits=Traits(density=0.7, threshold=0.0, timing=MemoryTiming(8), split=False, max_steps=12))
    case = replace(case, x=np.random.default_rng(1).normal(size=(11, case.packed.x)).astype(np.float32), n_fuse=2)
    tracks = {track.name: track for track in recorded(case, TINY).timeline.tracks}
    for pe in range(TINY.w_pes):
        steps = tracks[f"W PE {pe}"].steps
        assert set(steps[steps != NO_STEP] - 1) == set(range(pe, 11, TINY.w_pes))
        works = tracks[f"W PE {pe}"].codes == 1
        assert (works == (steps != NO_STEP)).all()
        groups = (steps[works] - 1) // (2 * TINY.w_pes)
        assert (np.diff(groups.astype(int)) >= 0).all()
    # step 0 has U words as well: with a threshold of 0 the zeros are kept
    for name in ("U PE", "gate unit"):
        steps = tracks[name].steps[tracks[name].codes == 1]
        assert (np.diff(steps.astype(int)) >= 0).all()
        assert set(steps - 1) == set(range(11))
    assert (tracks["gate unit"].codes == 1).sum() == 11 * case.packed.h


def test_a_signal_that_lies_is_noticed():
    case = generate(3, traits=Traits(max_size=16, max_steps=4))
    found = recorded(case, TINY)
    rows = {name: np.zeros(found.timeline.cycles, np.uint8) for name in SIGNALS}
    tracks = timeline.tracks_of(rows, TINY, 1)
    wrong = timeline.disagreements(timeline.counts_of(rows, tracks), found.rtl.counters)
    assert any(text.startswith("counter PORT_BUSY is") for text in wrong)
    assert any(text.startswith("counter GATE_BUSY is") for text in wrong)


def test_a_counter_of_cycles_that_lies_is_noticed(monkeypatch):
    class Lying(timeline.CompiledAccelerator):
        def run(self, *arguments):
            outcome = super().run(*arguments)
            lying = [replace(r, data=r.data + (r.rd == Counter.CYCLES + 1)) for r in outcome.responses]
            return replace(outcome, responses=lying)

    monkeypatch.setattr(timeline, "CompiledAccelerator", Lying)
    found = recorded(generate(3, traits=Traits(max_size=16, max_steps=4)), TINY)
    cycles = found.rtl.counters[Counter.CYCLES]
    assert any(f"counter CYCLES is {cycles}, the signals say {cycles - 1}" in text for text in found.problems)


def test_a_window_is_a_part_of_the_whole():
    case = generate(8, traits=Traits(max_size=32, max_steps=8))
    whole, part = recorded(case, TINY).timeline, recorded(case, TINY, (100, 299)).timeline
    assert (part.first, part.length, part.cycles) == (100, 200, whole.cycles)
    for a, b in zip(whole.tracks, part.tracks, strict=True):
        assert (a.codes[100:300] == b.codes).all()
        assert (a.steps[100:300] == b.steps).all()
    with pytest.raises(UserError, match=f"the run has {whole.cycles:,} cycles, none from 90,000,000 on"):
        recorded(case, TINY, (90_000_000, 90_000_001))
    with pytest.raises(UserError, match="at most 1,000,000 cycles, not 1,000,001"):
        recorded(case, TINY, (5, 5 + LONGEST))


def test_rows_are_what_a_vcd_of_the_same_signals_says(tmp_path):
    case = generate(9, traits=Traits(max_size=16, max_steps=3))
    design, names = Design("accelerator", TINY), tuple(SIGNALS.values())
    for path in (tmp_path / "a.npy", tmp_path / "a.vcd"):
        job = layer_job(calls(case)[0], case.timing, wave=WaveRequest(str(path), 0, 800, names))
        CompiledAccelerator().run(design, job)
    rows, vcd = read_rows(tmp_path / "a.npy"), signals(tmp_path / "a.vcd", "elstm_accelerator.")
    assert set(rows) == set(names) == set(vcd) - {"clk"}
    for name in names:
        assert rows[name].tolist() == vcd[name][::2], name
    assert any(rows[SIGNALS["gate_busy"]])


def test_a_signal_that_does_not_exist_is_named(tmp_path):
    case = generate(9, traits=Traits(max_size=16, max_steps=3))
    wave = WaveRequest(str(tmp_path / "a.vcd"), signals=("datapath.nothing",))
    with pytest.raises(EngineError, match="no signal datapath.nothing in elstm_accelerator"):
        CompiledAccelerator().run(Design("accelerator", TINY), layer_job(calls(case)[0], case.timing, wave=wave))


@pytest.mark.parametrize("name", [name for name in registry.names("accelerator") if name != "native"])
def test_other_engines_say_that_they_cannot_choose(name, tmp_path):
    if missing := registry._ENGINES["accelerator"][name]().missing():
        pytest.skip(f"engine {name}: {missing}")
    case = generate(9, traits=Traits(max_size=16, max_steps=3))
    wave = WaveRequest(str(tmp_path / "a.fst"), signals=("frontend.busy",))
    with pytest.raises(EngineError, match=f"engine {name} writes waveforms of all signals; native can choose"):
        job = layer_job(calls(case)[0], case.timing, wave=wave)
        registry.get("accelerator", name).run(Design("accelerator", TINY), job)


def test_a_file_holds_it_all(tmp_path):
    found = recorded(generate(8, traits=Traits(max_size=16, max_steps=3)), TINY).timeline
    (tmp_path / "t.npz").write_bytes(timeline.to_bytes(found))
    again = timeline.load(tmp_path / "t.npz")
    assert (again.title, again.first, again.cycles) == (found.title, found.first, found.cycles)
    for a, b in zip(found.tracks, again.tracks, strict=True):
        assert (a.name, a.states) == (b.name, b.states)
        assert (a.codes == b.codes).all() and (a.steps == b.steps).all()


@pytest.mark.parametrize("content", [None, b"", b"{}", b"PK\x03\x04 and no more"])
def test_no_timeline_at_all(tmp_path, content):
    path = tmp_path / "t.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"t\.npz: (not a timeline|No such file)"):
        timeline.load(path)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ELSTM_CACHE", str(cache_root()))
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        monkeypatch.setattr("sys.argv", ["sim.run", *map(str, arguments)])
        return run.main(), *capsys.readouterr()

    return invoke


@pytest.fixture(scope="module")
def digit(tmp_path_factory):
    """One digit by the command, for all that look at its page."""
    folder = tmp_path_factory.mktemp("digit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELSTM_CACHE", str(cache_root()))
        patch.chdir(folder)
        arguments = ["digit", "8", "--preset", "mnist", "--json", "d.json", "--trace", "d.npz"]
        patch.setattr("sys.argv", ["sim.run", *arguments])
        assert run.main() == 0
    return folder


def test_a_digit_as_a_page(digit):
    page = (digit / "build/digit-8.html").read_text()
    for text in (
        "Image 8, a 5", "bit-exact: all 7,168 values of h; the cycles drawn add up to the counters",
        "The network on the RTL answers 8, golden 8", 'data-exact="true"',
    ):  # fmt: skip
        assert text in page


def test_a_wrong_answer_is_no_success_of_the_network(digit):
    page = (digit / "build/digit-8.html").read_text()
    assert '<p class="answer bad">Label 5, answer 8: wrong</p>' in page
    assert "mistake is the network's, not the hardware's" in page.replace("the\nmistake", "the mistake")
    assert '<b class="label">5</b>' in page and '<b class=" given wrong">8</b>' in page
    assert "Of all 10,000 test digits golden answers 99.09&nbsp;% right" in page


def test_a_right_answer_says_so():
    image, logits = np.zeros((28, 28), np.uint8), np.eye(10, dtype=np.float32)[4]
    view = View("Image 4, a 4", True, "bit-exact", [], digit_view(image, 4, logits, 4, {}), (), ())
    text = timeline_page.page(view)
    assert '<p class="answer good">Label 4, answer 4: right</p>' in text and '<b class="label given">4</b>' in text
    assert "wrong" not in text.split("</style>")[1] and "test digits" not in text


def test_dropped_blocks_are_the_counters_and_what_the_picture_has_otherwise_is_said(digit):
    page = " ".join((digit / "build/digit-8.html").read_text().split())
    layers = json.loads((digit / "d.json").read_text())["inputs"][0]["layers"]
    for layer in layers:
        skipped, blocks = layer["counters"]["SKIPPED_BLOCKS"], layer["t"] * layer["h"] // 4
        assert skipped == blocks - layer["kept_blocks"]
        assert f"Of the {blocks:,} blocks of 4 units that the steps take in, {skipped:,} were dropped" in page
    assert "238 were dropped (26.6 %; counter SKIPPED_BLOCKS)" in page
    assert "no step follows the 2 of the last row; 32 are of the state before step 0" in page


def test_the_layers_of_the_page(digit):
    page = (digit / "build/digit-8.html").read_text()
    assert page.count('class="tl"') == 2
    assert page.count('class="h" src="data:image/png;base64,') == 2
    assert "http" not in page
    result = json.loads((digit / "d.json").read_text())
    assert [layer["exact"] for layer in result["inputs"][0]["layers"]] == [True, True]
    assert result["inputs"][0]["layers"][0]["float_check"]["max_abs_error"] > 0


def test_the_report_draws_timelines(digit, monkeypatch, capsys):
    monkeypatch.chdir(digit)
    monkeypatch.setattr("sys.argv", ["report", "d.json", "--timeline", "d-l1.npz", "--timeline", "d-l2.npz"])
    with pytest.raises(SystemExit) as end:
        run_command(report.main)
    assert end.value.code == 0
    page = (digit / "build/report.html").read_text()
    assert page.count('class="tl"') == 2
    assert "Where the cycles went" in page
    monkeypatch.setattr("sys.argv", ["report", "d.json", "--timeline", "d.json"])
    with pytest.raises(SystemExit) as end:
        run_command(report.main)
    assert end.value.code == 2
    assert "d.json: not a timeline" in capsys.readouterr().err


@pytest.mark.skipif(not browser.PROGRAM, reason="chromium is not installed")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_browser_draws_and_zooms(digit, width):
    shown = "[...document.querySelectorAll('.tl')].map((box) => Number(box.dataset.ready || 0))"
    with browser.page() as page:
        page.open(f"file://{digit}/build/digit-8.html#1000-1499", width)
        page.wait(f"{shown}.every((span) => span === 500)")
        assert page.value("document.querySelector('.tl .range').textContent") == "showing 1,000 to 1,499"
        page.value("document.querySelector('.tl [data-do=out]').click()")
        page.wait(f"{shown}[0] === 1000")
        page.value("document.querySelector('.tl [data-do=all]').click()")
        page.wait(f"{shown}[0] > 200000 && {shown}[1] === 500")
        page.value("document.querySelector('.tl').scrollIntoView()")
        x, y = (
            page.value(f"document.querySelector('.tl canvas').getBoundingClientRect().{side}") for side in ("x", "y")
        )
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + 200, y=y + 40)
        page.wait("document.querySelector('.tl .tip').textContent.startsWith('cycle ')")
        assert "memory port" in page.value("document.querySelector('.tl .tip').textContent")
        # nothing is wider than the screen
        assert page.value("document.documentElement.scrollWidth") <= width
        assert page.complaints == []


def test_a_layer_of_the_paper(command, tmp_path):
    code, out, _ = command("timeline", "mnist-l1", "--preset", "mnist", "--scheme", "sparse", "--window", "0:999")
    assert code == 0
    assert "wrote build/timeline-mnist-l1-sparse.html" in out
    assert out.startswith("bit-exact: all 3,584 values of h\n"), "of a part nothing is said about the counters"
    assert "cycles 0 to 999 of" in (tmp_path / "build/timeline-mnist-l1-sparse.html").read_text()


def test_a_layer_of_a_checkpoint(command, tmp_path):
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {}
    for n, inputs in ((1, 6), (2, 10)):
        shapes = {"w": (40, inputs), "u": (40, 10), "b": (40,)}
        arrays |= {f"l{n}.{k}": rng.normal(size=s).astype(np.float16) for k, s in shapes.items()}
    np.savez(tmp_path / "my.npz", **arrays, thresholds=np.zeros(2, np.float32), meta="{}")
    for scheme in ("original", "fused"):
        code, out, _ = command("timeline", "my.npz", "--layer", "2", "--preset", "tiny", "--scheme", scheme)
        assert code == 0
        assert f"wrote build/timeline-my-l2-{scheme}.html" in out
    errors = {
        ("--layer", "3"): "--layer must be in 1..2 (all that my.npz has), not 3",
        ("--x", "none.npy"): "none.npy: No such file",
        ("--x", "a", "--random", "3"): "--x and --random both give the inputs",
        ("--random", "300"): "layer 1 has T = 300, preset tiny allows 255",
        ("--scheme", "best"): "no scheme 'best'; there are: original, sparse, fused",
        ("--scheme", "sparse", "--n-fuse", "2"): "--n-fuse is for --scheme fused",
        ("--window", "9"): "--window must be FIRST:LAST in cycles, not '9'",
        ("--window", "0:1000000"): "at most 1,000,000 cycles, not 1,000,001",
        ("--out", "."): "cannot write .: is a directory",
        ("--latency", "0"): "latency must be in 1..10000, not 0",
    }
    for arguments, text in errors.items():
        code, out, err = command("timeline", "my.npz", "--preset", "tiny", *arguments)
        assert code == 2, arguments
        assert text in err
        assert (out, err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["digit", "100"], "DIGIT must be in 0..99"),
        (["digit", "0", "--checkpoint", "no.npz"], "no.npz: No such file"),
        (["digit", "0", "--preset", "big"], "big"),
        (["timeline", "mnist-l9"], "mnist-l9: No such file"),
        (["timeline", "mnist-l1", "--layer", "2"], "are for a checkpoint"),
        (["timeline", "mnist-l1", "--preset", "tiny"], "MNIST-L1 has H = 128, the preset allows 64"),
    ],
)
def test_errors_are_one_line(command, arguments, text):
    code, out, err = command(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert text.lower() in err.lower()


def test_a_wrong_h_or_a_wrong_count_is_the_verdict(command, monkeypatch):
    def bent(*arguments, **keywords):
        found = record(*arguments, **keywords)
        return replace(found, problems=["a layer: counter W_BUSY is 1, the signals say 2"])

    monkeypatch.setattr(story, "record", bent)
    code, out, _ = command("timeline", "mnist-l1", "--preset", "mnist")
    assert code == 1
    assert out.startswith("a layer: counter W_BUSY is 1, the signals say 2")
    page = Path("build/timeline-mnist-l1-fused.html").read_text()
    assert 'data-exact="false"' in page


@pytest.mark.slow
def test_a_large_layer_in_a_window():
    case = random_case(LAYERS["ptb-l1"], 1)
    golden = Layer(case.packed).run(case.x[:3], case.threshold)
    call = LayerCall(case.packed, case.x[:3], case.threshold, 1)
    found = record("PTB-L1", call, golden, preset("ptb"), MemoryTiming(8), (1_000_000, 1_099_999))
    assert found.verdict.exact
    assert found.timeline.length == 100_000
