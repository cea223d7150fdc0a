"""Predictions over HTTP: pictures or numbers in, probabilities out.

`app` answers requests, `inputs` makes images of what they hold, `batching` lets requests that arrive
together share a forward pass, `server` listens and ends in order.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and all together.

    Attributes:
        max_batch: images per forward pass.
        max_images: images per request.
        max_bytes: bytes per request.
        max_pixels: pixels per picture, before it is resized.
        max_requests: predictions in progress; further requests are sent away.
        timeout: seconds until a request is given up.
    """

    max_batch: int = 64
    max_images: int = 1000
    max_bytes: int = 4_000_000
    max_pixels: int = 12_000_000
    max_requests: int = 256
    timeout: float = 10.0
