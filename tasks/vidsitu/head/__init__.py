"""The situation head: verbs, roles and captions from frozen features."""
