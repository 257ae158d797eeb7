"""Memory adapters: bursts of the loaders at a RoCC or an AXI4 port."""
