// The files that configure Grafana and Prometheus must agree with each other.

import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';

/**
 * The errors of the provisioning under `root`, one line each.
 * @param {string} root a folder with compose.yaml and grafana/
 * @returns {string[]}
 */
export function provisioningErrors(root) {
  const read = (name) => parse(readFileSync(path.join(root, name), 'utf8'), { strict: true });
  const { services } = read('compose.yaml');
  const { datasources } = read('grafana/provisioning/datasources/holdfast.yaml');
  const { providers } = read('grafana/provisioning/dashboards/holdfast.yaml');
  const { scrape_configs: scrapes } = read('grafana/prometheus.yml');
  const hosts = [
    ...datasources.map(({ url }) => new URL(url).hostname),
    ...scrapes.flatMap(({ static_configs: groups }) =>
      groups.flatMap(({ targets }) => targets.map((target) => target.split(':')[0])),
    ),
  ];
  const mounts = Object.values(services).flatMap(({ volumes = [] }) => volumes.map((volume) => volume.split(':')));
  return [
    ...['redis-datasource', 'prometheus']
      .filter((type) => !datasources.some((source) => source.type === type && source.uid))
      .map((type) => `no data source of type ${type}`),
    ...hosts.filter((host) => !services[host]).map((host) => `compose.yaml has no service ${host}`),
    ...mounts
      .filter(([from]) => from.startsWith('.') && !existsSync(path.join(root, from)))
      .map(([from]) => `compose.yaml mounts ${from}, which is not there`),
    ...providers
      .filter(({ options }) => !mounts.some(([, to]) => to === options.path))
      .map(({ options }) => `no volume is mounted at ${options.path}`),
  ];
}
