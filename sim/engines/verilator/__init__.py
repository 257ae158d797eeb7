"""The emitted Verilog as C++ by Verilator: the tool, the model for the harness, coverage."""
