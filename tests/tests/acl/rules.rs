//! Rules in generated sequences: what is taken, what is refused and how, what ACL GETUSER and ACL LIST make of it.

use std::collections::HashSet;

use crate::pair::Both;
use damselfly_resp::Reply;
use damselfly_tests::Rng;

/// Rules, right and wrong.
#[rustfmt::skip]
const RULES: &[&str] = &[
    "on", "off", "ON", "nopass", "resetpass", "reset", "clearselectors", "sanitize-payload", "skip-sanitize-payload",
    ">one", ">two", ">", "<one", "<three", "!zz", "#zz",
    "#2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", "!2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
    "#2C26B46B68FFC68FF99B453C1D30413413422D706483BFA0F98A5E886266E7AE",
    "~*", "allkeys", "resetkeys", "~a*", "~b", "~", "~a b", "%R~a*", "%W~a*", "%rw~c*", "%WR~d", "%R~*", "%~a", "%RR~a", "%R", "%", "%X~a", "%R~a\tb",
    "&*", "allchannels", "resetchannels", "&a*", "&b", "&", "&a b", "ALLKEYS", "ResetChannels",
    "+@all", "-@all", "allcommands", "nocommands", "+@ALL", "+@read", "-@read", "+@write", "-@write", "+@string", "-@string", "+@keyspace", "-@keyspace",
    "+@set", "+@sortedset", "-@sortedset", "+@list", "-@list", "+@hash", "-@hash", "+@bitmap", "+@hyperloglog", "+@geo", "-@geo", "+@stream", "-@stream",
    "+@pubsub", "-@pubsub", "+@admin", "-@admin", "+@fast", "-@fast", "+@slow", "-@slow", "+@blocking", "-@blocking", "+@dangerous", "-@dangerous",
    "+@connection", "-@connection", "+@transaction", "-@transaction", "+@scripting", "-@scripting", "+@nothing", "-@", "+@Read",
    "+get", "-get", "+GET", "+set", "-set", "+config", "-config", "+config|get", "-config|get", "+config|nothing", "+config|", "-config|nothing", "+config|get|x",
    "+client|list", "-client|list", "+client", "-client", "+cluster", "-cluster|info", "+script|load", "+function", "-function|flush", "+migrate", "-bgsave", "+sync",
    "+select|0", "+select|1", "+select|A", "+select|a", "-select", "+select", "+get|x", "-get|x", "+|x", "+", "-", "+nothing", "-nothing", "+debug|sleep", "-debug",
    "+xinfo|stream", "-xinfo", "+object|freq", "+acl|whoami", "-acl", "+latency|doctor", "-lolwut", "+memory|usage", "-pubsub|numsub", "+subscribe", "-publish",
    "nothing", "", " ", "on ", "(+get ~a*)", "(+@read %R~x &c)", "()", "(on)", "( +set )", "(+nothing)", "(~a \"b)", "(~\"a b\")", "(+select|0 ~a)", "(+@all -get ~*)", ")", "(%R~a +@hash &*)",
];

/// Arguments that open a selector which others close.
const PARTS: &[&str] = &["(+get", "~a)", "(", ")", "~b", "+set)", "(~c"];

/// Rules with their single commands in order: Redis tells them in an order by chance.
fn sorted(rules: &str, newer: &HashSet<String>) -> Vec<String> {
    let (mut categories, mut singles) = (Vec::new(), Vec::new());
    for word in rules.split(' ') {
        if ["+", "-"].iter().any(|sign| word.starts_with(sign)) && !word[1..].starts_with('@') {
            let word = word.trim_end_matches(')');
            if !newer.contains(&word[1..]) {
                singles.push(word.to_owned());
            }
        } else {
            categories.push(word.trim_end_matches(')').to_owned());
        }
    }
    singles.sort_unstable();
    categories.into_iter().chain(singles).collect()
}

/// All texts of a reply, each with its words in order.
fn texts(reply: &Reply, newer: &HashSet<String>) -> Vec<Vec<String>> {
    match reply {
        Reply::Array(items) | Reply::Set(items) => {
            items.iter().flat_map(|item| texts(item, newer)).collect()
        }
        Reply::Map(pairs) => pairs
            .iter()
            .flat_map(|(name, value)| [texts(name, newer), texts(value, newer)].concat())
            .collect(),
        other => vec![match other.as_text() {
            Some(text) => sorted(&String::from_utf8_lossy(text), newer),
            None => vec![format!("{other:?}")],
        }],
    }
}

#[track_caller]
fn same_texts(both: &mut Both, line: &str, what: &str) {
    let newer = both.newer();
    let (left, right) = both.replies("admin", line);
    assert_eq!(
        texts(&left, newer.as_ref()),
        texts(&right, newer.as_ref()),
        "{line} after {what}"
    );
}

#[test]
fn sequences_of_rules_come_out_as_with_redis() {
    let mut both = Both::start();
    for seed in 0..400 {
        let mut rng = Rng::new(seed);
        let mut args = vec![
            "ACL",
            "SETUSER",
            *rng.pick(&["u", "v", "default-like", "(w", "x y"]),
        ];
        for _ in 0..rng.between(0, 6) {
            args.push(if rng.percent(3) {
                rng.pick::<&str>(PARTS)
            } else {
                rng.pick::<&str>(RULES)
            });
        }
        if seed % 20 == 0 {
            both.line("admin", "ACL DELUSER u v (w nobody");
        }
        both.same("admin", &args);
        let what = format!("seed {seed}: {args:?}");
        same_texts(&mut both, "ACL LIST", &what);
        for user in ["u", "v", "(w"] {
            same_texts(&mut both, &format!("ACL GETUSER {user}"), &what);
        }
    }
}

/// One rule after another on one user, so that every rule is refused or taken by itself.
#[test]
fn every_rule_by_itself_is_taken_or_refused_as_by_redis() {
    let mut both = Both::start();
    for start in ["-@all", "+@all", "allkeys", "allchannels"] {
        for rule in RULES {
            both.same("admin", &["ACL", "SETUSER", "u", "reset", start]);
            both.same("admin", &["ACL", "SETUSER", "u", rule]);
            same_texts(&mut both, "ACL GETUSER u", rule);
        }
    }
    both.line("admin", "CONFIG SET acl-pubsub-default allchannels");
    both.line("admin", "ACL SETUSER open (+get)");
    both.line("admin", "ACL GETUSER open");
    both.line("admin", "ACL SETUSER open reset");
    both.line("admin", "ACL LIST");
}

/// The commands of each category that both have.
#[test]
fn categories_have_the_commands_that_redis_has_in_them() {
    let mut both = Both::start();
    let names = |reply: &Reply| -> Vec<String> {
        let items = reply.as_items().unwrap_or_default().iter();
        let mut names: Vec<_> = items
            .filter_map(|item| item.as_text())
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect();
        names.sort_unstable();
        names
    };
    both.line("admin", "ACL CAT");
    let everything = both.replies("admin", "COMMAND LIST");
    let here = names(&everything.1);
    let theirs = names(&everything.0);
    let (categories, _) = both.replies("admin", "ACL CAT");
    for category in names(&categories) {
        let (left, right) = both.replies("admin", &format!("ACL CAT {category}"));
        let expected: Vec<_> = names(&left)
            .into_iter()
            .filter(|name| here.contains(name))
            .collect();
        let found: Vec<_> = names(&right)
            .into_iter()
            .filter(|name| theirs.contains(name))
            .collect();
        assert_eq!(expected, found, "{category}");
    }
}

#[test]
fn odd_requests_are_answered_as_by_redis() {
    let mut both = Both::start();
    for line in [
        "ACL",
        "ACL NOTHING",
        "ACL HELP",
        "ACL WHOAMI",
        "ACL WHOAMI x",
        "ACL CAT nothing",
        "ACL CAT a b",
        "ACL USERS",
        "ACL GETUSER nobody",
        "ACL GETUSER default",
        "ACL DELUSER default",
        "ACL DELUSER nobody default",
        "ACL DELUSER nobody",
        "ACL SETUSER",
        "ACL GENPASS 0",
        "ACL GENPASS 4097",
        "ACL GENPASS x",
        "ACL GENPASS 1 2",
        "ACL LOG",
        "ACL LOG x",
        "ACL LOG -1",
        "ACL LOG RESET x",
        "ACL LOG reset",
        "ACL LOAD",
        "ACL SAVE",
        "ACL DRYRUN nobody GET a",
        "ACL DRYRUN default NOTHING",
        "ACL DRYRUN default GET",
        "ACL DRYRUN default CONFIG",
        "ACL DRYRUN default CONFIG NOTHING",
        "ACL DRYRUN default GET a",
        "ACL DRYRUN default MULTI",
        "AUTH x",
        "AUTH default x",
        "AUTH a b c",
        "AUTH nobody x",
        "CONFIG GET acl-pubsub-default",
        "CONFIG SET acl-pubsub-default x",
        "CONFIG SET acllog-max-len -1",
        "CONFIG SET aclfile x",
        "CLIENT KILL USER nobody",
        "CLIENT KILL USER",
        "CLIENT KILL USER default SKIPME YES",
    ] {
        both.line("admin", line);
    }
}
