"""A plan of a layer as runs of it."""

from numpy.typing import ArrayLike

from golden.isa import Flags
from golden.layer import PackedLayer
from sim.layers.jobs import LayerCall
from software.tuning.plan import Plan

FLAGS = Flags.H_SEQ | Flags.H_PRUNED


def call_of(plan: Plan, packed: PackedLayer, x: ArrayLike, threshold: float) -> LayerCall:
    """A run of the layer on x (T, inputs), which stores every pruned row of h."""
    return LayerCall(
        packed, x, threshold, plan.n_fuse, FLAGS | plan.flags, None, plan.schedule, plan.groups, plan.x_threshold,
        plan.x_format,
    )  # fmt: skip
