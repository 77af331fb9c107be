// All stores at a glance: a card each.

import { get } from "./api.js";
import { sparkline } from "./charts.js";
import { h, icon, keyed, setAttribute, setBar, setNumber, setText, show } from "./dom.js";
import { count, plural, rate, short } from "./format.js";
import { Series } from "./series.js";
import { phase } from "./window.js";
import { firstSteps, isSoldOut, processingIn, refusedIn, storeNumbers, texts } from "./words.js";

/** The time that the small charts show, and the least of it that they show of a young store. */
const SPARK_MS = 5 * 60_000;
const SPARK_LEAST_MS = 60_000;
const SPARK_POINTS = 150;
/** Histories are asked for a few at a time, of the stores in sight. */
const HISTORIES_AT_ONCE = 3;
/** A card this near to the window counts as in sight: it is drawn before one scrolls to it. */
const SIGHT_MARGIN = "200px";
/** With this many stores or more there is a field to find one. */
const FILTER_FROM = 7;

const NUMBERS = storeNumbers.filter(({ name }) => name !== "available");

export class Overview {
  constructor() {
    this.series = new Map();
    this.asked = new Set();
    this.waiting = [];
    this.running = 0;
    /** Cards in sight: only they are drawn, however many there are. */
    this.inSight = new Set();
    this.sight = new IntersectionObserver((entries) => this.#sighted(entries), { rootMargin: SIGHT_MARGIN });
    this.sizes = new ResizeObserver((entries) => this.#sized(entries));
    this.summary = h("p", { class: "why" });
    this.filter = h("input", {
      type: "search",
      class: "filter",
      placeholder: "Filter by name",
      "aria-label": "Filter stores by name",
      oninput: () => this.update(this.state),
    });
    this.cards = h("ul", { class: "store-cards" });
    this.none = h("p", { class: "empty", hidden: true, text: texts.NO_SUCH_NAME });
    this.empty = emptyState();
    this.element = h(
      "div",
      { class: "page" },
      h(
        "header",
        { class: "page-head" },
        h("div", {}, h("h1", { tabindex: "-1", text: "Stores" }), this.summary),
        this.filter,
      ),
      this.cards,
      this.none,
      this.empty,
    );
  }

  /** Frees what the browser keeps for it. */
  destroy() {
    this.sight.disconnect();
    this.sizes.disconnect();
  }

  /** A line was opened: what came before may have holes. */
  connected() {
    this.asked.clear();
  }

  /** A sample of one of the stores. */
  sample({ id, lines }) {
    this.#seriesOf(id).push(lines);
  }

  #seriesOf(id) {
    if (!this.series.has(id)) this.series.set(id, new Series());
    return this.series.get(id);
  }

  /** Shows the list of stores. */
  update(state) {
    this.state = state;
    const { stores } = state;
    const wanted = this.filter.value.trim().toLowerCase();
    const shown = stores.filter(({ name }) => name.toLowerCase().includes(wanted)).sort(alarmsFirst);
    setText(this.summary, summary(stores));
    show(this.empty, stores.length === 0);
    show(this.filter, stores.length >= FILTER_FROM || wanted !== "");
    show(this.none, stores.length > 0 && shown.length === 0);
    keyed(
      this.cards,
      shown,
      ({ id }) => id,
      (store) => this.#makeCard(store),
      (card, store) => {
        card.store = store;
      },
    );
    const known = new Set(stores.map(({ id }) => id));
    for (const id of this.series.keys()) if (!known.has(id)) this.series.delete(id);
    for (const { store } of this.inSight) this.#ask(store.id);
    this.draw(state);
  }

  /** Brings countdowns, rates and small charts up to date, of the cards in sight. */
  draw(state) {
    for (const card of this.inSight) this.#drawCard(card, state);
  }

  #drawCard(card, { now, isFresh }) {
    const series = this.#seriesOf(card.store.id);
    fillCard(card, series, now, isFresh);
    drawSpark(card, series, now, isFresh);
  }

  /** A card has its words from the start, wherever it is: one can search the page for them. */
  #makeCard(store) {
    const card = Object.assign(makeCard(store), { store });
    fillCard(card, this.#seriesOf(store.id), this.state.now, this.state.isFresh);
    this.sight.observe(card);
    return card;
  }

  #sighted(entries) {
    for (const { target: card, isIntersecting } of entries) {
      const { spark } = card.parts;
      if (isIntersecting) {
        this.inSight.add(card);
        this.sizes.observe(spark);
        this.#ask(card.store.id);
        this.#drawCard(card, this.state);
      } else {
        this.inSight.delete(card);
        this.sizes.unobserve(spark);
        if (!card.isConnected) this.sight.unobserve(card);
      }
    }
  }

  /** The browser tells sizes after its layout, when they change: nobody has to ask. */
  #sized(entries) {
    for (const { target: spark, contentRect: size } of entries) {
      spark.size = { width: size.width, height: size.height };
      const card = spark.closest(".store-card");
      if (this.inSight.has(card)) this.#drawCard(card, this.state);
    }
  }

  #ask(id) {
    if (this.asked.has(id)) return;
    this.asked.add(id);
    this.waiting.push(id);
    this.#askNext();
  }

  async #askNext() {
    if (this.running >= HISTORIES_AT_ONCE || this.waiting.length === 0) return;
    const id = this.waiting.shift();
    this.running += 1;
    try {
      const history = await get(`stores/${id}/history?points=${SPARK_POINTS}`);
      const series = this.#seriesOf(id);
      if (series.length === 0 || history.at.length > 0) series.load(history.lines, history.is_thinned);
      for (const card of this.inSight) if (card.store.id === id) this.#drawCard(card, this.state);
    } catch {
      this.asked.delete(id); // asked again with the next list
    } finally {
      this.running -= 1;
      this.#askNext();
    }
  }
}

/** What must not be comes first, then where people wait for units; else the order stays that of the names. */
function alarmsFirst(a, b) {
  return urgency(b) - urgency(a);
}

function urgency({ metrics }) {
  return (metrics?.oversold > 0 ? 2 : 0) + (metrics?.waitlisted > 0 ? 1 : 0);
}

function summary(stores) {
  if (stores.length === 0) return "";
  const sum = (field) => stores.reduce((all, { metrics }) => all + (metrics?.[field] ?? 0), 0);
  const open = stores.reduce((all, { metrics }) => all + (metrics ? processingIn(metrics) : 0), 0);
  return (
    `${plural(stores.length, "store")} · ${count(sum("available"))} units available · ` +
    `${count(open)} orders processing · ${count(sum("completed"))} completed`
  );
}

function makeCard({ id, name }) {
  const part = {
    chip: h("span", { class: "chip" }),
    paused: h("span", { class: "chip", data: { tone: "queued" }, text: "Paused" }),
    window: h("span", { class: "why" }),
    alarm: h("p", { class: "card-alarm", hidden: true }, icon("alarm"), h("span")),
    available: h("dd", { class: "value" }),
    of: h("dd", { class: "sub" }),
    bar: h("span", { class: "bar-fill" }),
    spark: h("canvas", { class: "spark", "aria-hidden": "true" }),
    numbers: new Map(NUMBERS.map(({ name: key }) => [key, h("dd", { class: "mini-value" })])),
  };
  const card = h(
    "li",
    { class: "card store-card" },
    h(
      "div",
      { class: "store-card-head" },
      h("h2", {}, h("a", { href: `#/store/${id}`, class: "cover", text: name, title: name })),
      part.chip,
      part.paused,
    ),
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
      NUMBERS.map(({ name: key, label, meaning }) =>
        h("div", { class: "mini", title: meaning }, h("dt", { class: "label", text: label }), part.numbers.get(key)),
      ),
    ),
  );
  return Object.assign(card, { parts: part });
}

function fillCard(card, series, now, isFresh) {
  const { store, parts: part } = card;
  const metrics = store.metrics;
  const current = phase(store, now);
  setText(part.chip, isSoldOut(metrics) && current.kind !== "before" ? "Sold out" : current.label);
  setAttribute(part.chip, "data-tone", { open: "completed", always: "completed", before: "placed" }[current.kind]);
  show(part.paused, store.paused);
  const node = store.node && `on ${store.node}`;
  const words = [`${current.lead} ${current.value}`.trim(), waiting(metrics), node];
  setText(part.window, words.filter(Boolean).join(" · "));
  const oversold = metrics?.oversold ?? 0;
  const away = store.away ? "The node is away: these numbers are what it last said" : "";
  const alarm = away || (oversold > 0 && `Oversold by ${count(oversold)}: units are promised that are not there`);
  show(part.alarm, Boolean(alarm));
  setText(part.alarm.lastElementChild, alarm || "");
  setAttribute(card, "data-alarm", alarm ? "yes" : null);
  setNumber(part.available, count(metrics?.available));
  setText(part.of, metrics ? `of ${count(metrics["on-hand"])} on hand` : "no sample yet");
  setBar(part.bar, metrics ? metrics.available / Math.max(1, metrics["on-hand"] + metrics.sold) : 0);
  const values = {
    queued: short(metrics?.queued),
    completed: short(metrics?.completed),
    rate: metrics ? rate(isFresh ? series.rate("placed", now) : NaN) : rate(NaN),
    refused: short(metrics ? refusedIn(metrics) : NaN),
  };
  for (const [key, element] of part.numbers) setText(element, values[key]);
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

function emptyState() {
  const step = ([text, code]) => h("li", {}, h("p", { text }), h("pre", {}, h("code", { text: code })));
  return h(
    "section",
    { class: "card empty-state", hidden: true },
    h("h2", { text: texts.NO_STORE }),
    h("p", { text: texts.FIRST_STEP }),
    h("ol", {}, firstSteps.slice(0, -1).map(step)),
    h("p", {}, `${firstSteps.at(-1)[0]}: `, h("code", { text: firstSteps.at(-1)[1] })),
  );
}
