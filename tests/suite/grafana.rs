//! RedisTimeSeries and what Grafana asks of it.

use crate::common::{stack, tests, Server, ServerBinary};

tests![timeseries_loads_beside_holdfast];

fn timeseries_loads_beside_holdfast(binary: &ServerBinary) {
    for binary in stack::with_timeseries(binary) {
        let server = Server::start(&binary);
        let mut client = server.client();
        client.int("INV.SET popup sku-1 10");
        assert_eq!(client.int("TS.ADD {popup}:ts:available 1 10 LABELS store popup metric available"), 1);
        let keys = client.get("TS.QUERYINDEX store=popup").texts();
        assert_eq!(keys, ["{popup}:ts:available"]);
    }
}
