//! A server that starts again with what it had saved, and takes its time over it.

use std::{fs, io, thread, time::Duration};

use super::{Asking, Launcher};
use crate::{Error, Result, error::Cause, server::Server};

/// The file that `SAVE` writes.
const WRITTEN: &str = "dump.rdb";

/// What it is called afterwards, so that a server that starts with nothing does not find it.
pub(super) const SAVED: &str = "saved.rdb";

/// For how many microseconds a server that takes its time does nothing over each key.
pub(super) const KEY_DELAY: &str = "20000";

/// After how many bytes of what it loads a server looks whether it is asked something: no less than it
/// takes.
pub(super) const BYTES_BETWEEN_LOOKS: &str = "1024";

/// Between two looks at a server that has not loaded everything yet.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Half a minute and more, of looks that take a moment themselves.
const LOOKS: u32 = 3_000;

const IS_LOADING: &str = "LOADING";

pub(super) fn save(server: &Server) -> Result<()> {
    let write = || {
        let asking = &mut Asking::of(server.address())?;
        // Compressed, it might be too little to look between.
        asking.ask(&["CONFIG", "SET", "rdbcompression", "no"])?;
        asking.ask(&["SAVE"])?;
        let file = |name| server.directory().join(name);
        fs::rename(file(WRITTEN), file(SAVED))
    };
    write().map_err(|e| Error::new(server.engine(), Cause::Io("save its keys", e)))
}

pub(super) fn restart_loading(server: &Server, launcher: Launcher) -> Result<()> {
    server.restart(&Launcher {
        loading: true,
        ..launcher
    })?;
    let loading = is_loading(server);
    let loading = loading.map_err(|e| Error::new(server.engine(), Cause::Io("ask it", e)))?;
    if loading {
        return Ok(());
    }
    let text = "it has loaded everything already: more has to be saved".to_owned();
    Err(Error::new(server.engine(), Cause::Refused(text)))
}

pub(super) fn finish_loading(server: &Server) -> Result<()> {
    let finish = || {
        Asking::of(server.address())?.ask(&["CONFIG", "SET", "key-load-delay", "0"])?;
        for _ in 0..LOOKS {
            if !is_loading(server)? {
                return Ok(());
            }
            thread::sleep(LOOK_INTERVAL);
        }
        Err(io::ErrorKind::TimedOut.into())
    };
    finish().map_err(|e| Error::new(server.engine(), Cause::Io("have it load", e)))
}

fn is_loading(server: &Server) -> io::Result<bool> {
    match Asking::of(server.address())?.ask(&["PING"]) {
        Ok(_) => Ok(false),
        Err(error) if error.to_string().starts_with(IS_LOADING) => Ok(true),
        Err(error) => Err(error),
    }
}
