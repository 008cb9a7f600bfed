"""What is wrong with a request."""

from __future__ import annotations


class RequestError(ValueError):
    """The request cannot be served as it is: exit code 2, nothing lost."""
