use crate::workspace::{Dependency, Package, Workspace};

/// Crates that have no place on the lower two floors: runtimes' globals, web frameworks and the
/// clients of engines. A core may name one only as an optional dependency.
const UPSTAIRS: &[&str] = &[
    "actix-web",
    "async-nats",
    "async-std",
    "axum",
    "deadpool-postgres",
    "fjall",
    "hyper",
    "redb",
    "redis",
    "reqwest",
    "smol",
    "sqlx",
    "tokio",
    "tokio-postgres",
    "tower",
    "warp",
];

/// Where a member of the workspace stands. Arrows point down only.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Floor {
    /// What every core stands on.
    Ground,
    /// A core; none knows another.
    Core,
    /// An engine's implementation of the cores' traits.
    Backend,
    /// A server, or the tests and benches of all of them.
    Application,
    /// Started by people and tests; nothing may build on it.
    Tool,
}

impl Floor {
    fn of(name: &str, is_example: bool) -> Self {
        match name {
            "backplane" => Self::Ground,
            "engines" | "xtask" => Self::Tool,
            _ if is_example => Self::Application,
            _ if name.ends_with("-core") => Self::Core,
            _ if name.starts_with("backend-") => Self::Backend,
            _ => Self::Tool,
        }
    }

    /// Whether a package of this floor may depend on one of `other`.
    fn may_use(self, other: Self) -> bool {
        match self {
            Self::Tool => true,
            // A server may mount another's router.
            Self::Application => other <= self,
            _ => other < self,
        }
    }
}

/// The dependencies that point up or sideways, in words.
pub(super) fn violations(workspace: &Workspace) -> Vec<String> {
    let examples: Vec<_> = workspace
        .members_in("examples")
        .map(|p| p.name.as_str())
        .collect();
    let names: Vec<_> = workspace.members().map(|p| p.name.as_str()).collect();
    let floor = |name: &str| {
        names
            .contains(&name)
            .then(|| Floor::of(name, examples.contains(&name)))
    };
    workspace
        .members()
        .flat_map(|package| wrong_arrows(package, floor))
        .collect()
}

fn wrong_arrows(package: &Package, floor: impl Fn(&str) -> Option<Floor>) -> Vec<String> {
    let Some(own) = floor(&package.name) else {
        return Vec::new();
    };
    let built_in = package
        .dependencies
        .iter()
        .filter(|d| d.kind.as_deref() != Some("dev"));
    built_in
        .filter(|dependency| match floor(&dependency.name) {
            Some(other) => !own.may_use(other),
            None => own <= Floor::Core && is_from_upstairs(dependency),
        })
        .map(|dependency| format!("{} must not depend on {}", package.name, dependency.name))
        .collect()
}

fn is_from_upstairs(dependency: &Dependency) -> bool {
    !dependency.optional && UPSTAIRS.contains(&dependency.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies: Vec<_> = dependencies
            .iter()
            .map(
                |(name, kind)| serde_json::json!({ "name": name, "kind": kind, "optional": false }),
            )
            .collect();
        let text = serde_json::json!({
            "id": name, "name": name, "version": "0.1.0", "license": null, "source": null,
            "dependencies": dependencies, "targets": [], "features": {}, "manifest_path": "/Cargo.toml",
        });
        serde_json::from_value(text).unwrap()
    }

    fn arrows(name: &str, dependencies: &[(&str, Option<&str>)]) -> Vec<String> {
        wrong_arrows(&package(name, dependencies), |name| match name {
            "plaza" | "feed-server" => Some(Floor::of(name, true)),
            "bytes" | "tokio" => None,
            _ => Some(Floor::of(name, false)),
        })
    }

    #[test]
    fn arrows_that_point_down_are_right() {
        assert!(arrows("feed-core", &[("backplane", None), ("bytes", None)]).is_empty());
        assert!(arrows("backend-redb", &[("feed-core", None), ("backplane", None)]).is_empty());
        assert!(arrows("plaza", &[("feed-server", None), ("tokio", None)]).is_empty());
        assert!(arrows("bench", &[("backend-redb", None), ("bench-peers", None)]).is_empty());
    }

    #[test]
    fn arrows_that_point_up_or_sideways_are_wrong() {
        for (name, dependency) in [
            ("backplane", "feed-core"),
            ("feed-core", "chat-core"),
            ("feed-core", "backend-redb"),
            ("feed-core", "tokio"),
            ("backend-redb", "backend-redis"),
            ("backend-redb", "plaza"),
            ("plaza", "engines"),
        ] {
            let found = arrows(name, &[(dependency, None)]);
            assert_eq!(found, [format!("{name} must not depend on {dependency}")]);
        }
    }

    #[test]
    fn tests_may_use_what_they_like() {
        assert!(
            arrows(
                "backplane",
                &[("tokio", Some("dev")), ("engines", Some("dev"))]
            )
            .is_empty()
        );
    }
}
