"""Numbers, formats and the bit-exact model: what the hardware must equal."""
