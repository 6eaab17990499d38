"""The command line: what it prints and writes, its exit statuses, and one line an error."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from mixedeffects import cli
from mixedeffects.cli import files, progress

SLOPES = "Reaction ~ Days + (Days | Subject)"
PROGRAM = [sys.executable, "-c", "from mixedeffects.cli import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(me.__file__).parents[1])}


@pytest.fixture
def run(capsys):
    """Run the command line: status, lines of output, lines of errors."""

    def run_it(*arguments):
        status = cli.run([str(a) for a in arguments])
        done = capsys.readouterr()
        return status, done.out, done.err.splitlines()

    return run_it


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- fit -----------------------------------------------------------------------------------


def test_fit_prints_the_summary(run):
    status, out, err = run("fit", SLOPES, "sleepstudy")
    assert (status, err) == (0, [])
    assert out == f"{me.fit(SLOPES, me.datasets.load('sleepstudy')).summary()}\n"


def test_a_table_in_a_file(run, folder):
    me.datasets.load("sleepstudy").to_csv("rows.csv", index=False)
    me.datasets.load("sleepstudy").to_parquet("rows.parquet")
    first = run("fit", SLOPES, "rows.csv")
    assert first == run("fit", SLOPES, "rows.parquet")
    assert first[1].startswith("Linear mixed model by REML")


def test_a_file_takes_precedence_over_a_data_set(run, folder):
    (folder / "sleepstudy").write_text("not a table")
    status, _, err = run("fit", SLOPES, "sleepstudy")
    assert status == 2
    assert "without an ending" in err[0]


def test_options_of_the_model(run, folder):
    data = me.datasets.load("sleepstudy").assign(w=np.linspace(0.5, 2, 180), o=1.0)
    data.to_csv("rows.csv", index=False)
    status, out, _ = run(
        *("fit", SLOPES, "rows.csv", "--ml", "--weights", "w", "--offset", "o"),
        *("--level", "0.9", "--format", "json"),
    )
    fit = me.fit(SLOPES, data, reml=False, weights="w", offset="o")
    record = json.loads(out)
    assert status == 0
    assert record["objective"] == pytest.approx(fit.objective, rel=1e-12)
    assert record["fixed"][1]["conf_low"] == pytest.approx(fit.fixef(level=0.9)["conf_low"][1])


def test_json_holds_all_estimates(run, folder):
    status, out, _ = run("fit", SLOPES, "sleepstudy", "--out", "fit.json")
    record = json.loads((folder / "fit.json").read_text())
    fit = me.fit(SLOPES, me.datasets.load("sleepstudy"))
    assert status == 0
    assert out.startswith("Linear mixed model")
    assert set(record) == {
        *("formula", "family", "link", "others", "quadrature", "reml", "nobs", "n_rows"),
        *("dropped", "categories", "groups", "components"),
        *("loglik", "objective", "aic", "bic", "df_resid", "sigma", "theta"),
        *("df", "level", "fixed", "vcov", "aliased", "random"),
        *("is_singular", "converged", "checks", "evaluations", "way", "notes"),
    }
    assert record["groups"] == {"Subject": 18}
    assert record["sigma"] == fit.sigma
    assert [row["term"] for row in record["fixed"]] == ["Intercept", "Days"]
    assert record["fixed"][1]["df"] == pytest.approx(17.0, abs=1e-4)
    np.testing.assert_array_equal(record["vcov"], fit.vcov())
    term = record["random"][0]
    assert term["columns"] == ["Intercept", "Days"]
    assert term["sd"][1] == pytest.approx(fit.varcorr()["sd_or_corr"][1])
    assert term["correlation"][0][1] == pytest.approx(fit.varcorr()["sd_or_corr"][2])
    assert [entry["value"] for entry in record["theta"]] == fit.theta.tolist()


def test_generalized_models(run, folder):
    status, out, err = run(
        *("fit", "count ~ mined + (1 | site)", "salamanders", "--family", "nbinom2"),
        *("--zero-inflation", "~ mined", "--out", "fit.json", "--save", "s.fit"),
    )
    data = me.datasets.load("salamanders")
    fit = me.fit("count ~ mined + (1 | site)", data, family="nbinom2", zero_inflation="~ mined")
    assert (status, err) == (0, [])
    assert out == f"{fit.summary()}\n"
    record = json.loads((folder / "fit.json").read_text())
    assert (record["family"], record["link"], record["reml"]) == ("nbinom2", "log", False)
    assert record["others"] == {"zero_inflation": "~ mined"}
    assert record["quadrature"] == 1
    assert record["df"] == "asymptotic"
    assert record["sigma"] == fit.sigma
    assert [c["name"] for c in record["components"]] == [
        *("conditional", "dispersion", "zero_inflation"),
    ]
    assert [row["component"] for row in record["fixed"]] == fit.fixef()["component"].tolist()
    assert record["random"][0]["component"] == "conditional"
    assert me.load("s.fit").objective == fit.objective


def test_link_quadrature_and_trials(run, folder):
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    status, out, _ = run(
        *("fit", formula, "cbpp", "--family", "binomial", "--link", "probit"),
        *("--quadrature", "7", "--format", "json", "--predictions", "p.csv"),
    )
    family = me.families.Binomial(link="probit")
    fit = me.fit(formula, me.datasets.load("cbpp"), family=family, quadrature=7)
    record = json.loads(out)
    assert status == 0
    assert (record["link"], record["quadrature"]) == ("probit", 7)
    assert record["objective"] == fit.objective
    rows = pd.read_csv("p.csv")
    cbpp = me.datasets.load("cbpp")
    np.testing.assert_allclose(rows["observed"], cbpp["incidence"] / cbpp["size"])
    np.testing.assert_allclose(rows["estimate"], fit.fitted())


def test_predictions_of_ordered_categories_have_a_row_for_each(run, folder):
    status, out, _ = run(
        *("fit", "rating ~ temp + (1 | judge)", "wine", "--family", "cumulative"),
        *("--predictions", "p.csv"),
    )
    rows, ratings = pd.read_csv("p.csv"), me.datasets.load("wine")["rating"]
    assert status == 0
    assert "Categories of rating in their order: 1, 2, 3, 4, 5." in out
    assert list(rows)[:4] == ["row", "observed", "category", "estimate"]
    assert rows["row"].tolist() == np.repeat(np.arange(72), 5).tolist()
    assert rows["observed"].tolist() == np.repeat(ratings.astype(int), 5).tolist()
    np.testing.assert_allclose(rows.groupby("row")["estimate"].sum(), 1.0)


def test_no_number_is_null_in_json(run):
    _, out, _ = run("fit", "Yield ~ 1 + (1 | Batch)", "dyestuff2", "--format", "json")
    record = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert record["is_singular"] is True
    assert record["random"][0]["correlation"] in (None, [[None]])


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_tables(run, folder, ending):
    options = [f"--{name}={name}.{ending}" for name in ("fixef", "ranef", "predictions")]
    assert run("fit", SLOPES, "sleepstudy", *options)[0] == 0
    read = {
        "csv": pd.read_csv,
        "tsv": lambda file: pd.read_csv(file, sep="\t"),
        "parquet": pd.read_parquet,
    }[ending]
    fit = me.fit(SLOPES, me.datasets.load("sleepstudy"))
    tables = {name: read(f"{name}.{ending}") for name in ("fixef", "ranef", "predictions")}
    assert list(tables["fixef"]["term"]) == ["Intercept", "Days"]
    np.testing.assert_allclose(tables["ranef"]["estimate"], fit.ranef()["estimate"], rtol=1e-12)
    rows = tables["predictions"]
    assert list(rows) == ["row", "observed", "estimate", "std_error", "conf_low", "conf_high"]
    np.testing.assert_allclose(rows["estimate"], fit.fitted(), rtol=1e-12)


def test_predictions_tell_their_rows(run, folder):
    data = me.datasets.load("sleepstudy")
    data.loc[[0, 5], "Reaction"] = np.nan
    data.to_csv("rows.csv", index=False)
    run("fit", SLOPES, "rows.csv", "--predictions", "out.csv")
    table = pd.read_csv("out.csv")
    assert table["row"].tolist() == [r for r in range(180) if r not in (0, 5)]
    assert table["observed"].tolist() == data["Reaction"].dropna().tolist()


def test_a_saved_fit_loads(run, folder):
    assert run("fit", SLOPES, "sleepstudy", "--save", "s.fit")[0] == 0
    assert me.load("s.fit").nobs == 180


def test_strict(run, monkeypatch):
    assert run("fit", SLOPES, "sleepstudy", "--strict")[0] == 0
    monkeypatch.setattr("mixedeffects.fitting.checks.GRADIENT", -1.0)
    status, out, err = run("fit", SLOPES, "sleepstudy", "--strict")
    assert status == 1
    assert "does NOT hold" in out
    assert len(err) == 1
    assert err[0].startswith("mixedeffects: warning: The certificate")
    assert run("fit", SLOPES, "sleepstudy")[0] == 0


# -- errors --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit"], "Missing argument"),
        (["fit", SLOPES], "Missing argument"),
        (["fit", SLOPES, "sleepstudy", "--lev", "1"], "--lev"),
        (["fit", SLOPES, "sleepstudy", "--level", "much"], "--level"),
        (["fit", SLOPES, "sleepstudy", "--level", "95"], "between 0 and 1"),
        (["fit", SLOPES, "sleepstudy", "--format", "xml"], "--format"),
        (["analyse"], "analyse"),
        (["fit", "Reaction ~ Days + (1 | Subject", "sleepstudy"], "unclosed '(' at '(1 | Subject'"),
        (["fit", "Reaction ~ __import__('os')", "sleepstudy"], "__import__"),
        (["fit", "Reaction ~ Days", "sleepstudy"], "random term"),
        (["fit", "Reactoin ~ Days + (1 | Subject)", "sleepstudy"], "Did you mean 'Reaction'?"),
        (["fit", "Reaction ~ My Days + (1 | Subject)", "sleepstudy"], "in backticks: `My Days`"),
        (["fit", SLOPES, "sleepstud"], "There is no file 'sleepstud'"),
        (["fit", SLOPES, "."], "ending"),
        (["fit", "sleepstudy", SLOPES], "formula"),
        (["fit", SLOPES, "sleepstudy", "--weights", "w"], "'w' is not in the data"),
        (["fit", SLOPES, "sleepstudy", "--family", "gama"], "Did you mean 'gamma'?"),
        (["fit", SLOPES, "sleepstudy", "--family", "gamma", "--link", "lgo"], "mean 'log'?"),
        (["fit", SLOPES, "sleepstudy", "--family", "poisson"], "counts 0, 1, 2"),
        (["fit", SLOPES, "sleepstudy", "--family", "beta", "--df", "satterthwaite"], "beta"),
        (["fit", SLOPES, "sleepstudy", "--dispersion", "Days"], "without a left side"),
        (["fit", SLOPES, "sleepstudy", "--quadrature", "many"], "--quadrature"),
        (["fit", SLOPES, "sleepstudy", "--out", "no/fit.json"], "there is no folder no"),
        (["fit", SLOPES, "sleepstudy", "--save", "no/a.fit"], "there is no folder no"),
        (["fit", SLOPES, "sleepstudy", "--report", "a.pdf"], "ends in .html"),
        (["fit", SLOPES, "sleepstudy", "--ranef", "a.xlsx"], ".csv, .tsv or .parquet"),
        (["datasets", "sleepstudi"], "Did you mean 'sleepstudy'?"),
    ],
)
def test_errors_are_one_line_and_status_2(run, folder, arguments, words):
    status, out, err = run(*arguments)
    assert (status, out, len(err)) == (2, "", 1)
    assert err[0].startswith("mixedeffects: ")
    assert words in err[0]
    assert not list(folder.iterdir())


def test_parquet_without_pyarrow_is_refused_before_the_fit(run, folder, monkeypatch):
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    status, _, err = run("fit", SLOPES, "sleepstudy", "--fixef", "a.parquet")
    assert status == 2
    assert "pip install 'mixedeffects[files]'" in err[0]


def test_what_cannot_be_written_is_one_line(run, folder):
    (folder / "taken").mkdir()
    status, _, err = run("fit", SLOPES, "sleepstudy", "--save", "taken")
    assert status == 2
    assert len(err) == 1
    assert "taken" in err[0]
    assert [p.name for p in folder.iterdir()] == ["taken"]


def test_interrupted(run, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("mixedeffects.model.fit", interrupt)
    assert run("fit", SLOPES, "sleepstudy") == (130, "", ["mixedeffects: interrupted"])


# -- the rest ------------------------------------------------------------------------------


def test_datasets_are_listed_and_described(run):
    status, out, _ = run("datasets")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == list(me.datasets.names())
    assert run("datasets", "pastes")[1] == f"{me.datasets.describe('pastes')}\n"


def test_version_and_help(run):
    assert run("--version") == (0, f"mixedeffects {me.__version__}\n", [])
    for arguments in ([], ["--help"], ["-h"], ["fit", "--help"], ["datasets", "-h"]):
        status, out, err = run(*arguments)
        assert (status, err) == (0, [])
        assert out.startswith("Usage: mixedeffects")
        assert max(map(len, out.splitlines())) <= 88
    assert "Examples:\n  " in run("fit", "--help")[1].replace("\n    ", "\n  ")


def test_progress_shows_on_a_terminal_once_a_fit_takes_long(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    seen = []
    step = progress.Progress.__call__
    monkeypatch.setattr(
        progress.Progress, "__call__", lambda self, n, v: (seen.append(n), step(self, n, v))[0]
    )
    assert cli.run(["fit", SLOPES, "sleepstudy", "--ml", "--level", "0.9"]) == 0
    assert capsys.readouterr().out.startswith("Linear mixed model")
    quick = progress.Progress()
    quick(3, 1743.6)
    assert quick._line is not None
    quick(4, 1743.5)
    quick.stop()


# -- as a process --------------------------------------------------------------------------


def test_a_broken_pipe_is_silent():
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    reader.wait()
    done = subprocess.run(
        [*PROGRAM, "datasets"], stdout=reader.stdin, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    reader.stdin.close()
    assert done.stderr == b""
    assert done.returncode == 141


def test_control_c_leaves_one_line():
    slow = (
        "import mixedeffects.model as model, time\n"
        "def fit(*_, **__): print('fitting', flush=True); time.sleep(60)\n"
        "model.fit = fit\n"
        "from mixedeffects.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow, "fit", SLOPES, "sleepstudy"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
    )
    assert process.stdout.readline() == b"fitting\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, b"")
    assert err == b"mixedeffects: interrupted\n"


def test_a_terminal_that_lacks_a_letter(tmp_path):
    data = me.datasets.load("sleepstudy").rename(columns={"Days": "Tagé"})
    data.to_csv(tmp_path / "rows.csv", index=False)
    done = subprocess.run(
        [*PROGRAM, "fit", "Reaction ~ Tagé + (1 | Subject)", str(tmp_path / "rows.csv")],
        capture_output=True,
        env={**ENVIRONMENT, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    assert done.returncode == 0
    assert b"Tag?" in done.stdout
