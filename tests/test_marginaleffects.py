"""The package marginaleffects on our fits: its numbers beside ours.

It needs polars before 2; elsewhere these tests are left out, and .ci/run runs them by themselves.
"""

import numpy as np
import pytest

polars = pytest.importorskip("polars")
if int(polars.__version__.split(".")[0]) >= 2:
    pytest.skip("marginaleffects needs polars before 2", allow_module_level=True)
marginaleffects = pytest.importorskip("marginaleffects")

from marginaleffects import avg_comparisons, avg_predictions, avg_slopes, predictions  # noqa: E402

import mixedeffects as me  # noqa: E402
from mixedeffects.errors import ModelError  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
# its derivatives are finite differences
SAME = {"rtol": 1e-5, "atol": 1e-8}


@pytest.fixture(scope="module")
def cbpp():
    data = me.datasets.load("cbpp")
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return me.fit(formula, data, family="binomial")


@pytest.fixture(scope="module")
def salamanders():
    data = me.datasets.load("salamanders")
    formula = "count ~ mined + (1 | site)"
    return me.fit(formula, data, family="nbinom2", zero_inflation="~ mined")


def test_slopes_of_a_linear_model():
    fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
    found, own = avg_slopes(me.marginaleffects.model(fit), variables="Days"), fit.fixef()
    np.testing.assert_allclose(found["estimate"][0], own["estimate"][1], **SAME)
    # a difference of differences, both with steps of its own
    np.testing.assert_allclose(found["std_error"][0], own["std_error"][1], rtol=1e-3)


def test_transformed_columns_are_made_again():
    data = me.datasets.load("sleepstudy")
    fit = me.fit("Reaction ~ poly(Days, 2) + (1 | Subject)", data)
    found = predictions(me.marginaleffects.model(fit))
    own = fit.predict(random="population", std_error=True)
    np.testing.assert_allclose(found["estimate"], own["estimate"], **SAME)
    np.testing.assert_allclose(found["std_error"], own["std_error"], **SAME)


@pytest.mark.parametrize("name", ["cbpp", "salamanders"])
def test_predictions_are_those_of_predict(name, request):
    fit = request.getfixturevalue(name)
    found = predictions(me.marginaleffects.model(fit))
    own = fit.predict(random="population", std_error=True)
    np.testing.assert_allclose(found["estimate"], own["estimate"], **SAME)
    np.testing.assert_allclose(found["std_error"], own["std_error"], **SAME)


def test_averages_and_comparisons(cbpp):
    model = me.marginaleffects.model(cbpp)
    means = avg_predictions(model, by="period")["estimate"].to_numpy()
    own = cbpp.predict({"period": ["1", "2", "3", "4"]}, random="population")
    np.testing.assert_allclose(means, own, **SAME)
    differences = avg_comparisons(model, variables="period")["estimate"].to_numpy()
    np.testing.assert_allclose(differences, means[1:] - means[0], **SAME)


def test_probabilities_of_categories():
    formula = "rating ~ temp + contact + (1 | judge)"
    fit = me.fit(formula, me.datasets.load("wine"), family="cumulative")
    found = predictions(me.marginaleffects.model(fit)).sort("group", "rowid")
    own = fit.predict(random="population")
    for category in own:
        rows = found.filter(polars.col("group") == category)
        np.testing.assert_allclose(rows["estimate"], own[category], **SAME)


def test_what_is_no_fit_is_refused(cbpp):
    with pytest.raises(ModelError, match="not a fit"):
        me.marginaleffects.model("fit")
    with pytest.raises(ModelError, match="HC3"):
        predictions(me.marginaleffects.model(cbpp), vcov="HC3")
