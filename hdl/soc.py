"""The SoC: the core, its instruction cache and timer, the accelerator, and one AXI4 port to memory.

| address | what |
|---|---|
| 0x0200_4000 | mtimecmp, 64 bits, 0 after reset: the timer interrupt is pending until it is set |
| 0x0200_BFF8 | mtime, 64 bits, counts clock cycles from reset |
| 0x8000_0000 | RAM, behind the port ``axi`` |

Everything else is an access fault for the core, MEM_READ or MEM_WRITE for the accelerator, and never seen at the port.
"""

from amaranth import Module
from amaranth.lib.wiring import Out, connect, flipped

from golden.config import SocConfig
from hdl.accelerator.top import Accelerator
from hdl.axi4 import Axi4Signature
from hdl.common.component import Component
from hdl.core.data_router import DataRouter
from hdl.core.instruction_cache import InstructionCache
from hdl.core.top import Core
from hdl.core.tracer import RVFI_FIELDS
from hdl.shared_port import SharedPort

__all__ = ["Soc"]


class Soc(Component):
    """One clock, synchronous reset, after which the core fetches from ``cfg.core.reset_address``.

    ``axi``: `hdl.axi4`, ids of ``cfg.accelerator.tag_bits`` + 1 bits (`hdl.shared_port` says whose they are). No write
    of the core is answered early, nothing is cached but instructions. ``busy``: the accelerator's, a cycle later: high
    from the cycle after a START is accepted. With ``cfg.core.rvfi`` the ports ``rvfi_*`` of `hdl.core.tracer`.
    """

    def __init__(self, cfg: SocConfig) -> None:
        self.cfg = cfg
        self._rvfi = RVFI_FIELDS if cfg.core.rvfi else {}
        super().__init__(
            {
                "axi": Out(Axi4Signature(cfg.addr_bits, cfg.accelerator.tag_bits + 1)),
                "busy": Out(1),
                **{f"rvfi_{name}": Out(width) for name, width in self._rvfi.items()},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        cfg = self.cfg
        m.submodules.core = core = Core(cfg.core)
        m.submodules.cache = cache = InstructionCache(cfg.cache_lines, cfg.ram)
        m.submodules.router = router = DataRouter(cfg.ram)
        m.submodules.accelerator = accelerator = Accelerator(cfg.accelerator, axi_memory=cfg.ram)
        m.submodules.port = port = SharedPort(cfg.addr_bits, cfg.accelerator.tag_bits)
        connect(m, core.ibus, cache.cpu)
        connect(m, cache.line, port.fetch)
        connect(m, core.dbus, router.cpu)
        connect(m, router.ram, port.data)
        connect(m, core.rocc.cmd, accelerator.cmd)
        connect(m, accelerator.resp, core.rocc.resp)
        connect(m, accelerator.axi, port.accelerator)
        connect(m, port.axi, flipped(self.axi))
        # registered, since the acceptance of a START depends on the port's answers of the same cycle
        m.d.sync += self.busy.eq(accelerator.busy)
        m.d.comb += [
            core.rocc.busy.eq(accelerator.busy),
            core.rocc.interrupt.eq(accelerator.interrupt),
            accelerator.exception.eq(core.rocc.exception),
            core.timer.eq(router.timer),
            core.mtime.eq(router.mtime),
            *(getattr(self, f"rvfi_{name}").eq(getattr(core, f"rvfi_{name}")) for name in self._rvfi),
        ]
        return m
