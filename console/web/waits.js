// Orders that are not queued yet: they wait for a gate or for units; those that expire first on top.

import { h, keyed, lead, scrollBox, setAttribute, setText, show } from "./dom.js";
import { knowsWaits, SOON_MS } from "./flow.js";
import { count, countdown, fitted } from "./format.js";
import { panels, states, texts } from "./words.js";


export class Waits {
  /** `orderLink(id)` is the address of an order, `browse(wanted)` leads to all records. */
  constructor({ orderLink, browse }) {
    const [title, meaning] = panels.waits;
    this.orderLink = orderLink;
    this.total = h("span", { class: "card-number" });
    this.list = h("ul", { class: "wait-list" });
    this.none = h("p", { class: "empty", text: texts.NO_WAITS });
    this.box = scrollBox("Orders before the queue", this.list);
    this.moreText = h("span", {});
    this.all = ["pending", "waitlisted"].map((state) =>
      lead(`all ${states[state].label.toLowerCase()}`, () => browse({ kind: "orders", state })),
    );
    this.more = h("p", { class: "why rest", hidden: true }, this.moreText, this.all[0], " · ", this.all[1]);
    this.element = h(
      "section",
      { class: "card panel", "aria-labelledby": "waits-title", hidden: true },
      h("div", { class: "card-head" }, h("h3", { id: "waits-title", text: title }), this.total),
      h("p", { class: "why", text: meaning }),
      this.none,
      this.box,
      this.more,
    );
  }

  /** Shows a sample and, when it has come, the detail. */
  update(metrics, waits) {
    show(this.element, knowsWaits(metrics));
    const all = metrics.pending + metrics.waitlisted;
    const list = all > 0 ? (waits?.shown ?? []) : [];
    setText(this.total, all > 0 ? count(all) : "");
    show(this.none, all === 0);
    show(this.box, list.length > 0);
    keyed(
      this.list,
      list,
      ({ id }) => id,
      (wait) => this.#makeRow(wait),
      fillRow,
    );
    const left = all - list.length;
    setText(this.moreText, `and ${count(left)} more: `);
    show(this.more, waits !== null && left > 0);
  }

  #makeRow({ id, name }) {
    const tag = h("span", { class: "tag" });
    const what = h("span", { class: "why wait-what" });
    const left = h("span", { class: "lease-left" });
    const row = h(
      "li",
      { class: "wait-row" },
      h("a", { class: "id", href: this.orderLink(id), text: name, title: name }),
      tag,
      left,
      what,
    );
    return Object.assign(row, { parts: { tag, what, left } });
  }

  /** Counts down, to `now` (Unix ms, the server's clock). */
  tick(now) {
    if (this.element.hidden) return;
    for (const row of this.list.children) {
      const { left, due } = row.parts;
      const leftMs = due === null ? null : due - now;
      setText(left, leftMs === null ? texts.FOR_EVER : countdown(leftMs));
      setAttribute(left, "data-soon", leftMs !== null && leftMs < SOON_MS ? "yes" : null);
    }
  }
}

function fillRow(row, { state, gates, missing, due }) {
  const { tag, what } = row.parts;
  row.parts.due = due;
  setText(tag, states[state]?.label ?? state);
  setAttribute(row, "data-tone", states[state]?.tone ?? "muted");
  const units = missing.map(([sku, units]) => [`${fitted(units)} × `, sku]);
  const parts = [...units, ...gates.map((gate) => ["", gate])];
  const shown = JSON.stringify(parts);
  if (what.shown === shown) return;
  what.shown = shown;
  const id = (name) => h("span", { class: "id", text: name, title: name });
  const named = ([before, name], at) => [`${at > 0 ? ", " : ""}${before}`, id(name)];
  what.replaceChildren(...parts.flatMap(named));
}
