// SKUs: those that are out or low first.

import { h, keyed, lead, scrollBox, setAttribute, setBar, setText, show, tableHead } from "./dom.js";
import { count, fitted, NONE, short } from "./format.js";
import { panels, skuColumns, texts } from "./words.js";

/** A number with more characters than this is written short; all of it is in the tooltip. */
const NUMBER_CHARS = 11;

export class Skus {
  /** `link(kind, id)` is the address of a record, `browse(wanted)` leads to all records. */
  constructor({ link, browse }) {
    this.link = link;
    const [title, meaning] = panels.skus;
    this.total = h("span", { class: "card-number" });
    this.body = h("tbody", {});
    this.none = h("p", { class: "empty", text: texts.NO_SKUS });
    this.all = lead("", () => browse({ kind: "skus" }));
    this.more = h("p", { class: "why rest", hidden: true }, this.all);
    this.table = h(
      "table",
      { class: "rows skus" },
      h("caption", { class: "visually-hidden", text: "SKUs, those that are out or low first" }),
      tableHead("SKU", skuColumns),
      this.body,
    );
    this.box = scrollBox("SKUs", this.table);
    this.element = h(
      "section",
      { class: "card panel", "aria-labelledby": "skus-title" },
      h("div", { class: "card-head" }, h("h3", { id: "skus-title", text: title }), this.total),
      h("p", { class: "why", text: meaning }),
      this.none,
      this.box,
      this.more,
    );
  }

  /** Shows the detail, when it has come. */
  update(skus) {
    const list = skus?.shown ?? [];
    setText(this.total, skus ? count(skus.total) : "");
    show(this.none, skus !== null && skus.total === 0);
    show(this.table, list.length > 0);
    // Where nobody ever waited for anything, there is no column for it.
    const isWaitedFor = list.some(({ waiting, backlog }) => waiting > 0 || backlog !== undefined);
    this.table.classList.toggle("is-waited-for", isWaitedFor);
    keyed(this.body, list, ({ id }) => id, (sku) => makeRow(sku, this.link), fillRow);
    const left = skus ? skus.total - list.length : 0;
    setText(this.all, `and ${count(left)} more: show all`);
    show(this.more, left > 0);
  }
}

function makeRow({ id, name }, link) {
  const chip = h("span", { class: "tag" });
  const bar = h("span", { class: "bar-fill" });
  const cells = new Map(skuColumns.map(({ name: key }) => [key, h("td", { class: "number", data: { column: key } })]));
  const row = h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("span", { class: "sku-name" }, h("a", { class: "id", href: link("sku", id), text: name, title: name }), chip),
      h("span", { class: "bar-track", "aria-hidden": "true" }, bar),
    ),
    [...cells.values()],
  );
  return Object.assign(row, { parts: { chip, bar, cells } });
}

function fillRow(row, sku) {
  const { chip, bar, cells } = row.parts;
  for (const [key, cell] of cells) {
    setText(cell, textOf(sku, key));
    setAttribute(cell, "title", count(sku[key]));
  }
  setAttribute(row, "data-waiting", sku.waiting > 0 ? "yes" : null);
  const isOut = sku.available <= 0;
  const isLow = !isOut && sku.low > 0 && sku.available <= sku.low;
  setText(chip, isOut ? "out" : isLow ? "low" : "");
  show(chip, isOut || isLow);
  setAttribute(row, "data-tone", isOut ? "refused" : isLow ? "queued" : "available");
  const all = sku["on-hand"] + sku.sold;
  setBar(bar, all > 0 ? sku.available / all : 0);
}

function textOf(sku, column) {
  if (column === "waiting") return waitedFor(sku);
  return column === "low" && sku.low === 0 ? NONE : fitted(sku[column], NUMBER_CHARS);
}

/** How many units are waited for, and of how many at most. */
function waitedFor({ waiting, backlog }) {
  const units = fitted(waiting, NUMBER_CHARS);
  if (backlog === undefined) return waiting > 0 ? units : NONE;
  return `${units} of ${short(backlog)}`;
}
