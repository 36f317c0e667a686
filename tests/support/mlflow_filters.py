"""MLflow's filter language: what its own parser makes of a text, and texts in it."""

from typing import Any

from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mlflow.utils.search_utils import SearchExperimentsUtils, SearchUtils

from afterglow_store.filters import And, Comparison, Condition, Of

# A list is read as Python's literals, and what is wrong with it may come out as Python's error.
_FALLS_OVER = (ValueError, SyntaxError, TypeError, SyntaxWarning, DeprecationWarning)
_LARGEST = 2**63 - 1
_UTILS: dict[str, Any] = {"runs": SearchUtils, "experiments": SearchExperimentsUtils}  # they have no types

Meaning = tuple[str, str | None, str, Any]  # field, key, comparator, value

_KEYED = {"metric": "metrics", "parameter": "params", "tag": "tags"}
# MLflow's names of what is called otherwise here, and its own aliases.
_NAMES = {"user_id": "user", "created": "start_time", "Created": "start_time"} | dict.fromkeys(
    ("run name", "Run name", "Run Name"), "run_name"
)


def meaning_for_mlflow(text: str, of: Of = "runs") -> list[Meaning] | None:
    """The comparisons that MLflow reads; None where it refuses them, in its parser or in the search itself."""
    try:
        return [_meaning(parsed, of) for parsed in _UTILS[of].parse_search_filter(text)]
    except (MlflowException, *_FALLS_OVER):
        return None


def order_for_mlflow(text: str, of: Of = "runs") -> tuple[str, str | None, bool] | None:
    """The field, key, and whether it is descending, that MLflow reads in a clause of `order_by`; None if it refuses."""
    utils = _UTILS[of]
    read = utils.parse_order_by_for_search_runs if of == "runs" else utils.parse_order_by_for_search_experiments
    try:
        kind, key, ascending = read(text)
    except (MlflowException, *_FALLS_OVER):
        return None
    if kind == "attribute":
        return _NAMES.get(key, key), None, not ascending
    return _KEYED[kind], key, not ascending


def _meaning(parsed: dict[str, Any], of: Of) -> Meaning:
    kind, key, comparator, value = parsed["type"], parsed["key"], parsed["comparator"].upper(), parsed["value"]
    if isinstance(value, float) and kind == "attribute":
        value = min(max(value, -_LARGEST), _LARGEST)  # times are whole numbers: none is above or below that
    if isinstance(value, tuple) and comparator not in ("IN", "NOT IN"):
        raise MlflowException("parsed, but no database takes it")
    if kind in _KEYED:
        check = {"metric": "is_metric", "parameter": "is_param", "tag": "is_tag"}[kind]
        getattr(_UTILS[of], check)(kind, comparator)
        return _KEYED[kind], key, comparator, float(value) if kind == "metric" else value
    if of == "runs" and kind == "attribute":
        _UTILS[of].is_attribute(kind, key, comparator)
    return _NAMES.get(key, key) if kind == "attribute" else f"dataset.{key}", None, comparator, value


def meaning_for_us(condition: Condition | None) -> list[Meaning] | None:
    """The same of a condition of ours; None where it is more than comparisons that are all to hold."""
    parts = condition.parts if isinstance(condition, And) else () if condition is None else (condition,)
    if not all(isinstance(part, Comparison) for part in parts):
        return None
    return [(p.field.name, p.key, p.operator, p.value) for p in parts if isinstance(p, Comparison)]


# Drawing from a few dozen hard cases is ten times faster than making up each text, so only every fourth is made up.
_HARD_KEYS = ["rmse", "a", "val.loss", "mlflow.user", "A_b2", "_x", "count", "order", "and", "IS", "1a", "é", "日本"]
_HARD_QUOTED = ["a b", "a-b", "a/b:c", "a.b", ".", "AND", "x = 1", "é", "a'b", 'a"b', "IS NULL", "(", "--", ""]
_HARD_TEXTS = [
    "",
    "x",
    "a b",
    "it''s",
    "it\\'s",
    'a"b',
    "a'b",
    "%x_",
    "AND",
    "a = 'b'",
    "()",
    "\\",
    "é\n",
    "5",
    "1e3",
    "--",
]
_HARD_NUMBERS = [
    "0",
    "-0",
    "5",
    "-1",
    "00012",
    "0.8",
    "-.5",
    "5.",
    ".5",
    "1e-3",
    "1E5",
    "-2.5e3",
    "1e999",
    "1700000000000",
]


def _in_quotes(quotes: str, hard: list[str], alphabet: str) -> st.SearchStrategy[str]:
    pool = st.sampled_from([quote + text + quote for quote in quotes for text in hard])
    made_up = st.tuples(st.sampled_from(quotes), st.text(alphabet, max_size=8)).map(lambda e: e[0] + e[1] + e[0])
    return st.one_of(pool, pool, pool, made_up)


keys = st.sampled_from(_HARD_KEYS) | _in_quotes("`\"'", _HARD_QUOTED, "abz09_-./: \"'é")
numbers = (
    st.sampled_from(_HARD_NUMBERS) | st.integers(-(10**15), 10**15).map(str) | st.floats(-1e3, 1e3).map("{:.4f}".format)
)
# Left out is "a"."b" as one value, which is how MLflow's lexer joins two of them.
literals = _in_quotes("'\"", _HARD_TEXTS, "abX5 %_.=<()'\"\\é\n").filter(lambda text: '"."' not in text)
_LISTS = st.lists(st.tuples(st.sampled_from("'\""), st.text("abz09-_ ", max_size=4)), min_size=1, max_size=3)
lists = st.tuples(_LISTS, st.sampled_from([",", " , ", ", "])).map(
    lambda each: "(" + each[1].join(quote + text + quote for quote, text in each[0]) + ")"
)
spaces = st.sampled_from([" ", "  ", "\t", "\n "])
gaps = st.sampled_from(["", " "])
_TEXT_COMPARATORS = st.sampled_from(["=", "!=", " LIKE ", " like ", " ILIKE ", " iLike "])
_NUMBER_COMPARATORS = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
_NULL_TESTS = st.sampled_from([" IS NULL", " is null", " IS  NOT NULL", " is not null"])
_IN = st.sampled_from([" IN ", " in", " NOT IN ", " not  in "])


def _said(*parts: str | st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    strategies = [st.just(part) if isinstance(part, str) else part for part in parts]
    return st.tuples(*strategies).map("".join)


def _prefixed(prefixes: list[str], names: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return _said(st.sampled_from(prefixes), names)


def _named(names: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(
        [*[n for n in names if " " not in n], *(f"`{n}`" for n in names), *(f'"{n}"' for n in names)]
    )


_METRICS = _prefixed(["metrics.", "metric.", "`metrics`."], keys)
_TEXTS = _prefixed(["params.", "param.", "parameter.", "parameters.", "tags.", "tag."], keys)
_OWN = ["", "attribute.", "attributes.", "attr.", "run."]
_RUN_TEXTS = ["run_id", "run_name", "run name", "Run name", "Run Name", "status", "artifact_uri", "user_id"]
_RUN_TIMES = ["start_time", "end_time", "created", "Created"]

RUN_COMPARISONS = st.one_of(
    _said(_METRICS, gaps, _NUMBER_COMPARATORS, gaps, numbers),
    _said(_TEXTS, gaps, _TEXT_COMPARATORS, gaps, literals),
    _said(_TEXTS, _NULL_TESTS),
    _said(_prefixed(_OWN, _named(_RUN_TEXTS)), gaps, _TEXT_COMPARATORS, gaps, literals),
    _said(_prefixed(_OWN, _named(_RUN_TIMES)), gaps, _NUMBER_COMPARATORS, gaps, numbers),
    _said(_prefixed(_OWN, st.just("run_id")), _IN, lists),
)
_EXPERIMENT_OWN = ["", "attribute."]
EXPERIMENT_COMPARISONS = st.one_of(
    _said(_prefixed(["tags.", "tag."], keys), gaps, _TEXT_COMPARATORS, gaps, literals),
    _said(_prefixed(["tags.", "tag."], keys), _NULL_TESTS),
    _said(_prefixed(_EXPERIMENT_OWN, _named(["name", "experiment_id"])), gaps, _TEXT_COMPARATORS, gaps, literals),
    _said(_prefixed(_EXPERIMENT_OWN, _named(["creation_time", "last_update_time"])), _NUMBER_COMPARATORS, numbers),
    _said(_prefixed(_EXPERIMENT_OWN, st.just("experiment_id")), _IN, lists),
)


def filters(comparisons: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One to four of these, joined as MLflow lets them be joined."""
    joined = _said(spaces, st.sampled_from(["AND", "and", "And", "AND AND"]), spaces)
    # MLflow reads a comparison before a NULL test without AND as the key of that test.
    left_out = _said(spaces, comparisons.filter(lambda text: "null" not in text.lower()))
    more = st.lists(_said(joined, comparisons) | left_out, max_size=3).map("".join)
    around = st.sampled_from(["", "", "", " ", "AND "])
    return _said(around, comparisons, more, st.sampled_from(["", "", "", " ", " AND"]))


# What a slip of the fingers puts into a filter.
_SLIPS = st.sampled_from(
    [
        *"`'\".,()=!<;[]*+-#$\\x5 ", "metrics.", "tags.", "AND", "OR", "NOT", "IN", "LIKE", "IS", "NULL", "nan", "-1.5",
        "as", "--", "/*", "",
    ]
)  # fmt: skip


def damaged(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One of these in which a few characters are replaced by something else."""

    def damage(text: str, at: int, length: int, slip: str) -> str:
        at %= len(text) + 1
        return text[:at] + slip + text[at + length :]

    return st.builds(damage, texts, st.integers(0, 200), st.integers(0, 3), _SLIPS)


def order_clauses() -> st.SearchStrategy[str]:
    """What MLflow may be asked to order runs by. It takes quotes and spaces off both ends of what is in quotes, so the
    keys have none there."""
    plain = st.text("abz09_-./: é", min_size=1, max_size=8).map(str.strip).filter(bool)
    own_keys = st.sampled_from(_HARD_KEYS) | st.builds(
        lambda quote, key: quote + key + quote, st.sampled_from("`\"'"), plain
    )
    keyed = _prefixed(["metrics.", "metric.", "params.", "parameter.", "tags.", "tag."], own_keys)
    fields = keyed | _prefixed(_OWN, _named([*_RUN_TEXTS, *_RUN_TIMES]))
    return _said(fields, st.sampled_from(["", " ASC", " DESC", " asc", "  desc", " Desc"]))
