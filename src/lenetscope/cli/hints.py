"""What the command line answers to words that it does not know: the nearest that it does know.

Users of other trainers bring habits along, such as ``--learning-rate`` for ``--lr``.
"""

import os
import re
from collections.abc import Sequence

from cyclopts import CycloptsError, UnknownCommandError, UnknownOptionError, UnusedCliTokensError

from lenetscope import recipe
from lenetscope.cli import app
from lenetscope.errors import UsageError

HABITS: dict[str, tuple[str, ...]] = {
    "--batch-size": ("--batch", "--bs", "-b", "--batchsize"),
    "--data": ("--dataset", "--data-path", "--input"),
    "--data-dir": ("--root", "--data-root"),
    "--device": ("--gpu", "--cuda", "--accelerator"),
    "--epochs": ("-e", "--n-epochs", "--num-epochs", "--max-epochs"),
    "--loss": ("--criterion", "--loss-fn"),
    "--lr": ("--learning-rate", "--base-lr"),
    "--model": ("--arch", "--net", "--network"),
    "--out": ("--output", "--output-dir", "--out-dir", "-o"),
    "--patience": ("--early-stopping", "--early-stop"),
    "--precision": ("--amp", "--fp16", "--bf16", "--dtype"),
    "--recipe": ("--config", "-c", "--preset"),
    "--resume": ("--checkpoint", "--ckpt", "--continue"),
    "--run-dir": ("--output", "--output-dir", "--out-dir", "-o", "--out", "--save-dir", "--log-dir"),
    "--schedule": ("--scheduler", "--lr-scheduler"),
    "--seed": ("--random-seed", "--manual-seed"),
    "--threads": ("--num-threads", "--workers", "--num-workers", "-j"),
    "--weight-decay": ("--wd", "--l2"),
    "--what": ("--question", "--questions", "--figure", "--figures"),
}
"""Options, and what users of other programs type in their place."""

URL = re.compile(r"(?:--[\w-]+=)?([a-z][a-z0-9+.-]+://.*)", re.IGNORECASE)


def understood(words: Sequence[str]) -> list[str]:
    """Return the words of a command line, with what short forms stand for.

    ``help COMMAND`` stands for ``COMMAND --help``, ``--resume`` alone for resuming the newest run, and
    ``~`` for the home folder, also where the shell leaves it, as in ``--out=~/figures``.

    Raises:
        UsageError: if a word is empty, or the address of a file elsewhere.
        RunError: if there is no run to resume.
    """
    if "" in words:
        raise UsageError("a word of the command line is empty: give a value, or leave its option out.")
    home = os.path.expanduser("~")  # noqa: PTH111  # Path.home() raises where there is none
    words = [re.sub(r"^(--[\w-]+=)?~(?=/|$)", lambda m: f"{m[1] or ''}{home}", w) for w in words]
    for found in filter(None, map(URL.fullmatch, words)):
        raise UsageError(f"nothing is downloaded: save {found[1]} as a file and give its path.")
    if words[:1] in (["help"], ["version"]):
        return [*words[1:], f"--{words[0]}"]
    said = list(words)
    for place, word in enumerate(words):
        if word == "--resume" and all(next.startswith("--") for next in words[place + 1 : place + 2]):
            said.insert(place + 1, str(app.newest_run()))
    return said


def message(error: CycloptsError) -> str:
    """Return in one line what is wrong with a command line, and the nearest that is right."""
    command = " ".join(("lenetscope", *(error.command_chain or ())))
    text = _nearest(error) or str(error)
    return f"{text}{'' if text.endswith(('.', '?')) else '.'} See: {command} --help"


def _nearest(error: CycloptsError) -> str | None:
    if isinstance(error, UnknownOptionError):
        option = (error.token.keyword or error.token.value).partition("=")[0]
        known = {name for argument in error.argument_collection for name in argument.names}
        meant = [name for name, others in HABITS.items() if name in known and option in others]
        return f"Unknown option: {option}. Did you mean {meant[0]}?" if meant else None
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        word = error.unused_tokens[0]
        name, equals, value = word.partition("=")
        if equals:
            return f'"{word}" is not an option. Did you mean --{name.lstrip("-")} {value}?'
        if word in recipe.names():
            return f'"{word}" is one word too many. Did you mean --recipe {word}?'
        return f'"{word}" is one word too many.'
    if isinstance(error, UnknownCommandError) and error.unused_tokens:
        word = error.unused_tokens[0]
        if word in recipe.names():
            return f'Unknown command "{word}". Did you mean "train --recipe {word}"?'
    return None
