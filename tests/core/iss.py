"""RV64IM's integer instructions in plain Python: what one instruction makes of its operands."""

MASK = (1 << 64) - 1


def signed(value: int, bits: int = 64) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


def _divide(a: int, b: int) -> int:
    """Towards zero; by zero -1."""
    if b == 0:
        return -1
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _remainder(a: int, b: int) -> int:
    return a if b == 0 else a - b * _divide(a, b)


def _unsigned_divide(a: int, b: int, bits: int) -> int:
    return a // b if b else (1 << bits) - 1


def execute(name: str, a: int, b: int) -> int:
    """The result of an instruction with two operands, registers or register and immediate, 64 bits each, unsigned."""
    sa, sb = signed(a), signed(b)
    if name.endswith("w"):
        return signed(_word(name[:-1], a & 0xFFFFFFFF, b & 0xFFFFFFFF), 32) & MASK
    match name:
        case "add" | "addi":
            result = a + b
        case "sub":
            result = a - b
        case "sll" | "slli":
            result = a << (b & 63)
        case "slt" | "slti":
            result = sa < sb
        case "sltu" | "sltiu":
            result = a < b
        case "xor" | "xori":
            result = a ^ b
        case "srl" | "srli":
            result = a >> (b & 63)
        case "sra" | "srai":
            result = sa >> (b & 63)
        case "or" | "ori":
            result = a | b
        case "and" | "andi":
            result = a & b
        case "mul":
            result = a * b
        case "mulh":
            result = sa * sb >> 64
        case "mulhsu":
            result = sa * b >> 64
        case "mulhu":
            result = a * b >> 64
        case "div":
            result = _divide(sa, sb)
        case "divu":
            result = _unsigned_divide(a, b, 64)
        case "rem":
            result = _remainder(sa, sb)
        case "remu":
            result = a % b if b else a
        case _:
            raise ValueError(name)
    return int(result) & MASK


def _word(name: str, a: int, b: int) -> int:
    sa, sb = signed(a, 32), signed(b, 32)
    match name:
        case "add" | "addi":
            return a + b
        case "sub":
            return a - b
        case "sll" | "slli":
            return a << (b & 31)
        case "srl" | "srli":
            return a >> (b & 31)
        case "sra" | "srai":
            return sa >> (b & 31)
        case "mul":
            return a * b
        case "div":
            return _divide(sa, sb)
        case "divu":
            return _unsigned_divide(a, b, 32)
        case "rem":
            return _remainder(sa, sb)
        case "remu":
            return a % b if b else a
    raise ValueError(name)


def load(name: str, memory: bytes | bytearray, at: int) -> int:
    """lb, lh, lw, ld and their unsigned forms."""
    size = {"b": 1, "h": 2, "w": 4, "d": 8}[name[1]]
    return int.from_bytes(memory[at : at + size], "little", signed=not name.endswith("u")) & MASK


def taken(name: str, a: int, b: int) -> bool:
    sa, sb = signed(a), signed(b)
    return {
        "beq": a == b,
        "bne": a != b,
        "blt": sa < sb,
        "bge": sa >= sb,
        "bltu": a < b,
        "bgeu": a >= b,
    }[name]
