"""Exact frames, whatever the container, or none."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from bench.contracts import Clip
from bench.errors import UsageError
from bench.video import FirstOfSecond, PerEvent, Uniform, VideoError, decode, scan
