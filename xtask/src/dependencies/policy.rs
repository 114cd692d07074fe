use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::licence;
use crate::{
    Failure, Result,
    workspace::{Package, Workspace},
};

/// The part of `deny.toml` that is applied where cargo-deny is not installed.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Policy {
    licences: Vec<String>,
    banned: Vec<String>,
}

impl Policy {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let path = root.join("deny.toml");
        let text = fs::read_to_string(&path).map_err(|e| Failure::because(path.display(), e))?;
        let policy = Self::parse(&text);
        if policy.licences.is_empty() {
            return Err(Failure::new(
                "deny.toml allows no licence: is its form still the one \
                                     that xtask reads, one string or table a line?",
            ));
        }
        Ok(policy)
    }

    /// Reads `allow` of `[licenses]` and `deny` of `[bans]`, lists with one item a line.
    fn parse(text: &str) -> Self {
        let mut policy = Self {
            licences: Vec::new(),
            banned: Vec::new(),
        };
        let (mut section, mut key) = ("", "");
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with('#'))
        {
            if line.starts_with('[') {
                section = line;
            } else if let Some((name, "[")) =
                line.split_once('=').map(|(n, v)| (n.trim(), v.trim()))
            {
                key = name;
            } else if line == "]" {
                key = "";
            } else if let Some(value) = line.split('"').nth(1) {
                match (section, key) {
                    ("[licenses]", "allow") => policy.licences.push(value.to_owned()),
                    ("[bans]", "deny") => policy.banned.push(value.to_owned()),
                    _ => {}
                }
            }
        }
        policy
    }

    /// What is wrong with the foreign crates, in words. Prints the crates that are there twice.
    pub(super) fn violations(&self, workspace: &Workspace) -> Vec<String> {
        print_duplicates(workspace);
        workspace
            .strangers()
            .filter_map(|package| self.objection(package))
            .collect()
    }

    fn objection(&self, package: &Package) -> Option<String> {
        let Package {
            name,
            version,
            license,
            source,
            ..
        } = package;
        if self.banned.contains(name) {
            return Some(format!("{name} {version} is banned"));
        }
        if !source.as_deref().is_some_and(is_the_registry) {
            return Some(format!("{name} {version} comes from {source:?}"));
        }
        match license {
            Some(expression) if licence::is_allowed(expression, &self.licences) => None,
            Some(expression) => Some(format!("{name} {version} is licensed under {expression}")),
            None => Some(format!("{name} {version} names no licence")),
        }
    }
}

/// Cargo's default registry, by the name that cargo gives it.
fn is_the_registry(source: &str) -> bool {
    source.starts_with("registry+") && source.ends_with("/rust-lang/crates.io-index")
}

fn print_duplicates(workspace: &Workspace) {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in workspace.strangers() {
        versions
            .entry(&package.name)
            .or_default()
            .insert(&package.version);
    }
    println!(
        "{} foreign crates",
        versions.values().map(BTreeSet::len).sum::<usize>()
    );
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let versions: Vec<_> = versions.iter().copied().collect();
        println!(
            "  {name} in {} versions: {}",
            versions.len(),
            versions.join(", ")
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_comments_are_not() {
        let text = r#"
            [graph]
            all-features = true
            [licenses]
            allow = [
                # "GPL-3.0",
                "MIT",
                "Apache-2.0",  # the usual pair
            ]
            exceptions = [
                { crate = "odd", allow = ["MPL-2.0"] },
            ]
            [bans]
            deny = [
                { crate = "openssl-sys", reason = "one TLS" },
            ]
        "#;
        let policy = Policy::parse(text);
        assert_eq!(policy.licences, ["MIT", "Apache-2.0"]);
        assert_eq!(policy.banned, ["openssl-sys"]);
    }

    #[test]
    fn the_workspace_s_own_policy_is_in_the_form_that_is_read() {
        let policy = Policy::read(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))).unwrap();
        assert!(policy.licences.iter().any(|licence| licence == "MIT"));
        assert!(!policy.banned.is_empty());
    }

    #[test]
    fn a_crate_from_elsewhere_is_objected_to() {
        let policy = Policy {
            licences: vec!["MIT".to_owned()],
            banned: vec!["bad".to_owned()],
        };
        let objection = |name: &str, licence: Option<&str>, source: &str| {
            let text = serde_json::json!({
                "id": name, "name": name, "version": "1.0.0", "license": licence, "source": source,
                "features": {}, "dependencies": [], "targets": [], "manifest_path": "/Cargo.toml",
            });
            policy.objection(&serde_json::from_value(text).unwrap())
        };
        let registry = "registry+git/rust-lang/crates.io-index";
        assert_eq!(objection("good", Some("MIT"), registry), None);
        assert!(objection("bad", Some("MIT"), registry).is_some());
        assert!(objection("good", Some("GPL-3.0"), registry).is_some());
        assert!(objection("good", None, registry).is_some());
        assert!(objection("good", Some("MIT"), "git+somewhere").is_some());
    }
}
