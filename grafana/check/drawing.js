// What the panels of the Redis dashboard draw from recorded entries, with Grafana's own code for transformations,
// overrides and values. The Rust suite checks that a live server's entries have the same fields as the recorded ones.

import { lastValueFrom } from 'rxjs';
import grafana from './grafana.cjs';
import { lengthFrame, seriesFrame, streamFrame } from './frames.js';
import { panelsOf } from './layout.js';

const {
  FieldType,
  applyFieldOverrides,
  createTheme,
  getFieldDisplayName,
  getFieldDisplayValues,
  standardTransformers,
  transformDataFrame,
} = grafana;

grafana.standardTransformersRegistry.setInit(() =>
  // Some are exported under two names.
  [...new Set(Object.values(standardTransformers).map(({ id }) => id))].map((id) => ({
    id,
    transformation: Object.values(standardTransformers).find((transformation) => transformation.id === id),
  })),
);
grafana.standardFieldConfigEditorRegistry.setInit(() => []);

const asIs = (text) => text;

/**
 * The frames that a panel draws.
 * @param {object} dashboard
 * @param {object} panel
 * @param {Record<string, Array<[string, string[]]>>} streams entries by key
 */
export async function drawn(dashboard, panel, streams) {
  const asking = panelsOf(dashboard).find(({ id }) => id === panel.targets[0].panelId) ?? panel;
  const frames = asking.targets.flatMap((target) => answer(target, streams));
  const transformed = await lastValueFrom(transformDataFrame(panel.transformations ?? [], frames));
  return applyFieldOverrides({
    data: transformed,
    fieldConfig: panel.fieldConfig,
    replaceVariables: asIs,
    theme: createTheme(),
    fieldConfigRegistry: registry(panel),
  });
}

function answer(target, streams) {
  const store = '{popup}';
  const key = target.keyName?.replace('${store}', store);
  const entries = streams[key] ?? [];
  switch (target.command) {
    case 'xrange':
      return [streamFrame(entries)];
    case 'xrevrange':
      return [streamFrame([...entries].reverse().slice(0, target.count))];
    case 'xlen':
      return [lengthFrame(entries.length)];
    case 'ts.mrange':
      return target.filter
        .match(/metric=\((.*)\)/)[1]
        .split(',')
        .map((metric) => seriesFrame(metric, points(streams[`${store}:metrics`], metric)));
    default:
      return [];
  }
}

function points(entries, metric) {
  return entries.flatMap(([id, words]) => {
    const at = words.findIndex((word, index) => index % 2 === 0 && word === metric);
    return at < 0 ? [] : [[Number(id.split('-')[0]), Number(words[at + 1])]];
  });
}

// All properties that overrides of this panel set.
function registry(panel) {
  const ids = new Set(panel.fieldConfig.overrides.flatMap(({ properties }) => properties.map(({ id }) => id)));
  const items = [...ids].map((id) => ({
    id,
    path: id.replace(/^custom\./, ''),
    isCustom: id.startsWith('custom.'),
    process: asIs,
    shouldApply: () => true,
    override: {},
    editor: {},
    name: id,
  }));
  return new grafana.Registry(() => items);
}

/**
 * What a panel fails to draw, one line each.
 * @param {object} dashboard
 * @param {object} panel
 * @param {Record<string, Array<[string, string[]]>>} streams entries by key
 * @returns {Promise<string[]>}
 */
export async function drawingErrors(dashboard, panel, streams) {
  const frames = await drawn(dashboard, panel, streams);
  const names = new Set(
    frames.flatMap((frame) => frame.fields.flatMap((field) => [field.name, getFieldDisplayName(field, frame)])),
  );
  const missing = panel.fieldConfig.overrides.map(({ matcher }) => matcher.options).filter((name) => !names.has(name));
  const wrong = missing.map((name) => `overrides ${name}, which it does not draw: ${[...names]}`);
  return [...wrong, ...valueErrors(panel, frames)].map((text) => `panel ${panel.id} (${panel.title}) ${text}`);
}

function valueErrors(panel, frames) {
  switch (panel.type) {
    case 'timeseries':
      return seriesErrors(panel, frames);
    case 'table':
      return frames.some((frame) => frame.length > 0) ? [] : ['has no rows'];
    default:
      return numberErrors(panel, frames);
  }
}

// Every series has times with numbers, and exactly one override.
function seriesErrors(panel, frames) {
  return frames.flatMap((frame) => {
    const times = frame.fields.filter(({ type }) => type === FieldType.time);
    const lines = frame.fields.filter(({ type }) => type === FieldType.number);
    const styled = new Set(panel.fieldConfig.overrides.map(({ matcher }) => matcher.options));
    return [
      ...(times.length === 1 && lines.length > 0
        ? []
        : [`has ${times.length} fields of time and ${lines.length} of numbers`]),
      ...lines
        .filter(({ values }) => !values.every(Number.isFinite))
        .map((line) => `draws no number in ${getFieldDisplayName(line, frame)}`),
      ...lines.filter(({ name }) => !styled.has(name)).map(({ name }) => `draws ${name}, which it has no colour for`),
    ];
  });
}

// A stat shows one value, a bar gauge one or more; each must be a number.
function numberErrors(panel, frames) {
  const { fieldConfig, options } = panel;
  const shown = getFieldDisplayValues({
    data: frames,
    reduceOptions: options.reduceOptions,
    fieldConfig,
    replaceVariables: asIs,
    theme: createTheme(),
  });
  // If there is no value, Grafana makes one that says so and belongs to no column.
  const values = shown.filter(({ colIndex }) => colIndex !== undefined);
  const isWanted = panel.type === 'stat' ? values.length === 1 : values.length > 1;
  return [
    ...(isWanted ? [] : [`shows ${values.length} values`]),
    ...values
      .filter(({ display }) => !Number.isFinite(display.numeric))
      .map(({ name, display }) => `shows ${display.text} for ${name}`),
  ];
}
