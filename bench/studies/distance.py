"""`python -m bench study distance`: associative recall over more and more tokens, by backbones of several widths."""

from __future__ import annotations

import argparse

import models
from bench.plan import grid, variants
from bench.plan.request import RequestError
from bench.studies import distances, trained
from bench.studies.study import numbers
from bench.studies.trained import Trained

MODELS = "backbone_attention,backbone_recurrent,backbone_mlp"
LENGTHS, WIDTHS = (15, 31, 63, 127), (16, 32, 64)
WIDEST = 4_096


def wide(model: str, width: int) -> str:
    """The name of a model of that width. RequestError for one that has none."""
    try:
        return variants.named(model, {"dim": str(width)}, {})
    except ValueError as error:
        raise RequestError(f"{model} cannot be studied: {error}; leave it out of --models") from error


def asked(options: argparse.Namespace) -> Trained:
    """The study of distance that options ask for. RequestError for what cannot be."""
    grid.plugin(distances.__file__)
    lengths = numbers("--lengths", options.lengths, LENGTHS, distances.LONGEST, "numbers of tokens, 15,31,63")
    if lengths[0] < distances.SHORTEST:
        raise RequestError(f"--lengths takes {distances.SHORTEST} tokens or more: with {lengths[0]} nothing is far away")
    widths = numbers("--widths", options.widths, WIDTHS, WIDEST, "widths, 16,32", 1)
    patterns = MODELS if options.models is None else options.models
    names = grid.select("model", patterns, (), models.names(published=True), " (python -m bench list)")
    length = trained.length(options, seeds=3, steps=1_500)
    with grid.Builder() as ask:
        points = [
            trained.point(name, {"width": width, "length": tokens}, wide(name, width), distances.named(tokens), length, ask, None)
            for tokens in lengths
            for width in widths
            for name in names
        ]
    settings = {"models": names, "lengths": lengths, "widths": widths, "seeds": length[0], "steps": length[1]}
    return trained.study("distance", options, settings, points, distances.__file__, timed=True)
