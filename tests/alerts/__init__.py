"""Tests of the alerts: the pure engine by hand-driven time, the rest on real servers."""
