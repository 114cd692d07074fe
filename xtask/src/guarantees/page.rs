use std::{collections::BTreeSet, fmt::Write};

use super::{
    list::{Case, List},
    witness::Witness,
};
use crate::{Failure, Result};

const HEAD: &str = "\
# Guarantees

Every sentence here is the documentation of a test case, and every mark a run of it that passed.
`cargo xtask guarantees` writes this page; `cargo xtask test` fails when it is out of date.
Implementations outside this workspace run the same lists: each is a macro behind the feature
`conformance` of its crate.
";

/// The page: one table per list, one row per guarantee, one column per implementation.
pub(super) fn render(lists: &[List], witnesses: &[Witness]) -> Result<String> {
    let mut page = HEAD.to_owned();
    for list in lists {
        render_list(&mut page, list, witnesses)?;
    }
    Ok(page)
}

fn render_list(page: &mut String, list: &List, witnesses: &[Witness]) -> Result<()> {
    let witnesses: Vec<_> = witnesses
        .iter()
        .filter(|witness| witness.list == list.name)
        .collect();
    let implementations = in_order(&witnesses);
    if implementations.is_empty() {
        return Err(
            Failure::new(format!("nothing passes a case of {}!", list.name))
                .advise("call the macro in the tests of the memory implementation"),
        );
    }
    let noun = list.name.trim_end_matches("_conformance").replace('_', " ");
    let written = (|| {
        writeln!(page, "\n## {}: {noun}\n\n{}\n", list.package, list.about)?;
        writeln!(
            page,
            "| guarantee | case | {} |",
            implementations.join(" | ")
        )?;
        writeln!(page, "|---|---|{}", ":-:|".repeat(implementations.len()))?;
        for Case { name, guarantee } in &list.cases {
            write!(page, "| {} | `{name}` |", guarantee.replace('|', "\\|"))?;
            for implementation in &implementations {
                let passes = witnesses
                    .iter()
                    .any(|w| w.case == *name && w.implementation == *implementation);
                write!(page, " {} |", if passes { "✓" } else { "–" })?;
            }
            writeln!(page)?;
        }
        Ok(())
    })();
    written.map_err(|e: std::fmt::Error| Failure::because("write the page", e))
}

/// The implementations of a list by name, the reference first.
fn in_order<'a>(witnesses: &[&'a Witness]) -> Vec<&'a str> {
    let names: BTreeSet<_> = witnesses
        .iter()
        .map(|w| w.implementation.as_str())
        .collect();
    let (mut memory, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|n| *n == "memory");
    memory.extend(others);
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> List {
        let case = |name: &str, guarantee: &str| Case {
            name: name.to_owned(),
            guarantee: guarantee.to_owned(),
        };
        List {
            package: "backplane".to_owned(),
            name: "task_queue_conformance".to_owned(),
            about: "Cases of `TaskQueue`.".to_owned(),
            cases: vec![case("a", "A holds."), case("b", "B | C.")],
        }
    }

    fn witness(case: &str, implementation: &str) -> Witness {
        Witness {
            list: "task_queue_conformance".to_owned(),
            case: case.to_owned(),
            implementation: implementation.to_owned(),
        }
    }

    #[test]
    fn a_mark_stands_only_where_a_run_passed() {
        let witnesses = [
            witness("a", "file"),
            witness("a", "memory"),
            witness("b", "memory"),
        ];
        let page = render(&[list()], &witnesses).unwrap();
        let table = page.split("## ").nth(1).unwrap();
        assert_eq!(
            table,
            "backplane: task queue\n\nCases of `TaskQueue`.\n\n\
             | guarantee | case | memory | file |\n\
             |---|---|:-:|:-:|\n\
             | A holds. | `a` | ✓ | ✓ |\n\
             | B \\| C. | `b` | ✓ | – |\n"
        );
    }

    #[test]
    fn a_list_that_nothing_passes_is_an_error() {
        let failure = render(&[list()], &[]).unwrap_err().to_string();
        assert!(failure.contains("task_queue_conformance"), "{failure}");
    }
}
