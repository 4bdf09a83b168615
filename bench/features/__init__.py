"""Features of frames and texts: made once, checked, kept."""
