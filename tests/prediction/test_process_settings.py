import threading

import pytest
import torch

from seqlight.prediction.process_settings import EAGER, ONE_THREAD


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


def test_one_thread_and_then_as_many_as_before():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with ONE_THREAD.apply(), ONE_THREAD.apply():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
