"""What the claims ledger may not say: every mistake is named with its line, exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import main
from tests.test_claims import COUNT, HEAD, accuracy, written

CLAIMED = HEAD + COUNT
SUM = CLAIMED.replace("parameters", "arithmetic")
WRONG = [
    ("not = = toml\n", 1, "no TOML"),
    (HEAD + "[[claim]]\nsource = \n", 5, "no TOML"),
    (CLAIMED.replace('"mlp"', '"mpl"'), 7, "unknown model 'mpl'; did you mean 'mlp'? (python -m bench list)"),
    (CLAIMED.replace('"gaussian"', '"gausian"'), 8, "unknown data set 'gausian'; did you mean 'gaussian'"),
    (CLAIMED.replace('"parameters"', '"paramters"'), 6, "unknown quantity 'paramters'; did you mean 'parameters' or"),
    (CLAIMED + "publised = 3\n", 11, "unknown key 'publised'; did you mean 'published'?"),
    (CLAIMED.replace("105", '"105"'), 9, "published must be a whole number or a number or a list or a table, not '105'"),
    (CLAIMED.replace("105", "true"), 9, "not True"),
    (CLAIMED.replace("105", "[105, 106]"), 9, "2 figures and nothing to tell them apart"),
    (CLAIMED.replace("105", "[105, 106]").replace('"gaussian"', '["gaussian"]'), 9, "2 figures and 1 of 'dataset'"),
    (CLAIMED + 'near = { model = "vti" }\n', 11, "unknown model 'vti'; did you mean 'vit'"),
    (CLAIMED + "relative = 1.5\n", 11, "as a share of the figure lies between 0 and 1"),
    (CLAIMED + "size = [4]\n", 11, "size must be a table, not 4"),
    (CLAIMED.replace('"gaussian"', "[3]").replace("105", "[105]"), 8, "dataset must be a text, not 3"),
    (HEAD + accuracy(97, more='order = "above"\n'), 14, "order is one of <, >"),
    (HEAD + accuracy(97, more='order = "<"\n'), 13, "either a tolerance or, as a conclusion, an order"),
    (HEAD + accuracy(97).replace('"best"', '"last"'), 6, "taken is one of best, final, training"),
    (HEAD + accuracy(97).replace('"best"', '"final"'), 6, "a final figure is not judged on value, which is best"),
    (HEAD + accuracy(97).replace('taken = "best"\n', ""), 4, "does not say when it was taken"),
    (HEAD.replace("title", "beside = 'T'\ntitle") + COUNT, 1, "unknown source 'T'"),
    (CLAIMED + '\n[[picture]]\nsource = "S"\nshows = "so"\nits = []\nmade = "so"\n', 12, "a picture needs 'ours'"),
    (CLAIMED + '\n[[picture]]\nsource = "S"\nshows = "so"\nits = [3]\nours = []\nmade = "so"\n', 15, "its must be a list of paths"),
    (CLAIMED.replace("published = 105\n", ""), 4, "a claim needs 'published'"),
    (CLAIMED.replace('source = "S"', 'source = "T"'), 5, "unknown source 'T'"),
    (CLAIMED.replace('expect = "holds"', 'expect = "hold"'), 10, "holds, does not hold, explained"),
    (CLAIMED.replace('expect = "holds"\n', ""), 4, "needs the verdict we expect"),
    (CLAIMED + 'formula = "1"\n', 11, "arithmetic needs a formula, and nothing else has one"),
    (CLAIMED + "size = { widht = 3 }\n", 4, "unexpected keyword argument 'widht'"),
    (CLAIMED + 'explained.because = "so"\n', 11, "a condition"),
    (CLAIMED + '[claim.explained]\nbecause = "so"\nmodel = "mpl"\n', 13, "unknown model 'mpl'"),
    (CLAIMED + '[claim.explained]\nbecause = "so"\nvalu = 3\n', 13, "unknown key 'explained.valu'; did you mean 'value'?"),
    (CLAIMED + "\n[[claims]]\n", 12, "unknown table 'claims'; did you mean 'claim'?"),
    (CLAIMED + '\n[[note]]\nsource = "S"\n', 12, "a note needs 'text'"),
    (HEAD.replace("title", "titel") + COUNT, 1, "source 'S' needs a title"),
    (HEAD + accuracy(97).replace('"published"', '"publishd"'), 11, "unknown budget 'publishd'; did you mean 'published'"),
    (HEAD + accuracy(97).replace("tolerance = 0.5\n", ""), 4, "a measured figure needs either a tolerance or"),
    (HEAD + accuracy(97).replace('budget = "published"\n', ""), 4, "needs the budget"),
    (HEAD + accuracy(97, more='expect = "holds"\n'), 14, "only a computed figure"),
    (HEAD + accuracy(97).replace('dataset = "mnist"\n', ""), 8, "names a model and no data set"),
    (HEAD + accuracy(97, more='over = { model = "vti" }\n'), 14, "unknown model 'vti'; did you mean 'vit'"),
    (CLAIMED + "\n" + COUNT.replace('model = "mlp"\n', "").replace("published =", "published.mpl ="), 16, "unknown model 'mpl'"),
    (SUM + 'formula = "one"\n', 4, "no number"),
    (SUM + 'formula = "10**400"\n', 4, "Numerical result out of range"),
    (SUM + 'formula = "(0 - 8) ** 0.5"\n', 4, "no finite real number"),
    ("", 1, "no [[claim]] in it"),
    (HEAD, 1, "no [[claim]] in it"),
    (HEAD + COUNT.replace("[[claim]]", "[claim]"), 4, "'claim' is written [[claim]]"),
    (CLAIMED + '\n[note]\nsource = "S"\ntext = "so"\n', 12, "'note' is written [[note]]"),
    ("note = [3]\n" + CLAIMED, 1, "'note' is written [[note]]"),
    ("sources = 3\n" + COUNT, 1, "'sources' is written [sources.NAME]"),
    ('claim = [{ source = "S" }]\n' + HEAD, 1, "a claim needs 'quantity'"),
    (CLAIMED + "size = { width = [4] }\n", 11, "size.width must be a whole number or a text, not [4]"),
    (CLAIMED.replace("105", "nan"), 9, "published must be a finite number, not NaN"),
    (CLAIMED.replace("105", "inf"), 9, "published must be a finite number, not Infinity"),
    (CLAIMED.replace("105", "1e999"), 9, "published must be a finite number, not 1E+999"),
    (CLAIMED.replace("105", "9" * 400), 9, "published must be a finite number, not 999"),
    (CLAIMED.replace("105", "9" * 5000), 1, "no TOML that can be read"),
    (CLAIMED.replace("105", "{}"), 9, "published names no figure"),
    (CLAIMED.replace("105", "[]").replace('"gaussian"', "[]"), 9, "published names no figure"),
    (CLAIMED + "tolerance = -1\n", 11, "a tolerance is not negative"),
    (CLAIMED + 'ours = "yes"\n', 11, "ours must be true or false"),
    (HEAD + accuracy(97, more="ours = true\n"), 14, "only a computed figure can be our own"),
    (HEAD + accuracy(97, more="size = { depth = 1 }\n"), 14, "runs are of a model's own size"),
    (HEAD + accuracy(97, more="epoch = 3\n"), 14, "only train_loss, last_loss, train_value, val_loss, val_last are known at an epoch"),
    (HEAD + accuracy(97, more='explained = { because = "so", value = 60 }\n'), 14, "not by another value"),
    (
        HEAD + accuracy(97, more='explained = { because = "so", budget = "paper", tolerance = 50 }\n'),
        14,
        "between 0 and the claim's own, 0.5",
    ),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG, ids=[message for *_, message in WRONG])
def test_a_wrong_ledger_is_named_with_its_line(
    text: str, line: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["claims", "--claims", str(written(tmp_path, text)), "--results", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert f"ledger/claims.toml:{line}: " in said
    assert message in said
    assert not (tmp_path / "claims.md").exists()


def test_a_ledger_that_is_no_text_or_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "")
    path.write_bytes(b"# one\n# \xff\n")
    assert main(["claims", "--claims", str(path), "--results", str(tmp_path)]) == 2
    assert "ledger/claims.toml:2: not UTF-8" in capsys.readouterr().err
    assert main(["claims", "--claims", str(tmp_path / "none.toml")]) == 2
    assert "none.toml: No such file" in capsys.readouterr().err
