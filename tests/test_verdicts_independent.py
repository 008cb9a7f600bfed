"""Every verdict that is printed, and the two sentences, recomputed from the JSON records alone: nothing of bench.tables is used here.

What is checked is written twice on purpose: the family, the margins, which runs count, the intervals and the words.
"""

from __future__ import annotations

import base64
import bz2
import csv
import json
import lzma
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.page import view
from bench.report import reference, report
from bench.store.encoding import pack
from bench.store.records import Store
from tests.conftest import ROOT
from tests.test_report import run

MIXERS = {"conv": "convolution", "local": "local attention", "mlp": "MLP", "recurrent": "recurrence"}
SETS = ["digits", "digits_affine", "digits_translated", "mnist", "mnist1d", "mnist_5k", "shapes", "shapes_pairs", "translation"]
SHARES = {"mnist": 10 / 55, "mnist1d": 10 / 35, "mnist_5k": 10 / 35} | dict.fromkeys(SETS[:3], 350 / 1097)
MARGINS = {"accuracy": 0.01, "bleu": 1.0, "mse": math.log(1.1)}
UNITS = {"shapes": " × its error", "shapes_pairs": " × its error", "translation": " BLEU"}  # of differences; else points
BEST = {"accuracy": 1.0, "bleu": 100.0}
LZMA = [{"id": lzma.FILTER_LZMA1, "dict_size": 2**20, "lc": 0, "lp": 0, "pb": 0}]
CUT = {"digits": 1, "digits_affine": 1, "digits_translated": 1, "mnist": 7, "mnist1d": 4, "mnist_5k": 7, "shapes": 2, "shapes_pairs": 2}
TAIL = 0.05 / (4 * 9) / 2

Records = list[dict[str, Any]]
Found = tuple[str, float, float, float, int]  # word, mean, low, high, seeds


def ids(text: str) -> np.ndarray:
    kind, way, body = text.split(":", 2)
    packed = base64.b85decode(body)
    raw = bz2.decompress(packed) if way == "bz2" else lzma.decompress(packed, lzma.FORMAT_RAW, filters=LZMA)
    return np.frombuffer(raw, "u1").reshape(np.dtype(kind).itemsize, -1).T.copy().view(kind).ravel()


def mixers(folder: Path, dataset: str) -> dict[str, Records]:
    """By mixer the runs that count: those of the last recipe asked for, all finished, of the budget with most mixers, then most seeds."""
    cells: dict[tuple[str, ...], Records] = defaultdict(list)
    for path in folder.glob(f"runs/{dataset}/backbone_*/*.json"):
        one = json.loads(path.read_text())
        name = one["model"].removeprefix("backbone_")
        if (
            name.split("[patch=")[0] in ("attention", *MIXERS, "none")
            and name.count("=") == name.count("[patch=")
            and not one["budget"]["name"].startswith("published")
        ):
            torch = ".".join(one["machine"]["torch"].split(".")[:2])  # quality is of an arithmetic, whatever machines trained
            cells[one["budget"]["name"], one["budget"]["dtype"], one["device"], torch, name].append(one)
    groups: dict[tuple[str, ...], dict[str, Records]] = defaultdict(dict)
    for (*terms, name), own in cells.items():
        newest = max(own, key=lambda one: one["created"])
        runs = [one for one in own if one["kind"] == "run" and one["recipe"] == newest["recipe"]]
        if runs and all(one["status"] == "ok" for one in runs):
            told = {"tuned": bool(newest.get("tuned"))}  # of the request: the same runs may have been asked for otherwise before
            groups[tuple(terms)][name] = sorted((one | told for one in runs), key=lambda one: one["seed"])

    def rank(terms: tuple[str, ...]) -> tuple[Any, ...]:
        mixing = [runs for name, runs in groups[terms].items() if name in ("attention", *MIXERS)]
        every = [one for runs in mixing for one in runs]
        seeds = min(5, *map(len, mixing))
        newest = max(one["created"] for one in every)
        return terms[0] != "smoke", len(mixing), seeds, terms[0] == "reference", every[0]["budget"]["samples"], newest

    for terms in [terms for terms, own in groups.items() if not own.keys() & {"attention", *MIXERS}]:
        del groups[terms]  # of what does not mix alone
    if not groups:
        return {}
    chosen = groups[max(groups, key=rank)]
    mixing = [one for name, runs in chosen.items() for one in runs if name in ("attention", *MIXERS)]
    lead = max(mixing, key=lambda one: one["created"])
    return cut_as_val_prefers(dataset, {name: runs for name, runs in chosen.items() if runs[0]["conditions"] == lead["conditions"]})


def cut_as_val_prefers(dataset: str, runs: dict[str, Records]) -> dict[str, Records]:
    """Of each mixer the runs at the size of tokens that is better on val, where five seeds of each have both; else the task's."""
    names = ("attention", *MIXERS, "none")
    sizes = {
        name: [{one["seed"]: one for one in runs.get(name + way, [])} for way in ("", f"[patch={CUT.get(dataset)}]")] for name in names
    }
    few = any(len(usual.keys() & cut.keys()) < 5 for usual, cut in sizes.values())
    if few or not all(own[0]["tuned"] for pair in sizes.values() for own in pair):
        return {name: runs[name] for name in names if name in runs}
    found = {}
    for name, both in sizes.items():
        seeds = both[0].keys() & both[1].keys()
        usual, cut = (np.mean([on_val(own[seed]) for seed in seeds]) for own in both)
        better = cut < usual if runs[name][0]["metric"]["better"] == "lower" else cut > usual
        found[name] = list(both[int(better)].values())
    return found


def on_val(one: dict[str, Any]) -> float:
    return float(one["curve"]["val_metric"][one["curve"]["samples"].index(one["best_samples"])])


def value(one: dict[str, Any]) -> float:
    return float(one["test"]["best"][one["metric"]["name"]])


def compare(a: Records, b: Records) -> Found | None:
    """The difference on common seeds with its interval, and the word for it but for a set's ceiling; None with fewer than two seeds."""
    by_seed = {one["seed"]: one for one in b}
    pairs = [(one, by_seed[one["seed"]]) for one in a if one["seed"] in by_seed]
    n, metric, dataset = len(pairs), a[0]["metric"]["name"], a[0]["dataset"]
    if n < 2:
        return None
    if metric == "mse":
        gaps = np.array([math.log(value(y) / value(x)) for x, y in pairs])
    else:
        gaps = np.array([value(x) - value(y) for x, y in pairs])
    square, complete = stats.t.isf(TAIL, n - 1) ** 2 * gaps.var(ddof=1) / n, True
    if dataset in SHARES:
        kept = [[one.get("examples", {}) for one in both] for both in pairs]
        complete = all("target" in one for both in kept for one in both)
        targets = [ids(both[0]["target"]) for both in kept] if complete else []
        if complete and all(np.array_equal(target, targets[0]) for target in targets):
            right = [[ids(one["prediction"]) == target for one in both] for both, target in zip(kept, targets, strict=True)]
            each = np.mean([x.astype(float) - y for x, y in right], 0)
            assert np.allclose(gaps, [np.mean(x) - np.mean(y) for x, y in right])
            square += stats.t.isf(TAIL, len(each) - 1) ** 2 * each.var(ddof=1) / len(each)
        else:
            square *= 1 + n * SHARES[dataset]
    most = {"accuracy": 1, "bleu": 100, "mse": math.inf}[metric]
    mean, half, margin = round(float(gaps.mean()), 12), math.sqrt(square), MARGINS[metric]
    low, high = max(-most, mean - half), min(most, mean + half)
    if n < 5 or not complete or a[0]["budget"]["name"] == "smoke" or not (a[0]["tuned"] and b[0]["tuned"]):
        return "", mean, low, high, n
    word = "equal" if -margin <= low and high <= margin else "beats" if low > 0 else "loses" if high < 0 else "cannot tell"
    return word, mean, low, high, n


def unmixed(own: dict[str, Records]) -> bool:
    """Whether no mixer is certainly better than none."""
    gained = [compare(runs, own["none"]) for name, runs in own.items() if name != "none"] if "none" in own else []
    return bool(gained) and all(one is not None and one[4] >= 5 and one[2] <= 0 for one in gained)


def recomputed(folder: Path) -> dict[tuple[str, str], Found]:
    """Every comparison of the family that has an interval."""
    found = {}
    for dataset in SETS:
        own = mixers(folder, dataset)
        metric = next(iter(own.values()))[0]["metric"]["name"] if own else ""
        needless = unmixed(own)
        own.pop("none", None)
        full = len(own) == 5 and metric in BEST
        ceiling = full and all(abs(BEST[metric] - np.mean([value(one) for one in runs])) <= MARGINS[metric] for runs in own.values())
        for name in MIXERS:
            one = compare(own["attention"], own[name]) if {"attention", name} <= own.keys() else None
            if one is not None:
                found[dataset, name] = ("", *one[1:]) if ceiling or needless else one
    return found


def both(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def sentences(found: dict[tuple[str, str], Found]) -> list[str]:
    """What has to stand in the headline."""
    wanted: list[str] = []
    odds: dict[tuple[int, int], list[str]] = {}
    alike: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for name, said in MIXERS.items():
        mine = {dataset: one for (dataset, other), one in found.items() if other == name and one[0]}
        own = list(mine.values())
        if own:
            sets = tuple(tuple(d for d, one in mine.items() if one[0] == word) for word in ("beats", "loses", "equal", "cannot tell"))
            alike.setdefault(tuple(one if len(one) < 4 else (f"{len(one)} data sets",) for one in sets), []).append(said)
        if len(own) > 2:
            odds.setdefault((sum(one[1] > 0 for one in own), len(own)), []).append(said)
    for places, names in alike.items():
        whom, clauses = both(names), []
        for verb, sets in zip(("beats", "loses to", "equals", "cannot be told from"), places, strict=True):
            if sets:
                word = {"beats": "beats", "loses to": "loses"}.get(verb)
                meant = [(d, one) for (d, other), one in found.items() if MIXERS[other] in names and one[0] == word]
                gaps: dict[str, list[str]] = {}
                for d, one in sorted(meant, key=lambda pair: abs(pair[1][1])):
                    of = UNITS.get(d, " points")
                    size = math.exp(-one[1]) if of.startswith(" ×") else (100 if of == " points" else 1) * abs(one[1])
                    gaps.setdefault(of, []).append(f"{size:.2g}")
                spans = {of: " to ".join(dict.fromkeys([own[0], own[-1]])) for of, own in gaps.items()}
                by = ", ".join(f"{span}{of}" if of.startswith(" ×") else f"by {span}{of}" for of, span in spans.items())
                clauses.append(f"{verb} {whom} on {both(sets)}" + (f" ({by})" if word else ""))
                whom = "them" if len(names) > 1 else "it"
        wanted.append(both(clauses))
    if wanted:
        words = {d: {one[0] for (other, _), one in found.items() if other == d} - {""} for d in SETS}
        for place, wins, falls in (("ahead", True, False), ("behind", False, True)):
            those = [d for d, said in words.items() if ("beats" in said) == wins and ("loses" in said) == falls]
            wanted += [f"{place} on {both(those)}"] if those else []
        n = len({dataset for (dataset, _), one in found.items() if one[0]})
        shares = []
        for (ahead, of), names in odds.items():
            low, high = stats.binomtest(ahead, of).proportion_ci(0.95, "exact")
            shares.append(f"on {ahead} of {of} against {both(names)} ({100 * low:.0f} to {100 * high:.0f} %)")
        wanted.append(f"on {n} of 9 data sets so far")
        return wanted + (shares or [f"From {n} data set{'s' * (n > 1)} with a verdict, of the family's 9, nothing follows for another."])
    for name, said in MIXERS.items():
        means = [one[1] for (_, other), one in found.items() if other == name]
        wanted += [f"{said} on {sum(mean > 0 for mean in means)} of {len(means)}"] * bool(means)
    few = [f"no verdict from {n} seeds {c}" for n, c in Counter(one[4] for one in found.values()).items() if n < 5]
    return ["No verdict yet on small models trained from scratch; of the family's 36 comparisons", *few, *wanted]


def printed(page: str) -> dict[tuple[str, str], str]:
    """The words in the first table of a page, by data set and mixer."""
    lines = [line for line in page.split("## Outside the family")[0].splitlines() if line.startswith("| ")]
    heads = [cell.strip() for cell in lines[0].split("|")]
    words = {}
    for line in lines[1:]:
        if line.startswith("| [") and "](" in line:
            cells = [cell.strip() for cell in line.split("|")]
            for name, said in MIXERS.items():
                cell = cells[heads.index(f"against {said}")]
                words[cells[1][1:].split("]")[0], name] = next(
                    (w for w in ("beats", "loses", "equal", "cannot tell") if cell.lstrip("*").startswith(w)), ""
                )
    return words


def answer(page: str) -> str:
    """The paragraphs on quality, which a page begins with."""
    return "\n\n".join(page.split("\n\n")[1:3])


def hold(folder: Path) -> dict[tuple[str, str], Found]:
    """Compare what is printed in a results folder with what its records say."""
    found = recomputed(folder)
    page = (folder / "README.md").read_text()
    assert {key: word for key, word in printed(page).items() if word} == {key: one[0] for key, one in found.items() if one[0]}
    with open(folder / "verdicts.csv", newline="") as file:
        table = {(row["dataset"], row["against"].removeprefix("backbone_")): row for row in csv.DictReader(file)}
    assert list(table) == [(dataset, name) for dataset in SETS for name in MIXERS]
    for key, row in table.items():
        word, mean, low, high, n = found.get(key, ("", math.nan, math.nan, math.nan, 0))
        assert row["verdict"] == word, key
        assert [float(row[name] or "nan") for name in ("better_by", "low", "high")] == pytest.approx([mean, low, high], nan_ok=True), key
        assert int(row["seeds"]) == n or key not in found
    headline = answer(page)
    needless = [dataset for dataset in SETS if unmixed(mixers(folder, dataset))]
    assert ("than a network that mixes nothing" in headline) == bool(needless)
    assert all(text in headline for text in [*sentences(found), *([f"On {both(needless)} no mixer"] if needless else [])]), headline
    facts = view.facts(Store(folder))
    first, *cost = facts["headline"]
    whole = "\n\n".join("\n- ".join(paragraph) for paragraph in [first, *facts["reach"], *cost])
    assert whole.startswith(headline)
    return found


FOLDERS = sorted(path.parent for path in (Path(ROOT) / "results").glob("*/runs") if path.parent.name != "local")


@pytest.mark.parametrize("folder", FOLDERS, ids=[folder.name for folder in FOLDERS])
def test_what_is_committed(folder: Path) -> None:
    hold(folder)


def test_the_page_of_all_machines_begins_with_what_the_records_say() -> None:
    headline = answer((Path(ROOT) / "results" / "README.md").read_text())
    assert any(all(text in headline for text in sentences(recomputed(folder))) for folder in FOLDERS)


def filled(folder: Path) -> Store:
    """Every word and every reason for none: shared test sets, re-splits, ceilings, no mixing as good, smoke, few seeds, an older recipe,
    another budget, two machines of one arithmetic and what another computed."""
    store, g = Store(folder), np.random.default_rng(8)
    names = ["attention", *MIXERS]
    truths: dict[str, np.ndarray] = {}

    def put(dataset: str, name: str, seed: int, metric: str, score: float, **fields: Any) -> None:
        about = {"name": metric, "better": "lower" if metric == "mse" else "higher", "percent": metric == "accuracy"}
        budget = {"name": "default", "dtype": "float32", "samples": 20, "seeds": 5}
        test = {"best": {"loss": 1.0, metric: score}, "last": {"loss": 1.0, metric: score}}
        fields = {"budget": budget, "metric": about, "test": test, "tuned": dataset != "translation" or name != "local"} | fields
        store.put_run(run(f"backbone_{name}", seed, score, dataset=dataset, **fields))

    def classified(
        dataset: str,
        samples: int,
        rates: list[float],
        seeds: int,
        shared: bool = True,
        none: float | None = None,
        cut: str = "",
        **fields: Any,
    ) -> None:
        true = truths.setdefault(dataset, g.integers(0, 10, samples).astype("u1"))
        unmixed = [] if none is None else [("none", none)]
        for name, rate in [*zip(names, rates, strict=True), *unmixed]:
            name += cut
            for seed in range(seeds):
                target = true if shared else np.roll(true, seed)
                right = g.random(samples) < rate
                kept = {"kind": "classes", "loss": pack(np.zeros(samples, "<f2")), "target": pack(target)}
                kept["prediction"] = pack(np.where(right, target, 99).astype("u1"))
                put(dataset, name, seed, "accuracy", float(right.mean()), examples=kept, **fields)

    classified("digits", 350, [0.9, 0.7, 0.9, 0.97, 0.9], 10)
    classified("digits_affine", 350, [0.9, 0.6, 0.9, 0.99, 0.9], 7, shared=False, none=0.99)
    classified("digits_translated", 350, [0.9, 0.6, 0.9, 0.99, 0.9], 4)
    classified("mnist", 4000, [0.98, 0.98, 0.97, 0.981, 0.9], 12, none=0.8)
    classified("mnist", 4000, [0.99, 0.9, 0.99, 0.9, 0.99], 5, none=0.7, cut="[patch=7]", recipe="cut")  # three of five do better
    classified("mnist1d", 1000, [0.998, 0.997, 0.999, 0.998, 0.998], 5)
    classified("mnist_5k", 1000, [0.9, 0.9, 0.8, 0.95, 0.9], 9, budget={"name": "smoke", "dtype": "float32", "samples": 9, "seeds": 5})
    for name, level in zip(names, [0.01, 0.02, 0.0101, 0.005, 0.0098], strict=True):
        for seed in range(6):
            machine = run("x", 0, 0.0)["machine"] | ({"slug": "another"} if seed > 3 else {})  # merged of two machines
            put("shapes", name, seed, "mse", level * math.exp(0.01 * g.standard_normal()), machine=machine)
            if name != "local":
                put("shapes", name, seed, "mse", 1.0, machine=machine | {"torch": "1.9"}, recipe="elsewhere")
            put("shapes_pairs", name, seed, "mse", level, recipe="before", conditions="old")
            put("shapes_pairs", name, seed, "mse", level * math.exp(0.3 * g.standard_normal()), recipe="after", conditions="new")
            put("translation", name, seed, "bleu", 1e3 * level + 50 + g.standard_normal() / 9)
    for seed in range(8):
        budget = {"name": "paper", "dtype": "float32", "samples": 10**6, "seeds": 8}
        put("translation", "attention", seed, "bleu", 99.0, budget=budget)
    return store


def test_every_kind_of_verdict(tmp_path: Path) -> None:
    report.write(filled(tmp_path / "box"), draw=False)
    found = hold(tmp_path / "box")
    assert {one[0] for one in found.values()} == {"", "beats", "loses", "equal", "cannot tell"}
    undecided = {key[0] for key, one in found.items() if not one[0]}
    assert len(found) == 4 * 9 and undecided == {"digits_affine", "digits_translated", "mnist1d", "mnist_5k", "translation"}
    page = reference.write(tmp_path).read_text()
    assert all(text in answer(page) for text in sentences(found))
