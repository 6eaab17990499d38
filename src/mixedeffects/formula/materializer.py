"""Columns as formulaic takes them, without a data frame and with our functions alone.

Imports formulaic, so it is imported when a design is built and not before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from formulaic import ModelMatrix, ModelSpec, SimpleFormula
from formulaic.materializers import PandasMaterializer
from formulaic.transforms.contrasts import ContrastsState, TreatmentContrasts
from formulaic.utils.cast import as_columns
from formulaic.utils.stateful_transforms import stateful_eval
from numpy.typing import NDArray

from mixedeffects.formula.python import Python
from mixedeffects.formula.transforms import ENVIRONMENT
from mixedeffects.formula.values import Values

__all__ = ["ColumnsMaterializer"]


class ColumnsMaterializer(PandasMaterializer):  # type: ignore[misc]
    """Looks columns up and evaluates expressions for formulaic, which does all the rest."""

    INTERFACE_EXPLICIT_OVERRIDES = False  # of the package with which formulaic marks overrides

    data: Values

    def _init(self) -> None:
        pass

    @property
    def data_context(self) -> dict[str, Any]:
        return {}  # an expression is given the columns that it names and no others

    @property
    def nrows(self) -> int:
        return self.data.columns.n_rows

    def matrix(self, spec: SimpleFormula | ModelSpec) -> ModelMatrix:
        """What `get_model_matrix` makes of one formula, without its way through several."""
        if isinstance(spec, SimpleFormula):
            spec = ModelSpec(spec, output="numpy", na_action="ignore")
        for term in spec.formula:
            for factor in term.factors:
                self._evaluate_factor(factor, spec, set())
        return self._build_model_matrix(spec, [])

    def _lookup(self, name: str) -> tuple[Any, set[Any]]:
        return self.data.column(name), set()

    def _evaluate(self, expr: str, metadata: dict[str, Any], spec: Any) -> tuple[Any, set[Any]]:
        node = metadata["node"]
        python = Python(self.data)
        try:
            code = python.write(node)
            names = {**ENVIRONMENT, **python.names}
            value = stateful_eval(code, names, None, spec.transform_state, spec)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise self.data.explain(expr, node, error) from None
        constant = isinstance(value, int | float | np.generic)
        return np.full(self.nrows, float(value)) if constant else value, set()

    def _encode_categorical(
        self,
        values: Any,
        metadata: Any,
        encoder_state: dict[str, Any],
        spec: Any,
        drop_rows: Sequence[int],
        reduced_rank: bool = False,
    ) -> Any:
        """Treatment contrasts of a column as it is, without a data frame of indicators."""
        column = values.__wrapped__
        levels = list(getattr(column, "categories", ()))
        if not levels or encoder_state.get("categories", levels) != levels:
            return super()._encode_categorical(
                values, metadata, encoder_state, spec, drop_rows, reduced_rank
            )
        contrasts = TreatmentContrasts()
        encoder_state["categories"] = levels
        encoder_state["contrasts"] = ContrastsState(contrasts, levels)
        indicators = column.codes[:, None] == np.arange(len(levels))
        return as_columns(
            contrasts.apply(indicators, levels=levels, reduced_rank=False, output="numpy")
        )

    def _combine_columns(
        self, cols: Sequence[tuple[str, Any]], spec: Any, drop_rows: Sequence[int]
    ) -> NDArray[np.float64]:
        matrix = np.empty((self.nrows, len(cols)))
        for j, (_, values) in enumerate(cols):
            matrix[:, j] = values
        return matrix
