//! Values of flags and of CONFIG parameters: what kinds there are, how each is read and shown.

use std::fmt;

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number between the two bounds, both included.
    Int {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// An amount of memory, in bytes.
    Bytes,
    /// Any text.
    Text,
    /// A text that nobody is shown.
    Secret,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// The value of a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of [`Kind::Bool`].
    Bool(bool),
    /// Of [`Kind::Int`].
    Int(i64),
    /// Of [`Kind::Bytes`].
    Bytes(u64),
    /// Of [`Kind::Text`] and [`Kind::Choice`].
    Text(String),
}

impl Value {
    /// The truth, for a flag of [`Kind::Bool`]; false for another kind.
    pub fn truth(&self) -> bool {
        *self == Value::Bool(true)
    }

    /// The number, for a flag of [`Kind::Int`] or [`Kind::Bytes`] (saturated); 0 for another kind.
    pub fn number(&self) -> i64 {
        match self {
            Value::Int(number) => *number,
            Value::Bytes(bytes) => i64::try_from(*bytes).unwrap_or(i64::MAX),
            _ => 0,
        }
    }

    /// The bytes, for a flag of [`Kind::Bytes`]; 0 for another kind.
    pub fn bytes(&self) -> u64 {
        match self {
            Value::Bytes(bytes) => *bytes,
            _ => 0,
        }
    }

    /// The text, for a flag of [`Kind::Text`] or [`Kind::Choice`]; empty for another kind.
    pub fn text(&self) -> &str {
        match self {
            Value::Text(text) => text,
            _ => "",
        }
    }
}

impl fmt::Display for Value {
    /// As a flag's value is written.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(truth) => write!(out, "{truth}"),
            Value::Int(number) => write!(out, "{number}"),
            Value::Bytes(bytes) => write!(out, "{bytes}"),
            Value::Text(text) => out.write_str(text),
        }
    }
}

impl Kind {
    /// Reads a value as flags are written (booleans as Abseil takes them, units of 1024).
    ///
    /// # Errors
    /// What was expected instead.
    pub fn parse_flag(self, text: &str) -> Result<Value, String> {
        match self {
            Kind::Bool => flag_bool(text).map(Value::Bool),
            Kind::Int { min, max } => flag_int(text, min, max).map(Value::Int),
            Kind::Bytes => flag_bytes(text).map(Value::Bytes),
            Kind::Text | Kind::Secret => Ok(Value::Text(text.to_owned())),
            Kind::Choice(words) => {
                match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                    Some(word) => Ok(Value::Text((*word).to_owned())),
                    None => Err(format!("expected one of {}", words.join(", "))),
                }
            }
        }
    }

    /// Reads a value as CONFIG SET takes it, with the words of Redis 7.0 where it is wrong.
    ///
    /// # Errors
    /// The reason, as it stands after the dash of Redis's error.
    pub fn parse_config(self, text: &str) -> Result<Value, String> {
        match self {
            Kind::Bool => config_bool(text).map(Value::Bool),
            Kind::Int { min, max } => config_int(text, min, max).map(Value::Int),
            Kind::Bytes => config_bytes(text)
                .map(Value::Bytes)
                .ok_or("argument must be a memory value".to_owned()),
            Kind::Text | Kind::Secret => Ok(Value::Text(text.to_owned())),
            Kind::Choice(words) => {
                match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                    Some(word) => Ok(Value::Text((*word).to_owned())),
                    None => Err(format!(
                        "argument(s) must be one of the following: {}",
                        words.join(", ")
                    )),
                }
            }
        }
    }
}

/// The spellings that Abseil takes for a boolean flag.
fn flag_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Ok(true),
        "false" | "f" | "no" | "n" | "0" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

fn flag_int(text: &str, min: i64, max: i64) -> Result<i64, String> {
    match text.trim().parse::<i64>() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        Ok(_) => Err(format!("expected {min} to {max}")),
        Err(_) => Err("expected a whole number".to_owned()),
    }
}

/// `64mb`, `64MiB`, `64m`, `1.5G`, `1024`: units of 1024 whatever the spelling, as Dragonfly reads them.
fn flag_bytes(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected an amount of memory such as 500MB, 1.5G or 64MiB";
    let text = text.trim();
    let digits = text
        .find(|byte: char| !byte.is_ascii_digit() && byte != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = unit_shift(unit.trim()).ok_or(EXPECTED)?;
    if let Ok(whole) = number.parse::<u64>() {
        return whole
            .checked_mul(1 << shift)
            .ok_or_else(|| "too much".to_owned());
    }
    let bytes = number.parse::<f64>().map_err(|_| EXPECTED)? * (1u64 << shift) as f64;
    if bytes < u64::MAX as f64 {
        Ok(bytes as u64)
    } else {
        Err("too much".to_owned())
    }
}

/// The power of two of a unit: `""`, `B`, `K`, `KB`, `KiB` and so on up to P.
fn unit_shift(unit: &str) -> Option<u32> {
    let unit = unit.to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (prefix, binary) = match unit.strip_suffix('i') {
        Some(prefix) => (prefix, true),
        None => (unit, false),
    };
    match prefix {
        "" if !binary => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        "p" => Some(50),
        _ => None,
    }
}

fn config_bool(text: &str) -> Result<bool, String> {
    // Dragonfly's own parameters are set with true and false; Redis's with yes and no.
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err("argument must be 'yes' or 'no'".to_owned()),
    }
}

fn config_int(text: &str, min: i64, max: i64) -> Result<i64, String> {
    let canonical =
        !text.starts_with('+') && (text == "0" || !text.trim_start_matches('-').starts_with('0'));
    match text.parse::<i64>() {
        Ok(number) if canonical && (min..=max).contains(&number) => Ok(number),
        Ok(_) if canonical => Err(format!(
            "argument must be between {min} and {max} inclusive"
        )),
        _ => Err("argument couldn't be parsed into an integer".to_owned()),
    }
}

/// Redis's memory values: `k`, `m`, `g` are powers of 1000, `kb`, `mb`, `gb` of 1024; empty is 0.
pub(crate) fn config_bytes(text: &str) -> Option<u64> {
    let digits = text
        .find(|byte: char| !byte.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" => 1_000,
        "kb" => 1 << 10,
        "m" => 1_000_000,
        "mb" => 1 << 20,
        "g" => 1_000_000_000,
        "gb" => 1 << 30,
        _ => return None,
    };
    if number.is_empty() {
        return unit.is_empty().then_some(0);
    }
    Some(
        number
            .parse::<u64>()
            .unwrap_or(u64::MAX)
            .saturating_mul(scale),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_on_the_command_line_counts_in_1024() {
        for (text, bytes) in [
            ("0", 0),
            ("123", 123),
            ("64mb", 64 << 20),
            ("64MB", 64 << 20),
            ("64MiB", 64 << 20),
            ("64m", 64 << 20),
            ("1.5G", 3 << 29),
            ("2 KiB", 2048),
            ("7B", 7),
            ("1t", 1 << 40),
        ] {
            assert_eq!(flag_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "mb", "-1", "1x", "1ib", "1.2.3", "99999999999T"] {
            assert!(flag_bytes(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn memory_in_config_set_counts_as_redis_does() {
        for (text, bytes) in [
            ("", 0),
            ("1k", 1000),
            ("1kb", 1024),
            ("2MB", 2 << 20),
            ("1g", 1_000_000_000),
            ("99999999999999999999", u64::MAX),
        ] {
            assert_eq!(config_bytes(text), Some(bytes), "{text}");
        }
        for bad in ["abc", "-1", "1.5gb", "1mbx", "kb"] {
            assert_eq!(config_bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn booleans_take_abseil_spellings() {
        for (text, truth) in [
            ("true", true),
            ("YES", true),
            ("1", true),
            ("f", false),
            ("No", false),
            ("0", false),
        ] {
            assert_eq!(
                Kind::Bool.parse_flag(text),
                Ok(Value::Bool(truth)),
                "{text}"
            );
        }
        assert!(Kind::Bool.parse_flag("maybe").is_err());
        assert!(Kind::Bool.parse_config("1").is_err());
    }

    #[test]
    fn integers_in_config_set_are_strict() {
        let kind = Kind::Int {
            min: 0,
            max: 2_147_483_647,
        };
        assert_eq!(kind.parse_config("7"), Ok(Value::Int(7)));
        assert_eq!(
            kind.parse_config("-1").unwrap_err(),
            "argument must be between 0 and 2147483647 inclusive"
        );
        for bad in ["", " 1", "01", "1gb", "+1", "x"] {
            assert_eq!(
                kind.parse_config(bad).unwrap_err(),
                "argument couldn't be parsed into an integer",
                "{bad}"
            );
        }
    }
}
