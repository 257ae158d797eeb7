"""From sums to h: gates, cell, hidden state, store."""
