"""The loop, the engine that it runs on, and the state that it changes."""

from lenetscope.training.callbacks import Callback
from lenetscope.training.early_stopping import EarlyStopping
from lenetscope.training.engine import make_engine
from lenetscope.training.loop import fit
from lenetscope.training.lr_range import lr_range_test
from lenetscope.training.state import TrainState

__all__ = ["Callback", "EarlyStopping", "TrainState", "fit", "lr_range_test", "make_engine"]
