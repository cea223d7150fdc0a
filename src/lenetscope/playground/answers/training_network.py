"""The network that is being trained, as the request "network" describes one."""

from typing import Any

from lenetscope.errors import UsageError
from lenetscope.playground.answers import Answer
from lenetscope.playground.answers.network import facts
from lenetscope.playground.lab import Lab
from lenetscope.recipe import Recipe


def training_network(lab: Lab, _asked: dict[str, Any]) -> dict[str, Any]:
    """Describe it; `live` says that it changes."""
    network = lab.training.network
    if not network.get("layers"):
        raise UsageError(network.get("unseen") or "no network is being trained.")
    recipe = Recipe.load("reference", **network["recipe"])
    steps = {name: network[name] for name in ("layers", "inputShape")}
    about = facts(lab, str(lab.training.run), recipe, network["classes"])
    return about | steps | {"accuracy": None, "epochs": [], "live": True}


Answer(
    name="training-network",
    summary="the steps of the network that is being trained",
    fields={},
    compute=training_network,
    quick=True,
).register()
