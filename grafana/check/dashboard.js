// All checks of dashboards.

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { drawingErrors } from './drawing.js';
import { layoutErrors, panelsOf } from './layout.js';
import { promqlErrors } from './promql.js';
import { schemaErrors } from './schema.js';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const STREAMS = JSON.parse(readFileSync(path.join(HERE, 'entries.json'), 'utf8'));

/**
 * The errors of dashboards, one line each. What a panel draws is checked only if there is no other error.
 * @param {Array<{ name: string, text: string }>} files dashboards as JSON
 * @returns {Promise<string[]>}
 */
export async function dashboardErrors(files) {
  const dashboards = files.map(({ name, text }) => ({ name, dashboard: JSON.parse(text) }));
  const named = (name, errors) => errors.map((error) => `${name}: ${error}`);
  const form = [
    ...schemaErrors(files),
    ...dashboards.flatMap(({ name, dashboard }) => named(name, layoutErrors(dashboard))),
  ];
  if (form.length > 0) {
    return form;
  }
  const content = dashboards.map(async ({ name, dashboard }) => named(name, await contentErrors(dashboard)));
  return (await Promise.all(content)).flat();
}

async function contentErrors(dashboard) {
  const panels = panelsOf(dashboard).filter(({ type }) => type !== 'row');
  const drawing = panels.map((panel) =>
    asksPrometheus(panel) ? [...promqlErrors(panel), ...legendErrors(panel)] : drawingErrors(dashboard, panel, STREAMS),
  );
  return (await Promise.all(drawing)).flat();
}

function asksPrometheus({ datasource }) {
  return datasource?.type === 'prometheus';
}

// Legends identify the series of Prometheus: every override must be for an existing legend, and the other way round; a
// legend that is made of a label stands for any number of series, which have the colours of the palette.
function legendErrors({ id, type, targets, fieldConfig }) {
  const legends = targets.map(({ legendFormat }) => legendFormat);
  const styled = fieldConfig.overrides.map(({ matcher }) => matcher.options);
  const wrong = styled
    .filter((name) => !legends.includes(name))
    .map((name) => `panel ${id} overrides ${name}, which no query is called`);
  const plain = type === 'timeseries' ? legends.filter((name) => !name.includes('{{') && !styled.includes(name)) : [];
  return [...wrong, ...plain.map((name) => `panel ${id} draws ${name}, which it has no colour for`)];
}
