"""Layouts of words: which bits a field lies in. Positions follow from the widths, so that each is said once."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """``bits`` bits of a word, from bit ``shift`` up."""

    shift: int
    bits: int

    def of(self, word: int) -> int:
        """The number that a word has there."""
        return word >> self.shift & ((1 << self.bits) - 1)

    @property
    def mask(self) -> int:
        """A word with ones there and zeros elsewhere."""
        return ((1 << self.bits) - 1) << self.shift

    @property
    def text(self) -> str:
        """As documents write it: ``high:low``, or one number for one bit."""
        return f"{self.shift + self.bits - 1}:{self.shift}" if self.bits > 1 else str(self.shift)


@dataclass(frozen=True)
class Repeated:
    """``count`` fields of one kind in a row, the first lowest; ``of``: bits of each, or its layout."""

    of: "int | Layout"
    count: int


class Layout:
    """Fields of a word by name, the lowest first, without gaps: what is not used is a field, too.

    A field is a number of bits, a layout of its own, or several of either.
    """

    def __init__(self, fields: Mapping[str, "int | Layout | Repeated"]) -> None:
        self.fields = dict(fields)

    @property
    def bits(self) -> int:
        """Width of the word."""
        return sum(_bits(field) for field in self.fields.values())

    def place(self, name: str, *inner: int | str) -> Place:
        """Where a field lies; ``inner``: the number of one that is repeated, the name of one inside.

        Raises KeyError or IndexError for what the layout does not have.
        """
        shift = 0
        for known, field in self.fields.items():
            if known == name:
                return _inside(field, shift, inner)
            shift += _bits(field)
        raise KeyError(f"no field {name!r}; there are: {', '.join(self.fields)}")

    def pack(self, **values: int) -> int:
        """The word of these numbers, 0 where none is given. Raises ValueError for one that does not fit."""
        word = 0
        for name, value in values.items():
            place = self.place(name)
            if not 0 <= value < 1 << place.bits:
                raise ValueError(f"{name} must be in 0..{(1 << place.bits) - 1}, not {value}")
            word |= value << place.shift
        return word

    def unpack(self, word: int) -> dict[str, int]:
        """The number of each field."""
        return {name: self.place(name).of(word) for name in self.fields}


def _bits(field: "int | Layout | Repeated") -> int:
    if isinstance(field, Repeated):
        return _bits(field.of) * field.count
    return field.bits if isinstance(field, Layout) else field


def _inside(field: "int | Layout | Repeated", shift: int, path: tuple[int | str, ...]) -> Place:
    if not path:
        return Place(shift, _bits(field))
    first, *rest = path
    if isinstance(field, Repeated) and isinstance(first, int):
        if first not in range(field.count):
            raise IndexError(f"there are {field.count} fields, none has the number {first}")
        return _inside(field.of, shift + first * _bits(field.of), tuple(rest))
    if isinstance(field, Layout) and isinstance(first, str):
        place = field.place(first, *rest)
        return Place(shift + place.shift, place.bits)
    raise KeyError(f"there is nothing called {first!r} inside this field")
