"""Every input of every node gets odd values: the node gives a result or the pack's error, and soon."""

import time

import pytest
from betwixt.common.errors import BetwixtError

from support.node_bench import Bench, small_base
from support.odd_values import odd_values

SLOWEST = 5.0  # seconds of processor time for one case


@pytest.fixture(scope="module")
def base(host, tmp_path_factory):
    with small_base(tmp_path_factory.mktemp("base")) as base:
        yield base


def test_odd_values_give_results_or_the_packs_error(pack_nodes, base):
    bench, raw, slow, count = Bench(pack_nodes, base), [], [], 0
    assert len(bench.run_all()) == len(pack_nodes)
    for node in pack_nodes:
        for changed, inputs in bench.cases(node, odd_values()):
            began, count = time.process_time(), count + 1
            where = f"{node.GET_SCHEMA().node_id}, {changed}"
            try:
                bench.run(node, inputs)
            except BetwixtError:
                pass
            except Exception as error:  # whatever it is, it is the fault this test looks for
                raw.append(f"{where}: {type(error).__name__}: {str(error)[:150]}")
            if time.process_time() - began > SLOWEST:
                slow.append(f"{where}: {time.process_time() - began:.1f} s")
    assert (raw, slow) == ([], []), f"{len(raw)} of {count} cases raised something else"
