"""Looking inside a network: one question a file."""

from lenetscope.insight.ablation import Ablation, AblationRow, ablate
from lenetscope.insight.activations import ActivationRow, activations
from lenetscope.insight.attribution import METHODS, Attribution, attribute
from lenetscope.insight.budget import DEFAULT_BUDGET
from lenetscope.insight.capture import Capture, capture, recorded
from lenetscope.insight.embedding import Embedding, embed
from lenetscope.insight.excitation import Excitation, most_exciting
from lenetscope.insight.faithfulness import Faithfulness, deletion_insertion
from lenetscope.insight.filters import filters_of
from lenetscope.insight.health import LayerHealth, health, health_over_time
from lenetscope.insight.health_warnings import health_warnings
from lenetscope.insight.hooks import CustomHooks, find_layers
from lenetscope.insight.labels import LabelDoubts, doubtful_labels
from lenetscope.insight.learning import Learning, Movement, filter_movement, learning
from lenetscope.insight.mistakes import Mistake, find_mistakes
from lenetscope.insight.neighbours import Neighbours, nearest_neighbours
from lenetscope.insight.parameters import ParameterRecord
from lenetscope.insight.preference import Climb, Preference, preferred_images
from lenetscope.insight.summary import LayerRow, summarize, telling_layers

__all__ = [
    "DEFAULT_BUDGET",
    "METHODS",
    "Ablation",
    "AblationRow",
    "ActivationRow",
    "Attribution",
    "Capture",
    "Climb",
    "CustomHooks",
    "Embedding",
    "Excitation",
    "Faithfulness",
    "LabelDoubts",
    "LayerHealth",
    "LayerRow",
    "Learning",
    "Mistake",
    "Movement",
    "Neighbours",
    "ParameterRecord",
    "Preference",
    "ablate",
    "activations",
    "attribute",
    "capture",
    "deletion_insertion",
    "doubtful_labels",
    "embed",
    "filter_movement",
    "filters_of",
    "find_layers",
    "find_mistakes",
    "health",
    "health_over_time",
    "health_warnings",
    "learning",
    "most_exciting",
    "nearest_neighbours",
    "preferred_images",
    "recorded",
    "summarize",
    "telling_layers",
]
