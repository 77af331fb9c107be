// Workers and the orders they have, with the time left on each lease.

import { h, keyed, lead, scrollBox, setAttribute, setBar, setText, show } from "./dom.js";
import { age, count, duration, plural } from "./format.js";
import { panels, texts } from "./words.js";

/** Orders shown of a worker; the rest is counted. */
const SHOWN_ORDERS = 4;
/** Under this part of its lease an order is marked. */
const SHORT_PART = 0.25;

export class Workers {
  constructor({ orderLink, browse }) {
    const [title, meaning] = panels.workers;
    this.orderLink = orderLink;
    this.total = h("span", { class: "card-number", data: { field: "workers" } });
    this.waiting = h("p", { class: "why" });
    this.body = h("tbody", {});
    this.none = h("p", { class: "empty" });
    const all = lead("Show all orders in work", () => browse({ kind: "orders", state: "claimed" }));
    this.more = h("p", { class: "why rest", hidden: true }, "More orders are in work than are listed here. ", all);
    this.idleList = h("ul", { class: "idle-list" });
    this.idle = h(
      "section",
      { class: "idle", hidden: true },
      h("h4", { text: "Idle" }),
      h("p", { class: "why", text: texts.IDLE_WHY }),
      scrollBox("Idle workers", this.idleList),
    );
    this.table = h(
      "table",
      { class: "rows workers" },
      h("caption", {
        class: "visually-hidden",
        text: "Workers, the orders they have, and the time left on each lease",
      }),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col", text: "Worker" }),
          h("th", { scope: "col", class: "number", text: "Has" }),
          h("th", { scope: "col", text: "Orders and time left on the lease" }),
        ),
      ),
      this.body,
    );
    this.box = scrollBox("List of workers", this.table);
    this.element = h(
      "section",
      { class: "card panel", "aria-labelledby": "workers-title" },
      h("div", { class: "card-head" }, h("h3", { id: "workers-title", text: title }), this.total),
      h("p", { class: "why", text: meaning }),
      this.none,
      this.box,
      this.more,
      this.waiting,
      this.idle,
    );
  }

  /** Shows a sample, of `elapsedMs` ago, and, when it has come, the detail. */
  update(metrics, elapsedMs, workers) {
    const list = metrics["in-work"] > 0 ? (workers?.shown ?? []) : [];
    setText(this.total, metrics.workers > 0 ? count(metrics.workers) : "");
    show(this.none, list.length === 0);
    show(this.table, list.length > 0);
    setText(this.none, metrics.claimed > 0 ? texts.NO_CLAIM : texts.NO_CLAIM_YET);
    const oldestMs = metrics["oldest-waiting-ms"];
    const oldest = oldestMs > 0 ? `, the next since ${age(oldestMs + elapsedMs)}` : "";
    setText(
      this.waiting,
      metrics.queued > 0 ? `${plural(metrics.queued, "order")} waiting for a worker${oldest}.` : "",
    );
    const sorted = [...list].sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
    keyed(
      this.body,
      sorted,
      ({ name }) => name,
      (worker) => this.#makeWorker(worker),
      (row, worker) => this.#fill(row, worker),
    );
    show(this.more, workers?.truncated === true);
    this.#showIdle(workers?.idle ?? []);
  }

  #showIdle(idle) {
    show(this.idle, idle.length > 0);
    keyed(
      this.idleList,
      idle,
      ({ name }) => name,
      ({ name }) => {
        const since = h("span", { class: "why" });
        const row = h("li", { class: "idle-row" }, h("span", { class: "id", text: name, title: name }), since);
        return Object.assign(row, { parts: { since } });
      },
      (row, worker) => {
        row.parts.at = worker.since;
      },
    );
  }

  #fill(row, worker) {
    const { holds, leases, more } = row.parts;
    setText(holds, count(worker.orders.length));
    const most = row.isWhole ? Infinity : SHOWN_ORDERS;
    const orders = [...worker.orders].sort((a, b) => a.deadline - b.deadline).slice(0, most);
    keyed(
      leases,
      orders,
      ({ id, attempt, "claimed-at": at }) => `${id} ${attempt} ${at}`,
      (order) => this.#makeOrder(order),
      (item, order) => {
        item.parts.order = order;
      },
    );
    const left = worker.orders.length - orders.length;
    row.worker = worker;
    setText(more, `+ ${count(left)} more`);
    show(more, left > 0);
  }

  #makeOrder(order) {
    const bar = h("span", { class: "bar-fill" });
    const left = h("span", { class: "lease-left" });
    const again =
      order.attempt > 1
        ? h("span", { class: "tag", text: `try ${order.attempt}`, title: `attempt ${order.attempt}` })
        : null;
    const item = h(
      "li",
      { class: "lease" },
      h(
        "div",
        { class: "lease-text" },
        h("a", { class: "id", href: this.orderLink(order.id), text: order.name, title: order.name }),
        again,
        left,
      ),
      h("span", { class: "bar-track", "aria-hidden": "true" }, bar),
    );
    return Object.assign(item, { parts: { bar, left, order } });
  }

  /** Counts the leases down, to `now` (Unix ms, the server's clock). */
  tick(now) {
    for (const { parts } of this.idleList.children) {
      setText(parts.since, `no order for ${age(Math.max(0, now - parts.at))}`);
    }
    for (const item of this.body.querySelectorAll(".lease")) {
      const {
        bar,
        left,
        order: { "claimed-at": begun, deadline },
      } = item.parts;
      const leftMs = deadline - now;
      // An order with a long history has forgotten when it was claimed.
      const part = begun > 0 && deadline > begun ? leftMs / (deadline - begun) : 1;
      setBar(bar, part);
      setAttribute(item, "data-tone", part < SHORT_PART ? "retry" : "work");
      setText(left, leftMs > 0 ? duration(Math.max(100, Math.round(leftMs / 100) * 100)) : "ended");
    }
  }

  #makeWorker({ name }) {
    const holds = h("td", { class: "number" });
    const leases = h("ul", { class: "leases" });
    const head = h("th", { scope: "row", class: "id", text: name, title: name });
    const more = lead("", () => {
      row.isWhole = true;
      this.#fill(row, row.worker);
    });
    const row = h("tr", {}, head, holds, h("td", {}, leases, more));
    return Object.assign(row, { parts: { holds, leases, more } });
  }
}
