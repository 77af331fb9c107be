// A drawer next to the dashboard: a record, or the explanation of the page.

import { h, icon } from "./dom.js";

export class Drawer {
  /**
   * `title` is its heading, with an id; `head` what stands on top, the title in it. `about` names what can be scrolled,
   * `close` the button, for screen readers. `closed()` is called when the reader closes it.
   */
  constructor({ look = "", title, head = title, about, close, closed = () => {} }, ...content) {
    const button = h(
      "button",
      { class: "quiet-button icon-button", type: "button", "aria-label": close, onclick: () => this.element.close() },
      icon("close"),
    );
    /** What it shows; null: nothing. */
    this.key = null;
    this.body = h("div", { class: "drawer-body", tabindex: "0", role: "region", "aria-label": about }, content);
    this.element = h(
      "dialog",
      { class: `drawer ${look}`, "aria-labelledby": title.id },
      h("div", { class: "drawer-head" }, head, button),
      this.body,
    );
    this.element.addEventListener("click", (event) => event.target === this.element && this.element.close());
    this.element.addEventListener("close", () => {
      // The event comes later than the closing. By then the reader may have gone elsewhere, or it is open again.
      if (this.key === null || this.element.open || location.hash !== this.address) return;
      this.key = null;
      closed();
    });
    document.body.append(this.element);
  }

  /** Opens it for what has this key. Replies whether that is to be looked up: not if it is open with it already. */
  lookUp(key) {
    this.address = location.hash;
    if (this.element.open && this.key === key) return false;
    this.key = key;
    this.#say(h("p", { class: "why", text: "Looking it up…" }));
    if (!this.element.open) this.element.showModal();
    return true;
  }

  /** Closes it without telling anybody: the address has changed already. */
  close() {
    this.key = null;
    if (this.element.open) this.element.close();
  }

  /** Says that what was looked up is unknown, and why that can be; or that it cannot be read: `retry()` tries again. */
  showError(error, { unknown, why, unreadable }, retry) {
    const isUnknown = error.status === 404;
    const [lead, hint] = isUnknown ? [unknown, why] : [unreadable, error.message];
    // The same again leaves the focus where it is.
    if (this.error?.isConnected && this.error.textContent === hint) return;
    const again = h("button", { class: "plain-button", type: "button", text: "Try again", onclick: retry });
    this.error = h("p", { class: "why", text: hint });
    this.#say(h("p", { class: "empty", text: lead }), this.error, isUnknown ? null : h("p", {}, again));
  }

  #say(...parts) {
    this.body.replaceChildren(...parts.filter((part) => part !== null));
  }
}
