//! Published data that is not part of the repository.

use std::path::PathBuf;

/// A folder of it in `CETERIS_DATA`, in `data` or in `../shared/data` beside the repository; where
/// there is none, says that the test is skipped.
pub fn data(folder: &str) -> Option<PathBuf> {
    let given = std::env::var_os("CETERIS_DATA").map(PathBuf::from);
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let beside = [root.join("data"), root.join("../shared/data")];
    let all = given.into_iter().chain(beside).map(|data| data.join(folder));
    let found = all.into_iter().find(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("skipped: no folder `{folder}` in CETERIS_DATA, data or ../shared/data");
    }
    found
}
