//! A dependency that no file of its package names is one that everybody compiles for nothing. (cargo-machete does the
//! same for those who have it.)

use super::{Finding, metadata::Package, source::Source};

pub(crate) fn check(packages: &[Package], sources: &[Source]) -> Vec<Finding> {
    let members = packages.iter().filter(|package| package.is_member);
    members
        .flat_map(|package| unused(package, sources))
        .collect()
}

fn unused(package: &Package, sources: &[Source]) -> Vec<Finding> {
    let (name, folder) = (&package.name, package.folder());
    let files: Vec<&Source> = sources
        .iter()
        .filter(|source| source.path.starts_with(&folder))
        .collect();
    let is_named = |dependency: &str, is_dev: bool| {
        files
            .iter()
            .filter(|source| is_dev || source.path.starts_with(&format!("{folder}src/")))
            .any(|source| names(source, dependency))
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| !is_named(&dependency.name.replace('-', "_"), dependency.is_dev))
        .map(|dependency| {
            let kind = if dependency.is_dev { "dev-" } else { "" };
            format!(
                "{name}: nothing names the {kind}dependency {}; remove it from {folder}Cargo.toml",
                dependency.name
            )
        })
        .collect()
}

/// Whether a file has a path that begins with this crate.
fn names(source: &Source, krate: &str) -> bool {
    source.find(krate).any(|at| {
        let before = source.code[..at].trim_end();
        let after = source.code[at + krate.len()..].trim_start();
        after.starts_with("::") || before.ends_with("use")
    })
}

#[cfg(test)]
mod tests {
    use super::{super::metadata::Dependency, *};

    fn package(dependencies: &[(&str, bool)]) -> Package {
        let dependencies = dependencies.iter().map(|(name, is_dev)| Dependency {
            name: name.to_string(),
            features: Vec::new(),
            is_dev: *is_dev,
        });
        Package {
            name: "damselfly-resp".into(),
            licence: None,
            is_member: true,
            manifest: "crates/resp/Cargo.toml".into(),
            dependencies: dependencies.collect(),
        }
    }

    fn source(path: &str, text: &str) -> Source {
        Source::new(path.into(), text.into())
    }

    #[test]
    fn a_dependency_is_used_where_its_files_name_it() {
        let sources = [
            source(
                "crates/resp/src/lib.rs",
                "use small_vec::Small; // bytes::Bytes\nlet bytes = 1;",
            ),
            source("crates/resp/tests/a.rs", "proptest::proptest! {}"),
            source("crates/store/src/lib.rs", "use bytes::Bytes;"),
        ];
        let used = [package(&[("small-vec", false), ("proptest", true)])];
        assert_eq!(check(&used, &sources), [""; 0]);
        let unused = [package(&[
            ("bytes", false),
            ("proptest", false),
            ("tokio", true),
        ])];
        assert_eq!(check(&unused, &sources).len(), 3);
    }
}
