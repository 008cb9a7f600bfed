"""What somebody hands over as samples or targets: lists, numpy's arrays, torch's tensors, tables of pandas or polars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

WHOLE = (bool, int, np.bool_, np.integer)
NEITHER = {"c": "complex numbers", "m": "spans of time", "M": "dates"}  # numpy would make float32 of them in silence


def array(name: str, part: str, given: Any) -> np.ndarray:
    """The same in numpy's array, of one axis or more. ValueError, with the way out, for what cannot be one."""
    kind = type(given).__name__
    if hasattr(given, "toarray"):  # as all sparse matrices of scipy have it
        raise ValueError(f"{name}: {part} is a sparse {kind}, and models take whole samples; give {part}.toarray()")
    try:
        if isinstance(given, list | tuple) and given and all(isinstance(one, torch.Tensor) for one in given):
            given = torch.stack(tuple(given))
        if isinstance(given, torch.Tensor):
            given = given.detach().cpu()
            given = given.to_dense() if given.layout != torch.strided else given
            given = given.float() if given.is_floating_point() and given.dtype != torch.float64 else given
        found = np.asarray(given.to_numpy() if hasattr(given, "to_numpy") else given)
    except (TypeError, ValueError, RuntimeError) as error:
        why = " ".join(str(error).split())
        raise ValueError(f"{name}: {part}, a {kind}, is no array ({why}); all samples need one shape, cut or pad them") from error
    if not found.ndim:
        raise ValueError(f"{name}: {part} is a {kind}; give an array, a tensor, a table or a list, with a place for each sample")
    if found.dtype.kind in NEITHER:
        raise ValueError(f"{name}: {part} holds {NEITHER[found.dtype.kind]}, which no model takes; make numbers of them")
    if found.dtype.kind == "O" and found.size and all(isinstance(one, WHOLE) for one in found.flat):
        try:  # whole numbers, where pandas had no type for all columns
            return found.astype(np.int64)
        except OverflowError:
            return found
    return found


def texts(given: Any) -> list[str] | None:
    """Texts, one a sample; None for anything else: a table has names for its columns, and is no list of them."""
    if hasattr(given, "to_numpy"):
        given = given.to_numpy()
    if isinstance(given, np.ndarray):
        if given.ndim != 1 or given.dtype.kind not in "OUT":
            return None
    elif not isinstance(given, Sequence) or isinstance(given, str | bytes):
        return None
    return [str(one) for one in given] if all(isinstance(one, str) for one in given) else None


def unnamed(one: object) -> bool:
    """None, NaN, and pandas's NA, which is not even unlike itself."""
    return one is None or type(one).__name__ == "NAType" or bool(one != one)
