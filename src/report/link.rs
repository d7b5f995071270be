//! Files inside a link.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use miniz_oxide::deflate::compress_to_vec;
use polars::prelude::*;

/// A frame as a CSV file.
pub(super) fn csv(frame: &DataFrame) -> PolarsResult<Vec<u8>> {
    let mut bytes = Vec::new();
    CsvWriter::new(&mut bytes).finish(&mut frame.clone())?;
    Ok(bytes)
}

/// A file as a `data:` address.
pub(super) fn link(media: &str, bytes: &[u8]) -> String {
    let mut link = format!("data:{media};charset=utf-8,");
    for &byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => link.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b',' | b'=' | b':' | b'/' => link.push(char::from(byte)),
            _ => link.push_str(&format!("%{byte:02X}")),
        }
    }
    link
}

/// A file as a `data:` address of its gzip (RFC 1952), without name and time.
pub(super) fn packed(bytes: &[u8]) -> String {
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
    gzip.extend(compress_to_vec(bytes, 9));
    gzip.extend(crc32fast::hash(bytes).to_le_bytes());
    // The length modulo 2^32, as the format has it.
    #[allow(clippy::cast_possible_truncation)]
    gzip.extend((bytes.len() as u32).to_le_bytes());
    format!("data:application/gzip;base64,{}", BASE64_STANDARD.encode(gzip))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;
    use polars::df;

    #[test]
    fn cells_survive_the_address() {
        let frame = df!("arm" => ["a=1,b=2"], "value" => [Some(1.5)]).unwrap();
        assert_eq!(
            super::link("text/csv", &super::csv(&frame).unwrap()),
            "data:text/csv;charset=utf-8,arm,value%0A%22a=1,b=2%22,1.5%0A"
        );
    }

    #[test]
    fn a_packed_file_is_the_file() {
        let packed = super::packed(b"arm,value\na,1.5\n");
        let base64 = packed.strip_prefix("data:application/gzip;base64,").unwrap();
        let gzip = BASE64_STANDARD.decode(base64).unwrap();
        let (head, tail) = (10, gzip.len() - 8);
        let text = miniz_oxide::inflate::decompress_to_vec(&gzip[head..tail]).unwrap();
        assert_eq!(text, b"arm,value\na,1.5\n");
        // python3 -c "import zlib; print(hex(zlib.crc32(b'arm,value\na,1.5\n')))"
        assert_eq!(gzip[tail..tail + 4], 0x2f2b0e67u32.to_le_bytes());
        assert_eq!(gzip[tail + 4..], 16u32.to_le_bytes());
    }
}
