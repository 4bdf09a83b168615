"""Simulations with a known truth: how often intervals hold it, and how often tests err."""
