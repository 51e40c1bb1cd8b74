"""Backends for tests: devices that the suite is pointed at, none of them stock torch's own."""
