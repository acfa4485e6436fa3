use super::*;
use crate::values::test_kit::{all_chunks, all_scans, element, random_bits, steps};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn contents(hash: &Hash) -> Model {
    hash.iter()
        .map(|(field, value)| (field.to_vec(), value.to_vec()))
        .collect()
}

/// Checks the sums against a walk.
fn audit(hash: &Hash) {
    if let View::Large(large) = hash.view() {
        large.pairs.audit(rehash);
        assert_eq!(
            large.elem_bytes,
            large.pairs.iter().map(Pair::heap).sum::<usize>()
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (element(), element()).prop_map(|(field, value)| Step::Insert(field, value)),
        1 => element().prop_map(Step::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn equals_a_map(steps in steps(step())) {
        let (mut hash, mut model) = (Hash::new(), Model::new());
        for step in steps {
            match step {
                Step::Insert(field, value) => {
                    prop_assert_eq!(hash.insert(&field, &value), model.insert(field.clone(), value.clone()).is_none());
                    prop_assert_eq!(&*hash.get(&field).expect("just inserted"), &value[..]);
                }
                Step::Remove(field) => {
                    prop_assert_eq!(hash.contains(&field), model.contains_key(&field));
                    prop_assert_eq!(hash.remove(&field), model.remove(&field).is_some());
                }
            }
            prop_assert_eq!(hash.len(), model.len());
        }
        audit(&hash);
        audit(&hash.clone());
        prop_assert_eq!(contents(&hash.clone()), model.clone());
        let mut seen = Model::new();
        all_scans(|cursor| hash.scan(cursor, &mut |field, value| { seen.insert(field.to_vec(), value.to_vec()); }));
        prop_assert_eq!(&seen, &model);
        let mut read = Vec::new();
        all_chunks(|cursor| hash.chunk(cursor, 40, &mut |field, value| read.push((field.to_vec(), value.to_vec()))));
        prop_assert_eq!(read.len(), model.len());
        prop_assert_eq!(read.into_iter().collect::<Model>(), model.clone());
        if let Some((field, value)) = hash.random(&mut random_bits(3)) {
            prop_assert_eq!(model.get(&*field).map(|v| &v[..]), Some(&*value));
        }
        while !hash.free_slice(10) {}
        prop_assert_eq!(hash.len(), 0);
    }
}

#[test]
fn grows_out_of_the_packed_form_where_redis_does() {
    let mut hash = Hash::new();
    (0..512).for_each(|n| assert!(hash.insert(format!("f{n}").as_bytes(), b"v")));
    assert_eq!(hash.redis_encoding(), "listpack");
    let order: Vec<Vec<u8>> = hash.iter().map(|(field, _)| field.to_vec()).collect();
    assert_eq!(order[511], b"f511");
    hash.insert(b"f512", b"v");
    assert_eq!(hash.redis_encoding(), "hashtable");

    let mut hash = Hash::new();
    hash.insert(b"f", &[b'v'; 64]);
    assert_eq!(hash.redis_encoding(), "listpack");
    hash.insert(b"f", &[b'v'; 65]);
    assert_eq!(hash.redis_encoding(), "hashtable");
    assert_eq!(hash.len(), 1);
}

#[test]
fn packed_bytes_are_few() {
    let mut hash = Hash::new();
    hash.insert(b"name", b"value");
    hash.insert(b"count", b"100000");
    // Redis's listpack: 7 bytes, and 6 + 7 + 7 + 5 for the entries.
    assert_eq!(hash.heap_size(), 2 + 5 + 6 + 6 + 4);
}

#[test]
fn a_large_hash_costs_little_beyond_its_elements() {
    let mut hash = Hash::new();
    let n = 100_000;
    (0..n).for_each(|i| {
        assert!(hash.insert(
            format!("field:{i:09}").as_bytes(),
            format!("value:{i:09}").as_bytes()
        ))
    });
    assert!(
        hash.heap_size() <= n * 42,
        "{} bytes each",
        hash.heap_size() as f64 / n as f64
    );
}
