"""Decoders of the formats of weights, by the number of the format."""

from golden.isa import Format
from hdl.accelerator.formats.esell_decoder import EsellDecoder
from hdl.accelerator.formats.stream_decoder import StreamDecoder
from hdl.accelerator.formats.word_decoder import WordDecoder

DECODERS: dict[Format, type[EsellDecoder | StreamDecoder]] = {
    Format.ESELL: EsellDecoder,
    Format.STREAM16: StreamDecoder,
    Format.STREAM8: StreamDecoder,
}
"""One for each of BUILT_FORMATS; WordDecoder has those of a configuration behind the ports of one."""

__all__ = ["DECODERS", "WordDecoder"]
