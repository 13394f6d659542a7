"""Wiring: the only floor that knows every class. It must not hold logic of its own.

It builds, connects, starts and stops.
"""
