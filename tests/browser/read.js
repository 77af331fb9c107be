// Reading the page as a reader does, and the store as it is.

import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { until } from "./lab.js";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const SHOTS = process.env.HOLDFAST_SCREENSHOTS;

/** Writes a picture of the page, where pictures are wanted. */
export async function picture(page, name, options = {}) {
  if (!SHOTS) return;
  await mkdir(SHOTS, { recursive: true });
  if (options.fullPage) await page.evaluate(() => window.scrollTo(0, 0));
  await page.screenshot({ path: join(SHOTS, `${name}.png`), animations: "disabled", ...options });
}

/** The number that stands in an element: 12,345 is 12345. */
export async function number(page, selector) {
  const text = await page.locator(selector).first().textContent();
  return Number(text.replaceAll(",", ""));
}

/** The dashboard's numbers as the page shows them. */
export async function shownNumbers(page) {
  const shown = {};
  const fields = [
    "available",
    "customers",
    "processing",
    "completed",
    "overflow",
    "refused",
    "oversold",
    "failed",
    "retried",
    "lapsed",
    "late",
  ];
  for (const field of fields) shown[field] = await number(page, `[data-field="${field}"]`);
  for (const segment of ["sold", "held"]) shown[segment] = await number(page, `[data-segment="${segment}"]`);
  return shown;
}

/** The same numbers as STORE.INFO has them. */
export async function trueNumbers(redis, store) {
  const info = await redis.ask("STORE.INFO", store);
  const refused = Object.entries(info).filter(([name]) => name.startsWith("refused-"));
  return {
    available: info.available,
    customers: info.customers,
    processing: info.waitlisted + info.pending + info.queued + info["in-work"] + info.retrying,
    completed: info.completed,
    overflow: info.overflow,
    refused: refused.reduce((sum, [, count]) => sum + count, 0),
    oversold: info.oversold,
    failed: info.failed,
    retried: info.retried,
    lapsed: info.lapsed,
    late: info.late,
    sold: info.sold,
    held: info.held,
  };
}

/** The text of the line's state: live, quiet, lost, away or connecting. */
export function lineState(page) {
  return page.locator("body").getAttribute("data-line");
}

/** Waits until the line is in one of these states. */
export function untilLine(page, ...states) {
  return until(`the line to be ${states.join(" or ")}`, async () => states.includes(await lineState(page)));
}

/** How many pixels of each tone (a CSS variable's name) a chart's canvas has. */
export function pixelsOf(page, title, tones) {
  return page.evaluate(
    ([title, tones]) => {
      const figure = [...document.querySelectorAll("figure.chart")].find(
        (one) => one.querySelector("h3").textContent === title,
      );
      const canvas = figure.querySelector("canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const style = getComputedStyle(document.documentElement);
      return tones.map((tone) => {
        const hex = style.getPropertyValue(`--${tone}`).trim();
        const wanted = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
        let found = 0;
        for (let i = 0; i < data.length; i += 4) {
          if (data[i + 3] > 200 && wanted.every((value, part) => Math.abs(data[i + part] - value) < 12)) found += 1;
        }
        return found;
      });
    },
    [title, tones],
  );
}

/** By how many pixels the page is wider than the screen. */
export function overhang(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
}

/** Waits until nothing fades in or moves any more, but for what never ends. */
function untilStill(page) {
  return page.evaluate(() => {
    const ends = document.getAnimations().filter((one) => one.effect.getComputedTiming().endTime !== Infinity);
    return Promise.allSettled(ends.map(({ finished }) => finished)).then(() => undefined);
  });
}

/** What keeps somebody out, as axe-core finds it. The page was opened with `bypassCSP`, or it loads no such script. */
export async function barriers(page) {
  await untilStill(page);
  if (!(await page.evaluate(() => "axe" in window))) await page.addScriptTag({ path: AXE });
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  );
}
