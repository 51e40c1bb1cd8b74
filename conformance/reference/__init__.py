"""The oracles: NumPy code, derived from documentation, that never imports torch."""
