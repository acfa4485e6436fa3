use super::*;
use proptest::prelude::*;

/// The entry of `bytes` alone.
fn entry_of(bytes: &[u8]) -> Scratch {
    let mut out = Scratch::new();
    entry::put_bytes(&mut out, bytes);
    out
}

fn score_entry(score: f64) -> Scratch {
    let mut out = Scratch::new();
    entry::put_score(&mut out, score);
    out
}

#[test]
fn entries_have_the_documented_sizes() {
    let size = |text: &str| entry_of(text.as_bytes()).len();
    assert_eq!(
        ["0", "127", "128", "-1", "4095", "-4096", "4096", "-32768"].map(size),
        [1, 1, 2, 2, 2, 2, 3, 3]
    );
    assert_eq!(
        ["32768", "8388607", "8388608", "2147483648"].map(size),
        [4, 4, 5, 9]
    );
    assert_eq!(
        [
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808"
        ]
        .map(size),
        [9, 9, 20]
    );
    assert_eq!(
        ["", "a", "-0", "01", "+1", "1 ", "-"].map(size),
        [1, 2, 3, 3, 3, 3, 2]
    );
    assert_eq!(
        [63, 64, 4095, 4096].map(|len| entry_of(&vec![b'x'; len]).len()),
        [64, 66, 4097, 4102]
    );
}

#[test]
fn scores_have_the_documented_sizes() {
    let size = |score: f64| score_entry(score).len();
    assert_eq!([0.0, 100.0, 1e15, -1.0].map(size), [1, 1, 9, 2]);
    assert_eq!(
        [0.1, 7.13, 0.5, 1234.567, 7.12345, -0.0].map(size),
        [3, 3, 5, 5, 5, 5]
    );
    assert_eq!(
        [f64::INFINITY, 1e300, std::f64::consts::PI, 9.3e18].map(size),
        [5, 9, 9, 9]
    );
}

#[test]
fn only_one_spelling_is_an_integer() {
    assert_eq!(canonical_int(b"-9223372036854775808"), Some(i64::MIN));
    for text in [
        "",
        "-",
        "-0",
        "00",
        "1a",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551617",
    ] {
        assert_eq!(canonical_int(text.as_bytes()), None, "{text}");
    }
}

/// Any byte string, integers and long ones among them.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        (any::<i64>(), 0u32..64).prop_map(|(int, shift)| (int >> shift).to_string().into_bytes()),
        (any::<u8>(), 60usize..20_000).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

proptest! {
    #[test]
    fn a_byte_string_comes_back(bytes in any_bytes()) {
        let entry = entry_of(&bytes);
        prop_assert_eq!(entry::entry_len(&entry), entry.len());
        prop_assert_eq!(&*Item::from_raw(entry::read(&entry)), &bytes[..]);
    }

    #[test]
    fn a_score_comes_back_to_the_bit(
        score in prop_oneof![any::<f64>(), (any::<i32>(), 0i32..8).prop_map(|(int, digits)| f64::from(int) / 10f64.powi(digits))]
    ) {
        prop_assume!(!score.is_nan());
        let entry = score_entry(score);
        prop_assert_eq!(entry::entry_len(&entry), entry.len());
        prop_assert_eq!(entry::read(&entry).score().to_bits(), score.to_bits());
    }

    #[test]
    fn back_lengths_come_back(len in prop_oneof![0usize..300, 16_000usize..17_000, any::<u32>().prop_map(|n| n as usize)]) {
        let mut out = Scratch::from_slice(&[0xff]);
        entry::put_back_len(&mut out, len);
        prop_assert_eq!(out.len() - 1, entry::back_len_size(len));
        prop_assert_eq!(entry::read_back_len(&out), len);
    }

    #[test]
    fn a_linked_blob_equals_a_vector(
        steps in prop::collection::vec((any::<prop::sample::Index>(), prop::option::weighted(0.7, any_bytes())), 0..60)
    ) {
        let (mut blob, mut model) = (Packed::<true>::new(), Vec::<Vec<u8>>::new());
        for (index, bytes) in steps {
            match bytes {
                Some(bytes) => {
                    let index = index.index(model.len() + 1);
                    blob.insert(blob.seek(index), &Encoder::of(&bytes));
                    model.insert(index, bytes);
                }
                None if model.is_empty() => {}
                None => {
                    let index = index.index(model.len());
                    blob.remove(blob.seek(index), 1);
                    model.remove(index);
                }
            }
            prop_assert_eq!(blob.len(), model.len());
        }
        prop_assert!(blob.iter().eq(model.iter().map(|bytes| &bytes[..])));
        let mut at = blob.end();
        for bytes in model.iter().rev() {
            at = blob.prev(at);
            prop_assert_eq!(&*blob.item(at), &bytes[..]);
        }
        prop_assert_eq!(at, blob.start());
        let half = model.len() / 2;
        let tail = blob.split_off(blob.seek(half), half);
        prop_assert_eq!((blob.len(), tail.len()), (half, model.len() - half));
        blob.append(&tail);
        prop_assert!(blob.iter().eq(model.iter().map(|bytes| &bytes[..])));
    }
}
