//! `cargo xtask engines`: finds the engines that the tests start, and installs what is missing.

use std::{env, process::Command};

use engines::{
    Engine,
    catalogue::{ENGINES, Need},
};

use crate::{
    Failure, Result,
    command::{capture, is_installed, run},
};

/// Finds the engines of these names, or all that the tests need, and installs those that are not
/// there.
pub(crate) fn provide(names: &[&str]) -> Result<()> {
    let missing: Vec<_> = wanted(names)?
        .into_iter()
        .filter(|engine| !is_found(engine))
        .collect();
    if !missing.is_empty() {
        install(&missing)?;
        if let Some(engine) = missing.into_iter().find(|engine| !is_found(engine)) {
            return Err(Failure::new(format!(
                "the package {} was installed but holds no {}",
                engine.apt_package,
                engine.programs.join(" or "),
            ))
            .advise(instruction(engine)));
        }
    }
    Ok(())
}

fn wanted(names: &[&str]) -> Result<Vec<&'static Engine>> {
    if names.is_empty() {
        let required = ENGINES
            .iter()
            .filter(|engine| engine.need == Need::Required);
        return Ok(required.collect());
    }
    names.iter().map(|name| named(name)).collect()
}

fn named(name: &str) -> Result<&'static Engine> {
    ENGINES
        .iter()
        .find(|engine| engine.name == name)
        .ok_or_else(|| {
            let known: Vec<_> = ENGINES
                .iter()
                .map(|e| format!("{} ({})", e.name, e.purpose))
                .collect();
            Failure::new(format!(
                "no engine is called {name}; there are: {}",
                known.join(", ")
            ))
        })
}

fn is_found(engine: &Engine) -> bool {
    match engine.locate() {
        Ok(path) => {
            println!("{:<10} {}", engine.name, path.display());
            true
        }
        Err(error) => {
            println!("{:<10} {error}", engine.name);
            false
        }
    }
}

fn install(missing: &[&Engine]) -> Result<()> {
    if let Some(engine) = missing.iter().find(|e| env::var_os(e.variable).is_some()) {
        return Err(
            Failure::new(format!("{} is misnamed", engine.name)).advise(format!(
                "correct or unset the environment variable {}",
                engine.variable
            )),
        );
    }
    if !is_root() || !has_apt() {
        let instructions: Vec<_> = missing.iter().map(|engine| instruction(engine)).collect();
        return Err(Failure::new(
            "only root on Debian or Ubuntu can have engines installed from here",
        )
        .advise(instructions.join("\n       ")));
    }
    let packages: Vec<_> = missing.iter().map(|engine| engine.apt_package).collect();
    run(apt().args(["update", "-qq"]))?;
    run(apt()
        .args(["install", "-qq", "-y", "--no-install-recommends"])
        .args(packages))
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn instruction(engine: &Engine) -> String {
    let Engine {
        name,
        programs,
        variable,
        apt_package,
        ..
    } = engine;
    if has_apt() {
        format!("sudo apt-get install {apt_package}")
    } else {
        format!(
            "install {name} with this system's package manager so that {} is in PATH, or set \
             {variable} to the program",
            programs.join(" or "),
        )
    }
}

fn is_root() -> bool {
    capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

fn has_apt() -> bool {
    is_installed("apt-get")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_names_exactly_the_required_engines_are_wanted() {
        let names: Vec<_> = wanted(&[])
            .unwrap()
            .iter()
            .map(|engine| engine.name)
            .collect();
        assert_eq!(names, ["redis"]);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let failure = wanted(&["rediss"]).unwrap_err().to_string();
        for engine in ENGINES {
            assert!(failure.contains(engine.name), "{failure}");
        }
    }
}
