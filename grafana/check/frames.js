// The frames that the Redis data source 2.x makes from replies of Redis.

import grafana from './grafana.cjs';

const { FieldType, createDataFrame } = grafana;

/**
 * The frame of an XRANGE or XREVRANGE. As in the plugin, a field is numeric if its first value is a number.
 * @param {Array<[string, string[]]>} entries ids, each with alternating names and values
 */
export function streamFrame(entries) {
  const fields = [
    { name: '$streamId', type: FieldType.string, config: {}, values: entries.map(([id]) => id) },
    {
      name: '$time',
      type: FieldType.time,
      config: { unit: 'µs' },
      values: entries.map(([id]) => Number(id.split('-')[0])),
    },
  ];
  const rows = entries.map(
    ([, words]) => new Map(words.flatMap((word, index) => (index % 2 ? [] : [[word, words[index + 1]]]))),
  );
  for (const name of new Set(rows.flatMap((row) => [...row.keys()]))) {
    const isNumber = !Number.isNaN(Number(rows.find((row) => row.has(name)).get(name)));
    const values = rows.map((row) => (isNumber ? Number(row.get(name) ?? 0) : (row.get(name) ?? '')));
    fields.push({ name, type: isNumber ? FieldType.number : FieldType.string, config: {}, values });
  }
  return createDataFrame({ refId: 'A', fields });
}

/** The frame of an XLEN. */
export function lengthFrame(length) {
  return createDataFrame({
    refId: 'A',
    fields: [{ name: 'Value', type: FieldType.number, config: {}, values: [length] }],
  });
}

/** The frame of one series of a TS.MRANGE, named by its label `metric`. */
export function seriesFrame(metric, points) {
  return createDataFrame({
    refId: 'A',
    name: metric,
    fields: [
      { name: 'time', type: FieldType.time, config: {}, values: points.map(([at]) => at) },
      { name: metric, type: FieldType.number, config: {}, values: points.map(([, value]) => value) },
    ],
  });
}
