"""The host's end of HTIF in Python: exit, console output, and the system calls write and exit; ``harness/core/htif.h``
is the same in C++."""

from enum import Enum

from sim.host.memory import Image

_WRITE, _EXIT = 64, 93


class HtifState(Enum):
    """What the program has asked for so far."""

    RUNNING = 0
    EXIT = 1
    UNKNOWN = 2


class Htif:
    """Listens to what a program writes to ``tohost``.

    Attributes:
        value: what was written there last, zeros not counted.
        console: what the program printed.
    """

    def __init__(self, image: Image, tohost: int | None, fromhost: int | None) -> None:
        self._image, self.tohost, self._fromhost = image, tohost, fromhost
        self.state = HtifState.RUNNING
        self.value = 0
        self.console = bytearray()

    def act(self) -> None:
        """The program has written to tohost."""
        assert self.tohost is not None
        command = self._image.word(self.tohost)
        if not command:
            return
        self.value = command
        kind, payload = command >> 48, command & (1 << 48) - 1
        if kind == 0 and payload & 1:
            self.state = HtifState.EXIT
            return
        known = False
        if kind == 0:
            known = self._system_call(payload)
        elif kind == 0x0101:
            self.console.append(payload & 0xFF)
            known = True
        if not known and self.state != HtifState.EXIT:
            self.state = HtifState.UNKNOWN
        self._image.put_word(self.tohost, 0)

    def _system_call(self, payload: int) -> bool:
        """payload: address of {number, a0, a1, a2}; the result replaces the number and fromhost becomes 1."""
        words = [self._image.word(payload + 8 * i) for i in range(4)]
        number, code, address, count = words
        if number is None or code is None or address is None or count is None:
            return False
        if number == _EXIT:
            self.value = code << 1 & (1 << 64) - 1 | 1
            self.state = HtifState.EXIT
            return True
        if number != _WRITE:
            return False
        for at in range(address, address + count):
            word = self._image.word(at)
            if word is None:
                return False
            self.console.append(word >> 8 * (at & 7) & 0xFF)
        self._image.put_word(payload, count)
        if self._fromhost is not None:
            self._image.put_word(self._fromhost, 1)
        return True
