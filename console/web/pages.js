// Lists that come page by page.

import { get } from "./api.js";

/** Records asked for at once, and how often a page without any is followed by the next by itself. */
const PAGE = 50;
const EMPTY_PAGES_MAX = 200;
const FIRST = "0";

export class Pages {
  /** `path`: of the list under `/api/`; `query`: which of its records, `&name=value` for each condition. */
  constructor(path, query) {
    Object.assign(this, { path, query, cursor: FIRST, looked: 0 });
  }

  /** Whether there are more, or may be. */
  get isMore() {
    return this.cursor !== null;
  }

  /** Whether a page has come. */
  get isBegun() {
    return this.cursor !== FIRST;
  }

  /**
   * The records of the next page that has any, none when there is none. `goesOn()` is asked after each page: when it
   * says no, nothing of it is wanted any more.
   */
  async next(goesOn) {
    for (let pages = 0; pages < EMPTY_PAGES_MAX && this.isMore; pages += 1) {
      const page = await get(`${this.path}?count=${PAGE}&cursor=${this.cursor}${this.query}`);
      this.cursor = page.next;
      this.looked += page.looked;
      if (!goesOn()) break;
      if (page.found.length > 0) return page.found;
    }
    return [];
  }
}
