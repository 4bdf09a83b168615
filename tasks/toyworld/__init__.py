"""A small drawn world in the real datasets' file formats, made offline in a minute.

It stands in for MSRVTT, LSMDC and VidSitu where the films may not be had: the same readers, the
same metrics, its own protocol `toy`, so that its numbers are never ranked beside real ones.
"""

from tasks.toyworld.writers import VERSION, write

__all__ = ["VERSION", "write"]
