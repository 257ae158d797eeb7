"""Combinational cells as statements. Semantics are those of Yosys' cells; X counts as 0."""

from collections.abc import Callable
from itertools import pairwise

from sim.engines.native.netlist import Bits, Cell, Netlist, NetlistError
from sim.engines.native.words import WORD, Node, Words, extend, literal, ones, words

_ARITHMETIC = {"$add": "+", "$sub": "-", "$mul": "*"}
_BITWISE = {"$and": "{0} & {1}", "$or": "{0} | {1}", "$xor": "{0} ^ {1}", "$xnor": "~({0} ^ {1})", "$not": "~{0}"}
_COMPARE = {"$lt": "<", "$le": "<=", "$gt": ">", "$ge": ">="}
_EQUAL = {"$eq": ("==", " && "), "$ne": ("!=", " || ")}
_LOGIC = {"$logic_not": "!{0}", "$logic_and": "{0} && {1}", "$logic_or": "{0} || {1}"}
_LOGIC |= {"$reduce_or": "{0}", "$reduce_bool": "{0}"}
_SHIFTS = ("$shl", "$sshl", "$shr", "$sshr", "$shift", "$shiftx")

_REDUCE = ("$reduce_and", "$reduce_xor", "$reduce_xnor")

PARALLEL = {*_BITWISE, "$mux", "$pmux"}
"""Cells whose output bit n depends only on bit n of their operands, so that they can be cut anywhere."""

COMBINATIONAL = {*PARALLEL, *_ARITHMETIC, "$neg", "$pos", *_EQUAL, *_COMPARE, *_LOGIC, *_REDUCE, *_SHIFTS, "$insert"}
"""Cells without a state."""


class Cells(Words):
    """Statements of the combinational cells; ``cut_to_bits`` names cells to be cut into single bits."""

    def __init__(self, net: Netlist, cut_to_bits: set[str]) -> None:
        super().__init__(net)
        self.cut_to_bits = cut_to_bits

    def cell(self, cell: Cell) -> None:
        """Make the nodes of a combinational cell. Raises NetlistError for one that is not known."""
        if cell.kind in PARALLEL:
            self._parallel(cell)
        elif cell.kind == "$insert":
            self._insert(cell)
        else:
            a, b = cell.inputs["A"], cell.inputs.get("B", [])
            expression = self._expression(cell, a, b, len(cell.outputs["Y"]))
            node = Node([a, b], cell)
            node.code = lambda: self.assign(node, expression())
            self.define(cell.outputs["Y"][0], len(cell.outputs["Y"]), node)

    def _expression(self, cell: Cell, a: Bits, b: Bits, width: int) -> Callable[[], str]:
        kind = cell.kind
        a_signed = bool(cell.number("A_SIGNED"))
        # Yosys extends both operands by their sign only if both have one.
        signed = a_signed and ("B" not in cell.inputs or bool(cell.number("B_SIGNED")))
        if width > 2 * WORD:
            raise NetlistError(f"{kind} {cell.name}: {width} bits of output, more than {2 * WORD}")
        if kind in _ARITHMETIC and width <= 2 * WORD:
            return lambda: f"{self.operand(a, width, signed)} {_ARITHMETIC[kind]} {self.operand(b, width, signed)}"
        if kind in ("$neg", "$pos") and width <= 2 * WORD:
            return lambda: f"{'-' if kind == '$neg' else ''}{self.operand(a, width, a_signed)}"
        if kind in _EQUAL:
            size = max(len(a), len(b))
            operator, join = _EQUAL[kind]
            pairs = list(zip(words(extend(a, size, signed)), words(extend(b, size, signed)), strict=True))
            return lambda: join.join(f"({self.word(x)} {operator} {self.word(y)})" for x, y in pairs)
        if kind in _COMPARE and max(len(a), len(b)) <= WORD:
            return lambda: f"{self.integer(a, signed)} {_COMPARE[kind]} {self.integer(b, signed)}"
        if kind in _COMPARE and max(len(a), len(b)) <= 2 * WORD:
            cast = "(i128)" if signed else ""
            return lambda: (
                f"{cast}{self.operand(a, 2 * WORD, signed)} {_COMPARE[kind]} {cast}{self.operand(b, 2 * WORD, signed)}"
            )
        if kind in _LOGIC:
            return lambda: _LOGIC[kind].format(self._any(a), self._any(b))
        if kind == "$reduce_and":
            return lambda: " && ".join(f"({self.word(x)} == {literal(ones(len(x)), len(x))})" for x in words(a))
        if kind in ("$reduce_xor", "$reduce_xnor"):
            invert = "!" if kind == "$reduce_xnor" else ""
            return lambda: f"{invert}__builtin_parityll({' ^ '.join(self.integer(x, False) for x in words(a))})"
        if kind in _SHIFTS:
            b_signed = bool(cell.number("B_SIGNED"))
            # Simulators disagree about what is beyond the end of a signed value.
            if kind in ("$shift", "$shiftx") and a_signed and (b_signed or 2 ** len(b) - 1 + width > len(a)):
                raise NetlistError(f"{kind} {cell.name}: a signed A, of which bits beyond the end may be taken")
            if kind not in ("$shift", "$shiftx") and b_signed:
                raise NetlistError(f"{kind} {cell.name}: a signed amount (B_SIGNED)")
            if kind in ("$shr", "$shift", "$shiftx") and width <= WORD < len(a) and len(b) <= WORD and not b_signed:
                return lambda: f"take({{{', '.join(self.integer(x, False) for x in words(a))}}}, {self.word(b)})"
            if max(width, len(a)) <= 2 * WORD and len(b) <= WORD:
                return self._shift(cell, a, b, max(width, len(a)))
        raise NetlistError(f"{kind} {cell.name}: {len(a)} and {len(b)} bits to {width} are too many")

    def _any(self, bits: Bits) -> str:
        return "(" + " || ".join(f"{self.word(x)} != 0" for x in words(bits)) + ")"

    def _shift(self, cell: Cell, a: Bits, b: Bits, size: int) -> Callable[[], str]:
        kind = cell.kind
        a_signed, b_signed = bool(cell.number("A_SIGNED")), bool(cell.number("B_SIGNED"))
        signed, unsigned, bits = ("i128", "u128", 2 * WORD) if size > WORD else ("int64_t", "uint64_t", WORD)

        sign = a_signed and kind not in ("$shift", "$shiftx")

        def code() -> str:
            exact = self.word(extend(a, size, sign)) if size <= WORD else self.operand(a, size, sign)
            value = f"({unsigned}){exact}"
            amount = self.word(b)
            if kind in ("$shl", "$sshl"):
                return f"shl<{unsigned}>({value}, {amount})"
            if sign and kind == "$sshr":
                return f"sar<{signed}>(({signed})(({value}) << {bits - size}) >> {bits - size}, {amount})"
            if kind in ("$shift", "$shiftx") and b_signed:
                return f"shift<{unsigned}>({value}, {self.integer(b, True)})"
            return f"shr<{unsigned}>({value}, {amount})"

        return code

    def _parallel(self, cell: Cell) -> None:
        out, select = cell.outputs["Y"], cell.inputs.get("S", [])
        width = len(out)
        if cell.kind == "$mux":
            operands = [cell.inputs["A"], cell.inputs["B"]]
        elif cell.kind == "$pmux":
            b = cell.inputs["B"]
            operands = [cell.inputs["A"], *(b[i : i + width] for i in range(0, len(b), width))]
        else:
            names = ["A"] if cell.kind == "$not" else ["A", "B"]
            signed = all(cell.number(f"{name}_SIGNED") for name in names)
            operands = [extend(cell.inputs[name], width, signed) for name in names]
        for low, high in pairwise(self.cuts(cell, width, operands)):
            parts = [bits[low:high] for bits in operands]
            node = Node([*parts, select], cell)
            node.code = self._parallel_code(node, parts, select)
            self.define(out[low], high - low, node)

    def cuts(self, cell: Cell, width: int, operands: list[Bits]) -> list[int]:
        """Where to cut: at most 64 bits a piece, between the sources of the operands if possible."""
        if cell.name in self.cut_to_bits:
            return list(range(width + 1))
        if width <= WORD:
            return [0, width]
        seams = {i for bits in operands for i in range(1, width) if bits[i] > 1 and bits[i] != bits[i - 1] + 1}
        cuts = [0]
        while width - cuts[-1] > WORD:
            within = [i for i in seams if cuts[-1] < i <= cuts[-1] + WORD]
            cuts.append(max(within, default=cuts[-1] + WORD))
        return [*cuts, width]

    def _parallel_code(self, node: Node, parts: list[Bits], select: Bits) -> Callable[[], list[str]]:
        kind = node.cell.kind

        def expression() -> str:
            values = [self.word(part) for part in parts]
            if kind in ("$mux", "$pmux"):
                arms = [f"{self.word([bit])} ? {value} : " for bit, value in zip(select, values[1:], strict=True)]
                return "".join(arms) + values[0]
            return _BITWISE[kind].format(*values)

        return lambda: self.assign(node, expression())

    def _insert(self, cell: Cell) -> None:
        """A with bit number INDEX replaced by B (sim.engines.native.fold)."""
        old, index, written = cell.inputs["A"], cell.inputs["INDEX"], cell.inputs["B"]
        base = cell.outputs["Y"][0]
        for number, part in enumerate(words(old)):
            node = Node([part, index, written], cell)
            node.code = self._insert_code(node, part, number, index, written)
            self.define(base + WORD * number, len(part), node)

    def _insert_code(self, node: Node, part: Bits, number: int, index: Bits, written: Bits) -> Callable[[], list[str]]:
        def code() -> list[str]:
            at = self.integer(index, False)
            low = WORD * number
            here = f"{at} - {low} < {len(part)}" if low else f"{at} < {len(part)}"
            one = f"((uint64_t)({here}) << ({at} & 63))"
            value = f"({one} & -{self.integer(written, False)})"
            if any(part):
                value = f"({self.integer(part, False)} & ~{one}) | {value}"
            return self.assign(node, value)

        return code
