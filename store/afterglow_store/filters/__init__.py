"""The language of the search: what a person types becomes a condition, which the search turns into SQL.

    parse("metrics.rmse < 0.8 AND (tags.team = 'a' OR duration > 10m)", "runs", now=now)

MLflow's filter syntax is a part of it. docs/filters.md is the description; `fields` says what can be asked for,
`condition` what comes out. Values are typed and never text of a statement: nothing here knows SQL.
"""

from afterglow_store.filters.condition import And, Comparison, Condition, Or, Value
from afterglow_store.filters.fields import COMPARATORS, FIELDS, Field, Kind, Of, Reference, find
from afterglow_store.filters.grammar import parse
from afterglow_store.filters.order import Order, parse_order

__all__ = [
    "COMPARATORS",
    "FIELDS",
    "And",
    "Comparison",
    "Condition",
    "Field",
    "Kind",
    "Of",
    "Or",
    "Order",
    "Reference",
    "Value",
    "find",
    "parse",
    "parse_order",
]
