// Long lists: only what is in sight, and a little around it, is in the page. All items are equally high.

import { setStyle } from "./dom.js";

/** On paper there is no scrolling: so many items are there. */
const PRINTED_MAX = 1_000;
/** So much beyond the edges of the window counts as in sight: it is there before one scrolls to it, or tabs to it. */
const MARGIN_PX = 240;

export class Sight {
  /**
   * `element` holds the list. `sizes(width)` gives how many items are in a row (`columns`), how high a row is with the
   * gap to the next (`pitch`), and how far below the element's edge the first one is (`head`, if any). `changed()` is
   * called when other items are in sight, and when sizes have changed.
   */
  constructor(element, { sizes, changed }) {
    Object.assign(this, { element, sizes, changed, head: 0, count: 0, first: 0, last: 0 }, sizes(0));
    this.frame = null;
    this.paper = window.matchMedia("print");
    this.onPaper = () => this.#look();
    this.paper.addEventListener("change", this.onPaper);
    this.onScroll = () => {
      this.frame ??= requestAnimationFrame(() => this.#look());
    };
    window.addEventListener("scroll", this.onScroll, { passive: true });
    window.addEventListener("resize", this.onScroll, { passive: true });
    this.observer = new ResizeObserver(([{ contentRect }]) => this.#resized(contentRect.width));
    this.observer.observe(element);
  }

  /** Frees what the browser keeps for it. */
  destroy() {
    cancelAnimationFrame(this.frame);
    window.removeEventListener("scroll", this.onScroll);
    window.removeEventListener("resize", this.onScroll);
    this.paper.removeEventListener("change", this.onPaper);
    this.observer.disconnect();
  }

  /** How high what is not in the page is, above and below, in CSS pixels. */
  get spaces() {
    if (this.paper.matches) return [0, 0];
    const rows = (items) => Math.ceil(items / this.columns) * this.pitch;
    return [rows(this.first), rows(this.count) - rows(this.last)];
  }

  /** How many items do not go on paper. */
  get left() {
    return this.paper.matches ? this.count - this.last : 0;
  }

  /** The list has so many items from now on. */
  set(count) {
    if (count === this.count) return;
    this.count = count;
    this.#measure();
  }

  /** Scrolls so that an item is in the window. */
  reveal(index) {
    const top = this.#top() + Math.floor(index / this.columns) * this.pitch;
    const edge = document.querySelector(".topbar").getBoundingClientRect().bottom + this.pitch;
    const under = top + this.pitch - window.innerHeight;
    if (top < edge) window.scrollBy(0, top - edge);
    else if (under > 0) window.scrollBy(0, under);
    this.#look();
  }

  #resized(width) {
    if (width === 0 || width === this.width) return;
    this.width = width;
    Object.assign(this, this.sizes(width));
    this.#look(true);
  }

  #look(isOther = false) {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    const { first, last } = this;
    this.#measure();
    if (isOther || first !== this.first || last !== this.last) this.changed();
  }

  #top() {
    return this.element.getBoundingClientRect().top + this.head;
  }

  #measure() {
    if (this.paper.matches) {
      [this.first, this.last] = [0, Math.min(this.count, PRINTED_MAX)];
      return;
    }
    const above = -this.#top() - MARGIN_PX;
    const row = (pixels) => Math.floor(pixels / this.pitch) * this.columns;
    const within = (items) => Math.min(this.count, Math.max(0, items));
    this.first = within(row(above));
    this.last = within(row(above + window.innerHeight + 2 * MARGIN_PX) + this.columns);
  }
}

/** Leaves room for what is not in the page. */
export function setSpaces(element, [above, below]) {
  setStyle(element, { "padding-top": `${above}px`, "padding-bottom": `${below}px` });
}
