"""The paper's Figure 10 on the RTL."""
