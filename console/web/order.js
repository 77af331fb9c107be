// One order: what it is, and everything that happened to it, in a drawer next to the dashboard.

import { get, shownId } from "./api.js";
import { named, orderButtons } from "./browse.js";
import { h, setAttribute, setText } from "./dom.js";
import { Drawer } from "./drawer.js";
import { clock, count, countdown, duration, exactClock, moment, plural } from "./format.js";
import { facts, states, texts } from "./words.js";

/** An open order is asked for again after samples, this often at most; and now and then without: a step is in none. */
const REFRESH_MS = 1_000;
const STEP_REFRESH_MS = 2_000;
const UNKNOWN = { unknown: texts.UNKNOWN_ORDER, why: texts.UNKNOWN_ORDER_WHY, unreadable: texts.UNREADABLE_ORDER };
const ENDED = new Set(["completed", "cancelled"]);
/** What comes next, by the state, and when. */
const NEXT = {
  waitlisted: "it stops waiting at",
  pending: "a gate expires at",
  claimed: "its lease ends at",
  retrying: "the next attempt is due at",
};

export class OrderDrawer extends Drawer {
  /**
   * `closed()` is called when the reader closes it, `notify(text)` says what came back; `link(kind, id)` is the address
   * of a record.
   */
  constructor({ closed, notify, now, link }) {
    const title = h("h2", { id: "order-title", class: "id" });
    const state = h("span", { class: "chip" });
    const label = h("p", { class: "label", text: "Order" });
    const head = h("div", {}, label, h("div", { class: "drawer-title" }, title, state));
    super({ title, head, about: "Order", close: "Close the order", closed });
    Object.assign(this, { title, state, notify, now, link });
  }

  /** Opens it with an order of a store. */
  open(storeId, orderId) {
    if (!this.lookUp(`${storeId}/${orderId}`)) return;
    Object.assign(this, { storeId, orderId, shown: null, order: null });
    setText(this.title, shownId(orderId));
    this.#setState(null);
    this.#load();
  }

  /** Something changed in the store: looks again, unless the order has ended or an answer is on the way. */
  changed(writes) {
    if (writes !== this.writes) {
      // Whether it can be redriven is part of what is shown, and may be known only after the order.
      Object.assign(this, { writes, shown: null });
      if (this.element.open && this.order) this.#show(this.order);
    }
    this.#refresh(REFRESH_MS);
  }

  /** Brings the ages up to date, and looks again now and then; not while the line is down. */
  tick(isFresh) {
    if (!this.element.open || !this.order) return;
    setText(this.lastAge, `${duration(this.now() - this.lastAt)} ago`);
    if (isFresh && !document.hidden) this.#refresh(STEP_REFRESH_MS);
  }

  #refresh(intervalMs) {
    if (!this.element.open || this.isLoading || (this.order && ENDED.has(this.order.state))) return;
    if (performance.now() - this.loadedAt > intervalMs) this.#load();
  }

  async #load() {
    const { key, storeId, orderId } = this;
    this.isLoading = true;
    try {
      const order = await get(`stores/${storeId}/orders/${orderId}`);
      if (key === this.key) this.#show(order);
    } catch (error) {
      if (key === this.key && this.order === null) this.showError(error, UNKNOWN, () => this.#load());
    } finally {
      this.isLoading = false;
      this.loadedAt = performance.now();
    }
  }

  #setState(state) {
    const about = states[state];
    this.state.hidden = !about;
    setText(this.state, about?.label ?? "");
    setAttribute(this.state, "data-tone", about?.tone);
    setAttribute(this.state, "title", about?.meaning);
  }

  #show(order) {
    this.order = order;
    const text = JSON.stringify(order);
    if (text === this.shown) return;
    this.shown = text;
    this.#setState(order.state);
    this.body.replaceChildren(
      h("p", { class: "lead", text: this.#sentence(order) }),
      ...[
        this.#buttons(order),
        factList(order, this.now(), this.link),
        items(order, this.link),
        gates(order, this.now()),
        this.#timeline(order),
        writings(order),
      ].filter(Boolean),
    );
  }

  #sentence(order) {
    const units = order.items.reduce((sum, [, units]) => sum + units, 0);
    const who = order.customer ? ` for ${order.customer}` : "";
    const took = order["ended-at"] ? `, ${order.state} after ${duration(order["ended-at"] - order["placed-at"])}` : "";
    return `${plural(units, "unit")}${who}${took || `: ${states[order.state]?.meaning ?? order.state}`}.`;
  }

  #buttons(order) {
    if (!this.writes) return null;
    const gate = (one, at) => ({ ...one, name: one.gate, id: order.links.gates[at] });
    const gates = (order.gates ?? []).map(gate).filter(({ passed }) => !passed);
    const of = { id: order.id, name: shownId(order.id), state: order.state, gates };
    return orderButtons(this.storeId, of, this.notify, () => this.#load());
  }

  #timeline(order) {
    const list = h("ol", { class: "timeline" });
    let before = null;
    for (const event of order.history) {
      const gap = before === null ? "" : `+ ${duration(event.at - before)}`;
      list.append(
        h(
          "li",
          { data: { tone: event.tone, event: event.event } },
          h("span", { class: "timeline-dot", "aria-hidden": "true" }),
          h(
            "div",
            { class: "timeline-head" },
            h("b", { text: event.title }),
            h("span", { class: "timeline-gap", text: gap }),
          ),
          h(
            "div",
            { class: "timeline-text" },
            h("span", { class: "why", text: event.text }),
            h("time", { datetime: new Date(event.at).toISOString(), text: exactClock(event.at) }),
          ),
        ),
      );
      before = event.at;
    }
    this.lastAt = before;
    this.lastAge = h("span", {});
    const { state, due } = order;
    const next = due && NEXT[state] ? `${NEXT[state]} ${exactClock(due)}` : "";
    const tail = h("p", { class: "why" }, "Last event ", this.lastAge, next ? `; ${next}` : "", ".");
    setText(this.lastAge, `${duration(this.now() - this.lastAt)} ago`);
    return h("section", {}, h("h3", { text: "What happened" }), list, tail);
  }
}

/** How a fact is written; an empty text is not shown. */
const FACTS = {
  text: (value) => value,
  time: (value, now) => moment(value, now),
  count: (value) => (value > 0 ? count(value) : ""),
  late: (value) => (value > 0 ? texts.IS_LATE : ""),
};

function factList(order, now, link) {
  const linked = (name, text) => {
    const isLinked = text && ["customer", "hold"].includes(name);
    return isLinked ? named(name, { id: order.links[name], name: text }, link) : text;
  };
  const value = (name, kind) => linked(name, FACTS[kind](order[name], now));
  const rows = facts.map(([name, label, kind]) => [label, value(name, kind)]).filter(([, text]) => text);
  return h(
    "dl",
    { class: "facts" },
    rows.map(([term, value]) => h("div", {}, h("dt", { text: term }), h("dd", {}, value))),
  );
}

/** What was ordered; of an order that waits for units, how many of them it has. */
function items(order, link) {
  const waits = order.state === "waitlisted";
  const number = (text) => h("td", { class: "number", text });
  const rows = order.items.map(([sku, units, missing], at) =>
    h(
      "tr",
      {},
      h("th", { scope: "row", class: "id" }, named("sku", { id: order.links.items[at], name: sku }, link)),
      number(count(units)),
      waits ? [number(count(units - missing)), number(count(missing))] : null,
    ),
  );
  const head = (text) => h("th", { scope: "col", class: "number", text });
  return h(
    "table",
    { class: "rows" },
    h("caption", { class: "visually-hidden", text: "What was ordered" }),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "col", text: "Item" }),
        head("Units"),
        waits ? [head("Has"), head("Waits for")] : null,
      ),
    ),
    h("tbody", {}, rows),
  );
}

/** What it has to pass before workers get it, or had to. */
function gates(order, now) {
  if (!order.gates?.length) return null;
  const row = ({ gate, deadline, passed }) => {
    const until = deadline ? `, expires at ${clock(deadline)} (in ${countdown(deadline - now)})` : "";
    const text = passed ? texts.GATE_PASSED : `${texts.GATE_OPEN}${until}`;
    return h(
      "li",
      { class: "gate", data: { tone: passed ? "completed" : "placed" } },
      h("span", { class: "swatch", "aria-hidden": "true" }),
      h("span", { class: "id", text: gate, title: gate }),
      h("span", { class: "why", text }),
    );
  };
  return h("section", {}, h("h3", { text: "Gates" }), h("ul", { class: "gates" }, order.gates.map(row)));
}

/** What the shop and the worker wrote on it. */
function writings(order) {
  const some = [
    ["Data from the shop", order.data],
    ["Result from the worker", order.result],
  ].filter(([, text]) => text);
  if (some.length === 0) return null;
  return h(
    "section",
    {},
    some.map(([title, text]) => [h("h3", { text: title }), h("pre", { text: pretty(text) })]),
  );
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return String(text);
  }
}
