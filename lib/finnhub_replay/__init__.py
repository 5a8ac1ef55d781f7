"""A replay of Finnhub: its paths, JSON and status codes over recorded daily bars, on a virtual clock.

``python -m finnhub_replay --help`` runs it alone; the embedded stack runs it as a daemon.
``recorded_bars`` are the bars that ship with the project, which a pipeline over the replay must reproduce.
"""

from finnhub_replay.bar_files import RECORDED, read_bars, read_tape, recorded_bars, replay_symbols
from finnhub_replay.clock import VirtualClock
from finnhub_replay.tape import Tape

__all__ = ["RECORDED", "Tape", "VirtualClock", "read_bars", "read_tape", "recorded_bars", "replay_symbols"]
