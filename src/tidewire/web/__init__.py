"""The door: HTTP application, security, pages and the Socket.IO server.

It must not know any feature; ``app.py`` mounts the features' routes and namespaces here.
"""
