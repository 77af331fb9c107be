// Takes the pictures of docs/images: a sale of a minute, looked at when most is sold.
//   HOLDFAST_MODULE=… HOLDFAST_BIN=… HOLDFAST_SCREENSHOTS=docs/images node tests/browser/pictures.js

import { Browser, endAll, Redis, startSale, until, Watch } from "./lab.js";
import { number, picture } from "./read.js";

const SALE = { seconds: 60, units: 10_000 };
const SOLD = 0.8;
const MINUTE_MS = 60_000;

const redis = await Redis.start();
const watch = await Watch.start(redis, { writes: true });
const browser = await Browser.start();
startSale(redis, SALE);
try {
  const wide = { width: 1440, height: 1180 };
  const light = await browser.open(watch.origin, wide);
  const dark = await browser.open(watch.origin, { ...wide, scheme: "dark" });
  const phone = await browser.open(watch.origin, { width: 390, height: 844, deviceScaleFactor: 2, isMobile: true });
  const sold = async () => (await number(light, '[data-segment="sold"]')) > SOLD * SALE.units;
  await light.locator("canvas").first().waitFor();
  await until("most of it to be sold", sold, 2 * MINUTE_MS);
  await picture(light, "sale-light");
  await picture(dark, "sale-dark");
  await picture(phone, "sale-phone");
  await picture(light, "sale-whole", { fullPage: true });
} finally {
  await endAll();
}
