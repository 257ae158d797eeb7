import pytest

from golden import isa


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
    assert [int(f) for f in isa.Flags] == [1, 2, 4, 8, 16, 32, 64]
    assert [int(f) for f in isa.Funct] == list(range(9))


def test_contract_bits_do_not_move() -> None:
    # Programs in the field hold these positions, too.
    fields = isa.START_LAYOUT, isa.STATUS_LAYOUT, isa.VERSION_LAYOUT, isa.INSTRUCTION_LAYOUT
    assert [layout.bits for layout in fields] == [64, 64, 64, 32]
    start = {field.name: (field.shift, field.bits) for field in isa.FIELDS}
    assert start == {"schedule": (8, 2), "w_format": (12, 2), "u_format": (14, 2)}
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
