"""A server that speaks the Massive WebSocket protocol, so that a feed can be built and broken without a key.

It replays real daily bars with a modelled intraday path, adds synthetic tickers from a seed, and misbehaves on request.
It must not know the rest of Tidewire's feed: only sockets and the protocol tie the two together.
"""

from tidewire.feed.simulator.config import SimulatorConfig
from tidewire.feed.simulator.runner import run_until_stopped
from tidewire.feed.simulator.server import Simulator

__all__ = ["Simulator", "SimulatorConfig", "run_until_stopped"]
