"use strict";
// A click on the title of a column sorts its table: numbers as numbers, what was not measured last.
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const title = button.closest("th"), column = title.cellIndex, body = title.closest("table").tBodies[0];
    const sign = title.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    const compare = (a, b) => {
      const x = a.cells[column], y = b.cells[column], m = parseFloat(x.dataset.value), n = parseFloat(y.dataset.value);
      if (!isNaN(m) && !isNaN(n)) return sign * (m - n);
      if (!isNaN(m) || !isNaN(n)) return isNaN(m) ? 1 : -1;
      return sign * x.textContent.localeCompare(y.textContent, "en", { numeric: true });
    };
    for (const other of title.parentElement.cells) other.removeAttribute("aria-sort");
    title.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    body.append(...[...body.rows].sort(compare));
  });
}
