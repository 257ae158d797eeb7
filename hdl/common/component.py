"""The base of all components: a `wiring.Component` whose ports a type checker takes on trust."""

from typing import TYPE_CHECKING, Any

from amaranth.lib import wiring

__all__ = ["Component"]


class Component(wiring.Component):
    """A component whose signature is given to its constructor.

    Its ports are attributes that only elaboration knows; what elaborates is what checks their names.
    """

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
