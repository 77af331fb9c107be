// The page of one store: the pop-up dashboard.

import { Alerts } from "./alerts.js";
import { Browse } from "./browse.js";
import { Chart } from "./charts.js";
import { Counts } from "./counts.js";
import { Dead } from "./dead.js";
import { h, setAttribute, setText, show } from "./dom.js";
import { Flow } from "./flow.js";
import { count, word } from "./format.js";
import { Lanes } from "./lanes.js";
import { Refusals } from "./refusals.js";
import { Series } from "./series.js";
import { Skus } from "./skus.js";
import { soldOutSentence, StockCard, Tiles } from "./tiles.js";
import { Waits } from "./waits.js";
import { WindowHead } from "./window.js";
import { charts, hints, isSoldOut, texts } from "./words.js";
import { Workers } from "./workers.js";

/** Spans of the charts: name, label, milliseconds (0: the whole history). */
const SPANS = [
  ["5", "5 min", 5 * 60_000],
  ["15", "15 min", 15 * 60_000],
  ["all", "All", 0],
];
/** A history up to this long is shown whole unless the reader chooses. */
const WHOLE_MS = 15 * 60_000;
/** No chart shows less time than this. */
const LEAST_SPAN_MS = 30_000;
/** A sample waits so long for a detail that is newer. */
const DETAIL_LATE_MS = 3_000;
/** "All" shows this much of the quiet time after the last change, and a twentieth of the whole. */
const TAIL_MS = 10_000;

export class StorePage {
  /** `actions` are `notify`, `announce`, `alarm` (texts to the reader) and `orderLink(storeId, orderId)`. */
  constructor(id, actions) {
    Object.assign(this, { id, actions });
    this.series = new Series();
    /** `at`: when the newest sample was taken, `seenAt`: the moment that the numbers show; Unix ms. */
    this.store = { name: "", metrics: null, at: null, seenAt: null, detail: null };
    /** The newest sample, and since when it waits for a detail. */
    this.newest = null;
    this.waitsSince = null;
    this.span = null;
    this.said = {};
    const orderLink = (order) => actions.orderLink(id, order);
    const link = (kind, record) => actions.recordLink(id, kind, record);
    this.browse = new Browse(id, { link, notify: actions.notify });
    const browse = (wanted) => this.browse.lead(wanted);
    this.head = new WindowHead(id, actions);
    this.stock = new StockCard();
    this.tiles = new Tiles();
    this.flow = new Flow();
    this.charts = charts.map((one) => new Chart(one));
    this.alerts = new Alerts({ link, browse });
    this.refusals = new Refusals();
    this.dead = new Dead({ notify: actions.notify, orderLink, browse });
    this.lanes = new Lanes({ browse });
    this.waits = new Waits({ orderLink, browse });
    this.workers = new Workers({ orderLink, browse });
    this.skus = new Skus({ link, browse });
    this.counts = new Counts();
    this.#build();
  }

  #build() {
    this.alarm = h("p", { class: "alarm", hidden: true });
    this.hint = h("section", { class: "card hint", hidden: true });
    this.spans = SPANS.map(([name, label]) =>
      h("button", {
        type: "button",
        class: "segment",
        "aria-pressed": "false",
        text: label,
        data: { span: name },
        onclick: () => this.#choose(name),
      }),
    );
    this.element = h(
      "div",
      { class: "page" },
      this.head.element,
      this.alarm,
      this.hint,
      h(
        "section",
        { class: "now", "aria-label": "Now" },
        h("h2", { class: "visually-hidden", text: "Now" }),
        this.stock.element,
        this.tiles.element,
      ),
      this.flow.element,
      h(
        "section",
        { class: "block", "aria-labelledby": "time-title" },
        h(
          "div",
          { class: "block-head" },
          h("h2", { id: "time-title", text: "Over time" }),
          h("div", { class: "segments", role: "group", "aria-label": "Time shown" }, this.spans),
        ),
        h(
          "div",
          { class: "grid" },
          this.charts.map(({ element }) => element),
        ),
      ),
      h(
        "section",
        { class: "block", "aria-labelledby": "detail-title" },
        h("div", { class: "block-head" }, h("h2", { id: "detail-title", text: "In detail" })),
        h(
          "div",
          { class: "grid" },
          h(
            "div",
            { class: "column" },
            [this.alerts, this.lanes, this.refusals, this.workers].map(({ element }) => element),
          ),
          h(
            "div",
            { class: "column" },
            [this.waits, this.dead, this.skus].map(({ element }) => element),
          ),
        ),
        this.browse.element,
        this.counts.element,
      ),
    );
  }

  /** Frees what the browser keeps for it. */
  destroy() {
    this.charts.forEach((chart) => chart.destroy());
  }

  /** Something about this store came over the line. It is shown by the next `update`. */
  heard(event, data) {
    if (event === "history") this.series.load(data.lines, data.is_thinned);
    if (event === "sample") this.#takeSample(data);
    if (event === "detail") this.#takeDetail(data);
    if (event === "stores") this.#takeSummary(data.stores.find(({ id }) => id === this.id));
  }

  /** All numbers are of one moment, that of the detail: a sample is shown with the next one. */
  #takeSample({ at, metrics, lines }) {
    if (lines) this.series.push(lines);
    this.newest = { at, metrics };
    this.store.at = Math.max(at, this.store.at ?? 0);
    if (!(at <= this.store.seenAt)) this.waitsSince ??= performance.now();
  }

  #takeDetail(detail) {
    const { name, settings, metrics, now } = detail;
    const at = detail.at === null ? null : Math.max(detail.at, this.store.at ?? 0);
    this.waitsSince = this.newest?.at > now ? performance.now() : null;
    Object.assign(this.store, { name, detail, window: settings, paused: settings.paused, metrics, at, seenAt: now });
  }

  #takeSummary(summary) {
    if (!summary) return;
    const { name, opens, closes, paused } = summary;
    Object.assign(this.store, { name, window: { opens, closes }, paused });
    if (summary.metrics && !this.store.metrics) this.#takeSample(summary);
  }

  /** Where no detail comes (a user may not read all of it), the numbers are those of the last sample. */
  #showLate(state) {
    if (this.waitsSince === null || performance.now() - this.waitsSince < DETAIL_LATE_MS) return;
    this.waitsSince = null;
    Object.assign(this.store, { metrics: this.newest.metrics, seenAt: this.newest.at });
    this.update(state);
  }

  /** Shows everything. */
  update(state) {
    const { metrics, detail } = this.store;
    this.tick(state);
    this.browse.allow(state.writes);
    this.head.allow(state.writes);
    if (!metrics) return;
    const opens = this.store.window?.opens ?? 0;
    const soldOut = soldOutSentence(metrics, this.series.soldOutAt(opens), opens);
    this.stock.update(metrics, soldOut);
    this.alerts.update(detail?.alerts ?? null, state.now);
    this.refusals.update(metrics);
    this.dead.update(this.id, metrics, detail?.dead ?? null, state.writes);
    this.workers.update(metrics, Math.max(0, state.now - (this.store.seenAt ?? state.now)), detail?.workers ?? null);
    this.workers.tick(state.now);
    this.waits.update(metrics, detail?.waits ?? null);
    this.waits.tick(state.now);
    this.flow.update(metrics, this.store.seenAt, detail);
    this.flow.tick(state.now);
    this.skus.update(detail?.skus ?? null);
    this.counts.update(metrics);
    this.#hint(metrics, detail);
    this.#alarm(metrics);
    this.draw(state);
    this.#announce(metrics, soldOut);
  }

  /** What changes with time alone: the countdown and the leases. */
  tick(state) {
    const { now, isFresh } = state;
    this.#showLate(state);
    const { metrics, name, window, paused } = this.store;
    if (!window) return;
    const kind = this.head.update({ name, window, paused, isSoldOut: isSoldOut(metrics) }, now);
    if (isFresh) {
      this.workers.tick(now);
      this.waits.tick(now);
      this.flow.tick(now);
    }
    this.#say("window", kind, { open: "The sale is open.", closed: "The sale has closed." }[kind]);
  }

  /**
   * What goes on though no sample comes: ages grow, rates fall to 0, and the charts go up to now; of a line that is
   * lost, up to the last sample.
   */
  draw({ now, isFresh }) {
    this.lanes.update(this.store.detail, isFresh ? now : (this.store.detail?.now ?? now));
    this.tiles.update(this.store.metrics, { completed: isFresh ? this.series.rate("completed", now) : NaN });
    const [from, to] = this.#shownTime(now, isFresh);
    const { metrics, seenAt: at } = this.store;
    const frame = this.series.frame(from, isFresh ? Math.min(now, to) : null, metrics && at ? { at, metrics } : null);
    const empty = this.series.length === 0 ? texts.NOTHING_MEASURED : null;
    for (const chart of this.charts) chart.draw(frame, from, to, empty);
  }

  #shownTime(now, isFresh) {
    const { at } = this.series;
    if (at.length === 0) return [now - LEAST_SPAN_MS, now];
    const [first, last] = [at[0], at.at(-1)];
    const span = this.span ?? (last - first <= WHOLE_MS || now - last > WHOLE_MS ? "all" : "15");
    for (const button of this.spans) setAttribute(button, "aria-pressed", String(button.dataset.span === span));
    const end = isFresh ? now : last;
    if (span === "all") {
      const to = Math.max(Math.min(end, last + TAIL_MS + (last - first) / 20), first + LEAST_SPAN_MS);
      return [first, to];
    }
    const [, , length] = SPANS.find(([name]) => name === span);
    return [Math.min(Math.max(end - length, first), end - LEAST_SPAN_MS), end];
  }

  #choose(span) {
    this.span = span;
    this.actions.redraw();
    if (span !== "all" && this.series.isThinned) this.actions.wholeHistory(this.id);
  }

  /** Draws the charts again in the colours of the theme. */
  restyle() {
    this.charts.forEach((chart) => chart.restyle());
  }

  #hint(metrics, detail) {
    const isOff = detail?.settings.metrics === 0;
    const isUnsold = metrics.placed === 0 && metrics.sold === 0 && metrics.holds === 0;
    show(this.hint, isOff || isUnsold);
    if (!isOff && !isUnsold) return;
    const kind = isOff ? "off" : metrics.skus > 0 ? "unsold" : "bare";
    const shown = `${kind} ${detail?.skus.shown[0]?.name}`;
    if (this.hintShown === shown) return;
    this.hintShown = shown;
    const [title, text, command] = hints[kind];
    const sku = detail?.skus.shown[0]?.name ?? "mug";
    const code = command.replace("{store}", () => word(this.store.name)).replace("{sku}", () => word(sku));
    this.hint.replaceChildren(h("h2", { text: title }), h("p", {}, `${text} `, h("code", { text: code })));
  }

  #alarm(metrics) {
    show(this.alarm, metrics.oversold > 0);
    if (metrics.oversold > 0) {
      setText(
        this.alarm,
        `Oversold by ${count(metrics.oversold)}: more units are promised to carts and orders than are on hand. ` +
          texts.OVERSOLD_WHY,
      );
    }
    this.#say(
      "oversold",
      metrics.oversold > 0,
      metrics.oversold > 0 ? `Alarm: oversold by ${count(metrics.oversold)}.` : null,
      true,
    );
  }

  #announce(metrics, soldOut) {
    this.#say("soldOut", soldOut !== null, soldOut === null ? null : "Sold out.");
    const dead = metrics["dead-letters"] > 0;
    this.#say("dead", dead, dead ? "There are dead letters." : null);
  }

  /** Tells a reader who does not see the page that something has changed; not what it was like at first. */
  #say(topic, value, text, isAlarm = false) {
    const before = this.said[topic];
    this.said[topic] = value;
    if (before === value || !text || (before === undefined && !isAlarm)) return;
    if (isAlarm) this.actions.alarm(text);
    else this.actions.announce(text);
  }
}
