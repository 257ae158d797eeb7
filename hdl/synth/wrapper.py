"""A wrapper that lets a design of any number of ports be synthesized and placed: every port behind a register."""

from collections.abc import Sequence

WRAPPER, INSTANCE = "elstm_wrapper", "dut"


def wrapped(module: str, ports: Sequence[tuple[str, str, int]]) -> str:
    """Verilog of the wrapper: inputs come from one shift register, outputs are loaded into another.

    ports: (name, "input" or "output", bits), ``clk`` and ``rst`` among them. No port is then a path's end that no chip
    would have, and none is optimized away.
    """
    inputs = [(name, bits) for name, way, bits in ports if way == "input" and name not in ("clk", "rst")]
    outputs = [(name, bits) for name, way, bits in ports if way == "output"]
    into, out = (max(1, sum(bits for _, bits in some)) for some in (inputs, outputs))
    pins, at = [".clk(clk)", ".rst(reset)"], 0
    for name, bits in inputs:
        pins.append(f".\\{name} (shift_in[{at + bits - 1}:{at}])")
        at += bits
    at = 0
    for name, bits in outputs:
        pins.append(f".\\{name} (outputs[{at + bits - 1}:{at}])")
        at += bits
    connected = ",\n    ".join(pins)
    return f"""module {WRAPPER}(input clk, input rst, input serial_in, output reg serial_out);
  reg [{into - 1}:0] shift_in;
  reg [{out - 1}:0] shift_out;
  wire [{out - 1}:0] outputs;
  reg load, reset;
  {module} {INSTANCE} (
    {connected});
  always @(posedge clk) begin
    reset <= rst;
    load <= serial_in;
    shift_in <= {{shift_in, serial_in}};
    shift_out <= load ? outputs : {{shift_out, serial_in}};
    serial_out <= shift_out[{out - 1}];
  end
endmodule
"""
