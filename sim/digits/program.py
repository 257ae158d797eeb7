"""What a program that runs a packed network needs of the accelerator: its images say it."""

from itertools import count
from pathlib import Path

from golden.config import AcceleratorConfig
from golden.cycles import SCHEDULES
from golden.formats import FORMATS, stored
from golden.settings import Configuration
from sim.protocol import elf
from software import image
from software.cli import UserError
from software.firmware.packing import image_symbol


def check_program(program: elf.Elf, path: Path, asked: Configuration[AcceleratorConfig]) -> None:
    """Raise UserError naming the first layer whose schedule or format the accelerator lacks.

    Programs without images have nothing to check, and what is no image is the program's to say.
    """
    config, ram = asked.config, program.ram
    for number in count(1):
        if image_symbol(number) not in program.symbols:
            return
        address, size = program.place(image_symbol(number))
        needs = image.needs(ram.data[address - ram.address :][: min(size, image.HEADER.size)])
        if needs is None:
            continue
        layer = f"{path}: layer {number}"
        if needs.schedule not in config.schedules:
            wanted, have = SCHEDULES.numbered(needs.schedule).name, SCHEDULES.names(config.schedules)
            raise UserError(f"{layer} runs by the schedule {wanted}, preset {asked.name} has: {have}")
        for what, there in (("sends changes of h", needs.changes), ("stores rows of h as fp16", needs.h_fp16)):
            if there and not config.delta:
                raise UserError(f"{layer} {what}, preset {asked.name} has delta false")
        if needs.x not in config.input_formats:
            have = ", ".join(number.name.lower() for number in config.input_formats)
            raise UserError(f"{layer} takes x as {needs.x.name.lower()}, preset {asked.name} reads: {have}")
        for name, form in (("W", needs.w), ("U", needs.u)):
            if form not in config.formats:
                have = FORMATS.names(config.formats)
                raise UserError(f"{layer} has {name} in {stored(form).name}, preset {asked.name} reads: {have}")
