//! Runs worlds, and makes a history that fails short.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use regex::Regex;

use super::action::Action;
use super::generate::actions;
use super::tally::Tally;
use super::world::World;

thread_local! {
    /// What the last world failed of; none where a panic is not a world's.
    static FAILED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lets happen what the list says, and then everything end.
pub fn replay(list: &[Action]) -> World {
    let mut world = World::new();
    list.iter().for_each(|action| world.step(action));
    world.settle();
    world
}

/// The same; or why it fails.
fn attempt(list: &[Action]) -> Result<World, String> {
    FAILED.set(Some(String::new()));
    let done = catch_unwind(AssertUnwindSafe(|| replay(list)));
    let why = FAILED.take();
    done.map_err(|_| why.unwrap_or_default())
}

/// Keeps quiet about worlds that fail: they do so many times while they are made shorter.
fn keep_quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_ours =
                FAILED.with_borrow_mut(|failed| failed.as_mut().map(|why| *why = panic.to_string()).is_some());
            if !is_ours {
                usual(panic);
            }
        }));
    });
}

/// How long a history is made shorter: then it is short enough.
const LONGEST_SHORTENING: Duration = Duration::from_secs(60);

/// Leaves out whatever the failure does not need: halves first, single steps in the end.
fn shortest(mut list: Vec<Action>) -> Vec<Action> {
    let until = Instant::now() + LONGEST_SHORTENING;
    let mut part = list.len().div_ceil(2);
    loop {
        let (mut at, before) = (0, list.len());
        while at < list.len() && Instant::now() < until {
            let rest: Vec<_> = [&list[..at], &list[(at + part).min(list.len())..]].concat();
            if attempt(&rest).is_err() {
                list = rest;
            } else {
                at += part;
            }
        }
        if part > 1 {
            part = part.div_ceil(2);
        } else if list.len() == before {
            return list;
        }
    }
}

/// A list as it can be pasted into a test.
fn as_code(list: &[Action]) -> String {
    let bytes = Regex::new(r"\[\d+(, \d+)*\]").expect("a pattern");
    let line = |action: &Action| {
        let text = format!("{action:?}");
        let text = bytes.replace_all(&text, |found: &regex::Captures<'_>| {
            let bytes: Vec<u8> = found[0].trim_matches(['[', ']']).split(", ").map(|n| n.parse().unwrap()).collect();
            format!("b\"{}\".to_vec()", bytes.escape_ascii())
        });
        format!("        {},\n", text.replace('[', "vec!["))
    };
    list.iter().map(line).collect()
}

/// Fails with the shortest history of a seed.
fn fail(seed: u64, list: Vec<Action>) -> ! {
    let list = shortest(list);
    let why = attempt(&list).err().unwrap_or_default();
    panic!("the world of seed {seed} fails: {why}\n\n    replay(&[\n{}    ]);\n", as_code(&list));
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs worlds of the seeds that come next, until the time is over.
fn work(next: &AtomicU64, until: Instant, last: u64) -> Tally {
    let mut tally = Tally::default();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= last || Instant::now() >= until {
            return tally;
        }
        let list = actions(seed);
        tally.count(&list);
        match attempt(&list) {
            Ok(world) => tally.add_outcomes(&world.outcomes),
            Err(_) => {
                next.store(u64::MAX, Ordering::Relaxed);
                fail(seed, list)
            }
        }
    }
}

/// `HOLDFAST_SEED`: of that seed alone. `HOLDFAST_SEEDS`: from it on, so many. `HOLDFAST_SECONDS`: for so long, other
/// worlds every time.
#[test]
fn worlds_hold_what_is_promised() {
    keep_quiet();
    let (seed, count) = (variable("HOLDFAST_SEED"), variable("HOLDFAST_SEEDS"));
    let seconds = variable("HOLDFAST_SECONDS");
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let first = seed.unwrap_or(if seconds.is_some() { since } else { 1 });
    let count = count.or(seed.map(|_| 1)).unwrap_or(if seconds.is_some() { u64::MAX } else { SEEDS });
    let started = Instant::now();
    let until = started + Duration::from_secs(seconds.unwrap_or(3_600));
    let (next, last) = (AtomicU64::new(first), first.saturating_add(count));
    let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| work(&next, until, last))).collect();
        for worker in workers {
            match worker.join() {
                Ok(done) => tally.add(&done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    let pace = tally.steps as f64 / started.elapsed().as_secs_f64();
    println!("{} worlds from seed {first}, {} steps, {pace:.0} a second", tally.worlds, tally.steps);
    tally.print();
}

/// Worlds of a run that nobody asked for more.
const SEEDS: u64 = 40;
