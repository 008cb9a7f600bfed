"""What a contest is about: the cells of two trees, each built once in both, its exact costs counted; what needs no clock is settled."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.gate.trees import Tree
from bench.gate.trio import Arm, Died, Nursery, Sample
from bench.gate.verdicts import Latency
from bench.plan.grid import RequestError, listed, select

NO_CELL = "no cell"  # in neither tree
FAULTS, NEVER_RAN = {"raised", "died"}, {"raised", "missing", "unsupported"}
COSTS = ("params", "flops", "operators", "peak_bytes")
SMALL = ("iris", "digits", "mnist1d", "shapes", "translation")  # a table, an image, signals, tokens: for a plugin's models

Say = Callable[[float, str], None]  # share of the time gone, and what is being done
Choose = Callable[[dict[str, Any], dict[str, Any]], list["Cell"]]  # the cells to compare, from what the arms of base and head say they have


@dataclass
class Cell:
    """One model on one data set at one batch size: what was counted and measured of it, and what follows."""

    model: str
    dataset: str
    batch: int
    costs: dict[str, dict[str, Any]] = field(default_factory=dict)  # by role: figures, or {"error", "kind"}
    first: list[Sample] = field(default_factory=list)
    confirm: list[Sample] | None = None
    verdict: str = ""
    reason: str = ""
    deaths: int = 0  # of processes that were timing it
    latency: Latency | None = None
    tried: bool = False  # nobody named its data set: if its model runs on others and raises here, it cannot take this one

    @property
    def id(self) -> str:
        return f"{self.model}-{self.dataset}-cpu-b{self.batch}"

    @property
    def request(self) -> dict[str, Any]:
        return {"model": self.model, "dataset": self.dataset, "batch": self.batch}

    @property
    def samples(self) -> list[Sample]:
        """Those of the phase it is in."""
        return self.first if self.confirm is None else self.confirm

    @property
    def noise(self) -> float:
        """Root mean square of base against itself, as a share: what one trio says of code that did not change."""
        seen = [sample.noise for sample in (*self.first, *(self.confirm or []))]
        return float(np.sqrt(np.mean(np.square(seen)))) if seen else math.nan

    @property
    def kinds(self) -> list[str]:
        """What became of it in base and in head: runs, missing, unsupported, raised or died; [] where that was not asked."""
        return [said.get("kind", "runs") for said in self.costs.values()]

    def settle(self, verdict: str, reason: str = "") -> None:
        self.verdict, self.reason = verdict, reason


@dataclass
class Contest:
    """What was compared, by which rules, and what came out."""

    base: Tree
    head: Tree
    allow: float
    minutes: float
    cells: list[Cell] = field(default_factory=list)
    trios: int = 0
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def trees(self) -> dict[str, Tree]:
        return {"base": self.base, "head": self.head, "again": self.base}


def grid(
    models: str | None, datasets: str | None, batches: list[int], plugged: bool, base: dict[str, Any], head: dict[str, Any]
) -> list[Cell]:
    """The cells of either tree that were asked for; by default all models on all embedded data sets, a plugin's on a few small ones."""
    names = list(dict.fromkeys(base["models"] + head["models"]))
    every_model = listed(names, {**base["model_errors"], **head["model_errors"]})
    known = {**base["datasets"], **head["datasets"]}
    every_dataset = listed(list(known), {**base["dataset_errors"], **head["dataset_errors"]})
    usual_models = [name for name in every_model if not name.endswith("_published")]
    usual_data = [name for name in every_dataset if known.get(name, True) and not name.endswith("_published")]
    if plugged:
        own = {noun: {*base["own"][noun], *head["own"][noun]} for noun in ("models", "datasets")}
        usual_models = [name for name in names if name in own["models"]]
        usual_data = [name for name in every_dataset if name in {*SMALL, *own["datasets"]}]
        if not usual_models and models is None:
            why = head["plugin_error"] or base["plugin_error"] or "it registers no model, in base or in head"
            raise RequestError(f"{why}; decorate one with @models.register, or name models of the suite with --models")
    chosen, tried = select("model", models, usual_models, every_model), plugged and datasets is None
    data = select("data set", datasets, usual_data, every_dataset)
    return [Cell(m, d, b, tried=tried) for d in data for m in chosen for b in batches]


def survey(contest: Contest, nursery: Nursery, choose: Choose, say: Say) -> None:
    """Fill the contest with the chosen cells and their exact costs, both trees at once. RequestError if they cannot be compared."""

    def fresh(role: str) -> Arm:
        one = nursery.arm(role, contest.trees[role], 0, None)
        greetings[role] = one.ask("hello")
        if "error" in greetings[role]:
            raise RequestError(f"{role} {contest.trees[role].name} does not import: {greetings[role]['error']}")
        return one

    def counted(role: str, cell: Cell) -> dict[str, Any]:
        """Its exact costs in one tree, or why there are none; an arm that dies is replaced."""
        if where := died.get((role, cell.model)):  # it is not given the time to hang on every data set
            return {"error": f"not tried, as it ended its process on {where}", "kind": "died"}
        try:
            opened = two[role].ask("open", **cell.request)
            return opened if "error" in opened else two[role].ask("exact")
        except Died as error:
            two[role].close()
            two[role], died[role, cell.model] = fresh(role), cell.dataset
            return {"error": str(error), "kind": "died"}

    greetings: dict[str, dict[str, Any]] = {}
    died: dict[tuple[str, str], str] = {}
    two = {role: fresh(role) for role in ("base", "head")}
    try:
        contest.facts, theirs = (greetings[role]["facts"] for role in two)
        for name, value in contest.facts.items():
            if theirs.get(name) != value:
                raise RequestError(f"cannot be compared: base runs on {name} {value}, head on {name} {theirs.get(name)}")
        contest.cells = choose(greetings["base"], greetings["head"])
        with ThreadPoolExecutor(2) as side_by_side:
            for i, cell in enumerate(contest.cells):
                say(0.0, f"exact costs, {i + 1} of {len(contest.cells)}: {cell.id}")
                cell.costs = dict(zip(two, side_by_side.map(counted, list(two), [cell] * 2), strict=True))
                presence(cell)
    finally:
        for one in two.values():
            one.close()
    ran = {cell.model for cell in contest.cells if not NEVER_RAN.issuperset(cell.kinds)}
    untaken = [cell for cell in contest.cells if cell.tried and cell.model in ran and NEVER_RAN.issuperset(cell.kinds)]
    contest.cells = [cell for cell in contest.cells if cell.verdict != NO_CELL and cell not in untaken]
    if not contest.cells:
        raise RequestError("no cell can be built: these models make no sense on these data sets (python -m bench list says why)")


def presence(cell: Cell) -> None:
    """Settle what needs no clock: cells that one tree has not, or where a model raises or ends its process."""
    base, head = cell.kinds
    if head == "runs":
        word = {"runs": "", "died": "crashed", "raised": "fixed"}.get(base, "new")
    elif head in FAULTS:
        word = "broken" if base in FAULTS else "failing"
    else:
        word = "missing" if base == "runs" else NO_CELL
    why = {role: said["error"] for role, said in cell.costs.items() if "error" in said}
    if word:
        roles = "base and head" if len(why) == 2 and len({*why.values()}) == 1 else [*why][-1]
        cell.settle(word, f"{roles}: {[*why.values()][-1]}")
