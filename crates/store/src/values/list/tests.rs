use super::*;
use crate::values::test_kit::{all_chunks, element, steps};
use proptest::prelude::*;
use std::collections::VecDeque;

type Model = VecDeque<Vec<u8>>;

fn audit(list: &List) {
    if let Form::Large(nodes) = &list.0 {
        nodes.audit();
    }
}

/// Elements, some of them big, so that few make a node.
fn list_element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        10 => element(),
        5 => (0u8..4, 100usize..3000).prop_map(|(byte, len)| vec![byte; len]),
        1 => (0u8..4, 7000usize..20_000).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    PushFront(Vec<u8>),
    PushBack(Vec<u8>),
    PopFront,
    PopBack,
    Insert(usize, Vec<u8>),
    Set(usize, Vec<u8>),
    RemoveRange(usize, usize),
    RemoveEqual(Vec<u8>, usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => list_element().prop_map(Step::PushFront),
        6 => list_element().prop_map(Step::PushBack),
        1 => Just(Step::PopFront),
        1 => Just(Step::PopBack),
        4 => (any::<usize>(), list_element()).prop_map(|(index, element)| Step::Insert(index, element)),
        2 => (any::<usize>(), list_element()).prop_map(|(index, element)| Step::Set(index, element)),
        1 => (any::<usize>(), 0usize..40).prop_map(|(start, count)| Step::RemoveRange(start, count)),
        1 => (element(), 0usize..4, any::<bool>()).prop_map(|(element, max, back)| Step::RemoveEqual(element, max, back)),
    ]
}

fn remove_equal_in_model(model: &mut Model, element: &[u8], max: usize, from_back: bool) -> usize {
    let mut found: Vec<usize> = (0..model.len())
        .filter(|&at| model[at] == element)
        .collect();
    if from_back {
        found.reverse();
    }
    found.truncate(max);
    found.sort_unstable_by(|a, b| b.cmp(a));
    found.iter().for_each(|&at| {
        model.remove(at);
    });
    found.len()
}

fn apply(step: Step, list: &mut List, model: &mut Model) -> Result<(), TestCaseError> {
    let len = model.len();
    match step {
        Step::PushFront(element) => {
            list.push_front(&element);
            model.push_front(element);
        }
        Step::PushBack(element) => {
            list.push_back(&element);
            model.push_back(element);
        }
        Step::PopFront => prop_assert_eq!(list.pop_front(), model.pop_front()),
        Step::PopBack => prop_assert_eq!(list.pop_back(), model.pop_back()),
        Step::Insert(index, element) => {
            list.insert(index % (len + 1), &element);
            model.insert(index % (len + 1), element);
        }
        Step::Set(index, element) => {
            let index = index % (len + 1);
            prop_assert_eq!(list.set(index, &element), index < len);
            if let Some(place) = model.get_mut(index) {
                *place = element;
            }
        }
        Step::RemoveRange(start, count) => {
            let start = start % (len + 1);
            let end = (start + count).min(len);
            prop_assert_eq!(list.remove_range(start, count), end - start);
            model.drain(start..end);
        }
        Step::RemoveEqual(element, max, back) => {
            prop_assert_eq!(
                list.remove_equal(&element, max, back),
                remove_equal_in_model(model, &element, max, back)
            );
        }
    }
    Ok(())
}

fn check_reading(list: &List, model: &Model) -> Result<(), TestCaseError> {
    prop_assert!(list.iter().eq(model.iter().map(|element| &element[..])));
    prop_assert!(
        list.iter_rev()
            .eq(model.iter().rev().map(|element| &element[..]))
    );
    for index in (0..model.len()).step_by(13) {
        prop_assert!(list.get(index).is_some_and(|item| item == model[index][..]));
        prop_assert!(
            list.iter_from(index)
                .eq(model.iter().skip(index).map(|element| &element[..]))
        );
        prop_assert!(
            list.range(index, 9).rev().eq(model
                .iter()
                .skip(index)
                .take(9)
                .rev()
                .map(|element| &element[..]))
        );
    }
    prop_assert!(list.get(model.len()).is_none());
    let mut read = Model::new();
    all_chunks(|cursor| {
        list.chunk(cursor, 3000, &mut |element| {
            read.push_back(element.to_vec())
        })
    });
    prop_assert_eq!(&read, model);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn equals_a_deque(steps in steps(step())) {
        let (mut list, mut model) = (List::new(), Model::new());
        for step in steps {
            apply(step, &mut list, &mut model)?;
            prop_assert_eq!(list.len(), model.len());
        }
        audit(&list);
        audit(&list.clone());
        check_reading(&list.clone(), &model)?;
        list.keep_range(3, 20);
        prop_assert!(list.iter().eq(model.iter().skip(3).take(20).map(|element| &element[..])));
        audit(&list);
        while !list.free_slice(10) {}
        prop_assert_eq!(list.len(), 0);
    }
}

#[test]
fn both_ends_meet() {
    let mut list = List::new();
    (0..5000).for_each(|n| list.push_back(n.to_string().as_bytes()));
    let mut iter = list.iter();
    for n in 0..2500 {
        assert!(
            iter.next()
                .is_some_and(|item| item == n.to_string().as_bytes())
        );
        assert!(
            iter.next_back()
                .is_some_and(|item| item == (4999 - n).to_string().as_bytes())
        );
    }
    assert!(iter.next().is_none() && iter.next_back().is_none());
}

#[test]
fn small_lists_are_one_blob_and_large_ones_go_back_to_it() {
    let mut list = List::new();
    list.push_back(b"abc");
    list.push_back(b"100");
    assert_eq!(list.heap_size(), 2 + 5 + 2);
    (0..10_000).for_each(|_| list.push_back(b"abc"));
    audit(&list);
    assert!(list.heap_size() < 10_002 * 6);
    list.keep_range(0, 2);
    assert_eq!(list.heap_size(), 2 + 5 + 2);
}
