// Narrow screens, long names and large numbers: nothing breaks in two, nothing lies under anything else.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Browser, endAll, Redis, until, Watch } from "./lab.js";
import { barriers, overhang, picture } from "./read.js";

const WIDTHS = [320, 360, 390];
const WIDE = [1_440, 2_560];
const PHONE = { height: 740, deviceScaleFactor: 2, hasTouch: true, isMobile: true, bypassCSP: true };
const LONG = "x".repeat(512);
const UNITS = 1_000_000_000_000_000;
/** A name without a place to break it, one with many, and one that is as long as an id can be. */
const NAMES = [
  "warehouse-of-the-northern-harbour-and-its-neighbouring-islands-2026-summer-clearance",
  "The very long name of a shop that sells everything to everybody at any time of the year",
  LONG,
];
const ORDER = (i) => `order-with-a-rather-long-identifier-2026-11-26-${i}`;
const REASONS = ["the card was declined by the bank for reasons that it does not tell", "y".repeat(120)];

let redis, watch, browser;

/** All that can have a name has one of 512 bytes, and every number of units has sixteen digits. */
async function fillLong(store) {
  const ask = (...command) => redis.ask(command[0], store, ...command.slice(1));
  const at = (i) => `${i}`.repeat(512);
  await ask("STORE.SET", "lease-ms", 3_600_000);
  await ask("INV.SET", LONG, UNITS, "LOW", UNITS, "BACKLOG", UNITS);
  await ask("INV.SET", at(1), UNITS, "LOW", UNITS);
  await ask("ORDER.PLACE", at(2), LONG, "LANE", LONG, "ITEMS", LONG, UNITS / 4);
  await ask("ORDER.PLACE", at(3), LONG, "GATE", LONG, 0, "GATE", at(4), 3_600_000, "ITEMS", at(1), UNITS / 4);
  for (const [order, reason] of [[at(6), LONG], [at(7), at(8).slice(0, 120)]]) {
    await ask("ORDER.PLACE", order, LONG, "ITEMS", LONG, 1);
    await ask("ORDER.FAIL", order, "REASON", reason, "FATAL");
  }
  for (const [order, worker] of [[LONG, LONG], ["short", at(9)], ["idle", at(0)]]) {
    await ask("ORDER.PLACE", order, LONG, "ITEMS", LONG, UNITS / 8);
    await ask("ORDER.CLAIM", worker, "ORDER", order);
  }
  await ask("ORDER.PLACE", at(5), LONG, "WAIT", 7_200_000, "ITEMS", LONG, UNITS);
  await ask("ORDER.COMPLETE", "idle");
}

/** A store with numbers of nine digits wherever there can be any, and long names for everything in it. */
async function fill(store) {
  const ask = (...command) => redis.ask(command[0], store, ...command.slice(1));
  await ask("STORE.SET", "closes", Date.now() + 3 * 86_400_000, "lease-ms", 3_600_000);
  await ask("INV.SET", "sku-with-a-long-name-0123456789-abcdefghij", 300_100_000, "LOW", 900_000_000);
  await ask("INV.SET", "mug", 700_000_000, "SAFETY", 100_000_000);
  await ask("ORDER.PLACE", "big", "c-0", "ITEMS", "mug", 200_000_000);
  await ask("ORDER.COMPLETE", "big");
  await ask("INV.RESERVE", "cart", "ITEMS", "mug", 123_456_789);
  for (let i = 1; i <= 5; i += 1) {
    await ask("ORDER.PLACE", ORDER(i), `customer-with-a-long-name-${i}@mail-provider.test`, "ITEMS", "mug", 10_000_000);
  }
  for (const i of [3, 4, 5]) await ask("ORDER.FAIL", ORDER(i), "REASON", REASONS[i % 2], "FATAL");
  await ask("ORDER.CLAIM", "worker-of-the-night-shift-number-seventeen", "COUNT", 2);
}

before(async () => {
  redis = await Redis.start({ durable: false });
  for (const name of NAMES.slice(0, 2)) await fill(name);
  await fillLong(LONG);
  await redis.ask("INV.SET", "small", "mug", 100_000);
  await redis.ask("INV.SET", "vast", "mug", 1e15);
  watch = await Watch.start(redis, { writes: true });
  browser = await Browser.start();
});

after(endAll);

/** What is there of every panel where all of them have something to show. */
const PANELS = [".alert-row", ".lanes tbody tr", ".wait-row", ".lease", ".idle-row", ".dead-list li", ".skus tbody tr"];

const pathOf = (store) => `#/stores/${encodeURIComponent(store)}`;

/**
 * What is wrong on the page: numbers of more than one line, or wider than what they stand in; buttons and links that
 * break, or lie under each other; what stands beyond the edge of its card.
 */
function faults() {
  const found = [];
  const isSeen = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getClientRects().length > 0;
  const all = (selector, root = document) => [...root.querySelectorAll(selector)].filter(isSeen);
  const say = (one, what) =>
    found.push(`${what}: ${one.className || one.tagName} “${one.textContent.slice(0, 40)}”`);
  const linesOf = (one) => {
    const range = document.createRange();
    range.selectNodeContents(one);
    return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size;
  };
  /** What is seen of an element: what its ancestors, up to a card, do not cut off. */
  const boxOf = (one) => {
    let { left, right, top, bottom } = one.getBoundingClientRect();
    let outer = one.parentElement;
    for (; outer && !outer.matches(".card, .topbar, dialog"); outer = outer.parentElement) {
      if (getComputedStyle(outer).overflowX === "visible") continue;
      const edge = outer.getBoundingClientRect();
      [left, right] = [Math.max(left, edge.left), Math.min(right, edge.right)];
      [top, bottom] = [Math.max(top, edge.top), Math.min(bottom, edge.bottom)];
    }
    return { left, right, top, bottom, width: right - left };
  };
  const NUMBERS =
    ".value, .mini-value, .count-value, .card-number, .bar-value, td.number, .legend-value, .countdown-value";
  for (const one of all(NUMBERS)) if (linesOf(one) > 1) say(one, "a number breaks");
  for (const one of all("td.number")) if (one.scrollWidth > one.clientWidth + 1) say(one, "more than its cell");
  for (const one of all("button:not(.id), .chip, .tag, .lease-left")) {
    if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0) say(one, "more than its button");
    if (one.getBoundingClientRect().height > 50) say(one, "a button breaks");
  }
  for (const card of all(".card, .topbar, dialog")) {
    const { left, right } = card.getBoundingClientRect();
    // What scrolls by itself, and charts, have their own edges.
    for (const one of all("*", card)) {
      if (one.closest(".scroll, .plot-frame, pre, .visually-hidden, svg, .bar-track")) continue;
      const box = boxOf(one);
      if (box.width > 0 && (box.left < left - 1 || box.right > right + 1)) say(one, "beyond the edge of its card");
    }
  }
  const apart = (selector, root) => {
    const boxes = all(selector, root).map((one) => [one, boxOf(one)]);
    boxes.forEach(([one, a], i) => {
      for (const [other, b] of boxes.slice(i + 1)) {
        const isOver = Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1;
        const isOn = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
        if (!isOver || !isOn || one.contains(other) || other.contains(one)) continue;
        say(one, `under ${other.className || other.id}`);
      }
    });
  };
  for (const bar of all(".topbar")) apart(".brand, .crumb, .search, .line, button", bar);
  const HEADS =
    ".store-line, .store-card-head, .store-row, .drawer-head, .order-list li, .bar-text, .lease-text, .sku-name";
  for (const head of all(HEADS)) {
    apart("h1, h2, a, .chip, .tag, button, .id, .bar-name, .bar-numbers, .lease-left", head);
  }
  for (const row of all(".minis, .tiles, .stack-legend, .facts")) apart(":scope > div", row);
  for (const list of all(".stack-legend, .minis, .store-card-main, .stock-number")) {
    apart(".value, .mini-value, .spark", list);
  }
  return found;
}

const SHAPES = [...WIDTHS, ...WIDE].flatMap((width) => ["cards", "table"].map((view) => [width, view]));
for (const [width, view] of SHAPES) {
  test(`${width} px: all stores, ${view}`, async () => {
    const screen = width < 600 ? { ...PHONE, height: 2_000, width } : { height: 2_000, width };
    const page = await browser.open(`${watch.origin}/#/stores?view=${view}`, { ...screen, bypassCSP: true });
    const one = { cards: ".store-card", table: ".store-row" }[view];
    const number = { cards: ".value", table: '[data-column="available"]' }[view];
    await page.locator(one).nth(NAMES.length + 1).waitFor();
    const vast = page.locator(one, { hasText: "vast" }).locator(number);
    await until("the numbers", async () => /^1(,000){5}$|^1,?000T$/.test(await vast.textContent()));
    await picture(page, `stores-${view}-${width}`, { fullPage: true });
    assert.deepEqual(await page.evaluate(faults), []);
    assert.deepEqual(await barriers(page), []);
    assert.ok((await overhang(page)) <= 0, "it scrolls sideways");
    const small = page.locator(one, { hasText: "small" }).locator(number);
    assert.equal(await small.textContent(), "100,000");
    await page.context().close();
  });
}

for (const width of WIDTHS) {
  test(`${width} px: a store, its workers, its dead letters`, async () => {
    const page = await browser.open(`${watch.origin}/${pathOf(NAMES[0])}`, { ...PHONE, width });
    for (const [i, name] of NAMES.entries()) {
      await page.goto(`${watch.origin}/${pathOf(name)}`);
      await page.locator("h1", { hasText: name }).waitFor();
      for (const seen of name === LONG ? PANELS : [".lease"]) await page.locator(seen).first().waitFor();
      await page.locator(".counts summary").click();
      for (const summary of await page.locator(".dead-list summary").all()) await summary.click();
      await picture(page, `narrow-store-${i}-${width}`, { fullPage: true });
      assert.deepEqual(await page.evaluate(faults), [], name);
      assert.deepEqual(await barriers(page), [], name);
      assert.ok((await overhang(page)) <= 0, "it scrolls sideways");
      assert.equal(await page.locator("h1").getAttribute("title"), name);
      const search = page.locator(".search :is(select, input)");
      const [kind, id] = await search.evaluateAll((all) => all.map((one) => one.getBoundingClientRect().height));
      assert.equal(kind, id, "what to look for is as high as its id");
    }
    await page.context().close();
  });

  test(`${width} px: an order, and what is asked before it is redriven`, async () => {
    const page = await browser.open(`${watch.origin}/${pathOf(NAMES[0])}/order/${ORDER(4)}`, { ...PHONE, width });
    await page.locator("dialog .timeline li").first().waitFor();
    await picture(page, `narrow-order-${width}`);
    assert.deepEqual(await page.evaluate(faults), []);
    await page.locator("dialog.drawer[open]").getByRole("button", { name: "Redrive order" }).click();
    await page.locator("dialog.confirm").waitFor();
    assert.deepEqual(await page.evaluate(faults), []);
    assert.deepEqual(await barriers(page), []);
    await page.context().close();
  });
}

test("a wide window cuts a long name off too, and nothing else", async () => {
  for (const width of [861, 1024, 1440, 2560]) {
    const page = await browser.open(`${watch.origin}/${pathOf(LONG)}`, { width, bypassCSP: true });
    for (const seen of PANELS) await page.locator(seen).first().waitFor();
    for (const summary of await page.locator(".dead-list summary").all()) await summary.click();
    assert.deepEqual(await page.evaluate(faults), [], `${width} px`);
    assert.deepEqual(await barriers(page), [], `${width} px`);
    assert.ok((await overhang(page)) <= 0, `${width} px: it scrolls sideways`);
    await picture(page, `wide-${width}`);
    await page.context().close();
  }
});

test("a name with a space is quoted where it is to be typed", async () => {
  await redis.ask("STORE.SET", 'spring "drop"', "limit", 1);
  const page = await browser.open(`${watch.origin}/${pathOf('spring "drop"')}`);
  await page.getByRole("heading", { name: "Nothing to sell yet" }).waitFor();
  assert.equal(await page.locator(".hint code").textContent(), 'INV.SET "spring \\"drop\\"" mug 100 LOW 10');
  await page.context().close();
});

test("no complaint in the console", () => {
  assert.deepEqual(browser.complaints, []);
});
