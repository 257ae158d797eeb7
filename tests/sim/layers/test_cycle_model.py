"""The RTL against the word-level model where W takes long: few steps, dense weights."""

import numpy as np
import pytest

from golden.config import preset
from golden.layer import Layer, pack_layer
from sim.engines import registry
from sim.layers.jobs import LayerCall, layer_job
from sim.layers.plan import FLAGS
from sim.layers.record import simulate
from sim.protocol.base import Design
from sim.protocol.timing import MemoryTiming

DESIGN = Design("accelerator", preset("default"))
LOW, HIGH = 0.985, 1.02
"""What docs/performance.md says of runs of 100,000 cycles or more."""


def over_model(x: int, h: int, t: int, w: float, u: float, threshold: float, n_fuse: int, seed: int = 1) -> float:
    """The RTL's cycles over the model's for random weights of these densities; every h must be exact."""
    rng = np.random.default_rng(seed)
    shapes = (((4 * h, x), w), ((4 * h, h), u))
    w_values, u_values = (
        (rng.normal(size=shape) * (rng.random(shape) < part) / 5).astype(np.float16) for shape, part in shapes
    )
    packed = pack_layer(w_values, u_values, np.zeros(4 * h, np.float16))
    xs = rng.normal(size=(t, x)).astype(np.float32)
    call = LayerCall(packed, xs, threshold, n_fuse, FLAGS)
    golden = Layer(packed).run(xs[None], threshold).sequence(0)
    job = layer_job(call, MemoryTiming(8))
    engine = registry.get("accelerator", registry.DEFAULT)
    done = simulate(engine, DESIGN, job, "a layer", "L", call, golden, lambda cycles: None)
    assert not done.problems and done.row.cycles >= 100_000
    return done.row.cycles / done.row.word_model_cycles


@pytest.mark.parametrize("steps", [1, *(pytest.param(steps, marks=pytest.mark.slow) for steps in (3, 5, 6)), 7])
def test_dense_and_short(steps: int) -> None:
    assert LOW < over_model(128, 256, steps, 1, 1, 0.0, 3) < HIGH


@pytest.mark.parametrize(
    ("x", "h", "t", "w", "u", "threshold", "n_fuse"),
    [
        (256, 128, 12, 1, 0.1, 0.5, 3),
        (64, 200, 14, 0.3, 1, 0.2, 3),
        pytest.param(128, 128, 28, 0.8, 0.6, 0.5, 3, marks=pytest.mark.slow),
        pytest.param(240, 96, 13, 1, 0.3, 0.0, 2, marks=pytest.mark.slow),
        pytest.param(200, 128, 24, 1, 0.3, 9.0, 3, marks=pytest.mark.slow),
        pytest.param(256, 200, 4, 0.6, 0.6, 0.0, 3, marks=pytest.mark.slow),
    ],
)
def test_w_and_u_of_any_density(x: int, h: int, t: int, w: float, u: float, threshold: float, n_fuse: int) -> None:
    assert LOW < over_model(x, h, t, w, u, threshold, n_fuse) < HIGH
