"""What an optional part of the project needs, as a command that works in a clone and beside an installed wheel."""

from importlib.metadata import PackageNotFoundError, requires

from software.door import error_line


def install_line(extra: str) -> str:
    """How to have an extra: its packages by name, because there is no elstm on PyPI to ask for them."""
    mark = f'extra == "{extra}"'
    try:
        needed = [line.partition(";") for line in requires("elstm") or []]
    except PackageNotFoundError:
        needed = []
    names = [f"'{name.strip()}'" for name, _, condition in needed if condition.strip().replace("'", '"') == mark]
    return f"pip install {' '.join(names)}" if names else f"pip install '.[{extra}]' in the clone"


def no_torch() -> int:
    """The error of a command that cannot do without PyTorch; its exit code."""
    return error_line(f"torch is not installed: {install_line('train')}")
