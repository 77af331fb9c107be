//! What one sees of a sale while it runs.

use std::collections::VecDeque;
use std::time::Duration;

use super::ledger::{Counts, DECLINED, Latency, Ledger, NOT_PAID, WAITED_TOO_LONG};
use super::plan::Schedule;
use crate::store::{Fields, SkuCounts};
use crate::text::{Paint, clock, counted, grouped};

/// Cells of the bar of units, and of the line of placings over time.
const WIDTH: usize = 60;
const RATE_SPAN: Duration = Duration::from_secs(2);
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

type Colour = fn(Paint, String) -> String;

/// What the shop counts, at a moment.
#[derive(Debug, Default)]
pub struct Now {
    pub store: Fields,
    pub sneakers: SkuCounts,
    pub laces: SkuCounts,
}

impl Now {
    /// Orders that have a sneaker and have not ended: those to be paid, those that wait for a worker, those in work and
    /// those to be retried.
    pub fn open_orders(&self) -> i64 {
        ["pending", "queued", "in-work", "retrying"].iter().map(|state| self.store.count(state)).sum()
    }
}

#[derive(Debug)]
pub struct View {
    title: String,
    schedule: Schedule,
    units: i64,
    /// Orders placed and completed at each of the last moments.
    recent: VecDeque<(Duration, [u64; 2])>,
    placed_over_time: [u64; WIDTH],
    placed_before: u64,
}

impl View {
    /// A view of a sale of `units` units.
    pub fn new(store: &str, schedule: Schedule, units: i64) -> View {
        View {
            title: format!("pop-up store {store}: {} sneakers, one a customer", grouped(units)),
            schedule,
            units,
            recent: VecDeque::new(),
            placed_over_time: [0; WIDTH],
            placed_before: 0,
        }
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn record(&mut self, at: Duration, counts: &Counts) {
        self.placed_over_time[self.cell(at)] += counts.placed - self.placed_before;
        self.placed_before = counts.placed;
        self.recent.push_back((at, [counts.placed, counts.completed]));
        while self.recent.front().is_some_and(|(oldest, _)| at.saturating_sub(*oldest) > RATE_SPAN) {
            self.recent.pop_front();
        }
    }

    /// The cell of the line of placings that a time falls into.
    fn cell(&self, at: Duration) -> usize {
        let share = at.as_secs_f64() / self.schedule.ends.as_secs_f64();
        ((WIDTH as f64 * share) as usize).min(WIDTH - 1)
    }

    fn rates(&self) -> [u64; 2] {
        let (Some((from, first)), Some((to, last))) = (self.recent.front(), self.recent.back()) else { return [0; 2] };
        let seconds = (*to - *from).as_secs_f64().max(0.1);
        [0, 1].map(|nth| ((last[nth] - first[nth]) as f64 / seconds).round() as u64)
    }

    fn window(&self, at: Duration) -> String {
        let seconds = |time: Duration| format!("{} s", time.as_secs_f64().ceil());
        match at {
            at if at < self.schedule.opens => format!("opens in {}", seconds(self.schedule.opens - at)),
            at if at < self.schedule.closes => format!("open, closes in {}", seconds(self.schedule.closes - at)),
            _ => "closed".to_string(),
        }
    }

    /// One line, where there is no terminal.
    pub fn line(&self, at: Duration, now: &Now, ledger: &Ledger) -> String {
        let counts = &ledger.counts;
        let [placed_rate, completed_rate] = self.rates();
        let [in_work, retrying, dead, reclaimed, waitlisted] =
            ["in-work", "retrying", "dead-letters", "lapsed", "waitlisted"].map(|name| now.store.count(name));
        let left = now.sneakers.available;
        let store =
            counted!("left {}  waitlist {}  waiting {}  in work {}", left, waitlisted, now.open_orders(), in_work);
        let troubled = counted!("retrying {}  dead {}  reclaimed {}", retrying, dead, reclaimed);
        let ended = counted!("completed {}  cancelled {}", counts.completed, counts.all_cancelled());
        let rates = counted!("orders/s {} placed, {} completed", placed_rate, completed_rate);
        let [placing, fulfilling] = [&ledger.placing, &ledger.fulfilling].map(|latency| {
            let [p50, p99] = latency.p50_p99();
            format!("p50 {p50} p99 {p99}")
        });
        let (time, window, refused) = (clock(at), self.window(at), refusals(counts, " "));
        format!(
            "{time}  {window}  {store}  {troubled}  {ended}  refused {refused}  {rates}  placing {placing}  \
             placed→completed {fulfilling}"
        )
    }

    pub fn picture(&self, at: Duration, now: &Now, ledger: &Ledger) -> Vec<String> {
        let paint = Paint::for_stdout();
        let rates = self.rates();
        let [bar, legend] = self.units(paint, now, &ledger.counts);
        let time = format!("{} of {}", clock(at), clock(self.schedule.ends));
        let mut lines = vec![
            String::new(),
            format!("  {}", paint.strong(&self.title)),
            format!("  {}{}", paint.quiet(format!("{time}   ")), self.window(at)),
            String::new(),
            format!("  {bar}"),
            format!("  {legend}"),
            String::new(),
            format!("  {}", paint.cool(self.sparkline(at))),
        ];
        let per_second = ("orders/s", counted!("{} placed   {} completed", rates[0], rates[1]));
        let rows = [per_second, ("", String::new())].into_iter().chain(rows(&now.store, &ledger.counts));
        lines.extend(rows.map(|(label, text)| row(paint, label, text)));
        lines.extend([
            String::new(),
            row(paint, "", paint.quiet(format!("{:<22}{:>8}{:>10}", "", "p50", "p99"))),
            row(paint, "latency", latency("placing", &ledger.placing)),
            row(paint, "", latency("placed → completed", &ledger.fulfilling)),
            String::new(),
        ]);
        lines
    }

    /// All units by where they are: a bar, and what its parts mean.
    fn units(&self, paint: Paint, now: &Now, counts: &Counts) -> [String; 2] {
        let (waiting, sneakers) = (now.open_orders(), now.sneakers);
        let parts: [(Colour, &str, i64, &str); 4] = [
            (Paint::good, "█", counts.completed as i64 - counts.restocked as i64, "sold"),
            (Paint::warm, "▓", waiting, "ordered"),
            (Paint::cool, "▒", (sneakers.held - waiting).max(0), "in carts"),
            (Paint::quiet, "░", sneakers.available.max(0), "left"),
        ];
        let (mut bar, mut legend, mut units, mut filled) = (String::new(), Vec::new(), 0, 0);
        for (paint_it, cell, count, what) in parts {
            units += count;
            let share = units as f64 / self.units.max(1) as f64;
            // The rest is what is left, to the cell.
            let end = if what == "left" { WIDTH } else { ((share * WIDTH as f64).round() as usize).min(WIDTH) };
            bar += &paint_it(paint, cell.repeat(end.saturating_sub(filled)));
            filled = end;
            legend.push(format!("{} {} {what}", paint_it(paint, cell.to_string()), grouped(count)));
        }
        [bar, legend.join("   ")]
    }

    /// Orders placed over the time of the sale; what is to come is blank.
    fn sparkline(&self, at: Duration) -> String {
        let now = self.cell(at);
        let most = self.placed_over_time.iter().copied().max().unwrap_or(0).max(1);
        let level = |placed: u64| LEVELS[(placed * (LEVELS.len() as u64 - 1)).div_ceil(most) as usize];
        self.placed_over_time.iter().take(now + 1).map(|&placed| level(placed)).collect()
    }
}

/// What happens to orders, in the order of their life.
fn rows(store: &Fields, counts: &Counts) -> Vec<(&'static str, String)> {
    let &Counts { placed, same_reply, died, went_home, too_late, .. } = counts;
    let [pending, waitlisted, in_work, retrying, dead, reclaimed] =
        ["pending", "waitlisted", "in-work", "retrying", "dead-letters", "lapsed"].map(|name| store.count(name));
    let [declined, not_paid, left] = [DECLINED, NOT_PAID, WAITED_TOO_LONG].map(|reason| counts.cancelled_as(reason));
    let cancelled = counts.all_cancelled();
    vec![
        ("customers", counted!("{} came", counts.arrived)),
        ("orders", counted!("{} placed   {} cancelled   {} sent again, same reply", placed, cancelled, same_reply)),
        ("payments", counted!("{} awaited   {} declined   {} never paid", pending, declined, not_paid)),
        ("waitlist", counted!("{} wait   {} gave up", waitlisted, left)),
        (
            "work",
            counted!("{} in hand   {} retrying   {} dead letters   {} reclaimed", in_work, retrying, dead, reclaimed),
        ),
        ("workers", counted!("{} died   {} went home   {} orders too late", died, went_home, too_late)),
        ("carts", counted!("{} filled   {} left to expire", counts.carts, counts.carts_left)),
        ("refused", refusals(counts, "  ")),
    ]
}

fn row(paint: Paint, label: &str, text: String) -> String {
    format!("  {}{text}", paint.quiet(format!("{label:<11}")))
}

fn latency(label: &str, latency: &Latency) -> String {
    let [p50, p99] = latency.p50_p99();
    format!("{label:<22}{p50:>8}{p99:>10}")
}

pub fn refusals(counts: &Counts, gap: &str) -> String {
    let each = counts.refused.iter().map(|(code, count)| format!("{code} {}", grouped(*count)));
    if counts.refused.is_empty() { "none".to_string() } else { each.collect::<Vec<_>>().join(gap) }
}

#[cfg(test)]
mod tests {
    use redis::{FromRedisValue, Value};

    use super::*;

    fn view() -> View {
        View::new("popup", Schedule::of(Duration::from_secs(60)), 100)
    }

    fn info(counts: &[(&str, i64)]) -> Fields {
        let text = |text: &str| Value::SimpleString(text.into());
        let pairs = counts.iter().map(|(name, count)| (text(name), Value::Int(*count)));
        let nothing = (text("next-due"), Value::Nil);
        Fields::from_redis_value(Value::Map(pairs.chain([nothing]).collect())).expect("a map")
    }

    #[test]
    fn the_bar_is_always_as_long() {
        let counts = Counts { completed: 50, ..Counts::default() };
        for (available, held, queued) in [(0, 50, 50), (50, 0, 0), (20, 30, 10), (0, 0, 0), (0, 70, 60)] {
            let sneakers = SkuCounts { available, held, ..SkuCounts::default() };
            let now = Now { store: info(&[("queued", queued)]), sneakers, ..Now::default() };
            let [bar, _] = view().units(Paint::for_stdout(), &now, &counts);
            assert_eq!(bar.chars().filter(|cell| "█▓▒░".contains(*cell)).count(), WIDTH, "{bar}");
        }
    }

    #[test]
    fn rates_look_back_a_little() {
        let mut view = view();
        for second in 0..10_u64 {
            let counts = Counts { placed: 100 * second, completed: 50 * second, ..Counts::default() };
            view.record(Duration::from_secs(second), &counts);
        }
        assert_eq!(view.rates(), [100, 50]);
        assert_eq!(view.placed_over_time.iter().sum::<u64>(), 900);
    }

    #[test]
    fn the_window_opens_and_closes() {
        assert_eq!(view().window(Duration::from_secs(1)), "opens in 2 s");
        assert_eq!(view().window(Duration::from_secs(60)), "closed");
    }
}
