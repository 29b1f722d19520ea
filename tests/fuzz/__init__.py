"""Mutated inputs: seeds, mutators, and a bounded runner in child processes with limits for time and memory.

A :class:`.targets.Target` turns random draws into a case (bytes) and uses the case. It passes when it returns or
raises the pack's error; a crash, a hang, growth or another exception is a finding. Case number N of a target is
always the same. Inputs that ever failed are kept in ``cases/TARGET/`` and run first.

``python -m tests.fuzz --minutes 60``
"""
