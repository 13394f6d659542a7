"""The ground floor: words that every other floor uses (errors, ticks, messages, time).

Nothing here imports another floor of Tidewire.
"""
