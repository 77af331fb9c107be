// Dead letters: orders that ran out of attempts, by reason, and their way back into the queue.

import { act } from "./api.js";
import { ask } from "./browse.js";
import { h, icon, keyed, lead, setBar, setText, show } from "./dom.js";
import { count, plural } from "./format.js";
import { Trouble } from "./tiles.js";
import { panels, texts } from "./words.js";

export class Dead {
  /** `notify(text)` says how a redrive went; `orderLink(id)` is the address of an order, `browse` leads to all. */
  constructor({ notify, orderLink, browse }) {
    const [title, meaning] = panels.dead;
    Object.assign(this, { notify, orderLink, browse });
    this.trouble = new Trouble();
    this.total = h("span", { class: "card-number", data: { field: "dead-letters" } });
    this.list = h("ul", { class: "bars dead-list" });
    this.none = h("p", { class: "empty", text: texts.NO_DEAD });
    this.partialText = h("span", {});
    const all = lead("Show all dead orders", () => browse({ kind: "orders", state: "dead" }));
    this.partial = h("p", { class: "why rest", hidden: true }, this.partialText, all);
    this.readOnly = h(
      "p",
      { class: "note", hidden: true },
      icon("lock"),
      h(
        "span",
        {},
        "Read-only. To redrive from here, start it as ",
        h("code", { text: "holdfast watch --allow-writes" }),
        "; or in redis-cli: ",
        h("code", { text: "ORDER.REDRIVE" }),
        ".",
      ),
    );
    this.element = h(
      "section",
      { class: "card panel", "aria-labelledby": "dead-title" },
      h("div", { class: "card-head" }, h("h3", { id: "dead-title", text: title }), this.total),
      this.trouble.element,
      h("h4", { text: "Dead letters by reason" }),
      h("p", { class: "why", text: meaning }),
      this.none,
      this.list,
      this.partial,
      this.readOnly,
    );
  }

  /** Shows a sample and, when it has come, the detail. */
  update(storeId, metrics, dead, writes) {
    Object.assign(this, { storeId, writes });
    this.trouble.update(metrics);
    const total = metrics["dead-letters"];
    setText(this.total, total > 0 ? count(total) : "");
    show(this.none, total === 0);
    show(this.readOnly, !writes && total > 0);
    const reasons = total > 0 ? (dead?.reasons ?? []) : [];
    const most = reasons[0]?.count ?? 1;
    keyed(
      this.list,
      reasons,
      ({ id }) => id,
      (one) => this.#makeRow(one),
      (row, one) => this.#fill(row, one, most),
    );
    const isPartial = dead !== null && dead.counted < dead.total;
    setText(
      this.partialText,
      isPartial ? `Counted by reason: the last ${count(dead.counted)} of ${count(dead.total)} that died. ` : "",
    );
    show(this.partial, isPartial);
  }

  #makeRow({ reason }) {
    const bar = h("span", { class: "bar-fill" });
    const value = h("span", { class: "bar-value", data: { reason } });
    const orders = h("ul", { class: "order-list" });
    const all = lead("", () => this.browse({ kind: "orders", state: "dead" }));
    const more = h("p", { class: "why", hidden: true }, all);
    const summary = h("summary", {});
    const row = h("li", { class: "bar-row", data: { tone: "refused" } });
    const button = this.#button("Redrive", `Redrive all that died of: ${reason || texts.NO_REASON}`, (self) =>
      this.#redriveReason(row, reason, self),
    );
    row.append(
      h(
        "div",
        { class: "bar-text" },
        h("span", { class: "bar-name", text: reason || texts.NO_REASON }),
        h("span", { class: "bar-numbers" }, value),
        button,
      ),
      h("span", { class: "bar-track", "aria-hidden": "true" }, bar),
      h("details", { class: "orders" }, summary, orders, more),
    );
    return Object.assign(row, { parts: { bar, value, orders, summary, more, all, button } });
  }

  #fill(row, one, most) {
    const { bar, value, orders, summary, more, all, button } = row.parts;
    row.deadCount = one.count;
    setBar(bar, one.count / most);
    setText(value, count(one.count));
    setText(summary, one.count === 1 ? "the order" : "the orders");
    show(button, this.writes);
    keyed(
      orders,
      one.orders,
      ({ id }) => id,
      (order) => this.#makeOrder(order),
      (item) => show(item.parts.button, this.writes),
    );
    const left = one.count - one.orders.length;
    setText(all, `and ${count(left)} more: show all dead orders`);
    show(more, left > 0);
  }

  #makeOrder({ id, name }) {
    const button = this.#button("Redrive", `Redrive order ${name}`, (self) => this.#redriveOrder(id, name, self));
    const item = h("li", {}, h("a", { class: "id", href: this.orderLink(id), text: name }), button);
    return Object.assign(item, { parts: { button } });
  }

  #button(text, label, act) {
    const button = h(
      "button",
      { class: "small-button", type: "button", "aria-label": label, onclick: () => act(button) },
      icon("redrive"),
      text,
    );
    return button;
  }

  #redriveReason(row, reason, button) {
    const expected = row.deadCount;
    const question = {
      title: `Redrive ${plural(expected, "order")}?`,
      text: `All orders that died of “${reason || texts.NO_REASON}” ${texts.REDRIVES_REASON}`,
      action: "Redrive",
    };
    this.#redrive({ reason }, button, question, expected);
  }

  #redriveOrder(id, name, button) {
    const question = { title: `Redrive order ${name}?`, text: texts.REDRIVES_ORDER, action: "Redrive" };
    this.#redrive({ order: id }, button, question, 1);
  }

  #redrive(body, button, question, expected) {
    const said = ({ redriven }) => {
      const left = Math.max(0, expected - redriven);
      const rest = left > 0 ? ` ${plural(left, "order")} ${texts.STAYED_DEAD}` : "";
      this.notify(`${plural(redriven, "order")} queued again.${rest}`);
    };
    ask(button, question, () => act(this.storeId, "redrive", body), said, this.notify);
  }
}
