"""A table of what there is of one kind, by name, in the order in which it was added."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar


class Row(Protocol):
    """What every row has: a name for people, and the number in the instructions or None when no RTL runs it."""

    @property
    def name(self) -> str: ...

    @property
    def number(self) -> int | None: ...


T = TypeVar("T", bound=Row)


class Registry(Mapping[str, T]):
    """Rows by name. ``kind``: what a row is, for messages."""

    def __init__(self, kind: str, *rows: T) -> None:
        self.kind = kind
        self._rows: dict[str, T] = {}
        for row in rows:
            self.add(row)

    def __getitem__(self, name: str) -> T:
        return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: T) -> None:
        """Raises ValueError when its name or its number is taken."""
        for other in self.values():
            if row.name == other.name:
                raise ValueError(f"there is a {self.kind} {row.name!r} already")
            if row.number is not None and row.number == other.number:
                raise ValueError(f"{self.kind} {other.name!r} has the number {row.number} already")
        self._rows[row.name] = row

    def names(self, numbers: Iterable[int]) -> str:
        """Names of the rows with these numbers, with commas. Raises ValueError as ``numbered``."""
        return ", ".join(self.numbered(number).name for number in numbers)

    def numbered(self, number: int) -> T:
        """The row with that number. Raises ValueError naming those there are."""
        for row in self.values():
            if row.number == number:
                return row
        known = ", ".join(f"{row.number} {row.name}" for row in self.values() if row.number is not None)
        raise ValueError(f"no {self.kind} has the number {number}; there are: {known}")
