//! The bytes that `docs/wire.md` shows are those that are written.

use damselfly_journal::{Journal, JournalOptions, RecordWriter, RunBuilder, StreamLevel};

const PAGE: &str = include_str!("../../../docs/wire.md");

/// The bytes of the page's lines that begin as `first` does, up to and with the CHECK: hexadecimal pairs at the beginnings of lines.
fn shown(first: &str) -> Vec<u8> {
    let at = PAGE.find(first).expect("the page shows it");
    let lines = PAGE[at..].lines().take_while(|line| *line != "```");
    let pairs = lines.flat_map(|line| {
        line.split_whitespace().map_while(|word| {
            u8::from_str_radix(word, 16)
                .ok()
                .filter(|_| word.len() == 2)
        })
    });
    pairs.collect()
}

fn written(txid: u64, shards: u16, commands: &[&[&str]], selected: bool) -> Vec<u8> {
    let mut journal = Journal::new(JournalOptions::default());
    let mut writer = RecordWriter::stable(StreamLevel::Extended);
    let mut out = Vec::new();
    if selected {
        // Something before it has selected the database.
        let mut first = RunBuilder::new(0, 1);
        first.command(0, &[b"X"]);
        writer.run(&mut out, &journal.append(&mut first, 0));
        writer.end_write(&mut out);
        out.clear();
    }
    let mut run = RunBuilder::new(txid, shards);
    for words in commands {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        run.command(0, &words);
    }
    writer.run(&mut out, &journal.append(&mut run, 0));
    writer.end_write(&mut out);
    out
}

#[test]
fn a_first_write_is_as_documented() {
    assert_eq!(
        written(0, 1, &[&["SET", "k", "v"]], false),
        shown("06 00  ")
    );
}

#[test]
fn a_transactions_part_is_as_documented() {
    let commands: [&[&str]; 2] = [&["SET", "a", "1"], &["DEL", "b"]];
    assert_eq!(written(17, 2, &commands, true), shown("21 11 02 02"));
}
