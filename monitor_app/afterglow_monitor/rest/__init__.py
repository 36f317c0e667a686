"""The read API under /api/v1: docs/rest.md. `operations` has the routes, `serving` the HTTP around them."""
