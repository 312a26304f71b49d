// Sorts and filters the tables of a page. The rows lie beside each table as JSON, which seqlight/report/data_table.py
// writes, and as many as are shown at a time are made into HTML.
"use strict";
(function (root) {
  function text(value) {
    if (value === null) return "–";
    if (typeof value !== "number") return value;
    if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
    const size = Math.abs(value);
    return size < 1e-4 || size >= 1e6 ? value.toExponential(3) : String(Number(value.toPrecision(4)));
  }

  const plain = (name) => name.toLowerCase().replace(/[^a-z0-9]/g, "");

  // "chr1 output>2" is the two conditions that a row has to meet: a text in any column, and a number in one.
  function conditions(filter, columns) {
    return filter.trim().split(/\s+/).filter(Boolean).map((word) => {
      const found = /^([^<>=]+)(<=|>=|<|>|=)(.+)$/.exec(word);
      const column = found ? columns.findIndex((one) => plain(one.name).startsWith(plain(found[1]))) : -1;
      if (column < 0 || !plain(found[1])) {
        const wanted = word.toLowerCase();
        return (row) => row.some((value) => String(value ?? "").toLowerCase().includes(wanted) ||
          text(value).toLowerCase().includes(wanted));
      }
      const [, , sign, given] = found, number = Number(given.replace(/,/g, ""));
      return (row) => {
        const value = row[column];
        if (sign === "=" && typeof value !== "number") return String(value ?? "").toLowerCase() === given.toLowerCase();
        if (typeof value !== "number") return false;
        if (sign === "<") return value < number;
        if (sign === ">") return value > number;
        if (sign === "<=") return value <= number;
        return sign === ">=" ? value >= number : value === number;
      };
    });
  }

  // What is missing comes last in both directions.
  function compare(a, b, descending) {
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
    return descending ? -order : order;
  }

  function select(content, filter, sort) {
    const wanted = conditions(filter, content.columns);
    const rows = content.rows.filter((row) => wanted.every((one) => one(row)));
    // A stable sort, so that rows that are equal stay in their order.
    return sort === null ? rows : rows.sort((a, b) => compare(a[sort.column], b[sort.column], sort.descending));
  }

  function escaped(given) {
    return String(given).replace(/[&<>"]/g, (one) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[one]);
  }

  function cell(value, column) {
    const shown = escaped(text(value)), kind = column.number ? ' class="number"' : "";
    let link = value !== null && column.links ? column.links[value] : undefined;
    if (value !== null && column.url) link = column.url.replace("{}", encodeURIComponent(value));
    return `<td${kind}>${link ? `<a href="${escaped(link)}">${shown}</a>` : shown}</td>`;
  }

  function start(figure) {
    const content = JSON.parse(figure.querySelector("script").textContent);
    const body = figure.querySelector("tbody"), count = figure.querySelector("output");
    const search = figure.querySelector("input"), heads = [...figure.querySelectorAll("th")];
    const [back, forth] = figure.querySelectorAll(".pager button");
    let sort = null, page = 0;

    function show() {
      const rows = select(content, search.value, sort), size = content.shown;
      page = Math.max(0, Math.min(page, Math.ceil(rows.length / size) - 1));
      const some = rows.slice(page * size, (page + 1) * size);
      body.innerHTML = some.map((row) => `<tr>${row.map((value, i) => cell(value, content.columns[i])).join("")}</tr>`).join("");
      count.textContent = some.length
        ? `${text(page * size + 1)} to ${text(page * size + some.length)} of ${text(rows.length)}` : "no row fits";
      back.disabled = page === 0;
      forth.disabled = (page + 1) * size >= rows.length;
    }

    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      // Numbers begin with the largest.
      const first = content.columns[column].number;
      sort = { column, descending: sort && sort.column === column ? !sort.descending : first };
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
      page = 0;
      show();
    }));
    search.addEventListener("input", () => { page = 0; show(); });
    back.addEventListener("click", () => { page -= 1; show(); });
    forth.addEventListener("click", () => { page += 1; show(); });
    figure.querySelector(".tools").hidden = false;
    show();
  }

  if (typeof module !== "undefined" && module.exports) {
    module.exports = { text, select, cell };
  } else {
    document.querySelectorAll("figure.data-table").forEach(start);
  }
})(this);
