//! Damaged files: a named error or something read, never a panic, never more memory than the file accounts for.

use damselfly_tests::Rng;

use crate::reading::{read, read_split, values};
use crate::{MEMORY, built, made};

const MUTATIONS: usize = 10_000;
/// What a decoder may take for itself, and for each byte of the file: a byte of LZF stands for up to 88, and an element of one
/// byte has a place of its own in a collection.
const OWN_BYTES: usize = 4 << 20;
const BYTES_EACH: usize = 400;

/// Lengths that promise more than there is.
const HUGE: [&[u8]; 5] = [
    &[0x80, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0x81, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
    &[0x80, 0x1F, 0xFF, 0xFF, 0xFF],
    &[0x7F, 0xFF],
    &[0xC3, 0x80, 0, 0, 0xFF, 0xFF, 0x80, 0x1F, 0xFF, 0xFF, 0xFF],
];

fn mutated(file: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let at = |rng: &mut Rng| 9 + rng.below(file.len() as u64 - 9) as usize;
    match rng.below(4) {
        0 => bytes.truncate(at(rng)),
        1 => {
            let (from, huge) = (at(rng), HUGE[rng.below(HUGE.len() as u64) as usize]);
            let to = (from + huge.len()).min(bytes.len());
            bytes.splice(from..to, huge.iter().copied());
        }
        2 => {
            let from = at(rng);
            let to = (from + 1 + rng.below(8) as usize).min(bytes.len());
            bytes.splice(from..to, []);
        }
        _ => {
            for _ in 0..=rng.below(4) {
                let place = at(rng);
                bytes[place] ^= 1 << rng.below(8);
            }
        }
    }
    bytes
}

#[test]
fn ten_thousand_damaged_files_are_survived() {
    let mut files: Vec<Vec<u8>> = built::files().into_iter().map(|file| file.bytes).collect();
    files.extend(made::small_files());
    let mut rng = Rng::new(7);
    let (mut read_all, mut refused) = (0, 0);
    for number in 0..MUTATIONS {
        let file = mutated(&files[number % files.len()], &mut rng);
        MEMORY.reset_peak_usage();
        let before = MEMORY.current_usage();
        let whole = read(&file, 1 + rng.below(512) as usize);
        let split = read_split(&file, 1 + rng.below(512) as usize, rng.below(2) == 0);
        let built = values(&file);
        let taken = MEMORY.peak_usage().saturating_sub(before);
        let allowed = OWN_BYTES + BYTES_EACH * file.len();
        assert!(
            taken <= allowed,
            "{taken} bytes for {} ({number})",
            file.len()
        );
        assert_eq!(
            whole.is_ok(),
            split.is_ok(),
            "{number}: {whole:?}, {split:?}"
        );
        if let (Ok(whole), Ok(split)) = (&whole, &split) {
            assert_eq!(whole, split, "{number}");
        }
        if let Err(error) = &whole {
            let place = error.at().offset;
            assert!(place <= file.len() as u64, "{number}: {error}");
        }
        match built {
            Ok(_) => read_all += 1,
            Err(_) => refused += 1,
        }
    }
    println!("{read_all} were read, as far as they went, {refused} refused");
    assert!(read_all > 100 && refused > 1000);
}
