"""The commands of ``conformance``: one module each, which declares a :class:`Command`."""
