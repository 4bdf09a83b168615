"""Results: the document of a run on disk, and what is made of one or of several."""

from bench.results.files import Result, load, load_all, load_predictions, save

__all__ = ["Result", "load", "load_all", "load_predictions", "save"]
