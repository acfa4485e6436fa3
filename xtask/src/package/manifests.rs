//! The Kubernetes manifests: against the schemas of Kubernetes, without a cluster, and against each other.

use super::{expect, folder, quietly, step};
use crate::{
    Result, peers,
    shell::{self, command},
};
use std::path::PathBuf;

/// Schemas of Kubernetes in PyPI, with what reads them.
const VALIDATOR: &str = "kubernetes-validate==1.37.0";

/// What schemas do not say: that names in one manifest are those of another, and that scripts are scripts.
const CROSS_CHECK: &str = r#"
import pathlib, subprocess, sys, yaml
folder = pathlib.Path(sys.argv[1])
listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
files = sorted(file.name for file in folder.glob("*.yaml") if file.name != "kustomization.yaml")
assert sorted(listed) == files, (listed, files)
all = [each for file in files for each in yaml.safe_load_all((folder / file).read_text())]
by = {(each["kind"], each["metadata"]["name"]): each for each in all}
pods = by["StatefulSet", "damselfly"]["spec"]
labels = pods["template"]["metadata"]["labels"]
ports = {port["name"] for container in pods["template"]["spec"]["containers"] for port in container["ports"]}
assert ("Service", pods["serviceName"]) in by
for (kind, name), each in by.items():
    spec = each.get("spec", {})
    selector = spec.get("selector", {}) if kind == "Service" else spec.get("selector", spec.get("podSelector", {})).get("matchLabels", {})
    assert selector.items() <= labels.items(), (kind, name, selector)
    if kind == "Service":
        assert {port["targetPort"] for port in spec["ports"]} <= ports, name
configuration = by["ConfigMap", "damselfly"]["data"]
spec = pods["template"]["spec"]
volumes = {volume["name"] for volume in spec["volumes"]} | {claim["metadata"]["name"] for claim in pods["volumeClaimTemplates"]}
for container in spec["initContainers"] + spec["containers"]:
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    for each in container["env"]:
        source = each.get("valueFrom", {}).get("secretKeyRef")
        assert not source or source["key"] in by["Secret", source["name"]]["stringData"], each
    words = container.get("command", []) + container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", [])
    for word in words:
        if word.startswith("/etc/damselfly/"):
            assert word.removeprefix("/etc/damselfly/") in configuration, word
for name, text in configuration.items():
    if name.endswith(".sh"):
        subprocess.run(["sh", "-n"], input=text.encode(), check=True)
print(len(all), "objects")
"#;

/// Where they are.
pub(super) fn directory() -> PathBuf {
    shell::root().join("packaging/kubernetes")
}

pub(super) fn check() -> Result {
    let python = step("install kubernetes-validate", install)?;
    step("schemas", || {
        let mut manifests: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(directory())? {
            manifests.push(entry?.path());
        }
        // It is no object of a cluster.
        manifests.retain(|path| !path.ends_with("kustomization.yaml"));
        expect(!manifests.is_empty(), || {
            "there are no manifests".to_owned()
        })?;
        let mut validate = command(python.with_file_name("kubernetes-validate"));
        let said = quietly(validate.arg("--strict").args(&manifests))?;
        said.lines().for_each(|line| println!("    {line}"));
        Ok(())
    })?;
    step("names, selectors, ports, scripts", || {
        let mut check = command(&python);
        let said = quietly(check.args(["-c", CROSS_CHECK]).arg(directory()))?;
        println!("    {}", said.trim());
        Ok(())
    })
}

/// A Python with the schemas.
pub(super) fn install() -> Result<PathBuf> {
    let venv = folder().join("venv");
    let python = venv.join("bin/python3");
    if !venv.join("bin/kubernetes-validate").is_file() {
        peers::need_python()?;
        quietly(command("python3").args(["-m", "venv"]).arg(&venv))?;
        quietly(command(&python).args(["-m", "pip", "install", "--quiet", VALIDATOR]))?;
    }
    Ok(python)
}
