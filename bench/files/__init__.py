"""Files: written whole, locked, read without trust, kept by key."""
