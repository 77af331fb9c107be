// Lanes: the named parts of the queue. Where no order names one, there is nothing to see.

import { h, keyed, scrollBox, setBar, setText, show, tableHead } from "./dom.js";
import { age, count, NONE } from "./format.js";
import { laneColumns, panels, texts } from "./words.js";

export class Lanes {
  /** `browse(wanted)` leads to all records. */
  constructor({ browse }) {
    this.browse = browse;
    const [title, meaning] = panels.lanes;
    this.total = h("span", { class: "card-number" });
    this.body = h("tbody", {});
    this.table = h(
      "table",
      { class: "rows lanes" },
      h("caption", { class: "visually-hidden", text: "Lanes, and how many orders are in each" }),
      tableHead("Lane", laneColumns),
      this.body,
    );
    this.why = h("p", { class: "why rest", text: texts.NO_LANE_WHY });
    this.element = h(
      "section",
      { class: "card panel", "aria-labelledby": "lanes-title", hidden: true },
      h("div", { class: "card-head" }, h("h3", { id: "lanes-title", text: title }), this.total),
      h("p", { class: "why", text: meaning }),
      scrollBox("List of lanes", this.table),
      this.why,
    );
  }

  /** Shows the detail, when it has come; `now`: Unix ms, the server's clock. */
  update(detail, now) {
    const list = detail?.lanes ?? [];
    const elapsedMs = detail ? Math.max(0, now - detail.now) : 0;
    show(this.element, list.length > 0);
    show(
      this.why,
      list.some(({ name }) => name === ""),
    );
    setText(this.total, count(list.length));
    const most = Math.max(1, ...list.map(({ queued }) => queued));
    keyed(
      this.body,
      list,
      ({ name }) => name,
      (lane) => makeRow(lane, this.browse),
      (row, lane) => fillRow(row, lane, most, elapsedMs),
    );
  }
}

function makeRow({ name, id }, browse) {
  const bar = h("span", { class: "bar-fill" });
  const cells = new Map(laneColumns.map(({ name: key }) => [key, h("td", { class: "number" })]));
  const isNone = name === "";
  const row = h(
    "tr",
    { data: { tone: "queued" } },
    h(
      "th",
      { scope: "row" },
      h(
        "span",
        { class: "sku-name" },
        h(
          "button",
          {
            class: "link-button id",
            type: "button",
            title: isNone ? texts.NO_LANE_WHY : name,
            onclick: () => browse({ kind: "orders", lane: id }),
          },
          isNone
            ? [
                h("span", { "aria-hidden": "true", text: NONE }),
                h("span", { class: "visually-hidden", text: texts.NO_LANE }),
              ]
            : name,
        ),
      ),
      h("span", { class: "bar-track", "aria-hidden": "true" }, bar),
    ),
    [...cells.values()],
  );
  return Object.assign(row, { parts: { bar, cells } });
}

function fillRow(row, lane, most, elapsedMs) {
  const { bar, cells } = row.parts;
  for (const [key, cell] of cells) {
    const isAge = key === "oldest-waiting-ms";
    setText(cell, !isAge ? count(lane[key]) : lane[key] > 0 ? age(lane[key] + elapsedMs) : NONE);
  }
  setBar(bar, lane.queued / most);
}
