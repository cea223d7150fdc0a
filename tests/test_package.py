"""The wheel: what is in it, and that it works where nothing of the project lies."""

import zipfile
from pathlib import Path

import pytest

import lenetscope
from conftest import Installed

pytestmark = [pytest.mark.xdist_group("installed"), pytest.mark.slow]


def test_the_wheel_holds_the_data_the_recipes_and_the_licence(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    assert {"lenetscope/py.typed", "lenetscope/recipes/reference.toml"} <= names
    assert sum(name.startswith("lenetscope/data/mnist/") for name in names) == 4
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [n for n in names if n.startswith("tests") or "__pycache__" in n]


def test_the_installed_commands_work_in_an_empty_folder(installed: Installed, tmp_path: Path) -> None:
    done = installed.run("lenetscope --version", tmp_path)
    assert done.stdout.strip() == lenetscope.__version__
    where = installed.run("python -c 'import lenetscope; print(lenetscope.__file__)'", tmp_path)
    assert str(installed.environment) in where.stdout
    code = (
        'from lenetscope import Architecture as A; print(A.from_recipe("reference").count_parameters())'
    )
    assert installed.run(f"python -c '{code}'", tmp_path).stdout == "421642\n"
    assert not any(tmp_path.iterdir())
