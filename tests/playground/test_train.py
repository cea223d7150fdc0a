"""Training in the playground: followed live, paused, changed, stopped, killed, resumed bit for bit."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lenetscope import Architecture
from lenetscope.errors import RecipeError
from lenetscope.inspection import Inspection
from lenetscope.playground import settings
from lenetscope.playground.training import DIED
from lenetscope.report import facts
from lenetscope.report.network import Described, describe
from lenetscope.runs.folder import Run
from report_runs import make_run
from visitors import Playground, Visitor, serve

STEPS = 4
"""Steps per epoch: 60 images in batches of 16."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, idx_folder: Path) -> Run:
    """A run on images with bars, whose settings the trainings here begin with."""
    return make_run(tmp_path_factory.mktemp("bars") / "bars", idx_folder, model="lean", lr=0.01)


@pytest.fixture
def place(run: Run, tmp_path: Path) -> Iterator[Playground]:
    """A playground that shows the run, and puts new ones into an empty folder."""
    yield from serve(tmp_path, run)


def wait(place: Playground, phase: str, seconds: float = 240) -> dict[str, Any]:
    """Wait until the training is in a phase, and return what is known of it."""
    end = time.monotonic() + seconds
    while (state := place.lab.training.state)["phase"] != phase:
        assert time.monotonic() < end, state
        assert state["phase"] != "failed", state["error"]
        time.sleep(0.02)
    return state


def ended(place: Playground) -> dict[str, Any]:
    """Wait until the training has ended, and return how."""
    end = time.monotonic() + 240
    while place.lab.training.is_active:
        assert time.monotonic() < end
        time.sleep(0.02)
    return {name: place.lab.training.state[name] for name in ("phase", "error")}


def start(place: Playground, **fields: Any) -> None:
    assert place.ask("training-start", {"base": "run bars", "fields": fields}) == (200, {})


def kept(run: Path) -> dict[str, bytes]:
    """Return the files that must come out the same to the last bit."""
    files = [*run.rglob("*.safetensors"), run / "updates.jsonl"]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def children(pid: int) -> list[int]:
    """Return the processes that train for a process; others are helpers of Python's."""
    shown = subprocess.run(
        ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return [int(line.split()[0]) for line in shown.stdout.splitlines() if "spawn_main" in line]


def has_ended(pid: int) -> bool:
    shown = subprocess.run(["ps", "-o", "stat=", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.strip()[:1] in ("", "Z")  # an orphan may wait for the system's first process


@pytest.mark.slow
def test_a_training_is_the_one_of_the_command_line(
    place: Playground, run: Run, idx_folder: Path, tmp_path: Path
) -> None:
    start(place, epochs=2)
    assert place.ask("training-order", {"order": "pause"}) == (200, {})  # before the first step
    status, refused = place.ask("training-start", {"base": "run bars"})
    assert status == 422
    assert "is being trained" in refused["error"]
    state = wait(place, "paused")
    assert (state["run"], state["done"], state["steps"]) == ("reference-1", 0, STEPS)
    assert len(state["curve"]["at"]) == 1
    path = tmp_path / "runs" / "reference-1"
    place.ask("training-order", {"order": "stop"})
    wait(place, "stopped")
    assert not children(os.getpid())
    assert place.ask("training-settings")[1]["unfinished"] == [
        {"run": "reference-1", "done": 0, "epochs": 2}
    ]
    assert place.ask("training-resume", {"run": "reference-1"}) == (200, {})
    state = wait(place, "finished")
    assert state["opened"]
    assert state["curve"]["at"] == [k / STEPS for k in range(1, 2 * STEPS + 1)]
    finished = Run.open(path)
    assert state["history"] == finished.history()
    assert state["accuracy"] == finished.scores()["accuracy"]
    assert place.ask("training-settings")[1]["unfinished"] == []
    assert place.ask("network", {"run": "reference-1"})[1]["epochs"] == [0, 1, 2]
    # the whole epoch's mean follows from the points of the curve, weighted by images
    points = np.array([state["curve"]["loss"], state["curve"]["accuracy"]]).reshape(2, 2, STEPS)
    means = np.average(points, axis=2, weights=[16, 16, 16, 12])
    assert np.allclose(means[0], [row["train_loss"] for row in state["history"]])
    assert np.allclose(means[1], [row["train_accuracy"] for row in state["history"]])
    direct = make_run(tmp_path / "direct", idx_folder, model="lean", lr=0.01, epochs=2)
    assert kept(path) == kept(direct.path)
    sent = np.frombuffer(place.ask("training-weights")[1], "<f4")
    assert np.array_equal(sent, describe(direct.load_model(), (1, 28, 28)).weights)


@pytest.mark.slow
def test_the_learning_rate_changes_while_it_trains(
    place: Playground, idx_folder: Path, tmp_path: Path
) -> None:
    start(place, epochs=2, schedule="cosine")
    place.ask("training-order", {"order": "pause"})
    wait(place, "paused")
    (trainer,) = children(os.getpid())
    os.kill(trainer, signal.SIGKILL)
    assert ended(place) == {"phase": "failed", "error": DIED}
    assert not children(os.getpid())
    place.ask("training-resume", {"run": "reference-1"})
    place.ask("training-order", {"order": "pause"})
    wait(place, "paused")
    assert place.ask("training-order", {"order": "rate", "lr": 0.002}) == (200, {})
    place.ask("training-order", {"order": "continue"})
    state = wait(place, "finished")
    assert state["lrChanges"] == [{"epoch": 0, "step": 2, "lr": 0.002}]
    # cosine over two epochs: the recipe's rate in the first, half of it in the second
    assert [row["lr"] for row in state["history"]] == pytest.approx([0.002, 0.001])
    changed = Run.open(tmp_path / "runs" / "reference-1")
    assert changed.environment()["lr_changes"] == state["lrChanges"]
    assert changed.recipe().lr == 0.01
    told = ("lr changed", "to 0.002 in epoch 1, after step 2")
    assert told in facts.environment(Inspection.open(changed))
    status, refused = place.ask("training-order", {"order": "pause"})
    assert (status, refused) == (422, {"error": "no training goes on that could be asked."})

    # what it did, by hand
    arch = Architecture.from_recipe(changed.recipe())
    for _ in range(2):
        arch.train(stop=lambda: True, progress=False)
    for group in arch.optimizer.param_groups:
        group.update(lr=0.002, initial_lr=0.002)
    arch.scheduler.base_lrs = [0.002]
    arch.train(progress=False)
    weights = describe(arch.model, (1, 28, 28)).weights
    assert np.array_equal(weights, describe(changed.load_model(), (1, 28, 28)).weights)


@pytest.mark.slow
def test_a_killed_playground_loses_nothing(run: Run, idx_folder: Path, tmp_path: Path) -> None:
    epochs = 30
    path = tmp_path / "runs" / "reference-1"
    for number in (signal.SIGKILL, signal.SIGTERM):
        command = ["play", str(run.path), "--no-browser", "--port", "0", "--folder", str(tmp_path)]
        server = subprocess.Popen(
            [sys.executable, "-m", "lenetscope", *command], stdout=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        url = re.match(r"\S+", server.stdout.readline())
        assert url is not None
        place = Playground(url[0], None)  # type: ignore[arg-type]
        if number == signal.SIGKILL:
            start(place, epochs=epochs)
        else:
            assert place.ask("training-resume", {"run": "reference-1"}) == (200, {})
        (trainer,) = children(server.pid)
        before = len(_history(path))
        while len(_history(path)) < before + 2:
            assert server.poll() is None
            time.sleep(0.005)
        server.send_signal(number)
        assert server.wait(60) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
        server.stdout.close()
        end = time.monotonic() + 60
        while not has_ended(trainer):
            assert time.monotonic() < end, "the process of the training goes on"
            time.sleep(0.02)
        assert len(_history(path)) < epochs
        assert not list(path.rglob(".*")), "something half written is left"
    served = serve(tmp_path, run)
    place = next(served)
    (unfinished,) = place.ask("training-settings")[1]["unfinished"]
    assert unfinished == {"run": "reference-1", "done": len(_history(path)), "epochs": epochs}
    place.ask("training-resume", {"run": "reference-1"})
    wait(place, "finished")
    served.close()
    direct = make_run(tmp_path / "direct", idx_folder, model="lean", lr=0.01, epochs=epochs)
    assert kept(path) == kept(direct.path)


def _history(run: Path) -> list[str]:
    file = run / "history.jsonl"
    return file.read_text().splitlines() if file.exists() else []


@pytest.mark.slow
def test_a_page_follows_a_training(
    visit: Callable[..., Visitor], place: Playground, tmp_path: Path
) -> None:
    visitor = visit(place=place)
    page = visitor.page
    page.set_default_timeout(240_000)  # a process starts, which may take long on a busy machine
    view = page.locator("play-train")
    page.locator("#tab-train").click()
    page.locator("play-train input[name=lr]").fill("-1")
    view.get_by_role("button", name="Start training").click()
    view.get_by_text("'lr' must be above 0, not -1.").wait_for()
    assert ["422" in message for message in visitor.messages] == [True]  # the browser's own
    visitor.messages.clear()
    page.locator("play-train input[name=lr]").fill("0.01")
    page.locator("play-train input[name=epochs]").fill("3")
    view.get_by_role("button", name="Start training").click()
    view.get_by_role("button", name="Pause").click()
    view.get_by_role("heading", name="reference-1: paused").wait_for()
    visitor.until("page.facts.live && page.facts.run === 'reference-1'", 60)
    paused = visitor.value("Array.from(page.network.weights)")
    assert view.locator("form.rate input").input_value() == "0.01"
    other = visit(place=place)  # which hears of all that happened
    other.page.set_default_timeout(60_000)
    other.page.locator("#tab-train").click()
    other.page.get_by_role("heading", name="reference-1: paused").wait_for()
    assert other.value("page.facts.run") == "bars"
    view.get_by_role("button", name="Go on").click()
    view.get_by_role("heading", name="reference-1: finished").wait_for()
    visitor.until("!page.facts.live && page.facts.run === 'reference-1'")  # the run itself is opened
    final = Run.open(tmp_path / "runs" / "reference-1")
    expected = describe(final.load_model(), (1, 28, 28)).weights
    assert np.allclose(visitor.value("Array.from(page.network.weights)"), expected)
    assert not np.allclose(paused, expected)
    for page_of in (visitor, other):
        assert page_of.page.locator("play-train .curves .watched .dots circle").count() == 2 * 3
        points = page_of.page.locator("play-train .curves .watched .training").first
        assert len(str(points.get_attribute("points")).split()) == 3 * STEPS
    options = page.locator(".runs option").all_inner_texts()
    assert options == ["bars", "reference-1"]
    page.locator(".runs select").select_option("bars")
    visitor.until("page.facts.run === 'bars'")

    # again, with one thing changed: the same beginning, another way
    view.get_by_role("button", name="Again with changes").click()
    assert page.locator("play-train input[name=epochs]").input_value() == "3"
    page.locator("play-train input[name=lr]").fill("0.005")
    view.get_by_role("button", name="Start training").click()
    view.get_by_role("heading", name="reference-2: finished").wait_for()
    legend = view.locator(".legend").inner_text()
    assert "reference-1: lr 0.01 instead of 0.005; same initial weights" in legend
    second = Run.open(tmp_path / "runs" / "reference-2")
    assert second.snapshot_file(0).read_bytes() == final.snapshot_file(0).read_bytes()
    assert second.snapshot_file(1).read_bytes() != final.snapshot_file(1).read_bytes()
    page.reload()
    page.wait_for_selector("html[data-ready]")
    page.locator("#tab-train").click()
    view.locator(".curves .former-1 .training").first.wait_for()


@pytest.mark.slow
def test_a_training_that_cannot_begin_says_why(place: Playground, tmp_path: Path) -> None:
    start(place, holdout=1000)  # more than there are, which only the data tell
    found = ended(place)
    assert found["phase"] == "failed"
    assert found["error"].startswith("'holdout' must be below 60")
    assert not list(tmp_path.rglob("recipe.toml"))


@pytest.mark.parametrize(
    ("request_name", "body"),
    [
        ("training-start", {}),
        ("training-start", {"base": "no such recipe"}),
        ("training-start", {"base": "reader"}),
        ("training-start", {"base": "../../etc/passwd"}),
        ("training-start", {"base": "fast", "fields": 3}),
        ("training-start", {"base": "fast", "fields": {"epochs": 0}}),
        ("training-start", {"base": "fast", "fields": {"epochs": 10**15}}),
        ("training-start", {"base": "fast", "fields": {"image_size": 4096}}),
        ("training-start", {"base": "fast", "fields": {"epochs": "many"}}),
        ("training-start", {"base": "fast", "fields": {"name": "x"}}),
        ("training-start", {"base": "fast", "fields": {"wrong": 1}}),
        ("training-start", {"base": "fast", "fields": {"data": "/etc"}}),
        ("training-start", {"base": "fast", "fields": {"data": "\ud800"}}),
        ("training-start", {"base": "fast", "fields": {"model": "os:abort"}}),
        ("training-start", {"base": "fast", "fields": {"model": "reader"}}),
        ("training-start", {"base": "fast", "fields": {"mean": [1] * 999}}),
        ("training-start", {"base": "fast", "fields": {"mean": [[1]]}}),
        ("training-start", {"base": "fast", "fields": {"optimizer": "x" * 10**6}}),
        ("training-resume", {}),
        ("training-resume", {"run": "../bars"}),
        ("training-order", {}),
        ("training-order", {"order": "pause"}),
        ("training-order", {"order": ["pause"]}),
        ("training-order", {"order": "rate", "lr": 0}),
        ("training-order", {"order": "rate", "lr": -1}),
        ("training-network", {}),
        ("training-weights", {}),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    playground: Playground, request_name: str, body: dict[str, Any]
) -> None:
    status, answer = playground.ask(request_name, body)
    assert status == 422
    assert 10 < len(answer["error"]) < 600
    assert "\n" not in answer["error"]
    assert not playground.lab.training.is_active


def test_every_field_is_offered_with_what_it_may_be(playground: Playground) -> None:
    offered = playground.ask("training-settings")[1]
    assert [base["name"] for base in offered["bases"]] == ["fast", "reference", "run example"]
    fields = {field["name"]: field for field in offered["fields"]}
    assert fields.keys() == offered["bases"][0]["values"].keys() - {"name", "summary"}
    assert {"lean", "lenet", "lenet5", "mlp", "resnet"} <= set(fields["model"]["choices"])
    assert "reader" not in fields["model"]["choices"]
    assert fields["keep"]["choices"] == ["last", "best"]
    assert "mnist" in fields["data"]["choices"]
    assert [name for name, field in fields.items() if field["first"]] == list(settings.FIRST)
    for base in offered["bases"]:  # each begins as it is
        recipe = settings.chosen(playground.lab, base["name"], {})
        assert recipe.as_dict() == base["values"]


def test_own_data_and_networks_come_from_open_runs_only(run: Run, playground: Playground) -> None:
    with pytest.raises(RecipeError, match="data"):
        settings.chosen(playground.lab, "fast", {"data": run.recipe().data})
    playground.lab.add(run)
    try:
        chosen = settings.chosen(playground.lab, "fast", {"data": run.recipe().data})
        assert chosen.data == run.recipe().data
    finally:
        playground.lab._runs.pop("bars")


def test_a_traced_network_is_described_again_with_its_weights_of_now() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten(), torch.nn.Linear(72, 3)
    )
    described = Described.of(model, (1, 8, 8))
    before = described.graph(model)
    assert np.array_equal(before.weights, describe(model, (1, 8, 8)).weights)
    model(torch.randn(5, 1, 8, 8)).sum().backward()  # moves the means of the normalization
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.1 * parameter.grad
    after = described.graph(model)
    assert np.array_equal(after.weights, describe(model, (1, 8, 8)).weights)
    assert not np.array_equal(after.weights, before.weights)
    assert after.layers == before.layers


def test_the_events_of_a_training_are_json_that_a_browser_reads(place: Playground) -> None:
    place.lab.training.state = {"phase": "stopped", "run": "a", "curve": {"loss": [float("inf")]}}
    place.lab.training._publish()
    connection = http.client.HTTPConnection(place.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/api/events")
    response = connection.getresponse()
    lines = [response.readline().decode() for _ in range(4)]
    connection.close()
    assert json.loads(lines[3].removeprefix("data: "))["curve"] == {"loss": [None]}
