"""What every family of responses provides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from mixedeffects.errors import ModelError
from mixedeffects.families.jets import Array, Key, Partials, Wanted, total, wanted_keys
from mixedeffects.families.links import LINKS, AbstractLink, Curve, Scale, check_link
from mixedeffects.families.response import Column, Response

Predictors = tuple[Array, ...]
# Rows whose intermediate arrays stay in the cache.
_BLOCK = 1 << 13


@dataclass(frozen=True, slots=True)
class Derivatives:
    """The log-density of each row and its partial derivatives by the linear predictors.

    Attributes
    ----------
    value : array (n,)
        Minus infinity where the predictors give a mean that the family does not have.
    first : dict of int to array (n,)
    second : dict of (a, b), a ≤ b, to array (n,)
        At least one of a, b carries random effects.
    third : dict of (a, b, c), a ≤ b ≤ c, to array (n,)
        At least two of them carry random effects. A key that is missing is zero everywhere.
    """

    value: Array
    first: dict[int, Array]
    second: dict[tuple[int, int], Array]
    third: dict[tuple[int, int, int], Array]


@dataclass(frozen=True, slots=True)
class Extras:
    """Parameters that all rows share besides the linear predictors, on unconstrained scales ψ.

    Attributes
    ----------
    names : tuple of str, length e
        Of the values on the user's scale.
    start : array (e,)
    to_user : function of ψ (e,)
        Values (e,) on the user's scale and their Jacobian (e, e), rows by value.
    from_user : function of values (..., e)
        ψ (..., e), back from the user's scale.

    Both are functions of a module, so that what holds them can be pickled.
    """

    names: tuple[str, ...]
    start: Array
    to_user: Callable[[Array], tuple[Array, Array]]
    from_user: Callable[[Array], Array]


def no_extras() -> Extras:
    return Extras((), np.empty(0), _nothing_to_user, np.asarray)


def _nothing_to_user(psi: Array) -> tuple[Array, Array]:
    return psi, np.empty((0, 0))


@dataclass(frozen=True)
class AbstractFamily(ABC):
    """A distribution of responses given its linear predictors.

    The predictors are, in this order: the conditional one η = g(μ), the dispersion's δ (a
    logarithm) where the family has one, the zero inflation's ζ (a logit) where asked for, and
    extra parameters ψ that all rows share. Each is an array (n,), or a single number for all
    rows.

    Attributes
    ----------
    link : str
        Name of g.
    """

    link: str = ""

    name: ClassVar[str]
    links: ClassVar[tuple[str, ...]]
    natural: ClassVar[Scale | None]
    """The scale of μ on which `partials` differentiates, see `links`; None for η as it is."""
    has_dispersion: ClassVar[bool] = True
    discrete: ClassVar[bool] = False
    response_kind: ClassVar[Literal["numeric", "binomial", "ordinal"]] = "numeric"
    """What the response is read as."""
    has_thresholds: ClassVar[bool] = False
    """Whether thresholds among the extra parameters stand in for the intercept."""
    extra_component: ClassVar[str] = "shape"
    """What tables call the extra parameters."""
    zero_mass: ClassVar[bool] = False
    """Whether 0 has a positive probability, so that it can be inflated."""
    has_residual: ClassVar[bool] = False
    """Whether `sigma` is the standard deviation of the response about its mean."""
    dispersion: ClassVar[str] = ""
    """What exp(δ) is, in a few words."""
    sigma_name: ClassVar[str] = ""
    """What `sigma` is called."""
    variance_is: ClassVar[str] = ""
    """The variance that it gives."""

    def __post_init__(self) -> None:
        check_link(self.link, self.name, self.links)

    # ---------------------------------------------------------------- the model's parts
    @property
    def g(self) -> AbstractLink:
        """The link function."""
        return LINKS[self.link]

    def predictors(self) -> tuple[str, ...]:
        """Names of the linear predictors, in their order; extras follow them."""
        return ("conditional", "dispersion") if self.has_dispersion else ("conditional",)

    @property
    def fixed_sigma(self) -> float:
        """`sigma` where nothing estimates it."""
        return 1.0

    def extras(self, response: Response) -> Extras:
        """Names and starts of the extra parameters."""
        return no_extras()

    def describe(self) -> str:
        """Name, link and options in a line."""
        return f"{self.name}, {self.link} link"

    # ---------------------------------------------------------------- the data
    @abstractmethod
    def response(
        self,
        y: Array,
        trials: Array | None = None,
        name: str = "y",
        rows: NDArray[np.intp] | None = None,
    ) -> Response:
        """Check a response and compute what depends on it alone.

        Parameters
        ----------
        y : array (n,)
        trials : array (n,), optional
            For counts of successes.
        name : str
            The response as the formula writes it.
        rows : array of int (n,), optional
            Numbers of the rows in the data, for messages.

        Raises
        ------
        DataError
            If the family cannot have produced a value.
        """

    def _refuse_trials(self, trials: Array | None, column: Column) -> None:
        if trials is not None:
            raise ModelError(
                f"{column.name!r} has two parts, successes and failures; family {self.name!r}"
                " takes one column. Use family 'binomial' or 'betabinomial', or one column."
            )

    # ---------------------------------------------------------------- the density
    @abstractmethod
    def partials(self, response: Response, point: Predictors, wanted: Wanted) -> Partials:
        """The log-density (key ``()``) and its wanted partial derivatives.

        ``point`` has the natural scale of μ in the place of η; derivatives are by it.
        """

    def compiled(self, response: Response, point: Predictors, wanted: Wanted) -> Array | None:
        """The same as a table (1 + K, n) by one pass over the rows, where the family has one.

        ``point`` has η as it is; rows of the table after the first are as `wanted_keys` says.
        """
        return None

    def log_density(self, response: Response, predictors: Predictors) -> Array:
        """Log-density (n,) of each row, with all constants."""
        return self.derivatives(response, predictors, 0).value

    def derivatives(
        self,
        response: Response,
        predictors: Predictors,
        order: int,
        curved: tuple[int, ...] = (0,),
    ) -> Derivatives:
        """Log-density of each row and its derivatives by the predictors.

        Parameters
        ----------
        response : Response
        predictors : tuple of arrays (n,) or single numbers
            In the order of the class docstring, extras included.
        order : {0, 1, 2, 3}
            Of the highest derivatives.
        curved : tuple of int
            The predictors that carry random effects; see `Derivatives` for what they leave out.
        """
        wanted = Wanted(order, curved)
        point = tuple(np.asarray(p, dtype=float) for p in predictors)
        table = self.compiled(response, point, wanted)
        if table is not None:
            return _of_table(table, wanted_keys(wanted, len(point)))
        if len(response.y) <= _BLOCK:
            return self._derivatives(response, point, wanted)
        return _stacked(
            [
                self._derivatives(own, tuple(p[rows] if p.ndim else p for p in point), wanted)
                for rows, own in response.blocks(_BLOCK)
            ]
        )

    def _derivatives(self, response: Response, point: Predictors, wanted: Wanted) -> Derivatives:
        with np.errstate(all="ignore"):
            if self.natural is None or self.natural == self.g.natural:
                found = self.partials(response, point, wanted)
            else:
                curve = self.g.curve(self.natural, point[0])
                inner = self.partials(response, (curve[0], *point[1:]), wanted)
                found = through_curve(inner, curve, wanted, len(point))
        return _as_derivatives(found, response.y.shape)

    # ---------------------------------------------------------------- moments and draws
    def mean(self, predictors: Predictors) -> Array:
        """Mean (n,) of the response; of the proportion where there are trials."""
        return self.g.inverse(predictors[0])

    @abstractmethod
    def variance(self, response: Response, predictors: Predictors) -> Array:
        """Variance (n,) of the response; of the proportion where there are trials."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, response: Response, predictors: Predictors) -> Array:
        """New values (n,) of y."""

    @abstractmethod
    def cdf(self, response: Response, predictors: Predictors) -> Array:
        """Probability (n,) of a value not above y."""

    def atoms(self, response: Response) -> NDArray[np.bool_]:
        """Which values (n,) have a positive probability: all counts, else zeros at most."""
        found: NDArray[np.bool_] = np.full(response.y.shape, self.discrete) | (
            self.zero_mass & (response.y == 0)
        )
        return found

    def deviance(self, response: Response, predictors: Predictors) -> Array | None:
        """Unit deviances (n,), where the family has them."""
        return None

    def sigma(self, delta: Array | float) -> Array:
        """What glmmTMB's ``sigma()`` reports of δ; 1 without dispersion."""
        return np.exp(delta) if self.has_dispersion else np.ones_like(delta)

    # ---------------------------------------------------------------- starts
    @abstractmethod
    def start_mean(self, response: Response) -> Array:
        """Means (n,) near the data, inside the family's range."""

    def initial_eta(self, response: Response) -> Array:
        """η (n,) from which to iterate."""
        return self.g.forward(self.start_mean(response))

    def initial_dispersion(self, response: Response) -> float:
        """δ from which to iterate."""
        return 0.0


def through_curve(inner: Partials, curve: Curve, wanted: Wanted, n_predictors: int) -> Partials:
    """Derivatives by η of what is known by a function of η in its place (chain rule)."""
    _, first, second, third = curve
    # weights of the inner derivatives of order 1, 2, … by the first predictor
    by_times: tuple[tuple[Array, ...], ...] = (
        (),
        (first,),
        (second, first * first),
        (third, 3.0 * first * second, first * first * first),
    )
    found: Partials = {(): inner[()]}
    for key in wanted_keys(wanted, n_predictors):
        times = key.count(0)
        rest = key[times:]
        if times == 0:
            terms = [inner[key]] if key in inner else []
        else:
            terms = [
                weight * inner[(0,) * power + rest]
                for power, weight in enumerate(by_times[times], start=1)
                if (0,) * power + rest in inner
            ]
        if terms:
            found[key] = total(terms)
    return found


def _stacked(parts: list[Derivatives]) -> Derivatives:
    """The derivatives of pieces of rows, one after the other."""

    def joined(pieces: list[dict[Any, Array]]) -> dict[Any, Array]:
        return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}

    return Derivatives(
        np.concatenate([part.value for part in parts]),
        joined([part.first for part in parts]),
        joined([part.second for part in parts]),
        joined([part.third for part in parts]),
    )


def _of_table(table: Array, keys: tuple[Key, ...]) -> Derivatives:
    by_length: tuple[dict[Any, Array], ...] = ({}, {}, {})
    for key, rows in zip(keys, table[1:], strict=True):
        by_length[len(key) - 1][key[0] if len(key) == 1 else key] = rows
    return Derivatives(table[0], *by_length)


def _as_derivatives(found: Partials, shape: tuple[int, ...]) -> Derivatives:
    value = _shaped(found.pop(()), shape)
    if np.isnan(value).any():
        value = np.where(np.isnan(value), -np.inf, value)

    def of_length(length: int) -> dict[Key, Array]:
        return {k: _shaped(v, shape) for k, v in found.items() if len(k) == length}

    first = {key[0]: term for key, term in of_length(1).items()}
    return Derivatives(value, first, of_length(2), of_length(3))  # type: ignore[arg-type]


def _shaped(values: Array, shape: tuple[int, ...]) -> Array:
    return values if values.shape == shape else np.broadcast_to(values, shape)
