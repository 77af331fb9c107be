// Very many busy stores: the page draws what is in sight, and lays out no more often than there is something new.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { Browser, Redis, until, Watch } from "./lab.js";
import { lineState, picture } from "./read.js";

const STORES = 500;
const SKU_UNITS = 1_000_000;
/** Every store sells so often. */
const SALE_MS = 500;
/** So long the page is looked at. */
const LOOK_MS = 6_000;
/** More cards than this are not in sight of a window of 1440 by 900, with those just beyond its edges. */
const IN_SIGHT_MAX = 30;
/** The age of the numbers is written five times a second; cards are drawn twice. Each may take a layout, and a little
 * is left for what the browser does by itself. */
const LAYOUTS_A_SECOND_MAX = 20;

let redis, watch, browser, page, crowd;

/** Orders in all stores, again and again. */
class Crowd {
  constructor(port) {
    this.socket = connect(port, "127.0.0.1");
    this.socket.resume();
    this.round = 0;
    this.timer = setInterval(() => this.sell(), SALE_MS);
  }

  sell() {
    this.round += 1;
    const order = (_, i) => `ORDER.PLACE shop-${i} o-${this.round} c-${this.round} ITEMS mug 1\r\n`;
    this.socket.write(Array.from({ length: STORES }, order).join(""));
  }

  stop() {
    clearInterval(this.timer);
    this.socket.destroy();
  }
}

/** Counts, from before the page's scripts run, which cards' small charts are drawn and how often. */
function countDrawings() {
  const drawn = new Map();
  const stroke = CanvasRenderingContext2D.prototype.stroke;
  CanvasRenderingContext2D.prototype.stroke = function (...args) {
    const name = this.canvas.closest(".store-card")?.querySelector("h2")?.textContent;
    if (name) drawn.set(name, (drawn.get(name) ?? 0) + 1);
    return stroke.apply(this, args);
  };
  window.drawnCards = drawn;
}

/** What the page drew, and what that took, within a time. */
async function lookAt(ms) {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable");
  const read = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
  };
  await page.evaluate(() => window.drawnCards.clear());
  const start = await read();
  await new Promise((resolve) => setTimeout(resolve, ms));
  const end = await read();
  const drawn = await page.evaluate(() => [...window.drawnCards]);
  const seconds = end.Timestamp - start.Timestamp;
  const rate = (name) => (end[name] - start[name]) / seconds;
  await session.detach();
  return {
    drawn: new Map(drawn),
    layouts: rate("LayoutCount"),
    styles: rate("RecalcStyleCount"),
    busy: rate("TaskDuration"),
    seconds,
  };
}

before(async () => {
  redis = await Redis.start({ durable: false });
  const socket = connect(redis.port, "127.0.0.1");
  socket.resume();
  for (let i = 0; i < STORES; i += 1) socket.write(`INV.SET shop-${i} mug ${SKU_UNITS}\r\n`);
  await until("all stores", async () => (await redis.ask("EXISTS", `shop-${STORES - 1}`)) === 1);
  socket.destroy();
  watch = await Watch.start(redis);
  browser = await Browser.start();
  crowd = new Crowd(redis.port);
  page = await browser.open(`${watch.origin}/#/stores`, { init: countDrawings });
  await until("a card each", async () => (await page.locator(".store-card").count()) === STORES);
});

after(async () => {
  crowd?.stop();
  await browser?.close();
  await watch?.stop();
  await redis?.remove();
});

test("of 500 busy stores those in sight are drawn, and the layout follows the numbers", async () => {
  await page.locator(".store-card .mini-value").first().waitFor();
  await until("a sale", async () => (await page.locator(".store-card .mini-value").first().textContent()) !== "0");
  const seen = await lookAt(LOOK_MS);
  const told = `${seen.drawn.size} cards drawn, ${seen.layouts.toFixed(1)} layouts and ${seen.styles.toFixed(1)} style \
recalculations a second, main thread busy ${(100 * seen.busy).toFixed(1)} %`;
  console.log(told);
  assert.ok(seen.drawn.size > 0 && seen.drawn.size <= IN_SIGHT_MAX, told);
  const most = Math.max(...seen.drawn.values()) / seen.seconds;
  assert.ok(most <= 4, `a card was drawn ${most.toFixed(1)} times a second`);
  assert.ok(seen.layouts <= LAYOUTS_A_SECOND_MAX, told);
  assert.equal(await lineState(page), "live");
  await picture(page, "crowd");
});

test("a card that comes into sight shows what is so now", async () => {
  const last = page.locator(".store-card").last();
  await last.scrollIntoViewIfNeeded();
  const name = await last.locator("h2").textContent();
  await until("the last card to be drawn", () => page.evaluate((name) => window.drawnCards.has(name), name));
  const available = async () => Number((await last.locator(".value").textContent()).replaceAll(",", ""));
  const before = await available();
  assert.ok(before > 0 && before < SKU_UNITS, `${before} available`);
  await until("its next sale", async () => (await available()) < before);
});

test("the cards beyond the edge keep their place: nothing jumps while one scrolls", async () => {
  const height = () => page.evaluate(() => document.documentElement.scrollHeight);
  const before = await height();
  await page.evaluate(() => {
    window.drawnCards.clear();
    window.scrollTo(0, document.documentElement.scrollHeight / 2);
  });
  await until("the cards in the middle", () => page.evaluate(() => window.drawnCards.size > 3));
  await page.evaluate(() => window.scrollTo(0, 0));
  const after = await height();
  assert.ok(Math.abs(after - before) <= before / 100, `${before} px high, then ${after}`);
});

test("no complaint in the console", () => {
  assert.deepEqual(browser.complaints, []);
});
