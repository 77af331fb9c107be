// Dialogs: a question before something is changed, and the explanation of the page.

import { h, icon } from "./dom.js";
import { GROUPS, REFUSALS } from "./words.js";

/** Asks before something is changed. Resolves to whether the reader agrees. */
export function confirm({ title, text, action }) {
  const titleId = "confirm-title";
  const cancel = h("button", { class: "plain-button", type: "submit", value: "cancel", text: "Cancel" });
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
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "agree");
    });
    document.body.append(dialog);
    dialog.showModal();
    agree.focus();
  });
}

/** The way of a unit and of an order through a store. */
const WAYS = [
  ["available", "Available", "on the shelf"],
  ["placed", "Cart", "set aside until a deadline; expires, or is ordered"],
  ["queued", "Queued", "ordered, waits for a worker"],
  ["work", "In work", "a worker has it, under a lease"],
  ["completed", "Completed", "the units left the building"],
];
const SIDE_WAYS = [
  ["retry", "Retrying", "an attempt failed, or a worker died: back to the queue after a short wait"],
  ["refused", "Dead", "out of attempts: the units go back on sale, the order waits for you to redrive it"],
];

const NOTES = [
  [
    "Live, quiet, lost",
    "The dot at the top says how old the numbers are. “Live”: the store changes, a sample comes every " +
      "second. “Quiet”: nothing has changed since, which is no error. “Lost”: this page hears nothing, and " +
      "greys out; it tries again by itself.",
  ],
  [
    "Oversold",
    "Units promised to carts and orders beyond what is on hand. Orders cannot cause it: it is 0 unless somebody " +
      "counts stock down below what is already set aside.",
  ],
  [
    "Overflow",
    "Orders asked for (placed, and those refused because units ran out) less those completed: during a sale " +
      "the demand still to be served, after it the demand that found nothing.",
  ],
  ["Latency", "From placed to completed. p50: half of the orders took no longer; p99: 99 of 100 took no longer."],
  ["Rates", "Events a second, from one sample to the next; zero while the store is quiet."],
];

let help = null;

/** Opens the explanation of the page. */
export function openHelp() {
  help ??= document.body.appendChild(makeHelp());
  help.showModal();
}

function makeHelp() {
  const close = h(
    "button",
    { class: "quiet-button icon-button", type: "button", "aria-label": "Close" },
    icon("close"),
  );
  const dialog = h(
    "dialog",
    { class: "drawer help", "aria-labelledby": "help-title" },
    h("div", { class: "drawer-head" }, h("h2", { id: "help-title", text: "What am I looking at?" }), close),
    h(
      "div",
      { class: "drawer-body", tabindex: "0", role: "region", "aria-label": "Explanation" },
      h("p", { text: "A store sells units. Every customer who wants some goes this way, and every step is counted:" }),
      h("ol", { class: "way" }, WAYS.map(way)),
      h("p", { class: "why", text: "And when work does not go as it should:" }),
      h("ul", { class: "way" }, SIDE_WAYS.map(way)),
      NOTES.map(([title, text]) => [h("h3", { text: title }), h("p", { text })]),
      h("h3", { text: "Every number" }),
      GROUPS.map(([title, fields]) => [h("h4", { text: title }), terms(fields.map(([, label, why]) => [label, why]))]),
      h("h4", { text: "Refusals" }),
      terms(REFUSALS.map(({ code, says, why }) => [code, `${says}: ${why}`])),
      h("h3", { text: "Keys" }),
      terms([
        ["/", "find an order"],
        ["?", "this explanation"],
        ["Esc", "close what is open"],
      ]),
    ),
  );
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return dialog;
}

function way([tone, name, text]) {
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
