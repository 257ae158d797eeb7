"""Job and outcome files between the engines and the compiled simulators."""
