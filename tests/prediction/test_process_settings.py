import threading

import pytest
import torch

from seqlight.prediction.process_settings import EAGER


@pytest.mark.reliability(
    "several threads",
    "calls of which the one that began first ends first, where something is compiled",
    "compiled models are run as they were before",
)
def test_overlapping_calls_restore_the_stance_of_compiled_models():
    before = torch._dynamo.eval_frame._stance.stance
    begun, ended = threading.Event(), threading.Event()

    def second():
        with EAGER.apply():
            begun.set()
            assert ended.wait(20)

    thread = threading.Thread(target=second)
    with EAGER.apply():
        thread.start()
        assert begun.wait(20)
    assert torch._dynamo.eval_frame._stance.stance == "force_eager"
    ended.set()
    thread.join()
    assert torch._dynamo.eval_frame._stance.stance == before
