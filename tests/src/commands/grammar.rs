//! A small language for the arguments of commands, so that a command is one line in a table.
//!
//! `SET <string> <value> (NX|XX)? (EX <ttl>|KEEPTTL)?`: words stand for themselves, `<…>` for a
//! value from a vocabulary, `(…|…)` for one of the alternatives; `?` after one of these means none
//! or one, `*` none to three, `+` one to three.

use crate::rng::Rng;

/// A line of the language, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    atom: Atom,
    times: Times,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Atom {
    Word(&'static str),
    Slot(&'static str),
    OneOf(Vec<Template>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Times {
    Once,
    Optional,
    Any,
    Some,
}

/// Fills the slots.
pub trait Vocabulary {
    /// Appends the arguments that a slot stands for: one as a rule.
    ///
    /// # Panics
    /// When there is no such slot.
    fn fill(&mut self, slot: &str, rng: &mut Rng, arguments: &mut Vec<Vec<u8>>);
}

impl Template {
    /// Reads a line.
    ///
    /// # Panics
    /// When it is not of the language: lines are constants of this package.
    pub fn parse(line: &'static str) -> Template {
        let mut rest = line;
        let template = sequence(&mut rest);
        assert!(rest.is_empty(), "'{rest}' is left of '{line}'");
        template
    }

    /// The first word: the command's name.
    ///
    /// # Panics
    /// When the line does not start with a word.
    pub fn name(&self) -> &'static str {
        match self.items.first() {
            Some(Item {
                atom: Atom::Word(name),
                ..
            }) => name,
            other => panic!("{other:?} is no command's name"),
        }
    }

    /// All words that can be first: the commands that it stands for.
    pub fn names(&self) -> Vec<&'static str> {
        match self.items.first().map(|item| &item.atom) {
            Some(Atom::Word(name)) => vec![name],
            Some(Atom::OneOf(alternatives)) => {
                alternatives.iter().flat_map(Template::names).collect()
            }
            _ => Vec::new(),
        }
    }

    /// All words, wherever they stand.
    pub fn words(&self) -> Vec<&'static str> {
        let words = |item: &Item| match &item.atom {
            Atom::Word(word) => vec![*word],
            Atom::Slot(_) => Vec::new(),
            Atom::OneOf(alternatives) => alternatives.iter().flat_map(Template::words).collect(),
        };
        self.items.iter().flat_map(words).collect()
    }

    /// Makes arguments of it.
    pub fn expand(
        &self,
        vocabulary: &mut impl Vocabulary,
        rng: &mut Rng,
        arguments: &mut Vec<Vec<u8>>,
    ) {
        for item in &self.items {
            for _ in 0..item.times.draw(rng) {
                match &item.atom {
                    Atom::Word(word) => arguments.push(word.as_bytes().to_vec()),
                    Atom::Slot(slot) => vocabulary.fill(slot, rng, arguments),
                    Atom::OneOf(alternatives) => {
                        rng.pick(alternatives).expand(vocabulary, rng, arguments)
                    }
                }
            }
        }
    }
}

impl Times {
    fn draw(self, rng: &mut Rng) -> u64 {
        match self {
            Times::Once => 1,
            Times::Optional => rng.below(2),
            Times::Any => rng.below(4),
            Times::Some => 1 + rng.below(3),
        }
    }
}

fn sequence(rest: &mut &'static str) -> Template {
    let mut items = Vec::new();
    loop {
        *rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with(['|', ')']) {
            return Template { items };
        }
        items.push(item(rest));
    }
}

fn item(rest: &mut &'static str) -> Item {
    let atom = if let Some(inside) = rest.strip_prefix('(') {
        *rest = inside;
        Atom::OneOf(alternatives(rest))
    } else if let Some(inside) = rest.strip_prefix('<') {
        let (slot, after) = inside
            .split_once('>')
            .unwrap_or_else(|| panic!("'<' without '>' before '{inside}'"));
        *rest = after;
        Atom::Slot(slot)
    } else {
        let end = rest
            .find([' ', '|', '(', ')', '<', '?', '*', '+'])
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        assert!(!word.is_empty(), "no word before '{after}'");
        *rest = after;
        Atom::Word(word)
    };
    let times = match rest.bytes().next() {
        Some(b'?') => Times::Optional,
        Some(b'*') => Times::Any,
        Some(b'+') => Times::Some,
        _ => Times::Once,
    };
    *rest = &rest[usize::from(times != Times::Once)..];
    Item { atom, times }
}

fn alternatives(rest: &mut &'static str) -> Vec<Template> {
    let mut alternatives = Vec::new();
    loop {
        alternatives.push(sequence(rest));
        if let Some(after) = rest.strip_prefix('|') {
            *rest = after;
        } else {
            *rest = rest
                .strip_prefix(')')
                .unwrap_or_else(|| panic!("'(' without ')' before '{rest}'"));
            return alternatives;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Names;

    impl Vocabulary for Names {
        fn fill(&mut self, slot: &str, _: &mut Rng, arguments: &mut Vec<Vec<u8>>) {
            arguments.push(slot.to_uppercase().into_bytes());
        }
    }

    fn expand(line: &'static str, seed: u64) -> String {
        let mut arguments = Vec::new();
        Template::parse(line).expand(&mut Names, &mut Rng::new(seed), &mut arguments);
        String::from_utf8(arguments.join(&b' ')).unwrap()
    }

    #[test]
    fn words_and_slots_stand_once() {
        assert_eq!(expand("SET <key> <value>", 1), "SET KEY VALUE");
        assert_eq!(Template::parse("SET <key>").name(), "SET");
    }

    #[test]
    fn its_words_are_known() {
        let template = Template::parse("(A|B) <x>? (C (D|E))*");
        assert_eq!(template.names(), ["A", "B"]);
        assert_eq!(template.words(), ["A", "B", "C", "D", "E"]);
    }

    #[test]
    fn all_choices_come_up() {
        let line = "A (B <x>|(C|D))? <y>+ E*";
        let seen: std::collections::BTreeSet<_> = (0..500).map(|seed| expand(line, seed)).collect();
        for expected in ["A Y", "A B X Y", "A C Y", "A D Y Y E E E", "A Y Y Y"] {
            assert!(seen.contains(expected), "{expected} is not among {seen:?}");
        }
        assert!(
            seen.iter()
                .all(|text| text.contains('Y') && !text.contains("E E E E"))
        );
    }

    #[test]
    #[should_panic(expected = "without ')'")]
    fn an_open_bracket_is_refused() {
        Template::parse("A (B|C");
    }
}
