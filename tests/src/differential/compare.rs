//! Whether two replies are the same, as far as a command promises.

use damselfly_resp::Reply;

use crate::commands::Compare;

/// A reply and its bytes.
pub type Answer = (Reply, Vec<u8>);

/// Whether two servers answered the same.
pub fn same(compare: Compare, left: &Answer, right: &Answer) -> bool {
    let exact = compare == Compare::Exact || is_error(&left.0) || is_error(&right.0);
    if exact {
        left.1 == right.1
    } else {
        same_reply(compare, &left.0, &right.0)
    }
}

/// The same for the replies of a transaction, each with how it compares.
pub fn same_transaction(compares: &[Compare], left: &Answer, right: &Answer) -> bool {
    if compares.iter().all(|compare| *compare == Compare::Exact) {
        return left.1 == right.1;
    }
    match (&left.0, &right.0) {
        (Reply::Array(left), Reply::Array(right))
            if left.len() == compares.len() && right.len() == compares.len() =>
        {
            compares
                .iter()
                .zip(left.iter().zip(right))
                .all(|(compare, (left, right))| same_reply(*compare, left, right))
        }
        _ => left.1 == right.1,
    }
}

fn same_reply(compare: Compare, left: &Reply, right: &Reply) -> bool {
    if is_error(left) || is_error(right) {
        return left == right;
    }
    match compare {
        Compare::Exact => left == right,
        Compare::Errors => true,
        Compare::Unordered => same_kind(left, right) && sorted(items(left)) == sorted(items(right)),
        Compare::Pairs => same_kind(left, right) && sorted(pairs(left)) == sorted(pairs(right)),
        Compare::Scan => same_page(left, right, |page| sorted(items(page))),
        Compare::ScanPairs => same_page(left, right, |page| sorted(pairs(page))),
        Compare::Near(most) => match (left, right) {
            (Reply::Integer(left), Reply::Integer(right)) if *left > 0 && *right > 0 => {
                left.abs_diff(*right) <= most.unsigned_abs()
            }
            _ => left == right,
        },
        Compare::Clock => same_but_times(left, right),
        Compare::Encoding => left == right || is_changed_string(left, right),
        Compare::Shape => shape(left) == shape(right),
    }
}

fn is_error(reply: &Reply) -> bool {
    matches!(reply, Reply::Error(_))
}

/// Whether Redis says it of a string that it has changed, and the other of what a fresh one would be.
fn is_changed_string(left: &Reply, right: &Reply) -> bool {
    match left.as_text() {
        Some(b"raw") => matches!(right.as_text(), Some(b"int" | b"embstr")),
        Some(b"embstr") => right.as_text() == Some(b"int"),
        _ => false,
    }
}

fn same_kind(left: &Reply, right: &Reply) -> bool {
    std::mem::discriminant(left) == std::mem::discriminant(right)
}

fn same_page(left: &Reply, right: &Reply, content: impl Fn(&Reply) -> Vec<String>) -> bool {
    match (left.as_items(), right.as_items()) {
        (Some([left_cursor, left]), Some([right_cursor, right])) => {
            left_cursor == right_cursor && same_kind(left, right) && content(left) == content(right)
        }
        _ => left == right,
    }
}

/// The items of a list, or the reply itself.
fn items(reply: &Reply) -> Vec<String> {
    match reply.as_items() {
        Some(items) => items.iter().map(|item| format!("{item:?}")).collect(),
        None => vec![format!("{reply:?}")],
    }
}

/// The pairs of a map or of a flat list.
fn pairs(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::Map(pairs) => pairs.iter().map(|pair| format!("{pair:?}")).collect(),
        _ => match reply.as_items() {
            Some(items) => items.chunks(2).map(|pair| format!("{pair:?}")).collect(),
            None => items(reply),
        },
    }
}

fn sorted(mut items: Vec<String>) -> Vec<String> {
    items.sort();
    items
}

/// How far apart the clocks of two servers may be, in milliseconds.
const CLOCKS_APART_MS: u64 = 2_000;
/// Numbers from here on are times since the epoch.
const LEAST_TIME: i64 = 1_000_000_000;

fn same_but_times(left: &Reply, right: &Reply) -> bool {
    let near = |left: &Reply, right: &Reply| match (left, right) {
        (Reply::Integer(left), Reply::Integer(right)) => left.abs_diff(*right) <= CLOCKS_APART_MS,
        _ => false,
    };
    let all = |left: &[Reply], right: &[Reply]| {
        left.len() == right.len()
            && (0..left.len()).all(|at| {
                // `[id, consumer, time or idle, deliveries]`, and `idle` with its value.
                let timed = left.len() == 4 && at == 2 && matches!(left[0], Reply::Bulk(_));
                let idle = at > 0 && left[at - 1] == Reply::Bulk(b"idle".to_vec());
                same_but_times(&left[at], &right[at])
                    || (timed || idle) && near(&left[at], &right[at])
            })
    };
    match (left, right) {
        (Reply::Integer(a), Reply::Integer(b)) if *a.min(b) >= LEAST_TIME => near(left, right),
        (Reply::Array(left), Reply::Array(right)) => all(left, right),
        (Reply::Map(left), Reply::Map(right)) => {
            let flat = |map: &[(Reply, Reply)]| -> Vec<Reply> {
                map.iter()
                    .flat_map(|(key, value)| [key.clone(), value.clone()])
                    .collect()
            };
            let (left, right) = (flat(left), flat(right));
            left.len() == right.len() && all(&left, &right)
        }
        _ => left == right,
    }
}

/// Kind and number of items, down to the first leaf.
fn shape(reply: &Reply) -> String {
    let kind = match reply {
        Reply::Null => "null",
        Reply::Bulk(_) => "bulk",
        Reply::Integer(_) => "integer",
        Reply::Double(_) => "double",
        Reply::Simple(_) => "simple",
        Reply::Map(_) => "map",
        Reply::Set(_) => "set",
        Reply::Array(_) => "array",
        _ => "other",
    };
    match reply.as_items() {
        Some(items) => format!(
            "{kind} of {} {}",
            items.len(),
            items.first().map(shape).unwrap_or_default()
        ),
        None => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use damselfly_resp::ReplyDecoder;

    fn answer(bytes: &str) -> Answer {
        let reply = ReplyDecoder::default()
            .decode(&mut bytes.as_bytes())
            .unwrap()
            .unwrap();
        (reply, bytes.as_bytes().to_vec())
    }

    fn is_same(compare: Compare, left: &str, right: &str) -> bool {
        same(compare, &answer(left), &answer(right))
    }

    const AB: &str = "*2\r\n+a\r\n+b\r\n";
    const BA: &str = "*2\r\n+b\r\n+a\r\n";

    #[test]
    fn order_matters_only_where_it_is_promised() {
        assert!(!is_same(Compare::Exact, AB, BA) && is_same(Compare::Unordered, AB, BA));
        assert!(
            !is_same(Compare::Pairs, AB, BA)
                && !is_same(Compare::Unordered, AB, "~2\r\n+a\r\n+b\r\n")
        );
        let page = |list: &str, cursor: &str| format!("*2\r\n+{cursor}\r\n{list}");
        assert!(is_same(Compare::Scan, &page(AB, "0"), &page(BA, "0")));
        assert!(!is_same(Compare::Scan, &page(AB, "0"), &page(BA, "1")));
        assert!(is_same(Compare::Shape, AB, BA) && !is_same(Compare::Shape, AB, "*1\r\n+a\r\n"));
    }

    #[test]
    fn errors_are_exact_in_every_way() {
        for compare in [
            Compare::Errors,
            Compare::Unordered,
            Compare::Shape,
            Compare::Near(5),
        ] {
            assert!(!is_same(compare, "-ERR a\r\n", "-ERR b\r\n"));
            assert!(!is_same(compare, "-ERR a\r\n", ":1\r\n"));
        }
        assert!(is_same(Compare::Errors, "+a\r\n", ":1\r\n"));
    }

    #[test]
    fn a_string_may_be_changed_in_redis_alone() {
        let bulk = |word: &str| format!("${}\r\n{word}\r\n", word.len());
        let same = |left, right| is_same(Compare::Encoding, &bulk(left), &bulk(right));
        assert!(same("raw", "int") && same("raw", "raw") && same("embstr", "int"));
        assert!(!same("int", "raw") && !same("embstr", "raw") && !same("raw", "listpack"));
    }

    #[test]
    fn numbers_may_be_near_but_not_of_another_sign() {
        assert!(is_same(Compare::Near(2), ":10\r\n", ":12\r\n"));
        assert!(
            !is_same(Compare::Near(2), ":10\r\n", ":13\r\n")
                && !is_same(Compare::Near(2), ":-1\r\n", ":-2\r\n")
        );
    }

    #[test]
    fn times_of_consumer_groups_may_be_near() {
        let pending =
            |idle, count| format!("*1\r\n*4\r\n$3\r\n1-1\r\n$1\r\nc\r\n:{idle}\r\n:{count}\r\n");
        assert!(is_same(Compare::Clock, &pending(0, 1), &pending(7, 1)));
        assert!(!is_same(Compare::Clock, &pending(0, 1), &pending(0, 2)));
        assert!(!is_same(Compare::Clock, &pending(0, 1), &pending(5_000, 1)));
        let info =
            |name: &str, value: i64| format!("%1\r\n${}\r\n{name}\r\n:{value}\r\n", name.len());
        assert!(is_same(Compare::Clock, &info("idle", 3), &info("idle", 5)));
        assert!(!is_same(
            Compare::Clock,
            &info("pel-count", 3),
            &info("pel-count", 5)
        ));
        let seen = |ms| info("seen-time", ms);
        assert!(is_same(
            Compare::Clock,
            &seen(1_795_000_000_000),
            &seen(1_795_000_000_009)
        ));
    }

    #[test]
    fn transactions_compare_reply_by_reply() {
        let left = answer(&format!("*2\r\n:1\r\n{AB}"));
        let right = answer(&format!("*2\r\n:1\r\n{BA}"));
        assert!(same_transaction(
            &[Compare::Exact, Compare::Unordered],
            &left,
            &right
        ));
        assert!(!same_transaction(
            &[Compare::Exact, Compare::Exact],
            &left,
            &right
        ));
        assert!(!same_transaction(&[Compare::Unordered], &left, &right));
    }
}
