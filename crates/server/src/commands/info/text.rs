//! The text of INFO: headlines, `name:value` lines, units.

use std::fmt::{Display, Write};

/// The text so far.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a section.
    pub(super) fn title(&mut self, title: &str) {
        if !self.0.is_empty() {
            self.0.push_str("\r\n");
        }
        let _ = write!(self.0, "# {title}\r\n");
    }

    /// One line.
    pub(super) fn field(&mut self, name: impl Display, value: impl Display) {
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// Lines that all say the same: what a Redis has and this server does not.
    pub(super) fn fields(&mut self, names: &[&str], value: impl Display) {
        names.iter().for_each(|name| self.field(name, &value));
    }

    /// An amount of memory, in bytes and for people.
    pub(super) fn bytes(&mut self, name: &str, bytes: u64) {
        self.field(name, bytes);
        self.field(format_args!("{name}_human"), human(bytes));
    }

    /// Lines that are complete already.
    pub(super) fn lines(&mut self, lines: &str) {
        self.0.push_str(lines);
    }

    /// All of it.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// An amount of memory as Redis prints it for people (`server.c`, `bytesToHuman`).
pub(super) fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let power = (bytes.ilog2() / 10).min(5);
    let unit = b"KMGTP"[power as usize - 1] as char;
    format!("{:.2}{unit}", bytes as f64 / 1024f64.powi(power as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_for_people() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (916_208, "894.73K"),
            (25_276_510_208, "23.54G"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn sections_are_apart() {
        let mut text = Text::default();
        text.title("One");
        text.bytes("a", 2048);
        text.title("Two");
        assert_eq!(
            text.finish(),
            "# One\r\na:2048\r\na_human:2.00K\r\n\r\n# Two\r\n"
        );
    }
}
