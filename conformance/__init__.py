"""An executable specification of PyTorch: laws, references that judge them, verdicts."""

__version__ = "0.1.0"
