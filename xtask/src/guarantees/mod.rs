//! `cargo xtask guarantees`: what the conformance lists promise, and who was seen to keep it.

mod list;
mod page;
mod witness;

use std::{fs, path::PathBuf};

use crate::{
    Failure, Result,
    test_run::{Executables, Passed},
    workspace::Workspace,
};

/// Runs the conformance lists and writes the page.
pub(crate) fn write(workspace: &Workspace) -> Result<()> {
    let page = page_of(workspace, &run_lists(workspace)?)?;
    let path = path(workspace);
    let written =
        fs::create_dir_all(workspace.root().join("docs")).and_then(|()| fs::write(&path, page));
    written.map_err(|e| Failure::because(path.display(), e))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Runs the conformance lists and fails if the page says something else.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    check_against(workspace, &run_lists(workspace)?)
}

/// Fails if the page says something else than the tests that `passed`.
pub(crate) fn check_against(workspace: &Workspace, passed: &[Passed]) -> Result<()> {
    let page = page_of(workspace, passed)?;
    if fs::read_to_string(path(workspace)).is_ok_and(|written| written == page) {
        return Ok(());
    }
    Err(
        Failure::new("docs/guarantees.md is not what the tests show")
            .advise("run `cargo xtask guarantees` and commit the file"),
    )
}

fn run_lists(workspace: &Workspace) -> Result<Vec<Passed>> {
    Executables::build(workspace)?.run_lists()
}

fn page_of(workspace: &Workspace, passed: &[Passed]) -> Result<String> {
    let lists = list::read_all(workspace)?;
    let witnesses: Vec<_> = passed.iter().filter_map(witness::Witness::of).collect();
    page::render(&lists, &witnesses)
}

fn path(workspace: &Workspace) -> PathBuf {
    workspace.root().join("docs/guarantees.md")
}
