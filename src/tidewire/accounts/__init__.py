"""Who may do what: users, roles, permissions, sessions, passwords.

It must not know pages, feeds or rooms.
"""
