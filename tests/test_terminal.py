"""The progress display on a terminal: a bar that moves, a line an epoch, and Ctrl-C."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("sent", "variables"), [(signal.SIGINT, {}), (signal.SIGTERM, {"NO_COLOR": "1"})]
)
def test_a_bar_moves_on_a_terminal_and_a_signal_saves(
    idx_folder: Path, tmp_path: Path, sent: signal.Signals, variables: dict[str, str]
) -> None:
    controller, terminal = pty.openpty()
    words = ["train", "--dataset", "idx", "--data-dir", str(idx_folder), "--epochs", "100000",
             "--device", "cpu", "--run-dir", "run"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "lenetscope", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"} | variables,
    )
    os.close(terminal)
    told = b""
    asked = False
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:  # the other end is closed
            break
        told += part
        if not asked and b"valid loss" in told:
            time.sleep(0.2)
            process.send_signal(sent)
            asked = True
    out, _ = process.communicate()
    os.close(controller)
    text = told.decode()
    assert process.returncode == 130
    assert out == b""
    assert "\x1b[?25l" in text  # the cursor is hidden while the bar moves
    assert "\x1b[?25h" in text  # and shown again
    coloured = re.search(r"\x1b\[[\d;]*[34]\d", text)
    assert not coloured if "NO_COLOR" in variables else coloured
    assert re.search(r"epoch +1/100000  train loss \d\.\d+", text)
    assert "Interrupted; saved. Go on with: lenetscope train --resume run" in text
    assert "Traceback" not in text
    assert (tmp_path / "run" / "checkpoint.pt").exists()
