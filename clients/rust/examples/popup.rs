//! A pop-up shop: 20 mugs, 30 customers, two workers. REDIS_URL=redis://… cargo run --example popup

use std::sync::LazyLock;
use std::thread;
use std::time::Duration;

use holdfast_client::{
    Error, Failed, Job, Outcome, Worker, inv_get, inv_reserve, inv_set, order_place, store_info, store_set,
};
use redis::ConnectionLike;
use serde_json::json;

/// Each run has a store of its own.
static STORE: LazyLock<String> = LazyLock::new(|| format!("popup-{}", std::process::id()));
const MUGS: u64 = 20;
const CUSTOMERS: u64 = 30;

/// Two mugs a customer at most; a cart holds its units for ten minutes.
fn open_shop(redis: &mut dyn ConnectionLike) -> Result<(), Error> {
    store_set(&STORE).limit(2).hold_ms(600_000).query(redis)?;
    inv_set(&STORE, "mug", MUGS).query(redis)?;
    Ok(())
}

/// A customer puts a mug into the cart and orders it. Each call can be sent again: the ids make it count once.
fn visit(redis: &mut dyn ConnectionLike, customer: &str) -> Result<(), Error> {
    let cart = format!("cart-{customer}");
    match inv_reserve(&STORE, &cart, [("mug", 1)]).customer(customer).query(redis) {
        Err(Error::OutOfStock { available, .. }) => println!("{customer}: sold out ({available} left)"),
        reserved => {
            reserved?;
            let order = order_place(&STORE, &format!("o-{customer}"), customer).data(&json!({"gift": false}));
            order.hold(&cart).query(redis)?;
        }
    }
    Ok(())
}

/// What a worker does with an order. What it returns is kept; an error would be a failed attempt.
fn pack(job: &Job) -> Outcome {
    let order = &job.order;
    if order.attempt == 1 && order.order.ends_with('7') {
        return Err(Failed::Retry { reason: "no box of that size".to_owned(), after_ms: Some(10) });
    }
    println!("packed {} for {}: {:?}", order.order, order.customer, order.items);
    Ok(json!({"parcel": format!("JD-{}", order.order)}))
}

pub fn main() -> Result<(), Error> {
    let url = std::env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".to_owned());
    let client = redis::Client::open(url)?;
    let mut redis = client.get_connection()?;
    open_shop(&mut redis)?;
    // Two handlers at a time. A program of its own would call `run` in `main`, and end on SIGTERM.
    let worker = Worker::new(client, &STORE).concurrency(2);
    let stopper = worker.stopper();
    let working = thread::spawn(move || worker.run(pack));
    for number in 0..CUSTOMERS {
        visit(&mut redis, &format!("c-{number}"))?;
    }
    while store_info(&STORE).query(&mut redis)?.completed < MUGS {
        thread::sleep(Duration::from_millis(50));
    }
    stopper.stop();
    working.join().expect("the worker's thread")?;
    for mug in inv_get(&STORE, &["mug"]).query(&mut redis)?.into_iter().flatten() {
        println!("sold {} of {MUGS}, left {}", mug.sold, mug.available);
    }
    Ok(())
}
