"""Decoders of the formats of weights, by the number of the format."""

from golden.config import AcceleratorConfig
from golden.isa import BUILT_FORMATS, Format
from hdl.accelerator.formats.esell_decoder import EsellDecoder

DECODERS: dict[Format, type[EsellDecoder]] = {Format.ESELL: EsellDecoder}
"""One for each of BUILT_FORMATS; all have the ports of the first and take (cfg, known_length=...)."""


def decoder(cfg: AcceleratorConfig, *, known_length: bool) -> EsellDecoder:
    """The decoder of the one format that is built. ``known_length``: each column says how many words it has."""
    (number,) = BUILT_FORMATS
    return DECODERS[number](cfg, known_length=known_length)
