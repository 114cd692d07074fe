use crate::test_run::Passed;

/// A case that was seen to pass, and on which implementation.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Witness {
    /// The list's name.
    pub(super) list: String,
    /// The case's name.
    pub(super) case: String,
    /// What the page calls the implementation.
    pub(super) implementation: String,
}

impl Witness {
    /// Reads a test's path: `…::<list>_conformance::<case>`.
    pub(super) fn of(passed: &Passed) -> Option<Self> {
        let path: Vec<_> = passed.path.split("::").collect();
        let [modules @ .., list, case] = path.as_slice() else {
            return None;
        };
        list.ends_with("_conformance").then(|| Self {
            list: (*list).to_owned(),
            case: (*case).to_owned(),
            implementation: implementation(passed, modules),
        })
    }
}

/// The package names an implementation; where it runs one list on several, they have modules whose
/// names tell them apart: `file` in `id::high_water::tests::file`. One that begins with `on_` names it alone;
/// numbers that end it are a version.
fn implementation(passed: &Passed, modules: &[&str]) -> String {
    let variant = if passed.is_integration {
        modules
    } else {
        let tests = modules.iter().position(|module| *module == "tests");
        tests.map_or(&[][..], |tests| &modules[tests + 1..])
    };
    let variant: Vec<_> = variant.iter().map(|module| words(module)).collect();
    let variant = variant.join(" ");
    if let Some(engine) = variant.strip_prefix("on ") {
        return engine.to_owned();
    }
    match (passed.package.strip_prefix("backend-"), variant.is_empty()) {
        (Some(engine), true) => engine.to_owned(),
        (Some(engine), false) => format!("{engine} {variant}"),
        (None, true) => "memory".to_owned(),
        (None, false) => variant,
    }
}

/// The words of a module's name: `redis 6.2` of `redis_6_2`.
fn words(module: &str) -> String {
    let mut words = String::with_capacity(module.len());
    let mut was_number = false;
    for (place, word) in module.split('_').enumerate() {
        let is_number = word.starts_with(|c: char| c.is_ascii_digit());
        if place > 0 {
            words.push(if was_number && is_number { '.' } else { ' ' });
        }
        words.push_str(word);
        was_number = is_number;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn witness(package: &str, is_integration: bool, path: &str) -> Option<(String, String)> {
        let passed = Passed {
            package: package.to_owned(),
            is_integration,
            path: path.to_owned(),
        };
        let witness = Witness::of(&passed)?;
        assert_eq!(witness.case, "case");
        Some((witness.list, witness.implementation))
    }

    #[test]
    fn the_package_names_the_implementation_and_the_module_a_variant() {
        for (package, is_integration, path, implementation) in [
            (
                "backplane",
                false,
                "memory::queue::tests::l_conformance::case",
                "memory",
            ),
            (
                "backplane",
                false,
                "memory::tests::l_conformance::case",
                "memory",
            ),
            (
                "backplane",
                false,
                "id::tests::file::l_conformance::case",
                "file",
            ),
            ("feed-core", true, "l_conformance::case", "memory"),
            (
                "backend-redb",
                false,
                "queue::tests::l_conformance::case",
                "redb",
            ),
            ("backend-redis", true, "l_conformance::case", "redis"),
            (
                "backend-redis",
                true,
                "cluster::l_conformance::case",
                "redis cluster",
            ),
            (
                "backend-redis",
                true,
                "on_valkey::l_conformance::case",
                "valkey",
            ),
            (
                "backend-redis",
                true,
                "on_redis_6_2::cluster::l_conformance::case",
                "redis 6.2 cluster",
            ),
        ] {
            let expected = ("l_conformance".to_owned(), implementation.to_owned());
            assert_eq!(
                witness(package, is_integration, path),
                Some(expected),
                "{path}"
            );
        }
    }

    #[test]
    fn other_tests_are_no_witnesses() {
        assert_eq!(witness("backplane", false, "queue::tests::some_case"), None);
        assert_eq!(witness("backplane", true, "alone"), None);
    }
}
