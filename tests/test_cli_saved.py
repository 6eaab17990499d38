"""The commands that take saved fits: compare, predict, plot; and completion."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import mixedeffects as me
from mixedeffects import cli

ONE, TWO = "Reaction ~ Days + (1 | Subject)", "Reaction ~ Days + (Days | Subject)"


@pytest.fixture(scope="module")
def fits():
    data = me.datasets.load("sleepstudy")
    return [me.fit(formula, data) for formula in (ONE, TWO)]


@pytest.fixture
def folder(tmp_path, monkeypatch, fits):
    monkeypatch.chdir(tmp_path)
    for name, fit in zip(("one.fit", "two.fit"), fits, strict=True):
        fit.save(name)
    return tmp_path


@pytest.fixture
def run(capsys):
    def run_it(*arguments):
        status = cli.run([str(a) for a in arguments])
        done = capsys.readouterr()
        return status, done.out, done.err

    return run_it


def test_compare_saved_fits(run, folder, fits):
    status, out, _ = run("compare", "one.fit", "two.fit", "--out", "table.csv")
    own = me.compare(*fits)
    table = pd.read_csv("table.csv")
    assert status == 0
    np.testing.assert_allclose(table["p_value"][1], own["p_value"][1])
    assert "Model 2's test: 0.5 chi2(1) + 0.5 chi2(2)" in out
    assert max(map(len, out.splitlines())) < 100


def test_compare_formulas(run, folder):
    assert (
        run("compare", "--data", "sleepstudy", ONE, TWO)[:2]
        == run("compare", "one.fit", "two.fit")[:2]
    )


def test_compare_refuses_different_fixed_effects_until_told_to_refit(run, folder):
    formulas = (ONE, "Reaction ~ 1 + (1 | Subject)")
    status, _, err = run("compare", "--data", "sleepstudy", *formulas)
    assert status == 2
    assert "Fit them with --ml, or let --refit do so." in err
    status, out, _ = run("compare", "--data", "sleepstudy", *formulas, "--refit")
    assert status == 0
    assert "ML (refitted)" in out


def test_predictions_of_new_data(run, folder, fits):
    new = pd.DataFrame({"Days": [1.0, 2.0], "Subject": ["308", "309"]})
    new.to_csv("new.csv", index=False)
    status, out, _ = run("predict", "two.fit", "new.csv", "--interval", "prediction")
    expected = fits[1].predict(new, interval="prediction")
    lines = [line.split(",") for line in out.splitlines()]
    assert status == 0
    assert lines[0] == ["row", "estimate", "std_error", "conf_low", "conf_high"]
    np.testing.assert_allclose(np.array(lines[1:], float)[:, 1:], expected.to_numpy(), rtol=1e-12)


def test_predictions_into_a_file(run, folder, fits):
    run("predict", "two.fit", "sleepstudy", "--random", "population", "--out", "out.parquet")
    found = pd.read_parquet("out.parquet")
    np.testing.assert_allclose(found["estimate"], fits[1].predict(random="population"))


def test_an_unseen_group_is_named(run, folder):
    pd.DataFrame({"Days": [1.0], "Subject": ["nobody"]}).to_csv("new.csv", index=False)
    status, _, err = run("predict", "two.fit", "new.csv")
    assert status == 2
    assert "nobody" in err
    assert run("predict", "two.fit", "new.csv", "--new-levels", "population")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "ending", "magic"),
    [
        (["panel"], "png", b"\x89PNG"),
        (["residuals"], "svg", b"<?xml"),
        (["groups", "--of", "Subject"], "pdf", b"%PDF"),
    ],
)
def test_plots_are_written(run, folder, arguments, ending, magic):
    status, out, err = run("plot", "two.fit", *arguments, "--out", f"plot.{ending}")
    assert out == f"plot.{ending}\n"
    assert (status, err) == (0, "")
    assert (folder / f"plot.{ending}").read_bytes().startswith(magic)


def test_bad_plots_are_refused_in_words(run, folder):
    status, _, err = run("plot", "two.fit", "residual")
    assert status == 2
    assert "Did you mean 'residuals'?" in err
    assert "Did you mean 'random_effects'?" in run("plot", "two.fit", "caterpillar")[2]
    status, _, err = run("plot", "two.fit", "--out", "plot.xyz")
    assert status == 2
    assert ".png" in err


def test_reports_are_written(run, folder):
    status, out, err = run("report", "two.fit", "--out", "one.html")
    assert (status, out, err) == (0, "one.html\n", "")
    assert "<h1>Mixed model of Reaction</h1>" in (folder / "one.html").read_text("utf-8")
    assert run("report", "one.fit", "two.fit")[:2] == (0, "report.html\n")
    assert "<h1>Comparison of 2 models of Reaction</h1>" in (folder / "report.html").read_text(
        "utf-8"
    )


def test_a_fit_with_its_report(run, folder):
    status, _, err = run("fit", "Yield ~ 1 + (1 | Batch)", "dyestuff", "--report", "page.html")
    assert (status, err) == (0, "")
    assert (folder / "page.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_a_report_into_no_folder_is_refused_before_any_work(run, folder):
    status, _, err = run("report", "two.fit", "--out", "nowhere/page.html")
    assert status == 2
    assert "no folder nowhere" in err


@pytest.mark.parametrize("command", [["predict"], ["plot"], ["compare"], ["report"]])
def test_a_formula_in_place_of_a_saved_fit(run, folder, command):
    rest = ["sleepstudy"] if command == ["predict"] else []
    status, _, err = run(*command, ONE, *rest)
    assert status == 2
    assert "is a formula" in err
    assert len(err.splitlines()) == 1


def test_a_missing_file(run, folder):
    status, _, err = run("plot", "nothing.fit")
    assert status == 2
    assert "nothing.fit" in err


def test_completion_of_commands():
    program = [sys.executable, "-c", "from mixedeffects.cli import main; main()"]
    done = subprocess.run(
        [*program, "--show-completion", "bash"], capture_output=True, text=True, check=False
    )
    assert "mixedeffects" in done.stdout
