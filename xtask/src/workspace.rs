//! What the workspace holds, as cargo sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    Failure, Result,
    command::{capture, cargo},
};

/// The workspace and everything it depends on.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    #[serde(rename = "workspace_members")]
    member_ids: Vec<String>,
    #[serde(rename = "workspace_root")]
    root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: Option<String>,
    /// Where it comes from; `None` is a folder.
    pub(crate) source: Option<String>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
    /// Each feature with what it switches on.
    features: BTreeMap<String, Vec<String>>,
    manifest_path: PathBuf,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` is a dependency of the library itself, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    pub(crate) optional: bool,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    kind: Vec<String>,
}

impl Workspace {
    /// Asks cargo.
    pub(crate) fn read() -> Result<Self> {
        let text = capture(&mut cargo(&["metadata", "--format-version", "1"]))?;
        serde_json::from_str(&text).map_err(|e| Failure::because("read cargo's metadata", e))
    }

    /// The folder that the workspace is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo builds.
    pub(crate) fn target_directory(&self) -> &Path {
        &self.target_directory
    }

    /// The packages of the workspace itself.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|p| self.member_ids.contains(&p.id))
    }

    /// The packages that others made.
    pub(crate) fn strangers(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|p| p.source.is_some())
    }

    /// The members that live below the folder `name`.
    pub(crate) fn members_in(&self, name: &str) -> impl Iterator<Item = &Package> {
        let folder = self.root().join(name);
        self.members()
            .filter(move |package| package.folder().starts_with(&folder))
    }
}

impl Package {
    pub(crate) fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }

    /// The features that leave others off: each alone, and first none, which is called "".
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        let names = self.features.keys().map(String::as_str);
        let own: BTreeSet<_> = names.filter(|name| *name != "default").collect();
        let none = (!own.is_empty()).then_some("");
        let parts = own.clone().into_iter();
        let parts = parts.filter(move |part| !own.is_subset(&self.switched_on_by(part)));
        none.into_iter().chain(parts)
    }

    fn switched_on_by<'a>(&'a self, feature: &'a str) -> BTreeSet<&'a str> {
        let (mut on, mut next) = (BTreeSet::new(), vec![feature]);
        while let Some(feature) = next.pop() {
            if on.insert(feature) {
                let others = self.features.get(feature).into_iter().flatten();
                next.extend(others.map(String::as_str));
            }
        }
        on
    }

    /// Its targets of a kind: `lib`, `bin`, `test` or `bench`.
    pub(crate) fn targets_of(&self, kind: &str) -> impl Iterator<Item = &Target> {
        self.targets
            .iter()
            .filter(move |target| target.kind.iter().any(|k| k == kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(features: &serde_json::Value) -> Vec<String> {
        let package = serde_json::json!({
            "id": "p", "name": "p", "version": "0.1.0", "license": null, "source": null,
            "dependencies": [], "targets": [], "features": features,
            "manifest_path": "/Cargo.toml",
        });
        let package: Package = serde_json::from_value(package).unwrap();
        package.parts().map(String::from).collect()
    }

    #[test]
    fn a_feature_that_switches_all_others_on_is_no_part() {
        let features = serde_json::json!({
            "default": ["ground", "feed"],
            "ground": [],
            "feed": ["ground", "dep:feed-core"],
        });
        assert_eq!(parts(&features), ["", "ground"]);
        let with_chat = serde_json::json!({
            "ground": [],
            "feed": ["ground", "dep:feed-core"],
            "chat": ["ground"],
        });
        assert_eq!(parts(&with_chat), ["", "chat", "feed", "ground"]);
    }

    #[test]
    fn without_features_there_are_no_parts() {
        assert!(parts(&serde_json::json!({})).is_empty());
    }
}
