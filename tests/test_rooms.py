"""What keeps a room one that can be overlooked (docs/contributing.md): how many files, how long, how they are named."""

import subprocess
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES, LINES, SAME_PREFIX = 18, 400, 3
SOURCES = {".py", ".c", ".cc", ".h", ".S", ".v"}


def sources() -> list[Path]:
    """Every source file outside tests, relative to the root."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        found = [Path(name) for name in listed.splitlines() if (ROOT / name).exists()]
    else:
        found = [p.relative_to(ROOT) for room in ("golden", "hdl", "sim", "software", "scripts", "elstm")
                 for p in (ROOT / room).rglob("*")]  # fmt: skip
    return [path for path in found if path.suffix in SOURCES and path.parts[0] not in ("tests", "build")]


def crowded(paths: list[Path]) -> list[str]:
    """Folders with too many Python files, and prefixes that too many files of a folder share."""
    python = Counter(path.parent for path in paths if path.suffix == ".py")
    prefixes: dict[tuple[Path, str], set[str]] = defaultdict(set)
    for path in paths:
        prefixes[path.parent, path.stem.split("_")[0]].add(path.name)
    return [f"{folder} has {count} Python files" for folder, count in python.items() if count > FILES] + [
        f"{folder}: {', '.join(sorted(names))} are a folder"
        for (folder, prefix), names in prefixes.items()
        if prefix and len(names) > SAME_PREFIX
    ]


def test_no_folder_is_crowded() -> None:
    found = sources()
    assert len(found) > 100
    assert not crowded(found)


def test_a_crowd_is_seen() -> None:
    room = Path("hdl/core")
    assert crowded([room / f"{c}.py" for c in "abcdefghijklmnopqrs"]) == ["hdl/core has 19 Python files"]
    four = [room / name for name in ("axi.py", "axi_a.h", "axi_b.c", "axi_c.py")]
    assert crowded(four) == ["hdl/core: axi.py, axi_a.h, axi_b.c, axi_c.py are a folder"]
    assert not crowded([*four[:3], Path("hdl/axi_c.py"), room / "axioms.py"])


def test_no_file_is_too_long() -> None:
    assert not [f"{p} has {n} lines" for p in sources() if (n := len((ROOT / p).read_bytes().splitlines())) > LINES]
