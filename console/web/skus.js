// SKUs: those that are out or low first.

import { h, keyed, scrollBox, setAttribute, setBar, setText, show } from "./dom.js";
import { count } from "./format.js";
import { panels, skuColumns, texts } from "./words.js";

export class Skus {
  constructor() {
    const [title, meaning] = panels.skus;
    this.total = h("span", { class: "card-number" });
    this.body = h("tbody", {});
    this.none = h("p", { class: "empty", text: texts.NO_SKUS });
    this.more = h("p", { class: "why rest", hidden: true });
    this.table = h(
      "table",
      { class: "rows skus" },
      h("caption", { class: "visually-hidden", text: "SKUs, those that are out or low first" }),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col", text: "SKU" }),
          skuColumns.map(({ label, meaning: about }) =>
            h("th", { scope: "col", class: "number", title: about, text: label }),
          ),
        ),
      ),
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
    keyed(this.body, list, ({ name }) => name, makeRow, fillRow);
    const left = skus ? skus.total - list.length : 0;
    setText(this.more, left > 0 ? `and ${count(left)} more` : "");
    show(this.more, left > 0);
  }
}

function makeRow({ name }) {
  const chip = h("span", { class: "tag" });
  const bar = h("span", { class: "bar-fill" });
  const cells = new Map(skuColumns.map(({ name: key }) => [key, h("td", { class: "number" })]));
  const row = h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("span", { class: "sku-name" }, h("span", { class: "id", text: name, title: name }), chip),
      h("span", { class: "bar-track", "aria-hidden": "true" }, bar),
    ),
    [...cells.values()],
  );
  return Object.assign(row, { parts: { chip, bar, cells } });
}

function fillRow(row, sku) {
  const { chip, bar, cells } = row.parts;
  for (const [key, cell] of cells) setText(cell, key === "low" && sku.low === 0 ? "–" : count(sku[key]));
  const isOut = sku.available <= 0;
  const isLow = !isOut && sku.low > 0 && sku.available <= sku.low;
  setText(chip, isOut ? "out" : isLow ? "low" : "");
  show(chip, isOut || isLow);
  setAttribute(row, "data-tone", isOut ? "refused" : isLow ? "queued" : "available");
  const all = sku["on-hand"] + sku.sold;
  setBar(bar, all > 0 ? sku.available / all : 0);
}
