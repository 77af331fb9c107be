// Dialogs: a question before something is changed, and the explanation of the page.

import { h } from "./dom.js";
import { Drawer } from "./drawer.js";
import { groups, notes, sideWays, way } from "./words.js";

/** Asks before something is changed. Resolves to whether the reader agrees. */
export function confirm({ title, text, action, keep = "Cancel" }) {
  const titleId = "confirm-title";
  const cancel = h("button", { class: "plain-button", type: "submit", value: "cancel", text: keep });
  const agree = h("button", { class: "main-button", type: "submit", value: "agree", text: action });
  const dialog = h(
    "dialog",
    { class: "confirm", "aria-labelledby": titleId },
    h(
      "form",
      { method: "dialog" },
      h("h2", { id: titleId, text: title }),
      h("p", { text }),
      h("div", { class: "buttons" }, cancel, agree),
    ),
  );
  // Who leaves what he was asked about has not agreed.
  const leave = () => dialog.close("cancel");
  return new Promise((resolve) => {
    window.addEventListener("hashchange", leave);
    dialog.addEventListener("close", () => {
      window.removeEventListener("hashchange", leave);
      dialog.remove();
      resolve(dialog.returnValue === "agree");
    });
    document.body.append(dialog);
    dialog.showModal();
    agree.focus();
  });
}

let help = null;

/** Opens the explanation of the page. */
export function openHelp() {
  help ??= makeHelp();
  help.element.showModal();
}

function makeHelp() {
  const title = h("h2", { id: "help-title", text: "What am I looking at?" });
  return new Drawer(
    { look: "help", title, about: "Explanation", close: "Close" },
    h("p", { text: "A store sells units. Every customer who wants some goes this way, and every step is counted:" }),
    h("ol", { class: "way" }, way.map(step)),
    h("p", { class: "why", text: "And when work does not go as it should:" }),
    h("ul", { class: "way" }, sideWays.map(step)),
    notes.map(([title, text]) => [h("h3", { text: title }), h("p", { text })]),
    h("h3", { text: "Every number" }),
    groups.map(({ label, metrics }) => [
      h("h4", { text: label }),
      terms(metrics.map((metric) => [metric.label, metric.meaning])),
    ]),
    h("h3", { text: "Keys" }),
    terms([
      ["/", "find by id"],
      ["?", "this explanation"],
      ["Esc", "close what is open"],
    ]),
  );
}

function step([tone, name, text]) {
  return h(
    "li",
    { data: { tone } },
    h("span", { class: "swatch", "aria-hidden": "true" }),
    h("b", { text: name }),
    h("span", { class: "why", text }),
  );
}

function terms(pairs) {
  return h(
    "dl",
    { class: "terms" },
    pairs.map(([term, text]) => h("div", {}, h("dt", { text: term }), h("dd", { text }))),
  );
}
