"""The words of a run, for the cycle models."""

from dataclasses import dataclass

from golden.config import AcceleratorConfig
from golden.cycles import CELL_FUSION, FULL_PORT, SCHEDULES, Counted, LayerWords, Parameters, Schedule
from golden.isa import Flags
from golden.layer import LayerResult
from sim.layers.jobs import LayerCall

MAX_SLOTS = 255
"""More than any N_fuse of a run needs."""


@dataclass(frozen=True)
class Predicted:
    """Cycles by the schedule's model, the published formula if it has one, and the bound, for golden's blocks."""

    word: Counted
    published: int | None
    bound: int


class RunWords(LayerWords):
    """All that the cycle models know of a run."""

    @classmethod
    def of(cls, call: LayerCall, golden: LayerResult) -> "RunWords":
        """Of a call and golden's result of this one sequence."""
        return cls.of_layer(
            call.packed,
            golden.kept,
            call.x if call.flags & Flags.X_SKIP else None,
            h_seq=bool(call.flags & Flags.H_SEQ),
            state_in=call.state is not None,
            state_out=bool(call.flags & Flags.STATE_OUT),
        )

    def by(
        self, schedule: Schedule, config: AcceleratorConfig, values: Parameters, port_permille: int = FULL_PORT
    ) -> Predicted:
        """What the models say of a schedule with these parameters; the published formula knows a full port only."""
        return Predicted(
            schedule.model(self, config, values, port_permille),
            schedule.published(self, config, values),
            self.bound(config.n_pe, port_permille),
        )

    def best_n_fuse(self, config: AcceleratorConfig, port_permille: int = FULL_PORT) -> int:
        """Cell fusion's N_fuse within the capacity with the fewest cycles by its model; of several the smallest."""
        return CELL_FUSION.search(self, config, port_permille)[0]


def parameters(schedule: Schedule, n_fuse: int) -> Parameters:
    """The parameters of a run at this N_fuse, which not every schedule has."""
    values = {"n_fuse": n_fuse}
    return tuple(values[name] for name in schedule.parameters)


def predicted(call: LayerCall, golden: LayerResult, n_fuse: int, n_pe: int) -> Predicted:
    """What the models say of a run under its schedule; ``golden``: the result of this one sequence."""
    schedule, config = SCHEDULES.numbered(call.schedule), AcceleratorConfig(n_pe=n_pe, slots=MAX_SLOTS)
    return RunWords.of(call, golden).by(schedule, config, parameters(schedule, n_fuse))
