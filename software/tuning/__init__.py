"""Formats and schedules for a layer, by the models of ``golden.cycles``: what ``group_size_tuning`` chooses from."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from golden.config import AcceleratorConfig
from golden.cycles import LayerWords, Parameters, Schedule


@dataclass(frozen=True)
class Choice:
    """A schedule with the parameters that its search found, on words in a format; cycles by the schedule's model."""

    format: str
    schedule: Schedule
    values: Parameters
    cycles: int
    port_words: int

    @property
    def parameters(self) -> str:
        """For people: "n_fuse 3", "sizes 3 6 9"."""
        return said(self.schedule.named(self.values))

    @property
    def line(self) -> str:
        """For people: schedule, cycles, parameters."""
        cycles = f"schedule {self.schedule.name}: {self.cycles:,} cycles by its model"
        return ", ".join(filter(None, (cycles, self.parameters)))

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "schedule": self.schedule.name,
            "parameters": self.schedule.named(self.values),
            "cycles": self.cycles,
            "port_words": self.port_words,
        }


def said(parameters: Mapping[str, Any]) -> str:
    """Parameters by name, for people: lists without their signs."""
    return ", ".join(
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in parameters.items()
    )


def choices(
    words: Mapping[str, LayerWords],
    schedules: Sequence[Schedule],
    config: AcceleratorConfig,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[Choice]:
    """Every schedule on the words of every format, one after the other; ``tell`` gets what is searched next."""
    for name, counted in words.items():
        for schedule in schedules:
            tell(f"{name}, {schedule.name}")
            values = schedule.search(counted, config)
            model = schedule.model(counted, config, values)
            yield Choice(name, schedule, values, model.cycles, model.port_words)


def fewest(found: Sequence[Choice]) -> Choice:
    """The choice with the fewest cycles; of several the one that stands first."""
    return min(found, key=lambda choice: choice.cycles)
