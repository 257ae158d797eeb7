"""The emitted Verilog under Icarus, driven by cocotb."""
