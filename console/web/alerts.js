// Alerts: what somebody should look at, newest first.

import { h, keyed, lead, scrollBox, setText, show } from "./dom.js";
import { count, moment, NONE } from "./format.js";
import { panels, texts } from "./words.js";

export class Alerts {
  /** `link(kind, id)` is the address of a record, `browse(wanted)` leads to all records. */
  constructor({ link, browse }) {
    const [title, meaning] = panels.alerts;
    this.link = link;
    this.list = h("ul", { class: "alert-list" });
    this.box = scrollBox("List of alerts", this.list);
    this.none = h("p", { class: "empty", text: texts.NO_ALERTS });
    this.partText = h("span", {});
    const all = lead("Show all alerts", () => browse({ kind: "alerts" }));
    this.part = h("p", { class: "why rest", hidden: true }, this.partText, all);
    this.element = h(
      "section",
      { class: "card panel", "aria-labelledby": "alerts-title" },
      h("div", { class: "card-head" }, h("h3", { id: "alerts-title", text: title })),
      h("p", { class: "why", text: meaning }),
      this.none,
      this.box,
      this.part,
    );
  }

  /** Shows the detail, when it has come; `now`: Unix ms, the server's clock. */
  update(alerts, now) {
    const list = alerts?.shown ?? [];
    show(this.none, alerts !== null && list.length === 0);
    show(this.box, list.length > 0);
    setText(this.partText, `The newest ${count(list.length)}. `);
    show(this.part, alerts?.truncated ?? false);
    keyed(
      this.list,
      list,
      ({ entry }) => entry,
      (one) => this.#makeRow(one, now),
      () => {},
    );
  }

  #makeRow(alert, now) {
    const { tone, kind } = alert;
    return h("li", { class: "alert-row", data: { tone, kind } }, alertParts(alert, this.link, now));
  }
}

/** What is said of an alert: when, what, of what, and what there is to say of it; an id leads to its record. */
export function alertParts({ at, label, sku, available, order, reason }, link, now) {
  // Somebody may have written an entry of a time that no calendar has.
  const isTime = !Number.isNaN(new Date(at).getTime());
  const [kind, about] = order === null ? ["sku", sku] : ["order", order];
  const units = available === null ? "" : `${count(available)} available`;
  const rest = [units, reason].filter((text) => text !== "").join(" · ");
  return [
    isTime
      ? h("time", { class: "why", datetime: new Date(at).toISOString(), text: moment(at, now) })
      : h("span", { class: "why", text: NONE }),
    h("span", { class: "tag", text: label }),
    about === null
      ? h("span", {})
      : h("a", { class: "id", href: link(kind, about.id), text: about.name, title: about.name }),
    h("span", { class: "why", text: rest }),
  ];
}
