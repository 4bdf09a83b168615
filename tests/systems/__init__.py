"""Rival systems against what their own code gave: `python -m tests.systems SYSTEM PATH`."""
