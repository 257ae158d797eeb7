"""VCD files as lists of values."""

from pathlib import Path


def signals(path: Path, top: str) -> dict[str, list[int]]:
    """Values of each signal of a VCD file by its full name, one for each time, without the prefix ``top``."""
    scope: list[str] = []
    names: dict[str, str] = {}
    values: dict[str, int] = {}
    rows: list[dict[str, int]] = []
    for line in filter(str.strip, path.read_text().splitlines()):
        fields = line.split()
        if fields[0] == "$scope":
            scope.append(fields[2])
        elif fields[0] == "$upscope":
            scope.pop()
        elif fields[0] == "$var":
            names[".".join([*scope, fields[4]]).removeprefix(top)] = fields[3]
        elif line[0] == "#":
            rows.append(values := dict(values))
        elif line[0] in "01":
            values[line[1:]] = int(line[0])
        elif line[0] == "b":
            values[fields[1]] = int(fields[0][1:], 2)
    return {name: [row[identifier] for row in rows] for name, identifier in names.items()}
