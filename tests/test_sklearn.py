"""The scikit-learn estimators: its own checks, and the numbers of the fits inside."""

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone  # noqa: E402
from sklearn.model_selection import GroupKFold, cross_val_predict  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

import mixedeffects as me  # noqa: E402
from mixedeffects.errors import DataError, FormulaError  # noqa: E402
from mixedeffects.sklearn import MixedEffectsClassifier, MixedEffectsRegressor  # noqa: E402


class GroupedRegressor(MixedEffectsRegressor):
    """Every fifth row is of one group, so that scikit-learn's checks meet the mixed model."""

    def fit(self, X, y, groups=None):
        return super().fit(X, y, None if y is None else np.arange(len(np.asarray(y))) % 5)


class GroupedClassifier(MixedEffectsClassifier):
    def fit(self, X, y, groups=None):
        return super().fit(X, y, None if y is None else np.arange(len(np.asarray(y))) % 5)


ESTIMATORS = [
    MixedEffectsRegressor(),
    MixedEffectsClassifier(),
    GroupedRegressor(),
    GroupedClassifier(),
]


def expected_failures(estimator):
    if isinstance(estimator, GroupedRegressor):
        reason = "the response is a column of X: a mixed model without residual is refused"
        return {"check_regressors_no_decision_function": reason}
    return {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def sleepstudy():
    return me.datasets.load("sleepstudy")


FORMULA = "~ Days + (Days | Subject)"


def test_formula_gives_the_fit_of_the_library(sleepstudy):
    X, y = sleepstudy[["Days", "Subject"]], sleepstudy["Reaction"]
    model = MixedEffectsRegressor(FORMULA).fit(X, y)
    fit = me.fit(f"Reaction {FORMULA}", sleepstudy)
    np.testing.assert_allclose(model.predict(X), fit.fitted(), rtol=1e-9)
    assert model.fit_.formula.endswith(FORMULA)
    assert model.n_features_in_ == 2
    population = clone(model).set_params(random="population").fit(X, y).predict(X)
    np.testing.assert_allclose(population, fit.predict(random="population"), rtol=1e-9)


def test_full_formula_is_the_same(sleepstudy):
    X, y = sleepstudy[["Days", "Subject"]], sleepstudy["Reaction"]
    one = MixedEffectsRegressor(FORMULA).fit(X, y).predict(X)
    two = MixedEffectsRegressor(f"Reaction {FORMULA}").fit(X, y).predict(X)
    np.testing.assert_array_equal(one, two)


def test_groups_have_random_intercepts(sleepstudy):
    X, y = sleepstudy[["Days"]].to_numpy(float), sleepstudy["Reaction"]
    model = MixedEffectsRegressor().fit(X, y, groups=sleepstudy["Subject"])
    fit = me.fit("Reaction ~ Days + (1 | Subject)", sleepstudy)
    np.testing.assert_allclose(
        model.predict(X, groups=sleepstudy["Subject"]), fit.fitted(), rtol=1e-9
    )
    np.testing.assert_allclose(model.predict(X), fit.predict(random="population"), rtol=1e-9)


def test_cross_validation_by_group_predicts_for_the_population(sleepstudy):
    X, y = sleepstudy[["Days", "Subject"]], sleepstudy["Reaction"]
    groups, cv = X["Subject"], GroupKFold(3)
    found = cross_val_predict(MixedEffectsRegressor(FORMULA), X, y, groups=groups, cv=cv)
    for train, test in cv.split(X, y, groups):
        fit = me.fit(f"Reaction {FORMULA}", sleepstudy.iloc[train])
        expected = fit.predict(sleepstudy.iloc[test], random="population")
        np.testing.assert_allclose(found[test], expected, rtol=1e-7)


def test_pipelines_hand_tables_through(sleepstudy):
    X, y = sleepstudy[["Days", "Subject"]], sleepstudy["Reaction"]
    pipeline = make_pipeline(FunctionTransformer(), MixedEffectsRegressor(FORMULA)).fit(X, y)
    fit = me.fit(f"Reaction {FORMULA}", sleepstudy)
    np.testing.assert_allclose(pipeline.predict(X), fit.fitted(), rtol=1e-9)


def test_classifier_gives_the_probabilities_of_the_fit():
    data = me.datasets.load("verbagg")[:1440]
    text = "~ Anger + (1 | id) + (1 | item)"
    X = data[["Anger", "id", "item"]]
    model = MixedEffectsClassifier(text).fit(X, data["r2"])
    fit = me.fit(f"r2 {text}", data, family="binomial")
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities[:, 1], fit.fitted(), rtol=1e-6)
    assert set(model.predict(X)) == {"N", "Y"}
    assert model.score(X, data["r2"]) > 0.7


def test_counts_have_their_family():
    data = me.datasets.load("epil2")
    model = MixedEffectsRegressor("~ Base + (1 | subject)", family="poisson")
    predicted = model.fit(data[["Base", "subject"]], data["y"]).predict(data[["Base", "subject"]])
    fit = me.fit("y ~ Base + (1 | subject)", data, family="poisson")
    np.testing.assert_allclose(predicted, fit.fitted(), rtol=1e-6)


def test_misuse_is_refused_in_words(sleepstudy):
    X, y = sleepstudy[["Days", "Subject"]], sleepstudy["Reaction"]
    with pytest.raises(DataError, match="not both"):
        MixedEffectsRegressor(FORMULA).fit(X, y, groups=X["Subject"])
    with pytest.raises(DataError, match="data frame"):
        MixedEffectsRegressor(FORMULA).fit(X.to_numpy(), y)
    with pytest.raises(FormulaError, match="y itself"):
        MixedEffectsRegressor("log(Reaction) ~ Days + (1 | Subject)").fit(X, y)
    with pytest.raises(DataError, match="3 classes"):
        MixedEffectsClassifier(FORMULA).fit(X, np.arange(len(y)) % 3)
