"""Arrays as the bytes of an .npz."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np


def npz(arrays: Mapping[str, Any]) -> bytes:
    """A compressed .npz."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()
