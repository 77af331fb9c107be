// Alerts: what somebody should look at, newest first.

import { h, keyed, scrollBox, show } from "./dom.js";
import { count, moment } from "./format.js";
import { panels, texts } from "./words.js";

export class Alerts {
  /** `orderLink(id)` is the address of an order. */
  constructor({ orderLink }) {
    const [title, meaning] = panels.alerts;
    this.orderLink = orderLink;
    this.list = h("ul", { class: "alert-list" });
    this.box = scrollBox("List of alerts", this.list);
    this.none = h("p", { class: "empty", text: texts.NO_ALERTS });
    this.element = h(
      "section",
      { class: "card panel", "aria-labelledby": "alerts-title" },
      h("div", { class: "card-head" }, h("h3", { id: "alerts-title", text: title })),
      h("p", { class: "why", text: meaning }),
      this.none,
      this.box,
    );
  }

  /** Shows the detail, when it has come; `now`: Unix ms, the server's clock. */
  update(alerts, now) {
    const list = alerts ?? [];
    show(this.none, alerts !== null && list.length === 0);
    show(this.box, list.length > 0);
    keyed(
      this.list,
      list,
      ({ entry }) => entry,
      (one) => this.#makeRow(one, now),
      () => {},
    );
  }

  #makeRow({ at, kind, label, tone, sku, available, order, reason }, now) {
    const name =
      order === null
        ? h("span", { class: "id", text: sku, title: sku })
        : h("a", { class: "id", href: this.orderLink(order.id), text: order.name, title: order.name });
    const units = available === null ? "" : `${count(available)} available`;
    const rest = [units, reason].filter((text) => text !== "").join(" · ");
    return h(
      "li",
      { class: "alert-row", data: { tone, kind } },
      h("time", { class: "why", datetime: new Date(at).toISOString(), text: moment(at, now) }),
      h("span", { class: "tag", text: label }),
      name,
      h("span", { class: "why", text: rest }),
    );
  }
}
