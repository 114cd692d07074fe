use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{Failure, Result, workspace::Workspace};

/// A conformance list: the cases that every implementation of one trait must pass.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct List {
    /// The package whose trait it is about.
    pub(super) package: String,
    /// The name of its macro, `<noun>_conformance`.
    pub(super) name: String,
    /// What the file that defines it says it is.
    pub(super) about: String,
    pub(super) cases: Vec<Case>,
}

/// One case, and the guarantee that it proves.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) guarantee: String,
}

/// The lists of every package of the workspace, by package and name.
pub(super) fn read_all(workspace: &Workspace) -> Result<Vec<List>> {
    let mut lists = Vec::new();
    for package in workspace.members() {
        for path in conformance_files(package.folder())
            .map_err(|e| Failure::because("look for lists", e))?
        {
            let read = || Ok((fs::read_to_string(&path)?, parts(&path)?));
            let (text, parts) =
                read().map_err(|e: io::Error| Failure::because(path.display(), e))?;
            let found = parse(&package.name, &text, &parts)
                .map_err(|what| Failure::new(format!("{}: {what}", path.display())))?;
            lists.extend(found);
        }
    }
    lists.sort_by(|a, b| (&a.package, &a.name).cmp(&(&b.package, &b.name)));
    Ok(lists)
}

/// `src/conformance.rs` and everything below `src/conformance/`.
fn conformance_files(package: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = rust_files(package.join("src/conformance"))?;
    files.extend(Some(package.join("src/conformance.rs")).filter(|path| path.is_file()));
    files.sort();
    Ok(files)
}

/// What stands in the folder named after a file: the cases of a list that is too long for one.
fn parts(path: &Path) -> io::Result<String> {
    let files = rust_files(path.with_extension(""))?;
    let texts: Vec<_> = files
        .iter()
        .map(fs::read_to_string)
        .collect::<Result<_, _>>()?;
    let without_lists = texts.into_iter().filter(|text| calls(text).is_empty());
    Ok(without_lists.collect())
}

fn rust_files(folder: PathBuf) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// The lists that a file defines, each by a call of `conformance_cases!`, with the documentation of
/// its cases, which are in the file or its parts.
fn parse(package: &str, text: &str, parts: &str) -> Result<Vec<List>, String> {
    let mut documented = documented_functions(text);
    documented.extend(documented_functions(parts));
    let lists = calls(text)
        .into_iter()
        .map(|(name, cases)| {
            let cases: Result<Vec<_>, String> = cases
                .into_iter()
                .map(|case| documented_case(&documented, case))
                .collect();
            Ok(List {
                package: package.to_owned(),
                name,
                about: about(text),
                cases: cases?,
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    if !lists.is_empty() {
        let forgotten = documented.iter().map(|(name, _)| name).find(|name| {
            !lists
                .iter()
                .any(|list| list.cases.iter().any(|case| case.name == **name))
        });
        if let Some(name) = forgotten {
            return Err(format!("the case {name} is in no list, so nothing runs it"));
        }
    }
    Ok(lists)
}

fn documented_case(documented: &[(String, String)], name: String) -> Result<Case, String> {
    let Some((_, guarantee)) = documented.iter().find(|(function, _)| *function == name) else {
        return Err(format!(
            "the case {name} is not a `pub async fn` of this file or its folder"
        ));
    };
    if guarantee.is_empty() {
        return Err(format!(
            "the case {name} has no documentation, so it guarantees nothing"
        ));
    }
    Ok(Case {
        guarantee: guarantee.clone(),
        name,
    })
}

/// The list name and the case names of each `conformance_cases!(list, [path], fresh => case, …)`.
fn calls(text: &str) -> Vec<(String, Vec<String>)> {
    let code: String = text
        .lines()
        .map(|line| without_comment(line).to_owned() + "\n")
        .collect();
    let bodies = code
        .split("conformance_cases!")
        .skip(1)
        .map(str::trim_start);
    bodies
        .filter_map(|body| call(body.strip_prefix(['(', '{', '['])?))
        .collect()
}

fn call(body: &str) -> Option<(String, Vec<String>)> {
    let (name, rest) = body.split_once(',')?;
    let (_, cases) = rest.split_once("=>")?;
    let cases = &cases[..cases.find([')', '}', ']', ';'])?];
    let cases = cases
        .split(',')
        .map(str::trim)
        .filter(|case| !case.is_empty());
    Some((name.trim().to_owned(), cases.map(str::to_owned).collect()))
}

fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// Every `pub async fn` of a file with the first paragraph of its documentation.
fn documented_functions(text: &str) -> Vec<(String, String)> {
    let mut functions = Vec::new();
    let mut doc: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(sentence) = line.strip_prefix("///") {
            doc.push(sentence.trim());
        } else if let Some(signature) = line.strip_prefix("pub async fn ") {
            let end = signature.find(|c: char| !c.is_alphanumeric() && c != '_');
            let name = &signature[..end.unwrap_or(signature.len())];
            functions.push((name.to_owned(), first_paragraph(&doc)));
            doc.clear();
        } else if !is_attribute(line) {
            doc.clear();
        }
    }
    functions
}

/// Attributes stand between a documentation and its function; they may run over several lines.
fn is_attribute(line: &str) -> bool {
    line.starts_with("#[")
        || line.ends_with(")]")
        || line.starts_with("reason = ")
        || line.starts_with("clippy::")
}

fn about(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .map(str::trim)
        .collect();
    first_paragraph(&lines)
}

fn first_paragraph(lines: &[&str]) -> String {
    let lines: Vec<_> = lines
        .iter()
        .take_while(|line| !line.is_empty())
        .copied()
        .collect();
    without_links(&lines.join(" "))
}

/// Rustdoc's links mean nothing outside rustdoc: of `` [`Name`](path) `` stays `` `Name` ``.
fn without_links(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("[`") {
        let Some((name, after)) = link.split_once("`]") else {
            break;
        };
        plain.push_str(before);
        plain.push('`');
        plain.push_str(name);
        plain.push('`');
        rest = match after
            .strip_prefix('(')
            .and_then(|target| target.split_once(')'))
        {
            Some((_, after)) => after,
            None => after,
        };
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"//! What every [`Queue`](crate::Queue) must do
//! in any case. Not covered by semver.
//!
//! More.

/// One test per case: `conformance_cases!(wrong, [x], y => z)`.
#[macro_export]
macro_rules! queue_conformance {
    ($fresh:expr) => {
        $crate::conformance_cases!(
            queue_conformance,
            [$crate::conformance::queue],
            $fresh => keeps_order, // the first
            loses_nothing,
        );
    };
}

/// Tasks of one lane leave in the order of [`Queue::enqueue`],
/// whatever happens.
///
/// The rest is not for the page.
pub async fn keeps_order(fresh: &Fresh<dyn Queue>) {}

/// No task is lost.
#[expect(
    clippy::too_many_lines,
    reason = "a story"
)]
pub async fn loses_nothing(fresh: &Fresh<dyn Queue>) {}

async fn helper() {}
"#;

    fn case(name: &str, guarantee: &str) -> Case {
        Case {
            name: name.to_owned(),
            guarantee: guarantee.to_owned(),
        }
    }

    #[test]
    fn a_list_has_its_cases_in_order_with_their_first_paragraphs() {
        let expected = List {
            package: "backplane".to_owned(),
            name: "queue_conformance".to_owned(),
            about: "What every `Queue` must do in any case. Not covered by semver.".to_owned(),
            cases: vec![
                case(
                    "keeps_order",
                    "Tasks of one lane leave in the order of `Queue::enqueue`, whatever happens.",
                ),
                case("loses_nothing", "No task is lost."),
            ],
        };
        assert_eq!(parse("backplane", FILE, "").unwrap(), [expected]);
    }

    #[test]
    fn a_case_in_no_list_is_an_error() {
        let text = FILE.replace("            loses_nothing,\n", "");
        let error = parse("backplane", &text, "").unwrap_err();
        assert!(error.contains("loses_nothing"), "{error}");
    }

    #[test]
    fn a_case_without_documentation_is_an_error() {
        let text = FILE.replace("/// No task is lost.\n", "");
        let error = parse("backplane", &text, "").unwrap_err();
        assert!(error.contains("loses_nothing"), "{error}");
    }

    #[test]
    fn a_listed_case_that_is_not_there_is_an_error() {
        let text = FILE.replace("pub async fn keeps_order", "pub async fn keeps_disorder");
        let error = parse("backplane", &text, "").unwrap_err();
        assert!(error.contains("keeps_order"), "{error}");
    }

    #[test]
    fn a_case_may_stand_in_a_part() {
        let (text, part) = FILE.split_once("/// No task is lost.").unwrap();
        let part = format!("/// No task is lost.{part}");
        assert_eq!(
            parse("backplane", text, &part),
            parse("backplane", FILE, "")
        );
        assert!(parse("backplane", text, "").is_err());
    }

    #[test]
    fn a_file_without_a_list_may_have_functions_of_its_own() {
        assert_eq!(
            parse("backplane", "pub async fn shared() {}", ""),
            Ok(Vec::new())
        );
    }

    #[test]
    fn the_definition_of_the_macro_is_not_a_call() {
        let text =
            "macro_rules! conformance_cases {\n ($list:ident, $f:expr => $($c:ident),+) => {} }";
        assert!(calls(text).is_empty());
    }
}
