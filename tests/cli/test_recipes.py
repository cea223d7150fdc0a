"""``lenetscope recipes``."""

import json
from collections.abc import Callable

from lenetscope.recipe import names, source

Cli = Callable[..., tuple[int, str, str]]


def test_all_recipes_are_listed_and_one_is_printed(cli: Cli) -> None:
    lines = cli("recipes")[1].splitlines()
    assert [line.split()[0] for line in lines] == names()
    assert lines[0].startswith("fast       99 % in one epoch")
    assert cli("recipes", "reference")[1] == source("reference")
    found = json.loads(cli("recipes", "--json")[1])["recipes"]
    assert [recipe["name"] for recipe in found] == names()
    assert json.loads(cli("recipes", "reference", "--json")[1])["batch_size"] == 64
