// Every number of the store, with its meaning; folded away until somebody asks.

import { h, setText } from "./dom.js";
import { count, duration } from "./format.js";
import { groups, panels } from "./words.js";

export class Counts {
  constructor() {
    this.values = new Map();
    const [title, meaning] = panels.numbers;
    this.element = h(
      "details",
      { class: "card counts" },
      h(
        "summary",
        {},
        h("h3", { text: title }),
        h("span", { class: "why", text: meaning }),
      ),
      h(
        "div",
        { class: "count-groups" },
        groups.map((group) => this.#group(group)),
      ),
    );
    this.element.addEventListener("toggle", () => this.metrics && this.update(this.metrics));
  }

  #group({ label, metrics }) {
    return h(
      "section",
      {},
      h("h4", { text: label }),
      h(
        "dl",
        {},
        metrics.map(({ name, label, meaning }) => {
          const value = h("dd", { class: "count-value", data: { metric: name } });
          this.values.set(name, value);
          return h(
            "div",
            { class: "count-row" },
            h("dt", { text: label }),
            value,
            h("dd", { class: "why", text: meaning }),
          );
        }),
      ),
    );
  }

  /** Shows a sample. */
  update(metrics) {
    this.metrics = metrics;
    if (!this.element.open) return;
    for (const [name, element] of this.values) {
      const value = metrics[name] ?? 0;
      setText(element, name.endsWith("-ms") ? duration(value) : count(value));
    }
  }
}
