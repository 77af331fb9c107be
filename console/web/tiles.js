// The pop-up dashboard's numbers: what is left, who orders, what is done, and what must never happen.

import { h, icon, setAttribute, setNumber, setShare, setText, show } from "./dom.js";
import { count, duration, fitted, percent, plural, rate } from "./format.js";
import { flow, isSoldOut, processingIn, refusals, refusedIn, segments, texts, tiles, trouble } from "./words.js";

/** A number of the legend with more characters than this is written short. */
const LEGEND_CHARS = 13;

/** The card with the units left, and where all units are. */
export class StockCard {
  constructor() {
    this.value = h("dd", { class: "value value-big", data: { field: "available" } });
    this.of = h("dd", { class: "sub" });
    this.bar = h("div", { class: "stack", "aria-hidden": "true" });
    this.segments = segments.map((segment) => this.#segment(segment));
    this.legend = h(
      "dl",
      { class: "stack-legend" },
      this.segments.map(({ entry }) => entry),
    );
    this.party = h("p", { class: "party", hidden: true }, icon("check"), h("span", {}));
    this.element = h(
      "section",
      { class: "card stock", "aria-label": "Units" },
      h(
        "dl",
        { class: "stock-number" },
        h("dt", { class: "label" }, h("span", { class: "swatch", "aria-hidden": "true" }), "Units available"),
        this.value,
        this.of,
        h("dd", { class: "why", text: texts.AVAILABLE }),
      ),
      this.party,
      this.bar,
      this.legend,
    );
    this.element.dataset.tone = "available";
  }

  #segment({ name, tone, label, meaning }) {
    const fill = h("span", { class: "stack-part", data: { tone } });
    this.bar.append(fill);
    const [value, part] = [
      h("span", { class: "mini-value", data: { segment: name } }),
      h("span", { class: "stack-part-of" }),
    ];
    const entry = h(
      "div",
      { class: "mini", data: { tone } },
      h("dt", { class: "label" }, h("span", { class: "swatch", "aria-hidden": "true" }), label),
      h("dd", {}, value, " ", part),
      h("dd", { class: "why", text: meaning }),
    );
    return { name, fill, value, part, entry };
  }

  /** Shows a sample; `soldOut` is a sentence, or null. */
  update(metrics, soldOut) {
    const onHand = metrics["on-hand"];
    const units = {
      sold: metrics.sold,
      held: metrics.held,
      available: metrics.available,
      safety: Math.max(0, onHand - metrics.held - metrics.available),
    };
    const all = Object.values(units).reduce((sum, value) => sum + Math.max(0, value), 0);
    setNumber(this.value, count(metrics.available));
    setText(this.of, `of ${count(onHand)} on hand`);
    for (const { name, fill, value, part, entry } of this.segments) {
      show(fill, units[name] > 0);
      setShare(fill, all > 0 ? Math.max(0, units[name]) / all : 0);
      setText(value, fitted(units[name], LEGEND_CHARS));
      setAttribute(value, "title", count(units[name]));
      setText(part, percent(Math.max(0, units[name]), all));
      show(entry, name !== "safety" || units.safety > 0);
    }
    show(this.party, soldOut !== null);
    setText(this.party.lastElementChild, soldOut ?? "");
    this.element.classList.toggle("is-sold-out", soldOut !== null);
  }
}

/** The tiles next to the stock. */
export class Tiles {
  constructor() {
    this.tiles = new Map(tiles.map((tile) => [tile.name, makeTile(tile)]));
    this.element = h(
      "dl",
      { class: "tiles" },
      [...this.tiles.values()].map(({ element }) => element),
    );
  }

  /** Shows a sample; rates are events a second, now. */
  update(metrics, rates) {
    const refused = refusedIn(metrics);
    this.#set("customers", metrics.customers, `${plural(metrics.holds, "cart")} open now`);
    this.#set(
      "processing",
      processingIn(metrics),
      parts(flow.map(({ name, label }) => [metrics[name], label.toLowerCase()])) ||
        (metrics.placed > 0 ? texts.ALL_DONE : texts.NONE_YET),
    );
    this.#set(
      "completed",
      metrics.completed,
      Number.isFinite(rates.completed) ? `${rate(rates.completed)} a second now` : texts.RATE_UNKNOWN,
    );
    this.#set("overflow", metrics.overflow, `${count(metrics["refused-outofstock"])} found none left`);
    this.#set("refused", refused, topRefusal(metrics, refused));
    const isAlarm = metrics.oversold > 0;
    this.#set("oversold", metrics.oversold, isAlarm ? texts.IS_OVERSOLD : texts.IS_NOT_OVERSOLD);
    setAttribute(this.tiles.get("oversold").element, "data-alarm", isAlarm ? "yes" : "no");
  }

  #set(name, value, sub) {
    const tile = this.tiles.get(name);
    setNumber(tile.value, count(value));
    setText(tile.sub, sub);
  }
}

function makeTile({ name, tone, label, meaning }) {
  const value = h("dd", { class: "value", data: { field: name } });
  const sub = h("dd", { class: "sub" });
  const mark = name === "oversold" ? h("span", { class: "tile-mark" }, icon("check"), icon("alarm")) : null;
  const element = h(
    "div",
    { class: "card tile", data: { tone, tile: name } },
    h("dt", { class: "label" }, h("span", { class: "swatch", "aria-hidden": "true" }), label, mark),
    value,
    sub,
    h("dd", { class: "why", text: meaning }),
  );
  return { element, value, sub };
}

function parts(counts) {
  return counts
    .filter(([value]) => value > 0)
    .map(([value, name]) => `${count(value)} ${name}`)
    .join(" · ");
}

function topRefusal(metrics, refused) {
  if (refused === 0) return texts.NOBODY_REFUSED;
  const top = refusals.reduce((most, one) => ((metrics[one.name] ?? 0) > (metrics[most.name] ?? 0) ? one : most));
  return `${percent(metrics[top.name], refused)} ${top.label.toLowerCase()}`;
}

/** Retries and what leads to them, as a row of numbers. */
export class Trouble {
  constructor() {
    this.values = new Map();
    this.element = h(
      "dl",
      { class: "minis" },
      trouble.map(({ name, label, meaning }) => {
        const value = h("dd", { class: "mini-value", data: { field: name } });
        this.values.set(name, value);
        return h(
          "div",
          { class: "mini" },
          h("dt", { class: "label", text: label }),
          value,
          h("dd", { class: "why", text: meaning }),
        );
      }),
    );
  }

  /** Shows a sample. */
  update(metrics) {
    for (const [name, value] of this.values) setText(value, count(metrics[name]));
  }
}

/**
 * What to say once nothing can be bought any more, or null: `soldOutAt` is when the last unit went first since the
 * window opened at `opens` (Unix ms; null or 0 if not known).
 */
export function soldOutSentence(metrics, soldOutAt, opens) {
  if (!isSoldOut(metrics)) return null;
  const open = processingIn(metrics);
  const after = soldOutAt !== null && opens > 0 ? ` ${duration(soldOutAt - opens)} after opening` : "";
  const left = [
    [open, "order"],
    [metrics.holds, "cart"],
  ].filter(([value]) => value > 0);
  const words = left.map(([value, name]) => plural(value, name)).join(" and ");
  if (words !== "") return `Sold out${after}. ${words} still to settle.`;
  return `Sold out${after}, and every order is settled.`;
}
