// Tests of the check: correct files pass, and every kind of mistake is found.

import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { dashboardErrors } from './dashboard.js';
import { drawn } from './drawing.js';
import { panelsOf } from './layout.js';
import { provisioningErrors } from './provisioning.js';
import { rulesErrors } from './rules.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const ROOT = path.join(HERE, '..', '..');
const STREAMS = JSON.parse(readFileSync(path.join(HERE, 'entries.json'), 'utf8'));

const load = (kind) =>
  JSON.parse(readFileSync(path.join(ROOT, 'grafana', 'dashboards', `holdfast-${kind}.json`), 'utf8'));
const panel = (dashboard, title) => panelsOf(dashboard).find((one) => one.title === title);
const errorsOf = (dashboard) => dashboardErrors([{ name: 'broken.json', text: JSON.stringify(dashboard, null, 2) }]);

// How a dashboard is broken, and the error that the check must report.
const MISTAKES = {
  'an option that Grafana does not know': [
    (all) => (panel(all, 'Oversold').options.colorMode = 'text'),
    /"text".*not assignable/s,
  ],
  'a misspelt option': [(all) => (panel(all, 'Flow').options.legnd = {}), /"legnd"' does not exist/],
  'a kind of panel that Grafana does not have': [(all) => (panel(all, 'Flow').type = 'graph'), /"graph"/],
  'a command that the data source does not type': [
    (all) => (panel(all, 'Flow').targets[0].command = 'xread'),
    /"xread"/,
  ],
  'a limit in words': [
    (all) => (panel(all, 'Oversold').targets[0].count = '1'),
    /'string' is not assignable to type 'number'/,
  ],
  'streaming that draws nothing': [
    (all) => (panel(all, 'Oversold').targets[0].streamingDataType = 'TimeSeries'),
    /"TimeSeries"/,
  ],
  'a refresh of no text': [(all) => (all.refresh = 5), /'number' is not assignable/],
  'an id twice': [(all) => (panel(all, 'Flow').id = 1), /panel id 1 is there twice/],
  'panels on top of each other': [(all) => (panel(all, 'Flow').gridPos.y = 0), /overlap/],
  'a panel beyond the edge': [(all) => (panel(all, 'Oversold').gridPos.x = 21), /not within the 24 columns/],
  'a panel without a description': [(all) => (panel(all, 'Flow').description = ''), /no description/],
  'a data source by its name': [(all) => (panel(all, 'Flow').targets[0].datasource.uid = 'Redis'), /asks Redis/],
  'a data source of another kind': [
    (all) => (all.templating.list[0].query = 'prometheus'),
    /no variable for that kind/,
  ],
  'the answer of a panel that is not there': [
    (all) => (panel(all, 'Units').targets[0].panelId = 99),
    /panel 99, which asks nothing/,
  ],
  'a variable that is not there': [
    (all) => (panel(all, 'Orders open').targets[0].keyName = '${shop}:orders'),
    /no variable shop/,
  ],
  'a number that no entry has': [
    (all) => (panel(all, 'Oversold').options.reduceOptions.fields = '/^over-sold$/'),
    /Oversold\) shows 0 values/,
  ],
  'a line that no entry has': [
    (all) => (panel(all, 'Latency').transformations[0].options.include.names[1] = 'p50'),
    /overrides p50-ms/,
  ],
  'a line without a colour': [(all) => panel(all, 'Latency').fieldConfig.overrides.pop(), /no colour/],
  'a transformation that keeps nothing': [
    (all) => (panel(all, 'Refusals by reason').transformations[0].options.include.pattern = '^refused-'),
    /shows 0 values/,
  ],
  'a stream that is not there': [
    (all) => (panel(all, 'Latest dead letters').targets[0].keyName = '${store}:died'),
    /has no rows/,
  ],
};

test('the dashboards are in order', async () => {
  const files = ['redis', 'prometheus'].map((name) => ({ name, text: JSON.stringify(load(name)) }));
  assert.deepEqual(await dashboardErrors(files), []);
});

for (const [what, [breakIt, message]] of Object.entries(MISTAKES)) {
  test(`finds ${what}`, async () => {
    const dashboard = load('redis');
    breakIt(dashboard);
    assert.match((await errorsOf(dashboard)).join('\n'), message);
  });
}

test('finds a legend that no override knows', async () => {
  const dashboard = load('prometheus');
  panel(dashboard, 'Latency').targets[0].legendFormat = 'half';
  assert.match((await errorsOf(dashboard)).join('\n'), /overrides Half within.*draws half/s);
});

test('finds a syntax error in PromQL', async () => {
  const dashboard = load('prometheus');
  panel(dashboard, 'Flow').targets[1].expr = 'rate(holdfast_completed_total{store="$store"}[$__rate_interval)';
  assert.match((await errorsOf(dashboard)).join('\n'), /panel 20, query B is no PromQL from here on: \)/);
});

test('the bars of the flow are what each sample adds', async () => {
  const dashboard = load('redis');
  const [{ fields }] = await drawn(dashboard, panel(dashboard, 'Flow'), STREAMS);
  const sample =
    ([, words]) =>
    (name) =>
      Number(words[words.indexOf(name) + 1]);
  const added = (count) =>
    STREAMS['{popup}:metrics'].map((entry, at, all) => (at ? count(sample(entry)) - count(sample(all[at - 1])) : 0));
  const line = (name) => fields.find((field) => field.name === name).values;
  assert.deepEqual(
    line('asked'),
    added((of) => of('placed') + of('refused-outofstock')),
  );
  assert.deepEqual(
    line('done'),
    added((of) => of('completed')),
  );
  assert.ok(Math.max(...line('asked')) > 0 && Math.max(...line('done')) > 0);
});

test('every alert is tested both ways, and a test that is missing is found', () => {
  assert.deepEqual(rulesErrors(ROOT), []);
  const root = mkdtempSync(path.join(tmpdir(), 'holdfast-rules-'));
  try {
    for (const name of ['compose.yaml', 'grafana/rules', 'grafana/prometheus.yml']) {
      cpSync(path.join(ROOT, name), path.join(root, name), { recursive: true });
    }
    const edit = (name, from, to) =>
      writeFileSync(path.join(root, name), readFileSync(path.join(root, name), 'utf8').replaceAll(from, to));
    edit('grafana/rules/tests.yml', /alertname="HoldfastOversold"/g, 'alertname="Other"');
    edit('grafana/rules/tests.yml', /store:holdfast_placed:rate1m/g, 'other');
    edit('compose.yaml', './grafana/rules:', './grafana/dashboards:');
    assert.deepEqual(rulesErrors(root), [
      'no test makes HoldfastOversold fire',
      'no test wants HoldfastOversold silent',
      'no test records store:holdfast_placed:rate1m',
      'compose.yaml does not mount /etc/prometheus/rules/holdfast.yml',
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('every alert has an advice', () => {
  const page = readFileSync(path.join(ROOT, 'docs', 'grafana.md'), 'utf8');
  const rules = readFileSync(path.join(ROOT, 'grafana', 'rules', 'holdfast.yml'), 'utf8');
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  assert.ok(alerts.length > 5);
  for (const name of alerts) assert.match(page, new RegExp(`^\\| ${name} \\|.+\\|.+\\|$`, 'm'));
});

test('the provisioning is in order, and a mistake in it is found', () => {
  assert.deepEqual(provisioningErrors(ROOT), []);
  const root = mkdtempSync(path.join(tmpdir(), 'holdfast-grafana-'));
  try {
    const names = ['provisioning', 'dashboards', 'rules', 'prometheus.yml'].map((name) => `grafana/${name}`);
    for (const name of ['compose.yaml', ...names]) {
      cpSync(path.join(ROOT, name), path.join(root, name), { recursive: true });
    }
    const edit = (name, from, to) =>
      writeFileSync(path.join(root, name), readFileSync(path.join(root, name), 'utf8').replace(from, to));
    edit('grafana/prometheus.yml', 'console:7070', 'watch:7070');
    edit('grafana/provisioning/dashboards/holdfast.yaml', '/etc/grafana/dashboards', '/dashboards');
    edit('compose.yaml', './grafana/prometheus.yml', './prometheus.yml');
    const found = provisioningErrors(root);
    assert.deepEqual(found, [
      'compose.yaml has no service watch',
      'compose.yaml mounts ./prometheus.yml, which is not there',
      'no volume is mounted at /dashboards',
    ]);
    edit('grafana/prometheus.yml', 'scrape_configs:', 'scrape_configs: [');
    assert.throws(() => provisioningErrors(root), /YAML|Flow/);
  } finally {
    rmSync(root, { recursive: true });
  }
});
