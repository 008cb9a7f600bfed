"""Sums as the ledger writes them, done."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

SIGNS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def total(formula: str) -> float:
    """A sum of numbers: + - * / ** and brackets, in float64. ValueError for anything else, and for what is no finite real number."""

    def worth(node: ast.expr) -> float:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return float(node.value)  # 9**9**9 would never end in whole numbers
        if isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
            return SIGNS[type(node.op)](worth(node.left), worth(node.right))
        raise ValueError(f"no number, + - * / ** or bracket: {ast.unparse(node)!r}")

    try:
        result = worth(ast.parse(formula, mode="eval").body)
    except (SyntaxError, ZeroDivisionError, OverflowError, RecursionError, MemoryError) as error:
        raise ValueError(str(error)) from error
    if isinstance(result, complex) or not math.isfinite(result):
        raise ValueError(f"no finite real number: {result}")
    return result
