// The words of the page: what every number, code and state is called, and what it means. The program writes them into
// vocabulary.js, and shows the same in a terminal.

import WORDS from "./vocabulary.js";

export const { groups, refusals, states, tiles, segments, skuColumns, storeNumbers, trouble } = WORDS;
export const { flow, laneColumns, charts, panels, notes, way, sideWays, facts, hints, firstSteps, texts } = WORDS;

/** The sum of the refusals in a sample. */
export function refusedIn(metrics) {
  return refusals.reduce((sum, { name }) => sum + (metrics[name] ?? 0), 0);
}

/** Orders in a sample that are placed and not finished yet. */
export function processingIn(metrics) {
  return flow.reduce((sum, { name }) => sum + (metrics[name] ?? 0), 0);
}

/** Whether nothing is left, and something was sold. */
export function isSoldOut(metrics) {
  return metrics !== null && metrics.available <= 0 && metrics.sold + metrics.held > 0;
}
