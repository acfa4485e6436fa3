//! Which crate may know which (DESIGN section 1).

use super::{Finding, metadata::Package};

/// A crate of ours, and the crates of ours that it may depend on. `examples` and `tests` may know all.
const EDGES: &[(&str, &[&str])] = &[
    ("damselfly-resp", &[]),
    ("damselfly-lua", &["damselfly-resp"]),
    ("damselfly-store", &[]),
    ("damselfly-journal", &[]),
    ("damselfly-snapshot", &["damselfly-store"]),
    (
        "damselfly-replication",
        &["damselfly-resp", "damselfly-journal", "damselfly-snapshot"],
    ),
    (
        "damselfly-engine",
        &[
            "damselfly-lua",
            "damselfly-resp",
            "damselfly-store",
            "damselfly-journal",
            "damselfly-snapshot",
            "damselfly-replication",
        ],
    ),
    ("damselfly-server", &["damselfly-engine"]),
    ("damselfly-client-redis-rs", &[]),
    ("xtask", &[]),
];

/// Packages that stand at the top and may know all.
const TOPS: &[&str] = &["damselfly-examples", "damselfly-tests"];

/// Dependencies with more than a name: what must not be switched on.
const BANNED_FEATURES: &[(&str, &str, &str)] = &[
    ("damselfly-replication", "damselfly-snapshot", "store"),
    ("damselfly-replication", "damselfly-snapshot", "default"),
];

pub(crate) fn check(packages: &[Package]) -> Vec<Finding> {
    let members = packages.iter().filter(|package| package.is_member);
    members.flat_map(edges_of).collect()
}

fn edges_of(package: &Package) -> Vec<Finding> {
    if TOPS.contains(&package.name.as_str()) {
        return Vec::new();
    }
    let Some((name, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
        return vec![format!(
            "{}: a new package; give it a row in xtask/src/tidy/edges.rs and in DESIGN 1",
            package.name
        )];
    };
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let to = dependency.name.as_str();
        if to.starts_with("damselfly-") && !allowed.contains(&to) {
            let kind = if dependency.is_dev {
                "dev-depends"
            } else {
                "depends"
            };
            findings.push(format!(
                "{name} {kind} on {to}; it may know {allowed:?} (DESIGN section 1)"
            ));
        }
        let banned = BANNED_FEATURES
            .iter()
            .filter(|(from, on, _)| from == name && *on == to && !dependency.is_dev);
        for (_, _, feature) in
            banned.filter(|(_, _, feature)| dependency.features.iter().any(|on| on == feature))
        {
            findings.push(format!(
                "{name} switches on feature {feature} of {to}, which it must not know"
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::metadata::Dependency, *};

    fn package(name: &str, to: &str, features: &[&str]) -> Package {
        Package {
            name: name.into(),
            licence: None,
            is_member: true,
            manifest: String::new(),
            dependencies: vec![Dependency {
                name: to.into(),
                features: features.iter().map(|feature| feature.to_string()).collect(),
                is_dev: false,
            }],
        }
    }

    #[test]
    fn edges_that_point_the_wrong_way_are_found() {
        let wrong = [
            ("damselfly-store", "damselfly-resp", &[][..]),
            ("damselfly-engine", "damselfly-server", &[]),
            ("damselfly-replication", "damselfly-snapshot", &["store"]),
            ("damselfly-new", "bytes", &[]),
        ];
        for (from, to, features) in wrong {
            assert_eq!(
                check(&[package(from, to, features)]).len(),
                1,
                "{from} -> {to}"
            );
        }
        let right = [
            ("damselfly-engine", "damselfly-store", &[][..]),
            ("damselfly-tests", "damselfly-server", &[]),
            ("damselfly-replication", "damselfly-snapshot", &[]),
            ("damselfly-resp", "smallvec", &[]),
        ];
        for (from, to, features) in right {
            assert_eq!(
                check(&[package(from, to, features)]),
                [""; 0],
                "{from} -> {to}"
            );
        }
    }
}
