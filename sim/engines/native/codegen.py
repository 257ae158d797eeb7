"""A netlist as C++: straight-line code on machine words, one call a cycle.

The generated source defines ``elstm_model::Top`` with a ``p_NAME`` for each port (every ``_`` of a name doubled) and
``cycle()``: the outputs that belong to the inputs as they are, then the state after the rising edge. What a synchronous
Amaranth design does not produce is refused.
"""

from collections.abc import Sequence

from sim.engines.native.cells import PARALLEL
from sim.engines.native.fold import fold_indexed_writes
from sim.engines.native.netlist import Bits, Cell, Netlist, NetlistError
from sim.engines.native.state import Effect, State
from sim.engines.native.vcd import npy_fields, quoted, signals
from sim.engines.native.words import WORD, Node, storage, type_of, words


class _Loop(Exception):
    """A variable depends on itself, through these cells."""

    def __init__(self, cells: list[Cell]) -> None:
        super().__init__()
        self.cells = cells


def _port(name: str) -> str:
    return "p_" + name.replace("_", "__")


class _Order:
    """Puts nodes in order: each once, after those it reads."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._done: dict[int, bool] = {}

    def before(self, reads: list[Bits]) -> list[Node]:
        """What has to be computed for these bits and is not yet. Raises _Loop."""
        ordered: list[Node] = []
        stack = [(Node(reads, Cell("", "", {}, {}, {})), iter(self._needed(reads)))]
        while stack:
            node, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                self._done[id(node)] = True
                ordered.append(node)
                stack.pop()
            elif id(following) not in self._done:
                self._done[id(following)] = False
                stack.append((following, iter(self._needed(following.reads))))
            elif not self._done[id(following)]:
                path = [n for n, _ in stack]
                raise _Loop([n.cell for n in path[path.index(following) :]])
        return ordered[:-1]

    def _needed(self, reads: list[Bits]) -> list[Node]:
        found = {self._state.owner[bit] for bits in reads for bit in bits if bit >= 2}
        return [node for index in sorted(found) if (node := self._state.variables[index].node)]


def _output(state: State, name: str, bits: Bits) -> Effect:
    return Effect([bits], lambda: [f"{_port(name)}.v = {state.word(bits)};"])


def _body(state: State) -> list[str]:
    """Statements of a cycle: outputs and next state with what they need, then the writes to memories."""
    order = _Order(state)
    outputs = [_output(state, name, bits) for name, bits in state.net.outputs.items()]
    lines: list[str] = []
    for effect in [*outputs, *state.updates]:
        lines += [line for node in order.before(effect.reads) for line in node.code()]
        lines += effect.code()
    for effect in state.writes:
        lines += [line for node in order.before(effect.reads) for line in node.code()]
    return lines + [line for effect in state.writes for line in effect.code()]


def _look(state: State, chosen: Sequence[str]) -> list[str]:
    """Members of Top that give the signals by name as they are in a cycle (``harness/vcd.h``)."""
    order = _Order(state)
    found, head, names = signals(state.net, chosen)
    lines = []
    for signal in found:
        lines += [line for node in order.before([signal.bits]) for line in node.code()]
        lines += [f"s[{signal.at + i}] = {state.word(part)};" for i, part in enumerate(words(signal.bits))]
    fields, rows = npy_fields(found, names)
    table = [f'{{"{signal.identifier}", {len(signal.bits)}, {signal.at}}},' for signal in found]
    return [
        f"static constexpr size_t SIGNAL_WORDS = {sum(len(words(signal.bits)) for signal in found)};",
        "static const Signal *signals() {",
        "    static const Signal table[] = {",
        *(f"        {line}" for line in table),
        "        {nullptr, 0, 0}};",
        "    return table;",
        "}",
        *_text("vcd_head", quoted(head)),
        *_text("npy_fields", quoted(fields)),
        "static const Field *fields() {",
        "    static const Field table[] = {",
        *(f"        {{{at}, {size}}}," for at, size in rows),
        "        {0, 0}};",
        "    return table;",
        "}",
        "ELSTM_RARE void look(uint64_t *s) const {",
        "    const State &c = *current;",
        *(f"    {line}" for line in [*_inputs(state), *_pointers(state, "const "), *lines]),
        "}",
    ]


def _text(name: str, lines: list[str]) -> list[str]:
    """A member that gives a text."""
    return [f"static const char *{name}() {{", "    return", *(f"        {line}" for line in lines), "        ;", "}"]


def _inputs(state: State) -> list[str]:
    """Locals for the inputs."""
    return [
        f"const {type_of(v.width)} {v.name} = ({type_of(v.width)}){_port(name)}.v;"
        for name, bits in state.net.inputs.items()
        for v in [state.variable(bits[0])]
    ]


def _pointers(state: State, constant: str) -> list[str]:
    """Locals for the memories."""
    return [f"{constant}{kind} *const {name} = this->{name}.data();" for name, kind in state.memories]


def _check(net: Netlist) -> None:
    """Raises NetlistError for ports and clocks that the generated code would get wrong."""
    for name, bits in (net.inputs | net.outputs).items():
        if len(bits) > WORD:
            raise NetlistError(f"port {name} has {len(bits)} bits, more than {WORD}")
    for clock in net.inputs.get("clk", []):
        users = [(cell.name, name, bits) for cell in net.cells for name, bits in cell.inputs.items()]
        for user, name, bits in [*users, *(("the output", name, bits) for name, bits in net.outputs.items())]:
            if clock in bits and name not in ("CLK", "RD_CLK", "WR_CLK"):
                raise NetlistError(f"clk is used as a value by {user} {name}")


def _source(net: Netlist, cut_to_bits: set[str], waves: bool, chosen: Sequence[str]) -> str:
    state = State(net, cut_to_bits)
    body = [*_inputs(state), *_pointers(state, ""), *_body(state)]
    ports = [f"elstm::Port<{len(bits)}> {_port(name)};" for name, bits in (net.inputs | net.outputs).items()]
    registers = [f"{storage(width)} v{base} = {initial:#x};" for base, width, initial in state.registers]
    lines = [
        '#include "model.h"',
        *state.tables,
        "namespace elstm_model {",
        "using namespace elstm;",
        "struct State {",
        *(f"    {line}" for line in registers),
        "};",
        "struct Top {",
        "    Top() = default;",
        "    Top(const Top &) = delete;",
        *(f"    {line}" for line in [*ports, *state.members]),
        "    State states[2];",
        "    State *current = &states[0], *following = &states[1];",
        "    void cycle() {",
        "        const State &__restrict c = *current;",
        "        State &__restrict n = *following;",
        *(f"        {line}" for line in body),
        "        std::swap(current, following);",
        "    }",
        *(f"    {line}" for line in (_look(state, chosen) if waves else [])),
        "};",
        "}",
    ]
    return "\n".join(lines) + "\n"


def generate(net: Netlist, waves: bool = False, chosen: Sequence[str] = ()) -> str:
    """C++ of a netlist, which is changed; with ``waves`` it can tell the ``chosen`` signals, () for all with a name.

    Raises NetlistError for what a synchronous design should not contain, and for a chosen signal that is not there.
    """
    _check(net)
    fold_indexed_writes(net)
    cut: set[str] = set()
    while True:
        try:
            return _source(net, cut, waves, chosen)
        except _Loop as loop:
            # Different bits of one variable may depend on each other: cut it, if there is anything left to cut.
            more = {cell.name for cell in loop.cells if cell.kind in PARALLEL} - cut
            if not more:
                raise NetlistError(f"combinational loop through {', '.join(c.name for c in loop.cells)}") from None
            cut |= more
