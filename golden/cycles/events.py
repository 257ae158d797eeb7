"""Cycles of a layer by events: of W and of U only the columns whose x or h changed come, each word once.

One PE takes a word a cycle, so the port is all that words wait for, and a step's columns wait for what sends them:
those of W for x, those of U for the units of h before. The rules:

- Setup moves bias, offsets, tables and the first x.
- A step's columns of W come when its x is there, whatever the gates do; then the x of the step after.
- Unit i of a step's h is known i / v cycles after its first (the vector unit gives v units a cycle), and if it is sent
  its column of U comes no sooner. The row is stored behind the last unit.
- The gates of a step begin when the last of its words has been added, which takes ``latency`` cycles from the port, and
  not before those of the step before are done. The first unit of h is known ``gate_latency`` cycles later.
- After the last step its row is stored, and with state_out the state.
"""

import numpy as np

from golden.config import AcceleratorConfig
from golden.cycles.base import Cycles, LayerWords, Parameters, Schedule
from golden.cycles.group import GATE_LATENCY
from golden.cycles.words import FULL_PORT, checked_permille, integer, moved
from golden.isa import Schedule as ScheduleNumber

LATENCY = 14
"""Cycles from a word's request to its last sum: memory's latency, and the stages of the PE."""


def event_model(
    words: LayerWords,
    vector_units: int = 1,
    gate_latency: int = GATE_LATENCY,
    latency: int = LATENCY,
    port_permille: int = FULL_PORT,
) -> Cycles:
    """What a run by events takes; vector_units: units of h that the vector unit gives a cycle.

    Raises TypeError and ValueError for arguments that are no such numbers, and where nobody counted what is sent of x.
    """
    width, permille = integer("vector_units", vector_units, 1), checked_permille(port_permille)
    if words.x_sent is None:
        raise ValueError("by events it must be known what is sent of x, not only what is kept of h")
    hidden, steps = words.shape.h, words.shape.t
    (w_values, w_heads), (u_values, u_heads) = words.w_unit_words, words.u_unit_words
    w_units, u_units = w_values + w_heads, u_values + u_heads
    units = hidden // len(u_units)
    # the first cycle at which each unit's last element is known, from that of the first of all
    known = np.arange(units - 1, hidden, units) // width
    gate_cycles = -(-hidden // width)
    state_in, state_out = words.state_words * words.state_in, words.state_words * words.state_out
    setup = hidden + words.offsets
    port = moved(setup + state_in + words.x_words, permille) + latency
    gates_done = first_known = 0
    for t in range(steps):
        port += moved(int(w_units[words.x_sent[t]].sum()), permille)
        if t + 1 < steps:
            port += moved(words.x_words, permille)
        sends = words.kept[t]
        if not t:
            # of the h that the state brought
            port += moved(int(u_units[sends].sum()), permille)
        else:
            counts = u_units[sends] * FULL_PORT / permille
            # each column after those before it, and none before its unit
            behind = np.cumsum(counts[::-1])[::-1]
            port = int(np.ceil(max([port + counts.sum(), *(first_known + known[sends] + behind)])))
            port = max(port, first_known + hidden // width)
            if words.h_seq:
                port += moved(words.row_words, permille)
        gates_done = max(port + latency, gates_done) + gate_cycles
        first_known = gates_done - gate_cycles + gate_latency
    last = max(port, first_known + gate_cycles)
    columns = int((words.x_sent @ w_units).sum() + (words.kept @ u_units).sum())
    rows = (steps if words.h_seq else 1) * words.row_words
    port_words = setup + state_in + columns + steps * words.x_words + rows + state_out
    return Cycles(last + moved(words.row_words + state_out, permille) + latency, port_words)


class Events(Schedule):
    """Columns of W and U by the changes of x and h; it leaves nothing open."""

    name = "events"
    number: ScheduleNumber = ScheduleNumber.EVENTS

    def model(
        self, words: LayerWords, config: AcceleratorConfig, values: Parameters, port_permille: int = FULL_PORT
    ) -> Cycles:
        return event_model(words, config.vector_units, port_permille=port_permille)
