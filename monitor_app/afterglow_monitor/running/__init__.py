"""The processes of a server: what starts, watches, measures and examines them, and what they do in the background."""
