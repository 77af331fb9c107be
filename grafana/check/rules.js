// The rules of Prometheus: each alert is tested both where it fires and where it must stay silent, each recording once.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';

/**
 * The errors of the rules under `root`, one line each.
 * @param {string} root a folder with compose.yaml and grafana/
 * @returns {string[]}
 */
export function rulesErrors(root) {
  const read = (name) => parse(readFileSync(path.join(root, name), 'utf8'), { strict: true });
  const { groups } = read('grafana/rules/holdfast.yml');
  const { tests } = read('grafana/rules/tests.yml');
  const { rule_files: loaded = [] } = read('grafana/prometheus.yml');
  const mounts = (read('compose.yaml').services.prometheus.volumes ?? []).map((volume) => volume.split(':'));
  const cases = tests.flatMap((one) => one.promql_expr_test);
  const isTested = (alert, fires) =>
    cases.some(
      ({ expr, exp_samples: expected }) => expr.includes(`alertname="${alert}"`) && expected.length > 0 === fires,
    );
  const isMounted = (file) =>
    mounts.some(([from, to]) => file.startsWith(`${to}/`) && existsSync(path.join(root, from, file.slice(to.length))));
  const recorded = groups.flatMap(({ rules }) => rules.map(({ record }) => record)).filter(Boolean);
  const alerts = groups.flatMap(({ rules }) => rules).filter(({ alert }) => alert);
  return [
    ...alerts.filter(({ alert }) => !isTested(alert, true)).map(({ alert }) => `no test makes ${alert} fire`),
    ...alerts.filter(({ alert }) => !isTested(alert, false)).map(({ alert }) => `no test wants ${alert} silent`),
    ...alerts
      .filter(({ labels, annotations }) => !labels?.severity || !annotations?.summary || !annotations?.description)
      .map(({ alert }) => `${alert} has no severity, summary or description`),
    ...recorded
      .filter((name) => !cases.some(({ expr, exp_samples: expected }) => expr.includes(name) && expected.length > 0))
      .map((name) => `no test records ${name}`),
    ...(loaded.length ? [] : ['prometheus.yml loads no rules']),
    ...loaded.filter((file) => !isMounted(file)).map((file) => `compose.yaml does not mount ${file}`),
  ];
}
