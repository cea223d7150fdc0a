"""Drawing in the playground."""

from collections.abc import Callable

import pytest

from visitors import Visitor

pytestmark = pytest.mark.slow

SEVEN = [(0.3, 0.2), (0.7, 0.2), (0.4, 0.85)]


def test_a_drawing_is_predicted(visit: Callable[..., Visitor]) -> None:
    visitor = visit()
    visitor.page.locator("#clear").click()
    visitor.draw(SEVEN)
    assert visitor.prediction.startswith("7, with")
    assert (
        visitor.value("page.outputs.probabilities.indexOf(Math.max(...page.outputs.probabilities))")
        == 7
    )
