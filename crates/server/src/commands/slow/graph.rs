//! LATENCY GRAPH and DOCTOR: for people.

use super::log_of;
use damselfly_engine::resp::ReplyWriter;
use damselfly_engine::slow::{LatencyEvent, Sample};
use damselfly_engine::thread::unix_ms;
use damselfly_engine::{CommandError, CommandResult, Session};

/// Samples side by side.
const COLUMNS: usize = 80;
/// Lines of a drawing.
const LINES: usize = 4;
/// What fills a line by a third, by two, and wholly; a line below the top is filled with the last.
const INKS: [char; 3] = ['_', 'o', '#'];
const BELOW: char = '|';

pub(super) fn graph(
    session: &mut Session,
    args: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let event = log_of(session).latency.event(args[2]);
    let event = event
        .ok_or_else(|| CommandError::echo("ERR No samples available for event '", args[2], "'"))?;
    let name = String::from_utf8_lossy(args[2]);
    out.verbatim(*b"txt", drawn(&name, &event, unix_ms() / 1000));
    Ok(())
}

fn drawn(name: &str, event: &LatencyEvent, now_s: i64) -> String {
    let times = || event.samples.iter().map(|sample| sample.took_ms);
    let (high, low) = (times().max().unwrap_or(0), times().min().unwrap_or(0));
    let mut text = format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        event.most_ms,
        "-".repeat(COLUMNS)
    );
    let samples: Vec<Sample> = event.samples.iter().copied().collect();
    for part in samples.chunks(COLUMNS) {
        draw(part, low, high, now_s, &mut text);
    }
    text
}

/// Bars from the least time to the greatest, and under each how long ago it was.
fn draw(samples: &[Sample], low: u64, high: u64, now_s: i64, text: &mut String) {
    let steps = (LINES * INKS.len()) as u64;
    let height = |sample: &Sample| {
        let step = (sample.took_ms - low) * steps / (high - low).max(1);
        step.min(steps - 1) as usize
    };
    for line in 0..LINES {
        let floor = (LINES - line - 1) * INKS.len();
        text.extend(
            samples
                .iter()
                .map(|sample| match height(sample).checked_sub(floor) {
                    None => ' ',
                    Some(above) => INKS.get(above).copied().unwrap_or(BELOW),
                }),
        );
        text.push('\n');
    }
    let ages: Vec<Vec<char>> = samples
        .iter()
        .map(|sample| age(now_s - sample.at_s))
        .collect();
    let longest = ages.iter().map(Vec::len).max().unwrap_or(0);
    text.push_str(&" ".repeat(samples.len()));
    text.push('\n');
    for line in 0..longest {
        text.extend(ages.iter().map(|age| age.get(line).copied().unwrap_or(' ')));
        text.push('\n');
    }
}

/// How long ago something was, in its largest unit.
fn age(seconds: i64) -> Vec<char> {
    let (number, unit) = match seconds.max(0) {
        seconds @ 0..60 => (seconds, 's'),
        seconds @ 60..3600 => (seconds / 60, 'm'),
        seconds @ 3600..86_400 => (seconds / 3600, 'h'),
        seconds => (seconds / 86_400, 'd'),
    };
    format!("{number}{unit}").chars().collect()
}

/// What to look at next.
fn advice(event: &str) -> &'static str {
    match event {
        "command" => "SLOWLOG GET shows which commands it were.",
        "fast-command" => {
            "Such commands take no time of their own: the thread or the machine was busy otherwise; look for other processes, and for swapping."
        }
        "expire-cycle" => "Many keys or big values expire at one time; spread their times.",
        "eviction-cycle" => {
            "Memory is at its limit and big values have to go; raise maxmemory, or keep smaller values."
        }
        "loading" => "It is how long the data set took to load.",
        _ => "One step of a snapshot took that long; big values, or a busy machine.",
    }
}

pub(super) fn doctor(
    session: &mut Session,
    _: &[&[u8]],
    out: &mut ReplyWriter<'_>,
) -> CommandResult {
    let log = log_of(session);
    let events = log.latency.events();
    let mut text = if events.is_empty() && log.thresholds().monitor.is_none() {
        "Nothing is watched: CONFIG SET latency-monitor-threshold <milliseconds> says from which time on something is slow.\n"
            .to_owned()
    } else if events.is_empty() {
        "Nothing has taken long.\n".to_owned()
    } else {
        "What took long:\n\n".to_owned()
    };
    for (name, event) in events {
        let count = event.samples.len().max(1) as u64;
        let sum: u64 = event.samples.iter().map(|sample| sample.took_ms).sum();
        text.push_str(&format!(
            "{name}: in {count} seconds, {} ms on average, {} ms at most. {}\n",
            sum / count,
            event.most_ms,
            advice(name)
        ));
    }
    out.verbatim(*b"txt", text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_grow_with_the_time_and_tell_how_long_ago_it_was() {
        let sample = |at_s, took_ms| Sample { at_s, took_ms };
        let event = LatencyEvent {
            samples: [sample(0, 10), sample(4000, 30), sample(4099, 20)].into(),
            most_ms: 40,
        };
        let text = drawn("command", &event, 4100);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "command - high 30 ms, low 10 ms (all time high 40 ms)"
        );
        assert_eq!(lines[1].len(), COLUMNS);
        assert_eq!(
            lines[2..],
            [" # ", " |_", " ||", "_||", "   ", "111", "hms"]
        );
    }
}
