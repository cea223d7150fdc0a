"""Error messages suggest the nearest name; each class has its exit status."""

from lenetscope.errors import LenetscopeError, RecipeError, StorageError, UsageError, listed, unknown


def test_the_nearest_name_is_suggested() -> None:
    message = unknown("layer", "conv3", ["conv1", "conv2", "fc"])
    assert message.startswith("unknown layer 'conv3'; did you mean 'conv2'?")
    assert message.endswith("Known: 'conv1', 'conv2' or 'fc'.")
    assert unknown("recipe", "xyz", ["fast"]) == "unknown recipe 'xyz'. Known: 'fast'."
    assert unknown("layer", "a", []) == "unknown layer 'a'."
    assert listed(["a"]) == "'a'"


def test_each_class_has_its_exit_status() -> None:
    assert issubclass(RecipeError, UsageError)
    assert (UsageError.exit_status, LenetscopeError.exit_status, StorageError.exit_status) == (2, 1, 1)
    assert issubclass(StorageError, OSError)
    assert issubclass(UsageError, ValueError)
