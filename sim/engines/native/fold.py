"""Netlist patterns that have a shorter form in C++ than cell by cell."""

from sim.engines.native.netlist import Cell, Netlist

MANY = 8
"""So many bits written through one index are worth one cell."""


def fold_indexed_writes(net: Netlist) -> None:
    """Replace the multiplexers of a write to a bit chosen by an index, one for each bit, by one ``$insert`` cell.

    Its output Y is its input A (as wide) with the bit number INDEX replaced by B, or A if there is no such bit.
    """
    driver = {bit: cell for cell in net.cells for bits in cell.outputs.values() for bit in bits}
    groups: dict[tuple[tuple[int, ...], int], dict[int, Cell]] = {}
    for cell in net.cells:
        if cell.kind != "$mux" or len(cell.outputs["Y"]) != 1:
            continue
        test = driver.get(cell.inputs["S"][0])
        if test is None or test.kind not in ("$logic_not", "$eq") or test.outputs["Y"][0] != cell.inputs["S"][0]:
            continue
        index = test.inputs["A"]
        if test.kind == "$logic_not":
            value = 0
        elif not test.number("A_SIGNED") and all(bit < 2 for bit in test.inputs["B"]):
            value = sum(bit << i for i, bit in enumerate(test.inputs["B"]))
        else:
            continue
        groups.setdefault((tuple(index), cell.inputs["B"][0]), {}).setdefault(value, cell)
    gone: set[int] = set()
    renamed: dict[int, int] = {}
    for (index_bits, written), members in groups.items():
        size = max(members) + 1
        if len(members) < MANY or size > 4 * len(members):
            continue
        base, net.bits = net.bits, net.bits + size
        old = [members[i].inputs["A"][0] if i in members else 0 for i in range(size)]
        inputs = {"INDEX": list(index_bits), "A": old, "B": [written]}
        net.cells.append(Cell("$insert", f"insert{base}", {}, inputs, {"Y": list(range(base, net.bits))}))
        for i, cell in members.items():
            gone.add(id(cell))
            renamed[cell.outputs["Y"][0]] = base + i
    net.cells = [cell for cell in net.cells if id(cell) not in gone]
    for ports in [cell.inputs for cell in net.cells] + [net.outputs, net.names]:
        for name, bits in ports.items():
            ports[name] = [renamed.get(bit, bit) for bit in bits]
