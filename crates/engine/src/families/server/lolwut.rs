//! LOLWUT: a picture, and the version below it. Ours is the wing of a damselfly: a net of cells that get smaller towards the tip.

use crate::command::CommandResult;
use crate::families::connection::REDIS_VERSION;
use crate::families::options::is_word;
use crate::session::Session;
use damselfly_resp::{ReplyWriter, parse_i64};

/// Rows and columns, unless the client says otherwise; and at most.
const SIZE: (usize, usize) = (9, 66);
const MAX_SIZE: (usize, usize) = (40, 160);

pub(super) fn lolwut(_: &mut Session, args: &[&[u8]], out: &mut ReplyWriter<'_>) -> CommandResult {
    let rest = match args {
        [_, word, version, rest @ ..] if is_word(word, "version") => {
            parse_i64(version).ok_or(crate::CommandError::NotInteger)?;
            rest
        }
        [_, rest @ ..] => rest,
        [] => &[],
    };
    let size = |at: usize, default: usize, most: usize| {
        let wanted = rest.get(at).and_then(|text| parse_i64(text));
        wanted
            .and_then(|wanted| usize::try_from(wanted).ok())
            .map_or(default, |wanted| wanted.clamp(3, most))
    };
    let columns = size(0, SIZE.1, MAX_SIZE.1);
    let rows = size(1, SIZE.0, MAX_SIZE.0);
    let text = format!(
        "{}\nThe wing of a damselfly. Redis ver. {REDIS_VERSION}\n",
        wing(rows, columns)
    );
    out.verbatim(*b"txt", text);
    Ok(())
}

/// Two edges that meet at the tip, and veins between them.
fn wing(rows: usize, columns: usize) -> String {
    let mut text = String::new();
    let middle = (rows - 1) as f64 / 2.0;
    for row in 0..rows {
        let line: String = (0..columns)
            .map(|column| cell(row as f64 - middle, middle, column, columns))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn cell(height: f64, middle: f64, column: usize, columns: usize) -> char {
    let along = column as f64 / (columns - 1) as f64;
    // Narrow where it joins the body, widest behind the middle, round at the end.
    let half = middle
        * (std::f64::consts::PI * along.powf(1.4))
            .sin()
            .max(0.0)
            .sqrt();
    let inside = half - height.abs();
    match inside {
        inside if inside < -0.5 => ' ',
        inside if inside < 0.5 => {
            if height > 0.0 {
                '\''
            } else {
                '.'
            }
        }
        _ if along > 0.8 && along < 0.87 && height < -0.3 * middle => '#',
        _ if height.abs() < 0.5 => '-',
        _ => vein(height, along),
    }
}

fn vein(height: f64, along: f64) -> char {
    let density = 6.0 + 22.0 * along;
    let phase = (along * density + height * 0.5).rem_euclid(1.0);
    match phase {
        phase if phase < 0.25 => '/',
        phase if phase < 0.45 => '\\',
        _ => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wing_has_the_size_that_was_asked_for_and_is_no_empty_page() {
        for (rows, columns) in [(3, 3), SIZE, MAX_SIZE] {
            let wing = wing(rows, columns);
            assert_eq!(wing.lines().count(), rows);
            assert!(wing.lines().all(|line| line.len() <= columns));
        }
        assert!(wing(SIZE.0, SIZE.1).matches('/').count() > 20);
    }
}
