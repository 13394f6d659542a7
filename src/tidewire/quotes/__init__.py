"""Insurance quotes that several people edit at the same time.

It must not know the door (web/) or other features; they meet in rooms.
"""
