"""Replaced attributes are restored when the last thread that needs the replacement is done."""

import contextlib
from types import SimpleNamespace

import pytest

from seqlight.attribution.engine.patches import Patch
from seqlight.prediction.process_settings import ProcessSetting


def test_replacements_stay_until_the_last_thread_is_done():
    owner = SimpleNamespace(there=1)
    patch = Patch(owner, {"there": 2, "absent": 3})
    first, second = patch.apply(), patch.apply()
    first.__enter__()
    assert (owner.there, owner.absent) == (2, 3)
    second.__enter__()
    first.__exit__(None, None, None)
    assert (owner.there, owner.absent) == (2, 3)
    assert patch.original("there") == 1
    second.__exit__(None, None, None)
    assert vars(owner) == {"there": 1}


def test_originals_are_restored_after_an_error():
    owner = SimpleNamespace(there=1)
    with pytest.raises(KeyError), Patch(owner, {"there": 2}).apply():
        raise KeyError
    assert owner.there == 1


@pytest.mark.reliability("several threads", "a setting of the process that calls in two threads need", "as before")
def test_a_setting_holds_until_the_last_thread_is_done():
    values = [1]

    @contextlib.contextmanager
    def set_to_two():
        before, values[0] = values[0], 2
        yield
        values[0] = before

    setting = ProcessSetting(set_to_two)
    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    first.enter_context(setting.apply())
    second.enter_context(setting.apply())
    first.close()
    assert values == [2]
    second.close()
    assert values == [1]
    with pytest.raises(KeyError), setting.apply():
        raise KeyError
    assert values == [1]
