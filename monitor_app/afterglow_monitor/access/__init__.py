"""Who may see and do what. docs/access.md explains it.

gate.py     in front of the whole application: each request and websocket goes through it, or is refused
rules.py    what a request may, by what it shows
here.py     whether it comes from this very machine
headers.py  what every answer forbids the browser
"""
