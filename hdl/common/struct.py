"""Layouts of golden as Amaranth's."""

from amaranth.hdl import ShapeLike
from amaranth.lib import data

from golden.fields import Layout, Repeated

__all__ = ["struct"]


def struct(layout: Layout) -> data.StructLayout:
    """The fields of a word under their names; repeated ones are arrays."""
    return data.StructLayout({name: _shape(field) for name, field in layout.fields.items()})


def _shape(field: int | Layout | Repeated) -> ShapeLike:
    if isinstance(field, Repeated):
        return data.ArrayLayout(_shape(field.of), field.count)
    return struct(field) if isinstance(field, Layout) else field
