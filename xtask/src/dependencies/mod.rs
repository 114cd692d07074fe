//! What the workspace depends on: the floors of the house, licences and origins.

mod floors;
mod licence;
mod policy;

use crate::{
    Failure, Result,
    command::{cargo, is_installed, run},
    workspace::Workspace,
};

/// Checks that arrows between the floors only point down, and every foreign crate against
/// `deny.toml`: by cargo-deny where it is installed, by the part of it that is here elsewhere.
pub(crate) fn check(workspace: &Workspace) -> Result<()> {
    report(&floors::violations(workspace)).map_err(|failure| {
        failure.advise("see the floors in ARCHITECTURE.md: turn the dependency into a trait above")
    })?;
    if is_installed("cargo-deny") {
        let arguments = [
            "deny",
            "--all-features",
            "--offline",
            "check",
            "bans",
            "licenses",
            "sources",
        ];
        return run(&mut cargo(&arguments));
    }
    println!("cargo-deny is not installed: deny.toml is applied by xtask");
    let policy = policy::Policy::read(workspace.root())?;
    report(&policy.violations(workspace)).map_err(|failure| {
        failure.advise("choose another crate, or allow it in deny.toml with the reason")
    })
}

fn report(violations: &[String]) -> Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    Err(Failure::new(violations.join("\n       ")))
}
