"""What accelerator and core both use."""
