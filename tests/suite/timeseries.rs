//! Samples in RedisTimeSeries, with the real module; and a sale that continues whatever that module does.

use crate::common::{
    Client, DEADLINE, Entry, Reply, Server, ServerBinary, entries, open_store, stack, stock, tests, wait_until,
};

tests![
    a_sample_goes_to_a_series_for_each_number,
    a_replica_and_a_log_have_the_series,
    without_the_module_nothing_is_wrong,
    on_auto_and_off,
    a_series_of_another_type_is_counted_and_stops_nothing,
    a_full_server_gets_no_numbers_and_goes_on_selling,
    loaded_later_it_gets_what_comes_from_then_on,
];

const METRICS: &str = "{popup}:metrics";

/// A store `popup` of a hundred units that takes samples as often as possible.
fn shop(binary: &ServerBinary, config: &[&str]) -> (Server, Client) {
    let server = Server::with(binary, &[&["holdfast.sample-ms 20"], config].concat());
    let mut client = server.client();
    open_store(&mut client, "popup", 100);
    client.ok("STORE.SET popup metrics 7200");
    (server, client)
}

/// The samples, once the last one has this many orders placed.
#[track_caller]
fn samples_to(client: &mut Client, placed: usize) -> Vec<Entry> {
    let mut samples = Vec::new();
    wait_until(DEADLINE, &format!("a sample has {placed} orders"), || {
        samples = entries(client, METRICS);
        samples.last().is_some_and(|sample| sample.text("placed") == placed.to_string())
    });
    samples
}

fn place(client: &mut Client, order: usize) {
    client.text(format!("ORDER.PLACE popup o-{order} c-{order} ITEMS sku-1 1"));
}

/// The points of a series: time and number.
fn points(client: &mut Client, metric: &str) -> Vec<(i64, String)> {
    let reply = client.get(format!("TS.RANGE {{popup}}:ts:{metric} - +"));
    reply.array().iter().map(|point| (point.array()[0].int(), point.array()[1].text())).collect()
}

fn done(client: &mut Client, name: &str) -> i64 {
    client.info("holdfast", &format!("holdfast_timeseries_{name}")).parse().expect("a number")
}

fn a_sample_goes_to_a_series_for_each_number(binary: &ServerBinary) {
    for binary in stack::with_timeseries(binary) {
        let (_server, mut client) = shop(&binary, &[]);
        for order in 1..=3 {
            place(&mut client, order);
            samples_to(&mut client, order);
        }
        let samples = samples_to(&mut client, 3);
        for field in samples[0].names() {
            let wanted: Vec<_> = samples.iter().map(|sample| (sample.ms(), sample.text(field))).collect();
            // The first samples may be older than the setting `metrics`: the series have those too.
            let points = points(&mut client, field);
            assert!(points.ends_with(&wanted), "{field}: {points:?}, and not {wanted:?}");
        }
        let series = client.get("TS.QUERYINDEX store=popup").texts();
        assert_eq!(series.len(), samples[0].names().len());
        assert_eq!(client.get("TS.QUERYINDEX store=popup metric=in-work").texts(), ["{popup}:ts:in-work"]);
        assert_eq!((done(&mut client, "loaded"), done(&mut client, "errors")), (1, 0));
        assert!(done(&mut client, "written") >= (samples.len() * series.len()) as i64);
        // A deleted store leaves its series, so that they can be read afterwards.
        client.ok("STORE.DROP popup");
        assert_eq!(client.get("TS.QUERYINDEX store=popup").texts().len(), series.len());
    }
}

fn a_replica_and_a_log_have_the_series(binary: &ServerBinary) {
    for binary in stack::with_timeseries(binary) {
        let (mut server, mut client) = shop(&binary, &["appendonly yes", "appendfsync always"]);
        let replica = server.replica(&binary);
        for order in 1..=3 {
            place(&mut client, order);
            samples_to(&mut client, order);
        }
        client.ok("CONFIG SET holdfast.sample-ms 0");
        let wanted = points(&mut client, "placed");
        let mut reader = replica.client();
        wait_until(DEADLINE, "the replica has the same series", || points(&mut reader, "placed") == wanted);
        server.restart();
        assert_eq!(points(&mut server.client(), "placed"), wanted);
    }
}

fn without_the_module_nothing_is_wrong(binary: &ServerBinary) {
    let (server, mut client) = shop(binary, &[]);
    place(&mut client, 1);
    samples_to(&mut client, 1);
    let told = ["loaded", "written", "errors"].map(|name| done(&mut client, name));
    assert_eq!(told, [0, 0, 0]);
    client.ok("CONFIG SET holdfast.timeseries on");
    place(&mut client, 2);
    samples_to(&mut client, 2);
    wait_until(DEADLINE, "it is counted", || done(&mut client, "errors") > 0);
    assert!(server.log_tail().contains("RedisTimeSeries"), "and told:\n{}", server.log_tail());
}

fn on_auto_and_off(binary: &ServerBinary) {
    let (_server, mut client) = shop(binary, &[]);
    let setting =
        |client: &mut Client| client.get("CONFIG GET holdfast.timeseries").field("holdfast.timeseries").text();
    assert_eq!(setting(&mut client), "auto");
    assert!(client.call("CONFIG SET holdfast.timeseries maybe").is_error());
    client.ok("CONFIG SET holdfast.timeseries off");
    assert_eq!(setting(&mut client), "off");
    for binary in stack::with_timeseries(binary) {
        for (value, writes) in [("off", false), ("auto", true), ("on", true)] {
            let (_server, mut client) = shop(&binary, &[&format!("holdfast.timeseries {value}")]);
            place(&mut client, 1);
            samples_to(&mut client, 1);
            let series = client.get("TS.QUERYINDEX store=popup").texts();
            assert_eq!(!series.is_empty(), writes, "{value}");
        }
    }
}

fn a_series_of_another_type_is_counted_and_stops_nothing(binary: &ServerBinary) {
    for binary in stack::with_timeseries(binary) {
        let server = Server::with(&binary, &["holdfast.sample-ms 20"]);
        let mut client = server.client();
        client.ok("SET {popup}:ts:placed mine");
        open_store(&mut client, "popup", 100);
        client.ok("STORE.SET popup metrics 7200");
        place(&mut client, 1);
        samples_to(&mut client, 1);
        wait_until(DEADLINE, "it is counted", || done(&mut client, "errors") > 0);
        assert_eq!(client.text("GET {popup}:ts:placed"), "mine");
        assert!(!points(&mut client, "available").is_empty(), "the others have their numbers");
        assert_eq!(stock(&mut client, "popup", "sku-1"), (100, 1, 99));
    }
}

fn a_full_server_gets_no_numbers_and_goes_on_selling(binary: &ServerBinary) {
    for binary in stack::with_timeseries(binary) {
        let (_server, mut client) = shop(&binary, &[]);
        place(&mut client, 1);
        samples_to(&mut client, 1);
        wait_until(DEADLINE, "the series are there", || done(&mut client, "written") > 0);
        client.ok("CONFIG SET maxmemory 1");
        // Commands that release units are allowed while memory is full.
        client.int("ORDER.CANCEL popup o-1");
        wait_until(DEADLINE, "it is counted", || done(&mut client, "errors") > 0);
        assert_eq!(stock(&mut client, "popup", "sku-1"), (100, 0, 100));
        let errors = done(&mut client, "errors");
        client.ok("CONFIG SET maxmemory 0");
        place(&mut client, 2);
        samples_to(&mut client, 2);
        wait_until(DEADLINE, "the numbers come again", || {
            points(&mut client, "placed").last().is_some_and(|(_, placed)| placed == "2")
        });
        assert_eq!(done(&mut client, "errors"), errors);
    }
}

fn loaded_later_it_gets_what_comes_from_then_on(binary: &ServerBinary) {
    for with_timeseries in stack::with_timeseries(binary) {
        let Some((plain, module)) = with_timeseries.to_load_later() else { continue };
        let (_server, mut client) = shop(&plain, &["enable-module-command yes"]);
        place(&mut client, 1);
        samples_to(&mut client, 1);
        assert_eq!(done(&mut client, "loaded"), 0);
        let reply = client.call(format!("MODULE LOAD {}", module.display()));
        assert_eq!(reply, Reply::Status(b"OK".to_vec()));
        place(&mut client, 2);
        samples_to(&mut client, 2);
        wait_until(DEADLINE, "the series have it", || {
            points(&mut client, "placed").last().is_some_and(|(_, placed)| placed == "2")
        });
        assert_eq!((done(&mut client, "loaded"), done(&mut client, "errors")), (1, 0));
    }
}
