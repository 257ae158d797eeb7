"""Words on their way to one bank of the pool: a queue of items, and the steps that each of them is for."""

from typing import Any

from amaranth import Array, Module, Mux, Signal
from amaranth.lib import memory, stream
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import LISTED_STEPS, AcceleratorConfig
from hdl.accelerator.layout import item_layout, step_layout
from hdl.accelerator.signatures import StepsSignature
from hdl.accelerator.w.list_sequencer import LISTS
from hdl.common.component import Component
from hdl.common.queue import Queue

FEED_DEPTH = 16
"""Items that a bank may be behind the fastest one."""
FUSED_ITEMS = 4
"""Items that wait under cell fusion."""


class BankFeed(Component):
    """Holds ``items`` until a PE has taken each for all steps in its list.

    ``head`` is the item to work on, while ``valid``; ``step`` the step that it is due for, while ``due``. ``take``
    tells that a PE takes it for that step; ``drop`` that it is done with. ``steps`` writes lists, of the lengths
    ``counts``. ``room``: items that still fit; ``ready``: another may come; of cell fusion's (``fused``) no more than
    FUSED_ITEMS wait.
    """

    def __init__(self, cfg: AcceleratorConfig) -> None:
        self.cfg = cfg
        super().__init__(
            {
                "items": In(stream.Signature(item_layout(cfg))),
                "steps": In(StepsSignature(cfg)),
                "counts": In(range(LISTED_STEPS + 1)).array(LISTS),
                "fused": In(1),
                "room": Out(range(FEED_DEPTH + 1)),
                "ready": Out(1),
                "valid": Out(1),
                "head": Out(item_layout(cfg)),
                "due": Out(1),
                "step": Out(step_layout(cfg)),
                "take": In(1),
                "drop": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = Queue(item_layout(self.cfg), FEED_DEPTH)
        # read without a clock, like the queue's rows: which step is next depends on what was taken in this cycle
        lists: Any = memory.Memory(shape=step_layout(self.cfg), depth=LISTS * LISTED_STEPS, init=[])
        m.submodules.lists = lists
        write = lists.write_port()
        read = lists.read_port(domain="comb")
        connect(m, flipped(self.items), queue.i)
        item = queue.o.payload
        turn = Signal(range(LISTED_STEPS))
        last = Signal()
        ready = Signal(init=1)
        tag = item.mark.tag[: (LISTS - 1).bit_length()]
        m.d.comb += [
            write.en.eq(self.steps.en),
            write.addr.eq(self.steps.tag[: len(tag)] * LISTED_STEPS + self.steps.place),
            write.data.eq(self.steps.step),
            read.addr.eq(tag * LISTED_STEPS + turn),
            self.step.eq(read.data),
            self.room.eq(queue.room),
            self.valid.eq(queue.o.valid),
            self.head.eq(item),
            self.ready.eq(ready),
            self.due.eq(queue.o.valid & ~item.end),
            last.eq(turn + 1 == Array(self.counts[i] for i in range(LISTS))[tag]),
            queue.o.ready.eq(self.drop | (self.take & last)),
        ]
        with m.If(self.take):
            m.d.sync += turn.eq(turn + 1)
            with m.If(last):
                m.d.sync += turn.eq(0)
        # The decoder waits for all feeds at once: that there is room is known as a cycle begins.
        needed = Mux(self.fused, FEED_DEPTH - FUSED_ITEMS + 1, 1)
        pushed = queue.i.valid & queue.i.ready
        with m.If(pushed != (queue.o.valid & queue.o.ready)):
            m.d.sync += ready.eq(Mux(pushed, queue.room > needed, queue.room + 1 >= needed))
        return m
