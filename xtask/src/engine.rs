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
    let path = engine.locate();
    match &path {
        Ok(path) => println!("{:<10} {}", engine.name, path.display()),
        Err(_) => println!("{:<10} not found", engine.name),
    }
    path.is_ok()
}

fn install(missing: &[&Engine]) -> Result<()> {
    for engine in missing {
        if let (Some(_), Err(error)) = (env::var_os(engine.variable), engine.locate()) {
            // What a person has set is not overruled.
            return Err(Failure::new(error.to_string()));
        }
    }
    if !is_root() || !is_installed("apt-get") {
        let what = "engines can be installed from here only by root on Debian or Ubuntu";
        let instructions: Vec<_> = missing.iter().map(|engine| instruction(engine)).collect();
        return Err(Failure::new(what).advise(instructions.join("\n       ")));
    }
    let packages = missing.iter().map(|engine| engine.apt_package);
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
    if is_installed("apt-get") {
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
        assert_eq!(names, ["redis", "chromium"]);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let failure = wanted(&["rediss"]).unwrap_err().to_string();
        for engine in ENGINES {
            assert!(failure.contains(engine.name), "{failure}");
        }
    }
}
