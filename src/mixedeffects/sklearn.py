"""Mixed models as scikit-learn estimators, for its pipelines, cross-validation and scores.

They live beside scikit-learn's own, which the extra ``mixedeffects[sklearn]`` installs.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_feature_names,
    _num_samples,
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from mixedeffects.errors import DataError, FormulaError
from mixedeffects.formula.grammar import parse_formula
from mixedeffects.model import fit

__all__ = ["MixedEffectsClassifier", "MixedEffectsRegressor"]

Random = Literal["conditional", "population"]
RESPONSE = "response"


class _MixedEffects(BaseEstimator):  # type: ignore[misc]
    """What the two estimators share; ``_family`` of the mixed model, ``_plain`` without groups."""

    _plain: Any

    def __init__(self, formula: str | None = None, *, random: Random = "conditional") -> None:
        self.formula = formula
        self.random = random

    def _family(self) -> Any:
        raise NotImplementedError

    def _check_given(self, y: ArrayLike | None) -> None:
        if y is None:
            name = type(self).__name__
            raise DataError(f"{name} requires y to be passed, but the target y is None.")

    def _fit(self, X: Any, y: NDArray[Any], groups: ArrayLike | None) -> Self:
        self.fit_: Any = None
        if self.formula is not None:
            if groups is not None:
                raise DataError("Give groups= or a formula, which names its groups, not both.")
            data, text = self._columns(X), self._two_sided()
        else:
            X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
            if groups is None:
                self.plain_ = clone(self._plain).fit(X, y)
                return self
            data = self._arrays(X, groups)
            text = f"{RESPONSE} ~ {' + '.join(['1', *self._names(X)])} + (1 | group)"
        self.fit_ = fit(text, {**data, self._response(text): y}, family=self._family())
        return self

    def _mean(self, X: Any, groups: ArrayLike | None) -> NDArray[np.float64]:
        """Predicted means (n,); of a group that was not seen, at no random effect."""
        check_is_fitted(self)
        random = self.random
        if self.formula is not None:
            data = self._columns(X, reset=False)
        else:
            X = validate_data(self, X, dtype=np.float64, reset=False)
            if groups is None:
                random = "population"
                groups = np.zeros(len(X))
            data = self._arrays(X, groups)
        return np.asarray(self.fit_.predict(data, random=random, new_levels="population"))

    def _columns(self, X: Any, reset: bool = True) -> dict[str, Any]:
        """The columns of a table, by name."""
        if not hasattr(X, "columns"):
            raise DataError(
                "A formula needs a table whose columns it can name: give X as a data frame, or "
                "leave the formula out and give groups=."
            )
        _check_feature_names(self, X, reset=reset)
        if reset:
            self.n_features_in_ = len(X.columns)
        return {str(name): X[name] for name in X.columns}

    def _two_sided(self) -> str:
        text = str(self.formula).strip()
        return f"{RESPONSE} {text}" if text.startswith("~") else text

    def _response(self, text: str) -> str:
        name = parse_formula(text).response.strip()
        if not name.isidentifier():
            raise FormulaError(
                f"the response {name!r} is y itself here: write the formula as '~ ...'", text
            )
        return name

    @staticmethod
    def _names(X: NDArray[np.float64]) -> list[str]:
        return [f"x{i}" for i in range(X.shape[1])]

    def _arrays(self, X: NDArray[np.float64], groups: ArrayLike) -> dict[str, Any]:
        labels = column_or_1d(groups)
        check_consistent_length(X, labels)
        columns = dict(zip(self._names(X), X.T, strict=True))
        return {**columns, "group": labels.astype(str)}


class MixedEffectsRegressor(RegressorMixin, _MixedEffects):  # type: ignore[misc]
    """A mixed model of a numeric response.

    Parameters
    ----------
    formula : str, optional
        Right side of a formula over the columns of X, ``"~ Days + (Days | Subject)"``. Without
        it all columns of X are covariates, and the ``groups`` given to `fit` have random
        intercepts; without these too it is `sklearn.linear_model.LinearRegression`.
    family : str or object of me.families
    random : {"conditional", "population"}
        Whether predictions are for the groups, where they were seen, or for the population.

    Attributes
    ----------
    fit_ : MixedFit, or None without groups

    Examples
    --------
    >>> import mixedeffects as me
    >>> from sklearn.model_selection import GroupKFold, cross_val_score
    >>> data = me.datasets.load("sleepstudy")
    >>> model = me.sklearn.MixedEffectsRegressor("~ Days + (Days | Subject)")
    >>> X, y = data[["Days", "Subject"]], data["Reaction"]
    >>> scores = cross_val_score(model, X, y, groups=X["Subject"], cv=GroupKFold(3))
    >>> scores.round(2).tolist()
    [0.14, 0.17, 0.07]
    """

    _plain = LinearRegression()

    def __init__(
        self,
        formula: str | None = None,
        *,
        family: Any = "gaussian",
        random: Random = "conditional",
    ) -> None:
        super().__init__(formula, random=random)
        self.family = family

    def _family(self) -> Any:
        return self.family

    def fit(self, X: Any, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit the model.

        Parameters
        ----------
        X : table with the formula's columns, or array (n, p)
        y : array (n,)
        groups : array (n,), optional
            The group of each row, where there is no formula.
        """
        self._check_given(y)
        response = column_or_1d(
            check_array(y, ensure_2d=False, dtype=np.float64, input_name="y"), warn=True
        )
        if _num_samples(X) != len(response):
            check_consistent_length(X, response)
        return self._fit(X, response, groups)

    def predict(self, X: Any, groups: ArrayLike | None = None) -> NDArray[np.float64]:
        """Predicted means (n,); for the population where there is neither formula nor groups."""
        check_is_fitted(self)
        if self.fit_ is None:
            X = validate_data(self, X, dtype=np.float64, reset=False)
            return np.asarray(self.plain_.predict(X))
        return self._mean(X, groups)


class MixedEffectsClassifier(ClassifierMixin, _MixedEffects):  # type: ignore[misc]
    """A mixed model of a response of two classes.

    Parameters
    ----------
    formula, random
        As in `MixedEffectsRegressor`; without groups it is unpenalized logistic regression.
    link : str
        ``"logit"``, ``"probit"``, ``"cloglog"`` or another of the binomial family.

    Attributes
    ----------
    classes_ : array (2,)
        The second is the one whose probability is modelled.
    fit_ : MixedFit, or None without groups

    Examples
    --------
    >>> import mixedeffects as me
    >>> data = me.datasets.load("verbagg")[:1000]
    >>> model = me.sklearn.MixedEffectsClassifier("~ Anger + Gender + (1 | id) + (1 | item)")
    >>> model.fit(data[["Anger", "Gender", "id", "item"]], data["r2"]).classes_.tolist()
    ['N', 'Y']
    """

    _plain = LogisticRegression(C=np.inf)

    def __init__(
        self,
        formula: str | None = None,
        *,
        link: str = "logit",
        random: Random = "conditional",
    ) -> None:
        super().__init__(formula, random=random)
        self.link = link

    def _family(self) -> Any:
        from mixedeffects.families import Binomial

        return Binomial(link=self.link)

    def fit(self, X: Any, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit the model; see `MixedEffectsRegressor.fit`, with y of two classes."""
        self._check_given(y)
        check_classification_targets(y)
        labels = column_or_1d(y, warn=True)
        check_consistent_length(X, labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) > 2:
            raise DataError(
                f"Only binary classification is supported. The type of the target is multiclass: "
                f"it has {len(self.classes_)} classes. For ordered ones fit "
                "me.fit(..., family='cumulative')."
            )
        if len(self.classes_) < 2:
            raise DataError("y has one class, there is nothing to tell apart.")
        return self._fit(X, codes.astype(np.float64), groups)

    def predict_proba(self, X: Any, groups: ArrayLike | None = None) -> NDArray[np.float64]:
        """Probabilities (n, 2) of the classes."""
        check_is_fitted(self)
        if self.fit_ is None:
            X = validate_data(self, X, dtype=np.float64, reset=False)
            return np.asarray(self.plain_.predict_proba(X))
        mean = self._mean(X, groups)
        return np.column_stack([1.0 - mean, mean])

    def predict(self, X: Any, groups: ArrayLike | None = None) -> NDArray[Any]:
        """The more probable class (n,)."""
        likely = self.predict_proba(X, groups)[:, 1] > 0.5
        return np.asarray(self.classes_[likely.astype(np.intp)])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
