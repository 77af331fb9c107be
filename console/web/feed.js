// The line to the server: server-sent events, kept alive, and the server's clock.

/** The server sends something every 2 seconds; after this time without an event the line counts as lost. */
const SILENCE_MS = 7_000;
/** Waits before a new line is tried. */
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 5_000;
/** A difference of clocks larger than this is a clock that was set, not a slow network. */
const CLOCK_JUMP_MS = 2_000;

const EVENTS = ["server", "stores", "history", "sample", "detail", "gone", "beat"];

/**
 * One line at a time. `heard(event, data)` is called with all that comes; `changed()` when the line is lost or back.
 */
export class Feed {
  constructor({ heard, changed }) {
    this.heard = heard;
    this.changed = changed;
    /** `connecting`, `live` or `lost`. */
    this.state = "connecting";
    /** Since when the line is lost, by the server's clock. */
    this.lostSince = null;
    this.failures = 0;
    this.source = null;
    this.retry = null;
    this.clockOffset = null;
    this.heardAt = performance.now();
    setInterval(() => this.#watch(), 1_000);
  }

  /** Follows a store, or all of them (null). It stops following what it followed before. */
  follow(storeId) {
    this.storeId = storeId;
    this.#connect();
  }

  /** Now, Unix ms, by the server's clock: browsers' clocks go wrong. */
  now() {
    return this.clockOffset === null ? Date.now() : performance.now() + this.clockOffset;
  }

  #connect() {
    clearTimeout(this.retry);
    this.source?.close();
    const query = this.storeId === null ? "" : `?store=${this.storeId}`;
    const source = new EventSource(`api/events${query}`);
    this.source = source;
    this.heardAt = performance.now();
    for (const name of EVENTS) source.addEventListener(name, (message) => this.#message(source, name, message));
    source.addEventListener("error", () => source === this.source && this.#lost());
  }

  #message(source, name, message) {
    if (source !== this.source) return;
    const data = JSON.parse(message.data);
    this.heardAt = performance.now();
    if (typeof data.now === "number") this.#setClock(data.now);
    if (this.state !== "live") {
      this.state = "live";
      this.lostSince = null;
      this.failures = 0;
      this.changed();
    }
    this.heard(name, data);
  }

  /** Every message is a little late; the least late one of the last ones is nearest to the server's clock. */
  #setClock(serverNow) {
    const offset = serverNow - performance.now();
    const isFirst = this.clockOffset === null || Math.abs(offset - this.clockOffset) > CLOCK_JUMP_MS;
    this.clockOffset = isFirst ? offset : Math.max(offset, this.clockOffset - 1);
  }

  /** Tries again by itself, at growing intervals: the browser gives up on a line that was refused. */
  #lost() {
    this.source.close();
    if (this.state !== "lost") {
      this.state = "lost";
      this.lostSince = this.now();
      this.changed();
    }
    clearTimeout(this.retry);
    const wait = Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** this.failures);
    this.failures = Math.min(this.failures + 1, 10);
    this.retry = setTimeout(() => this.#connect(), wait);
  }

  #watch() {
    const isOpen = this.source !== null && this.source.readyState !== EventSource.CLOSED;
    if (isOpen && performance.now() - this.heardAt > SILENCE_MS) this.#lost();
  }
}
