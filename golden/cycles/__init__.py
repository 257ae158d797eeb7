"""Cycles of a layer from its words alone: ``SCHEDULES`` has every schedule and its model, the paper's first."""

from golden.cycles.base import Counted, Cycles, LayerWords, Parameters, Schedule
from golden.cycles.events import Events, event_model
from golden.cycles.group import (
    GATE_LATENCY,
    CellFusion,
    WordModel,
    head_charging_cycles,
    word_model,
    word_model_cycles,
)
from golden.cycles.list import List, ListModel
from golden.cycles.published import published_cycles
from golden.cycles.words import FULL_PORT, bound_cycles, u_words_of_steps
from golden.registry import Registry

CELL_FUSION = CellFusion()
LIST = List()
EVENTS = Events()
SCHEDULES: Registry[Schedule] = Registry(
    "schedule",
    CELL_FUSION,
    LIST,
    EVENTS,
)

__all__ = [
    "CELL_FUSION",
    "EVENTS",
    "FULL_PORT",
    "GATE_LATENCY",
    "LIST",
    "SCHEDULES",
    "Counted",
    "Cycles",
    "LayerWords",
    "ListModel",
    "Parameters",
    "Schedule",
    "WordModel",
    "bound_cycles",
    "event_model",
    "head_charging_cycles",
    "published_cycles",
    "u_words_of_steps",
    "word_model",
    "word_model_cycles",
]
