"""A web application on this machine: draw a digit, and walk through a network.

The page runs the network itself, with the same modules as the report. What needs more than a forward
pass is answered here: ``lab`` is what is open, each file of ``answers`` answers one request, ``app``
receives the requests, and ``guard`` keeps strangers out.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Attributes:
        max_bytes: bytes per request.
        max_pixels: pixels per picture, before it is resized.
        max_waiting: requests that wait for their answer; further ones are sent away.
        max_listeners: pages that follow a training at the same time.
        patience: seconds until a connection is cut off on which nothing goes on.
    """

    max_bytes: int = 12_000_000  # a picture of 8 MB, as base64
    max_pixels: int = 24_000_000
    max_waiting: int = 64
    max_listeners: int = 64
    patience: float = 3600.0
