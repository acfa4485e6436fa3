use super::*;
use crate::values::test_kit::{all_chunks, all_scans, element, random_bits, steps};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, f64>;

/// The model in order.
fn sorted(model: &Model) -> Vec<(Vec<u8>, f64)> {
    let mut all: Vec<_> = model
        .iter()
        .map(|(member, &score)| (member.clone(), score))
        .collect();
    all.sort_by(|a, b| compare_scores(a.1, b.1).then_with(|| a.0.cmp(&b.0)));
    all
}

fn collect<'a>(iter: impl Iterator<Item = (Item<'a>, f64)>) -> Vec<(Vec<u8>, f64)> {
    iter.map(|(member, score)| (member.to_vec(), score))
        .collect()
}

/// Checks all that is kept beside the members.
fn audit(zset: &ZSet) {
    let Form::Large(large) = &zset.0 else { return };
    large.index.audit(|&id| large.members.hash(id));
    large.tree.audit();
    large.members.audit();
    assert_eq!(
        (large.index.len(), large.tree.len()),
        (large.len(), large.len())
    );
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-20i32..20).prop_map(f64::from),
        2 => (-2000i32..2000).prop_map(|n| f64::from(n) / 100.0),
        1 => any::<f64>().prop_filter("scores are numbers", |score| !score.is_nan()),
        1 => prop_oneof![Just(0.0), Just(-0.0), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(1e20), Just(1e-7)],
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Insert(Vec<u8>, f64),
    Remove(Vec<u8>),
    RemoveRanks(usize, usize),
    Pop(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => (element(), score()).prop_map(|(member, score)| Step::Insert(member, score)),
        8 => element().prop_map(Step::Remove),
        1 => (0usize..300, 0usize..20).prop_map(|(start, count)| Step::RemoveRanks(start, count)),
        1 => any::<bool>().prop_map(Step::Pop),
    ]
}

fn apply(step: Step, zset: &mut ZSet, model: &mut Model) -> Result<(), TestCaseError> {
    match step {
        Step::Insert(member, score) => {
            let old = zset.insert(&member, score);
            prop_assert_eq!(old, model.get(&member).copied());
            if old != Some(score) {
                model.insert(member.clone(), score);
            }
            prop_assert_eq!(
                zset.score(&member).map(f64::to_bits),
                model.get(&member).copied().map(f64::to_bits)
            );
        }
        Step::Remove(member) => prop_assert_eq!(zset.remove(&member), model.remove(&member)),
        Step::RemoveRanks(start, count) => {
            let gone: Vec<_> = sorted(model).into_iter().skip(start).take(count).collect();
            gone.iter().for_each(|(member, _)| {
                model.remove(member);
            });
            prop_assert_eq!(zset.remove_ranks(start..start + count), gone.len());
        }
        Step::Pop(greatest) => {
            let all = sorted(model);
            let expected = if greatest { all.last() } else { all.first() };
            prop_assert_eq!(zset.pop(greatest), expected.cloned());
            if let Some((member, _)) = expected {
                model.remove(member);
            }
        }
    }
    Ok(())
}

fn check_order(zset: &ZSet, all: &[(Vec<u8>, f64)], probe: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(collect(zset.iter()), all);
    let mut reversed = collect(zset.iter_rev());
    reversed.reverse();
    prop_assert_eq!(reversed, all);
    for (rank, (member, score)) in all.iter().enumerate().step_by(7) {
        prop_assert_eq!(zset.rank(member), Some(rank));
        prop_assert_eq!(
            zset.by_rank(rank)
                .map(|(member, score)| (member.to_vec(), score)),
            Some((member.clone(), *score))
        );
        prop_assert_eq!(
            collect(zset.iter_from_rank(rank).take(70)),
            &all[rank..all.len().min(rank + 70)]
        );
        let mut down = collect(zset.iter_rev_from_rank(rank));
        down.reverse();
        prop_assert_eq!(down, &all[..=rank]);
    }
    prop_assert!(
        zset.by_rank(all.len()).is_none() && zset.iter_rev_from_rank(all.len()).next().is_none()
    );
    for bound in [probe, 0.0, f64::INFINITY, f64::NEG_INFINITY] {
        let below = all.iter().filter(|(_, score)| *score < bound).count();
        let up_to = all.iter().filter(|(_, score)| *score <= bound).count();
        prop_assert_eq!(zset.lower_rank(ScoreBound::Inclusive(bound)), below);
        prop_assert_eq!(zset.lower_rank(ScoreBound::Exclusive(bound)), up_to);
        prop_assert_eq!(
            zset.score_ranks(ScoreBound::Inclusive(bound), ScoreBound::Inclusive(bound)),
            below..up_to
        );
        prop_assert!(
            zset.score_ranks(
                ScoreBound::Exclusive(bound),
                ScoreBound::Inclusive(bound - 1.0)
            )
            .is_empty()
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn equals_a_sorted_map(steps in steps(step()), probe in score()) {
        let (mut zset, mut model) = (ZSet::new(), Model::new());
        for step in steps {
            apply(step, &mut zset, &mut model)?;
            prop_assert_eq!(zset.len(), model.len());
        }
        audit(&zset);
        audit(&zset.clone());
        let all = sorted(&model);
        check_order(&zset.clone(), &all, probe)?;
        let mut seen = Model::new();
        all_scans(|cursor| zset.scan(cursor, &mut |member, score| { seen.insert(member.to_vec(), score); }));
        prop_assert_eq!(sorted(&seen), all.clone());
        let mut read = Vec::new();
        all_chunks(|cursor| zset.chunk(cursor, 50, &mut |member, score| read.push((member.to_vec(), score))));
        prop_assert_eq!(read, all);
        if let Some((member, score)) = zset.random(&mut random_bits(3)) {
            prop_assert_eq!(model.get(&*member), Some(&score));
        }
        while !zset.free_slice(10) {}
        prop_assert_eq!(zset.len(), 0);
    }

    #[test]
    fn lex_ranges_equal_a_sorted_list(members in prop::collection::btree_set(element(), 0..300), a in element(), b in element()) {
        let mut zset = ZSet::new();
        members.iter().for_each(|member| { zset.insert(member, 1.5); });
        let all: Vec<&Vec<u8>> = members.iter().collect();
        let ranks = zset.lex_ranks(LexBound::Inclusive(&a), LexBound::Exclusive(&b));
        let expected: Vec<&Vec<u8>> = all.iter().copied().filter(|member| **member >= a && **member < b).collect();
        prop_assert_eq!(&all[ranks], &expected[..]);
        let ranks = zset.lex_ranks(LexBound::Exclusive(&a), LexBound::Inclusive(&b));
        let expected: Vec<&Vec<u8>> = all.iter().copied().filter(|member| **member > a && **member <= b).collect();
        prop_assert_eq!(&all[ranks], &expected[..]);
        prop_assert_eq!(zset.lex_ranks(LexBound::Min, LexBound::Max), 0..all.len());
        prop_assert!(zset.lex_ranks(LexBound::Max, LexBound::Min).is_empty());
    }
}

#[test]
fn a_tree_of_three_levels_shrinks_to_nothing() {
    let mut zset = ZSet::new();
    let mut rng = random_bits(11);
    let name = |n: u32| format!("member:{n}").into_bytes();
    for n in 0..20_000 {
        zset.insert(&name(n), (rng() % 5000) as f64);
    }
    audit(&zset);
    assert!((0..20_000).step_by(97).all(|n| {
        let rank = zset.rank(&name(n)).expect("a member");
        *zset.by_rank(rank).expect("a rank").0 == name(n)[..]
    }));
    for n in 0..19_900 {
        assert!(zset.remove(&name(n)).is_some());
    }
    audit(&zset);
    assert_eq!(zset.iter().count(), 100);
    assert!(zset.heap_size() < 100 * 200, "{} bytes", zset.heap_size());
    assert_eq!(zset.remove_ranks(0..100), 100);
    audit(&zset);
}

#[test]
fn a_big_set_equals_a_sorted_map_through_growth_and_decay() {
    let (mut zset, mut model) = (ZSet::new(), Model::new());
    let mut rng = random_bits(23);
    for (round, insert_chance) in [90, 50, 30, 80, 10].into_iter().enumerate() {
        for _ in 0..12_000 {
            let member = format!("member:{}", rng() % 20_000).into_bytes();
            let step = match rng() % 100 < insert_chance {
                true => Step::Insert(member, (rng() % 300) as f64),
                false => Step::Remove(member),
            };
            apply(step, &mut zset, &mut model).expect("equal to the model");
        }
        audit(&zset);
        assert_eq!(collect(zset.iter()), sorted(&model), "after round {round}");
    }
}

#[test]
fn loading_in_order_fills_the_leaves() {
    let n = 50_000;
    let load = |score: fn(u32) -> f64| {
        let mut zset = ZSet::new();
        (0..n).for_each(|i| {
            zset.insert(format!("member:{i:06}").as_bytes(), score(i));
        });
        audit(&zset);
        zset.heap_size() as f64 / f64::from(n)
    };
    let (up, down, mixed) = (
        load(f64::from),
        load(|i| -f64::from(i)),
        load(|i| f64::from(i.wrapping_mul(2_654_435_761))),
    );
    assert!(
        up < 50.0 && down < 50.0 && mixed < 58.0,
        "{up} {down} {mixed} bytes a member"
    );
}

#[test]
fn minus_zero_is_zero_in_order_and_stays_itself() {
    let mut zset = ZSet::new();
    zset.insert(b"b", -0.0);
    zset.insert(b"a", 0.0);
    assert_eq!(zset.rank(b"b"), Some(1));
    assert!(
        zset.score(b"b")
            .is_some_and(|score| score.is_sign_negative())
    );
    assert_eq!(zset.insert(b"b", 0.0), Some(0.0));
    assert!(
        zset.score(b"b")
            .is_some_and(|score| score.is_sign_negative())
    );
}

#[test]
fn grows_out_of_the_packed_form_where_redis_does() {
    let mut zset = ZSet::new();
    (0..128).for_each(|n| assert!(zset.insert(format!("m{n}").as_bytes(), 0.1).is_none()));
    assert_eq!(zset.redis_encoding(), "listpack");
    zset.insert(b"m128", 1.0);
    assert_eq!(zset.redis_encoding(), "skiplist");
    let mut zset = ZSet::new();
    zset.insert(&[b'x'; 65], 1.0);
    assert_eq!(zset.redis_encoding(), "skiplist");
}
