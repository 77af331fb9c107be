// All stores as cards: a card each, of which those in sight are in the page.

import { sparkline } from "./charts.js";
import { h, icon, keyed, setAttribute, setBar, setName, setNumber, setText, show } from "./dom.js";
import { count, rate, short } from "./format.js";
import { numbersOf, stateOf } from "./glance.js";
import { setSpaces } from "./sight.js";
import { phase } from "./window.js";
import { isSoldOut, storeNumbers } from "./words.js";

/** The time that the small charts show, and the least of it that they show of a young store. */
const SPARK_MS = 5 * 60_000;
const SPARK_LEAST_MS = 60_000;
/** A card's height and least width, and what is between two of them, CSS pixels: the style sheet has the same. */
const CARD_PX = 244;
const CARD_LEAST_PX = 380;
const GAP_PX = 16;

const NUMBERS = storeNumbers.filter(({ name }) => name !== "available");

export class Cards {
  constructor() {
    this.element = h("ul", { class: "store-cards" });
    this.sizesOf = new ResizeObserver((entries) => this.#sized(entries));
    this.drawn = null;
  }

  /** Frees what the browser keeps for it. */
  destroy() {
    this.sizesOf.disconnect();
  }

  /** As many next to each other as fit. */
  sizes(width) {
    const columns = Math.floor((width + GAP_PX) / (Math.min(width, CARD_LEAST_PX) + GAP_PX)) || 1;
    return { columns, pitch: CARD_PX + GAP_PX };
  }

  showSort() {}

  /** Shows the stores in sight, the first of which is number `first` of `all` in the list. */
  update(stores, { first, all }, spaces) {
    setSpaces(this.element, spaces);
    let index = first + 1;
    keyed(
      this.element,
      stores,
      ({ id }) => id,
      (store) => this.#makeCard(store),
      (card, store) => {
        card.store = store;
        setAttribute(card, "aria-posinset", index);
        setAttribute(card, "aria-setsize", all);
        index += 1;
      },
    );
  }

  /** Brings every card that is in the page up to date. */
  draw(seriesOf, now, isFresh) {
    this.drawn = [seriesOf, now, isFresh];
    for (const card of this.element.children) this.#drawCard(card);
  }

  /** The link to a store that is in the page. */
  link(id) {
    return [...this.element.children].find((card) => card.store.id === id)?.querySelector("a");
  }

  #makeCard(store) {
    const card = makeCard(store);
    this.sizesOf.observe(card.parts.spark);
    return card;
  }

  #drawCard(card) {
    const [seriesOf, now, isFresh] = this.drawn;
    const series = seriesOf(card.store.id);
    fillCard(card, series, now, isFresh);
    drawSpark(card, series, now, isFresh);
  }

  /** The browser tells sizes after its layout, when they change: nobody has to ask. */
  #sized(entries) {
    for (const { target: spark, contentRect: size } of entries) {
      if (!spark.isConnected) this.sizesOf.unobserve(spark);
      spark.size = { width: size.width, height: size.height };
      const card = spark.closest(".store-card");
      if (card?.isConnected && this.drawn) this.#drawCard(card);
    }
  }
}

function makeCard({ id }) {
  const part = {
    link: h("a", { href: `#/stores/${id}`, class: "cover" }),
    chip: h("span", { class: "chip" }),
    paused: h("span", { class: "chip", data: { tone: "queued" }, text: "Paused" }),
    window: h("p", { class: "why card-window" }),
    alarm: h("p", { class: "card-alarm", hidden: true }, icon("alarm"), h("span")),
    available: h("dd", { class: "value" }),
    of: h("dd", { class: "sub" }),
    bar: h("span", { class: "bar-fill" }),
    spark: h("canvas", { class: "spark", "aria-hidden": "true" }),
    numbers: new Map(NUMBERS.map(({ name }) => [name, h("dd", { class: "mini-value" })])),
  };
  const card = h(
    "li",
    { class: "card store-card" },
    h("div", { class: "store-card-head" }, h("h2", {}, part.link), part.chip, part.paused),
    part.window,
    part.alarm,
    h(
      "div",
      { class: "store-card-main" },
      h("dl", {}, h("dt", { class: "label", text: "Units available" }), part.available, part.of),
      part.spark,
    ),
    h("span", { class: "bar-track", "aria-hidden": "true", data: { tone: "available" } }, part.bar),
    h(
      "dl",
      { class: "minis" },
      NUMBERS.map(({ name, label, meaning }) =>
        h("div", { class: "mini", title: meaning }, h("dt", { class: "label", text: label }), part.numbers.get(name)),
      ),
    ),
  );
  return Object.assign(card, { parts: part });
}

function fillCard(card, series, now, isFresh) {
  const { store, parts: part } = card;
  const { metrics } = store;
  const current = phase(store, now);
  const { alarm } = stateOf(store, now);
  setName(part.link, store.name);
  setText(part.chip, isSoldOut(metrics) && current.kind !== "before" ? "Sold out" : current.label);
  setAttribute(part.chip, "data-tone", current.tone);
  show(part.paused, store.paused);
  const node = store.node && `on ${store.node}`;
  const words = [`${current.lead} ${current.value}`.trim(), waiting(metrics), node].filter(Boolean).join(" · ");
  setName(part.window, words);
  // An alarm stands in place of the window: all cards are equally high.
  show(part.window, !alarm);
  show(part.alarm, Boolean(alarm));
  setText(part.alarm.lastElementChild, alarm ?? "");
  setAttribute(card, "data-alarm", alarm ? "yes" : null);
  setNumber(part.available, count(metrics?.available));
  setText(part.of, metrics ? `of ${count(metrics["on-hand"])} on hand` : "no sample yet");
  setBar(part.bar, metrics ? metrics.available / Math.max(1, metrics["on-hand"] + metrics.sold) : 0);
  const numbers = numbersOf(store, series, now, isFresh);
  for (const [name, element] of part.numbers) {
    setText(element, name === "rate" ? rate(numbers.rate) : short(numbers[name]));
  }
}

/** Who is not queued yet, in words; empty where nobody is. */
function waiting(metrics) {
  const counts = ["waitlisted", "pending"].map((name) => [metrics?.[name] ?? 0, name]);
  return counts.flatMap(([value, name]) => (value > 0 ? [`${count(value)} ${name}`] : [])).join(", ");
}

function drawSpark(card, series, now, isFresh) {
  const { spark } = card.parts;
  if (!spark.size) return;
  const from = Math.min(Math.max(now - SPARK_MS, series.at[0] ?? 0), now - SPARK_LEAST_MS);
  const { x, columns } = series.frame(from, isFresh ? now : null);
  sparkline(spark, spark.size, { x, values: columns.placed, from: from / 1_000, to: now / 1_000, tone: "placed" });
}
