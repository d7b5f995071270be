//! Files inside a link.

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

#[cfg(test)]
mod tests {
    use polars::df;

    #[test]
    fn cells_survive_the_address() {
        let frame = df!("arm" => ["a=1,b=2"], "value" => [Some(1.5)]).unwrap();
        assert_eq!(
            super::link("text/csv", &super::csv(&frame).unwrap()),
            "data:text/csv;charset=utf-8,arm,value%0A%22a=1,b=2%22,1.5%0A"
        );
    }
}
