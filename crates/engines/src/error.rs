use std::{error::Error as StdError, fmt, io, path::PathBuf, process::ExitStatus};

use crate::Engine;

/// The result of starting an engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an engine did not start.
///
/// `Debug` prints what `Display` prints, so that a test that unwraps shows what to do.
pub struct Error {
    engine: Box<Engine>,
    cause: Cause,
}

pub(crate) enum Cause {
    Missing,
    Misnamed(PathBuf),
    Broken { program: PathBuf, said: String },
    Io(&'static str, io::Error),
    Exited { status: ExitStatus, log: String },
    Silent { log: String },
    Refused(String),
}

impl Error {
    pub(crate) fn new(engine: &Engine, cause: Cause) -> Self {
        Self {
            engine: Box::new(*engine),
            cause,
        }
    }

    /// Whether the engine's program is not installed, or is one that never runs, as opposed to having
    /// failed.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(
            self.cause,
            Cause::Missing | Cause::Misnamed(_) | Cause::Broken { .. }
        )
    }
}

impl Error {
    /// Whether a browser's page went away while it was asked something.
    pub(crate) fn is_navigation(&self) -> bool {
        let Cause::Refused(text) = &self.cause else {
            return false;
        };
        [
            "context was destroyed",
            "navigated or closed",
            "Cannot find context",
        ]
        .iter()
        .any(|reason| text.contains(reason))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Engine {
            name,
            programs,
            variable,
            ..
        } = *self.engine;
        match &self.cause {
            Cause::Missing => write!(
                f,
                "{name} is not installed (no {} in PATH): run `cargo xtask engines {name}`, or \
                 name the program in {variable}",
                programs.join(" or "),
            ),
            Cause::Misnamed(path) => write!(
                f,
                "{variable} names {}, which is not a program: correct it, or unset it and run \
                 `cargo xtask engines {name}`",
                path.display(),
            ),
            Cause::Broken { program, said } => {
                write!(f, "{name}: {} does not run: {said}", program.display())
            }
            Cause::Io(doing, _) => write!(f, "{name}: cannot {doing}"),
            Cause::Exited { status, log } => {
                write!(
                    f,
                    "{name} ended before it answered ({status}); its log ends:\n{log}"
                )
            }
            Cause::Silent { log } => {
                write!(f, "{name} runs but does not answer; its log ends:\n{log}")
            }
            Cause::Refused(text) => write!(f, "{name}: {text}"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        self.source()
            .map_or(Ok(()), |source| write!(f, ": {source}"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Cause::Io(_, source) => Some(source),
            _ => None,
        }
    }
}
