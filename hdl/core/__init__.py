"""The RV64 core."""
