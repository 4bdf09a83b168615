"""Training a model on prompts of events: data, losses, checkpoints, the loop."""
