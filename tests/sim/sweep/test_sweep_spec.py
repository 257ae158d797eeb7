"""Files of sweeps: what they hold, and every mistake by name."""

import re
from pathlib import Path

import pytest

from golden.config import LayerShape, preset
from golden.cycles import SCHEDULES
from golden.formats import FORMATS
from sim.sweep.axes import AXES
from sim.sweep.output import COLUMNS
from sim.sweep.spec import Point, load_spec, spec_of
from software.cli import UserError

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"


@pytest.mark.parametrize(
    ("name", "points"), [("sweep", 200), ("sweep-small", 24), ("sweep-rtl", 48), ("sweep-pes", 32), ("sweep-list", 72)]
)
def test_the_examples_have_the_points_that_they_say(name, points):
    path = EXAMPLES / f"{name}.toml"
    assert len(load_spec(path).points) == points
    assert f"{points} " in path.read_text().splitlines()[0]


def test_the_page_names_every_key_and_column():
    page = (EXAMPLES.parent / "sweep.md").read_text()
    rows = [line.split("|") for line in page.splitlines() if line.startswith("| `")]
    keys = [key for row in rows if len(row) == 5 for key in re.findall("`([a-z_]+)`", row[1])]
    assert keys == list(AXES)
    for axis, choices in {"engine": 2, "layer": 2, "preset": 2, "schedule": 2, "format": 2}.items():
        (named,) = (row[choices] for row in rows if f"`{axis}`" in row[1])
        for value in re.findall("`([a-zA-Z0-9, -]+)`", named):
            AXES[axis](value)
    for name in (*SCHEDULES, *FORMATS):
        AXES["schedule" if name in SCHEDULES else "format"](name)
    columns = page[page.index("Columns:") : page.index("## Interrupted")]
    for column in COLUMNS[COLUMNS.index("threshold") :]:
        assert f"`{column}`" in columns


def test_what_a_file_does_not_say():
    (point,) = spec_of({"grid": {"layer": "ptb-l2"}}, "a", "a").points
    assert point == Point(
        "model", "ptb-l2", LayerShape(800, 800, 35), 0.2, 0.6, 0.41, 1, preset("default"), 0, "cell-fusion", "eSELL",
        None, 1000,
    )  # fmt: skip
    (point,) = spec_of({"points": [{"layer": "ptb-l2", "engine": "native"}]}, "a", "a").points
    assert (point.engine, point.latency) == ("native", 8)


def test_a_file_s_name_is_the_sweep_s(tmp_path):
    text = '[[points]]\nlayer = "ptb-l2"\n'
    (tmp_path / "big-one.toml").write_text(text)
    assert load_spec(tmp_path / "big-one.toml").name == "big-one"
    (tmp_path / "big-one.toml").write_text('name = "other"\n' + text)
    assert load_spec(tmp_path / "big-one.toml").name == "other"


def test_keys_differ_with_everything_that_matters():
    one = {"layer": {"x": 8, "h": 12, "t": 3}, "w_sparsity": 0.5, "u_sparsity": 0.5, "h_sparsity": 0.5,
           "engine": "native"}  # fmt: skip
    other = {"layer": {"x": 8, "h": 12, "t": 4}, "w_sparsity": 0.4, "u_sparsity": 0.4, "h_sparsity": 0.4, "seed": 2,
             "engine": "pysim", "preset": "fit", "n_pe": 2, "slots": 16, "window": 32, "n_fuse": 2, "latency": 9,
             "bandwidth": 0.5}  # fmt: skip
    points = [spec_of({"grid": one | {key: value}}, "a", "a").points[0] for key, value in other.items()]
    points.append(spec_of({"grid": one | {"engine": "model", "format": "CSR, log2 index"}}, "a", "a").points[0])
    points.append(spec_of({"grid": one | {"engine": "model", "format": "dense"}}, "a", "a").points[0])
    points.append(spec_of({"grid": one}, "a", "a").points[0])
    assert len({point.key("x") for point in points}) == len(points) == len(other) + 3
    assert points[-1].key("x") != points[-1].key("y")


def test_memories_may_fit_the_layer():
    text = {"layer": ["mnist-l1", {"x": 8, "h": 12, "t": 3}], "preset": ["fit", "wide"]}
    for key in ("w_sparsity", "u_sparsity", "h_sparsity"):
        text[key] = 0.5
    limits = [
        (p.config.max_x, p.config.max_h, p.config.max_t, p.config.n_pe)
        for p in spec_of({"grid": text}, "a", "a").points
    ]
    assert limits == [(28, 128, 28, 3), (256, 256, 4095, 5), (8, 12, 3, 3), (256, 256, 4095, 5)]


def test_the_same_point_twice_is_one():
    grid = {"layer": ["mnist-l1", "mnist-l1"], "slots": [12, 16]}
    spec = spec_of({"grid": grid, "points": [{"layer": "mnist-l1", "slots": 12, "n_pe": 3}]}, "a", "a")
    assert len(spec.points) == 2


L = 'layer = "mnist-l1"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[grid", "small.toml: not TOML: "),
        ("", "small.toml: no points: give a [grid] or [[points]]"),
        ("seeds = 1", "small.toml: no key 'seeds'; there are: name, grid, points"),
        ('name = "../x"\n[grid]\n' + L, "small.toml: name = '../x': must be letters, digits, - and _ only"),
        ("grid = 3", "small.toml: grid must be a table, [grid], or several, [[grid]]"),
        ("[grid]\nslots = 8", "small.toml: grid: layer is missing"),
        ("[grid]\nnpe = 3\n" + L, "small.toml: grid: no key 'npe'; there are: engine, layer, w_sparsity,"),
        ("[grid]\nn_pe = 9\n" + L, "small.toml: grid: n_pe = 9: must be a whole number in 2..8"),
        ("[grid]\nn_pe = [3, 2.5]\n" + L, "grid: n_pe = 2.5: must be a whole number in 2..8"),
        ("[grid]\nn_pe = [true]\n" + L, "grid: n_pe = True: must be a whole number in 2..8"),
        ("[grid]\nn_pe = []\n" + L, "grid: n_pe = []: must have at least one value"),
        ("[grid]\nslots = 256\n" + L, "grid: slots = 256: must be a whole number in 2..255"),
        ("[grid]\nslots = 3\n" + L, "grid: slots = 3: no hardware runs it with the other values: fewer slots"),
        ("[grid]\nslots = [3, 12]\n" + L, "slots = 3: no hardware runs it with the other values: fewer slots than 2"),
        ("[grid]\nn_fuse = [1, 4]\n" + L, "n_fuse = 4: no hardware runs it with the other values: n_fuse over"),
        ('[grid]\nn_fuse = "most"\n' + L, "n_fuse = 'most': must be a whole number in 1..127, or \"best\""),
        ("[grid]\nwindow = 48\n" + L, "window = 48: must be a power of two in 4..1024"),
        ("[grid]\nseed = -1\n" + L, "seed = -1: must be a whole number in 0..2147483648"),
        ("[grid]\nh_sparsity = 1.5\n" + L, "h_sparsity = 1.5: must be a number in 0..1"),
        ("[grid]\nw_sparsity = nan\n" + L, "w_sparsity = nan: must be a number in 0..1"),
        ('[grid]\nu_sparsity = "0.3"\n' + L, "u_sparsity = '0.3': must be a number in 0..1"),
        ('[grid]\nlayer = "mnist-l3"', "layer = 'mnist-l3': must be { x = X, h = H, t = T } or one of: mnist-l1,"),
        ("[grid]\nlayer = { x = 4, h = 4 }", "layer = {'x': 4, 'h': 4}: must be { x = X, h = H, t = T }"),
        ("[grid]\nlayer = { x = 4, h = 4, t = 0 }", "t must be a whole number in 1..65535"),
        ("[grid]\nlayer = { x = 4, h = 6, t = 2 }", "H must be a multiple of 4, not 6"),
        ("[grid]\nlayer = { x = 8192, h = 8192, t = 2 }", "4 x h x the larger of x and h must be at most 67108864"),
        ("[grid]\nlayer = { x = 4, h = 4, t = 2 }", "w_sparsity is missing: layer x4-h4-t2 is not of Table 2"),
        ('[grid]\npreset = "tiny"\n' + L, "grid: layer mnist-l1 has H = 128, preset tiny allows 64"),
        ('[grid]\npreset = "huge"\n' + L, "preset = 'huge': there is: default, stream8, mnist, ptb, tiny, event, wide"),
        ('[grid]\nengine = "vcs"\n' + L, "engine = 'vcs': there is: model, native, verilator, pysim, icarus"),
        ('[grid]\nschedule = "carousel"\n' + L, "schedule = 'carousel': there is: cell-fusion"),
        ('[grid]\nformat = "CSC"\n' + L, "format = 'CSC': there is: dense, \"CSR, 16-bit index\", \"CSR, log2 "),
        ('[grid]\nengine = "native"\nformat = "dense"\n' + L,
         "format = 'dense': no hardware runs it with the other values: not built: format dense is for the engine "),
        ('[grid]\nengine = ["model", "native"]\nformat = "CSR, log2 index"\n' + L,
         "engine = 'native': no hardware runs it with the other values: not built: format \"CSR, log2 index\" is for"),
        ('[grid]\nengine = ["native", "model"]\nformat = ["EC", "eSELL"]\nn_fuse = 4\n' + L,
         "n_fuse = 4: no hardware runs it with the other values: n_fuse over the capacity: 12 slots"),
        ("[grid]\nlatency = [8, 60]\n" + L, 'latency = [8, 60]: the word-level model, engine "model", has no latency;'),
        ('[grid]\nengine = "native"\nlatency = 0\n' + L, "latency = 0: must be a whole number in 1..10000"),
        ("[grid]\nbandwidth = 0\n" + L, "bandwidth = 0: must be requests a cycle in 0.001..1, in steps of 0.001"),
        ("[grid]\nbandwidth = 0.3333\n" + L, "bandwidth = 0.3333: must be requests a cycle in 0.001..1, in steps"),
        ("[grid]\nbandwidth = 2\n" + L, "bandwidth = 2: must be a number in 0..1"),
        ("[[points]]\nn_pe = [2, 3]\n" + L, "points: n_pe = [2, 3]: a point has one value; lists belong in [grid]"),
        ("[[points]]\n" + L + "[[points]]\nslots = 2\n" + L, "points 2: slots = 2: no hardware runs it"),
        (f"[grid]\nseed = {list(range(400))}\nn_pe = 3\nslots = {list(range(4, 255))}\n" + L, "100,400 combinations"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(text, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(text)
    with pytest.raises(UserError) as wrong:
        load_spec(Path("small.toml"))
    assert str(wrong.value).startswith("small.toml: ")
    assert said in str(wrong.value)
