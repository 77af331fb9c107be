// The pop-up dashboard's numbers: what is left, who orders, what is done, and what must never happen.

import { h, icon, setAttribute, setNumber, setShare, setText, show } from "./dom.js";
import { count, duration, percent, plural, rate } from "./format.js";
import { REFUSALS, refusedIn } from "./words.js";

/** The card with the units left, and where all units are. */
export class StockCard {
  constructor() {
    this.value = h("dd", { class: "value value-big", data: { field: "available" } });
    this.of = h("dd", { class: "sub" });
    this.bar = h("div", { class: "stack", "aria-hidden": "true" });
    this.segments = [
      ["sold", "completed", "Sold", "left the building"],
      ["held", "queued", "Set aside", "in carts and open orders"],
      ["available", "available", "Available", "can be sold now"],
      ["safety", "muted", "Kept back", "safety stock, never sold"],
    ].map(([key, tone, label, why]) => this.#segment(key, tone, label, why));
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
        h("dd", { class: "why", text: "what a customer can still buy: on hand, less set aside, less kept back" }),
      ),
      this.party,
      this.bar,
      this.legend,
    );
    this.element.dataset.tone = "available";
  }

  #segment(key, tone, label, why) {
    const fill = h("span", { class: "stack-part", data: { tone } });
    this.bar.append(fill);
    const [value, part] = [
      h("span", { class: "mini-value", data: { segment: key } }),
      h("span", { class: "stack-part-of" }),
    ];
    const entry = h(
      "div",
      { class: "mini", data: { tone } },
      h("dt", { class: "label" }, h("span", { class: "swatch", "aria-hidden": "true" }), label),
      h("dd", {}, value, " ", part),
      h("dd", { class: "why", text: why }),
    );
    return { key, fill, value, part, entry };
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
    for (const { key, fill, value, part, entry } of this.segments) {
      show(fill, units[key] > 0);
      setShare(fill, all > 0 ? Math.max(0, units[key]) / all : 0);
      setText(value, count(units[key]));
      setText(part, percent(Math.max(0, units[key]), all));
      show(entry, key !== "safety" || units.safety > 0);
    }
    show(this.party, soldOut !== null);
    setText(this.party.lastElementChild, soldOut ?? "");
    this.element.classList.toggle("is-sold-out", soldOut !== null);
  }
}

/** Tiles: field for tests and styles, tone, label, and what the number means. */
const TILES = [
  ["customers", "placed", "Customers ordering", "people with units in a cart or an order"],
  ["processing", "queued", "Orders processing", "placed and not finished yet"],
  ["completed", "completed", "Orders completed", "fulfilled: their units left the building"],
  ["overflow", "overflow", "Overflow", "asked for, less completed: demand not served yet, or never"],
  ["refused", "refused", "Refused", "calls answered with no; the reasons are below"],
  ["oversold", "oversold", "Oversold", "units promised beyond what is on hand: must stay 0"],
];

/** The tiles beside the stock. */
export class Tiles {
  constructor() {
    this.tiles = new Map(TILES.map(([key, tone, label, why]) => [key, makeTile(key, tone, label, why)]));
    this.element = h(
      "dl",
      { class: "tiles" },
      [...this.tiles.values()].map(({ element }) => element),
    );
  }

  /** Shows a sample; rates are events a second, now. */
  update(metrics, rates) {
    const processing = metrics.queued + metrics["in-work"] + metrics.retrying;
    const refused = refusedIn(metrics);
    this.#set("customers", metrics.customers, `${plural(metrics.holds, "cart")} open now`);
    this.#set(
      "processing",
      processing,
      parts([
        [metrics.queued, "queued"],
        [metrics["in-work"], "in work"],
        [metrics.retrying, "to retry"],
      ]) || (metrics.placed > 0 ? "all done" : "none yet"),
    );
    this.#set(
      "completed",
      metrics.completed,
      Number.isFinite(rates.completed) ? `${rate(rates.completed)} a second now` : "how fast is not known",
    );
    this.#set("overflow", metrics.overflow, `${count(metrics["refused-outofstock"])} found no units left`);
    this.#set("refused", refused, topRefusal(metrics, refused));
    const isAlarm = metrics.oversold > 0;
    this.#set("oversold", metrics.oversold, isAlarm ? "stock was counted below what is held" : "as it must be");
    setAttribute(this.tiles.get("oversold").element, "data-alarm", isAlarm ? "yes" : "no");
  }

  #set(key, value, sub) {
    const tile = this.tiles.get(key);
    setNumber(tile.value, count(value));
    setText(tile.sub, sub);
  }
}

function makeTile(key, tone, label, why) {
  const value = h("dd", { class: "value", data: { field: key } });
  const sub = h("dd", { class: "sub" });
  const mark = key === "oversold" ? h("span", { class: "tile-mark" }, icon("check"), icon("alarm")) : null;
  const element = h(
    "div",
    { class: "card tile", data: { tone, tile: key } },
    h("dt", { class: "label" }, h("span", { class: "swatch", "aria-hidden": "true" }), label, mark),
    value,
    sub,
    h("dd", { class: "why", text: why }),
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
  if (refused === 0) return "nobody was turned away";
  const top = REFUSALS.reduce((most, one) => ((metrics[one.field] ?? 0) > (metrics[most.field] ?? 0) ? one : most));
  return `${percent(metrics[top.field], refused)} ${top.says.toLowerCase()}`;
}

/** The small numbers about work that did not go as it should. */
const TROUBLE = [
  ["failed", "Failed attempts", "a worker said: it did not work"],
  ["retried", "Retried", "handed out again after a failure"],
  ["lapsed", "Leases ended", "taken back from a worker that died or hung"],
  ["late", "Late", "took longer than the store promises (sla-ms)"],
];

/** Retries and what leads to them, as a row of numbers. */
export class Trouble {
  constructor() {
    this.values = new Map();
    this.element = h(
      "dl",
      { class: "minis" },
      TROUBLE.map(([field, label, why]) => {
        const value = h("dd", { class: "mini-value", data: { field } });
        this.values.set(field, value);
        return h(
          "div",
          { class: "mini" },
          h("dt", { class: "label", text: label }),
          value,
          h("dd", { class: "why", text: why }),
        );
      }),
    );
  }

  /** Shows a sample. */
  update(metrics) {
    for (const [field, value] of this.values) setText(value, count(metrics[field]));
  }
}

/**
 * What to say once nothing can be bought any more, or null: `soldOutAt` is when the last unit went first, `opens` the
 * window's beginning (Unix ms; null or 0 if not known).
 */
export function soldOutSentence(metrics, soldOutAt, opens) {
  const isSoldOut = metrics.available <= 0 && metrics.sold + metrics.held > 0;
  if (!isSoldOut) return null;
  const open = metrics.queued + metrics["in-work"] + metrics.retrying;
  const after =
    soldOutAt !== null && opens > 0 && soldOutAt > opens ? ` ${duration(soldOutAt - opens)} after opening` : "";
  const left = [
    [open, "order"],
    [metrics.holds, "cart"],
  ].filter(([value]) => value > 0);
  const words = left.map(([value, name]) => plural(value, name)).join(" and ");
  if (words !== "") return `Sold out${after}. ${words} still to settle.`;
  return `Sold out${after}, and every order is settled.`;
}
