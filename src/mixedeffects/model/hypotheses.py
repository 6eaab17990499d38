"""Tests of the fixed effects."""

from __future__ import annotations

from typing import Any, Literal

from mixedeffects.errors import ModelError
from mixedeffects.fitting.general_fit import GeneralFit
from mixedeffects.inference.anova import anova_table
from mixedeffects.inference.hypotheses import LinearTest, linear_test
from mixedeffects.inference.term_ratios import ratio_table
from mixedeffects.model.options import check_option
from mixedeffects.model.values import Values


class Hypotheses(Values):
    """Linear hypotheses and analysis of variance."""

    def test(
        self,
        L: Any,
        df: str | None = None,
        rhs: Any = 0.0,
        level: float = 0.95,
        component: str = "conditional",
    ) -> LinearTest:
        """Test linear hypotheses Lβ = rhs, each row and all of them jointly.

        Parameters
        ----------
        L
            A row (p,) or matrix (r, p) over the coefficients of ``fixef()``; a term of the
            formula (``"A:B"``), all of whose columns are tested; or equations between
            coefficients, separated by commas (``"Days = 0, 2*x - 3 = z"``; a side alone is
            compared with ``rhs``).
        df
            As in ``fixef``.
        rhs
            A number, or one for each row.
        level
            Of the intervals of Lβ.
        component
            The linear predictor whose coefficients β are, as ``fixef()`` names them:
            ``"zero_inflation"``, ``"dispersion"``, ….

        Returns
        -------
        LinearTest
            With ``table`` (``hypothesis estimate std_error statistic df p_value conf_low
            conf_high``) and ``joint`` (``statistic num_df den_df p_value``).

        Raises
        ------
        FormulaError
            For a text that is neither a term nor linear in known coefficients.
        ModelError
            For a matrix of another shape, rows that contradict one another, coefficients
            that are not in the fit.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
        >>> tested = fit.test("Intercept + 5*Days = 300")
        >>> round(tested.joint.p_value, 3)
        0.701
        """
        return linear_test(self._fit, self._freedom(df), L, rhs, level, component)

    def anova(
        self,
        type: Literal[1, 2, 3] = 3,
        df: str | None = None,
        *,
        test: Literal["wald", "lrt"] = "wald",
        component: str = "conditional",
    ) -> Any:
        """Table of tests of the terms of the fixed part.

        Parameters
        ----------
        type
            1: each term given those before it. 2: each given all others that do not contain
            it. 3: hypotheses about means of equally weighted cells (slopes for a covariate),
            whatever the contrasts and the order of the factors; SAS's construction, also
            where cells are empty. In an interaction with a covariate a factor is compared
            where the covariate is zero. A term that stands for one of its margins (``0 + a``)
            is tested with it.
        df
            As in ``fixef``. F tests follow SAS and lmerTest: a term contains another if it
            has more factors and the same covariates, and types 1 and 2 leave terms out as
            ordinary least squares do. ``"asymptotic"`` gives the Wald χ² tests of R's car:
            ``A:x`` then contains ``A`` for a covariate x too, and types 1 and 2 leave terms
            out as the model with its estimated covariances does. Type 3 is the same
            hypothesis for every method (car's and lme4's depend on the contrasts).
        test
            Of generalized fits: ``"wald"``, or ``"lrt"`` for likelihood ratios, where for each
            term the smaller model is fitted, and for types 1 and 2 the larger one, too.
        component
            The linear predictor whose terms are tested, as in ``test``.

        Returns
        -------
        table
            ``term sum_sq mean_sq num_df den_df statistic p_value``: F tests with mean_sq =
            F·σ²; for ``"asymptotic"`` without sums of squares, the statistic is χ². The
            intercept has no row; a term of which nothing can be tested has num_df 0.

        Raises
        ------
        ModelError
            If an option is none of those, or the method does not apply to the fit.

        Examples
        --------
        >>> import mixedeffects as me
        >>> fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
        >>> fit.anova()[["term", "num_df", "den_df", "statistic"]].round(2)
           term  num_df  den_df  statistic
        0  Days       1    17.0      45.85
        """
        check_option("type", type, (1, 2, 3))
        check_option("test", test, ("wald", "lrt"))
        if test == "wald":
            return self._table(anova_table(self._fit, self._freedom(df), type, component))
        if not isinstance(self._fit, GeneralFit):
            raise ModelError(
                "test='lrt' is for generalized models. The F tests of a linear one are better in "
                "small samples; for likelihood ratios compare(small, large, refit=True)."
            )
        if df not in (None, "asymptotic"):
            raise ModelError(f"df={df!r} belongs to test='wald': leave it out.")
        return self._table(ratio_table(self._fit, type, component))
