"""Who may see and do what. docs/access.md explains it.

gate.py     in front of the whole application: each request and websocket goes through it, or is refused
rules.py    what a request may, by what it shows
here.py     whether it comes from this very machine
sign_in.py  the sign-in, which is Streamlit's, and who has signed in, for the pages
cookies.py  who has signed in, for the routes beside them
people.py   who that is, and which role he has
seeing.py   what they see of the store
links.py    links to downloads, signed for whom they are drawn for
headers.py  what every answer forbids the browser
"""
