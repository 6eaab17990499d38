"""What a formula says, before any data."""

import pytest

from mixedeffects.errors import FormulaError
from mixedeffects.formula import parse_formula


def random_terms(text):
    return [(t.structure, t.effects, ":".join(t.group)) for t in parse_formula(text).random]


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("(1 | g)", [("us", "1", "g")]),
        ("(x | g)", [("us", "1 + x", "g")]),
        ("(1 + x | g)", [("us", "1 + x", "g")]),
        ("(0 + x | g)", [("us", "0 + x", "g")]),
        ("(x - 1 | g)", [("us", "0 + x", "g")]),
        ("(-1 + x | g)", [("us", "0 + x", "g")]),
        ("(x + 0 | g)", [("us", "0 + x", "g")]),
        ("(x || g)", [("diag", "1 + x", "g")]),
        ("(0 + x || g)", [("diag", "0 + x", "g")]),
        ("(1 + x*f | g)", [("us", "1 + x + f + x:f", "g")]),
        ("(age + I(age^2) | g)", [("us", "1 + age + I(age ** 2)", "g")]),
        ("(1 | a/b)", [("us", "1", "a"), ("us", "1", "a:b")]),
        ("(1 | a/b/c)", [("us", "1", "a"), ("us", "1", "a:b"), ("us", "1", "a:b:c")]),
        ("(x | a/b)", [("us", "1 + x", "a"), ("us", "1 + x", "a:b")]),
        ("(1 | a:b)", [("us", "1", "a:b")]),
        ("(1 | a*b)", [("us", "1", "a"), ("us", "1", "b"), ("us", "1", "a:b")]),
        ("(1 | a/(b:c))", [("us", "1", "a"), ("us", "1", "a:b:c")]),
        ("(1 | (a/b))", [("us", "1", "a"), ("us", "1", "a:b")]),
        ("(1 | factor(g))", [("us", "1", "g")]),
        ("((1 | g))", [("us", "1", "g")]),
        ("(z + (1 | g))", [("us", "1", "g")]),
        ("(1 | g) + (0 + x | g)", [("us", "1", "g"), ("us", "0 + x", "g")]),
        ("diag(x | g)", [("diag", "1 + x", "g")]),
        ("cs(0 + f | a/b)", [("cs", "0 + f", "a"), ("cs", "0 + f", "a:b")]),
        ("ar1(t + 0 | g)", [("ar1", "0 + t", "g")]),
        ("us(1 + x | g)", [("us", "1 + x", "g")]),
        ("exp(pos + 0 | g)", [("exp", "0 + pos", "g")]),
        ("known(1 | animal, K)", [("known", "1", "animal")]),
    ],
)
def test_random_terms(term, expected):
    assert random_terms(f"y ~ x + {term}") == expected


def test_known_argument():
    assert parse_formula("y ~ 1 + known(1 | animal, K)").random[0].argument == "K"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1", "1"),
        ("x", "1 + x"),
        ("0 + x", "0 + x"),
        ("x - 1", "0 + x"),
        ("-1 + x", "0 + x"),
        ("x + 0", "0 + x"),
        ("a*b", "1 + a + b + a:b"),
        ("a*b - a", "1 + b + a:b"),
        ("a*b - b:a", "1 + a + b"),
        ("a*b*c", "1 + a + b + c + a:b + a:c + b:c + a:b:c"),
        ("(a + b)^2", "1 + a + b + a:b"),
        ("(a + b)**2", "1 + a + b + a:b"),
        ("(a + b + c)^2 - b:c", "1 + a + b + c + a:b + a:c"),
        ("a/b", "1 + a + a:b"),
        ("(a + b)/c", "1 + a + b + a:b:c"),
        ("a:b + a", "1 + a + a:b"),
        ("a + a", "1 + a"),
        ("((a))", "1 + a"),
        ("(1 + a):b", "1 + b + a:b"),
        ("I( x^2 )", "1 + I(x ** 2)"),
        ("I((x))", "1 + I(x)"),
        ("I((x - 3) * (x > 3))", "1 + I((x - 3) * (x > 3))"),
        ("I(-x^2 / (a / b))", "1 + I(-x ** 2 / (a / b))"),
        ("poly(x, 2, raw=TRUE)", "1 + poly(x, 2, raw=True)"),
        ("poly(x, 2, raw = T)", "1 + poly(x, 2, raw=True)"),
        ("bs(x, knots=c(1, 2L))", "1 + bs(x, knots=[1, 2])"),
        ('C(f, contr.treatment("B"))', "1 + C(f, contr.treatment('B'))"),
        ("Informed.liking", "1 + `Informed.liking`"),
        ("`a b`:log(`lambda`)", "1 + `a b`:log(`lambda`)"),
        ("größe + T", "1 + größe + T"),
    ],
)
def test_fixed_part(written, expected):
    assert parse_formula(f"y ~ {written} + (1 | g)").fixed == expected


def test_random_terms_alone_leave_an_intercept():
    assert parse_formula("y ~ (1 | g)").fixed == "1"


def test_offsets_and_response():
    parsed = parse_formula("log(y) ~ x + offset(log(n)) + offset(z) + (1 | g)")
    assert parsed.response == "log(y)"
    assert parsed.offsets == ("log(n)", "z")
    assert parsed.fixed == "1 + x"
    assert parsed.columns == ("y", "x", "n", "z", "g")


@pytest.mark.parametrize("response", ["y", "y / 100", "I(y ** 2)", "`my y`", "y ** 2", "y - x"])
def test_response_spelling(response):
    assert parse_formula(f"{response} ~ 1 + (1 | g)").response == response


def test_cbind():
    parsed = parse_formula("cbind(k, n - k) ~ x + (1 | g)")
    assert parsed.cbind == ("k", "n - k")
    assert parsed.columns == ("k", "n", "x", "g")


def test_labels_show_what_was_written():
    parsed = parse_formula("y ~ (Days || s) + (x | a/b) + known(1 | animal, K)")
    labels = [t.label for t in parsed.random]
    assert labels == ["Days || s", "x | a", "x | a:b", "known(1 | animal, K)"]


def test_parsing_is_cached():
    assert parse_formula("y ~ x + (1 | g)") is parse_formula("y ~ x + (1 | g)")


def test_many_terms():
    names = [f"x{i}" for i in range(2000)]
    parsed = parse_formula(f"y ~ {' + '.join(names)} + (1 | g)")
    assert parsed.fixed_columns == tuple(names)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("y ~ x + (1 | g", "(", "unclosed '('"),
        ("y ~ x + 1 | g)", ")", "')' closes nothing"),
        ("y x + (1 | g)", "x", "no '~'"),
        ("y ~ x ~ z", "~ z", "a second '~'"),
        ("~ x + (1 | g)", "~", "no response"),
        ("y ~", None, "nothing after '~'"),
        ("y ~ x + (Days Subject)", "Subject", "(1 | group)"),
        ("y ~ x + 1 | g", "|", "parentheses of its own"),
        ("y ~ x * (1 | g)", "|", "parentheses of its own"),
        ("y ~ x + (| g)", "|", "nothing before '|'"),
        ("y ~ x + (1 | )", ")", "no group"),
        ("y ~ x + (1 | g | h)", "| h", "a second '|'"),
        ("y ~ x + (0 | g)", "(0", "no random effect"),
        ("y ~ x + (1 | a + b)", "a + b", "a group is a column"),
        ("y ~ x + (1 | log(g))", "log", "a group is a column"),
        ("y ~ x + (1 | factor())", "factor", "a group is a column"),
        ("y ~ x + (1 | 1)", "1)", "a group is a column"),
        ("y ~ x - (1 | g)", "(1", "added, not removed"),
        ("y ~ x + us(x || g)", "|| g", "diag"),
        ("y ~ x + known(1 | g)", "known", "needs the name of its matrix"),
        ("y ~ x + us(1 | g, K)", "K", "known(1 | animal, K)"),
        ("y ~ x + diag(x | g, hom = TRUE)", "diag", "takes a random term"),
        ("y ~ . + (1 | g)", ".", "name the columns"),
        ("y ~ x + ", None, "ends too early"),
        ("y ~ x + * z", "*", "out of place"),
        ("y ~ lgo(x)", "lgo", "Did you mean 'log'?"),
        ("y ~ np.log(x)", "np.log", "Write log(...)"),
        ("y ~ stats::poly(x, 2)", "::", "'::' is not needed"),
        ("y ~ d$x", "$", "name the column alone"),
        ("y ~ relevel(f, 'b')", "relevel", "contr.treatment"),
        ("y ~ offset(n):x", "offset", "stands alone"),
        ("y ~ x + offset()", "offset", "one expression"),
        ("y ~ x + cbind(a, b)", "cbind", "left of '~'"),
        ("y ~ a %in% b", "%in%", "write a:b"),
        ("y ~ x[0]", "[", "subscripts"),
        ("y ~ log(x[0])", "[", "subscripts"),
        ("y ~ [x]", "[", "subscripts"),
        ("y ~ log(x])", "]", "closes nothing"),
        ("y ~ 2*x", "2", "a number is not a term"),
        ("y ~ TRUE + x", "TRUE", "a number is not a term"),
        ("y ~ 'x'", "'x'", "a string is not a term"),
        ("y ~ x^2.5", "^", "I(x^2)"),
        ("y ~ (a + b)^99", "^", "whole number"),
        ("y ~ a*(b - c)", "b", "outside of parentheses"),
        ("y ~ x > 3", ">", "I(...)"),
        ("y ~ poly(x, dgree=2)", "poly", "no argument 'dgree'"),
        ("y ~ log(x, 2)", "log", "takes 1 argument"),
        ("y ~ C(f, contr.sums)", "contr.sums", "unknown contrast"),
        ("y = x + (1 | g)", "=", "no '~'"),
        ("y ~ x = 3", "=", "belongs inside a function"),
        ("3 ~ x", "3", "names no column"),
        ("cbind(k) ~ x", "cbind", "two counts"),
        ("y ~ `x", "`", "unclosed backtick"),
        ("y ~ log('x)", "'", "unclosed quotation"),
        ("y ~ x ? z", "?", "not allowed"),
        ("", None, "no '~'"),
    ],
)
def test_errors_show_the_place(text, place, words):
    with pytest.raises(FormulaError) as caught:
        parse_formula(text)
    message = str(caught.value)
    assert words in message
    if text:
        assert text.strip() in message
    if place is not None and caught.value.position is not None:
        assert text[caught.value.position :].startswith(place)


@pytest.mark.parametrize(
    "text",
    [
        "y ~ " + "(" * 500 + "x" + ")" * 500,
        "y ~ " + ":".join("abcdefghij"[i % 10] + str(i) for i in range(5000)),
        "y ~ " + "*".join(f"x{i}" for i in range(40)),
        "y ~ I(" + "-" * 5000 + "x^" * 5000 + "2)",
    ],
)
def test_formulas_that_would_exhaust_the_machine(text):
    with pytest.raises(FormulaError):
        parse_formula(text)


@pytest.mark.parametrize("text", [None, 3, ["y ~ x"], b"y ~ x"])
def test_a_formula_is_text(text):
    with pytest.raises(FormulaError, match="a formula is text"):
        parse_formula(text)
