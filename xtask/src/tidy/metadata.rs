//! What cargo knows of the packages.

use serde_json::Value;

use crate::{
    Result,
    shell::{self, cargo},
};

/// A package of the workspace, or one that it is built with.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub name: String,
    pub licence: Option<String>,
    pub is_member: bool,
    /// Its `Cargo.toml`, from the root for members.
    pub manifest: String,
    pub dependencies: Vec<Dependency>,
}

impl Package {
    /// Where a member stands, from the root and with a slash at the end.
    pub fn folder(&self) -> String {
        self.manifest
            .strip_suffix("Cargo.toml")
            .unwrap_or_default()
            .to_owned()
    }
}

/// One line of a package's dependency tables.
#[derive(Clone, Debug)]
pub(crate) struct Dependency {
    pub name: String,
    pub features: Vec<String>,
    pub is_dev: bool,
}

/// Every package of the dependency graph.
pub(crate) fn workspace() -> Result<Vec<Package>> {
    let json = shell::output(cargo().args([
        "metadata",
        "--format-version",
        "1",
        "--all-features",
        "--locked",
    ]))?;
    let metadata: Value = serde_json::from_str(&json)?;
    let members = list(&metadata["workspace_members"]);
    let root = format!("{}/", text(&metadata["workspace_root"]));
    let packages = list(&metadata["packages"]);
    Ok(packages
        .iter()
        .map(|package| Package {
            name: text(&package["name"]),
            licence: package["license"].as_str().map(str::to_owned),
            is_member: members.contains(&package["id"]),
            manifest: text(&package["manifest_path"]).replace(&root, ""),
            dependencies: list(&package["dependencies"])
                .iter()
                .map(dependency)
                .collect(),
        })
        .collect())
}

fn dependency(json: &Value) -> Dependency {
    Dependency {
        name: text(&json["name"]),
        features: list(&json["features"]).iter().map(text).collect(),
        is_dev: json["kind"] == "dev",
    }
}

fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &Value) -> String {
    json.as_str().unwrap_or_default().to_owned()
}
