"""A configuration from a preset, a file of settings and single ones, each over what comes before it.

Settings name fields of the configuration or of one inside it (``n_pe`` of an SoC is its accelerator's). Nothing is
converted: a field of whole numbers takes no 4.0. docs/configuration.md is the user's page.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from golden.config import AcceleratorConfig, SocConfig

Config = TypeVar("Config")

USUAL = "default"
"""The preset where none is named."""
PRESET = "preset"
"""Key of a file beside the fields."""
LARGEST_FILE = 1 << 16
"""Bytes of a file of settings."""
_BITS = 64
_SHOWN = 40
_NUMBER = re.compile(r"-?(0[xX][0-9a-fA-F]+|[0-9][0-9_]*)", re.ASCII)


class SettingError(ValueError):
    """What was asked for cannot be had; one line with value and limit."""


@dataclass(frozen=True)
class Configuration(Generic[Config]):
    """What was asked for.

    Attributes:
        config: the configuration itself.
        preset: the one that it started from.
        changed: (field, value) of what differs from it, in the order of the fields.
    """

    config: Config
    preset: str
    changed: tuple[tuple[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """As results and files call it: ``tiny``, ``tiny+n_pe-4+slots-16``."""
        return "+".join((self.preset, *(f"{name}-{_word(value)}" for name, value in self.changed)))

    @property
    def options(self) -> tuple[str, ...]:
        """Words of a command line that ask for it."""
        given = (("--set", f"{key}={_plain(value)}") for key, value in self.changed)
        return ("--preset", self.preset, *(word for pair in given for word in pair))

    @property
    def notes(self) -> tuple[str, ...]:
        """What the one who changed something should know, a line each."""
        accelerator = self.config.accelerator if isinstance(self.config, SocConfig) else self.config
        if not isinstance(accelerator, AcceleratorConfig) or not {"n_pe", "slots", "max_t"} & dict(self.changed).keys():
            return ()
        if not (idle := accelerator.slots - accelerator.useful_slots):
            return ()
        c, n_fuse = accelerator, accelerator.useful_slots // (2 * accelerator.w_pes)
        why = f"at n_pe {c.n_pe} they hold N_fuse {n_fuse}, as {c.useful_slots} do"
        if n_fuse < c.fuse_capacity:
            why = f"max_t {c.max_t} fills {c.useful_slots} at n_pe {c.n_pe}"
        return (f"{idle} of {c.slots} slots buy nothing: {why}",)


def configure(
    presets: Mapping[str, Config],
    preset: str | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
    of: str = "",
    usual: str = USUAL,
) -> Configuration[Config]:
    """The configuration of a preset, changed by a TOML file, then by settings NAME=VALUE, the last of a name counting.

    presets: configurations by name. usual: the preset where neither ``preset`` nor the file names one. of: what the
    configuration is of, in words, for errors. Raises SettingError.
    """
    said = _read(file) if file is not None else {}
    named = said.pop(PRESET, None)
    if named is not None and not isinstance(named, str):
        raise SettingError(f"{file}: {PRESET} must be a name, not {_shown(named)}")
    if named is not None and preset not in (None, named):
        raise SettingError(f"{file} says preset {named!r}, --preset {preset!r}: one must go")
    name = next(each for each in (preset, named, usual) if each is not None)
    if name not in presets:
        where = f"{file}: " if named is not None else ""
        raise SettingError(f"{where}no preset {_shown(name)}{of and ' of '}{of}; there are: {', '.join(presets)}")
    base = presets[name]
    known = _kinds(base)
    values: dict[str, Any] = {}
    for key, value in said.items():
        values[key] = _checked(key, value, _kind(known, base, key, str(file)), str(file))
    for text in settings:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not (key and equals):
            raise SettingError(f"--set must be NAME=VALUE, not {_shown(text)}")
        values[key] = _parsed(key, value, _kind(known, base, key, "--set"), "--set")
    changed = tuple((key, values[key]) for key in known if key in values and values[key] != _get(base, key))
    asked = Configuration(base, name, changed)
    try:
        return replace(asked, config=_replaced(base, dict(changed)))
    except (TypeError, ValueError) as error:
        raise SettingError(f"{name} with {', '.join(f'{k} {v}' for k, v in changed)}: {error}") from None


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
    except OSError as error:
        raise SettingError(f"cannot read {file}: {error.strerror}") from None
    if len(content) > LARGEST_FILE:
        raise SettingError(f"{file}: must have at most {LARGEST_FILE:,} bytes, it has more")
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        # of one million digits, or of brackets, Python itself complains
        raise SettingError(f"{file}: not TOML: {error}") from None


def _kinds(config: Any) -> dict[str, Any]:
    """Type of every field that can be set, those of configurations inside by their own names."""
    if not is_dataclass(config):
        return {}
    hints = get_type_hints(type(config))
    found: dict[str, Any] = {}
    for field in fields(config):
        inner = getattr(config, field.name)
        found |= _kinds(inner) if is_dataclass(inner) else {field.name: hints[field.name]}
    return found


def _kind(known: Mapping[str, Any], config: Any, name: str, where: str) -> Any:
    """Type of the field of that name. Raises SettingError with the names near it."""
    if name in known:
        return known[name]
    if isinstance(getattr(type(config), name, None), property):
        problem = f"{name} follows from the fields, and cannot be set"
    elif is_dataclass(config) and name in (field.name for field in fields(config)):
        problem = f"{name} is no field but a group of some: name the field alone"
    else:
        near = get_close_matches(name.lower().replace("-", "_"), known, 3)
        problem = f"no field {_shown(name)}" + (f"; near it: {', '.join(near)}" if near else "")
    raise SettingError(f"{where}: {problem}; there are: {', '.join(known) or 'none'}")


def _get(config: Any, name: str) -> Any:
    """The value of a field, or of one inside."""
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name == name:
            return value
        if is_dataclass(value) and name in _kinds(value):
            return _get(value, name)
    raise AssertionError(name)


def _replaced(config: Any, values: Mapping[str, Any]) -> Any:
    """The configuration with these fields, its own and those inside, all at once: only the whole must be valid."""
    if not values:
        return config
    own = {}
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            own[field.name] = _replaced(value, {key: values[key] for key in _kinds(value) if key in values})
        elif field.name in values:
            own[field.name] = values[field.name]
    return replace(config, **own)


def _wanted(kind: Any) -> str:
    """What a field of that type takes, in words."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(member.name.lower() for member in kind)}"
    return {bool: "true or false", int: "a whole number", str: "a text"}.get(kind, "left as it is")


def _wrong(name: str, value: Any, kind: Any, where: str) -> SettingError:
    return SettingError(f"{where}: {name} must be {_wanted(kind)}, not {_shown(value)}")


def _checked(name: str, value: Any, kind: Any, where: str) -> Any:
    """A value of TOML as the field's type has it. Raises SettingError."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        members = {member.name.lower(): member for member in kind}
        if isinstance(value, str) and value.lower() in members:
            return members[value.lower()]
    elif kind in (bool, int, str) and type(value) is kind:
        if kind is int and value.bit_length() > _BITS:
            raise SettingError(f"{where}: {name} must have at most {_BITS} bits, not {value.bit_length():,}")
        return value
    raise _wrong(name, value, kind, where)


def _parsed(name: str, text: str, kind: Any, where: str) -> Any:
    """A value from the command line as the field's type has it. Raises SettingError."""
    value: Any = text
    if kind is bool:
        value = {"true": True, "false": False}.get(text, text)
    elif kind is int and _NUMBER.fullmatch(text):
        try:
            value = int(text, 16 if "x" in text.lower() else 10)
        except ValueError:
            # Python reads no decimals of more than some thousand digits, nor those with two underlines
            raise _wrong(name, text, kind, where) from None
    return _checked(name, value, kind, where)


def _shown(value: Any) -> str:
    """A value in an error, not too long for a line."""
    try:
        text = repr(value)
    except ValueError:
        # a list with a number of some thousand digits
        return f"this {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text):,} characters)"


def _plain(value: Any) -> Any:
    """A value as settings have it: true and false, members of an enumeration by their names."""
    return value.name.lower() if isinstance(value, Enum) else str(value).lower() if isinstance(value, bool) else value


def _word(value: Any) -> str:
    """A value in a file's name."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", str(_plain(value)))
