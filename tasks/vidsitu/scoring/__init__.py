"""VidSitu's official rules, on predictions of ours and of anybody's files."""
