"""Faults on purpose: what breaks, how often it was tried, what came of it (`make faults`)."""
