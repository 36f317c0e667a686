"""The filter language: what it says, what it refuses and where, and that docs/filters.md says the same."""

import math
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterglow_store import Query, ingest_file, open_store, search_applications, search_experiments, search_runs
from afterglow_store.errors import BadFilter, StoreError
from afterglow_store.filters import FIELDS, And, Comparison, Condition, Field, Of, Or, Order, find, parse, parse_order
from afterglow_store.filters.condition import all_of, any_of
from afterglow_store.filters.grammar import MAX_COMPARISONS, MAX_DEPTH
from afterglow_store.filters.tokens import MAX_LENGTH
from afterglow_store.schema import PEAKS, SUMS
from tests.support.journals import Journal, run_id_of
from tests.support.matching import matches, values
from tests.support.parts import ROOT

NOW = 1_795_442_400_000  # 2026-11-23 14:00 UTC
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LARGEST = 2**63 - 1
OFS: tuple[Of, ...] = get_args(Of)
quick = settings(deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])

DOCS = (ROOT / "docs" / "filters.md").read_text()
EVERY_FIELD = [(of, field) for of in OFS for field in FIELDS[of]]


def read(text: str, of: Of = "runs") -> Condition:
    condition = parse(text, of, now=NOW)
    assert condition is not None
    return condition


def compared(text: str, of: Of = "runs") -> tuple[str, str, Any]:
    condition = read(text, of)
    assert isinstance(condition, Comparison)
    return condition.field.name, condition.operator, condition.value


def test_the_issues_own_example_is_three_comparisons_that_are_all_to_hold() -> None:
    condition = read("metrics.rmse < 0.8 and tags.team = 'a' and params.depth = '5'")
    assert isinstance(condition, And)
    said = [(each.field.name, each.key, each.operator, each.value) for each in condition.parts]  # type: ignore[union-attr]
    assert said == [("metrics", "rmse", "<", 0.8), ("tags", "team", "=", "a"), ("params", "depth", "=", "5")]


@pytest.mark.parametrize("text", ["", "  \n", "and"])
def test_an_empty_filter_is_no_condition(text: str) -> None:
    assert parse(text, now=NOW) is None


def test_and_holds_tighter_than_or_and_brackets_tighter_than_both() -> None:
    a, b, c = "linked = true", "status = 'x'", "spark.jobs > 1"
    assert read(f"{a} or {b} and {c}") == Or((read(a), And((read(b), read(c)))))
    assert read(f"({a} or {b}) and ({c})") == And((Or((read(a), read(b))), read(c)))
    assert read(f"{a} and ({b} and {c})") == And((read(a), read(b), read(c)))


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("10m", 10 * MINUTE), ("90s", 90_000), ("1h30m", 90 * MINUTE), ("45", 45_000), ("0.5", 500),
        ("1.5h", 90 * MINUTE),
        ("'10m'", 10 * MINUTE), ("250ms", 250), ("2min", 2 * MINUTE), ("1d", DAY), ("1w", 7 * DAY), ("1e3", 1_000_000),
    ],
)  # fmt: skip
def test_durations_are_spans_or_seconds(text: str, ms: int) -> None:
    assert compared(f"duration > {text}") == ("duration", ">", ms)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1700000000000", 1_700_000_000_000), ("7d", NOW - 7 * DAY), ("'24h'", NOW - DAY), ("1h30m", NOW - 90 * MINUTE),
        ("'2026-11-01'", 1_793_491_200_000), ("2026-11-01", 1_793_491_200_000),
        ("'2026-11-01T14:30'", 1_793_543_400_000), ("'2026-11-01 14:30+02:00'", 1_793_536_200_000),
        ("1e999", LARGEST), ("5.5", 5.5), ("-5", -5),
    ],
)  # fmt: skip
def test_times_are_dates_spans_back_from_now_or_milliseconds(text: str, ms: float) -> None:
    assert compared(f"start_time > {text}") == ("start_time", ">", ms)


def test_metrics_may_be_asked_for_what_is_no_number_or_infinite() -> None:
    assert compared("metrics.a > -inf") == ("metrics", ">", -math.inf)
    assert compared("metrics.a = Infinity") == ("metrics", "=", math.inf)
    is_nan, is_a_number = read("metrics.a = NaN"), read("metrics.a != nan")
    found = [
        [matches(each, {"metrics": {"a": value}}) for value in ("NaN", 5, "-Infinity")]
        for each in (is_nan, is_a_number)
    ]
    assert found == [[True, False, False], [False, True, True]]
    assert not matches(is_a_number, {"metrics": {}})


def test_one_of_a_few_texts_may_be_typed_in_any_case() -> None:
    assert compared("effective_status in ('orphaned', 'Suspect')")[2] == ("ORPHANED", "SUSPECT")
    assert compared("link.source = 'EXECUTOR'")[2] == "executor"


def test_text_is_what_stands_between_the_quotes_whichever_they_are() -> None:
    for text, value in (
        ("'it''s'", "it''s"),
        ('"it\'s"', "it's"),
        (r"'a\'b'", r"a\'b"),
        ('`it\'s a "``"`', 'it\'s a "`"'),
    ):
        assert compared(f"tags.a = {text}") == ("tags", "=", value)


@pytest.mark.parametrize(("of", "field"), EVERY_FIELD, ids=lambda each: getattr(each, "name", each))
def test_every_field_can_be_asked_for_by_all_its_names_and_comparators(of: Of, field: Field) -> None:
    a_value = {
        "text": "'a'", "choice": f"'{next(iter(field.choices), '')}'", "number": "5", "time": "5", "duration": "5",
        "boolean": "true",
    }[field.kind]  # fmt: skip
    for name in (field.name, *field.aliases):
        for comparator in field.comparators:
            value = "" if "NULL" in comparator else f"({a_value})" if "IN" in comparator.split() else a_value
            asked = f"{name}.a" if field.keyed else f'"{name}"'
            condition = read(f"{asked} {comparator} {value}", of)
            assert isinstance(condition, Comparison)
            assert (condition.field, condition.operator) == (field, comparator)
            assert read(str(condition), of) == condition


def test_every_sum_and_peak_that_the_store_keeps_can_be_asked_for() -> None:
    for of in ("runs", "applications"):
        assert [name for name in (*SUMS, *PEAKS) if find(of, f"spark.{name}") is None] == []


def test_no_two_fields_of_the_same_items_share_a_name() -> None:
    for of in OFS:
        names = [name for field in FIELDS[of] for name in (field.name, *field.aliases)]
        assert len(names) == len(set(names))


def documented(of: Of) -> list[str]:
    section = DOCS.split(f"\n### Fields of {of}\n")[1].split("\n#")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("of", OFS)
def test_the_docs_have_every_field_with_its_kind_its_other_names_and_what_it_is(of: Of) -> None:
    expected = []
    for field in FIELDS[of]:
        name, *others = (f"`{each}.<key>`" if field.keyed else f"`{each}`" for each in (field.name, *field.aliases))
        says = f"{field.help}: {', '.join(field.choices)}" if field.choices else field.help
        kind = "one of" if field.kind == "choice" else field.kind
        expected.append(f"| {name} | {kind} | {', '.join(others)} | {says}{' (several)' if field.many else ''} |")
    assert documented(of) == expected


def test_every_example_in_the_docs_can_be_run() -> None:
    examples = re.findall(r"```(runs|experiments|applications|order)\n(.*?)```", DOCS, re.DOTALL)
    assert {of for of, _ in examples} == {*OFS, "order"}
    for of, lines in examples:
        for line in lines.splitlines():
            assert parse_order(line, "runs") if of == "order" else parse(line, of, now=NOW), line


# What is typed, what the message says, and what it underlines.
BAD: list[tuple[str, str, str]] = [
    ("metrcs.rmse < 1", "Did you mean metrics.rmse?", "metrcs.rmse"),
    ("PARAMS.a = 'x'", "Did you mean params.a?", "PARAMS.a"),
    ("Status = 'FAILED'", "Did you mean status?", "Status"),
    ("attributes.statuss = 'x'", "Did you mean status?", "attributes.statuss"),
    ("core_seconds > 1", "Did you mean spark.core_seconds?", "core_seconds"),
    ("application.nam = 'x'", "Did you mean application.name?", "application.nam"),
    ("rmse < 1", "'rmse' is no field of runs. Known are metrics.<key>, params.<key>", "rmse"),
    ("params = 'x'", "params needs a key, right after a point: params.<key>", "params"),
    ("params. a = 'x'", "right after 'params.', without a space", "params."),
    ("params.a.`b c` = 'x'", "Put the whole key in quotes: params.`a.b c`", "params.a.`b c`"),
    ("datasets.name = 'x'", "The store keeps no datasets of runs", "datasets.name"),
    ("tags.a = 'x' && tags.b = 'y'", "Did you mean AND?", "&&"),
    ("tags.a = 'x' || tags.b = 'y'", "Did you mean OR?", "||"),
    ("tags.a = 'x' orr tags.b = 'y'", "Did you mean OR?", "orr"),
    ("tags.a = 'x' -- why", "'--' is no field of runs", "--"),
    ("tags.a = 'x'; DROP TABLE run", "';' is no field of runs", ";"),
    ("metrics.a == 5", "== is no comparator: write =", "=="),
    ("metrics.a <> 5", "<> is no comparator: write !=", "<>"),
    ("metrics.a => 5", "=> is no comparator: write >=", "=>"),
    ("metrics.a <=> 5", "<=> is no comparator", "<=>"),
    ("metrics.a", "A comparator is expected after metrics.a: =, !=, <", ""),
    ("metrics.a b > 1", "A comparator is expected after metrics.a", "b"),
    ("tags.`a b` 'x'", "A comparator is expected after tags.`a b`: =, !=, LIKE", "'x'"),
    ("tags.a not 'x'", "A comparator is expected after NOT: IN, LIKE, ILIKE", "'x'"),
    ("metrics.a LIKE '5%'", "metrics.a is a number. LIKE is none of =, !=, <", "LIKE"),
    ("params.depth > 5", "params.depth is text, also where it looks like a number. > is none of =", ">"),
    ("effective_status NOT LIKE 'F%'", "is one of a few texts. NOT LIKE is none of =, !=, IN", "NOT LIKE"),
    ("linked > true", "linked is true or false. > is none of =, !=", ">"),
    ("metrics.a <", "A value is expected here: metrics.a takes a number, such as 0.5", ""),
    ("metrics.a < 'x'", "metrics.a takes a number, such as 0.5 or 1e-3, without quotes", "'x'"),
    ("metrics.a < 1_000", "metrics.a takes a number", "1_000"),
    ("spark.jobs > inf", "spark.jobs takes a number", "inf"),
    ("metrics.a < NaN", "NaN is neither less nor more than anything: ask for = NaN", "metrics.a < NaN"),
    ("params.a = x", "params.a takes text in quotes: write 'x'", "x"),
    ("params.a = ('x')", "params.a takes text in quotes, such as 'a'", "("),
    ("status = FAILED", "status takes text in quotes: write 'FAILED'", "FAILED"),
    ("effective_status = 'ORPHAN'", "never 'ORPHAN'. Did you mean 'ORPHANED'? It is one of RUNNING", "'ORPHAN'"),
    ("link.source = 'magic'", "It is one of inferred, job-tag, tag, executor, client, resumed", "'magic'"),
    ("linked = 1", "linked takes true or false", "1"),
    ("duration > 10x", "duration takes a span, such as 90s, 10m or 1h30m", "10x"),
    ("start_time > 'yesterday'", "start_time takes a date, such as '2026-11-01'", "'yesterday'"),
    ("start_time > '2026-13-01'", "start_time takes a date", "'2026-13-01'"),
    ("run_id IN ()", "The list is empty", "()"),
    ("run_id IN 'a'", "A list is expected after IN, such as IN ('a', 'b')", "'a'"),
    ("run_id IN ('a' 'b')", "A comma or the list's closing bracket is expected", "'b'"),
    ("run_id IN ('a', 5)", "run_id takes text in quotes: write '5'", "5"),
    ("run_id IN ('a'", "A comma or the list's closing bracket is expected", ""),
    ("params.a IS 5", "NULL is expected after IS", "5"),
    ("NOT params.a = 'x'", "NOT stands before IN, LIKE, ILIKE and NULL only", "NOT"),
    ("params.a = 'x", "This ' is not closed", "'x"),
    ("params.`a = 'x'", "This ` is not closed", "`a = 'x'"),
    ("(linked = true", "The bracket at character 1 is not closed", ""),
    ("linked = true)", "This bracket closes none", ")"),
    ("linked = true (linked = true)", "AND or OR is expected here", "("),
    ("linked = true AND OR linked = true", "The name of a field is expected here, not OR", "OR"),
    ("linked = true OR", "The name of a field is expected here", ""),
    ("()", "The name of a field is expected here, not )", ")"),
    ("'x' = params.a", "The name of a field is expected here, not 'x'", "'x'"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says", "underlined"), BAD, ids=[text for text, *_ in BAD])
def test_a_bad_filter_says_what_is_wrong_and_underlines_it(text: str, says: str, underlined: str) -> None:
    with pytest.raises(BadFilter) as raised:
        parse(text, now=NOW)
    error = raised.value
    assert says in error.why
    assert text[error.start : error.end] == underlined
    first, shown, caret = str(error).splitlines()
    assert first.endswith(f"(at character {error.start + 1})")
    assert shown == f"  {text}"
    assert caret == "  " + " " * error.start + "^" * max(len(underlined), 1)
    assert isinstance(error, StoreError)


def test_of_a_long_filter_only_what_is_around_the_piece_is_shown() -> None:
    long = " AND ".join(["params.a = 'x'"] * 20)
    with pytest.raises(BadFilter) as raised:
        parse(f"{long}\nAND nonsense = 1 AND {long}", now=NOW)
    _, shown, caret = str(raised.value).splitlines()
    assert len(shown) < 110
    assert shown[caret.index("^") : caret.rindex("^") + 1] == "nonsense"


def test_length_depth_and_number_of_comparisons_are_bounded() -> None:
    read("(" * MAX_DEPTH + "linked = true" + ")" * MAX_DEPTH)
    read(" OR ".join(["linked = true"] * MAX_COMPARISONS))
    for text, why in (
        ("(" * 5_000, f"More than {MAX_DEPTH} brackets"),
        (" OR ".join(["linked = true"] * (MAX_COMPARISONS + 1)), f"More than {MAX_COMPARISONS} comparisons"),
        ("a" * (MAX_LENGTH + 1), "at most 100,000 characters"),
        ("start_time > " + "9" * 5_000 + "dd", "takes a date"),
        ("x" * 90_000, r"^'x{999}… \(at character 1\)"),
    ):
        with pytest.raises(BadFilter, match=why):
            parse(text, now=NOW)
    assert compared("start_time > " + "9" * 5_000)[2] == LARGEST


def test_an_order_is_fields_with_a_direction_each() -> None:
    rmse, start = find("runs", "metrics.rmse"), find("runs", "start_time")
    assert rmse is not None
    assert start is not None
    by = parse_order("metrics.`rmse` desc, attributes.start_time")
    assert by == (Order(rmse.field, True, "rmse"), Order(start.field))
    assert parse_order(", ".join(map(str, by))) == by
    assert parse_order(" ") == ()


@pytest.mark.parametrize(
    ("text", "says", "underlined"),
    [
        ("metrics.rmse DOWN", "ASC, DESC or a comma is expected here", "DOWN"),
        ("metrics.rmse,", "The name of a field is expected here", ""),
        ("start_tme", "Did you mean start_time?", "start_tme"),
        ("application.name", "may have several application.name", "application.name"),
        ("start_time, created DESC", "start_time is there twice", "created"),
    ],
)
def test_a_bad_order_says_what_is_wrong_and_underlines_it(text: str, says: str, underlined: str) -> None:
    with pytest.raises(BadFilter, match=re.escape(says)) as raised:
        parse_order(text)
    assert text[raised.value.start : raised.value.end] == underlined


any_text = st.text(max_size=12) | st.sampled_from(["", "it's", "`", "\\", "'\"`", "a\\'", "..", "x.", "\n", "''"])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": any_text,
    "number": st.integers(-LARGEST, LARGEST) | st.just(0.25),
    "time": st.integers(-LARGEST, LARGEST),
    "duration": st.integers(0, 10**12) | st.integers(-100_000, 0),
    "boolean": st.booleans(),
}


@st.composite
def comparisons(draw: st.DrawFn, of: Of) -> Condition:
    field = draw(st.sampled_from(FIELDS[of]))
    operator = draw(st.sampled_from(field.comparators))
    value = None
    if "NULL" not in operator:
        some = st.sampled_from(field.choices) if field.choices else VALUES[field.kind]
        if field.decimal:
            some = st.floats(allow_nan=False) | (st.just(math.nan) if operator in ("=", "!=") else st.just(0.0))
        value = draw(st.lists(some, min_size=1, max_size=3).map(tuple) if operator in ("IN", "NOT IN") else some)
    return Comparison(field, operator, value, draw(any_text) if field.keyed else None)


def conditions(of: Of) -> st.SearchStrategy[Condition]:
    return st.recursive(
        comparisons(of),
        lambda parts: (
            st.lists(parts, min_size=2, max_size=3).map(all_of) | st.lists(parts, min_size=2, max_size=3).map(any_of)
        ),
        max_leaves=6,
    )


@settings(quick, max_examples=150)
@given(st.sampled_from(OFS).flatmap(lambda of: st.tuples(st.just(of), conditions(of))))
def test_a_condition_as_text_is_read_as_the_same_condition(case: tuple[Of, Condition]) -> None:
    of, condition = case
    assert parse(str(condition), of, now=0) == condition


PIECES = st.sampled_from(
    [
        "metrics.a", "tags.", "params", "duration", "start_time", "linked", "link.source", "run_id", "=", "!=", "<",
        "IN",
        "NOT", "LIKE", "IS", "NULL", "AND", "OR", "(", ")", ",", "'x'", '"', "`", "5", "1h", "7d", "true", "nan",
        "'2026-11-01'",
    ]
)  # fmt: skip


@settings(quick, max_examples=400)
@given(st.text() | st.lists(PIECES | st.text(max_size=3), max_size=12).map(" ".join), st.sampled_from(OFS))
def test_any_text_is_a_condition_or_a_bad_filter(text: str, of: Of) -> None:
    underlined = []  # nothing but BadFilter may come
    for reading in (lambda: parse(text, of, now=NOW), lambda: parse_order(text, of)):
        try:
            reading()
        except BadFilter as error:
            underlined.append((error.start, error.end, str(error)))
    assert all(0 <= start <= end <= len(text) and "^" in said for start, end, said in underlined)


RUN = {
    "params": {"depth": "5"}, "metrics": {"rmse": 0.7, "loss": "NaN"}, "tags": {"team": "a"}, "duration_ms": 700_000,
    "effective_status": "ORPHANED", "core_seconds": 120.5, "start_time": NOW - DAY, "end_time": None, "name": "Fit 50%",
    "registered_versions": [{"name": "wine", "version": "3"}, {"name": "beer", "version": "11"}],
    "applications": [
        {"app_id": "local-1", "name": "train", "status": "LOST", "source": "tag"},
        {"app_id": "local-2", "name": "again", "status": "ENDED", "source": "resumed"},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("duration > 10m AND effective_status = 'orphaned' AND spark.core_seconds > 100", True),
        ("start_time > 7d", True), ("start_time > 1h", False),
        ("params.depth != '6'", True), ("params.none != '6'", False), ("params.none NOT IN ('6')", False),
        ("params.none NOT LIKE '6'", False), ("params.none IS NULL", True), ("metrics.loss IS NULL", False),
        ("end_time > 0 OR end_time <= 0", False), ("end_time IS NULL", True),
        ("run_name LIKE 'fit%'", False), ("run_name ILIKE 'fit%'", True), ("run_name LIKE 'Fit __\\%'", False),
        ("application.name = 'train' AND application.name = 'again'", True), ("application.status != 'LOST'", True),
        ("application.id NOT IN ('local-1', 'local-2')", False), ("link.source = 'executor'", False),
        ("linked = false", False),
        ("registered_model.name = 'wine' AND registered_model.version > 10", True),
        ("registered_model.version = 4", False),
    ],
)  # fmt: skip
def test_what_a_run_has_decides_whether_it_matches(text: str, holds: bool) -> None:
    assert matches(read(text), RUN) is holds


def test_the_rows_of_the_lists_have_what_every_field_asks_for(sqlite_url: str, tmp_path: Path) -> None:
    journal = Journal(tmp_path, "app-1", name="train", start=NOW, user="ada")
    journal.run_end(journal.run_start(run_id_of("a"), "a"), metrics={"rmse": 0.5})
    store = open_store(sqlite_url)
    ingest_file(store, journal.end(), now=NOW)
    with store.read() as conn:
        lists = {"runs": search_runs, "experiments": search_experiments, "applications": search_applications}
        rows = {of: lists[of](conn, Query()).rows[0] for of in OFS}
    store.close()
    for of, field in EVERY_FIELD:
        values(field, "rmse", rows[of])
    rmse = find("runs", "metrics.rmse")
    assert rmse is not None
    assert values(*rmse, rows["runs"]) == [0.5]
