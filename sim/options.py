"""What the commands of ``sim.run`` check about their options before a long run."""

from pathlib import Path

from software.cli import UserError


def window(text: str, option: str = "--wave-window") -> tuple[int, int]:
    """FIRST:LAST as two numbers of cycles. Raises UserError naming the option."""
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise UserError(f"{option} must be FIRST:LAST in cycles, not {text!r}")
    return int(first), int(last)


def writable(path: Path | None) -> None:
    """Raise UserError now rather than after a long run when ``path`` cannot be written."""
    if path is None:
        return
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a directory")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe = path.with_name(f".{path.name}.probe")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
