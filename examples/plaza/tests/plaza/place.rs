use std::{
    path::Path,
    process::{Command, Stdio},
};

use engines::Demo;

/// Where programs keep everything.
pub(crate) enum Place<'a> {
    Directory(&'a Path),
    /// The server of this URL, or the Cluster of which these name nodes.
    Redis(&'a [String]),
}

impl Place<'_> {
    pub(crate) fn start(&self) -> Demo {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plaza"));
        command.args(["--listen", "127.0.0.1:0"]);
        match self {
            Self::Directory(path) => command.arg("--data").arg(path),
            Self::Redis(urls) => command.args(["--redis", &urls.join(",")]),
        };
        Demo::start(command.stderr(Stdio::null())).unwrap()
    }
}
