"""Where the time of a run goes: ``python -m tests.benchmarks``."""
