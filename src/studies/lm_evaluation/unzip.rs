//! Reads files out of a zip file (APPNOTE.TXT 6.3.10 of PKWARE, sections 4.3.7, 4.3.12 and 4.3.16).
//! The `zip` crate would switch on a feature of `crc32fast` that is off below polars.

/// Why a zip file could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UnzipError {
    /// It ends early, or its parts do not fit together.
    #[error("the zip file is damaged: {0}; get it again")]
    Damaged(&'static str),
    /// It has no such file.
    #[error("the zip file holds no {0}")]
    NoFile(String),
    /// A file is packed in a way that is not known here.
    #[error("{name} in the zip file is packed by method {method}; only 0 and 8 (deflate) are read")]
    Method {
        /// The file.
        name: String,
        /// The number of the method.
        method: u16,
    },
}

fn bytes<const N: usize>(zip: &[u8], at: usize) -> Result<[u8; N], UnzipError> {
    zip.get(at..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .ok_or(UnzipError::Damaged("it ends early"))
}

fn short(zip: &[u8], at: usize) -> Result<usize, UnzipError> {
    Ok(usize::from(u16::from_le_bytes(bytes(zip, at)?)))
}

fn long(zip: &[u8], at: usize) -> Result<usize, UnzipError> {
    usize::try_from(u32::from_le_bytes(bytes(zip, at)?))
        .map_err(|_| UnzipError::Damaged("a number is too large"))
}

/// The content of a file, by its name in the archive.
pub(super) fn file(zip: &[u8], name: &str) -> Result<Vec<u8>, UnzipError> {
    // The end of the directory: 22 bytes, and a comment of at most 65,535.
    let end = (0..=zip.len().saturating_sub(22))
        .rev()
        .take(65_536)
        .find(|&at| zip[at..].starts_with(b"PK\x05\x06"))
        .ok_or(UnzipError::Damaged("it has no directory"))?;
    let entries = short(zip, end + 10)?;
    let mut at = long(zip, end + 16)?;
    for _ in 0..entries {
        if bytes(zip, at)? != *b"PK\x01\x02" {
            return Err(UnzipError::Damaged("its directory is not where it should be"));
        }
        let [name_length, extra, comment] =
            [short(zip, at + 28)?, short(zip, at + 30)?, short(zip, at + 32)?];
        let found = zip.get(at + 46..at + 46 + name_length);
        if found != Some(name.as_bytes()) {
            at += 46 + name_length + extra + comment;
            continue;
        }
        let method = u16::from_le_bytes(bytes(zip, at + 10)?);
        let sum = u32::from_le_bytes(bytes(zip, at + 16)?);
        let (packed, size, header) =
            (long(zip, at + 20)?, long(zip, at + 24)?, long(zip, at + 42)?);
        let start = header + 30 + short(zip, header + 26)? + short(zip, header + 28)?;
        let packed = zip.get(start..start + packed).ok_or(UnzipError::Damaged("it ends early"))?;
        let content = match method {
            0 => packed.to_vec(),
            8 => miniz_oxide::inflate::decompress_to_vec_with_limit(packed, size)
                .map_err(|_| UnzipError::Damaged("a file does not unpack"))?,
            method => return Err(UnzipError::Method { name: name.to_owned(), method }),
        };
        if crc32fast::hash(&content) != sum {
            return Err(UnzipError::Damaged("a checksum is wrong"));
        }
        return Ok(content);
    }
    Err(UnzipError::NoFile(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{UnzipError, file};

    // python3: z = zipfile.ZipFile(b, 'w'); i = zipfile.ZipInfo('d/a.txt', (1980, 1, 1, 0, 0, 0));
    // i.compress_type = zipfile.ZIP_DEFLATED; z.writestr(i, 'ab' * 20); z.close(); b.getvalue().hex()
    const ZIP: &str = "504b030414000000080000002100135ad4bc070000002800000007000000642f612e7478744b4c4a\
        240a0200504b0102140314000000080000002100135ad4bc07000000280000000700000000000000\
        00000000800100000000642f612e747874504b05060000000001000100350000002c0000000000";

    fn zip() -> Vec<u8> {
        (0..ZIP.len() / 2)
            .map(|at| u8::from_str_radix(&ZIP[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn files_of_another_program_are_read() {
        assert_eq!(file(&zip(), "d/a.txt").unwrap(), "ab".repeat(20).as_bytes());
        assert_eq!(file(&zip(), "a.txt"), Err(UnzipError::NoFile("a.txt".to_owned())));
    }

    #[test]
    fn damaged_files_are_told() {
        let whole = zip();
        for length in 0..whole.len() {
            assert!(file(&whole[..length], "d/a.txt").is_err(), "{length}");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0xff;
            // No panic; a damaged date is none of our business.
            let _ = file(&damaged, "d/a.txt");
        }
    }
}
