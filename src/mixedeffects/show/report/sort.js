"use strict";
// A click on a header sorts its table; another turns the order round. Without scripts the
// tables stand as they are.
(function () {
  function value(row, column) {
    return row.cells[column].textContent.trim();
  }
  function number(text) {
    // "<2e-16" lies below all that are written out
    const small = text.startsWith("<");
    const found = Number((small ? text.slice(1) : text).replace(/,/g, "").replace("%", ""));
    return small ? found / 2 : found;
  }
  function compare(a, b) {
    const x = number(a), y = number(b);
    if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
    return a.localeCompare(b, undefined, { numeric: true });
  }
  function sort(table, column, descending) {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows);
    const missing = (row) => ["", "-"].includes(value(row, column));
    const known = rows.filter((row) => !missing(row));
    known.sort((r, s) => compare(value(r, column), value(s, column)) * (descending ? -1 : 1));
    body.append(...known, ...rows.filter(missing));
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const descending = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending);
      });
    });
  }
})();
