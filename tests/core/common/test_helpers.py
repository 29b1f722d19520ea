import threading

import pytest
import torch
from betwixt.common.helpers import Helpers, pair_of


def test_helpers_use_one_thread_each_and_tell_what_fails():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with torch.inference_mode(), Helpers(torch.device("cpu")) as helpers:
            with Helpers(torch.device("cpu")) as inner:
                assert inner is helpers
            found = helpers.each(lambda n: (n, torch.get_num_threads(), torch.is_inference_mode_enabled()), range(5))
            assert found == [(n, 1, True) for n in range(5)]
            assert torch.get_num_threads() == 1
        with pytest.raises(ZeroDivisionError), Helpers(torch.device("cpu")) as helpers:
            helpers.each(lambda n: 1 / n, range(5))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)


def test_few_parts_are_cut_for_all_helpers_and_none_for_a_device():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert Helpers(torch.device("cpu")).slices(5) == [slice(0, 2), slice(2, 5)]
        assert Helpers(torch.device("cpu")).slices(1) == [slice(0, 1)]
        assert Helpers(torch.device("meta")).slices(5) == [slice(0, 5)]
    finally:
        torch.set_num_threads(threads)


def test_a_pair_is_made_beside_each_other_inside_helpers_alone():
    def make(number: int) -> tuple[int, int]:
        return number, threading.get_ident()

    def fail(number: int) -> None:
        raise ZeroDivisionError(number)

    own, threads = threading.get_ident(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert pair_of(make) == ((0, own), (1, own))
        with Helpers():
            first, second = pair_of(make)
            assert first == (0, own) and second[0] == 1 and second[1] != own
            with pytest.raises(ZeroDivisionError):
                pair_of(fail)
            inner = pair_of(lambda number: pair_of(make))
            assert [[number for number, _ in one] for one in inner] == [[0, 1], [0, 1]]
    finally:
        torch.set_num_threads(threads)
