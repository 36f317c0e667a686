"""Which values of a metric are worse than expected, and which way is better."""

import pytest

from afterglow_monitor.charting.series_metric import HIGHER, LOWER, usual, worse


@pytest.mark.parametrize(("better", "bad"), [(LOWER, {9}), (HIGHER, {8})])
def test_worse_is_what_lies_beyond_the_band_on_the_wrong_side(better: str, bad: set[int]) -> None:
    values = dict(enumerate([-0.5, -0.51, -0.49, -0.5, -0.52, -0.5, -0.5, -0.48], start=0)) | {8: -3.0, 9: 2.0}
    expected, found = worse(values, better)
    assert expected is not None
    assert expected.low < -0.5 < expected.high
    assert found == bad


def test_of_too_few_nothing_is_expected() -> None:
    assert worse({1: 0.5, 2: 9.0}, LOWER) == (None, set())


def test_a_metrics_name_says_which_way_is_better() -> None:
    assert {name: usual(name) for name in ("val_RMSE", "loss", "auc", "f1")} == {
        "val_RMSE": LOWER, "loss": LOWER, "auc": HIGHER, "f1": HIGHER,
    }  # fmt: skip
