"""Pause the training that goes on, let it continue, stop it, or change its learning rate."""

from typing import Any

from lenetscope.errors import UsageError
from lenetscope.playground.answers import Answer
from lenetscope.playground.lab import Lab
from lenetscope.schema import number, refuse

ORDERS = ("pause", "continue", "stop", "rate")
LARGEST_LR = 1e6


def _order(value: Any, where: str) -> str:
    if value not in ORDERS:
        refuse(where, f"one of {', '.join(ORDERS)}", value)
    return str(value)


def training_order(lab: Lab, asked: dict[str, Any]) -> dict[str, Any]:
    """Pass it on; the event "training" tells when it is done."""
    order, lr = asked["order"], asked.get("lr", 0)
    if order == "rate" and lr <= 0:
        raise UsageError("the learning rate must be a number above 0.")
    lab.training.ask(order, float(lr))
    return {}


Answer(
    name="training-order",
    summary="pause, continue or stop the training, or change its learning rate",
    fields={"order": _order, "lr": number(0, LARGEST_LR)},
    compute=training_order,
    required=("order",),
    quick=True,
).register()
