// PromQL, checked with Prometheus's own grammar.

import { parser } from '@prometheus-io/lezer-promql';

// Variables that Grafana replaces before it sends a query.
const VARIABLES = { $store: 'popup', $__rate_interval: '8s' };

/**
 * The syntax errors in a panel's queries, one line each.
 * @param {{ id: number, targets: Array<{ refId: string, expr: string }> }} panel
 * @returns {string[]}
 */
export function promqlErrors({ id, targets }) {
  return targets.flatMap(({ refId, expr }) => {
    const query = expr.replaceAll(/\$\w+/g, (name) => VARIABLES[name] ?? name);
    const at = firstError(query);
    return at === undefined ? [] : [`panel ${id}, query ${refId} is no PromQL from here on: ${query.slice(at)}`];
  });
}

function firstError(query) {
  let found;
  parser.parse(query).iterate({
    enter: ({ type, from }) => {
      found ??= type.isError ? from : undefined;
    },
  });
  return found;
}
