"""C++ on machine words, made of a flattened netlist."""
