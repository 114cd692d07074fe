//! Where the file lies.

use std::{io, path::Path};

/// Makes sure that `file` is found under its path after a crash of the machine. Call it when a
/// database was created, before anything that it holds is promised to anybody.
///
/// [`Database::create`](redb::Database::create) and all writes after it make durable what is in the
/// file, but not the file's name, which lies in its folder. This syncs the folder and those above it,
/// any of which may be as new; one above that the process may not read was not made by it, and is
/// left alone. Only Unix lets a folder be synced: elsewhere, and on a file system that does not, names
/// are as durable as that makes them.
///
/// ```
/// use backend_redb::{redb::Database, sync_path};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let folder = folder.path().join("new/and/newer");
/// std::fs::create_dir_all(&folder)?;
/// let path = folder.join("data.redb");
/// let database = Database::create(&path)?;
/// sync_path(&path)?;
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// If there is no such file, or a folder cannot be synced otherwise.
pub fn sync_path(file: &Path) -> io::Result<()> {
    // Links are resolved, since the names that lead to the file are those behind them.
    let file = file.canonicalize()?;
    for (above, folder) in file.ancestors().skip(1).enumerate() {
        if let Err(error) = sync_folder(folder)
            && !is_as_durable_as_can_be(error.kind(), above)
        {
            return Err(error);
        }
    }
    Ok(())
}

/// Whether the folder so far above the one of the file, that could not be synced for this reason, is
/// not new or of a file system that knows no syncing of folders.
fn is_as_durable_as_can_be(reason: io::ErrorKind, above: usize) -> bool {
    match reason {
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => true,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => above > 0,
        _ => false,
    }
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_is_not_there_has_no_name_to_keep() {
        let folder = tempfile::tempdir().unwrap();
        let missing = sync_path(&folder.path().join("data.redb")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_name_of_a_new_file_in_new_folders_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let new = folder.path().join("a/b");
        fs::create_dir_all(&new).unwrap();
        fs::write(new.join("data.redb"), []).unwrap();
        sync_path(&new.join("data.redb")).unwrap();
        sync_path(&new.join("../b/data.redb")).unwrap();
    }

    #[test]
    fn what_keeps_a_folder_from_being_synced_matters_most_for_the_files_own() {
        let kinds = [
            io::ErrorKind::InvalidInput,
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::StorageFull,
        ];
        let at = |above| kinds.map(|kind| is_as_durable_as_can_be(kind, above));
        assert_eq!(at(0), [true, false, false]);
        assert_eq!(at(1), [true, true, false]);
    }
}
