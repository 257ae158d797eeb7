"""The ends that all datapaths have: their ports, the order of bursts, what they report."""

from collections.abc import Sequence
from typing import Any

from amaranth import Module
from amaranth.lib.wiring import In, Out, connect, flipped

from golden.config import AcceleratorConfig
from hdl.accelerator.burst_arbiter import BurstArbiter
from hdl.accelerator.signatures import (
    DatapathSignature,
    FillSignature,
    OfferSignature,
    ParametersSignature,
    StoreSignature,
)


def datapath_ports(cfg: AcceleratorConfig) -> dict[str, Any]:
    """The run's ``parameters`` in; ``burst``, ``store`` and ``fill`` to the memory adapter; ``report``."""
    return {
        "parameters": In(ParametersSignature(cfg)),
        "burst": Out(OfferSignature(cfg)),
        "store": Out(StoreSignature()),
        "fill": In(FillSignature(cfg)),
        "report": Out(DatapathSignature(cfg)),
    }


def offer_in_order(m: Module, datapath: Any, offers: Sequence[Any]) -> None:
    """The first of the offers that is valid becomes the datapath's burst."""
    m.submodules.arbiter = arbiter = BurstArbiter(datapath.cfg, len(offers))
    for offer, place in zip(offers, arbiter.offers, strict=True):
        connect(m, offer, place)
    connect(m, arbiter.burst, flipped(datapath.burst))


def report_units(m: Module, datapath: Any, store: Any) -> None:
    """The datapath's report has the progress of ``store``, and faults and events of the units that name any."""
    report = flipped(datapath.report)
    connect(m, store.progress, report.progress)
    for name in report.faults.signature.members:
        connect(m, m.submodules[name].faults, getattr(report.faults, name))
    for name in report.events.signature.members:
        connect(m, m.submodules[name].events, getattr(report.events, name))
