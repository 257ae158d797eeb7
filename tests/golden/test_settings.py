"""Configurations from a preset, a file and single settings: what wins, what is refused, what is said."""

import enum
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from golden.config import ACCELERATOR_PRESETS, CORE_PRESETS, SOC_PRESETS, AcceleratorConfig, CoreConfig, SocConfig
from golden.settings import LARGEST_FILE, SettingError, configure

TINY = ACCELERATOR_PRESETS["tiny"]
FIELDS = "n_pe, slots, max_x, max_h, max_t, window, group_list, esell, stream16, stream8, delta, events, vector_units"


def refused(*settings: str, preset: str | None = "tiny", file: Path | None = None) -> str:
    with pytest.raises(SettingError) as caught:
        configure(ACCELERATOR_PRESETS, preset, file, settings)
    text = str(caught.value)
    assert "\n" not in text and len(text) < 300
    return text


@pytest.fixture
def toml(tmp_path: Path):
    def write(content: str | bytes) -> Path:
        path = tmp_path / "hw.toml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_a_preset_alone_is_itself() -> None:
    for presets in (ACCELERATOR_PRESETS, CORE_PRESETS, SOC_PRESETS):
        for name, config in presets.items():
            found = configure(presets, name)
            assert (found.config, found.name, found.changed, found.notes) == (config, name, (), ())
    assert configure(ACCELERATOR_PRESETS).name == "default"


def test_the_preset_then_the_file_then_single_settings(toml) -> None:
    file = toml('preset = "wide"\nn_pe = 3\nslots = 13\nwindow = 32\n')
    found = configure(ACCELERATOR_PRESETS, None, file, ["slots=16", "window = 0x10", "slots=8"])
    assert found.config == replace(ACCELERATOR_PRESETS["wide"], n_pe=3, slots=8, window=16)
    assert found.name == "wide+n_pe-3+slots-8+window-16"
    assert found.options == ("--preset", "wide", "--set", "n_pe=3", "--set", "slots=8", "--set", "window=16")
    assert configure(ACCELERATOR_PRESETS, "wide", None, found.options[3::2]) == found
    assert configure(ACCELERATOR_PRESETS, "wide", file).name == "wide+n_pe-3+slots-13+window-32"
    message = f"{file} says preset 'wide', --preset 'tiny': one must go"
    assert refused(file=file) == message


def test_what_is_as_in_the_preset_changes_no_name() -> None:
    assert configure(ACCELERATOR_PRESETS, "tiny", None, ["n_pe=3", "max_x=0x40"]).name == "tiny"


def test_only_the_whole_must_be_valid() -> None:
    for settings in (["n_pe=8", "slots=14"], ["slots=14", "n_pe=8"]):
        assert configure(ACCELERATOR_PRESETS, "tiny", None, settings).config == replace(TINY, n_pe=8, slots=14)
    assert refused("n_pe=8") == "tiny with n_pe 8: slots must be in 14..255, not 12"


def test_fields_of_the_parts_of_an_soc() -> None:
    found = configure(SOC_PRESETS, "tiny", None, ["n_pe=4", "rvfi=true", "reset_address=0x80001000", "cache_lines=64"])
    core = CoreConfig(reset_address=0x8000_1000, rvfi=True)
    assert found.config == SocConfig(replace(TINY, n_pe=4), core, cache_lines=64)
    assert found.name == "tiny+n_pe-4+reset_address-2147487744+rvfi-true+cache_lines-64"
    with pytest.raises(SettingError, match="rvfi must be true or false, not '1'"):
        configure(SOC_PRESETS, "tiny", None, ["rvfi=1"])
    with pytest.raises(SettingError, match="accelerator is no field but a group of some: name the field alone; there"):
        configure(SOC_PRESETS, "tiny", None, ["accelerator=1"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("", "--set must be NAME=VALUE, not ''"),
        ("=", "--set must be NAME=VALUE, not '='"),
        ("n_pe", "--set must be NAME=VALUE, not 'n_pe'"),
        ("n_pe=", "--set: n_pe must be a whole number, not ''"),
        ("n_pe=4=5", "--set: n_pe must be a whole number, not '4=5'"),
        ("n_pe=4.0", "--set: n_pe must be a whole number, not '4.0'"),
        ("n_pe=nan", "--set: n_pe must be a whole number, not 'nan'"),
        ("n_pe=true", "--set: n_pe must be a whole number, not 'true'"),
        ("n_pe=\uff14", "--set: n_pe must be a whole number, not '\uff14'"),
        ("n_pe=1__0", "--set: n_pe must be a whole number, not '1__0'"),
        ("n_pe=-1", "tiny with n_pe -1: n_pe must be in 2..8, not -1"),
        ("window=48", "tiny with window 48: window must be a power of two, not 48"),
        ("n_pe=" + "9" * 50, "--set: n_pe must have at most 64 bits, not 167"),
        ("n_pe=0x" + "f" * 5000, "--set: n_pe must have at most 64 bits, not 20,000"),
        ("n_pe=" + "9" * 5000, f"--set: n_pe must be a whole number, not '{'9' * 39}... (5,002 characters)"),
        ("n_pes=4", f"--set: no field 'n_pes'; near it: n_pe; there are: {FIELDS}"),
        ("N-PE=4", f"--set: no field 'N-PE'; near it: n_pe; there are: {FIELDS}"),
        ("maxh=8", f"--set: no field 'maxh'; near it: max_h, max_x, max_t; there are: {FIELDS}"),
        ("\u00e9=1", f"--set: no field '\u00e9'; there are: {FIELDS}"),
        ("preset=wide", f"--set: no field 'preset'; there are: {FIELDS}"),
        ("fuse_capacity=4", f"--set: fuse_capacity follows from the fields, and cannot be set; there are: {FIELDS}"),
        ("as_dict=4", f"--set: no field 'as_dict'; there are: {FIELDS}"),
        ("__class__=4", f"--set: no field '__class__'; there are: {FIELDS}"),
    ],
)
def test_a_wrong_setting_is_one_line(setting: str, message: str) -> None:
    assert refused("max_t=200", setting).replace("max_t 200, ", "").replace(", max_t 200", "") == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n_pe = 4.0", "n_pe must be a whole number, not 4.0"),
        ("n_pe = nan", "n_pe must be a whole number, not nan"),
        ("n_pe = true", "n_pe must be a whole number, not True"),
        ('n_pe = "4"', "n_pe must be a whole number, not '4'"),
        ("n_pe = [4]", "n_pe must be a whole number, not [4]"),
        ("n_pe = [0x" + "f" * 5000 + "]", "n_pe must be a whole number, not this list"),
        ("n_pe = 1979-05-27", "n_pe must be a whole number, not datetime.date(1979, 5, 27)"),
        ("n_pe = 0x" + "f" * 20, "n_pe must have at most 64 bits, not 80"),
        ("[accelerator]\nn_pe = 4", f"no field 'accelerator'; there are: {FIELDS}"),
        ("preset = 3", "preset must be a name, not 3"),
        ('preset = "huge"', f"no preset 'huge'; there are: {', '.join(ACCELERATOR_PRESETS)}"),
        ("n_pe = 4\nn_pe = 4", "not TOML: Cannot overwrite a value (at "),
        ("n_pe: 4", "not TOML: Expected '=' after a key in a key/value pair (at line 1, column 5)"),
        (b"\xff\xfe", "not TOML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        ("n_pe = " + "[" * 20000, "not TOML: maximum recursion depth exceeded"),
        ("#" * (LARGEST_FILE + 1), "must have at most 65,536 bytes, it has more"),
    ],
)
def test_a_wrong_file_is_one_line(toml, content: str | bytes, message: str) -> None:
    file = toml(content)
    assert refused(preset=None, file=file).startswith(f"{file}: {message}")


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    assert refused(file=tmp_path) == f"cannot read {tmp_path}: Is a directory"
    assert refused(file=tmp_path / "no") == f"cannot read {tmp_path / 'no'}: No such file or directory"
    assert refused(file=Path("/dev/zero")) == "/dev/zero: must have at most 65,536 bytes, it has more"


def test_an_empty_file_says_nothing(toml) -> None:
    assert configure(ACCELERATOR_PRESETS, "tiny", toml("")).name == "tiny"
    # as some editors write it
    assert configure(ACCELERATOR_PRESETS, "tiny", toml(b"\xef\xbb\xbfn_pe = 4\r\nslots = 12\r\n")).name == "tiny+n_pe-4"


def test_slots_that_buy_nothing_are_named() -> None:
    def notes(*settings: str) -> tuple[str, ...]:
        return configure(ACCELERATOR_PRESETS, "tiny", None, settings).notes

    assert notes("n_pe=4", "slots=16") == ("4 of 16 slots buy nothing: at n_pe 4 they hold N_fuse 2, as 12 do",)
    assert notes("slots=13") == ("1 of 13 slots buy nothing: at n_pe 3 they hold N_fuse 3, as 12 do",)
    assert notes("max_t=3") == ("4 of 12 slots buy nothing: max_t 3 fills 8 at n_pe 3",)
    assert notes("slots=16") == notes("window=8") == ()
    assert configure(SOC_PRESETS, "tiny", None, ["slots=13"]).notes == notes("slots=13")


def test_useful_slots_are_those_that_some_fusion_factor_fills() -> None:
    for config in (
        replace(TINY, n_pe=p, slots=s, max_t=t) for p in (2, 3, 5, 8) for s in (14, 31, 64) for t in (1, 9, 255)
    ):
        # two groups of N_fuse steps for each PE; a larger N_fuse than the steps of a run changes nothing
        fitting = [n for n in range(1, 256) if 2 * n * config.w_pes <= config.slots]
        needed = [n for n in fitting if (n - 1) * config.w_pes < config.max_t]
        assert config.useful_slots == 2 * max(needed) * config.w_pes, config


class Port(enum.Enum):
    ROCC = 1
    AXI = 2


@dataclass(frozen=True)
class Other:
    port: Port = Port.ROCC
    label: str = "a"
    fast: bool = False
    sizes: tuple[int, ...] = ()


def test_fields_that_are_no_numbers() -> None:
    found = configure({"p": Other()}, "p", None, ["port=axi", "label=B/c d", "fast=true"])
    assert found.config == Other(Port.AXI, "B/c d", True)
    assert found.name == "p+port-axi+label-B_c_d+fast-true"
    assert configure({"p": Other()}, "p", None, found.options[3::2]) == found
    for setting, message in (
        ("port=usb", "--set: port must be one of rocc, axi, not 'usb'"),
        ("fast=yes", "--set: fast must be true or false, not 'yes'"),
        ("sizes=1", "--set: sizes must be left as it is, not '1'"),
    ):
        with pytest.raises(SettingError, match=message):
            configure({"p": Other()}, "p", None, [setting])


def test_every_field_of_every_configuration_can_be_set() -> None:
    for presets in (ACCELERATOR_PRESETS, CORE_PRESETS, SOC_PRESETS):
        base = next(iter(presets.values()))
        for name in ("n_pe", "slots", "max_x", "max_h", "max_t", "window", "hart_id", "rvfi", "ram_bytes"):
            holders = [base, *(getattr(base, part, None) for part in ("accelerator", "core"))]
            for holder in holders:
                if hasattr(holder, name):
                    value = str(getattr(holder, name)).lower()
                    assert configure(presets, next(iter(presets)), None, [f"{name}={value}"]).config == base
    assert isinstance(base, SocConfig) and isinstance(base.accelerator, AcceleratorConfig)
