"""Scores and tallies, against hand-computed answers and scikit-learn."""

import json
import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from torch import nn

from lenetscope.errors import DataError, UsageError
from lenetscope.evaluation import Scores, Tally, evaluate, wilson_interval


def tally_of(true: list[int], predicted: list[int], classes: int) -> Tally:
    """Tally predictions of high confidence, in batches of three."""
    tally = Tally()
    for start in range(0, len(true), 3):
        logits = nn.functional.one_hot(torch.tensor(predicted[start : start + 3]), classes).float() * 9
        labels = torch.tensor(true[start : start + 3])
        tally.add(logits, labels, nn.functional.cross_entropy(logits, labels), nn.CrossEntropyLoss())
    return tally


pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@given(pairs)
def test_all_figures_agree_with_scikit_learn(both: list[tuple[int, int]]) -> None:
    true, predicted = map(list, zip(*both, strict=True))
    scores = Scores.from_tally(tally_of(true, predicted, 4), tuple("abcd"))
    assert scores.n == len(true)
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(true, predicted))
    assert np.array_equal(scores.confusion, metrics.confusion_matrix(true, predicted, labels=range(4)))
    expected = metrics.precision_recall_fscore_support(
        true, predicted, labels=range(4), zero_division=np.nan
    )
    for row, precision, recall, f1, n in zip(scores.per_class(), *expected, strict=True):
        assert row.n == n
        for mine, theirs in ((row.precision, precision), (row.recall, recall)):
            assert mine == pytest.approx(theirs) if mine is not None else np.isnan(theirs)
        if row.f1 is not None:
            assert row.f1 == pytest.approx(f1)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_interval_is_that_of_wilson(n: int, fraction: float) -> None:
    successes = round(n * fraction)
    low, high = wilson_interval(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    for bound in (low, high):  # the bounds solve |fraction - p| = z * sqrt(p * (1 - p) / n)
        distance = abs(successes / n - bound)
        assert distance == pytest.approx(1.959964 * (bound * (1 - bound) / n) ** 0.5, abs=1e-6)


@pytest.mark.parametrize("given", [(1, 0), (3, 2), (-1, 2), (0.5, 2), ("1", 2)])
def test_an_interval_of_no_counts_is_refused(given: tuple) -> None:
    with pytest.raises(UsageError, match="must be a whole number"):
        wilson_interval(*given)


def test_the_worst_pairs_and_the_dictionary() -> None:
    scores = Scores.from_tally(tally_of([0, 0, 0, 1, 1, 2], [0, 1, 1, 2, 1, 2], 3))
    pairs = [(row.true, row.predicted, row.n) for row in scores.most_confused()]
    assert pairs == [("0", "1", 2), ("1", "2", 1)]
    assert json.loads(json.dumps(scores.as_dict())) == {
        "n": 6,
        "errors": 3,
        "accuracy": 0.5,
        "accuracy_interval": list(wilson_interval(3, 6)),
        "loss": scores.loss,
        "classes": ["0", "1", "2"],
        "confusion": [[1, 2, 0], [0, 1, 1], [0, 0, 1]],
        "per_class": [
            {"class": "0", "n": 3, "precision": 1, "recall": 1 / 3, "f1": 0.5},
            {"class": "1", "n": 2, "precision": 1 / 3, "recall": 0.5, "f1": 0.4},
            {"class": "2", "n": 1, "precision": 0.5, "recall": 1, "f1": 2 / 3},
        ],
    }


def test_scores_are_tables_in_a_notebook() -> None:
    scores = Scores.from_tally(tally_of([0, 0, 0, 1], [0, 0, 1, 1], 3), ("cat", "<dog>", "cow"))
    html = scores._repr_html_()
    for text in ("4", "75.00 % (95 % interval 30.06 to 95.44 %)", f"{scores.loss:.4f}"):
        assert f">{text}<" in html
        assert text in repr(scores)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]
    assert ["cat", "3", "100.00 %", "66.67 %", "80.00 %"] in rows
    assert ["&lt;dog&gt;", "1", "50.00 %", "100.00 %", "66.67 %"] in rows
    assert ["cow", "0", "-", "-", "-"] in rows


def test_there_must_be_something_to_score() -> None:
    with pytest.raises(DataError, match="the loader gave no samples"):
        Scores.from_tally(Tally())
    tally = Tally()
    tally.add(torch.zeros(2, 1), torch.zeros(2, 1), torch.tensor(1.0), nn.MSELoss())
    assert tally.accuracy is None
    with pytest.raises(DataError, match="scores are for classification"):
        Scores.from_tally(tally)
    tally = Tally()
    ignored = torch.full((2,), -100)
    tally.add(torch.zeros(2, 3), ignored, torch.tensor(0.0), nn.CrossEntropyLoss())
    with pytest.raises(DataError, match="no label is one of the classes"):
        Scores.from_tally(tally)


def test_tallies_of_several_processes_add_up_also_if_one_saw_nothing() -> None:
    parts = [tally_of([0, 1, 2], [0, 1, 1], 3), Tally(), tally_of([2], [2], 3)]
    inbox: list[list[torch.Tensor]] = []

    def run_together() -> list[Tally]:
        """Let each process ask for its sums in turn; a first round collects what each puts in."""
        results = []
        for number, part in enumerate(parts):
            asked: list[torch.Tensor] = []

            def reduce(tensor: torch.Tensor, asked: list[torch.Tensor] = asked) -> torch.Tensor:
                asked.append(tensor)
                step = len(asked) - 1
                if len(inbox) <= step:
                    return sum((_sizes(p) for p in parts), torch.zeros(4, dtype=torch.float64))
                return torch.stack(inbox[step]).sum(0)

            results.append(part.summed(reduce))
            assert len(asked) == 2, f"process {number} left the others waiting"
        return results

    def _sizes(part: Tally) -> torch.Tensor:
        k = 0 if part.confusion is None else 3
        return torch.tensor([part.n, part.loss_sum, k, k > 0], dtype=torch.float64)

    whole = tally_of([0, 1, 2, 2], [0, 1, 1, 2], 3)
    inbox.append([_sizes(p) for p in parts])
    inbox.append([torch.zeros(3, 3) if p.confusion is None else p.confusion.double() for p in parts])
    for total in run_together():
        assert total.n == 4
        assert total.loss == pytest.approx(whole.loss)
        assert torch.equal(total.confusion, whole.confusion)


def test_a_summed_loss_is_not_weighted_again() -> None:
    tally = Tally()
    outputs, labels = torch.rand(4, 3), torch.tensor([0, 1, 2, 0])
    loss_fn = nn.CrossEntropyLoss(reduction="sum")
    tally.add(outputs, labels, loss_fn(outputs, labels), loss_fn)
    assert tally.loss == pytest.approx(nn.functional.cross_entropy(outputs, labels).item())


def test_evaluation_counts_each_sample_once_whatever_the_batches() -> None:
    model = nn.Linear(2, 3)
    inputs, labels = torch.rand(11, 2), torch.arange(11) % 3
    for size in (1, 4, 11):
        batches = list(zip(inputs.split(size), labels.split(size), strict=True))
        parts = [evaluate(model, batches, nn.CrossEntropyLoss(), rank=r, processes=3,
                          reduce=lambda t: t) for r in range(3)]  # fmt: skip
        whole = evaluate(model, batches, nn.CrossEntropyLoss())
        assert sum(p.n for p in parts) == whole.n == 11
        assert whole.loss == pytest.approx(nn.functional.cross_entropy(model(inputs), labels).item())
