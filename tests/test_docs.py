"""What the README and the docs show runs, from the built wheel, in an empty folder.

```python blocks of a page run in order, in one process. Of ```console blocks each line after ``$ ``
runs, ends with 0 (or with what ``# exits with N`` says), and prints what is shown, numbers aside; they
find the page's Python blocks that begin with ``# name.py`` as files of that name.
A ```diff block is applied to a copy of the package. ```bash blocks are for people: they install, train
for minutes or need something that is not here.
"""

import functools
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import Installed

# in one process: they share the installed wheel, its run, and commands that several pages show
pytestmark = pytest.mark.xdist_group("installed")

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


@pytest.fixture(scope="module")
def folder(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of the reference network, one epoch on all of MNIST, and a picture."""
    folder = tmp_path_factory.mktemp("reader")
    done = installed.run("lenetscope train --epochs 1", folder)
    assert done.returncode == 0, done.stderr
    digit = np.zeros((56, 56), dtype=np.uint8)
    digit[12:16, 16:40] = 255
    for row in range(12, 46):
        left = 38 - (row - 12) * 16 // 34
        digit[row, left - 2 : left + 2] = 255
    Image.fromarray(digit).save(folder / "digit.png")
    return folder


@pytest.fixture(scope="module")
def run(installed: Installed, folder: Path) -> Callable[[str], "subprocess.CompletedProcess[str]"]:
    """Return a function that runs a command in the folder, once."""
    return functools.cache(lambda command: installed.run(command, folder))


def skeleton(text: str) -> list[str]:
    """Return the lines with numbers, also such as >99.9, and the width of white space taken out."""
    return [
        " ".join(re.sub(r"[<>]?\d[\d.,]*", "#", line).split()) for line in text.strip().splitlines()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "console")], ids=lambda p: p.name)
def test_commands(
    run: Callable[[str], "subprocess.CompletedProcess[str]"], folder: Path, page: Path
) -> None:
    for program in blocks(page, "python"):
        if name := re.match(r"# (\w+\.py)\n", program):
            (folder / name[1]).write_text(program, "utf-8")
    for block in blocks(page, "console"):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            command, _, note = command.partition("  #")
            status = int(re.search(r"exits with (\d)", note)[1]) if note else 0
            done = run(command)
            assert done.returncode == status, f"{command}: {done.stderr}"
            if shown.strip() not in ("", "..."):
                assert skeleton(shown) == skeleton(done.stdout), command


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_python(installed: Installed, folder: Path, page: Path) -> None:
    program = folder / "page.py"
    program.write_text("\n".join(blocks(page, "python")), "utf-8")
    done = subprocess.run(
        [installed.python, "-W", "error", "page.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_new_field_of_the_recipe_has_its_flag(installed: Installed, tmp_path: Path) -> None:
    (diff,) = blocks(ROOT / "docs" / "architecture.md", "diff")
    package = next((installed.environment / "lib").glob("python*")) / "site-packages" / "lenetscope"
    shutil.copytree(package, tmp_path / "lenetscope", ignore=shutil.ignore_patterns("*.xz"))
    (tmp_path / "field.diff").write_text(diff, "utf-8")
    subprocess.run(["git", "apply", "field.diff"], cwd=tmp_path, check=True)
    told = installed.run("python -m lenetscope train --help", tmp_path)
    assert "--nesterov" in told.stdout
    assert "Nesterov momentum, for SGD" in told.stdout
    (tmp_path / "use.py").write_text(
        "import torch\n"
        "from lenetscope.recipe import Recipe\n"
        "from lenetscope.training.choices import OPTIMIZERS\n"
        "recipe = Recipe.load('reference', nesterov=True)\n"
        "optimizer = OPTIMIZERS.get('sgd')(torch.nn.Linear(2, 2).parameters(), recipe)\n"
        "print(optimizer.defaults['nesterov'])\n",
        "utf-8",
    )
    assert installed.run("python use.py", tmp_path).stdout == "True\n"


@pytest.mark.parametrize("page", PAGES + sorted(ROOT.glob("[A-Z]*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


def test_every_command_has_its_page() -> None:
    from lenetscope.cli.app import app

    commands = {name for name in app if not name.startswith("-")}
    assert commands <= {page.stem for page in (ROOT / "docs").glob("*.md")}
    assert commands == {
        *("train", "evaluate", "compare", "predict", "read", "inspect", "report", "find-lr", "tune"),
        *("recipes", "data", "export", "serve", "play"),
    }
