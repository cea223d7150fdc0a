"""Opens picture files safely: formats that run no program, within limits of size, time and memory."""

from lenetscope.pictures.decode import MAX_PIXELS, decode, open_picture

__all__ = ["MAX_PIXELS", "decode", "open_picture"]
