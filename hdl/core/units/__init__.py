"""What the pipeline's stages are made of, most of it combinational."""
