"""A report in a real browser: headless Chromium, where there is one."""

import json
import re
import shutil
import subprocess

import pytest

import mixedeffects as me

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")

# Runs before the page's own script, to see what goes wrong in it.
WATCH = """<script>
window.faults = [];
addEventListener("error", (event) => faults.push(String(event.message)), true);
console.error = (...words) => faults.push(words.join(" "));
</script>"""

# Runs last: what is there, and the order of rows before and after clicks on a header.
LOOK = """<script>
const table = Array.from(document.querySelectorAll("table.sortable"))
  .find((own) => own.caption.textContent.startsWith("Effects of Subject"));
const column = (i) => Array.from(table.tBodies[0].rows).map((row) => row.cells[i].textContent);
const head = table.tHead.rows[0].cells[2];
const found = { before: column(2) };
head.querySelector("button").click();
found.rising = column(2);
found.sort = head.getAttribute("aria-sort");
head.querySelector("button").click();
found.falling = column(2);
found.sorted_again = head.getAttribute("aria-sort");
table.tHead.rows[0].cells[1].querySelector("button").click();
found.terms = column(1);
found.marked = table.querySelectorAll("[aria-sort]").length;
head.querySelector("button").focus();
found.focused = document.activeElement === head.querySelector("button");
addEventListener("load", () => {
  const images = Array.from(document.images);
  found.images = images.length;
  found.drawn = images.filter((image) => image.naturalWidth > 100).length;
  found.tables = document.querySelectorAll("table").length;
  const formulas = Array.from(document.querySelectorAll("math"));
  found.formulas = formulas.filter((own) => own.getBoundingClientRect().height > 10).length;
  found.wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  found.asked = performance.getEntriesByType("resource")
    .filter((own) => !own.name.startsWith("data:")).length;
  found.faults = window.faults;
  document.title = JSON.stringify(found);
});
</script>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    fit = me.fit("Reaction ~ Days + (Days | Subject)", me.datasets.load("sleepstudy"))
    path = tmp_path_factory.mktemp("browser") / "report.html"
    fit.report(path)
    text = path.read_text(encoding="utf-8").replace("<head>", f"<head>{WATCH}")
    path.write_text(text.replace("</body>", f"{LOOK}</body>"), encoding="utf-8")
    return path


def seen(page, width, folder):
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}"),
        *(f"--window-size={width},900", "--enable-logging=stderr", "--dump-dom", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert not re.search(r":CONSOLE[:(]", done.stderr)
    title = re.search("<title>(.*?)</title>", done.stdout, re.DOTALL)[1]
    return json.loads(title.replace("&lt;", "<").replace("&amp;", "&"))


@pytest.fixture(scope="module")
def wide(page, tmp_path_factory):
    return seen(page, 1280, tmp_path_factory.mktemp("profile"))


def test_everything_is_drawn_without_a_fault_or_a_request(wide):
    assert wide["faults"] == []
    assert wide["asked"] == 0
    assert wide["images"] == wide["drawn"] >= 6
    assert wide["tables"] >= 8
    assert wide["formulas"] == 3


def test_a_click_on_a_header_sorts_the_table(wide):
    numbers = sorted(map(float, wide["before"]))
    assert list(map(float, wide["rising"])) == numbers
    assert list(map(float, wide["falling"])) == numbers[::-1]
    assert wide["before"] != wide["rising"]
    assert wide["terms"] == sorted(wide["terms"])
    assert (wide["sort"], wide["sorted_again"], wide["marked"]) == ("ascending", "descending", 1)
    assert wide["focused"]


def test_nothing_is_wider_than_a_phone(page, tmp_path):
    # 500 pixels are the least that a headless window takes
    assert seen(page, 390, tmp_path)["wider"] <= 0
