// Tables of rows that come and go, in place. On a phone those with the look "stack" show each row as a list, so roles say what
// they are. A column has a `title`, may have a `kind` ("number", "wide": left out on a phone), and either `text(row, context)` or `cell()`, which makes a part with `node` and `update(row, context)`.

import { el, list, set, text } from "./dom.js";
import { count } from "./format.js";

export class Table {
  constructor(title, columns, { key, limit = 10, empty = "None", filter = null, look = null }) {
    this.columns = columns;
    this.key = key;
    this.limit = limit;
    this.filter = filter;
    this.all = false;
    this.body = el("tbody", { role: "rowgroup" });
    const heads = columns.map((column) => el("th", { scope: "col", role: "columnheader", class: column.kind, title: column.hint, text: column.title }));
    const head = el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads));
    const table = el("table", { "aria-label": title, role: "table", class: look }, head, this.body);
    this.frame = el("div", { class: "scroll", role: "group", "aria-label": title }, table);
    new ResizeObserver(() => set(this.frame, "tabindex", this.frame.scrollWidth > this.frame.clientWidth ? "0" : null)).observe(table);
    this.empty = el("p", { class: "empty", text: empty });
    this.more = el("button", { type: "button", class: "more", "aria-expanded": "false" });
    this.more.addEventListener("click", () => this.toggle());
    this.node = el("div", {}, ...(filter ? [this.makeSearch(title)] : []), this.frame, this.empty, this.more);
  }

  update(rows, ...context) {
    this.last = [rows, ...context];
    if (this.filter) this.search.hidden = rows.length <= this.limit;
    const wanted = this.input?.value.trim().toLowerCase();
    const found = wanted ? rows.filter((row) => this.filter(row).toLowerCase().includes(wanted)) : rows;
    const shown = this.all ? found : found.slice(0, this.limit);
    list(this.body, shown, this.key, () => this.row(), ...context);
    this.frame.hidden = shown.length === 0;
    this.empty.hidden = shown.length > 0;
    this.more.hidden = found.length <= this.limit;
    text(this.more, this.all ? `Show only ${count(this.limit)}` : `Show all ${count(found.length)}`);
  }

  toggle() {
    this.all = !this.all;
    set(this.more, "aria-expanded", String(this.all));
    this.update(...this.last);
  }

  makeSearch(title) {
    this.input = el("input", { type: "search", placeholder: "Filter", "aria-label": `Filter: ${title}`, spellcheck: "false", autocomplete: "off" });
    this.input.addEventListener("input", () => this.update(...this.last));
    this.search = el("div", { class: "search" }, this.input);
    return this.search;
  }

  row() {
    const parts = this.columns.map((column, index) => {
      const first = index === 0;
      const td = el(first ? "th" : "td", { class: column.kind, scope: first ? "row" : null, role: first ? "rowheader" : "cell", "data-title": column.title });
      if (!column.cell) return { td, update: (...row) => text(td, column.text(...row)) };

      const part = column.cell();
      td.append(part.node);
      return { td, update: part.update };
    });
    const node = el("tr", { role: "row" }, ...parts.map((part) => part.td));
    return { node, update: (...row) => parts.forEach((part) => part.update(...row)) };
  }
}
