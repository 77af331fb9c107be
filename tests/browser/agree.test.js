// A number and its twin agree: whatever the page says twice is of one moment, while stock and orders change all the
// time.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { Browser, endAll, Redis, until, Watch } from "./lab.js";

const SKUS = ["mug", "cap", "bag"];
const SALE_MS = 10;
const LOOKS = 60;
const LANES = ["express", "counter"];

let redis, watch, browser, sales;

/** Changes stock, carts, lanes, claims and dead letters of a store, again and again. */
class Sales {
  constructor(port) {
    this.socket = connect(port, "127.0.0.1");
    this.round = 0;
    this.socket.resume();
    this.timer = setInterval(() => this.sell(), SALE_MS);
  }

  sell() {
    this.round += 1;
    const [i, sku, lane] = [this.round, SKUS[this.round % 3], LANES[this.round % 2]];
    const lines = [
      `ORDER.PLACE shop o-${i} c-${i % 50} LANE ${lane} ITEMS ${sku} ${1 + (i % 3)}`,
      `INV.RESERVE shop h-${i} ITEMS ${sku} 1`,
      `INV.RELEASE shop h-${i - 9}`,
      `ORDER.FAIL shop o-${i - 12} REASON late FATAL`,
      `ORDER.COMPLETE shop o-${i - 25}`,
      `INV.ADJUST shop ${sku} 2`,
    ];
    this.socket.write(lines.map((line) => `${line}\r\n`).join(""));
  }

  stop() {
    clearInterval(this.timer);
    this.socket.destroy();
  }
}

before(async () => {
  redis = await Redis.start({ durable: false });
  for (const sku of SKUS) await redis.ask("INV.SET", "shop", sku, 100_000);
  sales = new Sales(redis.port);
  watch = await Watch.start(redis);
  browser = await Browser.start();
});

after(async () => {
  sales?.stop();
  await endAll();
});

/** Whatever the page says twice: a name, and both numbers. */
function pairs() {
  const number = (text) => Number(text.replaceAll(",", ""));
  const one = (selector) => number(document.querySelector(selector)?.textContent ?? "");
  const column = (table, name) => {
    const heads = [...document.querySelectorAll(`${table} thead th`)];
    const index = heads.findIndex((head) => head.dataset.column === name);
    const rows = [...document.querySelectorAll(`${table} tbody tr`)];
    return rows.reduce((sum, row) => sum + number(row.children[index].textContent), 0);
  };
  const chart = (label) => {
    const keys = [...document.querySelectorAll(".legend-key")];
    return number(keys.find((key) => key.children[1].textContent === label).querySelector(".legend-value").textContent);
  };
  const every = (name) => one(`.counts [data-metric="${name}"]`);
  return {
    "available, and by SKU": [one('[data-field="available"]'), column(".skus", "available")],
    "held, and by SKU": [one('[data-segment="held"]'), column(".skus", "held")],
    "sold, and by SKU": [one('[data-segment="sold"]'), column(".skus", "sold")],
    "available, and in its chart": [one('[data-field="available"]'), chart("Available")],
    "sold, and in its chart": [one('[data-segment="sold"]'), chart("Sold")],
    "carts, and in their chart": [every("holds"), chart("Carts open")],
    "queued, and in its chart": [every("queued"), chart("Queued")],
    "queued, and by lane": [every("queued"), column(".lanes", "queued")],
    "available, and among all numbers": [one('[data-field="available"]'), every("available")],
    "dead letters, and among all numbers": [one('[data-field="dead-letters"]'), every("dead-letters")],
    "available, and in the title": [one('[data-field="available"]'), number(document.title.match(/: ([\d,]+)/)[1])],
  };
}

test("the page of a store says the same wherever it says it", async () => {
  const page = await browser.open(`${watch.origin}/#/stores/shop`);
  await page.locator(".skus tbody tr").nth(SKUS.length - 1).waitFor();
  await page.locator(".lanes tbody tr").nth(1).waitFor();
  await page.locator(".counts summary").click();
  const seen = new Set();
  for (let look = 0; look < LOOKS; look += 1) {
    const found = await page.evaluate(pairs);
    for (const [name, [a, b]] of Object.entries(found)) assert.equal(a, b, `${name}, look ${look}`);
    seen.add(found["available, and by SKU"][0]);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(seen.size > 1, "the numbers did not change");
  await page.context().close();
});

test("so do the answers of the API and of /metrics", async () => {
  for (let look = 0; look < 20; look += 1) {
    const { metrics, info, skus, lanes, dead } = await (await fetch(`${watch.origin}/api/stores/shop`)).json();
    const sum = (list, name) => list.reduce((all, one) => all + one[name], 0);
    for (const name of ["available", "held", "sold"]) assert.equal(metrics[name], sum(skus.shown, name), name);
    assert.equal(metrics.queued, sum(lanes, "queued"));
    assert.equal(metrics["dead-letters"], dead.total);
    for (const [name, value] of Object.entries(info)) if (name in metrics) assert.equal(metrics[name], value, name);
    const text = await (await fetch(`${watch.origin}/metrics`)).text();
    const sumOf = (name) => {
      const lines = text.matchAll(new RegExp(`^${name}\\{store="shop".*\\} (\\d+)`, "gm"));
      return [...lines].reduce((all, [, value]) => all + Number(value), 0);
    };
    assert.equal(sumOf("holdfast_queued"), sumOf("holdfast_lane_queued"));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});

test("no complaint in the console", () => {
  assert.deepEqual(browser.complaints, []);
});
