// All stores as a table that can be sorted: a line each, of which those in sight are in the page.

import { h, keyed, setAttribute, setName, setStyle, setText, show } from "./dom.js";
import { age, count, fitted, NONE, rate } from "./format.js";
import { numbersOf, stateOf } from "./glance.js";
import { groups, storeNumbers } from "./words.js";

/** The height of a line and of the head, CSS pixels: the style sheet has the same. */
const ROW_PX = 40;
const HEAD_PX = 44;
/** A number with more characters than this is written short; all of it is in the tooltip. */
const NUMBER_CHARS = 11;

const metrics = new Map(groups.flatMap((group) => group.metrics).map((metric) => [metric.name, metric]));
const computed = new Map(storeNumbers.map((number) => [number.name, number]));
const NUMBERS = [
  ...["available", "held", "on-hand", "queued", "in-work", "dead-letters", "oldest-waiting-ms"],
  ...["rate", "refused", "completed"],
];

/** The columns, those first that nobody wants to miss. */
export const columns = [
  { name: "name", label: "Store", meaning: "its key" },
  { name: "state", label: "State", meaning: "what has to be looked at, or whether it sells" },
  { name: "node", label: "Node", meaning: "the server that has it" },
  ...NUMBERS.map((name) => ({ isNumber: true, ...(metrics.get(name) ?? computed.get(name)) })),
];

export class Table {
  constructor({ sorted }) {
    this.heads = new Map(columns.map((column) => [column.name, makeHead(column, sorted)]));
    this.body = h("tbody", {});
    this.above = spacer();
    this.below = spacer();
    this.table = h(
      "table",
      { class: "store-table" },
      h("caption", { class: "visually-hidden", text: "All stores; the buttons in its head sort it" }),
      h("colgroup", {}, columns.map(({ name }) => h("col", { data: { column: name } }))),
      h("thead", {}, h("tr", { "aria-rowindex": "1" }, [...this.heads.values()].map(({ head }) => head))),
      this.above,
      this.body,
      this.below,
    );
    this.element = h("div", { class: "card store-table-card" }, this.table);
  }

  /** One line below the other, below the head. */
  sizes() {
    return { columns: 1, pitch: ROW_PX, head: HEAD_PX };
  }

  /** Shows by which column the list is sorted. */
  showSort({ column, isDown }) {
    for (const [name, { head }] of this.heads) {
      setAttribute(head, "aria-sort", name === column ? (isDown ? "descending" : "ascending") : null);
    }
  }

  /** Shows the stores in sight, the first of which is number `first` of `all` in the list. */
  update(stores, { first, all, hasNodes }, spaces) {
    this.table.classList.toggle("has-nodes", hasNodes);
    setAttribute(this.table, "aria-rowcount", all + 1);
    [this.above, this.below].forEach((one, i) => setHeight(one, spaces[i]));
    let index = first + 2;
    keyed(
      this.body,
      stores,
      ({ id }) => id,
      makeRow,
      (row, store) => {
        row.store = store;
        setAttribute(row, "aria-rowindex", index);
        index += 1;
      },
    );
  }

  /** Brings every line that is in the page up to date. */
  draw(seriesOf, now, isFresh) {
    for (const row of this.body.children) fillRow(row, seriesOf(row.store.id), now, isFresh);
  }

  /** The link to a store that is in the page. */
  link(id) {
    return [...this.body.children].find((row) => row.store.id === id)?.querySelector("a");
  }
}

function makeHead({ name, label, meaning, isNumber }, sorted) {
  const button = h(
    "button",
    { type: "button", class: "sort", title: meaning, onclick: () => sorted(name, isNumber || name === "state") },
    label,
    h("span", { class: "sort-mark", "aria-hidden": "true" }),
  );
  const head = h("th", { scope: "col", class: isNumber ? "number" : null, data: { column: name } }, button);
  return { head };
}

function spacer() {
  return h("tbody", { class: "spacer", "aria-hidden": "true" }, h("tr", {}, h("td", { colspan: columns.length })));
}

function setHeight(spacer, height) {
  show(spacer, height > 0);
  if (spacer.height === height) return;
  spacer.height = height;
  setStyle(spacer.firstElementChild, { height: `${height}px` });
}

function makeRow({ id }) {
  const link = h("a", { class: "id", href: `#/stores/${id}` });
  const tag = h("span", { class: "chip" });
  const node = h("td", { class: "why", data: { column: "node" } });
  const cells = new Map();
  for (const { name, isNumber } of columns) {
    if (isNumber) cells.set(name, h("td", { class: "number", data: { column: name } }));
  }
  const row = h(
    "tr",
    { class: "store-row" },
    h("th", { scope: "row", data: { column: "name" } }, link),
    h("td", { data: { column: "state" } }, tag),
    node,
    [...cells.values()],
  );
  return Object.assign(row, { parts: { link, tag, node, cells } });
}

function fillRow(row, series, now, isFresh) {
  const { store, parts } = row;
  const numbers = numbersOf(store, series, now, isFresh);
  const state = stateOf(store, now);
  setName(parts.link, store.name);
  setText(parts.tag, state.text);
  setAttribute(parts.tag, "data-tone", state.tone);
  setAttribute(parts.tag, "title", state.alarm);
  setAttribute(row, "data-alarm", state.alarm ? "yes" : null);
  setName(parts.node, store.node ?? "");
  for (const [name, cell] of parts.cells) {
    const text = textOf(name, numbers[name]);
    setText(cell, text);
    setAttribute(cell, "title", name !== "rate" && text !== count(numbers[name]) ? titleOf(name, numbers[name]) : null);
    setAttribute(cell, "data-zero", numbers[name] > 0 ? null : "yes");
  }
}

function textOf(name, value) {
  if (name === "rate") return rate(value);
  if (name === "oldest-waiting-ms") return value > 0 ? age(value) : NONE;
  return fitted(value, NUMBER_CHARS);
}

function titleOf(name, value) {
  return name === "oldest-waiting-ms" ? null : count(value);
}
