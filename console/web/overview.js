// All stores: as cards or as a table, sorted and filtered as the reader wants.

import { get } from "./api.js";
import { Cards } from "./cards.js";
import { Choice, VIEWS } from "./choice.js";
import { h, setAttribute, setText, show } from "./dom.js";
import { count, plural } from "./format.js";
import { numbersOf, stateOf } from "./glance.js";
import { Series } from "./series.js";
import { Sight } from "./sight.js";
import { columns, Table } from "./table.js";
import { firstSteps, processingIn, texts } from "./words.js";

/** Points of a history that is asked for, and points that are kept of a store. */
const SPARK_POINTS = 150;
const POINTS_MAX = 400;
/** Histories are asked for a few at a time, of the cards in sight. */
const HISTORIES_AT_ONCE = 3;
/** With this many stores or more there is a field to find one. */
const FILTER_FROM = 7;
/** Stores change places this often, and not while somebody points at one. */
const SORT_EVERY_MS = 5_000;

const LABELS = { cards: "Cards", table: "Table" };
const collator = new Intl.Collator("en", { numeric: true });

export class Overview {
  /** `query`: what the address says after its `?`. */
  constructor(query) {
    this.choice = new Choice(query, columns.map(({ name }) => name));
    this.series = new Map();
    this.asked = new Set();
    this.waiting = [];
    this.running = 0;
    /** The ids of the stores that are shown, in their order. */
    this.order = [];
    this.sortedAt = -Infinity;
    this.summary = h("p", { class: "why" });
    this.filter = h("input", {
      type: "search",
      class: "filter",
      placeholder: "Filter",
      "aria-label": "Filter stores by name, state or node",
      "aria-keyshortcuts": "/",
      spellcheck: "false",
      oninput: () => this.#choose({ find: this.filter.value }),
    });
    this.filter.value = this.choice.find;
    this.found = h("p", { class: "why", role: "status", hidden: true });
    this.views = VIEWS.map((view) =>
      h("button", {
        type: "button",
        class: "segment",
        "aria-pressed": "false",
        text: LABELS[view],
        data: { view },
        onclick: () => this.#choose({ view }),
      }),
    );
    this.tools = h(
      "div",
      { class: "tools", hidden: true },
      this.filter,
      h("div", { class: "segments", role: "group", "aria-label": "Show as" }, this.views),
    );
    this.place = h("div", { class: "store-place" });
    this.place.addEventListener("keydown", (event) => this.#onKey(event));
    this.none = h("p", { class: "empty", hidden: true, text: texts.NO_SUCH_NAME });
    this.left = h("p", { class: "why", hidden: true });
    this.empty = emptyState();
    this.element = h(
      "div",
      { class: "page" },
      h(
        "header",
        { class: "page-head" },
        h("div", {}, h("h1", { tabindex: "-1", text: "Stores" }), this.summary, this.found),
        this.tools,
      ),
      this.place,
      this.left,
      this.none,
      this.empty,
    );
  }

  /** Frees what the browser keeps for it. */
  destroy() {
    this.sight?.destroy();
    this.list?.destroy?.();
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
    if (!this.series.has(id)) this.series.set(id, new Series({ columns: ["placed"], pointsMax: POINTS_MAX }));
    return this.series.get(id);
  }

  /** Shows the list of stores. */
  update(state) {
    const isFirst = this.state === undefined;
    this.state = state;
    const { stores } = state;
    const isOther = stores.length !== this.byId?.size || stores.some(({ id }) => !this.byId.has(id));
    this.byId = new Map(stores.map((store) => [store.id, store]));
    setText(this.summary, summary(stores));
    show(this.empty, stores.length === 0);
    show(this.tools, stores.length > 1);
    show(this.filter, stores.length >= FILTER_FROM || this.choice.find !== "");
    for (const id of this.series.keys()) if (!this.byId.has(id)) this.series.delete(id);
    this.#setView(this.choice.viewOf(stores.length));
    if (isFirst || isOther) this.#sort();
    this.#show();
  }

  /** Puts the stores in order again when it is time: not with the next list, which may never come. */
  tick() {
    if (this.state === undefined || !this.#isTimeToSort()) return;
    this.#sort();
    this.#show();
  }

  /** Brings countdowns, rates and small charts up to date, of the stores in sight. */
  draw({ now, isFresh }) {
    this.list?.draw((id) => this.#seriesOf(id), now, isFresh);
  }

  #setView(view) {
    for (const button of this.views) setAttribute(button, "aria-pressed", String(button.dataset.view === view));
    if (this.view === view) return;
    this.view = view;
    this.destroy();
    this.list = view === "table" ? new Table({ sorted: (...by) => this.#sortBy(...by) }) : new Cards();
    this.list.showSort(this.choice.sort);
    this.place.replaceChildren(this.list.element);
    this.sight = new Sight(this.list.element, {
      sizes: (width) => this.list.sizes(width),
      changed: () => this.#show(),
    });
  }

  #choose(change) {
    Object.assign(this.choice, change);
    this.choice.keep();
    if (!this.state) return;
    this.#setView(this.choice.viewOf(this.byId.size));
    this.list.showSort(this.choice.sort);
    this.#sort();
    this.#show();
  }

  #sortBy(column, isDownFirst) {
    const { sort } = this.choice;
    this.#choose({ sort: { column, isDown: sort.column === column ? !sort.isDown : Boolean(isDownFirst) } });
  }

  /** Stores that move away under the pointer, or from the one that has the focus, are a nuisance. */
  #isTimeToSort() {
    if (performance.now() - this.sortedAt < SORT_EVERY_MS) return false;
    return !this.place.matches(":hover") && !this.place.contains(document.activeElement);
  }

  #sort() {
    this.sortedAt = performance.now();
    const { now, isFresh } = this.state;
    const { column, isDown } = this.choice.sort;
    const words = this.choice.find.toLowerCase().split(" ").filter(Boolean);
    const found = [...this.byId.values()].flatMap((store) => {
      const state = stateOf(store, now);
      const text = `${store.name} ${state.text} ${store.node ?? ""}`.toLowerCase();
      if (!words.every((word) => text.includes(word))) return [];
      const numbers = () => numbersOf(store, this.#seriesOf(store.id), now, isFresh);
      const keys = { name: () => store.name, node: () => store.node ?? "", state: () => state.urgency };
      return [{ store, key: (keys[column] ?? (() => numbers()[column] || 0))() }];
    });
    const way = isDown ? -1 : 1;
    found.sort((a, b) => way * compare(a.key, b.key) || collator.compare(a.store.name, b.store.name));
    this.order = found.map(({ store }) => store.id);
    show(this.none, this.byId.size > 0 && found.length === 0);
    show(this.found, words.length > 0);
    setText(this.found, words.length > 0 ? `${count(found.length)} of them shown` : "");
  }

  /** Puts the stores in sight into the page. */
  #show() {
    const { sight, list } = this;
    sight.set(this.order.length);
    const stores = this.order.slice(sight.first, sight.last).flatMap((id) => this.byId.get(id) ?? []);
    const hasNodes = stores.some(({ node }) => node);
    show(this.left, sight.left > 0);
    setText(this.left, sight.left > 0 ? `${plural(sight.left, "store")} more, not printed.` : "");
    list.update(stores, { first: sight.first, all: this.order.length, hasNodes }, sight.spaces);
    this.draw(this.state);
    if (this.view === "cards") stores.forEach(({ id }) => this.#ask(id));
  }

  /** Arrow keys go from store to store, through those that are not in the page too. */
  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !event.target.matches("a[href]")) return;
    const id = event.target.getAttribute("href").split("/").at(-1);
    const { columns: side } = this.sight;
    const steps = { ArrowDown: side, ArrowUp: -side, ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const index = Math.min(this.order.length - 1, Math.max(0, this.order.indexOf(id) + step));
    this.sight.reveal(index);
    this.list.link(this.order[index])?.focus({ preventScroll: true });
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
      // It is drawn with the next numbers.
      if (series.length === 0 || history.at.length > 0) series.load(history.lines, history.is_thinned);
    } catch {
      this.asked.delete(id); // asked again with the next list
    } finally {
      this.running -= 1;
      this.#askNext();
    }
  }
}

function compare(a, b) {
  return typeof a === "string" ? collator.compare(a, b) : a - b;
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
