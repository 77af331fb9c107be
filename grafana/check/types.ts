// The type of a dashboard in this folder: Grafana's published types, completed with the options of the panels and the
// queries of the data sources, as they are in JSON.

import type {
  Dashboard,
  DataSourceRef,
  FieldConfigSource,
  GraphFieldConfig,
  Panel,
  RowPanel,
  TableFieldOptions,
} from '@grafana/schema';
import type { Options as BarGauge } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as Table } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { Options as TimeSeries } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// A type as in JSON: an enumeration of strings is one of those strings.
type Json<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends Array<infer Item>
      ? Array<Json<Item>>
      : T extends object
        ? { [Key in keyof T]: Json<T[Key]> }
        : T;

interface Query {
  refId: string;
  datasource: DataSourceRef;
}

interface Streaming {
  streaming?: true;
  // Milliseconds.
  streamingInterval?: number;
  // Grafana 10 and later draw nothing for the other kind, 'TimeSeries'.
  streamingDataType?: 'DataFrame';
}

// The queries of the Redis data source 2.x, as its backend reads them; `query` is only for its command line.
interface StreamRange extends Query, Streaming {
  type: 'command';
  command: 'xrange' | 'xrevrange';
  keyName: string;
  // Default: the time range of the dashboard.
  start?: string;
  end?: string;
  count?: number;
  query: '';
}

interface StreamLength extends Query, Streaming {
  type: 'command';
  command: 'xlen';
  keyName: string;
  query: '';
}

interface TimeSeriesRange extends Query {
  type: 'timeSeries';
  command: 'ts.mrange';
  filter: string;
  // The labels that name frame and field.
  legend: string;
  value: string;
  // Without an aggregation the plugin sends only the bucket, which TS.MRANGE does not accept.
  aggregation: 'avg' | 'max' | 'min' | 'last' | 'first' | 'sum' | 'count' | 'range';
  // Milliseconds.
  bucket: number;
  fill: boolean;
  query: '';
}

// The result of another panel's query.
interface Shared extends Query {
  panelId: number;
}

// Grafana does not publish this type with the others.
interface Prometheus extends Query {
  expr: string;
  instant: boolean;
  range: boolean;
  legendFormat: string;
  editorMode: 'code';
}

type Target = StreamRange | StreamLength | TimeSeriesRange | Shared | Prometheus;

type Drawn<Type extends string, Options, Custom> = Json<Omit<Panel, 'options' | 'fieldConfig' | 'targets' | 'type'>> & {
  type: Type;
  id: number;
  title: string;
  description: string;
  options: Json<Options>;
  fieldConfig: Json<FieldConfigSource<Custom>>;
  targets: Target[];
};

type AnyPanel =
  | Drawn<'stat', Stat, {}>
  | Drawn<'bargauge', BarGauge, {}>
  | Drawn<'table', Table, Partial<TableFieldOptions>>
  | Drawn<'timeseries', TimeSeries, GraphFieldConfig>;

type Row = Json<Omit<RowPanel, 'panels'>> & { panels: AnyPanel[] };

export type HoldfastDashboard = Json<Omit<Dashboard, 'panels'>> & {
  uid: string;
  title: string;
  panels: Array<AnyPanel | Row>;
};
