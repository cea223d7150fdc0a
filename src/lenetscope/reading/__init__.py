"""From a picture in a file to the images that a network was trained on."""

from lenetscope.reading.decode import MAX_PIXELS, decode, fit_to

__all__ = ["MAX_PIXELS", "decode", "fit_to"]
