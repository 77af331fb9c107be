// Every number of the store, with its meaning; folded away until somebody asks.

import { h, setText } from "./dom.js";
import { count, duration } from "./format.js";
import { GROUPS, REFUSALS } from "./words.js";

export class Counts {
  constructor() {
    this.values = new Map();
    const groups = [...GROUPS, ["Refusals", REFUSALS.map(({ field, code, says }) => [field, code, says])]];
    this.element = h(
      "details",
      { class: "card counts" },
      h(
        "summary",
        {},
        h("h3", { text: "Every number" }),
        h("span", { class: "why", text: "all that is counted and measured, as in STORE.INFO and the metrics stream" }),
      ),
      h(
        "div",
        { class: "count-groups" },
        groups.map(([title, fields]) => this.#group(title, fields)),
      ),
    );
    this.element.addEventListener("toggle", () => this.metrics && this.update(this.metrics));
  }

  #group(title, fields) {
    return h(
      "section",
      {},
      h("h4", { text: title }),
      h(
        "dl",
        {},
        fields.map(([field, label, why]) => {
          const value = h("dd", { class: "count-value", data: { metric: field } });
          this.values.set(field, value);
          return h(
            "div",
            { class: "count-row" },
            h("dt", { text: label }),
            value,
            h("dd", { class: "why", text: why }),
          );
        }),
      ),
    );
  }

  /** Shows a sample. */
  update(metrics) {
    this.metrics = metrics;
    if (!this.element.open) return;
    for (const [field, element] of this.values) {
      const value = metrics[field] ?? 0;
      setText(element, field.endsWith("-ms") ? duration(value) : count(value));
    }
  }
}
