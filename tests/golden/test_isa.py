import pytest

from golden import isa
from golden.isa import start


def test_every_number_has_one_row() -> None:
    assert [i.funct for i in isa.INSTRUCTIONS] == list(isa.Funct)
    assert set(isa.ERROR_MEANINGS) == set(isa.Error)
    assert set(isa.COUNTER_MEANINGS) == set(isa.Counter)
    assert set(isa.FLAG_MEANINGS) == set(isa.Flags)


def test_start_checks_are_in_ascending_order_of_code() -> None:
    assert list(isa.START_CHECKS) == sorted(isa.START_CHECKS)


def test_contract_numbers_do_not_move() -> None:
    # Programs in the field hold these numbers.
    assert [int(e) for e in isa.Error] == list(range(17))
    assert (isa.Error.BAD_FORMAT, isa.Error.ACC_OVERFLOW, isa.Error.ABORTED) == (8, 15, 16)
    assert [int(f) for f in isa.Flags] == [1, 2, 4, 8, 16, 32, 64, 128, 1 << 18]
    assert [int(f) for f in isa.Funct] == list(range(12))


def test_contract_bits_do_not_move() -> None:
    # Programs in the field hold these positions, too.
    fields = isa.START_LAYOUT, isa.STATUS_LAYOUT, isa.VERSION_LAYOUT, isa.INSTRUCTION_LAYOUT
    assert [layout.bits for layout in fields] == [64, 64, 64, 32]
    start = {field.name: (field.shift, field.bits) for field in isa.FIELDS}
    assert start == {"schedule": (8, 2), "w_format": (12, 2), "u_format": (14, 2), "x_format": (16, 2)}
    assert [int(s) for s in isa.Status] == [1, 2, 4]
    places = {name: isa.VERSION_LAYOUT.place(name).text for name in isa.VERSION_LAYOUT.fields}
    assert places == {"version": "15:0", "n_pe": "23:16", "slots": "31:24", "max_x": "47:32", "max_h": "63:48"}


def test_status_word_decodes() -> None:
    word = 7 << 32 | 15 << 8 | 0b110
    assert isa.StatusWord.decode(word) == isa.StatusWord(False, True, True, isa.Error.ACC_OVERFLOW, 7)
    with pytest.raises(ValueError, match="200"):
        isa.StatusWord.decode(200 << 8)


def test_encode_places_every_field() -> None:
    assert isa.encode(7, xd=True, xs2=False, rd=31) == 7 << 25 | 2 << 20 | 1 << 15 | 0b110 << 12 | 31 << 7 | 0x0B


@pytest.mark.parametrize(
    ("built", "used", "holes"),
    [
        ((0,), 0b00, ()),
        ((0, 1), 0b01, ()),
        ((0, 2), 0b10, ()),
        ((0, 3), 0b11, (1, 2)),
        ((0, 1, 2), 0b11, (3,)),
        ((1, 2), 0b11, (0, 3)),
        ((1,), 0b01, (0,)),
        ((0, 1, 2, 3), 0b11, ()),
    ],
)
def test_a_field_knows_the_bits_and_the_holes_of_what_is_built(
    built: tuple[int, ...], used: int, holes: tuple[int, ...]
) -> None:
    field = isa.Field("w_format", built)
    assert (field.used, field.holes) == (used << 12, holes)
    # A number is refused by a bit that no built one has, or as a hole: never both, and no built one at all
    for number in range(4):
        assert (number & ~used != 0) + (number in holes) == (number not in built)


def test_a_field_reads_its_own_bits() -> None:
    field = isa.Field("w_format", (0,))
    assert [field.of(number << 12 | 0xF_FFFF_0000_0FFF) for number in range(4)] == [0, 1, 2, 3]


def test_start_s_fields_are_where_programs_have_them() -> None:
    flags = isa.Flags.H_SEQ | isa.Flags.IRQ
    assert isa.start_word(flags) == 0x42
    word = isa.start_word(flags, 3, 2, 1, 2)  # type: ignore[arg-type]
    assert word == 0x42 | 3 << 8 | 2 << 12 | 1 << 14 | 2 << 16
    assert [field.of(word) for field in isa.FIELDS] == [3, 2, 1, 2]
    assert isa.FIELDS == (isa.SCHEDULE_FIELD, isa.W_FORMAT_FIELD, isa.U_FORMAT_FIELD, isa.X_FORMAT_FIELD)


def test_start_refuses_all_that_is_not_built() -> None:
    """What some configuration runs: nine flags, three schedules, three formats of weights and of x."""
    for word in range(1 << 19):
        known = 3 not in (word >> 8 & 3, word >> 12 & 3, word >> 14 & 3, word >> 16 & 3)
        assert isa.refused(word) == (not known or bool(word & 0x0C00)), hex(word)
    assert all(isa.refused(1 << bit) for bit in range(19, 64))


def test_start_refuses_a_hole_between_built_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    built = {8: (0, 2), 12: (0, 1, 2), 14: (0, 3)}
    names = ("schedule", "w_format", "u_format")
    fields = tuple(isa.Field(name, numbers) for name, numbers in zip(names, built.values(), strict=True))
    monkeypatch.setattr(start, "FIELDS", fields)
    monkeypatch.setattr(start, "USED_BITS", 0xF277)
    for word in range(0, 1 << 16, 2):
        known = all(word >> shift & 3 in numbers for shift, numbers in built.items())
        assert isa.refused(word) == (not known or bool(word & 0x0C88)), hex(word)
