"""Schedule 1, list: one pool of PEs, passes over W for groups of steps whose sizes a list says.

``List`` is the schedule; ``work`` counts what a run has to do, ``pool`` is the word-level model, ``columns`` the fast
one that ranks lists, ``descent`` the search.
"""

from functools import partial
from typing import Any

from golden.config import AcceleratorConfig
from golden.cycles.base import LayerWords, Parameters, Schedule
from golden.cycles.list.descent import search
from golden.cycles.list.pool import ListModel, list_model
from golden.cycles.list.work import MAX_SIZE, MAX_SIZES, Work
from golden.cycles.words import FULL_PORT
from golden.isa import Schedule as ScheduleNumber


class List(Schedule):
    """The list of group sizes; its parameters are 1 to 16 sizes of 1 to 63 steps, of which the last repeats."""

    name = "list"
    number: ScheduleNumber = ScheduleNumber.LIST
    parameters = ("sizes",)

    def model(
        self, words: LayerWords, config: AcceleratorConfig, values: Parameters, port_permille: int = FULL_PORT
    ) -> ListModel:
        return list_model(Work(words, config), values, port_permille)

    def choices(self, words: LayerWords, config: AcceleratorConfig) -> list[Parameters]:
        """Groups that are all alike."""
        return [(size,) for size in range(1, Work(words, config).most + 1)]

    def search(
        self, words: LayerWords, config: AcceleratorConfig, port_permille: int = FULL_PORT, **fixed: int
    ) -> Parameters:
        """The list with the fewest cycles by the word-level model, of those that coordinate descent finds."""
        if fixed:
            raise ValueError(f"schedule {self.name} has no choice with {fixed}")
        return search(words, partial(Work, config=config), port_permille)[0].sizes

    def named(self, values: Parameters) -> dict[str, Any]:
        return {"sizes": [*values]}


__all__ = ["MAX_SIZE", "MAX_SIZES", "List", "ListModel", "Work", "list_model"]
