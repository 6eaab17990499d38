"""Columns as tables: which come first, which are left out, how many digits."""

from math import inf, nan

from mixedeffects.show.report.sheets import sheet


def test_words_come_first_and_what_is_missing_everywhere_goes():
    columns = {
        "estimate": [1.25, -2.0],
        "term": ["a", "b"],
        "df": [inf, inf],
        "reduced": [None] * 2,
    }
    table = sheet("t", columns)
    assert table.header == ("Term", "Estimate")
    assert table.labels == 1


def test_digits_follow_the_standard_errors():
    columns = {
        "term": ["a", "b"],
        "estimate": [251.40510485, 10.46728596],
        "std_error": [6.8246, 1.5458],
    }
    assert sheet("t", columns).rows == (("a", "251.405", "6.825"), ("b", "10.467", "1.546"))


def test_squares_p_values_and_degrees_of_freedom():
    columns = {
        "term": ["a", "b"],
        "sum_sq": [161780.4, 12.3],
        "num_df": [1, 2],
        "den_df": [17.0, 143.55],
        "p_value": [3.26e-6, nan],
    }
    assert sheet("t", columns).rows[0][1:] == ("161780.40", "1", "17.0", "3.3e-06")
    assert sheet("t", columns).rows[1][1:] == ("12.30", "2", "143.6", "-")


def test_a_name_of_a_number_may_hold_words():
    table = sheet(
        "t", {"statistic": ["elpd_loo"], "estimate": [-861.2]}, headers={"statistic": "Which"}
    )
    assert table.header == ("Which", "Estimate")
    assert table.rows[0][0] == "elpd_loo"
