"""Files that people have: what kind they are, and what is in them."""
