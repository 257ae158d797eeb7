"""What designs are synthesized for: the flow, what a primitive takes, and how fast it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hdl.synth.area import Area
from hdl.synth.timing import Arc, Timing, WireModel


@dataclass(frozen=True)
class Target:
    """A family of devices.

    name: on the command line; device: in words; flow: yosys' commands after the sources are read, with ``{top}``;
    weights: area of each primitive; timings: delays of each, ns, none when timing is not estimated; wire: of an
    estimate; available: what the largest device has; error: how far estimates were from placements, in percent.
    """

    name: str
    device: str
    flow: str
    weights: Mapping[str, Area]
    timings: Mapping[str, Timing] = field(default_factory=dict)
    wire: WireModel = WireModel(0.0, 0.0)
    available: Area | None = None


def _inputs(ports: str, target: str, delay: float) -> tuple[Arc, ...]:
    return tuple(Arc(port, target, delay) for port in ports.split())


_LUT = Timing(_inputs("A B C D", "Z", 0.236))
_ECP5 = {
    "LUT4": _LUT,
    # a LUT's way through the multiplexer beside it needs no wire
    "PFUMX": Timing((*_inputs("ALUT BLUT", "Z", 0.165), Arc("C", "Z", 0.256)), carry=frozenset({"ALUT", "BLUT"}), level=False),
    "L6MUX21": Timing((*_inputs("D", "Z", 0.242), Arc("SD", "Z", 0.256)), carry=frozenset({"D0", "D1"}), level=False),
    "CCU2C": Timing(
        (
            *_inputs("A B C D", "COUT", 0.447), *_inputs("A0 B0 C0 D0", "S0", 0.236), *_inputs("A0 B0 C0 D0", "S1", 0.69),
            *_inputs("A1 B1 C1 D1", "S1", 0.236), Arc("CIN", "COUT", 0.071), Arc("CIN", "S0", 0.403), Arc("CIN", "S1", 0.443),
        ),
        carry=frozenset({"CIN"}),
    ),
    "TRELLIS_FF": Timing(launch={"Q": 0.525}, setup={"DI": 0.0, "M": 0.0, "CE": 0.0, "LSR": 0.2}),
    "TRELLIS_DPR16X4": Timing(_inputs("RAD", "DO", 0.236), launch={"DO": 0.7}, setup={"DI": 0.1, "WAD": 0.1, "WRE": 0.1}),
}  # fmt: skip
