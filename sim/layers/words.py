"""The words of a run, for the cycle models."""

from dataclasses import dataclass

from golden.config import AcceleratorConfig
from golden.cycles import CELL_FUSION, FULL_PORT, SCHEDULES, Counted, LayerWords, Parameters, Schedule
from golden.isa import Flags
from golden.layer import LayerResult
from golden.memory import INPUT_BITS
from sim.layers.jobs import LayerCall


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
            call.x if call.flags & Flags.X_SKIP and not call.events else None,
            h_seq=bool(call.flags & Flags.H_SEQ),
            state_in=call.state is not None,
            state_out=bool(call.flags & Flags.STATE_OUT),
            x_sent=golden.x_sent if call.events else None,
            x_bits=INPUT_BITS[call.x_format],
            row_bits=16 if call.h_fp16 else 32,
            delta=call.delta,
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


def parameters(schedule: Schedule, call: LayerCall, config: AcceleratorConfig) -> Parameters:
    """What a run leaves to its schedule: N_fuse as far as the slots go, sizes of groups."""
    values = {"n_fuse": (min(call.n_fuse, config.fuse_capacity),), "sizes": call.groups}
    return tuple(value for name in schedule.parameters for value in values[name])


def predicted(call: LayerCall, golden: LayerResult, config: AcceleratorConfig) -> Predicted:
    """What the models say of a run under its schedule; ``golden``: the result of this one sequence."""
    schedule = SCHEDULES.numbered(call.schedule)
    return RunWords.of(call, golden).by(schedule, config, parameters(schedule, call, config))
