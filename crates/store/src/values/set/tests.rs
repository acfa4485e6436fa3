use super::*;
use crate::values::test_kit::{all_chunks, all_scans, element, random_bits, steps};
use proptest::prelude::*;
use std::collections::BTreeSet;

type Model = BTreeSet<Vec<u8>>;

/// Checks the sums against a walk.
fn audit(set: &Set) {
    if let Form::Large(large) = &set.0 {
        large.members.audit(rehash);
        assert_eq!(
            large.elem_bytes,
            large.members.iter().map(Elem::heap_size).sum::<usize>()
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>),
    Remove(Vec<u8>),
    Pop(u64),
}

fn step(member: impl Strategy<Value = Vec<u8>> + Clone) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => member.clone().prop_map(Step::Insert),
        2 => member.prop_map(Step::Remove),
        1 => any::<u64>().prop_map(Step::Pop),
    ]
}

fn integer() -> impl Strategy<Value = Vec<u8>> + Clone {
    prop_oneof![10 => -600i64..600, 1 => any::<i64>()].prop_map(|n| n.to_string().into_bytes())
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (mut set, mut model) = (Set::new(), Model::new());
    for step in steps {
        match step {
            Step::Insert(member) => {
                prop_assert_eq!(set.insert(&member), model.insert(member.clone()));
                prop_assert!(set.contains(&member));
            }
            Step::Remove(member) => {
                prop_assert_eq!(set.contains(&member), model.contains(&member));
                prop_assert_eq!(set.remove(&member), model.remove(&member));
            }
            Step::Pop(seed) => match set.pop_random(&mut random_bits(seed)) {
                Some(member) => prop_assert!(model.remove(&member)),
                None => prop_assert!(model.is_empty()),
            },
        }
        prop_assert_eq!(set.len(), model.len());
    }
    audit(&set);
    audit(&set.clone());
    check_reading(&mut set, &model)
}

fn check_reading(set: &mut Set, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        &set.clone()
            .iter()
            .map(|member| member.to_vec())
            .collect::<Model>(),
        model
    );
    let mut seen = Model::new();
    all_scans(|cursor| {
        set.scan(cursor, &mut |member| {
            seen.insert(member.to_vec());
        })
    });
    prop_assert_eq!(&seen, model);
    let mut read = Vec::new();
    all_chunks(|cursor| set.chunk(cursor, 25, &mut |member| read.push(member.to_vec())));
    prop_assert_eq!(read.len(), model.len());
    prop_assert_eq!(&read.into_iter().collect::<Model>(), model);
    if let Some(member) = set.random(&mut random_bits(9)) {
        prop_assert!(model.contains(&*member));
    }
    while !set.free_slice(10) {}
    prop_assert_eq!(set.len(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn equals_a_set(steps in steps(step(element().boxed()))) {
        run(steps)?;
    }

    #[test]
    fn integers_equal_a_set(steps in steps(step(integer()))) {
        run(steps)?;
    }
}

#[test]
fn integers_stay_sorted_up_to_512() {
    let mut set = Set::new();
    (0..512)
        .rev()
        .for_each(|n: i64| assert!(set.insert((n - 100).to_string().as_bytes())));
    assert!(set.is_intset());
    let all: Vec<i64> = set
        .iter()
        .filter_map(|member| canonical_int(&member))
        .collect();
    assert!(all.is_sorted() && all.len() == 512);
    set.insert(b"5");
    assert!(set.is_intset());
    set.insert(b"1000");
    assert_eq!((set.redis_encoding(), set.len()), ("hashtable", 513));
}

#[test]
fn a_word_among_integers_is_kept_in_order_of_insertion() {
    let mut set = Set::new();
    [&b"3"[..], b"1", b"word", b"2", b"007"]
        .iter()
        .for_each(|member| assert!(set.insert(member)));
    let all: Vec<Vec<u8>> = set.iter().map(|member| member.to_vec()).collect();
    assert_eq!(all, [&b"1"[..], b"3", b"word", b"2", b"007"]);
    assert_eq!(set.redis_encoding(), "hashtable");
    assert!(!set.contains(b"7") && set.contains(b"007"));
}

#[test]
fn popping_is_fair() {
    let mut rng = random_bits(1);
    let mut first = [0u32; 8];
    for _ in 0..8000 {
        let mut set = Set::new();
        (0..8).for_each(|n: i32| assert!(set.insert(n.to_string().as_bytes())));
        let popped = set.pop_random(&mut rng).expect("not empty");
        first[usize::from(popped[0] - b'0')] += 1;
    }
    assert!(
        first.iter().all(|count| (850..1150).contains(count)),
        "{first:?}"
    );
}
