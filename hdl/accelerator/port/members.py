"""What every memory adapter shows the accelerator, beside its port to memory."""

from amaranth.lib.wiring import In, Member, Out

from golden.config import AcceleratorConfig
from hdl.accelerator.signatures import AdapterSignature, FillSignature, OfferSignature, StoreSignature


def adapter_members(cfg: AcceleratorConfig) -> dict[str, Member]:
    """Bursts and words to store come in, loaded words go out; each adapter says what else its answers mean."""
    return {
        "burst": In(OfferSignature(cfg)),
        "store": In(StoreSignature()),
        "fill": Out(FillSignature(cfg)),
        "control": Out(AdapterSignature()),
    }
