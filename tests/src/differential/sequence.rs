//! Sequences of commands that go to both servers: drawn from a seed, damaged here and there.

use damselfly_resp::Proto;

use crate::client::Args;
use crate::commands::{
    Compare, Family, Generator, ROWS, Row, Words, about_library, can_be_scripted, scripted,
};
use crate::rng::Rng;

/// Commands of a hundred that are damaged.
const DAMAGED_PERCENT: u64 = 8;
/// Commands of a hundred whose words change case.
const CASE_PERCENT: u64 = 10;
/// Commands of a hundred that are put into scripts, where they can be.
const SCRIPTED_PERCENT: u64 = 15;
/// Commands whose damaged form could choose at random, wait, say where a scan stands, or keep an estimate.
const FRAGILE: [&[u8]; 11] = [
    b"PFCOUNT", b"COMMAND", b"SPOP", b"WAIT", b"CLIENT", b"SCAN", b"HSCAN", b"SSCAN", b"ZSCAN",
    b"BLMPOP", b"BZMPOP",
];
/// Commands that wait as long as their last argument says.
const WAITING: [&[u8]; 6] = [
    b"BLPOP",
    b"BRPOP",
    b"BLMOVE",
    b"BRPOPLPUSH",
    b"BZPOPMIN",
    b"BZPOPMAX",
];

/// A command, and how its replies compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// How its replies compare.
    pub compare: Compare,
    /// The command.
    pub args: Args,
}

impl Step {
    /// The command's name in upper case.
    pub fn name(&self) -> String {
        self.args
            .first()
            .map(|name| String::from_utf8_lossy(name).to_uppercase())
            .unwrap_or_default()
    }

    /// The command as `redis-cli` would take it.
    pub fn line(&self) -> String {
        let quoted = |arg: &Vec<u8>| match !arg.is_empty()
            && arg
                .iter()
                .all(|byte| byte.is_ascii_graphic() && !b"\"'\\".contains(byte))
        {
            true => String::from_utf8_lossy(arg).into_owned(),
            false => format!("\"{}\"", arg.escape_ascii()),
        };
        self.args.iter().map(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// The sequence of a seed, with commands of the families chosen; its last command compares all that the servers hold.
///
/// # Panics
/// When no family is chosen.
pub fn sequence(seed: u64, commands: usize, choose: impl Fn(Family) -> bool) -> Vec<Step> {
    let mut rng = Rng::new(seed);
    let rows = ROWS.iter().filter(|row| choose(row.family));
    let mut generator = Generator::new(rows, Words::hostile());
    let is_scripted = choose(Family::Scripts);
    let mut steps: Vec<Step> = (0..commands)
        .map(|_| {
            let (row, mut args) = generator.draw(&mut rng);
            damage(&mut args, &mut rng);
            let step = Step {
                compare: row.compare,
                args,
            };
            match is_scripted && rng.percent(SCRIPTED_PERCENT) {
                true => in_script(row, step, &mut generator, &mut rng),
                false => step,
            }
        })
        .collect();
    // Ends an open transaction, whose queue would else hide the last command.
    for line in ["DISCARD", "DEBUG DIGEST"] {
        steps.push(Step {
            compare: Compare::Exact,
            args: crate::client::words(line),
        });
    }
    steps
}

/// The command, in a script if its reply is the same there each time.
fn in_script(row: &Row, step: Step, generator: &mut Generator, rng: &mut Rng) -> Step {
    let exact = |args| Step {
        compare: Compare::Exact,
        args,
    };
    if rng.percent(10) {
        return exact(about_library(rng));
    }
    let fits = |row: &Row, args: &Args| {
        let is_other = matches!(
            row.family,
            Family::Sort | Family::Transactions | Family::Server
        );
        row.compare == Compare::Exact && !is_other && can_be_scripted(args)
    };
    let (other, second) = generator.draw(rng);
    match fits(row, &step.args) && fits(other, &second) {
        true => exact(scripted(&step.args, &second, rng)),
        false => step,
    }
}

fn damage(args: &mut Args, rng: &mut Rng) {
    if rng.percent(CASE_PERCENT) {
        let words = args
            .iter_mut()
            .filter(|arg| arg.iter().all(|byte| byte.is_ascii_uppercase()));
        words.for_each(|word| {
            word.iter_mut()
                .filter(|_| rng.percent(50))
                .for_each(|byte| byte.make_ascii_lowercase())
        });
    }
    if !rng.percent(DAMAGED_PERCENT) {
        return;
    }
    let fragile = FRAGILE
        .iter()
        .any(|name| args[0].eq_ignore_ascii_case(name));
    // Where members have different scores, ranges of members have no meaning, and an unsorted set has no order.
    let unstable: [&[u8]; 2] = [b"lex:", b"sset:"];
    let is_unstable = |arg: &Vec<u8>| unstable.iter().any(|start| arg.starts_with(start));
    let fragile = fragile || args.iter().any(is_unstable);
    let place = 1 + rng.index(args.len());
    match rng.below(6) {
        // COMMAND alone lists all commands.
        0 if !args[0].eq_ignore_ascii_case(b"COMMAND") => args.truncate(1),
        _ if fragile => {}
        1 => args.truncate(place),
        2 if place < args.len() => drop(args.remove(place)),
        3 if place < args.len() => args.insert(place, args[place].clone()),
        4 if place < args.len() && !waits(args, place) => {
            args[place] = rng
                .pick(&[&b"NOSUCHOPTION"[..], b"", b"-1", b"1e5", b"string:1"])
                .to_vec()
        }
        _ => args.push(b"extra".to_vec()),
    }
}

/// Whether the argument could say how long a command waits.
fn waits(args: &Args, place: usize) -> bool {
    place + 1 == args.len()
        && WAITING
            .iter()
            .any(|name| args[0].eq_ignore_ascii_case(name))
}

/// What tells one protocol from the other in messages.
pub fn protocol_number(proto: Proto) -> u8 {
    match proto {
        Proto::Resp2 => 2,
        Proto::Resp3 => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats() {
        assert_eq!(sequence(3, 200, |_| true), sequence(3, 200, |_| true));
        assert_ne!(sequence(3, 200, |_| true), sequence(4, 200, |_| true));
        assert_eq!(
            sequence(3, 200, |_| true).last().unwrap().line(),
            "DEBUG DIGEST"
        );
    }

    #[test]
    fn every_command_comes_up_and_some_are_damaged() {
        let steps: Vec<Step> = (0..30)
            .flat_map(|seed| sequence(seed, 400, |_| true))
            .collect();
        let names: std::collections::BTreeSet<String> = steps.iter().map(Step::name).collect();
        for name in [
            "SET",
            "LMPOP",
            "HSCAN",
            "ZRANGESTORE",
            "EXEC",
            "PEXPIREAT",
            "CONFIG",
            "UNLINK",
        ] {
            assert!(names.contains(name), "{name}");
        }
        assert!(
            steps
                .iter()
                .any(|step| step.args.len() == 1 && step.name() == "ZADD")
        );
    }

    #[test]
    fn nothing_random_is_drawn() {
        for step in (0..30)
            .flat_map(|seed| sequence(seed, 400, |_| true))
            .filter(|step| step.name() == "SPOP")
        {
            assert!(
                step.args.len() == 1 || step.args.get(2).is_some_and(|count| count == b"100000"),
                "{}",
                step.line()
            );
        }
    }

    #[test]
    fn lines_quote_what_is_no_word() {
        let step = Step {
            compare: Compare::Exact,
            args: vec![b"SET".to_vec(), b"a b".to_vec(), vec![0], Vec::new()],
        };
        assert_eq!(step.line(), r#"SET "a b" "\x00" """#);
    }
}
