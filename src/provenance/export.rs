//! Results as an RO-Crate: a folder or a zip file that says itself what it holds.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ro_crate::{self, License};
use super::zip::{ZipError, ZipWriter};
use super::{Provenance, ProvenanceError, digits};
use crate::store::{PartRecord, Results, StoreError, journal_files};

/// Name of the manifest.
pub(super) const MANIFEST: &str = "manifest.json";

/// What an export wrote.
#[derive(Clone, Debug)]
pub struct Exported {
    /// How many files it holds.
    pub files: usize,
    /// Their bytes together.
    pub bytes: u64,
    /// What is missing from the results, in words.
    pub incomplete: Vec<String>,
}

/// A file of the export, described.
pub(super) struct File {
    /// Its place, with slashes between folders.
    pub path: String,
    /// What it is.
    pub name: String,
    /// Its media type.
    pub format: &'static str,
    pub bytes: u64,
    pub sha256: String,
    /// The table that it is a part of.
    pub table: Option<String>,
}

/// Where the bytes of a file come from.
enum Source<'a> {
    Here(Vec<u8>),
    Part(&'a PartRecord),
}

/// Writes results as an RO-Crate with the layout of a results directory, its study file and
/// `SHA256SUMS`: a zip file where the name ends in `.zip`, else a folder.
///
/// Exports of the same results are equal, byte for byte. What `to` names must not exist; it appears
/// when it is complete.
///
/// # Errors
/// When something is there already, the results are being written or damaged, or a file cannot be
/// read or written.
pub fn export(
    results: &Results,
    to: &Path,
    license: Option<&License>,
) -> Result<Exported, ProvenanceError> {
    if fs::symlink_metadata(to).is_ok() {
        return Err(ProvenanceError::Exists { path: to.into() });
    }
    let path = || results.path().to_owned();
    if let Some(holder) = results.writing()? {
        return Err(StoreError::Locked { path: path(), holder }.into());
    }
    if results.unlisted() > 0 {
        return Err(ProvenanceError::Unlisted { path: path() });
    }
    let manifest =
        results.manifest_bytes()?.ok_or_else(|| ProvenanceError::Changed { path: path() })?;
    let provenance = Provenance::unchecked(results, 0)?;

    let own = |path: &str, name: String, format, bytes: Vec<u8>| {
        let (size, sha256) = (bytes.len() as u64, digits(&Sha256::digest(&bytes)));
        let file = File { path: path.into(), name, format, bytes: size, sha256, table: None };
        (file, Source::Here(bytes))
    };
    let study = results.manifest.study.text.clone().into_bytes();
    let study_name = format!("Study file {}", provenance.study.file);
    let mut files = vec![
        own(MANIFEST, "Manifest of the results directory".into(), "application/json", manifest),
        own(ro_crate::STUDY, study_name, "application/toml", study),
    ];
    // Who has no server scores the answers that it gave.
    for path in journal_files(results.path())? {
        let bytes =
            fs::read(&path).map_err(|source| ProvenanceError::Io { path: path.clone(), source })?;
        let inside = path.strip_prefix(results.path()).unwrap_or(&path);
        let inside = inside.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        let name = "Answers of models, as they came".to_owned();
        files.push(own(&inside, name, "application/octet-stream", bytes));
    }
    for (name, table) in &results.manifest.tables {
        for record in &table.parts {
            let file = File {
                path: record.file.clone(),
                name: format!("Part of the table {name}, {} rows", record.rows),
                format: "application/vnd.apache.parquet",
                bytes: record.bytes,
                sha256: record.sha256.clone(),
                table: Some(name.clone()),
            };
            files.push((file, Source::Part(record)));
        }
    }
    let (described, sources): (Vec<File>, Vec<Source<'_>>) = files.into_iter().unzip();
    let metadata = ro_crate::metadata(results, &provenance, &described, license);
    let mut metadata = format!("{metadata:#}").into_bytes();
    metadata.push(b'\n');
    let name = "RO-Crate metadata".to_owned();
    let mut files: Vec<(File, Source<'_>)> = described.into_iter().zip(sources).collect();
    files.push(own(ro_crate::FILE, name, "application/ld+json", metadata));
    files.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    let sums: String =
        files.iter().map(|(file, _)| format!("{}  {}\n", file.sha256, file.path)).collect();
    let sums = own(ro_crate::SUMS, "Checksums".into(), "text/plain", sums.into_bytes());
    files.insert(files.partition_point(|(file, _)| file.path < sums.0.path), sums);

    if to.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip")) {
        write_zip(results, to, &files)?;
    } else {
        write_folder(results, to, &files)?;
    }
    Ok(Exported {
        files: files.len(),
        bytes: files.iter().map(|(file, _)| file.bytes).sum(),
        incomplete: provenance.incomplete,
    })
}

/// The bytes of a file; parts are compared with their hashes.
fn bytes<'a>(
    results: &Results,
    source: &'a Source<'_>,
) -> Result<std::borrow::Cow<'a, [u8]>, ProvenanceError> {
    match source {
        Source::Here(bytes) => Ok(bytes.into()),
        Source::Part(record) => match results.part_bytes(record)? {
            Some(bytes) => Ok(bytes.into()),
            None => Err(ProvenanceError::Missing { path: results.path().join(&record.file) }),
        },
    }
}

fn write_zip(
    results: &Results,
    to: &Path,
    files: &[(File, Source<'_>)],
) -> Result<(), ProvenanceError> {
    let failed = |source| ProvenanceError::Io { path: to.into(), source };
    let zip_failed = |error| match error {
        ZipError::TooLarge => ProvenanceError::TooLarge { path: to.into() },
        ZipError::Io(source) => failed(source),
    };
    let temporary = builder(0o666).tempfile_in(parent(to)).map_err(failed)?;
    let mut zip = ZipWriter::new(BufWriter::new(temporary));
    let mut folder = "";
    for (file, source) in files {
        // Validators of RO-Crates look for the folders, too.
        let own = file.path.rfind('/').map_or("", |slash| &file.path[..=slash]);
        if own != folder {
            folder = own;
            if !own.is_empty() {
                zip.folder(own).map_err(zip_failed)?;
            }
        }
        zip.file(&file.path, &bytes(results, source)?).map_err(zip_failed)?;
    }
    let written = zip.finish().map_err(zip_failed)?;
    let temporary = written.into_inner().map_err(|error| failed(error.into_error()))?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary.persist_noclobber(to).map_err(|error| placed(to, error.error))?;
    Ok(())
}

fn write_folder(
    results: &Results,
    to: &Path,
    files: &[(File, Source<'_>)],
) -> Result<(), ProvenanceError> {
    let failed = |source| ProvenanceError::Io { path: to.into(), source };
    let temporary = builder(0o777).tempdir_in(parent(to)).map_err(failed)?;
    for (file, source) in files {
        let path = temporary.path().join(&file.path);
        let content = bytes(results, source)?;
        let write = || {
            fs::create_dir_all(parent(&path))?;
            let mut file = fs::File::create_new(&path)?;
            file.write_all(&content)?;
            file.sync_all()
        };
        write().map_err(failed)?;
    }
    // A rename would replace a folder that is empty and appeared in the meantime; nothing is lost.
    fs::rename(temporary.path(), to).map_err(|error| placed(to, error))?;
    // It is no temporary folder any more.
    let _ = temporary.keep();
    Ok(())
}

/// What a failure to give the export its name means.
fn placed(to: &Path, source: io::Error) -> ProvenanceError {
    let path: PathBuf = to.into();
    match source.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty => {
            ProvenanceError::Exists { path }
        }
        _ => ProvenanceError::Io { path, source },
    }
}

/// Temporary files beside the export, with the permissions that any new file has.
fn builder(mode: u32) -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".ceteris-export-").suffix(".tmp");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = mode;
    builder
}

/// The folder that a path is in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.components().next().is_some() => parent,
        _ => Path::new(Component::CurDir.as_os_str()),
    }
}
