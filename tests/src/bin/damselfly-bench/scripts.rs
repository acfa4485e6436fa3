//! Scripts on one core: one that writes and reads a key, by its text and without and with a pipeline.

use crate::case::{Case, Ratio, Rounds, Row, Target};
use crate::suite::{CPU, Test, start};

/// A script that sets a key and gets it again. (Without blanks: they part the arguments.)
const SET_AND_GET: &str = "-r 100000 EVAL redis.call('SET',KEYS[1],ARGV[1])return(redis.call('GET',KEYS[1])) 1 key:__rand_int__ 0123456789abcdef";

macro_rules! case {
    ($name:literal, $title:literal, $pipeline:literal) => {
        Case {
            name: $name,
            summary: $title,
            rows: &[
                Row {
                    what: $title,
                    unit: "op/s",
                    ratio: Ratio::Ours,
                    target: Target::RatioAtLeast(1.0),
                },
                CPU,
            ],
            rounds: Rounds::All,
            needs: Some("EVAL"),
            start: |kind, scale| {
                let test = Test {
                    arguments: SET_AND_GET,
                    before: None,
                };
                start(kind, scale.requests / 4, $pipeline, test)
            },
        }
    };
}

/// Without pipeline and with one.
pub const CASES: &[Case] = &[
    case!("eval", "EVAL of SET and GET, no pipeline", 1),
    case!("eval-pipeline", "EVAL of SET and GET, pipeline 16", 16),
];
